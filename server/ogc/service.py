"""What do all API functions share?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plugins.datacube.limits import ByteBudget, Limits

from catalog.links import FrontUrls
from plugins.datacube.library import Entry, Library
from server.ogc.documents import DocumentCache
from server.ogc.host import PygeoapiHost

type PathItems = Callable[[FrontUrls], Mapping[str, Any]]


def no_paths(_: FrontUrls) -> Mapping[str, Any]:
    """Return no further OpenAPI paths."""
    return {}


@dataclass(frozen=True, slots=True)
class OgcService:
    """The data, the limits and the embedded pygeoapi behind the functions of `server.ogc`."""

    library: Library
    host: PygeoapiHost
    limits: Limits
    """What one request may cost."""
    budget: ByteBudget
    """Decoded bytes that all requests together may hold."""
    title: str = "Isopleth"
    description: str = "Weather and climate data by OGC API."
    extra_paths: PathItems = no_paths
    """OpenAPI path items of the other fronts (processes, jobs, health), by path below ``/``."""
    extra_conformance: tuple[str, ...] = ()
    """Conformance classes of the other fronts."""
    documents: DocumentCache = field(default_factory=DocumentCache)

    def entries(self) -> tuple[Entry, ...]:
        """Return the datasets as they are now, and let the embedded pygeoapi know them."""
        entries = self.library.entries()
        self.host.follow(entries)
        return entries
