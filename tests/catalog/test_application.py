from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV30SpecValidator
from starlette.applications import Starlette
from starlette.routing import Mount

from catalog.application import stac_application
from catalog.describe import collection
from catalog.document import digest, hrefs, relative_to
from catalog.embedded import EmbeddedRepository
from catalog.items import items
from catalog.links import FrontUrls
from plugins.datacube.datacube import Datacube, Extent
from plugins.datacube.errors import BusyError

MakeCube = Callable[..., Datacube]
URLS = FrontUrls("http://elsewhere:9")
PUBLIC = "https://public.example/data"


class Browser:
    """A client of an ASGI application, called without await; redirects are followed."""

    def __init__(self, app: Starlette, *, failures: bool = True, headers: Mapping[str, str] | None = None) -> None:
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=failures),
            base_url="http://testhost:8123",
            follow_redirects=True,
            headers=headers,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self._runner.run(self._client.get(url, **more))

    def post(self, url: str, **more: Any) -> httpx.Response:
        return self._runner.run(self._client.post(url, **more))

    def options(self, url: str, **more: Any) -> httpx.Response:
        return self._runner.run(self._client.options(url, **more))

    def delete(self, url: str, **more: Any) -> httpx.Response:
        return self._runner.run(self._client.delete(url, **more))


def mounted(repository: EmbeddedRepository, base_url: str | None = None, **client: Any) -> Browser:
    app = stac_application(repository, base_url=base_url, identifier="here", title="Here", description="All of it")
    return Browser(Starlette(routes=[Mount("/stac", app)]), **client)


def fill(repository: EmbeddedRepository, *cubes: Datacube) -> None:
    for cube in cubes:
        document = relative_to(collection(cube, URLS), URLS.base)
        its_items = [relative_to(item, URLS.base) for item in items(cube, URLS)]
        repository.replace(document, its_items, digest([document]))


@pytest.fixture
def filled(repository: EmbeddedRepository, make_cube: MakeCube) -> EmbeddedRepository:
    europe = Extent(-10.0, 35.0, 30.0, 65.0, "2000-01-01T00:00:00Z", "2000-12-31T00:00:00Z")
    pacific = Extent(150.0, -40.0, 180.0, 0.0, "2010-01-01T00:00:00Z", "2010-12-31T00:00:00Z")
    fill(
        repository,
        make_cube("europe", extent=europe),
        make_cube("pacific", extent=pacific),
        make_cube("orca", unsupported="its grid is curvilinear", extent=pacific),
        make_cube("mask", extent=Extent(-180.0, -90.0, 180.0, 90.0)),
    )
    return repository


@pytest.fixture
def client(filled: EmbeddedRepository) -> Iterator[Browser]:
    with mounted(filled) as made:
        yield made


def links(document: Mapping[str, Any], rel: str) -> list[dict[str, Any]]:
    return [link for link in document["links"] if link["rel"] == rel]


def found(document: Mapping[str, Any]) -> list[str]:
    return sorted(feature["id"] for feature in document["features"])


def test_the_landing_page(client: Browser, validate: Callable[[Mapping[str, Any]], None]) -> None:
    document = client.get("/stac/").json()
    validate(document)
    assert (document["id"], document["title"], document["description"]) == ("here", "Here", "All of it")
    assert document["stac_version"] == "1.1.0"
    base = "http://testhost:8123/stac"
    wanted = {
        "self": [f"{base}/"],
        "root": [f"{base}/"],
        "data": [f"{base}/collections"],
        "conformance": [f"{base}/conformance"],
        "search": [f"{base}/search", f"{base}/search"],
        "service-desc": [f"{base}/api"],
        "related": ["http://testhost:8123/ogc"],
        "children": [f"{base}/children"],
        "http://www.opengis.net/def/rel/ogc/1.0/queryables": [f"{base}/queryables"],
        "http://www.opengis.net/def/rel/ogc/1.0/sortables": [f"{base}/sortables"],
        "aggregate": [f"{base}/aggregate"],
        "aggregations": [f"{base}/aggregations"],
        "child": [f"{base}/collections/{name}" for name in ("europe", "mask", "orca", "pacific")],
    }
    assert {rel: [link["href"] for link in links(document, rel)] for rel in wanted} == wanted
    assert {link["rel"] for link in document["links"]} == set(wanted)
    assert [link["method"] for link in links(document, "search")] == ["GET", "POST"]


