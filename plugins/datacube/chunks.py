"""Which decoded chunks are at hand, and who is decoding the others at this moment?

A least-recently-used cache bounded in bytes, with single flight: of many threads that want the same chunk, one loads it
and the others wait for that one. Chunks are kept as stored (packed integers stay packed), read-only, per snapshot: a
new snapshot never sees the chunks of an old one. The snapshot of a plain Zarr store is that of its metadata: whoever
rewrites chunks in place, against all advice, may still be answered with the old ones.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from plugins.datacube.errors import StorageError

CAPACITY: Final = 256 * 2**20
"""Bytes, unless the operator sets another figure."""


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """Names one decoded chunk for ever."""

    source: str
    """The href of the store, and how absent chunks of it are read."""
    snapshot: str
    array: str
    index: tuple[int, ...]
    """Grid position."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What happened so far; ``hits + misses + shared`` is the number of chunks asked for."""

    hits: int
    misses: int
    """Chunks that were loaded."""
    shared: int
    """Chunks that another thread was already loading."""
    evictions: int
    entries: int
    bytes: int


type Loader = Callable[[Sequence[ChunkKey]], Mapping[ChunkKey, NDArray[Any]]]


class ChunkCache:
    """Decoded chunks, bounded in bytes; safe to use from many threads.

    Parameters
    ----------
    capacity : int
        Bytes; 0 keeps nothing and still loads each chunk once at a time.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[ChunkKey, NDArray[Any]] = OrderedDict()
        self._loading: dict[ChunkKey, Future[NDArray[Any]]] = {}
        self._bytes = 0
        self._hits = self._misses = self._shared = self._evictions = 0

    def fetch(self, keys: Sequence[ChunkKey], load: Loader) -> dict[ChunkKey, NDArray[Any]]:
        """Return the chunks of `keys`, loading those that neither the cache nor another thread has.

        Parameters
        ----------
        keys : sequence of ChunkKey
            Without duplicates.
        load : callable
            Gets the keys that are this thread's to load and returns their chunks, which must not change afterwards.

        Raises
        ------
        StorageError
            If a chunk cannot be read, here or in the thread that was loading it.
        """
        found, mine, theirs = self._claim(keys)
        if mine:
            # Own claims are settled before waiting for others, so no two threads ever wait for each other.
            found.update(self._load(mine, load))
        for key, future in theirs.items():
            try:
                found[key] = future.result()
            except StorageError as error:
                raise StorageError(error.detail) from error
            except Exception:  # noqa: BLE001 - whatever stopped the other thread need not stop this one
                found.update(self.fetch([key], load))
        return found

    def holds(self, keys: Sequence[ChunkKey]) -> bool:
        """Whether all these chunks are at hand at this moment."""
        with self._lock:
            return all(key in self._kept for key in keys)

    def held(self, keys: Sequence[ChunkKey]) -> dict[ChunkKey, NDArray[Any]] | None:
        """Return these chunks if all of them are at hand, else None."""
        with self._lock:
            found = {key: chunk for key in keys if (chunk := self._kept.get(key)) is not None}
            if len(found) != len(keys):
                return None
            for key in keys:
                self._kept.move_to_end(key)
            self._hits += len(found)
            return found

    def clear(self) -> None:
        """Forget all chunks, but not the statistics."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def statistics(self) -> CacheStatistics:
        """Return the counts since the cache was made."""
        with self._lock:
            return CacheStatistics(
                self._hits, self._misses, self._shared, self._evictions, len(self._kept), self._bytes
            )

    def _claim(
        self, keys: Sequence[ChunkKey]
    ) -> tuple[dict[ChunkKey, NDArray[Any]], list[ChunkKey], dict[ChunkKey, Future[NDArray[Any]]]]:
        found: dict[ChunkKey, NDArray[Any]] = {}
        mine: list[ChunkKey] = []
        theirs: dict[ChunkKey, Future[NDArray[Any]]] = {}
        with self._lock:
            for key in keys:
                if (chunk := self._kept.get(key)) is not None:
                    self._kept.move_to_end(key)
                    found[key] = chunk
                elif (future := self._loading.get(key)) is not None:
                    theirs[key] = future
                else:
                    self._loading[key] = Future()
                    mine.append(key)
            self._hits += len(found)
            self._misses += len(mine)
            self._shared += len(theirs)
        return found, mine, theirs

    def _load(self, keys: list[ChunkKey], load: Loader) -> Mapping[ChunkKey, NDArray[Any]]:
        try:
            loaded = load(keys)
            chunks = {key: loaded[key] for key in keys}
        except BaseException as error:
            with self._lock:
                waiting = [self._loading.pop(key) for key in keys]
            for future in waiting:
                future.set_exception(error)
            raise
        for chunk in chunks.values():
            chunk.setflags(write=False)
        with self._lock:
            waiting = [self._loading.pop(key) for key in keys]
            for key in keys:
                self._keep(key, chunks[key])
        for key, future in zip(keys, waiting, strict=True):
            future.set_result(chunks[key])
        return chunks

    def _keep(self, key: ChunkKey, chunk: NDArray[Any]) -> None:
        if chunk.nbytes > self.capacity or key in self._kept:
            return
        self._kept[key] = chunk
        self._bytes += chunk.nbytes
        while self._bytes > self.capacity:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes
            self._evictions += 1


class AbsentError(Exception):
    """A chunk is not in the cache; never leaves the process."""


class HeldChunks(ChunkCache):
    """What a cache holds at this moment: it loads nothing, and waits for nobody.

    Parameters
    ----------
    cache : ChunkCache
        Whose chunks they are, and who counts that they were asked for.
    """

    def __init__(self, cache: ChunkCache) -> None:
        super().__init__(cache.capacity)
        self._cache = cache

    def fetch(self, keys: Sequence[ChunkKey], load: Loader) -> dict[ChunkKey, NDArray[Any]]:
        """Return the chunks of `keys`.

        Raises
        ------
        AbsentError
            If one of them is not there.
        """
        del load
        found = self._cache.held(keys)
        if found is None:
            raise AbsentError
        return found

    def holds(self, keys: Sequence[ChunkKey]) -> bool:
        """Say yes: whether it is true shows when they are fetched."""
        del keys
        return True


class _Shared:
    """The cache of this process; a forked child starts with an empty one, whose locks nobody holds."""

    def __init__(self) -> None:
        self.cache = ChunkCache()

    def renew(self) -> None:
        self.cache = ChunkCache(self.cache.capacity)


_SHARED = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SHARED.renew)


def shared_cache() -> ChunkCache:
    """Return the cache that all requests of this process share."""
    return _SHARED.cache


def set_capacity(capacity: int) -> None:
    """Replace the shared cache by an empty one of `capacity` bytes; called once, at start-up.

    Raises
    ------
    ValueError
        If the capacity is negative.
    """
    if capacity < 0:
        raise ValueError("the capacity of the chunk cache cannot be negative")
    _SHARED.cache = ChunkCache(capacity)
