"""Which statement finds the items of a search fastest?

Two plans. Where the box that is asked for holds few items, the R*Tree finds them and they are sorted; where it holds
many, the index of the order is walked, and the columns of the items' boxes are compared on the way, until the page is
full. A probe of the R*Tree, which stops counting at `FEW`, tells which of both it is.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson
import shapely

from catalog.extents import Box
from catalog.filter_sql import compile_filter, near_box
from catalog.filter_values import Sql
from catalog.footprints import as_geometry
from catalog.repository import ItemQuery

FEW = 2_000
_BOX = (
    "select id >> 1 from footprints where xmin <= ? and xmax >= ? and ymin <= ? and ymax >= ?"
    " and west <= ? and east >= ? and south <= ? and north >= ?"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Conditions on the table of items, and whether the R*Tree drives."""

    conditions: tuple[Sql, ...]
    by_place: bool

    def where(self, further: list[Sql]) -> tuple[str, tuple[Any, ...]]:
        """Return WHERE with its values; an empty text where nothing is asked."""
        return where([*self.conditions, *further])


def plan(connection: sqlite3.Connection, query: ItemQuery) -> Plan:
    """Return how to find the items of a query.

    Raises
    ------
    InvalidQueryError
        If the query's filter is none.
    """
    conditions = _named(query) + _timed(query)
    places = [] if query.boxes is None else [query.boxes]
    if query.boxes is not None:
        conditions.append(_exactly(query.boxes, query.geometry))
    if query.words:
        conditions.append(any_word(query.words))
    if query.filter is not None:
        compiled = compile_filter(query.filter)
        conditions += compiled.conditions
        places += compiled.boxes
    driver = None
    if places:
        count, index = min((_probe(connection, boxes), index) for index, boxes in enumerate(places))
        driver = index if count < FEW else None
    located = []
    for index, boxes in enumerate(places):
        if index == driver:
            statement, values = _found_by_place(boxes)
            located.append(Sql(f"pk in ({statement})", values))
        else:
            near = [near_box(box) for box in boxes]
            text = " or ".join(part.text for part in near)
            located.append(Sql(f"({text})", tuple(value for part in near for value in part.values)))
    return Plan((*located, *conditions), driver is not None)


def where(conditions: list[Sql]) -> tuple[str, tuple[Any, ...]]:
    """Join conditions to a WHERE clause with its values; none give an empty text."""
    text = " and ".join(condition.text for condition in conditions)
    return (f" where {text}" if text else "", tuple(v for condition in conditions for v in condition.values))


def any_word(words: tuple[str, ...]) -> Sql:
    """Return the condition that one of the words, in folded case, stands in the text of a document."""
    return Sql(f"({' or '.join(['instr(words, ?)'] * len(words))})", words)


def within_period(start: int | None, end: int | None) -> list[Sql]:
    """Return the conditions that a period ``t0`` to ``t1`` meets another."""
    conditions = [] if end is None else [Sql("t0 <= ?", (end,))]
    return conditions if start is None else [*conditions, Sql("t1 >= ?", (start,))]


def _named(query: ItemQuery) -> list[Sql]:
    return [
        Sql(f"{column} in (select value from json_each(?))", (orjson.dumps(names).decode(),))  # noqa: S608 - two names of ours
        for column, names in (("collection", query.collections), ("id", query.ids))
        if names is not None
    ]


def _timed(query: ItemQuery) -> list[Sql]:
    conditions = within_period(query.start, query.end)
    if query.start is not None:
        # No item begins earlier than the longest of all would have to; so older ones are not looked at.
        longest = "(select max(t1 - t0) from items)"
        conditions.append(Sql(f"t0 >= ? - {longest}", (query.start,)))
    return conditions


def _exactly(boxes: tuple[Box, ...], geometry: bytes | None) -> Sql:
    """Return the exact comparison with the boxes or with the geometry that they surround.

    A geometry that is a box, or whose box lies in the box that is asked for, is not read.
    """
    if geometry is not None:
        return Sql("(wkb is not null and footprint_intersects(wkb, ?))", (geometry,))
    inside = []
    values: list[float] = []
    for west, south, east, north in boxes:
        inside.append("(west <= east and west >= ? and east <= ? and south >= ? and north <= ?)")
        values += [west, east, south, north]
    text = f"(is_box or {' or '.join(inside)} or footprint_intersects(wkb, ?))"
    return Sql(text, (*values, shapely.to_wkb(as_geometry(boxes))))


def _found_by_place(boxes: tuple[Box, ...]) -> tuple[str, tuple[float, ...]]:
    values: list[float] = []
    for west, south, east, north in boxes:
        values += [east, west, north, south, east, west, north, south]
    return " union all ".join([_BOX] * len(boxes)), tuple(values)


def _probe(connection: sqlite3.Connection, boxes: tuple[Box, ...]) -> int:
    statement, values = _found_by_place(boxes)
    counted: int = connection.execute(
        f"select count(*) from (select 1 from ({statement}) limit {FEW})",  # noqa: S608 - no value of a client
        values,
    ).fetchone()[0]
    return counted