def test_every_link_of_this_api_answers_and_the_tree_reaches_every_item(client: Browser) -> None:
    seen: dict[str, int] = {}
    items_seen: set[str] = set()
    todo = ["http://testhost:8123/stac/"]
    while todo:
        href = todo.pop()
        response = client.get(href)
        seen[href] = response.status_code
        document = response.json()
        if document.get("type") == "Feature":
            items_seen.add(document["id"])
        for link in document.get("links", []):
            same_api = link["href"].startswith("http://testhost:8123/stac/")
            if same_api and link.get("method", "GET") == "GET" and link["href"] not in seen:
                todo.append(link["href"])
    assert set(seen.values()) == {200}
    assert items_seen == {"europe-all", "pacific-all", "orca-all"}


def test_what_is_served_is_valid(client: Browser, validate: Callable[[Mapping[str, Any]], None]) -> None:
    for document in client.get("/stac/collections").json()["collections"]:
        validate(document)
    for document in client.get("/stac/search").json()["features"]:
        validate(document)


def test_a_collection_and_its_item(client: Browser) -> None:
    document = client.get("/stac/collections/europe").json()
    base = "http://testhost:8123"
    assert document["assets"]["zarr"]["href"] == f"{base}/zarr/europe"
    expected = {
        "self": f"{base}/stac/collections/europe",
        "root": f"{base}/stac/",
        "parent": f"{base}/stac/",
        "items": f"{base}/stac/collections/europe/items",
        "item": f"{base}/stac/collections/europe/items/europe-all",
        "related": f"{base}/ogc/collections/europe",
    }
    assert {rel: [link["href"] for link in links(document, rel)] for rel in expected} == {
        rel: [href] for rel, href in expected.items()
    }
    response = client.get(expected["item"])
    assert response.headers["content-type"] == "application/geo+json"
    assert response.json()["collection"] == "europe"
    assert links(response.json(), "collection")[0]["href"] == expected["self"]
    listed = client.get("/stac/collections").json()["collections"][0]
    assert listed == {**document, "links": [link for link in document["links"] if link["rel"] != "item"]}


def test_an_unsupported_dataset_is_listed_with_its_reason(client: Browser) -> None:
    document = client.get("/stac/collections/orca").json()
    assert document["isopleth:queryable"] is False
    assert document["isopleth:reason"] == "its grid is curvilinear"
    assert not any("/ogc/collections" in href for href in hrefs(document))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["europe-all", "orca-all", "pacific-all"]),
        ({"bbox": "0,40,1,41"}, ["europe-all"]),
        ({"bbox": "170,-10,-170,10"}, ["orca-all", "pacific-all"]),
        ({"bbox": "0,40,0,1,41,100"}, ["europe-all"]),
        ({"bbox": "-170,-10,-160,10"}, []),
        ({"datetime": "2000-06-01T00:00:00Z"}, ["europe-all"]),
        ({"datetime": "2005-01-01T00:00:00Z/.."}, ["orca-all", "pacific-all"]),
        ({"datetime": "../1999-12-31T23:59:59Z"}, []),
        ({"collections": "europe,pacific"}, ["europe-all", "pacific-all"]),
        ({"collections": "unknown"}, []),
        ({"ids": "pacific-all"}, ["pacific-all"]),
        ({"intersects": '{"type":"Point","coordinates":[10,50]}'}, ["europe-all"]),
    ],
)
def test_search(client: Browser, asked: dict[str, str], expected: list[str]) -> None:
    got = client.get("/stac/search", params=asked)
    assert got.status_code == 200
    assert got.headers["content-type"] == "application/geo+json"
    assert found(got.json()) == expected
    assert got.json()["numberMatched"] == got.json()["numberReturned"] == len(expected)
    body: dict[str, Any] = dict(asked)
    for name in ("collections", "ids"):
        if name in asked:
            body[name] = asked[name].split(",")
    if "bbox" in asked:
        body["bbox"] = [float(edge) for edge in asked["bbox"].split(",")]
    if "intersects" in asked:
        body["intersects"] = json.loads(asked["intersects"])
    posted = client.post("/stac/search", json=body)
    assert posted.status_code == 200
    assert found(posted.json()) == expected


