"""What does an API function take and give, without any web framework?

Every API function of `server.ogc` has one shape: it takes an `OgcRequest` (and the identifiers of the path) and gives
an `OgcResponse`, or raises an error of `plugins.datacube.errors`. The application turns its framework's request into
the one and the other into its framework's response; tests call the functions directly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

import orjson

from catalog.links import FrontUrls
from plugins.datacube.cancel import Cancel
from plugins.datacube.errors import InvalidQueryError


@dataclass(frozen=True, slots=True)
class OgcRequest:
    """One HTTP request, as far as an API function needs to know it."""

    method: str
    """``GET``, ``HEAD``, ``POST``, ``DELETE``, in capitals."""
    path: str
    """Path of the URL as it came, without the query."""
    query: Mapping[str, Sequence[str]]
    """Decoded query parameters: every value of every name, in the order they were sent."""
    base: FrontUrls
    """Where the fronts are for this client."""
    accept: str | None = None
    """The ``Accept`` header."""
    body: bytes = b""
    content_type: str | None = None
    """The ``Content-Type`` header of the body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The other headers, with names in lower case (``if-none-match``, ``prefer``)."""
    cancel: Cancel = field(default_factory=Cancel)
    """Cancelled by the application when the client goes away: work for this request ends there."""

    def single(self) -> dict[str, str]:
        """Return the query parameters as one value a name.

        Raises
        ------
        InvalidQueryError
            If a parameter was given twice: which one is meant cannot be known.
        """
        for name, values in self.query.items():
            if len(values) > 1:
                raise InvalidQueryError(name, f"the parameter {name} was given {len(values)} times", "one value")
        return {name: values[0] for name, values in self.query.items() if values}

    @property
    def url(self) -> str:
        """The address of the request as the client should use it again, with its query."""
        query = urlencode([(name, value) for name, values in self.query.items() for value in values])
        return f"{self.base.base}{self.path}" + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class OgcResponse:
    """One HTTP response; a body in blocks is sent block by block."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Including ``Content-Type``; ``Content-Length`` is left to the application."""
    body: bytes | Iterator[bytes] = b""
    """An iterator is consumed in a worker thread, and closed (`close()`) when the client goes away."""

    def content(self) -> bytes:
        """Return the whole body, consuming it: for tests and for small answers."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)


def json_response(
    document: object,
    *,
    status: int = 200,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> OgcResponse:
    """Return a JSON document as a response; NaN and infinity become null (RFC 8259 has no others)."""
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return OgcResponse(status, {"Content-Type": media_type, **(headers or {})}, body)
