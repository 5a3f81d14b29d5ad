"""What did the client of a STAC search ask for, once every text has become a typed value?

STAC API 1.0.0, item-search: ``bbox``, ``datetime``, ``intersects``, ``ids``, ``collections``, ``limit``, ``token``, and
its extensions ``filter``, ``sortby``, ``query`` and ``q``. Input is capped in size before a native parser sees it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import shapely
from fastapi import HTTPException
from stac_fastapi.types.rfc3339 import str_to_interval

from catalog.document import Document
from catalog.extents import Box
from catalog.filter_text import read_filter
from catalog.footprints import since_epoch, split
from catalog.geometries import read_geometry
from catalog.legacy_query import read_query
from catalog.repository import CollectionQuery, ItemQuery, SortKey
from plugins.datacube.errors import InvalidQueryError

PAGE_LIMIT = 1_000
"""A page has at most so many documents; a larger limit is cut to it (OGC API - Features, /rec/core/fc-limit)."""
NAMES_LIMIT = 1_000
NAME_LENGTH = 1_024
SORT_LIMIT = 5
WORDS_LIMIT = 20
VALID_DATETIME = "an RFC 3339 date such as 2020-01-01T00:00:00Z, or two separated by '/', '..' for an open end"
VALID_BBOX = "west,south,east,north in degrees, with south <= north (west > east crosses the antimeridian)"


def item_query(
    *,
    collections: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    bbox: Sequence[float] | None = None,
    intersects: str | dict[str, Any] | None = None,
    datetime: str | None = None,
    limit: int | None = None,
    token: str | None = None,
    filter_expr: str | Document | None = None,
    filter_lang: str | None = None,
    filter_crs: str | None = None,
    query: str | Document | None = None,
    sortby: Sequence[str | Document] | None = None,
    q: Sequence[str] | None = None,
) -> ItemQuery:
    """Return the typed query.

    Parameters
    ----------
    collections, ids : sequence of str, optional
        Empty means not asked.
    bbox : sequence of float, optional
        Four or six numbers, WGS 84; heights are not searched. West > east crosses the antimeridian.
    intersects : str or dict, optional
        A GeoJSON geometry; excludes `bbox`.
    datetime : str, optional
        RFC 3339 instant, or an interval with ``..`` for an open end.
    limit : int, optional
        Default 10, at most `PAGE_LIMIT`.
    token : str, optional
        Of a ``next`` link.
    filter_expr, filter_lang, filter_crs : optional
        ``filter``, ``filter-lang`` and ``filter-crs`` (CQL2).
    query : str or dict, optional
        The legacy query extension: an object, or its JSON.
    sortby : sequence, optional
        Names with ``+`` or ``-`` before them, or objects of ``field`` and ``direction``.
    q : sequence of str, optional
        Words or phrases; any of them.

    Raises
    ------
    InvalidQueryError
        Naming the parameter at fault.
    """
    if bbox is not None and intersects is not None:
        raise InvalidQueryError("intersects", "bbox and intersects cannot be asked together", "one of the two")
    boxes = None if bbox is None else _boxes(bbox)
    geometry = None if intersects is None else read_geometry("intersects", intersects)
    if geometry is not None:
        boxes = split(shapely.bounds(geometry).tolist())
    start, end = (None, None) if datetime is None else interval(datetime)
    return ItemQuery(
        collections=_names("collections", collections),
        ids=_names("ids", ids),
        boxes=boxes,
        geometry=None if geometry is None else shapely.to_wkb(geometry),
        start=start,
        end=end,
        words=_words(q),
        filter=_conditions(filter_expr, filter_lang, filter_crs, query),
        sort=_sort(sortby),
        limit=page_size(limit, 10),
        token=token or None,
    )


def collection_query(
    *,
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    q: Sequence[str] | None = None,
    limit: int,
    token: str | None = None,
) -> CollectionQuery:
    """Return the typed query of a search for collections; parameters and errors as in `item_query`."""
    start, end = (None, None) if datetime is None else interval(datetime)
    boxes = None if bbox is None else _boxes(bbox)
    return CollectionQuery(
        boxes=boxes, start=start, end=end, words=_words(q), limit=page_size(limit, limit), token=token or None
    )


def page_size(limit: int | None, default: int) -> int:
    """Return how many documents a page has."""
    if limit is not None and limit < 1:
        raise InvalidQueryError("limit", "the limit must be at least 1", f"1 to {PAGE_LIMIT}")
    return min(default if limit is None else limit, PAGE_LIMIT)


def interval(text: str) -> tuple[int | None, int | None]:
    """Read an RFC 3339 instant or interval as microseconds since 1970, both ends inclusive; None is open."""
    valid = VALID_DATETIME
    if len(text) > 128:
        raise InvalidQueryError("datetime", "the datetime is too long", valid)
    try:
        found = str_to_interval(text)
    except HTTPException as error:
        raise InvalidQueryError("datetime", f"{text!r} is not a datetime", valid) from error
    if found is None:
        raise InvalidQueryError("datetime", f"{text!r} is not a datetime", valid)
    first, last = found if isinstance(found, tuple) else (found, found)
    return (None if first is None else since_epoch(first), None if last is None else since_epoch(last))


def _boxes(bbox: Sequence[float]) -> tuple[Box, ...]:
    valid = VALID_BBOX
    if len(bbox) not in (4, 6) or not all(math.isfinite(edge) for edge in bbox):
        raise InvalidQueryError("bbox", "the bbox must be four or six finite numbers", valid)
    half = len(bbox) // 2
    west, south, east, north = float(bbox[0]), float(bbox[1]), float(bbox[half]), float(bbox[half + 1])
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidQueryError("bbox", "the bbox must lie within -180,-90,180,90, south first", valid)
    if half == 3 and bbox[2] > bbox[5]:
        raise InvalidQueryError("bbox", "the lowest height of the bbox must come before the highest", valid)
    return split((west, south, east, north))


def _names(parameter: str, names: Sequence[str] | None) -> tuple[str, ...] | None:
    if not names:
        return None
    if len(names) > NAMES_LIMIT:
        raise InvalidQueryError(parameter, f"there are more than {NAMES_LIMIT} names", f"at most {NAMES_LIMIT}")
    for name in names:
        try:
            fits = len(name.encode()) <= NAME_LENGTH
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise InvalidQueryError(parameter, "one of the names cannot be an id", f"at most {NAME_LENGTH} bytes each")
    return tuple(names)


def _conditions(
    filter_expr: str | Document | None, language: str | None, crs: str | None, query: str | Document | None
) -> Document | bool | None:
    """Return filter and legacy query as one filter; None where neither is asked."""
    asked = [] if filter_expr in (None, "") else [read_filter(filter_expr, language, crs)]
    if query:
        asked.append(read_query(query))
    if not asked:
        return None
    return asked[0] if len(asked) == 1 else {"op": "and", "args": asked}


def _sort(sortby: Sequence[str | Document] | None) -> tuple[SortKey, ...]:
    """Return the keys, each property once."""
    if not sortby:
        return ()
    valid = f"at most {SORT_LIMIT} properties, such as -datetime,+id"
    if len(sortby) > SORT_LIMIT:
        raise InvalidQueryError("sortby", "there are too many properties to sort by", valid)
    keys: dict[str, SortKey] = {}
    for given in sortby:
        if isinstance(given, str):
            # A plus sign that a client does not encode arrives as a space.
            name, descending = given.strip().lstrip("+-"), given.strip().startswith("-")
        else:
            name, descending = str(given.get("field", "")), given.get("direction") == "desc"
        if not name:
            raise InvalidQueryError("sortby", "sortby has an empty name", valid)
        keys.setdefault(name, SortKey(name, descending))
    return tuple(keys.values())


def _words(q: Sequence[str] | None) -> tuple[str, ...]:
    if not q:
        return ()
    words = [word.strip().strip('"').casefold() for word in q]
    words = [word for word in words if word]
    names = _names("q", words) or ()
    if len(names) > WORDS_LIMIT:
        raise InvalidQueryError("q", "there are too many words", f"at most {WORDS_LIMIT} words or phrases")
    return tuple(dict.fromkeys(names))
