"""How many items does a search find, of which collections, months, variables?

https://github.com/stac-api-extensions/aggregation v0.3.0: ``/aggregate`` and ``/aggregations``, for the catalogue and
below a collection, by GET and POST, with the parameters of a search. Beside the aggregations of `ALWAYS` there is one
``<name>_frequency`` for every property.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import attr
from fastapi import FastAPI, Query
from pydantic import Field, field_validator
from stac_fastapi.api.models import CollectionUri, create_get_request_model, create_post_request_model
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.types.extension import ApiExtension
from stac_fastapi.types.search import BaseSearchGetRequest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from catalog.assets import JSON
from catalog.client import CatalogClient, asked
from catalog.document import Document
from catalog.extents import rfc3339
from catalog.filter_values import DATED, is_name
from catalog.queryables import sortables
from catalog.repository import Buckets, Extremes, Interval, ItemQuery, Repository
from catalog.search import item_query
from catalog.served import respond, root, same
from plugins.datacube.errors import InvalidQueryError

CONFORMANCE: Final = "https://api.stacspec.org/v0.3.0/aggregation"
ALWAYS: Final = {
    "total_count": "integer",
    "datetime_min": "datetime",
    "datetime_max": "datetime",
    "collection_frequency": "string",
    "datetime_frequency": "datetime",
    "cube:variables_frequency": "string",
}
"""By name, the type of the value or of the buckets' keys."""
FREQUENCY: Final = "_frequency"
NAMES_LIMIT: Final = 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VALID: Final = f"at most {NAMES_LIMIT} of /aggregations, such as total_count,collection_frequency"
_Interval = Annotated[Interval, Query(description="Length of the buckets of datetime_frequency.")]
_Names = Annotated[str | None, Query(description="Names of /aggregations, with commas.")]


@attr.s
class AggregateRequest(BaseSearchGetRequest):
    """The parameters of ``GET /aggregate``."""

    # stac-fastapi makes classes of these in a module of its own, where an annotation could not be resolved.
    aggregations = attr.ib(default=None, type=_Names)
    datetime_frequency_interval = attr.ib(default=Interval.MONTH, type=_Interval)


@attr.s
class CollectionAggregateRequest(CollectionUri, AggregateRequest):
    """The parameters of ``GET /collections/{id}/aggregate``."""


