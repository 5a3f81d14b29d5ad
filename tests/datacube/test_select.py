"""Do queries select the cells that the rules promise, and no others?"""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from plugins.datacube import lookup
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS, parse_moment
from plugins.datacube.datacube import CRS84, Datacube, Extent, Grid, GridKind, Integrity, Parameter
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, NoDataError, TooLargeError, UnsupportedDatasetError
from plugins.datacube.intervals import parse_times
from plugins.datacube.parse import parse_query
from plugins.datacube.select import select
from plugins.datacube.selection import Points, Rectangle, Selection, Tracks

HOUR = MICROSECONDS["hour"]


def lon(values: object, **more: object) -> Axis:
    return Axis(AxisKind.X, "lon", np.array(values, float), units="degrees_east", **more)


def lat(values: object) -> Axis:
    return Axis(AxisKind.Y, "lat", np.array(values, float), units="degrees_north")


def make_cube(x: Axis, y: Axis, *others: Axis, kind: GridKind = GridKind.RECTILINEAR, **more: object) -> Datacube:
    axes = {axis.name: axis for axis in (*others, y, x)}
    shape = tuple(axis.size for axis in axes.values())
    parameters = {"v": Parameter("v", tuple(axes), shape, "float32", shape)}
    grid = Grid(kind, CRS84, "", geographic=True)
    definition = DatasetDefinition("d", "d")
    extent = Extent(-180, -90, 180, 90)
    return Datacube(definition, "d", "", parameters, axes, grid, extent, "s", Integrity.UNVERIFIED, **more)


GLOBE = make_cube(lon(np.arange(360), cyclic=True), lat(np.arange(90, -91, -1)))
TIMES = Axis(AxisKind.T, "time", np.arange(5) * 6 * HOUR)
LEVELS = Axis(AxisKind.Z, "level", np.array([1000.0, 850, 500]), units="hPa")
FULL = make_cube(
    lon(np.arange(0, 360, 30), cyclic=True),
    lat(np.arange(-90, 91, 30)),
    Axis(AxisKind.CUSTOM, "number", np.arange(3)),
    TIMES,
    LEVELS,
)


def ask(cube: Datacube, kind: str, **raw: str) -> Selection:
    return select(cube, parse_query(kind, {key.replace("_", "-"): value for key, value in raw.items()}, cube))


def columns(selection: Selection) -> tuple[list[int], list[float]]:
    horizontal = selection.groups[0].horizontal
    if isinstance(horizontal, Points):
        return horizontal.cells[1].indices.tolist(), horizontal.x.values.tolist()
    return horizontal.x.indices.tolist(), horizontal.x.axis.values.tolist()


def rows(selection: Selection) -> list[float]:
    y = selection.groups[0].horizontal.y
    return (y if isinstance(y, Axis) else y.axis).values.tolist()


# -- points


@given(st.floats(-540, 540), st.floats(-90, 90), st.sampled_from([0, -180, -10]), st.booleans())
def test_a_point_lies_in_the_cell_that_answers(x: float, y: float, first: int, descending: bool) -> None:
    stored = np.arange(first, first + 360, 2.5)
    cube = make_cube(lon(stored[::-1] if descending else stored, cyclic=True), lat(np.arange(-90, 91, 2.5)))
    selection = ask(cube, "position", coords=f"POINT({x!r} {y!r})")
    (index,), (value,) = columns(selection)
    assert abs(value - x) <= 1.25 + 1e-9  # in the convention of the request
    assert (value - cube.axes["lon"].values[index]) % 360 == 0
    assert abs(rows(selection)[0] - y) <= 1.25


@pytest.mark.parametrize(
    ("x", "y"), [(100, 40), (-1.3, 40), (13.1, 40), (0, 51.3), (0, 33.7), (-361.3, 40), (180, 40), (5, -90)]
)
def test_a_point_outside_has_no_data(x: float, y: float) -> None:
    cube = make_cube(lon([0, 2.5, 5, 7.5, 10, 12]), lat([50, 47.5, 45, 42.5, 40, 37.5, 35]))
    with pytest.raises(NoDataError, match="outside"):
        ask(cube, "position", coords=f"POINT({x} {y})")


def test_cells_end_half_a_step_beyond_the_last_centre() -> None:
    cube = make_cube(lon([0, 2, 4]), lat([0, 2, 4]))
    assert columns(ask(cube, "position", coords="POINT(-1 5)")) == ([0], [0.0])
    assert columns(ask(cube, "position", coords="POINT(359.5 5)")) == ([0], [360.0])
    assert rows(ask(cube, "position", coords="POINT(0 5)")) == [4.0]


