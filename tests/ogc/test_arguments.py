"""Are parameters read alike from address, form and JSON, and refused alike where they are doubtful?"""

from __future__ import annotations

import pytest

from plugins.datacube.errors import InvalidQueryError
from server.ogc.arguments import query_arguments

FORM = "application/x-www-form-urlencoded"


def post(site, body, content_type=None, query=""):
    return query_arguments(site.request("/ogc", query, "POST", body=body, content_type=content_type))


def test_the_query_string(site):
    assert query_arguments(site.request("/ogc", "coords=POINT(0+1)&z=1%2F2")) == {"coords": "POINT(0 1)", "z": "1/2"}


@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=utf-8", None, "", "text/plain"])
def test_a_form(site, content_type):
    assert post(site, b"coords=POINT%280+1%29&z=", content_type) == {"coords": "POINT(0 1)", "z": ""}


@pytest.mark.parametrize("content_type", ["application/json", "application/geo+json", None, "text/plain"])
def test_json(site, content_type):
    body = b'{"bbox": [0, -1.5, 1e1, 2], "z": 850, "parameter-name": ["a", "b"], "datetime": "2020"}'
    expected = {"bbox": "0,-1.5,10.0,2", "z": "850", "parameter-name": "a,b", "datetime": "2020"}
    assert post(site, body, content_type) == expected


def test_address_and_body_complement_each_other(site):
    assert post(site, b"z=1", FORM, "f=csv") == {"f": "csv", "z": "1"}
    assert post(site, b"", FORM, "f=csv") == {"f": "csv"}


def test_the_body_of_a_get_is_not_looked_at(site):
    assert query_arguments(site.request("/ogc", "z=1", body=b"{broken")) == {"z": "1"}


@pytest.mark.parametrize(
    ("body", "content_type", "query", "parameter"),
    [
        (b"z=1&z=2", FORM, "", "z"),
        (b"z=1", FORM, "z=1", "z"),
        (b"", FORM, "z=1&z=1", "z"),
        (b"[1, 2]", "application/json", "", "body"),
        (b'"text"', "application/json", "", "body"),
        (b"{", "application/json", "", "body"),
        (b'{"z": NaN}', "application/json", "", "body"),
        (b'{"z": 1e999}', "application/json", "", None),
        (b'{"z": null}', "application/json", "", "z"),
        (b'{"z": true}', "application/json", "", "z"),
        (b'{"z": {"a": 1}}', "application/json", "", "z"),
        (b'{"z": [[1]]}', "application/json", "", "z"),
        (b"\xff\xfe=1", FORM, "", "body"),
        (b"&".join(b"a%d=1" % n for n in range(100)), FORM, "", "body"),
        (b"{" + b",".join(b'"a%d":1' % n for n in range(100)) + b"}", "application/json", "", "body"),
        (b"<xml/>", "application/xml", "", "Content-Type"),
        (b"z=1", "multipart/form-data; boundary=x", "", "Content-Type"),
        (b"[" * 100_000, "application/json", "", "body"),
    ],
)
def test_doubtful_bodies_are_refused(site, body, content_type, query, parameter):
    with pytest.raises(InvalidQueryError) as caught:
        post(site, body, content_type, query)
    assert parameter is None or caught.value.parameter == parameter
