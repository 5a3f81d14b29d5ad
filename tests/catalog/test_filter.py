from __future__ import annotations

import json
import operator
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import translate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.embedded import EmbeddedRepository
from catalog.filter_sql import compile_filter
from catalog.filter_text import NESTING_LIMIT, TERMS_LIMIT, TEXT_LIMIT, read_filter
from catalog.search import item_query
from catalog.sql_functions import text_like
from plugins.datacube.errors import BusyError, InvalidQueryError

type Item = dict[str, Any]
type Node = Any
UNKNOWN = None
COMPARISONS = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
TEXTS = ["", "x", "X", "xy", "été", "50%", "a_b", "it's", '"']
PATTERNS = ["", "%", "x", "x%", "%y", "_", "x_", "%é%", r"50\%", r"a\_b", "%%", "_%_", "%'%"]
NAMES = ["n", "s", "f", "mixed", "nested.deep", "absent"]
START = datetime(2000, 1, 1, tzinfo=UTC).timestamp()


def iso(second: int) -> str:
    return datetime.fromtimestamp(START + second, UTC).isoformat().replace("+00:00", "Z")


# The oracle: the three-valued logic of CQL2, in Python, over the item's own properties.


def lookup(item: Item, name: str) -> Any:
    value: Any = item["properties"]
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "none"


def scalar(node: Node, item: Item) -> Any:
    if not isinstance(node, dict):
        return node
    if "property" in node:
        return lookup(item, node["property"])
    values = [scalar(argument, item) for argument in node["args"]]
    if node["op"] == "casei":
        return values[0].casefold() if isinstance(values[0], str) else UNKNOWN
    if any(kind(value) != "number" for value in values):
        return UNKNOWN
    return {"+": operator.add, "-": operator.sub, "*": operator.mul}[node["op"]](*values)


def compared(name: str, a: Any, b: Any) -> bool | None:
    return COMPARISONS[name](a, b) if kind(a) == kind(b) != "none" else UNKNOWN


def negation(value: bool | None) -> bool | None:
    return UNKNOWN if value is UNKNOWN else not value


def both(values: list[bool | None]) -> bool | None:
    return False if False in values else UNKNOWN if UNKNOWN in values else True


def either(values: list[bool | None]) -> bool | None:
    return negation(both([negation(value) for value in values]))


def like(text: str, pattern: str) -> bool:
    glob = re.sub(
        r"\\.|.", lambda found: {"%": "*", "_": "?"}.get(found[0], f"[{found[0][-1]}]"), pattern, flags=re.DOTALL
    )
    return re.fullmatch(translate(glob), text) is not None


def holds(node: Node, item: Item) -> bool | None:
    if isinstance(node, bool):
        return node
    if "property" in node:
        value = lookup(item, node["property"])
        return value if isinstance(value, bool) else UNKNOWN
    name, arguments = node["op"], node["args"]
    if name in ("and", "or"):
        return (both if name == "and" else either)([holds(argument, item) for argument in arguments])
    if name == "not":
        return negation(holds(arguments[0], item))
    if name in COMPARISONS:
        return compared(name, scalar(arguments[0], item), scalar(arguments[1], item))
    if name == "between":
        value, low, high = (scalar(argument, item) for argument in arguments)
        return both([compared(">=", value, low), compared("<=", value, high)])
    if name == "in":
        value = scalar(arguments[0], item)
        return either([compared("=", value, member) for member in arguments[1]])
    if name == "like":
        value = scalar(arguments[0], item)
        return like(value, arguments[1]) if isinstance(value, str) else UNKNOWN
    if name == "isNull":
        return lookup(item, arguments[0]["property"]) is None
    if name.startswith("a_"):
        return arrays(name, lookup(item, arguments[0]["property"]), arguments[1])
    if name.startswith("s_"):
        if item["geometry"] is None:
            return UNKNOWN
        geometries = shapely.geometry.shape(item["geometry"]), shapely.geometry.shape(arguments[1])
        return bool(getattr(geometries[0], name[2:])(geometries[1]))
    return periods(name, item, arguments[1])


