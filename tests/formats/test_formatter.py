from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest
from pygeoapi.formatter.base import FormatterGenericError, FormatterSerializationError
from pygeoapi.plugin import load_plugin
from pygeoapi.util import get_dataset_formatters

from plugins.datacube.coverage import Coverage
from plugins.formats.formatter import FORMATTERS, CoverageResult, ParquetFormatter
from plugins.formats.table import FORMATS

CLASSES = [each.__name__ for each in FORMATTERS]
RESOURCE = {
    "providers": [{"type": "edr", "name": "x", "default": True}],
    "formatters": [{"name": f"plugins.formats.formatter.{name}"} for name in CLASSES],
}


def test_pygeoapi_finds_each_by_what_a_client_writes() -> None:
    formatters = get_dataset_formatters(RESOURCE)
    keys = ["netcdf", "csv", "zarr", "coveragejson-ecmwf", "geojson", "png", "geotiff", "parquet", "arrow"]
    assert list(formatters) == keys[: len(FORMATS) - 1]
    for name, formatter in formatters.items():
        # A request is validated against the key and dispatched on `f`: they must be one.
        assert formatter.f == formatter.name == name == name.lower()
    assert [each.mimetype for each in formatters.values()][:7] == [
        "application/netcdf",
        "text/csv; charset=utf-8",
        "application/zip",
        "application/prs.coverage+json",
        "application/geo+json",
        "image/png",
        "image/tiff; application=geotiff",
    ]
    assert [each.extension for each in formatters.values()][:7] == [
        "nc",
        "csv",
        "zarr.zip",
        "covjson",
        "geojson",
        "png",
        "tif",
    ]
    assert [each.attachment for each in formatters.values()][:7] == [True, False, True, False, False, False, True]


def test_attachment_can_be_configured() -> None:
    definition = {"name": "plugins.formats.formatter.CSVFormatter", "attachment": True}
    assert load_plugin("formatter", definition).attachment is True


def test_written_bytes_are_those_of_the_format(any_coverage: Mapping[str, Coverage]) -> None:
    coverages = (any_coverage["grid"],)
    for each in FORMATTERS:
        formatter = load_plugin("formatter", {"name": f"plugins.formats.formatter.{each.__name__}"})
        written = formatter.write(data=CoverageResult(coverages), options={"provider_def": {}, "content_crs": None})
        assert written == b"".join(FORMATS[each.key].encode(coverages))
        if each.key == "Zarr":
            assert zipfile.is_zipfile(io.BytesIO(written))


def test_a_format_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.formats.formatter.FORMATS", {"CSV": FORMATS["CSV"]})
    with pytest.raises(FormatterGenericError, match="Parquet"):
        ParquetFormatter({"name": "x"})


def test_an_answer_that_is_no_raster_is_pygeoapis_own_error(any_coverage: Mapping[str, Coverage]) -> None:
    formatter = load_plugin("formatter", {"name": "plugins.formats.formatter.GeoTIFFFormatter"})
    with pytest.raises(FormatterSerializationError, match="takes a grid"):
        formatter.write(data=CoverageResult((any_coverage["point"],)))


@pytest.mark.parametrize("data", [None, {"type": "Coverage"}, CoverageResult(())])
def test_what_cannot_be_written_is_pygeoapis_own_error(data: object) -> None:
    formatter = load_plugin("formatter", {"name": "plugins.formats.formatter.NetCDFFormatter"})
    with pytest.raises(FormatterSerializationError):
        formatter.write(data=data)
