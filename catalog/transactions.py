"""How does a client with the key write collections and items?

https://github.com/stac-api-extensions/transaction and collection-transaction (POST, PUT, PATCH, DELETE), and the bulk
load of stac-fastapi. A change is made under ``If-Match`` with the tag of the document that the client has read, and
then fails with 412 if somebody else was quicker. What is harvested from a dataset cannot be written: 409.

Single documents are checked against the schemas of STAC; the items of a bulk load for what the index needs.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from stac_fastapi.types.extension import ApiExtension
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from catalog.assets import GEOJSON, JSON
from catalog.client import CatalogClient
from catalog.conditional import entity_tag, names_tag
from catalog.document import STAC_VERSION, Document, kept
from catalog.links import FrontUrls
from catalog.patches import patched
from catalog.repository import HARVESTED, Kept, Repository
from catalog.served import respond, served_item
from catalog.validation import problem_with, sound_item
from plugins.datacube.errors import ConflictError, InvalidQueryError, PreconditionError, UnknownError

CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction",
    "https://api.stacspec.org/v1.0.0/collections/extensions/transaction",
)
NESTING = 128
_COLLECTION = "/collections/{collection_id}"
_ITEM = "/collections/{collection_id}/items/{item_id}"


class Transactions(ApiExtension):
    """The endpoints that write.

    Parameters
    ----------
    repository : Repository
        What is written to.
    client : CatalogClient
        Which gives the documents back as they are read.
    """

    def __init__(self, repository: Repository, client: CatalogClient) -> None:
        super().__init__()
        self.conformance_classes = list(CONFORMANCE)
        self._repository = repository
        self._client = client

    def register(self, app: FastAPI) -> None:
        """Add the endpoints."""
        endpoints: list[tuple[str, str, str, Callable[..., Any], int]] = [
            ("POST", "/collections", "Create a collection", self.create_collection, 201),
            ("PUT", _COLLECTION, "Replace a collection", self.replace_collection, 200),
            ("PATCH", _COLLECTION, "Patch a collection", self.patch_collection, 200),
            ("DELETE", _COLLECTION, "Delete a collection with its items", self.delete_collection, 204),
            ("POST", f"{_COLLECTION}/items", "Create an item, or those of a collection", self.create_items, 201),
            ("PUT", _ITEM, "Replace an item", self.replace_item, 200),
            ("PATCH", _ITEM, "Patch an item", self.patch_item, 200),
            ("DELETE", _ITEM, "Delete an item", self.delete_item, 204),
            ("POST", f"{_COLLECTION}/bulk_items", "Load many items", self.load_items, 200),
        ]
        for method, path, name, endpoint, status in endpoints:
            body = {"required": True, "content": {JSON: {"schema": {}}}}
            app.add_api_route(
                path,
                endpoint,
                methods=[method],
                name=name,
                status_code=status,
                response_class=Response,
                tags=["Transactions"],
                openapi_extra=None if method == "DELETE" else {"requestBody": body},
            )

    async def create_collection(self, request: Request) -> Response:
        """``POST /collections``."""
        document = await _document(request)
        urls = self._client.urls(request)
        made = _collection(document, document.get("id"), urls)

        def revise(there: Kept) -> Document:
            if there.document is not None:
                raise ConflictError(f"there is a collection {made['id']!r} already")
            return made

        await run_in_threadpool(self._repository.revise_collection, made["id"], revise)
        answer = await self._collection(request, made["id"], HTTPStatus.CREATED)
        answer.headers["Location"] = urls.stac_collection(made["id"])
        return answer

    async def replace_collection(self, request: Request, collection_id: str) -> Response:
        """``PUT /collections/{id}``."""
        made = _collection(await _document(request), collection_id, self._client.urls(request))
        await self._revise_collection(request, collection_id, lambda _: made)
        return await self._collection(request, collection_id)

    async def patch_collection(self, request: Request, collection_id: str) -> Response:
        """``PATCH /collections/{id}``, by RFC 7396 or RFC 6902."""
        patch, urls = await _body(request), self._client.urls(request)
        await self._revise_collection(
            request, collection_id, lambda document: _collection(patched(document, patch), collection_id, urls)
        )
        return await self._collection(request, collection_id)

    async def delete_collection(self, request: Request, collection_id: str) -> Response:
        """``DELETE /collections/{id}``."""
        await self._revise_collection(request, collection_id, lambda _: None)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def create_items(self, request: Request, collection_id: str) -> Response:
        """``POST /collections/{id}/items``: one, or a feature collection of which all are created or none."""
        document, urls = await _document(request), self._client.urls(request)
        if document.get("type") == "FeatureCollection":
            features = document.get("features")
            if not isinstance(features, list):
                raise InvalidQueryError("features", "the feature collection has no features", "a list of STAC Items")
            made = [kept(sound_item(feature, collection_id), urls.base) for feature in features]
            count = await self._insert(collection_id, made, replace=False)
            return Response(orjson.dumps({"numberCreated": count}), HTTPStatus.CREATED, media_type=JSON)
        item = _item(document, collection_id, document.get("id"), urls)
        await self._insert(collection_id, [item], replace=False)
        answer = await self._item(request, collection_id, item["id"], HTTPStatus.CREATED)
        answer.headers["Location"] = urls.stac_item(collection_id, item["id"])
        return answer

    async def replace_item(self, request: Request, collection_id: str, item_id: str) -> Response:
        """``PUT /collections/{id}/items/{id}``."""
        made = _item(await _document(request), collection_id, item_id, self._client.urls(request))
        await self._revise_item(request, collection_id, item_id, lambda _: made)
        return await self._item(request, collection_id, item_id)

    async def patch_item(self, request: Request, collection_id: str, item_id: str) -> Response:
        """``PATCH /collections/{id}/items/{id}``, by RFC 7396 or RFC 6902."""
        patch, urls = await _body(request), self._client.urls(request)
        await self._revise_item(
            request,
            collection_id,
            item_id,
            lambda document: _item(patched(document, patch), collection_id, item_id, urls),
        )
        return await self._item(request, collection_id, item_id)

    async def delete_item(self, request: Request, collection_id: str, item_id: str) -> Response:
        """``DELETE /collections/{id}/items/{id}``."""
        await self._revise_item(request, collection_id, item_id, lambda _: None)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def load_items(self, request: Request, collection_id: str) -> Response:
        """``POST /collections/{id}/bulk_items``: all or none."""
        body, urls = await _document(request), self._client.urls(request)
        items, method = body.get("items"), body.get("method", "insert")
        if not isinstance(items, dict) or method not in ("insert", "upsert"):
            valid = '{"items": {"id": Item, …}, "method": "insert" or "upsert"}'
            raise InvalidQueryError("items", "the body is no bulk of items", valid)
        if wrong := next((name for name, item in items.items() if not _named(item, name)), None):
            raise InvalidQueryError("items", f"the item under {wrong[:128]!r} has another id")
        made = [kept(sound_item(item, collection_id), urls.base) for item in items.values()]
        count = await self._insert(collection_id, made, replace=method == "upsert")
        return Response(orjson.dumps(f"Successfully added {count} items."), media_type=JSON)

    async def _insert(self, collection: str, items: list[Document], *, replace: bool) -> int:
        written = await run_in_threadpool(lambda: self._repository.insert_items(collection, items, replace=replace))
        return written.total

    async def _revise_collection(
        self, request: Request, collection: str, change: Callable[[Document], Document | None]
    ) -> None:
        condition, urls = request.headers.get("if-match"), self._client.urls(request)

        def revise(there: Kept) -> Document | None:
            document = _writable(there, f"there is no collection {collection!r}")
            served = self._client.whole_collection(document, urls)
            _check(condition, served)
            return change(served)

        await run_in_threadpool(self._repository.revise_collection, collection, revise)

    async def _revise_item(
        self, request: Request, collection: str, item: str, change: Callable[[Document], Document | None]
    ) -> None:
        condition, urls = request.headers.get("if-match"), self._client.urls(request)

        def revise(there: Kept) -> Document | None:
            document = _writable(there, f"there is no item {item!r} in the collection {collection!r}")
            served = served_item(document, urls)
            _check(condition, served)
            return change(served)

        await run_in_threadpool(self._repository.revise_item, collection, item, revise)

    async def _collection(self, request: Request, collection: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
        document = await self._client.collection(collection)
        urls = self._client.urls(request)
        return respond(await run_in_threadpool(self._client.whole_collection, document, urls), status=status)

    async def _item(self, request: Request, collection: str, item: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
        document = await run_in_threadpool(self._repository.get_item, collection, item)
        if document is None:
            raise UnknownError(f"there is no item {item!r} in the collection {collection!r}")
        return respond(served_item(document, self._client.urls(request)), GEOJSON, status=status)


def _writable(there: Kept, absent: str) -> Document:
    """Return what is there; raise where there is nothing, or it is not a client's to change."""
    if there.document is None:
        raise UnknownError(absent)
    if there.harvested:
        raise ConflictError(HARVESTED)
    return there.document


