"""Descriptions agree with what xarray makes of the original files, and other grids are recognised and named."""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coordinates import closes_circle
from plugins.datacube.datacube import CRS84, Datacube, GridKind, Integrity
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.describe import describe
from plugins.datacube.errors import DatasetError
from plugins.datacube.extents import turned
from plugins.datacube.library import OpenDatacube, open_datacube
from plugins.datacube.sources import open_source

EPOCH = "microseconds since 1970-01-01"
type Arrays = Sequence[tuple[str, Sequence[str], Any, Mapping[str, Any]]]
LATITUDE = ("lat", ("lat",), np.array([50.0, 40.0, 30.0]), {"units": "degrees_north"})
LONGITUDE = ("lon", ("lon",), np.array([10.0, 20.0, 30.0, 40.0]), {"units": "degrees_east"})
TIME = ("time", ("time",), np.array([0, 6]), {"units": "hours since 2020-01-01", "standard_name": "time"})


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, int], Path]:
    """Copy a NetCDF file into a Zarr store as it stands: packed values stay packed."""
    root = tmp_path_factory.mktemp("converted")

    def convert(file: Path, version: int) -> Path:
        path = root / f"{file.stem}-{version}.zarr"
        if not path.exists():
            with xr.open_dataset(file, engine="netcdf4", decode_cf=False) as dataset, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset.to_zarr(path, zarr_format=version, consolidated=version == 2)
        return path

    return convert


def sample(name: str, shared_data: Path) -> Path:
    if (shared_data / name).exists():
        return shared_data / name
    iris_sample_data = pytest.importorskip("iris_sample_data")
    return Path(iris_sample_data.path) / name


def opened(path: Path, **more: Any) -> OpenDatacube:
    return open_datacube(DatasetDefinition(id="test", href=str(path), **more))


