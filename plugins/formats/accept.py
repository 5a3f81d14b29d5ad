"""Which media types does a client want, by its Accept header (RFC 9110, clause 12.5.1)?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MAX_RANGES = 64
"""Media ranges that are read; browsers send fewer than ten."""


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of an Accept header."""

    type: str
    """``*`` for any."""
    subtype: str
    """``*`` for any."""
    quality: float
    """0 (never) to 1."""

    @property
    def specificity(self) -> int:
        """Return 2 for a whole media type, 1 for ``type/*``, 0 for ``*/*``."""
        return (self.type != "*") + (self.subtype != "*")

    def matches(self, media_type: str) -> bool:
        """Return whether a media type (lower case, without parameters) lies in the range."""
        kind, _, subtype = media_type.partition("/")
        return self.type in ("*", kind) and self.subtype in ("*", subtype)


def parse_accept(header: str) -> tuple[MediaRange, ...]:
    """Read an Accept header. Elements that make no sense are passed over; parameters other than ``q`` do not count.

    Examples
    --------
    >>> parse_accept("text/csv;q=0.5, */*;q=0")
    (MediaRange(type='text', subtype='csv', quality=0.5), MediaRange(type='*', subtype='*', quality=0.0))
    """
    ranges = []
    for element in header.lower().split(",", _MAX_RANGES)[:_MAX_RANGES]:
        media_type, *parameters = (part.strip() for part in element.split(";"))
        kind, slash, subtype = media_type.partition("/")
        if not slash or not kind or not subtype or (kind == "*" and subtype != "*"):
            continue
        quality = _quality(parameters)
        if quality is not None:
            ranges.append(MediaRange(kind, subtype, quality))
    return tuple(ranges)


def _quality(parameters: Sequence[str]) -> float | None:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
            return quality if 0 <= quality <= 1 else None
    return 1.0


def preferred(header: str, offered: Sequence[str]) -> str | None:
    """Return the media type among `offered` that the client wants most, or None if it accepts none.

    Of equally wanted ones, the one that the client names more exactly, then the one offered first. What the most exact
    range says of a media type counts, so ``q=0`` excludes it even beside ``*/*``.
    """
    ranges = parse_accept(header)
    best: tuple[float, int] = (0.0, -1)
    chosen: str | None = None
    for media_type in offered:
        matching = [each for each in ranges if each.matches(media_type)]
        if not matching:
            continue
        exact = max(matching, key=lambda each: (each.specificity, each.quality))
        rank = (exact.quality, exact.specificity)
        if exact.quality > 0 and rank > best:
            best, chosen = rank, media_type
    return chosen
