"""Does the work behind an answer end when the client goes away, before anything is sent and in the middle of it?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from catalog.links import FrontUrls
from server.asgi import Transport
from server.ogc.edr import Blocks
from server.ogc.messages import OgcRequest, OgcResponse

PATIENCE = 20
"""Seconds after which a test gives up."""


class Work:
    """An API function that works until it is told to stop."""

    def __init__(self, *, streams: bool) -> None:
        self.streams = streams
        self.started, self.stopped = threading.Event(), threading.Event()

    def __call__(self, request: OgcRequest) -> OgcResponse:
        if self.streams:
            return OgcResponse(200, {"Content-Type": "text/plain"}, Blocks(self.blocks(request), request.cancel, b"a"))
        self.wait(request)
        return OgcResponse(200, {}, b"")

    def blocks(self, request: OgcRequest) -> Iterator[bytes]:
        yield b"b" * 100_000
        self.wait(request)

    def wait(self, request: OgcRequest) -> None:
        self.started.set()
        while not request.cancel.cancelled:
            if self.stopped.wait(0.01):
                return
        self.stopped.set()


@pytest.mark.parametrize("streams", [False, True])
def test_work_ends_when_the_client_goes_away(streams: bool) -> None:
    work = Work(streams=streams)

    async def scenario() -> None:
        limiter = anyio.CapacityLimiter(4)
        transport = Transport(FrontUrls("http://x"), limiter, limiter, lambda *_: "", 1000)
        app = Starlette(routes=[Route("/", transport.endpoint(work, reads_data=True, html=False))])
        gone = asyncio.Event()
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            if gone.is_set():
                raise OSError("the client is gone")

        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
            "path": "/", "raw_path": b"/", "query_string": b"", "headers": [], "scheme": "http", "root_path": "",
            "server": ("x", 80), "client": ("y", 1), "state": {},
        }  # fmt: skip
        answering = asyncio.create_task(app(scope, receive, send))
        assert await asyncio.to_thread(work.started.wait, PATIENCE)
        gone.set()
        assert await asyncio.to_thread(work.stopped.wait, PATIENCE), "the work went on"
        await asyncio.gather(answering, return_exceptions=True)

    asyncio.run(scenario())
