"""Given positions along each stored dimension, which chunks hold them, and where do their values land in the answer?

A `Piece` answers that for one dimension and a run of neighbouring chunks; a `Block` is one piece for each stored
dimension: a box of chunks that is fetched and decoded together. Counting (`count_chunks`) is cheap and comes before
admission; the blocks themselves are made one by one while reading.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.datacube import Parameter
from plugins.datacube.lookup import Indices
from plugins.datacube.selection import Group, Rectangle, Scattered

type Where = slice | NDArray[np.intp]
"""Positions along one dimension: a slice wherever they are consecutive."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a run of neighbouring chunks contributes along one dimension."""

    first_chunk: int
    last_chunk: int
    """Inclusive."""
    start: int
    """The least stored position that is wanted of these chunks."""
    stop: int
    """One past the greatest."""
    local: Where
    """The wanted positions, relative to `start`."""
    target: Where
    """Where they land along the axis of the answer."""


@dataclass(frozen=True, slots=True)
class Block:
    """One piece for each stored dimension of a parameter."""

    pieces: tuple[Piece, ...]
    """In stored order."""

    @property
    def chunks(self) -> Iterator[tuple[int, ...]]:
        """Grid positions of the chunks, in C order."""
        return itertools.product(*(range(piece.first_chunk, piece.last_chunk + 1) for piece in self.pieces))


def chunk_bytes(parameter: Parameter) -> int:
    """Return the size of one full chunk after decoding, in bytes, in its stored dtype."""
    return math.prod(parameter.chunks) * np.dtype(parameter.stored_dtype).itemsize


def count_chunks(group: Group, parameter: Parameter) -> int:
    """Return how many chunks of a parameter a group of the selection touches, exactly."""
    sizes = dict(zip(parameter.dims, parameter.chunks, strict=True))
    leading = math.prod(_touched(indexer.indices, sizes[indexer.dim]) for indexer in group.leading)
    match group.horizontal:
        case Scattered() as scattered:
            return leading * _chunks_of_cells(scattered, sizes)
        case Rectangle(y=y, x=x, mask=mask):
            if mask is not None:
                rows, columns = y.indices // sizes[y.dim], x.indices // sizes[x.dim]
                return leading * len(_covered_chunks(mask, rows, columns))
            return leading * _touched(y.indices, sizes[y.dim]) * _touched(x.indices, sizes[x.dim])


