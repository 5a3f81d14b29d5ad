from __future__ import annotations

import contextlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.errors import InvalidQueryError, NotAcceptableError
from plugins.formats.accept import parse_accept, preferred
from plugins.formats.table import FORMATS, negotiate

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = ["CoverageJSON", "NetCDF", "CSV", "Zarr", "CoverageJSON-ECMWF", "GeoJSON", "PNG", "GeoTIFF"]
KEYS = [*ALWAYS, *(["Parquet", "Arrow"] if find_spec("pyarrow") else [])]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
FIREFOX = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8"
)
IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
COVJSON_READER = (
    'application/prs.coverage+cbor; q=1.0, application/prs.coverage+json; profile="http://x"; q=0.5, '
    "application/ld+json; q=0.1, application/json; q=0.1"
)


@pytest.mark.parametrize(
    ("f", "accept", "key", "content_type"),
    [
        (None, None, "CoverageJSON", "application/prs.coverage+json"),
        (None, "", "CoverageJSON", "application/prs.coverage+json"),
        ("", None, "CoverageJSON", "application/prs.coverage+json"),
        (None, "*/*", "CoverageJSON", "application/prs.coverage+json"),
        (None, BROWSER, "CoverageJSON", "application/prs.coverage+json"),
        (None, COVJSON_READER, "CoverageJSON", "application/prs.coverage+json"),
        (None, "application/json", "CoverageJSON", "application/json"),
        (None, "application/vnd.cov+json", "CoverageJSON", "application/vnd.cov+json"),
        (None, "application/vnd.cov+json, */*", "CoverageJSON", "application/vnd.cov+json"),
        (None, "application/*", "CoverageJSON", "application/prs.coverage+json"),
        (None, "text/csv", "CSV", "text/csv; charset=utf-8"),
        (None, "text/*", "CSV", "text/csv; charset=utf-8"),
        (None, "TEXT/CSV;Q=0.4", "CSV", "text/csv; charset=utf-8"),
        (None, "application/x-netcdf, application/json;q=0.9", "NetCDF", "application/x-netcdf"),
        (None, "application/netcdf;q=0.1, application/json;q=0.2", "CoverageJSON", "application/json"),
        (None, "application/prs.coverage+json;q=0, */*;q=0.1", "CoverageJSON", "application/vnd.cov+json"),
        (None, "application/*;q=0, */*;q=0.1", "CSV", "text/csv; charset=utf-8"),
        (None, "application/zip", "Zarr", "application/zip"),
        (None, CHROME, "CoverageJSON", "application/prs.coverage+json"),
        (None, FIREFOX, "CoverageJSON", "application/prs.coverage+json"),
        (None, "text/html, image/png", "PNG", "image/png"),
        (None, IMAGE, "PNG", "image/png"),
        (None, "image/*", "PNG", "image/png"),
        (None, "image/png", "PNG", "image/png"),
        (None, "image/tiff", "GeoTIFF", "image/tiff; application=geotiff"),
        (None, "image/tiff;application=geotiff", "GeoTIFF", "image/tiff; application=geotiff"),
        (None, "application/geo+json", "GeoJSON", "application/geo+json"),
        (None, "application/geo+json, application/json;q=0.9", "GeoJSON", "application/geo+json"),
        (None, "application/vnd.geo+json", "GeoJSON", "application/vnd.geo+json"),
        ("geojson", BROWSER, "GeoJSON", "application/geo+json"),
        ("application/geo json", None, "GeoJSON", "application/geo+json"),
        ("GeoTIFF", None, "GeoTIFF", "image/tiff; application=geotiff"),
        ("tif", None, "GeoTIFF", "image/tiff; application=geotiff"),
        ("TIFF", None, "GeoTIFF", "image/tiff; application=geotiff"),
        ("cog", "image/tiff", "GeoTIFF", "image/tiff; application=geotiff"),
        ("image/tiff; application=geotiff", None, "GeoTIFF", "image/tiff; application=geotiff"),
        ("png", FIREFOX, "PNG", "image/png"),
        ("CoverageJSON", None, "CoverageJSON", "application/prs.coverage+json"),
        ("coveragejson", "text/csv", "CoverageJSON", "application/prs.coverage+json"),
        ("COVJSON", BROWSER, "CoverageJSON", "application/prs.coverage+json"),
        ("json", "application/json, text/csv", "CoverageJSON", "application/json"),
        ("application/prs.coverage+json", None, "CoverageJSON", "application/prs.coverage+json"),
        ("application/prs.coverage json", None, "CoverageJSON", "application/prs.coverage+json"),
        ("application/vnd.cov+json; profile=x", None, "CoverageJSON", "application/vnd.cov+json"),
        ("NetCDF", "application/json", "NetCDF", "application/netcdf"),
        ("netcdf4", None, "NetCDF", "application/netcdf"),
        (" nc ", None, "NetCDF", "application/netcdf"),
        ("csv", None, "CSV", "text/csv; charset=utf-8"),
        ("text/csv", None, "CSV", "text/csv; charset=utf-8"),
        ("zarr", None, "Zarr", "application/zip"),
        ("zip", None, "Zarr", "application/zip"),
        ("coveragejson-ecmwf", None, "CoverageJSON-ECMWF", "application/prs.coverage+json"),
        ("covjson-ecmwf", "text/csv", "CoverageJSON-ECMWF", "application/prs.coverage+json"),
        ("polytope", "application/json", "CoverageJSON-ECMWF", "application/prs.coverage+json"),
    ],
)
def test_negotiation(f: str | None, accept: str | None, key: str, content_type: str) -> None:
    chosen = negotiate(f, accept)
    assert (chosen.key, chosen.content_type) == (key, content_type)
    assert chosen.encode is FORMATS[key].encode


