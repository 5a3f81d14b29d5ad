"""Which rows change when a job moves, so that every invariant of the store still holds?

Each function is a step inside a transaction of `plugins.jobs.store`. The invariants: an owner's ``queued`` and
``running`` equal the counts of that owner's accepted and running jobs; only a running row can be left, and only by
the attempt that it names; a result exists only in a successful row.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from plugins.datacube.errors import BusyError, InvalidQueryError
from plugins.jobs.job import Failure, Job, JobRequest, State, new_id
from plugins.jobs.schema import CLOCK, JOBS, OWNERS, to_job

MAX_CRASHES: Final = 3
MAX_INTERRUPTIONS: Final = 50


def digest(request: JobRequest) -> str:
    """Return what makes two requests with one idempotency key the same request."""
    content = [request.process_id, dict(request.inputs), dict(request.options)]
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def earlier(connection: Connection, request: JobRequest) -> Job | None:
    """Return the job that an earlier request with the same idempotency key made, or None.

    Raises
    ------
    InvalidQueryError
        If the earlier request was a different one.
    """
    if request.idempotency_key is None:
        return None
    row = connection.execute(
        select(JOBS).where(JOBS.c.owner == request.owner, JOBS.c.idempotency_key == request.idempotency_key)
    ).first()
    if row is None:
        return None
    if row.digest != digest(request):
        raise InvalidQueryError(
            "Idempotency-Key", "this idempotency key was used for a different request", "a new key for each request"
        )
    return to_job(row)


def enqueue(connection: Connection, request: JobRequest, now: int, most_queued: int) -> Job:
    """Insert a job at the end of its owner's queue.

    Raises
    ------
    BusyError
        If `most_queued` jobs of the owner wait already.
    """
    owner = connection.execute(select(OWNERS).where(OWNERS.c.owner == request.owner)).first()
    present = connection.execute(select(CLOCK.c.virtual_time)).scalar_one()
    if owner is None:
        connection.execute(insert(OWNERS).values(owner=request.owner, queued=0, running=0, virtual_time=present))
    elif owner.queued >= most_queued:
        raise BusyError(f"{owner.queued} of your jobs are waiting already, the most that one user may have", 60)
    elif owner.queued == 0 and owner.virtual_time < present:
        # Coming back from idleness gives no credit for the time away.
        connection.execute(update(OWNERS).where(OWNERS.c.owner == request.owner).values(virtual_time=present))
    job_id = new_id()
    connection.execute(
        insert(JOBS).values(
            id=job_id,
            owner=request.owner,
            idempotency_key=request.idempotency_key,
            digest=digest(request),
            process_id=request.process_id,
            inputs=json.dumps(dict(request.inputs), allow_nan=False),
            options=json.dumps(dict(request.options), allow_nan=False),
            snapshot=request.snapshot,
            priority=request.priority,
            idempotent=request.idempotent,
            state=State.ACCEPTED,
            message="waiting for its turn",
            progress=0,
            created=now,
            updated=now,
            attempt=0,
            crashes=0,
            interruptions=0,
            cancel=False,
            discard=False,
        )
    )
    count(connection, request.owner, queued=1)
    return to_job(connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one())


def start_next(connection: Connection, now: int, most_running: int, most_running_per_owner: int) -> Job | None:
    """Move the job whose turn it is to ``running``, under a new attempt number; None where none may start."""
    running = connection.execute(
        select(func.count()).select_from(JOBS).where(JOBS.c.state == State.RUNNING)
    ).scalar_one()
    if running >= most_running:
        return None
    owner = connection.execute(
        select(OWNERS)
        .where(OWNERS.c.queued > 0, OWNERS.c.running < most_running_per_owner)
        .order_by(OWNERS.c.virtual_time, OWNERS.c.owner)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if owner is None:
        return None
    number = connection.execute(
        select(JOBS.c.number)
        .where(JOBS.c.owner == owner.owner, JOBS.c.state == State.ACCEPTED)
        .order_by(JOBS.c.priority.desc(), JOBS.c.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar_one()
    attempt = JOBS.c.attempt + 1
    values = {"state": State.RUNNING, "started": now, "updated": now, "progress": 0, "message": "running"}
    connection.execute(update(JOBS).where(JOBS.c.number == number).values(attempt=attempt, **values))
    count(connection, owner.owner, queued=-1, running=1, virtual_time=1.0)
    connection.execute(
        update(CLOCK).where(CLOCK.c.virtual_time < owner.virtual_time).values(virtual_time=owner.virtual_time)
    )
    return to_job(connection.execute(select(JOBS).where(JOBS.c.number == number)).one())


def attempt_row(connection: Connection, job_id: str, attempt: int) -> Row[Any] | None:
    """Return the row of a running attempt, or None where the attempt was given up."""
    return connection.execute(select(JOBS).where(running(job_id, attempt))).first()


def running(job_id: str, attempt: int) -> ColumnElement[bool]:
    """Return the fence: true only while this very attempt is the one that runs."""
    return and_(JOBS.c.id == job_id, JOBS.c.attempt == attempt, JOBS.c.state == State.RUNNING)


def leave(connection: Connection, row: Row[Any], state: State, now: int, **values: Any) -> None:
    """Move a running row, read in this transaction, to another state."""
    where = running(row.id, row.attempt)
    connection.execute(update(JOBS).where(where).values(state=state, updated=now, cancel=False, **values))
    accepted = state is State.ACCEPTED
    count(connection, row.owner, queued=1 if accepted else 0, running=-1)


def fail(connection: Connection, row: Row[Any], now: int, failure: Failure, **values: Any) -> None:
    """Move a running row to ``failed``, or to ``dismissed`` where it was dismissed meanwhile."""
    if row.cancel:
        leave(connection, row, State.DISMISSED, now, **dismissed(), finished=now, **values)
        return
    described = json.dumps(asdict(failure))
    leave(connection, row, State.FAILED, now, failure=described, message=failure.detail, finished=now, **values)


def crash(connection: Connection, row: Row[Any], now: int, reason: str) -> None:
    """Book a crash of the job's own doing: back to the queue, or failed when the budget is spent."""
    crashes = row.crashes + 1
    if crashes < MAX_CRASHES and row.idempotent and not row.cancel:
        message = f"crashed ({crashes} of {MAX_CRASHES}): {reason}"
        leave(connection, row, State.ACCEPTED, now, crashes=crashes, message=message, started=None, progress=0)
        return
    times = "" if crashes == 1 else f" {crashes} times, at last"
    fail(connection, row, now, Failure("crashed", f"the job crashed{times}: {reason}"), crashes=crashes)


