"""How are the named places of a collection asked, in OpenAPI's words?

Path items of ``locations`` and ``items`` (OGC 19-086r6, clauses 8.2.7 and 8.2.8), for the collections that have any.
The query of a location has the parameters of a position query, but those that say where: the path does.
"""

from __future__ import annotations

from typing import Any, Final

from plugins.datacube.datacube import Datacube
from plugins.datacube.library import OpenDatacube
from plugins.datacube.location import Location
from plugins.datacube.locations import locations_of
from plugins.datacube.parse import PLACES
from plugins.formats.table import formats_for
from server.ogc.collection_filter import MAX_LIMIT
from server.ogc.data_queries import ITEMS, LOCATION_TITLES, LOCATIONS
from server.ogc.features import GEOJSON, MAXIMUM_OFFSET, MEDIA_TYPES
from server.ogc.items import DEFAULT_LIMIT
from server.ogc.openapi_queries import FORM, NUMBER, TEXT, query_parameters, query_responses
from server.ogc.openapi_schemas import OBJECT, STRING, parameter, query_parameter, response, schema
from server.ogc.series import LOCATION

LISTED: Final = 100
"""Identifiers that are written out; of more, the first is the example."""
FEATURE: Final[dict[str, Any]] = {
    "description": "A Feature of GeoJSON (RFC 7946).",
    "type": "object",
    "required": ["type", "id", "geometry", "properties"],
    "properties": {
        "type": {"type": "string", "enum": ["Feature"]},
        "id": STRING,
        "geometry": OBJECT,
        "properties": OBJECT,
        "links": schema("links"),
    },
}
FEATURES: Final[dict[str, Any]] = {
    "description": "A FeatureCollection of EDR GeoJSON.",
    "type": "object",
    "required": ["type", "features", "links", "numberReturned"],
    "properties": {
        "type": {"type": "string", "enum": ["FeatureCollection"]},
        "title": STRING,
        "numberMatched": {"type": "integer", "minimum": 0},
        "numberReturned": {"type": "integer", "minimum": 0},
        "timeStamp": STRING,
        "parameters": {"type": "array", "items": schema("parameter")},
        "links": schema("links"),
        "features": {"type": "array", "items": schema("feature")},
    },
}
LOCATION_SCHEMAS: Final[dict[str, Any]] = {"feature": FEATURE, "features": FEATURES}
"""Schemas to which the paths refer."""


def location_paths(opened: OpenDatacube) -> dict[str, Any]:
    """Return the path items of the locations and items of one collection; none where it has no locations."""
    known = locations_of(opened)
    if not known:
        return {}
    cube = opened.cube
    one = f"/collections/{cube.id}"
    return {
        f"{one}/{LOCATIONS}": list_path(cube, LOCATIONS, page_parameters(cube, MAX_LIMIT)),
        f"{one}/{LOCATIONS}/{{locId}}": location_path(cube, known),
        f"{one}/{ITEMS}": list_path(cube, ITEMS, [*page_parameters(cube, DEFAULT_LIMIT), *series(cube, known)]),
        f"{one}/{ITEMS}/{{itemId}}": item_path(cube, known),
    }


def page_parameters(cube: Datacube, default_limit: int) -> list[dict[str, Any]]:
    """Return the parameters that choose among features, and cut them into pages."""
    box = cube.extent
    count = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": default_limit}
    return [
        query_parameter(
            "bbox",
            "Only what meets this box: west,south,east,north in degrees; west > east crosses the antimeridian.",
            {"type": "array", "items": NUMBER, "minItems": 4, "maxItems": 6},
            example=[box.west, box.south, box.east, box.north],
        ),
        query_parameter("datetime", "Only what has times in this instant or interval.", TEXT),
        query_parameter("limit", "At most so many features on a page; more are taken for the greatest.", count),
        query_parameter(
            "offset", "So many features are left out first.",
            {"type": "integer", "minimum": 0, "maximum": MAXIMUM_OFFSET, "default": 0},
        ),
    ]  # fmt: skip


def series(cube: Datacube, known: tuple[Location, ...]) -> list[dict[str, Any]]:
    """Return the parameters of the values at one location, as features."""
    point = next((one.id for one in known if not one.is_area and len(one.points) == 1), None)
    if point is None:
        return []
    text = "The values at this location instead: one feature for each time step (and level, and member)."
    own = [one for one in query_parameters(cube, "position") if one["name"] not in (*ELSEWHERE, "datetime")]
    return [query_parameter(LOCATION, text, TEXT), *({**one, "example": None} for one in own)]


