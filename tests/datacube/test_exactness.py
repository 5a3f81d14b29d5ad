"""Do random queries on stores whose every value can be recomputed give exactly those values, where the axes say?"""

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import shapely
import xarray as xr
import zarr
from pyproj import Geod

from plugins.datacube.axes import AxisKind
from plugins.datacube.cancel import Cancel
from plugins.datacube.chunks import ChunkCache
from plugins.datacube.coverage import Coverage
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import NoDataError
from plugins.datacube.library import OpenDatacube, open_datacube
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import plan_query
from plugins.datacube.read import read

STORES = {
    "time-series": ("--years", "0.04", "--resolution", "2.5", "--chunks", "time-series"),
    "map": ("--years", "0.04", "--resolution", "2.5", "--chunks", "map", "--shards"),
    "balanced": ("--years", "0.04", "--resolution", "2.5", "--chunks", "balanced", "--shards"),
    "levels": (
        "--years",
        "0.01",
        "--resolution",
        "10",
        "--chunks",
        "map",
        "--levels",
        "1000,850,500",
        "--members",
        "3",
    ),
}
HOURS = {"time-series": 360, "map": 360, "balanced": 360, "levels": 48}
START = np.datetime64("2020-01-01T00", "h")


def opened_store(path: Path) -> OpenDatacube:
    return open_datacube(DatasetDefinition("era5", str(path)))


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, era5_like: Callable[..., tuple[Path, ModuleType]]):
    path, module = era5_like(*STORES[request.param], "--variables", "t2m,tp")
    return request.param, opened_store(path), module


def check(coverage: Coverage, module: ModuleType, inside: Callable[[float, float], bool] | None = None) -> int:
    """Compare every value with the oracle, at the coordinates that the axes declare; return how many there were."""
    axes = {axis.key: axis for axis in coverage.axes}
    order = [axis.kind for axis in coverage.axes]
    assert order == sorted(order, key=[AxisKind.CUSTOM, AxisKind.T, AxisKind.Z, AxisKind.Y, AxisKind.X].index)
    mesh = dict(zip(axes, np.meshgrid(*(axis.values for axis in axes.values()), indexing="ij"), strict=True))
    for name, values in coverage.ranges.items():
        assert values.shape == coverage.shape
        assert values.dtype == np.float32
        expected = module.expected(
            name,
            mesh["t"].astype("datetime64[us]"),
            mesh["y"],
            mesh["x"],
            level=mesh.get("z"),
            member=mesh.get("number", 0),
        )
        if inside is None:
            assert (values == expected).all()
        else:
            mask = np.array([[inside(x, y) for x in axes["x"].values] for y in axes["y"].values])
            assert (values[..., mask] == expected[..., mask]).all()
            assert np.isnan(values[..., ~mask]).all()
    return sum(values.size for values in coverage.ranges.values())


def answer(opened: OpenDatacube, kind: str, cache: ChunkCache | None = None, **raw: str) -> tuple[Coverage, ...]:
    plan = plan_query(opened.cube, parse_query(kind, {k.replace("_", "-"): v for k, v in raw.items()}, opened.cube))
    return read(opened, plan, Cancel(), cache=cache)


def random_time(rng: np.random.Generator, hours: int) -> str:
    first, last = sorted(int(h) for h in rng.integers(0, hours, 2))
    last = min(last, first + 30)
    start, end = (str(START + np.timedelta64(hour, "h")) for hour in (first, last))
    return str(rng.choice([f"{start}:00Z", f"{start}:00Z/{end}:00Z", start[:10]]))


def selectors(rng: np.random.Generator, store: str) -> dict[str, str]:
    raw = {"datetime": random_time(rng, HOURS[store])}
    if store == "levels":
        raw["z"] = str(rng.choice(["850", "500/900", "1000,500", "../..", "800"]))
        raw["number"] = str(rng.choice(["0", "1,2", "0/2", "2"]))
        raw["parameter_name"] = str(rng.choice(["t", "t2m", "u,z", "t,t2m"]))
    else:
        raw["parameter_name"] = str(rng.choice(["t2m", "tp", "t2m,tp", ""]))
    return raw


