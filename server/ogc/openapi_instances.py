"""How are the instances of a collection asked, in OpenAPI's words?

The forecast runs of a collection have the paths and parameters of its queries, with their own times. The states of a
dataset are asked exactly as the dataset is; one path for all of them says so, since the parameters would be those of
each collection over again.
"""

from __future__ import annotations

from typing import Any

from plugins.datacube.history import LATEST
from plugins.datacube.instances import run, runs_of
from plugins.datacube.library import OpenDatacube
from plugins.datacube.query import QUERY_TYPES
from server.ogc.data_queries import QUERY_TITLES, query_types
from server.ogc.instances import MOST_RUNS
from server.ogc.openapi_queries import body_schema, query_path, query_responses
from server.ogc.openapi_schemas import STRING, parameter, query_parameter, response, schema

INSTANCE_ID = {
    "name": "instanceId",
    "in": "path",
    "required": True,
    "description": "A reference time (2024-06-03T00:00:00Z or 20240603T000000Z), the name of a version, a snapshot, "
    "or `latest`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    "example": LATEST,
}
LISTS = {
    "type": "object",
    "required": ["links", "instances"],
    "properties": {
        "title": STRING,
        "links": schema("links"),
        "instances": {"type": "array", "items": schema("collection")},
    },
}


def instance_paths(opened: tuple[OpenDatacube, ...], identifier: dict[str, Any]) -> dict[str, Any]:
    """Return the path items of instances, by path below ``/ogc``.

    Parameters
    ----------
    opened : tuple of OpenDatacube
    identifier : dict
        The path parameter ``collectionId``.
    """
    paths: dict[str, Any] = {}
    versioned = any(one.source.history is not None for one in opened)
    if not versioned and not any(runs_of(one.cube) for one in opened):
        return paths
    one = "/collections/{collectionId}"
    paths[f"{one}/instances"] = list_path("instances", "The forecast runs of a collection, else its states", identifier)
    if versioned:
        paths[f"{one}/versions"] = list_path("versions", "The earlier states of a collection", identifier)
    paths[f"{one}/instances/{{instanceId}}"] = metadata_path(
        "instance", "A forecast run, or a state of the data", schema("collection"), identifier, INSTANCE_ID
    )
    if versioned:
        paths[f"{one}/instances/{{instanceId}}/{{queryType}}"] = state_path(identifier)
    for collection in opened:
        paths |= run_paths(collection)
    return paths


def run_paths(opened: OpenDatacube) -> dict[str, Any]:
    """Return the path items of the queries of one collection's forecast runs; the newest gives the examples."""
    runs = runs_of(opened.cube)
    if runs is None:
        return {}
    view = run(opened, runs, max(runs.ids)).cube
    found: dict[str, Any] = {}
    for name in query_types(view):
        item = query_path(view, name)
        for operation in ("get", "post"):
            if operation in item:
                suffix = ".post" if operation == "post" else ""
                item[operation]["operationId"] = f"{view.id}.run-{name}{suffix}"
                item[operation]["description"] = f"{QUERY_TITLES[name]} of one forecast run of {opened.cube.title}."
        for content in item.get("post", {}).get("requestBody", {}).get("content", {}).values():
            content["schema"] = schema(run_body_name(view.id, name))
        found[f"/collections/{view.id}/instances/{{instanceId}}/{name}"] = {"parameters": [INSTANCE_ID], **item}
    return found


def run_body_schemas(opened: OpenDatacube) -> dict[str, Any]:
    """Return the schemas of the bodies of the POST queries of one collection's forecast runs."""
    runs = runs_of(opened.cube)
    if runs is None:
        return {}
    view = run(opened, runs, max(runs.ids)).cube
    return {run_body_name(view.id, name): body_schema(view, name) for name in query_types(view)}


def run_body_name(collection_id: str, query_type: str) -> str:
    """Return the name of the schema of a body."""
    return f"{collection_id}.run-{query_type}"


def list_path(operation: str, summary: str, identifier: dict[str, Any]) -> dict[str, Any]:
    """Return the path item of a list of instances."""
    limit = query_parameter(
        "limit", "At most so many of them.", {"type": "integer", "minimum": 1, "maximum": MOST_RUNS}
    )
    offset = query_parameter("offset", "So many are left out first.", {"type": "integer", "minimum": 0})
    return metadata_path(operation, summary, LISTS, identifier, limit, offset)


def metadata_path(operation: str, summary: str, shape: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the path item of a document."""
    content = {"application/json": {"schema": shape}, "text/html": {"schema": STRING}}
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "tags": ["server"],
            "parameters": [*parameters, parameter("fDocument")],
            "responses": {
                "200": {"description": summary + ".", "content": content},
                "304": response("notModified"),
                "400": response("badRequest"),
                "404": response("notFound"),
                "406": response("notAcceptable"),
                "500": response("serverError"),
            },
        }
    }


def state_path(identifier: dict[str, Any]) -> dict[str, Any]:
    """Return the path item of the data queries of states: their parameters are those of the collection's queries."""
    query_type = {
        "name": "queryType",
        "in": "path",
        "required": True,
        "description": "The query, as of the collection.",
        "schema": {"type": "string", "enum": list(QUERY_TYPES)},
    }
    others = {
        "name": "parameters",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": True,
        "description": "The parameters of the same query of the collection.",
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    return {
        "get": {
            "operationId": "instanceQuery",
            "summary": "A data query of one state of a collection",
            "tags": ["server"],
            "parameters": [identifier, INSTANCE_ID, query_type, others],
            "responses": query_responses(cached=True),
        }
    }
