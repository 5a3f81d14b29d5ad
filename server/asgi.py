"""How does an HTTP request become a call of an API function, and its response bytes on the wire?

Everything that is about HTTP and not about the standards stands here: threads, streaming, the client that goes away,
bodies that are too large, errors as problem documents, HTML for browsers.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from catalog.links import FrontUrls
from plugins.datacube.cancel import Cancel
from plugins.datacube.errors import InvalidQueryError, IsoplethError
from server.ogc.messages import OgcRequest, OgcResponse
from server.problems import problem_for

DISCONNECT_POLL_SECONDS = 0.25

type ApiFunction = Callable[..., OgcResponse]
type Renderer = Callable[[OgcRequest, OgcResponse], str]


class BodyTooLargeError(InvalidQueryError):
    """The request's body is larger than the server reads."""

    code = "body-too-large"


@dataclass(frozen=True, slots=True)
class Transport:
    """What all endpoints share."""

    urls: FrontUrls
    metadata: anyio.CapacityLimiter
    """Threads of the quick functions; data never uses them, so metadata never waits for data."""
    data: anyio.CapacityLimiter
    """Threads that read and encode."""
    render: Renderer
    """A JSON response as an HTML page, for browsers."""
    body_limit: int
    """Bytes of a request's body."""

    def endpoint(
        self, function: ApiFunction, *, reads_data: bool = False, html: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a Starlette endpoint for an API function.

        Parameters
        ----------
        function : callable
            ``function(request: OgcRequest, **path_parameters) -> OgcResponse``; blocking, called in a thread.
        reads_data : bool
            Whether it belongs to the data threads, and is cancelled when the client goes away.
        html : bool
            Whether a browser gets the JSON answer as a page.
        """
        limiter = self.data if reads_data else self.metadata

        async def endpoint(request: Request) -> Response:
            cancel = Cancel()
            try:
                message = await self._message(request, cancel)
                wants_html = html and _prefers_html(message)
                if wants_html:
                    message = _as_json(message)
                work = partial(function, message, **request.path_params)
                if reads_data:
                    response = await _run_watched(request, cancel, work, limiter)
                else:
                    response = await anyio.to_thread.run_sync(work, limiter=limiter)
                if wants_html and _is_json(response):
                    page = await anyio.to_thread.run_sync(lambda: self.render(message, response), limiter=self.metadata)
                    kept = {k: v for k, v in response.headers.items() if k.lower() not in ("content-type", "etag")}
                    headers = {**kept, "Content-Type": "text/html; charset=utf-8", "Vary": "Accept"}
                    return Response(page, response.status, headers)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as error:  # noqa: BLE001 - the one place where every error becomes a problem document
                return self._problem(request, error)
            return await self._send(request, response, limiter, cancel)

        return endpoint

    async def _message(self, request: Request, cancel: Cancel) -> OgcRequest:
        query: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            query.setdefault(name, []).append(value)
        body = b""
        if request.method in ("POST", "PUT", "PATCH"):
            parts, size = [], 0
            async for part in request.stream():
                size += len(part)
                if size > self.body_limit:
                    raise BodyTooLargeError("body", f"the body is larger than {self.body_limit} bytes")
                parts.append(part)
            body = b"".join(parts)
        return OgcRequest(
            method=request.method,
            path=request.url.path,
            query=query,
            base=self.urls,
            accept=request.headers.get("accept"),
            body=body,
            content_type=request.headers.get("content-type"),
            headers={k: v for k, v in request.headers.items() if k not in ("accept", "content-type")},
            cancel=cancel,
        )

    async def _send(
        self, request: Request, response: OgcResponse, limiter: anyio.CapacityLimiter, cancel: Cancel
    ) -> Response:
        headers = dict(response.headers)
        if isinstance(response.body, bytes):
            return Response(response.body, response.status, headers)
        if request.method == "HEAD":
            _close(response.body)
            return Response(b"", response.status, headers)
        return StreamingResponse(_stream(response.body, limiter, cancel), response.status, headers)

    def _problem(self, request: Request, error: Exception) -> Response:
        status, headers, body = problem_for(error, request.url.path)
        if isinstance(error, BodyTooLargeError):
            status = 413
            body = orjson.dumps({**orjson.loads(body), "status": 413, "title": "Content Too Large"})
        return Response(body, status, headers)


def _prefers_html(message: OgcRequest) -> bool:
    """Return whether the client wants a page: ``f=html``, or an Accept header that puts text/html first."""
    wanted = message.query.get("f")
    if wanted:
        return wanted[0].lower() in ("html", "text/html")
    first = (message.accept or "").split(",")[0].split(";")[0].strip().lower()
    return first in ("text/html", "application/xhtml+xml")


def _as_json(message: OgcRequest) -> OgcRequest:
    query = {name: values for name, values in message.query.items() if name != "f"}
    return replace(message, query=query, accept=None)


def _is_json(response: OgcResponse) -> bool:
    kind = response.headers.get("Content-Type", "")
    return isinstance(response.body, bytes) and ("json" in kind) and bool(response.body)


async def _run_watched(
    request: Request, cancel: Cancel, work: Callable[[], OgcResponse], limiter: anyio.CapacityLimiter
) -> OgcResponse:
    """Run `work` in a thread, and cancel it when the client goes away while nothing has been sent yet."""

    async def watch() -> None:
        while not await request.is_disconnected():  # noqa: ASYNC110 - ASGI has no event for it
            await anyio.sleep(DISCONNECT_POLL_SECONDS)
        cancel.cancel()

    outcome: OgcResponse | Exception
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        # The group would wrap an exception in an ExceptionGroup: it is carried out by hand.
        try:
            outcome = await anyio.to_thread.run_sync(work, limiter=limiter)
        except Exception as error:  # noqa: BLE001
            outcome = error
        group.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _stream(blocks: Iterator[bytes], limiter: anyio.CapacityLimiter, cancel: Cancel) -> AsyncIterator[bytes]:
    """Yield the blocks; an error aborts the connection, so that a cut body can never pass for a whole one."""
    done = object()
    try:
        while True:
            block: Any = await anyio.to_thread.run_sync(next, blocks, done, limiter=limiter)
            if block is done:
                return
            yield block
    finally:
        cancel.cancel()
        _close(blocks)


def _close(blocks: Iterator[bytes]) -> None:
    close = getattr(blocks, "close", None)
    if close is not None:
        with contextlib.suppress(IsoplethError, ValueError):
            close()
