"""How does the catalogue become files that STAC Browser, pystac and every web server understand?

The layout of the STAC best practices: ``catalog.json``, ``<collection>/collection.json`` and
``<collection>/<item>/<item>.json``. Self-contained, the documents link each other by relative paths, so that the
folder can be moved; absolute, they carry the address at which it will be published. The data stay where they are:
their addresses are always absolute.

The folder appears at once: a reader never sees half of it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final

import orjson

from catalog.assets import GEOJSON, JSON
from catalog.document import STAC_VERSION, Document, absolute_at, descriptive_links
from catalog.repository import CollectionQuery, ItemQuery, Repository
from plugins.datacube.errors import ConflictError, UnknownError

CATALOG: Final = "catalog.json"
COLLECTION: Final = "collection.json"
_PAGE = 500
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


def export(
    repository: Repository,
    folder: Path,
    *,
    server: str,
    published: str | None = None,
    title: str = "Isopleth",
    collections: Sequence[str] = (),
    overwrite: bool = False,
    progress: Callable[[str, int], None] = lambda *_: None,
) -> tuple[int, int]:
    """Write the catalogue as files.

    Parameters
    ----------
    repository : Repository
        What is written.
    folder : Path
        It must not be there, or hold a catalogue that may be overwritten.
    server : str
        Public address of the server, under which the data are read.
    published : str, optional
        Address at which the folder will be published; without it the catalogue is self-contained.
    title : str
        Of the catalogue.
    collections : sequence of str
        Only these; all where there are none.
    overwrite : bool
        Whether an earlier export may be replaced.
    progress : callable
        Told the id and the number of items of each collection that is done.

    Returns
    -------
    collections, items : int
        How many were written.

    Raises
    ------
    UnknownError
        If there is no such collection.
    ConflictError
        If the folder is there and is none that may be replaced.
    """
    if folder.exists() and any(folder.iterdir()) and not (overwrite and (folder / CATALOG).is_file()):
        raise ConflictError(f"the folder {folder.name} is not empty")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workplace:
        made = Path(workplace) / "new"
        made.mkdir()
        counts = _write(repository, made, _Links(published), server, title, collections, progress)
        if folder.exists():
            folder.replace(Path(workplace) / "old")
        made.replace(folder)
    return counts


class _Links:
    """The links between the files of a catalogue."""

    def __init__(self, published: str | None) -> None:
        self._base = None if published is None else published.rstrip("/")

    def to(self, path: str, start: str) -> str:
        """Return the href from the file `start` to the file `path`, both relative to the folder."""
        if self._base is not None:
            return f"{self._base}/{path}"
        relative = PurePosixPath(path).relative_to(PurePosixPath(start).parent, walk_up=True).as_posix()
        return relative if relative.startswith(".") else f"./{relative}"

    def own(self, path: str) -> list[Document]:
        """Return the link of a file to itself; a self-contained catalogue has none."""
        return [] if self._base is None else [{"rel": "self", "type": JSON, "href": f"{self._base}/{path}"}]


def _write(
    repository: Repository,
    folder: Path,
    links: _Links,
    server: str,
    title: str,
    wanted: Sequence[str],
    progress: Callable[[str, int], None],
) -> tuple[int, int]:
    children: list[Document] = []
    total = 0
    for document in _collections(repository, wanted):
        name = document["id"]
        path = f"{segment(name)}/{COLLECTION}"
        items: list[Document] = []
        for item in _items(repository, name):
            place = f"{segment(name)}/{segment(item['id'])}/{segment(item['id'])}.json"
            _put(folder / place, _item_file(item, place, path, links, server))
            heading = item["properties"].get("title") or item["id"]
            items.append({"rel": "item", "type": GEOJSON, "title": heading, "href": links.to(place, path)})
        served = absolute_at(document, server)
        served["links"] = [
            *links.own(path),
            {"rel": "root", "type": JSON, "href": links.to(CATALOG, path)},
            {"rel": "parent", "type": JSON, "href": links.to(CATALOG, path)},
            *descriptive_links(served),
            *items,
        ]
        _put(folder / path, served)
        heading = document.get("title") or name
        children.append({"rel": "child", "type": JSON, "title": heading, "href": links.to(path, CATALOG)})
        total += len(items)
        progress(name, len(items))
    catalog = {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "isopleth",
        "title": title,
        "description": f"Exported from {server}",
        "links": [*links.own(CATALOG), {"rel": "root", "type": JSON, "href": links.to(CATALOG, CATALOG)}, *children],
    }
    _put(folder / CATALOG, catalog)
    return len(children), total


def _item_file(item: Document, place: str, parent: str, links: _Links, server: str) -> Document:
    served = absolute_at(item, server)
    own = [{**link, "type": GEOJSON} for link in links.own(place)]
    above = {"type": JSON, "href": links.to(parent, place)}
    served["links"] = [
        *own,
        {"rel": "root", "type": JSON, "href": links.to(CATALOG, place)},
        {"rel": "parent", **above},
        {"rel": "collection", **above},
        *descriptive_links(served),
    ]
    return served


def _collections(repository: Repository, wanted: Sequence[str]) -> Iterator[Document]:
    if wanted:
        for name in wanted:
            document = repository.get_collection(name)
            if document is None:
                raise UnknownError(f"there is no collection {name!r}")
            yield document
        return
    query = CollectionQuery(limit=_PAGE)
    while True:
        page = repository.list_collections(query)
        yield from page.documents
        if page.token is None:
            return
        query = replace(query, token=page.token)


def _items(repository: Repository, collection: str) -> Iterator[Document]:
    query = ItemQuery(collections=(collection,), limit=_PAGE)
    while True:
        page = repository.search(query)
        yield from page.documents
        if page.token is None:
            return
        query = replace(query, token=page.token)


def segment(identifier: str) -> str:
    """Return an id as the name of a folder: unchanged where it is one, else with a mark that keeps it distinct.

    Examples
    --------
    >>> segment("era5-1970-01"), segment("a:b")
    ('era5-1970-01', 'a_b-6783a31e')
    """
    plain = _UNFIT.sub("_", identifier)
    if plain == identifier and not identifier.startswith(".") and len(identifier) <= 128:
        return identifier
    return f"{plain.lstrip('.')[:100]}-{sha256(identifier.encode()).hexdigest()[:8]}"


def _put(path: Path, document: Document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
