"""How does a STAC API request become documents of the repository, with links that are right where they are read?

The client that stac-fastapi asks. It answers with finished responses: FastAPI would otherwise walk every document
again to make it JSON, which costs more than the search.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import quote, urlencode

import orjson
from stac_fastapi.types.core import AsyncBaseCoreClient
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from catalog.assets import GEOJSON, JSON
from catalog.document import STAC_VERSION, Document, absolute_at, descriptive_links
from catalog.links import FrontUrls
from catalog.repository import ItemQuery, Page, Repository
from catalog.search import item_query, page_size
from plugins.datacube.errors import UnknownError

COLLECTIONS_LIMIT = 100
"""Collections of a page unless asked otherwise: many clients read only the first page."""
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
API_PATH = "/api"

CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/browseable",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)
"""What is true. ``browseable``: the landing page links every collection as child, a collection every item."""


class CatalogClient(AsyncBaseCoreClient):
    """A stac-fastapi client over a `Repository`.

    Parameters
    ----------
    repository : Repository
        Where the documents are.
    base_url : str or None
        Public address of the server for all links; None takes scheme and host of each request.
    identifier, title, description : str
        Of the landing page.
    """

    def __init__(
        self, repository: Repository, *, base_url: str | None, identifier: str, title: str, description: str
    ) -> None:
        super().__init__(
            stac_version=STAC_VERSION, landing_page_id=identifier, title=title, description=description,
            base_conformance_classes=list(CONFORMANCE),
        )  # fmt: skip
        self._repository = repository
        self._base_url = base_url.rstrip("/") if base_url else None

    async def landing_page(self, **kwargs: Any) -> Any:
        """``GET /``: what is here, and where."""
        request: Request = kwargs["request"]
        urls = self._urls(request)
        root = f"{urls.stac}/"
        document = cast(
            "Document",
            self._landing_page(base_url=root, conformance_classes=self.conformance_classes(), extension_schemas=[]),
        )
        document["links"] += [
            {
                "rel": "service-desc",
                "type": OPENAPI,
                "title": "OpenAPI description of this API",
                "href": urls.stac + API_PATH,
            },
            {"rel": "related", "type": JSON, "title": "The same collections as OGC API", "href": urls.ogc},
        ]
        for heading in await run_in_threadpool(self._repository.headings):
            href = urls.stac_collection(heading.id)
            document["links"].append({"rel": "child", "type": JSON, "title": heading.title or heading.id, "href": href})
        return _respond(document)

    async def conformance(self, **kwargs: Any) -> Any:  # noqa: ARG002 - stac-fastapi's signature
        """``GET /conformance``."""
        return _respond({"conformsTo": self.conformance_classes()})

    async def all_collections(
        self, limit: int | None = COLLECTIONS_LIMIT, token: str | None = None, **kwargs: Any
    ) -> Any:
        """``GET /collections``: one page."""
        request: Request = kwargs["request"]
        urls = self._urls(request)
        size = page_size(limit, COLLECTIONS_LIMIT)
        page = await run_in_threadpool(self._repository.list_collections, size, token or None)
        here = f"{urls.stac}/collections"
        document: Document = {
            "collections": [_served_collection(found, urls) for found in page.documents],
            "links": [
                {"rel": "self", "type": JSON, "title": "This page", "href": _same(request, here)},
                _root(urls),
                {**_root(urls), "rel": "parent"},
                *_next_get(request, here, page, JSON),
            ],
            **_counts(page),
        }
        return _respond(document)

    async def get_collection(self, collection_id: str, **kwargs: Any) -> Any:
        """``GET /collections/{id}``."""
        document = await self._collection(collection_id)
        return _respond(_served_collection(document, self._urls(kwargs["request"])))

    async def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Any:
        """``GET /collections/{id}/items/{id}``."""
        document = await run_in_threadpool(self._repository.get_item, collection_id, item_id)
        if document is None:
            raise UnknownError(f"there is no item {item_id!r} in the collection {collection_id!r}")
        return _respond(_served_item(document, self._urls(kwargs["request"])), GEOJSON)

    async def item_collection(
        self,
        collection_id: str,
        bbox: tuple[float, ...] | None = None,
        datetime: str | None = None,
        limit: int | None = 10,
        token: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """``GET /collections/{id}/items``: one page of the items of a collection."""
        await self._collection(collection_id)
        query = item_query(collections=[collection_id], bbox=bbox, datetime=datetime, limit=limit, token=token)
        request: Request = kwargs["request"]
        urls = self._urls(request)
        here = f"{urls.stac_collection(collection_id)}/items"
        of_collection = {"rel": "collection", "type": JSON, "href": urls.stac_collection(collection_id)}
        return await self._found(
            query,
            urls,
            [{"rel": "self", "type": GEOJSON, "title": "This page", "href": _same(request, here)}, of_collection],
            lambda page: _next_get(request, here, page, GEOJSON),
        )

    async def get_search(
        self,
        collections: list[str] | None = None,
        ids: list[str] | None = None,
        bbox: tuple[float, ...] | None = None,
        intersects: Any = None,
        datetime: str | None = None,
        limit: int | None = 10,
        token: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """``GET /search``."""
        query = item_query(
            collections=collections, ids=ids, bbox=bbox, intersects=intersects or None, datetime=datetime, limit=limit,
            token=token,
        )  # fmt: skip
        request: Request = kwargs["request"]
        urls = self._urls(request)
        here = f"{urls.stac}/search"
        own = {"rel": "self", "type": GEOJSON, "title": "This page", "href": _same(request, here)}
        return await self._found(query, urls, [own], lambda page: _next_get(request, here, page, GEOJSON))

    async def post_search(self, search_request: Any, **kwargs: Any) -> Any:
        """``POST /search``: the same with a JSON body."""
        body: Document = search_request.model_dump(mode="json", exclude_none=True)
        query = item_query(**body)
        urls = self._urls(kwargs["request"])
        here = f"{urls.stac}/search"

        def following(page: Page) -> list[Document]:
            if page.token is None:
                return []
            link = {"rel": "next", "type": GEOJSON, "title": "The next page", "href": here, "method": "POST"}
            return [{**link, "body": {**body, "token": page.token}}]

        return await self._found(query, urls, [], following)

    async def _found(
        self, query: ItemQuery, urls: FrontUrls, links: list[Document], following: Callable[[Page], list[Document]]
    ) -> Response:
        page = await run_in_threadpool(self._repository.search, query)
        document: Document = {
            "type": "FeatureCollection",
            "features": [_served_item(found, urls) for found in page.documents],
            "links": [_root(urls), *links, *following(page)],
            **_counts(page),
        }
        return _respond(document, GEOJSON)

    async def _collection(self, identifier: str) -> Document:
        document = await run_in_threadpool(self._repository.get_collection, identifier)
        if document is None:
            raise UnknownError(f"there is no collection {identifier!r}")
        return document

    def _urls(self, request: Request) -> FrontUrls:
        """Return the public addresses.

        ``X-Forwarded-*`` is never read here: whether a proxy is trusted is for the web server to decide.
        """
        return FrontUrls(self._base_url or str(request.base_url))


def _served_collection(document: Document, urls: FrontUrls) -> Document:
    served = absolute_at(document, urls.base)
    own = urls.stac_collection(document["id"])
    served["links"] = [
        {"rel": "self", "type": JSON, "title": document.get("title") or document["id"], "href": own},
        _root(urls),
        {**_root(urls), "rel": "parent"},
        {"rel": "items", "type": GEOJSON, "title": "Items", "href": f"{own}/items"},
        *descriptive_links(served),
    ]
    return served


def _served_item(document: Document, urls: FrontUrls) -> Document:
    served = absolute_at(document, urls.base)
    collection = urls.stac_collection(document["collection"])
    own = urls.stac_item(document["collection"], document["id"])
    served["links"] = [
        {"rel": "self", "type": GEOJSON, "title": "This item", "href": own},
        _root(urls),
        {"rel": "parent", "type": JSON, "title": "Its collection", "href": collection},
        {"rel": "collection", "type": JSON, "title": "Its collection", "href": collection},
        *descriptive_links(served),
    ]
    return served


def _root(urls: FrontUrls) -> Document:
    return {"rel": "root", "type": JSON, "title": "The catalogue", "href": f"{urls.stac}/"}


def _counts(page: Page) -> Document:
    counted = {"numberReturned": len(page.documents)}
    return counted if page.matched is None else {**counted, "numberMatched": page.matched}


def _same(request: Request, address: str) -> str:
    """Return the public address of the request itself, with its query."""
    pairs = request.query_params.multi_items()
    return f"{address}?{urlencode(pairs, quote_via=quote)}" if pairs else address


def _next_get(request: Request, address: str, page: Page, media_type: str) -> list[Document]:
    """Return the link to the next page: the same query with its token, or nothing on the last page."""
    if page.token is None:
        return []
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    href = f"{address}?{urlencode([*pairs, ('token', page.token)], quote_via=quote)}"
    return [{"rel": "next", "type": media_type, "title": "The next page", "href": href, "method": "GET"}]


def _respond(document: Document, media_type: str = JSON) -> Response:
    return Response(orjson.dumps(document), media_type=media_type)
