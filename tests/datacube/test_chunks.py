"""Does the cache stay in its bounds, and is every chunk decoded once however many ask for it?"""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from plugins.datacube.chunks import AbsentError, ChunkCache, ChunkKey, HeldChunks
from plugins.datacube.errors import CancelledError, StorageError


def key(number: int, snapshot: str = "s") -> ChunkKey:
    return ChunkKey("store", snapshot, "t", (number,))


class Loader:
    """Counts what it loads; a chunk is 100 bytes of its number."""

    def __init__(self) -> None:
        self.loaded: list[int] = []

    def __call__(self, keys: Sequence[ChunkKey]) -> dict[ChunkKey, np.ndarray]:
        self.loaded += [k.index[0] for k in keys]
        return {k: np.full(100, k.index[0], np.uint8) for k in keys}


def test_hits_and_misses() -> None:
    cache, load = ChunkCache(10_000), Loader()
    first = cache.fetch([key(1), key(2)], load)
    again = cache.fetch([key(2), key(3)], load)
    assert load.loaded == [1, 2, 3]
    assert again[key(2)] is first[key(2)]
    assert (first[key(1)] == 1).all()
    statistics = cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.shared) == (1, 3, 0)
    assert (statistics.entries, statistics.bytes) == (3, 300)


def test_chunks_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ChunkCache(1000).fetch([key(1)], Loader())[key(1)][0] = 9


def test_another_snapshot_is_another_chunk() -> None:
    cache, load = ChunkCache(10_000), Loader()
    cache.fetch([key(1)], load)
    cache.fetch([key(1, "later")], load)
    assert load.loaded == [1, 1]


def test_the_least_recently_used_go_first() -> None:
    cache, load = ChunkCache(300), Loader()
    cache.fetch([key(1), key(2), key(3)], load)
    cache.fetch([key(1)], load)
    cache.fetch([key(4)], load)
    assert cache.statistics().bytes == 300
    assert cache.statistics().evictions == 1
    cache.fetch([key(1), key(3), key(4)], load)
    assert load.loaded == [1, 2, 3, 4]
    cache.fetch([key(2)], load)
    assert load.loaded == [1, 2, 3, 4, 2]


def test_a_chunk_larger_than_the_cache_is_not_kept() -> None:
    cache, load = ChunkCache(99), Loader()
    assert (cache.fetch([key(1)], load)[key(1)] == 1).all()
    assert cache.statistics().bytes == 0


def test_single_flight() -> None:
    cache, loads = ChunkCache(10_000), []
    begun, go_on = threading.Event(), threading.Event()

    def slow(keys: Sequence[ChunkKey]) -> dict[ChunkKey, np.ndarray]:
        loads.append(list(keys))
        begun.set()
        assert go_on.wait(30)
        return {k: np.zeros(10) for k in keys}

    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(cache.fetch([key(1)], slow)[key(1)])) for _ in range(8)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    while cache.statistics().shared < 7:
        begun.wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert len(loads) == 1
    assert len(results) == 8
    assert all(result is results[0] for result in results)
    assert (cache.statistics().misses, cache.statistics().shared) == (1, 7)


@pytest.mark.parametrize(("error", "retried"), [(StorageError("chunk 1 is missing"), False), (CancelledError(), True)])
def test_when_the_loading_thread_fails(error: Exception, retried: bool) -> None:
    """A storage failure is everybody's; whoever was cancelled is not the reason to fail for those who wait."""
    cache = ChunkCache(10_000)
    begun, go_on = threading.Event(), threading.Event()

    def failing(keys: Sequence[ChunkKey]) -> dict[ChunkKey, np.ndarray]:
        begun.set()
        assert go_on.wait(30)
        raise error

    caught: list[Exception] = []
    load = Loader()

    def first() -> None:
        try:
            cache.fetch([key(1)], failing)
        except type(error) as raised:
            caught.append(raised)

    def second() -> None:
        try:
            cache.fetch([key(1)], load)
        except StorageError as raised:
            caught.append(raised)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert begun.wait(30)
    threads[1].start()
    while cache.statistics().shared < 1:
        begun.wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert load.loaded == ([1] if retried else [])
    assert len(caught) == (1 if retried else 2)
    # The failure is not remembered.
    assert (cache.fetch([key(1)], load)[key(1)] == 1).all()


def test_a_loader_that_forgets_a_chunk_does_not_leave_others_waiting() -> None:
    cache = ChunkCache(10_000)
    with pytest.raises(KeyError):
        cache.fetch([key(1)], lambda keys: {})
    assert (cache.fetch([key(1)], Loader())[key(1)] == 1).all()


def test_many_threads_over_a_small_cache() -> None:
    cache, wrong = ChunkCache(500), []

    def work(seed: int) -> None:
        rng, load = np.random.default_rng(seed), Loader()
        for _ in range(200):
            keys = [key(int(n)) for n in rng.choice(20, 4, replace=False)]
            wrong.extend(k for k, chunk in cache.fetch(keys, load).items() if not (chunk == k.index[0]).all())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    statistics = cache.statistics()
    assert statistics.bytes <= 500
    assert statistics.hits + statistics.misses + statistics.shared >= 6 * 200 * 4


def test_what_is_held_is_given_and_nothing_is_loaded() -> None:
    cache, load = ChunkCache(300), Loader()
    cache.fetch([key(1), key(2), key(3)], load)
    found = HeldChunks(cache).fetch([key(1), key(2)], load)
    assert [int(found[key(n)][0]) for n in (1, 2)] == [1, 2]
    with pytest.raises(AbsentError):
        HeldChunks(cache).fetch([key(1), key(4)], load)
    assert load.loaded == [1, 2, 3]
    assert (cache.statistics().hits, cache.statistics().misses) == (2, 3)
    # What was given counts as used.
    cache.fetch([key(5)], load)
    assert cache.holds([key(1), key(2)])
    assert not cache.holds([key(3)])
