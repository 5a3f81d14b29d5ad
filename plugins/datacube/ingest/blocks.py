"""In which pieces is a variable copied, so that memory stays bounded and no chunk is written twice?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, product

from plugins.datacube.ingest.content import Selection

BLOCK_BYTES = 64 << 20
"""Decoded bytes of a block at most, unless a single chunk is larger."""


def block_shape(
    shape: Sequence[int], chunks: Sequence[int], itemsize: int, limit: int | None = None
) -> tuple[int, ...]:
    """Return a block of whole chunks: grown from the last dimension to the first, as files are mostly laid out.

    Examples
    --------
    >>> block_shape((8760, 721, 1440), (47, 52, 103), 4, limit=256 << 20)
    (47, 721, 1440)
    """
    limit = BLOCK_BYTES if limit is None else limit
    block = [min(chunk, size) for chunk, size in zip(chunks, shape, strict=True)]
    for i in reversed(range(len(block))):
        bytes_now = math.prod(block) * itemsize
        if bytes_now == 0:
            break
        factor = min(limit // bytes_now, math.ceil(shape[i] / chunks[i]))
        if factor > 1:
            block[i] = min(shape[i], chunks[i] * factor)
        if block[i] < shape[i]:
            break
    return tuple(block)


def blocks(
    shape: Sequence[int], chunks: Sequence[int], itemsize: int, *, start: Sequence[int] | None = None
) -> Iterator[Selection]:
    """Cut an array into blocks that begin and end on chunk boundaries.

    Parameters
    ----------
    start : sequence of int, optional
        First index to copy in each dimension; what lies before is there already. The first block along a dimension may
        begin inside a chunk.
    """
    first = tuple(start) if start is not None else (0,) * len(shape)
    block = block_shape(shape, chunks, itemsize)
    ranges = []
    for size, step, begin in zip(shape, block, first, strict=True):
        edges = [begin, *range((begin // step + 1) * step, size, step), size] if step else []
        ranges.append([slice(a, b) for a, b in pairwise(edges) if a < b])
    yield from product(*ranges)
