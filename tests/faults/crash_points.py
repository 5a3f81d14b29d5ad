"""Crash points of the job store, in a process of their own: it forks, so it must have one thread.

``python crash_points.py FOLDER`` plays a history of submissions, claims, endings and dismissals in forks that end
(`os._exit`, no clean-up of any kind) after their n-th statement, for every n. Afterwards the store is opened again, its
invariants are checked, and its jobs are brought to their ends.
"""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sqlalchemy import Engine, event, func, select

from plugins.jobs.job import Failure, JobRequest, Result, Sharing, State, Subscriber
from plugins.jobs.schema import JOBS, OWNERS, QUEUES
from plugins.jobs.search import JobFilter
from plugins.jobs.store import JobStore

RESULT = Result("text/plain", "f", 1, "0" * 64, 1)
SUBSCRIBER = Subscriber(
    success="https://a.example/",
    in_progress="https://a.example/",
    failed="https://a.example/",
    job_url="",
    result_url="",
)


def history(store, tell):
    """Play every transition; `tell(kind, job id)` after each that was acknowledged."""
    jobs = [
        store.submit(JobRequest(process_id="p", inputs={"n": n}, owner="ab"[n % 2], idempotency_key=str(n)))
        for n in range(2)
    ]
    for job in jobs:
        tell("submitted", job.id)
    first, second = store.claim(2), store.claim(2)
    tell("claimed", first.id)
    store.record_progress([(first.id, first.attempt, 0.5, "half")])
    if store.finish(first.id, first.attempt, RESULT, 0.0):
        tell("committed", first.id)
    store.crash(second.id, second.attempt, "boom")
    again = store.claim(2)
    store.interrupt(again.id, again.attempt, "power")
    again = store.claim(2)
    store.dismiss(again.id)
    store.confirm_dismissed(again.id, again.attempt)
    tell("dismissed", again.id)
    third = store.submit(JobRequest(process_id="p", inputs={}, owner="c"))
    tell("submitted", third.id)
    claimed = store.claim(2)
    store.fail(claimed.id, claimed.attempt, Failure("error", "no"))
    fourth = store.submit(JobRequest(process_id="p", inputs={}, owner="c"))
    tell("submitted", fourth.id)
    store.dismiss(fourth.id)
    tell("dismissed", fourth.id)
    store.expire()
    store.confirm_discarded(store.discarded())


def shared_history(store, tell):
    """Play what jobs with the same request do, what subscribers are told, and what the operator does."""
    shared = {"inputs": {"same": 1}, "snapshot": "s1", "sharing": Sharing.EVERYBODY, "subscriber": SUBSCRIBER}
    followed = [store.submit(JobRequest(process_id="p", owner=owner, **shared)) for owner in "aab"]
    for job in followed:
        tell("submitted", job.id)
    store.dismiss(followed[0].id)
    tell("dismissed", followed[0].id)
    leader = store.claim(2)
    if store.finish(leader.id, leader.attempt, RESULT):
        tell("committed", leader.id)
    for job, made in store.followers():
        if store.adopt(job.id, made.id, RESULT):
            tell("committed", job.id)
    for callback in store.due_callbacks()[:2]:
        store.callback_again(callback.number, 10.0)
        store.callback_done(callback.number)
    failed = store.submit(JobRequest(process_id="p", inputs={}))
    store.claim(2)
    store.fail(failed.id, 1, Failure("error", "no"))
    store.retry(failed.id)
    store.claim(2)
    store.fail(failed.id, 2, Failure("error", "no"))
    store.purge(0.0, frozenset({State.FAILED}))


def check(store, told):
    jobs = {job.id: job for job in store.list(JobFilter(limit=1000)).jobs}
    for kind, job_id in told:
        assert job_id in jobs
        if kind == "committed":
            assert jobs[job_id].state is State.SUCCESSFUL
        if kind == "dismissed":
            assert jobs[job_id].state is State.DISMISSED
    for job in jobs.values():
        assert job.result is None or job.state is State.SUCCESSFUL
        assert (job.started is not None) or job.state in (State.ACCEPTED, State.DISMISSED)
        assert not job.cancel or job.state is State.RUNNING
    with store.engine.connect() as connection:
        rows = connection.execute(select(JOBS.c.owner, JOBS.c.state, func.count()).group_by(JOBS.c.owner, JOBS.c.state))
        counted = {(owner, state): n for owner, state, n in rows}
        owners = {row.owner: row for row in connection.execute(select(OWNERS))}
        assert {job.owner for job in jobs.values()} <= set(owners)
        queued: dict[str, int] = {}
        for row in connection.execute(select(QUEUES)):
            queued[row.owner] = queued.get(row.owner, 0) + row.queued
            assert row.queued == 0 or row.lane.startswith("=") == any(
                job.follows is not None for job in jobs.values() if job.lane == row.lane and job.owner == row.owner
            )
        for row in owners.values():
            assert row.queued == queued.get(row.owner, 0)
            assert (row.queued, row.running) == (
                counted.get((row.owner, "accepted"), 0),
                counted.get((row.owner, "running"), 0),
            )
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def ends_after(statements, engine, play):
    """Run `play(tell)` in a fork that ends without any clean-up after so many statements.

    Returns what it had told by then, and its status: 9 where it ended early, 0 where it came to its end.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status, seen = 1, 0

        def count(*_):
            nonlocal seen
            seen += 1
            if seen == statements:
                os._exit(9)

        try:
            event.listen(engine, "after_cursor_execute", count)
            play(lambda kind, job_id: os.write(write, f"{kind} {job_id}\n".encode()))
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = [tuple(line.split()) for line in pipe]
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 9)
    return told, status


def crash_after_any_statement(empty, memory, play):
    # One store object for all: what SQLAlchemy has compiled is inherited by the forks, connections are not.
    shutil.copytree(empty, memory / "data")
    store = JobStore(memory / "data" / "jobs.sqlite")
    play(store, lambda *_: None)
    statements, status = 0, 9
    while status == 9:
        statements += 1
        store.close()
        shutil.rmtree(memory / "data")
        shutil.copytree(empty, memory / "data")
        told, status = ends_after(statements, store.engine, lambda tell: play(store, tell))
        check(store, told)
        store.recover()
        check(store, told)
        assert store.counts()[State.RUNNING] == 0
        # Life goes on: every job that is left can be brought to its end.
        while (job := store.claim(1)) is not None:
            assert store.finish(job.id, job.attempt, RESULT)
            for follower, made in store.followers():
                assert store.adopt(follower.id, made.id, RESULT)
        for follower, made in store.followers():
            assert store.adopt(follower.id, made.id, RESULT)
        check(store, told)
        assert store.counts()[State.ACCEPTED] == 0
    store.close()
    shutil.rmtree(memory / "data")
    return statements


def crash_while_the_tables_are_made(memory):
    statements, status = 0, 9
    while status == 9:
        statements += 1
        place = memory / str(statements) / "jobs.sqlite"
        _, status = ends_after(statements, Engine, lambda tell, place=place: JobStore(place))
        store = JobStore(place)
        store.submit(JobRequest(process_id="p", inputs={}))
        check(store, [])
        store.close()
    return statements


if __name__ == "__main__":
    root = Path(sys.argv[1])
    JobStore(root / "empty" / "jobs.sqlite").close()
    playing = [crash_after_any_statement(root / "empty", root, play) for play in (history, shared_history)]
    print(crash_while_the_tables_are_made(root), *playing)
