"""How does a large answer come in the order of its values, without ever standing in memory as a whole?

One parameter after the other, each in slabs along the first axis that varies (most often time), which end where chunks
end: no chunk is decoded twice. An encoder that writes values in their order (CoverageJSON) asks for one slab, writes
it, and asks for the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from plugins.datacube.blocks import chunk_bytes
from plugins.datacube.cancel import Cancel
from plugins.datacube.chunks import ChunkCache
from plugins.datacube.coverage import Coverage, Values
from plugins.datacube.datacube import Parameter
from plugins.datacube.decode import decoded_dtype
from plugins.datacube.domain import coverages
from plugins.datacube.library import OpenDatacube
from plugins.datacube.plan import ReadPlan, plan
from plugins.datacube.read import read
from plugins.datacube.selection import Group, Indexer, Raster, Rectangle, Swarm

WORTH_IT: Final = 1_000_000
"""Values of an answer from which on it is read in slabs."""
SLAB: Final = 500_000
"""Values that a slab holds, unless a chunk holds more."""
DECODED: Final = 64 * 2**20
"""Bytes that a slab may decode, at most: an answer whose chunks lie across it is read as a whole."""


@dataclass(frozen=True, eq=False)
class SlabbedValues:
    """The values of one parameter that are read while they are iterated."""

    opened: OpenDatacube
    todo: ReadPlan
    group: Group
    parameter: Parameter
    cancel: Cancel
    held: int = 0
    """How many of the first axes are held at one position, and are no dimension any more."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the decoded values."""
        return decoded_dtype(self.parameter)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all values together."""
        leading = [indexer.axis.size for indexer in self._leading[self.held :]]
        match self.group.horizontal:
            case Rectangle(y=rows, x=columns):
                return (*leading, rows.axis.size, columns.axis.size)
            case Raster(y=y, x=x):
                return (*leading, y.size, x.size)
            case other:
                return (*leading, other.y.size)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def __getitem__(self, index: tuple[Any, ...]) -> SlabbedValues:
        """Return the values at positions on the first axes; ``(2, ...)`` as NumPy has it."""
        numbers = index[: index.index(...)] if ... in index else index
        fixed = len(self.opened.cube.fixed) + self.held
        leading = list(self.group.leading)
        for place, number in enumerate(numbers):
            leading[fixed + place] = _part(leading[fixed + place], number, number + 1)
        return replace(self, group=replace(self.group, leading=tuple(leading)), held=self.held + len(numbers))

    def slabs(self) -> Iterator[Values]:
        """Read the values, part by part, in C order.

        Raises
        ------
        StorageError, CancelledError, BusyError
            As `plugins.datacube.read.read` does, while the answer is already on its way.
        """
        ends = slab_ends(self.group, self.parameter)
        if ends is None:
            yield self._read(self.group)
            return
        number, stops = ends
        start = 0
        for stop in stops:
            self.cancel.raise_if_cancelled()
            leading = list(self.group.leading)
            leading[number] = _part(leading[number], start, stop)
            yield self._read(replace(self.group, leading=tuple(leading)))
            start = stop

    @property
    def _leading(self) -> tuple[Indexer, ...]:
        return self.group.leading[len(self.opened.cube.fixed) :]

    def _read(self, group: Group) -> Values:
        part = replace(self.todo.selection, groups=(replace(group, parameters=(self.parameter,)),))
        # What is read once, and is larger than the cache is meant for, does not push out what others have read.
        (coverage,) = read(self.opened, plan(self.opened.cube, part), self.cancel, cache=ChunkCache(0))
        return coverage.ranges[self.parameter.name].reshape(-1)


def slab_ends(group: Group, parameter: Parameter) -> tuple[int, list[int]] | None:
    """Return which leading axis is divided, and where each slab ends along it; None where a slab is all there is."""
    place = next((n for n, indexer in enumerate(group.leading) if indexer.axis.size > 1), None)
    if place is None or group.leading[place].mixing is not None:
        return None
    along = group.leading[place]
    chunk = dict(zip(parameter.dims, parameter.chunks, strict=True))[along.dim]
    numbers = along.indices // chunk
    if bool((np.diff(numbers) < 0).any()):
        return None
    borders = [*(np.flatnonzero(np.diff(numbers)) + 1).tolist(), along.indices.size]
    of_one = _values_beside(group, place)
    stops: list[int] = []
    start = 0
    for before, border in zip([0, *borders], borders, strict=False):
        if before > start and (border - start) * of_one > SLAB:
            stops.append(before)
            start = before
    stops.append(along.indices.size)
    return place, stops


def _values_beside(group: Group, place: int) -> int:
    later = math.prod(indexer.axis.size for indexer in group.leading[place + 1 :])
    match group.horizontal:
        case Rectangle(y=rows, x=columns):
            return later * rows.axis.size * columns.axis.size
        case Raster(y=y, x=x):
            return later * y.size * x.size
        case other:
            return later * other.y.size


def _part(indexer: Indexer, start: int, stop: int) -> Indexer:
    where = np.arange(start, stop)
    return Indexer(indexer.dim, indexer.indices[start:stop], indexer.axis.take(where))


@dataclass(frozen=True, slots=True)
class _Later:
    """What stands for the finished values of a parameter."""

    values: SlabbedValues

    def finish(self, where: tuple[Any, ...] = (...,)) -> SlabbedValues:
        """Return the values, which are not read yet."""
        del where
        return self.values


def in_slabs(opened: OpenDatacube, todo: ReadPlan, cancel: Cancel) -> tuple[Coverage, ...] | None:
    """Return the coverages of a plan whose ranges are `SlabbedValues`; None where it is better read as a whole.

    Parameters
    ----------
    opened : OpenDatacube
        The dataset, at the snapshot that was planned.
    todo : ReadPlan
        Admitted already.
    cancel : Cancel
        Looked at before each slab.
    """
    if todo.cost.values < WORTH_IT:
        return None
    results: list[tuple[Group, Mapping[str, Any]]] = []
    for group in todo.selection.groups:
        if not isinstance(group.horizontal, Rectangle | Raster | Swarm):
            return None
        if any(indexer.mixing is not None for indexer in group.leading):
            return None
        if any(not _divides(todo, group, parameter) for parameter in group.parameters):
            return None
        of_group = {p.name: _Later(SlabbedValues(opened, todo, group, p, cancel)) for p in group.parameters}
        results.append((group, of_group))
    return coverages(todo.selection, results)


def _divides(todo: ReadPlan, group: Group, parameter: Parameter) -> bool:
    """Whether no slab of a parameter decodes too much at a time."""
    ends = slab_ends(group, parameter)
    if ends is None:
        return False
    number, stops = ends
    leading = list(group.leading)
    longest = int(np.argmax(np.diff([0, *stops])))
    leading[number] = _part(leading[number], ([0, *stops])[longest], stops[longest])
    part = replace(group, parameters=(parameter,), leading=tuple(leading))
    cost = plan(todo.cube, replace(todo.selection, groups=(part,))).cost
    return cost.bytes_decoded <= max(DECODED, chunk_bytes(parameter))