def _check(condition: str | None, served: Document) -> None:
    """Raise where there is an ``If-Match`` that does not name what a client would read now."""
    if condition is not None and not names_tag(condition, entity_tag(orjson.dumps(served)), weak=False):
        raise PreconditionError("the document has changed since it was read: read it again")


def _collection(document: Document, identifier: Any, urls: FrontUrls) -> Document:
    """Return a client's collection as it is kept. Raises `InvalidQueryError` where it is not valid."""
    made = {"stac_version": STAC_VERSION, "links": [], **document}
    if made.get("id") != identifier:
        raise InvalidQueryError("id", "the id is not that of the address", repr(identifier))
    if made.get("type") != "Collection":
        raise InvalidQueryError("type", "the body is no STAC Collection", "Collection")
    if (wrong := problem_with(made)) is not None:
        raise InvalidQueryError("body", f"the Collection is not valid: {wrong}", f"STAC {STAC_VERSION}")
    return kept(made, urls.base)


def _item(document: Document, collection: str, identifier: Any, urls: FrontUrls) -> Document:
    """Return a client's item as it is kept. Raises `InvalidQueryError` where it is not valid."""
    if not _named(document, identifier):
        raise InvalidQueryError("id", "the id is not that of the address", repr(identifier))
    made = sound_item(document, collection)
    # The link to the collection, which the schema asks for, is made whenever the item is read.
    links = [*made["links"], {"rel": "collection", "href": urls.stac_collection(collection)}]
    if (wrong := problem_with({**made, "links": links})) is not None:
        raise InvalidQueryError("body", f"the Item is not valid: {wrong}", f"STAC {STAC_VERSION}")
    return kept(made, urls.base)


def _named(item: Any, identifier: Any) -> bool:
    return isinstance(item, dict) and item.get("id") == identifier


async def _document(request: Request) -> Document:
    body = await _body(request)
    if not isinstance(body, dict):
        raise InvalidQueryError("body", "the body is no JSON object", "a STAC document")
    return body


async def _body(request: Request) -> Any:
    try:
        body = orjson.loads(await request.body())
    except ValueError as error:
        raise InvalidQueryError("body", "the body is not JSON", "a STAC document") from error
    todo: list[tuple[Any, int]] = [(body, 0)]
    while todo:
        node, depth = todo.pop()
        if depth > NESTING:
            raise InvalidQueryError("body", "the body is nested too deep", f"at most {NESTING} levels")
        if isinstance(node, (dict, list)):
            todo += [(part, depth + 1) for part in (node.values() if isinstance(node, dict) else node)]
    return body