# With the cache, and past it: both ways of reading must give the same.
@pytest.mark.parametrize("capacity", [2**28, 0])
def test_positions(store, capacity: int) -> None:
    name, opened, module = store
    rng = np.random.default_rng(1)
    step = 360 / opened.cube.axis(AxisKind.X).size
    cache = ChunkCache(capacity)
    for _ in range(10):
        lon, lat = float(rng.uniform(-360, 360)), float(rng.uniform(-90, 90))
        coverages = answer(opened, "position", cache, coords=f"POINT({lon!r} {lat!r})", **selectors(rng, name))
        for coverage in coverages:
            axes = {axis.key: axis.values for axis in coverage.axes}
            assert abs(axes["x"][0] - lon) <= step / 2
            assert abs(axes["y"][0] - lat) <= step / 2
            assert check(coverage, module) > 0


@pytest.mark.parametrize("capacity", [2**28, 0])
def test_cubes(store, capacity: int) -> None:
    name, opened, module = store
    rng = np.random.default_rng(2)
    step = 360 / opened.cube.axis(AxisKind.X).size
    stored = opened.cube.axis(AxisKind.X).values
    latitudes = opened.cube.axis(AxisKind.Y).values
    cache = ChunkCache(capacity)
    for _ in range(10):
        west, south = float(rng.uniform(-180, 180)), float(rng.uniform(-90, 80))
        width, height = float(rng.uniform(step, 359)), float(rng.uniform(step, 90 - south))
        east = west + width if west + width <= 180 else west + width - 360
        bbox = f"{west!r},{south!r},{east!r},{south + height!r}"
        for coverage in answer(opened, "cube", cache, bbox=bbox, **selectors(rng, name)):
            check(coverage, module)
            axes = {axis.key: axis.values for axis in coverage.axes}
            inside = (stored - west) % 360 <= width
            assert sorted(axes["x"] % 360) == sorted(stored[inside] % 360)
            assert (np.diff(axes["x"]) == step).all()
            assert axes["x"].min() >= west
            assert list(axes["y"]) == [lat for lat in latitudes if south <= lat <= south + height]


@pytest.mark.parametrize("capacity", [2**28, 0])
def test_areas(store, capacity: int) -> None:
    name, opened, module = store
    rng = np.random.default_rng(3)
    cache = ChunkCache(capacity)
    for _ in range(5):
        corners = rng.uniform([-180, -80], [180, 80], (7, 2))
        polygon = shapely.convex_hull(shapely.MultiPoint(corners))
        coords = shapely.to_wkt(polygon, rounding_precision=-1)
        for coverage in answer(opened, "area", cache, coords=coords, **selectors(rng, name)):
            check(coverage, module, lambda x, y, p=polygon: shapely.intersects_xy(p, x, y))


SPHERE = Geod(a=6_371_008.8, b=6_371_008.8)


@pytest.mark.parametrize("capacity", [2**28, 0])
def test_radii(store, capacity: int) -> None:
    name, opened, module = store
    rng = np.random.default_rng(6)
    cache = ChunkCache(capacity)
    for _ in range(5):
        lon, lat, metres = (float(v) for v in rng.uniform([-180, -90, 1.2e6], [360, 90, 6e6]))
        raw = {"coords": f"POINT({lon!r} {lat!r})", "within": repr(metres), "within_units": "m", **selectors(rng, name)}
        for coverage in answer(opened, "radius", cache, **raw):
            check(coverage, module, lambda x, y, o=(lon, lat), d=metres: SPHERE.inv(*o, x, y)[2] <= d)


