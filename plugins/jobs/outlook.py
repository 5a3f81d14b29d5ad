"""How many jobs are before this one, why does it wait, and when will it start and be finished?

The position is exact for the queue as it is now: start-time fair queueing merges the owners' queues by virtual time.
The times are drawn from what finished jobs have taken (`plugins.jobs.forecast`). Where too little is known, or where
rules let jobs pass one another, there is no time: none is better than a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from plugins.jobs import forecast
from plugins.jobs.forecast import Interval
from plugins.jobs.job import Job, State
from plugins.jobs.rules import FOLLOWING, Block, Quotas, blocked, weight_of
from plugins.jobs.schema import JOBS, OWNERS, QUEUES, to_job

MOST_RANKED: Final = 5_000
"""How far into one owner's queue a position is counted."""
REMEMBERED: Final = 100
"""How many finished jobs are looked at."""
SIMILAR: Final = 4
"""Jobs whose estimated costs differ by at most this factor are taken for similar."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What can be said of the future of a job that waits or runs."""

    position: int | None = None
    """1 is the next to start; None for a job that runs, follows another one, or is too far back to count."""
    block: Block | None = None
    """Why not even the first in the queue could start now; None where nothing is in the way but the queue."""
    start: Interval | None = None
    """Seconds from now; None where it runs already, or nothing is known."""
    finish: Interval | None = None
    """Seconds from now; None where nothing is known."""
    leader: Job | None = None
    """The job whose result this one waits for."""


def outlooks(connection: Connection, jobs: Iterable[Job], quotas: Quotas, now: int) -> dict[str, Outlook]:
    """Return the outlook of each job that waits or runs, by id.

    Parameters
    ----------
    connection : Connection
        Inside a transaction: all is seen at one moment.
    jobs : iterable of Job
    quotas : Quotas
    now : int
        Microseconds since 1970.
    """
    wanted = [job for job in jobs if job.state in (State.ACCEPTED, State.RUNNING)]
    if not wanted:
        return {}
    leaders = _leaders(connection, wanted)
    asked = {job.id: job for job in (*wanted, *leaders.values())}
    found = _Queue(connection, quotas, now).outlooks(list(asked.values()))
    for job in wanted:
        leader = leaders.get(job.follows or "")
        if leader is not None:
            told = found.get(leader.id, Outlook())
            found[job.id] = Outlook(None, Block("shared", "the same request is at work"), None, told.finish, leader)
    return found


def _leaders(connection: Connection, jobs: Sequence[Job]) -> dict[str, Job]:
    ids = sorted({job.follows for job in jobs if job.follows is not None})
    if not ids:
        return {}
    return {row.id: to_job(row) for row in connection.execute(select(JOBS).where(JOBS.c.id.in_(ids)))}


@dataclass(frozen=True, slots=True)
class _Line:
    """One owner's queue."""

    owner: str
    virtual_time: float
    waiting: int
    share: float
    """Virtual time of one start, on the average."""

    def before(self, virtual_start: float, owner: str) -> int:
        """Return how many of its jobs start before another owner's at a virtual time."""
        steps = (virtual_start - self.virtual_time) / self.share
        # Equal times go by the owner's name.
        number = math.floor(steps) + 1 if self.owner < owner else math.ceil(steps)
        return max(0, min(self.waiting, number))


