"""When does a temporal function of CQL2 hold between two periods?

An instant is the period that begins and ends with it. The property ``datetime`` is the item's whole period.
"""

from __future__ import annotations

import re
from typing import Any

from catalog.filter_values import INSTANT, Sql, instant_of, property_value, wrong

_BEGINNING, _END = -(1 << 62), 1 << 62
_DAY = 86_400_000_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# {a} and {b} begin, {A} and {B} end the first and the second period.
_RELATIONS = {
    "t_after": "{a} > {B}",
    "t_before": "{A} < {b}",
    "t_contains": "{a} < {b} and {A} > {B}",
    "t_disjoint": "({A} < {b} or {a} > {B})",
    "t_during": "{a} > {b} and {A} < {B}",
    "t_equals": "{a} = {b} and {A} = {B}",
    "t_finishedby": "{a} < {b} and {A} = {B}",
    "t_finishes": "{a} > {b} and {A} = {B}",
    "t_intersects": "{a} <= {B} and {A} >= {b}",
    "t_meets": "{A} = {b}",
    "t_metby": "{a} = {B}",
    "t_overlappedby": "{a} > {b} and {a} < {B} and {A} > {B}",
    "t_overlaps": "{a} < {b} and {A} > {b} and {A} < {B}",
    "t_startedby": "{a} = {b} and {A} > {B}",
    "t_starts": "{a} = {b} and {A} < {B}",
}
TEMPORAL_OPERATORS = frozenset(_RELATIONS)


def temporal(operator: str, arguments: list[Any]) -> Sql:
    """Return a temporal predicate as SQL; unknown where an item has no such date."""
    if len(arguments) != 2:
        raise wrong(f"{operator} takes two dates or intervals")
    (a, a_end), (b, b_end) = (_period(argument) for argument in arguments)
    names = {"a": a, "A": a_end, "b": b, "B": b_end}
    relation = _RELATIONS[operator]
    order = re.findall(r"{(\w)}", relation)
    text = relation.format(**{name: part.text for name, part in names.items()})
    return Sql(f"({text})", tuple(value for name in order for value in names[name].values))


def _period(node: Any) -> tuple[Sql, Sql]:
    if isinstance(node, dict) and isinstance(name := node.get("property"), str):
        return (Sql("t0"), Sql("t1")) if name.removeprefix("properties.") == "datetime" else _edges(name)
    if isinstance(node, dict) and isinstance(interval := node.get("interval"), list) and len(interval) == 2:
        start, end = _edge(interval[0], _BEGINNING, 0), _edge(interval[1], _END, 1)
        if start.values and end.values and start.values[0] > end.values[0]:
            raise wrong("an interval of the filter ends before it begins")
        return start, end
    if isinstance(node, dict) and set(node) in ({"timestamp"}, {"date"}):
        node = next(iter(node.values()))
    if not isinstance(node, str):
        raise wrong("a temporal function takes dates, intervals or properties that are dates")
    return _edge(node, None, 0), _edge(node, None, 1)


def _edges(name: str) -> tuple[Sql, Sql]:
    moment = property_value(name).kinds.get(INSTANT)
    if moment is None:
        raise wrong("a temporal function takes dates, intervals or properties that are dates")
    return moment, moment


def _edge(node: Any, opened: int | None, end: int) -> Sql:
    """Return the beginning of a period, or with `end` 1 its end: that of a date is the last of its microseconds."""
    if isinstance(node, dict) and isinstance(name := node.get("property"), str):
        edges = (Sql("dt"), Sql("dt")) if name.removeprefix("properties.") == "datetime" else _edges(name)
        return edges[end]
    if isinstance(node, dict) and set(node) in ({"timestamp"}, {"date"}):
        node = next(iter(node.values()))
    if node in ("..", "") and opened is not None:
        return Sql("?", (opened,))
    moment = instant_of(node)
    return Sql("?", (moment + (_DAY - 1 if end and _DATE.fullmatch(node) else 0),))
