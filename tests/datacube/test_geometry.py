"""Is WKT read as it should be, and hostile WKT refused before it does harm?"""

import contextlib

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.geometry import (
    MAXIMUM_LENGTH,
    MAXIMUM_POINTS,
    MAXIMUM_VERTICES,
    parse_lines,
    parse_points,
    parse_polygon,
)
from plugins.datacube.query import Line

LONGITUDES = st.floats(-540, 540)
LATITUDES = st.floats(-90, 90)


@given(st.lists(st.tuples(LONGITUDES, LATITUDES), min_size=1, max_size=20))
def test_points_come_back_to_the_last_bit(points: list[tuple[float, float]]) -> None:
    text = "MULTIPOINT(" + ",".join(f"({x!r} {y!r})" for x, y in points) + ")"
    assert parse_points(text) == (tuple(points), None)


@given(
    st.tuples(*2 * [st.from_regex(r"\A-?[0-9]{1,3}(\.[0-9]{1,20})?\Z")]),
    st.sampled_from(
        ["POINT(%s %s)", "POINT ( %s  %s )", "POINT(%s\t%s)", "point(%s %s)", " POINT(%s %s)", "POINT Z(%s %s 1)"]
    ),
)
def test_a_plain_point_is_read_as_geos_reads_it(numbers: tuple[str, str], spelling: str) -> None:
    text = spelling % numbers
    (found,), _ = parse_points(text, geographic=False)
    expected = shapely.from_wkt(text)
    assert [value.hex() for value in found] == [expected.x.hex(), expected.y.hex()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("POINT(-30 0)", (((-30.0, 0.0),), None)),
        ("point ( 1.5e1   -2. )", (((15.0, -2.0),), None)),
        ("POINT Z (1 2 850)", (((1.0, 2.0),), 850.0)),
        ("POINTZ(1 2 850)", (((1.0, 2.0),), 850.0)),
        ("POINT(1 2 850)", (((1.0, 2.0),), 850.0)),
        ("MULTIPOINT((1 2),(3 4))", (((1.0, 2.0), (3.0, 4.0)), None)),
        ("MULTIPOINT(1 2, 3 4)", (((1.0, 2.0), (3.0, 4.0)), None)),
        ("MULTIPOINT Z((1 2 5),(3 4 5))", (((1.0, 2.0), (3.0, 4.0)), 5.0)),
    ],
)
def test_spellings_of_points(text: str, expected: object) -> None:
    assert parse_points(text) == expected


def test_polygons() -> None:
    polygon, z = parse_polygon("POLYGON((0 0, 4 0, 4 4, 0 4, 0 0),(1 1, 2 1, 2 2, 1 1))")
    assert polygon.equals(shapely.box(0, 0, 4, 4) - shapely.Polygon([(1, 1), (2, 1), (2, 2)]))
    assert z is None
    both, z = parse_polygon("MULTIPOLYGON Z(((0 0 9,1 0 9,1 1 9,0 0 9)),((5 5 9,6 5 9,6 6 9,5 5 9)))")
    assert both.area == 1.0
    assert not both.has_z
    assert z == 9.0


