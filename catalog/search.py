"""What did the client of a STAC search ask for, once every text has become a typed value?

STAC API 1.0.0, item-search: ``bbox``, ``datetime``, ``intersects``, ``ids``, ``collections``, ``limit``, ``token``.
Input is capped in size before a native parser sees it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson
import shapely
from fastapi import HTTPException
from shapely.errors import ShapelyError
from shapely.geometry import shape
from stac_fastapi.types.rfc3339 import str_to_interval

from catalog.extents import Box
from catalog.footprints import since_epoch, split
from catalog.repository import ItemQuery
from plugins.datacube.errors import InvalidQueryError

PAGE_LIMIT = 1_000
"""A page has at most so many documents; a larger limit is cut to it (OGC API - Features, /rec/core/fc-limit)."""
NAMES_LIMIT = 1_000
NAME_LENGTH = 1_024
TEXT_LIMIT = 100_000
POSITIONS_LIMIT = 10_000
_DEPTH_LIMIT = 8
VALID_DATETIME = "an RFC 3339 date such as 2020-01-01T00:00:00Z, or two separated by '/', '..' for an open end"
VALID_BBOX = "west,south,east,north in degrees, with south <= north (west > east crosses the antimeridian)"
_GEOMETRIES = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
)


def item_query(
    *,
    collections: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    bbox: Sequence[float] | None = None,
    intersects: str | dict[str, Any] | None = None,
    datetime: str | None = None,
    limit: int | None = None,
    token: str | None = None,
) -> ItemQuery:
    """Return the typed query.

    Parameters
    ----------
    collections, ids : sequence of str, optional
        Empty means not asked.
    bbox : sequence of float, optional
        Four or six numbers, WGS 84; heights are not searched. West > east crosses the antimeridian.
    intersects : str or dict, optional
        A GeoJSON geometry; excludes `bbox`.
    datetime : str, optional
        RFC 3339 instant, or an interval with ``..`` for an open end.
    limit : int, optional
        Default 10, at most `PAGE_LIMIT`.
    token : str, optional
        Of a ``next`` link.

    Raises
    ------
    InvalidQueryError
        Naming the parameter at fault.
    """
    if bbox is not None and intersects is not None:
        raise InvalidQueryError("intersects", "bbox and intersects cannot be asked together", "one of the two")
    boxes = None if bbox is None else _boxes(bbox)
    geometry = None if intersects is None else _geometry(intersects)
    if geometry is not None:
        boxes = split(shapely.bounds(geometry).tolist())
    start, end = (None, None) if datetime is None else interval(datetime)
    return ItemQuery(
        collections=_names("collections", collections),
        ids=_names("ids", ids),
        boxes=boxes,
        geometry=None if geometry is None else shapely.to_wkb(geometry),
        start=start,
        end=end,
        limit=page_size(limit, 10),
        token=token or None,
    )


def page_size(limit: int | None, default: int) -> int:
    """Return how many documents a page has."""
    if limit is not None and limit < 1:
        raise InvalidQueryError("limit", "the limit must be at least 1", f"1 to {PAGE_LIMIT}")
    return min(default if limit is None else limit, PAGE_LIMIT)


def interval(text: str) -> tuple[int | None, int | None]:
    """Read an RFC 3339 instant or interval as microseconds since 1970, both ends inclusive; None is open."""
    valid = VALID_DATETIME
    if len(text) > 128:
        raise InvalidQueryError("datetime", "the datetime is too long", valid)
    try:
        found = str_to_interval(text)
    except HTTPException as error:
        raise InvalidQueryError("datetime", f"{text!r} is not a datetime", valid) from error
    if found is None:
        raise InvalidQueryError("datetime", f"{text!r} is not a datetime", valid)
    first, last = found if isinstance(found, tuple) else (found, found)
    return (None if first is None else since_epoch(first), None if last is None else since_epoch(last))


def _boxes(bbox: Sequence[float]) -> tuple[Box, ...]:
    valid = VALID_BBOX
    if len(bbox) not in (4, 6) or not all(math.isfinite(edge) for edge in bbox):
        raise InvalidQueryError("bbox", "the bbox must be four or six finite numbers", valid)
    half = len(bbox) // 2
    west, south, east, north = float(bbox[0]), float(bbox[1]), float(bbox[half]), float(bbox[half + 1])
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidQueryError("bbox", "the bbox must lie within -180,-90,180,90, south first", valid)
    if half == 3 and bbox[2] > bbox[5]:
        raise InvalidQueryError("bbox", "the lowest height of the bbox must come before the highest", valid)
    return split((west, south, east, north))


def _geometry(given: str | dict[str, Any]) -> shapely.Geometry:
    valid = f"a valid GeoJSON geometry of at most {POSITIONS_LIMIT} positions"
    wrong = InvalidQueryError("intersects", "the value of intersects is not a valid GeoJSON geometry", valid)
    document: Any = given
    if isinstance(given, str):
        if len(given) > TEXT_LIMIT:
            raise InvalidQueryError("intersects", "the geometry is too long", valid)
        try:
            document = orjson.loads(given)
        except ValueError as error:
            raise wrong from error
    try:
        if _positions(document, 0) > POSITIONS_LIMIT:
            raise InvalidQueryError("intersects", "the geometry has too many positions", valid)
        geometry = shape(document)
        good = (
            not geometry.is_empty
            and geometry.is_valid
            and all(math.isfinite(edge) for edge in shapely.bounds(geometry).tolist())
        )
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        if isinstance(error, InvalidQueryError):
            raise
        raise wrong from error
    if not good:
        raise wrong
    return geometry


def _positions(document: Any, depth: int) -> int:
    """Count the numbers of a geometry, refusing what is no geometry or nests too deep."""
    if depth > _DEPTH_LIMIT or not isinstance(document, dict) or document.get("type") not in _GEOMETRIES:
        raise ValueError
    if document["type"] == "GeometryCollection":
        return sum(_positions(part, depth + 1) for part in document["geometries"])
    return _count(document["coordinates"], 0)


def _count(coordinates: Any, depth: int) -> int:
    if not isinstance(coordinates, (list, tuple)) or depth > 4:
        raise ValueError
    if coordinates and not isinstance(coordinates[0], (list, tuple)):
        if any(isinstance(part, (list, tuple, str, bool)) for part in coordinates):
            raise ValueError
        return 1
    return sum(_count(part, depth + 1) for part in coordinates)


def _names(parameter: str, names: Sequence[str] | None) -> tuple[str, ...] | None:
    if not names:
        return None
    if len(names) > NAMES_LIMIT:
        raise InvalidQueryError(parameter, f"there are more than {NAMES_LIMIT} names", f"at most {NAMES_LIMIT}")
    for name in names:
        try:
            fits = len(name.encode()) <= NAME_LENGTH
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise InvalidQueryError(parameter, "one of the names cannot be an id", f"at most {NAME_LENGTH} bytes each")
    return tuple(names)
