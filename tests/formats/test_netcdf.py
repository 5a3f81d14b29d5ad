from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from plugins.datacube.axes import AxisKind
from plugins.datacube.calendar import CALENDARS
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.errors import NoDataError
from plugins.formats import netcdf
from plugins.formats.cf_attributes import encode_times
from plugins.formats.cf_values import fill_missing

Opened = Callable[..., xr.Dataset]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Encode coverages and read the file back by xarray."""

    def open_back(coverages: Sequence[Coverage], **options: Any) -> xr.Dataset:
        path = tmp_path / "answer.nc"
        path.write_bytes(b"".join(netcdf.encode(coverages)))
        with xr.open_dataset(path, engine="netcdf4", **options) as dataset:
            return dataset.load()

    return open_back


def assert_bits(read: Any, right: Any) -> None:
    assert read.dtype == right.dtype
    assert read.tobytes() == np.ascontiguousarray(right).tobytes()


FLOATS = (
    "point", "point-without-time", "series", "series-of-one", "series-float64", "profile", "series-of-profiles", "grid",
    "grid-bounds", "grid-levels", "grid-of-one", "member", "members", "members-grid", "strings", "members-steps",
    "360-day", "noleap",
)  # fmt: skip


@pytest.mark.parametrize("name", FLOATS)
def test_values_are_equal_bit_for_bit(name: str, any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    coverage = any_coverage[name]
    dataset = opened([coverage], decode_cf=False)
    right = coverage.ranges["t2m"]
    assert_bits(dataset["t2m"].values, right.reshape(dataset["t2m"].shape))
    dims = [axis.name for axis in coverage.axes if axis.name in dataset["t2m"].dims]
    assert list(dataset["t2m"].dims) == dims


@pytest.mark.parametrize("name", FLOATS)
def test_coordinates_are_those_of_the_axes(name: str, any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    coverage = any_coverage[name]
    coder = xr.coders.CFDatetimeCoder(use_cftime=True)
    dataset = opened([coverage], decode_times=coder)
    for axis in coverage.axes:
        read = np.atleast_1d(dataset["t2m"].coords[axis.name].values)
        if axis.kind is AxisKind.T:
            right = cftime.num2date(axis.values, "microseconds since 1970-01-01", calendar=axis.calendar)
            assert read.tolist() == right.tolist()
        else:
            assert read.tolist() == axis.values.tolist()


def test_times_of_the_gregorian_calendar_decode_to_datetime64(
    any_coverage: Mapping[str, Coverage], opened: Opened
) -> None:
    times = opened([any_coverage["grid"]])["time"].values
    right = np.array(["1970-01-01", "1970-01-02", "1970-01-03"], "M8[ns]")
    np.testing.assert_array_equal(times.astype("M8[ns]"), right)


def test_the_30th_of_february(any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    times = opened([any_coverage["360-day"]])["time"].values
    assert [(date.month, date.day, date.calendar) for date in times] == [(2, 29, "360_day"), (2, 30, "360_day")]


@given(
    times=st.lists(st.integers(-6 * 10**16, 10**17), min_size=1, max_size=5),
    unit=st.sampled_from([1, 1_000_000, 3_600_000_000]),
    calendar=st.sampled_from(sorted(CALENDARS)),
)
def test_any_time_is_stored_exactly(times: list[int], unit: int, calendar: str) -> None:
    values = np.array(times, np.int64) // unit * unit
    bounds = np.stack([values - unit, values + unit], axis=1)
    stored, stored_bounds, units = encode_times(values, bounds)
    assert stored_bounds is not None
    read = cftime.num2date(stored, units, calendar=calendar)
    right = cftime.num2date(values, "microseconds since 1970-01-01", calendar=calendar)
    assert read.tolist() == right.tolist()
    size = {"hours": 3_600_000_000, "seconds": 1_000_000, "microseconds": 1}[units.split()[0]]
    np.testing.assert_array_equal(stored_bounds.astype(np.int64) * size, bounds)
    assert size >= unit


def test_bounds(any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    coverage = any_coverage["grid-bounds"]
    dataset = opened([coverage], decode_cf=False)
    for axis in coverage.axes:
        assert axis.bounds is not None
        read = dataset[dataset[axis.name].attrs["bounds"]]
        scale: Any = 1
        if axis.kind is AxisKind.T:
            assert dataset["time"].attrs["units"].startswith("seconds since")
            scale = np.int64(1_000_000)
        np.testing.assert_array_equal(read.values * scale, axis.bounds)


def test_bounds_of_a_scalar_coordinate(make: Callable[..., Coverage], opened: Opened) -> None:
    coverage = make(domain_type=DomainType.POINT, t=[0], bounds=True)
    dataset = opened([coverage], decode_cf=False)
    assert dataset["latitude"].shape == ()
    assert dataset["latitude_bnds"].dims == ("bnds",)
    assert dataset["latitude_bnds"].values.tolist() == [51.375, 51.625]


def test_masked_integers(any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    coverage = any_coverage["masked-integers"]
    right: Any = coverage.ranges["mask"]
    raw = opened([coverage], decode_cf=False)["mask"]
    assert raw.dtype == np.int16
    fill = raw.attrs["_FillValue"]
    np.testing.assert_array_equal(raw.values == fill, np.ma.getmaskarray(right))
    np.testing.assert_array_equal(np.ma.masked_equal(raw.values, fill).compressed(), right.compressed())
    decoded = opened([coverage])["mask"].values
    np.testing.assert_array_equal(decoded, right.astype("f4").filled(np.nan))


@given(
    data=st.lists(st.integers(0, 255), min_size=1, max_size=400),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(["i1", "u1", "i2", "i4", "u8"]),
    preferred=st.lists(st.sampled_from([-1, 0, 7, 255, -128, float("nan"), 0.5]), max_size=2),
)
def test_the_fill_value_is_never_a_value(data: list[int], seed: int, dtype: str, preferred: list[float]) -> None:
    values = np.array(data, "u1").astype(dtype)
    mask = np.random.default_rng(seed).random(values.size) < 0.3
    stored, fill = fill_missing(np.ma.array(values, mask=mask), preferred)
    if fill is None:
        assert not mask.any()
    else:
        np.testing.assert_array_equal(stored == fill, mask)
    np.testing.assert_array_equal(stored[~mask], values[~mask])


def test_a_byte_that_uses_all_its_values(make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.ma.array(np.arange(257) % 256, "u1", mask=[False] * 256 + [True])
    dataset = opened([make({"mask": values}, t=range(257))])
    assert dataset["mask"].values[:256].tolist() == list(range(256))
    assert np.isnan(dataset["mask"].values[256])


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.5, 65504], "f2"),
        np.array([1.5, -2.5], ">f4"),
        np.array([True, False]),
        np.array([2**63 - 1, -5], "i8"),
        np.array(["wet", "dry"]),
    ],
)
def test_every_type_of_value(values: Any, make: Callable[..., Coverage], opened: Opened) -> None:
    dataset = opened([make({"p": values}, t=[0, 1], domain_type=DomainType.POINT_SERIES)])
    assert dataset["p"].values.tolist() == values.tolist()


def test_the_crs_is_always_there(any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    for coverage in any_coverage.values():
        dataset = opened([coverage], decode_cf=False)
        (name,) = coverage.parameters
        mapping = dataset[dataset[name].attrs["grid_mapping"]].attrs
        assert mapping["grid_mapping_name"] == "latitude_longitude"
        assert mapping["semi_major_axis"] == 6378137.0
        assert CRS.from_wkt(mapping["crs_wkt"]).is_geographic
        assert CRS.from_cf(mapping).is_geographic


def test_a_projected_crs(make: Callable[..., Coverage], cube: Callable[..., Any], opened: Opened) -> None:
    wkt = CRS.from_epsg(27700).to_wkt()
    coverage = make(
        domain_type=DomainType.GRID, y=[0, 5000], x=[0, 5000], cube=cube(geographic=False, crs="urn:x", wkt=wkt)
    )
    axes = tuple(replace(a, name=f"projection_{a.kind.value}", standard_name=None, units="m") for a in coverage.axes)
    dataset = opened([replace(coverage, axes=axes)], decode_cf=False)
    assert dataset["crs"].attrs["grid_mapping_name"] == "transverse_mercator"
    assert CRS.from_cf(dataset["crs"].attrs).to_epsg() == 27700
    assert dataset["projection_x"].attrs["standard_name"] == "projection_x_coordinate"
    assert dataset["projection_x"].attrs["units"] == "m"


def test_attributes(any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    dataset = opened([any_coverage["grid-levels"]], decode_cf=False)
    assert dataset.attrs["Conventions"] == "CF-1.11"
    assert dataset.attrs["title"] == "A demonstration"
    assert dataset.attrs["license"] == "CC-BY-4.0"
    assert dataset.attrs["institution"] == "ECMWF"
    assert dataset.attrs["isopleth_snapshot"] == "SNAPSHOT1"
    assert "history" not in dataset.attrs
    assert "featureType" not in dataset.attrs
    temperature = dataset["t2m"].attrs
    assert temperature["standard_name"] == "air_temperature"
    assert temperature["units"] == "K"
    assert temperature["cell_methods"] == "time: mean"
    assert np.isnan(temperature["_FillValue"])
    assert dataset["longitude"].attrs == {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
    assert dataset["level"].attrs["positive"] == "down"
    assert dataset["level"].attrs["units"] == "hPa"
    assert dataset["time"].attrs["axis"] == "T"
    assert dataset["time"].attrs["calendar"] == "proleptic_gregorian"


def test_flags_have_the_type_of_their_variable(make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.array([0, 1], "i1")
    flags = {"flag_values": [0, 1], "flag_meanings": "sea land", "valid_range": [0, 1]}
    coverage = make({"lsm": values}, t=[0, 1], parameters={"lsm": {"attributes": flags}})
    attributes = opened([coverage], decode_cf=False)["lsm"].attrs
    assert attributes["flag_values"].dtype == np.int8
    assert attributes["flag_values"].tolist() == [0, 1]
    assert attributes["flag_meanings"] == "sea land"
    assert "valid_range" not in attributes


@pytest.mark.parametrize(
    ("name", "feature"),
    [
        ("series", "timeSeries"), ("series-of-one", "timeSeries"), ("profile", "profile"),
        ("series-of-profiles", "timeSeriesProfile"), ("point", None), ("members", None), ("grid", None),
    ],
)  # fmt: skip
def test_feature_types(name: str, feature: str | None, any_coverage: Mapping[str, Coverage], opened: Opened) -> None:
    dataset = opened([any_coverage[name]])
    assert dataset.attrs.get("featureType") == feature
    if feature:
        assert {"latitude", "longitude"} <= set(dataset["t2m"].coords)
        assert dataset["latitude"].ndim == 0


def test_parameters_of_different_levels_share_the_other_axes(make: Callable[..., Coverage], opened: Opened) -> None:
    shared: dict[str, Any] = {"t": [0, 1], "y": [1, 2], "x": [3, 4], "domain_type": DomainType.GRID}
    surface = make({"t2m": np.arange(8, dtype="f4").reshape(2, 2, 2)}, **shared)
    levels = make({"t": np.arange(16, dtype="f4").reshape(2, 2, 2, 2)}, z=[850, 500], **shared)
    other = make({"q": np.arange(24, dtype="f4").reshape(2, 3, 2, 2)}, z=[1000, 850, 500], **shared)
    dataset = opened([surface, levels, other])
    assert dict(dataset.sizes) == {"time": 2, "latitude": 2, "longitude": 2, "level": 2, "level_2": 3}
    assert dataset["t2m"].dims == ("time", "latitude", "longitude")
    assert dataset["t"].dims == ("time", "level", "latitude", "longitude")
    assert dataset["q"].dims == ("time", "level_2", "latitude", "longitude")
    np.testing.assert_array_equal(dataset["q"].sel(level_2=850, time="1970-01-01T01").values.ravel(), [16, 17, 18, 19])


def test_several_points_are_stations(make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.random.default_rng(3).standard_normal((3, 2, 2, 4)).astype("f4")
    places = [(10.0, 1.0), (20.0, 2.0), (30.0, 3.0)]
    coverages = []
    for station, (y, x) in enumerate(places):
        at = {"y": [y], "x": [x], "t": [0, 24]}
        coverages.append(make({"t2m": values[station, :, 0, :1].reshape(2, 1, 1)}, **at))
        coverages.append(make({"t": values[station].reshape(2, 2, 4)[..., :1, None].copy()}, z=[850, 500], **at))
    dataset = opened(coverages)
    assert dataset["t2m"].dims == ("station", "time")
    assert dataset["t"].dims == ("station", "time", "level")
    assert dataset["latitude"].values.tolist() == [10, 20, 30]
    assert dataset["longitude"].values.tolist() == [1, 2, 3]
    assert_bits(dataset["t2m"].values, values[:, :, 0, 0])
    assert_bits(dataset["t"].values, values[..., 0])
    assert "featureType" not in dataset.attrs


def test_stations_are_a_discrete_sampling_geometry(make: Callable[..., Coverage], opened: Opened) -> None:
    coverages = [make(domain_type=DomainType.POINT_SERIES, t=[0, 1], y=[y], bounds=True) for y in (1, 2)]
    dataset = opened(coverages, decode_cf=False)
    assert dataset.attrs["featureType"] == "timeSeries"
    assert dataset["station"].attrs["cf_role"] == "timeseries_id"
    assert set(dataset["t2m"].attrs["coordinates"].split()) == {"latitude", "longitude"}
    assert dataset["latitude_bnds"].values.tolist() == [[0.875, 1.125], [1.875, 2.125]]


def test_columns_of_times_and_levels_are_stations_too(make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.arange(12, dtype="f4").reshape(2, 3, 2, 1, 1)
    one: dict[str, Any] = {"custom": [("number", [3])], "t": [0, 1, 2]}
    coverages = []
    for i, y in enumerate((10, 20)):
        coverages.append(make({"t": values[i][None]}, domain_type=DomainType.GRID, z=[850, 500], y=[y], **one))
    dataset = opened(coverages)
    assert dataset["t"].dims == ("station", "time", "level")
    assert dataset["number"].dims == ()
    assert dataset.attrs["featureType"] == "timeSeriesProfile"
    assert dataset["latitude"].dims == ("station",)
    assert_bits(dataset["t"].values, values[..., 0, 0])


def test_masked_values_of_stations(make: Callable[..., Coverage], opened: Opened) -> None:
    whole = make({"n": np.array([1, 2], "i2").reshape(2, 1, 1)}, t=[0, 1], y=[1])
    holed = make({"n": np.ma.array([3, 4], "i2", mask=[False, True]).reshape(2, 1, 1)}, t=[0, 1], y=[2])
    np.testing.assert_array_equal(opened([whole, holed])["n"].values, [[1, 2], [3, np.nan]])


def test_points_with_different_times_keep_their_own(make: Callable[..., Coverage], opened: Opened) -> None:
    one = make({"t2m": np.ones((2, 1, 1), "f4")}, t=[0, 1], y=[1])
    other = make({"t2m": np.zeros((3, 1, 1), "f4")}, t=[0, 1, 2], y=[2])
    dataset = opened([one, other])
    assert dataset["t2m"].values.tolist() == [1, 1]
    assert dataset["t2m_2"].values.tolist() == [0, 0, 0]
    assert float(dataset["t2m"].coords["latitude"]) == 1
    assert float(dataset["t2m_2"].coords["latitude_2"]) == 2


def test_a_parameter_may_be_called_like_our_own_variables(make: Callable[..., Coverage], opened: Opened) -> None:
    values = {name: np.full((2, 1, 1), i, "f4") for i, name in enumerate(("crs", "bnds", "time_bnds", "station"))}
    coverages = [make(values, t=[0, 1], y=[y], bounds=True) for y in (1, 2)]
    dataset = opened(coverages, decode_cf=False)
    for i, name in enumerate(values):
        assert (dataset[name].values == i).all()
        assert dataset[dataset[name].attrs["grid_mapping"]].attrs["grid_mapping_name"] == "latitude_longitude"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25, deadline=None
)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=3, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_grid_of_any_bits(sizes: list[int], seed: int, make: Callable[..., Coverage], opened: Opened) -> None:
    values = np.random.default_rng(seed).integers(0, 2**32, sizes, dtype="u4").view("f4")
    *leading, ny, nx = sizes
    axes: dict[str, Any] = {"y": range(ny), "x": range(nx), "t": range(leading[-1])}
    if len(leading) > 1:
        axes["z"] = axes["t"]
        axes["t"] = range(leading[-2])
    if len(leading) > 2:
        axes["custom"] = [("number", list(range(leading[0])))]
    coverage = make({"t2m": values}, domain_type=DomainType.GRID, **axes)
    assert_bits(opened([coverage], decode_cf=False)["t2m"].values, values)


def test_large_variables_are_compressed_and_stay_equal(make: Callable[..., Coverage], tmp_path: Path) -> None:
    values = np.repeat(np.arange(500, dtype="f4"), 400).reshape(1, 500, 400)
    coverage = make({"t2m": values}, domain_type=DomainType.GRID, t=[0], y=np.linspace(80, -80, 500), x=range(400))
    parts = list(netcdf.encode([coverage]))
    path = tmp_path / "large.nc"
    path.write_bytes(b"".join(parts))
    assert path.stat().st_size < values.nbytes / 10
    with netCDF4.Dataset(path) as file:
        assert file["t2m"].filters()["zlib"]
        assert_bits(np.asarray(file["t2m"][...].data), values)


def test_parts_are_at_most_a_mebibyte(make: Callable[..., Coverage]) -> None:
    noise = np.random.default_rng(0).integers(0, 2**32, (1, 1000, 1000), dtype="u4").view("f4")
    parts = list(
        netcdf.encode([make({"t2m": noise}, domain_type=DomainType.GRID, t=[0], y=range(1000), x=range(1000))])
    )
    assert len(parts) > 3
    assert max(map(len, parts)) <= 2**20


def test_equal_answers_give_equal_bytes(any_coverage: Mapping[str, Coverage]) -> None:
    for name in ("grid-bounds", "strings", "series"):
        assert b"".join(netcdf.encode([any_coverage[name]])) == b"".join(netcdf.encode([any_coverage[name]]))


def test_no_temporary_file_stays_behind(
    any_coverage: Mapping[str, Coverage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    list(netcdf.encode([any_coverage["grid"]]))
    begun = netcdf.encode([any_coverage["grid"]])
    next(begun)
    assert list(tmp_path.iterdir())
    begun.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())
    assert not netcdf.NETCDF_LOCK.locked()


def test_nothing_found_is_not_an_empty_file() -> None:
    with pytest.raises(NoDataError):
        list(netcdf.encode([]))
