"""Which cells of a grid lie that near to a path?

The path is the line of a trajectory query: straight in degrees between its vertices. It is followed along great circles
between places on it that are at most a quarter of a degree apart, nowhere more than thirty-one metres beside it; the
distance of a cell is that of its centre from these arcs, on the sphere of `plugins.datacube.distance`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.distance import EARTH_RADIUS, check_tests, covering_arc, near_points, reach
from plugins.datacube.errors import TooLargeError
from plugins.datacube.query import Line

LONGEST_PIECE: Final = 0.25
"""Degrees of longitude or latitude."""
MAXIMUM_PIECES: Final = 20_000
"""Arcs that one path may need: about a second."""
POLEWARD: Final = 1e-3
"""Degrees by which an arc may bulge towards the pole, and more."""
PLANES: Final = 4
"""Distances that are computed of each pair of a cell and an arc: from its start and from three planes."""
_SLACK: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Pieces:
    """A path cut into short arcs."""

    start: NDArray[np.float64]
    """shape (n, 2): longitude and latitude in degrees."""
    end: NDArray[np.float64]
    """shape (n, 2)"""

    def reaches(self, distance: float) -> tuple[float, float, float, float]:
        """Return west, south, east and north of the cells that may lie within metres of the path, in degrees."""
        angle = math.degrees(distance / EARTH_RADIUS)
        latitudes = np.concatenate([self.start[:, 1], self.end[:, 1]])
        west, east = covering_arc(self.windows(distance).tolist())
        # A great circle between two places of a parallel runs a little nearer to the pole than both.
        return west, float(latitudes.min()) - angle - POLEWARD, east, float(latitudes.max()) + angle + POLEWARD

    def windows(self, distance: float) -> NDArray[np.float64]:
        """Return the middle and the half width of the longitudes within metres of each arc, shape (n, 2)."""
        middle = (self.start[:, 0] + self.end[:, 0]) / 2.0
        width = np.abs(self.start[:, 0] - self.end[:, 0]) / 2.0
        latitudes = np.maximum(np.abs(self.start[:, 1]), np.abs(self.end[:, 1])) + POLEWARD
        reaches = np.array([reach(min(latitude, 90.0), distance) for latitude in latitudes.tolist()])
        return np.stack([middle, np.minimum(reaches + width, 180.0)], axis=1)


def cut(lines: Sequence[Line]) -> Pieces:
    """Cut lines into arcs of at most `LONGEST_PIECE`.

    Raises
    ------
    TooLargeError
        If there would be more than `MAXIMUM_PIECES`.
    """
    starts: list[NDArray[np.float64]] = []
    ends: list[NDArray[np.float64]] = []
    total = 0
    for line in lines:
        vertices = np.stack([line.x, line.y], axis=1)
        steps = np.diff(vertices, axis=0)
        count = np.maximum(np.ceil(np.abs(steps).max(axis=1) / LONGEST_PIECE), 1.0).astype(np.intp)
        total += int(count.sum())
        if total > MAXIMUM_PIECES:
            raise TooLargeError(
                f"the path is longer than {MAXIMUM_PIECES:,} pieces of {LONGEST_PIECE} degrees: ask for a shorter path",
                estimate={"pieces": total},
                limits={"pieces": MAXIMUM_PIECES},
            )
        segment = np.repeat(np.arange(count.size), count)
        number = np.arange(segment.size) - np.repeat(np.cumsum(count) - count, count)
        places = vertices[segment] + steps[segment] * (number / count[segment])[:, None]
        starts.append(places)
        ends.append(np.concatenate([places[1:], vertices[-1:]]))
    return Pieces(np.concatenate(starts), np.concatenate(ends))


def near_path(pieces: Pieces, distance: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which grid points lie within a distance of a path.

    Parameters
    ----------
    pieces : Pieces
    distance : float
        Metres, included; at most a quarter of the circumference of the Earth.
    x : ndarray, shape (nx,)
        Longitudes in degrees, in any convention.
    y : ndarray, shape (ny,)
        Latitudes in degrees.

    Returns
    -------
    ndarray of bool, shape (ny, nx)

    Raises
    ------
    TooLargeError
        If too many pairs of a cell and an arc would have to be tested.
    """
    angle = math.degrees(distance / EARTH_RADIUS)
    sine = math.sin(min(math.radians(angle), math.pi / 2.0)) * (1.0 + 1e-12)
    haversine = math.sin(math.radians(angle) / 2.0) ** 2 * (1.0 + 1e-12)
    last = np.append((pieces.end[:-1] != pieces.start[1:]).any(axis=1), True)
    mask = near_points([(lon, lat) for lon, lat in pieces.end[last].tolist()], distance, x, y)
    level, upward = np.cos(np.radians(y)), np.sin(np.radians(y))
    along = np.stack([np.cos(np.radians(x)), np.sin(np.radians(x))])
    planes = _planes(_vectors(pieces.start), _vectors(pieces.end))
    tested = 0
    arcs = zip(pieces.start.tolist(), pieces.end.tolist(), pieces.windows(distance).tolist(), strict=True)
    for number, ((longitude, latitude), (_, ending), (middle, half)) in enumerate(arcs):
        low, high = min(latitude, ending) - angle - POLEWARD, max(latitude, ending) + angle + POLEWARD
        rows = np.flatnonzero((y >= low) & (y <= high))
        columns = np.flatnonzero(np.abs(np.mod(x - middle + 180.0, 360.0) - 180.0) <= half + _SLACK)
        tested += PLANES * rows.size * columns.size
        check_tests(tested)
        north = np.sin(np.radians(y[rows] - latitude) / 2.0) ** 2
        east = np.sin(np.radians(x[columns] - longitude) / 2.0) ** 2 * math.cos(math.radians(latitude))
        near = north[:, None] + level[rows, None] * east <= haversine
        # How far each cell lies from the plane of the arc, ahead of its start, and short of its end.
        flat = planes[number, :, :2] @ along[:, columns]
        across, after, before = level[rows, None] * flat[:, None] + (planes[number, :, 2:] * upward[rows])[:, :, None]
        mask[np.ix_(rows, columns)] |= near | ((np.abs(across) <= sine) & (after >= 0.0) & (before >= 0.0))
    return mask


def _planes(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normals of the planes of arcs and of those through their ends across them, shape (n, 3, 3).

    NaN, which no cell compares with, where both ends are in one place.
    """
    normals = np.cross(start, end)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(lengths > 1e-12, normals, np.nan) / np.maximum(lengths, 1e-12)
    return np.stack([normals, np.cross(normals, start), np.cross(end, normals)], axis=1)


def _vectors(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places as unit vectors, shape (n, 3)."""
    lon, lat = np.radians(places).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
