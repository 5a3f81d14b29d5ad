"""How does Well-Known Text from a stranger become a geometry, without harm to the process that reads it?

GEOS recurses on nested geometries and some of its algorithms are quadratic, so the text is bounded in length, depth and
vertex count, and reduced to a small alphabet, *before* GEOS sees it. Invalid polygons are refused and never repaired:
repairing takes unbounded time and changes the question.

Coordinates are planar: an edge from 170 to -170 degrees runs through 0, not across the antimeridian; a polygon across
the antimeridian goes to 190 (or is a MULTIPOLYGON of two halves, as RFC 7946 advises). The same holds of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon

from plugins.datacube.calendar import MICROSECONDS
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.query import Line

MAXIMUM_LENGTH: Final = 256 * 1024
"""Characters of WKT."""
MAXIMUM_DEPTH: Final = 6
"""Nested parentheses."""
MAXIMUM_VERTICES: Final = 10_000
MAXIMUM_POINTS: Final = 1_000
"""Points of one MULTIPOINT: each becomes a coverage."""
MAXIMUM_LONGITUDE: Final = 540.0
EPOCH_SECONDS: Final = (-62_135_596_800, 253_402_300_799)
"""Measures (M) from the year 1 to the year 9999."""
_HEAD = re.compile(r"\s*([A-Za-z]+)\s*(.*)", re.DOTALL)
_BODY = re.compile(r"[-+0-9.eE,()\s]*")
_NOT_PARENTHESES = re.compile(r"[^()]+")
_ONE_POINT = re.compile(r"POINT *\( *(-?[0-9]{1,9}(?:\.[0-9]{1,17})?) +(-?[0-9]{1,9}(?:\.[0-9]{1,17})?) *\)")
"""What most clients send: GEOS would read the same numbers, and take fifty times as long."""
_DIMENSIONS = re.compile(r"(ZM|Z|M)?(?=[\s(]|$)\s*(.*)", re.DOTALL | re.IGNORECASE)
_NAMES: Final = ("MULTIPOLYGON", "MULTIPOINT", "MULTILINESTRING", "POLYGON", "POINT", "LINESTRING")
_LINES: Final = ("LINESTRING", "MULTILINESTRING")

type Geometry = Point | MultiPoint | Polygon | MultiPolygon | LineString | MultiLineString


@dataclass(frozen=True, slots=True)
class Located:
    """A geometry in two dimensions, and the one height that all of its vertices had, if any."""

    geometry: Geometry
    z: float | None
    """In the units of the vertical axis of the dataset."""


def parse_points(text: str, *, geographic: bool = True) -> tuple[tuple[tuple[float, float], ...], float | None]:
    """Read ``POINT``, ``POINT Z`` or ``MULTIPOINT``.

    Parameters
    ----------
    text : str
        Well-Known Text, x (longitude) first.
    geographic : bool
        Whether the coordinates are degrees, and bounded as such.

    Returns
    -------
    points : tuple of (x, y)
    z : float or None
        The height that all points share.

    Raises
    ------
    InvalidQueryError
        If the text is too long, not such a geometry, or has coordinates outside -90..90 or -540..540 degrees.

    Examples
    --------
    >>> parse_points("POINT(-30 0)")
    (((-30.0, 0.0),), None)
    """
    if (plain := _ONE_POINT.fullmatch(text)) is not None and len(text) <= MAXIMUM_LENGTH:
        x, y = float(plain[1]), float(plain[2])
        check_position("coords", x, y, geographic=geographic)
        return ((x, y),), None
    located = _parse(text, ("POINT", "MULTIPOINT"), geographic=geographic)
    points = shapely.get_coordinates(located.geometry)
    if len(points) > MAXIMUM_POINTS:
        raise InvalidQueryError(
            "coords", f"coords has {len(points)} points", f"a MULTIPOINT of at most {MAXIMUM_POINTS} points"
        )
    return tuple((x, y) for x, y in points.tolist()), located.z


def parse_polygon(text: str, *, geographic: bool = True) -> tuple[Polygon | MultiPolygon, float | None]:
    """Read a valid ``POLYGON`` or ``MULTIPOLYGON``.

    Returns
    -------
    geometry : Polygon or MultiPolygon
        In two dimensions.
    z : float or None
        The height that all vertices share.

    Raises
    ------
    InvalidQueryError
        If the text is too long, not such a geometry, or the polygon crosses itself.
    """
    located = _parse(text, ("POLYGON", "MULTIPOLYGON"), geographic=geographic)
    geometry = located.geometry
    if not isinstance(geometry, Polygon | MultiPolygon):
        raise InvalidQueryError("coords", "coords is not a polygon", "POLYGON((x y, x y, x y, x y))")
    if not geometry.is_valid:
        reason = shapely.is_valid_reason(geometry)
        raise InvalidQueryError(
            "coords", f"coords is not a valid polygon: {reason[:120]}", "rings that neither cross nor touch themselves"
        )
    return geometry, located.z


def parse_lines(text: str, *, geographic: bool = True) -> tuple[Line, ...]:
    """Read ``LINESTRING`` or ``MULTILINESTRING``, each with Z (heights), M (seconds since 1970, UTC) or ZM, or neither.

    Raises
    ------
    InvalidQueryError
        If the text is too long, not such a geometry, or has coordinates outside -90..90 or -540..540 degrees, or times
        outside the years 1 to 9999.

    Examples
    --------
    >>> parse_lines("LINESTRINGM(0 0 1.5,4 2 3)")
    (Line(x=(0.0, 4.0), y=(0.0, 2.0), z=None, t=(1500000, 3000000)),)
    """
    geometry = _read(text, _LINES, geographic=geographic)
    first, last = EPOCH_SECONDS
    lines: list[Line] = []
    for part in shapely.get_parts(geometry):
        x, y, heights, measures = shapely.get_coordinates(part, include_z=True, include_m=True).T
        if geometry.has_m and not ((first <= measures) & (measures <= last)).all():
            raise InvalidQueryError(
                "coords",
                "coords has a measure (M) that is not a time",
                f"seconds since 1970-01-01T00:00:00Z, from {first} to {last}",
            )
        times = np.rint(measures * MICROSECONDS["second"]) if geometry.has_m else None
        lines.append(
            Line(
                tuple(x.tolist()),
                tuple(y.tolist()),
                tuple(heights.tolist()) if geometry.has_z else None,
                None if times is None else tuple(times.astype(np.int64).tolist()),
            )
        )
    return tuple(lines)


def check_position(parameter: str, x: float, y: float, *, geographic: bool) -> None:
    """Refuse degrees that no place on the Earth has.

    Raises
    ------
    InvalidQueryError
        If the latitude is outside -90..90 or the longitude outside -540..540.
    """
    if not geographic:
        return
    if not -90.0 <= y <= 90.0:
        raise InvalidQueryError(parameter, f"{parameter}: the latitude {y:g} does not exist", "-90 to 90 degrees")
    if abs(x) > MAXIMUM_LONGITUDE:
        raise InvalidQueryError(parameter, f"{parameter}: the longitude {x:g} is too far out", "-540 to 540 degrees")


def _parse(text: str, kinds: tuple[str, ...], *, geographic: bool) -> Located:
    """Read a geometry whose vertices have one height or none."""
    geometry = _read(text, kinds, geographic=geographic)
    return Located(shapely.force_2d(geometry), _common_height(geometry))


def _read(text: str, kinds: tuple[str, ...], *, geographic: bool) -> Geometry:
    """Check the text in one linear pass each for length, alphabet, depth and size; then let GEOS read it."""
    valid = " or ".join(f"{kind}({'x y' if kind == 'POINT' else '...'})" for kind in kinds) + ", longitude first"
    if len(text) > MAXIMUM_LENGTH:
        raise InvalidQueryError(
            "coords", f"coords has {len(text)} characters", f"WKT of at most {MAXIMUM_LENGTH} characters"
        )
    kind, body = _head(text, kinds, valid)
    if _BODY.fullmatch(body) is None:
        raise InvalidQueryError("coords", "coords is not well-formed WKT of finite numbers", valid)
    if body.count(",") >= MAXIMUM_VERTICES:
        raise InvalidQueryError(
            "coords", f"coords has more than {MAXIMUM_VERTICES} vertices", f"at most {MAXIMUM_VERTICES} vertices"
        )
    if not _balanced(_NOT_PARENTHESES.sub("", body)):
        raise InvalidQueryError("coords", "coords has parentheses that do not match or are nested too deeply", valid)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # 1e999 is told below
            geometry = shapely.from_wkt(f"{kind} {body}")
    except shapely.errors.GEOSException as error:
        reason = "a ring is not closed" if "closed" in str(error) else "it is malformed"
        raise InvalidQueryError("coords", f"coords cannot be read as WKT: {reason}", valid) from error
    known = Point | MultiPoint | Polygon | MultiPolygon | LineString | MultiLineString
    if not isinstance(geometry, known) or geometry.is_empty:
        raise InvalidQueryError("coords", "coords is an empty geometry", valid)
    _check_coordinates(geometry, geographic=geographic)
    return geometry


def _head(text: str, kinds: tuple[str, ...], valid: str) -> tuple[str, str]:
    """Split off the geometry's name and the mark of its dimensions; ``POINTZ`` is read like ``POINT Z``."""
    match = _HEAD.fullmatch(text)
    if match is None:
        raise InvalidQueryError("coords", "coords is empty or is not WKT", valid)
    word, rest = match.group(1).upper(), match.group(2)
    name = next((name for name in _NAMES if word.startswith(name) and word[len(name) :] in ("", "Z", "M", "ZM")), None)
    if name not in kinds:
        raise InvalidQueryError("coords", f"coords: {word[:32]} is not a geometry for this query", valid)
    mark = word[len(name) :]
    dimensions = _DIMENSIONS.fullmatch(rest)
    if not mark and dimensions is not None and dimensions.group(1):
        mark, rest = dimensions.group(1).upper(), dimensions.group(2)
    if "M" in mark and name not in _LINES:
        raise InvalidQueryError("coords", "coords has measures (M), which this query does not use", valid)
    return f"{name} {mark}".strip(), rest