def test_stored_bounds_are_the_cells() -> None:
    cells = np.array([[0, 1], [1, 9], [9, 10]], float)
    cube = make_cube(lon([0.5, 2, 9.5], bounds=cells), lat([0, 1]))
    assert columns(ask(cube, "position", coords="POINT(8.9 0)")) == ([1], [2.0])
    with pytest.raises(NoDataError):
        ask(cube, "position", coords="POINT(10.1 0)")


def test_a_tie_goes_to_the_first_in_stored_order() -> None:
    assert columns(ask(GLOBE, "position", coords="POINT(10.5 0)"))[0] == [10]
    assert columns(ask(GLOBE, "position", coords="POINT(-0.5 0)"))[0] == [0]


def test_a_single_value_has_no_width() -> None:
    cube = make_cube(lon([7.5]), lat([50.0]))
    assert columns(ask(cube, "position", coords="POINT(-352.5 50)")) == ([0], [-352.5])
    with pytest.raises(NoDataError):
        ask(cube, "position", coords="POINT(7.51 50)")


def test_points_outside_are_dropped_and_the_others_keep_their_number() -> None:
    cube = make_cube(lon([0, 1, 2]), lat([0, 1, 2]))
    points = ask(cube, "position", coords="MULTIPOINT((50 0),(1 1),(0 50),(2 0))").groups[0].horizontal
    assert isinstance(points, Points)
    assert points.order == (1, 3)
    assert points.cells[1].indices.tolist() == [1, 2]
    assert points.cells[0].indices.tolist() == [1, 0]
    with pytest.raises(NoDataError, match="all points"):
        ask(cube, "position", coords="MULTIPOINT((50 0),(0 50))")


# -- boxes


@pytest.mark.parametrize(
    ("bbox", "expected"),
    [
        ("170,-10,-170,10", np.arange(170.0, 191)),
        ("-10,-10,10,10", np.arange(-10.0, 11)),
        ("350,-10,10,10", np.arange(350.0, 371)),
        ("-180,-90,180,90", np.arange(-180.0, 180)),
        ("0,-90,360,90", np.arange(0.0, 360)),
        ("-540,0,540,0", np.arange(-540.0, -180)),
        ("20,0,20,0", np.array([20.0])),
        ("-0.25,0,0.25,0", np.array([0.0])),
    ],
)
@pytest.mark.parametrize("first", [0, -180, -90])
@pytest.mark.parametrize("descending", [False, True])
def test_boxes_in_every_convention(bbox: str, expected: np.ndarray, first: int, descending: bool) -> None:
    stored = np.arange(first, first + 360)
    stored = stored[::-1] if descending else stored
    cube = make_cube(lon(stored, cyclic=True), lat(np.arange(90, -91, -1)))
    indices, values = columns(ask(cube, "cube", bbox=bbox))
    assert values == (expected[::-1] if descending else expected).tolist()
    assert (stored[indices] % 360 == np.array(values) % 360).all()


def test_rows_keep_the_stored_order() -> None:
    assert rows(ask(GLOBE, "cube", bbox="0,-2,1,1")) == [1, 0, -1, -2]


def test_a_regional_grid_has_an_end() -> None:
    cube = make_cube(lon(np.arange(225, 316, 1.875)), lat(np.arange(15, 61, 1.25)))
    values = columns(ask(cube, "cube", bbox="-180,-90,180,90"))[1]
    assert values == (np.arange(225, 316, 1.875) - 360).tolist()
    with pytest.raises(NoDataError):
        ask(cube, "cube", bbox="0,20,100,40")
    with pytest.raises(NoDataError):
        ask(cube, "cube", bbox="-100,70,-90,80")


def test_a_box_between_centres_selects_the_cells_it_overlaps() -> None:
    cube = make_cube(lon(np.arange(0, 360, 10), cyclic=True), lat(np.arange(-90, 91, 10)))
    assert columns(ask(cube, "cube", bbox="-8,1,-2,2"))[1] == [-10.0, 0.0]
    assert columns(ask(cube, "cube", bbox="-4,1,-2,2"))[1] == [0.0]
    assert rows(ask(cube, "cube", bbox="-4,2,-2,3")) == [0.0]
    assert rows(ask(cube, "cube", bbox="-4,4,-2,6")) == [0.0, 10.0]
    assert rows(ask(cube, "cube", bbox="3,3,3,3")) == [0.0]


