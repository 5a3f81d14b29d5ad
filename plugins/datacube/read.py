"""How do the stored bytes of a plan become coverages?

The only place that touches stored bytes. Each parameter of a plan is read in blocks of neighbouring chunks:

1. A plan that is small beside the chunk cache goes through it, chunk by chunk: what other answers have decoded is not
   decoded again, and a chunk that somebody is decoding is waited for.
2. A larger plan passes the cache by and takes only the bounding box of what it needs of each block.
3. Values are picked from the block, decoded, and put where they belong, in the order in which the axes are declared.

Between blocks a cancelled answer stops. A missing chunk, a failed checksum or a broken connection is a `StorageError`,
never a value.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.blocks import Block, Where, blocks, chunk_bytes
from plugins.datacube.cancel import Cancel
from plugins.datacube.chunks import ChunkCache, ChunkKey, shared_cache
from plugins.datacube.coverage import Coverage
from plugins.datacube.datacube import Parameter
from plugins.datacube.decode import Range, decode
from plugins.datacube.domain import coverages
from plugins.datacube.errors import BusyError
from plugins.datacube.library import OpenDatacube
from plugins.datacube.plan import ReadPlan
from plugins.datacube.selection import Along, Group, Points, Raster, Scattered
from plugins.datacube.stored import MOST_TRIED, StoredArray
from plugins.datacube.tasks import Task, run

__all__ = ["Cancel", "read"]

BLOCK_BYTES: Final = 16 * 2**20
"""Decoded size of a block: what is read between two looks at the cancel token."""
THREADS_SHARE: Final = 4
"""Chunks that go through the cache are loaded in tasks of a block divided by this, so that threads share a block."""
SMALL: Final = 2**20
"""Bytes below which an answer is read by the thread that asks."""
CACHED_SHARE: Final = 4
"""An answer that decodes more than this fraction of the cache passes it by."""


def read(
    opened: OpenDatacube,
    plan: ReadPlan,
    cancel: Cancel,
    progress: Callable[[float], None] | None = None,
    *,
    cache: ChunkCache | None = None,
) -> tuple[Coverage, ...]:
    """Carry out a plan.

    Parameters
    ----------
    opened : OpenDatacube
        The dataset, at the snapshot that was planned.
    plan : ReadPlan
        What to read; admit it first, nothing is bounded here.
    cancel : Cancel
        Looked at before each block.
    progress : callable, optional
        Called in the calling thread with the done fraction, 0 to 1, never falling.
    cache : ChunkCache, optional
        Other than the one that the process shares.

    Returns
    -------
    tuple of Coverage
        One for each group of parameters with equal axes; for each point of a MULTIPOINT in the domain, in the order of
        the query.

    Raises
    ------
    StorageError
        If a chunk is missing, damaged or out of reach; the sentence names dataset, parameter and chunk.
    CancelledError
        If the token was set.
    BusyError
        If the dataset changed since it was planned: the same request can be planned anew.
    """
    if opened.cube.snapshot != plan.cube.snapshot:
        raise BusyError(f"{plan.cube.id} was written to while the request was planned; ask again", retry_after=1)
    cache = shared_cache() if cache is None else cache
    through_cache = plan.cost.bytes_decoded <= cache.capacity // CACHED_SHARE
    targets = [
        (group, {p.name: _Target(opened, group, p) for p in group.parameters}) for group in plan.selection.groups
    ]
    tasks = (
        task
        for _, by_name in targets
        for target in by_name.values()
        for task in (target.through(cache) if through_cache else target.directly())
    )
    run(tasks, plan.cost.chunks, cancel, progress, alone=plan.cost.bytes_decoded <= SMALL)
    results = [(group, {name: target.finish() for name, target in by_name.items()}) for group, by_name in targets]
    return coverages(plan.selection, results)


class _Target:
    """The values of one parameter of one group, and how its blocks are read into them."""

    def __init__(self, opened: OpenDatacube, group: Group, parameter: Parameter) -> None:
        definition = opened.cube.definition
        self._source = f"{definition.href}{' (sparse)' if definition.sparse else ''}"
        self._snapshot = opened.cube.snapshot
        self._stored = StoredArray(opened.cube.id, parameter, opened.arrays[parameter.name])
        self._parameter = parameter
        self._group = group
        leading = tuple(indexer.indices.size for indexer in group.leading)
        together: tuple[Along, ...]
        self._outside: NDArray[np.bool_] | None = None
        if isinstance(group.horizontal, Scattered):
            shape = (*leading, group.horizontal.count)
            together = group.horizontal.indexers
        else:
            y, x = group.horizontal.y, group.horizontal.x
            shape = (*leading, y.indices.size, x.indices.size)
            together = (y, x)
            self._outside = None if group.horizontal.mask is None else ~group.horizontal.mask
        self._range = Range(shape, parameter, partial=self._outside is not None)
        order = tuple(indexer.dim for indexer in (*group.leading, *together))
        self._transposition = tuple(parameter.dims.index(dim) for dim in order)
        self._fixed = len(opened.cube.fixed)

    def through(self, cache: ChunkCache) -> Iterator[Task]:
        """Yield tasks of as many chunks as make a block, each chunk on its own in the cache."""
        most = max(1, BLOCK_BYTES // THREADS_SHARE // max(1, chunk_bytes(self._parameter)))
        for batch in itertools.batched(blocks(self._group, self._parameter, 1), most):
            keys = [self._key(tuple(piece.first_chunk for piece in block.pieces)) for block in batch]
            yield Task(len(batch), partial(self._through, cache, batch, keys), here=cache.holds(keys))

    def directly(self) -> Iterator[Task]:
        """Yield one task a block."""
        for block in blocks(self._group, self._parameter, BLOCK_BYTES):
            weight = math.prod(piece.last_chunk - piece.first_chunk + 1 for piece in block.pieces)
            yield Task(weight, partial(self._directly, block))

    def finish(self) -> Range:
        """Return the values once all tasks are done."""
        values = self._range
        if self._outside is not None:
            values.exclude(self._outside)
        if self._fixed:
            values.reshape(values.values.shape[self._fixed :])
        for dim, indexer in enumerate(self._group.leading[self._fixed :]):
            if indexer.mixing is not None:
                values.mix(dim, indexer.mixing.sources, indexer.mixing.weights)
        horizontal = self._group.horizontal
        if isinstance(horizontal, Points | Raster) and horizontal.mixing is not None:
            values.mix(-1, horizontal.mixing.sources, horizontal.mixing.weights)
        if isinstance(horizontal, Raster):
            values.spread(horizontal.places)
        return values

    def _through(self, cache: ChunkCache, batch: Sequence[Block], keys: Sequence[ChunkKey]) -> None:
        found = cache.fetch(keys, self._load)
        for key, block in zip(keys, batch, strict=True):
            corner = [index * size for index, size in zip(key.index, self._parameter.chunks, strict=True)]
            self._put(block, found[key], [piece.start - c for piece, c in zip(block.pieces, corner, strict=True)])

    def _directly(self, block: Block) -> None:
        region = tuple(slice(piece.start, piece.stop) for piece in block.pieces)
        chunks = list(itertools.islice(block.chunks, MOST_TRIED + 1))
        self._put(block, self._stored.read_box(region, chunks), [0] * len(region))

    def _load(self, keys: Sequence[ChunkKey]) -> Mapping[ChunkKey, NDArray[Any]]:
        read_chunks = self._stored.read_chunks([key.index for key in keys])
        return {self._key(index): values for index, values in read_chunks.items()}

    def _key(self, index: tuple[int, ...]) -> ChunkKey:
        return ChunkKey(self._source, self._snapshot, self._parameter.name, index)

    def _put(self, block: Block, region: NDArray[Any], offsets: Sequence[int]) -> None:
        """Pick the wanted values of a region, decode them and place them.

        `offsets` is where the start of each piece lies in the region.
        """
        if isinstance(self._group.horizontal, Scattered):
            picked, where = self._points(block, region, offsets)
        else:
            for dim, (piece, offset) in enumerate(zip(block.pieces, offsets, strict=True)):
                region = region[(slice(None),) * dim + (_shift(piece.local, offset),)]
            picked = region.transpose(self._transposition)
            where = _outer([block.pieces[dim].target for dim in self._transposition])
        self._range.put(where, *decode(picked, self._parameter))

    def _points(
        self, block: Block, region: NDArray[Any], offsets: Sequence[int]
    ) -> tuple[NDArray[Any], tuple[Any, ...]]:
        """Pick single cells: the dimensions of the points are taken together, and become the last one."""
        region = region.transpose(self._transposition)
        ordered = [(block.pieces[dim], offsets[dim]) for dim in self._transposition]
        alone = len(self._group.leading)
        for dim, (piece, offset) in enumerate(ordered[:alone]):
            region = region[(slice(None),) * dim + (_shift(piece.local, offset),)]
        targets = [piece.target for piece, _ in ordered[: alone + 1]]
        if len(ordered) == alone:
            # A single place has no dimension of its own.
            return region[..., None], _outer([*targets, slice(0, 1)])
        picked = region[(..., *(_shift(piece.local, offset) for piece, offset in ordered[alone:]))]
        return picked, _outer(targets)


def _shift(where: Where, offset: int) -> Where:
    if isinstance(where, slice):
        return slice(where.start + offset, where.stop + offset)
    return where + offset


def _outer(targets: Sequence[Where]) -> tuple[Any, ...]:
    """Make an index of every combination of the targets; slices stay slices where NumPy keeps their order."""
    if sum(not isinstance(target, slice) for target in targets) <= 1:
        return tuple(targets)
    return np.ix_(*(np.arange(t.start, t.stop) if isinstance(t, slice) else t for t in targets))
