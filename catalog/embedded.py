"""How does one SQLite file keep a catalogue: collections, items, and what a search needs to find them?

`catalog.connections` opens the file, `catalog.tables` says what is in it. Items are found through an R*Tree (space), an
index on time, or the names (`catalog.plans`); exact geometries are compared by GEOS only where an item's footprint is
not its bounding box.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson

from catalog import tables, tokens
from catalog.connections import Connections, bounded
from catalog.counting import counting
from catalog.document import Document
from catalog.filter_sql import near_box
from catalog.filter_values import Sql
from catalog.plans import any_word, plan, where, within_period
from catalog.repository import (
    BUCKETS_LIMIT,
    HARVESTED,
    MATCHED_LIMIT,
    Buckets,
    CollectionQuery,
    Extremes,
    Heading,
    Interval,
    ItemQuery,
    Kept,
    Page,
    Revision,
    Written,
)
from catalog.sorting import order_of
from plugins.datacube.errors import ConflictError, UnknownError

SAMPLES = 200
"""Items that are looked at to tell by what can be filtered."""


class EmbeddedRepository:
    """A `catalog.repository.Repository` in one SQLite file.

    Connections are pooled: one belongs to one thread while it is in use, and never crosses a fork.

    Parameters
    ----------
    path : Path
        The file; made with its folder where it does not exist.

    Raises
    ------
    StorageError
        If the file cannot be opened, is not a database, or was written by a later version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = Connections(path)

    def upsert_collection(self, document: Document) -> None:
        """Put a collection in place of the one with the same id; its items stay."""
        with self._connections.writing() as connection:
            tables.put_collection(connection, document, None)

    def replace(self, document: Document, items: Sequence[Document], digest: str) -> None:
        """Put a harvested collection with exactly these items in place of what was there, in one transaction."""
        with self._connections.writing() as connection:
            tables.put_collection(connection, document, digest)
            kept = orjson.dumps([item["id"] for item in items]).decode()
            connection.execute(
                "delete from items where collection = ? and id not in (select value from json_each(?))",
                (document["id"], kept),
            )
            tables.put_items(connection, items)

    def get_collection(self, collection: str) -> Document | None:
        """Return a collection, or None."""
        return self._document("select json from collections where id = ?", collection)

    def list_collections(self, query: CollectionQuery) -> Page:
        """Return a page of collections, by id."""
        conditions = within_period(query.start, query.end)
        if query.boxes is not None:
            near = [near_box(box) for box in query.boxes]
            text = " or ".join(part.text for part in near)
            conditions.append(Sql(f"({text})", tuple(value for part in near for value in part.values)))
        if query.words:
            conditions.append(any_word(query.words))
        after = tokens.read(query.token, ((str,),))[0] if query.token else ""
        matching, values = where(conditions)
        following, page_values = where([Sql("id > ?", (after,)), *conditions])
        with self._connections.reading() as connection:
            rows = connection.execute(
                f"select id, json from collections{following} order by id limit ?",  # noqa: S608
                (*page_values, query.limit + 1),
            ).fetchall()
            matched = connection.execute(f"select count(*) from collections{matching}", values).fetchone()[0]  # noqa: S608
        token = tokens.write((rows[query.limit - 1][0],)) if len(rows) > query.limit else None
        return Page(tuple(orjson.loads(text) for _, text in rows[: query.limit]), token, matched)

    def headings(self) -> tuple[Heading, ...]:
        """Return id and title of every collection, by id."""
        with self._connections.reading() as connection:
            rows = connection.execute("select id, json_extract(json, '$.title') from collections order by id")
            return tuple(Heading(*row) for row in rows)

    def item_headings(self, collection: str, limit: int) -> tuple[Heading, ...]:
        """Return id and title of items of a collection, the latest first, at most `limit`."""
        titled = "select id, json_extract(props, '$.title') from items"
        statement = f"{titled} where collection = ? order by t0 desc, pk desc limit ?"
        with self._connections.reading() as connection:
            return tuple(Heading(*row) for row in connection.execute(statement, (collection, limit)))

    def has_more(self, limit: int) -> bool:
        """Return whether any collection has more than `limit` items."""
        # Only as far as it matters is counted.
        statement = (
            "select exists(select 1 from collections c where"
            " exists(select 1 from items where collection = c.id limit 1 offset ?))"
        )
        with self._connections.reading() as connection:
            return bool(connection.execute(statement, (limit,)).fetchone()[0])

    def digests(self) -> Mapping[str, str]:
        """Return the digest of every harvested collection, by id."""
        with self._connections.reading() as connection:
            return dict(connection.execute("select id, digest from collections where digest is not null").fetchall())

    def delete_collection(self, collection: str) -> bool:
        """Delete a collection with its items; False where there was none."""
        with self._connections.writing() as connection:
            return tables.delete_collection(connection, collection)

    def upsert_items(self, items: Iterable[Document]) -> int:
        """Put items in place of those with the same id, all or none; return how many."""
        with self._connections.writing() as connection:
            return tables.put_items(connection, items).total

    def get_item(self, collection: str, item: str) -> Document | None:
        """Return an item, or None."""
        return self._document("select json from items where collection = ? and id = ?", collection, item)

    def delete_item(self, collection: str, item: str) -> bool:
        """Delete an item; False where there was none."""
        with self._connections.writing() as connection:
            statement = "delete from items where collection = ? and id = ?"
            return connection.execute(statement, (collection, item)).rowcount > 0

    def insert_items(self, collection: str, items: Iterable[Document], *, replace: bool) -> Written:
        """Put items into a collection that was not harvested, all or none."""
        with self._connections.writing() as connection:
            if _harvested(connection, collection):
                raise ConflictError(HARVESTED)
            return tables.put_items(connection, items, replace=replace)

    def revise_collection(self, collection: str, revise: Revision) -> None:
        """Let a function decide about a collection; nobody writes between what it sees and what it says."""
        with self._connections.writing() as connection:
            row = connection.execute("select json, digest from collections where id = ?", (collection,)).fetchone()
            text, digest = row or (None, None)
            changed = revise(Kept(None if text is None else orjson.loads(text), digest is not None))
            if changed is not None:
                tables.put_collection(connection, changed, None)
            elif text is not None:
                tables.delete_collection(connection, collection)

    def revise_item(self, collection: str, item: str, revise: Revision) -> None:
        """Let a function decide about an item."""
        with self._connections.writing() as connection:
            harvested = _harvested(connection, collection)
            names = (collection, item)
            row = connection.execute("select json from items where collection = ? and id = ?", names).fetchone()
            changed = revise(Kept(None if row is None else orjson.loads(row[0]), harvested))
            if changed is not None:
                tables.put_items(connection, [changed])
            else:
                connection.execute("delete from items where collection = ? and id = ?", names)

    def search(self, query: ItemQuery) -> Page:
        """Return a page of items in their order, the latest first where none is asked."""
        order = order_of(query.sort)
        following = order.after(query.token) if query.token else []
        with self._connections.reading() as connection, bounded(connection):
            found = plan(connection, query)
            matching, values = found.where([])
            page, page_values = found.where(following)
            ordered = order.clause(indexed=not found.by_place)
            rows = connection.execute(
                f"select {order.selected}, json from items{page}{ordered} limit ?",  # noqa: S608
                (*page_values, query.limit + 1),
            ).fetchall()
            matched = connection.execute(
                f"select count(*) from (select 1 from items{matching} limit ?)",  # noqa: S608
                (*values, MATCHED_LIMIT + 1),
            ).fetchone()[0]
        token = order.token(rows[query.limit - 1][:-1]) if len(rows) > query.limit else None
        documents = tuple(orjson.loads(row[-1]) for row in rows[: query.limit])
        return Page(documents, token, matched if matched <= MATCHED_LIMIT else None)

    def extremes(self, query: ItemQuery) -> Extremes:
        """Return count and times of the items of a query."""
        with self._connections.reading() as connection, bounded(connection):
            matching, values = plan(connection, query).where([])
            statement = f"select count(*), min(t0), max(t1) from items{matching}"  # noqa: S608
            return Extremes(*connection.execute(statement, values).fetchone())

    def buckets(self, query: ItemQuery, name: str, interval: Interval) -> Buckets:
        """Count the items of a query by a property."""
        with self._connections.reading() as connection, bounded(connection):
            matching, values = plan(connection, query).where([])
            rows = connection.execute(counting(name, interval, matching), values).fetchmany(BUCKETS_LIMIT + 1)
            if len(rows) <= BUCKETS_LIMIT:
                return Buckets(tuple(rows), 0)
            every = connection.execute(f"select sum(n) from ({counting(name, interval, matching)})", values)  # noqa: S608
            kept = tuple(rows[:BUCKETS_LIMIT])
            return Buckets(kept, every.fetchone()[0] - sum(count for _, count in kept))

    def samples(self, collection: str | None) -> Sequence[Document]:
        """Return the properties of some items: the latest of a collection, or the last of every collection."""
        if collection is None:
            statement = "select props from items where pk in (select max(pk) from items group by collection) limit ?"
        else:
            statement = "select props from items where collection = ? order by t0 desc, pk desc limit ?"
        values = (SAMPLES,) if collection is None else (collection, SAMPLES)
        with self._connections.reading() as connection:
            return tuple(orjson.loads(text) for (text,) in connection.execute(statement, values))

    def index(self, names: Iterable[str]) -> None:
        """Keep indexes on exactly these properties: filters that compare them, in the order of time, are quick."""
        wanted = dict(entry for name in names for entry in tables.property_indexes(name))
        with self._connections.writing() as connection:
            there = dict(
                connection.execute("select name, sql from sqlite_master where name like 'property!_%' escape '!'")
            )
            for name in there.keys() - wanted.keys():
                connection.execute(f"drop index {name}")
            for name in wanted.keys() - there.keys():
                connection.execute(wanted[name])

    def close(self) -> None:
        """Close the pooled connections; the repository cannot be used any more."""
        self._connections.close()

    def _document(self, statement: str, *values: str) -> Document | None:
        with self._connections.reading() as connection:
            row = connection.execute(statement, values).fetchone()
        return None if row is None else orjson.loads(row[0])


def _harvested(connection: sqlite3.Connection, collection: str) -> bool:
    """Return whether a collection is made from a dataset. Raises `UnknownError` where there is none."""
    row = connection.execute("select digest from collections where id = ?", (collection,)).fetchone()
    if row is None:
        raise UnknownError(f"there is no collection {collection!r}")
    return row[0] is not None
