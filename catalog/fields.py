"""Which members of an item did the client ask for?

https://github.com/stac-api-extensions/fields. A member is named by its path (``properties.cube:variables.t``); what is
included and not excluded is given. Type, id, collection and links are always given unless they are excluded, so that
the items can still be told apart and the whole ones be found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.document import Document
from plugins.datacube.errors import InvalidQueryError

NAMES_LIMIT = 200
NAME_LENGTH = 512
DEFAULT = (
    "type",
    "stac_version",
    "id",
    "geometry",
    "bbox",
    "links",
    "assets",
    "collection",
    "properties.datetime",
    "properties.start_datetime",
    "properties.end_datetime",
)
"""What is given for fields that name nothing: the least that is a valid item."""
_ALWAYS = ("type", "id", "collection", "links")

type _Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """Members to include, None for all, and members to exclude; the most specific path counts, and include wins."""

    include: frozenset[_Path] | None
    exclude: frozenset[_Path]


def read_fields(given: Sequence[str] | Mapping[str, Any]) -> Fields:
    """Read ``fields`` as GET (names with ``+``, ``-`` or nothing before them) or POST (two lists) has it.

    In POST an empty list to include, or null, is not the same as none: then the members to exclude are taken away from
    `DEFAULT`, else from the whole item.

    Raises
    ------
    InvalidQueryError
        If there are too many names or they are too long.
    """
    least = False
    if isinstance(given, Mapping):
        include, exclude = list(given.get("include") or []), list(given.get("exclude") or [])
        least = "include" in given and not include
    else:
        names = [name.strip() for name in given]
        exclude = [name[1:] for name in names if name.startswith("-")]
        include = [name.removeprefix("+") for name in names if not name.startswith("-")]
    include, exclude = [name for name in include if name], [name for name in exclude if name]
    if len(include) + len(exclude) > NAMES_LIMIT or any(len(name) > NAME_LENGTH for name in include + exclude):
        raise InvalidQueryError("fields", "fields has too many names", f"at most {NAMES_LIMIT} names")
    if not include and (least or not exclude):
        include = [name for name in DEFAULT if name not in exclude]
    named = _paths(include)
    always = _paths(_ALWAYS) - _paths(exclude)
    return Fields(named | always if named else None, _paths(exclude))


def project(item: Document, fields: Fields | None) -> Document:
    """Return the members of an item that are asked for; the item itself where `fields` is None.

    Examples
    --------
    >>> item = {"id": "a", "properties": {"x": 1, "y": 2}, "links": []}
    >>> project(item, read_fields(["properties", "-properties.x"]))
    {'id': 'a', 'properties': {'y': 2}, 'links': []}
    """
    if fields is None:
        return item
    return _given(item, fields.include, fields.exclude, asked=fields.include is None)


def _paths(names: Sequence[str]) -> frozenset[_Path]:
    return frozenset(tuple(name.split(".")) for name in names)


def _given(document: Document, include: frozenset[_Path] | None, exclude: frozenset[_Path], *, asked: bool) -> Document:
    """Return the members of one object; `asked` is whether those that no path names are given."""
    result: Document = {}
    for name, value in document.items():
        inside, outside = _below(include or frozenset(), name), _below(exclude, name)
        whole = True if () in inside else False if () in outside else asked
        deeper, lesser = inside - {()}, outside - {()}
        if (deeper or lesser) and isinstance(value, dict):
            part = _given(value, deeper, lesser, asked=whole)
            if part or whole:
                result[name] = part
        elif whole:
            result[name] = value
    return result


def _below(paths: frozenset[_Path], name: str) -> frozenset[_Path]:
    return frozenset(path[1:] for path in paths if path[0] == name)
