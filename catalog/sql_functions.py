"""What does SQLite not know that a search needs: GEOS, RFC 3339, CQL2's patterns, cases, accents and arrays?

Functions of a search's statement, registered on every connection. None in gives None out (SQL's unknown); none raises.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson
import shapely
from shapely.errors import ShapelyError

from catalog.footprints import intersects, microseconds
from plugins.datacube.errors import InvalidQueryError

# The query's geometry, which is prepared, stands first; so each relation is the converse of the one that is asked.
_RELATIONS: dict[str, Callable[[shapely.Geometry, shapely.Geometry], Any]] = {
    "s_intersects": shapely.intersects,
    "s_disjoint": shapely.disjoint,
    "s_equals": shapely.equals,
    "s_touches": shapely.touches,
    "s_crosses": shapely.crosses,
    "s_overlaps": shapely.overlaps,
    "s_within": shapely.contains,
    "s_contains": shapely.within,
}
SPATIAL_OPERATORS = frozenset(_RELATIONS)
ARRAY_OPERATORS = frozenset({"a_equals", "a_contains", "a_containedby", "a_overlaps"})


def register(connection: sqlite3.Connection) -> None:
    """Give a connection the functions of this module."""
    functions: list[tuple[str, int, Callable[..., Any]]] = [
        ("footprint_intersects", 2, intersects),
        ("spatial", 3, spatial),
        ("instant", 1, instant),
        ("text_like", 2, text_like),
        ("casei", 1, casei),
        ("accenti", 1, accenti),
        ("array_is", 3, array_is),
        ("power", 2, power),
        ("quotient", 2, quotient),
        ("remainder", 2, remainder),
    ]
    for name, arguments, function in functions:
        connection.create_function(name, arguments, function, deterministic=True)


def spatial(operator: str, item: bytes | None, query: bytes) -> bool | None:
    """Return whether the item's geometry stands in a relation to the query's, both WKB."""
    if item is None:
        return None
    try:
        return bool(_RELATIONS[operator](_prepared(query), shapely.from_wkb(item)))
    except ShapelyError:
        return None


@lru_cache(maxsize=64)
def _prepared(wkb: bytes) -> shapely.Geometry:
    geometry = shapely.from_wkb(wkb)
    shapely.prepare(geometry)
    return geometry


@lru_cache(maxsize=4096)
def instant(text: str | None) -> int | None:
    """Return an RFC 3339 date as microseconds since 1970; None for what is none.

    Examples
    --------
    >>> instant("1970-01-01T00:00:00.5Z"), instant("soon")
    (500000, None)
    """
    try:
        return None if text is None else microseconds(text)
    except (InvalidQueryError, OverflowError):
        return None


def text_like(text: str | None, pattern: str) -> bool | None:
    r"""Return whether a text matches a pattern of CQL2: ``%`` any text, ``_`` one character, ``\`` takes it literally.

    Takes no longer than length times length: what stands between two ``%`` is sought from left to right, once.

    Examples
    --------
    >>> text_like("air_temperature", "air%temp_rature"), text_like("ab", "a"), text_like("50%", r"50\%")
    (True, False, True)
    """
    if text is None:
        return None
    first, *rest = _pieces(pattern)
    found = first.match(text)
    if found is None:
        return False
    if not rest:
        return found.end() == len(text)
    place = found.end()
    for piece in rest[:-1]:
        found = piece.search(text, place)
        if found is None:
            return False
        place = found.end()
    last = rest[-1]
    start = len(text) - _length(pattern, -1)
    return start >= place and last.fullmatch(text, start) is not None


@lru_cache(maxsize=64)
def _split_pattern(pattern: str) -> tuple[tuple[str | None, ...], ...]:
    """Return the pieces between ``%`` as characters, None for any one character."""
    pieces: list[list[str | None]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            pieces.append([])
        elif character == "_":
            pieces[-1].append(None)
        else:
            pieces[-1].append(next(characters, "\\") if character == "\\" else character)
    return tuple(tuple(piece) for piece in pieces)


@lru_cache(maxsize=64)
def _pieces(pattern: str) -> tuple[re.Pattern[str], ...]:
    return tuple(
        re.compile("".join("." if part is None else re.escape(part) for part in piece), re.DOTALL)
        for piece in _split_pattern(pattern)
    )


def _length(pattern: str, index: int) -> int:
    return len(_split_pattern(pattern)[index])


def casei(text: str | None) -> str | None:
    """Return a text without its cases (Unicode case folding)."""
    return None if text is None else text.casefold()


def accenti(text: str | None) -> str | None:
    """Return a text without its accents (combining marks).

    Examples
    --------
    >>> accenti("été")
    'ete'
    """
    if text is None:
        return None
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(part for part in parts if not unicodedata.combining(part)))


def array_is(operator: str, first: str | None, second: str | None) -> bool | None:
    """Return a relation of two arrays in JSON, as sets; of an object, the keys are meant.

    Examples
    --------
    >>> array_is("a_contains", '{"t": {}, "u": {}}', '["t"]'), array_is("a_equals", "[1, 2]", "[2, 1.0, 1]")
    (True, True)
    """
    if first is None or second is None:
        return None
    a, b = _members(first), _members(second)
    match operator:
        case "a_equals":
            return a == b
        case "a_contains":
            return a >= b
        case "a_containedby":
            return a <= b
        case _:
            return not a.isdisjoint(b)


@lru_cache(maxsize=256)
def _members(text: str) -> frozenset[tuple[str, Any]]:
    return frozenset(_member(value) for value in orjson.loads(text))


def _member(value: Any) -> tuple[str, Any]:
    """Return a value so that equal ones are equal: true is not 1, and 1 is 1.0."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, (int, float)):
        return ("number", value)
    return ("text", value) if isinstance(value, str) else ("other", orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def power(base: float | None, exponent: float | None) -> float | None:
    """Return base ** exponent as a real number; None where there is none."""
    return _real(lambda a, b: a**b, base, exponent)


def quotient(a: float | None, b: float | None) -> float | None:
    """Return the whole part of a / b, cut towards zero; None for b = 0."""
    return _real(lambda x, y: float(int(x / y)), a, b)


def remainder(a: float | None, b: float | None) -> float | None:
    """Return what `quotient` leaves, with the sign of a; None for b = 0."""
    return _real(lambda x, y: x - y * int(x / y), a, b)


def _real(function: Callable[[float, float], Any], a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    try:
        value = function(float(a), float(b))
    except (ArithmeticError, ValueError):
        return None
    return None if isinstance(value, complex) or value != value or abs(value) == float("inf") else value
