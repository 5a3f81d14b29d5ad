"""What is reduced of a selection, along what, and to which statistics?

`lay_reduction` lays it out; its cost is known before anything is read, because the parts that will be read are planned
like any other query.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.datacube import Parameter
from plugins.datacube.decode import decoded_dtype
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.datacube.limits import MEBIBYTE, Limits, admit
from plugins.datacube.plan import BYTES_OF_A_COORDINATE, BYTES_OF_A_VALUE, Cost, ReadPlan
from plugins.datacube.reduce.kernel import Kernel
from plugins.datacube.reduce.layout import Layout, Region, lay_out
from plugins.datacube.reduce.sample import Sample
from plugins.datacube.reduce.sums import Count
from plugins.datacube.reduce.tiles import Shape, Tile, tiles
from plugins.datacube.selection import Group, Selection

MOST_MEMORY: Final = 256 * MEBIBYTE
"""Bytes of partials, or of values that must be together, that a reduction holds at a time."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number that is made of many."""

    kernel: Kernel
    describe: Callable[[Parameter], Parameter]
    """From the parameter that is reduced: name, units, cell methods and type of the statistic."""


@dataclass(frozen=True, slots=True)
class First:
    """A reduction that comes before the other: hours to days."""

    kernel: Kernel
    labels: NDArray[np.intp]
    """shape (n,): the day of each position."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Which cells belong to which region, and by how much; of one region after the other."""

    places: tuple[NDArray[np.intp], ...]
    """Positions along each horizontal dimension, each of shape (k,)."""
    labels: NDArray[np.intp]
    """shape (k,): the region."""
    weights: NDArray[np.float64]
    """shape (k,): area of the part of the cell that lies in the region."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The dimensions along which one parameter is reduced, and what each position along them means."""

    dims: tuple[int, ...]
    axis: Axis | None
    """Of the groups; None where there is one, and it needs no axis."""
    labels: NDArray[np.intp] | None = None
    """shape (n,): the group of each position (after `first`: of each of its groups); None where all are group 0."""
    weights: NDArray[np.float64] | None = None
    """shape (n,), as `labels`."""
    places: NDArray[np.float64] | None = None
    """shape (n,), as `labels`."""
    first: First | None = None
    cells: Cells | None = None

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return 1 if self.axis is None else self.axis.size

    @property
    def of_rows(self) -> NDArray[np.intp] | None:
        """The group of each stored position, shape (n,)."""
        if self.first is None or self.labels is None:
            return self.labels
        return self.labels[self.first.labels]

    @property
    def sizes(self) -> NDArray[np.int64] | None:
        """How many rows each group has, shape (g,); None where that is not a number of rows."""
        return None if self.labels is None else np.bincount(self.labels, minlength=self.groups)

    def sample(self, values: NDArray[Any], region: Region) -> Sample:
        """Return what kernels see of a block.

        Parameters
        ----------
        values : ndarray
            In the order of the dimensions of the layout.
        region : Region
            Where the block lies along `dims`.
        """
        rows = np.moveaxis(values, self.dims, range(len(self.dims)))
        if self.cells is not None:
            return _of_cells(self.cells, rows, [region[dim] for dim in self.dims])
        where = region[self.dims[0]]
        if self.first is not None:
            days = Sample(rows, self.first.labels[where])
            rows = self.first.kernel.finish(self.first.kernel.partial(days)).astype(days.values.dtype, copy=False)
            where = slice(int(days.groups[0]), int(days.groups[-1]) + 1)
        labels = np.zeros(len(rows), np.intp) if self.labels is None else self.labels[where]
        weights, places = (None if given is None else given[where] for given in (self.weights, self.places))
        return Sample(rows, labels, weights, places)


