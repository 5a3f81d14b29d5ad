"""Which rows change when a job moves, so that every invariant of the store still holds?

Each function is a step inside a transaction of `plugins.jobs.store`. The invariants: an owner's ``queued`` and
``running`` equal the counts of that owner's accepted and running jobs, in ``owners`` and by lane in ``queues``; only a
running row can be left, and only by the attempt that it names; a result exists only in a successful row; a row follows
another only while it waits, and then in a lane of which nothing is started.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, false, func, insert, not_, or_, select, update

from plugins.datacube.errors import InvalidQueryError, QuotaError
from plugins.jobs import callbacks
from plugins.jobs.job import FINISHED, Failure, Job, JobRequest, Result, Sharing, State, new_id
from plugins.jobs.rules import FOLLOWING, RETRY_SECONDS, Quotas, admit, blocked, lane_of, weight_of
from plugins.jobs.schema import CALLBACKS, CLOCK, JOBS, OWNERS, QUEUES, to_job

MAX_CRASHES: Final = 3
MAX_INTERRUPTIONS: Final = 50
WAITING: Final = "waiting for its turn"


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


def content_key(request: JobRequest) -> str | None:
    """Return what two requests have in common if one result serves both; None where it is not to be shared.

    Without a state of the data nobody can say that two requests mean the same.
    """
    if request.sharing is Sharing.NOBODY or request.snapshot is None:
        return None
    whose = request.owner if request.sharing is Sharing.OWNER else None
    content = [request.process_id, request.version, dict(request.inputs), request.snapshot, whose]
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def enqueue(connection: Connection, request: JobRequest, now: int, quotas: Quotas) -> Job:
    """Insert a job at the end of its owner's queue, or behind another job with the same request.

    Raises
    ------
    QuotaError
        If the owner, or a rule, has too many waiting jobs.
    TooLargeError
        If a rule does not allow such a job.
    """
    owner = connection.execute(select(OWNERS).where(OWNERS.c.owner == request.owner)).first()
    if owner is not None and owner.queued >= quotas.queued_per_owner:
        raise QuotaError(
            f"{owner.queued} of your jobs are waiting already, the most that one user may have",
            RETRY_SECONDS,
            valid=f"the same request, as soon as fewer than {quotas.queued_per_owner} wait",
        )
    selected = [rule for rule in quotas.rules if rule.selects(request)]
    if selected:
        everybody, own = _waiting(connection), _waiting(connection, request.owner)
        admit(request, selected, everybody, own)
    lane, content = lane_of(request, quotas.rules), content_key(request)
    leader = None if content is None else _leader(connection, content, now)
    lane = lane if leader is None else FOLLOWING + lane
    _arrive(connection, request.owner, lane)
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
            message=WAITING,
            progress=0,
            created=now,
            updated=now,
            attempt=0,
            crashes=0,
            interruptions=0,
            cancel=False,
            discard=False,
            lane=lane,
            cost=request.cost,
            content=content,
            follows=leader,
            shared=False,
            subscriber=None if request.subscriber is None else json.dumps(asdict(request.subscriber)),
        )
    )
    count(connection, request.owner, lane, queued=1)
    return to_job(connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one())


def start_next(connection: Connection, now: int, slots: int, quotas: Quotas) -> Job | None:
    """Move the job whose turn it is to ``running``, under a new attempt number; None where none may start."""
    rows = connection.execute(select(JOBS.c.owner, JOBS.c.lane).where(JOBS.c.state == State.RUNNING)).all()
    running = [(row.owner, row.lane) for row in rows]
    if len(running) >= slots:
        return None
    lanes = connection.execute(select(QUEUES.c.lane).where(QUEUES.c.queued > 0).distinct()).scalars().all()
    # "\0" is nobody's name: what is closed to a user without jobs is closed to all.
    opened = [lane for lane in lanes if blocked(lane, "\0", running, quotas, slots) is None]
    closed = [
        and_(QUEUES.c.owner == who, QUEUES.c.lane == lane)
        for who in sorted({who for who, _ in running})
        for lane in opened
        if blocked(lane, who, running, quotas, slots) is not None
    ]
    can_start = and_(QUEUES.c.queued > 0, QUEUES.c.lane.in_(opened), not_(or_(false(), *closed)))
    owner = connection.execute(
        select(OWNERS)
        .where(
            OWNERS.c.queued > 0,
            OWNERS.c.running < (quotas.running_per_owner or slots),
            select(QUEUES.c.lane).where(QUEUES.c.owner == OWNERS.c.owner, can_start).exists(),
        )
        .order_by(OWNERS.c.virtual_time, OWNERS.c.owner)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if owner is None:
        return None
    own = connection.execute(select(QUEUES.c.lane).where(QUEUES.c.owner == owner.owner, can_start)).scalars().all()
    heads = [head for lane in own if (head := _head(connection, owner.owner, lane)) is not None]
    head = min(heads, key=lambda row: (-row.priority, row.number))
    values = {"state": State.RUNNING, "started": now, "updated": now, "progress": 0, "message": "running"}
    connection.execute(update(JOBS).where(JOBS.c.number == head.number).values(attempt=JOBS.c.attempt + 1, **values))
    share = 1 / weight_of(head.lane, quotas)
    count(connection, owner.owner, head.lane, queued=-1, running=1, virtual_time=share)
    connection.execute(
        update(CLOCK).where(CLOCK.c.virtual_time < owner.virtual_time).values(virtual_time=owner.virtual_time)
    )
    row = connection.execute(select(JOBS).where(JOBS.c.number == head.number)).one()
    if row.attempt == 1:
        tell(connection, row, now)
    return to_job(row)


def _head(connection: Connection, owner: str, lane: str) -> Row[Any] | None:
    return connection.execute(
        select(JOBS)
        .where(JOBS.c.owner == owner, JOBS.c.state == State.ACCEPTED, JOBS.c.lane == lane)
        .order_by(JOBS.c.priority.desc(), JOBS.c.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()


def _waiting(connection: Connection, owner: str | None = None) -> dict[str, int]:
    """Return how many jobs wait in each lane."""
    query = select(QUEUES.c.lane, func.sum(QUEUES.c.queued)).where(QUEUES.c.queued > 0).group_by(QUEUES.c.lane)
    if owner is not None:
        query = query.where(QUEUES.c.owner == owner)
    return {lane: int(number) for lane, number in connection.execute(query)}


def _leader(connection: Connection, content: str, now: int) -> str | None:
    """Return the job whose result serves the same request too: made already, or on its way."""
    made = and_(
        JOBS.c.state == State.SUCCESSFUL,
        JOBS.c.result.is_not(None),
        or_(JOBS.c.expires.is_(None), JOBS.c.expires > now),
    )
    coming = and_(JOBS.c.state.in_((State.ACCEPTED, State.RUNNING)), JOBS.c.follows.is_(None), JOBS.c.cancel.is_(False))
    found = connection.execute(
        select(JOBS.c.id)
        .where(JOBS.c.content == content, or_(made, coming))
        .order_by(JOBS.c.state.desc(), JOBS.c.number.desc())  # "successful" before "running" before "accepted"
        .limit(1)
    ).scalar_one_or_none()
    return None if found is None else str(found)


def _arrive(connection: Connection, owner: str, lane: str) -> None:
    """See to it that the counters of an owner and a lane exist, and that idleness gave the owner no credit."""
    present = connection.execute(select(CLOCK.c.virtual_time)).scalar_one()
    row = connection.execute(select(OWNERS.c.virtual_time).where(OWNERS.c.owner == owner)).first()
    if row is None:
        connection.execute(insert(OWNERS).values(owner=owner, queued=0, running=0, virtual_time=present))
    elif row.virtual_time < present and not lane.startswith(FOLLOWING):
        startable = and_(QUEUES.c.owner == owner, QUEUES.c.queued > 0, QUEUES.c.lane.not_like(FOLLOWING + "%"))
        if connection.execute(select(QUEUES.c.lane).where(startable).limit(1)).first() is None:
            connection.execute(update(OWNERS).where(OWNERS.c.owner == owner).values(virtual_time=present))
    where = and_(QUEUES.c.owner == owner, QUEUES.c.lane == lane)
    if connection.execute(select(QUEUES.c.lane).where(where)).first() is None:
        connection.execute(insert(QUEUES).values(owner=owner, lane=lane, queued=0, running=0))


def release(connection: Connection, leader: str, now: int) -> None:
    """Let the first job that follows another one take its own turn, and the others follow that one."""
    rows = connection.execute(
        select(JOBS).where(JOBS.c.follows == leader, JOBS.c.state == State.ACCEPTED).order_by(JOBS.c.number)
    ).all()
    if not rows:
        return
    first = rows[0]
    lane = first.lane.removeprefix(FOLLOWING)
    _arrive(connection, first.owner, lane)
    values = {"follows": None, "lane": lane, "message": WAITING, "updated": now}
    connection.execute(update(JOBS).where(JOBS.c.number == first.number).values(**values))
    count(connection, first.owner, first.lane, queued=-1)
    count(connection, first.owner, lane, queued=1)
    connection.execute(
        update(JOBS).where(JOBS.c.follows == leader, JOBS.c.state == State.ACCEPTED).values(follows=first.id)
    )


def adopt(connection: Connection, row: Row[Any], now: int, result: Result, expires: int | None) -> None:
    """Move a job that follows another one to ``successful``, with a copy of the result."""
    described = {name: value for name, value in asdict(result).items() if name != "expires"}
    lane = row.lane.removeprefix(FOLLOWING)
    values = {
        "state": State.SUCCESSFUL,
        "result": json.dumps(described),
        "expires": expires,
        "progress": 100,
        "message": "finished: the result of an identical request",
        "attempt": result.attempt,
        "started": now,
        "finished": now,
        "updated": now,
        "follows": None,
        "shared": True,
        "lane": lane,
    }
    connection.execute(update(JOBS).where(JOBS.c.number == row.number).values(**values))
    count(connection, row.owner, row.lane, queued=-1)
    tell(connection, connection.execute(select(JOBS).where(JOBS.c.number == row.number)).one(), now)


def again(connection: Connection, row: Row[Any], now: int) -> None:
    """Put a failed job back at its place in the queue, with new budgets."""
    _arrive(connection, row.owner, row.lane)
    values = {
        "state": State.ACCEPTED,
        "message": WAITING,
        "progress": 0,
        "crashes": 0,
        "interruptions": 0,
        "started": None,
        "finished": None,
        "failure": None,
        "updated": now,
    }
    connection.execute(update(JOBS).where(JOBS.c.number == row.number).values(**values))
    count(connection, row.owner, row.lane, queued=1)


def tell(connection: Connection, row: Row[Any], now: int) -> None:
    """Note what the subscriber of a job has to be told of its state, to be sent as soon as this is committed."""
    if row.subscriber is None:
        return
    message = callbacks.message(to_job(row))
    if message is not None:
        values = {"job_id": row.id, "kind": message.kind, "uri": message.uri, "body": message.body}
        connection.execute(insert(CALLBACKS).values(**values, tries=0, due=now))


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
    count(connection, row.owner, row.lane, queued=1 if accepted else 0, running=-1)
    if state in FINISHED:
        tell(connection, connection.execute(select(JOBS).where(JOBS.c.number == row.number)).one(), now)
        if state is not State.SUCCESSFUL:
            release(connection, row.id, now)


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


def count(
    connection: Connection, owner: str, lane: str, *, queued: int = 0, running: int = 0, virtual_time: float = 0.0
) -> None:
    """Add to the counters of an owner and of a lane; both exist."""
    connection.execute(
        update(OWNERS)
        .where(OWNERS.c.owner == owner)
        .values(
            queued=OWNERS.c.queued + queued,
            running=OWNERS.c.running + running,
            virtual_time=OWNERS.c.virtual_time + virtual_time,
        )
    )
    connection.execute(
        update(QUEUES)
        .where(QUEUES.c.owner == owner, QUEUES.c.lane == lane)
        .values(queued=QUEUES.c.queued + queued, running=QUEUES.c.running + running)
    )
