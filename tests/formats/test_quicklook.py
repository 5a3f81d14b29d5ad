from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning  # type: ignore[import-untyped]
from rasterio.io import MemoryFile  # type: ignore[import-untyped]

from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.formats import quicklook
from plugins.formats.colours import ramp
from plugins.formats.png import indexed

GRID = DomainType.GRID
LAT, LON = [52.0, 51.5, 51.0], [-0.5, -0.25, 0.0, 0.25]


def png_of(*coverages: Coverage) -> bytes:
    return b"".join(quicklook.encode(coverages))


def colours_of(png: bytes) -> Any:
    """Decode by GDAL: red, green, blue and alpha of every pixel, shape (height, width, 4)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(png) as memory, memory.open(driver="PNG") as file:
            table = np.array([file.colormap(1)[index] for index in range(256)], np.uint8)
            return table[file.read(1)]


def texts_of(png: bytes) -> dict[str, str]:
    """Read the chunks by their definition, checking every checksum."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, place, kinds = {}, 8, []
    while place < len(png):
        size, kind = struct.unpack(">I4s", png[place : place + 8])
        content = png[place + 8 : place + 8 + size]
        assert struct.unpack(">I", png[place + 8 + size : place + 12 + size])[0] == zlib.crc32(kind + content)
        if kind == b"tEXt":
            key, _, text = content.partition(b"\0")
            found[key.decode("latin-1")] = text.decode("latin-1")
        if kind == b"iTXt":
            key, _, rest = content.partition(b"\0")
            assert rest[:4] == b"\0\0\0\0"
            found[key.decode("latin-1")] = rest[4:].decode()
        kinds.append(kind)
        place += 12 + size
    assert kinds[0] == b"IHDR"
    assert kinds[-3:] == [b"tRNS", b"IDAT", b"IEND"]
    return found


def lightness(colours: Any) -> Any:
    """Oklab lightness of sRGB colours, by the forward transform."""
    c = colours / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(
        linear
        @ np.array(
            [
                [0.4122214708, 0.2119034982, 0.0883024619],
                [0.5363325363, 0.6806995451, 0.2817188376],
                [0.0514459929, 0.1073969566, 0.6299787005],
            ]
        )
    )
    return cones @ np.array([0.2104542553, 0.7936177850, -0.0040720468])


def test_lightness_rises_by_equal_steps() -> None:
    colours = ramp(255)
    np.testing.assert_allclose(lightness(colours), np.linspace(0.27, 0.93, 255), atol=0.004)
    assert (np.abs(np.diff(colours.astype(int), axis=0)) <= 5).all()
    # No colour was clipped on the way into sRGB: none lies at the border for long.
    assert ((colours == 0) | (colours == 255)).mean() < 0.02


def test_a_picture_has_the_colours_of_its_values_and_none_where_they_are_missing(
    make: Callable[..., Coverage],
) -> None:
    values = np.array([[0, 25, 50, 75], [100, 100, np.nan, 0], [0, 0, 0, 0]], "f4")
    colours = colours_of(png_of(make({"n": values}, domain_type=GRID, y=LAT, x=LON)))
    assert colours.shape == (384, 512, 4)
    cells = colours.reshape(3, 128, 4, 128, 4)
    assert (cells == cells[:, :1, :, :1]).all()
    cells = cells[:, 0, :, 0]
    assert (cells[..., 3] == np.where(np.isnan(values), 0, 255)).all()
    # Two of eleven values are the largest and six the smallest: they are the percentiles.
    right = ramp(255)[np.rint(np.nan_to_num(values) / 100 * 254).astype(int)]
    assert (cells[~np.isnan(values)][:, :3] == right[~np.isnan(values)]).all()


@pytest.mark.parametrize("lat", [LAT, LAT[::-1]])
@pytest.mark.parametrize("lon", [LON, LON[::-1]])
def test_north_is_up_and_west_is_left(lat: list[float], lon: list[float], make: Callable[..., Coverage]) -> None:
    place = np.add.outer(np.array(lat) * 10, np.array(lon))
    cells = colours_of(png_of(make({"n": place}, domain_type=GRID, y=lat, x=lon)))[::128, ::128, :3]
    assert (np.diff(lightness(cells).sum(axis=1)) < 0).all()
    assert (np.diff(lightness(cells).sum(axis=0)) > 0).all()


def test_outliers_do_not_take_the_colours(make: Callable[..., Coverage]) -> None:
    values = np.linspace(0, 1, 10_000).reshape(100, 100)
    values[0, 0], values[-1, -1] = -1e9, 1e30
    png = png_of(make({"n": values}, domain_type=GRID, y=np.arange(100.0, 0, -1), x=np.arange(100.0)))
    texts = texts_of(png)
    low, high = np.percentile(values, [2, 98])
    assert float(texts["First colour"]) == pytest.approx(low)
    assert float(texts["Last colour"]) == pytest.approx(high)
    assert (float(texts["Minimum"]), float(texts["Maximum"])) == (-1e9, 1e30)
    cells = colours_of(png)[::6, ::6, :3]
    assert (cells[0, 0] == ramp(255)[0]).all()
    assert (cells[-1, -1] == ramp(255)[-1]).all()
    # Neighbours in the ramp may share one of the 16 million colours.
    assert len({tuple(cell) for cell in cells.reshape(-1, 3).tolist()}) > 250


