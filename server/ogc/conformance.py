"""Which conformance classes are true of this server?

The union of what the embedded pygeoapi declares for the resources it was given and of what our own API functions add,
less what pygeoapi declares and we do not do. Each line of `EDR_CLASSES` has tests in ``tests/ogc``.
"""

from __future__ import annotations

from collections.abc import Iterable

from server.ogc.documents import document_arguments, document_response
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.service import OgcService

EDR_CLASSES = ("core", "collections", "json", "html", "oas30", "covjson", "queries")
"""OGC 19-086, Annex A; GeoJSON, EDR GeoJSON and instances are not answered."""
EDR_VERSIONS = (
    "http://www.opengis.net/spec/ogcapi-edr-1/1.0/conf",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf",
    "https://www.opengis.net/spec/ogcapi-edr-1/1.2/conf",
)
"""Version 1.2 changed the scheme of its identifiers to https."""
NOT_OURS = frozenset({"http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/callback"})
"""Declared by pygeoapi for every process; no callback is called here."""


def conformance_classes(embedded: Iterable[str], extra: Iterable[str]) -> list[str]:
    """Return the declared classes, sorted.

    Parameters
    ----------
    embedded : iterable of str
        What pygeoapi declares: the classes of OGC API Common, and those of the resources it knows.
    extra : iterable of str
        What the other fronts of this server add (processes, jobs).
    """
    ours = {f"{version}/{name}" for version in EDR_VERSIONS for name in EDR_CLASSES}
    return sorted(({*embedded} - NOT_OURS) | ours | {*extra})


def conformance(service: OgcService, request: OgcRequest) -> OgcResponse:
    """Answer ``GET /conformance`` (OGC 19-072, clause 7.3)."""
    document_arguments(request)
    classes = conformance_classes(service.host.conformance(), service.extra_conformance)
    document = service.documents.get(("conformance", tuple(classes), request.base), (), lambda: {"conformsTo": classes})
    return document_response(request, document)
