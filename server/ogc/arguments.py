"""Which parameters did the client give to a data query, wherever it wrote them?

In the query string (GET), or in the body of a POST: as a form (the QGIS plugin) or as JSON (EDR 1.2). The result is
one text a name, which `plugins.datacube.parse` reads; it knows the aliases that clients use.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import parse_qsl

import orjson

from plugins.datacube.errors import InvalidQueryError
from server.ogc.messages import OgcRequest

MAX_FIELDS = 64
FORM = "application/x-www-form-urlencoded"
JSON_TYPES = frozenset({"application/json", "text/json"})


def query_arguments(request: OgcRequest) -> dict[str, str]:
    """Return the parameters of a data query as texts by name.

    Raises
    ------
    InvalidQueryError
        If a parameter is given twice, or the body is not what its type says.
    """
    arguments = request.single()
    if request.method == "POST":
        for name, value in body_arguments(request).items():
            if name in arguments:
                raise InvalidQueryError(name, f"the parameter {name[:64]} stands both in the address and in the body")
            arguments[name] = value
    return arguments


def body_arguments(request: OgcRequest) -> dict[str, str]:
    """Return the parameters in the body of a POST.

    A body without a type, or with one that says nothing, is taken for what it looks like.
    """
    body = request.body.strip()
    if not body:
        return {}
    kind = (request.content_type or "").split(";")[0].strip().lower()
    if kind in JSON_TYPES or kind.endswith("+json") or (kind != FORM and body.startswith(b"{")):
        return json_arguments(body)
    if kind in (FORM, "", "text/plain", "application/octet-stream"):
        return form_arguments(body)
    raise InvalidQueryError(
        "Content-Type", f"a body of type {kind[:64]!r} is not read here", f"{FORM} or application/json"
    )


def form_arguments(body: bytes) -> dict[str, str]:
    """Read a form (``application/x-www-form-urlencoded``)."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise InvalidQueryError("body", "the body is not a form", f"{FORM}: name=value&name=value") from error
    arguments: dict[str, str] = {}
    for name, value in pairs:
        if name in arguments:
            raise InvalidQueryError(name, f"the parameter {name[:64]} was given more than once", "one value")
        arguments[name] = value
    return arguments


def json_arguments(body: bytes) -> dict[str, str]:
    """Read a JSON object of parameters; a list stands for its members with commas between."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidQueryError("body", "the body is not JSON", "an object of query parameters") from error
    if not isinstance(document, dict) or len(document) > MAX_FIELDS:
        raise InvalidQueryError("body", "the body is not an object of query parameters", '{"coords": "POINT(-30 0)"}')
    return {name: json_text(name, value) for name, value in document.items()}


def json_text(name: str, value: Any) -> str:
    """Return a JSON value as the text it would be in a query string."""
    if isinstance(value, list):
        return ",".join(json_scalar(name, member) for member in value)
    return json_scalar(name, value)


def json_scalar(name: str, value: Any) -> str:
    """Return a text or a finite number as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return repr(value)
    raise InvalidQueryError(name, f"the parameter {name[:64]} is neither text nor number", "text, a number, or a list")
