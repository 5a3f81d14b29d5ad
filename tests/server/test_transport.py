"""Do bodies go over HTTP as they should: compressed where that pays, in ranges of the same bytes, made once?"""

from __future__ import annotations

import gc
import gzip
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.zstd import decompress as unzstd
from starlette.applications import Starlette
from starlette.routing import Route

from catalog.links import FrontUrls
from plugins.datacube.errors import NoDataError
from server.asgi import Transport
from server.bodies import Body, BodyCache
from server.byte_ranges import UnsatisfiableError, byte_range, still_meant
from server.encodings import MINIMUM, STREAMED, CompressedBlocks, accepted
from server.ogc.messages import OgcRequest, OgcResponse

TEXT = b"2.5,3.25,null,17.0\n" * 5_000
FILE = bytes(range(256)) * 500


@dataclass
class Answers:
    """An API function that answers what it is told to, and counts how often it made a body."""

    body: bytes = TEXT
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/csv", "ETag": 'W/"1"'})
    blocks: int = 0
    """0 for a whole body."""
    made: int = 0
    closed: int = 0

    def __call__(self, request: OgcRequest) -> OgcResponse:
        if request.headers.get("if-none-match") == self.headers["ETag"]:
            return OgcResponse(304, {"ETag": self.headers["ETag"], "Vary": "Accept"})
        if request.method == "HEAD":
            return OgcResponse(200, self.headers)
        self.made += 1
        return OgcResponse(200, self.headers, self._parts() if self.blocks else self.body)

    def _parts(self) -> Iterator[bytes]:
        size = -(-len(self.body) // self.blocks)
        try:
            for start in range(0, len(self.body), size):
                yield self.body[start : start + size]
        finally:
            self.closed += 1


class Client:
    """Asks one endpoint, in an event loop of its own."""

    def __init__(self, portal: BlockingPortal, app: Starlette) -> None:
        self._portal = portal
        self._app = app

    def ask(self, method: str, query: str, headers: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        """Return the response, and its bytes as they were on the wire."""

        async def asked() -> tuple[httpx.Response, bytes]:
            transport = httpx.ASGITransport(self._app)
            async with (
                httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
                client.stream(method, f"/x{query}", headers=headers) as response,
            ):
                return response, b"".join([part async for part in response.aiter_raw()])

        return self._portal.call(asked)


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as started:
        yield started


@pytest.fixture
def client(portal: BlockingPortal) -> Callable[..., Client]:
    def make(function: Any, bodies: BodyCache | None = None, **options: Any) -> Client:
        transport = Transport(
            urls=FrontUrls("http://testserver"),
            metadata=anyio.CapacityLimiter(2),
            data=anyio.CapacityLimiter(2),
            render=lambda _, response: f"<p>{response.content().decode()}</p>",
            body_limit=1000,
            show=lambda message, response: f"<p>{message.path} {response.headers['Content-Crs']}</p>" + " " * MINIMUM,
            bodies=bodies or BodyCache(),
        )
        endpoint = transport.endpoint(function, reads_data=True, **{"html": False, **options})
        return Client(portal, Starlette(routes=[Route("/x", endpoint, methods=["GET", "HEAD", "POST"])]))

    return make


def raw(client: Client, method: str = "GET", query: str = "", **headers: str) -> tuple[httpx.Response, bytes]:
    """Ask, and return the response and its bytes as they were on the wire."""
    names = {"accept-encoding": "identity", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return client.ask(method, query, names)


@pytest.mark.parametrize("blocks", [0, 7])
def test_text_is_compressed_as_the_client_asks(client: Any, blocks: int) -> None:
    served = client(Answers(blocks=blocks))
    response, body = raw(served, accept_encoding="gzip")
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == TEXT
    assert len(body) * 3 < len(TEXT)
    assert response.headers["etag"].startswith("W/")
    response, body = raw(served)
    assert "content-encoding" not in response.headers
    assert body == TEXT
    for encoding in ("identity", "gzip"):
        assert "Accept-Encoding" in raw(served, accept_encoding=encoding)[0].headers["vary"]


def test_a_whole_body_is_one_frame_of_zstd(client: Any) -> None:
    response, body = raw(client(Answers()), accept_encoding="gzip, deflate, br, zstd")
    assert response.headers["content-encoding"] == "zstd"
    assert unzstd(body) == TEXT
    assert int(response.headers["content-length"]) == len(body)


def test_a_stream_is_in_a_coding_that_can_be_streamed(client: Any) -> None:
    response, _ = raw(client(Answers(blocks=5)), accept_encoding="zstd, gzip")
    assert response.headers["content-encoding"] == STREAMED[0]
    response, body = raw(client(Answers(blocks=5)), accept_encoding="br")
    assert "content-encoding" not in response.headers
    assert body == TEXT


def test_what_is_small_or_binary_goes_as_it_is(client: Any) -> None:
    for answers in (
        Answers(TEXT[: MINIMUM - 1]),
        Answers(FILE, {"Content-Type": "image/png", "ETag": 'W/"2"'}),
        Answers(FILE, {"Content-Type": "application/zip", "ETag": 'W/"2"'}, blocks=3),
    ):
        response, body = raw(client(answers), accept_encoding="gzip, zstd")
        assert "content-encoding" not in response.headers
        assert body == answers.body


def test_not_modified_and_head_say_what_varies(client: Any) -> None:
    served = client(Answers())
    response, body = raw(served, if_none_match='W/"1"', accept_encoding="gzip")
    assert (response.status_code, body) == (304, b"")
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    response, body = raw(served, "HEAD", accept_encoding="gzip")
    assert (response.status_code, body) == (200, b"")
    assert "content-length" not in response.headers
    assert "Accept-Encoding" in response.headers["vary"]


@pytest.mark.parametrize("coding", STREAMED)
def test_no_block_waits_for_the_next(coding: str) -> None:
    blocks = [b"first " * 1000, b"second " * 1000]
    given = iter(blocks)
    stream = CompressedBlocks(given, coding)
    first = next(stream)
    assert next(given) == blocks[1]  # it has not been asked for
    if coding == "gzip":
        assert zlib.decompressobj(31).decompress(first) == blocks[0]


def test_a_compressed_stream_ends_what_it_reads() -> None:
    answers = Answers(blocks=4)
    stream = CompressedBlocks(answers._parts(), "gzip")
    next(stream)
    stream.close()
    assert answers.closed == 1


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "gzip"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("zstd;q=0, gzip;q=0", None),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0", "gzip"),
        ("identity;q=1, gzip;q=0.5", None),
        ("X-GZIP", "gzip"),
        ("gzip;q=nonsense", "gzip"),
        ("br;q=1.0, deflate", None),
    ],
)
def test_the_coding_that_is_wanted_most(header: str, coding: str | None) -> None:
    assert accepted(header) == coding


FILE_HEADERS = {"Content-Type": "image/tiff", "ETag": '"tag"', "Accept-Ranges": "bytes"}


@pytest.fixture(params=[0, 9], ids=["whole", "blocks"])
def file(request: pytest.FixtureRequest) -> Answers:
    return Answers(FILE, dict(FILE_HEADERS), blocks=request.param)


@given(first=st.integers(0, 2 * len(FILE)), last=st.one_of(st.none(), st.integers(0, 2 * len(FILE))))
def test_a_range_is_a_part_of_the_whole(first: int, last: int | None) -> None:
    header = f"bytes={first}-{'' if last is None else last}"
    stop = len(FILE) if last is None else min(len(FILE), last + 1)
    if last is not None and last < first:
        assert byte_range(header, len(FILE)) is None
    elif first >= len(FILE):
        with pytest.raises(UnsatisfiableError):
            byte_range(header, len(FILE))
    else:
        assert byte_range(header, len(FILE)) == (first, stop)


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=a-b", "bytes", "", "bytes=٣-٤"])
def test_a_range_that_is_none_is_ignored(header: str) -> None:
    assert byte_range(header, 100) is None


def test_a_file_has_a_length_and_ranges_and_is_made_once(client: Any, file: Answers) -> None:
    served = client(file)
    response, _ = raw(served, "HEAD")
    assert response.headers["content-length"] == str(len(FILE))
    assert response.headers["accept-ranges"] == "bytes"
    for header, part in (("bytes=5-9", FILE[5:10]), ("bytes=-7", FILE[-7:]), ("bytes=127990-", FILE[127_990:])):
        response, body = raw(served, range=header, accept_encoding="gzip")
        assert (response.status_code, body) == (206, part)
        assert response.headers["content-length"] == str(len(part))
        start = len(FILE) - len(part) if header != "bytes=5-9" else 5
        assert response.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(FILE)}"
        assert "content-encoding" not in response.headers
    response, body = raw(served, range="bytes=128000-")
    assert (response.status_code, body) == (416, b"")
    assert response.headers["content-range"] == f"bytes */{len(FILE)}"
    assert file.made == 1
    response, body = raw(served)
    assert (response.status_code, body) == (200, FILE)
    assert response.headers["content-length"] == str(len(FILE))
    assert raw(served, if_none_match='"tag"', range="bytes=0-1")[0].status_code == 304


