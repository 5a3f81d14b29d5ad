"""What must a store of STAC documents be able to do?

`Repository` is the seam between the catalogue and its backends: `catalog.embedded` keeps one SQLite file; a database
server fits the same protocol. Documents go in and out as they are kept (see `catalog.document`); every method may be
called from several threads, and several processes may share one repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from catalog.document import Document
from catalog.extents import Box

MATCHED_LIMIT = 10_000
"""Items are counted up to here; beyond it, counting would cost more than the page itself."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One property to sort by: ``id``, ``collection``, ``datetime`` or a name of the item's properties."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionQuery:
    """What a collection must satisfy, and which page is wanted."""

    boxes: tuple[Box, ...] | None = None
    """As in `ItemQuery`; the collection's whole box meets any of them."""
    start: int | None = None
    end: int | None = None
    words: tuple[str, ...] = ()
    """In folded case: any of them stands in id, title, description or keywords."""
    limit: int = 10
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemQuery:
    """What an item must satisfy, and which page is wanted. Conditions that are None are not asked."""

    collections: tuple[str, ...] | None = None
    """Any of these collections."""
    ids: tuple[str, ...] | None = None
    """Any of these item ids."""
    boxes: tuple[Box, ...] | None = None
    """Degrees, west <= east; the geometry meets any of them (two where the client's box crosses the antimeridian)."""
    geometry: bytes | None = None
    """WKB of a valid geometry that the item's geometry intersects; `boxes` are then its bounds."""
    start: int | None = None
    """The item's times end at or after this: microseconds since 1970, UTC."""
    end: int | None = None
    """The item's times begin at or before this."""
    words: tuple[str, ...] = ()
    """In folded case: any of them stands in id, title, description or keywords."""
    filter: Document | bool | None = None
    """CQL2 JSON of bounded size and nesting (`catalog.filter_text`)."""
    sort: tuple[SortKey, ...] = ()
    """The latest first where there is none; items without the property come last."""
    limit: int = 10
    token: str | None = None
    """Where to go on, from the page before."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents, and where to go on."""

    documents: tuple[Document, ...]
    token: str | None
    """For the next page; None on the last one."""
    matched: int | None
    """How many there are on all pages; None where that is not known (more than `MATCHED_LIMIT` items)."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The least that a list of collections shows."""

    id: str
    title: str | None


class Repository(Protocol):
    """Collections and items, kept durably.

    Every method raises `StorageError` where the store cannot be read or written, and `BusyError` where it stays locked.
    A page's documents are in a fixed order, and paging by token gives every document that was there from the first
    page to the last exactly once, whatever is inserted meanwhile.
    """

    def upsert_collection(self, document: Document) -> None:
        """Put a collection in place of the one with the same id; its items stay."""
        ...

    def replace(self, document: Document, items: Sequence[Document], digest: str) -> None:
        """Put a harvested collection with exactly these items in place of what was there, in one transaction.

        A reader sees the old state or the new one, never a collection with the items of another state.
        """
        ...

    def get_collection(self, collection: str) -> Document | None:
        """Return a collection, or None."""
        ...

    def list_collections(self, query: CollectionQuery) -> Page:
        """Return a page of collections, by id. Raises `InvalidQueryError` for a token that this store never gave."""
        ...

    def headings(self) -> tuple[Heading, ...]:
        """Return id and title of every collection, by id."""
        ...

    def digests(self) -> Mapping[str, str]:
        """Return the digest of every harvested collection, by id; others are absent."""
        ...

    def delete_collection(self, collection: str) -> bool:
        """Delete a collection with its items; False where there was none."""
        ...

    def upsert_items(self, items: Iterable[Document]) -> int:
        """Put items in place of those with the same id, all or none; return how many.

        Raises `UnknownError` where an item names a collection that is not there.
        """
        ...

    def get_item(self, collection: str, item: str) -> Document | None:
        """Return an item, or None."""
        ...

    def delete_item(self, collection: str, item: str) -> bool:
        """Delete an item; False where there was none."""
        ...

    def search(self, query: ItemQuery) -> Page:
        """Return a page of items.

        Raises `InvalidQueryError` for a token it never gave, for a filter that is none and a key that is no property,
        and `BusyError` where the search takes too long.
        """
        ...

    def samples(self, collection: str | None) -> Sequence[Document]:
        """Return the properties of some items: the latest of a collection, or the last of every collection."""
        ...

    def close(self) -> None:
        """Give back files and connections."""
        ...
