"""Into which parts is a reduction divided, so that each fits into memory and few chunks are decoded twice?

A *tile* is a part of the answer; the *blocks* of a tile are what is read for it, one after the other. Blocks end where
chunks end, as far as memory allows: a chunk that does not fit is decoded once for each tile that it belongs to, and the
cost says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.reduce.layout import Dimension, Region

BLOCK: Final = 8 * 2**20
"""Bytes of decoded values that are read at once, where chunks allow."""
SORTED: Final = 3
"""How many times over the values of a group are held while they are sorted."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the answer and what is read for it."""

    groups: slice
    """Which groups of the answer."""
    region: Region
    """Which places of the answer: positions along the dimensions that are kept."""
    blocks: tuple[Region, ...]
    """In the order of the rows; together they hold every row of the groups."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is reduced."""

    dimensions: tuple[Dimension, ...]
    reduced: tuple[int, ...]
    """The dimensions that are reduced, the rows: one (with groups), or several (of which all are one group each)."""
    labels: NDArray[np.intp] | None
    """The group of each position along the one reduced dimension; None where there are no groups along it."""
    groups: int
    """How many groups there are."""
    itemsize: int
    """Bytes of a decoded value."""
    width: int
    """Bytes that partials hold for each value of the answer."""
    whole: bool
    """Whether all rows of a group must come in one block."""
    unbroken: NDArray[np.intp] | None = None
    """Rising labels of rows that must come in one block (the hours of a day); None where any may be divided."""

    @property
    def kept(self) -> tuple[int, ...]:
        """The dimensions that are kept."""
        return tuple(number for number in range(len(self.dimensions)) if number not in self.reduced)


def tiles(shape: Shape, memory: int, block: int = BLOCK) -> Iterator[Tile]:
    """Divide a reduction.

    Parameters
    ----------
    shape : Shape
    memory : int
        Bytes that the partials of a tile, or the values of a tile that must be whole, may take; a single value of the
        answer may need more.
    block : int
        Bytes of decoded values to read at once.

    Yields
    ------
    Tile
        Together they cover every group and place once.
    """
    dimensions, kept = shape.dimensions, shape.kept
    steps = _Steps(shape, memory, block)
    spans = [_spans(dimensions[number], steps.extents[number]) for number in kept]
    for places in product(*spans):
        region = dict(zip(kept, places, strict=True))
        for groups, rows in steps.groups():
            blocks = tuple({**region, **of_rows} for of_rows in steps.blocks(rows))
            yield Tile(groups, region, blocks)