def described(path: Path, arrays: Arrays, attributes: Mapping[str, Any] | None = None, **more: Any) -> Datacube:
    """Write arrays into a Zarr store of version 3 and describe it."""
    group = zarr.create_group(path, overwrite=True, attributes=dict(attributes or {}))
    for name, dims, values, marks in arrays:
        data = np.asarray(values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fixed-length text has no stable specification yet
            array = group.create_array(
                name, shape=data.shape, dtype=data.dtype, dimension_names=list(dims), attributes=dict(marks)
            )
        array[...] = data
    definition = DatasetDefinition(id="test", href=str(path), **more)
    return describe(open_source(definition), definition)


def refusal(path: Path, arrays: Arrays, attributes: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(DatasetError) as caught:
        described(path, arrays, attributes)
    assert "\n" not in caught.value.detail
    return caught.value.detail


def field(*dims: str, name: str = "t2m", **sizes: int) -> tuple[str, Sequence[str], Any, Mapping[str, Any]]:
    known = {"lat": 3, "lon": 4, "time": 2} | sizes
    return name, dims, np.ones([known[dim] for dim in dims], "f4"), {"units": "K", "standard_name": "air_temperature"}


def calendar_times(file: Path, name: str) -> list[int]:
    """Return the times of a file, as cftime decodes them."""
    with xr.open_dataset(file, engine="netcdf4", decode_cf=False) as raw:
        variable = raw[name]
        calendar = variable.attrs.get("calendar", "standard")
        dates = cftime.num2date(variable.values, variable.attrs["units"], calendar=calendar)
        return [int(cftime.date2num(date, EPOCH, calendar=calendar)) for date in dates]


RECTILINEAR = {
    "co2_column_packed.nc": ("time", "latitude", "longitude", True, "kg.m-2"),
    "coads_monthly.nc": ("TIME", "COADSY", "COADSX", True, "Cel"),
    "hadcm3_a1b_360_day.nc": ("time", "latitude", "longitude", False, "K"),
    "ostia_monthly.nc": ("time", "latitude", "longitude", True, "K"),
    "era5_expver_strings.nc": ("time", "lat", "lon", False, "m.s-1"),
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", RECTILINEAR)
def test_rectilinear_files_equal_xarray(
    name: str, version: int, shared_data: Path, converted: Callable[[Path, int], Path]
) -> None:
    file = sample(name, shared_data)
    t, y, x, cyclic, ucum = RECTILINEAR[name]
    cube = opened(converted(file, version)).cube
    assert cube.unsupported is None
    assert cube.grid.kind is GridKind.RECTILINEAR
    assert cube.grid.crs == CRS84
    assert [(axis.key, axis.name) for axis in cube.axes.values()] == [("t", t), ("y", y), ("x", x)]
    decode_times = xr.coders.CFDatetimeCoder(use_cftime=True)
    with xr.open_dataset(file, engine="netcdf4", decode_times=decode_times) as expected:
        assert set(cube.parameters) == {variable for variable in expected.data_vars if expected[variable].ndim == 3}
        for parameter in cube.parameters.values():
            variable = expected[parameter.name]
            assert parameter.dims == variable.dims
            assert parameter.shape == variable.shape
            assert np.dtype(parameter.dtype) == variable.dtype
            assert parameter.units == variable.attrs["units"]
            assert not {"_FillValue", "scale_factor", "coordinates", "grid_mapping"} & set(parameter.attributes)
        for axis in (cube.axes[y], cube.axes[x]):
            assert axis.values.dtype == np.float64
            np.testing.assert_array_equal(axis.values, expected[axis.name].values.astype(np.float64))
    assert cube.axes[t].values.tolist() == calendar_times(file, t)
    assert cube.axes[x].cyclic == cyclic
    assert next(iter(cube.parameters.values())).ucum == ucum


@pytest.mark.parametrize("version", [2, 3])
def test_packed_values_decode_as_xarray_does(
    version: int, shared_data: Path, converted: Callable[[Path, int], Path]
) -> None:
    file = sample("co2_column_packed.nc", shared_data)
    store = opened(converted(file, version))
    parameter = store.cube.parameters["tcco2"]
    assert (parameter.stored_dtype, parameter.dtype) == ("int16", "float64")
    assert parameter.missing == (-32767,)
    stored = store.arrays["tcco2"][...].astype(parameter.dtype)
    assert parameter.scale_factor is not None
    assert parameter.add_offset is not None
    values = np.where(stored == -32767, np.nan, stored * parameter.scale_factor + parameter.add_offset)
    with xr.open_dataset(file, engine="netcdf4") as expected:
        np.testing.assert_array_equal(values, expected["tcco2"].values)


@pytest.mark.parametrize("version", [2, 3])
def test_fill_values_are_those_that_are_stored(
    version: int, shared_data: Path, converted: Callable[[Path, int], Path]
) -> None:
    store = opened(converted(sample("coads_monthly.nc", shared_data), version))
    (missing,) = store.cube.parameters["SST"].missing
    with xr.open_dataset(sample("coads_monthly.nc", shared_data), engine="netcdf4") as expected:
        absent = np.isnan(expected["SST"].values)
    np.testing.assert_array_equal(store.arrays["SST"][...] == missing, absent)


OTHERS = {
    "orca2_votemper.nc": (GridKind.CURVILINEAR, 26_640, {"votemper"}),
    # Its grid mapping names another pole than that of its own latitudes and longitudes.
    "rotated_pole_precipitation.nc": (GridKind.CURVILINEAR, 190 * 174, {"pr"}),
    "rotated_pole.nc": (GridKind.PROJECTED, None, {"air_pressure_at_sea_level"}),
    "hybrid_height.nc": (GridKind.PROJECTED, None, {"air_potential_temperature"}),
    "osgb_tmean_1910.nc": (GridKind.PROJECTED, None, {"tmean"}),
    "toa_brightness_stereographic.nc": (GridKind.PROJECTED, None, {"data"}),
    "mesh_C4_synthetic_float.nc": (GridKind.UNSTRUCTURED, 96, {"synthetic"}),
    "cesm_point_members_noleap.nc": (GridKind.POINT, 1, {"TS"}),
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", OTHERS)
def test_other_grids_are_recognised(
    name: str, version: int, shared_data: Path, converted: Callable[[Path, int], Path]
) -> None:
    kind, cells, parameters = OTHERS[name]
    file = sample(name, shared_data)
    cube = opened(converted(file, version)).cube
    assert cube.grid.kind is kind
    assert cube.unsupported is None
    assert (None if cube.mesh is None else math.prod(cube.mesh.shape)) == cells
    assert bool(cube.remarks) is ("precipitation" in name)
    assert cube.grid.geographic is (kind is not GridKind.PROJECTED)
    assert set(cube.parameters) == parameters
    box = cube.extent
    assert -180 <= box.west <= box.east <= 180
    assert -90 <= box.south <= box.north <= 90
    with xr.open_dataset(file, engine="netcdf4", decode_cf=False) as raw:
        latitudes = [v for v in raw.variables.values() if v.attrs.get("standard_name") == "latitude" and v.ndim == 2]
    for latitude in latitudes[:1]:
        assert box.south == pytest.approx(float(latitude.values.min()))
        assert box.north == pytest.approx(float(latitude.values.max()))


def test_projected_box_without_latitudes(shared_data: Path, converted: Callable[[Path, int], Path]) -> None:
    """The North Atlantic limited area of `rotated_pole.nc`; its corners by another route than transform_bounds."""
    cube = opened(converted(sample("rotated_pole.nc", shared_data), 3)).cube
    pole_latitude = np.radians(37.5)
    x, y = np.meshgrid(np.radians(cube.axes["grid_longitude"].values), np.radians(cube.axes["grid_latitude"].values))
    sine = np.sin(pole_latitude) * np.sin(y) + np.cos(pole_latitude) * np.cos(y) * np.cos(x)
    latitudes = np.degrees(np.arcsin(sine))
    assert cube.extent.south <= latitudes.min()
    assert cube.extent.north >= latitudes.max() - 0.5
    assert cube.extent.south > latitudes.min() - 3


def test_noleap_and_members(shared_data: Path, converted: Callable[[Path, int], Path]) -> None:
    file = sample("cesm_point_members_noleap.nc", shared_data)
    cube = opened(converted(file, 3)).cube
    assert cube.axes["member_id"].kind is AxisKind.CUSTOM
    assert cube.axes["time"].calendar == "noleap"
    assert cube.axes["time"].values.tolist() == calendar_times(file, "time")
    assert cube.extent.start == "1990-01-01T00:00:00Z"


def test_bounds_and_scalars_of_a_360_day_run(shared_data: Path, converted: Callable[[Path, int], Path]) -> None:
    file = sample("hadcm3_a1b_360_day.nc", shared_data)
    cube = opened(converted(file, 3)).cube
    time = cube.axes["time"]
    assert time.calendar == "360_day"
    assert time.bounds is not None
    with xr.open_dataset(file, engine="netcdf4", decode_cf=False) as raw:
        hours = raw["time_bnds"].values
    np.testing.assert_array_equal(time.bounds, (hours * 3_600_000_000).astype(np.int64))
    assert cube.attributes["scalar_coordinates"]["height"] == {"value": 1.5, "units": "m"}
    assert cube.attributes["grid_mapping"]["semi_major_axis"] == 6371229.0
    extent = cube.extent
    assert (extent.west, extent.south, extent.east, extent.north) == (-135.9375, 14.375, -44.0625, 60.625)
    assert (extent.start, extent.end) == ("1860-06-01T00:00:00Z", "2099-06-01T00:00:00Z")


def test_forecast_profiles_out_of_order_are_not_queried(
    shared_data: Path, converted: Callable[[Path, int], Path]
) -> None:
    """Longitudes 0.5, 325.5, ... 355.5: no grid between the first two, so nothing may be interpolated there."""
    cube = opened(converted(sample("atlantic_profiles.nc", shared_data), 3)).cube
    assert cube.unsupported is not None
    assert "out of order" in cube.unsupported
    assert cube.axes["depth"].kind is AxisKind.Z
    assert cube.axes["depth"].positive == "down"


def test_synthetic_store(era5_like: Callable[..., tuple[Path, Any]]) -> None:
    path, _ = era5_like(
        "--years", "0.01", "--resolution", "10", "--levels", "1000,850,500", "--members", "3", "--shards"
    )
    cube = opened(path).cube
    t2m, t = cube.parameters["t2m"], cube.parameters["t"]
    assert t.dims == ("number", "time", "level", "latitude", "longitude")
    assert [axis.kind.value for axis in cube.axes_of(t)] == ["custom", "t", "z", "y", "x"]
    assert cube.axes["level"].values.tolist() == [1000.0, 850.0, 500.0]
    assert cube.axes["level"].units == "hPa"
    assert cube.axes["number"].standard_name == "realization"
    array = zarr.open_group(path)["t2m"]
    assert isinstance(array, zarr.Array)
    assert (t2m.chunks, t2m.shards) == (array.chunks, array.shards)
    assert cube.axes["longitude"].cyclic
    assert cube.parameters["tp"].cell_methods == "time: sum (interval: 1 hour)"
    assert (cube.extent.west, cube.extent.south, cube.extent.east, cube.extent.north) == (-180, -90, 180, 90)


def test_healpix_store(era5_like: Callable[..., tuple[Path, Any]]) -> None:
    path, _ = era5_like("--years", "0.01", "--healpix", "4")
    cube = opened(path).cube
    assert cube.grid.kind is GridKind.HEALPIX
    assert cube.unsupported is None
    assert cube.mesh is not None
    assert cube.mesh.shape == (192,)
    assert set(cube.parameters) == {"t2m", "u10", "v10", "tp", "msl"}
    assert list(cube.axes) == ["time"]
    assert cube.extent.start == "2020-01-01T00:00:00Z"


class TestRecognition:
    def test_a_field_without_time_is_served(self, tmp_path: Path) -> None:
        cube = described(tmp_path / "a", [LATITUDE, LONGITUDE, field("lat", "lon")])
        assert cube.unsupported is None
        assert list(cube.axes) == ["lat", "lon"]
        assert (cube.extent.start, cube.extent.end) == (None, None)

    def test_any_dimension_order(self, tmp_path: Path) -> None:
        cube = described(tmp_path / "a", [LATITUDE, LONGITUDE, TIME, field("lon", "time", "lat")])
        assert cube.parameters["t2m"].dims == ("lon", "time", "lat")
        assert [axis.key for axis in cube.axes_of(cube.parameters["t2m"])] == ["x", "t", "y"]

    def test_auxiliary_coordinates_of_unnamed_axes(self, tmp_path: Path) -> None:
        lat = ("nav_lat", ("j",), LATITUDE[2], {"standard_name": "latitude", "units": "degrees"})
        lon = ("nav_lon", ("i",), LONGITUDE[2], {"standard_name": "longitude", "units": "degrees"})
        cube = described(tmp_path / "a", [lat, lon, field("j", "i", j=3, i=4)])
        assert cube.unsupported is None
        assert cube.axes["j"].kind is AxisKind.Y
        np.testing.assert_array_equal(cube.axes["i"].values, LONGITUDE[2])

    def test_axes_by_name_alone(self, tmp_path: Path) -> None:
        lat, lon = (*LATITUDE[:3], {}), (*LONGITUDE[:3], {})
        cube = described(tmp_path / "a", [lat, lon, field("lat", "lon")])
        assert cube.grid.kind is GridKind.RECTILINEAR

    def test_coordinates_of_the_operator_make_a_plain_grid(self, tmp_path: Path) -> None:
        y, x = ("y", ("y",), LATITUDE[2], {}), ("x", ("x",), LONGITUDE[2], {})
        cube = described(tmp_path / "a", [y, x, field("y", "x", y=3, x=4)], crs="EPSG:4326")
        assert cube.grid.kind is GridKind.RECTILINEAR
        cube = described(tmp_path / "b", [y, x, field("y", "x", y=3, x=4)], crs="EPSG:27700")
        assert cube.grid.kind is GridKind.PROJECTED
        assert cube.grid.crs == "http://www.opengis.net/def/crs/EPSG/0/27700"

    @pytest.mark.parametrize(
        ("name", "marks"),
        [
            ("plev", {"units": "Pa"}),
            ("lev", {"units": "millibars"}),
            ("height", {"units": "m", "positive": "up"}),
            ("depth", {"units": "m"}),
            ("isobaricInhPa", {}),
            ("model_level_number", {"units": "1"}),
            ("k", {"axis": "Z"}),
            ("k", {"standard_name": "ocean_sigma_coordinate"}),
        ],
    )
    def test_vertical(self, tmp_path: Path, name: str, marks: Mapping[str, str]) -> None:
        level = (name, (name,), np.array([10, 20], "i4"), marks)
        cube = described(tmp_path / "a", [LATITUDE, LONGITUDE, level, field(name, "lat", "lon", **{name: 2})])
        assert cube.axes[name].kind is AxisKind.Z
        assert cube.axes[name].values.dtype == np.float64

    @pytest.mark.parametrize("values", [np.arange(2), np.array([0.1, 0.9]), np.array(["0001", "0005"])])
    def test_custom(self, tmp_path: Path, values: Any) -> None:
        member = ("percentile", ("percentile",), values, {})
        arrays = [LATITUDE, LONGITUDE, member, field("percentile", "lat", "lon", percentile=2)]
        cube = described(tmp_path / "a", arrays)
        axis = cube.axes["percentile"]
        assert axis.kind is AxisKind.CUSTOM
        assert axis.values.tolist() == values.tolist()
        assert cube.unsupported is None

    def test_dimension_without_a_coordinate_is_numbered(self, tmp_path: Path) -> None:
        cube = described(tmp_path / "a", [LATITUDE, LONGITUDE, field("run", "lat", "lon", run=3)])
        assert cube.axes["run"].kind is AxisKind.CUSTOM
        assert cube.axes["run"].values.tolist() == [0, 1, 2]

    def test_forecast_cube(self, tmp_path: Path) -> None:
        """As cfgrib writes it: time is the time of reference, step the forecast period, valid_time has both."""
        step = ("step", ("step",), np.array([0, 12]), {"units": "hours", "standard_name": "forecast_period"})
        valid = ("valid_time", ("time", "step"), np.array([[0, 12], [6, 18]]), {"units": TIME[3]["units"]})
        data = (*field("time", "step", "lat", "lon", step=2)[:3], {"coordinates": "valid_time"})
        cube = described(tmp_path / "a", [LATITUDE, LONGITUDE, TIME, step, valid, data])
        assert cube.axes["time"].kind is AxisKind.T
        assert cube.axes["step"].kind is AxisKind.CUSTOM
        assert cube.axes["step"].values.tolist() == [0, 12]
        assert set(cube.parameters) == {"t2m"}

    def test_valid_time_before_reference_time(self, tmp_path: Path) -> None:
        marks = {"units": "hours since 2020-01-01", "standard_name": "forecast_reference_time"}
        reference = ("init", ("init",), np.array([0, 24]), marks)
        arrays = [LATITUDE, LONGITUDE, TIME, reference, field("init", "time", "lat", "lon", init=2)]
        cube = described(tmp_path / "a", arrays)
        assert cube.axes["time"].kind is AxisKind.T
        assert cube.axes["init"].kind is AxisKind.CUSTOM
        assert cube.axes["init"].values.tolist() == ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"]

    def test_two_vertical_axes_of_different_parameters(self, tmp_path: Path) -> None:
        depth = ("depth", ("depth",), np.array([5.0, 15.0]), {"units": "m", "positive": "down"})
        level = ("plev", ("plev",), np.array([1000.0, 500.0]), {"units": "hPa"})
        fields = [
            field("depth", "lat", "lon", name="so", depth=2),
            field("plev", "lat", "lon", name="ta", plev=2),
            field("depth", "plev", "lat", "lon", name="both", depth=2, plev=2),
        ]
        cube = described(tmp_path / "a", [LATITUDE, LONGITUDE, depth, level, *fields[:2]])
        assert {cube.axes[name].kind for name in ("depth", "plev")} == {AxisKind.Z}
        cube = described(tmp_path / "b", [LATITUDE, LONGITUDE, depth, level, *fields])
        assert sorted(axis.kind.value for axis in cube.axes_of(cube.parameters["both"])) == ["custom", "x", "y", "z"]

    def test_bounds_grid_mappings_and_text_are_no_parameters(self, tmp_path: Path) -> None:
        lat = (*LATITUDE[:3], {"units": "degrees_north", "bounds": "lat_bnds"})
        bounds = ("lat_bnds", ("lat", "nv"), np.array([[55.0, 45], [45, 35], [35, 25]]), {})
        mapping = ("crs", (), np.array(0), {"grid_mapping_name": "latitude_longitude", "earth_radius": 6371229.0})
        notes = ("notes", ("lat", "lon"), np.full((3, 4), "abc"), {})
        data = (*field("lat", "lon")[:3], {"grid_mapping": "crs"})
        cube = described(tmp_path / "a", [lat, LONGITUDE, bounds, mapping, notes, data])
        assert set(cube.parameters) == {"t2m"}
        assert cube.skipped == {"notes": "its values are text, not numbers"}
        np.testing.assert_array_equal(cube.axes["lat"].cells, [[45, 55], [35, 45], [25, 35]])
        assert cube.grid.crs == CRS84
        assert (cube.extent.south, cube.extent.north) == (25, 55)

    def test_bounds_that_do_not_hold_their_values_are_not_believed(self, tmp_path: Path) -> None:
        lat = (*LATITUDE[:3], {"units": "degrees_north", "bounds": "lat_bnds"})
        bounds = ("lat_bnds", ("lat", "nv"), np.zeros((3, 2)), {})
        cube = described(tmp_path / "a", [lat, LONGITUDE, bounds, field("lat", "lon")])
        assert cube.axes["lat"].bounds is None

    def test_float32_coordinates_keep_their_exact_values(self, tmp_path: Path) -> None:
        lat = ("lat", ("lat",), np.array([0.1, 0.2, 0.3], "f4"), {"units": "degrees_north"})
        cube = described(tmp_path / "a", [lat, LONGITUDE, field("lat", "lon")])
        assert cube.axes["lat"].values.tolist() == [float(np.float32(v)) for v in (0.1, 0.2, 0.3)]

    def test_packed_coordinates(self, tmp_path: Path) -> None:
        lat = ("lat", ("lat",), np.array([500, 400, 300], "i2"), {"units": "degrees_north", "scale_factor": 0.1})
        cube = described(tmp_path / "a", [lat, LONGITUDE, field("lat", "lon")])
        np.testing.assert_allclose(cube.axes["lat"].values, [50, 40, 30])

    def test_longitudes_across_the_antimeridian_rise_throughout(self, tmp_path: Path) -> None:
        lon = ("lon", ("lon",), np.array([170.0, 175.0, -180.0, -175.0]), {"units": "degrees_east"})
        cube = described(tmp_path / "a", [LATITUDE, lon, field("lat", "lon")])
        assert cube.unsupported is None
        assert cube.axes["lon"].values.tolist() == [170.0, 175.0, 180.0, 185.0]
        assert (cube.extent.west, cube.extent.east) == (-180.0, 180.0)

    def test_dates_as_numpy_types(self, tmp_path: Path) -> None:
        stamps = np.array(["2020-01-01T00", "2020-01-01T06"], "M8[s]")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cube = described(
                tmp_path / "a", [LATITUDE, LONGITUDE, ("time", ("time",), stamps, {}), field("time", "lat", "lon")]
            )
        assert cube.axes["time"].texts() == ["2020-01-01T00:00:00Z", "2020-01-01T06:00:00Z"]

    @pytest.mark.parametrize(
        ("feature", "kind"), [("timeSeries", GridKind.POINT), (None, GridKind.UNSTRUCTURED)], ids=["stations", "cells"]
    )
    def test_lists_of_places(self, tmp_path: Path, feature: str | None, kind: GridKind) -> None:
        lat = ("lat", ("cell",), np.array([10.0, 20.0, 30.0]), {"units": "degrees_north"})
        lon = ("lon", ("cell",), np.array([350.0, 355.0, 5.0]), {"units": "degrees_east"})
        arrays = [lat, lon, TIME, field("time", "cell", cell=3)]
        cube = described(tmp_path / "a", arrays, {"featureType": feature} if feature else {})
        assert cube.grid.kind is kind
        assert cube.unsupported is None
        assert cube.mesh is not None
        assert cube.mesh.shape == (3,)
        assert cube.mesh.centres(np.arange(3))[0].tolist() == [-10.0, -5.0, 5.0]
        assert set(cube.parameters) == {"t2m"}
        assert (cube.extent.west, cube.extent.east) == (-10.0, 5.0)

    def test_geographic_axes_called_x_and_y_close_the_circle(self, tmp_path: Path) -> None:
        """As rioxarray writes them: dimensions x and y, and a grid mapping that says what they are."""
        y, x = ("y", ("y",), np.array([45.0, 0, -45]), {"axis": "Y"}), ("x", ("x",), np.arange(4) * 90.0, {"axis": "X"})
        mapping = ("spatial_ref", (), np.array(0), {"grid_mapping_name": "latitude_longitude"})
        data = (*field("y", "x", y=3, x=4)[:3], {"grid_mapping": "spatial_ref"})
        cube = described(tmp_path / "a", [y, x, mapping, data])
        assert cube.grid.kind is GridKind.RECTILINEAR
        assert cube.axes["x"].cyclic
        assert (cube.extent.west, cube.extent.east) == (-180, 180)

    def test_radians_and_other_meridians_are_not_queried(self, tmp_path: Path) -> None:
        lat = ("lat", ("lat",), np.radians(LATITUDE[2]), {"standard_name": "latitude", "units": "radian"})
        lon = ("lon", ("lon",), np.radians(LONGITUDE[2]), {"standard_name": "longitude", "units": "radian"})
        cube = described(tmp_path / "a", [lat, lon, field("lat", "lon")])
        assert cube.unsupported is not None
        assert "radians" in cube.unsupported
        box = cube.extent
        assert (box.west, box.south, box.east, box.north) == pytest.approx((5, 25, 45, 55))
        paris = {"grid_mapping_name": "latitude_longitude", "longitude_of_prime_meridian": 2.5}
        data = (*field("lat", "lon")[:3], {"grid_mapping": "crs"})
        cube = described(tmp_path / "b", [LATITUDE, LONGITUDE, ("crs", (), np.array(0), paris), data])
        assert cube.unsupported is not None
        assert "meridian" in cube.unsupported
        assert (cube.extent.west, cube.extent.east) == (7.5, 47.5)

    def test_healpix_by_the_names_of_nextgems(self, tmp_path: Path) -> None:
        mapping = (
            "crs",
            (),
            np.array(0),
            {"grid_mapping_name": "healpix", "healpix_nside": 2, "healpix_order": "nest"},
        )
        data = ("t2m", ("time", "pixels"), np.ones((2, 48), "f4"), {"grid_mapping": "crs"})
        cube = described(tmp_path / "a", [mapping, TIME, data])
        assert cube.grid.kind is GridKind.HEALPIX
        assert list(cube.axes) == ["time"]
        assert set(cube.parameters) == {"t2m"}

    def test_packing_that_is_no_number(self, tmp_path: Path) -> None:
        data = ("v", ("lat", "lon"), np.ones((3, 4), "i2"), {"scale_factor": "0.1x"})
        cube = described(tmp_path / "a", [LATITUDE, LONGITUDE, field("lat", "lon"), data])
        assert cube.skipped == {"v": "the scale_factor of v is no number"}

    def test_title_and_description(self, tmp_path: Path) -> None:
        arrays = [LATITUDE, LONGITUDE, field("lat", "lon")]
        assert described(tmp_path / "a", arrays).title == "test"
        assert described(tmp_path / "a", arrays, {"title": "Store", "summary": "Text"}).description == "Text"
        assert described(tmp_path / "a", arrays, {"title": "Store"}, title="Operator").title == "Operator"


class TestRefused:
    def test_not_cf(self, tmp_path: Path) -> None:
        sentence = refusal(tmp_path / "a.zarr", [("v", ("dim0", "dim1"), np.ones((2, 2)), {})])
        assert sentence.startswith("a.zarr has no recognisable latitude and longitude")
        sentence = refusal(tmp_path / "a.zarr", [LATITUDE, ("v", ("lat", "dim1"), np.ones((3, 2)), {})])
        assert sentence.startswith("a.zarr has no recognisable longitude")

    def test_two_latitudes(self, tmp_path: Path) -> None:
        other = ("lat_v", ("lat_v",), np.array([45.0, 35.0]), {"units": "degrees_north"})
        arrays = [LATITUDE, other, LONGITUDE, field("lat", "lon"), field("lat_v", "lon", name="v", lat_v=2)]
        assert refusal(tmp_path / "a.zarr", arrays) == (
            "a.zarr has more than one latitude axis (lat and lat_v): serve one grid a dataset"
        )

    @pytest.mark.parametrize(
        ("units", "calendar", "words"),
        [
            ("fortnights since 2020-01-01", "standard", "'fortnights since 2020-01-01' cannot be read"),
            ("hours since yesterday", "standard", "'hours since yesterday' cannot be read"),
            ("hours since 2020-01-01", "mayan", "'mayan' is not a CF calendar"),
            ("day as %Y%m%d.%f", "standard", "not of the form"),
            (None, None, "not of the form"),
        ],
    )
    def test_time_that_cannot_be_decoded(
        self, tmp_path: Path, units: str | None, calendar: str | None, words: str
    ) -> None:
        marks = {"standard_name": "time", "units": units, "calendar": calendar}
        time = (*TIME[:3], {name: value for name, value in marks.items() if value is not None})
        sentence = refusal(tmp_path / "a", [LATITUDE, LONGITUDE, time, field("time", "lat", "lon")])
        assert sentence.startswith("the time coordinate time cannot be decoded")
        assert words in sentence

    def test_missing_time(self, tmp_path: Path) -> None:
        time = ("time", ("time",), np.array([0.0, np.nan]), TIME[3])
        assert "missing values" in refusal(tmp_path / "a", [LATITUDE, LONGITUDE, time, field("time", "lat", "lon")])

    def test_missing_coordinate(self, tmp_path: Path) -> None:
        lat = ("lat", ("lat",), np.array([50.0, np.nan, 30.0]), LATITUDE[3])
        sentence = refusal(tmp_path / "a", [lat, LONGITUDE, field("lat", "lon")])
        assert sentence == "the coordinate lat has missing values"

    def test_latitude_beyond_the_pole(self, tmp_path: Path) -> None:
        lat = ("lat", ("lat",), np.array([0.0, 60.0, 120.0]), LATITUDE[3])
        sentence = refusal(tmp_path / "a", [lat, LONGITUDE, field("lat", "lon")])
        assert sentence == "the latitude coordinate lat reaches 120 degrees, beyond the poles"

    def test_longitudes_that_count_west(self, tmp_path: Path) -> None:
        lon = (*LONGITUDE[:3], {"units": "degrees_west"})
        assert "no recognisable longitude" in refusal(tmp_path / "a", [LATITUDE, lon, field("lat", "lon")])

    def test_coordinate_too_large_for_memory(self, tmp_path: Path) -> None:
        described(tmp_path / "a", [LATITUDE, LONGITUDE, TIME, field("time", "lat", "lon")])
        group = zarr.open_group(tmp_path / "a")
        for name, shape in (("time", (1 << 40,)), ("t2m", (1 << 40, 3, 4))):
            group[name].resize(shape)  # type: ignore[union-attr]
        with pytest.raises(DatasetError, match="too many to keep in memory"):
            opened(tmp_path / "a")

    def test_no_field(self, tmp_path: Path) -> None:
        assert "has no data variable" in refusal(tmp_path / "a", [LATITUDE, LONGITUDE])

    def test_coordinate_of_another_length(self, tmp_path: Path) -> None:
        sentence = refusal(tmp_path / "a", [LATITUDE, LONGITUDE, field("lat", "lon", lat=2)])
        assert sentence == "the coordinate lat has 3 values for a dimension of length 2"

    @pytest.mark.parametrize("times", [[0, 12, 6], [0, 6, 6]])
    def test_disordered_time_is_not_queried(self, tmp_path: Path, times: list[int]) -> None:
        time = ("time", ("time",), np.array(times), TIME[3])
        cube = described(tmp_path / "a", [LATITUDE, LONGITUDE, time, field("time", "lat", "lon", time=3)])
        assert cube.unsupported == "the values of the time axis time neither rise nor fall throughout"


class TestSnapshot:
    def digest(self, path: Path, longitude: Any = LONGITUDE, **attributes: Any) -> str:
        arrays = [LATITUDE, longitude, TIME, field("time", "lat", "lon")]
        return described(path, arrays, attributes).snapshot

    def test_is_the_same_for_the_same_store(self, tmp_path: Path) -> None:
        first = self.digest(tmp_path / "a")
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        definition = DatasetDefinition(id="test", href=str(tmp_path / "b"))
        assert describe(open_source(definition), definition).snapshot == first
        assert 16 <= len(first) <= 20
        int(first, 16)

    def test_changes_with_metadata_and_with_coordinates(self, tmp_path: Path) -> None:
        moved = (*LONGITUDE[:2], LONGITUDE[2] + 0.5, LONGITUDE[3])
        digests = [
            self.digest(tmp_path / "a"),
            self.digest(tmp_path / "a", title="other"),
            self.digest(tmp_path / "a", longitude=moved),
        ]
        assert len(set(digests)) == 3


class TestIntegrity:
    @pytest.mark.parametrize(
        ("options", "verified"),
        [
            ({}, False),
            ({"compressors": zarr.codecs.ZstdCodec(checksum=True)}, True),
            ({"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]}, True),
            ({"compressors": zarr.codecs.GzipCodec()}, True),
            ({"compressors": zarr.codecs.BloscCodec(cname="lz4")}, False),
            ({"compressors": None}, False),
            ({"shards": (4, 4), "compressors": zarr.codecs.ZstdCodec()}, False),
            ({"shards": (4, 4), "compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]}, True),
        ],
    )
    def test_version_3(self, tmp_path: Path, options: dict[str, Any], verified: bool) -> None:
        self.check(tmp_path, 3, options, verified)

    @pytest.mark.parametrize(
        ("compressor", "filters", "verified"),
        [
            ("Blosc", [], False),
            ("GZip", [], True),
            ("Zlib", [], True),
            ("Zstd", [], False),
            ("Blosc", ["Fletcher32"], True),
            (None, ["CRC32"], True),
            (None, ["Adler32"], True),
        ],
    )
    def test_version_2(self, tmp_path: Path, compressor: str | None, filters: list[str], verified: bool) -> None:
        import numcodecs

        made = [getattr(numcodecs, name)() for name in filters]
        options = {"compressors": getattr(numcodecs, compressor)() if compressor else None, "filters": made or None}
        self.check(tmp_path, 2, options, verified)

    def check(self, path: Path, version: int, options: dict[str, Any], verified: bool) -> None:
        """Describe, and then find out by flipping a bit: a verified store never returns other values silently."""
        group = zarr.create_group(path / "a", zarr_format=version)
        rng = np.random.default_rng(1)
        values = rng.normal(size=(4, 4)).astype("f4")
        for name, dims, data, marks in (LATITUDE, LONGITUDE, ("v", ("lat", "lon"), values[:3], {})):
            names = {"dimension_names": dims} if version == 3 else {}
            marked = dict(marks) | ({} if version == 3 else {"_ARRAY_DIMENSIONS": list(dims)})
            more = {"chunks": (2, 2)} | options if name == "v" else {}
            array = group.create_array(name, shape=data.shape, dtype=data.dtype, attributes=marked, **names, **more)
            array[...] = data
        store = opened(path / "a")
        assert store.cube.integrity is (Integrity.VERIFIED if verified else Integrity.UNVERIFIED)
        if not verified:
            return
        chunk = next(
            file for file in sorted((path / "a" / "v").rglob("*")) if file.is_file() and file.name[0] in "0123456789"
        )
        data = bytearray(chunk.read_bytes())
        for position in range(0, len(data) * 8, 7):
            data[position // 8] ^= 1 << position % 8
            chunk.write_bytes(data)
            try:
                np.testing.assert_array_equal(store.arrays["v"][...], values[:3])
            except AssertionError:
                pytest.fail(f"bit {position} was flipped unnoticed")
            except Exception:  # noqa: BLE001 - any refusal will do
                pass
            data[position // 8] ^= 1 << position % 8


def longitude_axis(values: Any) -> Axis:
    return Axis(AxisKind.X, "lon", np.asarray(values, np.float64), units="degrees_east")


class TestCircle:
    @settings(max_examples=100, deadline=None)
    @given(
        count=st.integers(2, 720),
        first=st.floats(-180, 360),
        descending=st.booleans(),
        single=st.booleans(),
        cut=st.integers(0, 3),
    )
    def test_regular_axes(self, count: int, first: float, descending: bool, single: bool, cut: int) -> None:
        """An axis of n steps of 360/n is cyclic; without its last columns it is not."""
        if cut >= count - 1:
            cut = 0
        values = first + np.arange(count - cut) * (360 / count) * (-1 if descending else 1)
        values = values.astype("f4").astype("f8") if single else values
        if (np.abs(np.diff(values)) > 180).any():
            return
        assert closes_circle(longitude_axis(values)) == (cut == 0)

    def test_both_ends_of_the_circle_are_not_cyclic(self) -> None:
        """0 and 360 are one place twice: wrapping would give it twice."""
        assert not closes_circle(longitude_axis(np.arange(0, 361, 10)))

    def test_zonal_mean(self) -> None:
        axis = Axis(AxisKind.X, "lon", np.array([180.0]), bounds=np.array([[0.0, 360.0]]))
        assert closes_circle(axis)

    @settings(max_examples=200, deadline=None)
    @given(west=st.floats(-360, 720), width=st.floats(0, 400))
    def test_boxes(self, west: float, width: float) -> None:
        """Every place of the box lies in the turned box, which stays on the map and is no wider than it must be."""
        left, _, right, _ = turned(west, 0, west + width, 1)
        assert -180 <= left <= right <= 180
        places = west + np.linspace(0, width, 50)
        on_map = (places + 180) % 360 - 180
        slack = 1e-6
        inside = (on_map >= left - slack) & (on_map <= right + slack)
        assert (inside | (np.abs(np.abs(on_map) - 180) < slack)).all()
        if (left, right) != (-180, 180):
            assert right - left == pytest.approx(width, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    stored=hnp.arrays("i2", (3, 4), elements=st.integers(-300, 300)),
    scale=st.sampled_from([None, 0.5, 1.5, 2]),
    offset=st.sampled_from([None, 10.0, -3]),
    fill=st.sampled_from([None, 0, -7]),
    dtype=st.sampled_from(["i1", "u1", "i2", "i4", "i8", "f4", "f8"]),
)
def test_decoded_dtype_is_that_of_xarray(
    tmp_path_factory: pytest.TempPathFactory,
    stored: Any,
    scale: float | None,
    offset: float | None,
    fill: int | None,
    dtype: str,
) -> None:
    path = tmp_path_factory.mktemp("packed") / "a"
    marks = {"scale_factor": scale, "add_offset": offset, "missing_value": fill}
    if dtype == "u1":
        marks["missing_value"] = None if fill is None else abs(fill)
    attributes = {name: value for name, value in marks.items() if value is not None}
    arrays = [LATITUDE, LONGITUDE, ("v", ("lat", "lon"), stored.astype(dtype), attributes)]
    parameter = described(path, arrays).parameters["v"]
    with xr.open_dataset(path, engine="zarr", consolidated=False, chunks=None) as expected:
        wanted = expected["v"].dtype
    if wanted.kind != "f" and (scale is not None or offset is not None):
        wanted = np.dtype("f8")  # see `decoded_dtype`
    assert np.dtype(parameter.dtype) == wanted


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["degrees_north", "hours since 2020-01-01", "lat", "time: lat", "AAAA", "healpix", "Z", "up", "true"]
    ),
    st.lists(st.integers(-5, 5), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
)
ATTRIBUTES = """
    standard_name long_name units calendar axis positive bounds coordinates grid_mapping grid_mapping_name missing_value
    _FillValue scale_factor add_offset cell_methods climatology formula_terms cf_role crs_wkt grid_name healpix_nside
    longitude_of_prime_meridian _Unsigned earth_radius
"""
MARKS = st.dictionaries(st.sampled_from(ATTRIBUTES.split()), VALUES, max_size=4)


@settings(max_examples=60, deadline=None)
@given(marks=st.lists(MARKS, min_size=5, max_size=5), dtype=st.sampled_from(["f4", "i2", "u1"]))
def test_any_metadata_is_described_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, marks: list[dict[str, Any]], dtype: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "a"
    mapping = ("crs", (), np.array(0), {})
    plain = [LATITUDE, LONGITUDE, TIME, mapping, (*field("time", "lat", "lon")[:2], np.ones((2, 3, 4), dtype), {})]
    arrays = [
        (name, dims, data, {**known, **more}) for (name, dims, data, known), more in zip(plain, marks, strict=True)
    ]
    try:
        cube = described(path, arrays)
    except DatasetError as error:
        sentence = error.detail
        cube = None
    if cube is None:
        assert "\n" not in sentence
        return
    for parameter in cube.parameters.values():
        np.dtype(parameter.dtype)
        assert all(dim in cube.axes for dim in parameter.dims) or cube.unsupported
    assert -180 <= cube.extent.west <= cube.extent.east <= 180
