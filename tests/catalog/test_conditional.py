"""HEAD and conditional requests, as RFC 9110 has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from catalog.conditional import names_tag
from catalog.embedded import EmbeddedRepository

PATHS = (
    "/", "/conformance", "/collections", "/collections/c", "/collections/c/items", "/collections/c/items/i",
    "/search?limit=1", "/queryables", "/sortables", "/children", "/api",
)  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRepository]:
    made = EmbeddedRepository(tmp_path_factory.mktemp("catalog") / "catalog.sqlite")
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(repository: EmbeddedRepository, stac_client: Callable[..., Any]) -> Any:
    repository.upsert_collection({"type": "Collection", "id": "c", "links": []})
    item = {"type": "Feature", "id": "i", "collection": "c", "geometry": None, "links": [], "assets": {}}
    repository.upsert_items([{**item, "properties": {"datetime": "2020-01-01T00:00:00Z"}}])
    return stac_client(repository)


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_its_body(client: Any, path: str) -> None:
    got, head = client.ask("GET", path), client.ask("HEAD", path)
    assert (got.status_code, head.status_code) == (200, 200)
    assert head.content == b""
    assert got.content != b""
    assert dict(head.headers) == dict(got.headers)
    assert int(head.headers["content-length"]) == len(got.content)


@pytest.mark.parametrize(("path", "status"), [("/collections/no", 404), ("/search?limit=x", 400), ("/nothing", 404)])
def test_head_of_what_fails_has_its_status_and_no_body(client: Any, path: str, status: int) -> None:
    head = client.ask("HEAD", path)
    assert (head.status_code, head.content) == (status, b"")
    assert "etag" not in head.headers


def test_what_the_client_has_is_not_sent_again(client: Any, repository: EmbeddedRepository) -> None:
    first = client.ask("GET", "/collections/c")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        for method in ("GET", "HEAD"):
            again = client.ask(method, "/collections/c", headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
            assert "content-type" not in again.headers
            assert "content-length" not in again.headers
    assert client.ask("GET", "/collections/c", headers={"if-none-match": '"other"'}).status_code == 200
    repository.upsert_collection({"type": "Collection", "id": "c", "title": "new", "links": []})
    changed = client.ask("GET", "/collections/c", headers={"if-none-match": tag})
    assert (changed.status_code, changed.json()["title"]) == (200, "new")
    assert changed.headers["etag"] != tag


def test_a_failure_is_never_304(client: Any) -> None:
    assert client.ask("GET", "/collections/no", headers={"if-none-match": "*"}).status_code == 404


def test_a_search_by_post_is_not_conditional(client: Any) -> None:
    posted = client.ask("POST", "/search", json={})
    tag = posted.headers["etag"]
    assert client.ask("POST", "/search", json={}, headers={"if-none-match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("header", "weak", "named"),
    [
        ('"a"', True, True),
        ('W/"a"', True, True),
        ('W/"a"', False, False),
        (' "b" ,"a" ', False, True),
        ("*", False, True),
        ("", True, False),
        ("a", True, False),
    ],
)  # fmt: skip
def test_which_headers_name_a_tag(header: str, weak: bool, named: bool) -> None:
    assert names_tag(header, '"a"', weak=weak) is named
