"""The catalogue as files, read back by pystac, by a web server's client, and by the import."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pystac
import pytest

from catalog.describe import described
from catalog.document import relative_to
from catalog.embedded import EmbeddedRepository
from catalog.imports import Importer
from catalog.links import FrontUrls
from catalog.repository import ItemQuery, Written
from catalog.static import export, segment
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import ConflictError, InvalidQueryError, StorageError, UnknownError

MakeCube = Callable[..., Datacube]
Validate = Callable[[dict[str, Any]], None]
URLS = FrontUrls("https://data.example.org")
SERVER = "https://data.example.org"


def item(identifier: str, collection: str = "b:c", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": identifier, "collection": collection, "bbox": [0, 0, 1, 1],
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]},
        "properties": {"datetime": "2020-01-01T00:00:00Z", **properties},
        "links": [], "assets": {"data": {"href": "https://example.org/a.nc"}},
    }  # fmt: skip


def collection(identifier: str = "b:c", **more: Any) -> dict[str, Any]:
    return {
        "type": "Collection", "stac_version": "1.1.0", "id": identifier, "description": "Mine", "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [], **more,
    }  # fmt: skip


@pytest.fixture
def filled(repository: EmbeddedRepository, make_cube: MakeCube) -> EmbeddedRepository:
    document, items = described(make_cube("model"), URLS)
    repository.replace(relative_to(document, SERVER), [relative_to(one, SERVER) for one in items], "digest")
    repository.upsert_collection(collection())
    repository.upsert_items(item(f"i/{n}"[:1] + f"-{n}") for n in range(12))
    repository.upsert_items([item("a:b", x=1)])
    return repository


@pytest.fixture
def other(tmp_path: Path) -> Iterator[EmbeddedRepository]:
    made = EmbeddedRepository(tmp_path / "other.sqlite")
    yield made
    made.close()


def documents(repository: EmbeddedRepository) -> dict[str, Any]:
    found = {item["id"]: item for item in repository.search(ItemQuery(limit=1000)).documents}
    return found | {heading.id: repository.get_collection(heading.id) for heading in repository.headings()}


def everywhere(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.rglob("*.json"))]


@pytest.mark.parametrize("published", [None, "https://elsewhere.example/stac"])
def test_pystac_reads_what_was_exported(
    filled: EmbeddedRepository, tmp_path: Path, validate: Validate, published: str | None
) -> None:
    folder = tmp_path / "out"
    assert export(filled, folder, server=SERVER, published=published, title="All") == (2, 14)
    for document in everywhere(folder):
        validate(document)
        rels = [link["rel"] for link in document["links"]]
        assert rels.count("self") == (0 if published is None else 1)
    root = pystac.Catalog.from_file(str(folder / "catalog.json"))
    if published is None:
        assert root.title == "All"
        assert [child.id for child in root.get_children()] == ["b:c", "model"]
        found = {item.id: item for item in root.get_items(recursive=True)}
        assert set(found) == {*(f"i-{n}" for n in range(12)), "a:b", "model-all"}
        assert found["a:b"].properties["x"] == 1
        assert found["a:b"].get_collection() is not None
        assert found["model-all"].assets["zarr"].href == f"{SERVER}/zarr/model"
    else:
        hrefs = [link["href"] for document in everywhere(folder) for link in document["links"]]
        assert all(href.startswith("https://") for href in hrefs)
        own = {link["href"] for document in everywhere(folder) for link in document["links"] if link["rel"] == "self"}
        assert own == {f"{published}/{file.relative_to(folder)}" for file in folder.rglob("*.json")}


def test_a_folder_is_not_overwritten_by_mistake(filled: EmbeddedRepository, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    assert export(filled, folder, server=SERVER, collections=["model"]) == (1, 1)
    with pytest.raises(ConflictError):
        export(filled, folder, server=SERVER)
    assert export(filled, folder, server=SERVER, overwrite=True) == (2, 14)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    with pytest.raises(ConflictError):
        export(filled, tmp_path / "mine", server=SERVER, overwrite=True)
    assert (tmp_path / "mine" / "file").read_text() == "x"
    with pytest.raises(UnknownError):
        export(filled, tmp_path / "none", server=SERVER, collections=["no"])
    assert not (tmp_path / "none").exists()
    assert not list(tmp_path.glob(".*"))


def test_names_of_folders_are_distinct() -> None:
    names = ["a:b", "a;b", "a/b", "a_b", "..", ".", ".hidden", "é", "a" * 200, "a" * 201]
    made = [segment(name) for name in names]
    assert len(set(made)) == len(names)
    assert all("/" not in one and not one.startswith(".") and len(one) < 128 for one in made)
    assert segment("era5-2020-01") == "era5-2020-01"


def test_what_was_exported_is_imported_again(
    filled: EmbeddedRepository, other: EmbeddedRepository, tmp_path: Path
) -> None:
    export(filled, tmp_path / "out", server=SERVER)
    report = Importer(other).run(str(tmp_path / "out"))
    assert (report.added, report.items, report.failed) == (("b:c", "model"), Written(added=14), {})
    expected = documents(filled)
    found = documents(other)
    assert found["a:b"] == expected["a:b"]
    assert found["b:c"] == expected["b:c"]
    assert found["model"]["cube:dimensions"] == expected["model"]["cube:dimensions"]
    assert found["model-all"]["assets"]["zarr"]["href"] == f"{SERVER}/zarr/model"
    assert other.digests() == {}
    again = Importer(other).run(str(tmp_path / "out" / "catalog.json"))
    assert (again.unchanged, again.items) == (("b:c", "model"), Written(unchanged=14))
    filled.upsert_items([item("a:b", x=2), item("new")])
    filled.upsert_collection(collection(title="New"))
    export(filled, tmp_path / "out", server=SERVER, overwrite=True)
    third = Importer(other).run(str(tmp_path / "out"))
    assert (third.changed, third.unchanged, third.items) == (("b:c",), ("model",), Written(1, 1, 13))


def test_a_dataset_is_not_overwritten(filled: EmbeddedRepository, tmp_path: Path) -> None:
    export(filled, tmp_path / "out", server=SERVER)
    report = Importer(filled).run(str(tmp_path / "out"))
    assert report.unchanged == ("b:c",)
    ((name, reason),) = report.failed.items()
    assert name.endswith("collection.json#model")
    assert "dataset" in reason
    with_prefix = Importer(filled, prefix="copy-").run(str(tmp_path / "out"))
    assert with_prefix.added == ("copy-b:c", "copy-model")
    assert with_prefix.items == Written(added=14)
    assert filled.get_item("copy-model", "model-all") is not None


DUMPS: dict[str, Any] = {
    "list.json": [item("i"), collection()],
    "both.json": {"collections": [collection()], "features": [item("i")]},
    "lines.ndjson": "\n".join(map(json.dumps, [collection(), item("i")])) + "\n\n",
    "collection.json": None,
}


@pytest.mark.parametrize("name", ["list.json", "both.json", "lines.ndjson"])
def test_dumps(other: EmbeddedRepository, tmp_path: Path, name: str) -> None:
    content = DUMPS[name]
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    report = Importer(other).run(str(tmp_path / name))
    assert (report.added, report.items, report.failed) == (("b:c",), Written(added=1), {})


def test_items_alone_need_their_collection(other: EmbeddedRepository, tmp_path: Path) -> None:
    dump = tmp_path / "items.json"
    dump.write_text(json.dumps({"type": "FeatureCollection", "features": [item("i"), item("j")]}))
    assert "b:c" in str(Importer(other).run(str(dump)).failed)
    other.upsert_collection(collection())
    assert Importer(other).run(str(dump)).items == Written(added=2)


def test_what_is_not_valid_is_left_out_and_named(other: EmbeddedRepository, tmp_path: Path) -> None:
    bad = [
        {**item("no-date"), "properties": {}},
        {**item("no-place"), "geometry": {"type": "Point"}},
        {**item("old"), "stac_version": "0.1.0", "geometry": 1},
        {**item("relative"), "assets": {"data": {"href": "./a.nc"}}},
        {**item("no-collection"), "collection": None},
        5,
    ]
    dump = tmp_path / "items.json"
    dump.write_text(json.dumps([collection(), collection("bad", license=5), item("good"), *bad]))
    report = Importer(other).run(str(dump))
    assert (report.added, report.items) == (("b:c",), Written(added=1))
    assert {name.split("#")[-1] for name in report.failed} == {
        "bad", "no-date", "no-place", "old", "relative", "no-collection", str(dump),
    }  # fmt: skip
    published = Importer(other, base="https://example.org/x").run(str(dump))
    assert published.items == Written(added=1, unchanged=1)
    kept = other.get_item("b:c", "relative")
    assert kept is not None
    assert kept["assets"]["data"]["href"] == "https://example.org/x/a.nc"


def test_older_versions_are_brought_up_to_date(other: EmbeddedRepository, tmp_path: Path, validate: Validate) -> None:
    dump = tmp_path / "items.json"
    old = [{**collection(license="proprietary"), "stac_version": "1.0.0"}, {**item("i"), "stac_version": "1.0.0"}]
    dump.write_text(json.dumps(old))
    assert Importer(other).run(str(dump)).failed == {}
    document = other.get_collection("b:c")
    assert document is not None
    assert (document["stac_version"], document["license"]) == ("1.1.0", "other")
    validate(document)


def test_nothing_outside_the_folder_is_read(other: EmbeddedRepository, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(collection("secret")))
    (tmp_path / "in").mkdir()
    links = [
        {"rel": "child", "href": "../secret.json"},
        {"rel": "child", "href": (tmp_path / "secret.json").as_uri()},
        {"rel": "child", "href": "./gone.json"},
        {"rel": "child", "href": "./catalog.json"},
        {"rel": "child", "href": 5},
        "nonsense",
    ]
    catalog = {"type": "Catalog", "stac_version": "1.1.0", "id": "x", "description": "x", "links": links}
    (tmp_path / "in" / "catalog.json").write_text(json.dumps(catalog))
    report = Importer(other).run(str(tmp_path / "in"))
    assert report.added == ()
    assert max(report.failed.values()) == "it lies outside the folder of the catalogue"
    assert len(report.failed) == 2
    assert other.headings() == ()


@pytest.mark.parametrize("content", ["{", "5", '"x"', "null", "{}", '{"type": "Nonsense"}'])
def test_what_is_no_catalogue(other: EmbeddedRepository, tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises((InvalidQueryError, StorageError)):
        Importer(other).run(str(tmp_path / "a.json"))


@pytest.mark.parametrize("source", ["/nowhere/at/all.json", "ftp://host/catalog.json", "."])
def test_what_cannot_be_read(other: EmbeddedRepository, source: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError):
        Importer(other).run(str(tmp_path) if source == "." else source)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server of the folder `web`."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def test_a_static_catalogue_on_the_web(
    filled: EmbeddedRepository, other: EmbeddedRepository, web: tuple[str, Path]
) -> None:
    address, folder = web
    export(filled, folder / "out", server=SERVER)
    collection_file = folder / "out" / segment("b:c") / "collection.json"
    document = json.loads(collection_file.read_text())
    document["assets"] = {"picture": {"href": "../picture.png"}}
    collection_file.write_text(json.dumps(document))
    report = Importer(other).run(f"{address}/out/catalog.json")
    assert (report.added, report.items, report.failed) == (("b:c", "model"), Written(added=14), {})
    kept = other.get_collection("b:c")
    assert kept is not None
    assert kept["assets"]["picture"]["href"] == f"{address}/out/picture.png"
    with pytest.raises(StorageError, match="404"):
        Importer(other).run(f"{address}/nothing.json")


def test_an_api_whose_pages_lead_in_a_circle(other: EmbeddedRepository, web: tuple[str, Path]) -> None:
    address, folder = web
    landing = {"type": "Catalog", "id": "x", "conformsTo": [], "links": [{"rel": "data", "href": "./all.json?limit=1"}]}
    (folder / "landing.json").write_text(json.dumps(landing))
    page = {"collections": [collection()], "links": [{"rel": "next", "href": "./all.json?limit=1"}]}
    (folder / "all.json").write_text(json.dumps(page))
    report = Importer(other).run(f"{address}/landing.json")
    assert report.added == ("b:c",)
    assert list(report.failed.values()) == ["its pages lead in a circle"]


def test_an_api(
    filled: EmbeddedRepository, other: EmbeddedRepository, serve_stac: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.imports.PAGE", 5)
    address = serve_stac(filled)
    report = Importer(other).run(f"{address}/stac/")
    assert (report.added, report.items, report.failed) == (("b:c", "model"), Written(added=14), {})
    assert documents(other)["a:b"] == documents(filled)["a:b"]
    zarr = documents(other)["model"]["assets"]["zarr"]["href"]
    assert zarr == f"{address}/zarr/model"
    one = Importer(other, prefix="p-").run(f"{address}/stac/collections/b:c")
    assert (one.added, one.items) == (("p-b:c",), Written(added=13))
