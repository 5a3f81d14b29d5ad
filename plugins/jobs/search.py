"""Which jobs does a client want to see?

The filters of the job list (OGC 18-062r2, clause 11: ``type``, ``processID``, ``status``, ``datetime``,
``minDuration``, ``maxDuration``, ``limit``), already typed. ``type`` has one value, ``process``, so it selects nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, func, literal, true

from plugins.datacube.calendar import parse_moment
from plugins.datacube.errors import InvalidQueryError
from plugins.jobs.job import Job, State
from plugins.jobs.schema import JOBS

MAX_LIMIT: Final = 1000
"""Most jobs on one page; a larger ``limit`` is cut to it."""
MAX_OFFSET: Final = 10_000_000
MAX_DURATION: Final = 10**9
"""Seconds; a larger duration can only be a mistake, and would not fit the database's numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """A selection of jobs, and a page of it. Newest first."""

    owner: str | None = None
    """None selects every owner's jobs: for the operator only."""
    states: frozenset[State] = frozenset()
    """Empty selects all."""
    process_ids: frozenset[str] = frozenset()
    """Empty selects all."""
    created: tuple[int | None, int | None] = (None, None)
    """Inclusive interval of creation, microseconds since 1970; None is an open end."""
    min_duration: float | None = None
    """Seconds; selects jobs that have been running, or ran, longer."""
    max_duration: float | None = None
    """Seconds; selects jobs that have been running, or ran, for a shorter time."""
    limit: int = 100
    """Jobs on a page, 1..`MAX_LIMIT`."""
    offset: int = 0
    token: str | None = None
    """`JobPage.next_token` of the page before; stable while jobs are added. Not together with `offset`."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of the job list."""

    jobs: tuple[Job, ...]
    matched: int
    """How many jobs the filter selects on all pages (``numberMatched``)."""
    next_token: str | None
    """Token of the next page, or None on the last one."""


def condition(wanted: JobFilter, now: int) -> ColumnElement[bool]:
    """Return the filter as SQL, without the page; `now` in microseconds since 1970."""
    parts: list[ColumnElement[bool]] = [true()]
    if wanted.owner is not None:
        parts.append(JOBS.c.owner == wanted.owner)
    if wanted.states:
        parts.append(JOBS.c.state.in_(sorted(wanted.states)))
    if wanted.process_ids:
        parts.append(JOBS.c.process_id.in_(sorted(wanted.process_ids)))
    start, end = wanted.created
    if start is not None:
        parts.append(JOBS.c.created >= start)
    if end is not None:
        parts.append(JOBS.c.created <= end)
    duration = func.coalesce(JOBS.c.finished, literal(now)) - JOBS.c.started
    if wanted.min_duration is not None:
        parts.append(duration > int(wanted.min_duration * 1e6))
    if wanted.max_duration is not None:
        parts.append(duration < int(wanted.max_duration * 1e6))
    return and_(*parts)


def parse_filter(raw: Mapping[str, str], owner: str | None) -> JobFilter:
    """Read the query string of ``/jobs``.

    Parameters
    ----------
    raw : mapping of str to str
        ``type``, ``processID``, ``status`` (comma lists), ``datetime``, ``minDuration``, ``maxDuration``, ``limit``,
        ``offset``, ``token``; ``f`` is ignored.
    owner : str or None
        Whose jobs; None for the operator.

    Raises
    ------
    InvalidQueryError
        For an unknown parameter, or a value that it cannot have.
    """
    known = {"f", "type", "processID", "status", "datetime", "minDuration", "maxDuration", "limit", "offset", "token"}
    for name in raw:
        if name not in known:
            raise InvalidQueryError(name, f"/jobs has no parameter {name!r}", ", ".join(sorted(known)))
    for kind in _items(raw.get("type")):
        if kind != "process":
            raise InvalidQueryError("type", f"no jobs have the type {kind!r}", "process")
    states = set()
    for name in _items(raw.get("status")):
        if name not in list(State):
            raise InvalidQueryError("status", f"{name!r} is not a status", ", ".join(State))
        states.add(State(name))
    return JobFilter(
        owner=owner,
        states=frozenset(states),
        process_ids=frozenset(_items(raw.get("processID"))),
        created=parse_created(raw["datetime"]) if raw.get("datetime") else (None, None),
        min_duration=_number(raw, "minDuration", 0, MAX_DURATION),
        max_duration=_number(raw, "maxDuration", 0, MAX_DURATION),
        limit=min(_number(raw, "limit", 1, 10**9) or 100, MAX_LIMIT),
        offset=_number(raw, "offset", 0, MAX_OFFSET) or 0,
        token=raw.get("token") or None,
    )


def parse_created(text: str) -> tuple[int | None, int | None]:
    """Read ``datetime``: an instant, or an interval whose ends may be open (``..`` or empty).

    Examples
    --------
    >>> parse_created("1970-01-01/..")
    (0, None)

    Raises
    ------
    InvalidQueryError
        If it is neither.
    """
    parts = text.split("/")
    if len(parts) > 2:
        raise InvalidQueryError("datetime", f"{text[:64]!r} has more than two ends", "an instant, or start/end")
    open_ends = ("", "..")
    if len(parts) == 2 and parts[0] in open_ends and parts[1] in open_ends:
        return None, None
    calendar = "proleptic_gregorian"
    start = None if len(parts) == 2 and parts[0] in open_ends else parse_moment(parts[0]).first(calendar)
    end = None if len(parts) == 2 and parts[1] in open_ends else _last(parts[-1], calendar)
    if start is not None and end is not None and start > end:
        raise InvalidQueryError("datetime", f"{text!r} ends before it starts", "start/end with start <= end")
    return start, end


def _last(text: str, calendar: str) -> int:
    moment = parse_moment(text)
    last = moment.last(calendar)
    # A client that writes whole seconds means the whole second: creation times have microseconds.
    return last + 999_999 if moment.precision == "second" and moment.microsecond == 0 else last


def _items(text: str | None) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()] if text else []


def _number(raw: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = raw.get(name)
    if text is None or not text.strip():
        return None
    # Only ASCII digits: int() also takes underscores, signs and the digits of other scripts.
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or not low <= int(text) <= high:
        raise InvalidQueryError(name, f"{text[:32]!r} is not a valid {name}", f"a whole number, {low} to {high}")
    return int(text)