def interrupt(connection: Connection, row: Row[Any], now: int, reason: str) -> None:
    """Book an interruption by the machine: back to the job's place in the queue, with the reason in the message."""
    interruptions = row.interruptions + 1
    if interruptions < MAX_INTERRUPTIONS and row.idempotent and not row.cancel:
        message = f"interrupted: {reason} ({interruptions} of {MAX_INTERRUPTIONS})"
        values = {"interruptions": interruptions, "message": message, "started": None, "progress": 0}
        leave(connection, row, State.ACCEPTED, now, **values)
        return
    detail = f"the job was interrupted and must not run twice: {reason}"
    if row.idempotent:
        detail = f"the job was interrupted {interruptions} times, at last: {reason}"
    fail(connection, row, now, Failure("interrupted", detail), interruptions=interruptions)


def dismissed() -> dict[str, Any]:
    """Return what a dismissed row says beside its state: nothing is left of a result."""
    return {"result": None, "expires": None, "discard": True, "message": "dismissed"}


def count(connection: Connection, owner: str, *, queued: int = 0, running: int = 0, virtual_time: float = 0.0) -> None:
    """Add to the counters of an owner."""
    connection.execute(
        update(OWNERS)
        .where(OWNERS.c.owner == owner)
        .values(
            queued=OWNERS.c.queued + queued,
            running=OWNERS.c.running + running,
            virtual_time=OWNERS.c.virtual_time + virtual_time,
        )
    )
