"""In which coordinate reference system does a grid lie, and what is its box in degrees?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from plugins.datacube.datacube import CRS84
from plugins.datacube.errors import DatasetError

UNKNOWN: Final = "http://www.opengis.net/def/nil/OGC/0/unknown"
EDGE_POINTS: Final = 51
"""Points along each edge of a projected box when it is laid over the Earth."""


@lru_cache(maxsize=1)
def crs84_wkt() -> str:
    """Return CRS84 (longitude, latitude, in degrees) as WKT 2."""
    return str(CRS.from_user_input("OGC:CRS84").to_wkt())


@lru_cache(maxsize=64)
def from_text(text: str) -> CRS:
    """Read a CRS that an operator wrote: ``EPSG:27700``, a URI, or WKT.

    Raises
    ------
    DatasetError
        If PROJ does not know it.
    """
    try:
        return CRS.from_user_input(text)
    except ProjError as error:
        raise DatasetError(f"the CRS {text[:80]!r} is not known") from error


def from_grid_mapping(attributes: Mapping[str, Any]) -> CRS | None:
    """Read the CRS of a CF grid mapping variable (CF conventions 1.11, appendix F); None where it is damaged."""
    try:
        return CRS.from_cf({key: value for key, value in attributes.items() if value is not None})
    except (ProjError, KeyError, TypeError, ValueError):
        return None


def prime_meridian(attributes: Mapping[str, Any]) -> float:
    """Return the longitude of the prime meridian of a grid mapping, in degrees east of Greenwich."""
    value = attributes.get("longitude_of_prime_meridian", 0.0)
    return float(value) if isinstance(value, (int, float)) else 0.0


LENGTHS: Final = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
}
"""Metres of each unit of projected coordinates."""
DEGREES: Final = frozenset({"degree", "degrees", "deg", "degrees_east", "degrees_north", "degree_east", "degree_north"})


def unit_factor(crs: CRS, units: str | None, mapping: Mapping[str, Any]) -> float | None:
    """Return by what coordinates are multiplied to be in the units of their CRS; None where that is not known.

    Coordinates without units are in those of the CRS. The scanning angles of a geostationary view (radians) become
    metres by the height of the satellite.

    Examples
    --------
    >>> unit_factor(CRS("EPSG:27700"), "km", {}), unit_factor(CRS("EPSG:27700"), "degrees", {})
    (1000.0, None)
    """
    text = (units or "").strip().lower()
    angular = bool(crs.is_geographic)
    if not text or text == "1":
        return 1.0
    if text in DEGREES:
        return 1.0 if angular else None
    if text in ("rad", "radian", "radians"):
        if angular:
            return 180.0 / np.pi
        height = mapping.get("perspective_point_height")
        geostationary = mapping.get("grid_mapping_name") == "geostationary"
        return float(height) if geostationary and isinstance(height, (int, float)) else None
    own = float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info and not angular else 1.0
    return None if angular or text not in LENGTHS else LENGTHS[text] / own


def uri(crs: CRS) -> str:
    """Return the OGC URI of a CRS that has an authority's code, else OGC's URI for "unknown"."""
    # What the CRS itself says: searching PROJ's database for an equal one takes seconds.
    code = crs.to_json_dict().get("id")
    if code is None:
        return UNKNOWN
    authority, number = code["authority"], code["code"]
    if (authority, number) == ("OGC", "CRS84"):
        return CRS84
    return f"http://www.opengis.net/def/crs/{authority}/0/{number}"


def agrees(
    crs: CRS,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
) -> bool:
    """Whether coordinates in a CRS, and longitudes and latitudes, are those of the same places.

    Parameters
    ----------
    crs : CRS
        Of `x` and `y`.
    x, y, longitude, latitude : ndarray, shape (rows, columns)
        Of the same cells; degrees, NaN where a cell has no place.

    Returns
    -------
    bool
        Whether they differ by less than a quarter of the distance between the given neighbours, in nine of ten cells.
        A shift by a datum (100 m) is a difference, too, where the cells are as small as that: then the CRS is believed.
    """
    try:
        lon, lat = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y, errcheck=False)
    except ProjError:
        return False
    known = np.isfinite(longitude) & np.isfinite(latitude) & np.isfinite(lon) & np.isfinite(lat)
    if not known.any() or min(x.shape) < 2:
        return True
    apart = _degrees_apart(lon, lat, longitude, latitude)
    beside = _degrees_apart(longitude[:, 1:], latitude[:, 1:], longitude[:, :-1], latitude[:, :-1])
    beyond = np.nanmedian(beside) / 4.0 + 0.003
    return bool(np.mean(apart[known] <= beyond) >= 0.9)


def _degrees_apart(
    lon: NDArray[np.float64], lat: NDArray[np.float64], other: NDArray[np.float64], parallel: NDArray[np.float64]
) -> NDArray[np.float64]:
    a, b = np.radians(lat), np.radians(parallel)
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.radians(other - lon) / 2) ** 2
    return np.asarray(2.0 * np.degrees(np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))))


def box_in_degrees(
    crs: CRS, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, float, float, float] | None:
    """Return (west, south, east, north) of a projected box, or None where it has no place on the Earth.

    Parameters
    ----------
    crs : CRS
        The CRS of `x` and `y`.
    x, y : array of float64, shape (2,)
        The outer bounds (low, high) in the units of the CRS.

    Returns
    -------
    tuple of float
        Degrees; west > east where the box crosses the antimeridian.
    """
    try:
        transformer = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
        box = transformer.transform_bounds(x[0], y[0], x[1], y[1], densify_pts=EDGE_POINTS)
    except ProjError:
        return None
    west, south, east, north = (float(value) for value in box)
    return (west, south, east, north) if np.isfinite(box).all() else None