def test_a_column_stored_twice_is_answered_once() -> None:
    cube = make_cube(lon(np.arange(0, 361, 10)), lat([0, 1]))
    assert columns(ask(cube, "cube", bbox="-180,0,180,1"))[1] == list(range(-180, 180, 10))


def test_decimals_that_were_stored_as_float32() -> None:
    x = np.arange(0, 360, 0.1).astype(np.float32).astype(float)
    cube = make_cube(lon(x, cyclic=True), lat(np.arange(90, -90.05, -0.1).astype(np.float32).astype(float)))
    selection = ask(cube, "cube", bbox="0.1,-0.3,0.7,0.2")
    assert columns(selection)[0] == list(range(1, 8))
    assert [round(v, 4) for v in rows(selection)] == [0.2, 0.1, 0.0, -0.1, -0.2, -0.3]
    square = ask(cube, "area", coords="POLYGON((0.1 -0.3,0.7 -0.3,0.7 0.2,0.1 0.2,0.1 -0.3))").groups[0].horizontal
    assert isinstance(square, Rectangle)
    assert square.mask is not None
    assert square.mask.shape == (6, 7)
    assert square.mask.all()
    assert columns(ask(cube, "cube", bbox="-0.3,0,0.2,1"))[0] == [3597, 3598, 3599, 0, 1, 2]


# -- polygons


def area(cube: Datacube, geometry: shapely.Geometry) -> Rectangle:
    horizontal = ask(cube, "area", coords=shapely.to_wkt(geometry, rounding_precision=-1)).groups[0].horizontal
    assert isinstance(horizontal, Rectangle)
    return horizontal


POLYGONS = {
    "Greenwich": shapely.Polygon([(-8.5, 3), (7, -2.2), (4, 9), (-3, 11)]),
    "antimeridian": shapely.Polygon([(170, -5), (195.5, -3), (181, 12)]),
    "west of it": shapely.Polygon([(-190, -5), (-164.5, -3), (-179, 12)]),
    "hole": shapely.box(-20, -20, 20, 20) - shapely.box(-3.5, -3.5, 10, 3),
    "on the centres": shapely.box(-3, -2, 4, 5),
    "the globe": shapely.box(-180, -90, 180, 90),
    "two halves": shapely.MultiPolygon([shapely.box(171, -3, 180, 3), shapely.box(-180, -3, -174, 3)]),
}


@pytest.mark.parametrize("polygon", POLYGONS.values(), ids=POLYGONS)
@pytest.mark.parametrize("first", [0, -180])
def test_polygons_cover_the_centres_that_they_contain(polygon: shapely.Geometry, first: int) -> None:
    cube = make_cube(lon(np.arange(first, first + 360), cyclic=True), lat(np.arange(90, -91, -1)))
    rectangle = area(cube, polygon)
    assert rectangle.mask is not None
    y, x = np.nonzero(rectangle.mask)
    found = set(zip(rectangle.x.axis.values[x] % 360, rectangle.y.axis.values[y], strict=True))
    shapely.prepare(polygon)
    i, j = (part.ravel() for part in np.meshgrid(np.arange(-360.0, 361), np.arange(-90.0, 91)))
    contained = shapely.covers(polygon, shapely.points(i, j))
    expected = set(zip(i[contained] % 360, j[contained], strict=True))
    assert found == expected
    values = rectangle.x.axis.values
    assert (np.diff(values) == 1).all()
    assert rectangle.mask.any(axis=0)[[0, -1]].all()
    assert rectangle.mask.any(axis=1)[[0, -1]].all()


def test_two_halves_at_the_antimeridian_make_one_short_rectangle() -> None:
    assert area(GLOBE, POLYGONS["two halves"]).x.axis.values.tolist() == list(range(171, 187))


def test_a_polygon_without_a_centre_selects_the_cell_it_lies_in() -> None:
    rectangle = area(GLOBE, shapely.box(-10.4, 20.1, -10.1, 20.3))
    assert rectangle.x.axis.values.tolist() == [-10.0]
    assert rectangle.y.axis.values.tolist() == [20.0]
    assert rectangle.mask is not None
    assert rectangle.mask.tolist() == [[True]]
    sliver = shapely.Polygon([(0.4, 0), (10.4, 10), (10.45, 10), (0.45, 0)])
    assert area(GLOBE, sliver).mask is not None


def test_a_polygon_outside_has_no_data() -> None:
    cube = make_cube(lon([0, 1, 2]), lat([0, 1, 2]))
    with pytest.raises(NoDataError):
        area(cube, shapely.box(50, 0, 60, 10))


