"""Which rows and columns of the grid lie where a query asks?

Longitudes of the answer are in the convention of the request, and run without a jump.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from plugins.datacube import lookup
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.corridors import cut, near_path
from plugins.datacube.cover import covered
from plugins.datacube.distance import EARTH_RADIUS, covering_arc, near_points, reach
from plugins.datacube.errors import NoDataError, TooLargeError
from plugins.datacube.lookup import Indices
from plugins.datacube.membership import metres
from plugins.datacube.query import Area, Corridor, Cube, Line, Position, Query, Radius, Trajectory
from plugins.datacube.selection import Along, Indexer, Points, Rectangle, Tracks
from plugins.datacube.tracks import Way, cells_met

MAXIMUM_MASK: Final = 16_000_000
"""Cells of the rectangle around a polygon or a circle: each is tested before anything is read."""


@dataclass(frozen=True, slots=True)
class Horizontal:
    """The two horizontal axes of a group, and what each query type selects of them."""

    y_dim: str
    y: Axis
    x_dim: str
    x: Axis
    geographic: bool

    def select(self, query: Query, own: Sequence[tuple[str, Axis]] = ()) -> Rectangle | Points:
        """Return the cells of a query.

        Parameters
        ----------
        query : Query
        own : sequence of (dimension, Axis)
            The time and the vertical axis, in this order, as far as each vertex of a line has its own.
        """
        match query:
            case Position():
                return self.points(query.points)
            case Radius():
                return self.circles(query.points, query.within)
            case Cube():
                return self.box(query.west, query.south, query.east, query.north)
            case Area():
                return self.polygon(query.geometry)
            case Trajectory():
                return self.tracks(query.lines, own)
            case Corridor():
                return self.corridor(query.lines, query.width)

    def points(self, points: tuple[tuple[float, float], ...]) -> Points:
        """Return the cells that contain points; those outside the grid are left out."""
        rows: list[int] = []
        columns: list[int] = []
        longitudes: list[float] = []
        order: list[int] = []
        for number, (x, y) in enumerate(points):
            row, column = lookup.cell_of(self.y, y), self._column(x)
            if row is not None and column is not None:
                rows.append(row)
                columns.append(column[0])
                longitudes.append(column[1])
                order.append(number)
        if not order:
            raise self._outside("the point lies" if len(points) == 1 else "all points lie")
        y_indices, x_indices = np.array(rows, np.intp), np.array(columns, np.intp)
        at_y, at_x = self.y.take(y_indices), self.x.take(x_indices, np.array(longitudes))
        cells = (Along(self.y_dim, y_indices), Along(self.x_dim, x_indices))
        asked = np.array(points)[order]
        distances = None
        if self.geographic:
            distances = metres(asked[:, 0], asked[:, 1], at_x.values, at_y.values)
        return Points(cells, at_y, at_x, tuple(order), distances=distances)

    def box(self, west: float, south: float, east: float, north: float) -> Rectangle:
        """Return the cells whose centres lie in a box, else those that it overlaps."""
        if west > east:  # across the antimeridian
            east += 360.0 * np.ceil((west - east) / 360.0)
        rows = lookup.within(self.y, south, north)
        if rows.size == 0:
            rows = lookup.overlapping(self.y, south, north)
        columns, longitudes = self._columns(west, east)
        if columns.size == 0 and self.geographic:
            columns, longitudes = lookup.longitudes_overlapping(self.x, west, east)
        elif columns.size == 0:
            columns = lookup.overlapping(self.x, west, east)
            longitudes = self.x.values[columns]
        if rows.size == 0 or columns.size == 0:
            raise self._outside("the box lies")
        return self._rectangle(rows, columns, longitudes)

    def polygon(self, geometry: shapely.Polygon | shapely.MultiPolygon) -> Rectangle:
        """Return the cells whose centres a polygon covers, else the one at a point inside it."""
        west, south, east, north = geometry.bounds
        rows = lookup.within(self.y, south, north)
        columns, longitudes = self._columns(west, east)
        if rows.size and columns.size:
            _check_size(rows, columns)
            mask = self._covered(geometry, rows, columns, longitudes, east)
            if mask.any():
                return self._cropped(rows, columns, longitudes, mask)
        inside = geometry.representative_point()
        cell = self.points(((inside.x, inside.y),))
        rows, columns = (along.indices for along in cell.cells)
        return Rectangle(Indexer(self.y_dim, rows, cell.y), Indexer(self.x_dim, columns, cell.x), np.ones((1, 1), bool))

    def circles(self, points: tuple[tuple[float, float], ...], distance: float) -> Rectangle:
        """Return the cells whose centres lie within metres of one of some points, else those that contain them."""
        angle = math.degrees(distance / EARTH_RADIUS)
        rows = lookup.within(self.y, min(y for _, y in points) - angle, max(y for _, y in points) + angle)
        west, east = covering_arc([(x, reach(y, distance)) for x, y in points])
        columns, longitudes = self._columns(west, east)
        if rows.size and columns.size:
            _check_size(rows, columns)
            mask = near_points(points, distance, self._clean(columns, longitudes), lookup.centres(self.y)[rows])
            if mask.any():
                return self._cropped(rows, columns, longitudes, mask)
        return self._around(self.points(points))

    def corridor(self, lines: tuple[Line, ...], width: float) -> Rectangle:
        """Return the cells whose centres lie within half a width in metres of a path, else those that it meets."""
        pieces = cut(lines)
        west, south, east, north = pieces.reaches(width / 2.0)
        rows = lookup.within(self.y, south, north)
        columns, longitudes = self._columns(west, east)
        if rows.size and columns.size:
            _check_size(rows, columns)
            clean = self._clean(columns, longitudes)
            mask = near_path(pieces, width / 2.0, clean, lookup.centres(self.y)[rows])
            if mask.any():
                return self._cropped(rows, columns, longitudes, mask)
        return self._around(self.tracks(lines, ()))

    def _around(self, cells: Points) -> Rectangle:
        """Return the rectangle around single cells; all others in it are missing."""
        own_rows = cells.cells[0].indices
        rows = np.arange(own_rows.min(), own_rows.max() + 1)
        west, east = covering_arc([(float(x), lookup.DEGREES_OF_A_POINT) for x in cells.x.values])
        columns, longitudes = self._columns(west, east)
        _check_size(rows, columns)
        mask = np.zeros((rows.size, columns.size), bool)
        away = np.mod(longitudes - cells.x.values[:, None] + 180.0, 360.0) - 180.0
        mask[own_rows - rows[0], np.abs(away).argmin(axis=1)] = True
        return self._cropped(rows, columns, longitudes, mask)

    def tracks(self, lines: tuple[Line, ...], own: Sequence[tuple[str, Axis]]) -> Tracks:
        """Return the cells that lines meet, along time and height too where the vertices have their own."""
        numbers = np.repeat(np.arange(len(lines)), [len(line.x) for line in lines])
        along = {
            AxisKind.T: np.array([t for line in lines for t in line.t or ()], np.int64),
            AxisKind.Z: np.array([z for line in lines for z in line.z or ()], np.float64),
        }
        dims = (self.y_dim, self.x_dim, *(dim for dim, _ in own))
        ways = (
            Way(self.y, np.array([y for line in lines for y in line.y])),
            Way(self.x, np.array([x for line in lines for x in line.x]), circular=self.geographic),
            *(Way(axis, along[axis.kind]) for _, axis in own),
        )
        met = cells_met(ways, numbers)
        if met.line.size == 0:
            raise self._outside("the path lies", also=[axis for _, axis in own])
        y, x, *others = (
            Indexer(dim, indices, way.axis.take(indices, centres if way.circular else None))
            for dim, way, indices, centres in zip(dims, ways, met.indices, met.centres, strict=True)
        )
        cells = (Along(y.dim, y.indices), Along(x.dim, x.indices))
        return Tracks(cells, y.axis, x.axis, tuple(met.line.tolist()), tuple(others))

    def _clean(self, columns: Indices, longitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return longitudes as people write them: see `lookup.centres`."""
        return np.asarray(longitudes + (lookup.centres(self.x)[columns] - self.x.values[columns]))

    def _covered(
        self,
        geometry: shapely.Polygon | shapely.MultiPolygon,
        rows: Indices,
        columns: Indices,
        longitudes: NDArray[np.float64],
        east: float,
    ) -> NDArray[np.bool_]:
        """Test each centre, also a turn or two further east where the polygon is wider than the globe."""
        latitudes = lookup.centres(self.y)[rows]
        clean = self._clean(columns, longitudes)
        mask = np.zeros((rows.size, columns.size), bool)
        for turn in range(3 if self.geographic else 1):
            shifted = clean + 360.0 * turn
            if shifted.min() > east:
                break
            mask |= covered(geometry, shifted, latitudes)
        return mask

    def _cropped(
        self, rows: Indices, columns: Indices, longitudes: NDArray[np.float64], mask: NDArray[np.bool_]
    ) -> Rectangle:
        """Leave out rows and columns at the edges without a cell; start a full circle after its widest gap."""
        if self.x.cyclic and columns.size == self.x.size:
            columns, longitudes, mask = _opened(columns, longitudes, mask)
        used_rows, used_columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        of_rows = slice(used_rows[0], used_rows[-1] + 1)
        of_columns = slice(used_columns[0], used_columns[-1] + 1)
        rectangle = self._rectangle(rows[of_rows], columns[of_columns], longitudes[of_columns])
        return Rectangle(rectangle.y, rectangle.x, np.ascontiguousarray(mask[of_rows, of_columns]))

    def _rectangle(self, rows: Indices, columns: Indices, longitudes: NDArray[Any]) -> Rectangle:
        return Rectangle(
            Indexer(self.y_dim, rows, self.y.take(rows)),
            Indexer(self.x_dim, columns, self.x.take(columns, longitudes)),
        )

    def _column(self, x: float) -> tuple[int, float] | None:
        if self.geographic:
            return lookup.longitude_cell(self.x, x)
        index = lookup.cell_of(self.x, x)
        return None if index is None else (index, float(self.x.values[index]))

    def _columns(self, west: float, east: float) -> tuple[Indices, NDArray[np.float64]]:
        if self.geographic:
            return lookup.longitudes_within(self.x, west, east)
        columns = lookup.within(self.x, west, east)
        return columns, self.x.values[columns]

    def _outside(self, what: str, also: Sequence[Axis] = ()) -> NoDataError:
        west, east = float(lookup.cells(self.x).min()), float(lookup.cells(self.x).max())
        south, north = float(lookup.cells(self.y).min()), float(lookup.cells(self.y).max())
        ends = (axis.take(np.array([axis.values.argmin(), axis.values.argmax()])).texts() for axis in also)
        others = [f"{first} to {last} in {axis.kind.value}" for axis, (first, last) in zip(also, ends, strict=True)]
        reaches = ", ".join([f"{west:g} to {east:g} in x", f"{south:g} to {north:g} in y", *others])
        return NoDataError(f"{what} outside the dataset, which reaches from {reaches}")


