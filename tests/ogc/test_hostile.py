"""Is every odd or hostile request refused as the client's fault, or answered with nothing, and never our fault?"""

from __future__ import annotations

from urllib.parse import quote

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.datacube.errors import InvalidQueryError, IsoplethError, NoDataError
from plugins.datacube.query import QUERY_TYPES
from server.ogc.edr import edr_query
from server.problems import problem_for, status_of

DEEP = "POLYGON" + "(" * 5000
LONG = "MULTIPOINT(" + ",".join("0 0" for _ in range(200_000)) + ")"

POSITION = [
    "",
    "coords=",
    "coords=POINT",
    "coords=POINT()",
    "coords=POINT EMPTY",
    "coords=POINT(nan nan)",
    "coords=POINT(NaN 0)",
    "coords=POINT(inf 0)",
    "coords=POINT(1e999 0)",
    "coords=POINT(1e9 50)",
    "coords=POINT(0 91)",
    "coords=POINT(0 0),POINT(1 1)",
    "coords=POINT(0)",
    "coords=POINT M (0 0 5)",
    "coords=POINT(0 0 0 0 0)",
    "coords=LINESTRING(0 0,1 1)",
    "coords=POLYGON((0 0,1 0,1 1,0 0))",
    "coords=GEOMETRYCOLLECTION(POINT(0 0))",
    "coords=MULTIPOINT EMPTY",
    "coords=MULTIPOINT(0 0, EMPTY)",
    "coords=SRID=4326;POINT(0 0)",
    "coords=POINT(0 0); DROP TABLE x",
    "coords=POINT(٣ 0)",
    f"coords={LONG}",
    "coords=" + "A" * 100_000,
    "coords=POINT(0 0)&datetime=99999999999999999999",
    "coords=POINT(0 0)&datetime=Mon/Tue",
    "coords=POINT(0 0)&datetime=2020-13-45",
    "coords=POINT(0 0)&datetime=2020-02-30",
    "coords=POINT(0 0)&datetime=2020/2019",
    "coords=POINT(0 0)&datetime=2020/2021/2022",
    "coords=POINT(0 0)&datetime=R1000/9999-01-01/P9999Y",
    "coords=POINT(0 0)&datetime=R999999/2020/P1D",
    "coords=POINT(0 0)&datetime=R1000/2020/P999999W",
    "coords=POINT(0 0)&datetime=R2/2020-01-31/P1M",
    "coords=POINT(0 0)&datetime=",
    "coords=POINT(0 0)&datetime=,",
    "coords=POINT(0 0)&datetime=" + ",".join(["2020"] * 5000),
    "coords=POINT(0 0)&datetime=2020-01-01T00:00:00%2B99:00",
    "coords=POINT(0 0)&datetime=0000-00-00",
    "coords=POINT(0 0)&z=850",
    "coords=POINT(0 0)&z=abc",
    "coords=POINT(0 0)&number=1",
    "coords=POINT(0 0)&parameter-name=%00",
    "coords=POINT(0 0)&parameter-name=,",
    "coords=POINT(0 0)&parameter-name=../../etc/passwd",
    "coords=POINT(0 0)&crs=EPSG:99999",
    "coords=POINT(0 0)&crs=",
    "coords=POINT(0 0)&f=exe",
    "coords=POINT(0 0)&f=%0d%0aX-Evil: 1",
    "coords=POINT(0 0)&unheard=of",
    "coords=POINT(0 0)&coords=POINT(1 1)",
    "coords=POINT(0 0)&bbox=0,0,1,1",
    "coords=POINT(0 0)&parameter-name=tas&parameter_names=pr",
]
CUBE = [
    "",
    "bbox=",
    "bbox=1,2,3",
    "bbox=1,2,3,4,5",
    "bbox=1,2,3,4,5,6,7",
    "bbox=nan,nan,nan,nan",
    "bbox=inf,-inf,inf,inf",
    "bbox=a,b,c,d",
    "bbox=0,10,10,0",
    "bbox=0,-100,10,100",
    "bbox=1e9,0,1e10,1",
    "bbox=" + "1" * 10_000,
    "coords=POINT(0 0)",
]
AREA = [
    "",
    "coords=POLYGON()",
    "coords=POLYGON EMPTY",
    "coords=POLYGON((0 0,1 1))",
    "coords=POLYGON((0 0,1 0,1 1,0 1))",
    "coords=POLYGON((0 0,10 10,10 0,0 10,0 0))",
    "coords=POLYGON((nan 0,1 0,1 1,nan 0))",
    "coords=POINT(0 0)",
    f"coords={DEEP}",
    "coords=MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((0 0,1 0,1 1,0 0)))",
]

