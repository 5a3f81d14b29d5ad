"""What can a program know about the whole API without a human reading a manual?

The OpenAPI 3.0 document, served at ``/ogc/openapi`` and ``/ogc/api`` (OGC 19-086r6, requirements class OAS30). It is
made from the datasets as they are: a path for every query of every collection, with that collection's own parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from catalog.links import FrontUrls
from plugins.datacube.library import OpenDatacube
from plugins.formats.table import formats_for
from server.ogc.collection_filter import MAX_LIMIT
from server.ogc.data_queries import DEFAULT_OUTPUT_FORMAT, OUTPUT_FORMATS
from server.ogc.documents import document_arguments, document_response
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.openapi_queries import TEXT, body_schemas, data_response, query_paths
from server.ogc.openapi_schemas import (
    RESPONSES,
    SCHEMAS,
    STRING,
    format_parameter,
    parameter,
    query_parameter,
    response,
    schema,
)
from server.ogc.service import OgcService

OPENAPI_MEDIA_TYPE = "application/vnd.oai.openapi+json;version=3.0"
JSON = "application/json"


def openapi(service: OgcService, request: OgcRequest) -> OgcResponse:
    """Answer ``GET /openapi`` and ``GET /api``."""
    document_arguments(request, media_types=(OPENAPI_MEDIA_TYPE, JSON))
    opened = tuple(entry.opened for entry in service.entries() if entry.opened is not None)
    document = service.documents.get(
        ("openapi", request.base),
        opened,
        lambda: openapi_document(
            opened,
            request.base,
            service.extra_paths(request.base),
            title=service.title,
            description=service.description,
        ),
        OPENAPI_MEDIA_TYPE,
    )
    return document_response(request, document)


def openapi_document(
    opened: tuple[OpenDatacube, ...],
    urls: FrontUrls,
    extra_paths: Mapping[str, Any],
    *,
    title: str = "Isopleth",
    description: str = "",
) -> dict[str, Any]:
    """Return the OpenAPI document.

    Parameters
    ----------
    opened : tuple of OpenDatacube
        The datasets; those that cannot be queried have no query paths.
    urls : FrontUrls
        The paths are relative to ``urls.ogc``.
    extra_paths : mapping
        Path items of the other fronts. One that does not lie below ``/ogc`` needs its own ``servers`` member
        (`elsewhere`). They may refer to the schemas and responses of `server.ogc.openapi_schemas`.
    """
    paths: dict[str, Any] = {**core_paths(tuple(one.cube.id for one in opened))}
    bodies: dict[str, Any] = {}
    for one in opened:
        paths |= query_paths(one.cube)
        bodies |= body_schemas(one.cube)
    paths |= extra_paths
    return {
        "openapi": "3.0.3",
        "info": {
            "title": title,
            "description": description,
            "version": version("isopleth"),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": [{"url": urls.ogc, "description": title}],
        "tags": [
            {"name": "server", "description": "The API itself"},
            *({"name": one.cube.id, "description": one.cube.title or one.cube.id} for one in opened),
        ],
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, **bodies},
            "responses": {**RESPONSES, "data": data_response()},
            "parameters": {
                "f": format_parameter(OUTPUT_FORMATS, DEFAULT_OUTPUT_FORMAT),
                "fPlaces": format_parameter(formats_for("position"), DEFAULT_OUTPUT_FORMAT),
                "fDocument": query_parameter(
                    "f", "The format of the document.", {"type": "string", "enum": ["json", "html"], "default": "json"}
                ),
            },
        },
    }


def elsewhere(urls: FrontUrls, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a path item for a path below the base address, not below ``/ogc``."""
    return {"servers": [{"url": urls.base}], **item}


def core_paths(identifiers: tuple[str, ...]) -> dict[str, Any]:
    """Return the path items of the documents that describe the API and its collections."""
    bbox = query_parameter(
        "bbox",
        "Only collections whose extent meets this box: west,south,east,north in degrees.",
        {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
        example=[-10, 40, 10, 60],
    )
    datetime = query_parameter("datetime", "Only collections with times in this instant or interval.", TEXT)
    limit = query_parameter(
        "limit", "At most so many collections.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
    )
    identifier = {
        "name": "collectionId",
        "in": "path",
        "required": True,
        "description": "Identifier of a collection.",
        "schema": {"type": "string", **({"enum": list(identifiers)} if identifiers else {})},
    }
    return {
        "/": get("landingPage", "The landing page", "landingPage"),
        "/conformance": get("conformance", "The conformance classes", "conformance"),
        "/openapi": get("openapi", "This document", None, media_type=OPENAPI_MEDIA_TYPE),
        "/api": get(
            "api", "This document, at the address that some clients look at", None, media_type=OPENAPI_MEDIA_TYPE
        ),
        "/collections": get("collections", "The collections", "collections", bbox, datetime, limit),
        "/collections/{collectionId}": get("collection", "One collection", "collection", identifier, missing=True),
    }


def get(
    operation: str,
    summary: str,
    shape: str | None,
    *parameters: dict[str, Any],
    media_type: str = JSON,
    missing: bool = False,
) -> dict[str, Any]:
    """Return the path item of a metadata document."""
    content = {media_type: {"schema": schema(shape) if shape else {"type": "object"}}, "text/html": {"schema": STRING}}
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
                **({"404": response("notFound")} if missing else {}),
                "406": response("notAcceptable"),
                "500": response("serverError"),
            },
        }
    }
