"""Which cell holds a place that is given in the CRS of a request, whatever the grid?

Two answers: `OnAxes`, for grids whose cells lie in rows and columns of some CRS, and `OnMesh`, for the others. Both
turn places into numbers of cells and numbers into centres; rasters, points in another CRS and paths are built on them
(`plugins.datacube.raster`, `plugins.datacube.elsewhere`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import lookup
from plugins.datacube.axes import Axis
from plugins.datacube.locate import cells_of, longitude_cells
from plugins.datacube.lookup import Indices
from plugins.datacube.membership import Bounds, in_box, metres
from plugins.datacube.mesh.mesh import Mesh
from plugins.datacube.mixtures import combined, shares
from plugins.datacube.reference import Reference, longitude_latitude, transform

type Floats = NDArray[np.float64]

METRES_OF_A_DEGREE: Final = 111_195.0
CENTRES_KEPT: Final = 4_000_000
"""Cells of a grid up to which all its centres are tested against an area in another CRS; of more, those in a window."""
WINDOW_MARGIN: Final = 0.1
"""By how much of its size the window is wider than the box around the area."""


class Locator(Protocol):
    """From places to cells and back."""

    @property
    def request(self) -> Reference:
        """CRS of the places."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Stored dimensions of the cells."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each."""

    def hold(self, x: Floats, y: Floats) -> Indices:
        """Return the number of the cell that holds each place, -1 where none does; shape (n,)."""

    def mix(self, x: Floats, y: Floats) -> tuple[Indices, NDArray[np.float64]]:
        """Return cells and weights of a linear mixture for each place, shape (n, k); -1 outside."""

    def centres(self, cells: Indices) -> tuple[Floats, Floats]:
        """Return the centres of cells in the CRS of the request."""

    def degrees(self, cells: Indices) -> tuple[Floats, Floats]:
        """Return longitude and latitude of the centres of cells."""

    def candidates(self, box: Bounds) -> Indices:
        """Return, rising, all cells whose centre may lie in a box of the request's CRS, perhaps with others."""

    def spacing(self, x: float, y: float) -> tuple[float, float]:
        """Return how far apart centres lie near a place, along x and y of the request's CRS."""


@dataclass(frozen=True, slots=True)
class OnAxes:
    """Cells in rows and columns, of a CRS that may be another than that of the request."""

    y_dim: str
    y: Axis
    x_dim: str
    x: Axis
    native: Reference
    request: Reference

    @property
    def dims(self) -> tuple[str, ...]:
        """Rows, then columns."""
        return self.y_dim, self.x_dim

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and of columns."""
        return self.y.size, self.x.size

    def hold(self, x: Floats, y: Floats) -> Indices:
        """Return the number of the cell that holds each place, -1 where none does."""
        own_x, own_y, known = self._native(x, y)
        rows = cells_of(self.y, own_y)
        columns = longitude_cells(self.x, own_x)[0] if self.native.geographic else cells_of(self.x, own_x)
        inside = known & (rows >= 0) & (columns >= 0)
        return np.where(inside, rows * self.x.size + columns, -1)

    def mix(self, x: Floats, y: Floats) -> tuple[Indices, NDArray[np.float64]]:
        """Return the (up to four) cells around each place and their bilinear weights."""
        own_x, own_y, known = self._native(x, y)
        along_y, along_x = shares(self.y, own_y), shares(self.x, own_x, circular=self.native.geographic)
        (rows, columns), weights = combined([along_y, along_x])
        inside = known[:, None] & (rows >= 0) & (columns >= 0)
        return np.where(inside, rows * self.x.size + columns, -1), weights

    def centres(self, cells: Indices) -> tuple[Floats, Floats]:
        """Return the centres of cells in the CRS of the request."""
        return transform(self.native, self.request, *self._own(cells))

    def degrees(self, cells: Indices) -> tuple[Floats, Floats]:
        """Return longitude and latitude of the centres of cells."""
        return transform(self.native, longitude_latitude(), *self._own(cells))

    def candidates(self, box: Bounds) -> Indices:
        """Return all cells of a small grid; of a large one those in the window around the box."""
        rows, columns = np.arange(self.y.size), np.arange(self.x.size)
        if rows.size * columns.size > CENTRES_KEPT:
            window = self._window(box)
            if window is not None:
                rows = lookup.within(self.y, window.south, window.north)
                if not self.native.geographic:
                    columns = lookup.within(self.x, window.west, window.east)
        return (rows[:, None] * self.x.size + columns).ravel()

    def spacing(self, x: float, y: float) -> tuple[float, float]:
        """Return how far apart columns and rows lie near a place, in the units of the request."""
        own_x, own_y, known = self._native(np.array([x]), np.array([y]))
        if not known[0]:
            own_x, own_y = np.array([self.x.values.mean()]), np.array([self.y.values.mean()])
        dx, dy = _gap(self.x), _gap(self.y)
        around_x = own_x + np.array([0.0, dx, 0.0])
        around_y = own_y + np.array([0.0, 0.0, dy])
        to_x, to_y = transform(self.native, self.request, around_x, around_y)
        east, north = np.abs(to_x[1:] - to_x[0]), np.abs(to_y[1:] - to_y[0])
        if self.request.geographic:
            east = np.minimum(east, 360.0 - east)
        found = float(np.nanmax(east)), float(np.nanmax(north))
        return (found[0] or dx, found[1] or dy) if np.isfinite(found).all() else (dx, dy)

    def _own(self, cells: Indices) -> tuple[Floats, Floats]:
        """Return the centres of cells in the CRS of the grid."""
        rows, columns = np.divmod(cells, self.x.size)
        return lookup.centres(self.x)[columns], lookup.centres(self.y)[rows]

    def _native(self, x: Floats, y: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return places in the CRS of the grid, and whether they have a place there; the others become 0, 0."""
        own_x, own_y = transform(self.request, self.native, x, y)
        known = np.isfinite(own_x) & np.isfinite(own_y)
        return np.where(known, own_x, 0.0), np.where(known, own_y, 0.0), known

    def _window(self, box: Bounds) -> Bounds | None:
        """Return a box in the CRS of the grid that holds another one; None where its edges do not tell."""
        if self._holds_own_pole(box):
            return None
        edge = np.linspace(0.0, 1.0, 101)
        side, zero, one = edge, np.zeros_like(edge), np.ones_like(edge)
        along = np.concatenate([side, one, side, zero]) * (box.east - box.west) + box.west
        up = np.concatenate([zero, side, one, side]) * (box.north - box.south) + box.south
        x, y = transform(self.request, self.native, along, up)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return None
        wide, high = float(np.ptp(x)) * WINDOW_MARGIN + 3 * _gap(self.x), np.ptp(y) * WINDOW_MARGIN + 3 * _gap(self.y)
        return Bounds(float(x.min()) - wide, float(y.min()) - high, float(x.max()) + wide, float(y.max()) + high)

    def _holds_own_pole(self, box: Bounds) -> bool:
        """Whether a pole of a rotated grid lies in a box: it is farther from the equator than all the edges."""
        if not self.native.wkt.startswith(("GEOGCRS", "GEODCRS")):
            return False
        x, y = transform(self.native, self.request, np.zeros(2), np.array([90.0, -90.0]))
        return bool(in_box(box, x, y, geographic=self.request.geographic).any())


