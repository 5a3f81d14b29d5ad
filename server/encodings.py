"""When is a body worth compressing on its way, and how is it done without holding it back?

Text of more than a first flight of packets is compressed for a client that asks for it (RFC 9110, clause 8.4), each
block by itself, so that the first byte leaves as soon as the first block is made. What is binary is compressed already.

Measured on CoverageJSON, with one core (kB of text a millisecond, and how many times smaller): zstd 1: 283, 4.0; zstd
3: 172, 4.1; zstd 6: 60, 4.2; gzip 1: 102, 3.1; gzip 4: 55, 4.0; gzip 6: 21, 4.3; brotli 1: 197, 3.6; brotli 4: 64, 4.0;
writing the text itself: about 130. So zstd is preferred, at level 1, where the client has it; gzip is at level 1 where
the body is long, and at level 4 where it is so short that this costs two milliseconds. Brotli would help only the
clients that have it and not zstd, by a factor of two in time, and is left out.

A whole body is one frame of zstd, made by numcodecs, which Zarr needs anyway. A stream must be one frame too, although
RFC 8878 lets frames follow each other: aiohttp, by which fsspec reads, fails at the second one up to its version 3.13.
That takes the standard library of Python 3.14, or its copy ``backports.zstd``; without them streams are gzip.
"""

from __future__ import annotations

import contextlib
import importlib
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final

from numcodecs.zstd import compress as zstd_frame


def _is_there(module: str) -> bool:
    return find_spec(module.partition(".")[0]) is not None and find_spec(module) is not None


MINIMUM: Final = 14_000
"""Bytes that arrive at once anyway: ten packets, the initial window of TCP (RFC 6928)."""
SHORT: Final = 128 * 1024
"""Bytes up to which gzip takes the time for its level 4."""
CODINGS: Final = ("zstd", "gzip")
"""Content codings of whole bodies, the preferred first."""
STREAMING_ZSTD: Final = next((name for name in ("compression.zstd", "backports.zstd") if _is_there(name)), None)
"""Name of the module that compresses a stream into one frame; None where neither is installed."""
STREAMED: Final = CODINGS if STREAMING_ZSTD else ("gzip",)
"""Content codings of streams, the preferred first."""
_ZSTD_LEVEL: Final = 1
_GZIP: Final = 16 + zlib.MAX_WBITS


def compressible(content_type: str) -> bool:
    """Return whether a media type is text.

    Examples
    --------
    >>> [compressible(t) for t in ("text/csv; charset=utf-8", "application/prs.coverage+json", "image/tiff")]
    [True, True, False]
    """
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind.endswith(("+json", "/json", "+xml", "/xml"))


@lru_cache(maxsize=256)
def accepted(header: str, codings: tuple[str, ...] = CODINGS) -> str | None:
    """Return the content coding that an Accept-Encoding header wants most, or None for the body as it is.

    Of equally wanted ones the first of `codings`; parts that make no sense are passed over.

    Examples
    --------
    >>> accepted("gzip, deflate, br, zstd"), accepted("gzip;q=1, zstd;q=0.5"), accepted("identity, *;q=0")
    ('zstd', 'gzip', None)
    """
    wanted: dict[str, float] = {}
    for part in header.lower().split(",")[:32]:
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                with contextlib.suppress(ValueError):
                    quality = float(value)
        wanted[{"x-gzip": "gzip"}.get(name, name)] = quality
    rest = wanted.get("*", 0.0)
    plain = wanted.get("identity", 0.0)
    best = max(codings, key=lambda coding: wanted.get(coding, rest))
    quality = wanted.get(best, rest)
    return best if quality > 0 and quality >= plain else None


def compressed(body: bytes, coding: str) -> bytes:
    """Return a whole body in a content coding of `CODINGS`."""
    if coding == "zstd":
        return bytes(zstd_frame(body, _ZSTD_LEVEL))
    return zlib.compress(body, 4 if len(body) <= SHORT else 1, _GZIP)


compressed_once = lru_cache(maxsize=64)(compressed)
"""The same, remembered: for documents that are sent again and again."""


class CompressedBlocks:
    """The blocks of a body in a content coding of `STREAMED`; each leaves as soon as it is there.

    Closing it closes what it reads.
    """

    def __init__(self, blocks: Iterator[bytes], coding: str) -> None:
        self._blocks = blocks
        self._encode, self._end = _zstd() if coding == "zstd" else _gzip()
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        try:
            return self._encode(next(self._blocks))
        except StopIteration:
            self._ended = True
            return self._end()

    def close(self) -> None:
        """Close the body behind it."""
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()


def _zstd() -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    module: Any = importlib.import_module(STREAMING_ZSTD or "compression.zstd")
    stream = module.ZstdCompressor(level=_ZSTD_LEVEL)

    def encode(block: bytes) -> bytes:
        return bytes(stream.compress(block, stream.FLUSH_BLOCK))

    return encode, lambda: bytes(stream.flush(stream.FLUSH_FRAME))


def _gzip() -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return lambda block: stream.compress(block) + stream.flush(zlib.Z_SYNC_FLUSH), stream.flush
