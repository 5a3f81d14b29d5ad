"""Indexes on properties: the same answers as without, and used."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from catalog import sql_functions
from catalog.embedded import EmbeddedRepository
from catalog.plans import plan
from catalog.search import item_query
from plugins.datacube.errors import InvalidQueryError

FILTERS = [
    "member = 3", "member > 5", "member BETWEEN 2 AND 3", "member IN (1, 2)", "NOT member = 3", "member = 3.0",
    "name = 'b'", "name > 'a'", "name = 'b' AND member = 3", "name = 'b' OR member = 3", "cloud.cover < 40",
    "start_datetime > TIMESTAMP('2020-01-05T00:00:00Z')", "member IS NULL",
]  # fmt: skip
NAMES = ["member", "name", "cloud.cover", "start_datetime"]


def items() -> list[dict[str, Any]]:
    made = []
    for n in range(60):
        properties: dict[str, Any] = {
            "datetime": None,
            "start_datetime": f"2020-01-{n % 28 + 1:02d}T00:00:00Z",
            "end_datetime": f"2020-02-{n % 28 + 1:02d}T00:00:00Z",
            "member": n % 10 if n % 7 else str(n % 10),
            "name": "abc"[n % 3],
            "cloud": {"cover": n},
        }
        if n % 11 == 0:
            del properties["member"]
        made.append({"type": "Feature", "id": f"i{n}", "collection": "c", "geometry": None, "properties": properties})
    return made


@pytest.fixture
def filled(repository: EmbeddedRepository) -> EmbeddedRepository:
    repository.upsert_collection({"type": "Collection", "id": "c", "links": []})
    repository.upsert_items(items())
    return repository


def plan_of(path: Path, text: str) -> str:
    connection = sqlite3.connect(path)
    try:
        sql_functions.register(connection)
        where, values = plan(connection, item_query(filter_expr=text)).where([])
        statement = f"explain query plan select json from items{where} order by t0 desc, pk desc limit 11"
        return " ".join(row[3] for row in connection.execute(statement, values))
    finally:
        connection.close()


def test_the_answers_are_the_same(filled: EmbeddedRepository) -> None:
    before = {text: filled.search(item_query(filter_expr=text, limit=100)) for text in FILTERS}
    filled.index(NAMES)
    after = {text: filled.search(item_query(filter_expr=text, limit=100)) for text in FILTERS}
    assert before == after
    assert before["member = 3"].matched == sum(item["properties"].get("member") == 3 for item in items())
    assert 0 < (before["name = 'b' AND member = 3"].matched or 0) < 20


@pytest.mark.parametrize("text", ["member = 3", "member IN (1, 2)", "name = 'b'", "cloud.cover = 40"])
def test_they_are_used_and_taken_away(filled: EmbeddedRepository, tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalog.sqlite"
    assert "property_" not in plan_of(path, text)
    filled.index(NAMES)
    filled.index(NAMES)
    assert "USING INDEX property_" in plan_of(path, text)
    filled.index([])
    assert "property_" not in plan_of(path, text)


def test_the_latest_are_found_without_sorting(filled: EmbeddedRepository, tmp_path: Path) -> None:
    filled.index(["member"])
    assert "TEMP B-TREE" not in plan_of(tmp_path / "catalog.sqlite", "member = 3")


@pytest.mark.parametrize("name", ["a'b", "", "a b", "geometry", 'x"'])
def test_a_name_that_is_none(filled: EmbeddedRepository, name: str) -> None:
    with pytest.raises(InvalidQueryError):
        filled.index(["member", name])


def test_what_is_written_later_is_found(filled: EmbeddedRepository) -> None:
    filled.index(["member"])
    late = items()[1]
    late["id"], late["properties"]["member"] = "late", 77
    filled.upsert_items([late])
    assert [found["id"] for found in filled.search(item_query(filter_expr="member = 77")).documents] == ["late"]
