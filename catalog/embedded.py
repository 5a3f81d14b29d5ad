"""How does one SQLite file keep a catalogue, safe under several threads, several processes, and a sudden death?

The file is in WAL mode: readers never wait, one writer at a time. ``synchronous=FULL`` costs a few milliseconds a
commit and makes a committed harvest survive a power failure; a catalogue is written seldom. A transaction that a
killed process left behind is rolled back by the next one that opens the file. It must lie on a local disk.

Items are found through an R*Tree (space), an index on time, or the names; exact geometries are compared by GEOS only
where an item's footprint is not its bounding box.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import shapely

from catalog import tokens
from catalog.document import Document
from catalog.footprints import as_geometry, footprint_of, intersects
from catalog.repository import MATCHED_LIMIT, Heading, ItemQuery, Page
from plugins.datacube.errors import BusyError, IsoplethError, StorageError, UnknownError

SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
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
        self._write_lock = threading.Lock()
        self._pool_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError("the folder of the catalogue cannot be made") from error
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def upsert_collection(self, document: Document) -> None:
        """Put a collection in place of the one with the same id; its items stay."""
        with self._writing() as connection:
            _put_collection(connection, document, None)

    def replace(self, document: Document, items: Sequence[Document], digest: str) -> None:
        """Put a harvested collection with exactly these items in place of what was there, in one transaction."""
        with self._writing() as connection:
            _put_collection(connection, document, digest)
            kept = orjson.dumps([item["id"] for item in items]).decode()
            connection.execute(
                "delete from items where collection = ? and id not in (select value from json_each(?))",
                (document["id"], kept),
            )
            for item in items:
                _put_item(connection, item)

    def get_collection(self, collection: str) -> Document | None:
        """Return a collection, or None."""
        return self._document("select json from collections where id = ?", collection)

    def list_collections(self, limit: int, token: str | None = None) -> Page:
        """Return a page of collections, by id."""
        after = tokens.read(token, (str,))[0] if token else ""
        with self._reading() as connection:
            rows = connection.execute(
                "select id, json from collections where id > ? order by id limit ?", (after, limit + 1)
            ).fetchall()
            matched = connection.execute("select count(*) from collections").fetchone()[0]
        following = tokens.write((rows[limit - 1][0],)) if len(rows) > limit else None
        return Page(tuple(orjson.loads(text) for _, text in rows[:limit]), following, matched)

    def headings(self) -> tuple[Heading, ...]:
        """Return id and title of every collection, by id."""
        with self._reading() as connection:
            rows = connection.execute("select id, json_extract(json, '$.title') from collections order by id")
            return tuple(Heading(*row) for row in rows)

    def digests(self) -> Mapping[str, str]:
        """Return the digest of every harvested collection, by id."""
        with self._reading() as connection:
            return dict(connection.execute("select id, digest from collections where digest is not null").fetchall())

    def delete_collection(self, collection: str) -> bool:
        """Delete a collection with its items; False where there was none."""
        with self._writing() as connection:
            connection.execute("delete from items where collection = ?", (collection,))
            return connection.execute("delete from collections where id = ?", (collection,)).rowcount > 0

    def upsert_items(self, items: Iterable[Document]) -> int:
        """Put items in place of those with the same id, all or none; return how many."""
        count = 0
        with self._writing() as connection:
            for item in items:
                name = item["collection"]
                if connection.execute("select 1 from collections where id = ?", (name,)).fetchone() is None:
                    raise UnknownError(f"there is no collection {name!r}")
                _put_item(connection, item)
                count += 1
        return count

    def get_item(self, collection: str, item: str) -> Document | None:
        """Return an item, or None."""
        return self._document("select json from items where collection = ? and id = ?", collection, item)

    def delete_item(self, collection: str, item: str) -> bool:
        """Delete an item; False where there was none."""
        with self._writing() as connection:
            statement = "delete from items where collection = ? and id = ?"
            return connection.execute(statement, (collection, item)).rowcount > 0

    def search(self, query: ItemQuery) -> Page:
        """Return a page of items, the latest first."""
        where, values = _conditions(query)
        page_where, page_values = list(where), list(values)
        if query.token:
            start, pk = tokens.read(query.token, (int, int))
            page_where.append("t0 <= ? and (t0 < ? or pk < ?)")
            page_values += [start, start, pk]
        with self._reading() as connection:
            rows = connection.execute(
                f"select t0, pk, json from items{_where(page_where)} order by t0 desc, pk desc limit ?",  # noqa: S608
                (*page_values, query.limit + 1),
            ).fetchall()
            matched = connection.execute(
                f"select count(*) from (select 1 from items{_where(where)} limit ?)",  # noqa: S608
                (*values, MATCHED_LIMIT + 1),
            ).fetchone()[0]
        following = tokens.write(rows[query.limit - 1][:2]) if len(rows) > query.limit else None
        documents = tuple(orjson.loads(text) for _, _, text in rows[: query.limit])
        return Page(documents, following, matched if matched <= MATCHED_LIMIT else None)

    def close(self) -> None:
        """Close the pooled connections; the repository cannot be used any more."""
        with self._pool_lock:
            self._closed = True
            idle, self._idle = self._idle, []
        if self._pid == os.getpid():
            for connection in idle:
                connection.close()

    def _document(self, statement: str, *values: str) -> Document | None:
        with self._reading() as connection:
            row = connection.execute(statement, values).fetchone()
        return None if row is None else orjson.loads(row[0])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside one read transaction: every statement sees the same state."""
        with _translated(), self._lent() as connection:
            connection.execute("begin")
            try:
                yield connection
            finally:
                connection.execute("rollback")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside one write transaction, which is committed, or undone by any error."""
        with _translated(), self._write_lock, self._lent() as connection:
            connection.execute("begin immediate")
            try:
                yield connection
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        with self._pool_lock:
            if self._closed:
                raise StorageError("the catalogue is closed")
            if self._pid != os.getpid():
                # A connection must not be used, nor closed, on the other side of a fork.
                _inherited.extend(self._idle)
                self._idle, self._pid = [], os.getpid()
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            yield connection
        finally:
            with self._pool_lock:
                keep = not self._closed
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        # The pool hands a connection to one thread at a time.
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma synchronous = full")
            connection.create_function("footprint_intersects", 2, intersects, deterministic=True)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        """Make the tables where they are missing; several processes may do so at the same time."""
        with _translated(), self._lent() as connection:
            _switch_to_wal(connection)
            connection.execute("begin immediate")
            try:
                version = connection.execute("pragma user_version").fetchone()[0]
                if version > SCHEMA_VERSION:
                    raise StorageError("the catalogue was written by a later version of this software")
                if version == 0:
                    for statement in _statements(_SCHEMA):
                        connection.execute(statement)
                    connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise


_inherited: list[sqlite3.Connection] = []


def _put_collection(connection: sqlite3.Connection, document: Document, digest: str | None) -> None:
    connection.execute(
        "insert into collections(id, json, digest) values (?, ?, ?)"
        " on conflict(id) do update set json = excluded.json, digest = excluded.digest",
        (document["id"], orjson.dumps(document).decode(), digest),
    )


def _put_item(connection: sqlite3.Connection, item: Document) -> None:
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


def _conditions(query: ItemQuery) -> tuple[list[str], list[Any]]:
    """Return the conditions of a query as SQL with bound values; no value of a client ever becomes SQL text."""
    where: list[str] = []
    values: list[Any] = []
    for column, names in (("collection", query.collections), ("id", query.ids)):
        if names is not None:
            where.append(f"{column} in (select value from json_each(?))")  # noqa: S608
            values.append(orjson.dumps(names).decode())
    if query.end is not None:
        where.append("t0 <= ?")
        values.append(query.end)
    if query.start is not None:
        where.append("t1 >= ?")
        values.append(query.start)
    if query.boxes is not None:
        where.append(f"pk in ({' union '.join([_BOX] * len(query.boxes))})")
        for west, south, east, north in query.boxes:
            values += [east, west, north, south, east, west, north, south]
        if query.geometry is None:
            where.append("(is_box or footprint_intersects(wkb, ?))")
            values.append(shapely.to_wkb(as_geometry(query.boxes)))
    if query.geometry is not None:
        where.append("wkb is not null and footprint_intersects(wkb, ?)")
        values.append(query.geometry)
    return where, values


def _where(conditions: Sequence[str]) -> str:
    return f" where {' and '.join(conditions)}" if conditions else ""


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, so that they run inside our own transaction."""
    statement = ""
    for line in script.strip().splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL; SQLite does not wait for a lock here by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            mode = ""
        if mode == "wal":
            return
        if time.monotonic() > deadline:
            raise StorageError("the catalogue's file cannot be switched to write-ahead logging")
        time.sleep(0.05)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except IsoplethError:
        raise
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise BusyError("the catalogue is being written to") from error
        raise StorageError("the catalogue cannot be read or written") from error
    except sqlite3.Error as error:
        raise StorageError("the catalogue cannot be read or written") from error
