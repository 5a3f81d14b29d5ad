from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from catalog import plans, sql_functions
from catalog.embedded import EmbeddedRepository
from catalog.plans import plan
from catalog.search import item_query

COUNT = 400


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    """Boxes, boxes across the antimeridian, triangles, and items of no place; some a second long, some an hour."""
    random = np.random.default_rng(7)
    made = []
    for n in range(COUNT):
        west, south = float(random.integers(-180, 170)), float(random.integers(-80, 70))
        corners = [[west, south], [west + 8, south], [west + 8, south + 8]]
        if n % 4 == 0:
            corners.append([west, south + 8])
        geometry: Any = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
        bbox: Any = [west, south, west + 8, south + 8]
        if n % 4 == 1:
            parts = [shapely.box(175, south, 180, south + 8), shapely.box(-180, south, -175, south + 8)]
            geometry, bbox = shapely.geometry.mapping(shapely.MultiPolygon(parts)), [175, south, -175, south + 8]
        if n % 10 == 9:
            geometry = bbox = None
        minute, length = int(random.integers(0, 60)), int(random.integers(0, 59)) if n % 3 else 0
        period = {
            "start_datetime": f"2020-01-01T00:{minute:02d}:00Z",
            "end_datetime": f"2020-01-01T01:{max(minute, length):02d}:00Z",
        }
        instant = {"datetime": f"2020-01-01T00:{minute:02d}:00Z"}
        made.append(
            {"type": "Feature", "id": f"i{n}", "collection": "c", "geometry": geometry, "bbox": bbox,
             "properties": {"datetime": None, **period} if length else instant}
        )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]]) -> Iterator[EmbeddedRepository]:
    made = EmbeddedRepository(tmp_path_factory.mktemp("catalog") / "catalog.sqlite")
    made.replace({"id": "c", "links": []}, items, "")
    yield made
    made.close()


BOXES = [(-180, -90, 180, 90), (0, 0, 1, 1), (-20, -20, 40, 40), (170, -90, -170, 90), (5, -90, 5, 90), (8, 8, 8, 8)]


@pytest.mark.parametrize("few", [0, 10**9], ids=["by the order's index", "by place"])
@pytest.mark.parametrize(
    ("way", "box"),
    [("bbox", box) for box in BOXES] + [(way, box) for way in ("intersects", "filter") for box in BOXES[:4]],
    ids=str,
)
def test_both_plans_find_the_same_as_brute_force(
    repository: EmbeddedRepository,
    items: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    few: int,
    box: tuple[int, int, int, int],
    way: str,
) -> None:
    monkeypatch.setattr(plans, "FEW", few)
    west, south, east, north = box
    parts = [shapely.box(west, south, east, north)]
    if west > east:
        parts = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    asked = shapely.union_all(parts) if west != east else shapely.LineString([(west, south), (east, north + 1e-9)])
    query: dict[str, Any] = {
        "bbox": {"bbox": box},
        "intersects": {"intersects": dict(shapely.geometry.mapping(asked))},
        "filter": {"filter_expr": {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": list(box)}]}},
    }[way]
    expected = {
        item["id"] for item in items if item["geometry"] and shapely.geometry.shape(item["geometry"]).intersects(asked)
    }
    found: list[str] = []
    wanted = item_query(**query, limit=37)
    while True:
        page = repository.search(wanted)
        found += [item["id"] for item in page.documents]
        assert page.matched == len(expected)
        if page.token is None:
            break
        wanted = replace(wanted, token=page.token)
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_a_period_finds_long_items_that_began_before_it(
    repository: EmbeddedRepository, items: list[dict[str, Any]]
) -> None:
    for first in ("2020-01-01T00:30:00Z", "2020-01-01T00:59:30Z", "2020-01-01T01:57:00Z"):
        expected = {
            item["id"]
            for item in items
            if (item["properties"].get("end_datetime") or item["properties"]["datetime"]) >= first
        }
        page = repository.search(item_query(datetime=f"{first}/..", limit=1000))
        assert {item["id"] for item in page.documents} == expected


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    sql_functions.register(connection)
    try:
        yield connection
    finally:
        connection.close()


def explained(connection: sqlite3.Connection, **query: Any) -> tuple[bool, str]:
    """Return whether the R*Tree drives, and what SQLite would do."""
    found = plan(connection, item_query(**query))
    where, values = found.where([])
    hidden = "+" if found.by_place else ""
    statement = f"explain query plan select pk from items{where} order by {hidden}t0 desc, {hidden}pk desc limit 10"
    return found.by_place, " | ".join(row[3] for row in connection.execute(statement, values))


def test_the_probe_chooses(repository: EmbeddedRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "FEW", 50)
    with opened(repository._path) as connection:
        few, how = explained(connection, bbox=(0, 0, 1, 1))
        assert few
        assert "SEARCH items USING INTEGER PRIMARY KEY" in how
        many, how = explained(connection, bbox=(-180, -90, 180, 90))
        assert not many
        assert "items_by_time" in how
        assert "TEMP B-TREE" not in how
        tight = "s_intersects(geometry, POINT(0 0)) AND s_intersects(geometry, BBOX(-180,-90,180,90))"
        assert explained(connection, filter_expr=tight)[0]
        assert not explained(connection, filter_expr=f"NOT ({tight})")[0]


def test_order_and_names_use_their_indexes(repository: EmbeddedRepository) -> None:
    with opened(repository._path) as connection:
        _, how = explained(connection, filter_expr="collection = 'c'")
        assert "items_by_collection" in how
        _, how = explained(connection, datetime="2020-01-01T00:10:00Z")
        assert "items_by_time" in how
        assert "items_by_length" in how


def test_a_geometry_in_a_box_inside_the_one_that_is_asked_for_is_not_read(
    repository: EmbeddedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []

    def compared(item: bytes, _: bytes) -> bool:
        read.append(item)
        return True

    with opened(repository._path) as connection:
        connection.create_function("footprint_intersects", 2, compared, deterministic=True)
        for box, some in (((-180, -90, 180, 90), False), ((-50, -50, 50, 50), True)):
            read.clear()
            where, values = plan(connection, item_query(bbox=box)).where([])
            connection.execute(f"select count(*) from items{where}", values).fetchone()
            multipolygons = [wkb for wkb in read if shapely.from_wkb(wkb).geom_type == "MultiPolygon"]
            assert (len(read) > len(multipolygons)) is some


def test_a_file_of_the_first_version_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("""
        create table collections(id text primary key, json text not null, digest text) without rowid;
        create table items(pk integer primary key autoincrement, collection text not null, id text not null,
          t0 integer, t1 integer, wkb blob, is_box integer, json text, unique(collection, id));
        create virtual table footprints using rtree(id, xmin, xmax, ymin, ymax, +west, +south, +east, +north);
        create trigger items_deleted after delete on items begin
          delete from footprints where id in (old.pk * 2, old.pk * 2 + 1);
        end;
        insert into collections values ('a', '{}', 'd');
        pragma user_version = 1;
    """)
    connection.close()
    made = EmbeddedRepository(path)
    # The digest is gone as well, so the next harvest writes the collection again.
    assert made.digests() == {}
    made.replace({"id": "a", "links": []}, [], "d")
    made.close()
