from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio  # type: ignore[import-untyped]
import rioxarray
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.formats import geotiff

GRID = DomainType.GRID
LAT, LON = [52.0, 51.5, 51.0], [-0.5, -0.25, 0.0, 0.25]

Opened = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Encode coverages, and open the file by rasterio."""
    files = []

    def open_back(*coverages: Coverage) -> Any:
        path = tmp_path / f"answer-{len(files)}.tif"
        path.write_bytes(b"".join(geotiff.encode(coverages)))
        files.append(rasterio.open(path))
        return files[-1]

    yield open_back
    for file in files:
        file.close()


def refusal(*coverages: Coverage) -> InvalidQueryError:
    with pytest.raises(InvalidQueryError) as raised:
        list(geotiff.encode(coverages))
    assert raised.value.parameter == "f"
    assert "GeoTIFF" in raised.value.detail
    assert raised.value.valid
    return raised.value


def at_centres(file: Any, lon: Sequence[float], lat: Sequence[float], band: int) -> Any:
    """Sample at the coordinates, which does not ask how the rows lie."""
    points = [(x, y) for y in lat for x in lon]
    return np.array([value[0] for value in file.sample(points, band)]).reshape(len(lat), len(lon))


@pytest.mark.parametrize("name", ["grid", "grid-bounds", "grid-levels", "members-grid"])
def test_values_are_equal_bit_for_bit(name: str, any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    coverage = any_coverage[name]
    file = opened(coverage)
    right = coverage.ranges["t2m"]
    assert file.dtypes == ("float32",) * (right.size // 12)
    assert file.read().tobytes() == right.tobytes()
    assert all(np.isnan(nodata) for nodata in file.nodatavals)


@pytest.mark.parametrize("lat", [LAT, LAT[::-1]])
@pytest.mark.parametrize("lon", [LON, LON[::-1]])
def test_every_value_lies_at_its_place_with_north_up(
    lat: list[float], lon: list[float], make: Callable[..., Coverage], opened: Opened
) -> None:
    coverage = make(domain_type=GRID, y=lat, x=lon)
    file = opened(coverage)
    assert tuple(file.bounds) == (-0.625, 50.75, 0.375, 52.25)
    assert file.transform.to_gdal() == (-0.625, 0.25, 0, 52.25, 0, -0.5)
    assert at_centres(file, lon, lat, 1).tobytes() == coverage.ranges["t2m"].tobytes()
    assert file.crs.to_epsg() == 4326


# rioxarray 0.22 multiplies transforms in a way that affine 3.1 will drop one day.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_rioxarray_reads_the_coordinates(make: Callable[..., Coverage], tmp_path: Path) -> None:
    lat, lon = np.linspace(-90, 90, 181), np.arange(0, 360.0)
    coverage = make(domain_type=GRID, t=[0, 1], y=lat, x=lon)
    path = tmp_path / "answer.tif"
    path.write_bytes(b"".join(geotiff.encode([coverage])))
    with rioxarray.open_rasterio(path) as read:
        assert read.x.values.tolist() == lon.tolist()
        assert read.y.values.tolist() == lat[::-1].tolist()
        assert read.sel(y=lat).values.tobytes() == coverage.ranges["t2m"].tobytes()
        assert tuple(read.rio.bounds()) == (-0.5, -90.5, 359.5, 90.5)


def test_bands_say_what_they_are(make: Callable[..., Coverage], opened: Opened) -> None:
    surface = make({"lsm": np.ones((3, 4), "f4")}, domain_type=GRID, y=LAT, x=LON, parameters={"lsm": {"units": None}})
    levels = make(
        {"t": np.arange(96, dtype="f4").reshape(2, 2, 2, 3, 4)}, domain_type=None, custom=[("number", [0, 3])],
        t=[5, 6], z=[850, 500.5], y=LAT, x=LON,
    )  # fmt: skip
    file = opened(surface, levels)
    assert file.descriptions[:4] == (
        "lsm",
        "t 1970-01-01T05:00:00Z 850 hPa number=0",
        "t 1970-01-01T05:00:00Z 500.5 hPa number=0",
        "t 1970-01-01T06:00:00Z 850 hPa number=0",
    )
    assert file.count == 9
    assert file.units == (None, *["K"] * 8)
    assert file.tags(9) == {
        "parameter": "t", "long_name": "2 metre temperature", "standard_name": "air_temperature", "units": "K",
        "cell_methods": "time: mean", "datetime": "1970-01-01T06:00:00Z", "z": "500.5", "z_units": "hPa", "number": "3",
    }  # fmt: skip
    assert file.read(9).tobytes() == levels.ranges["t"][1, 1, 1].tobytes()
    assert file.read(1).tobytes() == surface.ranges["lsm"].tobytes()
    tags = file.tags()
    assert (tags["TIFFTAG_IMAGEDESCRIPTION"], tags["TIFFTAG_COPYRIGHT"]) == ("A demonstration", "The Office")
    assert (tags["collection"], tags["license"], tags["isopleth_snapshot"]) == ("demo", "CC-BY-4.0", "SNAPSHOT1")


def test_a_large_grid_is_tiled_and_has_overviews(
    make: Callable[..., Coverage], opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    lon, lat = np.arange(0, 360, 0.25), np.arange(90, -90.25, -0.25)
    with caplog.at_level(logging.WARNING):
        coverage = make(domain_type=GRID, y=lat, x=lon)
        file = opened(coverage)
    # GDAL says by a warning that it did not understand an option.
    assert not caplog.records
    assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert file.block_shapes == [(512, 512)]
    assert file.overviews(1) == [2, 4]
    assert file.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
    assert file.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"
    values = coverage.ranges["t2m"]
    assert file.read(1).tobytes() == values.tobytes()
    smaller = file.read(1, out_shape=(-(-721 // 2), 720))
    assert np.isin(smaller, values).all()


def test_small_grids_leave_no_warning(any_coverage: Mapping[str, Coverage], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        list(geotiff.encode([any_coverage["grid"]]))
    assert not caplog.records


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_every_type_of_number_keeps_its_type(dtype: str, make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype)
    values[0, 0] = np.iinfo(dtype).max if dtype[0] in "iu" else np.finfo(dtype).max
    file = opened(make({"n": values}, domain_type=GRID, y=LAT, x=LON))
    read = file.read(1)
    assert read.dtype == values.dtype
    assert read.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4"])
def test_missing_integers_become_a_value_that_the_data_do_not_have(
    dtype: str, make: Callable[..., Coverage], opened: Opened
) -> None:
    data = np.arange(12).reshape(3, 4)
    limits = np.iinfo(dtype)
    fits = [each for each in (-9999, -32767, limits.max, limits.min) if limits.min <= each]
    values = np.ma.MaskedArray(data.astype(dtype), data == 5)
    values[0, : len(fits)] = fits
    file = opened(make({"n": values}, domain_type=GRID, y=LAT, x=LON))
    read = file.read(1, masked=True)
    assert read.mask.tolist() == values.mask.tolist()
    assert read.compressed().tolist() == values.compressed().tolist()


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_missing_long_integers_become_floats_that_hold_them(
    dtype: str, make: Callable[..., Coverage], opened: Opened
) -> None:
    values = np.ma.masked_equal(np.arange(12, dtype=dtype).reshape(3, 4), 5)
    values[0, 0] = 2**53
    np.testing.assert_array_equal(
        opened(make({"n": values}, domain_type=GRID, y=LAT, x=LON)).read(1), values.astype("f8").filled(np.nan)
    )
    values[0, 0] = 2**53 + 1
    assert "exactly" in refusal(make({"n": values}, domain_type=GRID, y=LAT, x=LON)).detail


def test_types_that_differ_share_one_that_holds_both(make: Callable[..., Coverage], opened: Opened) -> None:
    fractions = np.linspace(0, 1, 12, dtype="f4").reshape(3, 4)
    masked = np.ma.masked_equal(np.arange(12, dtype="i4").reshape(3, 4) + 2**24, 2**24 + 5)
    flags = fractions > 0.5
    file = opened(make({"f": fractions, "n": masked, "b": flags}, domain_type=GRID, y=LAT, x=LON))
    assert set(file.dtypes) == {"float64"}
    assert file.read(1).astype("f4").tobytes() == fractions.tobytes()
    np.testing.assert_array_equal(file.read(2), masked.astype("f8").filled(np.nan))
    np.testing.assert_array_equal(file.read(3), flags)


def test_numbers_that_no_type_holds_together_are_refused(make: Callable[..., Coverage], opened: Opened) -> None:
    fractions = np.linspace(0, 1, 12, dtype="f4").reshape(3, 4)
    long = np.full((3, 4), 2**53 + 1, "i8")
    assert "exactly" in refusal(make({"f": fractions, "n": long}, domain_type=GRID, y=LAT, x=LON)).detail
    assert opened(make({"f": fractions, "n": long - 1}, domain_type=GRID, y=LAT, x=LON)).read(2)[0, 0] == 2**53
    nothing = np.ma.MaskedArray(long, True)
    assert np.isnan(opened(make({"f": fractions, "n": nothing}, domain_type=GRID, y=LAT, x=LON)).read(2)).all()


def test_half_precision_is_widened(make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.linspace(0, 1, 12).astype("f2").reshape(3, 4)
    file = opened(make({"n": values}, domain_type=GRID, y=LAT, x=LON))
    assert file.dtypes == ("float32",)
    assert file.read(1).tobytes() == values.astype("f4").tobytes()


def test_across_the_antimeridian_longitudes_run_on(make: Callable[..., Coverage], opened: Opened) -> None:
    file = opened(make(domain_type=GRID, y=[1, 0], x=[170, 180, 190]))
    assert tuple(file.bounds) == (165, -0.5, 195, 1.5)


def test_a_projected_grid_has_its_own_system(
    make: Callable[..., Coverage], cube: Callable[..., Any], opened: Opened
) -> None:
    british = cube(
        geographic=False, wkt=CRS.from_epsg(27700).to_wkt(), crs="http://www.opengis.net/def/crs/EPSG/0/27700"
    )
    file = opened(make(domain_type=GRID, cube=british, y=[1000, 3000], x=[5000, 7000]))
    assert file.crs.to_epsg() == 27700
    assert tuple(file.bounds) == (4000, 0, 8000, 4000)


def test_coordinates_stored_as_float32_are_regular(make: Callable[..., Coverage], opened: Opened) -> None:
    lon = np.arange(0, 360, 0.1, dtype="f4").astype("f8")
    file = opened(make(domain_type=GRID, y=[10.1, 10.0], x=lon))
    np.testing.assert_allclose(file.transform.a, 0.1, rtol=1e-6)
    np.testing.assert_allclose(file.bounds.right, 359.95, atol=1e-4)


def gaussian(number: int) -> Any:
    return np.degrees(np.arcsin(np.polynomial.legendre.leggauss(2 * number)[0]))


@pytest.mark.parametrize("lat", [gaussian(16), [0, 1, 3], [0, 1, 2, 2.9]])
def test_unequal_steps_are_refused(lat: Any, make: Callable[..., Coverage]) -> None:
    assert "latitude" in refusal(make(domain_type=GRID, y=lat, x=LON)).detail


def test_one_row_has_the_step_of_the_dataset_or_of_its_bounds(
    make: Callable[..., Coverage], cube: Callable[..., Any], opened: Opened
) -> None:
    one = make(domain_type=GRID, y=[51.5], x=LON)
    assert "latitude" in refusal(one).detail
    whole = Axis(AxisKind.Y, "latitude", np.array([51.0, 51.5, 52.0]), units="degrees")
    known = replace(one, cube=replace(cube(), axes={"latitude": whole}))
    assert tuple(opened(known).bounds) == (-0.625, 51.25, 0.375, 51.75)
    bounded = make(domain_type=GRID, y=[51.5], x=LON, bounds=True)
    assert tuple(opened(bounded).bounds) == (-0.625, 51.375, 0.375, 51.625)


@pytest.mark.parametrize("name", ["point", "series", "profile", "series-of-profiles", "members", "members-steps"])
def test_answers_at_points_are_refused(name: str, any_coverage: Mapping[str, Coverage]) -> None:
    error = refusal(any_coverage[name])
    assert "single places" in error.detail
    assert "CSV" in (error.valid or "")


def test_a_path_is_refused(trajectory: Coverage) -> None:
    assert "single places" in refusal(trajectory).detail


def test_what_is_no_raster_is_refused(make: Callable[..., Coverage]) -> None:
    one = make(domain_type=GRID, y=LAT, x=LON)
    other = make({"u": np.ones((3, 4), "f4")}, domain_type=GRID, y=LAT, x=[each + 0.125 for each in LON])
    assert "u lies on another" in refusal(one, other).detail
    assert "text" in refusal(make({"s": np.full((3, 4), "a", object)}, domain_type=GRID, y=LAT, x=LON)).detail
    many = make({"n": np.zeros((1001, 1, 2), "f4")}, domain_type=GRID, t=range(1001), x=[0, 1])
    assert "1001" in refusal(many).detail
    with pytest.raises(NoDataError):
        list(geotiff.encode([]))


def test_as_many_bands_as_are_allowed(make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.arange(4000, dtype="f4").reshape(1000, 2, 2)
    file = opened(make({"n": values}, domain_type=GRID, t=range(1000), y=[1, 0], x=[0, 1]))
    assert file.count == 1000
    assert file.read().tobytes() == values.tobytes()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)
@given(
    leading=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(st.integers(2, 150), st.integers(2, 150)),
    start=st.tuples(st.integers(-40, 40), st.integers(-100, 100)),
    step=st.tuples(st.sampled_from([-0.25, 0.125, 0.1]), st.sampled_from([0.25, 0.3])),
    fortran=st.booleans(),
)
def test_any_shape(
    make: Callable[..., Coverage], opened: Opened, leading: tuple[int, int], size: tuple[int, int],
    start: tuple[int, int], step: tuple[float, float], fortran: bool,
) -> None:  # fmt: skip
    lat, lon = (s + d * np.arange(n) for s, d, n in zip(start, step, size, strict=True))
    values = np.random.default_rng(sum(size)).standard_normal((*leading, *size)).astype("f4")
    values[values > 1] = np.nan
    given_values = np.asfortranarray(values) if fortran else values
    coverage = make({"n": given_values}, domain_type=GRID, t=range(leading[0]), z=range(leading[1]), y=lat, x=lon)
    file = opened(coverage)
    across, down = np.arange(size[1]), np.arange(size[0])
    xs, _ = rasterio.transform.xy(file.transform, 0, across)
    _, ys = rasterio.transform.xy(file.transform, down, 0)
    np.testing.assert_allclose(xs, lon, atol=1e-9)
    np.testing.assert_allclose(np.sort(ys), np.sort(lat), atol=1e-9)
    assert list(ys) == sorted(ys, reverse=True)
    upright = values if step[0] < 0 else values[:, :, ::-1]
    assert file.read().tobytes() == upright.tobytes()


def test_equal_answers_give_equal_bytes(any_coverage: Mapping[str, Coverage]) -> None:
    first, second = (b"".join(geotiff.encode([any_coverage["grid-levels"]])) for _ in range(2))
    assert first == second


def test_the_temporary_file_goes_when_the_client_does(
    make: Callable[..., Coverage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    values = np.random.default_rng(1).random((1, 800, 800)).astype("f4")
    parts = geotiff.encode([make({"n": values}, domain_type=GRID, t=[0], y=np.arange(800.0), x=np.arange(800.0))])
    assert next(parts)[:2] == b"II"
    assert list(tmp_path.iterdir())
    parts.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())


def test_threads_do_not_disturb_each_other(any_coverage: Mapping[str, Coverage]) -> None:
    names = ["grid", "grid-bounds", "grid-levels", "members-grid"] * 5
    alone = {name: b"".join(geotiff.encode([any_coverage[name]])) for name in set(names)}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda name: b"".join(geotiff.encode([any_coverage[name]])), names))
    assert together == [alone[name] for name in names]
