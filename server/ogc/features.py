"""How is a list of features asked for, cut into pages, and written?

What the lists of locations and items share: the parameters ``bbox``, ``datetime``, ``limit`` and ``offset``, the links
from page to page, and a location as a Feature of EDR GeoJSON (OGC 19-086r6, clause 9; OGC 17-069r4, clause 7.15).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import InvalidQueryError, NotAcceptableError
from plugins.datacube.location import Location
from plugins.datacube.locations import Box, in_box
from plugins.datacube.query import TimeInterval
from plugins.datacube.reference import longitude_latitude, parse_reference
from server.ogc.arguments import query_arguments
from server.ogc.collection_filter import MAX_LIMIT, lies_in, parse_box, parse_interval, parse_limit
from server.ogc.documents import CACHE_CONTROL, accepts, encode, not_modified, weak_etag
from server.ogc.messages import OgcRequest, OgcResponse

GEOJSON: Final = "application/geo+json"
MEDIA_TYPES: Final = (GEOJSON, "application/vnd.geo+json", "application/json")
"""By which clients ask for GeoJSON; the answer has the first that they accept."""
NAMES: Final = frozenset({"geojson", "json", "geo+json", *MEDIA_TYPES})
"""Of the format in the parameter ``f``."""
FILTERS: Final = ("bbox", "datetime", "limit", "offset", "crs")
MAXIMUM_OFFSET: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Page:
    """Which of the features are wanted, and by which parameters."""

    limit: int
    offset: int
    box: Box | None
    """West, south, east, north in degrees; west > east crosses the antimeridian."""
    interval: TimeInterval | None
    arguments: Mapping[str, str]
    """All parameters but ``offset``, as they were given."""

    def keep(self, locations: Sequence[Location], cube: Datacube) -> Sequence[Location]:
        """Return the locations that are wanted, of all pages: those in the box, if the data have times as wanted."""
        if self.interval is not None and not lies_in(cube, self.interval):
            return ()
        return locations if self.box is None else in_box(locations, self.box)

    def links(self, address: str, matched: int) -> list[dict[str, Any]]:
        """Return the links to this page and to its neighbours."""
        found = [self._link(address, "self", "This document", self.offset)]
        found.append(
            {"href": self._address(address, self.offset, f="html"), "rel": "alternate", "type": "text/html",
             "title": "This document as a page"}
        )  # fmt: skip
        if self.offset + self.limit < matched:
            found.append(self._link(address, "next", "The next page", self.offset + self.limit))
        if self.offset > 0:
            found.append(self._link(address, "prev", "The page before", max(0, self.offset - self.limit)))
        return found

    def _link(self, address: str, rel: str, title: str, offset: int) -> dict[str, Any]:
        return {"href": self._address(address, offset), "rel": rel, "type": GEOJSON, "title": title}

    def _address(self, address: str, offset: int, **more: str) -> str:
        parameters = {**self.arguments} | ({"offset": str(offset)} if offset else {}) | more
        return f"{address}?{urlencode(parameters)}" if parameters else address


def feature_arguments(request: OgcRequest, known: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return the parameters of a request for features, without ``f``, and the media type of the answer.

    Raises
    ------
    InvalidQueryError
        If a parameter is unknown (OGC 17-069r4, /req/core/query-param-unknown), given twice, or ``f`` is no GeoJSON.
    NotAcceptableError
        If the client accepts no JSON.
    """
    arguments = query_arguments(request)
    form = arguments.pop("f", "").strip().lower().replace(" ", "+")
    for name in arguments:
        if name not in known:
            raise InvalidQueryError(name, f"there is no parameter {name[:64]!r} here", ", ".join((*known, "f")))
    if form and form not in NAMES:
        raise InvalidQueryError("f", f"features have no format {form[:64]!r}", "GeoJSON, or html for a page")
    if form in MEDIA_TYPES:
        return arguments, form
    media_type = next((each for each in MEDIA_TYPES if accepts(request.accept, each)), None)
    if media_type is None and not form:
        raise NotAcceptableError("Accept", "features are GeoJSON", ", ".join((*MEDIA_TYPES, "text/html")))
    return arguments, media_type or GEOJSON


def parse_page(arguments: Mapping[str, str], default_limit: int) -> Page:
    """Read the parameters `FILTERS`.

    Raises
    ------
    InvalidQueryError
        If one of them is not as it should be. A limit above the greatest is taken for that.
    """
    degrees = longitude_latitude()
    if "crs" in arguments and parse_reference(arguments["crs"], degrees).key != degrees.key:
        raise InvalidQueryError("crs", "GeoJSON is in longitude and latitude", "CRS84")
    return Page(
        limit=min(parse_limit(arguments["limit"]), MAX_LIMIT) if "limit" in arguments else default_limit,
        offset=parse_offset(arguments.get("offset", "0")),
        box=parse_box(arguments["bbox"]) if "bbox" in arguments else None,
        interval=parse_interval(arguments["datetime"]) if "datetime" in arguments else None,
        arguments={name: text for name, text in arguments.items() if name != "offset"},
    )


def parse_offset(text: str) -> int:
    """Read how many features stand on the pages before."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > MAXIMUM_OFFSET:
        raise InvalidQueryError("offset", f"{text[:32]!r} is not a number of features", f"0 to {MAXIMUM_OFFSET}")
    return int(text)


def collection_link(cube: Datacube, request: OgcRequest) -> dict[str, Any]:
    """Return the link from features to their collection."""
    return {
        "href": request.base.collection(cube.id),
        "rel": "collection",
        "type": "application/json",
        "title": cube.title or cube.id,
    }


def feature_response(
    request: OgcRequest, document: Mapping[str, Any], media_type: str, more: Mapping[str, Any] | None = None
) -> OgcResponse:
    """Return features as a response.

    Parameters
    ----------
    document : mapping
        What the ETag stands for.
    more : mapping, optional
        Further members, that may differ each time.
    """
    etag = weak_etag(encode(document).body, media_type.encode())
    headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL, "Vary": "Accept"}
    if not_modified(request, etag):
        return OgcResponse(304, headers)
    body = b"" if request.method == "HEAD" else encode({**document, **(more or {})}).body
    return OgcResponse(200, {"Content-Type": media_type, **headers}, body)
