"""What is valid STAC, and what is said of what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catalog.describe import described
from catalog.links import FrontUrls
from catalog.validation import problem_with, sound_item
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import InvalidQueryError

MakeCube = Callable[..., Datacube]


@pytest.fixture
def documents(make_cube: MakeCube) -> tuple[dict[str, Any], dict[str, Any]]:
    document, (item,) = described(make_cube(), FrontUrls("http://127.0.0.1:8000"))
    return document, item


def test_what_we_make_is_valid(documents: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert [problem_with(document) for document in documents] == [None, None]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"license": 5}, "license"),
        ({"extent": {}}, "extent"),
        ({"id": ""}, "id"),
        ({"id": "a/b"}, "id"),
        ({"stac_version": "1.0.0"}, "stac_version"),
        ({"type": "Nonsense"}, "no STAC"),
        ({"links": [{"rel": "x"}]}, "links"),
        ({"assets": {"a": {}}}, "assets"),
    ],
)
def test_a_wrong_collection(
    documents: tuple[dict[str, Any], dict[str, Any]], change: dict[str, Any], said: str
) -> None:
    problem = problem_with({**documents[0], **change})
    assert problem is not None
    assert said in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"properties": {"datetime": None}}, "datetime"),
        ({"properties": {"datetime": "2020-13-01T00:00:00Z"}}, "2020-13-01"),
        ({"bbox": [1, 2]}, "bbox"),
        ({"geometry": None}, "bbox"),
        ({"geometry": {"type": "Point"}}, ""),
    ],
)
def test_a_wrong_item(documents: tuple[dict[str, Any], dict[str, Any]], change: dict[str, Any], said: str) -> None:
    problem = problem_with({**documents[1], **change})
    assert problem is not None
    assert said in problem


def test_an_item_may_be_nowhere(documents: tuple[dict[str, Any], dict[str, Any]]) -> None:
    item = {name: value for name, value in documents[1].items() if name != "bbox"}
    assert problem_with({**item, "geometry": None}) is None


def test_what_an_item_of_many_misses_is_filled_in() -> None:
    bare = {"type": "Feature", "id": "i", "geometry": None, "properties": {"datetime": "2020-01-01T00:00:00Z"}}
    made = sound_item(bare, "c")
    assert made == {**bare, "collection": "c", "stac_version": "1.1.0", "links": [], "assets": {}}
    for wrong in ({"collection": "d"}, {"id": None}, {"links": 1}, {"assets": {"a": {"href": None}}}):
        with pytest.raises(InvalidQueryError):
            sound_item({**bare, **wrong}, "c")
