"""Which geometry did a client write, and is it one that GEOS may be given?

Size, nesting and types are checked before the native library sees anything.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from plugins.datacube.errors import InvalidQueryError

TEXT_LIMIT = 100_000
POSITIONS_LIMIT = 10_000
_DEPTH_LIMIT = 8
_GEOMETRIES = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
)


def read_geometry(parameter: str, given: str | dict[str, Any]) -> shapely.Geometry:
    """Read a GeoJSON geometry.

    Parameters
    ----------
    parameter : str
        The parameter that it was given in, named in errors.
    given : str or dict
        The geometry as JSON text or as a JSON object.

    Returns
    -------
    shapely.Geometry
        Valid, not empty, finite.

    Raises
    ------
    InvalidQueryError
        If it is anything else.
    """
    valid = f"a valid GeoJSON geometry of at most {POSITIONS_LIMIT} positions"
    wrong = InvalidQueryError(parameter, f"the value of {parameter} is not a valid GeoJSON geometry", valid)
    document: Any = given
    if isinstance(given, str):
        if len(given) > TEXT_LIMIT:
            raise InvalidQueryError(parameter, "the geometry is too long", valid)
        try:
            document = orjson.loads(given)
        except ValueError as error:
            raise wrong from error
    try:
        if _positions(document, 0) > POSITIONS_LIMIT:
            raise InvalidQueryError(parameter, "the geometry has too many positions", valid)
        geometry = shape(document)
        good = (
            not geometry.is_empty
            and geometry.is_valid
            and all(math.isfinite(edge) for edge in shapely.bounds(geometry).tolist())
        )
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
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