def test_the_first_parameter_time_level_and_member_is_drawn(make: Callable[..., Coverage]) -> None:
    shape = (2, 2, 2, 3, 4)
    values = {"a": np.random.default_rng(1).random(shape), "b": np.zeros(shape)}
    coverage = make(
        values, domain_type=None, custom=[("number", [4, 5])], t=[5, 6], z=[850, 500], y=LAT, x=LON,
        parameters={"a": {"units": "µm", "label": "Größe ≤ 3"}},
    )  # fmt: skip
    png = png_of(coverage)
    assert texts_of(png) == {
        "Title": "A demonstration: Größe ≤ 3",
        "Parameter": "a",
        "Units": "µm",
        "Time": "1970-01-01T05:00:00Z",
        "Level": "850 hPa",
        "number": "4",
        "Bounding box": "-0.625,50.75,0.375,52.25",
        "Copyright": "The Office",
        "License": "CC-BY-4.0",
        "Minimum": f"{values['a'][0, 0, 0].min():.9g}",
        "Maximum": f"{values['a'][0, 0, 0].max():.9g}",
        "First colour": f"{np.percentile(values['a'][0, 0, 0], 2):.9g}",
        "Last colour": f"{np.percentile(values['a'][0, 0, 0], 98):.9g}",
    }
    alone = make({"a": values["a"][0, 0, 0]}, domain_type=GRID, y=LAT, x=LON)
    np.testing.assert_array_equal(colours_of(png), colours_of(png_of(alone)))
    other = make({"c": np.ones((5, 5))}, domain_type=GRID, y=range(5), x=range(5))
    np.testing.assert_array_equal(colours_of(png_of(coverage, other)), colours_of(png))


@pytest.mark.parametrize("value", [0.0, -5.0, 1e308, np.finfo("f4").tiny])
def test_equal_values_have_the_colour_in_the_middle(value: float, make: Callable[..., Coverage]) -> None:
    colours = colours_of(png_of(make({"n": np.full((3, 4), value)}, domain_type=GRID, y=LAT, x=LON)))
    assert (colours == [*ramp(255)[127], 255]).all()


@pytest.mark.parametrize("missing", [np.full((3, 4), np.nan), np.full((3, 4), np.inf), np.ma.masked_all((3, 4), "i2")])
def test_where_all_is_missing_nothing_is_drawn(missing: Any, make: Callable[..., Coverage]) -> None:
    png = png_of(make({"n": missing}, domain_type=GRID, y=LAT, x=LON))
    assert (colours_of(png)[..., 3] == 0).all()
    assert "Minimum" not in texts_of(png)


def test_the_widest_range_of_numbers_has_colours(make: Callable[..., Coverage]) -> None:
    values = np.linspace(-1, 1, 12).reshape(3, 4) * np.finfo("f8").max
    cells = colours_of(png_of(make({"n": values}, domain_type=GRID, y=LAT, x=LON)))[::128, ::128, :3]
    assert (np.diff(lightness(cells.reshape(-1, 3))) > 0).all()


def test_integers_and_irregular_grids_are_drawn(any_coverage: Mapping[str, Coverage], make: Callable[..., Any]) -> None:
    alpha = colours_of(png_of(any_coverage["masked-integers"]))[::128, ::128, 3]
    assert alpha.ravel().tolist() == [0 if number == 5 else 255 for number in range(12)]
    assert colours_of(png_of(make(domain_type=GRID, y=[5, 1, 0], x=[0, 1, 7]))).shape == (513, 513, 4)
    assert colours_of(png_of(any_coverage["grid-of-one"])).shape == (512, 512, 4)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25, deadline=None
)
@given(height=st.integers(1, 9000), width=st.integers(1, 9000))
def test_no_picture_is_tiny_or_huge(height: int, width: int) -> None:
    image = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (height, width), (0, 0))
    tall, wide = quicklook.scaled(image).shape
    assert max(tall, wide) <= 4096
    assert wide >= 512 or tall > 2048 or height > 2048
    if max(height, width) <= 4096:
        assert (tall % height, wide % width) == (0, 0)
        assert tall // height == wide // width
    assert not quicklook.scaled(image).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_every_index_survives(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width), np.uint8)
    palette = random.integers(0, 256, (256, 3), np.uint8)
    colours = colours_of(indexed(image, palette, {"Title": "t"}, transparent=255))
    assert (colours[..., :3] == palette[image]).all()
    assert (colours[..., 3] == np.where(image == 255, 0, 255)).all()


@pytest.mark.parametrize("name", ["point", "series", "profile", "series-of-profiles", "members"])
def test_answers_at_points_are_refused(name: str, any_coverage: Mapping[str, Coverage]) -> None:
    with pytest.raises(InvalidQueryError) as raised:
        png_of(any_coverage[name])
    assert raised.value.parameter == "f"
    assert "PNG" in raised.value.detail
    assert "CSV" in (raised.value.valid or "")


def test_a_path_is_refused(trajectory: Coverage) -> None:
    with pytest.raises(InvalidQueryError):
        png_of(trajectory)


def test_text_is_not_drawn_and_nothing_is_an_error(make: Callable[..., Coverage]) -> None:
    with pytest.raises(InvalidQueryError):
        png_of(make({"s": np.full((3, 4), "a", object)}, domain_type=GRID, y=LAT, x=LON))
    with pytest.raises(NoDataError):
        png_of()