HOSTILE = {
    "empty": "",
    "blank": "   ",
    "no numbers": "POINT()",
    "EMPTY": "POINT EMPTY",
    "an empty part": "MULTIPOINT(EMPTY)",
    "one number": "POINT(1)",
    "five numbers": "POINT(1 2 3 4 5)",
    "NaN": "POINT(NaN 0)",
    "infinity": "POINT(inf 0)",
    "a number that overflows": "POINT(1e999 0)",
    "a height that overflows": "POINT Z(0 0 1e999)",
    "latitude": "POINT(0 90.001)",
    "longitude": "POINT(541 0)",
    "measures": "POINT M(0 0 1)",
    "measures and heights": "POINT ZM(0 0 1 2)",
    "another geometry": "LINESTRING(0 0, 1 1)",
    "a polygon": "POLYGON((0 0, 1 0, 1 1, 0 0))",
    "a collection": "GEOMETRYCOLLECTION(POINT(0 0))",
    "a collection inside": "MULTIPOINT(GEOMETRYCOLLECTION(POINT(0 0)))",
    "nested collections (crashes GEOS)": "GEOMETRYCOLLECTION(" * 10_000 + ")" * 10_000,
    "parentheses": "POINT" + "(" * 100_000 + "0 0" + ")" * 100_000,
    "open parentheses": "POINT" + "(" * 100_000,
    "closed parentheses": "POINT)0 0(",
    "a second geometry": "POINT(0 0) POINT(1 1)",
    "SRID": "SRID=4326;POINT(0 0)",
    "JSON": '{"type": "Point", "coordinates": [0, 0]}',
    "too long": "POINT(0 0" + " " * MAXIMUM_LENGTH + ")",
    "too many points": "MULTIPOINT(" + ",".join(["(0 0)"] * (MAXIMUM_POINTS + 1)) + ")",
    "several heights": "MULTIPOINT Z((0 0 1),(0 0 2))",
    "NUL": "POINT(0 \x000)",
    "other digits": "POINT(٣ ٤)",
    "SQL": "POINT(0 0); DROP TABLE jobs",
    "one very long number": "POINT(" + "1" * 200_000 + " 0)",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_points(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_points(text)
    assert caught.value.parameter == "coords"
    assert len(caught.value.detail) < 200
    assert caught.value.valid


RING = "0 0, 4 0, 4 4, 0 4, 0 0"
HOSTILE_POLYGONS = {
    "crosses itself": "POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))",
    "not closed": "POLYGON((0 0, 1 0, 1 1))",
    "no area": "POLYGON((0 0, 1 1, 0 0))",
    "two points": "POLYGON((0 0, 0 0))",
    "hole outside": f"POLYGON(({RING}),(9 9, 10 9, 10 10, 9 9))",
    "overlapping parts": f"MULTIPOLYGON((({RING})),((1 1, 2 1, 2 2, 1 1)))",
    "too many vertices": "POLYGON((" + ",".join(["0 0"] * (MAXIMUM_VERTICES + 1)) + "))",
    "random vertices (minutes in make_valid)": "POLYGON(("
    + ",".join(f"{(i * 7919) % 359 - 179} {(i * 104729) % 179 - 89}" for i in range(3000))
    + ",-179 -89))",
    "a point": "POINT(0 0)",
    "empty": "POLYGON(())",
    "EMPTY": "MULTIPOLYGON EMPTY",
}


@pytest.mark.parametrize("text", HOSTILE_POLYGONS.values(), ids=HOSTILE_POLYGONS)
def test_hostile_polygons(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_polygon(text)
    assert caught.value.parameter == "coords"


LINE = ((0.0, 4.0), (0.0, -2.5))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LINESTRING(0 0,4 -2.5)", (Line(*LINE),)),
        ("linestring ( 0 0 , 4 -2.5 )", (Line(*LINE),)),
        ("LINESTRING Z (0 0 850,4 -2.5 500)", (Line(*LINE, z=(850.0, 500.0)),)),
        ("LINESTRINGZ(0 0 850,4 -2.5 500)", (Line(*LINE, z=(850.0, 500.0)),)),
        ("LINESTRING(0 0 850,4 -2.5 500)", (Line(*LINE, z=(850.0, 500.0)),)),
        ("LINESTRINGM(0 0 -1,4 -2.5 1560507000.25)", (Line(*LINE, t=(-1_000_000, 1_560_507_000_250_000)),)),
        ("LINESTRING M (0 0 1,4 -2.5 2)", (Line(*LINE, t=(1_000_000, 2_000_000)),)),
        ("LINESTRINGZM(0 0 850 1,4 -2.5 500 2)", (Line(*LINE, z=(850.0, 500.0), t=(1_000_000, 2_000_000)),)),
        ("LINESTRING(0 0 850 1,4 -2.5 500 2)", (Line(*LINE, z=(850.0, 500.0), t=(1_000_000, 2_000_000)),)),
        ("MULTILINESTRING((0 0,4 -2.5),(7 8,9 9,9 9))", (Line(*LINE), Line((7.0, 9.0, 9.0), (8.0, 9.0, 9.0)))),
        (
            "MULTILINESTRINGM((0 0 1,4 -2.5 2),(0 0 3,4 -2.5 4))",
            (Line(*LINE, t=(1_000_000, 2_000_000)), Line(*LINE, t=(3_000_000, 4_000_000))),
        ),
        (
            "MULTILINESTRING ZM ((0 0 5 1,4 -2.5 6 2))",
            (Line(*LINE, z=(5.0, 6.0), t=(1_000_000, 2_000_000)),),
        ),
    ],
)
def test_spellings_of_lines(text: str, expected: object) -> None:
    assert parse_lines(text) == expected


@given(st.lists(st.tuples(LONGITUDES, LATITUDES, st.floats(-1e6, 1e6)), min_size=2, max_size=20))
def test_lines_come_back_to_the_last_bit(vertices: list[tuple[float, float, float]]) -> None:
    text = "LINESTRING Z (" + ",".join(f"{x!r} {y!r} {z!r}" for x, y, z in vertices) + ")"
    assert parse_lines(text) == (Line(*zip(*vertices, strict=True)),)


HOSTILE_LINES = {
    "empty": "LINESTRING()",
    "empty, measured": "LINESTRINGM()",
    "empty, high": "LINESTRINGZ()",
    "empty, both": "LINESTRINGZM()",
    "empty parts": "MULTILINESTRING(())",
    "EMPTY": "LINESTRING EMPTY",
    "EMPTY with measures": "LINESTRING M EMPTY",
    "EMPTY inside": "MULTILINESTRING((0 0,1 1),EMPTY)",
    "one vertex": "LINESTRING(0 0)",
    "heights of some": "LINESTRING(0 0 1,1 1)",
    "measures of some": "MULTILINESTRING M ((0 0 1,1 1 1),(0 0,1 1))",
    "NaN": "LINESTRING(0 0,nan 1)",
    "a measure that overflows": "LINESTRING M (0 0 1e999,1 1 1)",
    "a height that overflows": "LINESTRING Z (0 0 1e999,1 1 1)",
    "before the year 1": "LINESTRING M (0 0 -1e11,1 1 1)",
    "after the year 9999": "LINESTRING ZM (0 0 1 253402300800,1 1 1 1)",
    "latitude": "LINESTRING(0 0,0 91)",
    "longitude": "LINESTRING(0 0,541 0)",
    "a point": "POINT(0 0)",
    "a polygon": "POLYGON((0 0, 1 0, 1 1, 0 0))",
    "a circle": "CIRCULARSTRING(0 0, 1 1, 2 0)",
    "too many vertices": "LINESTRING(" + ",".join(["0 0"] * (MAXIMUM_VERTICES + 1)) + ")",
    "parentheses": "MULTILINESTRING" + "(" * 100_000,
    "five numbers": "LINESTRING(0 0 0 0 0,1 1 1 1 1)",
    "MM": "LINESTRINGMM(0 0 1,1 1 1)",
}


@pytest.mark.parametrize("text", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_hostile_lines(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_lines(text)
    assert caught.value.parameter == "coords"
    assert len(caught.value.detail) < 200
    assert caught.value.valid


def test_the_reason_of_an_invalid_polygon_is_told() -> None:
    with pytest.raises(InvalidQueryError, match=r"Self-intersection\[0\.5 0\.5\]"):
        parse_polygon(HOSTILE_POLYGONS["crosses itself"])
    with pytest.raises(InvalidQueryError, match="not closed"):
        parse_polygon(HOSTILE_POLYGONS["not closed"])


@given(st.text(alphabet="POINTMULTYGONZERS(),.- 0123456789e", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_points, parse_polygon, parse_lines):
        with contextlib.suppress(InvalidQueryError):
            assert parse(text)


def test_other_coordinates_than_degrees_have_no_bounds() -> None:
    assert parse_points("POINT(400000 1200000)", geographic=False)[0] == ((400000.0, 1200000.0),)
