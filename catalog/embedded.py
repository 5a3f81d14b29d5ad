"""How does one SQLite file keep a catalogue, safe under several threads, several processes, and a sudden death?

The file is in WAL mode: readers never wait, one writer at a time. ``synchronous=FULL`` costs a few milliseconds a
commit and makes a committed harvest survive a power failure; a catalogue is written seldom. A transaction that a
killed process left behind is rolled back by the next one that opens the file. It must lie on a local disk.

Items are found through an R*Tree (space), an index on time, or the names (`catalog.plans`); exact geometries are
compared by GEOS only where an item's footprint is not its bounding box. A search that runs for longer than
`SEARCH_SECONDS` is stopped.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from catalog import sql_functions, tables, tokens
from catalog.document import Document
from catalog.filter_sql import near_box
from catalog.filter_values import Sql
from catalog.plans import any_word, plan, where, within_period
from catalog.repository import MATCHED_LIMIT, CollectionQuery, Heading, ItemQuery, Page
from catalog.sorting import order_of
from plugins.datacube.errors import BusyError, InvalidQueryError, IsoplethError, StorageError, UnknownError

BUSY_SECONDS = 30.0
SEARCH_SECONDS = 10.0
SAMPLES = 200
"""Items that are looked at to tell by what can be filtered."""
_STEPS = 10_000
"""Of SQLite's virtual machine between two looks at the clock."""


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
            tables.put_collection(connection, document, None)

    def replace(self, document: Document, items: Sequence[Document], digest: str) -> None:
        """Put a harvested collection with exactly these items in place of what was there, in one transaction."""
        with self._writing() as connection:
            tables.put_collection(connection, document, digest)
            kept = orjson.dumps([item["id"] for item in items]).decode()
            connection.execute(
                "delete from items where collection = ? and id not in (select value from json_each(?))",
                (document["id"], kept),
            )
            for item in items:
                tables.put_item(connection, item)

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
        with self._reading() as connection:
            rows = connection.execute(
                f"select id, json from collections{following} order by id limit ?",  # noqa: S608
                (*page_values, query.limit + 1),
            ).fetchall()
            matched = connection.execute(f"select count(*) from collections{matching}", values).fetchone()[0]  # noqa: S608
        token = tokens.write((rows[query.limit - 1][0],)) if len(rows) > query.limit else None
        return Page(tuple(orjson.loads(text) for _, text in rows[: query.limit]), token, matched)

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
                tables.put_item(connection, item)
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
        """Return a page of items in their order, the latest first where none is asked."""
        order = order_of(query.sort)
        following = order.after(query.token) if query.token else []
        with self._reading() as connection, _bounded(connection):
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

    def samples(self, collection: str | None) -> Sequence[Document]:
        """Return the properties of some items: the latest of a collection, or the last of every collection."""
        if collection is None:
            statement = "select props from items where pk in (select max(pk) from items group by collection) limit ?"
        else:
            statement = "select props from items where collection = ? order by t0 desc, pk desc limit ?"
        values = (SAMPLES,) if collection is None else (collection, SAMPLES)
        with self._reading() as connection:
            return tuple(orjson.loads(text) for (text,) in connection.execute(statement, values))

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
            sql_functions.register(connection)
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
                if version > tables.SCHEMA_VERSION:
                    raise StorageError("the catalogue was written by a later version of this software")
                if version < tables.SCHEMA_VERSION:
                    for statement in tables.creation(version):
                        connection.execute(statement)
                    connection.execute(f"pragma user_version = {tables.SCHEMA_VERSION}")
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise


@contextmanager
def _bounded(connection: sqlite3.Connection) -> Iterator[None]:
    """Stop what the connection does after `SEARCH_SECONDS`; a filter that SQLite cannot take is the client's error."""
    deadline = time.monotonic() + SEARCH_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            raise BusyError("the search takes too long; ask for a smaller box, period or filter") from error
        if code == sqlite3.SQLITE_ERROR and any(sign in str(error) for sign in ("stack overflow", "too large")):
            raise InvalidQueryError("filter", "the filter is nested too deep", "a simpler filter") from error
        raise
    finally:
        connection.set_progress_handler(None, 0)


_inherited: list[sqlite3.Connection] = []


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
