"""Which queries does a collection answer, where, and in which formats and reference systems?

The ``data_queries``, ``crs`` and ``output_formats`` of a collection document (OGC 19-086r6, requirements
/req/edr/rc-data-queries and /req/edr/rc-common-variables). QGIS, edr-xarray and the compliance suite read the formats
both here and at the top of the collection, by exactly these names.
"""

from __future__ import annotations

from typing import Any

from catalog.links import FrontUrls
from plugins.datacube.axes import AxisKind
from plugins.datacube.datacube import Datacube
from plugins.datacube.distance import LENGTH_UNITS, height_units
from plugins.datacube.query import QUERY_TYPES
from plugins.formats.table import FORMATS, formats_for

OUTPUT_FORMATS = tuple(FORMATS)
DEFAULT_OUTPUT_FORMAT = "CoverageJSON"
QUERY_TITLES = {
    "position": "Values at one or more points",
    "radius": "Values of the cells within a distance of a point",
    "area": "Values of the cells inside a polygon",
    "cube": "Values of the cells inside a box",
    "trajectory": "Values along a path",
    "corridor": "Values of the cells beside a path",
}
COORDS = {
    "position": "Well Known Text POINT or MULTIPOINT, longitude first, in degrees: POINT(-30 0)",
    "radius": "Well Known Text POINT or MULTIPOINT, longitude first, in degrees; the distance is `within`",
    "area": "Well Known Text POLYGON or MULTIPOLYGON, longitude first, in degrees",
    "cube": "bbox=west,south,east,north in degrees; west > east crosses the antimeridian",
    "trajectory": "Well Known Text LINESTRING or MULTILINESTRING, longitude first, in degrees; with Z for heights, "
    "with M for times in seconds since 1970-01-01T00:00:00Z: LINESTRINGM(-30 0 1577836800,-20 5 1577923200)",
    "corridor": "Well Known Text LINESTRING or MULTILINESTRING, longitude first, in degrees; with Z for heights, "
    "with M for times in seconds since 1970-01-01T00:00:00Z",
}


def query_types(cube: Datacube) -> tuple[str, ...]:
    """Return the query types that a collection answers: all of them, or none where its grid is not supported."""
    return () if cube.unsupported is not None else tuple(QUERY_TYPES)


def query_url(cube: Datacube, urls: FrontUrls, query_type: str) -> str:
    """Return the address of a query of a collection."""
    return f"{urls.collection(cube.id)}/{query_type}"


def crs_names(cube: Datacube) -> list[str]:
    """Return the reference systems of coordinates, by names that QGIS and the compliance suite understand."""
    return ["CRS:84"] if cube.grid.geographic else [cube.grid.crs]


def data_queries(cube: Datacube, urls: FrontUrls) -> dict[str, Any]:
    """Return the ``data_queries`` member of a collection document."""
    return {name: {"link": query_link(cube, urls, name)} for name in query_types(cube)}


def query_link(cube: Datacube, urls: FrontUrls, query_type: str) -> dict[str, Any]:
    """Return the link of one query type, with its variables."""
    variables: dict[str, Any] = {
        "title": QUERY_TITLES[query_type],
        "query_type": query_type,
        "coords": {"description": COORDS[query_type]},
        "output_formats": list(formats_for(query_type)),
        "default_output_format": DEFAULT_OUTPUT_FORMAT,
        "crs_details": [{"crs": name, "wkt": cube.grid.crs_wkt} for name in crs_names(cube)],
    }
    if query_type == "cube":
        level = cube.axis(AxisKind.Z)
        variables["height_units"] = [level.units or "1"] if level is not None else []
    elif query_type == "radius":
        variables["within_units"] = list(LENGTH_UNITS)
    elif query_type == "corridor":
        heights = list(height_units(cube.axis(AxisKind.Z)))
        variables["width_units"] = variables["width-units"] = list(LENGTH_UNITS)
        # The QGIS plugin reads the names with a hyphen, the standard has those with an underscore.
        variables["height_units"] = variables["height-units"] = heights
    return {
        "href": query_url(cube, urls, query_type),
        "rel": "data",
        "type": FORMATS[DEFAULT_OUTPUT_FORMAT].media_type,
        "title": QUERY_TITLES[query_type],
        "variables": variables,
    }