def test_a_rectangle_of_too_many_cells_is_not_masked() -> None:
    cube = make_cube(lon(np.arange(0, 360, 0.01), cyclic=True), lat(np.linspace(-90, 90, 18001)))
    with pytest.raises(TooLargeError) as caught:
        area(cube, shapely.box(-180, -90, 180, 90))
    assert caught.value.estimate["values"] > caught.value.limits["values"]


# -- circles

SPHERE = Geod(a=6_371_008.8, b=6_371_008.8)


def radius(cube: Datacube, coords: str, within: float, units: str = "km") -> Rectangle:
    selection = ask(cube, "radius", coords=coords, within=repr(within), within_units=units)
    horizontal = selection.groups[0].horizontal
    assert isinstance(horizontal, Rectangle)
    return horizontal


def near(cube: Datacube, points: list[tuple[float, float]], metres: float) -> set[tuple[float, float]]:
    """The centres within a distance, by a geodesic library, for every cell of the grid."""
    lon, lat = (part.ravel() for part in np.meshgrid(cube.axes["lon"].values, cube.axes["lat"].values))
    inside = np.zeros(lon.size, bool)
    for x, y in points:
        inside |= SPHERE.inv(np.full(lon.size, x), np.full(lon.size, y), lon, lat)[2] <= metres
    return set(zip(lon[inside] % 360, lat[inside], strict=True))


def centres(rectangle: Rectangle) -> set[tuple[float, float]]:
    assert rectangle.mask is not None
    y, x = np.nonzero(rectangle.mask)
    return set(zip(rectangle.x.axis.values[x] % 360, rectangle.y.axis.values[y], strict=True))


@pytest.mark.parametrize(
    ("points", "metres"),
    [
        ([(3.3, 48.2)], 700e3),
        ([(179.2, -17.4)], 900e3),
        ([(-179.2, 17.4)], 900e3),
        ([(0.0, 90.0)], 1000e3),
        ([(77.7, -88.5)], 600e3),
        ([(-200.3, 60.1)], 1500e3),
        ([(10.1, 20.2)], 9.9e6),
        ([(10.1, 20.2)], 15e6),
        ([(170.2, 3.0), (-170.3, -3.0)], 500e3),
        ([(0.4, 0.0), (90.3, 0.0), (-90.1, 5.0)], 300e3),
        ([(33.1, 12.0)], 20_015_114.0),
    ],
)
@pytest.mark.parametrize("first", [0, -180])
@pytest.mark.parametrize("falling", [False, True])
def test_circles(points: list[tuple[float, float]], metres: float, first: int, falling: bool) -> None:
    stored = np.arange(first, first + 360, 2.5)
    cube = make_cube(lon(stored[::-1] if falling else stored, cyclic=True), lat(np.arange(90, -91, -2.5)))
    text = ",".join(f"({x} {y})" for x, y in points)
    rectangle = radius(cube, f"MULTIPOINT({text})", metres, "m")
    assert centres(rectangle) == near(cube, points, metres)
    values = rectangle.x.axis.values
    assert (np.diff(values) == (-2.5 if falling else 2.5)).all()
    assert rectangle.mask is not None
    assert rectangle.mask.any(axis=0)[[0, -1]].all()
    assert rectangle.mask.any(axis=1)[[0, -1]].all()
    if len(points) == 1 and values.size < stored.size:
        assert values.min() <= points[0][0] + 1.25
        assert values.max() >= points[0][0] - 1.25


def test_circles_on_a_regional_grid() -> None:
    cube = make_cube(lon(np.arange(225, 316, 1.875)), lat(np.arange(15, 61, 1.25)))
    points = [(-134.0, 20.0), (-50.0, 58.0)]
    found = radius(cube, "MULTIPOINT((-134 20),(-50 58))", 2000e3, "m")
    assert centres(found) == near(cube, points, 2000e3)
    assert found.x.axis.values.min() == -135
    with pytest.raises(NoDataError, match="outside"):
        radius(cube, "POINT(10 20)", 500)


def test_two_circles_at_the_antimeridian_make_one_short_rectangle() -> None:
    values = radius(GLOBE, "MULTIPOINT((170 0),(-170 0))", 250).x.axis.values
    assert values.tolist() == list(range(168, 193))
    values = radius(GLOBE, "MULTIPOINT((-170 0),(170 0))", 250).x.axis.values
    assert values.tolist() == list(range(-192, -167))


