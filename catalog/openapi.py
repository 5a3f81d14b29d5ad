"""How does the OpenAPI 3.1 document that FastAPI writes become the 3.0 that OGC API - Features asks for?

Only the words of JSON Schema 2020-12 that FastAPI uses are translated: ``null`` types, ``const``, ``examples``,
``prefixItems`` and numeric exclusive bounds.
"""

from __future__ import annotations

from typing import Any

VERSION = "3.0.3"


def as_openapi_3_0(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document of FastAPI as OpenAPI 3.0; the one given is not changed.

    Examples
    --------
    >>> as_openapi_3_0({"openapi": "3.1.0", "components": {"schemas": {"A": {"const": 1}}}})["components"]
    {'schemas': {'A': {'enum': [1]}}}
    """
    if str(document.get("openapi", "")).startswith("3.0"):
        return document
    translated: dict[str, Any] = _walk(document)
    return {**translated, "openapi": VERSION}


def _walk(node: Any) -> Any:
    """Go down to the schemas, which stand under ``schema`` and in ``components.schemas``."""
    if isinstance(node, list):
        return [_walk(part) for part in node]
    if not isinstance(node, dict):
        return node
    walked = {}
    for key, value in node.items():
        if key == "schema":
            walked[key] = _schema(value)
        elif key == "schemas" and isinstance(value, dict):
            walked[key] = {name: _schema(schema) for name, schema in value.items()}
        elif key in ("example", "examples", "default"):
            walked[key] = value
        else:
            walked[key] = _walk(value)
    return walked


def _schema(schema: Any) -> Any:
    """Translate one schema and those inside it."""
    if not isinstance(schema, dict):
        return {} if schema is True else schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "properties" | "patternProperties":
                result[key] = {name: _schema(part) for name, part in value.items()}
            case "items" | "additionalProperties" | "not":
                result[key] = _schema(value) if isinstance(value, dict) else value
            case "anyOf" | "oneOf" | "allOf":
                result[key] = [_schema(part) for part in value]
            case "prefixItems":
                result["items"] = _either([_schema(part) for part in value])
            case "const":
                result["enum"] = [value]
            case "examples":
                if value:
                    result["example"] = value[0]
            case "exclusiveMinimum" | "exclusiveMaximum":
                bound = "minimum" if key == "exclusiveMinimum" else "maximum"
                result |= {bound: value, key: True}
            case _:
                result[key] = value
    result.pop("patternProperties", None)
    return _nullable(result)


def _either(schemas: list[Any]) -> dict[str, Any]:
    """Return a schema that allows each of several."""
    distinct = [schema for index, schema in enumerate(schemas) if schema not in schemas[:index]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Turn an alternative of type null into ``nullable``."""
    if schema.get("type") == "null":
        return {**{key: value for key, value in schema.items() if key != "type"}, "enum": [None], "nullable": True}
    for word in ("anyOf", "oneOf"):
        options = schema.get(word)
        if not options:
            continue
        real = [option for option in options if option.get("enum") != [None]]
        if len(real) == len(options):
            continue
        rest = {key: value for key, value in schema.items() if key != word}
        if len(real) == 1 and "$ref" not in real[0]:
            return {**real[0], **rest, "nullable": True}
        return {**rest, word: real, "nullable": True}
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        rest = {key: value for key, value in schema.items() if key != "type"}
        nullable = {"nullable": True} if len(kinds) < len(schema["type"]) else {}
        return {**rest, **nullable, **({"type": kinds[0]} if len(kinds) == 1 else {})}
    return schema
