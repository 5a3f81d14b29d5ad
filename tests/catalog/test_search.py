from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from catalog.search import PAGE_LIMIT, item_query
from plugins.datacube.errors import InvalidQueryError

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
BOW = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}


def nested(depth: int) -> dict[str, Any]:
    geometry: dict[str, Any] = {"type": "Point", "coordinates": [0, 0]}
    for _ in range(depth):
        geometry = {"type": "GeometryCollection", "geometries": [geometry]}
    return geometry


@pytest.mark.parametrize(
    ("parameter", "asked"),
    [
        ("bbox", {"bbox": (1, 2, 3)}),
        ("bbox", {"bbox": (0, float("nan"), 1, 1)}),
        ("bbox", {"bbox": (0, 0, float("inf"), 1)}),
        ("bbox", {"bbox": (0, 10, 1, 0)}),
        ("bbox", {"bbox": (0, 0, 200, 1)}),
        ("bbox", {"bbox": (0, -91, 1, 1)}),
        ("bbox", {"bbox": (0, 0, 5, 1, 1, 4)}),
        ("datetime", {"datetime": ""}),
        ("datetime", {"datetime": ".."}),
        ("datetime", {"datetime": "../.."}),
        ("datetime", {"datetime": "2020-02-30T00:00:00Z"}),
        ("datetime", {"datetime": "2021-01-01T00:00:00Z/2020-01-01T00:00:00Z"}),
        ("datetime", {"datetime": "yesterday"}),
        ("datetime", {"datetime": "2020-01-01T00:00:00Z/" * 20}),
        ("limit", {"limit": 0}),
        ("limit", {"limit": -1}),
        ("intersects", {"intersects": SQUARE, "bbox": (0, 0, 1, 1)}),
        ("intersects", {"intersects": BOW}),
        ("intersects", {"intersects": "not json"}),
        ("intersects", {"intersects": "[1,2]"}),
        ("intersects", {"intersects": {"type": "Polygon", "coordinates": []}}),
        ("intersects", {"intersects": {"type": "Polygon", "coordinates": [[[0, "a"], [1, 1], [0, 1], [0, 0]]]}}),
        ("intersects", {"intersects": {"type": "Point", "coordinates": [[[[[[[0, 0]]]]]]]}}),
        ("intersects", {"intersects": {"type": "Circle", "coordinates": [0, 0]}}),
        ("intersects", {"intersects": nested(20)}),
        ("intersects", {"intersects": "[" * 50_000}),
        ("intersects", {"intersects": "x" * 200_000}),
        ("intersects", {"intersects": {"type": "MultiPoint", "coordinates": [[0, 0]] * 20_000}}),
        ("ids", {"ids": ["a"] * 2_000}),
        ("collections", {"collections": ["a"] * 2_000}),
    ],
)
def test_bad_input_names_its_parameter(parameter: str, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        item_query(**asked)
    assert caught.value.parameter == parameter


def test_a_box_across_the_antimeridian_is_two() -> None:
    assert item_query(bbox=(170, -10, -170, 10)).boxes == ((170, -10, 180, 10), (-180, -10, -170, 10))
    assert item_query(bbox=(170, -10, 0, -170, 10, 5)).boxes == ((170, -10, 180, 10), (-180, -10, -170, 10))


def test_a_geometry_as_text_or_object_is_the_same() -> None:
    query = item_query(intersects=json.dumps(SQUARE))
    assert query == item_query(intersects=SQUARE)
    assert query.geometry is not None
    assert shapely.equals(shapely.from_wkb(query.geometry), shapely.box(0, 0, 1, 1))
    assert query.boxes == ((0, 0, 1, 1),)


def test_pages_are_bounded() -> None:
    assert item_query(limit=10**9).limit == PAGE_LIMIT
    assert item_query().limit == 10
    assert item_query(collections=[], ids=[]) == item_query()


@given(
    st.datetimes(datetime.fromisoformat("0001-01-03"), datetime.fromisoformat("9999-12-28")),
    st.integers(-1439, 1439),
)
def test_instants_are_exact_in_every_zone(moment: datetime, minutes: int) -> None:
    sign = "-" if minutes < 0 else "+"
    zone = f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    query = item_query(datetime=moment.isoformat(timespec="microseconds") + zone)
    utc = moment.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    expected = (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert (query.start, query.end) == (expected, expected)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2020-01-01T00:00:00Z/..", 1_577_836_800_000_000, None),
        ("2020-01-01T00:00:00Z/", 1_577_836_800_000_000, None),
        ("../2020-01-01T00:00:00Z", None, 1_577_836_800_000_000),
        ("/2020-01-01T00:00:00Z", None, 1_577_836_800_000_000),
    ],
)
def test_intervals_are_open_where_they_say_so(text: str, start: int | None, end: int | None) -> None:
    query = item_query(datetime=text)
    assert (query.start, query.end) == (start, end)
