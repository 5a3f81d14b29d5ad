"""How does a CQL2 filter become conditions of a SQL statement?

Every predicate is true, false or unknown in the same way as in SQL, so AND, OR and NOT are SQL's. What stands on the
outermost level and is joined by AND becomes conditions of their own, for which SQLite may use an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import shapely

from catalog.document import Document
from catalog.extents import Box
from catalog.filter_time import TEMPORAL_OPERATORS, temporal
from catalog.filter_values import (
    BOOLEAN,
    INSTANT,
    NUMBER,
    TEXT,
    Sql,
    Value,
    compare,
    extraction,
    is_finite,
    literal,
    property_value,
    text_of,
    value_of,
    wrong,
)
from catalog.footprints import as_geometry, split
from catalog.geometries import read_geometry
from catalog.sql_functions import ARRAY_OPERATORS, SPATIAL_OPERATORS

_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_CONVERSE = {"s_within": "s_contains", "s_contains": "s_within"}
_GEOMETRIES_LIMIT = 20
VALID_PREDICATES = "comparisons, LIKE, BETWEEN, IN, IS NULL, AND, OR, NOT, and the functions s_…, t_… and a_… of CQL2"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A filter as SQL."""

    conditions: tuple[Sql, ...]
    """All must be true."""
    boxes: tuple[tuple[Box, ...], ...]
    """For each spatial condition of the outermost level: the item's box meets one of these."""


def compile_filter(tree: Document | bool) -> Compiled:
    """Return the conditions of a filter on the table of items.

    Parameters
    ----------
    tree : dict or bool
        CQL2 JSON, bounded by `catalog.filter_text.read_filter`.

    Raises
    ------
    InvalidQueryError
        If it is no filter: an unknown operator, a wrong number of arguments, values of different kinds.
    """
    compiler = _Compiler()
    conditions: list[Sql] = []
    boxes: list[tuple[Box, ...]] = []
    todo: list[Any] = [tree]
    while todo:
        node = todo.pop()
        operator, arguments = _operation(node)
        if operator == "and" and arguments:
            todo += reversed(arguments)
        elif operator in SPATIAL_OPERATORS - {"s_disjoint"}:
            condition, its_boxes = compiler.spatial(operator, arguments)
            conditions.append(condition)
            boxes.append(its_boxes)
        else:
            conditions.append(compiler.predicate(node))
    return Compiled(tuple(conditions), tuple(boxes))


class _Compiler:
    """The state of one compilation: how many geometries there were."""

    def __init__(self) -> None:
        self._geometries = 0

    def predicate(self, node: Any) -> Sql:
        """Return a condition that is 1, 0 or NULL."""
        if isinstance(node, bool):
            return Sql("1" if node else "0")
        if isinstance(node, dict) and isinstance(name := node.get("property"), str):
            flag = property_value(name).kinds.get(BOOLEAN)
            if flag is None:
                raise wrong("the filter uses a property as a condition that is none")
            return flag
        operator, arguments = _operation(node)
        if operator in ("and", "or"):
            parts = [self.predicate(argument) for argument in _flat(operator, arguments)]
            if not parts:
                raise wrong(f"{operator} takes conditions")
            return _joined(f" {operator} ", parts)
        if operator == "not":
            inner = self.predicate(_only(operator, arguments))
            return Sql(f"(not {inner.text})", inner.values)
        if operator in SPATIAL_OPERATORS:
            return self._nested_spatial(operator, arguments)
        return _scalar_predicate(operator, arguments)

    def spatial(self, operator: str, arguments: list[Any]) -> tuple[Sql, tuple[Box, ...]]:
        """Return the exact condition, and the boxes that the item's must meet for it to be true."""
        self._geometries += 1
        if len(arguments) != 2 or self._geometries > _GEOMETRIES_LIMIT:
            raise wrong(f"{operator} takes two geometries, at most {_GEOMETRIES_LIMIT} times in a filter")
        first, second = arguments
        if not _is_geometry_property(first):
            first, second, operator = second, first, _CONVERSE.get(operator, operator)
        if not _is_geometry_property(first) or not isinstance(second, dict) or "property" in second:
            raise wrong(f"{operator} takes the property geometry and a geometry")
        geometry = _bbox(second["bbox"]) if "bbox" in second else read_geometry("filter", second)
        return (
            Sql("spatial(?, wkb, ?)", (operator, shapely.to_wkb(geometry))),
            split(shapely.bounds(geometry).tolist()),
        )

    def _nested_spatial(self, operator: str, arguments: list[Any]) -> Sql:
        """Return the condition for a place where its being false or unknown matters; far items cost no geometry."""
        exact, boxes = self.spatial(operator, arguments)
        near = _joined(" or ", [near_box(box) for box in boxes])
        elsewhere = "1" if operator == "s_disjoint" else "0"
        text = f"(case when wkb is null then null when {near.text} then {exact.text} else {elsewhere} end)"
        return Sql(text, (*near.values, *exact.values))


def _scalar_predicate(operator: str, arguments: list[Any]) -> Sql:
    """Return a condition that has no other condition and no geometry in it."""
    if operator in TEMPORAL_OPERATORS:
        return temporal(operator, arguments)
    if operator in ARRAY_OPERATORS:
        return _array(operator, arguments)
    if operator in _COMPARISONS:
        if len(arguments) != 2:
            raise wrong(f"{operator} takes two values")
        return compare(operator, value_of(arguments[0]), value_of(arguments[1]))
    match operator:
        case "like":
            return _like(arguments)
        case "between":
            return _between(arguments)
        case "in":
            return _in(arguments)
        case "isnull":
            return _is_null(_only(operator, arguments))
        case _:
            raise wrong("the filter has something that is no condition where one must stand", VALID_PREDICATES)