@dataclass(frozen=True, slots=True)
class Work:
    """The reduction of one parameter."""

    layout: Layout
    rows: Rows
    shape: Shape
    memory: int

    def tiles(self) -> Iterator[Tile]:
        """Yield the parts in which it is done."""
        return tiles(self.shape, self.memory)

    @property
    def answer(self) -> tuple[int, ...]:
        """Shape of each statistic: groups first, then the dimensions that are kept."""
        return (self.rows.groups, *(self.layout.shape[number] for number in self.shape.kept))

    def arranged(self, values: NDArray[Any]) -> NDArray[Any]:
        """Put the groups of an answer where the rows were; without them where they have no axis."""
        if self.rows.axis is None:
            return np.asarray(values[0])
        # The groups of places (regions) lead.
        moved: NDArray[Any] = values if self.rows.cells is not None else np.moveaxis(values, 0, self.rows.dims[0])
        return moved


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction that could be run: everything about it is checked, nothing was read."""

    selection: Selection
    works: tuple[Work, ...]
    statistics: tuple[Statistic, ...]
    cost: Cost
    least_share: float = 0.0
    """Share of the rows of a group that must have values, 0..1; otherwise its statistics are missing."""


type Lay = Callable[[Layout], Rows | None]
"""Returns the rows of a layout; None where it has nothing to reduce along."""


def lay_reduction(
    read: ReadPlan,
    rows_of: Lay,
    statistics: Sequence[Statistic],
    limits: Limits,
    *,
    named: bool,
    least_share: float = 0.0,
) -> Reduction:
    """Lay a reduction over what a query selects.

    Parameters
    ----------
    read : ReadPlan
        What the query selects.
    rows_of : callable
    statistics : sequence of Statistic
    limits : Limits
        Also bound the memory that is used: as many bytes as an answer may have, at most `MOST_MEMORY`.
    named : bool
        Whether the client named the parameters: then one that cannot be reduced is refused, else it is left out.
    least_share : float
        See `Reduction`.

    Raises
    ------
    InvalidQueryError
        If a named parameter cannot be reduced.
    NoDataError
        If there is nothing to reduce.
    TooLargeError
        If it costs more than the limits allow.
    """
    memory = max(1, min(limits.bytes_out, MOST_MEMORY) // max(1, len(statistics)))
    works: list[Work] = []
    for group in read.selection.groups:
        for parameter in group.parameters:
            work = _work(read.selection, group, parameter, rows_of, statistics, memory)
            if work is not None:
                works.append(work)
            elif named:
                raise InvalidQueryError(
                    "parameter-name", f"{parameter.name} cannot be reduced so: it lacks that dimension, or is no number"
                )
    if not works:
        raise NoDataError("nothing that was asked for varies along the dimension that is reduced")
    values = sum(math.prod(work.answer) for work in works) * len(statistics)
    coordinates = sum(sum(work.answer) for work in works)
    out = Cost(0, 0, values * BYTES_OF_A_VALUE + coordinates * BYTES_OF_A_COORDINATE, values)
    # What is too large at first sight is not divided first.
    admit(_reading(out, (work.layout.plan({}).cost for work in works)), limits)
    blocks = ((work.layout, block) for work in works for tile in work.tiles() for block in tile.blocks)
    cost = _reading(out, (layout.plan(block).cost for layout, block in blocks))
    admit(cost, limits)
    return Reduction(read.selection, tuple(works), tuple(statistics), cost, least_share)


def _work(
    selection: Selection,
    group: Group,
    parameter: Parameter,
    rows_of: Lay,
    statistics: Sequence[Statistic],
    memory: int,
) -> Work | None:
    if decoded_dtype(parameter).kind not in "iufb":
        return None
    layout = lay_out(selection, group, parameter)
    rows = rows_of(layout)
    if rows is None:
        return None
    kernels = [statistic.kernel for statistic in statistics]
    first = None if rows.first is None else rows.first.labels
    broken = first is not None and bool((np.diff(first) < 0).any())
    shape = Shape(
        dimensions=layout.dimensions,
        reduced=rows.dims,
        labels=rows.of_rows,
        groups=rows.groups,
        # Integers are made float64.
        itemsize=max(4, decoded_dtype(parameter).itemsize) if decoded_dtype(parameter).kind == "f" else 8,
        width=sum(kernel.width for kernel in (*kernels, Count())),
        whole=broken or any(kernel.whole for kernel in kernels),
        unbroken=None if broken else first,
    )
    return Work(layout, rows, shape, memory)


def _reading(out: Cost, parts: Iterable[Cost]) -> Cost:
    chunks = bytes_decoded = 0
    for part in parts:
        chunks += part.chunks
        bytes_decoded += part.bytes_decoded
    return replace(out, bytes_decoded=bytes_decoded, chunks=chunks)


def _of_cells(cells: Cells, rows: NDArray[Any], block: Sequence[slice]) -> Sample:
    """Take the cells of each region out of a block, of shape (y, x, ...) or (cells, ...)."""
    inside = np.ones(cells.labels.size, bool)
    for places, where in zip(cells.places, block, strict=True):
        inside &= (places >= where.start) & (places < where.stop)
    at = tuple(places[inside] - where.start for places, where in zip(cells.places, block, strict=True))
    return Sample(rows[at], cells.labels[inside], cells.weights[inside])