ELSEWHERE: Final = (*PLACES["position"], "crs", "interpolation")
"""Parameters of a position query that the values as features do not have."""


def list_path(cube: Datacube, name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the path item of a list of features, by GET and by POST."""
    bare = [{key: value for key, value in one.items() if value is not None} for one in parameters]
    common = {"tags": [cube.id], "description": f"{LOCATION_TITLES[name]}: of {cube.title or cube.id}."}
    fields = {one["name"]: {**one["schema"], "description": one["description"]} for one in bare}
    body = {"type": "object", "properties": {**fields, "f": STRING}, "additionalProperties": False}
    lists = {one["name"]: {"style": "form", "explode": False} for one in bare if one["schema"].get("type") == "array"}
    return {
        "get": {
            "operationId": f"{cube.id}.{name}",
            "summary": LOCATION_TITLES[name],
            **common,
            "parameters": [*bare, parameter("fFeatures")],
            "responses": feature_responses("features", cached=True, data=name == ITEMS),
        },
        "post": {
            "operationId": f"{cube.id}.{name}.post",
            "summary": f"{LOCATION_TITLES[name]}; the parameters in the body",
            **common,
            "requestBody": {
                "content": {FORM: {"schema": body, "encoding": lists}, "application/json": {"schema": body}}
            },
            "responses": feature_responses("features", cached=False, data=name == ITEMS),
        },
    }


def location_path(cube: Datacube, known: tuple[Location, ...]) -> dict[str, Any]:
    """Return the path item of the data at one or more locations."""
    parameters = [one for one in query_parameters(cube, "position") if one["name"] not in PLACES["position"]]
    areas = any(location.is_area for location in known)
    fields = {one["name"]: {**one["schema"], "description": one["description"]} for one in parameters}
    formats = formats_for("area" if areas else "position")
    body = {
        "type": "object",
        "properties": {**fields, "f": {"type": "string", "enum": list(formats)}},
        "additionalProperties": False,
    }
    identifier = identified("locId", "Identifiers of locations, with commas between.", known)
    example = {one["name"]: one["example"] for one in parameters if "example" in one}
    common = {
        "tags": [cube.id],
        "description": f"The values of {cube.title or cube.id} at named places: a place is answered like a position "
        "query, an area like an area query.",
    }
    return {
        "parameters": [identifier],
        "get": {
            "operationId": f"{cube.id}.location",
            "summary": "The values at one or more locations",
            **common,
            "parameters": [*parameters, parameter("f" if areas else "fPlaces"), parameter("prefer")],
            "responses": query_responses(cached=True),
        },
        "post": {
            "operationId": f"{cube.id}.location.post",
            "summary": "The values at one or more locations, with the parameters in the body",
            **common,
            "parameters": [parameter("prefer")],
            "requestBody": {
                "content": {
                    FORM: {"schema": body, "example": example},
                    "application/json": {"schema": body, "example": example},
                }
            },
            "responses": query_responses(cached=False),
        },
    }


def item_path(cube: Datacube, known: tuple[Location, ...]) -> dict[str, Any]:
    """Return the path item of one feature."""
    return {
        "get": {
            "operationId": f"{cube.id}.item",
            "summary": "One named place, or the values at one of them at one time",
            "tags": [cube.id],
            "parameters": [identified("itemId", "Identifier of a feature.", known), parameter("fFeatures")],
            "responses": feature_responses("feature", cached=True, data=True),
        }
    }


def identified(name: str, description: str, known: tuple[Location, ...]) -> dict[str, Any]:
    """Return a parameter of the path that is the identifier of a location."""
    listed = f" There are {', '.join(one.id for one in known)}." if len(known) <= LISTED else ""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description + listed,
        "schema": {"type": "string", "minLength": 1},
        "example": known[0].id,
    }


def feature_responses(shape: str, *, cached: bool, data: bool) -> dict[str, Any]:
    """Return every response that a request for features can have."""
    content = {media_type: {"schema": schema(shape)} for media_type in MEDIA_TYPES}
    found = {
        "200": {"description": "GeoJSON.", "content": {**content, "text/html": {"schema": STRING}}},
        **({"304": response("notModified")} if cached else {}),
        "400": response("badRequest"),
        "404": response("notFound"),
        "406": response("notAcceptable"),
        "413": response("tooLarge"),
        "500": response("serverError"),
    }
    return {**found, "502": response("storageError"), "503": response("unavailable")} if data else found


def feature_format() -> dict[str, Any]:
    """Return the ``f`` parameter of features."""
    return query_parameter(
        "f", f"The format: {GEOJSON}, or a page.", {"type": "string", "enum": ["GeoJSON", "json", "html"]}
    )
