"""Which queries does a collection answer, where, and in which formats and reference systems?

The ``data_queries``, ``crs`` and ``output_formats`` of a collection document (OGC 19-086r6, requirements
/req/edr/rc-data-queries and /req/edr/rc-common-variables). QGIS, edr-xarray and the compliance suite read the formats
both here and at the top of the collection, by exactly these names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catalog.links import FrontUrls
from plugins.datacube.axes import AxisKind
from plugins.datacube.datacube import Datacube
from plugins.datacube.distance import LENGTH_UNITS, height_units
from plugins.datacube.instances import runs_of
from plugins.datacube.location import Location
from plugins.datacube.query import QUERY_TYPES
from plugins.datacube.reference import native_reference, parse_reference
from plugins.formats.table import FORMATS, formats_for

OUTPUT_FORMATS = tuple(FORMATS)
DEFAULT_OUTPUT_FORMAT = "CoverageJSON"
ALWAYS = ("EPSG:4326", "EPSG:3857")
"""Names of reference systems that every collection offers beside CRS:84 and its own."""
INSTANCES = "instances"
INSTANCES_TITLE = "Forecast runs, each a collection of its own"
LOCATIONS = "locations"
ITEMS = "items"
LOCATION_TITLES = {
    LOCATIONS: "Named places, and the values at one or more of them",
    ITEMS: "Named places as features, and the values at one of them over time",
}
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
    """Return the reference systems of coordinates, by names that QGIS and the compliance suite understand.

    Longitude and latitude first; then that of the grid, and that of web maps. Others of EPSG can be asked for too.
    """
    grid = cube.grid
    if grid.geographic:
        return ["CRS:84", *ALWAYS]
    authority, _, code = grid.crs.rpartition("/0/")
    own = f"EPSG:{code}" if authority.endswith("/EPSG") else "native"
    return ["CRS:84", own, *(name for name in ALWAYS if name != own)]


def crs_details(cube: Datacube) -> list[dict[str, str]]:
    """Return the reference systems of coordinates with their well-known text."""
    native = native_reference(cube)
    return [{"crs": name, "wkt": parse_reference(name, native).wkt} for name in crs_names(cube)]


def data_queries(cube: Datacube, urls: FrontUrls) -> dict[str, Any]:
    """Return the ``data_queries`` member of a collection document."""
    found = {name: {"link": query_link(cube, urls, name)} for name in query_types(cube)}
    if found and runs_of(cube) is not None:
        found[INSTANCES] = {"link": instances_link(cube, urls)}
    return found


def instances_link(cube: Datacube, urls: FrontUrls) -> dict[str, Any]:
    """Return the link to the forecast runs of a collection.

    Only runs are announced so: a client that finds this link (the QGIS plugin) asks for an instance before anything.
    """
    return {
        "href": urls.instances(cube.id),
        "rel": "data",
        "type": "application/json",
        "title": INSTANCES_TITLE,
        "variables": {
            "title": INSTANCES_TITLE,
            "query_type": INSTANCES,
            "output_formats": list(OUTPUT_FORMATS),
            "default_output_format": DEFAULT_OUTPUT_FORMAT,
            "crs_details": crs_details(cube),
        },
    }


def location_queries(cube: Datacube, urls: FrontUrls, locations: Sequence[Location]) -> dict[str, Any]:
    """Return the members of ``data_queries`` for named places; none where there are no locations."""
    if not locations:
        return {}
    kind = "area" if any(location.is_area for location in locations) else "position"
    common = {"crs_details": crs_details(cube)}
    of_locations = {
        "title": LOCATION_TITLES[LOCATIONS],
        "query_type": LOCATIONS,
        "multiple_locations": True,
        "output_formats": list(formats_for(kind)),
        "default_output_format": DEFAULT_OUTPUT_FORMAT,
        **common,
    }
    of_items = {
        "title": LOCATION_TITLES[ITEMS],
        "query_type": ITEMS,
        "output_formats": ["GeoJSON"],
        "default_output_format": "GeoJSON",
        **common,
    }
    return {
        name: {"link": {**location_link(cube, urls, name, "data"), "variables": variables}}
        for name, variables in ((LOCATIONS, of_locations), (ITEMS, of_items))
    }


def location_link(cube: Datacube, urls: FrontUrls, name: str, rel: str) -> dict[str, Any]:
    """Return the link to the list of locations, or of items."""
    return {
        "href": query_url(cube, urls, name),
        "rel": rel,
        "type": FORMATS["GeoJSON"].media_type,
        "title": LOCATION_TITLES[name],
    }


def query_link(cube: Datacube, urls: FrontUrls, query_type: str) -> dict[str, Any]:
    """Return the link of one query type, with its variables."""
    variables: dict[str, Any] = {
        "title": QUERY_TITLES[query_type],
        "query_type": query_type,
        "coords": {"description": COORDS[query_type]},
        "output_formats": list(formats_for(query_type)),
        "default_output_format": DEFAULT_OUTPUT_FORMAT,
        "crs_details": crs_details(cube),
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