RADIUS = [
    "",
    "coords=POINT(0 0)",
    "coords=POINT(0 0)&within=10",
    "coords=POINT(0 0)&within-units=km",
    "within=10&within-units=km",
    "coords=&within=10&within-units=km",
    "coords=POINT()&within=10&within-units=km",
    "coords=POLYGON((0 0,1 0,1 1,0 0))&within=10&within-units=km",
    *(f"coords=POINT(0 0)&within={within}&within-units=km" for within in ("", "0", "-1", "nan", "inf", "1e999", "1e9")),
    *(f"coords=POINT(0 0)&within=10&within-units={units}" for units in ("", "cm", "K", "A" * 5000, "%00")),
    f"coords={LONG}&within=10&within-units=km",
]
TRAJECTORY = [
    "",
    "coords=",
    "coords=LINESTRING()",
    "coords=LINESTRINGM()",
    "coords=LINESTRINGZ()",
    "coords=LINESTRINGZM()",
    "coords=LINESTRING(0 0)",
    "coords=LINESTRING(0 0,1)",
    "coords=LINESTRING EMPTY",
    "coords=POINT(0 0)",
    "coords=LINESTRING(0 0,0 91)",
    "coords=LINESTRING(0 0,1e9 0)",
    "coords=LINESTRING Z (0 0 850,1 1 850)",
    "coords=LINESTRING Z (0 0 850,1 1 850)&z=850",
    "coords=LINESTRING M (0 0 1577836800,1 1 1577840400)&datetime=2020-01-01",
    "coords=LINESTRING M (0 0 1e18,1 1 1e18)",
    "coords=LINESTRING M (0 0 nan,1 1 nan)",
    "coords=MULTILINESTRING" + "(" * 5000,
    "coords=LINESTRING(" + ",".join("0 0" for _ in range(20_000)) + ")",
    "coords=LINESTRING(0 0,1 1)&within=10",
]
WIDE = "coords=LINESTRING(0 0,1 1)&corridor-width=10&width-units=km"
CORRIDOR = [
    *TRAJECTORY,
    "coords=LINESTRING(0 0,1 1)",
    "coords=LINESTRING(0 0,1 1)&corridor-width=10",
    "coords=LINESTRING(0 0,1 1)&width-units=km",
    "corridor-width=10&width-units=km",
    f"{WIDE}&corridor-height=5",
    f"{WIDE}&corridor-height=5&height-units=parsec",
    f"{WIDE}&corridor-height=nan&height-units=m",
    f"{WIDE}&resolution-x=-1",
    f"{WIDE}&resolution-y=-1",
    f"{WIDE}&z=850",
    f"{WIDE}&within=5",
    *(f"coords=LINESTRING(0 0,1 1)&corridor-width={width}&width-units=km" for width in ("0", "-1", "nan", "1e9")),
]
REFUSED = {
    "position": POSITION,
    "cube": CUBE,
    "area": AREA,
    "radius": RADIUS,
    "trajectory": TRAJECTORY,
    "corridor": CORRIDOR,
}


@pytest.mark.parametrize(
    ("kind", "query"),
    [(kind, query) for kind, queries in REFUSED.items() for query in queries],
    ids=lambda value: str(value)[:60],
)
def test_refused_with_the_parameter_at_fault(site, kind, query):
    raw = {}
    for pair in query.split("&") if query else []:
        name, _, value = pair.partition("=")
        raw.setdefault(name, []).append(value if "%" in value else quote(value))
    encoded = "&".join(f"{name}={value}" for name, values in raw.items() for value in values)
    with pytest.raises(InvalidQueryError) as caught:
        site.edr(f"region/{kind}", encoded)
    assert caught.value.parameter
    assert len(caught.value.detail) < 500
    status, headers, body = problem_for(caught.value, "/ogc")
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert "Traceback" not in body.decode()
    assert orjson.loads(body)["parameter"]


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("position", "coords=POINT(100 70)"),
        ("position", "coords=POINT(0 0)&datetime=1990"),
        ("position", "coords=POINT(0 0)&datetime=2020-01-02T12:00:00Z"),
        ("cube", "bbox=100,40,110,50"),
        ("cube", "bbox=0,0,1,1&datetime=../1999"),
        ("area", "coords=POLYGON((100 40,110 40,110 50,100 40))"),
        ("radius", "coords=POINT(100 70)&within=10&within-units=km"),
        ("trajectory", "coords=LINESTRING(100 40,110 50)"),
        ("corridor", "coords=LINESTRING(100 40,110 50)&corridor-width=10&width-units=km"),
        ("trajectory", "coords=LINESTRINGM(0 0 0,1 1 1000)"),
    ],
)
def test_good_questions_where_nothing_lies(site, kind, query):
    with pytest.raises(NoDataError):
        site.edr(f"region/{kind}", query)


@pytest.mark.parametrize("identifier", ["..", "../region", "region/../globe", "%00", "a" * 10_000, "", "régión"])
def test_strange_collections_are_not_there(site, identifier):
    with pytest.raises(IsoplethError) as caught:
        edr_query(site.service, site.request("/ogc", "coords=POINT(0 0)"), identifier, "position")
    assert status_of(caught.value) == 404


NAMES = st.sampled_from(
    [
        "coords",
        "bbox",
        "datetime",
        "z",
        "parameter-name",
        "crs",
        "f",
        "limit",
        "number",
        "lat",
        "within",
        "within-units",
    ]
)
PIECES = st.lists(
    st.sampled_from(
        ["POINT", "POLYGON", "MULTIPOINT", "LINESTRING", "M", "km", "Z", "EMPTY", "(",
         ")", "((", "))", "0", "-1e308", "nan", ",", " ", "/",
         "..", "2020", "-01", "T00:00", "Z", "+", "R5", "1e5", "tas", "CRS84", "json", "\x00", "é", "'", '"', "%", "\n"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.sampled_from(list(QUERY_TYPES)),
    st.sampled_from(["region", "globe"]),
    st.dictionaries(NAMES, PIECES | st.text(max_size=40), max_size=4),
)
def test_no_text_makes_the_server_fail(site, kind, identifier, arguments):
    query = "&".join(f"{name}={quote(text)}" for name, text in arguments.items())
    try:
        response = site.edr(f"{identifier}/{kind}", query)
        response.content()
        status = response.status
    except IsoplethError as error:
        status = int(status_of(error))
    assert status in (200, 204, 400, 406, 413)
