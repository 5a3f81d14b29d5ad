"""Which bytes of a whole body does a Range header ask for (RFC 9110, clause 14), if the body is still the one meant?"""

from __future__ import annotations

import re
from typing import Final

_RANGE: Final = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.IGNORECASE | re.ASCII)


class UnsatisfiableError(ValueError):
    """The range begins behind the end of the body: 416."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of a single range within `size` bytes.

    None where the whole body is to be sent: without a header, and for several ranges or other units, which a server
    may ignore (clause 14.2).

    Raises
    ------
    UnsatisfiableError
        If no byte of the body lies in the range.

    Examples
    --------
    >>> byte_range("bytes=0-99", 50), byte_range("bytes=-20", 50), byte_range("bytes=0-1,4-5", 50)
    ((0, 50), (30, 50), None)
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            # An invalid range is ignored (clause 14.1.1).
            return None
    if start >= stop:
        raise UnsatisfiableError(f"no byte of {size} lies in the range")
    return start, stop


def still_meant(header: str | None, etag: str) -> bool:
    """Return whether an If-Range header allows a part of the body with this entity tag (clause 13.1.5).

    The comparison is the strong one: a weak tag never matches, nor does a date, because the bodies have none.
    """
    return header is None or (header.strip() == etag and not etag.startswith("W/"))
