"""Which coverages, with which domain types and axes, does a read selection make?

A rectangle of the grid makes one `Grid`, and so does a raster of places; cells that lie on no axes make a `MultiPoint`
or a `MultiPointSeries`; a path makes a `Trajectory` for each line, time and level, or a `MultiPoint`
where the data have no times; a point makes a `Point`, `PointSeries` or `VerticalProfile`, or a Grid of one
column where several times and several levels meet. A custom axis (members, steps) with several values has no place in
the common domain types of CoverageJSON, and such a coverage has none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType, Values
from plugins.datacube.decode import Range
from plugins.datacube.selection import Group, Points, Raster, Rectangle, Selection, Swarm, Tracks

_COMPOSED: Final = (AxisKind.T, AxisKind.X, AxisKind.Y, AxisKind.Z)
"""The order of coordinates in the places of a path, as CoverageJSON has it."""


def coverages(selection: Selection, results: Sequence[tuple[Group, Mapping[str, Range]]]) -> tuple[Coverage, ...]:
    """Make the coverages of groups whose values are complete.

    Parameters
    ----------
    selection : Selection
    results : sequence of (Group, ranges by parameter name)
        Ranges of shape (leading..., y, x), or (leading..., places); without the dimensions that are held fixed.

    Returns
    -------
    tuple of Coverage
        Point by point (line by line), in the order of the query; in a point, or without points, group by group.
    """
    made: list[tuple[int, Coverage]] = []
    for group, ranges in results:
        make = _Maker(selection, group)
        leading = make.leading
        match group.horizontal:
            case Tracks() as tracks:
                made += _trajectories(make, tracks, ranges)
            case Points() as points:
                made += _points(make, points, ranges)
            case Swarm(y=y, x=x):
                composite = Axis(AxisKind.COMPOSITE, "composite", np.arange(x.size), components=(x, y))
                values = {name: part.finish() for name, part in ranges.items()}
                made.append((0, make.coverage(_of_a_swarm(leading), (*leading, composite), values)))
            case Rectangle(y=rows, x=columns):
                values = {name: part.finish() for name, part in ranges.items()}
                made.append((0, make.coverage(_of_a_grid(leading), (*leading, rows.axis, columns.axis), values)))
            case Raster(y=y, x=x):
                values = {name: part.finish() for name, part in ranges.items()}
                made.append((0, make.coverage(_of_a_grid(leading), (*leading, y, x), values)))
    return tuple(coverage for _, coverage in sorted(made, key=lambda pair: pair[0]))


@dataclass(frozen=True, slots=True)
class _Maker:
    """What all coverages of one group share."""

    selection: Selection
    group: Group

    @property
    def leading(self) -> tuple[Axis, ...]:
        """The axes before the horizontal ones, without those that the view holds fixed."""
        return tuple(indexer.axis for indexer in self.group.leading[len(self.selection.cube.fixed) :])

    def coverage(
        self,
        kind: DomainType | None,
        axes: tuple[Axis, ...],
        values: Mapping[str, Values],
        distance: float | None = None,
    ) -> Coverage:
        """Make one coverage."""
        reference = self.selection.reference
        return Coverage(
            self.selection.cube,
            kind,
            axes,
            {parameter.name: parameter for parameter in self.group.parameters},
            values,
            crs=None if reference is None else reference.uri,
            crs_wkt=None if reference is None else reference.wkt,
            geographic=None if reference is None else reference.geographic,
            interpolation=self.selection.interpolation,
            distance=distance,
        )


def _points(make: _Maker, points: Points, ranges: Mapping[str, Range]) -> Iterator[tuple[int, Coverage]]:
    """Yield one coverage for each point, with its number in the query."""
    leading, alone = make.leading, len(points.order) == 1
    kind = _of_a_point(leading)
    for number, order in enumerate(points.order):
        at = np.array([number])
        y, x = (points.y, points.x) if alone else (points.y.take(at), points.x.take(at))
        axes = (*leading, y, x)
        values = {name: part.finish((..., number, None, None)) for name, part in ranges.items()}
        distance = None if points.distances is None else float(points.distances[number])
        yield order, make.coverage(kind, axes, values, distance)


def _trajectories(make: _Maker, tracks: Tracks, ranges: Mapping[str, Range]) -> Iterator[tuple[int, Coverage]]:
    """Yield one coverage for each line, time and level, with the number of the line."""
    custom = tuple(axis for axis in make.leading if axis.kind is AxisKind.CUSTOM)
    shared = [axis for axis in make.leading if axis.kind is not AxisKind.CUSTOM]
    own = {indexer.axis.kind: indexer.axis for indexer in tracks.others}
    own |= {AxisKind.X: tracks.x, AxisKind.Y: tracks.y}
    timed = any(axis.kind is AxisKind.T for axis in (*shared, *own.values()))
    kind = None
    if not any(axis.size > 1 for axis in custom):
        kind = DomainType.TRAJECTORY if timed else DomainType.MULTI_POINT
    lines = np.array(tracks.order)
    for line in np.unique(lines).tolist():
        first, stop = np.searchsorted(lines, [line, line + 1]).tolist()
        of_line = {kind: axis.take(np.arange(first, stop)) for kind, axis in own.items()}
        for place in itertools.product(*(range(axis.size) for axis in shared)):
            fixed = {
                axis.kind: axis.take(np.full(stop - first, index)) for axis, index in zip(shared, place, strict=True)
            }
            found = {**of_line, **fixed}
            components = tuple(found[kind] for kind in _COMPOSED if kind in found)
            composite = Axis(AxisKind.COMPOSITE, "composite", np.arange(stop - first), components=components)
            where = (..., *place, slice(first, stop))
            values = {name: part.finish(where) for name, part in ranges.items()}
            yield line, make.coverage(kind, (*custom, composite), values)


def _of_a_grid(leading: Sequence[Axis]) -> DomainType | None:
    return None if _has_several(leading, AxisKind.CUSTOM) else DomainType.GRID


def _of_a_swarm(leading: Sequence[Axis]) -> DomainType | None:
    if _has_several(leading, AxisKind.CUSTOM) or _has_several(leading, AxisKind.Z):
        return None
    return DomainType.MULTI_POINT_SERIES if _has_several(leading, AxisKind.T) else DomainType.MULTI_POINT


def _of_a_point(leading: Sequence[Axis]) -> DomainType | None:
    if _has_several(leading, AxisKind.CUSTOM):
        return None
    times, levels = _has_several(leading, AxisKind.T), _has_several(leading, AxisKind.Z)
    if times and levels:
        return DomainType.GRID
    if times:
        return DomainType.POINT_SERIES
    return DomainType.VERTICAL_PROFILE if levels else DomainType.POINT


def _has_several(axes: Sequence[Axis], kind: AxisKind) -> bool:
    return any(axis.kind is kind and axis.size > 1 for axis in axes)
