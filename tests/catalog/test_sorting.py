from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.embedded import EmbeddedRepository
from catalog.repository import Page
from catalog.search import item_query
from plugins.datacube.errors import InvalidQueryError

VALUES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "A", "é", "ab", "\U0001f980"])
KEYS = st.lists(
    st.tuples(
        st.sampled_from(["id", "datetime", "properties.datetime", "x", "y.z", "properties.x", "nowhere"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda key: key[0].removeprefix("properties."),
)  # fmt: skip


def make_item(identifier: str, second: int, x: Any, z: Any) -> dict[str, Any]:
    properties = {"datetime": f"2020-01-01T00:00:{second:02d}Z", "x": x, "y": {"z": z}}
    return {"type": "Feature", "id": identifier, "collection": "c", "geometry": None, "properties": properties}


def value_of(item: dict[str, Any], name: str) -> Any:
    name = name.removeprefix("properties.")
    if name == "id":
        return item["id"]
    value: Any = item["properties"]
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def rank(value: Any) -> tuple[int, Any]:
    """Numbers (a truth value is 0 or 1) before texts, by code points."""
    return (1, value.encode()) if isinstance(value, str) else (0, float(value))


def precedes(a: dict[str, Any], b: dict[str, Any], keys: list[tuple[str, bool]]) -> bool:
    """Whether a may stand before b: absent values are last, in either direction."""
    for name, descending in keys:
        first, second = value_of(a, name), value_of(b, name)
        if first is None and second is None:
            continue
        if first is None or second is None:
            return second is None
        if rank(first) != rank(second):
            return (rank(first) > rank(second)) == descending
    return True


@pytest.fixture(scope="module")
def repository() -> Iterator[EmbeddedRepository]:
    with TemporaryDirectory() as folder:
        made = EmbeddedRepository(Path(folder) / "catalog.sqlite")
        yield made
        made.close()


def pages(repository: EmbeddedRepository, **query: Any) -> Iterator[Page]:
    token = None
    while True:
        page = repository.search(item_query(**query, token=token))
        yield page
        if (token := page.token) is None:
            return


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 5), VALUES, VALUES), max_size=12),
    KEYS,
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 5), VALUES, VALUES), max_size=4),
    st.sampled_from(["get", "post"]),
)
def test_pages_are_ordered_complete_and_without_repetition_whatever_is_inserted(
    repository: EmbeddedRepository,
    there: list[tuple[int, Any, Any]],
    keys: list[tuple[str, bool]],
    limit: int,
    later: list[tuple[int, Any, Any]],
    method: str,
) -> None:
    # The names are so that the order of insertion is not that of the names.
    made = [make_item(f"{7 * n % 13:02d}", *values) for n, values in enumerate(there)]
    repository.replace({"id": "c", "links": []}, made, "")
    if method == "get":
        sortby: list[Any] = [f"{'-' if descending else '+'}{name}" for name, descending in keys]
    else:
        sortby = [{"field": name, "direction": "desc" if descending else "asc"} for name, descending in keys]
    seen: list[dict[str, Any]] = []
    more = iter(enumerate(later))
    for page in pages(repository, sortby=sortby, limit=limit):
        assert len(page.documents) == limit or page.token is None
        seen += page.documents
        for number, values in more:
            repository.upsert_items([make_item(f"late{number}", *values)])
            break
    names = [item["id"] for item in seen]
    assert len(names) == len(set(names))
    assert {name for name in names if not name.startswith("late")} == {item["id"] for item in made}
    assert all(precedes(a, b, keys) for a, b in pairwise(seen))


def test_a_filter_and_a_box_keep_the_order(repository: EmbeddedRepository) -> None:
    made = [make_item(f"i{n}", n % 3, n % 4, None) for n in range(20)]
    for n, item in enumerate(made):
        item["geometry"] = {"type": "Point", "coordinates": [n, 0]}
    repository.replace({"id": "c", "links": []}, made, "")
    found = [
        item["id"]
        for page in pages(
            repository, sortby=["-x", "id"], filter_expr="x >= 2", bbox=(5, -1, 20, 1), collections=["c"], limit=2
        )
        for item in page.documents
    ]
    assert found == ["i11", "i15", "i19", "i7", "i10", "i14", "i18", "i6"]


def test_long_texts_page_too(repository: EmbeddedRepository) -> None:
    texts = ["é" * 300 + str(n % 3) for n in range(6)]
    made = [make_item(f"i{n}", n, text, text) for n, text in enumerate(texts)]
    repository.replace({"id": "c", "links": []}, made, "")
    sortby = ["x", "y.z", "-properties.x", "nowhere", "id"]
    found = [item["id"] for page in pages(repository, sortby=sortby, limit=1) for item in page.documents]
    assert sorted(found) == [f"i{n}" for n in range(6)]


@pytest.mark.parametrize(
    "sortby",
    [
        [""], ["-"], ["geometry"], ["a"] * 6, [{"field": ""}], ["x..y"], ["\ud800"], ['a"b'],
        ["a' desc; drop table items"],
    ],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_sorted_by_is_refused(repository: EmbeddedRepository, sortby: list[Any]) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        repository.search(item_query(sortby=sortby))
    assert caught.value.parameter == "sortby"


def test_a_token_belongs_to_its_order(repository: EmbeddedRepository) -> None:
    repository.replace({"id": "c", "links": []}, [make_item(f"i{n}", n, n, n) for n in range(3)], "")
    token = repository.search(item_query(sortby=["-x"], limit=1)).token
    for sortby in (["x"], ["-y.z"], ["-x", "id"], None):
        with pytest.raises(InvalidQueryError) as caught:
            repository.search(item_query(sortby=sortby, token=token))
        assert caught.value.parameter == "token"
