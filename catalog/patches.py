"""What does a document become under a patch?

RFC 7396 (JSON Merge Patch: an object) and RFC 6902 (JSON Patch: a list of operations). The document given is not
changed. What a patch cannot do is refused as a whole.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from catalog.document import Document
from plugins.datacube.errors import ConflictError, InvalidQueryError

OPERATIONS_LIMIT = 1_000
VALID = "a JSON Merge Patch (an object), or a JSON Patch (a list of add, remove, replace, move, copy and test)"
_WITH_VALUE = frozenset({"add", "replace", "test"})
_WITH_SOURCE = frozenset({"move", "copy"})


def patched(document: Document, patch: Any) -> Document:
    """Return the document under a patch of either kind.

    Raises
    ------
    InvalidQueryError
        If it is no patch, or leads where there is nothing.
    ConflictError
        If a ``test`` of a JSON Patch fails.
    """
    result: Any
    if isinstance(patch, dict):
        result = merged(document, patch)
    elif isinstance(patch, list):
        result = operated(document, patch)
    else:
        raise _wrong("the body is no patch")
    if not isinstance(result, dict):
        raise _wrong("the patch leaves no object")
    return result


def merged(target: Any, patch: Any) -> Any:
    """Return a value under a JSON Merge Patch: null takes away.

    Examples
    --------
    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def operated(document: Any, operations: Sequence[Any]) -> Any:
    """Return a document under a JSON Patch.

    Examples
    --------
    >>> operated({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}, {"op": "move", "from": "/a", "path": "/b"}])
    {'b': [1, 2]}
    """
    if len(operations) > OPERATIONS_LIMIT:
        raise _wrong(f"the patch has more than {OPERATIONS_LIMIT} operations")
    # The document stands below a root of one member, so that it can itself be replaced.
    root = [copy.deepcopy(document)]
    for operation in operations:
        _apply(root, operation)
    return root[0]


def _apply(root: list[Any], operation: Any) -> None:
    kind = operation.get("op") if isinstance(operation, dict) else None
    if not isinstance(kind, str) or kind not in _WITH_VALUE | _WITH_SOURCE | {"remove"}:
        raise _wrong("the patch has something that is no operation")
    path = _pointer(operation, "path")
    if kind in _WITH_VALUE and "value" not in operation:
        raise _wrong(f"the operation {kind} has no value")
    match kind:
        case "add":
            _add(root, path, copy.deepcopy(operation["value"]))
        case "remove":
            _remove(root, path)
        case "replace":
            _find(root, path)
            holder = _find(root, path[:-1])
            holder[_place(holder, path[-1])] = copy.deepcopy(operation["value"])
        case "test":
            if not _same(_find(root, path), operation["value"]):
                raise ConflictError("a test of the patch fails: the value is another one")
        case "copy":
            _add(root, path, copy.deepcopy(_find(root, _pointer(operation, "from"))))
        case _:
            source = _pointer(operation, "from")
            if path[: len(source)] == source and path != source:
                raise _wrong("the patch moves something into itself")
            value = _find(root, source)
            _remove(root, source)
            _add(root, path, value)


def _pointer(operation: dict[str, Any], name: str) -> list[str]:
    """Read a JSON Pointer (RFC 6901) as steps from the root."""
    text = operation.get(name)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _wrong(f"an operation of the patch has no {name} that is a JSON Pointer")
    return ["0", *(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])]


def _find(root: list[Any], path: list[str]) -> Any:
    node: Any = root
    for step in path:
        node = node[_place(node, step)]
    return node


def _add(root: list[Any], path: list[str], value: Any) -> None:
    holder = _find(root, path[:-1])
    if isinstance(holder, dict):
        holder[path[-1]] = value
    elif holder is root:
        root[0] = value
    elif isinstance(holder, list):
        holder.insert(len(holder) if path[-1] == "-" else _place(holder, path[-1], beyond=1), value)
    else:
        raise _wrong("the patch adds to something that is no object and no array")


def _remove(root: list[Any], path: list[str]) -> None:
    if len(path) == 1:
        raise _wrong("the patch removes the whole document")
    holder = _find(root, path[:-1])
    del holder[_place(holder, path[-1])]


def _place(holder: Any, step: str, beyond: int = 0) -> Any:
    """Return the key or index of a step that exists; an index may be `beyond` the end."""
    if isinstance(holder, dict) and step in holder:
        return step
    proper = step.isascii() and step.isdigit() and len(step) < 10 and str(int(step)) == step
    if isinstance(holder, list) and proper and int(step) < len(holder) + beyond:
        return int(step)
    raise _wrong("the patch leads to something that is not there")


def _same(first: Any, second: Any) -> bool:
    """Return whether two JSON values are equal: true is not 1, but 1 is 1.0 (RFC 6902, section 4.6)."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[name], second[name]) for name in first)
    return bool(first == second)


def _wrong(detail: str) -> InvalidQueryError:
    return InvalidQueryError("body", detail, VALID)
