"""Which box on the Earth do the cells of a grid cover?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import coordinates, crs
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import GridKind
from plugins.datacube.errors import DatasetError
from plugins.datacube.grids import Horizontal

WORLD: Final = (-180.0, -90.0, 180.0, 90.0)
LATITUDE_TOLERANCE: Final = 1e-3
"""Degrees beyond a pole that rounding may cause."""


def box_of(horizontal: Horizontal, axes: Mapping[str, Axis]) -> tuple[float, float, float, float]:
    """Return west, south, east, north of the cells in degrees, longitudes in -180..180.

    Raises
    ------
    DatasetError
        If latitudes lie beyond the poles, or the longitudes of the cells cannot be read.
    """
    if horizontal.kind is GridKind.RECTILINEAR:
        x, y = (next(axis for axis in axes.values() if axis.kind is kind) for kind in (AxisKind.X, AxisKind.Y))
        radians = horizontal.y is not None and coordinates.in_radians(horizontal.y)
        latitudes, longitudes = (np.degrees(axis.cells) if radians else axis.cells for axis in (y, x))
        check_latitudes(np.degrees(y.values) if radians else y.values, y.name)
        west, east = (
            float(end) + crs.prime_meridian(horizontal.mapping) for end in (longitudes.min(), longitudes.max())
        )
        return turned(west, max(float(latitudes.min()), -90.0), east, min(float(latitudes.max()), 90.0))
    if horizontal.longitude is not None and horizontal.latitude is not None:
        longitudes, latitudes = coordinates.degrees(horizontal.longitude), coordinates.degrees(horizontal.latitude)
        longitudes, latitudes = longitudes[np.isfinite(longitudes)], latitudes[np.isfinite(latitudes)]
        if not longitudes.size or not latitudes.size:
            return WORLD
        check_latitudes(latitudes, horizontal.latitude.name)
        west, east = _narrowest(longitudes)
        return turned(west, float(np.min(latitudes)), east, float(np.max(latitudes)))
    if horizontal.native is not None and horizontal.x is not None and horizontal.y is not None:
        edges = [axes[v.dims[0]].cells for v in (horizontal.x, horizontal.y)]
        limits = [np.array([cells.min(), cells.max()]) for cells in edges]
        box = crs.box_in_degrees(horizontal.native, limits[0], limits[1])
        if box is not None:
            west, south, east, north = box
            return (west, south, east, north) if west <= east else (-180.0, south, 180.0, north)
    return WORLD


def check_latitudes(latitudes: NDArray[Any], name: str) -> None:
    """Refuse latitudes beyond the poles: they are no latitudes, or in other units.

    Raises
    ------
    DatasetError
        With the offending value.
    """
    worst = float(np.max(np.abs(latitudes)))
    if worst > 90.0 + LATITUDE_TOLERANCE:
        raise DatasetError(f"the latitude coordinate {name} reaches {worst:g} degrees, beyond the poles")


def turned(west: float, south: float, east: float, north: float) -> tuple[float, float, float, float]:
    """Bring a box to -180..180; one that crosses the antimeridian, or goes round, becomes the whole circle.

    Examples
    --------
    >>> turned(224.0, 10.0, 316.0, 60.0)
    (-136.0, 10.0, -44.0, 60.0)
    >>> turned(100.0, -10.0, 200.0, 10.0)
    (-180.0, -10.0, 180.0, 10.0)
    """
    width = east - west
    # Sums of float64 degrees: a thousandth of a micrometre decides nothing.
    start = round((west + 180.0) % 360.0 - 180.0, 9)
    end = round(start + width, 9)
    if width >= 360.0 - 1e-6 or end > 180.0:
        return -180.0, south, 180.0, north
    return start, south, end, north


def _narrowest(longitudes: NDArray[Any]) -> tuple[float, float]:
    """Return the ends of the longitudes as they stand or in -180..180, whichever is narrower."""
    plain = float(np.min(longitudes)), float(np.max(longitudes))
    around = (longitudes + 180.0) % 360.0 - 180.0
    other = float(np.min(around)), float(np.max(around))
    return plain if plain[1] - plain[0] <= other[1] - other[0] else other
