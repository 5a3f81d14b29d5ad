"""Which filter does the legacy ``query`` parameter stand for?

https://github.com/stac-api-extensions/query: an object of properties, each with an object of operators. It is rewritten
as CQL2, so both are answered by the same code. Clients send numbers as texts (``{"gt": "40"}``), so a text that is a
number is compared with numbers too; in ``filter`` it is not.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from catalog.document import Document
from catalog.filter_sql import compile_filter
from plugins.datacube.errors import InvalidQueryError

TEXT_LIMIT = 8_192
TERMS_LIMIT = 100
VALUES_LIMIT = 1_000
_COMPARISONS = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_PATTERNS = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}
VALID = '{"name": {"eq": 1}} with ' + ", ".join([*_COMPARISONS, "in", *_PATTERNS])


def read_query(given: str | Document) -> Document | bool:
    """Return a legacy query as CQL2 JSON; one that asks nothing is true of every item.

    Parameters
    ----------
    given : str or dict
        The query, or its JSON.

    Raises
    ------
    InvalidQueryError
        If it is none, or too large.

    Examples
    --------
    >>> read_query('{"member": {"gt": 40}}')
    {'op': 'and', 'args': [{'op': '>', 'args': [{'property': 'member'}, 40]}]}
    """
    query: Any = given
    if isinstance(given, str):
        if len(given) > TEXT_LIMIT:
            raise _wrong("the query is too long")
        try:
            query = orjson.loads(given)
        except ValueError as error:
            raise _wrong("the query is not valid JSON") from error
    if not isinstance(query, dict):
        raise _wrong("the query must be an object")
    conditions = []
    for name, operators in query.items():
        if not isinstance(operators, dict):
            raise _wrong("every property of the query must have an object of operators")
        conditions += [_condition({"property": name}, operator, value) for operator, value in operators.items()]
    if len(conditions) > TERMS_LIMIT:
        raise _wrong(f"the query must have at most {TERMS_LIMIT} conditions")
    if not conditions:
        return True
    tree = {"op": "and", "args": conditions}
    try:
        compile_filter(tree)
    except InvalidQueryError as error:
        raise _wrong("the query names a property, or compares it with a value, that cannot be") from error
    return tree


def _condition(of: Document, operator: str, value: Any) -> Document:
    if operator in _COMPARISONS:
        return _any([{"op": _COMPARISONS[operator], "args": [of, each]} for each in _readings(value)])
    if operator == "in":
        if not isinstance(value, list) or len(value) > VALUES_LIMIT:
            raise _wrong(f"in takes a list of at most {VALUES_LIMIT} values")
        kinds: dict[type, list[Any]] = {}
        for each in value:
            for reading in _readings(each):
                kinds.setdefault(type(reading), []).append(reading)
        return _any([{"op": "in", "args": [of, members]} for members in kinds.values()] or [_nothing(of)])
    if operator in _PATTERNS:
        if not isinstance(value, str):
            raise _wrong(f"{operator} takes a text")
        escaped = "".join(f"\\{character}" if character in "%_\\" else character for character in value)
        return {"op": "like", "args": [of, _PATTERNS[operator].format(escaped)]}
    raise _wrong("the query has an operator that there is not")


def _readings(value: Any) -> list[Any]:
    """Return a value as it stands, and as the number that its text is."""
    if not isinstance(value, (str, int, float)):
        raise _wrong("the query compares with something that is no text, number or boolean")
    if not isinstance(value, str) or len(value) > 40:
        return [value]
    try:
        number = float(value)
    except ValueError:
        return [value]
    return [value, number] if math.isfinite(number) else [value]


def _any(conditions: list[Document]) -> Document:
    return conditions[0] if len(conditions) == 1 else {"op": "or", "args": conditions}


def _nothing(of: Document) -> Document:
    return {"op": "in", "args": [of, []]}


def _wrong(detail: str) -> InvalidQueryError:
    return InvalidQueryError("query", detail, VALID)