def test_a_circle_without_a_centre_selects_the_cell_of_its_middle() -> None:
    rectangle = radius(GLOBE, "POINT(-10.4 20.3)", 1, "ft")
    assert centres(rectangle) == {(350.0, 20.0)}
    assert rectangle.x.axis.values.tolist() == [-10.0]
    both = radius(GLOBE, "MULTIPOINT((179.4 20.3),(-178.6 22.4),(179.4 20.4))", 100, "m")
    assert centres(both) == {(179.0, 20.0), (181.0, 22.0)}
    assert both.x.axis.values.tolist() == [179.0, 180.0, 181.0]
    outside = make_cube(lon([0, 1, 2]), lat([0, 1, 2]))
    assert centres(radius(outside, "MULTIPOINT((1.2 1.2),(100 50))", 1)) == {(1.0, 1.0)}


def test_a_circle_around_too_many_cells_is_not_masked() -> None:
    cube = make_cube(lon(np.arange(0, 360, 0.01), cyclic=True), lat(np.linspace(-90, 90, 18001)))
    with pytest.raises(TooLargeError) as caught:
        radius(cube, "POINT(0 0)", 15_000)
    assert caught.value.estimate["values"] > caught.value.limits["values"]


# -- paths


def test_a_path_has_columns_in_the_convention_of_the_request() -> None:
    tracks = ask(GLOBE, "trajectory", coords="LINESTRING(178.6 0,182.2 0)").groups[0].horizontal
    assert isinstance(tracks, Tracks)
    assert tracks.x.values.tolist() == [179.0, 180.0, 181.0, 182.0]
    assert tracks.order == (0, 0, 0, 0)
    assert tracks.others == ()


def test_lines_outside_are_dropped_and_the_others_keep_their_number() -> None:
    cube = make_cube(lon([0, 1, 2]), lat([0, 1, 2]))
    tracks = ask(cube, "trajectory", coords="MULTILINESTRING((50 0,60 0),(0 1,2 1))").groups[0].horizontal
    assert isinstance(tracks, Tracks)
    assert tracks.order == (1, 1, 1)
    with pytest.raises(NoDataError, match="the path lies outside"):
        ask(cube, "trajectory", coords="LINESTRING(50 0,60 0)")


def test_times_and_heights_of_vertices_take_the_place_of_the_axes() -> None:
    (group,) = ask(FULL, "trajectory", coords="LINESTRING ZM (0 0 900 0, 0 0 850 43200)").groups
    assert [indexer.dim for indexer in group.leading] == ["number"]
    tracks = group.horizontal
    assert isinstance(tracks, Tracks)
    assert [indexer.dim for indexer in tracks.indexers] == ["time", "level", "lat", "lon"]
    assert tracks.others[0].indices.tolist() == [0, 1, 2]
    assert tracks.others[1].indices.tolist() == [1, 1, 1]
    with pytest.raises(NoDataError, match="1970-01-02T00:00:00Z in t"):
        ask(FULL, "trajectory", coords="LINESTRING M (0 0 1e9,1 1 1e9)")


@pytest.mark.parametrize(
    ("coords", "name"), [("LINESTRING Z (0 0 850,1 1 850)", "coords"), ("LINESTRING M (0 0 0,1 1 1)", "coords")]
)
def test_heights_and_times_that_the_dataset_lacks(coords: str, name: str) -> None:
    with pytest.raises(InvalidQueryError, match="has no") as caught:
        ask(GLOBE, "trajectory", coords=coords)
    assert caught.value.parameter == name


def test_seconds_since_1970_mean_nothing_in_other_calendars() -> None:
    cube = make_cube(lon([0, 1]), lat([0, 1]), Axis(AxisKind.T, "time", np.arange(5) * HOUR, calendar="360_day"))
    with pytest.raises(InvalidQueryError, match="360_day"):
        ask(cube, "trajectory", coords="LINESTRING M (0 0 0,1 1 1)")


def test_too_many_trajectories() -> None:
    cube = make_cube(lon([0, 1]), lat([0, 1]), Axis(AxisKind.T, "time", np.arange(501) * HOUR))
    assert ask(cube, "trajectory", coords="LINESTRING(0 0,1 1)")
    with pytest.raises(TooLargeError) as caught:
        ask(cube, "trajectory", coords="MULTILINESTRING((0 0,1 1),(0 1,1 0))")
    assert caught.value.estimate == {"coverages": 1002}


# -- corridors

EAST = {"coords": "LINESTRING(0 0,60 0)"}


