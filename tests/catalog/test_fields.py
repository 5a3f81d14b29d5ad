from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.fields import DEFAULT, project, read_fields
from plugins.datacube.errors import InvalidQueryError

ITEM: dict[str, Any] = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "id": "a",
    "collection": "c",
    "geometry": None,
    "bbox": [0, 0, 1, 1],
    "links": [],
    "assets": {"zarr": {"href": "x", "roles": ["data"]}},
    "properties": {"datetime": None, "n": 1, "cube:variables": {"t": {"unit": "K", "type": "data"}, "u": {}}},
}


def leaves(document: Any, path: str = "") -> set[str]:
    if not isinstance(document, dict) or not document:
        return {path}
    return {leaf for name, part in document.items() for leaf in leaves(part, f"{path}.{name}" if path else name)}


NAMES = st.sampled_from(
    [*sorted(leaves(ITEM)), "properties", "assets", "properties.cube:variables", "properties.cube:variables.t",
     "assets.zarr", "nothing", "properties.nothing", "id.x", "links.x"]
)  # fmt: skip


@given(st.lists(NAMES, max_size=5), st.lists(NAMES, max_size=5))
def test_what_is_included_and_not_excluded_is_given(include: list[str], exclude: list[str]) -> None:
    def named(leaf: str, names: list[str]) -> int:
        """How specific the most specific of the names that hold the leaf is: 0 where none does."""
        return max((name.count(".") + 1 for name in names if leaf == name or leaf.startswith(name + ".")), default=0)

    always = {"type", "id", "collection", "links"} - set(exclude)
    included = [*include, *always] if include else [] if exclude else list(DEFAULT)
    expected = {
        leaf
        for leaf in leaves(ITEM)
        if (named(leaf, included) >= max(named(leaf, exclude), 1)) or not (included or named(leaf, exclude))
    }
    before = copy.deepcopy(ITEM)
    posted = {"include": include, "exclude": exclude} if include else {"exclude": exclude}
    for fields in (posted, [f"+{n}" for n in include] + [f"-{n}" for n in exclude]):
        found = leaves(project(ITEM, read_fields(fields)))
        # An object of which everything is excluded may stay, empty.
        assert found & leaves(ITEM) == expected
        assert all(any(leaf.startswith(name + ".") for leaf in leaves(ITEM)) for name in found - leaves(ITEM))
    assert before == ITEM


@pytest.mark.parametrize("fields", [[], [""], {}, {"include": None, "exclude": None}, {"include": [], "exclude": []}])
def test_nothing_named_is_the_least_valid_item(fields: Any) -> None:
    found = project(ITEM, read_fields(fields))
    assert set(found) == set(ITEM)
    assert found["properties"] == {"datetime": None}


def test_an_empty_list_to_include_takes_away_from_the_least() -> None:
    found = project(ITEM, read_fields({"include": [], "exclude": ["geometry"]}))
    assert found == {**{name: ITEM[name] for name in ITEM if name != "geometry"}, "properties": {"datetime": None}}
    assert project(ITEM, read_fields({"include": None, "exclude": ["geometry"]})) == found


def test_the_most_specific_path_counts_and_include_wins() -> None:
    assert project(ITEM, read_fields(["-properties", "properties.n"]))["properties"] == {"n": 1}
    assert "n" not in project(ITEM, read_fields(["properties", "-properties.n"]))["properties"]
    assert "geometry" in project(ITEM, read_fields(["geometry", "-geometry"]))


def test_without_fields_nothing_is_taken_away() -> None:
    assert project(ITEM, None) is ITEM


def test_too_many_names_are_refused() -> None:
    for fields in (["a"] * 201, ["a" * 513]):
        with pytest.raises(InvalidQueryError) as caught:
            read_fields(fields)
        assert caught.value.parameter == "fields"
