"""Which points of a rectangular grid does a polygon cover, boundary included?

One scan line a row: the edges that cross the row turn "outside" into "inside" and back, and the columns on an edge
count as covered. The work is rows times edges, whatever the shape of the polygon; point-by-point tests in GEOS take a
minute for a comb of ten thousand vertices that a stranger may send.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

ON_THE_LINE: Final = 1e-9
"""How near to an edge a point counts as on it, along x and along y, in units of the coordinates (degrees)."""
_AT_ONCE: Final = 2_000_000
"""Pairs of row and edge, or cells, that are worked on together: bounds the memory."""


def covered(geometry: Polygon | MultiPolygon, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which grid points lie in a polygon or on its boundary.

    Parameters
    ----------
    geometry : Polygon or MultiPolygon
        Valid: rings do not cross.
    x : ndarray, shape (nx,)
        Rising or falling.
    y : ndarray, shape (ny,)
        In any order.

    Returns
    -------
    ndarray of bool, shape (ny, nx)

    Examples
    --------
    >>> covered(shapely.box(1, 0, 2, 1), np.arange(4.0), np.array([1.0, 2.0])).tolist()
    [[False, True, True, False], [False, False, False, False]]
    """
    if x.size > 1 and x[0] > x[-1]:
        return covered(geometry, x[::-1], y)[:, ::-1]
    edges = _edges(geometry)
    rows = _snapped(y, np.unique(edges[:, [1, 3]]))
    mask = np.empty((y.size, x.size), bool)
    step = max(1, _AT_ONCE // max(len(edges), x.size, 1))
    for start in range(0, y.size, step):
        part = slice(start, start + step)
        mask[part] = _scan(edges, x, rows[part])
    return mask


def _edges(geometry: Polygon | MultiPolygon) -> NDArray[np.float64]:
    """Return all edges of all rings, shape (n, 4): x and y of the lower end, x and y of the upper end."""
    lines = shapely.get_parts(shapely.boundary(geometry))
    coordinates, ring = shapely.get_coordinates(lines, return_index=True)
    same = ring[1:] == ring[:-1]
    first, second = coordinates[:-1][same], coordinates[1:][same]
    upwards = (first[:, 1] <= second[:, 1])[:, None]
    return np.hstack([np.where(upwards, first, second), np.where(upwards, second, first)])


def _snapped(y: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move rows that run through a vertex, but for rounding, exactly there."""
    after = np.clip(np.searchsorted(corners, y), 1, corners.size - 1)
    low, high = corners[after - 1], corners[after]
    nearest = np.where(y - low <= high - y, low, high)
    return np.where(np.abs(nearest - y) <= ON_THE_LINE, nearest, y)


def _scan(edges: NDArray[np.float64], x: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    x_low, y_low, x_high, y_high = edges.T
    row, edge = np.nonzero((rows[:, None] >= y_low) & (rows[:, None] <= y_high))
    height = y_high[edge] - y_low[edge]
    level = height == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(level, 0.0, (rows[row] - y_low[edge]) / height)
    # Exact at both ends; the sum of two products is monotonic in between.
    crossing = x_low[edge] * (1.0 - along) + x_high[edge] * along
    left = np.where(level, np.minimum(x_low[edge], x_high[edge]), crossing)
    right = np.where(level, np.maximum(x_low[edge], x_high[edge]), crossing)

    width = x.size + 1
    # An upper end belongs to the next edge: a row through a vertex is crossed there once, or not at all.
    crossed = rows[row] < y_high[edge]
    turns = _sums(row[crossed] * width + np.searchsorted(x, crossing[crossed]), rows.size, width)
    begins = _sums(row * width + np.searchsorted(x, left - ON_THE_LINE, "left"), rows.size, width)
    ends = _sums(row * width + np.searchsorted(x, right + ON_THE_LINE, "right"), rows.size, width)
    inside = turns.cumsum(axis=1) % 2 == 1
    touched = (begins - ends).cumsum(axis=1) > 0
    return np.asarray((inside | touched)[:, : x.size])


def _sums(places: NDArray[np.intp], rows: int, width: int) -> NDArray[np.intp]:
    return np.bincount(places, minlength=rows * width).reshape(rows, width)
