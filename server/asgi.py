"""How does an HTTP request become a call of an API function, and its response bytes on the wire?

Everything that is about HTTP and not about the standards stands here: threads, streaming, the client that goes away,
bodies that are too large, errors as problem documents, HTML for browsers.
"""

from __future__ import annotations

import asyncio
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
from server.pages.render import HEADERS
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
            wants_html = html and _prefers_html(request)
            try:
                message = await self._message(request, cancel)
                if wants_html:
                    message = _as_json(message)
                work = partial(function, message, **request.path_params)
                if reads_data:
                    response = await _run_watched(request, cancel, work, limiter)
                else:
                    response = await anyio.to_thread.run_sync(work, limiter=limiter)
                if wants_html:
                    return await self._page(message, response)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as error:  # noqa: BLE001 - the one place where every error becomes a problem document
                problem = _problem(request, error)
                if not wants_html:
                    return await self._send(request, problem, limiter, cancel)
                shown = OgcRequest("GET", request.url.path, {}, self.urls)
                return await self._page(shown, problem)
            return await self._send(request, response, limiter, cancel)

        return endpoint

    async def _page(self, message: OgcRequest, response: OgcResponse) -> Response:
        """Send a JSON document as a page; what has no body (204, 304) as it is."""
        if not isinstance(response.body, bytes) or not response.body:
            return Response(b"", response.status, dict(response.headers))
        page = await anyio.to_thread.run_sync(self.render, message, response, limiter=self.metadata)
        kept = {k: v for k, v in response.headers.items() if k.lower() not in ("content-type", "etag")}
        return Response(page, response.status, {**kept, **HEADERS, "Vary": "Accept"})

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
            path=request.scope["path"],  # `request.url` is assembled from many parts, and asks for none of them
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
        if request.method == "HEAD":
            if not isinstance(response.body, bytes):
                _close(response.body)
            head = Response(b"", response.status, headers)
            # The length of an answer that was not made is not known, and certainly not nought.
            del head.headers["Content-Length"]
            return head
        if isinstance(response.body, bytes):
            return Response(response.body, response.status, headers)
        return StreamingResponse(_stream(response.body, limiter, cancel), response.status, headers)


def _problem(request: Request, error: Exception) -> OgcResponse:
    status, headers, body = problem_for(error, request.url.path)
    if isinstance(error, BodyTooLargeError):
        status = 413
        body = orjson.dumps({**orjson.loads(body), "status": 413, "title": "Content Too Large"})
    return OgcResponse(status, headers, body)


def _prefers_html(request: Request) -> bool:
    """Return whether the client wants a page: ``f=html``, or an Accept header that puts text/html first."""
    wanted = request.query_params.get("f")
    if wanted:
        return wanted.lower() in ("html", "text/html")
    first = request.headers.get("accept", "").split(",")[0].split(";")[0].strip().lower()
    return first in ("text/html", "application/xhtml+xml")


def _as_json(message: OgcRequest) -> OgcRequest:
    """Return the request for the document that a page is made of; a HEAD too needs it whole."""
    query = {name: values for name, values in message.query.items() if name != "f"}
    method = "GET" if message.method == "HEAD" else message.method
    return replace(message, method=method, query=query, accept=None)


async def _run_watched(
    request: Request, cancel: Cancel, work: Callable[[], OgcResponse], limiter: anyio.CapacityLimiter
) -> OgcResponse:
    """Run `work` in a thread, and cancel it when the client goes away while nothing has been sent yet."""

    async def watch() -> None:
        while not await request.is_disconnected():  # noqa: ASYNC110 - ASGI has no event for it
            await anyio.sleep(DISCONNECT_POLL_SECONDS)
        cancel.cancel()

    watching: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    # Most answers are there before the first look: they pay for a timer, not for a task.
    timer = loop.call_later(DISCONNECT_POLL_SECONDS, lambda: watching.append(loop.create_task(watch())))
    try:
        return await anyio.to_thread.run_sync(work, limiter=limiter)
    finally:
        timer.cancel()
        for task in watching:
            task.cancel()


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
