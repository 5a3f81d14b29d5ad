"""Along which dimensions do the values of a selection lie, and how is a part of it asked for?

What `plugins.datacube.read.read` gives for one group has the dimensions (leading..., y, x), or (leading..., cells)
where the cells lie on no axes, or one coverage a point, which are taken as a last dimension here. A part of the
selection is again a selection, so that parts are planned and read as everything else is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage
from plugins.datacube.datacube import Parameter
from plugins.datacube.lookup import Indices
from plugins.datacube.plan import ReadPlan, plan
from plugins.datacube.reduce.sample import floating
from plugins.datacube.selection import Group, Indexer, Points, Raster, Rectangle, Selection, Swarm, Tracks

type Region = Mapping[int, slice]
"""Part of a selection: positions along some dimensions; the others whole."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of what is read."""

    size: int
    cuts: tuple[int, ...]
    """Positions at which another chunk begins, from 0 to the size, both included."""
    divisible: bool
    """Whether a part of it can be asked for."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The dimensions of one parameter of one group of a selection."""

    selection: Selection
    group: Group
    parameter: Parameter
    dimensions: tuple[Dimension, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the dimensions."""
        return tuple(dimension.size for dimension in self.dimensions)

    @property
    def leading(self) -> tuple[Indexer, ...]:
        """The indexers before the horizontal ones, without those that a view holds fixed."""
        return self.group.leading[len(self.selection.cube.fixed) :]

    @property
    def horizontal(self) -> tuple[int, ...]:
        """The dimensions in which the places lie."""
        return tuple(range(len(self.leading), len(self.dimensions)))

    def find(self, axis: Axis) -> int | None:
        """Return the leading dimension of an axis of the dataset, by kind and name."""
        for number, indexer in enumerate(self.leading):
            if (indexer.axis.kind, indexer.axis.name) == (axis.kind, axis.name):
                return number
        return None

    def time(self) -> int | None:
        """Return the dimension of time."""
        for number, indexer in enumerate(self.leading):
            if indexer.axis.kind is AxisKind.T:
                return number
        return None

    def plan(self, region: Region) -> ReadPlan:
        """Plan the reading of a part."""
        cube = self.selection.cube
        return plan(cube, replace(self.selection, groups=(self._part(region),)))

    def values(self, coverages: Sequence[Coverage]) -> NDArray[Any]:
        """Return what was read of a part as one array of floats, in the order of the dimensions."""
        name = self.parameter.name
        if isinstance(self.group.horizontal, Points):
            # Each point is a coverage of its own, with y and x of length 1.
            columns = [floating(coverage.ranges[name])[..., 0, 0] for coverage in self._in_order(coverages)]
            return np.stack(columns, axis=-1)
        return floating(coverages[0].ranges[name])

    def _in_order(self, coverages: Sequence[Coverage]) -> list[Coverage]:
        """Return the coverages of points, which come in the order of the query, in the order of the selection."""
        order = self.group.horizontal.order if isinstance(self.group.horizontal, Points) else ()
        places = np.argsort(np.argsort(np.array(order), kind="stable"))
        return [coverages[place] for place in places.tolist()]

    def _part(self, region: Region) -> Group:
        fixed = len(self.selection.cube.fixed)
        leading = tuple(
            _slice(indexer, region[number - fixed]) if number - fixed in region else indexer
            for number, indexer in enumerate(self.group.leading)
        )
        horizontal, first = self.group.horizontal, len(self.leading)
        if isinstance(horizontal, Rectangle):
            rows, columns = (region.get(first + number, slice(None)) for number in (0, 1))
            mask = None if horizontal.mask is None else horizontal.mask[rows, columns]
            horizontal = replace(horizontal, y=_slice(horizontal.y, rows), x=_slice(horizontal.x, columns), mask=mask)
        elif isinstance(horizontal, Swarm) and first in region:
            where = np.arange(horizontal.y.size)[region[first]]
            cells = tuple(replace(along, indices=along.indices[where]) for along in horizontal.cells)
            horizontal = replace(horizontal, cells=cells, y=horizontal.y.take(where), x=horizontal.x.take(where))
        return replace(self.group, parameters=(self.parameter,), leading=leading, horizontal=horizontal)


def lay_out(selection: Selection, group: Group, parameter: Parameter) -> Layout:
    """Describe what reading one parameter of a group would give.

    Raises
    ------
    TypeError
        For a path whose places have times of their own: it has no dimensions.
    """
    sizes = dict(zip(parameter.dims, parameter.chunks, strict=True))
    leading = [_dimension(indexer, sizes) for indexer in group.leading[len(selection.cube.fixed) :]]
    match group.horizontal:
        case Rectangle(y=y, x=x):
            places = [_dimension(y, sizes), _dimension(x, sizes)]
        case Raster(y=y_axis, x=x_axis):
            places = [Dimension(axis.size, (0, axis.size), divisible=False) for axis in (y_axis, x_axis)]
        case Swarm(cells=cells, y=of_cells):
            places = [Dimension(of_cells.size, _cuts([(a.indices, sizes[a.dim]) for a in cells], of_cells.size), True)]
        case Tracks():
            raise TypeError("a path has no dimensions to reduce along")
        case Points(order=order):
            places = [Dimension(len(order), (0, len(order)), divisible=False)]
        case other:
            raise TypeError(f"{type(other).__name__} is no kind of horizontal selection")
    return Layout(selection, group, parameter, (*leading, *places))


def _dimension(indexer: Indexer, sizes: Mapping[str, int]) -> Dimension:
    if indexer.mixing is not None:
        return Dimension(indexer.axis.size, (0, indexer.axis.size), divisible=False)
    return Dimension(indexer.indices.size, _cuts([(indexer.indices, sizes[indexer.dim])], indexer.indices.size), True)


def _cuts(along: Sequence[tuple[Indices, int]], size: int) -> tuple[int, ...]:
    changes = np.zeros(max(0, size - 1), bool)
    for indices, chunk in along:
        changes |= np.diff(indices // chunk) != 0
    return (0, *(np.flatnonzero(changes) + 1).tolist(), size)


def _slice(indexer: Indexer, where: slice) -> Indexer:
    if where == slice(None):
        return indexer
    positions = np.arange(indexer.indices.size)[where]
    return replace(indexer, indices=indexer.indices[positions], axis=indexer.axis.take(positions))
