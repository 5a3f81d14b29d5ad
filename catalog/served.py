"""How does a kept document look where it is read: with which links, in which page, under which media type?"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from catalog.assets import GEOJSON, JSON
from catalog.conditional import entity_tag
from catalog.document import QUERYABLES, SORTABLES, Document, absolute_at, descriptive_links
from catalog.links import FrontUrls
from catalog.repository import Heading, Page

SCHEMA = "application/schema+json"
REVALIDATE = "no-cache"
"""Keep it, but ask whether it is still so: what was harvested a second ago shows at once."""


def served_collection(document: Document, urls: FrontUrls) -> Document:
    """Return a kept collection as it is read at this address."""
    served = absolute_at(document, urls.base)
    own = urls.stac_collection(document["id"])
    served["links"] = [
        {"rel": "self", "type": JSON, "title": document.get("title") or document["id"], "href": own},
        root(urls),
        {**root(urls), "rel": "parent"},
        {"rel": "items", "type": GEOJSON, "title": "Items", "href": f"{own}/items"},
        {"rel": QUERYABLES, "type": SCHEMA, "title": "What its items can be filtered by", "href": f"{own}/queryables"},
        {"rel": SORTABLES, "type": SCHEMA, "title": "What its items can be sorted by", "href": f"{own}/sortables"},
        *aggregation_links(own),
        *descriptive_links(served),
    ]
    return served


def aggregation_links(above: str) -> list[Document]:
    """Return the links to the aggregations of the catalogue or of a collection."""
    return [
        {"rel": "aggregate", "type": JSON, "title": "Counts of its items", "href": f"{above}/aggregate"},
        {"rel": "aggregations", "type": JSON, "title": "Which counts there are", "href": f"{above}/aggregations"},
    ]


def item_links(collection: str, items: Iterable[Heading], urls: FrontUrls) -> list[Document]:
    """Return the links from a collection to its items."""
    return [
        {"rel": "item", "type": GEOJSON, "title": item.title or item.id, "href": urls.stac_item(collection, item.id)}
        for item in items
    ]


def served_item(document: Document, urls: FrontUrls) -> Document:
    """Return a kept item as it is read at this address."""
    served = absolute_at(document, urls.base)
    collection = urls.stac_collection(document["collection"])
    own = urls.stac_item(document["collection"], document["id"])
    served["links"] = [
        {"rel": "self", "type": GEOJSON, "title": "This item", "href": own},
        root(urls),
        {"rel": "parent", "type": JSON, "title": "Its collection", "href": collection},
        {"rel": "collection", "type": JSON, "title": "Its collection", "href": collection},
        *descriptive_links(served),
    ]
    return served


def root(urls: FrontUrls) -> Document:
    """Return the link to the landing page."""
    return {"rel": "root", "type": JSON, "title": "The catalogue", "href": f"{urls.stac}/"}


def counts(page: Page) -> Document:
    """Return how many documents the page has, and all pages where that is known."""
    counted = {"numberReturned": len(page.documents)}
    return counted if page.matched is None else {**counted, "numberMatched": page.matched}


def same(request: Request, address: str) -> str:
    """Return the public address of the request itself, with its query."""
    pairs = request.query_params.multi_items()
    return f"{address}?{urlencode(pairs, quote_via=quote)}" if pairs else address


def next_get(request: Request, address: str, page: Page, media_type: str) -> list[Document]:
    """Return the link to the next page: the same query with its token, or nothing on the last page."""
    if page.token is None:
        return []
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    href = f"{address}?{urlencode([*pairs, ('token', page.token)], quote_via=quote)}"
    return [{"rel": "next", "type": media_type, "title": "The next page", "href": href, "method": "GET"}]


def respond(document: Document, media_type: str = JSON, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a finished response with its entity tag; a client asks again with ``If-None-Match``."""
    body = orjson.dumps(document)
    return Response(body, status, {"ETag": entity_tag(body), "Cache-Control": REVALIDATE}, media_type)
