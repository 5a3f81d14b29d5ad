"""How do the collections and items of another catalogue come into this one?

Static catalogues (followed along ``child`` and ``item``), STAC APIs (``/collections``, then the items of each, page by
page) and dumps (a feature collection, a list of collections, or one document a line). Documents of older versions are
brought to STAC 1.1; their addresses are made absolute; each is validated, and what is not valid is left out and named.

Idempotent: what is there already, to the last letter, is not written. A collection that describes a dataset of this
server is not touched.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from catalog.document import Document, kept
from catalog.foreign import Found, Place, links_of, prepared
from catalog.reading import address_of, is_web, name_of, path_of, read, resolved
from catalog.repository import HARVESTED, Kept, Repository, Written
from catalog.validation import problem_with, sound_item
from plugins.datacube.errors import ConflictError, InvalidQueryError, IsoplethError, StorageError, UnknownError

BATCH: Final = 1_000
DEPTH: Final = 50
PAGE: Final = 500
_LINES: Final = (".ndjson", ".jsonl")


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did."""

    added: tuple[str, ...] = ()
    """Collections."""
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    items: Written = field(default_factory=Written)
    failed: dict[str, str] = field(default_factory=dict)
    """Why something was left out, by its address or id."""


class Importer:
    """One import into a repository.

    Parameters
    ----------
    repository : Repository
        Written a thousand items a transaction.
    prefix : str
        Put before the ids of collections, so that they do not meet others.
    base : str, optional
        Address under which the folder of a local catalogue is published: what is relative in it is resolved against it.
    progress : callable
        Told the id of a collection, and the number of its items so far.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        prefix: str = "",
        base: str | None = None,
        progress: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        self._repository = repository
        self._prefix = prefix
        self._base = base
        self._progress = progress
        self._root = ""
        self._place = Place("", None)
        self._seen: set[str] = set()
        self._states: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._items = Written()
        self._failed: dict[str, str] = {}

    def run(self, source: str) -> Report:
        """Import a catalogue.

        Parameters
        ----------
        source : str
            A file, a folder with a ``catalog.json`` or ``collection.json``, or an address of the web.

        Raises
        ------
        InvalidQueryError
            If there is no such source, or it is no catalogue.
        StorageError, BusyError
            If the source's own document cannot be read, or the repository cannot be written.
        """
        address = address_of(source)
        self._root = address.rsplit("/", 1)[0] + "/"
        self._place = Place(self._root, self._base)
        if address.startswith("file:") and path_of(address).suffix.lower() in _LINES:
            self._dump(_lines(address))
        else:
            document = read(address)
            kind = document.get("type") if isinstance(document, dict) else None
            if kind in ("Catalog", "Collection"):
                self._seen.add(address)
                self._tree((address, document), 0)
            elif kind in ("Feature", "FeatureCollection") or isinstance(document, (list, dict)):
                self._dump((address, part) for part in _parts(document))
            else:
                raise InvalidQueryError("source", f"{name_of(address)} is no catalogue", "a STAC document")
        by_state: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
        for name, state in self._states.items():
            by_state[state].append(name)
        return Report(
            **{state: tuple(names) for state, names in by_state.items()}, items=self._items, failed=self._failed
        )

    def _tree(self, found: Found, depth: int) -> None:
        """Import what a catalogue or a collection holds."""
        document = found[1]
        if document.get("type") == "Collection":
            self._collection(found)
            return
        if self._is_api(document):
            for collection in self._pages(found, "data", "collections"):
                self._collection(collection)
            return
        for child in self._linked(found, "child", depth):
            self._tree(child, depth + 1)
        for where, item in self._linked(found, "item", depth):
            self._fail(where, item, "it belongs to no collection")

    def _collection(self, found: Found) -> None:
        """Import a collection and the items below it."""
        name = self._put_collection(found)
        if name is None:
            return
        self._put_items(name, self._items_of(found, 0))
        for child in self._linked(found, "child", 0):
            if child[1].get("type") == "Collection":
                self._collection(child)

    def _items_of(self, found: Found, depth: int) -> Iterator[Found]:
        """Yield the items of a collection: those of an API's pages, else along the links of a static one."""
        address, document = found
        if is_web(address) and any(link.get("rel") == "items" for link in links_of(document)):
            yield from self._pages(found, "items", "features")
            return
        yield from self._linked(found, "item", depth)
        for child in self._linked(found, "child", depth):
            if child[1].get("type") == "Catalog":
                yield from self._items_of(child, depth + 1)
            else:
                # It is asked for again, as a collection of its own.
                self._seen.discard(child[0])

    def _linked(self, found: Found, rel: str, depth: int) -> Iterator[Found]:
        """Yield the documents that a document links, each address once."""
        address, document = found
        for link in links_of(document):
            if link.get("rel") != rel or not isinstance(link.get("href"), str):
                continue
            where = resolved(address, link["href"])
            if where in self._seen:
                continue
            self._seen.add(where)
            try:
                if depth >= DEPTH:
                    raise InvalidQueryError("source", f"it lies more than {DEPTH} catalogues deep")
                if not is_web(where) and not where.startswith(self._root):
                    raise InvalidQueryError("source", "it lies outside the folder of the catalogue")
                part = read(where)
                if not isinstance(part, dict):
                    raise InvalidQueryError("source", "it is no STAC document")
            except IsoplethError as error:
                self._failed[name_of(where)] = error.detail
                continue
            yield where, part

    def _pages(self, found: Found, rel: str, member: str) -> Iterator[Found]:
        """Yield the members of all pages of an API."""
        address, document = found
        link = next((one for one in links_of(document) if one.get("rel") == rel and "href" in one), None)
        body: Any = None
        seen: set[bytes] = set()
        where = None if link is None else _with_limit(resolved(address, link["href"]))
        while where is not None:
            mark = orjson.dumps([where, body])
            if mark in seen:
                self._failed[name_of(where)] = "its pages lead in a circle"
                return
            seen.add(mark)
            try:
                page = read(where, body)
            except StorageError as error:
                self._failed[name_of(where)] = error.detail
                return
            members = page.get(member) if isinstance(page, dict) else None
            if not isinstance(members, list):
                self._failed[name_of(where)] = f"it has no {member}"
                return
            yield from ((where, one) for one in members)
            following = next((one for one in links_of(page) if one.get("rel") == "next" and "href" in one), None)
            if following is None:
                return
            where = resolved(where, following["href"])
            posted = following.get("method") == "POST"
            sent = following.get("body") if posted else None
            body = {**(body or {}), **(sent or {})} if posted and following.get("merge") else sent

    def _dump(self, found: Iterable[Found]) -> None:
        """Import documents that stand one after the other: collections before their items."""
        waiting: dict[str, list[Found]] = {}
        for where, document in found:
            kind = document.get("type") if isinstance(document, dict) else None
            if kind == "Collection":
                self._put_collection((where, document))
            elif kind == "Feature" and isinstance(document.get("collection"), str):
                batch = waiting.setdefault(document["collection"], [])
                batch.append((where, document))
                if len(batch) >= BATCH:
                    self._put_items(self._prefix + document["collection"], waiting.pop(document["collection"]))
            else:
                self._fail(where, document, "it is no Collection, and no Item of one")
        for name, rest in waiting.items():
            self._put_items(self._prefix + name, rest)

    def _put_collection(self, found: Found) -> str | None:
        """Write a collection; return its id, or None where it is left out."""
        address, document = found
        try:
            made = prepared(found, self._place)
            if made.get("type") != "Collection":
                raise InvalidQueryError("type", "it is no Collection")
            if isinstance(made.get("id"), str):
                made["id"] = self._prefix + made["id"]
            if (wrong := problem_with(made)) is not None:
                raise InvalidQueryError("body", wrong)
            made = kept(made, "")
            state = "unchanged"

            def revise(there: Kept) -> Document:
                nonlocal state
                if there.harvested:
                    raise ConflictError(HARVESTED)
                state = "added" if there.document is None else "unchanged" if there.document == made else "changed"
                return made

            self._repository.revise_collection(made["id"], revise)
        except (InvalidQueryError, ConflictError) as error:
            self._fail(address, document, error.detail)
            return None
        name: str = made["id"]
        self._states.setdefault(name, state)
        self._progress(name, self._counts.get(name, 0))
        return name

    def _put_items(self, collection: str, found: Iterable[Found]) -> None:
        for batch in itertools.batched(found, BATCH):
            good = []
            for where, document in batch:
                try:
                    good.append(self._item(collection, (where, document)))
                except InvalidQueryError as error:
                    self._fail(where, document, error.detail)
            try:
                written = self._repository.insert_items(collection, good, replace=True)
            except (UnknownError, ConflictError) as error:
                self._failed[f"items of {collection}"] = error.detail
                return
            self._items += written
            self._counts[collection] = self._counts.get(collection, 0) + written.total
            self._progress(collection, self._counts[collection])

    def _item(self, collection: str, found: Found) -> Document:
        made = prepared(found, self._place)
        if "collection" in made and isinstance(made["collection"], str):
            made["collection"] = self._prefix + made["collection"]
        made = sound_item(made, collection)
        link = {"rel": "collection", "href": "../collection.json"}
        if (wrong := problem_with({**made, "links": [*made["links"], link]})) is not None:
            raise InvalidQueryError("body", wrong)
        return kept(made, "")

    def _is_api(self, document: Document) -> bool:
        rels = {link.get("rel") for link in links_of(document)}
        return "conformsTo" in document and "data" in rels

    def _fail(self, where: str, document: Any, reason: str) -> None:
        name = document.get("id") if isinstance(document, dict) else None
        shown = name_of(where) if name is None else f"{name_of(where)}#{name}"
        self._failed[shown] = reason


def _parts(document: Any) -> Iterator[Any]:
    """Yield the documents of a dump in one file: collections, then features, or a list of both."""
    if isinstance(document, list):
        yield from sorted(document, key=_order)
    elif document.get("type") == "Feature":
        yield document
    elif "collections" in document or "features" in document:
        for member in ("collections", "features"):
            parts = document.get(member)
            yield from parts if isinstance(parts, list) else ()
    else:
        raise InvalidQueryError("source", "the file is no STAC catalogue and no dump of one")


def _order(document: Any) -> int:
    return 0 if isinstance(document, dict) and document.get("type") == "Collection" else 1


def _lines(address: str) -> Iterator[Found]:
    try:
        with path_of(address).open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    try:
                        yield address, orjson.loads(line)
                    except ValueError as error:
                        raise StorageError(f"{name_of(address)} is not JSON in line {number}") from error
    except OSError as error:
        raise StorageError(f"{name_of(address)} cannot be read: {error.strerror}") from error


def _with_limit(address: str) -> str:
    """Ask for large pages: an API gives ten documents a page otherwise."""
    return address if "limit=" in address else f"{address}{'&' if '?' in address else '?'}limit={PAGE}"