def arrays(name: str, value: Any, listed: list[Any]) -> bool | None:
    if not isinstance(value, (list, dict)):
        return UNKNOWN
    a, b = {(kind(v), v) for v in value}, {(kind(v), v) for v in listed}
    return {"a_contains": a >= b, "a_containedBy": a <= b, "a_equals": a == b, "a_overlaps": bool(a & b)}[name]


def periods(name: str, item: Item, asked: Node) -> bool:
    """Allen's relations over the instants of the periods, found by their numbers rather than by the text of SQL."""
    properties = item["properties"]
    a = properties.get("start_datetime") or properties["datetime"]
    e = properties.get("end_datetime") or properties["datetime"]
    b, f = asked["interval"]
    b, f = ("" if b == ".." else b), ("~" if f == ".." else f)
    starts, ends = (a > b) - (a < b), (e > f) - (e < f)
    disjoint = e < b or a > f
    return {
        "t_intersects": not disjoint, "t_disjoint": disjoint, "t_after": a > f, "t_before": e < b,
        "t_during": starts > 0 > ends, "t_contains": starts < 0 < ends, "t_equals": starts == ends == 0,
        "t_starts": starts == 0 > ends, "t_startedBy": starts == 0 < ends,
        "t_finishes": ends == 0 < starts, "t_finishedBy": ends == 0 > starts,
        "t_meets": e == b, "t_metBy": a == f,
        "t_overlaps": starts < 0 > ends and e > b, "t_overlappedBy": starts > 0 < ends and a < f,
    }[name]  # fmt: skip


NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -1.25, 2.0, 1e300])
LITERALS = NUMBERS | st.sampled_from(TEXTS) | st.booleans()
PLACES = st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 3), st.integers(0, 3))


def rectangle(place: tuple[int, int, int, int]) -> dict[str, Any]:
    west, south, width, height = place
    if width == 0 or height == 0:
        return {"type": "Point", "coordinates": [west * 10, south * 10]}
    box = shapely.box(west * 10, south * 10, (west + width) * 10, (south + height) * 10)
    return dict(shapely.geometry.mapping(box))


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    made = []
    for number in range(draw(st.integers(1, 8))):
        first, length = draw(st.integers(0, 5)), draw(st.integers(0, 3))
        values = {
            "n": draw(NUMBERS | st.none()),
            "s": draw(st.sampled_from(TEXTS) | st.none()),
            "f": draw(st.booleans() | st.none()),
            "mixed": draw(LITERALS | st.none() | st.just([1]) | st.just({"a": 1})),
            "nested": {"deep": draw(LITERALS | st.none())},
            "list": draw(st.lists(LITERALS, max_size=3) | st.just({"x": 1, "xy": 2}) | st.none() | st.just("x")),
            "datetime": None if length else iso(first),
        }
        if length:
            values |= {"start_datetime": iso(first), "end_datetime": iso(first + length)}
        kept = {name: value for name, value in values.items() if value is not None or draw(st.booleans())}
        geometry = draw(st.none() | PLACES.map(rectangle))
        made.append(
            {"type": "Feature", "id": f"i{number}", "collection": "c", "geometry": geometry, "properties": kept}
        )
    return made


PROPERTIES = st.sampled_from(NAMES).map(lambda name: {"property": name})
SCALARS = LITERALS | PROPERTIES | st.builds(
    lambda op, a, b: {"op": op, "args": [a, b]}, st.sampled_from("+-*"), NUMBERS | PROPERTIES, NUMBERS | PROPERTIES
)  # fmt: skip


def op(name: str, *arguments: Any) -> Node:
    return {"op": name, "args": list(arguments)}


INTERVALS = st.tuples(st.integers(0, 8), st.integers(0, 3)).flatmap(
    lambda n: st.sampled_from([[iso(n[0]), iso(n[0] + n[1])], ["..", iso(n[0])], [iso(n[0]), ".."]])
)
TEMPORAL = ["intersects", "disjoint", "after", "before", "during", "contains", "equals", "starts", "startedBy",
            "finishes", "finishedBy", "meets", "metBy", "overlaps", "overlappedBy"]  # fmt: skip
