"""Who may write to the catalogue?

ASGI middleware of the STAC API: a request that writes must carry the key of the configuration as bearer token
(RFC 6750). It is judged before its body is read. Without a key there are no writers, and no address to write to.
"""

from __future__ import annotations

import hmac
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog.failures import WRITES, problem

_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_READING = frozenset({"/search"})
"""What is asked by POST without being changed; aggregations are, too."""


class Writers:
    """ASGI middleware: let those write who have the key."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 401 or 403."""
        if scope["type"] != "http" or scope["method"] not in _WRITING or _reads(scope):
            await self._app(scope, receive, send)
            return
        kind, _, token = (Headers(scope=scope).get("authorization") or "").strip().partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._key):
            await self._app({**scope, WRITES: True}, receive, send)
            return
        refusal = problem(
            Request(scope),
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "to write to the catalogue takes its key as bearer token",
            headers={"WWW-Authenticate": 'Bearer realm="catalogue"'},
        )
        await refusal(scope, receive, send)


def _reads(scope: Scope) -> bool:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return path in _READING or path.endswith(("/aggregate", "/aggregations"))
