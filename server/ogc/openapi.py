"""What can a program know about the whole API without a human reading a manual?

The OpenAPI document, in versions 3.0 and 3.1, served at ``/ogc/openapi`` and ``/ogc/api`` (OGC 19-086, requirements
classes OAS30 and OAS31). It is made from the datasets as they are: a path for every query of every collection, with
that collection's own parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from catalog.links import FrontUrls
from plugins.datacube.library import OpenDatacube
from plugins.datacube.locations import locations_of
from plugins.formats.table import formats_for
from server.ogc.collection_filter import MAX_LIMIT
from server.ogc.data_queries import DEFAULT_OUTPUT_FORMAT, OUTPUT_FORMATS
from server.ogc.documents import document_arguments, document_response
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.openapi31 import translated
from server.ogc.openapi_instances import instance_paths, run_body_schemas
from server.ogc.openapi_locations import LOCATION_SCHEMAS, feature_format, location_paths
from server.ogc.openapi_queries import TEXT, body_schemas, data_response, query_paths
from server.ogc.openapi_schemas import (
    PREFER,
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
OPENAPI31_MEDIA_TYPE = "application/vnd.oai.openapi+json;version=3.1"
OPENAPI31 = "oas31"
"""Short name of version 3.1 in ``f``."""
JSON = "application/json"
VERSIONS = {
    f"{name};version={version}": media_type
    for name in ("application/vnd.oai.openapi+json", "application/openapi+json")
    for version, media_type in (("3.0", OPENAPI_MEDIA_TYPE), ("3.1", OPENAPI31_MEDIA_TYPE))
}
"""Names of a version in ``f`` and in the Accept header."""
NAMES = {**VERSIONS, "oas30": OPENAPI_MEDIA_TYPE, OPENAPI31: OPENAPI31_MEDIA_TYPE}


def openapi(service: OgcService, request: OgcRequest) -> OgcResponse:
    """Answer ``GET /openapi`` and ``GET /api``: OpenAPI 3.0, or 3.1 where ``f`` or the Accept header names it.

    Raises
    ------
    InvalidQueryError, NotAcceptableError
        If another format is asked for.
    """
    media_type = wanted_version(request)
    opened = tuple(entry.opened for entry in service.entries() if entry.opened is not None)

    def make() -> dict[str, Any]:
        document = openapi_document(
            opened,
            request.base,
            service.extra_paths(request.base),
            title=service.title,
            description=service.description,
        )
        return translated(document) if media_type == OPENAPI31_MEDIA_TYPE else document

    sources = (*opened, *(locations_of(one) for one in opened))
    document = service.documents.get(("openapi", media_type, request.base), sources, make, media_type)
    return document_response(request, document)


def wanted_version(request: OgcRequest) -> str:
    """Return the media type of the version that is asked for; that of 3.0 where nothing is said."""
    # A "+" that was not escaped in the address arrives as a space.
    form = request.single().get("f", "").strip().lower().replace("openapi json", "openapi+json").replace(" ", "")
    if form in NAMES:
        others = {name: values for name, values in request.query.items() if name != "f"}
        document_arguments(replace(request, query=others, accept=None))
        return NAMES[form]
    document_arguments(request, media_types=(*VERSIONS, JSON))
    return accepted_version(request.accept or "") if not form else OPENAPI_MEDIA_TYPE


def accepted_version(accept: str) -> str:
    """Return the version that an Accept header names with the highest quality; that of 3.0 where it names none.

    Examples
    --------
    >>> accepted_version("application/json;q=0.5, application/vnd.oai.openapi+json; version=3.1")
    'application/vnd.oai.openapi+json;version=3.1'
    """
    best, chosen = 0.0, OPENAPI_MEDIA_TYPE
    for element in accept.lower().split(",")[:64]:
        media_type, *options = (part.strip() for part in element.split(";"))
        parameters = dict(option.replace(" ", "").partition("=")[::2] for option in options)
        named = VERSIONS.get(f"{media_type};version={parameters.get('version', '').strip(chr(34))}")
        quality = parameters.get("q", "1")
        weight = float(quality) if re.fullmatch(r"[01](\.\d{0,3})?", quality) else 0.0
        if named is not None and weight > best:
            best, chosen = weight, named
    return chosen


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
        bodies |= body_schemas(one.cube) | run_body_schemas(one)
        paths |= location_paths(one)
    paths |= instance_paths(opened, collection_identifier(tuple(one.cube.id for one in opened)))
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
            "schemas": {**SCHEMAS, **LOCATION_SCHEMAS, **bodies},
            "responses": {**RESPONSES, "data": data_response()},
            "parameters": {
                "prefer": PREFER,
                "f": format_parameter(OUTPUT_FORMATS, DEFAULT_OUTPUT_FORMAT),
                "fPlaces": format_parameter(formats_for("position"), DEFAULT_OUTPUT_FORMAT),
                "fFeatures": feature_format(),
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
    identifier = collection_identifier(identifiers)
    return {
        "/": get("landingPage", "The landing page", "landingPage"),
        "/conformance": get("conformance", "The conformance classes", "conformance"),
        "/openapi": definition("openapi", "This document"),
        "/api": definition("api", "This document, at the address that some clients look at"),
        "/collections": get("collections", "The collections", "collections", bbox, datetime, limit),
        "/collections/{collectionId}": get("collection", "One collection", "collection", identifier, missing=True),
    }


def collection_identifier(identifiers: tuple[str, ...]) -> dict[str, Any]:
    """Return the path parameter that names a collection."""
    return {
        "name": "collectionId",
        "in": "path",
        "required": True,
        "description": "Identifier of a collection.",
        "schema": {"type": "string", **({"enum": list(identifiers)} if identifiers else {})},
    }


def definition(operation: str, summary: str) -> dict[str, Any]:
    """Return the path item of this document, in both versions."""
    item = get(operation, summary, None, media_type=OPENAPI_MEDIA_TYPE)
    operation_of = item["get"]
    operation_of["responses"]["200"]["content"][OPENAPI31_MEDIA_TYPE] = {"schema": {"type": "object"}}
    forms = {"type": "string", "enum": ["json", "html", "oas30", OPENAPI31], "default": "json"}
    operation_of["parameters"] = [query_parameter("f", "The format and version of the document.", forms)]
    return item


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