SPATIAL = ["intersects", "disjoint", "within", "contains", "equals", "touches", "overlaps", "crosses"]
LEAVES = (
    st.booleans()
    | st.just({"property": "f"})
    | st.builds(op, st.sampled_from(list(COMPARISONS)), PROPERTIES, SCALARS)
    | st.builds(op, st.sampled_from(list(COMPARISONS)), NUMBERS, PROPERTIES)
    | st.builds(op, st.just("between"), PROPERTIES, NUMBERS, NUMBERS | PROPERTIES)
    | st.builds(op, st.just("in"), PROPERTIES, st.lists(LITERALS, max_size=4))
    | st.builds(op, st.just("like"), PROPERTIES, st.sampled_from(PATTERNS))
    | st.builds(lambda a, text: op("=", op("casei", a), op("casei", text)), PROPERTIES, st.sampled_from(TEXTS))
    | st.builds(op, st.just("isNull"), PROPERTIES)
    | st.builds(
        lambda name, values: op(name, {"property": "list"}, values),
        st.sampled_from(["a_contains", "a_containedBy", "a_equals", "a_overlaps"]),
        st.lists(LITERALS, max_size=3),
    )
    | st.builds(
        lambda name, place: op(f"s_{name}", {"property": "geometry"}, rectangle(place)),
        st.sampled_from(SPATIAL),
        PLACES,
    )
    | st.builds(
        lambda name, interval: op(f"t_{name}", {"property": "datetime"}, {"interval": interval}),
        st.sampled_from(TEMPORAL),
        INTERVALS,
    )
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(op, st.just("not"), inner)
        | st.builds(op, st.sampled_from(["and", "or"]), inner, inner)
        | st.builds(op, st.sampled_from(["and", "or"]), inner, inner, inner)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def repository() -> Iterator[EmbeddedRepository]:
    with TemporaryDirectory() as folder:
        made = EmbeddedRepository(Path(folder) / "catalog.sqlite")
        yield made
        made.close()


def matching(repository: EmbeddedRepository, tree: Any, **more: Any) -> set[str]:
    page = repository.search(item_query(filter_expr=tree, limit=100, **more))
    assert page.matched == len(page.documents)
    return {item["id"] for item in page.documents}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(items(), TREES)
def test_a_filter_finds_what_brute_force_finds(repository: EmbeddedRepository, there: list[Item], tree: Node) -> None:
    repository.replace({"id": "c", "links": []}, there, "")
    expected = {item["id"] for item in there if holds(tree, item) is True}
    if isinstance(tree, bool) or "op" not in tree:
        tree = {"op": "and", "args": [tree, True]}
    assert matching(repository, tree) == expected
    assert matching(repository, json.dumps(tree), filter_lang="cql2-json") == expected


@pytest.mark.parametrize("name", TEMPORAL)
def test_every_relation_of_two_periods(repository: EmbeddedRepository, name: str) -> None:
    spans = [(first, last) for first in range(5) for last in range(first, 5)]
    there = [
        {"id": f"{a}-{b}", "collection": "c", "geometry": None,
         "properties": {"datetime": None, "start_datetime": iso(a), "end_datetime": iso(b)}}
        for a, b in spans
    ]  # fmt: skip
    repository.replace({"id": "c", "links": []}, there, "")
    for first, last in [(1, 3), (2, 2), (0, 4), (None, 2), (2, None)]:
        ends = [".." if first is None else iso(first), ".." if last is None else iso(last)]
        tree = op(f"t_{name}", {"property": "datetime"}, {"interval": ends})
        assert matching(repository, tree) == {item["id"] for item in there if holds(tree, item)}


ITEMS = [
    {
        "id": "a", "collection": "c", "geometry": {"type": "Point", "coordinates": [5, 50]},
        "properties": {"datetime": "2020-06-01T00:00:00Z", "n": 1, "s": "Été", "created": "2021-01-01T00:00:00+01:00",
                       "cube:variables": {"t": {"unit": "K"}}, "cube:dimensions": {"lev": {"values": [1000, 850]}}},
    },
    {
        "id": "b", "collection": "c", "geometry": {"type": "Point", "coordinates": [-60, 0]},
        "properties": {"datetime": None, "start_datetime": "2019-01-01T00:00:00Z", "n": 2.5, "s": "it's", "flag": True,
                       "end_datetime": "2019-12-31T23:59:59Z", "cube:variables": {"u": {"unit": "m s-1"}}},
    },
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n = 1", "a"),
        ("n > 1 AND s = 'it''s'", "b"),
        ("n + 1.5 = 2.5 OR n * 2 >= 5", "ab"),
        ("-n = -1", "a"),
        ("n % 2 = 1", "a"),
        ("n div 2 = 1", "b"),
        ("n ^ 2 = 6.25", "b"),
        ("n / 2 = 0.5", "a"),
        ("1 < n", "b"),
        ("flag", "b"),
        ("NOT flag", ""),
        ("flag IS NULL", "a"),
        ("flag IS NOT NULL", "b"),
        ("s LIKE '_t%'", "ab"),
        ("s NOT LIKE 'it%'", "a"),
        ("CASEI(s) = CASEI('ÉTÉ')", "a"),
        ("CASEI(s) LIKE CASEI('ÉT%')", "a"),
        ("CASEI(s) IN (CASEI('IT''S'), CASEI('x'))", "b"),
        ("ACCENTI(s) = ACCENTI('Ete')", "a"),
        ("CASEI(ACCENTI(s)) = 'ete'", "a"),
        ("n BETWEEN 1 AND 2", "a"),
        ("n NOT BETWEEN 1 AND 2", "b"),
        ("n IN (1, 2, 3)", "a"),
        ("id = 'a'", "a"),
        ("collection = 'c' AND id <> 'a'", "b"),
        ("properties.n = 1", "a"),
        ("s_intersects(geometry, POLYGON((0 40, 10 40, 10 60, 0 60, 0 40)))", "a"),
        ("S_WITHIN(geometry, BBOX(-180,-90,0,90))", "b"),
        ("S_CONTAINS(BBOX(-180,-90,0,90), geometry)", "b"),
        ("S_CONTAINS(geometry, POINT(5 50))", "a"),
        ("S_INTERSECTS(geometry, BBOX(170,-90,-50,90))", "b"),
        ("datetime >= TIMESTAMP('2020-01-01T00:00:00Z')", "a"),
        ("datetime >= '2020-01-01T00:00:00Z'", "a"),
        ("datetime = DATE('2020-06-01')", "a"),
        ("datetime < DATE('2020-01-01')", "b"),
        ("created = TIMESTAMP('2020-12-31T23:00:00Z')", "a"),
        ("created < '2020-12-31T23:30:00Z'", "a"),
        ("T_INTERSECTS(datetime, TIMESTAMP('2019-05-01T00:00:00Z'))", "b"),
        ("T_DURING(datetime, INTERVAL('2020-01-01', '..'))", "a"),
        ("T_EQUALS(datetime, INTERVAL('2019-01-01T00:00:00Z', '2019-12-31T23:59:59Z'))", "b"),
        ("T_INTERSECTS(created, DATE('2020-12-31'))", "a"),
        ("T_DURING(INTERVAL(start_datetime, end_datetime), INTERVAL('2018-01-01', '2020-01-01'))", "b"),
        ("A_CONTAINS(\"cube:variables\", ('t'))", "a"),
        ("A_OVERLAPS(\"cube:variables\", ('t', 'u'))", "ab"),
        ('A_CONTAINS("cube:dimensions.lev.values", (850))', "a"),
        ("\"cube:variables.t.unit\" = 'K'", "a"),
        ("\"cube:variables.t\" IS NOT NULL", "a"),
        ("absent = 1", ""),
        ("NOT absent = 1", ""),
        ("absent = 1 OR n = 1", "a"),
        ("TRUE AND n > 0", "ab"),
        ("s = ''' or 1=1; drop table items; --'", ""),
    ],
)  # fmt: skip
def test_text(repository: EmbeddedRepository, text: str, expected: str) -> None:
    repository.replace({"id": "c", "links": []}, ITEMS, "")
    assert matching(repository, text) == set(expected)
    assert matching(repository, text, filter_lang="cql2-text") == set(expected)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"op": "between", "args": [{"property": "n"}, [1, 2]]}, "a"),
        ({"op": "S_Intersects", "args": [{"property": "geometry"}, {"bbox": [0, 40, 0, 10, 60, 9]}]}, "a"),
        ({"op": "=", "args": [{"property": "datetime"}, {"timestamp": "2020-06-01T02:00:00+02:00"}]}, "a"),
        ({"op": "t_after", "args": [{"property": "datetime"}, "2019-12-31T23:59:59Z"]}, "a"),
        ({"op": "=", "args": [1, 1]}, "ab"),
        ({"op": "=", "args": [{"property": "n"}, 2**70]}, ""),
    ],
)
def test_json(repository: EmbeddedRepository, tree: Node, expected: str) -> None:
    repository.replace({"id": "c", "links": []}, ITEMS, "")
    assert matching(repository, tree) == set(expected)


