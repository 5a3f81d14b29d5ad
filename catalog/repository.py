"""What must a store of STAC documents be able to do?

`Repository` is the seam between the catalogue and its backends: `catalog.embedded` keeps one SQLite file; a database
server fits the same protocol. Documents go in and out as they are kept (see `catalog.document`); every method may be
called from several threads, and several processes may share one repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from catalog.document import Document
from catalog.extents import Box

MATCHED_LIMIT = 10_000
"""Items are counted up to here; beyond it, counting would cost more than the page itself."""
HARVESTED = "the collection describes a dataset of this server: it changes with the dataset, and by nothing else"
"""Why a client cannot write there."""


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


BUCKETS_LIMIT = 1_000
"""Buckets of one aggregation."""


class Interval(StrEnum):
    """How long the buckets of dates are."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Extremes:
    """How many items there are, and the earliest and latest of their times."""

    count: int
    start: int | None
    """Microseconds since 1970, UTC; None where there are no items."""
    end: int | None


@dataclass(frozen=True, slots=True)
class Buckets:
    """How many items there are of each value, at most `BUCKETS_LIMIT` values."""

    counts: tuple[tuple[str | int | float, int], ...]
    """Values by rising order of dates, else those with most items first."""
    overflow: int
    """Items of the values that are left out; one may have several values."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The least that a list of collections or items shows."""

    id: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """How many items were written, and how."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    """They were there already, to the last letter."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.added + self.changed + self.unchanged

    def __add__(self, other: Written) -> Written:
        """Return the sum of both."""
        return Written(self.added + other.added, self.changed + other.changed, self.unchanged + other.unchanged)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is there before a change."""

    document: Document | None
    """None where there is nothing."""
    harvested: bool
    """Whether the collection, or that of the item, is made from a dataset."""


type Revision = Callable[[Kept], Document | None]
"""Returns what shall be there instead, None for nothing; what it raises undoes the change."""


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

    def item_headings(self, collection: str, limit: int) -> tuple[Heading, ...]:
        """Return id and title of items of a collection, the latest first, at most `limit`."""
        ...

    def has_more(self, limit: int) -> bool:
        """Return whether any collection has more than `limit` items."""
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

    def insert_items(self, collection: str, items: Iterable[Document], *, replace: bool) -> Written:
        """Put items into a collection that was not harvested, all or none.

        Raises `UnknownError` where there is no such collection, and `ConflictError` where it is harvested, or, unless
        they may be replaced, where an item is there already.
        """
        ...

    def revise_collection(self, collection: str, revise: Revision) -> None:
        """Let a function decide about a collection; nobody writes between what it sees and what it says."""
        ...

    def revise_item(self, collection: str, item: str, revise: Revision) -> None:
        """Let a function decide about an item. Raises `UnknownError` where there is no such collection."""
        ...

    def search(self, query: ItemQuery) -> Page:
        """Return a page of items.

        Raises `InvalidQueryError` for a token it never gave, for a filter that is none and a key that is no property,
        and `BusyError` where the search takes too long.
        """
        ...

    def extremes(self, query: ItemQuery) -> Extremes:
        """Return count and times of the items of a query; order and page do not matter."""
        ...

    def buckets(self, query: ItemQuery, name: str, interval: Interval) -> Buckets:
        """Count the items of a query by a property.

        `name` is ``collection``, ``datetime`` (in buckets of the interval, by the item's date or the start of its
        period) or a property: of an array each member counts, of an object each key, once an item.
        """
        ...

    def samples(self, collection: str | None) -> Sequence[Document]:
        """Return the properties of some items: the latest of a collection, or the last of every collection."""
        ...

    def index(self, names: Iterable[str]) -> None:
        """Keep indexes on exactly these properties. Raises `InvalidQueryError` for a name that is none."""
        ...

    def close(self) -> None:
        """Give back files and connections."""
        ...