class Aggregations(ApiExtension):
    """The endpoints.

    Parameters
    ----------
    repository : Repository
        What is counted.
    client : CatalogClient
        Which knows the addresses.
    extensions : list of ApiExtension
        Of the search, whose parameters are taken here too.
    body : type
        The body of a search.
    """

    def __init__(
        self, repository: Repository, client: CatalogClient, extensions: list[ApiExtension], body: type[Any]
    ) -> None:
        super().__init__()
        self.conformance_classes = [CONFORMANCE]
        self._repository = repository
        self._client = client
        self._extensions = extensions
        self._body = body

    def register(self, app: FastAPI) -> None:
        """Add the endpoints."""
        by_get = create_get_request_model(self._extensions, base_model=AggregateRequest)
        below = create_get_request_model(self._extensions, base_model=CollectionAggregateRequest)
        by_post = create_post_request_model(self._extensions, base_model=_with_names(self._body))
        add, one = app.add_api_route, "/collections/{collection_id}"
        tags: list[Any] = ["Aggregations"]
        add("/aggregations", self.available, methods=["GET"], name="Aggregations", tags=tags)
        add(
            f"{one}/aggregations", self.available_below, methods=["GET"], name="Aggregations of a collection", tags=tags
        )
        add("/aggregate", create_async_endpoint(self.by_get, by_get), methods=["GET"], name="Aggregate", tags=tags)
        add("/aggregate", create_async_endpoint(self.by_post, by_post), methods=["POST"], name="Aggregate", tags=tags)
        name = "Aggregate a collection"
        add(f"{one}/aggregate", create_async_endpoint(self.by_get, below), methods=["GET"], name=name, tags=tags)

    async def available(self, request: Request) -> Any:
        """``GET /aggregations``."""
        return await self._available(request, None)

    async def available_below(self, request: Request, collection_id: str) -> Any:
        """``GET /collections/{id}/aggregations``."""
        await self._client.collection(collection_id)
        return await self._available(request, collection_id)

    async def _available(self, request: Request, collection: str | None) -> Any:
        samples = await run_in_threadpool(self._repository.samples, collection)
        found = [{"name": name, "data_type": kind} for name, kind in ALWAYS.items()]
        for name, schema in sortables(samples).items():
            if name not in ("id", "collection", "datetime") and name not in DATED:
                kind = {"number": "numeric"}.get(schema["type"], "string")
                found.append({"name": f"{name}{FREQUENCY}", "data_type": kind})
        return respond(self._document(request, collection, "aggregations", found))

    async def by_get(self, **parameters: Any) -> Any:
        """``GET /aggregate`` and ``GET /collections/{id}/aggregate``."""
        request: Request = parameters["request"]
        collection = parameters.pop("collection_id", None)
        if collection is not None:
            await self._client.collection(collection)
            parameters["collections"] = [collection]
        parameters["intersects"] = parameters.get("intersects") or None
        names = [name.strip() for name in (parameters.get("aggregations") or "").split(",")]
        interval = Interval(parameters.get("datetime_frequency_interval") or Interval.MONTH)
        return await self._counted(request, collection, item_query(**asked(parameters)), names, interval)

    async def by_post(self, search_request: Any, **parameters: Any) -> Any:
        """``POST /aggregate``."""
        body: Document = search_request.model_dump(mode="json", exclude_none=True)
        interval = Interval(body.get("datetime_frequency_interval", Interval.MONTH))
        query = item_query(**asked(body))
        return await self._counted(parameters["request"], None, query, body.get("aggregations", []), interval)

    async def _counted(
        self, request: Request, collection: str | None, query: ItemQuery, names: list[str], interval: Interval
    ) -> Any:
        wanted = list(dict.fromkeys(name for name in names if name)) or ["total_count"]
        if len(wanted) > NAMES_LIMIT:
            raise InvalidQueryError("aggregations", f"there are more than {NAMES_LIMIT} aggregations", _VALID)
        for name in wanted:
            if not (name in ALWAYS or (name.endswith(FREQUENCY) and is_name(name.removesuffix(FREQUENCY)))):
                raise InvalidQueryError("aggregations", f"there is no aggregation {name[:128]!r}", _VALID)
        found = await run_in_threadpool(self._count, query, wanted, interval)
        return respond(self._document(request, collection, "aggregate", found))

    def _count(self, query: ItemQuery, names: list[str], interval: Interval) -> list[Document]:
        extremes: Extremes | None = None
        found: list[Document] = []
        for name in names:
            if name.endswith(FREQUENCY):
                buckets = self._repository.buckets(query, name.removesuffix(FREQUENCY), interval)
                found.append(_frequency(name, buckets))
                continue
            extremes = extremes or self._repository.extremes(query)
            value: int | str | None = extremes.count
            if name != "total_count":
                value = _date(extremes.start if name == "datetime_min" else extremes.end)
            found.append({"name": name, "data_type": ALWAYS[name], "value": value})
        return found

    def _document(self, request: Request, collection: str | None, name: str, found: list[Document]) -> Document:
        urls = self._client.urls(request)
        above = urls.stac if collection is None else urls.stac_collection(collection)
        links = [root(urls), {"rel": "self", "type": JSON, "href": same(request, f"{above}/{name}")}]
        if collection is not None:
            links.append({"rel": "collection", "type": JSON, "href": above})
        return {"type": "AggregationCollection", "aggregations": found, "links": links}


def _frequency(name: str, buckets: Buckets) -> Document:
    known = ALWAYS.get(name)
    kind = known or ("numeric" if any(not isinstance(key, str) for key, _ in buckets.counts) else "string")
    listed = [{"key": key, "data_type": kind, "frequency": count} for key, count in buckets.counts]
    return {"name": name, "data_type": "frequency_distribution", "buckets": listed, "overflow": buckets.overflow}


def _date(microseconds: int | None) -> str | None:
    return None if microseconds is None else rfc3339(_EPOCH + timedelta(microseconds=microseconds))


def _with_names(body: type[Any]) -> type[Any]:
    """Return the body of a search with what is counted."""

    class AggregateBody(body):  # type: ignore[misc]
        """The body of ``POST /aggregate``."""

        aggregations: list[str] = Field([], description="Names of /aggregations.")
        datetime_frequency_interval: Interval = Interval.MONTH

        @field_validator("aggregations", mode="before")
        @classmethod
        def split(cls, value: Any) -> Any:
            """Take a text with commas, too."""
            return value.split(",") if isinstance(value, str) else value

    return AggregateBody
