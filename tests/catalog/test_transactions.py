"""Writing as a client does it: with the key, one document or many, and never over what somebody else wrote."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from catalog.embedded import EmbeddedRepository

KEY = "correct-horse-battery-staple"
WITH_KEY = {"authorization": f"Bearer {KEY}"}
BASE = "http://testhost:8123/stac"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRepository]:
    made = EmbeddedRepository(tmp_path_factory.mktemp("catalog") / "catalog.sqlite")
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(repository: EmbeddedRepository, stac_client: Callable[..., Any]) -> Any:
    return stac_client(repository, write_key=KEY)


@pytest.fixture(autouse=True)
def empty(repository: EmbeddedRepository) -> None:
    for heading in repository.headings():
        repository.delete_collection(heading.id)


def collection(identifier: str = "own", **more: Any) -> dict[str, Any]:
    return {
        "type": "Collection", "stac_version": "1.1.0", "id": identifier, "description": "Mine", "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [], **more,
    }  # fmt: skip


def item(identifier: str = "i", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": identifier, "bbox": [0, 0, 1, 1],
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]},
        "properties": {"datetime": "2020-01-01T00:00:00Z", **properties},
        "links": [{"rel": "via", "href": "https://example.org/a"}],
        "assets": {"data": {"href": "https://example.org/a.nc"}},
    }  # fmt: skip


def send(client: Any, method: str, path: str, body: Any = None, **headers: str) -> Any:
    options = {} if body is None else {"json": body}
    return client.ask(method, path, headers={**WITH_KEY, **headers}, **options)


def test_a_round_trip(client: Any) -> None:
    made = send(client, "POST", "/collections", collection(title="One"))
    assert (made.status_code, made.headers["location"]) == (201, f"{BASE}/collections/own")
    assert made.json() == client.ask("GET", "/collections/own").json()
    assert made.json()["title"] == "One"
    there = send(client, "POST", "/collections/own/items", item(member=3))
    assert (there.status_code, there.headers["location"]) == (201, f"{BASE}/collections/own/items/i")
    got = client.ask("GET", "/collections/own/items/i")
    assert got.json() == there.json()
    assert got.headers["etag"] == there.headers["etag"]
    assert got.json()["collection"] == "own"
    assert {"via", "self", "root", "parent", "collection"} == {link["rel"] for link in got.json()["links"]}
    found = client.ask("GET", "/search?filter=member=3").json()
    assert [feature["id"] for feature in found["features"]] == ["i"]
    replaced = send(client, "PUT", "/collections/own/items/i", item(member=4))
    assert (replaced.status_code, replaced.json()["properties"]["member"]) == (200, 4)
    merged = send(client, "PATCH", "/collections/own/items/i", {"properties": {"member": None, "note": "x"}})
    assert merged.json()["properties"] == {"datetime": "2020-01-01T00:00:00Z", "note": "x"}
    operations = [
        {"op": "test", "path": "/properties/note", "value": "x"},
        {"op": "replace", "path": "/properties/note", "value": "y"},
        {"op": "add", "path": "/assets/more", "value": {"href": "https://example.org/b.nc"}},
    ]
    patched = send(client, "PATCH", "/collections/own/items/i", operations)
    assert (patched.json()["properties"]["note"], set(patched.json()["assets"])) == ("y", {"data", "more"})
    assert send(client, "PATCH", "/collections/own", {"title": "Two"}).json()["title"] == "Two"
    assert send(client, "PUT", "/collections/own", collection(title="Three")).json()["title"] == "Three"
    assert client.ask("GET", "/collections/own/items/i").status_code == 200
    assert send(client, "DELETE", "/collections/own/items/i").status_code == 204
    assert client.ask("GET", "/collections/own/items/i").status_code == 404
    assert send(client, "DELETE", "/collections/own/items/i").status_code == 404
    assert send(client, "DELETE", "/collections/own").status_code == 204
    assert client.ask("GET", "/collections/own").status_code == 404


def test_a_document_that_was_read_can_be_sent_back(client: Any) -> None:
    send(client, "POST", "/collections", collection())
    send(client, "POST", "/collections/own/items", item())
    for path in ("/collections/own", "/collections/own/items/i"):
        read = client.ask("GET", path)
        written = send(client, "PUT", path, read.json(), **{"if-match": read.headers["etag"]})
        assert written.status_code == 200, written.text
        assert written.json() == read.json()


def test_a_patch_sees_the_document_that_the_client_has_read(client: Any) -> None:
    send(client, "POST", "/collections", collection())
    send(client, "POST", "/collections/own/items", item())
    links = client.ask("GET", "/collections/own/items/i").json()["links"]
    place = next(n for n, link in enumerate(links) if link["rel"] == "via")
    href = "https://example.org/b"
    operations = [{"op": "replace", "path": f"/links/{place}/href", "value": href}]
    patched = send(client, "PATCH", "/collections/own/items/i", operations).json()
    assert [link["href"] for link in patched["links"] if link["rel"] == "via"] == [href]


WRITES = [
    ("POST", "/collections"),
    ("PUT", "/collections/own"),
    ("PATCH", "/collections/own"),
    ("DELETE", "/collections/own"),
    ("POST", "/collections/own/items"),
    ("POST", "/collections/own/bulk_items"),
    ("PUT", "/collections/own/items/i"),
    ("PATCH", "/collections/own/items/i"),
    ("DELETE", "/collections/own/items/i"),
]


@pytest.mark.parametrize(
    "header",
    [None, "Bearer wrong", "Bearer", f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer ÿ"],
)
def test_nobody_writes_without_the_key(client: Any, header: str | None) -> None:
    send(client, "POST", "/collections", collection())
    send(client, "POST", "/collections/own/items", item())
    headers = {} if header is None else {"authorization": header.encode("latin-1")}
    for method, path in WRITES:
        refused = client.ask(method, path, headers=headers, content=b"x" * 100_000)
        assert refused.status_code == 401, (method, path)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert refused.headers["content-type"] == "application/problem+json"
    assert client.ask("GET", "/collections/own/items/i").status_code == 200


def test_reading_takes_no_key(client: Any) -> None:
    assert client.ask("POST", "/search", json={}).status_code == 200


def test_without_a_key_there_is_nothing_to_write_to(
    repository: EmbeddedRepository, stac_client: Callable[..., Any]
) -> None:
    closed = stac_client(repository)
    repository.upsert_collection(collection())
    for method, path in (("POST", "/collections"), ("PUT", "/collections/own"), ("DELETE", "/collections/own")):
        assert send(closed, method, path, collection()).status_code == 405
    assert not any("transaction" in uri for uri in closed.ask("GET", "/conformance").json()["conformsTo"])
    assert "Transactions" not in closed.ask("GET", "/api").text


def test_what_is_offered_is_said(client: Any) -> None:
    conforms = client.ask("GET", "/conformance").json()["conformsTo"]
    assert "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction" in conforms
    assert "https://api.stacspec.org/v1.0.0/collections/extensions/transaction" in conforms
    paths = client.ask("GET", "/api").json()["paths"]
    assert set(paths["/collections/{collection_id}"]) == {"get", "put", "patch", "delete"}
    asked = {"origin": "https://x", "access-control-request-method": "PATCH"}
    assert client.ask("OPTIONS", "/collections/own", headers=asked).status_code == 200


def test_what_is_harvested_is_not_written(client: Any, repository: EmbeddedRepository) -> None:
    repository.replace(collection(), [{**item(), "collection": "own"}], "digest")
    attempts = [
        ("POST", "/collections", collection()),
        ("PUT", "/collections/own", collection()),
        ("PATCH", "/collections/own", {"title": "x"}),
        ("DELETE", "/collections/own", None),
        ("POST", "/collections/own/items", item("j")),
        ("POST", "/collections/own/items", {"type": "FeatureCollection", "features": [item("j")]}),
        ("POST", "/collections/own/bulk_items", {"items": {"j": item("j")}}),
        ("PUT", "/collections/own/items/i", item()),
        ("PATCH", "/collections/own/items/i", {"properties": {"x": 1}}),
        ("DELETE", "/collections/own/items/i", None),
    ]
    before = client.ask("GET", "/collections/own").json(), client.ask("GET", "/collections/own/items").json()
    for method, path, body in attempts:
        refused = send(client, method, path, body)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), (method, path)
    assert (client.ask("GET", "/collections/own").json(), client.ask("GET", "/collections/own/items").json()) == before
    assert repository.digests() == {"own": "digest"}


def test_the_second_of_two_writers_is_told(client: Any) -> None:
    send(client, "POST", "/collections", collection())
    send(client, "POST", "/collections/own/items", item())
    for path, body in (("/collections/own", collection(title="x")), ("/collections/own/items/i", item(x=1))):
        tag = client.ask("GET", path).headers["etag"]
        assert send(client, "PUT", path, body, **{"if-match": tag}).status_code == 200
        for method in ("PUT", "PATCH", "DELETE"):
            late = send(client, method, path, body, **{"if-match": tag})
            assert (late.status_code, late.json()["code"]) == (412, "precondition")
            assert send(client, method, path, body, **{"if-match": f"W/{tag}"}).status_code == 412
        now = client.ask("GET", path).headers["etag"]
        assert send(client, "PATCH", path, {"keywords": ["a"]}, **{"if-match": f"{tag}, {now}"}).status_code == 200


def test_of_many_that_count_none_is_lost(repository: EmbeddedRepository, stac_client: Callable[..., Any]) -> None:
    first = stac_client(repository, write_key=KEY)
    send(first, "POST", "/collections", collection())
    send(first, "POST", "/collections/own/items", item(count=0))

    def count(client: Any) -> None:
        done = 0
        while done < 5:
            read = client.ask("GET", "/collections/own/items/i")
            body = read.json()
            body["properties"]["count"] += 1
            answer = send(client, "PUT", "/collections/own/items/i", body, **{"if-match": read.headers["etag"]})
            assert answer.status_code in (200, 412)
            done += answer.status_code == 200

    clients = [stac_client(repository, write_key=KEY) for _ in range(3)]
    for client in clients:
        # FastAPI makes its routes at the first request, under a change of warnings that threads share.
        client.ask("GET", "/collections/own")
    threads = [threading.Thread(target=count, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.ask("GET", "/collections/own/items/i").json()["properties"]["count"] == 15


def test_many_at_once_all_or_none(client: Any) -> None:
    send(client, "POST", "/collections", collection())
    features = {"type": "FeatureCollection", "features": [item(f"f{n}") for n in range(30)]}
    answer = send(client, "POST", "/collections/own/items", features)
    assert (answer.status_code, answer.json()) == (201, {"numberCreated": 30})
    bulk = {"items": {f"b{n}": item(f"b{n}") for n in range(20)}}
    answer = send(client, "POST", "/collections/own/bulk_items", bulk)
    assert (answer.status_code, answer.json()) == (200, "Successfully added 20 items.")
    assert client.ask("GET", "/search").json()["numberMatched"] == 50
    for more in (
        {"items": {"new": item("new"), "b3": item("b3", x=1)}},
        {"items": {"new": item("new"), "bad": {**item("bad"), "geometry": {"type": "Point"}}}},
        {"items": {"new": item("new"), "other": item("another")}},
        {"items": [item("new")]},
        {"items": {"new": item("new")}, "method": "guess"},
    ):
        refused = send(client, "POST", "/collections/own/bulk_items", more)
        assert refused.status_code in (400, 409), more
        assert client.ask("GET", "/collections/own/items/new").status_code == 404
    twice = {"type": "FeatureCollection", "features": [item("new"), item("new")]}
    assert send(client, "POST", "/collections/own/items", twice).status_code == 409
    upsert = {"items": {"new": item("new"), "b3": item("b3", x=1)}, "method": "upsert"}
    assert send(client, "POST", "/collections/own/bulk_items", upsert).status_code == 200
    assert client.ask("GET", "/collections/own/items/b3").json()["properties"]["x"] == 1
    assert client.ask("GET", "/search").json()["numberMatched"] == 51


BAD_ITEMS: list[Any] = [
    None, [], 1, {}, {"type": "Feature"}, item(""), item("a/b"), item(".."), item("x\x00"), item("é" * 300),
    {**item(), "id": 5}, {**item(), "collection": "another"}, {**item(), "properties": None},
    {**item(), "properties": {}}, {**item(), "properties": {"datetime": "soon"}}, {**item(), "links": [1]},
    {**item(), "links": {"rel": "self"}}, {**item(), "links": [{"rel": "via"}]}, {**item(), "assets": [1]},
    {**item(), "assets": {"a": 1}}, {**item(), "assets": {"a": {"href": 1}}}, {**item(), "geometry": 1},
    {**item(), "geometry": {"type": "Polygon", "coordinates": [[[0, 0]]]}}, {**item(), "bbox": [1]},
    {**item(), "bbox": "all"}, {**item(), "stac_version": "0.9.0"}, {**item(), "bbox": [0, 0, 1, "x"]},
    {**item(), "type": "FeatureCollection"}, {**item(), "type": "FeatureCollection", "features": [1]},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_ITEMS)
def test_bad_items_are_400(client: Any, body: Any) -> None:
    send(client, "POST", "/collections", collection())
    refused = send(client, "POST", "/collections/own/items", body if body is not None else "null")
    assert refused.status_code == 400, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    if isinstance(body, dict):
        send(client, "POST", "/collections/own/items", item())
        assert send(client, "PUT", "/collections/own/items/i", body).status_code == 400
        if body.get("type") == "Feature" and isinstance(body.get("id"), str) and "stac_version" not in body:
            bulk = {"items": {body["id"]: body}}
            assert send(client, "POST", "/collections/own/bulk_items", bulk).status_code == 400
    assert client.ask("GET", "/search").json()["numberMatched"] <= 1


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"\xff", b"[" * 5000, b'{"a":' * 300 + b"1" + b"}" * 300, b"[]",
        *(b'{"type":"Collection","id":"own","links":%s}' % part for part in (b"[1]", b"1", b'{"rel":1}')),
        json.dumps({**collection(), "extent": {"spatial": {"bbox": []}, "temporal": {"interval": []}}}).encode(),
    ],
)  # fmt: skip
def test_bad_collections_are_400(client: Any, body: bytes) -> None:
    for method, path in (("POST", "/collections"), ("PUT", "/collections/there"), ("PATCH", "/collections/there")):
        send(client, "POST", "/collections", collection("there"))
        refused = client.ask(method, path, headers=WITH_KEY, content=body)
        if method == "PATCH" and body == b"[]":
            assert refused.status_code == 200
        else:
            assert refused.status_code == 400, (method, refused.text)


def test_ids_cannot_be_changed(client: Any) -> None:
    send(client, "POST", "/collections", collection())
    send(client, "POST", "/collections/own/items", item())
    assert send(client, "PUT", "/collections/own", collection("other")).status_code == 400
    assert send(client, "PATCH", "/collections/own", {"id": "other"}).status_code == 400
    assert send(client, "PATCH", "/collections/own", {"type": "Catalog"}).status_code == 400
    assert send(client, "PUT", "/collections/own/items/i", item("other")).status_code == 400
    assert send(client, "PATCH", "/collections/own/items/i", {"id": "other"}).status_code == 400
    assert send(client, "PATCH", "/collections/own/items/i", {"collection": "other"}).status_code == 400
    assert send(client, "PATCH", "/collections/own/items/i", {"geometry": 5}).status_code == 400
    assert send(client, "PUT", "/collections/no", collection("no")).status_code == 404
    assert send(client, "PUT", "/collections/own/items/no", item("no")).status_code == 404
    assert send(client, "POST", "/collections/no/items", item()).status_code == 404
    assert send(client, "POST", "/collections/own/items", item()).status_code == 409
    assert send(client, "POST", "/collections", collection()).status_code == 409


def test_a_body_may_be_large_for_writers_alone(repository: EmbeddedRepository, stac_client: Callable[..., Any]) -> None:
    client = stac_client(repository, write_key=KEY, body_limit=2_000, write_limit=20_000)
    assert client.ask("POST", "/search", json={"ids": ["a" * 3_000]}).status_code == 413
    assert send(client, "POST", "/collections", collection(description="a" * 3_000)).status_code == 201
    assert send(client, "PUT", "/collections/own", collection(description="a" * 30_000)).status_code == 413