def blocks(group: Group, parameter: Parameter, most_bytes: int) -> Iterator[Block]:
    """Yield the blocks that hold the selected values, none of them larger than `most_bytes` or one chunk.

    Every selected value lies in exactly one block. Blocks of a masked rectangle without any covered cell are left out.
    """
    sizes = dict(zip(parameter.dims, parameter.chunks, strict=True))
    room = max(1, most_bytes // max(1, chunk_bytes(parameter)))
    columns: dict[str, tuple[Piece, ...]] = {}
    together: tuple[str, ...]
    pairs: Sequence[tuple[Piece, ...]]
    match group.horizontal:
        case Scattered() as scattered:
            together = tuple(indexer.dim for indexer in scattered.indexers)
            pairs = _of_cells(scattered, sizes)
        case Rectangle(y=y, x=x, mask=mask):
            together = (y.dim, x.dim)
            if mask is not None:
                rows, stripes = pieces(y.indices, sizes[y.dim], 1), pieces(x.indices, sizes[x.dim], 1)
                pairs = [(i, j) for i in rows for row in [mask[i.target]] for j in stripes if row[:, j.target].any()]
            else:
                stripes, room = _pieces_within(x.indices, sizes[x.dim], room)
                rows, room = _pieces_within(y.indices, sizes[y.dim], room)
                pairs = list(itertools.product(rows, stripes))
    for indexer in reversed(group.leading):
        columns[indexer.dim], room = _pieces_within(indexer.indices, sizes[indexer.dim], room)
    dims = (*(indexer.dim for indexer in group.leading), *together)
    order = [dims.index(dim) for dim in parameter.dims]
    for combination in itertools.product(*(columns[indexer.dim] for indexer in group.leading)):
        for pair in pairs:
            whole = (*combination, *pair)
            yield Block(tuple([whole[place] for place in order]))


def pieces(indices: Indices, chunk: int, most: int) -> tuple[Piece, ...]:
    """Divide positions along one dimension into runs of at most `most` neighbouring chunks.

    Parameters
    ----------
    indices : ndarray of int, shape (n,)
        Stored positions in the order of the answer; need not be sorted.
    chunk : int
        Length of a chunk.
    most : int
        Chunks a piece may span, at least 1.

    Examples
    --------
    >>> [(p.first_chunk, p.last_chunk, p.target) for p in pieces(np.array([10, 11, 0, 1]), 4, 2)]
    [(0, 0, slice(2, 4, None)), (2, 2, slice(0, 2, None))]
    """
    if (run := _run(indices)) is not None:
        return tuple(_pieces_of_run(*run, chunk, most))
    order: Indices | None = None
    if bool((np.diff(indices) < 0).any()):
        order = np.argsort(indices, kind="stable")
        indices = indices[order]
    numbers = indices // chunk
    # A piece ends where a chunk is skipped, and where it would become too long.
    starts = np.concatenate([[0], np.flatnonzero(np.diff(numbers)) + 1])
    touched = numbers[starts]
    stops = np.append(starts[1:], indices.size)
    result: list[Piece] = []
    begin = 0
    for end in range(1, touched.size + 1):
        if end < touched.size and touched[end] == touched[end - 1] + 1 and end - begin < most:
            continue
        low, high = int(starts[begin]), int(stops[end - 1])
        start, stop = int(indices[low]), int(indices[high - 1]) + 1
        # The order of the answer, not of the store: a wrapped longitude comes last in one and first in the other.
        target = np.arange(low, high) if order is None else np.sort(order[low:high])
        local = indices[low:high] if order is None else indices[low:high][np.argsort(order[low:high])]
        result.append(
            Piece(int(touched[begin]), int(touched[end - 1]), start, stop, _where(local - start), _where(target))
        )
        begin = end
    return tuple(result)


def _pieces_within(indices: Indices, chunk: int, room: int) -> tuple[tuple[Piece, ...], int]:
    """Make the longest pieces that `room` chunks allow, and return the room that is left for other dimensions."""
    result = pieces(indices, chunk, room)
    longest = max(piece.last_chunk - piece.first_chunk + 1 for piece in result)
    return result, max(1, room // longest)


def _run(indices: Indices) -> tuple[int, int] | None:
    """Return the first position and one past the last where each is the next of the one before, else None."""
    first, last = int(indices[0]), int(indices[-1])
    if last - first != indices.size - 1 or not bool((indices[1:] - indices[:-1] == 1).all()):
        return None
    return first, last + 1


def _pieces_of_run(first: int, end: int, chunk: int, most: int) -> Iterator[Piece]:
    """Divide the positions from `first` to `end`, each the next of the one before."""
    for low in range(first // chunk, (end - 1) // chunk + 1, most):
        high = min(low + most, (end - 1) // chunk + 1)
        start, stop = max(first, low * chunk), min(end, high * chunk)
        yield Piece(low, high - 1, start, stop, slice(0, stop - start), slice(start - first, stop - first))


def _flat_chunks(scattered: Scattered, sizes: Mapping[str, int]) -> tuple[list[Indices], Indices]:
    """Return the chunk of each single cell along each dimension, and one number for each chunk."""
    chunks = [one.indices // sizes[one.dim] for one in scattered.indexers]
    return chunks, np.ravel_multi_index(tuple(chunks), [int(part.max()) + 1 for part in chunks])


def _chunks_of_cells(scattered: Scattered, sizes: Mapping[str, int]) -> int:
    """Return how many chunks single cells lie in."""
    if scattered.count == 1:
        return 1
    return _distinct(np.sort(_flat_chunks(scattered, sizes)[1]))


def _of_cells(scattered: Scattered, sizes: Mapping[str, int]) -> list[tuple[Piece, ...]]:
    """Gather single cells by chunk, the chunks in the order in which they are first met.

    The pieces of a chunk share their target, the numbers of the cells.
    """
    indexers = scattered.indexers
    if scattered.count == 1:
        at = [(one.indices, int(one.indices[0]), sizes[one.dim]) for one in indexers]
        nought = np.zeros(1, np.intp)
        return [tuple(Piece(n // size, n // size, n, n + 1, indices - n, nought) for indices, n, size in at)]
    chunks, flat = _flat_chunks(scattered, sizes)
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    stops = np.append(starts[1:], flat.size).tolist()
    # Along each dimension: the chunk of each group of cells, their least and their greatest position, and all of them.
    columns = [
        (
            chunk[order[starts]].tolist(),
            np.minimum.reduceat(one.indices[order], starts).tolist(),
            np.maximum.reduceat(one.indices[order], starts).tolist(),
            one.indices[order],
        )
        for chunk, one in zip(chunks, indexers, strict=True)
    ]
    together: list[tuple[Piece, ...]] = []
    for number in np.argsort(order[starts]).tolist():
        of = slice(int(starts[number]), stops[number])
        target = order[of]
        together.append(
            tuple(
                Piece(chunk[number], chunk[number], low[number], high[number] + 1, part[of] - low[number], target)
                for chunk, low, high, part in columns
            )
        )
    return together


def _covered_chunks(mask: NDArray[np.bool_], rows: Indices, columns: Indices) -> set[tuple[int, int]]:
    """Return the chunks of a masked rectangle that hold a covered cell; `rows` and `columns` are chunk numbers."""
    row_starts = np.concatenate([[0], np.flatnonzero(np.diff(rows)) + 1])
    column_starts = np.concatenate([[0], np.flatnonzero(np.diff(columns)) + 1])
    covered = np.logical_or.reduceat(np.logical_or.reduceat(mask, row_starts, axis=0), column_starts, axis=1)
    i, j = np.nonzero(covered)
    return set(zip(rows[row_starts[i]].tolist(), columns[column_starts[j]].tolist(), strict=True))


def _touched(indices: Indices, chunk: int) -> int:
    """Return in how many chunks positions along one dimension lie."""
    run = _run(indices)
    return _distinct(indices // chunk) if run is None else (run[1] - 1) // chunk - run[0] // chunk + 1


def _distinct(numbers: Indices) -> int:
    steps = np.diff(numbers)
    return 1 + int(np.count_nonzero(steps)) if bool((steps >= 0).all()) else int(np.unique(numbers).size)


def _where(positions: Indices) -> Where:
    first, last = int(positions[0]), int(positions[-1])
    return slice(first, last + 1) if bool((np.diff(positions) == 1).all()) else positions
