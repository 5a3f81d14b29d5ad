"""How is a schema of JSON Schema 2020-12 written in the older words of OpenAPI 3.0?

Processes may describe their inputs by JSON Schema; the document in version 3.0 knows no lists of types, no ``const``,
no ``examples`` and no exclusive bounds that are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.ogc.openapi31 import BOUNDS, LISTS, SCHEMAS


def schema(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of JSON Schema as a schema object of OpenAPI 3.0, which allows the same values.

    Examples
    --------
    >>> schema({"type": ["string", "null"], "examples": ["a", "b"]})
    {'type': 'string', 'nullable': True, 'example': 'a'}
    >>> schema({"const": "Point"}), schema({"type": ["string", "number"]})
    ({'enum': ['Point']}, {'anyOf': [{'type': 'string'}, {'type': 'number'}]})
    """
    found = dict(shape)
    if isinstance(found.get("type"), list):
        types = [name for name in found["type"] if name != "null"]
        if len(types) < len(found["type"]):
            found["nullable"] = True
        if len(types) == 1:
            found["type"] = types[0]
        else:
            del found["type"]
            found["anyOf"] = [{"type": name} for name in types]
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if examples := found.pop("examples", None):
        found["example"] = examples[0]
    for bound, exclusive in BOUNDS:
        if isinstance(found.get(exclusive), int | float) and not isinstance(found[exclusive], bool):
            found[bound], found[exclusive] = found[exclusive], True
    for name in SCHEMAS:
        if isinstance(found.get(name), Mapping):
            found[name] = schema(found[name])
    for name in LISTS:
        if name in found:
            found[name] = [schema(member) for member in found[name]]
    if "properties" in found:
        found["properties"] = {name: schema(member) for name, member in found["properties"].items()}
    return found
