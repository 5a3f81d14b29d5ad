"""How is a file that was made for an answer kept for the next range that a reader asks of it?

Readers of NetCDF, GeoTIFF, Zarr and Parquet seek: GDAL asks for a dozen ranges of one answer. The file is made once,
kept for as long as others need the room less, and found by its strong entity tag, which changes with the data, the
question, the format and the library that writes it. Small bodies are kept in memory, larger ones in unnamed temporary
files, which are gone with the process.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

CAPACITY: Final = 256 * 2**20
"""Bytes of all bodies that are kept, in memory or on disk."""
PART: Final = 256 * 1024
"""Bytes sent at once."""


class Body:
    """A whole body, of which any part can be read, by many threads at once."""

    def __init__(self, blocks: bytes | Iterator[bytes]) -> None:
        self._content: bytes | None = None
        self._file = None
        if isinstance(blocks, bytes):
            self._content = blocks
            self.size = len(blocks)
            return
        self._file = tempfile.TemporaryFile(prefix="isopleth-", buffering=0)  # noqa: SIM115 - closed with the body
        self.size = 0
        try:
            for block in blocks:
                view = memoryview(block)
                while view:
                    view = view[self._file.write(view) :]
                self.size += len(block)
        finally:
            close = getattr(blocks, "close", None)
            if close is not None:
                close()

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`."""
        if self._content is not None:
            return self._content[start:stop]
        assert self._file is not None  # noqa: S101 - one of the two holds the body
        parts = []
        while start < stop and (part := os.pread(self._file.fileno(), stop - start, start)):
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def parts(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`, at most `PART` at a time."""
        for begin in range(start, stop, PART):
            yield self.read(begin, min(stop, begin + PART))

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


class BodyCache:
    """Bodies by their strong entity tags, the ones unused for longest forgotten first. Safe to share between threads.

    Parameters
    ----------
    capacity : int
        Bytes of all bodies kept together; a body larger than that is never kept.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._lock = threading.Lock()
        self._bodies: OrderedDict[str, Body] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}
        self._size = 0

    def get(self, etag: str) -> Body | None:
        """Return the body of an entity tag, or None where it is not kept."""
        with self._lock:
            body = self._bodies.get(etag)
            if body is not None:
                self._bodies.move_to_end(etag)
            return body

    def put(self, etag: str, body: Body) -> bool:
        """Keep a body, and return whether there is room for it."""
        with self._lock:
            if body.size > self.capacity:
                return False
            replaced = self._bodies.pop(etag, None)
            self._size += body.size - (replaced.size if replaced is not None else 0)
            self._bodies[etag] = body
            while self._size > self.capacity:
                _, oldest = self._bodies.popitem(last=False)
                self._size -= oldest.size
            return True

    def get_or_make(self, etag: str, make: Callable[[], Body]) -> Body:
        """Return the body of an entity tag; who comes while it is made waits, and does not make it again."""
        with self._alone(etag):
            body = self.get(etag)
            if body is None:
                body = make()
                self.put(etag, body)
            return body

    @contextmanager
    def _alone(self, etag: str) -> Iterator[None]:
        """Hold the lock of one entity tag, which is there while somebody holds or awaits it."""
        with self._lock:
            own = self._making.setdefault(etag, threading.Lock())
        with own:
            try:
                yield
            finally:
                with self._lock:
                    # Whoever waits holds the lock itself; a later one makes a new one and finds the body.
                    self._making.pop(etag, None)
