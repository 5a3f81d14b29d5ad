"""Does a read in the calling thread give what Zarr's own read gives, and raise what it raises?"""

from __future__ import annotations

import threading

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from plugins.datacube import sources  # noqa: F401 - sets the pipeline
from plugins.datacube.pipeline import read_here, reads_here

VALUES = np.random.default_rng(5).normal(size=(20, 30)).astype("float32")
REGIONS = [(slice(0, 20), slice(0, 30)), (slice(3, 4), slice(7, 23)), (slice(16, 20), slice(28, 30))]


def make(store, values=VALUES, **options) -> zarr.Array:
    array = zarr.create_array(store, shape=values.shape, dtype=values.dtype, chunks=(4, 7), **options)
    array[...] = values
    return zarr.open_array(store, mode="r")


@pytest.mark.parametrize(
    "options", [{}, {"compressors": None}, {"shards": (8, 14)}, {"zarr_format": 2}, {"zarr_format": 2, "order": "F"}]
)
@pytest.mark.parametrize("region", REGIONS)
def test_the_values_are_those_that_were_written(tmp_path, options, region):
    array = make(tmp_path / "a.zarr", **options)
    assert reads_here(array)
    np.testing.assert_array_equal(read_here(array, region), VALUES[region])


def test_no_other_thread_is_needed(tmp_path, monkeypatch):
    array = make(tmp_path / "a.zarr")
    monkeypatch.setattr("asyncio.to_thread", lambda *_: pytest.fail("handed to another thread"))
    before = threading.active_count()
    read_here(array, REGIONS[0])
    assert threading.active_count() == before


def test_a_missing_chunk_raises(tmp_path):
    array = make(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "c" / "1" / "2").unlink()
    strict = array.with_config({"read_missing_chunks": False})
    with pytest.raises(zarr.errors.ChunkNotFoundError):
        read_here(strict, REGIONS[0])
    np.testing.assert_array_equal(read_here(strict, (slice(0, 4), slice(0, 30))), VALUES[:4])


def test_a_damaged_chunk_raises_and_the_next_read_is_right(tmp_path):
    array = make(tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr" / "c" / "0" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((ValueError, RuntimeError)):
        read_here(array, REGIONS[0])
    chunk.write_bytes(whole)
    np.testing.assert_array_equal(read_here(array, REGIONS[0]), VALUES)
    np.testing.assert_array_equal(array[...], VALUES)


def test_a_store_that_needs_the_event_loop_is_not_read_here():
    assert not reads_here(make(MemoryStore()))