def test_items_of_a_collection(client: Browser) -> None:
    document = client.get("/stac/collections/europe/items").json()
    assert found(document) == ["europe-all"]
    assert found(client.get("/stac/collections/europe/items", params={"bbox": "100,0,101,1"}).json()) == []
    empty = client.get("/stac/collections/mask/items")
    assert (empty.status_code, empty.json()["features"]) == (200, [])


def test_search_pages_by_get(client: Browser) -> None:
    href, seen = "/stac/search?limit=1&bbox=-180,-90,180,90&bbox-crs=x", []
    while True:
        document = client.get(href).json()
        seen += found(document)
        following = links(document, "next")
        if not following:
            break
        href = following[0]["href"]
        assert href.startswith("http://testhost:8123/stac/search?limit=1&bbox=-180%2C-90%2C180%2C90&bbox-crs=x&token=")
    assert sorted(seen) == ["europe-all", "orca-all", "pacific-all"]
    assert len(seen) == 3


def test_search_pages_by_post(client: Browser) -> None:
    body: dict[str, Any] = {"limit": 1, "collections": ["europe", "pacific"]}
    seen = []
    while True:
        document = client.post("/stac/search", json=body).json()
        seen += found(document)
        following = links(document, "next")
        if not following:
            break
        assert following[0]["method"] == "POST"
        assert following[0]["href"] == "http://testhost:8123/stac/search"
        body = following[0]["body"]
        assert body["collections"] == ["europe", "pacific"]
    assert seen == ["pacific-all", "europe-all"]


def test_collections_page(client: Browser) -> None:
    href, seen = "/stac/collections?limit=3", []
    while True:
        document = client.get(href).json()
        assert document["numberMatched"] == 4
        seen += [found["id"] for found in document["collections"]]
        following = links(document, "next")
        if not following:
            break
        href = following[0]["href"]
    assert seen == ["europe", "mask", "orca", "pacific"]


def test_a_hundred_collections_are_one_page(repository: EmbeddedRepository, make_cube: MakeCube) -> None:
    fill(repository, *(make_cube(f"c{n:03d}") for n in range(101)))
    with mounted(repository) as client:
        document = client.get("/stac/collections").json()
        assert (document["numberReturned"], document["numberMatched"]) == (100, 101)
        assert len(links(client.get("/stac/").json(), "child")) == 101


def test_conformance_is_the_landing_page_s(client: Browser) -> None:
    document = client.get("/stac/conformance").json()
    assert document["conformsTo"] == client.get("/stac/").json()["conformsTo"]
    assert "https://api.stacspec.org/v1.0.0/item-search" in document["conformsTo"]
    assert "https://api.stacspec.org/v1.0.0-rc.2/item-search#filter" in document["conformsTo"]
    # pystac-client looks for the first, the specification in force is the second.
    assert "https://api.stacspec.org/v1.0.0/item-search#sort" in document["conformsTo"]
    assert "https://api.stacspec.org/v1.1.0/item-search#sort" in document["conformsTo"]
    assert "https://api.stacspec.org/v1.0.0/browseable" in document["conformsTo"]
    # What is not offered is not claimed: no transactions without a key, no filter and order of collections.
    absent = (
        "transaction",
        "collection-search#filter",
        "collection-search#sort",
        "collection-search#fields",
    )
    assert not any(word in uri for uri in document["conformsTo"] for word in absent)


