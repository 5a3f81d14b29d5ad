"""Does every parameter of a request become the query it stands for, or an error that names it?"""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import Moment
from plugins.datacube.datacube import CRS84, Datacube, Extent, Grid, GridKind, Integrity, Parameter
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.parse import parse_query
from plugins.datacube.query import (
    Area,
    Corridor,
    Cube,
    Line,
    NumberInterval,
    Position,
    Radius,
    TimeInterval,
    Trajectory,
)


def make_cube(**custom: np.ndarray) -> Datacube:
    axes = {
        **{name: Axis(AxisKind.CUSTOM, name, np.array(values)) for name, values in custom.items()},
        "time": Axis(AxisKind.T, "time", np.arange(3) * 3_600_000_000),
        "level": Axis(AxisKind.Z, "level", np.array([1000.0, 850.0, 500.0])),
        "lat": Axis(AxisKind.Y, "lat", np.arange(-90.0, 91, 30), units="degrees_north"),
        "lon": Axis(AxisKind.X, "lon", np.arange(0.0, 360, 30), units="degrees_east", cyclic=True),
    }
    shape = tuple(axis.size for axis in axes.values())
    parameters = {name: Parameter(name, tuple(axes), shape, "float32", shape) for name in ("t", "u", "v")}
    grid = Grid(GridKind.RECTILINEAR, CRS84, "", geographic=True)
    extent = Extent(-180, -90, 180, 90)
    definition = DatasetDefinition("d", "d")
    return Datacube(definition, "d", "", parameters, axes, grid, extent, "s", Integrity.UNVERIFIED)


CUBE = make_cube(number=np.arange(5), product=np.array(["analysis", "forecast", "a,b"]))
POINT = {"coords": "POINT(1 2)"}
CORRIDOR = {"coords": "LINESTRING(1 2,3 4)", "corridor-width": "10", "width-units": "km"}


def test_a_position() -> None:
    query = parse_query(
        "position",
        {"coords": "POINT(1 2)", "datetime": "2020/..", "z": "850", "parameter-name": "u, t,u", "f": "json"},
        CUBE,
    )
    assert query == Position(
        points=((1.0, 2.0),),
        parameters=("u", "t"),
        datetime=TimeInterval(Moment(2020, precision="year"), None),
        z=850.0,
    )


def test_a_height_in_coords_is_z_unless_z_is_given() -> None:
    assert parse_query("position", {"coords": "POINT Z(1 2 500)"}, CUBE).z == 500.0
    assert parse_query("position", {"coords": "POINT Z(1 2 500)", "z": "850"}, CUBE).z == 850.0


def test_an_area() -> None:
    query = parse_query("area", {"coords": "POLYGON((0 0, 1 0, 1 1, 0 0))"}, CUBE)
    assert isinstance(query, Area)
    assert query.geometry.equals(shapely.Polygon([(0, 0), (1, 0), (1, 1)]))


@pytest.mark.parametrize(
    ("raw", "z"),
    [
        ({"bbox": "1,2,3,4"}, None),
        ({"bbox": "1, 2, 900, 3, 4, 100"}, NumberInterval(100.0, 900.0)),
        ({"bbox": "1,2,100,3,4,900", "z": "850"}, 850.0),
    ],
)
def test_a_cube(raw: dict[str, str], z: object) -> None:
    assert parse_query("cube", raw, CUBE) == Cube(west=1.0, south=2.0, east=3.0, north=4.0, z=z)


def test_a_box_across_the_antimeridian_or_of_no_width() -> None:
    crossing = parse_query("cube", {"bbox": "170,-10,-170,10"}, CUBE)
    assert isinstance(crossing, Cube)
    assert (crossing.west, crossing.east) == (170.0, -170.0)
    assert parse_query("cube", {"bbox": "5,5,5,5"}, CUBE) == Cube(west=5.0, south=5.0, east=5.0, north=5.0)


