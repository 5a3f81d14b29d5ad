"""The examples of RFC 7396 (appendix A) and RFC 6902 (appendix A), which are the oracle, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.patches import merged, operated, patched
from plugins.datacube.errors import ConflictError, InvalidQueryError


@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_rfc_7396(original: Any, patch: Any, result: Any) -> None:
    assert merged(original, patch) == result


@pytest.mark.parametrize(
    ("original", "operation", "result"),
    [
        ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux"}, {"baz": "qux", "foo": "bar"}),
        ({"foo": ["bar", "baz"]}, {"op": "add", "path": "/foo/1", "value": "qux"}, {"foo": ["bar", "qux", "baz"]}),
        ({"baz": "qux", "foo": "bar"}, {"op": "remove", "path": "/baz"}, {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, {"op": "remove", "path": "/foo/1"}, {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, {"op": "replace", "path": "/baz", "value": "boo"}, {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            {"op": "move", "from": "/foo/waldo", "path": "/qux/thud"},
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            {"op": "move", "from": "/foo/1", "path": "/foo/3"},
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        ({"foo": "bar"}, {"op": "add", "path": "/child", "value": {"g": {}}}, {"foo": "bar", "child": {"g": {}}}),
        ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux", "xyz": 1}, {"foo": "bar", "baz": "qux"}),
        ({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": 10}, {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, {"op": "add", "path": "/foo/-", "value": ["a"]}, {"foo": ["bar", ["a"]]}),
        ({"a": 1}, {"op": "replace", "path": "", "value": {"b": 2}}, {"b": 2}),
        ({"a": 1}, {"op": "add", "path": "", "value": {"b": 2}}, {"b": 2}),
        ({"a": {"b": 1}}, {"op": "copy", "from": "/a", "path": "/a/c"}, {"a": {"b": 1, "c": {"b": 1}}}),
        ({"a": 1.0}, {"op": "test", "path": "/a", "value": 1}, {"a": 1.0}),
    ],
)
def test_rfc_6902(original: Any, operation: Any, result: Any) -> None:
    before = repr(original)
    assert operated(original, [operation]) == result
    assert repr(original) == before


@pytest.mark.parametrize(
    "operation",
    [
        1, {}, {"op": "guess", "path": "/a"}, {"op": "add", "path": "/x/y", "value": 1}, {"op": "add", "path": "/b"},
        {"op": "add", "path": "b", "value": 1}, {"op": "add", "value": 1}, {"op": "remove", "path": "/x"},
        {"op": "remove", "path": ""}, {"op": "replace", "path": "/x", "value": 1},
        {"op": "add", "path": "/l/4", "value": 1}, {"op": "add", "path": "/l/01", "value": 1},
        {"op": "remove", "path": "/l/-"}, {"op": "replace", "path": "/l/-", "value": 1},
        {"op": "add", "path": "/l/²", "value": 1}, {"op": "move", "from": "/a", "path": "/a/b"},
        {"op": "copy", "path": "/b"}, {"op": ["add"], "path": "/b", "value": 1},
        {"op": "add", "path": "/a/b", "value": 1},
        {"op": "add", "path": "/l/99999999999999999999", "value": 1}, {"op": "move", "from": "", "path": "/z"},
    ],
)  # fmt: skip
def test_what_is_no_operation(operation: Any) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        operated({"a": "text", "l": [1, 2, 3]}, [operation])
    assert caught.value.parameter == "body"


@pytest.mark.parametrize("value", [10, "1", True, [1], {"a": 1}, None])
def test_a_test_that_fails_stops_the_patch(value: Any) -> None:
    with pytest.raises(ConflictError):
        operated({"a": 1}, [{"op": "test", "path": "/a", "value": value}])


@pytest.mark.parametrize("patch", [None, 1, "x", True])
def test_what_is_no_patch(patch: Any) -> None:
    with pytest.raises(InvalidQueryError):
        patched({"a": 1}, patch)
    with pytest.raises(InvalidQueryError):
        patched({"a": 1}, [{"op": "replace", "path": "", "value": patch}])


def test_a_patch_has_an_end() -> None:
    with pytest.raises(InvalidQueryError, match="1000"):
        operated({}, [{"op": "add", "path": "/a", "value": 1}] * 1001)
