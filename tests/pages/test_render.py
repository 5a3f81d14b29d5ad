"""Are the pages right as HTML: escaped, below their base path, plain without the bundle?"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import decode, to_iso
from plugins.datacube.definition import DatasetDefinition
from server.pages.context import CollectionCard, CollectionPage, LandingPage
from server.pages.document import Shape, shape_of, web_link
from server.pages.render import HEADERS, Pages, explorer_document

EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Collects the tags, and checks that they nest."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "image", "rect"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attribute(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name))]


def assert_offline(reader: Reader) -> None:
    """Nothing is loaded from elsewhere, and nothing is inline that the security policy would stop."""
    for tag, attributes in reader.tags:
        assert "style" not in attributes
        assert tag != "style"
        assert not any(name.startswith("on") for name in attributes)
        if tag == "script":
            assert attributes["src"]
        if tag in ("script", "img", "image") or (tag == "link" and attributes.get("rel") != "alternate"):
            source = attributes.get("src") or attributes.get("href")
            assert source
            assert source.startswith("/prefix/static/"), source


@pytest.fixture
def plain(tmp_path: Path) -> Pages:
    return Pages(tmp_path / "no-bundle", "/prefix/")


@pytest.fixture
def whole(bundle_dir: Path) -> Pages:
    return Pages(bundle_dir, "/prefix")


def test_landing_with_and_without_the_bundle(plain: Pages, whole: Pages, waves: Any) -> None:
    good = CollectionCard.of(waves.cube.definition, waves.cube)
    bad = CollectionCard.of(DatasetDefinition("bad", "x", title=EVIL, description=EVIL), None, EVIL)
    page = LandingPage(EVIL, EVIL, (good, bad), contact_name="Me", contact_url="javascript:alert(1)")
    for pages in (plain, whole):
        html = pages.landing(page)
        assert EVIL not in html
        assert "javascript:" not in html
        reader = Reader(html)
        assert_offline(reader)
        assert EVIL in reader.text
        hrefs = reader.attribute("href")
        for path in (
            "collections/waves",
            "ogc/collections/waves",
            "stac/collections/waves",
            "ogc/processes",
            "health/ready",
        ):
            assert f"/prefix/{path}" in hrefs
        assert "2020-02-28 to 2020-11-03" in reader.text
    assert "world.svg" in whole.landing(page)
    assert "world.svg" not in plain.landing(page)


def test_nothing_published_says_how(plain: Pages) -> None:
    assert "isopleth publish" in Reader(plain.landing(LandingPage("Isopleth", "", ()))).text


def test_collection_page(plain: Pages, whole: Pages, waves: Any) -> None:
    context = CollectionPage(CollectionCard.of(waves.cube.definition, waves.cube), "My server")
    without, complete = Reader(plain.collection(context)), Reader(whole.collection(context))
    for reader in (without, complete):
        assert_offline(reader)
        query = "/prefix/ogc/collections/waves/position?coords=POINT(0%200)&parameter-name=t2m&f=CSV"
        assert query in reader.attribute("href")
    assert not [tag for tag, _ in without.tags if tag == "script"]
    assert "make pages" in without.text
    assert len([tag for tag, _ in complete.tags if tag == "script"]) == 1
    assert complete.attribute("data-axes") == ["/prefix/collections/waves/axes.json"]
    script = (Path(__file__).parents[2] / "server/pages/scripts/explorer.js").read_text()
    labelled = set(re.findall(r"byId\(\"([\w-]+)\"\)", script))
    assert labelled <= set(complete.attribute("id")), "every element that the script names is on the page"


def test_collection_that_cannot_be_queried(whole: Pages, waves: Any) -> None:
    card = CollectionCard.of(waves.cube.definition, waves.cube, "its chunks are gone")
    reader = Reader(whole.collection(CollectionPage(card)))
    assert "its chunks are gone" in reader.text
    assert not [tag for tag, _ in reader.tags if tag == "script"]
    assert not [h for h in reader.attribute("href") if "position" in h]


LINKS = [{"href": "http://h/ogc", "rel": "self", "title": "This"}, {"href": "javascript:alert(1)", "rel": "evil"}]
DOCUMENTS: dict[Shape, dict[str, Any]] = {
    Shape.OTHER: {"title": "Landing", "description": EVIL, "links": LINKS},
    Shape.PROBLEM: {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": EVIL, "valid": ["a", "b"]},
    Shape.CONFORMANCE: {"conformsTo": ["https://www.opengis.net/spec/ogcapi-edr-1/1.2/conf/core", EVIL]},
    Shape.COLLECTIONS: {"collections": [{"id": EVIL, "title": EVIL, "links": LINKS}, {"id": "b"}], "links": LINKS},
    Shape.INSTANCES: {"title": "Runs", "instances": [{"id": EVIL, "title": EVIL, "links": LINKS}], "links": LINKS},
    Shape.COLLECTION: {
        "id": "a/b",
        "title": "A",
        "data_queries": {"position": {"link": {"href": "http://h/x", "rel": "data"}}},
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"values": [f"v{i}" for i in range(5000)]},
        },
        "parameter_names": {
            "t": {"unit": {"symbol": {"value": "K"}}, "observedProperty": {"label": EVIL}},
            "empty": {},
        },
        "items": None,
        "values": [],
        "flag": True,
    },
    Shape.PROCESSES: {
        "processes": [{"id": "subset", "title": "Subset", "version": "1", "links": LINKS}],
        "links": LINKS,
    },
    Shape.PROCESS: {
        "id": "subset",
        "inputs": {"q": {"title": EVIL, "schema": {"type": "string", "enum": ["a"]}}},
        "outputs": {},
    },
    Shape.JOBS: {
        "jobs": [
            {"jobID": "1", "status": "running", "progress": 40, "links": LINKS},
            {"jobID": EVIL, "status": "failed"},
        ]
    },
    Shape.JOB: {"jobID": "1", "status": "successful", "progress": 100, "message": EVIL, "links": LINKS},
    Shape.OPENAPI: {
        "openapi": "3.1.0",
        "info": {"title": "API", "version": "1"},
        "components": {"parameters": {"f": {"name": "f", "in": "query"}}},
        "paths": {
            "/x": {
                "parameters": [],
                "get": {
                    "summary": EVIL,
                    "parameters": [
                        {"$ref": "#/components/parameters/f"},
                        {"$ref": "http://x/y"},
                        {"name": "id", "in": "path", "required": True},
                    ],
                    "responses": {"200": {"description": "Fine"}, "default": {"$ref": "#/x"}},
                },
            }
        },
    },
}


@pytest.mark.parametrize("shape", list(Shape))
def test_every_kind_of_document(plain: Pages, shape: Shape) -> None:
    document = DOCUMENTS[shape]
    assert shape_of(document) is shape
    html = plain.document("A document", document, "http://h/ogc?f=json", [("OGC API", "/prefix/ogc")])
    assert EVIL not in html
    reader = Reader(html)
    assert_offline(reader)
    assert not [href for href in reader.attribute("href") if href.startswith("javascript")]
    assert "http://h/ogc?f=json" in reader.attribute("href")
    if EVIL in str(document):
        assert EVIL in reader.text
    if shape is Shape.COLLECTION:
        assert "(5000 values)" in reader.text
        assert "v2500" not in reader.text
        assert "/prefix/collections/a%2Fb" in reader.attribute("href")
    if shape is Shape.COLLECTIONS:
        assert "/prefix/ogc/collections/b" in reader.attribute("href"), "found by its id where it has no link to itself"
    if shape is Shape.OPENAPI:
        assert "/x" in reader.text
        assert "id" in reader.text


def test_deep_documents_end(plain: Pages) -> None:
    document: dict[str, Any] = {}
    for _ in range(200):
        document = {"more": document, "list": [document]} if len(str(document)) < 2000 else {"more": document}
    assert "see the JSON" in plain.document("Deep", document, "/x")


def test_links_are_of_the_web() -> None:
    good = ("http://h/", "https://h/a?b=c", "/ogc")
    bad = ("javascript:alert(1)", "//evil/", "data:text/html,x", "ftp://h", "http://h/ a", "", None, 3)
    assert all(map(web_link, good))
    assert not any(map(web_link, bad))


def test_static_files_are_cached_and_closed(whole: Pages, serve: Any) -> None:
    names = re.findall(r'/prefix(/static/[^"]+)', whole.landing(LandingPage("Isopleth", "", ())))
    assert any("style.css?v=" in name for name in names)
    with serve(Starlette(routes=whole.static_routes())) as address, httpx.Client(base_url=address) as client:
        for name in names:
            answer = client.get(name)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            again = client.get(name, headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == 304
        assert "immutable" not in client.get("/static/pages/style.css").headers["cache-control"]
        closed = ("pages/explorer.js", "pages/%2e%2e/render.py", "bundle/%2e%2e/render.py", "bundle/", "pages/")
        for path in closed:
            assert client.get(f"/static/{path}").status_code == 404


def test_static_files_without_a_bundle(plain: Pages, serve: Any) -> None:
    with serve(Starlette(routes=plain.static_routes())) as address, httpx.Client(base_url=address) as client:
        assert client.get("/static/bundle/explorer.js").status_code == 404
        assert client.get("/static/pages/style.css").status_code == 200


def test_policy_allows_this_server_only() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_axes_document(waves: Any, model: Any) -> None:
    document = explorer_document(waves.cube)
    time = document["axes"]["time"]
    assert "values" not in time
    assert (time["count"], time["step_seconds"], time["first"]) == (6000, 3600, "2020-02-28T00:00:00Z")
    assert document["axes"]["number"]["values"] == ["0", "1", "2"]
    assert document["parameters"][0] == {
        "name": "t2m", "label": "2 metre temperature", "units": "K", "axes": ["number", "time", "lat", "lon"],
    }  # fmt: skip
    listed = explorer_document(model.cube)["axes"]["time"]
    assert listed["calendar"] == "360_day"
    assert listed["values"][2] == "2000-02-30T00:00:00Z"


@pytest.mark.parametrize(
    ("hours", "calendar", "listed"),
    [
        (np.arange(6000), "noleap", False),
        (np.arange(6000) * 1.0 + 0.0001, "noleap", True),
        (np.delete(np.arange(6001), 7), "standard", True),
        (np.arange(6000)[::-1], "standard", True),
        (np.arange(5000), "standard", True),
    ],
)
def test_long_regular_times_are_counted(waves: Any, hours: Any, calendar: str, listed: bool) -> None:
    times = decode(hours, "hours since 2020-01-01", calendar)
    axis = Axis(AxisKind.T, "time", times, calendar=calendar)
    cube = type(waves.cube)(**{n: getattr(waves.cube, n) for n in waves.cube.__slots__} | {"axes": {"time": axis}})
    document = explorer_document(cube)["axes"]["time"]
    assert ("values" in document) is listed
    assert ("step_seconds" in document) is not listed
    if listed:
        assert document["values"] == to_iso(times, calendar)


def test_mixed_calendar_over_1582_is_listed(waves: Any) -> None:
    times = decode(np.arange(6000), "days since 1580-01-01", "standard")
    axis = Axis(AxisKind.T, "time", times, calendar="standard")
    cube = type(waves.cube)(**{n: getattr(waves.cube, n) for n in waves.cube.__slots__} | {"axes": {"time": axis}})
    assert "values" in explorer_document(cube)["axes"]["time"]
