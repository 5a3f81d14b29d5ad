"""What does a process need to know that is not in its inputs?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.library import Library
from plugins.datacube.limits import MEBIBYTE, Limits

ASYNC_LIMITS: Final = Limits(
    bytes_decoded=100 * 1024 * MEBIBYTE, chunks=2_000_000, values=100_000_000, bytes_out=2048 * MEBIBYTE
)
"""The most that one job may cost: an answer is held in memory once, and a job may use 2 GiB of it."""


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """What the server gives to the process of each job. Picklable."""

    definitions: tuple[DatasetDefinition, ...] = ()
    published: Path | None = None
    """Folder of the published datasets."""
    limits: Limits = field(default=ASYNC_LIMITS)
    snapshot: str | None = None
    """State of the data that the job was estimated on, where its store keeps states; None for as they are now."""

    def at(self, snapshot: str) -> ProcessContext:
        """Return the context of a job that reads the state it was estimated on."""
        return replace(self, snapshot=snapshot)

    def library(self) -> Library:
        """Return the datasets; nothing is opened yet."""
        return Library(self.definitions, self.published, at=self.snapshot)
