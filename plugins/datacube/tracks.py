"""Which cells does a path meet, and in which order?

A path is a sequence of vertices in longitude and latitude and, where the client gave them, height and time; between two
vertices all of these change linearly. Cells are bounded along all of these axes. The samples of a path are

1. at each vertex the cell that contains it, as a position query there would find it,
2. between two vertices every cell that the path crosses, in the order in which it does, touching a corner not counted,

and the same cell twice in a row is one sample. So a ship that lies at anchor for a day has a sample for each time step.
What lies outside the cells of the grid is left out: an edge value is never given for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.cells import Indices
from plugins.datacube.cells import edges as edges_of
from plugins.datacube.errors import TooLargeError
from plugins.datacube.locate import cells_of, longitude_cells

MAXIMUM_CROSSINGS: Final = 1_000_000
"""Edges of cells that the path of one query may cross."""
_CORNER: Final = 1e-9
"""Degrees of path in a cell that count as touching its corner."""


@dataclass(frozen=True, slots=True)
class Way:
    """The path along one axis."""

    axis: Axis
    values: NDArray[Any]
    """shape (n,): the position at each vertex, in the units of the axis; int64 for times."""
    circular: bool = False
    """Whether the values are longitudes, which count modulo 360."""

    def edges(self) -> NDArray[Any]:
        """Return where cells begin and end, rising; of longitudes, on every turn that the path may reach."""
        edges = edges_of(self.axis)
        if not self.circular:
            return edges
        first = int(np.floor((self.values.min() - edges[-1]) / 360.0))
        last = int(np.ceil((self.values.max() - edges[0]) / 360.0))
        turned = (edges + 360.0 * np.arange(first, last + 1)[:, None]).reshape(-1)
        if not bool((turned[1:] >= turned[:-1]).all()):
            return np.unique(turned)
        return np.asarray(turned[np.concatenate([[True], turned[1:] != turned[:-1]])])

    def at(self, vertex: Indices, fraction: NDArray[np.float64]) -> NDArray[Any]:
        """Return the position a fraction of the way from a vertex to the next one; exact at the vertex."""
        start = self.values[vertex]
        change = self.values[np.minimum(vertex + 1, self.values.size - 1)] - start
        if self.values.dtype.kind in "iu":
            return np.asarray(start + np.rint(change * fraction).astype(np.int64))
        return np.asarray(start + change * fraction)

    def locate(self, places: NDArray[Any]) -> tuple[Indices, NDArray[Any]]:
        """Return the cells of some positions, -1 outside, and their centres."""
        if self.circular:
            return longitude_cells(self.axis, places)
        indices = cells_of(self.axis, places)
        return indices, self.axis.values[indices]


@dataclass(frozen=True, slots=True)
class Met:
    """The samples of a path, in its order."""

    line: Indices
    """shape (m,): which line each sample belongs to."""
    indices: tuple[Indices, ...]
    """For each way, shape (m,): the cell."""
    centres: tuple[NDArray[Any], ...]
    """For each way, shape (m,): its centre; longitudes in the convention of the path."""


def cells_met(ways: Sequence[Way], line: Indices) -> Met:
    """Follow a path through the cells.

    Parameters
    ----------
    ways : sequence of Way
        The same path along each axis; the first two are the horizontal ones.
    line : ndarray of int, shape (n,)
        Number of the line that each vertex belongs to, rising.

    Returns
    -------
    Met
        Empty where the path lies outside the grid.

    Raises
    ------
    TooLargeError
        If the path crosses more than `MAXIMUM_CROSSINGS` edges.
    """
    start = np.flatnonzero(line[1:] == line[:-1])
    vertex, fraction = _middles(ways, start, _crossings(ways, start))
    vertex = np.concatenate([np.arange(line.size), vertex])
    fraction = np.concatenate([np.zeros(line.size), fraction])
    order = np.lexsort((fraction, vertex))
    vertex, fraction = vertex[order], fraction[order]
    located = [way.locate(way.at(vertex, fraction)) for way in ways]
    of_line = line[vertex]
    states = np.stack([of_line, *(indices for indices, _ in located)])
    kept = np.concatenate([[True], (np.diff(states, axis=1) != 0).any(axis=0)]) & (states[1:] >= 0).all(axis=0)
    return Met(
        of_line[kept],
        tuple(indices[kept] for indices, _ in located),
        tuple(centres[kept] for _, centres in located),
    )


def _crossings(ways: Sequence[Way], start: Indices) -> tuple[Indices, NDArray[np.float64]]:
    """Return where the path crosses edges: the segment, and the fraction of it, in no order."""
    segments: list[Indices] = []
    fractions: list[NDArray[np.float64]] = []
    total = 0
    for way in ways:
        edges = way.edges()
        a, b = way.values[start], way.values[start + 1]
        first = np.searchsorted(edges, np.minimum(a, b), "right")
        count = np.maximum(np.searchsorted(edges, np.maximum(a, b), "left") - first, 0)
        total += int(count.sum())
        if total > MAXIMUM_CROSSINGS:
            raise TooLargeError(
                f"the path crosses {total:,} edges of cells, and at most {MAXIMUM_CROSSINGS:,} are followed: "
                "ask for a shorter path",
                estimate={"crossings": total},
                limits={"crossings": MAXIMUM_CROSSINGS},
            )
        segment = np.repeat(np.arange(start.size), count)
        edge = np.arange(segment.size) - np.repeat(np.cumsum(count) - count, count) + first[segment]
        segments.append(segment)
        fractions.append((edges[edge] - a[segment]) / (b - a)[segment])
    return np.concatenate(segments), np.concatenate(fractions)


def _middles(
    ways: Sequence[Way], start: Indices, crossings: tuple[Indices, NDArray[np.float64]]
) -> tuple[Indices, NDArray[np.float64]]:
    """Return a place inside each cell that a segment crosses: its first vertex, and the fraction of the segment."""
    segment = np.concatenate([np.arange(start.size), crossings[0]])
    fraction = np.concatenate([np.zeros(start.size), crossings[1]])
    order = np.lexsort((fraction, segment))
    segment, fraction = segment[order], fraction[order]
    ends = np.append(segment[1:] != segment[:-1], True) if segment.size else np.zeros(0, bool)
    stop = np.where(ends, 1.0, np.roll(fraction, -1))
    length = np.max([np.abs(way.values[start + 1] - way.values[start]) for way in ways[:2]], axis=0, initial=0.0)
    with np.errstate(divide="ignore"):
        corner = np.clip(_CORNER / length, 1e-12, 1e-6)
    # A path without length is at anchor: what crosses its time has no corners.
    corner[length == 0] = 1e-12
    long = stop - fraction > corner[segment]
    return start[segment[long]], (fraction[long] + stop[long]) / 2.0
