"""How does a STAC API request become documents of the repository, with links that are right where they are read?

The client that stac-fastapi asks. It answers with finished responses: FastAPI would otherwise walk every document
again to make it JSON, which costs more than the search.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, cast

from stac_fastapi.types.core import AsyncBaseCoreClient
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from catalog.assets import GEOJSON, JSON
from catalog.document import QUERYABLES, SORTABLES, STAC_VERSION, Document
from catalog.fields import Fields, project, read_fields
from catalog.links import FrontUrls
from catalog.repository import ItemQuery, Page, Repository
from catalog.search import PAGE_LIMIT, collection_query, item_query
from catalog.served import (
    SCHEMA,
    aggregation_links,
    counts,
    item_links,
    next_get,
    respond,
    root,
    same,
    served_collection,
    served_item,
)
from plugins.datacube.errors import UnknownError

COLLECTIONS_LIMIT = 100
"""Collections of a page unless asked otherwise: many clients read only the first page."""
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
API_PATH = "/api"

CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)
"""What is always true."""
BROWSEABLE = "https://api.stacspec.org/v1.0.0/browseable"
"""True as long as no collection has more items than it links: the landing page links every collection as child."""
ITEM_LINKS_LIMIT = 2_000
"""Items that a collection links: clients that read static catalogues follow these."""


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
        urls = self.urls(request)
        document = cast(
            "Document",
            self._landing_page(
                base_url=f"{urls.stac}/", conformance_classes=await self._conforms_to(), extension_schemas=[]
            ),
        )
        document["links"] += [
            {
                "rel": "service-desc",
                "type": OPENAPI,
                "title": "OpenAPI description of this API",
                "href": urls.stac + API_PATH,
            },
            {"rel": "related", "type": JSON, "title": "The same collections as OGC API", "href": urls.ogc},
            {"rel": "children", "type": JSON, "title": "All collections", "href": f"{urls.stac}/children"},
            {
                "rel": QUERYABLES,
                "type": SCHEMA,
                "title": "What items are filtered by",
                "href": f"{urls.stac}/queryables",
            },
            {"rel": SORTABLES, "type": SCHEMA, "title": "What items are sorted by", "href": f"{urls.stac}/sortables"},
            *aggregation_links(urls.stac),
        ]
        for heading in await run_in_threadpool(self._repository.headings):
            href = urls.stac_collection(heading.id)
            document["links"].append({"rel": "child", "type": JSON, "title": heading.title or heading.id, "href": href})
        return respond(document)

    async def conformance(self, **kwargs: Any) -> Any:  # noqa: ARG002 - stac-fastapi's signature
        """``GET /conformance``."""
        return respond({"conformsTo": await self._conforms_to()})

    async def _conforms_to(self) -> list[str]:
        partly = await run_in_threadpool(self._repository.has_more, ITEM_LINKS_LIMIT)
        return [*self.conformance_classes(), *(() if partly else (BROWSEABLE,))]

    async def all_collections(
        self,
        bbox: tuple[float, ...] | None = None,
        datetime: str | None = None,
        q: list[str] | None = None,
        limit: int | None = COLLECTIONS_LIMIT,
        token: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """``GET /collections``: one page of the collections that a search finds."""
        size = COLLECTIONS_LIMIT if limit is None else limit
        query = collection_query(bbox=bbox, datetime=datetime, q=q, limit=size, token=token)
        page = await run_in_threadpool(self._repository.list_collections, query)
        return self._collections(page, "collections", kwargs["request"])

    async def children(self, limit: int | None = PAGE_LIMIT, token: str | None = None, **kwargs: Any) -> Any:
        """``GET /children``: what the landing page links as child."""
        query = collection_query(limit=PAGE_LIMIT if limit is None else limit, token=token)
        page = await run_in_threadpool(self._repository.list_collections, query)
        return self._collections(page, "children", kwargs["request"])

    async def get_collection(self, collection_id: str, **kwargs: Any) -> Any:
        """``GET /collections/{id}``."""
        document = await self.collection(collection_id)
        return respond(await run_in_threadpool(self.whole_collection, document, self.urls(kwargs["request"])))

    def whole_collection(self, document: Document, urls: FrontUrls) -> Document:
        """Return a kept collection as it is read, with links to its items."""
        served = served_collection(document, urls)
        its_items = self._repository.item_headings(document["id"], ITEM_LINKS_LIMIT)
        served["links"] += item_links(document["id"], its_items, urls)
        return served

    async def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Any:
        """``GET /collections/{id}/items/{id}``."""
        document = await run_in_threadpool(self._repository.get_item, collection_id, item_id)
        if document is None:
            raise UnknownError(f"there is no item {item_id!r} in the collection {collection_id!r}")
        return respond(served_item(document, self.urls(kwargs["request"])), GEOJSON)

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
        request: Request = kwargs["request"]
        await self.collection(collection_id)
        query = item_query(
            collections=[collection_id], bbox=bbox, datetime=datetime, limit=limit, token=token, **asked(kwargs)
        )
        urls = self.urls(request)
        here = f"{urls.stac_collection(collection_id)}/items"
        of_collection = {"rel": "collection", "type": JSON, "href": urls.stac_collection(collection_id)}
        return await self._found(
            query,
            urls,
            [{"rel": "self", "type": GEOJSON, "title": "This page", "href": same(request, here)}, of_collection],
            lambda page: next_get(request, here, page, GEOJSON),
            _fields(request, kwargs),
        )

    async def get_search(
        self,
        collections: list[str] | None = None,
        ids: list[str] | None = None,
        bbox: tuple[float, ...] | None = None,
        intersects: Any = None,
        datetime: str | None = None,
        limit: int | None = 10,
        **kwargs: Any,
    ) -> Any:
        """``GET /search``."""
        request: Request = kwargs["request"]
        query = item_query(
            collections=collections, ids=ids, bbox=bbox, intersects=intersects or None, datetime=datetime, limit=limit,
            **asked(kwargs),
        )  # fmt: skip
        urls = self.urls(request)
        here = f"{urls.stac}/search"
        return await self._found(
            query,
            urls,
            [{"rel": "self", "type": GEOJSON, "title": "This page", "href": same(request, here)}],
            lambda page: next_get(request, here, page, GEOJSON),
            _fields(request, kwargs),
        )

    async def post_search(self, search_request: Any, **kwargs: Any) -> Any:
        """``POST /search``: the same with a JSON body."""
        body: Document = search_request.model_dump(mode="json", exclude_none=True)
        sent: Document = search_request.model_dump(mode="json", by_alias=True, exclude_unset=True)
        fields = read_fields(sent["fields"]) if "fields" in sent else None
        query = item_query(**asked(body))
        urls = self.urls(kwargs["request"])
        here = f"{urls.stac}/search"

        def following(page: Page) -> list[Document]:
            if page.token is None:
                return []
            link = {"rel": "next", "type": GEOJSON, "title": "The next page", "href": here, "method": "POST"}
            return [{**link, "body": {**sent, "token": page.token}}]

        return await self._found(query, urls, [], following, fields)

    async def _found(
        self,
        query: ItemQuery,
        urls: FrontUrls,
        links: list[Document],
        following: Callable[[Page], list[Document]],
        fields: Fields | None,
    ) -> Response:
        page = await run_in_threadpool(self._repository.search, query)
        document: Document = {
            "type": "FeatureCollection",
            "features": [project(served_item(found, urls), fields) for found in page.documents],
            "links": [root(urls), *links, *following(page)],
            **counts(page),
        }
        return respond(document, GEOJSON)

    def _collections(self, page: Page, member: str, request: Request) -> Response:
        urls = self.urls(request)
        here = f"{urls.stac}/{member}"
        document: Document = {
            member: [served_collection(found, urls) for found in page.documents],
            "links": [
                {"rel": "self", "type": JSON, "title": "This page", "href": same(request, here)},
                root(urls),
                {**root(urls), "rel": "parent"},
                *next_get(request, here, page, JSON),
            ],
            **counts(page),
        }
        return respond(document)

    async def collection(self, identifier: str) -> Document:
        """Return a collection as it is kept. Raises `UnknownError` where there is none."""
        document = await run_in_threadpool(self._repository.get_collection, identifier)
        if document is None:
            raise UnknownError(f"there is no collection {identifier!r}")
        return document

    def urls(self, request: Request) -> FrontUrls:
        """Return the public addresses.

        ``X-Forwarded-*`` is never read here: whether a proxy is trusted is for the web server to decide.
        """
        return FrontUrls(self._base_url or str(request.base_url))


_SEARCHED = frozenset(signature(item_query).parameters)


def asked(parameters: Document) -> Document:
    """Return what `item_query` takes of a search, without the parameters that are for others."""
    return {name: value for name, value in parameters.items() if name in _SEARCHED}


def _fields(request: Request, parameters: Document) -> Fields | None:
    """Return the fields of a GET request: an empty list is not the same as none."""
    return read_fields(parameters.get("fields") or []) if "fields" in request.query_params else None