def near_box(box: Box) -> Sql:
    """Return the condition that the item's box meets a box; the item's west is greater than its east where it crosses
    the antimeridian.
    """  # noqa: D205 - one sentence
    west, south, east, north = box
    text = (
        "(south <= ? and north >= ? and case when west <= east then west <= ? and east >= ?"
        " else west <= ? or east >= ? end)"
    )
    return Sql(text, (north, south, east, west, east, west))


def _operation(node: Any) -> tuple[str, list[Any]]:
    """Return operator and arguments of a node; an empty operator for one that has none."""
    if not isinstance(node, dict) or not isinstance(operator := node.get("op"), str):
        return "", []
    arguments = node.get("args")
    if not isinstance(arguments, list):
        raise wrong("an operator of the filter has no list of arguments", '{"op": …, "args": […]}')
    return operator.lower(), arguments


def _flat(operator: str, arguments: list[Any]) -> list[Any]:
    """Return the arguments of AND or OR with those of the same operator inside it: SQLite's parser nests little."""
    flat: list[Any] = []
    todo = list(reversed(arguments))
    while todo:
        node = todo.pop()
        its_operator, its_arguments = _operation(node)
        if its_operator == operator and its_arguments:
            todo += reversed(its_arguments)
        else:
            flat.append(node)
    return flat


def _only(operator: str, arguments: list[Any]) -> Any:
    if len(arguments) != 1:
        raise wrong(f"{operator} takes one argument")
    return arguments[0]


def _like(arguments: list[Any]) -> Sql:
    if len(arguments) != 2:
        raise wrong("like takes a property and a pattern")
    text, pattern = text_of(value_of(arguments[0])), value_of(arguments[1]).literal
    if not isinstance(pattern, str):
        raise wrong("the pattern of like must be a text")
    return Sql(f"text_like({text.text}, ?)", (*text.values, pattern))


def _between(arguments: list[Any]) -> Sql:
    # The drafts of CQL2 had the bounds in a list of their own, and clients still write so.
    if len(arguments) == 2 and isinstance(arguments[1], list):
        arguments = [arguments[0], *arguments[1]]
    if len(arguments) != 3:
        raise wrong("between takes a value and two bounds")
    value, low, high = (value_of(argument) for argument in arguments)
    return _joined(" and ", [compare(">=", value, low), compare("<=", value, high)])


def _in(arguments: list[Any]) -> Sql:
    if len(arguments) != 2 or not isinstance(arguments[1], list):
        raise wrong("in takes a value and a list")
    value = value_of(arguments[0])
    listed: dict[str, list[Any]] = {}
    for node in arguments[1]:
        member = value_of(node)
        if member.literal is None:
            raise wrong("the list of in must be of constants")
        kinds = [kind for kind in (NUMBER, TEXT, BOOLEAN, INSTANT) if kind in member.kinds and kind in value.kinds]
        if not kinds:
            raise wrong("the filter compares values of different kinds")
        listed.setdefault(kinds[0], []).append(member.kinds[kinds[0]].values[0])
    if not listed:
        return Sql("0")
    return _joined(" or ", [_among(value, kind, members) for kind, members in listed.items()])


def _among(value: Value, kind: str, members: list[Any]) -> Sql:
    asked = value.kinds[kind]
    text = f"{asked.text} in (select value from json_each(?))"  # noqa: S608 - SQL of ours, values are bound
    return Sql(text, (*asked.values, orjson.dumps(members).decode()))


def _is_null(node: Any) -> Sql:
    if not isinstance(node, dict) or not isinstance(name := node.get("property"), str):
        raise wrong("IS NULL takes a property")
    match name:
        case "geometry" | "bbox":
            return Sql("(wkb is null)")
        case "id" | "collection" | "datetime" | "properties.datetime":
            return Sql("0")
        case _:
            return Sql(f"({extraction(name)[1]} is null)")


def _array(operator: str, arguments: list[Any]) -> Sql:
    if len(arguments) != 2:
        raise wrong(f"{operator} takes two arrays")
    first, second = (_array_value(argument) for argument in arguments)
    return Sql(f"array_is(?, {first.text}, {second.text})", (operator, *first.values, *second.values))


def _array_value(node: Any) -> Sql:
    if isinstance(node, list):
        for member in node:
            literal(member)
        return Sql("?", (orjson.dumps(node).decode(),))
    if isinstance(node, dict) and isinstance(name := node.get("property"), str):
        kind, value = extraction(name)
        return Sql(f"(case when {kind} in ('array', 'object') then {value} end)")
    raise wrong("an array function takes properties and lists of constants")


def _is_geometry_property(node: Any) -> bool:
    return isinstance(node, dict) and node.get("property") in ("geometry", "bbox")


def _bbox(given: Any) -> shapely.Geometry:
    if not isinstance(given, list) or len(given) not in (4, 6) or not all(is_finite(edge) for edge in given):
        raise wrong("a bbox of the filter must be four or six finite numbers")
    half = len(given) // 2
    if given[1] > given[half + 1]:
        raise wrong("a bbox of the filter must have its south before its north")
    return shapely.union_all([as_geometry((part,)) for part in split(given)])


def _joined(between: str, parts: list[Sql]) -> Sql:
    text = between.join(part.text for part in parts)
    return Sql(f"({text})", tuple(value for part in parts for value in part.values))
