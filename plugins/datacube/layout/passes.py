"""In which blocks is an array read and written, so that memory stays bounded and few chunks are read twice?

The chunks of the source and those of the copy lie across each other: a series needs a little of every map. The array is
cut into *slabs*, the smallest boxes of both whole source chunks and whole chunks of the copy.

- A slab that fits into the memory is read and written at once: each source chunk is read once.
- Where the blocks of the copy that fit touch each source chunk `MOST_READ` times at most, they are read directly.
- Otherwise a slab is read in blocks of source chunks, and cut into pieces that are kept on the disk; the blocks of the
  copy are put together from these. Each source chunk is read once, and a slab lies on the disk once, uncompressed.

Pure arithmetic: nothing is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final

type Shape = tuple[int, ...]
type Box = tuple[slice, ...]
"""One slice with explicit start and stop a dimension."""

MOST_READ: Final = 2.0
"""Up to so many reads of each source chunk, on average, are cheaper than a way over the disk."""


@dataclass(frozen=True, slots=True)
class Slab:
    """A part of an array that is copied on its own."""

    box: Box
    reads: tuple[Box, ...]
    """Blocks in which the source is read; the same as `writes` where no disk is needed."""
    writes: tuple[Box, ...]
    """Blocks of whole chunks of the copy; together they are the slab, and no two overlap."""

    @property
    def direct(self) -> bool:
        """Whether each block is read and written at once."""
        return self.reads == self.writes


@dataclass(frozen=True, slots=True)
class Passes:
    """How an array is copied."""

    slabs: tuple[Slab, ...]
    amplification: float
    """How often a source chunk is read, on average."""
    scratch: int
    """Bytes that lie on the disk at a time, at most."""


def passes(
    shape: Shape, source: Shape, target: Shape, itemsize: int, memory: int, start: Shape | None = None, *, disk: int
) -> Passes:
    """Plan the copy of one array.

    Parameters
    ----------
    shape : tuple of int
    source : tuple of int
        Shape of the chunks that are read.
    target : tuple of int
        Shape of what is written at once: chunks, or shards.
    itemsize : int
    memory : int
        Bytes of a block, at most, unless a single chunk is larger.
    start : tuple of int, optional
        Where to begin along each dimension; what lies before is there already.
    disk : int
        Bytes of the disk that may be used for pieces; where they do not do, source chunks are read more often.
    """
    limits = Limits(shape, start or (0,) * len(shape), itemsize)
    closed = tuple(math.lcm(a, b) for a, b in zip(source, target, strict=True))
    if limits.nbytes(closed) <= memory:
        block = limits.grown(closed, memory)
        boxes = tuple(limits.grid(block))
        slabs = tuple(Slab(box, (box,), (box,)) for box in boxes)
        return Passes(slabs, limits.reads_of_a_chunk(source, block), 0)
    block = limits.grown_for(target, source, memory)
    amplification = limits.reads_of_a_chunk(source, block)
    scratch = max((limits.nbytes_of(box) for box in limits.grid(closed)), default=0)
    if amplification <= MOST_READ or scratch > disk:
        boxes = tuple(limits.grid(block))
        return Passes(tuple(Slab(box, (box,), (box,)) for box in boxes), amplification, 0)
    reading, writing = limits.grown(source, memory), limits.grown(target, memory)
    found = []
    for box in limits.grid(closed):
        reads, writes = (tuple(limits.grid(shape_of, box)) for shape_of in (reading, writing))
        found.append(Slab(box, reads, writes))
    once = limits.reads_of_a_chunk(source, tuple(min(a, b) for a, b in zip(reading, closed, strict=True)))
    return Passes(tuple(found), once, scratch)


@dataclass(frozen=True, slots=True)
class Limits:
    """An array, and where in it the copy begins."""

    shape: Shape
    start: Shape
    itemsize: int

    def nbytes(self, block: Sequence[int]) -> int:
        """Return the bytes of a block, which ends where the array does."""
        return math.prod(min(b, size) for b, size in zip(block, self.shape, strict=True)) * self.itemsize

    def nbytes_of(self, box: Box) -> int:
        """Return the bytes of a box."""
        return self.itemsize * math.prod(int(s.stop - s.start) for s in box)

    def grid(self, block: Sequence[int], within: Box | None = None) -> Iterator[Box]:
        """Cut the array, or a box of it, at the multiples of a block."""
        within = within or tuple(slice(a, b) for a, b in zip(self.start, self.shape, strict=True))
        ranges = []
        for part, step in zip(within, block, strict=True):
            edges = [part.start, *range((part.start // step + 1) * step, part.stop, step), part.stop]
            ranges.append([slice(a, b) for a, b in pairwise(edges) if a < b])
        yield from product(*ranges)

    def grown(self, unit: Shape, memory: int) -> Shape:
        """Return the largest block of whole units that fits, grown from the last dimension to the first."""
        block = list(unit)
        for i in reversed(range(len(block))):
            factor = min(memory // max(1, self.nbytes(block)), math.ceil(self.shape[i] / unit[i]))
            block[i] = unit[i] * max(1, factor)
            if block[i] < self.shape[i]:
                break
        return tuple(block)

    def grown_for(self, unit: Shape, source: Shape, memory: int) -> Shape:
        """Return a block of whole units that fits, grown where that saves most reads of source chunks."""
        block = list(unit)
        while True:
            best, gain = None, 1.0
            for i in range(len(block)):
                more = unit[i] * max(1, block[i] // unit[i] // 4)
                wider = [min(b + more, _up(self.shape[i], unit[i])) if i == j else b for j, b in enumerate(block)]
                if wider == block or self.nbytes(wider) > memory:
                    continue
                saved = self.reads_of_a_chunk(source, block) / self.reads_of_a_chunk(source, wider)
                if saved > gain:
                    best, gain = wider, saved
            if best is None:
                return self.grown(tuple(block), memory)
            block = best

    def reads_of_a_chunk(self, source: Shape, block: Sequence[int]) -> float:
        """Return how often a source chunk is read on average, if the array is read in blocks."""
        result = 1.0
        for size, first, chunk, step in zip(self.shape, self.start, source, block, strict=True):
            edges = [first, *range((first // step + 1) * step, size, step), size]
            touched = sum(math.ceil(b / chunk) - a // chunk for a, b in pairwise(edges) if a < b)
            chunks = math.ceil(size / chunk) - first // chunk
            result *= touched / max(1, chunks)
        return result


def _up(size: int, unit: int) -> int:
    return math.ceil(size / unit) * unit


def overlap(first: Box, second: Box) -> Box | None:
    """Return the box that two boxes share, or None."""
    shared = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return shared if all(s.start < s.stop for s in shared) else None


def inside(box: Box, outer: Box) -> Box:
    """Return a box relative to the corner of another one that holds it."""
    return tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(box, outer, strict=True))