def test_a_radius() -> None:
    raw = {"coords": "MULTIPOINT((1 2),(3 4))", "within": "2.5", "within-units": "nmi", "z": "850"}
    assert parse_query("radius", raw, CUBE) == Radius(points=((1.0, 2.0), (3.0, 4.0)), within=4630.0, z=850.0)


def test_a_trajectory() -> None:
    raw = {"coords": "LINESTRING(1 2,3 4)", "datetime": "2020", "z": "850", "parameter-name": "t"}
    assert parse_query("trajectory", raw, CUBE) == Trajectory(
        lines=(Line(x=(1.0, 3.0), y=(2.0, 4.0)),), datetime=Moment(2020, precision="year"), z=850.0, parameters=("t",)
    )
    raw = {"coords": "LINESTRINGZM(1 2 850 60,3 4 500 90)"}
    assert parse_query("trajectory", raw, CUBE) == Trajectory(
        lines=(Line(x=(1.0, 3.0), y=(2.0, 4.0), z=(850.0, 500.0), t=(60_000_000, 90_000_000)),)
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, {}),
        ({"resolution-x": "0", "resolution-y": "", "resolution-z": "0.0"}, {}),
        ({"z": "850"}, {"z": 850.0}),
        ({"corridor-height": "100", "height-units": "HPA"}, {"height": 100.0}),
        ({"corridor-height": "100", "height-units": "hPa", "z": "850"}, {"height": 100.0, "heights": (850.0, 850.0)}),
        ({"corridor-height": "1", "height-units": "hPa", "z": "850,500"}, {"height": 1.0, "heights": (500.0, 850.0)}),
        ({"corridor-height": "1", "height-units": "hPa", "z": "850/.."}, {"height": 1.0, "heights": (850.0, None)}),
        (
            {"coords": "LINESTRINGZ(1 2 850,3 4 500)", "corridor-height": "1", "height-units": "hPa"},
            {"lines": (Line((1.0, 3.0), (2.0, 4.0), z=(850.0, 500.0)),), "height": 1.0, "heights": (500.0, 850.0)},
        ),
    ],
)
def test_a_corridor(raw: dict[str, str], expected: dict[str, object]) -> None:
    if "heights" in expected:
        expected = {**expected, "heights": NumberInterval(*expected["heights"])}
    lines = (Line((1.0, 3.0), (2.0, 4.0)),)
    cube = replace(CUBE, axes={**CUBE.axes, "level": replace(CUBE.axes["level"], units="hPa")})
    assert parse_query("corridor", {**CORRIDOR, **raw}, cube) == Corridor(
        **{"lines": lines, "width": 10_000.0, **expected}
    )


@pytest.mark.parametrize("name", ["parameter-name", "parameter_names", "parameter-names", "parameter_name"])
def test_spellings_of_parameter_name(name: str) -> None:
    assert parse_query("position", {**POINT, name: "v"}, CUBE).parameters == ("v",)
    assert parse_query("position", {**POINT, name: " "}, CUBE).parameters == ()
    with pytest.raises(InvalidQueryError) as caught:
        parse_query("position", {**POINT, name: "t,nope"}, CUBE)
    assert caught.value.parameter == name
    assert caught.value.valid == "t, u, v"
    assert "nope" in caught.value.detail


def test_two_spellings_at_once() -> None:
    with pytest.raises(InvalidQueryError, match="the same parameter"):
        parse_query("position", {**POINT, "parameter-name": "t", "parameter_names": "u"}, CUBE)


@pytest.mark.parametrize(
    "crs",
    ["CRS84", "crs:84", "OGC:CRS84", "EPSG:4326", "epsg:4326", "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
     "http://www.opengis.net/def/crs/EPSG/0/4326", "urn:ogc:def:crs:OGC:1.3:CRS84", " CRS84 "],
)  # fmt: skip
def test_names_of_wgs84(crs: str) -> None:
    assert parse_query("position", {**POINT, "crs": crs}, CUBE) == parse_query("position", POINT, CUBE)


