"""Chunks fit their target and balance, blocks cover every cell once and respect chunk borders."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.datacube.ingest.attributes import decode_fill_value, encode_fill_value, to_json
from plugins.datacube.ingest.blocks import block_shape, blocks
from plugins.datacube.ingest.chunking import TARGET_BYTES, balanced_chunks, map_cost, series_cost


@given(st.integers(1, 200_000), st.integers(1, 2_000), st.integers(1, 4_000), st.sampled_from([2, 4, 8]))
def test_series_and_maps_cost_alike(times: int, height: int, width: int, itemsize: int) -> None:
    shape = (times, height, width)
    chunks = balanced_chunks(shape, itemsize, time=0, space=(1, 2))
    assert all(chunk >= 1 for chunk in chunks)
    assert all(chunk <= max(size, 24) for chunk, size in zip(chunks, shape, strict=True))
    assert math.prod(chunks) * max(itemsize, 4) <= 3 * TARGET_BYTES
    series, one_map = series_cost(shape, chunks, 0), map_cost(shape, chunks, (1, 2))
    # A side that is cut to its end cannot be cut further.
    if 1 < chunks[0] < times and chunks[1] > 1 and chunks[2] > 1 and min(series, one_map) > 8:
        assert 0.4 < series / one_map < 2.5


@given(st.integers(1, 50), st.integers(1, 60), st.integers(1, 300), st.integers(1, 300))
def test_levels_and_members_are_not_mixed_in_large_fields(members: int, levels: int, height: int, width: int) -> None:
    chunks = balanced_chunks((members, 1000, levels, height, width), 4, time=1, space=(3, 4))
    if math.prod(chunks[i] for i in (1, 3, 4)) * 4 >= TARGET_BYTES // 2:
        assert (chunks[0], chunks[2]) == (1, 1)
    assert math.prod(chunks) * 4 <= 3 * TARGET_BYTES


@settings(max_examples=200)
@given(st.data())
def test_blocks_cover_each_cell_once_and_end_on_chunk_borders(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=3)))
    chunks = tuple(data.draw(st.integers(1, size + 3)) for size in shape)
    start = (data.draw(st.integers(0, shape[0])), *(0 for _ in shape[1:]))
    limit = data.draw(st.integers(1, 4000))
    count = np.zeros(shape, int)
    step = block_shape(shape, chunks, 4, limit)
    assert math.prod(step) * 4 <= max(limit, math.prod(min(c, s) for c, s in zip(chunks, shape, strict=True)) * 4)
    for selection in blocks(shape, chunks, 4, start=start):
        count[selection] += 1
        for part, size, chunk, first in zip(selection, shape, chunks, start, strict=True):
            assert part.start == first or part.start % chunk == 0
            assert part.stop == size or part.stop % chunk == 0
    wanted = np.zeros(shape, int)
    wanted[start[0] :] = 1
    np.testing.assert_array_equal(count, wanted)


@given(st.floats(width=32), st.integers(-(2**31), 2**31 - 1))
def test_fill_values_survive_json(number: float, whole: int) -> None:
    dtype = np.dtype(np.float32)
    again = decode_fill_value(encode_fill_value(np.float32(number), dtype), dtype)
    assert np.float32(again).tobytes() == np.float32(number).tobytes() or math.isnan(number)
    assert decode_fill_value(encode_fill_value(np.int32(whole), np.dtype(np.int32)), np.dtype(np.int32)) == whole


def test_attributes_are_json_and_say_the_same() -> None:
    attributes = {
        "_FillValue": np.float32(1),
        "flag_values": np.array([1, 2], "i1"),
        "name": b"x",
        "missing_value": np.float64("nan"),
        "range": np.array([-np.inf, 1.5]),
        "scale_factor": np.float32(0.1),
        "_NCProperties": "version=2",
    }
    assert to_json(attributes) == {
        "flag_values": [1, 2],
        "name": "x",
        "range": ["-Infinity", 1.5],
        "scale_factor": float(np.float32(0.1)),
    }
