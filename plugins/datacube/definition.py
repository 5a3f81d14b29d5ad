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


@dataclass(frozen=True, slots=True)
class Provider:
    """An organisation behind the data, as in STAC."""

    name: str
    roles: tuple[str, ...] = ("producer",)
    """Any of ``licensor``, ``producer``, ``processor``, ``host``."""
    url: str | None = None


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

    def __post_init__(self) -> None:
        """Refuse identifiers that could not stand in a URL path."""
        if not ID_PATTERN.fullmatch(self.id):
            raise InvalidQueryError(
                "id", f"{self.id!r} cannot be a collection id", "letters, digits, '.', '_' and '-', at most 128"
            )
