"""What is a job: what was asked for, where it stands, and what came out?

The states and their names are those of OGC API - Processes 1.0 (OGC 18-062r2, requirement /req/core/job).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class State(StrEnum):
    """Where a job stands (``statusCode`` of the standard)."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    DISMISSED = "dismissed"


FINISHED: Final = frozenset({State.SUCCESSFUL, State.FAILED, State.DISMISSED})
"""The states that a job never leaves, except that a finished job can be dismissed."""


class Sharing(StrEnum):
    """With whose jobs a job may share the work and the result (the same process, inputs and state of the data)."""

    NOBODY = "nobody"
    OWNER = "owner"
    EVERYBODY = "everybody"
    """Only right where all that the job reads may be read by everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """Whom to tell how a job goes (OGC 18-062r2, clause 7.11.2: callbacks)."""

    success: str | None = None
    in_progress: str | None = None
    failed: str | None = None
    job_url: str
    """Address of the status of the job; ``{job}`` stands for its id."""
    result_url: str
    """Address of its result; ``{job}`` and ``{name}`` stand for its id and the name of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What a client asks to be done."""

    process_id: str
    inputs: Mapping[str, Any]
    """JSON values without NaN or infinity, already validated by the process."""
    owner: str = ""
    """Who may see the job; the empty string is everybody who did not identify themselves."""
    snapshot: str | None = None
    """Identifier of the state of the data that the job shall read, where the process pins one."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that the front needs for its answer later (``response``, ``outputs``); the runner ignores them."""
    idempotency_key: str | None = None
    """A second request of the same owner with the same key gives the same job."""
    priority: int = 0
    """Higher runs first, among the jobs of the same owner only."""
    idempotent: bool = True
    """False where running twice would do harm: then a job that was interrupted fails instead of starting again."""
    cost: int | None = None
    """Bytes after decompression that it is estimated to read; None where nobody knows."""
    sharing: Sharing = Sharing.NOBODY
    """Only with a `snapshot`: without it two requests may mean different data."""
    version: str = ""
    """Version of the process: results of another one are not shared."""
    subscriber: Subscriber | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The file that a process has written into its work folder."""

    path: Path
    media_type: str
    file_name: str
    """Name to offer to the client; made safe when the file is published."""


@dataclass(frozen=True, slots=True)
class Result:
    """A published result."""

    media_type: str
    file_name: str
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""
    attempt: int
    """The attempt that wrote it; part of its place on disk, so that no two attempts share a file."""
    expires: str | None = None
    """When it will be removed, UTC ISO 8601."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, in words for its owner."""

    code: str
    """``IsoplethError.code``, or ``crashed``, ``interrupted``, ``time-limit``, ``memory-limit``, ``internal``."""
    detail: str
    """One sentence; never a traceback."""
    parameter: str | None = None
    """The input at fault, where there is one."""
    valid: str | None = None
    """What would be valid."""
    estimate: Mapping[str, int] | None = None
    """For ``too-large``: what it would have cost."""
    limits: Mapping[str, int] | None = None
    """For ``too-large``: the limits in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of the job store. Times are UTC, ISO 8601 with microseconds and ``Z``."""

    id: str
    """144 random bits, URL-safe: knowing it is not a permission, the owner is checked as well."""
    number: int
    """Order of submission in this store."""
    owner: str
    process_id: str
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    snapshot: str | None
    priority: int
    idempotent: bool
    state: State
    message: str
    progress: int
    """Per cent, 0..100."""
    created: str
    updated: str
    started: str | None
    """Start of the current or last attempt; None while waiting."""
    finished: str | None
    attempt: int
    """How often it was started; the fence that keeps a lost attempt from writing its result."""
    crashes: int
    """How many attempts ended by the job's own doing without an answer (crash, out of memory)."""
    interruptions: int
    """How many attempts the machine ended (restart, lost runner)."""
    cancel: bool
    """True once a running job was dismissed and its process has still to end."""
    result: Result | None = None
    failure: Failure | None = None
    lane: str = ""
    """The rules that hold for it (`plugins.jobs.rules`)."""
    cost: int | None = None
    """Bytes after decompression that it is estimated to read."""
    follows: str | None = None
    """While waiting: the job with the same request whose result this one takes over."""
    shared: bool = False
    """True where the result was made by another job with the same request."""
    subscriber: Subscriber | None = None


def new_id() -> str:
    """Return 144 random bits as 24 URL-safe characters, the first of which is no hyphen: that would be an option.

    Examples
    --------
    >>> len(new_id())
    24
    """
    while (made := secrets.token_urlsafe(18)).startswith("-"):
        pass
    return made


def to_iso(microseconds: int) -> str:
    """Write microseconds since 1970 (UTC) as ISO 8601.

    Examples
    --------
    >>> to_iso(1_500_000)
    '1970-01-01T00:00:01.500000Z'
    """
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