@pytest.mark.parametrize("f", ["html", "gif", "grib", "*/*", "text/html", "a" * 5000])
def test_an_unknown_format_names_the_known_ones(f: str) -> None:
    with pytest.raises(InvalidQueryError) as raised:
        negotiate(f, "*/*")
    assert not isinstance(raised.value, NotAcceptableError)
    assert raised.value.parameter == "f"
    assert raised.value.valid == f"one of {', '.join(KEYS)}"
    assert len(raised.value.detail) < 200


@pytest.mark.parametrize("accept", ["text/html", "image/gif;q=1", "*/*;q=0", "nonsense", "text/csv;q=2", "*/csv"])
def test_nothing_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptableError):
        negotiate(None, accept)


def test_only_what_is_available() -> None:
    assert negotiate(None, "text/csv;q=0.1, application/json", ["CSV", "NetCDF"]).key == "CSV"
    assert negotiate(None, None, ["NetCDF", "CoverageJSON"]).key == "NetCDF"
    with pytest.raises(InvalidQueryError) as raised:
        negotiate("zarr", None, ["CoverageJSON", "CSV"])
    assert raised.value.valid == "one of CoverageJSON, CSV"


def test_names_and_media_types_are_unambiguous() -> None:
    names = [name for known in FORMATS.values() for name in {known.key.lower(), *known.aliases}]
    # ECMWF's readers know their profile by the media type of CoverageJSON alone: it is asked for by its name.
    typed = [known for known in FORMATS.values() if known.key != "CoverageJSON-ECMWF"]
    types = [media_type for known in typed for media_type in known.media_types]
    assert len(names) == len(set(names))
    assert len(types) == len(set(types))
    assert all(text == text.lower() for text in names + types)
    assert list(FORMATS) == KEYS
    extensions = ["covjson", "nc", "csv", "zarr.zip", "covjson", "geojson", "png", "tif", "parquet", "arrows"]
    assert [known.extension for known in FORMATS.values()] == extensions[: len(KEYS)]


def test_only_rasters_need_a_grid_and_only_pictures_are_shown() -> None:
    assert [key for key, known in FORMATS.items() if known.grids_only] == ["PNG", "GeoTIFF"]
    shown = [key for key, known in FORMATS.items() if not known.attachment]
    assert shown == ["CoverageJSON", "CSV", "CoverageJSON-ECMWF", "GeoJSON", "PNG"]


def test_without_pyarrow_its_formats_are_not_offered() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import importlib.util; found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'pyarrow' else found(name, *rest)\n"
        "from plugins.formats.table import FORMATS; from plugins.formats.formatter import FORMATTERS\n"
        "print(*FORMATS, *(each.key for each in FORMATTERS))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*ALWAYS, *ALWAYS[1:]]


def test_the_libraries_of_single_formats_are_loaded_on_first_use() -> None:
    program = "import sys, plugins.formats.table; print(*({'rasterio', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    parse_accept(text)
    with contextlib.suppress(InvalidQueryError):
        negotiate(text, text)
    try:
        assert negotiate(None, text).key in FORMATS
    except NotAcceptableError:
        assert text.strip()


media_types = st.sampled_from(["a/x", "a/y", "b/x"])
ranges = st.tuples(st.sampled_from(["a/x", "a/y", "b/x", "a/*", "b/*", "*/*"]), st.integers(0, 10))


@given(st.lists(ranges, max_size=6, unique_by=lambda each: each[0]), st.permutations(["a/x", "a/y", "b/x"]))
def test_the_most_exact_range_decides(wanted: list[tuple[str, int]], offered: list[str]) -> None:
    quality = dict(wanted)
    header = ",".join(f"{media_type};q={q / 10}" for media_type, q in wanted)

    def rank(media_type: str) -> int:
        for name in (media_type, media_type[0] + "/*", "*/*"):
            if name in quality:
                return quality[name]
        return 0

    chosen = preferred(header, offered)
    best = max(map(rank, offered))
    if chosen is None:
        assert best == 0
    else:
        assert rank(chosen) == best > 0