def _check_size(rows: Indices, columns: Indices) -> None:
    size = rows.size * columns.size
    if size > MAXIMUM_MASK:
        raise TooLargeError(
            f"the rectangle around the area has {size:,} cells, and at most {MAXIMUM_MASK:,} are tested: "
            "ask for a smaller area, or for a box",
            estimate={"values": size},
            limits={"values": MAXIMUM_MASK},
        )


def _opened(
    columns: Indices, longitudes: NDArray[np.float64], mask: NDArray[np.bool_]
) -> tuple[Indices, NDArray[np.float64], NDArray[np.bool_]]:
    """Turn a full circle so that its widest empty gap is at its ends.

    A MULTIPOLYGON of two halves at the antimeridian then gives 170 to 190, not the whole circle with a hole.
    """
    used = np.flatnonzero(mask.any(axis=0))
    gaps = np.diff(np.append(used, used[0] + columns.size))
    start = int(used[(int(np.argmax(gaps)) + 1) % used.size])
    wide = int(gaps.max()) > 1 and start != used[0]
    if not wide:
        return columns, longitudes, mask
    turn = 360.0 if columns.size < 2 or longitudes[-1] > longitudes[0] else -360.0
    turned = np.concatenate([longitudes[start:], longitudes[:start] + turn])
    return np.roll(columns, -start), turned, np.roll(mask, -start, axis=1)
