"""Counts, compared with counting the items one by one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from catalog.embedded import EmbeddedRepository

BASE = "http://testhost:8123/stac"


def made() -> list[dict[str, Any]]:
    rnd = random.Random(5)
    items = []
    for n in range(150):
        year, month, day = rnd.choice([1955, 1969, 2020]), rnd.randint(1, 12), rnd.randint(1, 28)
        start = f"{year}-{month:02d}-{day:02d}T{rnd.randint(0, 23):02d}:30:00Z"
        west, south = rnd.uniform(-180, 170), rnd.uniform(-90, 80)
        properties: dict[str, Any] = {
            "datetime": start,
            "member": rnd.randint(0, 4),
            "kind": rnd.choice(["a", "b", True, None]),
            "tags": rnd.sample(["x", "y", "z"], rnd.randint(0, 3)),
            "cube:variables": {name: {} for name in rnd.sample(["t", "u", "v"], rnd.randint(1, 3))},
        }
        if n % 3 == 0:
            properties |= {"datetime": None, "start_datetime": start, "end_datetime": f"{year + 1}-01-01T00:00:00Z"}
        if n % 10 == 0:
            del properties["member"]
        items.append(
            {
                "type": "Feature", "stac_version": "1.1.0", "id": f"i{n}", "collection": f"c{n % 3}",
                "geometry": {"type": "Point", "coordinates": [west, south]}, "bbox": [west, south, west, south],
                "properties": properties, "links": [], "assets": {},
            }
        )  # fmt: skip
    return items


ITEMS = made()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, stac_client: Callable[..., Any]) -> Iterator[Any]:
    repository = EmbeddedRepository(tmp_path_factory.mktemp("catalog") / "catalog.sqlite")
    for n in range(4):
        repository.upsert_collection({"type": "Collection", "id": f"c{n}", "links": []})
    repository.upsert_items(ITEMS)
    yield stac_client(repository)
    repository.close()


def counted(document: dict[str, Any], name: str) -> dict[Any, int]:
    (found,) = [one for one in document["aggregations"] if one["name"] == name]
    assert found["data_type"] == "frequency_distribution"
    assert found["overflow"] == 0
    return {bucket["key"]: bucket["frequency"] for bucket in found["buckets"]}


def start_of(item: dict[str, Any]) -> str:
    return str(item["properties"]["datetime"] or item["properties"]["start_datetime"])


SEARCHES: list[tuple[dict[str, str], Callable[[dict[str, Any]], bool]]] = [
    ({}, lambda _: True),
    ({"collections": "c1,c3"}, lambda item: item["collection"] == "c1"),
    ({"bbox": "-90,-45,90,45"}, lambda item: -90 <= item["bbox"][0] <= 90 and -45 <= item["bbox"][1] <= 45),
    ({"filter": "member > 2"}, lambda item: item["properties"].get("member", -1) > 2),
    ({"ids": "nothing"}, lambda _: False),
    ({"datetime": "2000-01-01T00:00:00Z/.."}, lambda item: start_of(item) > "2000"),
]


@pytest.mark.parametrize(("search", "matches"), SEARCHES)
def test_every_count_is_right(client: Any, search: dict[str, str], matches: Callable[[dict[str, Any]], bool]) -> None:
    those = [item for item in ITEMS if matches(item)]
    names = [
        "total_count", "datetime_min", "datetime_max", "collection_frequency", "datetime_frequency",
        "cube:variables_frequency", "member_frequency", "kind_frequency", "tags_frequency",
    ]  # fmt: skip
    got = client.ask("GET", "/aggregate", params={**search, "aggregations": ",".join(names)})
    assert got.status_code == 200, got.text
    document = got.json()
    assert document["type"] == "AggregationCollection"
    assert [one["name"] for one in document["aggregations"]] == names
    single = {one["name"]: one["value"] for one in document["aggregations"] if "value" in one}
    ends = [item["properties"].get("end_datetime") or start_of(item) for item in those]
    assert single == {
        "total_count": len(those),
        "datetime_min": min(map(start_of, those), default=None),
        "datetime_max": max(ends, default=None),
    }
    assert counted(document, "collection_frequency") == Counter(item["collection"] for item in those)
    months = Counter(f"{start_of(item)[:7]}-01T00:00:00Z" for item in those)
    assert counted(document, "datetime_frequency") == months
    assert list(counted(document, "datetime_frequency")) == sorted(months)
    variables = Counter(name for item in those for name in item["properties"]["cube:variables"])
    assert counted(document, "cube:variables_frequency") == variables
    members = Counter(item["properties"]["member"] for item in those if "member" in item["properties"])
    assert counted(document, "member_frequency") == members
    kinds = Counter("true" if item["properties"]["kind"] is True else item["properties"]["kind"] for item in those)
    del kinds[None]
    assert counted(document, "kind_frequency") == kinds
    assert counted(document, "tags_frequency") == Counter(tag for item in those for tag in item["properties"]["tags"])


@pytest.mark.parametrize(
    ("interval", "length", "rest"),
    [("year", 4, "-01-01T00:00:00Z"), ("day", 10, "T00:00:00Z"), ("hour", 13, ":00:00Z")],
)
def test_the_length_of_the_buckets(client: Any, interval: str, length: int, rest: str) -> None:
    asked = {"aggregations": "datetime_frequency", "datetime_frequency_interval": interval}
    expected = Counter(start_of(item)[:length] + rest for item in ITEMS)
    assert counted(client.ask("GET", "/aggregate", params=asked).json(), "datetime_frequency") == expected
    assert counted(client.ask("POST", "/aggregate", json=asked).json(), "datetime_frequency") == expected


def test_below_a_collection_and_by_post(client: Any) -> None:
    those = [item for item in ITEMS if item["collection"] == "c2" and item["properties"].get("member") == 1]
    got = client.ask("GET", "/collections/c2/aggregate?aggregations=total_count&filter=member=1").json()
    assert got["aggregations"] == [{"name": "total_count", "data_type": "integer", "value": len(those)}]
    links = {link["rel"]: link["href"] for link in got["links"]}
    assert links["self"].startswith(f"{BASE}/collections/c2/aggregate?")
    body = {
        "collections": ["c2"], "aggregations": ["total_count"],
        "filter": {"op": "=", "args": [{"property": "member"}, 1]}, "filter-lang": "cql2-json",
    }  # fmt: skip
    assert client.ask("POST", "/aggregate", json=body).json()["aggregations"] == got["aggregations"]
    assert client.ask("GET", "/collections/no/aggregate").status_code == 404
    assert client.ask("GET", "/collections/no/aggregations").status_code == 404


def test_without_a_name_the_number_is_told(client: Any) -> None:
    expected = [{"name": "total_count", "data_type": "integer", "value": len(ITEMS)}]
    assert client.ask("GET", "/aggregate").json()["aggregations"] == expected
    assert client.ask("POST", "/aggregate", json={}).json()["aggregations"] == expected


def test_what_there_is_to_count(client: Any) -> None:
    for path in ("/aggregations", "/collections/c1/aggregations"):
        found = {one["name"]: one["data_type"] for one in client.ask("GET", path).json()["aggregations"]}
        assert {"total_count", "datetime_frequency", "collection_frequency", "member_frequency"} <= set(found)
        assert found["member_frequency"] == "numeric"
        assert "datetime_frequency_frequency" not in found
        for name in found:
            assert client.ask("GET", "/aggregate", params={"aggregations": name}).status_code == 200
    conforms = client.ask("GET", "/conformance").json()["conformsTo"]
    assert "https://api.stacspec.org/v0.3.0/aggregation" in conforms
    links = {link["rel"]: link["href"] for link in client.ask("GET", "/").json()["links"]}
    assert (links["aggregate"], links["aggregations"]) == (f"{BASE}/aggregate", f"{BASE}/aggregations")
    of_collection = {link["rel"]: link["href"] for link in client.ask("GET", "/collections/c1").json()["links"]}
    assert of_collection["aggregate"] == f"{BASE}/collections/c1/aggregate"


def test_more_values_than_buckets(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.embedded.BUCKETS_LIMIT", 2)
    document = client.ask("GET", "/aggregate?aggregations=member_frequency").json()
    (found,) = document["aggregations"]
    members = Counter(item["properties"]["member"] for item in ITEMS if "member" in item["properties"])
    most = sorted(members.items(), key=lambda entry: (-entry[1], entry[0]))
    assert [(bucket["key"], bucket["frequency"]) for bucket in found["buckets"]] == most[:2]
    assert found["overflow"] == sum(count for _, count in most[2:])


@pytest.mark.parametrize(
    "query",
    [
        "aggregations=nothing", "aggregations=a'b_frequency", "aggregations=_frequency", "aggregations=x%00_frequency",
        "datetime_frequency_interval=week", "filter=(", "bbox=1",
        "aggregations=" + ",".join(f"a{n}_frequency" for n in range(21)),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_400(client: Any, query: str) -> None:
    for path in ("/aggregate", "/collections/c1/aggregate"):
        refused = client.ask("GET", f"{path}?{query}")
        assert refused.status_code == 400, refused.text
        assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"aggregations":5}', b'{"aggregations":[1]}', b'{"aggregations":["x"]}']
)
def test_bad_bodies_are_400(client: Any, body: bytes) -> None:
    assert client.ask("POST", "/aggregate", content=body).status_code == 400
