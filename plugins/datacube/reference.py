"""In which CRS does a client ask and want its answer, and how does a place get from one CRS to another?

Coordinates are always x before y: easting before northing, longitude before latitude, whatever the order of the EPSG
register. Longitudes and latitudes of models that run on a sphere are laid on the Earth by the numbers as they stand.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from plugins.datacube import crs as crs_of_grids
from plugins.datacube.datacube import CRS84, Datacube
from plugins.datacube.errors import InvalidQueryError

LONGITUDE_LATITUDE: Final = frozenset({"crs84", "epsg:4326", "ogc:crs84", "wgs84"})
"""Names of longitude, latitude on WGS 84, as `_name` gives them."""
LONGEST: Final = 200
"""Characters of a name."""
_URI = re.compile(r"https?://www\.opengis\.net/def/crs/([a-z]+)/[0-9.]+/([a-z0-9]+)")
_URN = re.compile(r"urn:ogc:def:crs:([a-z]+):[0-9.]*:([a-z0-9]+)")
_NAME = re.compile(r"\[?([a-z]+):([a-z0-9]+)\]?")
_LOCAL = threading.local()
"""Transformers of PROJ must not be shared between threads."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A two-dimensional CRS."""

    uri: str
    wkt: str
    """WKT 2."""
    geographic: bool
    """Whether x is longitude and y latitude, in degrees; not so of a rotated pole."""

    @property
    def key(self) -> str:
        """What two equal systems have in common."""
        return CRS84 if self.uri == CRS84 else self.wkt


@lru_cache(maxsize=1)
def longitude_latitude() -> Reference:
    """Return CRS84."""
    return Reference(CRS84, crs_of_grids.crs84_wkt(), geographic=True)


def native_reference(cube: Datacube) -> Reference:
    """Return the CRS in which the cells of a dataset lie in rows and columns; of a mesh, that of its centres."""
    grid = cube.grid
    return longitude_latitude() if grid.geographic else Reference(grid.crs, grid.crs_wkt, geographic=False)


def parse_reference(text: str, native: Reference) -> Reference:
    """Read the parameter ``crs``.

    Parameters
    ----------
    text : str
        ``CRS84``, ``EPSG:3857``, a URI, URN or CURIE of OGC or EPSG, or the URI of the grid's own CRS.
    native : Reference
        The grid's own.

    Raises
    ------
    InvalidQueryError
        If the name is not known, or not of a CRS with two horizontal axes.

    Examples
    --------
    >>> parse_reference("[EPSG:4326]", longitude_latitude()).uri
    'http://www.opengis.net/def/crs/OGC/1.3/CRS84'
    """
    name = _name(text)
    if name in LONGITUDE_LATITUDE:
        return longitude_latitude()
    if text.strip() == native.uri or name == _name(native.uri):
        return native
    found = _known(name) if name.startswith("epsg:") else None
    if found is None:
        raise InvalidQueryError(
            "crs",
            f"crs: {text.strip()[:80]!r} is not known here",
            f"CRS84, {native.uri}, or a two-dimensional EPSG:<code> such as EPSG:3857",
        )
    return found


def names_longitude_latitude(text: str) -> bool:
    """Whether a text names CRS84, or EPSG:4326, which is read like it."""
    return _name(text) in LONGITUDE_LATITUDE


def _name(text: str) -> str:
    """Return ``authority:code`` in lower case, or ``crs84``."""
    lower = text.strip().lower()[:LONGEST]
    for pattern in (_URI, _URN, _NAME):
        if (match := pattern.fullmatch(lower)) is not None:
            authority, code = match.groups()
            return "crs84" if code in ("crs84", "84") and authority in ("ogc", "crs") else f"{authority}:{code}"
    return lower


@lru_cache(maxsize=256)
def _known(name: str) -> Reference | None:
    try:
        system = CRS.from_user_input(name)
    except CRSError:
        return None
    if len(system.axis_info) != 2 or not (system.is_geographic or system.is_projected):
        return None
    number = name.partition(":")[2]
    wkt = str(system.to_wkt())
    return Reference(f"http://www.opengis.net/def/crs/EPSG/0/{number}", wkt, geographic=bool(system.is_geographic))


def transform(
    source: Reference, target: Reference, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bring places from one CRS to another.

    Parameters
    ----------
    source, target : Reference
    x, y : ndarray of float64, of one shape
        Not changed.

    Returns
    -------
    x, y : ndarray of float64
        NaN where a place has no coordinates in the target; unchanged where both are the same CRS.
    """
    if source.key == target.key:
        return x, y
    transformer = _transformer(source, target)
    try:
        to_x, to_y = transformer.transform(np.asarray(x, np.float64), np.asarray(y, np.float64), errcheck=False)
    except ProjError:
        nothing = np.full(np.shape(x), np.nan)
        return nothing, nothing
    lost = ~(np.isfinite(to_x) & np.isfinite(to_y))
    if lost.any():
        to_x, to_y = np.where(lost, np.nan, to_x), np.where(lost, np.nan, to_y)
    return np.asarray(to_x), np.asarray(to_y)


def _transformer(source: Reference, target: Reference) -> Transformer:
    known: dict[tuple[str, str], Transformer] = _LOCAL.__dict__.setdefault("known", {})
    key = (source.wkt, target.wkt)
    found = known.get(key)
    if found is None:
        if len(known) >= 32:
            known.clear()
        found = known[key] = Transformer.from_crs(source.wkt, target.wkt, always_xy=True)
    return found