def corridor(cube: Datacube, **raw: str) -> Selection:
    return ask(cube, "corridor", **{"corridor_width": "100", "width_units": "km", **raw})


@pytest.mark.parametrize("first", [0, -180])
def test_a_corridor_across_the_antimeridian(first: int) -> None:
    cube = make_cube(lon(np.arange(first, first + 360), cyclic=True), lat(np.arange(90, -91, -1)))
    rectangle = corridor(cube, coords="LINESTRING(170 0,190 0)", corridor_width="300").groups[0].horizontal
    assert isinstance(rectangle, Rectangle)
    assert rectangle.x.axis.values.tolist() == list(range(169, 192))
    assert rectangle.y.axis.values.tolist() == [1, 0, -1]
    assert rectangle.mask is not None
    assert rectangle.mask.all(axis=0).tolist() == [False, *[True] * 21, False]
    assert rectangle.mask[1].all()


def test_a_corridor_over_the_pole() -> None:
    rectangle = corridor(GLOBE, coords="LINESTRING(10 88,10 90)", corridor_width="500").groups[0].horizontal
    assert isinstance(rectangle, Rectangle)
    found = centres(rectangle)
    # 250 km are 2.25 degrees: all of the parallels 90, 89 and 88 lie that near to the pole, and a part of 86.
    assert {x for x, y in found if y == 88} == set(range(360))
    assert {x for x, y in found if y == 86} == {float(x) for x in range(360) if near_the_line(x)}


def near_the_line(x: int) -> bool:
    along = np.linspace(88, 90, 201)
    ten, cell = np.full(201, 10.0), np.full(201, float(x))
    return bool((SPHERE.inv(ten, along, cell, np.full(201, 86.0))[2] <= 250e3).any())


def test_a_corridor_without_a_centre_selects_the_cells_that_the_path_meets() -> None:
    rectangle = corridor(
        GLOBE, coords="LINESTRING(0.2 0.3,3.3 1.3)", corridor_width="2.0", width_units="m"
    ).groups[0].horizontal  # fmt: skip
    assert isinstance(rectangle, Rectangle)
    assert centres(rectangle) == {(0, 0), (1, 0), (1, 1), (2, 1), (3, 1)}


@pytest.mark.parametrize(
    ("raw", "levels", "times"),
    [
        (EAST, [1000, 850, 500], 5),
        ({**EAST, "z": "850"}, [850], 5),
        ({**EAST, "z": "850", "datetime": "1970-01-01T06:00:00Z"}, [850], 1),
        ({**EAST, "corridor_height": "10", "height_units": "hPa"}, [1000, 850, 500], 5),
        ({**EAST, "z": "850", "corridor_height": "400", "height_units": "hPa"}, [1000, 850], 5),
        ({**EAST, "z": "850", "corridor_height": "40000", "height_units": "Pa"}, [1000, 850], 5),
        ({**EAST, "z": "900", "corridor_height": "1", "height_units": "hPa"}, [850], 5),
        ({**EAST, "z": "500,850", "corridor_height": "1", "height_units": "hPa"}, [850, 500], 5),
        ({**EAST, "z": "../850", "corridor_height": "400", "height_units": "mb"}, [1000, 850, 500], 5),
        ({"coords": "LINESTRING Z (0 0 900,60 0 700)"}, [850], 5),
        ({"coords": "LINESTRING Z (0 0 900,60 0 600)"}, [850, 500], 5),
        ({"coords": "LINESTRING M (0 0 0,60 0 20000)"}, [1000, 850, 500], 2),
        ({"coords": "LINESTRING ZM (0 0 850 1e4,60 0 850 1.05e4)"}, [850], 1),
    ],
)  # fmt: skip
def test_the_heights_and_times_of_a_corridor(raw: dict[str, str], levels: list[float], times: int) -> None:
    _, t, z = corridor(FULL, **raw).groups[0].leading
    assert z.axis.values.tolist() == levels
    assert t.axis.size == times


def test_heights_and_times_of_a_corridor_that_are_not_there() -> None:
    for coords in ("LINESTRING Z (0 0 10,60 0 20)", "LINESTRING M (0 0 1e9,60 0 1e9)"):
        with pytest.raises(NoDataError):
            corridor(FULL, coords=coords)
    with pytest.raises(InvalidQueryError, match="no vertical axis"):
        corridor(GLOBE, coords="LINESTRING Z (0 0 10,60 0 20)")
    assert corridor(GLOBE, coords="LINESTRING(0 0,60 0)", corridor_height="5", height_units="km")


