"""What may a value in a filter be, and by which SQL is it found in an item?

A value has one kind or, as a property, a different one in every item: number, text, boolean or instant. A comparison
is made within a kind. A property that is of another kind in some item is, for that comparison, as if it were absent:
the result is unknown, as SQL's NULL. Names become literal JSON paths after a strict check; values are always bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.sql_functions import accenti, casei, instant
from plugins.datacube.errors import InvalidQueryError

NUMBER, TEXT, BOOLEAN, INSTANT = "number", "text", "boolean", "instant"
VALID_NAME = "id, collection, geometry, datetime, or a name of /queryables"
DATED = frozenset(
    {
        "start_datetime",
        "end_datetime",
        "created",
        "updated",
        "published",
        "expires",
        "unpublished",
        "forecast:reference_datetime",
    }
)
"""Properties that STAC and its extensions define as dates: a text that they are compared with is read as a date."""
_NAME = re.compile(r"[\w:@\-]+(?:\.[\w:@\-]+)*")
_NAME_LIMIT = 256
_ARITHMETIC = {"+": "({} + {})", "-": "({} - {})", "*": "({} * {})", "/": "(1.0 * {} / {})", "^": "power({}, {})",
               "%": "remainder({}, {})", "div": "quotient({}, {})"}  # fmt: skip
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL with the values of its question marks, in their order."""

    text: str
    values: tuple[Any, ...] = ()


UNKNOWN = Sql("null")


@dataclass(frozen=True, slots=True)
class Value:
    """Something that can be compared: SQL for each kind that it may be of."""

    kinds: Mapping[str, Sql]
    literal: Any = None
    """The value itself where it is a constant; None for what is read from an item."""


def value_of(node: Any) -> Value:
    """Return a scalar expression of CQL2 JSON.

    Raises
    ------
    InvalidQueryError
        If it is none.
    """
    if not isinstance(node, dict):
        return literal(node)
    if isinstance(name := node.get("property"), str):
        return property_value(name)
    if set(node) in ({"timestamp"}, {"date"}):
        moment = instant_of(next(iter(node.values())))
        return Value({INSTANT: Sql("?", (moment,))}, moment)
    operator, arguments = node.get("op"), node.get("args")
    operator = operator.lower() if isinstance(operator, str) else None
    if operator in ("casei", "accenti") and isinstance(arguments, list) and len(arguments) == 1:
        return _folded(operator, value_of(arguments[0]))
    if operator in _ARITHMETIC and isinstance(arguments, list) and len(arguments) == 2:
        parts = [number(value_of(argument)) for argument in arguments]
        return Value({NUMBER: Sql(_ARITHMETIC[operator].format(*(p.text for p in parts)), _values(*parts))})
    raise wrong("the filter has something that is no value where a value must stand")


def literal(node: Any) -> Value:
    """Return a constant: a text that is a date may be compared with dates too."""
    if isinstance(node, bool):
        return Value({BOOLEAN: Sql("?", (int(node),))}, node)
    if isinstance(node, (int, float)):
        if not is_finite(node):
            raise wrong("a number of the filter is not finite")
        fits = -_INT64 <= node < _INT64
        # A double that is whole is given as an integer, which SQLite compares exactly with integers.
        bound = int(node) if fits and node == int(node) else float(node)
        return Value({NUMBER: Sql("?", (bound,))}, bound)
    if isinstance(node, str):
        _check_text(node)
        kinds = {TEXT: Sql("?", (node,))}
        moment = instant(node) if len(node) <= 40 else None
        return Value(kinds if moment is None else {**kinds, INSTANT: Sql("?", (moment,))}, node)
    raise wrong("the filter has something that is no value where a value must stand")


def property_value(name: str) -> Value:
    """Return a property of an item, under the name of a queryable."""
    match name:
        case "id" | "collection":
            return Value({TEXT: Sql(name)})
        case "datetime" | "properties.datetime":
            return Value({INSTANT: Sql("dt")})
        case "geometry" | "bbox":
            raise wrong(f"{name} can only be used in a spatial function")
        case _:
            kind, value = extraction(name)
    text = Sql(f"(case when {kind} = 'text' then {value} end)")
    moment = Sql(f"instant({text.text})")
    if name.removeprefix("properties.") in DATED:
        return Value({INSTANT: moment})
    return Value(
        {
            NUMBER: Sql(f"(case when {kind} in ('integer', 'real') then {value} end)"),
            TEXT: text,
            BOOLEAN: Sql(f"(case {kind} when 'true' then 1 when 'false' then 0 end)"),
            INSTANT: moment,
        }
    )


