"""Which CQL2 filter did the client write, once it is known to be small enough to be looked at?

OGC 21-065r2 (CQL2), text and JSON. The native parser of the text recurses once a nesting and once an operator, and
ends the process where its stack ends; so a linear scan measures every text first.
"""

from __future__ import annotations

import re
from typing import Any

import cql2
import orjson

from catalog.document import Document
from plugins.datacube.errors import InvalidQueryError

TEXT_LIMIT = 8_192
"""Characters of a filter in text."""
JSON_LIMIT = 100_000
"""Characters of a filter in JSON given as text."""
NESTING_LIMIT = 32
TERMS_LIMIT = 200
"""Operators of a filter in text; operators and functions of one in JSON."""
VALUES_LIMIT = 20_000
"""Members of all lists and objects of a filter in JSON."""
VALID = (
    f"CQL2 of at most {TEXT_LIMIT} characters, {TERMS_LIMIT} operators and {NESTING_LIMIT} nested brackets,"
    " such as t > 5 AND s_intersects(geometry, POINT(7 51))"
)
TEXT_LANGUAGE = "cql2-text"
JSON_LANGUAGE = "cql2-json"
CRS84 = frozenset({"http://www.opengis.net/def/crs/OGC/1.3/CRS84", "http://www.opengis.net/def/crs/OGC/0/CRS84h"})
_FREE_SIGNS = 4
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"[^"]*"
    |(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,)
    |(?P<sign>[-+](?=[\d.]))
    |(?P<operator>[-+*/^%]|[<>=]+)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)
    |(?P<word>[^\W\d][\w:.]*)
    |.""",
    re.VERBOSE | re.DOTALL,
)
_OPERATOR_WORDS = frozenset({"AND", "OR", "NOT", "LIKE", "BETWEEN", "IN", "IS", "DIV"})


def read_filter(given: str | Document, language: str | None, crs: str | None = None) -> Document | bool:
    """Read a filter of either language as CQL2 JSON.

    Parameters
    ----------
    given : str or dict
        A text is CQL2 text unless `language` says JSON; an object is CQL2 JSON.
    language : {"cql2-text", "cql2-json"}, optional
        ``filter-lang``; a JSON object is JSON whatever it says.
    crs : str, optional
        ``filter-crs``: only CRS 84.

    Returns
    -------
    dict or bool
        Bounded in size and nesting; what it says is checked by `catalog.filter_sql`.

    Raises
    ------
    InvalidQueryError
        If it cannot be read or is too large.
    """
    if crs is not None and crs not in CRS84:
        raise InvalidQueryError("filter-crs", "the filter's CRS is not supported", min(CRS84, key=len))
    if language not in (None, TEXT_LANGUAGE, JSON_LANGUAGE):
        raise InvalidQueryError("filter-lang", "there is no such filter language", f"{TEXT_LANGUAGE}, {JSON_LANGUAGE}")
    tree: Any = given
    if isinstance(given, str):
        tree = _from_json(given) if language == JSON_LANGUAGE else _from_text(given)
    if not isinstance(tree, (dict, bool)):
        raise InvalidQueryError("filter", "the filter is not a condition", VALID)
    _measure_tree(tree)
    return tree


def measure_text(text: str) -> None:
    """Refuse a text that is too long, nests too deep or has too many operators; takes time linear in its length.

    Raises
    ------
    InvalidQueryError
        If it is too large.
    """
    if len(text) > TEXT_LIMIT:
        raise InvalidQueryError("filter", "the filter is too long", VALID)
    depth = terms = signs = 0
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case "comma":
                signs = 0
            case "sign":
                # The signs of a coordinate are none that nest; more of them in a row are a chain of differences.
                signs += 1
                terms += signs > _FREE_SIGNS
            case "operator":
                terms += 1
            case "word":
                terms += token.group().upper() in _OPERATOR_WORDS
            case _:
                pass
        if depth > NESTING_LIMIT:
            raise InvalidQueryError("filter", "the filter is nested too deep", VALID)
        if terms > TERMS_LIMIT:
            raise InvalidQueryError("filter", "the filter has too many operators", VALID)


def _from_text(text: str) -> Any:
    measure_text(text)
    try:
        return cql2.parse_text(text).to_json()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the native parser is no Exception
        raise InvalidQueryError("filter", f"the filter is not valid CQL2 text{_place(error)}", VALID) from error


def _place(error: BaseException) -> str:
    """Return where the parser stopped, in words."""
    found = re.search(r"-->\s*(\d+):(\d+)", str(error))
    return f": it cannot be read from character {found[2]} of line {found[1]} on" if found else ""


def _from_json(text: str) -> Any:
    if len(text) > JSON_LIMIT:
        raise InvalidQueryError("filter", "the filter is too long", VALID)
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise InvalidQueryError("filter", "the filter is not valid JSON", VALID) from error


def _measure_tree(tree: Any) -> None:
    """Refuse a tree that nests too deep or has too many operators or values, without recursion.

    Chains of AND, and of OR, are as flat as the text that they come from, so they nest no deeper.
    """
    values = terms = 0
    todo: list[tuple[Any, int, str | None]] = [(tree, 0, None)]
    while todo:
        node, depth, within = todo.pop()
        values += 1
        if isinstance(node, dict):
            operator = node.get("op")
            terms += operator is not None
            named = operator if isinstance(operator, str) else None
            depth += named not in ("and", "or") or named != within
            todo += [(part, depth, named) for part in node.values()]
        elif isinstance(node, list):
            todo += [(part, depth, within) for part in node]
        if depth > NESTING_LIMIT:
            raise InvalidQueryError("filter", "the filter is nested too deep", VALID)
        if terms > TERMS_LIMIT or values > VALUES_LIMIT:
            raise InvalidQueryError("filter", "the filter has too many operators or values", VALID)
