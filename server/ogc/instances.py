"""Which forecast runs and which earlier states does a collection have, and how is one of them asked?

``/collections/{id}/instances``, ``/collections/{id}/instances/{instance}`` and the data queries below it (OGC
19-086r6, clause 8.2.9). An instance is described and asked as a collection is, by the same functions: only
its datacube is another one, and its address.

``/collections/{id}/versions`` lists the states of a dataset (its version history, RFC 5829). It has an address of its
own because clients take any link with ``/instances`` in it for a choice of forecast runs that must be made before
anything can be asked (the QGIS plugin does), and states of the data are no such choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from catalog.links import FrontUrls
from plugins.datacube import instances as core
from plugins.datacube.errors import DatasetError, InvalidQueryError, UnknownError
from plugins.datacube.history import LATEST, State
from plugins.datacube.instances import Instance, absence, run, runs_of, states_of
from plugins.datacube.library import OpenDatacube, datacube_at
from plugins.datacube.locations import locations_of
from server.ogc.collection_filter import parse_limit
from server.ogc.collections import collection_document, find
from server.ogc.data_queries import LOCATIONS, location_queries
from server.ogc.documents import JSON, Document, document_arguments, document_response, encode
from server.ogc.edr import opened_query
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.service import OgcService

MOST_RUNS: Final = 50
"""Runs on one page of the list."""
MOST_STATES: Final = 20
"""States on one page of the list: each must be opened to be described."""
PAGING: Final = ("limit", "offset")
INSTANCES: Final = "instances"
VERSIONS: Final = "versions"


@dataclass(frozen=True, slots=True)
class InstanceUrls(FrontUrls):
    """The addresses of the fronts, where that of the collection is the address of one of its instances."""

    instance_id: str

    def collection(self, identifier: str) -> str:
        """EDR document of the instance."""
        return self.instance(identifier, self.instance_id)


def find_instance(service: OgcService, collection_id: str, instance_id: str) -> Instance:
    """Return an instance of a collection, opened.

    Raises
    ------
    UnknownError
        If there is no such collection or instance, or it cannot be opened; the sentence says why.
    """
    opened = find(service, collection_id)
    try:
        return core.find_instance(opened, instance_id)
    except DatasetError as error:
        raise UnknownError(
            f"the instance {instance_id[:64]!r} of the collection {collection_id!r} cannot be served: {error.detail}"
        ) from error


def instances(service: OgcService, request: OgcRequest, collection_id: str) -> OgcResponse:
    """Answer ``GET /collections/{id}/instances``: the runs, newest first; where there are none, the states.

    Raises
    ------
    UnknownError
        If there is no such collection, or it has no instances.
    InvalidQueryError
        If ``limit`` or ``offset`` is no number.
    """
    arguments = document_arguments(request, PAGING)
    opened = find(service, collection_id)
    runs = runs_of(opened.cube)
    if runs is None:
        return version_list(request, opened, arguments, INSTANCES)
    page = Page.of(arguments, len(runs.ids), MOST_RUNS)

    def make() -> dict[str, Any]:
        shown = (Instance(name, run(opened, runs, name)) for name in page.cut(runs.newest_first))
        documents = [instance_document(opened, one, request.base) for one in shown]
        return list_document(opened, documents, page, request.base, INSTANCES)

    if arguments:
        # Not kept: anybody could fill the cache with pages nobody asks for twice.
        return document_response(request, encode(make()))
    key = (INSTANCES, collection_id, request.base)
    return document_response(request, service.documents.get(key, (opened,), make))


def versions(service: OgcService, request: OgcRequest, collection_id: str) -> OgcResponse:
    """Answer ``GET /collections/{id}/versions``: the tags, then the snapshots, each newest first.

    Raises
    ------
    UnknownError
        If there is no such collection, or its store keeps no states.
    InvalidQueryError
        If ``limit`` or ``offset`` is no number.
    """
    arguments = document_arguments(request, PAGING)
    opened = find(service, collection_id)
    if opened.source.history is None:
        raise UnknownError(f"the store of the collection {collection_id!r} keeps no earlier states")
    return version_list(request, opened, arguments, VERSIONS)


def version_list(request: OgcRequest, opened: OpenDatacube, arguments: Mapping[str, str], name: str) -> OgcResponse:
    """Return one page of the states; a state that cannot be described is left out, its own address says why."""
    if opened.source.history is None:
        raise UnknownError(absence(opened, None, ""))
    states = readable(opened)
    page = Page.of(arguments, len(states), MOST_STATES)
    documents = []
    for state in page.cut(states):
        try:
            one = Instance(state.id, datacube_at(opened, state.snapshot), state)
        except DatasetError:
            continue
        documents.append(instance_document(opened, one, request.base))
    return document_response(request, encode(list_document(opened, documents, page, request.base, name)))


def readable(opened: OpenDatacube) -> tuple[State, ...]:
    """Return the states of a dataset.

    Raises
    ------
    UnknownError
        If the repository cannot be read.
    """
    try:
        return states_of(opened)
    except DatasetError as error:
        raise UnknownError(f"the states of {opened.cube.id!r} cannot be listed: {error.detail}") from error


def instance(service: OgcService, request: OgcRequest, collection_id: str, instance_id: str) -> OgcResponse:
    """Answer ``GET /collections/{id}/instances/{instance}``.

    Raises
    ------
    UnknownError
        If there is no such collection or instance.
    """
    document_arguments(request)
    found = find_instance(service, collection_id, instance_id)
    opened = find(service, collection_id)
    document = stored_document(service, opened, found, request.base)
    return document_response(request, document, located(request, collection_id, instance_id, found.id))


def instance_query(
    service: OgcService, request: OgcRequest, collection_id: str, instance_id: str, query_type: str
) -> OgcResponse:
    """Answer a data query of an instance, by GET, HEAD or POST; raises as `server.ogc.edr.opened_query` does."""
    found = find_instance(service, collection_id, instance_id)
    response = opened_query(service, request, found.opened, query_type, instance_id=found.id)
    if request.method == "POST" or response.status >= 300:
        return response
    headers = located(request, collection_id, instance_id, found.id, query_type)
    return replace(response, headers={**response.headers, **headers})


def located(request: OgcRequest, collection_id: str, asked: str, own: str, query_type: str = "") -> dict[str, str]:
    """Return where the answer stands under its own identifier (RFC 9110, clause 8.7), if it was asked by another."""
    if asked == own:
        return {}
    query = urlencode([(name, value) for name, values in request.query.items() for value in values])
    address = request.base.instance(collection_id, own) + (f"/{query_type}" if query_type else "")
    return {"Content-Location": address + (f"?{query}" if query else "")}


def stored_document(service: OgcService, opened: OpenDatacube, found: Instance, urls: FrontUrls) -> Document:
    """Return the document of one instance, from the cache while the collection, or the state, is the same object."""
    key = ("instance", opened.cube.id, found.id, urls)
    sources = (opened,) if found.state is None else (opened, found.opened)
    return service.documents.get(key, sources, lambda: instance_document(opened, found, urls))


def instance_document(opened: OpenDatacube, found: Instance, urls: FrontUrls) -> dict[str, Any]:
    """Return the document of one instance: that of a collection, with its own extent, times and addresses."""
    cube = found.opened.cube
    own = InstanceUrls(urls.base, found.id)
    document = collection_document(cube, own)
    if queries := location_queries(cube, own, locations_of(found.opened)):
        document["data_queries"][LOCATIONS] = queries[LOCATIONS]
    document["id"] = found.id
    parent = {"href": urls.collection(cube.id), "rel": "collection", "type": JSON, "title": cube_title(opened)}
    below = urls.instances(cube.id)
    # The list of all collections is no neighbour of an instance; and a state has no runs at addresses of its own.
    links = [link for link in document["links"] if link["rel"] != "collection" and link["href"] != below]
    document["links"] = [*links[:2], parent, *links[2:], *version_links(found.state, cube.id, urls)]
    document.get("data_queries", {}).pop(INSTANCES, None)
    if found.state is not None:
        document |= state_members(found.state, document)
    return document


def state_members(state: State, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the document of a state says of it: when it was written, by which snapshot, and why."""
    written = state.written.isoformat(timespec="seconds").replace("+00:00", "Z")
    named = f"version {state.id}" if state.tagged else f"as of {written}"
    sentence = (
        f"The state written at {written} (snapshot {state.snapshot}): {state.message.rstrip('. ') or 'no message'}."
    )
    return {
        "title": f"{document['title']}, {named}",
        "description": f"{document['description'].rstrip('. ')}. {sentence}",
        "isopleth:version": {
            "snapshot": state.snapshot,
            "written": written,
            "message": state.message,
            "tag": state.id if state.tagged else None,
        },
    }


