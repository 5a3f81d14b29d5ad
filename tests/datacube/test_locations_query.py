"""Are named places answered with the values of their cells, each under its own name, whatever they are together?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.datacube.cancel import Cancel
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.definition import DatasetDefinition, LayoutDefinition
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.datacube.layouts import cheapest
from plugins.datacube.library import OpenDatacube, open_datacube
from plugins.datacube.located import locate, plan_located
from plugins.datacube.location import Location
from plugins.datacube.locations import chosen, locations_of
from plugins.datacube.read import read

LATS, LONS, LEVELS, HOURS = np.arange(60, -61, -10.0), np.arange(0, 360, 10.0), [1000.0, 500.0], np.arange(6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``t`` on (time, level, lat, lon) and ``s`` on (time, lat, lon), every value another one."""
    path = tmp_path_factory.mktemp("located") / "store.zarr"
    write(path, (1, 2, 13, 36))
    return path


def write(path: Path, chunks: tuple[int, ...]) -> None:
    group = zarr.create_group(path)

    def add(name: str, dims: tuple[str, ...], data: Any, chunks: Any = "auto", **attributes: Any) -> None:
        array = group.create_array(name, data=np.asarray(data), dimension_names=dims, chunks=chunks)
        array.update_attributes(attributes)

    add("time", ("time",), HOURS, units="hours since 2020-01-01", standard_name="time")
    add("lev", ("lev",), LEVELS, units="hPa", standard_name="air_pressure", positive="down")
    add("lat", ("lat",), LATS, units="degrees_north")
    add("lon", ("lon",), LONS, units="degrees_east")
    shape = (len(HOURS), len(LEVELS), len(LATS), len(LONS))
    values = np.arange(np.prod(shape), dtype="f8").reshape(shape)
    add("t", ("time", "lev", "lat", "lon"), values, chunks, units="K")
    add("s", ("time", "lat", "lon"), -values[:, 0], (chunks[0], *chunks[2:]), units="m")


@pytest.fixture(scope="module")
def opened(store: Path) -> OpenDatacube:
    return open_datacube(DatasetDefinition("x", str(store)))


@pytest.fixture(scope="module")
def truth(store: Path) -> xr.Dataset:
    with xr.open_dataset(store, engine="zarr", consolidated=False) as dataset:
        return dataset.load()


def ask(opened: OpenDatacube, locations: list[Location], **raw: str) -> tuple[Coverage, ...]:
    todo = plan_located(opened.cube, locate(locations, {k.replace("_", "-"): v for k, v in raw.items()}, opened.cube))
    return todo.named(read(opened, todo, Cancel()))


def box(west: float, south: float, east: float, north: float) -> Location:
    return Location(f"box {west}", "A box", shapely.box(west, south, east, north))


def place(x: float, y: float, name: str = "") -> Location:
    return Location(name or f"{x} {y}", name, shapely.Point(x, y))


def named(found: tuple[Coverage, ...]) -> list[str]:
    return [coverage.place.id for coverage in found if coverage.place is not None]


def of_point(truth: xr.Dataset, name: str, x: float, y: float) -> Any:
    column = round((x % 360) / 10) % 36
    row = int(np.abs(LATS - y).argmin())
    return truth[name].values[..., row, column]


def test_a_point_is_answered_like_a_position_query(opened: OpenDatacube, truth: xr.Dataset) -> None:
    found = ask(opened, [place(-21.0, 33.0, "Somewhere")], parameter_name="t,s")
    assert [sorted(c.parameters) for c in found] == [["t"], ["s"]]
    assert named(found) == ["Somewhere"] * 2
    np.testing.assert_array_equal(found[0].ranges["t"][..., 0, 0], of_point(truth, "t", -21, 33))
    np.testing.assert_array_equal(found[1].ranges["s"][..., 0, 0], of_point(truth, "s", -21, 33))


def test_an_area_is_answered_like_an_area_query(opened: OpenDatacube, truth: xr.Dataset) -> None:
    (found,) = ask(opened, [box(5, -25, 35, 25)], parameter_name="s", datetime="2020-01-01T02:00:00Z")
    assert found.domain_type is DomainType.GRID
    inside = truth["s"].sel(lon=slice(5, 35), lat=slice(25, -25)).isel(time=2)
    np.testing.assert_array_equal(found.ranges["s"][0], inside.values)
    assert found.place is not None
    assert (found.place.id, found.place.name) == ("box 5", "A box")


def test_places_and_areas_are_answered_together_in_their_order(opened: OpenDatacube, truth: xr.Dataset) -> None:
    many = Location("many", "Many", shapely.MultiPoint([(50, 0), (60, 10)]))
    asked = [box(-5, -5, 5, 5), place(100, 20), place(0, 89), many, box(95, 15, 125, 25), place(-100, 0)]
    found = ask(opened, asked, parameter_name="t,s", datetime="2020-01-01T05:00:00Z", z="500")
    pairs = [(name, next(iter(c.parameters))) for name, c in zip(named(found), found, strict=True)]
    each = ["box -5", "100 20", "many", "many", "box 95", "-100 0"]
    wanted = [(name, p) for name in each for p in ("t", "s")]
    # Of several points each has all its parameters before the next one has.
    assert pairs == wanted
    values = [float(c.ranges[p].ravel()[0]) for c, (_, p) in zip(found, pairs, strict=True)]
    where = [(0, 0), (100, 20), (50, 0), (60, 10), (100, 20), (-100, 0)]
    expected = []
    for x, y in where:
        expected += [of_point(truth, "t", x, y)[5, 1], of_point(truth, "s", x, y)[5]]
    assert values == expected


