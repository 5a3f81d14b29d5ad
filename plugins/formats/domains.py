"""Which domain does an answer have, and into which coverages is it split so that every domain is a common one?

The common domain types of CoverageJSON (OGC 21-069r2) let only the axes x, y, z and t vary. Members, steps and other
custom axes have no place in them: an answer over a custom axis of n values is n coverages, each over one value. The
places of a `MultiPoint` or `MultiPointSeries` have their level among their coordinates: such an answer over n levels is
n coverages, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType, Values


@dataclass(frozen=True, slots=True)
class Piece:
    """A coverage at one value of every custom axis, and of places at one level."""

    coverage: Coverage
    domain_type: DomainType | None
    """None only where x or y is missing."""
    axes: tuple[Axis, ...]
    """The axes t, z, y, x, as far as they exist, in array order; of places t, if it exists, and the composite axis."""
    dimensions: Mapping[str, Any]
    """The value of each custom axis, by its name."""
    index: tuple[int | slice, ...]
    """The position on the leading axes of the array: the custom ones, and of places t, as a whole, and z."""

    def values(self, name: str) -> Values:
        """Return the values of a parameter, of shape ``tuple(axis.size for axis in self.axes)``; a view."""
        # The ellipsis keeps an array an array where no axis is left.
        index: tuple[Any, ...] = (*self.index, ...)
        taken: Values = self.coverage.ranges[name][index]
        return taken


def path_of(coverage: Coverage) -> Axis | None:
    """Return the composite axis of an answer along a path or at places, whose components are its coordinates."""
    return next((axis for axis in coverage.axes if axis.kind is AxisKind.COMPOSITE), None)


def is_timed(path: Axis) -> bool:
    """Return whether each place of a composite axis has a time of its own."""
    return any(component.kind is AxisKind.T for component in path.components)


def is_point(coverage: Coverage) -> bool:
    """Return whether an answer lies at one horizontal position, and is not a grid that happens to have one cell.

    A point with several times and several levels is a Grid of one column in name, for want of a better one.
    """
    if path_of(coverage) is not None:
        return False
    if coverage.domain_type not in (None, DomainType.GRID):
        return True
    size = {axis.kind: axis.size for axis in coverage.axes}
    if AxisKind.X not in size and AxisKind.Y not in size:
        return False  # of a region, by its name
    single = size.get(AxisKind.X, 1) == size.get(AxisKind.Y, 1) == 1
    column = size.get(AxisKind.T, 1) > 1 and size.get(AxisKind.Z, 1) > 1
    return single and (coverage.domain_type is None or column)


def domain_type(coverage: Coverage) -> DomainType | None:
    """Return the common domain type of a coverage at one value of every custom axis.

    A point with several times and several levels is a grid of one column: no common domain type has both.
    """
    if coverage.domain_type is not None:
        return coverage.domain_type
    path = path_of(coverage)
    if path is not None:
        several = any(axis.kind is AxisKind.T and axis.size > 1 for axis in coverage.axes)
        if is_timed(path):
            return DomainType.TRAJECTORY
        return DomainType.MULTI_POINT_SERIES if several else DomainType.MULTI_POINT
    size = {axis.kind: axis.size for axis in coverage.axes}
    if AxisKind.X not in size or AxisKind.Y not in size:
        return None
    times, levels = size.get(AxisKind.T, 1), size.get(AxisKind.Z, 1)
    if not is_point(coverage) or (times > 1 and levels > 1):
        return DomainType.GRID
    if times > 1:
        return DomainType.POINT_SERIES
    return DomainType.VERTICAL_PROFILE if levels > 1 else DomainType.POINT


def is_dimension(coverage: Coverage, axis: Axis) -> bool:
    """Return whether an axis is a dimension of the answer: every axis of a grid; at a point, what may vary.

    A series of one time is still a series, and a profile of one level a profile; one place is still a list of places.
    """
    series = {
        DomainType.POINT_SERIES: AxisKind.T,
        DomainType.MULTI_POINT_SERIES: AxisKind.T,
        DomainType.VERTICAL_PROFILE: AxisKind.Z,
    }
    kind = domain_type(coverage)
    if axis.size > 1 or axis.kind is AxisKind.COMPOSITE or (kind is not None and series.get(kind) is axis.kind):
        return True
    return not is_point(coverage) and path_of(coverage) is None


def split(coverage: Coverage) -> Iterator[Piece]:
    """Yield the pieces of a coverage in array order: one where no custom axis, nor z of places, has several values."""
    custom = [axis for axis in coverage.axes if axis.kind is AxisKind.CUSTOM]
    rest = tuple(axis for axis in coverage.axes if axis.kind is not AxisKind.CUSTOM)
    kind = domain_type(coverage)
    below = _levels(rest)
    for index in product(*(range(axis.size) for axis in custom)):
        dimensions = {axis.name: axis.values[i].item() for axis, i in zip(custom, index, strict=True)}
        for axes, rest_index in below:
            yield Piece(coverage, kind, axes, dimensions, (*index, *rest_index))


def _levels(axes: tuple[Axis, ...]) -> list[tuple[tuple[Axis, ...], tuple[int | slice, ...]]]:
    """Return the axes of each piece, and its position on them: of places, one for each level, which they then hold."""
    level = next((axis for axis in axes if axis.kind is AxisKind.Z), None)
    places = next((axis for axis in axes if axis.kind is AxisKind.COMPOSITE), None)
    if level is None or places is None:
        return [(axes, ())]
    before = tuple(axis for axis in axes if axis is not level and axis is not places)
    found: list[tuple[tuple[Axis, ...], tuple[int | slice, ...]]] = []
    for number in range(level.size):
        at = level.take(np.full(places.size, number))
        held = replace(places, components=(*places.components, at))
        index = tuple(number if axis is level else slice(None) for axis in axes if axis is not places)
        found.append(((*before, held), index))
    return found
