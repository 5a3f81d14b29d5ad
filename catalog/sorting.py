"""In which order do items come, and how does a page go on where the one before it ended?

Keyset paging: a page's token holds the sort key of its last item, so that what is inserted or deleted meanwhile moves
nothing. Items without the property that is sorted by come last in either direction; among equals the order is that of
insertion. Within one key numbers come before texts, and texts are compared by their first `TEXT_LENGTH` characters.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catalog import tokens
from catalog.filter_values import Sql, extraction
from catalog.repository import SortKey
from plugins.datacube.errors import InvalidQueryError

TEXT_LENGTH = 256
_PART = (str, int, float, type(None))


@dataclass(frozen=True, slots=True)
class _Column:
    """One key in SQL."""

    text: str
    descending: bool
    nullable: bool


@dataclass(frozen=True, slots=True)
class Order:
    """The order of one search."""

    columns: tuple[_Column, ...]
    digest: int
    """Of the keys: a token of another order is refused."""

    @property
    def selected(self) -> str:
        """What a statement selects to make tokens of."""
        return ", ".join([*(column.text for column in self.columns), "pk"])

    def clause(self, *, indexed: bool) -> str:
        """Return ORDER BY; without `indexed`, SQLite will not walk an index of the order."""
        hidden = "" if indexed else "+"
        parts = []
        for column in self.columns:
            if column.nullable:
                parts.append(f"{column.text} is null")
            parts.append(f"{hidden}{column.text} {_direction(column.descending)}")
        return f" order by {', '.join(parts)}, {hidden}pk {_direction(self._last_descends)}"

    def token(self, key: Sequence[Any]) -> str:
        """Return the token of a page whose last item has this key, `selected`."""
        return tokens.write((self.digest, *key))

    def after(self, token: str) -> list[Sql]:
        """Return the conditions of the items that follow a token.

        Raises
        ------
        InvalidQueryError
            If the token is not one of this order.
        """
        digest, *key, pk = tokens.read(token, ((int,), *[_PART] * len(self.columns), (int,)))
        if digest != self.digest:
            raise InvalidQueryError("token", "the token is of another order", "the token of a 'next' link, unchanged")
        condition = Sql(f"pk {_beyond(self._last_descends)} ?", (pk,))
        for column, value in reversed(list(zip(self.columns, key, strict=True))):
            strict = _strictly_after(column, value)
            condition = Sql(
                f"({strict.text} or ({column.text} is ? and {condition.text}))",
                (*strict.values, value, *condition.values),
            )
        first = self.columns[0]
        if first.nullable or key[0] is None:
            return [condition]
        # Implied by the condition, but in a form for which an index is used.
        return [Sql(f"{first.text} {_beyond(first.descending)}= ?", (key[0],)), condition]

    @property
    def _last_descends(self) -> bool:
        return self.columns[-1].descending


def order_of(keys: Sequence[SortKey]) -> Order:
    """Return the order by some keys; by none, the latest items come first.

    Raises
    ------
    InvalidQueryError
        If a key is no property that can be sorted by.
    """
    columns = tuple(_column(key) for key in keys) or (_Column("t0", descending=True, nullable=False),)
    spelled = ",".join(f"{'-' if column.descending else '+'}{column.text}" for column in columns)
    return Order(columns, zlib.crc32(spelled.encode()))


def _column(key: SortKey) -> _Column:
    match key.name:
        case "id" | "collection":
            return _Column(f"substr({key.name}, 1, {TEXT_LENGTH})", key.descending, nullable=False)
        case "datetime" | "properties.datetime":
            return _Column("dt", key.descending, nullable=False)
        case "geometry" | "bbox" | "links" | "assets":
            raise InvalidQueryError("sortby", f"{key.name} cannot be sorted by", "id, collection or a property")
        case _:
            try:
                kind, value = extraction(key.name)
            except InvalidQueryError as error:
                detail = "sortby names a property that cannot be one"
                raise InvalidQueryError("sortby", detail, "names of /sortables, with - for descending") from error
    text = (
        f"(case when {kind} = 'text' then substr({value}, 1, {TEXT_LENGTH})"
        f" when {kind} in ('integer', 'real', 'true', 'false') then {value} end)"
    )
    return _Column(text, key.descending, nullable=True)


def _strictly_after(column: _Column, value: Any) -> Sql:
    if value is None:
        return Sql("0")
    after = f"{column.text} {_beyond(column.descending)} ?"
    return Sql(f"({after} or {column.text} is null)" if column.nullable else after, (value,))


def _beyond(descending: bool) -> str:
    return "<" if descending else ">"


def _direction(descending: bool) -> str:
    return "desc" if descending else "asc"
