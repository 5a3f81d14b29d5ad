"""Does the client have this answer already, and does it want the body at all?

ASGI middleware of the STAC API. ``HEAD`` is answered with the headers of ``GET`` (RFC 9110, section 9.3.2); a ``GET``
or ``HEAD`` whose ``If-None-Match`` names the entity tag of the answer gets ``304`` (section 13.1.2). The search is
made either way, since only its answer has a tag: what is saved is the way over the network.
"""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEPT = frozenset({b"etag", b"cache-control", b"vary", b"content-location", b"date", b"expires"})
"""The headers of a 200 that its 304 repeats (RFC 9110, section 15.4.5)."""


def entity_tag(body: bytes) -> str:
    """Return the strong entity tag of an answer.

    Examples
    --------
    >>> entity_tag(b"{}")
    '"2afb9b83f9314e5d029766197f539792"'
    """
    return f'"{blake2b(body, digest_size=16).hexdigest()}"'


def names_tag(header: str, tag: str, *, weak: bool) -> bool:
    """Return whether ``If-Match`` or ``If-None-Match`` names a tag.

    Parameters
    ----------
    header : str
        A list of entity tags, or ``*``.
    tag : str
        The strong tag of what is there.
    weak : bool
        Whether a weak tag of the same text counts: for ``If-None-Match`` (RFC 9110, section 8.8.3.2).

    Examples
    --------
    >>> names_tag('"a", W/"b"', '"b"', weak=True), names_tag('W/"b"', '"b"', weak=False)
    (True, False)
    """
    named = [part.strip() for part in header.split(",")]
    if "*" in named:
        return True
    return tag in named or (weak and f"W/{tag}" in named)


class Conditional:
    """ASGI middleware: ``HEAD`` for every ``GET``, and 304 for what the client has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as GET, and leave the body out where it is not wanted."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        without_body = scope["method"] == "HEAD"
        has = Headers(scope=scope).get("if-none-match")

        async def answer(message: Message) -> None:
            nonlocal without_body
            if message["type"] == "http.response.start":
                tag = MutableHeaders(scope=message).get("etag")
                if has is not None and tag is not None and message["status"] == 200 and names_tag(has, tag, weak=True):
                    without_body = True
                    kept = [(name, value) for name, value in message["headers"] if name.lower() in _KEPT]
                    message = {**message, "status": int(HTTPStatus.NOT_MODIFIED), "headers": kept}
            elif without_body and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, answer)
