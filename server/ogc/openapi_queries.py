"""How is each data query of each collection asked, exactly, for this very dataset?

Path items of the data queries (OGC 19-086r6, clause 8): the parameters that this collection has, with examples
that are in its extent and give data. The height is there only where there is a vertical axis, and each custom
dimension is a parameter of its own name.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube
from plugins.datacube.distance import LENGTH_UNITS, height_units
from plugins.datacube.layouts import HEADER as LAYOUT
from plugins.datacube.parse import MAXIMUM_RESOLUTION, OTHER_PARAMETERS, PLACES
from plugins.datacube.query import UNGRIDDED, Interpolation
from plugins.formats.table import FORMATS, Format, formats_for
from server.ogc.data_queries import (
    COORDS,
    QUERY_TITLES,
    crs_names,
    query_types,
)
from server.ogc.openapi_schemas import OBJECT, STRING, parameter, query_parameter, response, schema

FORM = "application/x-www-form-urlencoded"
NUMBER: dict[str, Any] = {"type": "number"}
EPSG: dict[str, Any] = {"pattern": "^EPSG:[0-9]{4,6}$"}
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
DATETIME = (
    "An instant (2020-01-01T00:00:00Z), which finds the time step around it; an interval (2020-01-01/2020-02-01) "
    "with open ends as .. (../2020-02-01); a list of instants; or n instants a period apart (R4/2020-01-01/P1M). "
    "A date without a time covers the day. "
    "Without it: all times."
)
WITHIN = "Distance from the point along the great circle, more than 0; a radius query needs it."
WIDTH = "From side to side of the corridor, across the path, along great circles."
HEIGHT = "From bottom to top of the corridor, around `z` or the heights in `coords`; without these: all levels."
RESOLUTION = "Number of {} of the answer, evenly from the least coordinate to the greatest; 0: those of the data."
INTERPOLATION = "How a value at a place is made: that of the cell that holds it, or linear between the cells around it."
CRS = (
    "Reference system of the coordinates, in the query and in the answer; x before y. One of those listed, or another "
    "two-dimensional one of EPSG. Without it: longitude and latitude, but a grid is answered in its own."
)
LEVELS = "A level, an interval of levels (500/850), or a list of levels (500,850). Without it: all levels."
MEMBERS = "A value, a list of values, or, for numbers, an interval (1/5). Without it: all values."


def query_paths(cube: Datacube) -> dict[str, Any]:
    """Return the path items of the queries of one collection, by path below ``/ogc``."""
    return {f"/collections/{cube.id}/{name}": query_path(cube, name) for name in query_types(cube)}


def query_path(cube: Datacube, query_type: str) -> dict[str, Any]:
    """Return the path item of one query: GET, and POST with the same parameters in its body."""
    parameters = query_parameters(cube, query_type)
    common = {"tags": [cube.id], "description": QUERY_TITLES[query_type] + f" of {cube.title or cube.id}."}
    lists = [one["name"] for one in parameters if one["schema"]["type"] == "array"]
    body = schema(body_name(cube, query_type))
    example = {one["name"]: one["example"] for one in parameters if "example" in one}
    return {
        "get": {
            "operationId": f"{cube.id}.{query_type}",
            "summary": QUERY_TITLES[query_type],
            **common,
            "parameters": [*parameters, parameter(format_parameter_name(query_type)), parameter("prefer")],
            "responses": query_responses(cached=True),
        },
        "post": {
            "operationId": f"{cube.id}.{query_type}.post",
            "summary": f"{QUERY_TITLES[query_type]}, with the parameters in the body",
            **common,
            "parameters": [parameter("prefer")],
            "requestBody": {
                "required": True,
                "content": {
                    FORM: {
                        "schema": body,
                        "example": example,
                        # Lists stand in a form with commas, as in the query string.
                        "encoding": {name: {"style": "form", "explode": False} for name in lists},
                    },
                    "application/json": {"schema": body, "example": example},
                },
            },
            "responses": query_responses(cached=False),
        },
    }


def format_parameter_name(query_type: str) -> str:
    """Return the name of the ``f`` parameter that lists the formats of a query."""
    return "fPlaces" if query_type in UNGRIDDED else "f"


def body_name(cube: Datacube, query_type: str) -> str:
    """Return the name of the schema of the body of a POST."""
    return f"{cube.id}.{query_type}"


def body_schemas(cube: Datacube) -> dict[str, Any]:
    """Return the schemas of the bodies of all POST queries of one collection."""
    return {body_name(cube, name): body_schema(cube, name) for name in query_types(cube)}


def body_schema(cube: Datacube, query_type: str) -> dict[str, Any]:
    """Return the parameters of a query as an object."""
    parameters = query_parameters(cube, query_type)
    numeric = {"z"} | {axis.name for axis in cube.custom_axes if axis.values.dtype.kind in "iuf"}
    fields = {
        one["name"]: {
            **({"anyOf": [one["schema"], NUMBER]} if one["name"] in numeric else one["schema"]),
            "description": one["description"],
        }
        for one in parameters
    }
    return {
        "type": "object",
        "required": [one["name"] for one in parameters if one["required"]],
        "properties": {**fields, "f": {"type": "string", "enum": list(formats_for(query_type))}},
        "additionalProperties": False,
    }


def query_responses(*, cached: bool) -> dict[str, Any]:
    """Return every response that a data query can have."""
    return {
        "200": response("data"),
        "202": response("pending"),
        "204": response("noData"),
        **({"304": response("notModified")} if cached else {}),
        "308": response("elsewhere"),
        "400": response("badRequest"),
        "404": response("notFound"),
        "406": response("notAcceptable"),
        "413": response("tooLarge"),
        "500": response("serverError"),
        "502": response("storageError"),
        "503": response("unavailable"),
    }


def data_schema(form: Format, media_type: str) -> dict[str, Any]:
    """Return the schema of an answer; under the plain media type of JSON more than one format can come."""
    if not media_type.endswith("json"):
        return {"type": "string", **({"format": "binary"} if form.binary else {})}
    coverage = form.key.startswith("CoverageJSON") and media_type != "application/json"
    return schema("coverageJson") if coverage else OBJECT


def data_response() -> dict[str, Any]:
    """Return the response with data, in every format and under every media type that a client may ask for."""
    content = {
        media_type: {"schema": data_schema(form, media_type)}
        for form in FORMATS.values()
        for media_type in form.media_types
    }
    headers = {
        "Content-Crs": {"description": "Reference system of the coordinates in the answer.", "schema": STRING},
        "ETag": {"description": "State of the data and the query.", "schema": STRING},
        LAYOUT: {"description": "Which store of the data the values were read from.", "schema": STRING},
        "Link": {"description": "The collection, and this query.", "schema": STRING},
    }
    return {"description": "The data.", "headers": headers, "content": content}


def query_parameters(cube: Datacube, query_type: str) -> list[dict[str, Any]]:
    """Return the parameters of one query of one collection, but ``f``."""
    found = where(cube, query_type)
    names = list(cube.parameters)
    if names:
        choice = "|".join(re.escape(name) for name in names)
        found.append(
            query_parameter(
                "parameter-name",
                f"One or more of {', '.join(names)}, with commas between. Without it: all.",
                {"type": "string", "pattern": f"^(({choice})(,({choice}))*)?$"},
                example=names[0],
            )
        )
    if (time := cube.axis(AxisKind.T)) is not None and time.size:
        found.append(query_parameter("datetime", DATETIME, TEXT, example=one_text(time)))
    if (level := cube.axis(AxisKind.Z)) is not None and level.size:
        unit = f" In {level.units}." if level.units else ""
        found.append(query_parameter("z", LEVELS + unit, TEXT, example=one_text(level)))
    found.append(query_parameter("crs", CRS, {"type": "string", "anyOf": [{"enum": crs_names(cube)}, EPSG]}))
    kinds = {"type": "string", "enum": [kind.value for kind in Interpolation], "default": Interpolation.NEAREST.value}
    found.append(query_parameter("interpolation", INTERPOLATION, kinds))
    taken = {one["name"] for one in found} | {*OTHER_PARAMETERS} | {name for names in PLACES.values() for name in names}
    found += [
        query_parameter(axis.name, f"{axis.long_name or axis.name}. {MEMBERS}", TEXT, example=one_text(axis))
        for axis in cube.custom_axes
        if axis.size and axis.name not in taken
    ]
    return found


def where(cube: Datacube, query_type: str) -> list[dict[str, Any]]:
    """Return the parameters that say where: ``bbox`` of a cube, else ``coords`` and how far; the examples give data."""
    x, y = example_cells(cube)
    west, east = widened(x)
    south, north = widened(y)
    if query_type == "cube":
        shape = {"type": "array", "items": NUMBER, "minItems": 4, "maxItems": 6}
        box = query_parameter("bbox", COORDS["cube"], shape, required=True, example=[west, south, east, north])
        return [box, *resolution_parameters(cube)]
    example = f"POINT({x[0]:g} {y[0]:g})"
    if query_type == "area":
        ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
        example = f"POLYGON(({','.join(f'{x:g} {y:g}' for x, y in ring)}))"
    elif query_type in ("trajectory", "corridor"):
        example = f"LINESTRING({x[0]:g} {y[0]:g},{x[1]:g} {y[1]:g})"
    found = [query_parameter("coords", COORDS[query_type], TEXT, required=True, example=example)]
    if query_type == "radius":
        # Not "required" here: the compliance suite fails a document that says so, although the query needs both.
        units = {"type": "string", "enum": list(LENGTH_UNITS)}
        found.append(query_parameter("within", WITHIN, NUMBER, example=100))
        found.append(query_parameter("within-units", "Unit of `within`; needed with it.", units, example="km"))
    elif query_type == "corridor":
        found += corridor_parameters(cube)
    return found if query_type in UNGRIDDED else found + resolution_parameters(cube)


def corridor_parameters(cube: Datacube) -> list[dict[str, Any]]:
    """Return the parameters that say how wide and how high; heights only where there are levels."""
    units = {"type": "string", "enum": list(LENGTH_UNITS)}
    found = [
        query_parameter("corridor-width", WIDTH, NUMBER, required=True, example=100),
        query_parameter("width-units", "Unit of `corridor-width`.", units, required=True, example="km"),
    ]
    level = cube.axis(AxisKind.Z)
    if level is not None and level.size:
        units = {"type": "string", "enum": list(height_units(level))}
        found += [
            query_parameter("corridor-height", HEIGHT, NUMBER, required=True, example=10),
            query_parameter(
                "height-units", "Unit of `corridor-height`.", units, required=True, example=units["enum"][0]
            ),
        ]
    return found


def resolution_parameters(cube: Datacube) -> list[dict[str, Any]]:
    """Return the parameters that say how many columns and rows a gridded answer has, and levels where there are any."""
    level = cube.axis(AxisKind.Z)
    things = {"x": "columns", "y": "rows", **({"z": "levels"} if level is not None and level.size else {})}
    shape = {"type": "integer", "minimum": 0, "maximum": MAXIMUM_RESOLUTION}
    return [query_parameter(f"resolution-{axis}", RESOLUTION.format(thing), shape) for axis, thing in things.items()]


def example_cells(cube: Datacube) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the columns and the rows of two cells beside each other in the middle of the grid, rising."""
    x, y = cube.axis(AxisKind.X), cube.axis(AxisKind.Y)
    if x is None or y is None or not x.size or not y.size:
        box = cube.extent
        return (box.west, box.east), (box.south, box.north)
    west, east = middle(x)
    if cube.grid.geographic and east > 180:
        west, east = west - 360, east - 360
    return (west, east), middle(y)


def middle(axis: Axis) -> tuple[float, float]:
    """Return two values beside each other in the middle of an axis, rising; twice the same if there is but one."""
    at = max(0, axis.size // 2 - 1)
    two = np.sort(axis.values[at : at + 2].astype(np.float64))
    return round(float(two[0]), 6), round(float(two[-1]), 6)


def widened(two: tuple[float, float]) -> tuple[float, float]:
    """Return an interval that is not empty."""
    low, high = two
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def one_text(axis: Axis) -> str:
    """Return the first value of an axis as text."""
    return axis.take(np.array([0])).texts()[0]
