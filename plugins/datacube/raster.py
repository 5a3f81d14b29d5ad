"""Which cells give the values of a regular grid of places that is laid over the data?

Asked for with ``resolution-x`` and ``resolution-y``, or by a ``crs`` in which the cells of the data lie in no rows and
columns. The places run evenly from the least to the greatest coordinate of the area, both included; each takes the
value of the cell that holds it, or the linear mixture of the cells around it; what lies outside the area or the data is
missing.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import AxisKind, horizontal_axis
from plugins.datacube.errors import InvalidQueryError, NoDataError, TooLargeError
from plugins.datacube.locator import Locator, stored
from plugins.datacube.lookup import Indices
from plugins.datacube.membership import Bounds, bounds_of, members
from plugins.datacube.mixtures import distinct
from plugins.datacube.query import Area, BaseQuery, Corridor, Cube, Interpolation, Radius
from plugins.datacube.reference import longitude_latitude, transform
from plugins.datacube.selection import Along, Mixing, Raster

MAXIMUM_PLACES: Final = 16_000_000
"""Places of one raster."""
MAXIMUM_LINES: Final = 16_384
"""Columns or rows of one raster."""
_AT_ONCE: Final = 500_000
"""Places that are located together: bounds the memory."""

type Region = Area | Corridor | Cube | Radius


def raster(
    query: Region, locator: Locator, heart: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
) -> Raster:
    """Lay a grid of places over the area of a query.

    Parameters
    ----------
    query : Area, Corridor, Cube or Radius
        With its coordinates in the CRS of the locator; of a Radius or Corridor in longitude and latitude.
    locator : Locator
    heart : x, y of some places, optional
        In the CRS of the locator: the nearest places of the grid are taken where the area holds none.

    Raises
    ------
    NoDataError
        If no place lies in a cell.
    TooLargeError
        If there would be too many places.
    InvalidQueryError
        If the area is a line or a point, on which no grid can be laid.
    """
    box = _box(query, locator)
    x, y = _places(query, locator, box)
    inside = _inside(query, locator, x, y)
    if not inside.any() and heart is not None:
        inside[_nearest(y, heart[1]), _nearest(x, heart[0], circular=locator.request.geographic)] = True
    linear = query.interpolation is Interpolation.LINEAR
    places = np.full(inside.shape, -1, np.intp)
    wanted = np.flatnonzero(inside)
    rows, columns = np.divmod(wanted, x.size)
    held: list[Indices] = []
    weights: list[NDArray[np.float64]] = []
    for start in range(0, wanted.size, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        at_x, at_y = x[columns[part]], y[rows[part]]
        if linear:
            cells, shares = locator.mix(at_x, at_y)
            held.append(cells)
            weights.append(shares)
        else:
            held.append(locator.hold(at_x, at_y))
    found = np.concatenate(held) if held else np.zeros(0, np.intp)
    known = (found >= 0).all(axis=1) if linear and found.ndim == 2 else found >= 0
    if not known.any():
        raise NoDataError("no cell of the dataset lies there")
    once, numbers = distinct([found[known]])
    mixing = None
    if linear:
        mixing = Mixing(numbers, np.concatenate(weights)[known])
        numbers = np.arange(numbers.shape[0])
    places.ravel()[wanted[known]] = numbers
    cells_read = tuple(Along(dim, indices) for dim, indices in zip(locator.dims, stored(locator, once[0]), strict=True))
    geographic = locator.request.geographic
    return Raster(
        cells_read,
        horizontal_axis(AxisKind.Y, y, geographic=geographic),
        horizontal_axis(AxisKind.X, x, geographic=geographic),
        places,
        mixing,
    )


def _box(query: Region, locator: Locator) -> Bounds:
    """Return the box of the area in the CRS of the request."""
    geographic = locator.request.geographic
    if isinstance(query, Cube | Area) or geographic:
        return bounds_of(query, geographic=geographic)
    box = bounds_of(query, geographic=True)
    edge = np.linspace(0.0, 1.0, 51)
    along = np.concatenate([edge, np.ones(51), edge, np.zeros(51)]) * (box.east - box.west) + box.west
    up = np.concatenate([np.zeros(51), edge, np.ones(51), edge]) * (box.north - box.south) + box.south
    x, y = transform(longitude_latitude(), locator.request, along, up)
    if not (np.isfinite(x).any() and np.isfinite(y).any()):
        raise NoDataError("the area has no place in this CRS")
    return Bounds(float(np.nanmin(x)), float(np.nanmin(y)), float(np.nanmax(x)), float(np.nanmax(y)))


def _places(query: BaseQuery, locator: Locator, box: Bounds) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    middle = (box.west + box.east) / 2.0, (box.south + box.north) / 2.0
    for name, count, width in (
        ("resolution-x", query.columns, box.east - box.west),
        ("resolution-y", query.rows, box.north - box.south),
    ):
        if count is not None and count > 1 and width == 0.0:
            raise InvalidQueryError(name, f"{name}: the area has no extent along which {count} places could lie", "1")
    step_x, step_y = locator.spacing(*middle)
    columns = query.columns or _count(box.east - box.west, step_x, "resolution-x")
    rows = query.rows or _count(box.north - box.south, step_y, "resolution-y")
    if columns > MAXIMUM_LINES or rows > MAXIMUM_LINES or columns * rows > MAXIMUM_PLACES:
        raise TooLargeError(
            f"the grid would have {columns:,} x {rows:,} places: ask for a smaller area, or fewer by resolution-x and "
            "resolution-y",
            estimate={"values": columns * rows},
            limits={"values": MAXIMUM_PLACES},
        )
    x, y = _even(box.west, box.east, columns), _even(box.south, box.north, rows)
    if locator.request.geographic and columns > 1 and box.east - box.west >= 360.0:
        x = np.linspace(box.west, box.west + 360.0, columns, endpoint=False)
    return x, y


def _even(low: float, high: float, count: int) -> NDArray[np.float64]:
    return np.linspace(low, high, count) if count > 1 else np.array([(low + high) / 2.0])


def _count(width: float, step: float, name: str) -> int:
    if not math.isfinite(width) or step <= 0.0:
        raise InvalidQueryError(name, f"{name}: the data have no spacing there", "a number of places")
    return min(max(round(width / step) + 1, 1), MAXIMUM_LINES + 1)


def _inside(query: Region, locator: Locator, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which places belong to the area; all of a box."""
    if isinstance(query, Cube):
        return np.ones((y.size, x.size), bool)
    at_y, at_x = (part.ravel() for part in np.meshgrid(y, x, indexing="ij"))
    geographic = locator.request.geographic
    if isinstance(query, Radius | Corridor):
        at_x, at_y = transform(locator.request, longitude_latitude(), at_x, at_y)
        geographic = True
    return members(query, at_x, at_y, geographic=geographic).reshape(y.size, x.size)


def _nearest(line: NDArray[np.float64], values: NDArray[np.float64], *, circular: bool = False) -> Indices:
    """Return which of evenly spaced coordinates is nearest to each value."""
    if circular:
        values = values + 360.0 * np.rint((line.mean() - values) / 360.0)
    step = (line[-1] - line[0]) / (line.size - 1) if line.size > 1 else 1.0
    return np.asarray(np.clip(np.rint((values - line[0]) / (step or 1.0)), 0, line.size - 1), np.intp)
