"""Which coverages, with which domain types and axes, does a read selection make?

A rectangle of the grid makes one `Grid`; a path makes a `Trajectory` for each line, time and level, or a `MultiPoint`
where the data have no times; a point makes a `Point`, `PointSeries` or `VerticalProfile`, or a Grid of one
column where several times and several levels meet. A custom axis (members, steps) with several values has no place in
the common domain types of CoverageJSON, and such a coverage has none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.datacube import Datacube
from plugins.datacube.decode import Range
from plugins.datacube.selection import Group, Points, Tracks

_COMPOSED: Final = (AxisKind.T, AxisKind.X, AxisKind.Y, AxisKind.Z)
"""The order of coordinates in the places of a path, as CoverageJSON has it."""


def coverages(cube: Datacube, results: Sequence[tuple[Group, Mapping[str, Range]]]) -> tuple[Coverage, ...]:
    """Make the coverages of groups whose values are complete.

    Parameters
    ----------
    cube : Datacube
    results : sequence of (Group, ranges by parameter name)
        Ranges of shape (leading..., y, x), or (leading..., points).

    Returns
    -------
    tuple of Coverage
        Point by point (line by line), in the order of the query; in a point, or without points, group by group.
    """
    made: list[tuple[int, Coverage]] = []
    for group, ranges in results:
        leading = tuple(indexer.axis for indexer in group.leading)
        parameters = {parameter.name: parameter for parameter in group.parameters}
        if isinstance(group.horizontal, Tracks):
            made += _trajectories(cube, group, group.horizontal, ranges)
        elif isinstance(group.horizontal, Points):
            for number, order in enumerate(group.horizontal.order):
                at = np.array([number])
                axes = (*leading, group.horizontal.y.axis.take(at), group.horizontal.x.axis.take(at))
                values = {name: part.finish((..., number, None, None)) for name, part in ranges.items()}
                made.append((order, Coverage(cube, _of_a_point(leading), axes, parameters, values)))
        else:
            axes = (*leading, group.horizontal.y.axis, group.horizontal.x.axis)
            domain_type = None if _has_several(leading, AxisKind.CUSTOM) else DomainType.GRID
            made.append(
                (0, Coverage(cube, domain_type, axes, parameters, {name: r.finish() for name, r in ranges.items()}))
            )
    return tuple(coverage for _, coverage in sorted(made, key=lambda pair: pair[0]))


def _trajectories(
    cube: Datacube, group: Group, tracks: Tracks, ranges: Mapping[str, Range]
) -> Iterator[tuple[int, Coverage]]:
    """Yield one coverage for each line, time and level, with the number of the line."""
    custom = tuple(indexer.axis for indexer in group.leading if indexer.axis.kind is AxisKind.CUSTOM)
    shared = [indexer.axis for indexer in group.leading if indexer.axis.kind is not AxisKind.CUSTOM]
    own = {indexer.axis.kind: indexer.axis for indexer in tracks.indexers}
    parameters = {parameter.name: parameter for parameter in group.parameters}
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
            yield line, Coverage(cube, kind, (*custom, composite), parameters, values)


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