def check_path(coverage: Coverage, module: ModuleType) -> dict[str, np.ndarray]:
    """Compare every value along a path with the oracle, at the places that the composite axis declares."""
    *custom, composite = coverage.axes
    places = {part.kind.value: part.values for part in composite.components}
    members = custom[0].values[:, None] if custom else 0
    for parameter, values in coverage.ranges.items():
        assert values.shape == coverage.shape
        expected = module.expected(
            parameter, places["t"].astype("datetime64[us]"), places["y"], places["x"],
            level=places.get("z"), member=members,
        )  # fmt: skip
        assert (values == expected).all()
    return places


@pytest.mark.parametrize("capacity", [2**28, 0])
def test_trajectories(store, capacity: int) -> None:
    name, opened, module = store
    rng = np.random.default_rng(7)
    cache = ChunkCache(capacity)
    step = 360 / opened.cube.axis(AxisKind.X).size
    for _ in range(6):
        vertices = rng.uniform([-200, -80], [300, 80], (int(rng.integers(2, 6)), 2))
        coords = "LINESTRING(" + ",".join(f"{x!r} {y!r}" for x, y in vertices.tolist()) + ")"
        coverages = answer(opened, "trajectory", cache, coords=coords, **selectors(rng, name))
        line = shapely.LineString(vertices)
        for coverage in coverages:
            places = check_path(coverage, module)
            distances = shapely.distance(line, shapely.points(places["x"], places["y"]))
            assert (distances <= step / 2 * 2**0.5 + 1e-6).all()
            assert np.unique(places["t"]).size == np.unique(places.get("z", [0])).size == 1


@pytest.mark.parametrize("capacity", [2**28, 0])
def test_trajectories_with_their_own_times_and_heights(store, capacity: int) -> None:
    name, opened, module = store
    rng = np.random.default_rng(8)
    cache = ChunkCache(capacity)
    start = START.astype("datetime64[s]").astype(int)
    for _ in range(6):
        count = int(rng.integers(2, 6))
        xy = rng.uniform([-200, -80], [300, 80], (count, 2))
        seconds = start + rng.integers(0, HOURS[name] * 3600, count)
        heights = rng.uniform(500, 1000, count)
        with_z = name == "levels"
        rows = [[*p, *([z] if with_z else []), m] for p, z, m in zip(xy.tolist(), heights, seconds, strict=True)]
        mark = "ZM" if with_z else "M"
        coords = f"LINESTRING {mark} (" + ",".join(" ".join(map(str, row)) for row in rows) + ")"
        (coverage,) = answer(opened, "trajectory", cache, coords=coords, parameter_name="t" if with_z else "t2m")
        places = check_path(coverage, module)
        # The first and the last sample are those of the first and the last vertex.
        hours = opened.cube.axis(AxisKind.T).values
        for at in (0, -1):
            nearest = np.abs(hours - seconds[at] * 1_000_000).argmin()
            assert places["t"][at] == hours[nearest]
            assert abs(places["x"][at] - xy[at, 0]) <= 5
            assert not with_z or places["z"][at] == min((1000.0, 850.0, 500.0), key=lambda z: abs(z - heights[at]))


