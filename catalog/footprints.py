"""Where and when is a STAC item, as a search index needs to know it?"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from catalog.document import Document
from catalog.extents import Box
from plugins.datacube.errors import InvalidQueryError

_WKB_BOX = struct.Struct("<BIII10d")
"""Byte order, kind of geometry, number of rings and of points, points (OGC 06-103r4, clause 8)."""
_WKB_POLYGON = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Footprint:
    """The place and time of one item."""

    boxes: tuple[Box, ...]
    """None for an item without geometry, two where it crosses the antimeridian, else one; west <= east."""
    wkb: bytes | None
    """The exact geometry; None for an item without one."""
    is_box: bool
    """Whether the geometry is its bounding box, so that no exact comparison with another box is needed."""
    start: int
    """Microseconds since 1970, UTC."""
    end: int
    instant: int
    """The item's ``datetime``, or its start where it has none."""


OPEN_START, OPEN_END = -(1 << 62), 1 << 62
"""Microseconds that stand for an interval's open ends."""


def extent_of_collection(collection: Document) -> tuple[Box | None, int, int]:
    """Read the whole box (west > east where it crosses the antimeridian) and the period of a collection.

    What is missing or wrong is not an error, since a collection need not be found by it: no box, or an open end.
    """
    extent = collection.get("extent")
    spatial, temporal = (extent.get("spatial"), extent.get("temporal")) if isinstance(extent, dict) else (None, None)
    box: Box | None = None
    ends: list[int] = [OPEN_START, OPEN_END]
    try:
        parts = split(spatial["bbox"][0])  # type: ignore[index]
        box = (parts[0][0], parts[0][1], parts[-1][2], parts[0][3])
    except (ValueError, TypeError, KeyError, IndexError):
        pass
    try:
        for which, text in enumerate(temporal["interval"][0]):  # type: ignore[index]
            if text is not None and which < 2:
                ends[which] = microseconds(text)
    except (ValueError, TypeError, KeyError, IndexError):
        pass
    return box, ends[0], ends[1]


def footprint_of(item: Document) -> Footprint:
    """Read place and time of an item.

    Raises
    ------
    InvalidQueryError
        If the item is not a valid STAC item: no date, or a geometry that is none.
    """
    properties = item.get("properties") or {}
    instant = properties.get("datetime")
    first, last = properties.get("start_datetime") or instant, properties.get("end_datetime") or instant
    if not first or not last:
        raise InvalidQueryError("datetime", f"the item {item.get('id')!r} has no date", "datetime, or start and end")
    times = (microseconds(first), microseconds(last), microseconds(instant or first))
    geometry = item.get("geometry")
    if geometry is None:
        return Footprint((), None, False, *times)
    if (box := _box_of(geometry, item.get("bbox"))) is not None:
        west, south, east, north = box
        ring = (west, south, east, south, east, north, west, north, west, south)
        return Footprint((box,), _WKB_BOX.pack(1, _WKB_POLYGON, 1, 5, *ring), True, *times)
    try:
        exact = shape(geometry)
        bounds = item.get("bbox") or list(exact.bounds)
        boxes = split(bounds)
        is_box = len(boxes) == 1 and bool(shapely.equals(exact, as_geometry(boxes)))
        wkb = shapely.to_wkb(exact)
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise InvalidQueryError("geometry", f"the item {item.get('id')!r} has no valid geometry") from error
    return Footprint(boxes, wkb, is_box, *times)


def _box_of(geometry: Any, bounds: Any) -> Box | None:
    """Return the box that a polygon is, where its item says the same; else None.

    Most footprints of datacubes are boxes; this way GEOS need not be asked, which takes longer than to write the item.
    """
    try:
        if geometry["type"] != "Polygon":
            return None
        ((a, b, c, d, end),) = geometry["coordinates"]
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = a, b, c, d
        west, south, east, north = map(float, bounds)
    except (KeyError, TypeError, ValueError):
        return None
    # Opposite corners differ in both coordinates, neighbours in one.
    standing = x0 == x1 and y1 == y2 and x2 == x3 and y3 == y0
    lying = y0 == y1 and x1 == x2 and y2 == y3 and x3 == x0
    if end != a or not (standing or lying) or x0 == x2 or y0 == y2:
        return None
    same = min(x0, x2) == west and max(x0, x2) == east and min(y0, y2) == south and max(y0, y2) == north
    return (west, south, east, north) if same else None


def microseconds(text: str) -> int:
    """Return an RFC 3339 date as microseconds since 1970.

    Examples
    --------
    >>> microseconds("1970-01-01T00:00:01Z")
    1000000
    """
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise InvalidQueryError("datetime", f"{text!r} is not a date", "an RFC 3339 date") from error
    return since_epoch(moment)


def since_epoch(moment: datetime) -> int:
    """Return a date as microseconds since 1970; one without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def split(bounds: list[float] | tuple[float, ...]) -> tuple[Box, ...]:
    """Return a bbox of four or six numbers as boxes with west <= east: two where it crosses the antimeridian.

    Examples
    --------
    >>> split((170, -10, -170, 10))
    ((170.0, -10.0, 180.0, 10.0), (-180.0, -10.0, -170.0, 10.0))
    """
    numbers = [float(edge) for edge in bounds]
    west, south, east, north = (numbers[0], numbers[1], numbers[3], numbers[4]) if len(numbers) == 6 else numbers
    if west <= east:
        return ((west, south, east, north),)
    return ((west, south, 180.0, north), (-180.0, south, east, north))


def as_geometry(boxes: tuple[Box, ...]) -> shapely.Geometry:
    """Return boxes as one geometry; a box of no width or height is a line or a point."""
    parts: list[shapely.Geometry] = []
    for west, south, east, north in boxes:
        if west < east and south < north:
            parts.append(shapely.box(west, south, east, north))
        elif west == east and south == north:
            parts.append(shapely.Point(west, south))
        else:
            parts.append(shapely.LineString([(west, south), (east, north)]))
    return parts[0] if len(parts) == 1 else shapely.GeometryCollection(parts)


def intersects(item: bytes, query: bytes) -> bool:
    """Return whether two geometries in WKB meet; one that GEOS cannot handle is judged by its box, so it meets."""
    try:
        return bool(shapely.intersects(_prepared(query), shapely.from_wkb(item)))
    except ShapelyError:
        return True


@lru_cache(maxsize=64)
def _prepared(wkb: bytes) -> shapely.Geometry:
    geometry = shapely.from_wkb(wkb)
    shapely.prepare(geometry)
    return geometry
