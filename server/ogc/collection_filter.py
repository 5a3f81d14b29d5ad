"""Which collections does a client want to see in the list?

The query parameters of ``/collections`` (OGC 20-024, OGC API Common Part 2, clause 8.2): ``bbox``, ``datetime`` and
``limit``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from plugins.datacube.axes import AxisKind
from plugins.datacube.calendar import parse_moment
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.library import OpenDatacube
from plugins.datacube.query import TimeInterval

COLLECTION_FILTERS = ("bbox", "datetime", "limit")
MAX_LIMIT = 10_000
BOX = "west,south,east,north in degrees, with or without heights: -10,40,10,60"


@dataclass(frozen=True, slots=True)
class CollectionFilter:
    """What of the list is wanted; None stands for "everything"."""

    box: tuple[float, float, float, float] | None = None
    """West, south, east, north in degrees; west > east crosses the antimeridian."""
    interval: TimeInterval | None = None
    limit: int | None = None
    query: str = ""
    """The parameters as a query string with its question mark, for the link to the document itself."""

    def keep(self, opened: tuple[OpenDatacube, ...]) -> tuple[OpenDatacube, ...]:
        """Return the datasets that are wanted, in their order."""
        kept = tuple(one for one in opened if self.box is None or overlaps(one.cube, self.box))
        if self.interval is not None:
            kept = tuple(one for one in kept if lies_in(one.cube, self.interval))
        return kept[: self.limit]


def parse_filter(arguments: Mapping[str, str]) -> CollectionFilter:
    """Read the parameters of the list of collections.

    Raises
    ------
    InvalidQueryError
        If one of them is not as it should be.
    """
    if not arguments:
        return CollectionFilter()
    return CollectionFilter(
        box=parse_box(arguments["bbox"]) if "bbox" in arguments else None,
        interval=parse_interval(arguments["datetime"]) if "datetime" in arguments else None,
        limit=parse_limit(arguments["limit"]) if "limit" in arguments else None,
        query="?" + urlencode(arguments),
    )


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Read a bounding box of four or six numbers; the heights of six are ignored."""
    parts = text.split(",") if len(text) <= 256 else []
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6) or not all(math.isfinite(number) for number in numbers):
        raise InvalidQueryError("bbox", f"{text[:64]!r} is not a bounding box", BOX)
    west, south, east, north = numbers if len(numbers) == 4 else (*numbers[0:2], *numbers[3:5])
    if not (-360 <= west <= 360 and -360 <= east <= 360 and -90 <= south <= north <= 90):
        raise InvalidQueryError(
            "bbox", f"{text[:64]!r} does not lie on the Earth, or its south is above its north", BOX
        )
    return west, south, east, north


def parse_interval(text: str) -> TimeInterval:
    """Read an instant or an interval with open ends."""
    start, slash, end = text.partition("/")
    if not slash:
        moment = parse_moment(start)
        return TimeInterval(moment, moment)
    first, last = (None if part in ("", "..") else parse_moment(part) for part in (start, end))
    if first is None and last is None:
        raise InvalidQueryError("datetime", "an interval needs at least one end", "2020-01-01/.. for example")
    return TimeInterval(first, last)


def parse_limit(text: str) -> int:
    """Read a positive number; more than `MAX_LIMIT` is taken for `MAX_LIMIT`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) < 1:
        raise InvalidQueryError("limit", f"{text[:32]!r} is not a positive whole number", f"1 to {MAX_LIMIT}")
    return min(int(text), MAX_LIMIT)


def overlaps(cube: Datacube, box: tuple[float, float, float, float]) -> bool:
    """Return whether the extent of a datacube and a box share a point, around the globe."""
    west, south, east, north = box
    extent = cube.extent
    if north < extent.south or south > extent.north:
        return False
    width = east - west if east >= west else east - west + 360
    if width >= 360 or extent.east - extent.west >= 360:
        return True
    # Measured eastwards from the western edge of either: one begins within the other.
    return (extent.west - west) % 360 <= width or (west - extent.west) % 360 <= extent.east - extent.west


def lies_in(cube: Datacube, interval: TimeInterval) -> bool:
    """Return whether any time of a datacube lies in an interval; one without times lies in every interval."""
    axis = cube.axis(AxisKind.T)
    if axis is None or not axis.size:
        return True
    first, last = int(axis.values.min()), int(axis.values.max())
    try:
        after = interval.end is not None and interval.end.last(axis.calendar) < first
        before = interval.start is not None and interval.start.first(axis.calendar) > last
    except InvalidQueryError:
        # A date that this calendar does not have.
        return False
    return not (after or before)
