"""Which conformance classes are true of this server?

The union of what the embedded pygeoapi declares for the resources it was given and of what our own API functions add,
less what pygeoapi declares and we do not do. Each class of `EDR_CLASSES` has tests in
``tests/conformance/test_edr_ats.py``.
"""

from __future__ import annotations

from collections.abc import Iterable

from server.ogc.documents import document_arguments, document_response
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.service import OgcService

EDR_CLASSES = ("core", "collections", "json", "geojson", "edr-geojson", "covjson", "html", "queries")
"""OGC 19-086, Annex A, in every version; instances belong to ``queries``."""
EDR_VERSIONS = {
    "http://www.opengis.net/spec/ogcapi-edr-1/1.0": "oas30",
    "http://www.opengis.net/spec/ogcapi-edr-1/1.1": "oas30",
    "https://www.opengis.net/spec/ogcapi-edr-1/1.2": "oas31",
}
"""By version, the class of its API definition. Version 1.2 changed the scheme of its identifiers to https."""
LOOKED_FOR = frozenset(
    {
        "http://www.opengis.net/spec/ogcapi-edr-1/1.0/req/edr-geojson",
        "https://www.opengis.net/spec/ogcapi-edr-1/1.2/req/oas31",
    }
)
"""Requirements classes that test suites take for conformance classes (the compliance suite of EDR 1.0; sedr)."""
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
    ours = {
        f"{version}/conf/{name}" for version, definition in EDR_VERSIONS.items() for name in (*EDR_CLASSES, definition)
    }
    return sorted(({*embedded} - NOT_OURS) | ours | LOOKED_FOR | {*extra})


def conformance(service: OgcService, request: OgcRequest) -> OgcResponse:
    """Answer ``GET /conformance`` (OGC 19-072, clause 7.3)."""
    document_arguments(request)
    classes = conformance_classes(service.host.conformance(), service.extra_conformance)
    document = service.documents.get(("conformance", tuple(classes), request.base), (), lambda: {"conformsTo": classes})
    return document_response(request, document)