class _Steps:
    """How far a tile reaches along each dimension that is kept, and a block along each that is reduced."""

    def __init__(self, shape: Shape, memory: int, block: int) -> None:
        self._shape, self._memory, self._block = shape, memory, block
        self.extents = {number: _longest(shape.dimensions[number]) for number in shape.kept}
        self._rows = {number: _longest(shape.dimensions[number]) for number in shape.reduced}
        if shape.unbroken is not None:
            (number,) = shape.reduced
            self._rows[number] = max(self._rows[number], int(np.bincount(shape.unbroken).max()))
        self._rising = shape.labels is not None and not bool((np.diff(shape.labels) < 0).any())
        self._together = shape.groups
        """Groups in one tile."""
        self._shrink()
        if not shape.whole:
            self._grow_rows()
        self._grow_places()

    def groups(self) -> Iterator[tuple[slice, slice | None]]:
        """Yield runs of groups, and their rows where these follow each other."""
        labels = self._shape.labels
        if labels is None or not self._rising:
            yield slice(0, self._shape.groups), None
            return
        for first in range(0, self._shape.groups, self._together):
            last = min(first + self._together, self._shape.groups)
            start, stop = np.searchsorted(labels, [first, last]).tolist()
            yield slice(first, last), slice(start, stop)

    def blocks(self, rows: slice | None) -> Iterator[Region]:
        """Yield the rows of each block of a tile."""
        shape = self._shape
        spans = []
        for number in shape.reduced:
            dimension = shape.dimensions[number]
            within = rows or slice(0, dimension.size)
            if shape.whole or not dimension.divisible:
                spans.append([within])
            else:
                cuts = [within.start, *(cut for cut in dimension.cuts if within.start < cut < within.stop), within.stop]
                spans.append(_packed(cuts, self._rows[number], shape.unbroken))
        for places in product(*spans):
            yield dict(zip(shape.reduced, places, strict=True))

    def _state(self) -> int:
        """Return the bytes that a tile holds."""
        places = math.prod(self.extents.values())
        if not self._shape.whole:
            return places * self._together * self._shape.width
        return places * (self._rows_together() * self._shape.itemsize * SORTED + self._together * self._shape.width)

    def _rows_together(self) -> int:
        rows = math.prod(self._shape.dimensions[number].size for number in self._shape.reduced)
        return math.ceil(rows * self._together / self._shape.groups) if self._rising else rows

    def _shrink(self) -> None:
        """Make the tile smaller until it fits, where that decodes the fewest chunks twice."""
        while max(self._state(), self._bytes()) > self._memory:
            splittable = [n for n, extent in self.extents.items() if extent > 1 and self._shape.dimensions[n].divisible]
            divide_groups = self._rising and self._together > 1
            if divide_groups and splittable:
                # To divide the groups costs nothing while each part of them spans whole chunks.
                (number,) = self._shape.reduced
                divide_groups = self._rows_together() >= 2 * self._rows[number]
            if divide_groups:
                self._together = (self._together + 1) // 2
            elif splittable:
                largest = max(splittable, key=lambda number: self.extents[number])
                self.extents[largest] = (self.extents[largest] + 1) // 2
            else:
                return

    def _grow_rows(self) -> None:
        for number in self._shape.reduced:
            size = self._shape.dimensions[number].size
            while self._rows[number] < size and 2 * self._bytes() <= self._block:
                self._rows[number] = min(size, 2 * self._rows[number])

    def _grow_places(self) -> None:
        for number in sorted(self.extents, reverse=True):
            size = self._shape.dimensions[number].size
            while self.extents[number] < size and 2 * self._bytes() <= self._block:
                before = self.extents[number]
                self.extents[number] = min(size, 2 * before)
                if self._state() > self._memory:
                    self.extents[number] = before
                    break

    def _bytes(self) -> int:
        """Return the bytes of a block."""
        rows = self._rows_together() if self._shape.whole else math.prod(self._rows.values())
        return rows * math.prod(self.extents.values()) * self._shape.itemsize


def _longest(dimension: Dimension) -> int:
    return dimension.size if not dimension.divisible else int(np.diff(dimension.cuts).max())


def _spans(dimension: Dimension, extent: int) -> list[slice]:
    return [slice(0, dimension.size)] if not dimension.divisible else _packed(dimension.cuts, extent)


def _packed(cuts: Sequence[int], extent: int, unbroken: NDArray[np.intp] | None = None) -> list[slice]:
    """Join neighbouring pieces up to `extent`, and divide those that are longer; never inside a run of `unbroken`.

    Examples
    --------
    >>> _packed([0, 4, 8, 20, 22], 8)
    [slice(0, 8, None), slice(8, 16, None), slice(16, 22, None)]
    """
    spans: list[slice] = []
    start, last = cuts[0], cuts[-1]
    known = np.asarray(cuts)
    while start < last:
        stop = int(known[np.searchsorted(known, start + extent, "right") - 1])
        if stop <= start:
            stop = min(start + extent, last)
        if unbroken is not None and stop < last and unbroken[stop - 1] == unbroken[stop]:
            # The end of the run before, or else of this one.
            before, after = (int(np.searchsorted(unbroken, unbroken[stop], side)) for side in ("left", "right"))
            stop = before if before > start else min(after, last)
        spans.append(slice(start, stop))
        start = stop
    return spans
