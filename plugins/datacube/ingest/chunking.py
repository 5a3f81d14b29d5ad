"""How large should the chunks be, so that neither a series nor a map reads too much?

The aim: a chunk of about one mebibyte decoded, and as many chunks along time at one point (a series) as there are on
one map. With N chunks of one size in a field over time and space, a series and a map together then read the least:
about the square root of N chunks each. Levels, members and steps are not mixed in a chunk unless the whole field is
smaller than a chunk.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

TARGET_BYTES = 1 << 20
"""Decoded bytes of a chunk; packed integers count as float32."""
SMALLEST_BYTES = 1 << 18
"""Below this, neighbouring levels or members share a chunk."""
EXPECTED_TIMES = 24
"""A collection is expected to grow at least to this many times: the first file often holds one."""
SINGLE_CHUNK_BYTES = 16 << 20
"""A coordinate up to this size is stored as one chunk."""


def balanced_chunks(
    shape: Sequence[int],
    itemsize: int,
    *,
    time: int | None,
    space: Sequence[int],
    target: int = TARGET_BYTES,
) -> tuple[int, ...]:
    """Return the chunk shape of a data variable.

    Parameters
    ----------
    shape : sequence of int
        Shape of the variable in stored order.
    itemsize : int
        Bytes of one stored value.
    time : int or None
        Position of the time dimension.
    space : sequence of int
        Positions of the horizontal dimensions (one for a list of cells, two for a grid).
    target : int
        Wanted decoded bytes of a chunk.

    Returns
    -------
    tuple of int
        The time chunk may be longer than the time axis, so that the axis can grow.

    Examples
    --------
    >>> balanced_chunks((1440, 91, 180), 4, time=0, space=(1, 2))
    (144, 31, 45)
    >>> balanced_chunks((1, 37, 721, 1440), 4, time=0, space=(2, 3))
    (2, 1, 241, 480)
    """
    if any(size == 0 for size in shape):
        return tuple(max(1, size) for size in shape)
    chunks = [1] * len(shape)
    cells = max(1, target // max(itemsize, 4))
    times = 1 if time is None else max(shape[time], EXPECTED_TIMES)
    points = math.prod(shape[i] for i in space)
    # Solve (times / t) == (points / p) with t * p == cells, inside the bounds of both.
    wanted_times = min(times, max(1, round(math.sqrt(cells * times / points))))
    wanted_points = max(1, cells // wanted_times)
    if wanted_points >= points:
        wanted_times = min(times, max(1, cells // points))
    if time is not None:
        chunks[time] = math.ceil(times / math.ceil(times / wanted_times))
    divide_space(chunks, shape, space, wanted_points)
    rest = [i for i in range(len(shape)) if i != time and i not in space]
    for i in reversed(rest):
        size = math.prod(chunks) * max(itemsize, 4)
        if size >= SMALLEST_BYTES:
            break
        chunks[i] = min(shape[i], max(1, target // size))
    return tuple(chunks)


def divide_space(chunks: list[int], shape: Sequence[int], space: Sequence[int], wanted: int) -> None:
    """Cut the horizontal dimensions into equal parts, each dimension into about the same number of them."""
    points = math.prod(shape[i] for i in space)
    parts = math.ceil(points / wanted)
    # The shortest first: what it cannot be cut into is left to the others.
    for rank, i in enumerate(sorted(space, key=lambda i: shape[i])):
        pieces = min(shape[i], max(1, round(parts ** (1 / (len(space) - rank)))))
        chunks[i] = math.ceil(shape[i] / pieces)
        parts = math.ceil(parts / pieces)


def chunk_count(shape: Sequence[int], chunks: Sequence[int]) -> int:
    """Return how many chunks hold an array."""
    return math.prod(math.ceil(size / chunk) for size, chunk in zip(shape, chunks, strict=True))


def decoded_bytes(chunks: Sequence[int], itemsize: int) -> int:
    """Return the bytes of one decoded chunk."""
    return math.prod(chunks) * itemsize


def series_cost(shape: Sequence[int], chunks: Sequence[int], time: int | None) -> int:
    """Return how many chunks a series over the whole time axis at one point reads."""
    return 1 if time is None else math.ceil(shape[time] / chunks[time])


def map_cost(shape: Sequence[int], chunks: Sequence[int], space: Sequence[int]) -> int:
    """Return how many chunks one whole map reads."""
    return math.prod(math.ceil(shape[i] / chunks[i]) for i in space)
