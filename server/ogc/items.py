"""What does a collection look like to a client of OGC API Features, such as GDAL and QGIS?

``/collections/{id}/items`` (OGC 19-086r6, clause 8.2.7; OGC 17-069r4): one Feature for each location, with links to its
data; with ``location=…`` one Feature for each time step there, whose properties are the values
(`server.ogc.series`). ``/collections/{id}/items/{itemId}`` is one of either. A collection without locations has no
items.

The collection document names them by ``data_queries`` and by a link ``items``, and has no ``itemType``: the collection
is data that can be asked for, of which the features are a part, and neither GDAL nor QGIS needs that member.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from plugins.datacube.errors import InvalidQueryError, UnknownError
from plugins.datacube.library import OpenDatacube
from plugins.datacube.location import Location
from plugins.formats.location_features import location_feature
from plugins.formats.table import FORMATS
from server.ogc.collections import find
from server.ogc.data_queries import DEFAULT_OUTPUT_FORMAT
from server.ogc.features import (
    FILTERS,
    GEOJSON,
    Page,
    collection_link,
    feature_arguments,
    feature_response,
    parse_page,
)
from server.ogc.locations import known_locations, locations_url
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.parameters import parameter_document
from server.ogc.series import LOCATION, one_step, series, series_parameters
from server.ogc.service import OgcService

DEFAULT_LIMIT: Final = 10


def items(service: OgcService, request: OgcRequest, collection_id: str) -> OgcResponse:
    """Answer ``/collections/{id}/items`` by GET, HEAD or POST.

    Raises
    ------
    UnknownError
        If there is no such collection, it has no locations, or not the one that ``location`` names.
    InvalidQueryError, NotAcceptableError
        If a parameter is wrong or unknown.
    TooLargeError, BusyError, StorageError
        If values were asked for, and cannot be read at once.
    """
    opened = find(service, collection_id)
    known = known_locations(opened)
    of_values = series_parameters(opened.cube)
    arguments, media_type = feature_arguments(request, (*FILTERS, LOCATION, *of_values))
    if LOCATION in arguments:
        found = series(service, request, opened, arguments, DEFAULT_LIMIT)
        document = items_document(request, opened, found.page, found.matched, found.features)
    else:
        if alone := [name for name in arguments if name not in FILTERS]:
            valid = f"{LOCATION}= beside it, to get the values at one location"
            raise InvalidQueryError(alone[0], f"{alone[0]} chooses among values, and the locations have none", valid)
        page = parse_page(arguments, DEFAULT_LIMIT)
        matched = page.keep(known, opened.cube)
        shown = [item_of(request, opened, one) for one in matched[page.offset : page.offset + page.limit]]
        document = items_document(request, opened, page, len(matched), shown)
    stamp = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return feature_response(request, document, media_type, {"timeStamp": stamp})


def item(service: OgcService, request: OgcRequest, collection_id: str, item_id: str) -> OgcResponse:
    """Answer ``/collections/{id}/items/{itemId}``: a location, or one time step at a location.

    Raises
    ------
    UnknownError
        If there is no such collection or item.
    InvalidQueryError, NotAcceptableError
        If a parameter is unknown.
    TooLargeError, BusyError, StorageError
        If the values cannot be read.
    """
    opened = find(service, collection_id)
    known = known_locations(opened)
    _, media_type = feature_arguments(request, ())
    location = next((one for one in known if one.id == item_id), None)
    if location is not None:
        feature = item_of(request, opened, location)
    else:
        step = one_step(service, request, opened, item_id) if "@" in item_id else None
        if step is None:
            raise UnknownError(
                f"the collection {collection_id!r} has no item {item_id[:128]!r}; "
                f"/collections/{collection_id}/items lists those that it has"
            )
        feature = step
    address = f"{items_url(request, opened)}/{quote(item_id, safe='')}"
    links = [
        {"href": address, "rel": "self", "type": GEOJSON, "title": "This document"},
        {"href": f"{address}?f=html", "rel": "alternate", "type": "text/html", "title": "This document as a page"},
        collection_link(opened.cube, request),
        *feature.get("links", ()),
    ]
    return feature_response(request, {**feature, "links": links}, media_type)


def items_url(request: OgcRequest, opened: OpenDatacube) -> str:
    """Return the address of the items of a collection."""
    return f"{request.base.collection(opened.cube.id)}/items"


def items_document(
    request: OgcRequest, opened: OpenDatacube, page: Page, matched: int, features: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return one page of items."""
    cube = opened.cube
    return {
        "type": "FeatureCollection",
        "title": cube.title or cube.id,
        "numberMatched": matched,
        "numberReturned": len(features),
        "parameters": [parameter_document(cube, parameter) for parameter in cube.parameters.values()],
        "links": [*page.links(items_url(request, opened), matched), collection_link(cube, request)],
        "features": features,
    }


def item_of(request: OgcRequest, opened: OpenDatacube, location: Location) -> dict[str, Any]:
    """Return a location as an item: a Feature with links to its data, and to its values as features."""
    address = locations_url(request, opened, None)
    own = quote(location.id, safe="")
    found = [
        {
            "href": f"{address}/{own}",
            "rel": "data",
            "type": FORMATS[DEFAULT_OUTPUT_FORMAT].media_type,
            "title": f"The data at {location.name}",
        }
    ]
    if not location.is_area and len(location.points) == 1:
        found.append(
            {
                "href": f"{items_url(request, opened)}?{LOCATION}={own}",
                "rel": "related",
                "type": GEOJSON,
                "title": f"The values at {location.name}, one feature a time step",
            }
        )
    return {**location_feature(location, opened.cube, address), "links": found}
