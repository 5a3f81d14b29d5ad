"""Are the metadata documents fast to repeat, honest about formats, and right for conditional requests?"""

from __future__ import annotations

import pytest

from plugins.datacube.errors import InvalidQueryError, NotAcceptableError
from server.ogc.collections import collection, collections
from server.ogc.conformance import conformance
from server.ogc.documents import DocumentCache, accepts
from server.ogc.landing import landing
from server.ogc.openapi import openapi

FUNCTIONS = [(landing, ()), (conformance, ()), (collections, ()), (collection, ("region",)), (openapi, ())]


@pytest.mark.parametrize(("function", "identifiers"), FUNCTIONS)
def test_a_document_is_made_once(site, function, identifiers):
    first, second = (site.get(function, *identifiers) for _ in range(2))
    assert first.status == 200
    assert first.body is second.body


@pytest.mark.parametrize(("function", "identifiers"), FUNCTIONS)
def test_a_client_that_holds_the_document_gets_304(site, function, identifiers):
    etag = site.get(function, *identifiers).headers["ETag"]
    again = site.get(function, *identifiers, headers={"if-none-match": f'"other", {etag}'})
    assert (again.status, again.content()) == (304, b"")
    assert again.headers["ETag"] == etag
    assert site.get(function, *identifiers, headers={"if-none-match": '"other"'}).status == 200


@pytest.mark.parametrize(("function", "identifiers"), FUNCTIONS)
def test_head_has_the_headers_and_no_body(site, function, identifiers):
    got, head = (site.get(function, *identifiers, method=method) for method in ("GET", "HEAD"))
    assert head.content() == b""
    assert dict(head.headers) == dict(got.headers)


@pytest.mark.parametrize(("function", "identifiers"), FUNCTIONS)
@pytest.mark.parametrize("query", ["f=json", "f=JSON", "f=application/json"])
def test_json_may_be_named(site, function, identifiers, query):
    assert site.get(function, *identifiers, query=query).status == 200


@pytest.mark.parametrize(("function", "identifiers"), FUNCTIONS)
@pytest.mark.parametrize("query", ["f=xml", "f=", "colour=red", "f=json&f=json"])
def test_wrong_parameters_are_refused(site, function, identifiers, query):
    with pytest.raises(InvalidQueryError) as caught:
        site.get(function, *identifiers, query=query)
    assert caught.value.parameter == query.split("=")[0]


@pytest.mark.parametrize(("function", "identifiers"), FUNCTIONS)
def test_a_client_that_wants_an_image_is_told_what_there_is(site, function, identifiers):
    with pytest.raises(NotAcceptableError):
        site.get(function, *identifiers, accept="image/png")


def test_the_openapi_document_has_the_media_type_it_is_asked_for(site):
    response = site.get(openapi, accept="application/vnd.oai.openapi+json;version=3.0")
    assert response.headers["Content-Type"] == "application/vnd.oai.openapi+json;version=3.0"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, True),
        ("", True),
        ("*/*", True),
        ("application/*", True),
        ("application/json;q=0.1", True),
        ("text/html, application/json;q=0", False),
        ("text/html,*/*;q=0.8", True),
        ("text/html", False),
        ("application/json;q=0, */*", False),
        (",;,;q", False),
    ],
)
def test_the_accept_header_decides(header, expected):
    assert accepts(header, "application/json") is expected


def test_a_document_follows_its_sources_and_the_cache_is_bounded():
    cache, made = DocumentCache(limit=2), []

    def make():
        made.append(1)
        return {"count": len(made)}

    first, second = object(), object()
    assert cache.get("a", (first,), make).body == b'{"count":1}'
    assert cache.get("a", (first,), make).body == b'{"count":1}'
    assert cache.get("a", (second,), make).body == b'{"count":2}'
    cache.get("b", (), make)
    cache.get("c", (), make)
    assert list(cache.entries) == ["b", "c"]