@pytest.mark.parametrize(
    "crs", ["EPSG:999999", "", "wgs", "native", "EPSG:5773", "EPSG:4979", "http://example.com/crs"]
)
def test_other_crs(crs: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_query("position", {**POINT, "crs": crs}, CUBE)
    assert caught.value.parameter == "crs"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"number": "3"}, {"number": 3.0}),
        ({"number": "0,2"}, {"number": (0.0, 2.0)}),
        ({"number": "1/3"}, {"number": NumberInterval(1.0, 3.0)}),
        ({"product": "analysis"}, {"product": "analysis"}),
        ({"product": "analysis, forecast"}, {"product": ("analysis", "forecast")}),
        ({"product": "a,b"}, {"product": "a,b"}),
        ({"product": "nothing"}, {"product": "nothing"}),
    ],
)
def test_custom_dimensions(raw: dict[str, str], expected: object) -> None:
    assert parse_query("position", {**POINT, **raw}, CUBE).dimensions == expected


def test_a_custom_dimension_of_numbers_lists_them_when_asked_for_text() -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_query("position", {**POINT, "number": "first"}, CUBE)
    assert caught.value.parameter == "number"
    assert caught.value.valid == "0, 1, 2, 3, 4"


@pytest.mark.parametrize(
    ("kind", "raw", "parameter"),
    [
        ("position", {}, "coords"),
        ("position", {"coords": " "}, "coords"),
        ("area", {}, "coords"),
        ("cube", {}, "bbox"),
        ("cube", {"bbox": ""}, "bbox"),
        ("cube", {"bbox": "1,2,3"}, "bbox"),
        ("cube", {"bbox": "1,2,3,4,5"}, "bbox"),
        ("cube", {"bbox": "1,2,3,4,5,6,7"}, "bbox"),
        ("cube", {"bbox": "1,2,3,x"}, "bbox"),
        ("cube", {"bbox": "1,2,3,nan"}, "bbox"),
        ("cube", {"bbox": "1,2,3,inf"}, "bbox"),
        ("cube", {"bbox": "1,20,3,10"}, "bbox"),
        ("cube", {"bbox": "0,-91,1,0"}, "bbox"),
        ("cube", {"bbox": "0,0,541,1"}, "bbox"),
        ("position", {**POINT, "bbox": "1,2,3,4"}, "bbox"),
        ("cube", {"bbox": "1,2,3,4", "coords": "POINT(0 0)"}, "coords"),
        ("position", {**POINT, "datetime": ""}, "datetime"),
        ("position", {**POINT, "datetime": "yesterday"}, "datetime"),
        ("position", {**POINT, "datetime": "R0/2020-01-01/P1D"}, "datetime"),
        ("position", {**POINT, "datetime": "R1001/2020-01-01/P1D"}, "datetime"),
        ("position", {**POINT, "datetime": "R/2020-01-01/P1D"}, "datetime"),
        ("position", {**POINT, "datetime": "R5/2020-01-01/P"}, "datetime"),
        ("position", {**POINT, "datetime": "R5/2020-01-01/P1DT"}, "datetime"),
        ("position", {**POINT, "datetime": "R5/2020-01-01/PT0S"}, "datetime"),
        ("position", {**POINT, "datetime": "R5/2020-01-01/1D"}, "datetime"),
        ("position", {**POINT, "datetime": "R5/never/P1D"}, "datetime"),
        ("position", {**POINT, "datetime": "R5/2020-01-01/P99999999D"}, "datetime"),
        ("position", {**POINT, "z": "high"}, "z"),
        ("position", {**POINT, "within": "10"}, "within"),
        ("radius", {}, "coords"),
        ("radius", POINT, "within"),
        ("radius", {**POINT, "within": "10"}, "within-units"),
        ("radius", {**POINT, "within-units": "km"}, "within"),
        ("radius", {**POINT, "within": "", "within-units": "km"}, "within"),
        ("radius", {**POINT, "within": "10", "within-units": " "}, "within-units"),
        ("radius", {**POINT, "within": "-10", "within-units": "km"}, "within"),
        ("radius", {**POINT, "within": "10", "within-units": "parsec"}, "within-units"),
        ("radius", {"coords": "LINESTRING(0 0,1 1)", "within": "10", "within-units": "km"}, "coords"),
        ("radius", {**POINT, "within": "10", "within-units": "km", "bbox": "1,2,3,4"}, "bbox"),
        ("trajectory", {}, "coords"),
        ("trajectory", POINT, "coords"),
        ("trajectory", {"coords": "LINESTRING Z (0 0 1,1 1 1)", "z": "850"}, "z"),
        ("trajectory", {"coords": "LINESTRING ZM (0 0 1 2,1 1 1 3)", "z": "850"}, "z"),
        ("trajectory", {"coords": "LINESTRING M (0 0 1,1 1 1)", "datetime": "2020"}, "datetime"),
        ("trajectory", {"coords": "LINESTRING ZM (0 0 1 2,1 1 1 3)", "datetime": "2020"}, "datetime"),
        ("trajectory", {"coords": "LINESTRING M (0 0 1e12,1 1 1)"}, "coords"),
        ("trajectory", {"coords": "LINESTRING(0 0,1 1)", "within": "5"}, "within"),
        ("corridor", {}, "coords"),
        ("corridor", {"coords": "LINESTRING(0 0,1 1)"}, "corridor-width"),
        ("corridor", {"coords": "LINESTRING(0 0,1 1)", "corridor-width": "5"}, "width-units"),
        ("corridor", {"coords": "LINESTRING(0 0,1 1)", "width-units": "m"}, "corridor-width"),
        ("corridor", {**CORRIDOR, "corridor-width": "0"}, "corridor-width"),
        ("corridor", {**CORRIDOR, "corridor-width": "1e9"}, "corridor-width"),
        ("corridor", {**CORRIDOR, "width-units": "hPa"}, "width-units"),
        ("corridor", {**CORRIDOR, "coords": "POINT(0 0)"}, "coords"),
        ("corridor", {**CORRIDOR, "corridor-height": "5"}, "height-units"),
        ("corridor", {**CORRIDOR, "height-units": "hPa"}, "corridor-height"),
        ("corridor", {**CORRIDOR, "corridor-height": "-5", "height-units": "hPa"}, "corridor-height"),
        ("corridor", {**CORRIDOR, "corridor-height": "x", "height-units": "hPa"}, "corridor-height"),
        ("corridor", {**CORRIDOR, "corridor-height": "5", "height-units": "m"}, "height-units"),
        ("corridor", {**CORRIDOR, "resolution-x": "1.5"}, "resolution-x"),
        ("corridor", {**CORRIDOR, "resolution-y": "fine"}, "resolution-y"),
        ("corridor", {**CORRIDOR, "resolution-z": "-1"}, "resolution-z"),
        ("corridor", {**CORRIDOR, "coords": "LINESTRING M (0 0 1,1 1 2)", "datetime": "2020"}, "datetime"),
        ("corridor", {**CORRIDOR, "coords": "LINESTRING Z (0 0 1,1 1 2)", "z": "850"}, "z"),
        ("position", {**POINT, "Datetime": "2020"}, "Datetime"),
        ("position", {**POINT, "parameter-name": "t,,u"}, "parameter-name"),
        ("position", {**POINT, "z": "1," * 5000}, "z"),
        ("items", POINT, "query"),
    ],
)
def test_errors_name_the_parameter(kind: str, raw: dict[str, str], parameter: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_query(kind, raw, CUBE)
    assert caught.value.parameter == parameter
    assert caught.value.valid


def test_an_unknown_parameter_is_told_what_there_is() -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_query("position", {**POINT, "realization": "1"}, CUBE)
    assert caught.value.valid == ("coords, datetime, z, parameter-name, f, limit, crs, interpolation, number, product")
