"""Which tables does the embedded catalogue have, and how does a query become SQL?

Values of a client are always bound, never part of a statement's text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import shapely

from catalog.document import Document
from catalog.footprints import as_geometry, footprint_of
from catalog.repository import ItemQuery

SCHEMA_VERSION = 1
_SCHEMA = """
create table collections(id text primary key, json text not null, digest text) without rowid;
create table items(
  pk integer primary key autoincrement,
  collection text not null references collections(id) on delete cascade,
  id text not null,
  t0 integer not null,
  t1 integer not null,
  wkb blob,
  is_box integer not null,
  json text not null,
  unique(collection, id));
create index items_by_time on items(t0 desc, pk desc);
create index items_by_collection on items(collection, t0 desc, pk desc);
create virtual table footprints using rtree(id, xmin, xmax, ymin, ymax, +west, +south, +east, +north);
create trigger items_deleted after delete on items begin
  delete from footprints where id in (old.pk * 2, old.pk * 2 + 1);
end;
"""
# A footprint's id is the item's pk * 2, and pk * 2 + 1 for the part beyond the antimeridian. The R*Tree rounds to
# float32, outwards; the auxiliary columns keep the exact box.
_BOX = (
    "select id >> 1 from footprints where xmin <= ? and xmax >= ? and ymin <= ? and ymax >= ?"
    " and west <= ? and east >= ? and south <= ? and north >= ?"
)


def put_collection(connection: sqlite3.Connection, document: Document, digest: str | None) -> None:
    """Insert or update a collection; `digest` is None for one that was not harvested."""
    connection.execute(
        "insert into collections(id, json, digest) values (?, ?, ?)"
        " on conflict(id) do update set json = excluded.json, digest = excluded.digest",
        (document["id"], orjson.dumps(document).decode(), digest),
    )


def put_item(connection: sqlite3.Connection, item: Document) -> None:
    """Insert or update an item with its footprint; an updated one keeps its place among equal dates."""
    place = footprint_of(item)
    pk = connection.execute(
        "insert into items(collection, id, t0, t1, wkb, is_box, json) values (?, ?, ?, ?, ?, ?, ?)"
        " on conflict(collection, id) do update set t0 = excluded.t0, t1 = excluded.t1, wkb = excluded.wkb,"
        " is_box = excluded.is_box, json = excluded.json returning pk",
        (item["collection"], item["id"], place.start, place.end, place.wkb, place.is_box, orjson.dumps(item).decode()),
    ).fetchone()[0]
    connection.execute("delete from footprints where id in (?, ?)", (pk * 2, pk * 2 + 1))
    for part, (west, south, east, north) in enumerate(place.boxes):
        connection.execute(
            "insert into footprints(id, xmin, xmax, ymin, ymax, west, south, east, north)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (pk * 2 + part, west, east, south, north, west, south, east, north),
        )


def conditions(query: ItemQuery) -> tuple[list[str], list[Any]]:
    """Return the conditions of a query as SQL with bound values; no value of a client ever becomes SQL text."""
    parts: list[str] = []
    values: list[Any] = []
    for column, names in (("collection", query.collections), ("id", query.ids)):
        if names is not None:
            parts.append(f"{column} in (select value from json_each(?))")  # noqa: S608
            values.append(orjson.dumps(names).decode())
    if query.end is not None:
        parts.append("t0 <= ?")
        values.append(query.end)
    if query.start is not None:
        parts.append("t1 >= ?")
        values.append(query.start)
    if query.boxes is not None:
        parts.append(f"pk in ({' union '.join([_BOX] * len(query.boxes))})")
        for west, south, east, north in query.boxes:
            values += [east, west, north, south, east, west, north, south]
        if query.geometry is None:
            parts.append("(is_box or footprint_intersects(wkb, ?))")
            values.append(shapely.to_wkb(as_geometry(query.boxes)))
    if query.geometry is not None:
        parts.append("wkb is not null and footprint_intersects(wkb, ?)")
        values.append(query.geometry)
    return parts, values


def where(parts: Sequence[str]) -> str:
    """Join conditions to a WHERE clause; none give an empty text."""
    return f" where {' and '.join(parts)}" if parts else ""


def creation() -> Iterator[str]:
    """Yield the statements that make the tables, one by one, so that they run inside a transaction of ours."""
    statement = ""
    for line in _SCHEMA.strip().splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
