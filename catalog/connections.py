"""How is one SQLite file opened, read and written, safe under several threads, several processes, and a sudden death?

The file is in WAL mode: readers never wait, one writer at a time. ``synchronous=FULL`` costs a few milliseconds a
commit and makes a committed harvest survive a power failure; a catalogue is written seldom. A transaction that a
killed process left behind is rolled back by the next one that opens the file. It must lie on a local disk. A search
that runs for longer than `SEARCH_SECONDS` is stopped.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog import sql_functions, tables
from plugins.datacube.errors import BusyError, InvalidQueryError, IsoplethError, StorageError

BUSY_SECONDS = 30.0
SEARCH_SECONDS = 10.0
_STEPS = 10_000
"""Of SQLite's virtual machine between two looks at the clock."""


class Connections:
    """The connections to one file: pooled, each in one thread while it is in use, and never across a fork.

    Parameters
    ----------
    path : Path
        The file; made with its folder and its tables where it does not exist.

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

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside one read transaction: every statement sees the same state."""
        with _translated(), self._lent() as connection:
            connection.execute("begin")
            try:
                yield connection
            finally:
                connection.execute("rollback")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
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

    def close(self) -> None:
        """Close what is idle; nothing is lent any more."""
        with self._pool_lock:
            self._closed = True
            idle, self._idle = self._idle, []
        if self._pid == os.getpid():
            for connection in idle:
                connection.close()

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
def bounded(connection: sqlite3.Connection) -> Iterator[None]:
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
