"""Which tables does the embedded catalogue have, and what is put into them?

Values of a client are always bound, never part of a statement's text.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

import orjson

from catalog.document import Document
from catalog.extents import Box
from catalog.filter_values import indexed_expressions
from catalog.footprints import Footprint, extent_of_collection, footprint_of
from catalog.repository import Written
from plugins.datacube.errors import ConflictError, UnknownError

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
BATCH: Final = 1_000
"""Items that are written by one statement; so many are held in memory twice."""
_COLUMNS: Final = ("collection", "id", "t0", "t1", "dt", "west", "south", "east", "north", "is_box", "wkb", "words",
                   "props", "json")  # fmt: skip
_INSERT: Final = f"insert into items(pk, {', '.join(_COLUMNS)}) values ({', '.join('?' * (1 + len(_COLUMNS)))})"  # noqa: S608
_UPDATE: Final = f"update items set {', '.join(f'{name} = ?' for name in _COLUMNS)} where pk = ?"  # noqa: S608
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


def delete_collection(connection: sqlite3.Connection, collection: str) -> bool:
    """Delete a collection with its items; False where there was none."""
    connection.execute("delete from items where collection = ?", (collection,))
    return connection.execute("delete from collections where id = ?", (collection,)).rowcount > 0


def put_items(connection: sqlite3.Connection, items: Iterable[Document], *, replace: bool = True) -> Written:
    """Insert items with their footprints, many at a time.

    Those that are there are updated where they differ, and keep their place among equal dates; of several with one id
    the last counts. Unless they may be replaced: then one that is there, or comes twice, is an error.

    Raises
    ------
    UnknownError
        If an item names a collection that is not there.
    InvalidQueryError
        If an item has no date, or a geometry that is none.
    ConflictError
        If an item is there already and must not be replaced.
    """
    written = Written()
    for batch in itertools.batched(items, BATCH):
        rows = {(item["collection"], item["id"]): _row(item) for item in batch}
        known = _known(connection, rows)
        if not replace and (known or len(rows) < len(batch)):
            twice = next(iter(known), None) or _repeated(batch)
            raise ConflictError(f"there is an item {twice[1]!r} already")
        old = [(*row, known[name][0]) for name, row in rows.items() if name in known and known[name][1] != row[1][-1]]
        connection.executemany(_UPDATE, [(*values, pk) for _, values, pk in old])
        connection.executemany("delete from footprints where id in (?, ?)", [(pk * 2, pk * 2 + 1) for *_, pk in old])
        # The sequence never falls: a number is not given twice, so a page's token stays right after a deletion.
        last = connection.execute("select coalesce(max(seq), 0) from sqlite_sequence where name = 'items'").fetchone()[
            0
        ]
        fresh = (name for name in rows if name not in known)
        new = [(*rows[name], last + place) for place, name in enumerate(fresh, start=1)]
        connection.executemany(_INSERT, [(pk, *values) for _, values, pk in new])
        boxes = [(pk * 2 + part, *box) for places, _, pk in (*old, *new) for part, box in enumerate(places)]
        connection.executemany(
            "insert into footprints(id, xmin, xmax, ymin, ymax, west, south, east, north)"
            " values (?1, ?2, ?4, ?3, ?5, ?2, ?3, ?4, ?5)",
            boxes,
        )
        written += Written(len(new), len(old), len(batch) - len(new) - len(old))
    return written


def _repeated(batch: Sequence[Document]) -> tuple[str, str]:
    names = [(item["collection"], item["id"]) for item in batch]
    return next(name for name in names if names.count(name) > 1)


def _row(item: Document) -> tuple[tuple[Box, ...], tuple[Any, ...]]:
    """Return the boxes of an item, and its columns in the order of `_COLUMNS`."""
    place = footprint_of(item)
    properties = item.get("properties") or {}
    columns = (
        item["collection"], item["id"], place.start, place.end, place.instant, *_whole(place), place.is_box,
        place.wkb, _words(item, properties), _json(properties), _json(item),
    )  # fmt: skip
    return place.boxes, columns


def _known(connection: sqlite3.Connection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, str]]:
    """Return number and text of each item that is there already.

    Raises
    ------
    UnknownError
        If a collection is not there.
    """
    known: dict[tuple[str, str], tuple[int, str]] = {}
    by_collection: dict[str, list[str]] = {}
    for collection, item in names:
        by_collection.setdefault(collection, []).append(item)
    for collection, ids in by_collection.items():
        if connection.execute("select 1 from collections where id = ?", (collection,)).fetchone() is None:
            raise UnknownError(f"there is no collection {collection!r}")
        found = connection.execute(
            "select id, pk, json from items where collection = ? and id in (select value from json_each(?))",
            (collection, orjson.dumps(ids).decode()),
        )
        known |= {(collection, item): (pk, text) for item, pk, text in found}
    return known


def property_indexes(name: str) -> Iterator[tuple[str, str]]:
    """Yield name and statement of the indexes on a property.

    The time stands behind the value, so that the latest of the items that have it are found without sorting.
    """
    for expression in indexed_expressions(name):
        index = f"property_{sha256(expression.encode()).hexdigest()[:16]}"
        yield index, f"create index {index} on items({expression}, t0 desc, pk desc)"


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
