"""Which tables does the embedded catalogue have, and what is put into them?

Values of a client are always bound, never part of a statement's text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import orjson

from catalog.document import Document
from catalog.footprints import Footprint, extent_of_collection, footprint_of

SCHEMA_VERSION = 2
_SCHEMA = """
create table collections(
  id text primary key,
  t0 integer not null,
  t1 integer not null,
  west real, south real, east real, north real,
  words text not null,
  json text not null,
  digest text) without rowid;
create table items(
  pk integer primary key autoincrement,
  collection text not null references collections(id) on delete cascade,
  id text not null,
  t0 integer not null,
  t1 integer not null,
  dt integer not null,
  west real, south real, east real, north real,
  is_box integer not null,
  wkb blob,
  words text not null,
  props text not null,
  json text not null,
  unique(collection, id));
create index items_by_time on items(t0 desc, pk desc);
create index items_by_collection on items(collection, t0 desc, pk desc);
create index items_by_datetime on items(dt desc, pk desc);
create index items_by_id on items(id);
create index items_by_length on items(t1 - t0);
create virtual table footprints using rtree(id, xmin, xmax, ymin, ymax, +west, +south, +east, +north);
create trigger items_deleted after delete on items begin
  delete from footprints where id in (old.pk * 2, old.pk * 2 + 1);
end;
"""
# A footprint's id is the item's pk * 2, and pk * 2 + 1 for the part beyond the antimeridian. The R*Tree rounds to
# float32, outwards; the auxiliary columns keep the exact box. An item's own west is greater than its east where it
# crosses the antimeridian. The properties stand apart and before the document, so that a filter need not read it.
_DROPPED = ("trigger if exists items_deleted", "table if exists footprints", "table if exists items",
            "table if exists collections")  # fmt: skip


def put_collection(connection: sqlite3.Connection, document: Document, digest: str | None) -> None:
    """Insert or update a collection; `digest` is None for one that was not harvested."""
    box, start, end = extent_of_collection(document)
    connection.execute(
        "insert into collections(id, t0, t1, west, south, east, north, words, json, digest)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " on conflict(id) do update set t0 = excluded.t0, t1 = excluded.t1, west = excluded.west,"
        " south = excluded.south, east = excluded.east, north = excluded.north, words = excluded.words,"
        " json = excluded.json, digest = excluded.digest",
        (document["id"], start, end, *(box or (None,) * 4), _words(document, document), _json(document), digest),
    )


def put_item(connection: sqlite3.Connection, item: Document) -> None:
    """Insert or update an item with its footprint; an updated one keeps its place among equal dates."""
    place = footprint_of(item)
    properties = item.get("properties") or {}
    pk = connection.execute(
        "insert into items(collection, id, t0, t1, dt, west, south, east, north, is_box, wkb, words, props, json)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " on conflict(collection, id) do update set t0 = excluded.t0, t1 = excluded.t1, dt = excluded.dt,"
        " west = excluded.west, south = excluded.south, east = excluded.east, north = excluded.north,"
        " is_box = excluded.is_box, wkb = excluded.wkb, words = excluded.words, props = excluded.props,"
        " json = excluded.json returning pk",
        (
            item["collection"], item["id"], place.start, place.end, place.instant, *_whole(place), place.is_box,
            place.wkb, _words(item, properties), _json(properties), _json(item),
        ),
    ).fetchone()[0]  # fmt: skip
    connection.execute("delete from footprints where id in (?, ?)", (pk * 2, pk * 2 + 1))
    for part, (west, south, east, north) in enumerate(place.boxes):
        connection.execute(
            "insert into footprints(id, xmin, xmax, ymin, ymax, west, south, east, north)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (pk * 2 + part, west, east, south, north, west, south, east, north),
        )


def creation(version: int) -> Iterator[str]:
    """Yield the statements that make the tables, one by one, so that they run inside a transaction of ours.

    Parameters
    ----------
    version : int
        That the file has; tables of an earlier one are dropped, since a harvest fills them again.
    """
    if version:
        yield from (f"drop {name}" for name in _DROPPED)
    statement = ""
    for line in _SCHEMA.strip().splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _whole(place: Footprint) -> tuple[float | None, ...]:
    """Return west, south, east, north of an item in one box, west > east where it crosses the antimeridian."""
    if not place.boxes:
        return (None,) * 4
    first, last = place.boxes[0], place.boxes[-1]
    return (first[0], first[1], last[2], first[3])


def _words(document: Document, properties: Document) -> str:
    """Return what a search for words looks through, in folded case."""
    keywords = properties.get("keywords")
    texts = [document.get("id"), properties.get("title"), properties.get("description")]
    texts += keywords if isinstance(keywords, list) else []
    return "\n".join(text for text in texts if isinstance(text, str)).casefold()


def _json(document: Document) -> str:
    return orjson.dumps(document).decode()
