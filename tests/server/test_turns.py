"""Is the event loop free for others while many short answers are made on it, and does a thread do what is not short?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import anyio
import orjson
import pytest

from catalog.links import FrontUrls
from plugins.datacube.errors import InvalidQueryError
from server import turns
from server.asgi import Transport
from server.ogc.messages import OgcRequest, OgcResponse
from server.turns import Turns


class Clock:
    """Stands still but for the work that says how long it takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def work(self, seconds: float, done: list[str], name: str) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds
            done.append(name)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(turns, "time", made)
    return made


def test_others_have_their_turn_after_a_few_milliseconds(clock: Clock) -> None:
    done: list[str] = []

    async def main() -> None:
        shared = Turns(most=0.005)
        async with asyncio.TaskGroup() as group:
            for _ in range(12):
                group.create_task(shared.take(clock.work(0.002, done, "answer")))
            for _ in range(3):
                # Whoever asks in the meantime is answered in each turn of the loop.
                await asyncio.sleep(0)
                done.append("health")

    asyncio.run(main())
    assert done.count("answer") == 12
    assert "".join(name[0] for name in done).startswith("aaahaaahaaah")


def test_a_single_answer_waits_for_nothing(clock: Clock) -> None:
    done: list[str] = []

    async def main() -> None:
        shared = Turns(most=0.005)
        for _ in range(3):
            await shared.take(clock.work(1.0, done, "long"))

    asyncio.run(main())
    assert done == ["long"] * 3


def test_time_that_an_error_took_counts_too(clock: Clock) -> None:
    done: list[str] = []

    async def main() -> None:
        shared = Turns(most=0.005)

        def fail() -> None:
            clock.now += 1.0
            raise ValueError

        async def failing() -> None:
            with pytest.raises(ValueError):
                await shared.take(fail)

        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            group.create_task(shared.take(clock.work(0.001, done, "answer")))
            await asyncio.sleep(0)
            done.append("health")

    asyncio.run(main())
    assert done == ["health", "answer"]


@dataclass
class Client:
    """Asks one endpoint, each time in an event loop of its own."""

    endpoint: Any

    def get(self, path: str, query: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        name, sent = path.strip("/"), [(k.encode(), v.encode()) for k, v in headers.items()]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": sent}
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        asyncio.run(self.endpoint({**scope, "path_params": {"name": name}}, None, send))
        start, *parts = messages
        found = {k.decode(): v.decode() for k, v in start["headers"]}
        return start["status"], found, b"".join(part["body"] for part in parts)


def client(function: Any, at_once: Any) -> Client:
    transport = Transport(
        urls=FrontUrls("http://testserver"),
        metadata=anyio.CapacityLimiter(1),
        data=anyio.CapacityLimiter(1),
        render=lambda _, response: f"<p>{response.content().decode()}</p>",
        body_limit=1000,
    )
    return Client(transport.endpoint(function, reads_data=True, at_once=at_once))


def answer(body: str) -> OgcResponse:
    return OgcResponse(200, {"Content-Type": "text/plain"}, body.encode())


def test_what_is_there_at_once_needs_no_thread() -> None:
    threads: list[int] = []

    def at_once(request: OgcRequest, name: str) -> OgcResponse:
        threads.append(threading.get_ident())
        return answer(f"{name} {request.query['x']}")

    asked = client(None, at_once)
    assert asked.get("/a", "x=1&x=%C3%A4+b&y")[2].decode() == "a ['1', 'ä b']"
    assert threads == [threading.get_ident()]


def test_the_rest_is_done_in_a_thread() -> None:
    threads: list[int] = []

    def rest() -> OgcResponse:
        threads.append(threading.get_ident())
        return answer("the rest")

    def whole(_: OgcRequest, name: str) -> OgcResponse:
        threads.append(threading.get_ident())
        return answer(f"all of {name}")

    def at_once(_: OgcRequest, name: str) -> Callable[[], OgcResponse] | None:
        return rest if name == "a" else None

    asked = client(whole, at_once)
    assert asked.get("/a")[2] == b"the rest"
    assert asked.get("/b")[2] == b"all of b"
    assert asked.get("/a", accept="text/html")[2] == b"<p>all of a</p>", "a page is made of the whole"
    assert len(threads) == 3
    assert threading.get_ident() not in threads


def test_what_is_refused_at_once_is_a_problem_document() -> None:
    def at_once(_: OgcRequest, name: str) -> OgcResponse:
        raise InvalidQueryError("name", f"{name} is wrong", "right")

    status, headers, body = client(None, at_once).get("/a")
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert orjson.loads(body)["parameter"] == "name"


@pytest.mark.parametrize(
    "text", ["", "a=1", "a=1&a=2&b", "a+b=c%20d", "=x&&y=", "a=%E4&%C3%A4=+", "a=b=c;d=e", "%zz=%"]
)
def test_queries_are_read_as_the_standard_library_reads_them(text: str) -> None:
    found: list[Any] = []

    def at_once(request: OgcRequest, name: str) -> OgcResponse:
        found.append(request.query)
        return answer(name)

    client(None, at_once).get("/a", text)
    assert found == [parse_qs(text, keep_blank_values=True)]