# -- times, levels, members


def steps(axis: Axis, text: str) -> list[int]:
    return lookup.moments(axis, parse_times("datetime", text)).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T06:00:00Z", [1]),
        ("1970-01-01T08:00:00+02:00", [1]),
        ("1970-01-01T08:59:00Z", [1]),
        ("1970-01-01T09:01:00Z", [2]),
        ("1970-01-01T03:00:00Z", [0]),
        ("1969-12-31T21:00:00Z", [0]),
        ("1969-12-31T20:59:59Z", []),
        ("1970-01-02T03:00:00Z", [4]),
        ("1970-01-02T03:00:01Z", []),
        ("1970-01-01", [0, 1, 2, 3]),
        ("1970-01-02", [4]),
        ("1970", [0, 1, 2, 3, 4]),
        ("1970-01-01T07", [1]),
        ("1971", []),
        ("1970-01-01T06:00:00Z/1970-01-01T12:00:00Z", [1, 2]),
        ("1970-01-01T06:00:01Z/1970-01-01T11:59:59Z", []),
        ("1970-01-01/1970-01-01", [0, 1, 2, 3]),
        ("../1970-01-01T06:00:00Z", [0, 1]),
        ("1970-01-01T18:00:00Z/..", [3, 4]),
        ("../..", [0, 1, 2, 3, 4]),
        ("1970-01-01T18:00:00Z,1970-01-01T00:00:00Z", [0, 3]),
        ("1970-01-01T18:00:00Z,1980", []),
        ("1970-01-02,1970-01-01T18:00:00Z", [3, 4]),
        ("R3/1970-01-01T00:00:00Z/PT6H", [0, 1, 2]),
        ("R3/1970-01-01/PT12H", [0, 2, 4]),
        ("r2/1970-01-01T06:00:00Z/P1D", []),
        ("R1/1970-01-01T06:00:00Z/P1Y", [1]),
        ("R2/1970-01-01T01:00:00+01:00/PT719M60S", [0, 2]),
        ("R4/1970-01-01T07:00:00Z/PT1H", [1, 2]),
    ],
)
def test_times(text: str, expected: list[int]) -> None:
    assert steps(TIMES, text) == expected


def test_time_bounds_decide_to_which_month_an_instant_belongs() -> None:
    edges = np.array([parse_moment(f"2001-{m:02d}").first("360_day") for m in range(1, 13)] + [
        parse_moment("2002").first("360_day")
    ])  # fmt: skip
    bounds = np.stack([edges[:-1], edges[1:]], axis=1)
    axis = Axis(AxisKind.T, "time", bounds.mean(axis=1).astype(np.int64), calendar="360_day", bounds=bounds)
    assert steps(axis, "2001-02-30") == [1]
    assert steps(axis, "2001-12-30T23:59:59Z") == [11]
    assert steps(axis, "2002-01-01T00:00:01Z") == []
    assert steps(axis, "2001-03") == [2]
    with pytest.raises(InvalidQueryError, match="360_day"):
        steps(axis, "2001-01-31")


@pytest.mark.parametrize("calendar", ["standard", "360_day", "noleap"])
def test_periods_are_of_the_calendar(calendar: str) -> None:
    days = Axis(
        AxisKind.T, "time", parse_moment("2000-01-01").first(calendar) + np.arange(800) * 24 * HOUR, calendar=calendar
    )
    found = [days.texts()[step] for step in steps(days, "R14/2000-01-30/P1M")] if calendar == "360_day" else None
    assert found is None or found[1] == "2000-02-30T00:00:00Z"
    for text, expected in (
        ("R13/2000-01-05T00:00:00Z/P1M", [f"{2000 + n // 12}-{n % 12 + 1:02d}-05" for n in range(13)]),
        ("R3/2000-02-15T00:00:00Z/P1Y", ["2000-02-15", "2001-02-15", "2002-02-15"]),
        ("R2/2000-03-01T00:00:00Z/P1M2D", ["2000-03-01", "2000-04-03"]),
        ("R2/2000-03-01T00:00:00Z/P1W", ["2000-03-01", "2000-03-08"]),
    ):
        assert [days.texts()[step][:10] for step in steps(days, text)] == expected
    if calendar != "360_day":
        with pytest.raises(InvalidQueryError, match="not a date"):
            steps(days, "R2/2000-01-30T00:00:00Z/P1M")


