"""The extensions of the STAC API as a client sees them; the searches themselves are tested with the repository."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, Self

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.routing import Mount

from catalog.application import stac_application
from catalog.describe import collection
from catalog.document import digest, relative_to
from catalog.embedded import EmbeddedRepository
from catalog.items import items
from catalog.links import FrontUrls
from plugins.datacube.datacube import Datacube, Extent

MakeCube = Callable[..., Datacube]
URLS = FrontUrls("http://elsewhere:9")
BASE = "http://testhost:8123/stac"


class Browser:
    """A client of an ASGI application, called without await."""

    def __init__(self, app: Starlette) -> None:
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testhost:8123")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def get(self, url: str, **params: str) -> httpx.Response:
        return self._runner.run(self._client.get(url, params=params or None))

    def post(self, body: Any) -> httpx.Response:
        return self._runner.run(self._client.post("/stac/search", json=body))

    def send(self, link: dict[str, Any]) -> httpx.Response:
        return self.post(link["body"]) if link["method"] == "POST" else self.get(link["href"])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRepository]:
    made = EmbeddedRepository(tmp_path_factory.mktemp("catalog") / "catalog.sqlite")
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(repository: EmbeddedRepository, make_cube: MakeCube) -> Iterator[Browser]:
    europe = Extent(-10.0, 35.0, 30.0, 65.0, "2000-01-01T00:00:00Z", "2000-12-31T00:00:00Z")
    pacific = Extent(150.0, -40.0, 180.0, 0.0, "2010-01-01T00:00:00Z", "2010-12-31T00:00:00Z")
    for cube in (make_cube("europe", extent=europe), make_cube("pacific", extent=pacific, title="Ocean of Peace")):
        document = relative_to(collection(cube, URLS), URLS.base)
        repository.replace(document, [relative_to(item, URLS.base) for item in items(cube, URLS)], digest([document]))
    forecast = {"id": "forecast", "title": "Numbered", "description": "Prévisions", "keywords": ["wind gust"]}
    extent = {"spatial": {"bbox": [[170, -10, -170, 10]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}}
    repository.upsert_collection({"type": "Collection", "links": [], "extent": extent, **forecast})
    repository.upsert_items(
        {
            "type": "Feature", "stac_version": "1.1.0", "id": f"f{n}", "collection": "forecast", "links": [],
            "geometry": {"type": "Point", "coordinates": [175, 0]}, "bbox": [175, 0, 175, 0], "assets": {},
            "properties": {"datetime": f"2020-01-{n + 1:02d}T00:00:00Z", "member": n, "title": f"Member {n}"},
        }
        for n in range(12)
    )  # fmt: skip
    app = stac_application(repository, identifier="here", title="Here", description="All of it")
    with Browser(Starlette(routes=[Mount("/stac", app)])) as made:
        yield made


def found(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [feature["id"] for feature in response.json()["features"]]


def following(response: httpx.Response) -> dict[str, Any] | None:
    return next((link for link in response.json()["links"] if link["rel"] == "next"), None)


FILTER = {"op": ">", "args": [{"property": "member"}, 9]}


def test_a_filter_in_every_place_and_language(client: Browser) -> None:
    text, tree = "member > 9", json.dumps(FILTER)
    answers = [
        client.get("/stac/search", filter=text),
        client.get("/stac/search", filter=text, **{"filter-lang": "cql2-text"}),
        client.get("/stac/search", filter=tree, **{"filter-lang": "cql2-json"}),
        client.get("/stac/collections/forecast/items", filter=text),
        client.get("/stac/collections/forecast/items", filter=tree, **{"filter-lang": "cql2-json"}),
        client.post({"filter": FILTER}),
        client.post({"filter": FILTER, "filter-lang": "cql2-json"}),
        client.post({"filter": text, "filter-lang": "cql2-text"}),
        client.post({"filter": text}),
    ]
    assert [found(answer) for answer in answers] == [["f11", "f10"]] * len(answers)
    assert {answer.headers["content-type"] for answer in answers} == {"application/geo+json"}
    assert found(client.get("/stac/collections/europe/items", filter=text)) == []


def test_items_are_found_by_what_their_datacube_has(client: Browser) -> None:
    assert found(client.get("/stac/search", filter="a_contains(\"cube:variables\", ('t'))", sortby="id")) == [
        "europe-all",
        "pacific-all",
    ]
    assert found(client.get("/stac/search", filter="\"cube:variables.t.unit\" = 'm'")) == []
    levels = 'a_contains("cube:dimensions.lev.values", (500, 850)) AND s_intersects(geometry, POINT(0 50))'
    assert found(client.get("/stac/search", filter=levels)) == ["europe-all"]


@pytest.mark.parametrize(
    ("sent", "parameter"),
    [
        ({"filter": "member >"}, "filter"),
        ({"filter": "(" * 1550 + "a=1" + ")" * 1550}, "filter"),
        ({"filter": " AND ".join(["a=1"] * 4000)}, "filter"),
        ({"filter": "NOT " * 10_000 + "a=1"}, "filter"),
        ({"filter": "member > 9", "filter-lang": "cql"}, "filter-lang"),
        ({"filter": "member > 9", "filter-crs": "EPSG:3857"}, "filter-crs"),
        ({"sortby": "-"}, "sortby"),
        ({"sortby": "a'"}, "sortby"),
        ({"query": "{"}, "query"),
        ({"query": '{"a":{"near":1}}'}, "query"),
        ({"query": '{"a\'":{"eq":1}}'}, "query"),
        ({"query": '{"datetime":{"eq":1}}'}, "query"),
        ({"fields": ",".join(["a"] * 300)}, "fields"),
        ({"q": ",".join(f"w{n}" for n in range(21))}, "q"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_parameters_are_400(client: Browser, sent: dict[str, str], parameter: str) -> None:
    response = client.get("/stac/search", **sent)
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json().get("parameter") == parameter or parameter == "filter-lang"


@pytest.mark.parametrize(
    "body",
    [
        {"filter": 5}, {"filter": []}, {"filter": {}}, {"filter": {"op": "="}}, {"filter": "a = 1", "filter-lang": "x"},
        {"sortby": "id"}, {"sortby": [{}]}, {"sortby": [{"field": "id", "direction": "up"}]}, {"sortby": [5]},
        {"fields": None}, {"fields": []}, {"fields": {"include": "id"}}, {"fields": {"include": [5]}},
        {"query": []}, {"query": {"a": 5}}, {"query": {"a": {"eq": [1]}}}, {"query": {"a": {"in": 5}}}, {"q": 5},
        {"query": {"a": {"startsWith": 5}}}, {"filter": {"op": "not", "args": [{"op": "not"}] * 500}},
    ],
    ids=repr,
)  # fmt: skip
def test_bad_bodies_are_400(client: Browser, body: dict[str, Any]) -> None:
    response = client.post(body)
    assert response.status_code == 400, response.text
    assert response.json()["detail"]


def test_a_body_that_nests_very_deep_is_400(client: Browser) -> None:
    tree: Any = {"op": "=", "args": [{"property": "a"}, 1]}
    for _ in range(200):
        tree = {"op": "not", "args": [tree]}
    assert client.post({"filter": tree}).status_code == 400
    listed: Any = []
    for _ in range(300):
        listed = [listed]
    assert client.post({"query": {"a": {"in": listed}}}).status_code == 400
    assert client.post({"filter": " AND ".join(["a=1"] * 16400)}).status_code == 400
    assert client.post({"filter": "NOT " * 100_000 + "a=1"}).status_code == 400


@pytest.mark.parametrize(
    "asked",
    [
        {"sortby": "-member,+id"},
        {"sortby": "-properties.member", "filter": "member >= 0", "collections": "forecast"},
        {"sortby": "title", "fields": "id,properties.member"},
        {"q": "member", "query": '{"member":{"gte":0}}'},
    ],
)
def test_every_page_keeps_what_was_asked(client: Browser, asked: dict[str, str]) -> None:
    body: dict[str, Any] = {**asked, "limit": 5}
    if "sortby" in body:
        keys = [(name.lstrip("+-"), name.startswith("-")) for name in asked["sortby"].split(",")]
        body["sortby"] = [{"field": name, "direction": "desc" if down else "asc"} for name, down in keys]
    if "fields" in body:
        body["fields"] = {"include": asked["fields"].split(",")}
    if "collections" in body:
        body["collections"] = asked["collections"].split(",")
    if "query" in body:
        body["query"] = json.loads(asked["query"])
    if "q" in body:
        body["q"] = [asked["q"]]
    runs = []
    for page in (client.get("/stac/search", **asked, limit="5"), client.post(body)):
        seen, members = [], []
        current: httpx.Response | None = page
        while current is not None:
            seen += found(current)
            members += [set(feature) for feature in current.json()["features"]]
            link = following(current)
            assert link is None or link["href"].startswith(f"{BASE}/search")
            current = None if link is None else client.send(link)
        runs.append(seen)
        assert len(seen) == len(set(seen))
        assert set(seen) >= {f"f{n}" for n in range(12)}
        if "fields" in asked:
            assert {"type", "id", "collection", "links", "properties"} in members
            assert all(member <= {"type", "id", "collection", "links", "properties"} for member in members)
    assert runs[0] == runs[1]


def test_items_of_a_collection_are_sorted_and_cut_to_fields(client: Browser) -> None:
    response = client.get("/stac/collections/forecast/items", sortby="-properties.member", fields="-assets,-links")
    assert found(response) == [f"f{n}" for n in range(11, 1, -1)]
    assert "assets" not in response.json()["features"][0]
    assert response.json()["features"][0]["properties"]["title"] == "Member 11"


@pytest.mark.parametrize("sortby", ["+datetime,-id", " datetime,-id", "datetime"])
def test_a_plus_sign_may_arrive_as_a_space(client: Browser, sortby: str) -> None:
    response = client.get(f"/stac/search?collections=forecast&sortby={sortby.replace(' ', '+')}")
    assert found(response)[:2] == ["f0", "f1"]


def test_empty_fields_give_the_least_valid_item(client: Browser) -> None:
    for response in (
        client.get("/stac/search?fields=&collections=forecast&limit=1"),
        client.post({"fields": {}, "collections": ["forecast"], "limit": 1}),
        client.post({"fields": {"include": [], "exclude": None}, "collections": "forecast", "limit": 1}),
    ):
        item = response.json()["features"][0]
        assert item["properties"] == {"datetime": "2020-01-12T00:00:00Z"}
        assert {"geometry", "bbox", "links", "assets", "stac_version"} <= set(item)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"member": {"eq": 3}}, {"f3"}),
        ({"member": {"gt": "9"}}, {"f10", "f11"}),
        ({"member": {"gte": 9.5, "lt": 11}}, {"f10"}),
        ({"member": {"in": [1, "2"]}}, {"f1", "f2"}),
        ({"member": {"neq": 0}, "title": {"endsWith": "1"}}, {"f1", "f11"}),
        ({"title": {"startsWith": "Member 1"}}, {"f1", "f10", "f11"}),
        ({"title": {"contains": "%"}}, set()),
        ({"title": {"contains": "ber 4"}}, {"f4"}),
        ({"datetime": {"gte": "2020-01-12T00:00:00Z"}}, {"f11"}),
        ({"id": {"eq": "f5"}}, {"f5"}),
        ({"absent": {"neq": 1}}, set()),
        ({"member": {"in": []}}, set()),
    ],
    ids=repr,
)
def test_the_legacy_query(client: Browser, query: dict[str, Any], expected: set[str]) -> None:
    assert set(found(client.post({"query": query}))) == expected
    assert set(found(client.get("/stac/search", query=json.dumps(query)))) == expected


def test_an_empty_query_asks_nothing(client: Browser) -> None:
    assert len(found(client.get("/stac/search", query="{}", limit="100"))) == 14
    assert len(found(client.post({"query": {}, "limit": 100}))) == 14


def collections(client: Browser, **params: str) -> list[str]:
    response = client.get("/stac/collections", **params)
    assert response.status_code == 200, response.text
    document = response.json()
    assert document["numberMatched"] == document["numberReturned"] == len(document["collections"])
    return [found["id"] for found in document["collections"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["europe", "forecast", "pacific"]),
        ({"bbox": "0,40,1,41"}, ["europe"]),
        ({"bbox": "160,-5,165,5"}, ["pacific"]),
        ({"bbox": "175,-5,-175,5"}, ["forecast", "pacific"]),
        ({"bbox": "-175,-5,-174,5"}, ["forecast"]),
        ({"bbox": "-100,0,-90,1"}, []),
        ({"datetime": "2000-06-01T00:00:00Z"}, ["europe"]),
        ({"datetime": "2010-06-01T00:00:00Z/.."}, ["forecast", "pacific"]),
        ({"datetime": "9000-01-01T00:00:00Z"}, ["forecast"]),
        ({"q": "peace"}, ["pacific"]),
        ({"q": "PRÉVISIONS"}, ["forecast"]),
        ({"q": "wind gust"}, ["forecast"]),
        ({"q": "wind gust,peace"}, ["forecast", "pacific"]),
        ({"q": "reanalysis"}, ["europe", "pacific"]),
        ({"q": "europe"}, ["europe"]),
        ({"q": "%"}, []),
        ({"q": "model", "bbox": "0,40,1,41"}, ["europe"]),
    ],
    ids=repr,
)
def test_collection_search(client: Browser, asked: dict[str, str], expected: list[str]) -> None:
    assert collections(client, **asked) == expected


def test_collection_search_pages(client: Browser) -> None:
    response = client.get("/stac/collections", q="model,prévisions", limit="1")
    seen = []
    while True:
        seen += [found["id"] for found in response.json()["collections"]]
        assert response.json()["numberMatched"] == 3
        link = following(response)
        if link is None:
            break
        response = client.get(link["href"])
    assert seen == ["europe", "forecast", "pacific"]


@pytest.mark.parametrize(
    "asked", [{"bbox": "1,2"}, {"datetime": "soon"}, {"q": ",".join("abcdefghijklmnopqrstuvwxyz")}]
)
def test_bad_collection_searches_are_400(client: Browser, asked: dict[str, str]) -> None:
    response = client.get("/stac/collections", **asked)
    assert response.status_code == 400
    assert response.json()["parameter"] == next(iter(asked))


def test_words_find_items(client: Browser) -> None:
    assert found(client.get("/stac/search", q="member 7")) == ["f7"]
    assert found(client.post({"q": ["MEMBER 7", "member 8"], "sortby": [{"field": "id", "direction": "asc"}]})) == [
        "f7",
        "f8",
    ]
    assert found(client.get("/stac/collections/europe/items", q="member 7")) == []


def test_children_are_those_of_the_landing_page(client: Browser) -> None:
    landing = client.get("/stac/").json()
    hrefs = [link["href"] for link in landing["links"] if link["rel"] == "child"]
    response = client.get("/stac/children")
    assert response.headers["content-type"] == "application/json"
    children = [client.get(href).json() for href in hrefs]
    for child in children:
        # A list does not repeat the links to every item.
        child["links"] = [link for link in child["links"] if link["rel"] != "item"]
    assert response.json()["children"] == children
    assert [link["href"] for link in response.json()["links"] if link["rel"] == "self"] == [f"{BASE}/children"]
    first = client.get("/stac/children", limit="2")
    link = following(first)
    assert link is not None
    rest = client.get(link["href"]).json()["children"]
    assert [child["id"] for child in first.json()["children"] + rest] == ["europe", "forecast", "pacific"]


def test_queryables_come_from_the_items(client: Browser) -> None:
    response = client.get("/stac/collections/europe/queryables")
    assert response.headers["content-type"] == "application/schema+json"
    document = response.json()
    Draft202012Validator.check_schema(document)
    assert document["$id"] == f"{BASE}/collections/europe/queryables"
    properties = document["properties"]
    assert {"id", "collection", "geometry", "datetime", "start_datetime", "end_datetime"} <= set(properties)
    assert properties["cube:variables"]["items"]["enum"] == ["t"]
    assert properties["cube:variables.t.unit"]["enum"] == ["K"]
    assert properties["cube:dimensions.lev.values"]["items"] == {"type": "number", "enum": [1000.0, 850.0, 500.0]}
    assert "member" not in properties
    members = client.get("/stac/collections/forecast/queryables").json()["properties"]
    assert members["member"] == {"title": "Member", "type": "number"}
    everywhere = client.get("/stac/queryables").json()
    assert everywhere["$id"] == f"{BASE}/queryables"
    assert set(everywhere["properties"]) == set(properties) | set(members)


def test_every_queryable_can_be_asked_and_every_sortable_sorts(client: Browser) -> None:
    for name, schema in client.get("/stac/queryables").json()["properties"].items():
        if name != "geometry":
            assert client.get("/stac/search", filter=f'"{name}" IS NOT NULL').status_code == 200
        if schema.get("type") == "array":
            assert client.get("/stac/search", filter=f"a_contains(\"{name}\", ('t'))").status_code == 200
    for address in ("sortables", "collections/forecast/sortables"):
        response = client.get(f"/stac/{address}")
        assert response.headers["content-type"] == "application/schema+json"
        document = response.json()
        assert document["$id"] == f"{BASE}/{address}"
        assert {"id", "datetime", "member"} <= set(document["properties"])
        for name in document["properties"]:
            assert client.get("/stac/search", sortby=f"-{name}").status_code == 200


@pytest.mark.parametrize("kind", ["queryables", "sortables"])
def test_schemas_are_linked_and_those_of_an_unknown_collection_are_404(client: Browser, kind: str) -> None:
    rel = f"http://www.opengis.net/def/rel/ogc/1.0/{kind}"
    for above in ("", "/collections/europe"):
        links = client.get(f"/stac{above or '/'}").json()["links"]
        assert [link["href"] for link in links if link["rel"] == rel] == [f"{BASE}{above}/{kind}"]
    assert client.get(f"/stac/collections/unknown/{kind}").status_code == 404