def test_a_filter_and_the_other_parameters_are_all_asked(repository: EmbeddedRepository) -> None:
    repository.replace({"id": "c", "links": []}, ITEMS, "")
    assert matching(repository, "n > 0", bbox=(0, 0, 90, 90)) == {"a"}
    assert matching(repository, "n > 0", datetime="2019-01-01T00:00:00Z/2019-02-01T00:00:00Z") == {"b"}
    assert matching(repository, "n > 0", query={"n": {"eq": 1}}) == {"a"}


TEXT_REFUSED = [
    " ", "n =", "n = 1 AND", "=", "(n = 1", "n = 1)", "'", '"', "n = 'x", "1", "'x'", "n = 1; drop table items",
    "foo(n) = 1", "n = foo(1)", "geometry = 1", "n = geometry", "s_intersects(n, POINT(0 0))",
    "s_intersects(geometry, POINT(1e999 0))", "s_intersects(geometry, POLYGON((0 0, 1 1)))", "s_intersects(geometry)",
    "s_within(POINT(0 0), POINT(0 0))", "datetime > 5", "datetime = 'soon'", "t_after(datetime, 'soon')",
    "t_after(datetime, INTERVAL('2020-01-02', '2020-01-01'))", "t_after(5, 6)", "n = 1e999", "1 = 'x'", "n LIKE s",
    "n LIKE 5", "\"a'b\" = 1", '"a""b" = 1', '"$.x" = 1', '"" = 1', "\"a]b\" = 1", "n = \x00", "n = CASEI(5)",
    "CASEI(n, s) = 'x'", "n IN (s)", "n IS NULL IS NULL", "(n = 1) = TRUE", "NOT 5",
    "\ud800", "n = '\ud800'", "🦀", "n = 1 AND " * 3,
]  # fmt: skip
TREES_REFUSED: list[Any] = [
    5, [], None, {}, {"op": 5}, {"op": "="}, {"op": "=", "args": {}}, {"op": "=", "args": [1]},
    {"op": "nothing", "args": []}, {"op": "and", "args": []}, {"op": "not", "args": []},
    {"op": "=", "args": [{"property": 5}, 1]}, {"op": "=", "args": [{"property": "a' or 1=1 --"}, 1]},
    {"op": "=", "args": [{"property": 'a"b'}, 1]}, {"op": "=", "args": [{"property": "n"}, None]},
    {"op": "=", "args": [{"property": "n"}, [1]]}, {"op": "=", "args": [{"property": "n"}, "\ud800"]},
    {"op": "=", "args": [{"property": "n"}, 10**400]}, {"op": "in", "args": [{"property": "n"}, 5]},
    {"op": "in", "args": [{"property": "n"}, [[1]]]}, {"op": "between", "args": [{"property": "n"}, [1]]},
    {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Point", "coordinates": [10**400, 0]}]},
    {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": [1, 2]}]},
    {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": [10**400, 0, 1, 1]}]},
    {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": [0, 1, 1, 0]}]},
    {"op": "t_after", "args": [{"property": "datetime"}, {"timestamp": 5}]},
    {"op": "t_after", "args": [{"property": "datetime"}, {"interval": ["..", 5]}]},
    {"op": "isNull", "args": [5]}, {"op": "a_contains", "args": [[{}], [1]]},
]  # fmt: skip


@pytest.mark.parametrize("given", [*TEXT_REFUSED, *TREES_REFUSED], ids=repr)
def test_what_is_no_filter_is_refused(repository: EmbeddedRepository, given: Any) -> None:
    repository.replace({"id": "c", "links": []}, ITEMS, "")
    with pytest.raises(InvalidQueryError) as caught:
        repository.search(item_query(filter_expr=given if given is not None else "null", filter_lang=None))
    assert caught.value.parameter == "filter"


def test_only_the_known_languages_and_crs() -> None:
    with pytest.raises(InvalidQueryError) as caught:
        read_filter("n = 1", "cql")
    assert caught.value.parameter == "filter-lang"
    with pytest.raises(InvalidQueryError) as caught:
        read_filter("n = 1", None, "EPSG:3857")
    assert caught.value.parameter == "filter-crs"
    assert read_filter("n = 1", None, "http://www.opengis.net/def/crs/OGC/1.3/CRS84") == read_filter("n = 1", None)


HUGE = [
    "'(' * 1550 + 'a=1' + ')' * 1550",
    "' AND '.join(['a=1'] * 16400)",
    "'NOT ' * 100_000 + 'a=1'",
    "'NOT ' * 2_000 + 'a=1'",
    "'a=' + '-' * 8_000 + '1'",
    "'a=1' + '-1' * 4_000",
    "'a=1' + ' - 1' * 2_000",
    "' or '.join(['a=1'] * 1_000)",
    "'a=' + 'f(' * 2_000 + '1' + ')' * 2_000",
    "'s_intersects(geometry,' + 'GEOMETRYCOLLECTION(' * 400 + 'POINT(0 0)' + ')' * 401",
    '"\'" * 8_000',
    "'\"' * 8_001",
    "'a=1and ' * 1_100 + 'a=1'",
    "'1and ' * 1_600 + 'a=1'",
    "'a^' * 4_000 + '1=1'",
    "'a=1' + ' is null' * 1_000",
    "'[' * 8_000",
    "'a in ((((' * 900",
    "'a like ' * 1_100",
    "'a between 1 and ' * 500",
]
HOSTILE = """
import sys, time
from catalog.filter_sql import compile_filter
from catalog.filter_text import read_filter
from catalog.filter_sql import compile_filter
from plugins.datacube.errors import InvalidQueryError
text = {text}
started = time.monotonic()
try:
    compile_filter(read_filter(text, None))
except InvalidQueryError as error:
    print("refused", time.monotonic() - started)
else:
    print("accepted", time.monotonic() - started)
"""


def test_no_text_ends_the_process() -> None:
    """All in a process of its own, one thread with the small stack that a server's threads may have."""
    script = "import threading\nthreading.stack_size(1 << 20)\ndef run():\n"
    for text in HUGE:
        script += "".join(f"    {line}\n" for line in HOSTILE.format(text=text).strip().splitlines())
    script += "thread = threading.Thread(target=run)\nthread.start()\nthread.join()\n"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [line.split() for line in done.stdout.splitlines()]
    assert [answer[0] for answer in answers] == ["refused"] * len(HUGE)


def test_json_is_bounded_too() -> None:
    leaf = {"op": "=", "args": [{"property": "a"}, 1]}
    deep = leaf
    for _ in range(NESTING_LIMIT + 1):
        deep = {"op": "not", "args": [deep]}
    for tree in (
        deep,
        {"op": "and", "args": [leaf] * (TERMS_LIMIT + 1)},
        {"op": "in", "args": [{"property": "a"}, [1] * 100_000]},
        {"op": "and", "args": [[[[[[leaf]]]]]]},
    ):
        with pytest.raises(InvalidQueryError):
            compile_filter(read_filter(tree, None))
    with pytest.raises(InvalidQueryError):
        read_filter("[" * 50_000, "cql2-json")


@pytest.mark.parametrize("depth", range(1, NESTING_LIMIT + 1))
def test_whatever_is_short_enough_is_answered_or_refused(repository: EmbeddedRepository, depth: int) -> None:
    """SQLite's own parser nests less deep than ours allows: that is the client's error too, not the server's."""
    repository.replace({"id": "c", "links": []}, ITEMS, "")
    tree: Node = {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": [0, 0, 90, 90]}]}
    for level in range(depth):
        tree = (
            op("not", tree)
            if level % 2
            else op("or", {"op": "=", "args": [{"property": "n"}, {"property": "s"}]}, tree)
        )
    try:
        matching(repository, tree)
    except InvalidQueryError as error:
        assert depth > 16
        assert error.parameter == "filter"  # noqa: PT017


def test_long_lists_and_polygons_fit(repository: EmbeddedRepository) -> None:
    repository.replace({"id": "c", "links": []}, ITEMS, "")
    assert matching(repository, f"n IN ({','.join(['1'] * 2000)})") == {"a"}
    ring = ", ".join(f"{x / 10} 60" for x in range(500)) + ", 49.9 40, 0 40, 0 60"
    text = f"s_intersects(geometry, POLYGON(({ring})))"
    assert len(text) < TEXT_LIMIT
    assert matching(repository, text) == {"a"}
    negative = ", ".join(f"-{x / 10} -10" for x in range(500, 1000)) + ", -99.9 10, -50 10, -50 -10"
    assert matching(repository, f"s_intersects(geometry, POLYGON(({negative})))") == {"b"}
    assert matching(repository, " OR ".join(["n = 1"] * 100)) == {"a"}
    assert matching(repository, "(" * NESTING_LIMIT + "n = 1" + ")" * NESTING_LIMIT) == {"a"}


@settings(max_examples=200, deadline=None)
@given(st.text("ab\\%_\n", max_size=8), st.text("ab%_\\\n", max_size=8))
def test_like_is_that_of_a_regular_expression(text: str, pattern: str) -> None:
    if pattern.endswith("\\") and (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        pattern += "\\"
    translated = re.sub(
        r"\\.|.", lambda found: {"%": ".*", "_": "."}.get(found[0], re.escape(found[0][-1])), pattern, flags=re.DOTALL
    )
    assert text_like(text, pattern) == (re.fullmatch(translated, text, re.DOTALL) is not None)


def test_a_pattern_cannot_take_long() -> None:
    started = time.process_time()
    assert text_like("a" * 2_000, "%a" * 500 + "%b") is False
    assert text_like("a" * 2_000, "%_a" * 300 + "%b") is False
    # The usual backtracking would not end before the sun does.
    assert time.process_time() - started < 30


def test_a_search_that_takes_too_long_is_stopped(
    repository: EmbeddedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{**ITEMS[0], "id": f"i{n}"} for n in range(2_000)]
    repository.replace({"id": "c", "links": []}, many, "")
    monkeypatch.setattr("catalog.connections.SEARCH_SECONDS", -1.0)
    with pytest.raises(BusyError):
        repository.search(item_query(filter_expr=" OR ".join(["n = 7"] * 50)))
    monkeypatch.undo()
    assert matching(repository, "n = 7") == set()


WORDS = st.sampled_from(
    ["n", "=", "1", "'x'", "(", ")", "AND", "OR", "NOT", "LIKE", "IN", "BETWEEN", "IS", "NULL", ",", "-", "POINT",
     "s_intersects", "geometry", "INTERVAL", "'..'", "datetime", "t_after", "casei", '"a b"', "TRUE", "+", "é", "\n"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=60))
def test_nothing_a_client_writes_is_a_failure(repository: EmbeddedRepository, text: str) -> None:
    try:
        repository.search(item_query(filter_expr=text))
    except InvalidQueryError as error:
        assert error.parameter == "filter"  # noqa: PT017
