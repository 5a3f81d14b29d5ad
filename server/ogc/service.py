"""What do all API functions share?"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from catalog.links import FrontUrls
from plugins.datacube.library import Entry, Library
from plugins.datacube.limits import ByteBudget, Limits
from server.ogc.documents import DocumentCache
from server.ogc.handover import Handover
from server.ogc.host import PygeoapiHost

RECENT_SECONDS: Final = 0.5

type PathItems = Callable[[FrontUrls], Mapping[str, Any]]


def no_paths(_: FrontUrls) -> Mapping[str, Any]:
    """Return no further OpenAPI paths."""
    return {}


class RecentEntries:
    """The datasets as they were at most `RECENT_SECONDS` ago.

    Looking at every dataset costs milliseconds where there are many; one thread at a time does it, the others go on
    with what was seen last.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: tuple[Entry, ...] | None = None
        self.when = -math.inf

    def get(self, look: Callable[[], tuple[Entry, ...]]) -> tuple[Entry, ...]:
        """Return the datasets, looked at anew where that is due."""
        seen = self.seen
        if seen is not None and (time.monotonic() - self.when < RECENT_SECONDS or self.lock.locked()):
            return seen
        with self.lock:
            if self.seen is None or time.monotonic() - self.when >= RECENT_SECONDS:
                self.seen = look()
                self.when = time.monotonic()
            return self.seen


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
    handover: Handover | None = None
    """Where data queries become jobs; None: there are no asynchronous answers."""
    documents: DocumentCache = field(default_factory=DocumentCache)
    recent: RecentEntries = field(default_factory=RecentEntries)

    def entries(self) -> tuple[Entry, ...]:
        """Return the datasets as they are now, and let the embedded pygeoapi know them."""
        entries = self.recent.get(self.library.entries)
        self.host.follow(entries)
        return entries
