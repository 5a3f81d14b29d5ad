"""What does an operator say about a dataset, before anything is opened?

One `DatasetDefinition` is written per dataset, in the configuration or by `isopleth publish`. EDR collections and
STAC collections are both derived from it and from the opened store, so they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plugins.datacube.errors import InvalidQueryError

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ITEM_DIVISIONS = ("whole", "month", "year", "run", "snapshot")
NATIVE = "native"
"""Name of the store of a dataset itself, among its layouts."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An organisation behind the data, as in STAC."""

    name: str
    roles: tuple[str, ...] = ("producer",)
    """Any of ``licensor``, ``producer``, ``processor``, ``host``."""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class LayoutDefinition:
    """Another store of the same data in other chunks; `plugins.datacube.layouts` takes the cheapest for a query."""

    name: str
    """How answers name it; matches `ID_PATTERN`, and is not `NATIVE`."""
    href: str
    """As of a dataset."""
    storage_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that could not stand in a header, or that mean the dataset itself."""
        if not ID_PATTERN.fullmatch(self.name) or self.name == NATIVE:
            valid = f"letters, digits, '.', '_' and '-', at most 128, and not {NATIVE!r}"
            raise InvalidQueryError("layouts", f"{self.name!r} cannot be the name of a layout", valid)


@dataclass(frozen=True, slots=True)
class DatasetDefinition:
    """One dataset: where its bytes are and what people should know about it."""

    id: str
    """Collection id in every front; matches `ID_PATTERN`."""
    href: str
    """Local path, ``s3://``, ``gs://``, ``az://`` or ``https://`` URL of a Zarr or Icechunk store."""
    title: str | None = None
    description: str | None = None
    licence: str | None = None
    """SPDX identifier, or ``other``; None is published as ``other``."""
    licence_url: str | None = None
    attribution: str | None = None
    keywords: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    sparse: bool = False
    """True where absent chunks mean "fill value"; otherwise an absent chunk is a storage failure."""
    crs: str | None = None
    """Override of the native CRS where the store does not declare one."""
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the object store (region, endpoint, anonymous access)."""
    published: bool = False
    """True for a dataset written by ``isopleth publish``."""
    layouts: tuple[LayoutDefinition, ...] = ()
    """Other stores of the same data, in other chunks."""
    locations: str | None = None
    """Path of a GeoJSON file of named places, on this machine; see `plugins.datacube.location_file`."""
    items: str | None = None
    """One STAC item for each: one of `ITEM_DIVISIONS`; None lets the data decide."""

    def __post_init__(self) -> None:
        """Refuse identifiers that could not stand in a URL path."""
        if not ID_PATTERN.fullmatch(self.id):
            raise InvalidQueryError(
                "id", f"{self.id!r} cannot be a collection id", "letters, digits, '.', '_' and '-', at most 128"
            )
        if self.items is not None and self.items not in ITEM_DIVISIONS:
            valid = ", ".join(ITEM_DIVISIONS)
            raise InvalidQueryError("items", f"{self.items!r} is no division into items", valid)
        names = [layout.name for layout in self.layouts]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise InvalidQueryError("layouts", f"two layouts of {self.id} have the name {repeated!r}")

    def of_layout(self, layout: LayoutDefinition) -> DatasetDefinition:
        """Return the definition by which the store of a layout is opened."""
        return DatasetDefinition(
            id=self.id, href=layout.href, sparse=self.sparse, crs=self.crs, storage_options=layout.storage_options
        )
