from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from catalog.document import absolute_at, descriptive_links, digest, hrefs, relative_to

OWN = st.text("abc/", max_size=8).map(lambda tail: "http://h/p/" + tail)
FOREIGN = st.sampled_from(["https://other/x", "http://h/pq", "http://h", "s3://bucket/a"])


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    found = st.lists(st.fixed_dictionaries({"href": OWN | FOREIGN}), max_size=4)
    assets = st.dictionaries(st.text("ab", max_size=3), st.fixed_dictionaries({"href": OWN | FOREIGN}), max_size=3)
    return {"id": "x", "links": draw(found), "assets": draw(assets)}


@given(documents())
def test_relative_then_absolute_is_the_same_document(document: dict[str, Any]) -> None:
    kept = relative_to(document, "http://h/p")
    assert not any(href.startswith("http://h/p/") for href in hrefs(kept))
    assert absolute_at(kept, "http://h/p") == document


@given(documents())
def test_a_document_moves_to_another_host(document: dict[str, Any]) -> None:
    moved = absolute_at(relative_to(document, "http://h/p"), "https://new")
    expected = [
        "https://new/" + href.removeprefix("http://h/p/") if href.startswith("http://h/p/") else href
        for href in hrefs(document)
    ]
    assert list(hrefs(moved)) == expected


def test_the_document_given_is_not_changed() -> None:
    document = {"links": [{"href": "http://h/a"}]}
    relative_to(document, "http://h")
    assert document == {"links": [{"href": "http://h/a"}]}


def test_digest_ignores_the_order_of_members_but_not_of_lists() -> None:
    assert digest([{"a": 1, "b": [1, 2]}]) == digest([{"b": [1, 2], "a": 1}])
    assert digest([{"a": 1, "b": [1, 2]}]) != digest([{"b": [2, 1], "a": 1}])


def test_structural_links_are_not_kept() -> None:
    links = [{"rel": rel} for rel in ("self", "root", "parent", "collection", "items", "item", "license")]
    assert [link["rel"] for link in descriptive_links({"links": links})] == ["license"]