def test_an_interval_the_wrong_way_round() -> None:
    with pytest.raises(InvalidQueryError) as caught:
        ask(FULL, "position", coords="POINT(0 0)", datetime="1971/1970")
    assert caught.value.parameter == "datetime"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("850", [850]),
        ("930", [1000]),
        ("920", [850]),
        ("1075", [1000]),
        ("500/900", [850, 500]),
        ("900/500", [850, 500]),
        ("../850", [850, 500]),
        ("900/..", [1000]),
        ("500,1000", [1000, 500]),
        ("R3/500/25", [500]),
        ("../..", [1000, 850, 500]),
    ],
)
def test_levels(text: str, expected: list[float]) -> None:
    _, _, z = ask(FULL, "position", coords="POINT(0 0)", z=text).groups[0].leading
    assert z.axis.values.tolist() == expected


@pytest.mark.parametrize("text", ["1076", "0", "600/700", "850,10", "../100"])
def test_levels_that_are_not_there(text: str) -> None:
    with pytest.raises(NoDataError, match="500 to 1000 hPa"):
        ask(FULL, "position", coords="POINT(0 0)", z=text)


def test_axes_that_the_dataset_lacks() -> None:
    for raw, name in (({"z": "850"}, "z"), ({"datetime": "2020"}, "datetime")):
        with pytest.raises(InvalidQueryError) as caught:
            ask(GLOBE, "position", coords="POINT(0 0)", **raw)
        assert caught.value.parameter == name


@pytest.mark.parametrize(("text", "expected"), [("2", [2]), ("0,2", [0, 2]), ("1/..", [1, 2]), ("R2/0/2", [0, 2])])
def test_members(text: str, expected: list[int]) -> None:
    number = ask(FULL, "position", coords="POINT(0 0)", number=text).groups[0].leading[0]
    assert number.indices.tolist() == expected


@pytest.mark.parametrize("text", ["3", "0,3", "0.5", "7/9"])
def test_members_that_are_not_there(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        ask(FULL, "position", coords="POINT(0 0)", number=text)
    assert caught.value.parameter == "number"
    assert caught.value.valid == "0, 1, 2"


def test_many_members_are_not_all_listed() -> None:
    cube = make_cube(lon([0, 1]), lat([0, 1]), Axis(AxisKind.CUSTOM, "number", np.arange(50)))
    with pytest.raises(InvalidQueryError) as caught:
        ask(cube, "position", coords="POINT(0 0)", number="50")
    assert caught.value.valid == ", ".join(map(str, range(20))) + ", ... 49 (50 values)"


def test_members_with_names() -> None:
    names = Axis(AxisKind.CUSTOM, "expver", np.array(["0001", "0005"]))
    cube = make_cube(lon([0, 1]), lat([0, 1]), names)
    assert ask(cube, "position", coords="POINT(0 0)", expver="0005").groups[0].leading[0].indices.tolist() == [1]
    with pytest.raises(InvalidQueryError) as caught:
        ask(cube, "position", coords="POINT(0 0)", expver="1")
    assert caught.value.valid == "0001, 0005"


# -- groups and refusals


def test_parameters_with_different_axes_make_groups_in_the_declared_order() -> None:
    shape = tuple(axis.size for axis in FULL.axes.values())
    backwards = tuple(reversed(tuple(FULL.axes)))
    parameters = {
        "t": Parameter("t", tuple(FULL.axes), shape, "float32", shape),
        "surface": Parameter("surface", ("lon", "time", "lat"), (12, 5, 7), "float32", (12, 5, 7)),
        "u": Parameter("u", backwards, shape[::-1], "float32", shape[::-1]),
    }
    cube = make_cube(FULL.axes["lon"], FULL.axes["lat"], *(FULL.axes[d] for d in ("number", "time", "level")))
    cube = Datacube(cube.definition, "", "", parameters, cube.axes, cube.grid, cube.extent, "s", cube.integrity)
    first, second = ask(cube, "position", coords="POINT(0 0)", z="850").groups
    assert [p.name for p in first.parameters] == ["t", "u"]
    assert [indexer.dim for indexer in first.leading] == ["number", "time", "level"]
    assert [indexer.axis.size for indexer in first.leading] == [3, 5, 1]
    assert [indexer.dim for indexer in second.leading] == ["time"]


def test_a_dataset_that_cannot_be_queried() -> None:
    cube = make_cube(lon([0, 1]), lat([0, 1]), unsupported="its grid is odd")
    with pytest.raises(UnsupportedDatasetError):
        ask(cube, "position", coords="POINT(0 0)")