def test_a_whole_answer_serves_the_ranges_after_it(client: Any, file: Answers) -> None:
    served = client(file)
    assert raw(served)[1] == FILE
    assert raw(served, range="bytes=1-2")[1] == FILE[1:3]
    assert file.made == 1


def test_a_range_of_another_state_is_the_whole_of_this_one(client: Any, file: Answers) -> None:
    served = client(file)
    assert raw(served, range="bytes=0-1", if_range='"tag"')[0].status_code == 206
    for stale in ('"other"', 'W/"tag"', "Mon, 23 Nov 2026 02:06:08 GMT"):
        response, body = raw(served, range="bytes=0-1", if_range=stale)
        assert (response.status_code, body) == (200, FILE)
    assert not still_meant('W/"tag"', 'W/"tag"')


def test_a_file_that_cannot_be_kept_is_sent_whole(client: Any, file: Answers) -> None:
    served = client(file, BodyCache(capacity=1000))
    response, body = raw(served, range="bytes=0-1")
    assert (response.status_code, body) == (200, FILE)
    assert response.headers["accept-ranges"] == "none"


def test_text_has_no_ranges(client: Any) -> None:
    response, body = raw(client(Answers()), range="bytes=0-1")
    assert (response.status_code, body) == (200, TEXT)


def test_bodies_are_kept_up_to_a_size_and_the_oldest_goes_first() -> None:
    cache = BodyCache(capacity=100)
    for name in ("a", "b"):
        assert cache.put(name, Body(name.encode() * 40))
    assert cache.get("a") is not None
    assert cache.put("c", Body(b"c" * 40))
    assert cache.get("b") is None
    assert not cache.put("d", Body(b"d" * 101))
    kept = cache.get("a")
    assert kept is not None
    assert kept.read(0, 3) == b"aaa"
    assert cache.put("a", Body(b"x" * 60))
    assert cache.get("c") is not None


