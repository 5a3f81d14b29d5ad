"""Which named places does a collection have, and what are the data there?

``/collections/{id}/locations`` lists them as GeoJSON; ``/collections/{id}/locations/{locId}`` (or a list of identifiers
with commas between) answers a place like a position query and an area like an area query (OGC 19-086r6, clause
8.2.8). Several give one coverage collection, whose coverages carry the identifiers of their locations.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote

import shapely

from plugins.datacube.errors import UnknownError
from plugins.datacube.library import OpenDatacube
from plugins.datacube.located import format_kind, locate
from plugins.datacube.location import Location
from plugins.datacube.locations import chosen, locations_of, without_locations
from plugins.formats.location_features import location_feature
from plugins.formats.table import formats_for, negotiate
from server.ogc.arguments import query_arguments
from server.ogc.collection_filter import MAX_LIMIT
from server.ogc.collections import find
from server.ogc.documents import document_response
from server.ogc.edr import answer, process_inputs
from server.ogc.features import (
    FILTERS,
    GEOJSON,
    collection_link,
    feature_arguments,
    feature_response,
    parse_page,
)
from server.ogc.instances import find_instance
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.service import OgcService

LOCATION_ID: Final = "locationId"


def location_list(service: OgcService, request: OgcRequest, collection_id: str) -> OgcResponse:
    """Answer ``/collections/{id}/locations`` by GET, HEAD or POST. Raises as `opened_location_list` does."""
    return opened_location_list(service, request, find(service, collection_id))


def opened_location_list(
    service: OgcService, request: OgcRequest, opened: OpenDatacube, *, instance_id: str | None = None
) -> OgcResponse:
    """List the locations of a collection, or of one instance of it: all, or those in a box and in a time.

    Nothing that matches is an empty list, not 204: that is for data.

    Raises
    ------
    UnknownError
        If it has no locations.
    InvalidQueryError, NotAcceptableError
        If a parameter is wrong.
    """
    arguments, media_type = feature_arguments(request, FILTERS)
    known = known_locations(opened)
    address = locations_url(request, opened, instance_id)
    if not arguments and media_type == GEOJSON:
        key = ("locations", opened.cube.id, instance_id, request.base)
        document = service.documents.get(
            key, (opened, known), lambda: location_document(request, opened, known, {}, address), GEOJSON
        )
        return document_response(request, document)
    return feature_response(request, location_document(request, opened, known, arguments, address), media_type)


def instance_location_list(
    service: OgcService, request: OgcRequest, collection_id: str, instance_id: str
) -> OgcResponse:
    """Answer ``/collections/{id}/instances/{instance}/locations``. Raises as `opened_location_list` does."""
    found = find_instance(service, collection_id, instance_id)
    return opened_location_list(service, request, found.opened, instance_id=found.id)


def known_locations(opened: OpenDatacube) -> tuple[Location, ...]:
    """Return the locations of a collection.

    Raises
    ------
    UnknownError
        If it has none.
    """
    if not (known := locations_of(opened)):
        raise UnknownError(without_locations(opened))
    return known


def locations_url(request: OgcRequest, opened: OpenDatacube, instance_id: str | None) -> str:
    """Return the address of the list of locations."""
    instance = "" if instance_id is None else f"/instances/{quote(instance_id, safe='')}"
    return f"{request.base.collection(opened.cube.id)}{instance}/locations"


def location_document(
    request: OgcRequest, opened: OpenDatacube, known: Sequence[Location], arguments: dict[str, str], address: str
) -> dict[str, Any]:
    """Return one page of the list of locations."""
    page = parse_page(arguments, MAX_LIMIT)
    cube = opened.cube
    matched = page.keep(known, cube)
    shown = matched[page.offset : page.offset + page.limit]
    return {
        "type": "FeatureCollection",
        "title": f"Locations of {cube.title or cube.id}",
        "numberMatched": len(matched),
        "numberReturned": len(shown),
        "links": [*page.links(address, len(matched)), collection_link(cube, request)],
        "features": [location_feature(location, cube, address) for location in shown],
    }


def location_query(service: OgcService, request: OgcRequest, collection_id: str, location_ids: str) -> OgcResponse:
    """Answer ``/collections/{id}/locations/{locId}`` by GET, HEAD or POST. Raises as `opened_location_query` does."""
    return opened_location_query(service, request, find(service, collection_id), location_ids)


def opened_location_query(
    service: OgcService,
    request: OgcRequest,
    opened: OpenDatacube,
    location_ids: str,
    *,
    instance_id: str | None = None,
) -> OgcResponse:
    """Answer with the data at one or more locations of a collection, or of one instance of it.

    Parameters
    ----------
    location_ids : str
        Identifiers with commas between.

    Raises
    ------
    UnknownError
        If there is no such location.
    InvalidQueryError, NotAcceptableError
        If a parameter is wrong.
    NoDataError, TooLargeError, BusyError, StorageError, DatasetError
        As `server.ogc.edr.answer` does.
    """
    wanted = chosen(opened, location_ids)
    arguments = query_arguments(request)
    form = negotiate(arguments.pop("f", None), request.accept, formats_for(format_kind(wanted)))
    asked = locate(wanted, arguments, opened.cube)
    # A location may move while its identifier stays: then the same question has another answer.
    places = blake2b(b"".join(shapely.to_wkb(location.geometry) for location in wanted), digest_size=12)
    named = {LOCATION_ID: ",".join(location.id for location in wanted)}
    inputs = process_inputs(opened.cube, "locations", {**named, **arguments}, form, instance_id)
    question = {**arguments, **named, "": places.hexdigest()}
    return answer(service, request, opened, "locations", question, asked, form, instance_id=instance_id, inputs=inputs)


def instance_location_query(
    service: OgcService, request: OgcRequest, collection_id: str, instance_id: str, location_ids: str
) -> OgcResponse:
    """Answer ``/collections/{id}/instances/{instance}/locations/{locId}``. Raises as `opened_location_query` does."""
    found = find_instance(service, collection_id, instance_id)
    return opened_location_query(service, request, found.opened, location_ids, instance_id=found.id)