def version_links(state: State | None, collection_id: str, urls: FrontUrls) -> list[dict[str, str]]:
    """Return the links between the states of a dataset (RFC 5829)."""
    if state is None:
        return []
    found = [
        {"href": urls.collection(collection_id), "rel": "latest-version", "type": JSON, "title": "The current state"},
        {"href": urls.versions(collection_id), "rel": "version-history", "type": JSON, "title": "All states"},
    ]
    if state.previous is not None:
        address = urls.instance(collection_id, state.previous)
        found.append({"href": address, "rel": "predecessor-version", "type": JSON, "title": "The state before"})
    return found


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    offset: int
    limit: int
    total: int
    written: bool
    """Whether the client gave a limit, which the links then repeat."""

    @classmethod
    def of(cls, arguments: Mapping[str, str], total: int, most: int) -> Page:
        """Read ``limit`` (more than `most` is taken for `most`) and ``offset``.

        Raises
        ------
        InvalidQueryError
            If one of them is no number.
        """
        text = arguments.get("offset", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise InvalidQueryError("offset", f"{text[:32]!r} is not a number of instances", "a whole number from 0")
        limit = min(parse_limit(arguments["limit"]), most) if "limit" in arguments else most
        return cls(int(text), limit, total, "limit" in arguments)

    def cut[T](self, items: Sequence[T]) -> Sequence[T]:
        """Return the part of a list that is on this page."""
        return items[self.offset : self.offset + self.limit]

    def links(self, address: str) -> list[dict[str, str]]:
        """Return the links of this page, and to those beside it."""
        found = [
            {"href": self.address(address, self.offset), "rel": "self", "type": JSON, "title": "This document"},
            {
                "href": self.address(address, self.offset, "html"),
                "rel": "alternate",
                "type": "text/html",
                "title": "This document as a page",
            },
        ]
        if self.offset + self.limit < self.total:
            after = self.address(address, self.offset + self.limit)
            found.append({"href": after, "rel": "next", "type": JSON, "title": "The next page"})
        if self.offset:
            before = self.address(address, max(0, self.offset - self.limit))
            found.append({"href": before, "rel": "prev", "type": JSON, "title": "The page before"})
        return found

    def address(self, address: str, offset: int, form: str = "") -> str:
        """Return the address of a page."""
        query = {
            **({"limit": str(self.limit)} if self.written else {}),
            **({"offset": str(offset)} if offset else {}),
            **({"f": form} if form else {}),
        }
        return f"{address}?{urlencode(query)}" if query else address


def list_document(
    opened: OpenDatacube, documents: list[dict[str, Any]], page: Page, urls: FrontUrls, name: str
) -> dict[str, Any]:
    """Return the list of instances, or of versions, of a collection."""
    collection_id = opened.cube.id
    address = urls.instances(collection_id) if name == INSTANCES else urls.versions(collection_id)
    collection = urls.collection(collection_id)
    parent = {"href": collection, "rel": "collection", "type": JSON, "title": cube_title(opened)}
    newest = {"href": collection, "rel": "latest-version", "type": JSON, "title": "The current state"}
    if name == INSTANCES:
        latest = urls.instance(collection_id, LATEST)
        newest = {"href": latest, "rel": "current", "type": JSON, "title": "The newest of them"}
    what = "Versions" if name == VERSIONS else "Instances"
    return {
        "title": f"{what} of {cube_title(opened)}",
        "links": [*page.links(address), parent, newest],
        "instances": documents,
    }


def cube_title(opened: OpenDatacube) -> str:
    """Return the title of a collection."""
    return opened.cube.title or opened.cube.id