def test_a_long_path_is_one_read_a_chunk(store) -> None:
    _, opened, _ = store
    line = ",".join(f"{i * 1.7 - 170} {60 * math.sin(i / 9)!r} {1577836800 + i * 600}" for i in range(200))
    query = parse_query("trajectory", {"coords": f"LINESTRING M ({line})", "parameter-name": "t2m"}, opened.cube)
    cost = plan_query(opened.cube, query).cost
    parameter = opened.cube.parameters["t2m"]
    tracks = plan_query(opened.cube, query).selection.groups[0].horizontal
    sizes = dict(zip(parameter.dims, parameter.chunks, strict=True))
    touched = set(zip(*((one.indices // sizes[one.dim]).tolist() for one in tracks.indexers), strict=True))
    members = -(-parameter.shape[parameter.dims.index("number")] // sizes["number"]) if "number" in sizes else 1
    assert cost.chunks == len(touched) * members
    assert cost.values < 2 * 800


def test_points_of_one_request(store) -> None:
    _, opened, module = store
    rng = np.random.default_rng(4)
    points = rng.uniform([-180, -90], [180, 90], (20, 2))
    coords = "MULTIPOINT(" + ",".join(f"({x!r} {y!r})" for x, y in points.tolist()) + ")"
    coverages = answer(opened, "position", coords=coords, parameter_name="t2m", datetime="2020-01-02")
    assert len(coverages) == 20
    for coverage, (x, y) in zip(coverages, points, strict=True):
        axes = {axis.key: axis.values for axis in coverage.axes}
        assert abs(axes["x"][0] - x) <= 5
        assert abs(axes["y"][0] - y) <= 5
        assert coverage.shape[-3:] == (24, 1, 1)
        check(coverage, module)


def test_the_whole_globe_across_chunks_of_time(store) -> None:
    name, opened, module = store
    # 13 and 15 January are where chunks of the larger stores meet.
    start = "2020-01-01" if name == "levels" else "2020-01-13"
    (coverage,) = answer(opened, "cube", bbox="-180,-90,180,90", parameter_name="t2m", datetime=f"{start}/..")
    assert coverage.shape[-2:] == opened.cube.parameters["t2m"].shape[-2:]
    check(coverage, module)


def test_the_chunks_of_these_stores_are_several(store) -> None:
    """So that the tests above cross the borders of chunks and shards."""
    name, opened, _ = store
    parameter = opened.cube.parameters["t2m"]
    assert any(chunk < size for chunk, size in zip(parameter.chunks, parameter.shape, strict=True))
    assert (parameter.shards is not None) == (name in ("map", "balanced"))


def test_nothing_outside_the_times_of_the_store(store) -> None:
    _, opened, _ = store
    with pytest.raises(NoDataError, match="2020-01-01T00:00:00Z to 2020-01-"):
        answer(opened, "position", coords="POINT(0 0)", datetime="2019-12-31T00:00Z")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("file", "variable"),
    [("co2_column_packed.nc", "tcco2"), ("hadcm3_a1b_360_day.nc", "air_temperature"), ("coads_monthly.nc", "SST")],
)
def test_real_files_equal_xarray_to_the_last_bit(
    shared_data: Path, tmp_path: Path, file: str, variable: str, zarr_format: int
) -> None:
    with xr.open_dataset(shared_data / file, engine="netcdf4", decode_cf=False) as raw:
        for name in raw.variables:
            raw[name].encoding.clear()
        fields = raw.drop_vars([name for name in raw.variables if raw[name].dtype.kind in "SU"])
        if "missing_value" in fields[variable].attrs:
            fields[variable].attrs.setdefault("_FillValue", fields[variable].attrs["missing_value"])
        with zarr.config.set({"array.write_empty_chunks": True}):
            fields.to_zarr(tmp_path / "s.zarr", zarr_format=zarr_format, consolidated=False)
    opened = opened_store(tmp_path / "s.zarr")
    with xr.open_dataset(tmp_path / "s.zarr", engine="zarr", consolidated=False, decode_times=False) as dataset:
        everything = dataset[variable]
        parameter = opened.cube.parameters[variable]
        x, y = opened.cube.axis(AxisKind.X), opened.cube.axis(AxisKind.Y)
        rng = np.random.default_rng(5)
        for _ in range(10):
            i, j = int(rng.integers(y.size)), int(rng.integers(x.size))
            coords = f"POINT({x.values[j] - 360:.9f} {y.values[i]:.9f})"
            (coverage,) = answer(opened, "position", coords=coords, parameter_name=variable)
            expected = everything.isel({y.name: i, x.name: j}).values
            values = coverage.ranges[variable]
            assert values.dtype == expected.dtype == np.dtype(parameter.dtype)
            assert np.array_equal(values.ravel(), expected.ravel(), equal_nan=True)
        (coverage,) = answer(opened, "cube", bbox="-180,-90,180,90", parameter_name=variable)
        assert np.isnan(coverage.ranges[variable]).sum() == np.isnan(everything.values).sum()
