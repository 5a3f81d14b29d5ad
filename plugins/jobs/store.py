"""How does a job move on, so that none is lost, none is done twice, and no owner waits unfairly?

Each method is one transaction: after it, either all of it is on the disk or nothing of it happened.

* An acknowledged job is durable: `JobStore.submit` returns after the commit.
* A started attempt is numbered. Whoever wants to end it must name its number while the row still says ``running``:
  an attempt that was given up cannot write its result any more.
* Two budgets. ``crashes`` counts attempts that ended by the job's own doing (`MAX_CRASHES`, then it fails);
  ``interruptions`` those that the machine ended (`MAX_INTERRUPTIONS`). A job that says why it fails is not tried again.
* Turns are given by start-time fair queueing: the owner with the least virtual time is next, each start adds 1 to it,
  and an owner who comes back from idleness starts at the present, not in the past. Priority orders an owner's own jobs.
* A job may follow another one with the same request: it waits for that one's result, or takes the turn itself where
  there will be none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from plugins.datacube.errors import BusyError, ConflictError, InvalidQueryError, StorageError, UnknownError
from plugins.jobs import transitions
from plugins.jobs.callbacks import Callback
from plugins.jobs.job import FINISHED, Failure, Job, JobRequest, Result, State
from plugins.jobs.outlook import Outlook, outlooks
from plugins.jobs.rules import FOLLOWING, Quotas
from plugins.jobs.schema import CALLBACKS, CLOCK, JOBS, METADATA, OWNERS, QUEUES, VERSION, open_engine, to_job, upgrade
from plugins.jobs.search import MAX_LIMIT, JobFilter, JobPage, condition
from plugins.jobs.transitions import running

__all__ = ["JobStore", "Quotas"]


class JobStore:
    """The jobs of one server, in one database. Safe to share between threads, and between processes by its place.

    Parameters
    ----------
    place : str or Path
        An SQLite file, made if absent, or a database URL of SQLAlchemy.
    quotas : Quotas, optional
    clock : callable
        Returns seconds since 1970 UTC.

    Raises
    ------
    StorageError
        If the file lies on a network disk, or was written by another version of Isopleth.
    BusyError
        From any method, if the database cannot be reached or stays locked.
    """

    def __init__(self, place: str | Path, quotas: Quotas | None = None, clock: Callable[[], float] = time.time) -> None:
        self.quotas = quotas or Quotas()
        self.engine = open_engine(place)
        self.listeners: list[Callable[[], None]] = []
        """Called, in the caller's thread, after a submit or a dismiss of this process: a hint, never the truth."""
        self._clock = clock
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    # What clients do.

    def submit(self, request: JobRequest) -> Job:
        """Record a job; it is on the disk when this returns.

        Raises
        ------
        InvalidQueryError
            If the owner has used the idempotency key for a different request.
        QuotaError
            If the owner, or a rule, has too many waiting jobs.
        TooLargeError
            If a rule does not allow such a job.
        """
        try:
            with self._write() as connection:
                job = transitions.earlier(connection, request)
                if job is not None:
                    return job
                job = transitions.enqueue(connection, request, self._now(), self.quotas)
        except IntegrityError:
            # Another process was faster with the same key (not on SQLite, where writers stand in line).
            with self._read() as connection:
                job = transitions.earlier(connection, request)
            if job is None:
                raise
        self._notify()
        return job

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """Return a job.

        Parameters
        ----------
        job_id : str
        owner : str, optional
            Only if it is this owner's; None asks for any owner's job.

        Raises
        ------
        UnknownError
            If there is no such job, or it is somebody else's: a stranger cannot tell the difference.
        """
        with self._read() as connection:
            return self._get(connection, job_id, owner)

    def list(self, wanted: JobFilter) -> JobPage:
        """Return a page of the selected jobs, newest first.

        Raises
        ------
        InvalidQueryError
            If the token is not one of this list.
        """
        where = condition(wanted, self._now())
        limit = max(1, min(wanted.limit, MAX_LIMIT))
        with self._read() as connection:
            matched = connection.execute(select(func.count()).select_from(JOBS).where(where)).scalar_one()
            page = where
            if wanted.token is not None:
                try:
                    last = self._get(connection, wanted.token, wanted.owner)
                except UnknownError as error:
                    raise InvalidQueryError("token", "the token is not one of this job list") from error
                page = and_(where, JOBS.c.number < last.number)
            rows = connection.execute(
                select(JOBS).where(page).order_by(JOBS.c.number.desc()).limit(limit + 1).offset(wanted.offset)
            ).all()
        jobs = tuple(to_job(row) for row in rows[:limit])
        return JobPage(jobs, matched, jobs[-1].id if len(rows) > limit else None)

    def outlook(self, *jobs: Job) -> dict[str, Outlook]:
        """Return position, reason and times of those of the jobs that wait or run, by id."""
        with self._read() as connection:
            return outlooks(connection, jobs, self.quotas, self._now())

    def dismiss(self, job_id: str, owner: str | None = None) -> Job:
        """Dismiss a job, and return it as it stands then.

        A waiting job is dismissed at once. A running one is marked, and dismissed when its process has ended (see
        `wait`). Of a finished one the result is removed, and the row stays as a tombstone. Twice changes nothing.

        Raises
        ------
        UnknownError
            As `get`.
        """
        with self._write() as connection:
            job = self._get(connection, job_id, owner)
            now = self._now()
            values: dict[str, Any] = {"updated": now}
            if job.state is State.RUNNING:
                values |= {"cancel": True, "message": "dismissing"}
            else:
                values |= {"state": State.DISMISSED, **transitions.dismissed()}
            if job.state is State.ACCEPTED:
                values |= {"finished": now, "follows": None, "lane": job.lane.removeprefix(FOLLOWING)}
                transitions.count(connection, job.owner, job.lane, queued=-1)
            if job.state is not State.DISMISSED:
                connection.execute(update(JOBS).where(JOBS.c.id == job_id).values(**values))
            if job.state in (State.ACCEPTED, State.SUCCESSFUL):
                row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one()
                if job.state is State.ACCEPTED:
                    transitions.tell(connection, row, now)
                transitions.release(connection, job_id, now)
            job = self._get(connection, job_id, owner)
        self._notify()
        return job

    def wait(self, job_id: str, owner: str | None, seconds: float) -> Job:
        """Return the job as soon as it is finished, or as it stands after `seconds`.

        Raises
        ------
        UnknownError
            As `get`.
        """
        end = time.monotonic() + seconds
        pause = 0.01
        while True:
            job = self.get(job_id, owner)
            left = end - time.monotonic()
            if job.state in FINISHED or left <= 0:
                return job
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.25)

    def counts(self) -> dict[State, int]:
        """Return how many jobs stand in each state."""
        with self._read() as connection:
            rows = connection.execute(select(JOBS.c.state, func.count()).group_by(JOBS.c.state)).all()
        found = {State(state): int(number) for state, number in rows}
        return {state: found.get(state, 0) for state in State}

    # What the runner does.

    def claim(self, slots: int) -> Job | None:
        """Start the next job: return it as running, with a new attempt number; None where none may start now.

        Parameters
        ----------
        slots : int
            Jobs, of all owners, that may run at the same time.
        """
        with self._read() as connection:
            # A runner asks several times a second: an empty queue costs no lock.
            waiting = and_(QUEUES.c.queued > 0, QUEUES.c.lane.not_like(FOLLOWING + "%"))
            if connection.execute(select(QUEUES.c.owner).where(waiting).limit(1)).first() is None:
                return None
        with self._write() as connection:
            return transitions.start_next(connection, self._now(), slots, self.quotas)

    def record_progress(self, reports: Sequence[tuple[str, int, float, str | None]]) -> None:
        """Record how far running attempts are.

        Parameters
        ----------
        reports : sequence of (job id, attempt, fraction, message)
            The fraction is 0..1 and never lowers the progress; a message of None leaves the last one.
        """
        now = self._now()
        with self._write() as connection:
            for job_id, attempt, fraction, message in reports:
                percent = min(99, max(0, int(fraction * 100)))
                where = and_(running(job_id, attempt), JOBS.c.cancel.is_(False))
                values: dict[str, Any] = {"updated": now} if message is None else {"updated": now, "message": message}
                connection.execute(update(JOBS).where(where).values(**values))
                connection.execute(update(JOBS).where(where, JOBS.c.progress < percent).values(progress=percent))

    def cancelled(self) -> frozenset[str]:
        """Return the ids of the running jobs that were dismissed."""
        with self._read() as connection:
            rows = connection.execute(select(JOBS.c.id).where(JOBS.c.state == State.RUNNING, JOBS.c.cancel.is_(True)))
            return frozenset(rows.scalars())

    def finish(self, job_id: str, attempt: int, result: Result, keep_seconds: float | None = None) -> bool:
        """Commit the result of an attempt, unless the attempt was given up or the job was dismissed.

        Returns
        -------
        bool
            False if the commit is refused; the caller then removes the result's file.
        """
        now = self._now()
        described = {name: value for name, value in asdict(result).items() if name != "expires"}
        expires = None if keep_seconds is None else now + int(keep_seconds * 1e6)
        values = {"result": json.dumps(described), "expires": expires, "progress": 100, "message": "finished"}
        with self._write() as connection:
            row = transitions.attempt_row(connection, job_id, attempt)
            if row is None or row.cancel:
                return False
            transitions.leave(connection, row, State.SUCCESSFUL, now, finished=now, **values)
            return True

    def fail(self, job_id: str, attempt: int, failure: Failure) -> bool:
        """End an attempt that says why it failed; the job is not tried again. False if the attempt was given up."""
        with self._write() as connection:
            row = transitions.attempt_row(connection, job_id, attempt)
            if row is not None:
                transitions.fail(connection, row, self._now(), failure)
            return row is not None

    def crash(self, job_id: str, attempt: int, reason: str) -> bool:
        """End an attempt whose process ended without an answer. False if the attempt was given up before."""
        with self._write() as connection:
            row = transitions.attempt_row(connection, job_id, attempt)
            if row is not None:
                transitions.crash(connection, row, self._now(), reason)
            return row is not None

    def interrupt(self, job_id: str, attempt: int, reason: str) -> bool:
        """End an attempt that the machine ended. False if the attempt was given up before."""
        with self._write() as connection:
            row = transitions.attempt_row(connection, job_id, attempt)
            if row is not None:
                transitions.interrupt(connection, row, self._now(), reason)
            return row is not None

    def confirm_dismissed(self, job_id: str, attempt: int) -> bool:
        """Say that the process of a dismissed job has ended. False if the attempt was given up before."""
        now = self._now()
        with self._write() as connection:
            row = transitions.attempt_row(connection, job_id, attempt)
            if row is None or not row.cancel:
                return False
            transitions.leave(connection, row, State.DISMISSED, now, **transitions.dismissed(), finished=now)
            return True

    def recover(self) -> int:
        """Give up every running attempt, and return how many: for a new runner, when no other one is alive."""
        with self._write() as connection:
            rows = connection.execute(select(JOBS).where(JOBS.c.state == State.RUNNING)).all()
            for row in rows:
                transitions.interrupt(connection, row, self._now(), "the runner was restarted")
            return len(rows)

    def followers(self, limit: int = 100) -> tuple[tuple[Job, Job | None], ...]:
        """Return the jobs that wait for another one that is finished or gone, each with that one."""
        leader = JOBS.alias("leader")
        ended = or_(leader.c.id.is_(None), leader.c.state.in_(sorted(FINISHED)))
        query = (
            select(JOBS.c.id, leader.c.id)
            .select_from(JOBS.outerjoin(leader, leader.c.id == JOBS.c.follows))
            .where(JOBS.c.follows.is_not(None), JOBS.c.state == State.ACCEPTED, ended)
            .order_by(JOBS.c.number)
            .limit(limit)
        )
        with self._read() as connection:
            pairs = connection.execute(query).all()
            return tuple(
                (self._get(connection, one, None), None if other is None else self._get(connection, other, None))
                for one, other in pairs
            )

    def adopt(self, job_id: str, leader_id: str, result: Result, keep_seconds: float | None = None) -> bool:
        """Give a waiting job the result of the one that it follows; its file is there already.

        Returns
        -------
        bool
            False if the job does not wait for that one any more; the caller then removes the file.
        """
        now = self._now()
        expires = None if keep_seconds is None else now + int(keep_seconds * 1e6)
        waits = and_(JOBS.c.id == job_id, JOBS.c.state == State.ACCEPTED, JOBS.c.follows == leader_id)
        with self._write() as connection:
            row = connection.execute(select(JOBS).where(waits)).first()
            if row is not None:
                transitions.adopt(connection, row, now, result, expires)
            return row is not None

    def release(self, leader_id: str) -> None:
        """Say that a job has no result for those that follow it: the first of them takes its own turn."""
        with self._write() as connection:
            transitions.release(connection, leader_id, self._now())

    # What the operator does.

    def retry(self, job_id: str) -> Job:
        """Put a failed job back into the queue, with new budgets.

        Raises
        ------
        UnknownError
            If there is no such job.
        ConflictError
            If it has not failed.
        """
        with self._write() as connection:
            job = self._get(connection, job_id, None)
            if job.state is not State.FAILED:
                raise ConflictError(f"the job is {job.state.value}: only a failed job can be tried again")
            row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one()
            transitions.again(connection, row, self._now())
            job = self._get(connection, job_id, None)
        self._notify()
        return job

    def purge(
        self, older_than_seconds: float, states: frozenset[State] = FINISHED, limit: int = 1000
    ) -> tuple[str, ...]:
        """Delete jobs that finished long ago, with their results; return their ids, whose files the caller removes."""
        cutoff = self._now() - int(older_than_seconds * 1e6)
        old = and_(JOBS.c.state.in_(sorted(states & FINISHED)), JOBS.c.finished <= cutoff)
        with self._write() as connection:
            ids = tuple(connection.execute(select(JOBS.c.id).where(old).limit(limit)).scalars())
            for job_id in ids:
                connection.execute(delete(JOBS).where(JOBS.c.id == job_id))
                transitions.release(connection, job_id, self._now())
            return ids

    # What subscribers are told.

    def due_callbacks(self, limit: int = 20) -> tuple[Callback, ...]:
        """Return what has to be sent now, oldest first."""
        with self._read() as connection:
            rows = connection.execute(
                select(CALLBACKS)
                .where(CALLBACKS.c.due <= self._now())
                .order_by(CALLBACKS.c.due, CALLBACKS.c.number)
                .limit(limit)
            ).all()
        return tuple(Callback(row.number, row.job_id, row.kind, row.uri, row.body, row.tries) for row in rows)

    def callback_done(self, number: int) -> None:
        """Say that a message was taken, or is given up."""
        with self._write() as connection:
            connection.execute(delete(CALLBACKS).where(CALLBACKS.c.number == number))

    def callback_again(self, number: int, seconds: float) -> None:
        """Say that a message was not taken: it is due again after some seconds."""
        due = self._now() + int(seconds * 1e6)
        with self._write() as connection:
            connection.execute(
                update(CALLBACKS).where(CALLBACKS.c.number == number).values(tries=CALLBACKS.c.tries + 1, due=due)
            )

    # What the sweeper does.

    def expire(self) -> int:
        """Withdraw the results whose time is over, and return how many; their files are then in `discarded`."""
        now = self._now()
        values = {"result": None, "expires": None, "discard": True, "updated": now, "message": "the result expired"}
        with self._write() as connection:
            return connection.execute(update(JOBS).where(JOBS.c.expires <= now).values(**values)).rowcount

    def discarded(self, limit: int = 1000) -> tuple[str, ...]:
        """Return the ids of jobs whose files are to be removed."""
        with self._read() as connection:
            rows = connection.execute(select(JOBS.c.id).where(JOBS.c.discard.is_(True)).limit(limit))
            return tuple(rows.scalars())

    def confirm_discarded(self, job_ids: Sequence[str]) -> None:
        """Say that the files of these jobs are removed."""
        with self._write() as connection:
            for job_id in job_ids:
                connection.execute(update(JOBS).where(JOBS.c.id == job_id).values(discard=False))

    def forget(self, older_than_seconds: float, limit: int = 1000) -> tuple[str, ...]:
        """Delete rows of jobs that finished long ago and keep no result; return their ids."""
        cutoff = self._now() - int(older_than_seconds * 1e6)
        with self._write() as connection:
            old = and_(JOBS.c.state.in_(sorted(FINISHED)), JOBS.c.finished < cutoff, JOBS.c.result.is_(None))
            ids = tuple(connection.execute(select(JOBS.c.id).where(old).limit(limit)).scalars())
            for job_id in ids:
                connection.execute(delete(JOBS).where(JOBS.c.id == job_id))
            idle = and_(OWNERS.c.queued == 0, OWNERS.c.running == 0)
            present = select(CLOCK.c.virtual_time).scalar_subquery()
            connection.execute(delete(OWNERS).where(idle, OWNERS.c.virtual_time <= present))
            connection.execute(delete(QUEUES).where(QUEUES.c.queued == 0, QUEUES.c.running == 0))
            return ids

    def states(self) -> dict[str, State]:
        """Return the state of every job: what may have files, and which."""
        with self._read() as connection:
            return {job_id: State(state) for job_id, state in connection.execute(select(JOBS.c.id, JOBS.c.state))}

    def _prepare(self) -> None:
        with self._write() as connection:
            METADATA.create_all(connection)
            row = connection.execute(select(CLOCK.c.version)).first()
            if row is None:
                connection.execute(insert(CLOCK).values(id=1, virtual_time=0.0, version=VERSION))
            elif upgrade(connection, row.version) != VERSION:
                raise StorageError(f"the job store has version {row.version}, this Isopleth needs {VERSION}")

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with _reachable(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with _reachable(), self.engine.connect().execution_options(reading=True) as connection:
            yield connection

    def _now(self) -> int:
        return int(self._clock() * 1e6)

    def _notify(self) -> None:
        for listener in self.listeners:
            with suppress(OSError):
                listener()

    def _get(self, connection: Connection, job_id: str, owner: str | None) -> Job:
        query = select(JOBS).where(JOBS.c.id == job_id)
        if owner is not None:
            query = query.where(JOBS.c.owner == owner)
        row = connection.execute(query).first()
        if row is None:
            raise UnknownError(f"there is no job {job_id[:64]!r}")
        return to_job(row)


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        raise BusyError("the job store cannot be reached at the moment") from error
