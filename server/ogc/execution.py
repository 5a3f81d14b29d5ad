"""What does a client ask for when it executes a process: which inputs, which outputs, how, and when?

The body of ``POST /processes/{id}/execution`` (OGC 18-062r2, clause 7.11) and its ``Prefer`` header (RFC 7240), as
typed values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from plugins.datacube.errors import InvalidQueryError
from plugins.jobs.callbacks import CallbackPolicy
from server.ogc.messages import OgcRequest

MEMBERS = frozenset({"inputs", "outputs", "response", "mode", "id", "subscriber"})
"""Members of an execute request; ``mode`` and ``id`` are of the drafts before 1.0, and only say what is known."""
SUBSCRIBER = ("successUri", "inProgressUri", "failedUri")
MAX_DEPTH = 32
MAX_WAIT = 60.0
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Execution:
    """One execute request."""

    inputs: Mapping[str, Any]
    response: Literal["raw", "document"] = "raw"
    """Requirement /req/core/process-execute-sync-raw-value-one and its neighbours."""
    transmission: Mapping[str, Literal["value", "reference"]] = field(default_factory=dict)
    """By output id; outputs that are not named are left out, none named means all by value."""
    respond_async: bool = False
    wait: float | None = None
    """Seconds that the client is willing to wait before it prefers a 201."""
    idempotency_key: str | None = None
    subscriber: Mapping[str, str] = field(default_factory=dict)
    """Addresses to be told, by member: ``successUri``, ``inProgressUri``, ``failedUri``."""
    fresh: bool = False
    """Whether the work must be done again, though an equal result is there (``Cache-Control: no-cache``)."""
    preferred: tuple[str, ...] = ()
    """The preferences that were understood, for ``Preference-Applied``."""


def parse_execution(request: OgcRequest, outputs: frozenset[str], callbacks: CallbackPolicy | None = None) -> Execution:
    """Read an execute request.

    Parameters
    ----------
    request : OgcRequest
    outputs : frozenset of str
        The outputs of the process.
    callbacks : CallbackPolicy, optional
        Where subscribers may be told something; by default nowhere.

    Raises
    ------
    InvalidQueryError
        If the body is not such a request; the error names the member.
    """
    kind = (request.content_type or "application/json").split(";")[0].strip().lower()
    if kind not in ("application/json", "") and not kind.endswith("+json"):
        raise InvalidQueryError("Content-Type", f"an execute request is JSON, not {kind}", "application/json")
    document = strict_json(request.body)
    if not isinstance(document, dict):
        raise InvalidQueryError("body", "an execute request is a JSON object", '{"inputs": {…}}')
    if unknown := sorted(set(document) - MEMBERS):
        raise InvalidQueryError(unknown[0][:64], f"{unknown[0][:64]!r} is not a member of an execute request",
                                ", ".join(sorted(MEMBERS)))  # fmt: skip
    inputs = document.get("inputs", {})
    if not isinstance(inputs, dict):
        raise InvalidQueryError("inputs", "inputs must be an object: a value for each input's name")
    response = document.get("response", "raw")
    if response not in ("raw", "document"):
        raise InvalidQueryError("response", f"{str(response)[:64]!r} is not a kind of response", "raw, document")
    key = request.headers.get("idempotency-key")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidQueryError("Idempotency-Key", "the key is not 1 to 255 visible ASCII characters")
    respond_async, wait, preferred = preferences(request.headers.get("prefer", ""))
    subscriber = _subscriber(document["subscriber"], callbacks) if "subscriber" in document else {}
    fresh = any(
        part.strip().lower() in ("no-cache", "no-store") for part in request.headers.get("cache-control", "").split(",")
    )
    return Execution(
        inputs=inputs,
        response=response,
        transmission=_transmission(document.get("outputs"), outputs),
        respond_async=respond_async,
        wait=wait,
        idempotency_key=key,
        subscriber=subscriber,
        fresh=fresh,
        preferred=preferred,
    )


def _subscriber(told: Any, callbacks: CallbackPolicy | None) -> dict[str, str]:
    """Return the addresses of a subscriber (clause 7.11.2, schema ``subscriber.yaml``); none of them is opened here."""
    if callbacks is None or not callbacks.enabled:
        raise InvalidQueryError("subscriber", "callbacks are not offered", "leave it out, and ask for the job's status")
    if not isinstance(told, dict) or "successUri" not in told:
        raise InvalidQueryError("subscriber", "a subscriber is an object with a successUri", ", ".join(SUBSCRIBER))
    if unknown := sorted(set(told) - set(SUBSCRIBER)):
        name = unknown[0][:64]
        raise InvalidQueryError("subscriber", f"a subscriber has no member {name!r}", ", ".join(SUBSCRIBER))
    return {name: callbacks.check(name, uri) for name, uri in told.items()}


def strict_json(body: bytes) -> Any:
    """Read JSON as RFC 8259 has it: no NaN, no infinity, not nested beyond any sense.

    Raises
    ------
    InvalidQueryError
        If it is anything else.
    """
    if not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidQueryError("body", f"the body is not JSON (line {error.lineno}, column {error.colno})") from error
    if _depth(document) > MAX_DEPTH:
        raise InvalidQueryError("body", f"the body is nested deeper than {MAX_DEPTH} levels")
    return document


def _depth(document: Any) -> int:
    """Return the depth of a JSON value, without recursion."""
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return depth
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        level = [node for node in below if isinstance(node, dict | list)]
    return depth


def _transmission(wanted: Any, outputs: frozenset[str]) -> dict[str, Literal["value", "reference"]]:
    if wanted is None:
        return {}
    valid = ", ".join(sorted(outputs))
    if isinstance(wanted, list):
        wanted = {str(name.get("id", "")) if isinstance(name, dict) else str(name): {} for name in wanted}
    if not isinstance(wanted, dict):
        raise InvalidQueryError("outputs", "outputs must be an object: {} or a transmissionMode for each", valid)
    chosen: dict[str, Literal["value", "reference"]] = {}
    for name, how in wanted.items():
        if name not in outputs:
            raise InvalidQueryError("outputs", f"there is no output {name[:64]!r}", valid)
        if not isinstance(how, dict):
            raise InvalidQueryError("outputs", f"the output {name!r} needs an object", '{"transmissionMode": "value"}')
        mode = how.get("transmissionMode", "value")
        if mode not in ("value", "reference"):
            raise InvalidQueryError("transmissionMode", f"{str(mode)[:64]!r} is not a mode", "value, reference")
        chosen[name] = mode
    return chosen


def preferences(header: str) -> tuple[bool, float | None, tuple[str, ...]]:
    """Read ``Prefer``: what is not understood is ignored, as RFC 7240 says.

    Returns
    -------
    respond_async : bool
    wait : float or None
        Seconds, at most `MAX_WAIT`.
    understood : tuple of str
        For ``Preference-Applied``.
    """
    respond_async, wait, understood = False, None, []
    for part in header.split(","):
        name, _, value = (text.strip().strip('"') for text in part.split(";")[0].partition("="))
        if name.lower() == "respond-async" and not value:
            respond_async = True
            understood.append("respond-async")
        elif name.lower() == "wait" and re.fullmatch(r"\d{1,9}", value):
            wait = min(float(value), MAX_WAIT)
            understood.append(f"wait={int(value)}")
    return respond_async, wait, tuple(understood)