def indexed_expressions(name: str) -> tuple[str, ...]:
    """Return the SQL by which a comparison finds a property, for indexes on it: as number, and as text or date.

    Raises
    ------
    InvalidQueryError
        If the name is none of a property.
    """
    kinds = property_value(name).kinds
    return tuple(
        kinds[kind].text for kind in (NUMBER, TEXT, INSTANT) if kind in kinds and (kind != INSTANT or len(kinds) == 1)
    )


def extraction(name: str) -> tuple[str, str]:
    """Return SQL for the JSON type and for the value of a property; dots lead into objects.

    Raises
    ------
    InvalidQueryError
        If the name has a character that no property of STAC has.
    """
    if not is_name(name):
        raise wrong("the filter names a property that cannot be one", VALID_NAME)
    # The name has no quote of any sort, so it stays within both of its quotes.
    path = "$." + ".".join(f'"{part}"' for part in name.removeprefix("properties.").split("."))
    return f"json_type(props, '{path}')", f"json_extract(props, '{path}')"


def is_name(name: str) -> bool:
    """Return whether a property of this name can be asked for."""
    return len(name) <= _NAME_LIMIT and _NAME.fullmatch(name) is not None


def number(value: Value) -> Sql:
    """Return the value as a number; raises where it can never be one."""
    return _as(value, NUMBER)


def text_of(value: Value) -> Sql:
    """Return the value as a text; raises where it can never be one."""
    return _as(value, TEXT)


def common_kinds(first: Value, second: Value) -> list[str]:
    """Return the kinds in which two values can be compared."""
    kinds = [kind for kind in (NUMBER, TEXT, BOOLEAN, INSTANT) if kind in first.kinds and kind in second.kinds]
    if TEXT in kinds and INSTANT in kinds:
        kinds.remove(INSTANT)
    return kinds


def compare(operator: str, first: Value, second: Value) -> Sql:
    """Return a comparison; unknown where either side is absent.

    Raises
    ------
    InvalidQueryError
        If no kind is common to both.
    """
    parts = []
    for kind in common_kinds(first, second):
        a, b = first.kinds[kind], second.kinds[kind]
        parts.append(Sql(f"{a.text} {operator} {b.text}", _values(a, b)))
    if not parts:
        raise wrong("the filter compares values of different kinds")
    if len(parts) == 1:
        return Sql(f"({parts[0].text})", parts[0].values)
    return Sql(f"coalesce({', '.join(part.text for part in parts)})", _values(*parts))


def instant_of(node: Any) -> int:
    """Read a date or time as microseconds since 1970."""
    moment = instant(node) if isinstance(node, str) and len(node) <= 40 else None
    if moment is None:
        raise wrong("a date of the filter is not one", "an RFC 3339 date such as 2020-01-01T00:00:00Z")
    return moment


def is_finite(number: Any) -> bool:
    """Return whether something is a number that a double can hold."""
    try:
        return type(number) in (int, float) and math.isfinite(number)
    except OverflowError:
        return False


def wrong(detail: str, valid: str | None = None) -> InvalidQueryError:
    """Return an error about the parameter ``filter``."""
    return InvalidQueryError("filter", detail, valid)


def _folded(operator: str, value: Value) -> Value:
    if isinstance(value.literal, str):
        return literal((casei if operator == "casei" else accenti)(value.literal))
    text = text_of(value)
    return Value({TEXT: Sql(f"{operator}({text.text})", text.values)})


def _as(value: Value, kind: str) -> Sql:
    if kind not in value.kinds:
        raise wrong(f"the filter has something that is no {kind} where a {kind} must stand")
    return value.kinds[kind]


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise wrong("a text of the filter is not valid Unicode") from error


def _values(*parts: Sql) -> tuple[Any, ...]:
    return tuple(value for part in parts for value in part.values)