def _balanced(parentheses: str) -> bool:
    depth = 0
    for character in parentheses:
        depth += 1 if character == "(" else -1
        if not 0 <= depth <= MAXIMUM_DEPTH:
            return False
    return depth == 0


def _check_coordinates(geometry: Geometry, *, geographic: bool) -> None:
    """Check that all coordinates are finite and on the Earth."""
    coordinates: NDArray[np.float64] = shapely.get_coordinates(geometry, include_z=True, include_m=True)
    plane = coordinates[:, :2]
    missing = np.isnan(coordinates[:, 2:])
    # A dimension that the geometry does not have is NaN everywhere.
    whole = (missing.all(axis=0) | ~missing.any(axis=0)).all() and not np.isinf(coordinates).any()
    if not whole or np.isnan(plane).any():
        raise InvalidQueryError("coords", "coords has a number that is not finite", "finite decimal numbers")
    for x, y in (plane.min(axis=0).tolist(), plane.max(axis=0).tolist()):
        check_position("coords", x, y, geographic=geographic)


def _common_height(geometry: Geometry) -> float | None:
    heights = shapely.get_coordinates(geometry, include_z=True)[:, 2]
    if np.isnan(heights).all():
        return None
    if heights.min() != heights.max():
        raise InvalidQueryError(
            "coords", "coords has several heights", "one height in coords, or heights by the parameter z"
        )
    return float(heights[0])