def test_a_collection_with_more_items_than_links_is_not_browseable(
    client: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.client.ITEM_LINKS_LIMIT", 0)
    browseable = "https://api.stacspec.org/v1.0.0/browseable"
    assert browseable not in client.get("/stac/conformance").json()["conformsTo"]
    assert browseable not in client.get("/stac/").json()["conformsTo"]
    assert links(client.get("/stac/collections/europe").json(), "item") == []
    monkeypatch.setattr("catalog.client.ITEM_LINKS_LIMIT", 1)
    assert browseable in client.get("/stac/conformance").json()["conformsTo"]


def test_a_configured_address_wins_over_every_header(filled: EmbeddedRepository) -> None:
    headers = {
        "host": "evil.example",
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "666",
        "forwarded": "host=evil.example;proto=https",
    }
    with mounted(filled, PUBLIC, headers=headers) as client:
        for path in ("", "collections", "collections/europe", "collections/europe/items", "search?limit=1", "api"):
            text = client.get(f"/stac/{path}").text
            assert "evil.example" not in text
            assert PUBLIC in text
        document = client.get("/stac/collections/europe").json()
        assert document["assets"]["zarr"]["href"] == f"{PUBLIC}/zarr/europe"
        assert links(document, "self")[0]["href"] == f"{PUBLIC}/stac/collections/europe"
        following = links(client.get("/stac/search?limit=1").json(), "next")
        assert following[0]["href"].startswith(f"{PUBLIC}/stac/search?limit=1&token=")


def test_without_a_configured_address_forwarding_headers_are_not_trusted(client: Browser) -> None:
    text = client.get("/stac/", headers={"x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}).text
    assert "evil.example" not in text


@pytest.mark.parametrize("host", ["[", "a b", "x/../y", "ü", "a:b:c", "x@y", '"<script>', "", "h:99999999"])
def test_a_strange_host_is_no_failure(client: Browser, host: str) -> None:
    response = client.get("/stac/collections/europe", headers={"host": host.encode("utf-8")})
    assert response.status_code == 200
    assert all(urlsplit(href).scheme in ("http", "https") for href in hrefs(response.json()))


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("search?bbox=1,2,3", "bbox"),
        ("search?bbox=a,b,c,d", "bbox"),
        ("search?bbox=0,10,1,0", "bbox"),
        ("search?bbox=nan,nan,nan,nan", "bbox"),
        ("search?bbox=0,0,1,1&intersects=%7B%7D", "intersects"),
        ("search?intersects=%7B%7D", "intersects"),
        ("search?datetime=soon", "datetime"),
        ("search?datetime=..", "datetime"),
        ("search?limit=0", "limit"),
        ("search?limit=-5", "limit"),
        ("search?limit=many", "limit"),
        ("search?token=forged", "token"),
        ("collections?limit=0", "limit"),
        ("collections?token=forged", "token"),
        ("collections/europe/items?bbox=1", "bbox"),
        ("collections/europe/items?datetime=2020-13-01T00:00:00Z", "datetime"),
        ("collections/europe/items?token=%00", "token"),
    ],
)
def test_bad_requests_are_400(client: Browser, path: str, parameter: str | None) -> None:
    response = client.get(f"/stac/{path}")
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 400
    assert problem["code"]
    assert problem["description"] == problem["detail"]
    assert problem.get("parameter") == parameter
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"[null,null]", b"1", b"{", b'"x"', b'{"bbox":[1,2,3]}', b'{"bbox":[0,0,400,1]}',
        b'{"bbox":"0,0,1,1"}', b'{"datetime":"soon"}', b'{"limit":0}', b'{"limit":"x"}', b'{"token":"x"}',
        b'{"token":1}', b'{"ids":"a"}', b'{"intersects":{"type":"Point"}}', b'{"intersects":[]}',
        b'{"bbox":[0,0,1,1],"intersects":{"type":"Point","coordinates":[0,0]}}', b'{"ids":["\\ud800"]}',
        b"[" * 100_000, b'{"bbox":[0,0,1e999,1]}', b"\xff\xfe",
        b'{"intersects":{"type":"Polygon","coordinates":[[[0,0],[1,1],[1,0],[0,1],[0,0]]]}}',
    ],
)  # fmt: skip
def test_bad_bodies_are_400(client: Browser, body: bytes) -> None:
    response = client.post("/stac/search", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_too_large_is_413(client: Browser) -> None:
    response = client.post("/stac/search", content=b'{"ids":["' + b"a" * (1 << 20) + b'"]}')
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    response = client.post("/stac/search", content=pieces())
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "collections/unknown",
        "collections/unknown/items",
        "collections/europe/items/unknown",
        "collections/unknown/items/europe-all",
        "nothing",
        "docs",
        "api.html",
        "redoc",
    ],
)
def test_what_is_not_there_is_404(client: Browser, path: str) -> None:
    response = client.get(f"/stac/{path}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "not-found"


def test_other_methods_are_405(client: Browser) -> None:
    response = client.delete("/stac/collections/europe")
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]


