"""How does an HTTP request become a call of an API function, and its response bytes on the wire?

Everything that is about HTTP and not about the standards stands here: threads, streaming, compression, ranges, the
client that goes away, bodies that are too large, errors as problem documents, HTML for browsers.

A response that says ``Accept-Ranges: bytes`` is a file in which its readers seek: it is made whole, sent with its
length, and kept for the ranges that follow, under its strong entity tag.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_plus

import anyio
import anyio.to_thread
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from catalog.links import FrontUrls
from plugins.datacube.cancel import Cancel
from plugins.datacube.errors import InvalidQueryError, IsoplethError, NoDataError
from server.bodies import Body, BodyCache
from server.byte_ranges import UnsatisfiableError, byte_range, still_meant
from server.encodings import MINIMUM, STREAMED, CompressedBlocks, accepted, compressed, compressed_once, compressible
from server.ogc.messages import OgcRequest, OgcResponse
from server.pages.render import HEADERS
from server.problems import problem_for
from server.turns import Turns

DISCONNECT_POLL_SECONDS = 0.25
NOT_OF_THE_PAGE: Final = frozenset({"content-type", "content-disposition", "content-crs", "etag"})
"""Headers of an answer that say nothing of the page about it."""

type ApiFunction = Callable[..., OgcResponse]
type ShortFunction = Callable[..., OgcResponse | Callable[[], OgcResponse] | None]
type Renderer = Callable[[OgcRequest, OgcResponse], str]


class BodyTooLargeError(InvalidQueryError):
    """The request's body is larger than the server reads."""

    code = "body-too-large"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An ASGI application that answers by a function, which makes a response of its errors itself."""

    answer: Callable[[Request], Awaitable[Response]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self.answer(Request(scope, receive, send))
        await response(scope, receive, send)


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
    show: Renderer | None = None
    """An answer with data as an HTML page, for browsers; it is given the headers of the answer, not the data."""
    bodies: BodyCache = field(default_factory=BodyCache)
    """The files that were made for recent answers."""

    turns: Turns = field(default_factory=Turns)
    """The time that the event loop gives to short answers."""

    def endpoint(
        self,
        function: ApiFunction,
        *,
        reads_data: bool = False,
        html: bool = True,
        data_page: bool = False,
        at_once: ShortFunction | None = None,
    ) -> Endpoint:
        """Return an endpoint of a Starlette route for an API function.

        Parameters
        ----------
        function : callable
            ``function(request: OgcRequest, **path_parameters) -> OgcResponse``; blocking, called in a thread.
        reads_data : bool
            Whether it belongs to the data threads, and is cancelled when the client goes away.
        html : bool
            Whether a browser gets the JSON answer as a page.
        data_page : bool
            Whether a browser gets a page about the answer, which then asks for the data itself.
        at_once : callable, optional
            Takes what `function` takes, and is called on the event loop: gives the answer where that is a matter of
            microseconds, or what remains to be done in a thread, or None where `function` is to be called.
        """
        limiter = self.data if reads_data else self.metadata

        async def endpoint(request: Request) -> Response:
            cancel = Cancel()
            as_page = data_page and self.show is not None and request.method in ("GET", "HEAD")
            query = _query(request)
            wants_html = (html or as_page) and _prefers_html(request, query)
            try:
                message = await self._message(request, query, cancel)
                rest: Callable[[], OgcResponse] | None = None
                if at_once is not None and not wants_html:
                    short = await self.turns.take(partial(at_once, message, **request.path_params))
                    if isinstance(short, OgcResponse):
                        return await self._send(request, short, limiter, cancel)
                    rest = short
                call: ApiFunction = partial(function, **request.path_params)
                if wants_html:
                    message = _as_json(message)
                    call = partial(_headers_alone, call) if as_page else call
                elif reads_data:
                    call = partial(self._file, call)
                work = rest or partial(call, message)
                if reads_data:
                    response = await _run_watched(request, cancel, work, limiter)
                else:
                    response = await anyio.to_thread.run_sync(work, limiter=limiter)
                if wants_html:
                    return await self._page(request, message, response, as_page=as_page)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as error:  # noqa: BLE001 - the one place where every error becomes a problem document
                problem = _problem(request, error)
                if wants_html and as_page and isinstance(error, NoDataError):
                    problem = _nothing_there(request, error)
                if not wants_html:
                    return await self._send(request, problem, limiter, cancel)
                shown = OgcRequest("GET", request.url.path, {}, self.urls)
                return await self._page(request, shown, problem)
            return await self._send(request, response, limiter, cancel)

        return Endpoint(endpoint)

    async def _page(
        self, request: Request, message: OgcRequest, response: OgcResponse, *, as_page: bool = False
    ) -> Response:
        """Send a JSON document, or an answer with data, as a page; what has no body (204, 304) as it is."""
        render = self.show if as_page and self.show is not None and response.status == 200 else self.render
        if render is self.render and (not isinstance(response.body, bytes) or not response.body):
            return Response(b"", response.status, dict(response.headers))
        page = await anyio.to_thread.run_sync(render, message, response, limiter=self.metadata)
        kept = {k: v for k, v in response.headers.items() if k.lower() not in NOT_OF_THE_PAGE}
        sent = OgcResponse(response.status, {**kept, **HEADERS, "Vary": "Accept"}, page.encode())
        return await self._send(request, sent, self.metadata, message.cancel)

    def _file(self, call: ApiFunction, message: OgcRequest) -> OgcResponse:
        """Answer by an API function, and a file or a part of it from what has been made of it before."""
        header = message.headers.get("range") if message.method == "GET" else None
        if header is not None or message.method == "HEAD":
            # What it would be costs no reading, and says whether it is here already.
            asked = call(replace(message, method="HEAD"))
            if not _is_file(asked):
                return asked if message.method == "HEAD" else call(message)
            etag = asked.headers["ETag"]
            body = self.bodies.get_or_make(etag, lambda: _made(call, message))
        else:
            asked = call(message)
            if not _is_file(asked):
                return asked
            etag = asked.headers["ETag"]
            body = Body(asked.body)
            self.bodies.put(etag, body)
        wanted = header if still_meant(message.headers.get("if-range"), etag) else None
        return _part(asked, body, wanted, kept=body.size <= self.bodies.capacity)

    async def _message(self, request: Request, query: dict[str, list[str]], cancel: Cancel) -> OgcRequest:
        body = b""
        if request.method in ("POST", "PUT", "PATCH"):
            parts, size = [], 0
            async for part in request.stream():
                size += len(part)
                if size > self.body_limit:
                    raise BodyTooLargeError("body", f"the body is larger than {self.body_limit} bytes")
                parts.append(part)
            body = b"".join(parts)
        headers = dict(request.headers.items())
        return OgcRequest(
            method=request.method,
            path=request.scope["path"],  # `request.url` is assembled from many parts, and asks for none of them
            query=query,
            base=self.urls,
            accept=request.headers.get("accept") if headers.pop("accept", None) is not None else None,
            body=body,
            content_type=request.headers.get("content-type") if headers.pop("content-type", None) is not None else None,
            headers=headers,
            cancel=cancel,
        )

    async def _send(
        self, request: Request, response: OgcResponse, limiter: anyio.CapacityLimiter, cancel: Cancel
    ) -> Response:
        headers = dict(response.headers)
        text = compressible(headers.get("Content-Type", "")) and "Content-Encoding" not in headers
        if text or response.status == HTTPStatus.NOT_MODIFIED:
            headers["Vary"] = ", ".join(filter(None, (headers.get("Vary"), "Accept-Encoding")))
        if request.method == "HEAD":
            if not isinstance(response.body, bytes):
                _close(response.body)
            head = Response(b"", response.status, headers)
            if "Content-Length" not in headers:
                # The length of an answer that was not made is not known, and certainly not nought.
                del head.headers["Content-Length"]
            return head
        wanted = request.headers.get("accept-encoding", "") if text else ""
        body = response.body
        if isinstance(body, bytes):
            coding = accepted(wanted) if wanted and len(body) > MINIMUM and not self._crowded(limiter) else None
            if coding is not None:
                headers["Content-Encoding"] = coding
                # The same documents are sent again and again; two answers with data are hardly ever the same.
                pack = compressed if limiter is self.data else compressed_once
                body = await anyio.to_thread.run_sync(pack, body, coding, limiter=limiter)
            return Response(body, response.status, headers)
        coding = accepted(wanted, STREAMED) if wanted and not self._crowded(limiter) else None
        if coding is not None:
            headers["Content-Encoding"] = coding
            body = CompressedBlocks(body, coding)
        return StreamingResponse(_stream(body, limiter, cancel), response.status, headers)

    def _crowded(self, limiter: anyio.CapacityLimiter) -> bool:
        """While others wait for a thread, none is spent on compressing what is read from data."""
        return limiter is self.data and limiter.statistics().tasks_waiting > 0


def _headers_alone(call: ApiFunction, message: OgcRequest) -> OgcResponse:
    """Return what an answer as CoverageJSON would be, without reading data."""
    headers = {name: text for name, text in message.headers.items() if name != "if-none-match"}
    query = {**message.query, "f": ["CoverageJSON"]}
    asked = replace(message, method="HEAD", query=query, headers=headers)
    found = call(asked)
    # What is refused is refused without reading, and only an answer to a GET says why.
    return found if found.status == HTTPStatus.OK else call(replace(asked, method="GET"))


def _is_file(response: OgcResponse) -> bool:
    return response.status == HTTPStatus.OK and response.headers.get("Accept-Ranges") == "bytes"


def _made(call: ApiFunction, message: OgcRequest) -> Body:
    """Return the whole body of a response that is a file."""
    headers = {name: text for name, text in message.headers.items() if name != "if-none-match"}
    return Body(call(replace(message, method="GET", headers=headers)).body)


def _part(response: OgcResponse, body: Body, header: str | None, *, kept: bool) -> OgcResponse:
    """Return a file, or the range of it that a Range header asks for.

    A file that is too large to be kept is sent whole: each range would make it anew.
    """
    headers = {**response.headers, "Accept-Ranges": "bytes" if kept else "none", "Content-Length": str(body.size)}
    try:
        span = byte_range(header if kept else None, body.size)
    except UnsatisfiableError:
        return OgcResponse(416, {"Content-Range": f"bytes */{body.size}", "Accept-Ranges": "bytes"})
    if span is None:
        return OgcResponse(200, headers, body.parts(0, body.size))
    start, stop = span
    headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{body.size}", "Content-Length": str(stop - start)}
    return OgcResponse(206, headers, body.parts(start, stop))


def _nothing_there(request: Request, error: NoDataError) -> OgcResponse:
    """Return a 204 as a page can show it: a browser that gets no content stays where it is, and says nothing."""
    said = {"type": "about:blank", "title": "No data", "status": 404, "instance": request.url.path}
    return OgcResponse(404, {"Cache-Control": "no-cache"}, orjson.dumps({**said, "detail": error.detail}))


def _problem(request: Request, error: Exception) -> OgcResponse:
    status, headers, body = problem_for(error, request.url.path)
    if isinstance(error, BodyTooLargeError):
        status = 413
        body = orjson.dumps({**orjson.loads(body), "status": 413, "title": "Content Too Large"})
    return OgcResponse(status, headers, body)


def _query(request: Request) -> dict[str, list[str]]:
    """Return the parameters in the address: every value of every name, in the order in which they were sent."""
    query: dict[str, list[str]] = {}
    # As `urllib.parse.parse_qsl` does, in half the time.
    for part in request.scope["query_string"].decode("latin-1").split("&"):
        if part:
            name, _, value = part.partition("=")
            query.setdefault(_unquoted(name), []).append(_unquoted(value))
    return query


def _unquoted(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _prefers_html(request: Request, query: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the client wants a page: ``f=html``, or an Accept header that puts text/html first."""
    wanted = query.get("f", ("",))[-1]
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
            block: Any = await _next(blocks, done, limiter, cancel)
            if block is done:
                return
            yield block
    finally:
        cancel.cancel()
        _close(blocks)


async def _next(blocks: Iterator[bytes], done: object, limiter: anyio.CapacityLimiter, cancel: Cancel) -> Any:
    """Return the next block; where the client goes away meanwhile, tell the thread that makes it, and wait for it."""
    making = asyncio.ensure_future(anyio.to_thread.run_sync(next, blocks, done, limiter=limiter))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        cancel.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([making])
        # What it ended with is nobody's concern any more, but must be taken note of.
        making.exception()
        raise


def _close(blocks: Iterator[bytes]) -> None:
    close = getattr(blocks, "close", None)
    if close is not None:
        with contextlib.suppress(IsoplethError, ValueError):
            close()
