"""By what can the items of the catalogue, or of one collection, be filtered and sorted?

JSON Schemas, made from the items that are there: the properties that they carry, and what their ``cube:variables`` and
``cube:dimensions`` say. Other names may be used as well; an item without the property does not match.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stac_fastapi.extensions.filter.client import AsyncBaseFiltersClient
from stac_fastapi.extensions.sort.client import AsyncBaseSortablesClient
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from catalog.client import CatalogClient
from catalog.document import Document
from catalog.filter_values import DATED, is_name
from catalog.repository import Repository
from catalog.served import SCHEMA, respond

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES_LIMIT = 1_000
VALUES_LIMIT = 200
_DATE = {"type": "string", "format": "date-time"}
_ALWAYS: Document = {
    "id": {"title": "Identifier of the item", "type": "string"},
    "collection": {"title": "Identifier of its collection", "type": "string"},
    "geometry": {
        "title": "Footprint of the item, in longitude and latitude",
        "$ref": "https://geojson.org/schema/Geometry.json",
    },
    "datetime": {
        "title": "Date of the item",
        "description": "In comparisons the start where an item has a period; in temporal functions the whole period",
        **_DATE,
    },
}
_TYPES = {bool: "boolean", int: "number", float: "number", str: "string"}


class SchemasClient(AsyncBaseFiltersClient, AsyncBaseSortablesClient):
    """The answers of ``/queryables`` and ``/sortables``, as stac-fastapi's filter and sort extensions ask for them."""

    def __init__(self, repository: Repository, client: CatalogClient) -> None:
        super().__init__()
        self._repository = repository
        self._client = client

    async def get_queryables(self, collection_id: str | None = None, **kwargs: Any) -> Any:
        """``GET /queryables`` and ``GET /collections/{id}/queryables``."""
        return await self._schema("queryables", collection_id, kwargs["request"])

    async def get_sortables(self, request: Request | None = None, **_: Any) -> Any:
        """``GET /sortables``."""
        return await self._schema("sortables", None, request)

    async def get_collection_sortables(self, collection_id: str, request: Request | None = None, **_: Any) -> Any:
        """``GET /collections/{id}/sortables``."""
        return await self._schema("sortables", collection_id, request)

    async def _schema(self, kind: str, collection_id: str | None, request: Request | None) -> Any:
        assert request is not None  # noqa: S101 - stac-fastapi's types do not say it
        if collection_id is not None:
            await self._client.collection(collection_id)
        samples = await run_in_threadpool(self._repository.samples, collection_id)
        urls = self._client.urls(request)
        above = urls.stac if collection_id is None else urls.stac_collection(collection_id)
        found = queryables(samples) if kind == "queryables" else sortables(samples)
        document = {
            "$schema": DIALECT,
            "$id": f"{above}/{kind}",
            "type": "object",
            "title": f"{kind.capitalize()} of {collection_id or 'the catalogue'}",
            "properties": found,
            "additionalProperties": True,
        }
        return respond(document, SCHEMA)


def queryables(samples: Iterable[Document]) -> Document:
    """Return a schema for each name, from the properties of some items."""
    found: Document = dict(_ALWAYS)
    values: dict[str, list[Any]] = {}
    for properties in samples:
        for name, value in properties.items():
            if name in DATED:
                found.setdefault(name, {"title": _title(name), **_DATE})
            elif type(value) in _TYPES:
                found.setdefault(name, {"title": _title(name), "type": _TYPES[type(value)]})
            elif isinstance(value, list):
                found.setdefault(name, {"title": _title(name), "type": "array"})
        for name, part in _cube(properties):
            known = values.setdefault(name, [])
            known += [value for value in part if value not in known]
        if len(found) + len(values) > NAMES_LIMIT:
            break
    found |= {name: _listed(name, seen) for name, seen in values.items()}
    return {name: schema for name, schema in list(found.items())[:NAMES_LIMIT] if is_name(name)}


def sortables(samples: Iterable[Document]) -> Document:
    """Return the schemas of the names by which can be sorted: those with one value an item."""
    schemas = queryables(samples)
    return {name: schema for name, schema in schemas.items() if schema.get("type") in ("string", "number", "boolean")}


def _cube(properties: Document) -> Iterable[tuple[str, list[Any]]]:
    """Yield the names that a datacube's description adds, with their values."""
    variables, dimensions = properties.get("cube:variables"), properties.get("cube:dimensions")
    if isinstance(variables, dict):
        yield "cube:variables", list(variables)
        for name, variable in variables.items():
            if isinstance(variable, dict) and isinstance(unit := variable.get("unit"), str):
                yield f"cube:variables.{name}.unit", [unit]
    if isinstance(dimensions, dict):
        yield "cube:dimensions", list(dimensions)
        for name, dimension in dimensions.items():
            listed = dimension.get("values") if isinstance(dimension, dict) else None
            if isinstance(listed, list):
                yield f"cube:dimensions.{name}.values", listed


def _listed(name: str, values: list[Any]) -> Document:
    """Return the schema of a name that has been seen with these values."""
    title = _title(name)
    one: Document = {"type": _TYPES.get(type(values[0]), "string")} if values else {}
    if values and len(values) <= VALUES_LIMIT:
        one["enum"] = values
    if name.endswith(".unit"):
        return {"title": title, **one}
    return {"title": title, "type": "array", "items": one}


def _title(name: str) -> str:
    match name.split("."):
        case ["cube:variables"]:
            return "Variables of the datacube, for array functions"
        case ["cube:dimensions"]:
            return "Dimensions of the datacube, for array functions"
        case ["cube:variables", *parts, "unit"]:
            return f"Unit of the variable {'.'.join(parts)}"
        case ["cube:dimensions", *among, "values"]:
            return f"Values along the dimension {'.'.join(among)}, for array functions"
        case _:
            return name.replace("_", " ").replace(":", " ").capitalize()
