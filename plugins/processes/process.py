"""What is a process to the server: how is it described, checked, estimated and run?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from plugins.datacube.cancel import Cancel
from plugins.datacube.library import Library
from plugins.datacube.limits import Limits
from plugins.datacube.plan import Cost
from plugins.jobs.child import Report
from plugins.jobs.job import Outcome


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that could be run: everything about it was checked, nothing was read."""

    inputs: dict[str, Any]
    """Plain values, as they go into the job."""
    cost: Cost
    snapshot: str | None
    """State of the data that was looked at; None for a process that reads none."""


class Run(Protocol):
    """Do the work of a process, and leave the outcome in a file in `workdir`."""

    def __call__(
        self,
        inputs: Mapping[str, Any],
        library: Library,
        limits: Limits,
        workdir: Path,
        report: Report,
        cancel: Cancel | None = None,
    ) -> Outcome:
        """Run with validated inputs."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the server."""

    description: Mapping[str, Any]
    """Process description of OGC API - Processes 1.0, without links."""
    processor: str
    """Dotted name of the same process as a pygeoapi processor."""
    validate: Callable[[object], dict[str, Any]]
    """The form of the inputs: returns plain values, raises InvalidQueryError."""
    prepare: Callable[[Mapping[str, Any], Library, Limits], Prepared]
    """Validated inputs against the data: raises what the run would raise before it reads."""
    run: Run
    document: bool = False
    """True where the outcome is a JSON object with a member for each output (``results.yaml``), of which the front
    takes what was asked for; False where the file is the only output."""

    @property
    def id(self) -> str:
        """Identifier of the process."""
        return str(self.description["id"])