class _Queue:
    """The queue at one moment."""

    def __init__(self, connection: Connection, quotas: Quotas, now: int) -> None:
        self.connection = connection
        self.quotas = quotas
        self.now = now
        rows = connection.execute(select(JOBS).where(JOBS.c.state == State.RUNNING)).all()
        self.running = [to_job(row) for row in rows]
        self.lines = self._lines()
        self.ranks: dict[str, dict[str, int]] = {}
        self.samples: dict[str, tuple[list[float], list[int | None]]] = {}

    def outlooks(self, jobs: Sequence[Job]) -> dict[str, Outlook]:
        found: dict[str, Outlook] = {}
        lefts = {job.id: self._left(job) for job in self.running}
        waiting = [job for job in jobs if job.state is State.ACCEPTED and job.follows is None]
        positions = {job.id: self._position(job) for job in waiting}
        starts = self._starts(waiting, positions, lefts)
        for job in jobs:
            if job.state is State.RUNNING:
                found[job.id] = Outlook(finish=forecast.interval(lefts.get(job.id)))
            elif job.id in positions:
                took = forecast.bootstrap(self._durations(job), job.number)
                start = starts.get(job.id)
                finish = None if start is None or took is None else start + took
                block = None if self.quotas.slots is None else self._block(job)
                found[job.id] = Outlook(
                    positions[job.id], block, forecast.interval(start), forecast.interval(finish)
                )  # fmt: skip
        return found

    def _block(self, job: Job) -> Block | None:
        assert self.quotas.slots is not None  # noqa: S101 - asked by the caller
        running = [(other.owner, other.lane) for other in self.running]
        return blocked(job.lane, job.owner, running, self.quotas, self.quotas.slots)

    def _lines(self) -> dict[str, _Line]:
        rows = self.connection.execute(
            select(OWNERS.c.owner, OWNERS.c.virtual_time, QUEUES.c.lane, QUEUES.c.queued)
            .select_from(OWNERS.join(QUEUES, QUEUES.c.owner == OWNERS.c.owner))
            .where(QUEUES.c.queued > 0, QUEUES.c.lane.not_like(FOLLOWING + "%"))
        ).all()
        waiting: dict[str, int] = {}
        shares: dict[str, float] = {}
        times: dict[str, float] = {}
        for row in rows:
            times[row.owner] = row.virtual_time
            waiting[row.owner] = waiting.get(row.owner, 0) + row.queued
            shares[row.owner] = shares.get(row.owner, 0.0) + row.queued / weight_of(row.lane, self.quotas)
        return {who: _Line(who, times[who], number, shares[who] / number) for who, number in waiting.items()}

    def _rank(self, job: Job) -> int | None:
        if job.owner not in self.ranks:
            ids = self.connection.execute(
                select(JOBS.c.id)
                .where(
                    JOBS.c.owner == job.owner,
                    JOBS.c.state == State.ACCEPTED,
                    JOBS.c.lane.not_like(FOLLOWING + "%"),
                )
                .order_by(JOBS.c.priority.desc(), JOBS.c.number)
                .limit(MOST_RANKED)
            ).scalars()
            self.ranks[job.owner] = {job_id: rank for rank, job_id in enumerate(ids)}
        return self.ranks[job.owner].get(job.id)

    def _position(self, job: Job) -> int | None:
        rank, own = self._rank(job), self.lines.get(job.owner)
        if rank is None or own is None:
            return None
        at = own.virtual_time + rank * own.share
        others = (line.before(at, job.owner) for line in self.lines.values() if line.owner != job.owner)
        return rank + sum(others) + 1

    def _starts(
        self, jobs: Sequence[Job], positions: Mapping[str, int | None], lefts: Mapping[str, forecast.Draws | None]
    ) -> dict[str, forecast.Draws]:
        """Return when jobs start, as draws; those of which nothing can be said are left out."""
        slots, rules = self.quotas.slots, self.quotas.rules
        if slots is None or any(rule.running or rule.running_per_user or rule.reserved for rule in rules):
            return {}
        took = self._mix()
        everybody = forecast.starts(
            [lefts[job.id] for job in self.running], slots, took, max((positions[j.id] or 0 for j in jobs), default=0)
        )
        found: dict[str, forecast.Draws] = {}
        for owner in sorted({job.owner for job in jobs}):
            mine = [job for job in jobs if job.owner == owner]
            most = min(self.quotas.running_per_owner or slots, slots)
            ranks = self.ranks.get(owner, {})
            own = forecast.starts(
                [lefts[job.id] for job in self.running if job.owner == owner],
                most,
                took,
                max((ranks.get(job.id, -1) + 1 for job in mine), default=0),
            )
            for job in mine:
                position, rank = positions[job.id], ranks.get(job.id)
                if position is None or rank is None:
                    continue
                first, second = everybody(position), own(rank + 1)
                if first is not None and second is not None:
                    found[job.id] = np.maximum(first, second)
        return found

    def _left(self, job: Job) -> forecast.Draws | None:
        """Return the seconds that a running job still needs."""
        if job.started is None:
            return None
        elapsed = max(0.0, self.now / 1e6 - datetime.fromisoformat(job.started).timestamp())
        return forecast.left(elapsed, job.progress, self._durations(job), job.number)

    def _durations(self, job: Job) -> npt.NDArray[np.float64]:
        """Return what similar jobs have taken, in seconds; empty where there are too few."""
        if job.process_id not in self.samples:
            rows = self.connection.execute(
                select(JOBS.c.started, JOBS.c.finished, JOBS.c.cost)
                .where(JOBS.c.process_id == job.process_id, JOBS.c.state == State.SUCCESSFUL, JOBS.c.shared.is_(False))
                .order_by(JOBS.c.number.desc())
                .limit(REMEMBERED)
            ).all()
            self.samples[job.process_id] = (
                [(row.finished - row.started) / 1e6 for row in rows],
                [row.cost for row in rows],
            )
        seconds, costs = self.samples[job.process_id]
        if job.cost:
            cost = job.cost
            close = [s for s, c in zip(seconds, costs, strict=True) if c and cost / SIMILAR <= c <= cost * SIMILAR]
            # What jobs of another size have taken says nothing of this one.
            return forecast.known(close if any(costs) else seconds)
        return forecast.known(seconds)

    def _mix(self) -> npt.NDArray[np.float64]:
        """Return what jobs of all kinds have taken lately: those ahead in the queue are not looked at one by one."""
        rows = self.connection.execute(
            select((JOBS.c.finished - JOBS.c.started).label("took"))
            .where(
                JOBS.c.state == State.SUCCESSFUL,
                JOBS.c.shared.is_(False),
                JOBS.c.number > select(func.max(JOBS.c.number)).scalar_subquery() - 100 * REMEMBERED,
            )
            .order_by(JOBS.c.number.desc())
            .limit(REMEMBERED)
        ).scalars()
        return forecast.known([took / 1e6 for took in rows])
