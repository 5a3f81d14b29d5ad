"""Is a document valid STAC 1.1.0, and what is wrong with it?

Against the schemas of the core, which come with pystac, so nothing is fetched. The schemas of extensions are not among
them; what an extension asks for is not checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from catalog.document import STAC_VERSION, Document
from catalog.footprints import footprint_of
from plugins.datacube.errors import InvalidQueryError

KINDS = {"Collection": "collection", "Feature": "item", "Catalog": "catalog"}
ID_LENGTH = 512
"""Bytes of an id: it stands in an address."""
_WORDS = 200


def problem_with(document: Any) -> str | None:
    """Return what is wrong with a Collection, Item or Catalog, in one sentence; None where it is valid."""
    if not isinstance(document, dict) or document.get("type") not in KINDS:
        return "it is no STAC Collection, Item or Catalog"
    if document.get("stac_version") != STAC_VERSION:
        return f"its stac_version is not {STAC_VERSION}"
    if (wrong := problem_with_id(document.get("id"))) is not None:
        return wrong
    found = best_match(_validator(KINDS[document["type"]]).iter_errors(document))
    if found is not None:
        where = ".".join(str(step) for step in found.absolute_path)
        return f"{where or 'it'}: {found.message[:_WORDS]}"
    if document["type"] == "Feature":
        try:
            footprint_of(document)
        except InvalidQueryError as error:
            return error.detail
    return None


def problem_with_id(identifier: Any) -> str | None:
    """Return why a text cannot be the id of a collection or item, or None."""
    if not isinstance(identifier, str) or not identifier or len(identifier.encode("utf-8", "replace")) > ID_LENGTH:
        return f"its id is no text of 1 to {ID_LENGTH} bytes"
    if "/" in identifier or identifier in (".", "..") or not identifier.isprintable():
        return "its id has a character that cannot stand in an address"
    return None


@cache
def _validator(kind: str) -> Draft7Validator:
    schemas: Mapping[str, Any] = get_local_schema_cache()
    draft = "http://json-schema.org/draft-07/schema#"
    registry: Registry[Any] = Registry().with_resources(
        [(uri, Resource.from_contents({"$schema": draft, **schema})) for uri, schema in schemas.items()]
    )
    uri = f"https://schemas.stacspec.org/v{STAC_VERSION}/{kind}-spec/json-schema/{kind}.json"
    return Draft7Validator(schemas[uri], registry=registry)


def sound_item(item: Any, collection: str) -> Document:
    """Return an item of a bulk load, if the index and the API can carry it; what it misses is filled in.

    Much quicker than the schemas, which take milliseconds an item: its date and geometry are read when it is written.

    Raises
    ------
    InvalidQueryError
        If it is no item of the collection.
    """
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise InvalidQueryError("body", "something is no STAC Item", "Features of STAC")
    name = item.get("id")
    if (wrong := problem_with_id(name)) is not None:
        raise InvalidQueryError("id", f"an item cannot be kept: {wrong}")
    if item.get("collection", collection) != collection:
        raise InvalidQueryError("collection", f"the item {name!r} is of another collection", repr(collection))
    for member, kind, default in (("properties", dict, None), ("links", list, []), ("assets", dict, {})):
        if not isinstance(item.get(member, default), kind):
            raise InvalidQueryError(member, f"{member} of the item {name!r} is no {_JSON[kind]}")
    things = [*item.get("links", ()), *item.get("assets", {}).values()]
    if not all(isinstance(thing, dict) and isinstance(thing.get("href"), str) for thing in things):
        raise InvalidQueryError("href", f"a link or an asset of the item {name!r} has no href")
    return {"stac_version": STAC_VERSION, "links": [], "assets": {}, **item, "collection": collection}


_JSON: dict[type, str] = {dict: "object", list: "array"}