@dataclass(frozen=True, slots=True)
class OnMesh:
    """Cells of a mesh, asked in any CRS."""

    mesh: Mesh
    request: Reference

    @property
    def dims(self) -> tuple[str, ...]:
        """Stored dimensions of the cells."""
        return self.mesh.dims

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each."""
        return self.mesh.shape

    def hold(self, x: Floats, y: Floats) -> Indices:
        """Return the number of the cell that holds each place, -1 where none does."""
        longitude, latitude, known = self._degrees(x, y)
        return np.where(known, self.mesh.nearest(longitude, latitude), -1)

    def mix(self, x: Floats, y: Floats) -> tuple[Indices, NDArray[np.float64]]:
        """Return the cells around each place and their weights."""
        longitude, latitude, known = self._degrees(x, y)
        found = self.mesh.mixture(longitude, latitude)
        return np.where(known[:, None], found.cells, -1), found.weights

    def centres(self, cells: Indices) -> tuple[Floats, Floats]:
        """Return the centres of cells in the CRS of the request."""
        return transform(longitude_latitude(), self.request, *self.mesh.centres(cells))

    def degrees(self, cells: Indices) -> tuple[Floats, Floats]:
        """Return longitude and latitude of the centres of cells."""
        return self.mesh.centres(cells)

    def candidates(self, box: Bounds) -> Indices:
        """Return all cells whose centre may lie in the box."""
        if self.request.geographic:
            return self.mesh.candidates(box.west, max(box.south, -90.0), box.east, min(box.north, 90.0))
        return np.arange(math.prod(self.mesh.shape))

    def spacing(self, x: float, y: float) -> tuple[float, float]:
        """Return how far apart centres lie near a place, along x and y."""
        step = self.mesh.spacing or 1.0
        if self.request.geographic:
            return min(step / max(math.cos(math.radians(y)), 0.01), 360.0), step
        longitude, latitude, known = self._degrees(np.array([x]), np.array([y]))
        if not known[0]:
            return step * METRES_OF_A_DEGREE, step * METRES_OF_A_DEGREE
        lon = longitude[0] + np.array([0.0, step / max(math.cos(math.radians(latitude[0])), 0.01), 0.0])
        lat = np.clip(latitude[0] + np.array([0.0, 0.0, step if latitude[0] < 0 else -step]), -90.0, 90.0)
        to_x, to_y = transform(longitude_latitude(), self.request, lon, lat)
        found = np.hypot(to_x[1:] - to_x[0], to_y[1:] - to_y[0]).tolist()
        # At the edge of a projection neighbours may have no place, or the same one.
        east, north = (gap if math.isfinite(gap) and gap > 0.0 else 0.0 for gap in found)
        usual = step * METRES_OF_A_DEGREE
        return east or north or usual, north or east or usual

    def _degrees(self, x: Floats, y: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        longitude, latitude = transform(self.request, longitude_latitude(), x, y)
        known = np.isfinite(longitude) & np.isfinite(latitude)
        return np.where(known, longitude, 0.0), np.where(known, latitude, 0.0), known


def distances(locator: Locator, x: Floats, y: Floats, cells: Indices) -> Floats:
    """Return the metres between places, in the CRS of the request, and the centres of cells, pair by pair."""
    return metres(*transform(locator.request, longitude_latitude(), x, y), *locator.degrees(cells))


def turned(longitudes: Floats, like: Floats | float) -> Floats:
    """Return longitudes in the convention of others: shifted by whole turns to lie within 180 degrees of them."""
    return np.asarray(longitudes + 360.0 * np.rint((like - longitudes) / 360.0))


def _gap(axis: Axis) -> float:
    if axis.size < 2:
        return 1.0
    return float(np.median(np.abs(np.diff(axis.values.astype(np.float64)))))


def stored(locator: Locator, cells: Indices) -> Sequence[Indices]:
    """Return the positions of cells along each of the locator's dimensions."""
    return [np.asarray(part, np.intp) for part in np.unravel_index(cells, locator.shape)] if locator.shape else []
