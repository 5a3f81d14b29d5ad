"""Which collections are there, and what does a client need to know of one before it asks for data?

``/collections`` and ``/collections/{id}`` (OGC 19-086r6, clause 7). A document is made from the opened datacube
alone, so it cannot disagree with what a query answers, and is kept until the dataset has changed. A dataset whose
grid cannot be queried yet is listed without ``data_queries``, and its description ends with the reason; one that
cannot be opened is not listed, and its own address says why.
"""

from __future__ import annotations

from typing import Any

from catalog.links import FrontUrls
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import DatasetError, UnknownError
from plugins.datacube.instances import runs_of
from plugins.datacube.library import OpenDatacube
from plugins.datacube.locations import locations_of
from plugins.formats.table import FORMATS
from server.ogc.collection_filter import COLLECTION_FILTERS, parse_filter
from server.ogc.data_queries import (
    DEFAULT_OUTPUT_FORMAT,
    ITEMS,
    LOCATIONS,
    OUTPUT_FORMATS,
    QUERY_TITLES,
    crs_names,
    data_queries,
    instances_link,
    location_link,
    location_queries,
    query_types,
    query_url,
)
from server.ogc.documents import document_arguments, document_response, encode
from server.ogc.extent import extent_document
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.parameters import parameter_documents
from server.ogc.service import OgcService

JSON = "application/json"
SPDX = "https://spdx.org/licenses/"


def collections(service: OgcService, request: OgcRequest) -> OgcResponse:
    """Answer ``GET /collections``, filtered by ``bbox``, ``datetime`` and ``limit`` (OGC 20-024, clause 8)."""
    arguments = document_arguments(request, COLLECTION_FILTERS)
    wanted = parse_filter(arguments)
    opened = tuple(entry.opened for entry in service.entries() if entry.opened is not None)
    if wanted.query:
        # Not kept: anybody could fill the cache with filters nobody asks for twice.
        return document_response(request, encode(collections_document(wanted.keep(opened), request.base, wanted.query)))
    key = ("collections", request.base)
    sources = (*opened, *(locations_of(one) for one in opened))
    document = service.documents.get(key, sources, lambda: collections_document(opened, request.base))
    return document_response(request, document)


def collection(service: OgcService, request: OgcRequest, collection_id: str) -> OgcResponse:
    """Answer ``GET /collections/{id}``.

    Raises
    ------
    UnknownError
        If there is no such dataset, or it cannot be opened; the sentence says why.
    """
    document_arguments(request)
    opened = find(service, collection_id)
    key = ("collection", collection_id, request.base)
    document = service.documents.get(key, (opened, locations_of(opened)), lambda: opened_document(opened, request.base))
    return document_response(request, document)


def find(service: OgcService, collection_id: str) -> OpenDatacube:
    """Return an opened dataset.

    Raises
    ------
    UnknownError
        If there is none of this id, or it could not be opened.
    """
    try:
        return service.library.get(collection_id)
    except DatasetError as error:
        raise UnknownError(f"the collection {collection_id!r} cannot be served: {error.detail}") from error


def collections_document(opened: tuple[OpenDatacube, ...], urls: FrontUrls, query: str = "") -> dict[str, Any]:
    """Return the list of collections; `query` is the query string that chose them."""
    address = f"{urls.ogc}/collections"
    return {
        "links": [
            {"href": address + query, "rel": "self", "type": JSON, "title": "This document"},
            {"href": f"{address}?f=html", "rel": "alternate", "type": "text/html", "title": "This document as a page"},
            {"href": urls.ogc, "rel": "root", "type": JSON, "title": "The landing page"},
        ],
        "collections": [opened_document(one, urls) for one in opened],
    }


def opened_document(opened: OpenDatacube, urls: FrontUrls) -> dict[str, Any]:
    """Return the document of one collection, with a link to its version history where its store keeps one.

    The address of that history has no ``/instances`` in it: the QGIS plugin takes any such link for a choice of
    forecast runs.
    """
    document = collection_document(opened.cube, urls)
    if locations := locations_of(opened):
        document["data_queries"] |= location_queries(opened.cube, urls, locations)
        document["links"] += [
            location_link(opened.cube, urls, LOCATIONS, "data"),
            location_link(opened.cube, urls, ITEMS, "items"),
        ]
    if opened.source.history is not None:
        address = urls.versions(opened.cube.id)
        document["links"].append(
            {"href": address, "rel": "version-history", "type": JSON, "title": "Earlier states of the data"}
        )
    return document


def collection_document(cube: Datacube, urls: FrontUrls) -> dict[str, Any]:
    """Return the document of one collection (EDR 1.2; readable by clients of 1.0 and 1.1)."""
    title = cube.title or cube.id
    description = cube.description or title
    if cube.unsupported is not None:
        description = f"{description.rstrip('. ')}. Not queryable: {cube.unsupported.rstrip('. ')}."
    document: dict[str, Any] = {
        "id": cube.id,
        "title": title,
        "description": description,
        "keywords": keywords(cube),
        "links": links(cube, urls),
        "extent": extent_document(cube),
    }
    if queries := data_queries(cube, urls):
        document["data_queries"] = queries
        document["crs"] = crs_names(cube)
        document["output_formats"] = list(OUTPUT_FORMATS)
    document["parameter_names"] = parameter_documents(cube)
    return document


def keywords(cube: Datacube) -> list[str]:
    """Return the operator's keywords, else the standard names of the parameters."""
    names = (p.standard_name or p.name for p in cube.parameters.values())
    return list(dict.fromkeys(cube.definition.keywords or names)) or [cube.id]


def links(cube: Datacube, urls: FrontUrls) -> list[dict[str, Any]]:
    """Return the links of a collection; every one has a relation and a type."""
    address = urls.collection(cube.id)
    found = [
        {"href": address, "rel": "self", "type": JSON, "title": "This document"},
        {"href": f"{address}?f=html", "rel": "alternate", "type": "text/html", "title": "This document as a page"},
        {"href": f"{urls.ogc}/collections", "rel": "collection", "type": JSON, "title": "All collections"},
        {
            "href": urls.stac_collection(cube.id),
            "rel": "describedby",
            "type": JSON,
            "title": "The same dataset in the STAC catalogue",
        },
    ]
    found += [
        {
            "href": query_url(cube, urls, name),
            "rel": "data",
            "type": FORMATS[DEFAULT_OUTPUT_FORMAT].media_type,
            "title": QUERY_TITLES[name],
        }
        for name in query_types(cube)
    ]
    if query_types(cube) and runs_of(cube) is not None:
        runs = instances_link(cube, urls)
        found.append({name: runs[name] for name in ("href", "rel", "type", "title")})
    definition = cube.definition
    licence = definition.licence_url
    if licence is None and definition.licence not in (None, "", "other", "proprietary", "various"):
        licence = f"{SPDX}{definition.licence}.html"
    if licence is not None:
        title = definition.licence or "Licence"
        found.append({"href": licence, "rel": "license", "type": "text/html", "title": title})
    return found
