"""Which places does a GeoJSON file name, and what is wrong with it if it cannot be used?

The file is a FeatureCollection (RFC 7946) of Points, MultiPoints, Polygons and MultiPolygons. It is the operator's, but
its geometries reach GEOS and its size every answer: both are bounded before a geometry is made. A file that is not
right is refused as a whole, in one sentence that names the feature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import shapely
from shapely import MultiPoint, MultiPolygon, Point, Polygon

from plugins.datacube.errors import DatasetError
from plugins.datacube.geometry import MAXIMUM_POINTS
from plugins.datacube.location import IDENTIFIER, IDENTIFIER_RULE, Geometry, Location

MAXIMUM_BYTES: Final = 16 << 20
MAXIMUM_LOCATIONS: Final = 10_000
MAXIMUM_VERTICES: Final = 5_000
"""Of one location: its well-known text must fit into one parameter of a query."""
MAXIMUM_ALL_VERTICES: Final = 200_000
"""Of the whole file."""
KINDS: Final = ("Point", "MultiPoint", "Polygon", "MultiPolygon")
_NAMES: Final = ("name", "label", "title")
"""Properties that may hold the name, the first that does."""
_LONGITUDE_LATITUDE: Final = ("crs84", "epsg::4326", "epsg:4326")
"""How the name of a CRS ends that says what RFC 7946 says anyway; some programs still write it."""


def read_locations(path: Path) -> tuple[Location, ...]:
    """Read a file of named places.

    Parameters
    ----------
    path : Path
        GeoJSON, UTF-8. The identifier of a feature is its ``id``, else its property ``id``, else its property ``name``;
        its name is its property ``name``, ``label`` or ``title``, else the identifier. Heights are not read.

    Raises
    ------
    DatasetError
        If the file cannot be read, is too large, is not such a collection, or two features have the same identifier.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise _wrong(path, f"it cannot be read ({(error.strerror or 'input error').lower()})") from error
    if len(text) > MAXIMUM_BYTES:
        raise _wrong(path, f"it is larger than {MAXIMUM_BYTES >> 20} MiB")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _wrong(path, f"it is not JSON (line {error.lineno})") from error
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise _wrong(path, "it is not a GeoJSON FeatureCollection")
    features = document.get("features")
    if not isinstance(features, list):
        raise _wrong(path, "it has no list of features")
    if len(features) > MAXIMUM_LOCATIONS:
        raise _wrong(path, f"it has {len(features):,} features, and there may be {MAXIMUM_LOCATIONS:,}")
    if not _degrees(document.get("crs")):
        raise _wrong(path, "its coordinates are not longitude and latitude (CRS84), as GeoJSON has them")
    found: dict[str, Location] = {}
    vertices = 0
    for number, feature in enumerate(features, 1):
        try:
            location = _location(feature)
        except ValueError as error:
            raise _wrong(path, f"feature {number}: {error}") from error
        if location.id in found:
            raise _wrong(path, f"feature {number}: the identifier {location.id!r} was used before")
        vertices += int(shapely.get_num_coordinates(location.geometry))
        if vertices > MAXIMUM_ALL_VERTICES:
            raise _wrong(path, f"its geometries have more than {MAXIMUM_ALL_VERTICES:,} vertices")
        found[location.id] = location
    return tuple(found.values())


def _wrong(path: Path, reason: str) -> DatasetError:
    return DatasetError(f"the locations in {path.name} cannot be used: {reason}")


def _degrees(crs: Any) -> bool:
    """Return whether the old member ``crs`` is absent, or says longitude and latitude."""
    if crs is None:
        return True
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    return isinstance(name, str) and name.strip().lower().endswith(_LONGITUDE_LATITUDE)


def _location(feature: Any) -> Location:
    """Return one feature as a location; ValueError says what is wrong with it."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise ValueError("it is not a Feature")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise ValueError("its properties are not an object")  # noqa: TRY004 - the file is wrong, not the program
    identifier = _identifier(feature, properties)
    name = next((text.strip() for key in _NAMES if (text := _text(properties.get(key))).strip()), identifier)
    return Location(identifier, name, _geometry(feature.get("geometry")), properties)


def _identifier(feature: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    given = (feature.get("id"), properties.get("id"), properties.get("name"))
    identifier = next((text for value in given if (text := _text(value))), "")
    if not identifier:
        raise ValueError("it has no id, and no property id or name")
    if not IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"{identifier[:64]!r} cannot stand in an address; give it an id of {IDENTIFIER_RULE}")
    return identifier


def _text(value: Any) -> str:
    """Return a text or a whole number as text, anything else as none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _geometry(given: Any) -> Geometry:
    if not isinstance(given, dict) or given.get("type") not in KINDS:
        kind = given.get("type") if isinstance(given, dict) else None
        raise ValueError(f"its geometry is {str(kind)[:32]!r}, and not one of {', '.join(KINDS)}")
    kind, coordinates = given["type"], given.get("coordinates")
    counted = _Counted()
    if kind == "Point":
        return Point(counted.position(coordinates))
    if kind == "MultiPoint":
        points = [counted.position(each) for each in _list(coordinates)]
        if len(points) > MAXIMUM_POINTS:
            raise ValueError(f"it has {len(points):,} points, and a location may have {MAXIMUM_POINTS:,}")
        return MultiPoint(points)
    polygons = [_list(coordinates)] if kind == "Polygon" else [_list(each) for each in _list(coordinates)]
    shapes = [Polygon(rings[0], rings[1:]) for rings in ([counted.ring(r) for r in rings] for rings in polygons)]
    geometry = shapes[0] if kind == "Polygon" else MultiPolygon(shapes)
    if not geometry.is_valid:
        raise ValueError(f"its {kind} is not valid: {shapely.is_valid_reason(geometry)[:120]}")
    return geometry


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError("its coordinates are not a list, or are empty")
    return value


class _Counted:
    """Reads positions until there are too many."""

    def __init__(self) -> None:
        self.left = MAXIMUM_VERTICES

    def position(self, value: Any) -> tuple[float, float]:
        """Return longitude and latitude of a position; a height is dropped."""
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"it has more than {MAXIMUM_VERTICES:,} vertices")
        if not isinstance(value, list) or not 2 <= len(value) <= 4:
            raise ValueError("a position is not a list of longitude and latitude")
        x, y = (self.number(each) for each in value[:2])
        if not -360.0 <= x <= 360.0 or not -90.0 <= y <= 90.0:
            raise ValueError(f"longitude {x:g}, latitude {y:g} is no place on the Earth")
        return x, y

    def number(self, value: Any) -> float:
        """Return a finite number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError("a coordinate is not a number")
        return float(value)

    def ring(self, value: Any) -> list[tuple[float, float]]:
        """Return the positions of a closed ring."""
        ring = list(self._positions(value))
        if len(ring) < 4 or ring[0] != ring[-1]:
            raise ValueError("a ring of its polygon has fewer than four positions, or is not closed")
        return ring

    def _positions(self, value: Any) -> Iterator[tuple[float, float]]:
        return (self.position(each) for each in _list(value))
