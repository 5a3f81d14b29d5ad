"""Where does a client begin?

The landing page is pygeoapi's own document: its links below the address that this client uses, without those to
resources that are not served here, and with ours added.
"""

from __future__ import annotations

from typing import Any

from catalog.links import FrontUrls
from server.ogc.documents import document_arguments, document_response
from server.ogc.host import OGC_REL
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.openapi import OPENAPI31, OPENAPI31_MEDIA_TYPE
from server.ogc.service import OgcService

SERVED = frozenset(
    {"self", "alternate", "service-desc", "service-doc", "conformance", "data"}
    | {f"{OGC_REL}/processes", f"{OGC_REL}/job-list"}
)
"""Relations of pygeoapi's landing page that lead to something here (its tiling schemes and its ``about`` do not)."""
SERVED_TYPES = frozenset({"application/json", "text/html", "application/vnd.oai.openapi+json;version=3.0"})


def landing(service: OgcService, request: OgcRequest) -> OgcResponse:
    """Answer ``GET /`` of the OGC API (OGC 19-072, clause 7.2; OGC 19-086r6, /req/core/root-op)."""
    document_arguments(request)
    document = service.documents.get(("landing", request.base), (), lambda: landing_document(service, request.base))
    return document_response(request, document)


def landing_document(service: OgcService, urls: FrontUrls) -> dict[str, Any]:
    """Return the landing page of the OGC API."""
    page = service.host.landing(urls)
    kept = [link for link in page["links"] if link["rel"] in SERVED and link["type"] in SERVED_TYPES]
    if any(name.endswith("/conf/job-list") for name in service.extra_conformance):
        jobs = {"rel": f"{OGC_REL}/job-list", "type": "application/json", "title": "Jobs", "href": urls.jobs}
        kept = [*(link for link in kept if link["rel"] != jobs["rel"]), jobs]
    extra = [
        {
            "rel": "service-desc",
            "type": OPENAPI31_MEDIA_TYPE,
            "title": "The API definition by OpenAPI 3.1",
            "href": f"{urls.ogc_api}?f={OPENAPI31}",
        },
        {"rel": "related", "type": "application/json", "title": "The same data by STAC", "href": urls.stac},
        {"rel": "start", "type": "text/html", "title": "The start page of this server", "href": urls.base},
    ]
    return {"title": service.title, "description": service.description, "links": [*kept, *extra]}