def test_a_body_is_made_by_one_while_others_wait() -> None:
    cache, begun, going = BodyCache(), threading.Event(), threading.Event()
    made: list[int] = []

    def make() -> Body:
        made.append(1)
        begun.set()
        assert going.wait(10)
        return Body(iter([b"once"]))

    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(cache.get_or_make("x", make).read(0, 4))) for _ in range(3)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    going.set()
    for thread in threads:
        thread.join(10)
    assert (made, found) == ([1], [b"once"] * 3)


def test_a_body_that_fails_is_made_again_and_closed() -> None:
    cache, answers = BodyCache(), Answers(blocks=4)

    def failing() -> Iterator[bytes]:
        yield b"a"
        raise NoDataError("gone")

    with pytest.raises(NoDataError):
        cache.get_or_make("x", lambda: Body(failing()))
    assert cache.get_or_make("x", lambda: Body(answers._parts())).size == len(TEXT)
    assert answers.closed == 1
    del cache
    gc.collect()  # an unclosed file would be a warning, and warnings are errors


def test_a_browser_gets_a_page_about_an_answer_without_the_answer(client: Any) -> None:
    answers = Answers(headers={"Content-Type": "text/csv", "ETag": 'W/"1"', "Content-Crs": "<CRS84>"})
    served = client(answers, data_page=True)
    for accept, query in (("text/html,*/*", ""), ("*/*", "?f=html")):
        response, body = raw(served, query=query, accept=accept, if_none_match='W/"1"', accept_encoding="gzip")
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert gzip.decompress(body).startswith(b"<p>/x <CRS84></p>")
        assert "etag" not in response.headers
        assert "default-src 'self'" in response.headers["content-security-policy"]
    assert answers.made == 0
    assert raw(served, accept="text/csv, text/html")[1] == TEXT
    assert raw(served, "POST", "?f=html")[1] == TEXT


def test_a_browser_is_told_why_there_is_nothing(client: Any) -> None:
    def nothing(request: OgcRequest) -> OgcResponse:
        raise NoDataError("the point lies in the sea")

    def too_large(request: OgcRequest) -> OgcResponse:
        return OgcResponse(413, {"Content-Type": "x"}, b"" if request.method == "HEAD" else b'"too much"')

    response, body = raw(client(nothing, data_page=True), query="?f=html")
    assert (response.status_code, b"the point lies in the sea" in body) == (404, True)
    response, body = raw(client(too_large, data_page=True), query="?f=html")
    assert (response.status_code, body) == (413, b'<p>"too much"</p>')
    assert raw(client(nothing, data_page=True))[0].status_code == 204