coordinates = st.tuples(st.integers(-180, 180), st.integers(-90, 90))
middles = st.tuples(st.integers(-180, 180), st.integers(-89, 89))


@settings(max_examples=40, deadline=None)
@given(places=st.lists(coordinates, min_size=1, max_size=8), areas=st.lists(middles, max_size=3), seed=st.randoms())
def test_any_mixture_has_the_values_of_each(
    opened: OpenDatacube, truth: xr.Dataset, places: Any, areas: Any, seed: Any
) -> None:
    asked = [Location(f"p{n}", "", shapely.Point(x, y)) for n, (x, y) in enumerate(places)]
    asked += [Location(f"a{n}", "", shapely.box(x - 1, y - 1, x + 1, y + 1)) for n, (x, y) in enumerate(areas)]
    seed.shuffle(asked)
    inside = [one for one in asked if -65 < one.geometry.centroid.y < 65]
    # Halfway between two cells either may be taken.
    if any(round(v) % 10 == 5 for one in asked for v in (one.geometry.centroid.x, one.geometry.centroid.y)):
        return
    if not inside:
        with pytest.raises(NoDataError):
            ask(opened, asked)
        return
    found = ask(opened, asked, parameter_name="s")
    assert named(found) == [one.id for one in inside]
    for one, coverage in zip(inside, found, strict=True):
        x, y = one.geometry.centroid.x, one.geometry.centroid.y
        np.testing.assert_array_equal(coverage.ranges["s"][:, 0, 0], of_point(truth, "s", x, y))


def test_another_reference_system_moves_the_place_not_the_value(opened: OpenDatacube, truth: xr.Dataset) -> None:
    (there,) = ask(opened, [place(20.0, 30.0)], parameter_name="s", crs="EPSG:3857")
    np.testing.assert_array_equal(there.ranges["s"][..., 0, 0], of_point(truth, "s", 20, 30))
    assert there.reference[0].endswith("EPSG/0/3857")
    x = 20.0 / 180 * np.pi * 6378137
    np.testing.assert_allclose(there.axes[-1].values, [x])


def test_a_layout_answers_for_named_places_too(tmp_path: Path, store: Path, truth: xr.Dataset) -> None:
    write(tmp_path / "series.zarr", (6, 1, 1, 1))
    layouts = (LayoutDefinition("series", str(tmp_path / "series.zarr")),)
    opened = open_datacube(DatasetDefinition("x", str(store), layouts=layouts))
    native = plan_located(opened.cube, locate([place(20, 30), place(99, 1)], {"parameter-name": "s"}, opened.cube))
    view, todo = cheapest(opened, native)
    assert view.layout == "series"
    assert todo.cost.chunks < native.cost.chunks
    first, second = todo.named(read(view, todo, Cancel()))
    np.testing.assert_array_equal(first.ranges["s"][..., 0, 0], of_point(truth, "s", 20, 30))
    np.testing.assert_array_equal(second.ranges["s"][..., 0, 0], of_point(truth, "s", 99, 1))


@pytest.mark.parametrize(
    ("raw", "parameter"),
    [
        ({"coords": "POINT(0 0)"}, "coords"),
        ({"bbox": "0,0,1,1"}, "bbox"),
        ({"parameter-name": "nope"}, "parameter-name"),
        ({"crs": "EPSG:1"}, "crs"),
        ({"something": "1"}, "something"),
        ({"datetime": "yesterday"}, "datetime"),
    ],
)
def test_a_wrong_parameter_is_named(opened: OpenDatacube, raw: dict[str, str], parameter: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        locate([place(0, 0)], raw, opened.cube)
    assert caught.value.parameter == parameter


def test_too_many_points_are_refused(opened: OpenDatacube) -> None:
    crowd = [Location(str(n), "", shapely.MultiPoint([(x, n) for x in range(300)])) for n in range(4)]
    with pytest.raises(InvalidQueryError, match="1,200 points"):
        locate(crowd, {}, opened.cube)


def test_stations_are_asked_by_their_own_names(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "stations.zarr", attributes={"featureType": "timeSeries"})
    values = np.arange(12.0).reshape(3, 4)
    for name, dims, data, attributes in (
        ("station_name", ("station",), np.array(["alpha", "beta", "gamma"]), {"cf_role": "timeseries_id"}),
        ("lat", ("station",), [50.0, 51.0, 52.0], {"units": "degrees_north"}),
        ("lon", ("station",), [1.0, 2.0, 3.0], {"units": "degrees_east"}),
        ("time", ("time",), np.arange(4), {"units": "hours since 2020-01-01", "standard_name": "time"}),
        ("t", ("station", "time"), values, {"units": "K", "coordinates": "lat lon station_name"}),
    ):
        group.create_array(name, data=np.asarray(data), dimension_names=dims).update_attributes(attributes)
    opened = open_datacube(DatasetDefinition("x", str(tmp_path / "stations.zarr")))
    assert [one.id for one in locations_of(opened)] == ["alpha", "beta", "gamma"]
    found = ask(opened, list(chosen(opened, "gamma,alpha")))
    assert named(found) == ["gamma", "alpha"]
    np.testing.assert_array_equal([coverage.ranges["t"].ravel() for coverage in found], values[[2, 0]])
