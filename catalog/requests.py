"""Which parameters does each endpoint of the STAC API take, and which conformance classes are true of it?

stac-fastapi's extensions, with what of them differs here: CQL2 as a text in a body too, a page of collections that is
long enough for clients that read only one, and the endpoint ``/children``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import attr
from fastapi import FastAPI, Query
from pydantic import BaseModel, Field, field_validator, model_validator
from stac_fastapi.api.models import create_request_model
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.collection_search.collection_search import CollectionSearchConformanceClasses
from stac_fastapi.extensions.collection_search.request import BaseCollectionSearchGetRequest
from stac_fastapi.extensions.fields import FieldsConformanceClasses, FieldsExtension
from stac_fastapi.extensions.filter import (
    FilterConformanceClasses,
    ItemCollectionFilterExtension,
    SearchFilterExtension,
)
from stac_fastapi.extensions.free_text import FreeTextConformanceClasses, FreeTextExtension
from stac_fastapi.extensions.pagination import TokenPaginationExtension
from stac_fastapi.extensions.query import QueryExtension
from stac_fastapi.extensions.sort import ItemCollectionSortExtension, SearchSortExtension, SortConformanceClasses
from stac_fastapi.types.extension import ApiExtension
from stac_fastapi.types.search import APIRequest, BaseSearchPostRequest, Limit

from catalog.client import COLLECTIONS_LIMIT, CatalogClient
from catalog.document import Document
from catalog.queryables import SchemasClient
from catalog.search import PAGE_LIMIT

CHILDREN = "https://api.stacspec.org/v1.0.0-rc.2/children"
SORT_BEFORE = (
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#sort",
)
"""pystac-client knows these only; what they ask for is the same as in version 1.1.0."""
BODY_NESTING = 128
CQL2 = (
    FilterConformanceClasses.FILTER,
    FilterConformanceClasses.CQL2_TEXT,
    FilterConformanceClasses.CQL2_JSON,
    FilterConformanceClasses.BASIC_CQL2,
    FilterConformanceClasses.ADVANCED_COMPARISON_OPERATORS,
    FilterConformanceClasses.CASE_INSENSITIVE_COMPARISON,
    FilterConformanceClasses.ACCENT_INSENSITIVE_COMPARISON,
    FilterConformanceClasses.BASIC_SPATIAL_FUNCTIONS,
    FilterConformanceClasses.BASIC_SPATIAL_FUNCTIONS_PLUS,
    FilterConformanceClasses.SPATIAL_FUNCTIONS,
    FilterConformanceClasses.TEMPORAL_FUNCTIONS,
    FilterConformanceClasses.ARRAY_FUNCTIONS,
    FilterConformanceClasses.PROPERTY_PROPERTY,
    FilterConformanceClasses.ARITHMETIC,
)


class SearchBody(BaseSearchPostRequest):
    """The body of ``POST /search``."""

    @model_validator(mode="before")
    @classmethod
    def validate_spatial(cls, values: Any) -> Any:
        """Refuse bbox together with intersects; a body that is no object is refused by its type."""
        if isinstance(values, dict):
            if values.get("intersects") is not None and values.get("bbox") is not None:
                raise ValueError("intersects and bbox cannot be asked together")
            if "fields" in values and values["fields"] is None:
                raise ValueError("fields must be an object with include and exclude")
            _check_nesting(values)
        return values

    @field_validator("collections", mode="before", check_fields=False)
    @classmethod
    def accept_one_collection(cls, value: Any) -> Any:
        """Take a text as a list of one: clients write so."""
        return [value] if isinstance(value, str) else value


def _check_nesting(body: Any) -> None:
    """Refuse a body that nests so deep that pydantic could not write it again; without recursion."""
    todo: list[tuple[Any, int]] = [(body, 0)]
    while todo:
        node, depth = todo.pop()
        if depth > BODY_NESTING:
            raise ValueError("the body is nested too deep")
        if isinstance(node, (dict, list)):
            todo += [(part, depth + 1) for part in (node.values() if isinstance(node, dict) else node)]


class FilterBody(BaseModel):
    """The filter in the body of ``POST /search``: an object is CQL2 JSON, a text CQL2 text."""

    filter_expr: Document | str | None = Field(None, alias="filter", description="A CQL2 filter.")
    filter_crs: str | None = Field(None, alias="filter-crs", description="The CRS of its geometries: only CRS 84.")
    filter_lang: Literal["cql2-json", "cql2-text"] | None = Field(
        None, alias="filter-lang", description="The language of the filter, where it is a text."
    )


class SearchFilter(SearchFilterExtension):
    """The filter extension, whose POST model takes a text too."""

    POST = FilterBody


@attr.s
class CollectionsRequest(BaseCollectionSearchGetRequest):
    """The parameters of ``GET /collections``."""

    limit: Annotated[Limit | None, Query(description="Collections of a page.")] = attr.ib(default=COLLECTIONS_LIMIT)


@attr.s
class ChildrenRequest(APIRequest):
    """The parameters of ``GET /children``."""

    limit: Annotated[Limit | None, Query(description="Children of a page.")] = attr.ib(default=PAGE_LIMIT)
    token: Annotated[str | None, Query(description="From the next link of the page before.")] = attr.ib(default=None)


class ChildrenExtension(ApiExtension):
    """``GET /children`` (https://github.com/stac-api-extensions/children)."""

    def __init__(self, client: CatalogClient) -> None:
        super().__init__()
        self.conformance_classes = [CHILDREN]
        self._client = client

    def register(self, app: FastAPI) -> None:
        """Add the endpoint."""
        endpoint = create_async_endpoint(self._client.children, ChildrenRequest)
        app.add_api_route("/children", endpoint, name="Children", methods=["GET"], tags=["Children"])


class CollectionSearch(ApiExtension):
    """The classes of a search for collections; its parameters are those of `CollectionsRequest`."""

    def __init__(self) -> None:
        super().__init__()
        self.conformance_classes = [
            CollectionSearchConformanceClasses.COLLECTIONSEARCH,
            CollectionSearchConformanceClasses.BASIS,
            FreeTextConformanceClasses.COLLECTIONS,
        ]

    def register(self, app: FastAPI) -> None:
        """Add nothing: the endpoint is there anyway."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """The extensions of each endpoint."""

    of_search: list[ApiExtension]
    of_items: list[ApiExtension]
    of_aggregations: list[ApiExtension]
    of_collections: Any
    """The request model of ``GET /collections``."""
    others: list[ApiExtension]

    @property
    def all(self) -> list[ApiExtension]:
        """Return every extension."""
        return [*self.of_search, *self.of_items, *self.others]


def extensions(client: CatalogClient, schemas: SchemasClient) -> Extensions:
    """Return what the API offers beyond its core."""
    paging = TokenPaginationExtension()
    words = FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.SEARCH])
    words_of_items = FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.ITEMS])
    sort = [SortConformanceClasses.ITEM_SEARCH_SORT, SortConformanceClasses.ITEM_SEARCH_SORTABLES]
    sort_items = [SortConformanceClasses.FEATURES_SORT, SortConformanceClasses.FEATURES_SORTABLES]
    counted: list[ApiExtension] = [
        QueryExtension(),
        SearchFilter(client=schemas, conformance_classes=[*CQL2, FilterConformanceClasses.SEARCH]),
        words,
    ]
    return Extensions(
        of_search=[
            FieldsExtension(conformance_classes=[FieldsConformanceClasses.SEARCH]),
            SearchSortExtension(client=schemas, conformance_classes=[*sort, SORT_BEFORE[0]]),
            *counted,
            paging,
        ],
        of_aggregations=counted,
        of_items=[
            FieldsExtension(conformance_classes=[FieldsConformanceClasses.ITEMS]),
            ItemCollectionSortExtension(client=schemas, conformance_classes=[*sort_items, SORT_BEFORE[1]]),
            ItemCollectionFilterExtension(client=schemas, conformance_classes=[*CQL2, FilterConformanceClasses.ITEMS]),
            words_of_items,
            paging,
        ],
        of_collections=create_request_model(
            "CollectionsRequest",
            base_model=CollectionsRequest,
            extensions=[FreeTextExtension(), paging],
            request_type="GET",
        ),
        others=[CollectionSearch(), ChildrenExtension(client)],
    )
