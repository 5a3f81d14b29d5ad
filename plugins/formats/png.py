"""How is a picture with a palette written as PNG (ISO/IEC 15948), with nothing but zlib?"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 6


def indexed(
    image: NDArray[np.uint8], palette: NDArray[np.uint8], texts: Mapping[str, str], *, transparent: int
) -> bytes:
    """Write an image of palette indices.

    Parameters
    ----------
    image : array of uint8, shape (height, width)
        Indices into the palette, the top row first.
    palette : array of uint8, shape (n, 3), n <= 256
        Red, green, blue.
    texts : mapping
        Keywords (Latin-1, at most 79 characters) and what they say.
    transparent : int
        The index that shows what is beneath.
    """
    height, width = image.shape
    # Every row begins with the number of its filter: 0, because filters do not help indices.
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = image
    alpha = bytes([255] * transparent + [0])
    parts = [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        *(_text(keyword, text) for keyword, text in texts.items()),
        _chunk(b"PLTE", palette.tobytes()),
        _chunk(b"tRNS", alpha),
        _chunk(b"IDAT", zlib.compress(rows, _LEVEL)),
        _chunk(b"IEND", b""),
    ]
    return SIGNATURE + b"".join(parts)


def _text(keyword: str, text: str) -> bytes:
    key = keyword.encode("latin-1") + b"\0"
    try:
        return _chunk(b"tEXt", key + text.encode("latin-1"))
    except UnicodeEncodeError:
        # iTXt is UTF-8: no compression, method 0, no language, no translated keyword.
        return _chunk(b"iTXt", key + b"\0\0\0\0" + text.encode())


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
