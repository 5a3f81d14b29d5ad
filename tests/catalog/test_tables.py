"""Many items at a time: the same as one at a time, and no other geometry than GEOS would write."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from catalog import tables
from catalog.embedded import EmbeddedRepository
from catalog.footprints import footprint_of
from catalog.repository import ItemQuery
from catalog.search import item_query
from plugins.datacube.errors import UnknownError

WEST = st.sampled_from([-180.0, -10.5, 0, 3, 170.25])
SOUTH = st.sampled_from([-90, -1.5, 0.0, 60])


def item(identifier: str, west: float = 0, day: int = 1, collection: str = "c") -> dict[str, Any]:
    box = (west, 0.0, west + 1, 1.0)
    return {
        "type": "Feature", "id": identifier, "collection": collection, "bbox": list(box), "links": [], "assets": {},
        "geometry": shapely.geometry.mapping(shapely.box(*box)),
        "properties": {"datetime": f"2020-01-{day:02d}T00:00:00Z"},
    }  # fmt: skip


@given(WEST, SOUTH, st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.booleans(), st.integers(0, 5))
def test_a_box_is_written_as_geos_writes_it(
    west: float, south: float, width: int, height: int, turned: int, clockwise: bool, spoiled: int
) -> None:
    corners = [(west, south), (west + width, south), (west + width, south + height), (west, south + height)]
    corners = corners[turned:] + corners[:turned]
    corners = corners[::-1] if clockwise else corners
    if spoiled < 4:
        corners[spoiled] = (corners[spoiled][0] + 0.25, corners[spoiled][1])
    ring = [list(corner) for corner in [*corners, corners[0]]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    exact = shapely.geometry.shape(geometry)
    bounds = list(exact.bounds)
    if spoiled == 4:
        bounds[2] += 1  # an item whose box is wider than its geometry
    found = footprint_of(
        {"id": "i", "geometry": geometry, "bbox": bounds, "properties": {"datetime": "2020-01-01T00:00:00Z"}}
    )
    assert found.wkb is not None
    assert shapely.from_wkb(found.wkb).equals(exact)
    assert found.is_box is (spoiled == 5)
    assert found.boxes == (tuple(bounds),)


def test_more_items_than_one_statement_takes(repository: EmbeddedRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH", 4)
    repository.upsert_collection({"type": "Collection", "id": "c", "links": []})
    repository.upsert_collection({"type": "Collection", "id": "d", "links": []})
    assert repository.upsert_items(item(f"i{n}", n, collection="cd"[n % 2]) for n in range(11)) == 11
    # Some are there already, some twice, in other places; the last word counts.
    again = [item("i3", 50, collection="d"), item("new", 60), item("new", 61), item("i4", 70), item("i3", 80, 2, "d")]
    assert repository.upsert_items(again) == 5
    found = {found["id"]: found["bbox"][0] for found in repository.search(ItemQuery(limit=100)).documents}
    assert found == {**{f"i{n}": float(n) for n in range(11)}, "new": 61, "i4": 70, "i3": 80}
    for west, expected in ((50, set()), (60, {"new"}), (70, {"i4"}), (80, {"i3"})):
        near = repository.search(item_query(bbox=(west + 0.5, 0.2, west + 1, 0.5))).documents
        assert {each["id"] for each in near} == (expected | {"new"} if west == 60 else expected)
    at = repository.search(item_query(bbox=(80, 0, 80, 0))).documents
    assert [each["properties"]["datetime"] for each in at] == ["2020-01-02T00:00:00Z"]


def test_a_collection_that_is_not_there_undoes_all(repository: EmbeddedRepository) -> None:
    repository.upsert_collection({"type": "Collection", "id": "c", "links": []})
    with pytest.raises(UnknownError, match="nowhere"):
        repository.upsert_items([item("a"), item("b", collection="nowhere")])
    assert repository.search(ItemQuery()).documents == ()


def test_only_what_differs_is_written_again(repository: EmbeddedRepository, tmp_path: Path) -> None:
    document = {"type": "Collection", "id": "c", "links": []}
    repository.replace(document, [item("a"), item("b")], "1")
    with sqlite3.connect(tmp_path / "catalog.sqlite") as own:
        own.execute("create table seen(id text)")
        own.execute("create trigger s after update on items begin insert into seen values (new.id); end")
    repository.replace(document, [item("a"), item("b", 5), item("c")], "2")
    assert [row[0] for row in own.execute("select id from seen")] == ["b"]
    own.close()
    assert len(repository.search(ItemQuery()).documents) == 3


def test_a_number_is_not_given_twice(repository: EmbeddedRepository) -> None:
    """A page's token holds the number of its last item: what is deleted must not come again under it."""
    repository.upsert_collection({"type": "Collection", "id": "c", "links": []})
    repository.upsert_items(item(f"i{n}") for n in range(3))
    first = repository.search(ItemQuery(limit=1))
    assert [found["id"] for found in first.documents] == ["i2"]
    repository.delete_item("c", "i2")
    repository.upsert_items([item("late")])
    rest = repository.search(ItemQuery(limit=5, token=first.token))
    assert [found["id"] for found in rest.documents] == ["i1", "i0"]