WORDS = st.text(max_size=20) | st.sampled_from(["0", "-1", "1e400", "null", "..", "/", "0,0,1,1", "%00", "{}"])
FIELDS = st.sampled_from(["bbox", "datetime", "ids", "collections", "limit", "token", "intersects", "other"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(WORDS | st.just("type"), children, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.dictionaries(FIELDS, WORDS, max_size=4), st.dictionaries(FIELDS, JSON, max_size=4), WORDS)
def test_nothing_a_client_writes_is_a_failure(
    client: Browser, query: dict[str, str], body: dict[str, Any], name: str
) -> None:
    def sound(text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    asked = {key: sound(value) for key, value in query.items()}
    assert client.get("/stac/search", params=asked).status_code in (200, 400)
    assert client.get("/stac/collections", params=asked).status_code in (200, 400)
    assert client.get("/stac/collections/europe/items", params=asked).status_code in (200, 400)
    assert client.post("/stac/search", content=json.dumps(body)).status_code in (200, 400)
    assert client.post("/stac/search", json=body).status_code in (200, 400)


def test_every_origin_may_read(client: Browser) -> None:
    asked = {
        "origin": "https://browser.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type",
    }
    preflight = client.options("/stac/search", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert client.get("/stac/", headers={"origin": "https://x"}).headers["access-control-allow-origin"] == "*"


def test_the_openapi_document_is_openapi_3_0(client: Browser) -> None:
    response = client.get("/stac/api")
    assert response.headers["content-type"].startswith("application/vnd.oai.openapi+json")
    document = response.json()
    assert document["openapi"].startswith("3.0.")
    assert document["servers"] == [{"url": "/stac"}]
    assert list(OpenAPIV30SpecValidator(document).iter_errors()) == []
    assert {"/", "/conformance", "/collections", "/search"} <= set(document["paths"])
    names = {parameter["name"] for parameter in document["paths"]["/search"]["get"]["parameters"]}
    assert {"bbox", "datetime", "intersects", "ids", "collections", "limit", "token"} <= names


class Unwell:
    """A repository that fails in every way."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object) -> Any:
            raise self.error

        return fail


def test_a_store_that_fails_leaks_nothing() -> None:
    app = Mount("/stac", stac_application(Unwell(BusyError("the catalogue is being written to"))))  # type: ignore[arg-type]
    with Browser(Starlette(routes=[app])) as client:
        response = client.get("/stac/collections")
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    app = Mount("/stac", stac_application(Unwell(RuntimeError("secret"))))  # type: ignore[arg-type]
    with Browser(Starlette(routes=[app]), failures=False) as client:
        response = client.get("/stac/collections")
        assert response.status_code == 500
        assert "secret" not in response.text


def test_environment_variables_do_not_configure_the_api(
    filled: EmbeddedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ROOT_PATH", "OPENAPI_URL", "DOCS_URL", "STAC_FASTAPI_TITLE"):
        monkeypatch.setenv(name, "/elsewhere")
    with mounted(filled) as client:
        assert client.get("/stac/api").status_code == 200
        assert client.get("/stac/").json()["title"] == "Here"


def test_a_new_collection_appears_at_once(client: Browser, filled: EmbeddedRepository, make_cube: MakeCube) -> None:
    fill(filled, make_cube("new"))
    assert client.get("/stac/collections/new").status_code == 200
    fill(filled, replace(make_cube("new"), title="Newer"))
    assert client.get("/stac/collections/new").json()["title"] == "Newer"
