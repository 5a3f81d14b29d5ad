"""How does the OpenAPI document read in version 3.1, whose schemas are JSON Schema 2020-12?

The requirements class OAS31 of EDR 1.2. There is one document, made for 3.0; this is its translation:

- an example in a schema becomes the first of ``examples``;
- ``nullable`` becomes the type ``null`` beside the others;
- an exclusive bound is a number instead of a mark on the other bound;
- bytes are no string of ``format: binary``: a body without a schema is what its media type says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "3.1.0"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BOUNDS: Final = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
SCHEMAS: Final = ("items", "additionalProperties", "not")
LISTS: Final = ("oneOf", "anyOf", "allOf")


def translated(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI 3.0 document as one of 3.1; the document itself is not changed."""
    schemas = document["components"]["schemas"]
    found: dict[str, Any] = walked({**document, "components": {**document["components"], "schemas": {}}})
    licence = found["info"].get("license")
    info = {**found["info"], "summary": found["info"]["title"]}
    if licence is not None:
        # An identifier of SPDX, or an address: both would be an error.
        info["license"] = {"name": licence["name"], "identifier": licence["name"]}
    components = {**found["components"], "schemas": {name: schema(shape) for name, shape in schemas.items()}}
    return {**found, "openapi": VERSION, "jsonSchemaDialect": DIALECT, "info": info, "components": components}


def walked(value: Any) -> Any:
    """Return a part of the document with every ``schema`` in it translated."""
    if isinstance(value, Mapping):
        return {
            name: schema(member) if name == "schema" and isinstance(member, Mapping) else walked(member)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [walked(member) for member in value]
    return value


def schema(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema object of OpenAPI 3.0 as JSON Schema 2020-12.

    Examples
    --------
    >>> schema({"type": "number", "nullable": True, "minimum": 0, "exclusiveMinimum": True, "example": 1})
    {'type': ['number', 'null'], 'exclusiveMinimum': 0, 'examples': [1]}
    """
    if shape.get("format") == "binary":
        return {}
    found = dict(shape)
    if found.pop("nullable", False) and "type" in found:
        found["type"] = [found["type"], "null"]
    for bound, exclusive in BOUNDS:
        if found.get(exclusive) is True:
            found[exclusive] = found.pop(bound)
        elif found.get(exclusive) is False:
            del found[exclusive]
    if "example" in found:
        found["examples"] = [found.pop("example")]
    for name in SCHEMAS:
        if isinstance(found.get(name), Mapping):
            found[name] = schema(found[name])
    for name in LISTS:
        if name in found:
            found[name] = [schema(member) for member in found[name]]
    if "properties" in found:
        found["properties"] = {name: schema(member) for name, member in found["properties"].items()}
    return found
