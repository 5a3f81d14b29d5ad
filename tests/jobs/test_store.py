"""The store: durability, fairness, budgets, filters, expiry."""

import sqlite3
import threading
import time

import pytest

from plugins.datacube.errors import BusyError, InvalidQueryError, StorageError, UnknownError
from plugins.jobs import schema
from plugins.jobs.job import Failure, JobRequest, Result, State
from plugins.jobs.search import JobFilter
from plugins.jobs.store import JobStore, Quotas

RESULT = Result("text/plain", "out.txt", 3, "ab" * 32, 1)


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    store = JobStore(tmp_path / "jobs.sqlite", clock=clock)
    yield store
    store.close()


def ask(owner="", **more):
    return JobRequest(process_id=more.pop("process_id", "p"), inputs=more.pop("inputs", {}), owner=owner, **more)


def done(store, job):
    assert store.finish(job.id, job.attempt, RESULT)


def test_a_submitted_job_is_read_back_by_another_connection(store, tmp_path):
    job = store.submit(ask("ada", inputs={"a": [1, 2.5, None, "é"]}, options={"response": "raw"}, snapshot="s1"))
    other = JobStore(tmp_path / "jobs.sqlite")
    found = other.get(job.id, "ada")
    other.close()
    assert found == job
    assert found.inputs == {"a": [1, 2.5, None, "é"]}
    assert (found.options, found.snapshot, found.state) == ({"response": "raw"}, "s1", State.ACCEPTED)


def test_commits_are_synchronous_and_logged_ahead(store):
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_nobody_sees_the_jobs_of_others(store):
    job = store.submit(ask("ada"))
    for act in (store.get, store.dismiss):
        with pytest.raises(UnknownError):
            act(job.id, "bob")
    assert store.list(JobFilter(owner="bob")).matched == 0
    with pytest.raises(InvalidQueryError):
        store.list(JobFilter(owner="bob", token=job.id))
    assert store.get(job.id, "ada").state is State.ACCEPTED


def test_an_idempotency_key_makes_one_job(store):
    first = store.submit(ask("ada", idempotency_key="k", inputs={"a": 1, "b": 2}))
    again = store.submit(ask("ada", idempotency_key="k", inputs={"b": 2, "a": 1}))
    other = store.submit(ask("bob", idempotency_key="k", inputs={"a": 1, "b": 2}))
    assert first.id == again.id != other.id
    with pytest.raises(InvalidQueryError, match="different request"):
        store.submit(ask("ada", idempotency_key="k", inputs={"a": 2}))


def test_many_threads_with_one_key_make_one_job(store):
    ids, gate = [], threading.Barrier(8)

    def submit():
        gate.wait()
        ids.append(store.submit(ask(idempotency_key="k")).id)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


def test_inputs_that_are_not_json_are_refused_before_anything_is_written(store):
    with pytest.raises(ValueError):
        store.submit(ask(inputs={"a": float("nan")}))
    assert store.list(JobFilter()).matched == 0


def test_a_hog_does_not_keep_a_second_user_waiting(store):
    for _ in range(100):
        store.submit(ask("hog"))
    running = [store.claim(2), store.claim(2)]
    for _ in range(5):
        store.submit(ask("late"))
    order = []
    while len(order) < 20:
        done(store, running.pop(0))
        running.append(store.claim(2))
        order.append(running[-1].owner)
    assert [i for i, owner in enumerate(order) if owner == "late"] == [0, 2, 4, 6, 8]


def test_coming_back_from_idleness_gives_no_credit(store):
    store.submit(ask("idle"))
    done(store, store.claim(1))
    for _ in range(30):
        store.submit(ask("busy"))
    for _ in range(20):
        done(store, store.claim(1))
    for _ in range(10):
        store.submit(ask("idle"))
    owners = []
    for _ in range(10):
        job = store.claim(1)
        owners.append(job.owner)
        done(store, job)
    assert owners.count("idle") == 5


def test_priority_orders_the_jobs_of_one_owner_only(store):
    low = store.submit(ask("ada", priority=0))
    high = store.submit(ask("ada", priority=9))
    other = store.submit(ask("bob", priority=-5))
    order = [store.claim(3).id for _ in range(3)]
    assert order.index(high.id) < order.index(low.id)
    assert order.index(other.id) < 2


def test_slots_and_the_limit_per_owner_hold(tmp_path):
    store = JobStore(tmp_path / "jobs.sqlite", Quotas(running_per_owner=2, queued_per_owner=4))
    for _ in range(4):
        store.submit(ask("ada"))
    with pytest.raises(BusyError, match="4 of your jobs"):
        store.submit(ask("ada"))
    store.submit(ask("bob"))
    claimed = [store.claim(4) for _ in range(4)]
    assert [job.owner for job in claimed if job].count("ada") == 2
    assert claimed[3] is None
    store.submit(ask("cid"))
    store.submit(ask("dan"))
    assert store.claim(4) is not None
    assert store.claim(4) is None
    store.close()


def test_crashes_and_interruptions_have_budgets_of_their_own(store):
    job = store.submit(ask())
    for n in range(1, 50):
        claimed = store.claim(1)
        assert claimed.attempt == n
        assert store.interrupt(job.id, n, "the runner was restarted")
    assert store.get(job.id).state is State.ACCEPTED
    assert store.get(job.id).message == "interrupted: the runner was restarted (49 of 50)"
    for n in range(50, 52):
        store.claim(1)
        assert store.crash(job.id, n, "boom")
        assert store.get(job.id).state is State.ACCEPTED
    store.claim(1)
    assert store.crash(job.id, 52, "boom")
    failed = store.get(job.id)
    assert (failed.state, failed.crashes, failed.interruptions) == (State.FAILED, 3, 49)
    assert failed.failure == Failure("crashed", "the job crashed 3 times, at last: boom")


def test_interruptions_end_too(store):
    job = store.submit(ask())
    for n in range(1, 51):
        assert store.claim(1).attempt == n
        store.interrupt(job.id, n, "power")
    assert store.get(job.id).failure.code == "interrupted"


def test_what_must_not_run_twice_fails_when_it_is_interrupted(store):
    job = store.submit(ask(idempotent=False))
    store.claim(1)
    assert store.recover() == 1
    assert store.get(job.id).state is State.FAILED
    assert "must not run twice" in store.get(job.id).failure.detail


def test_a_lost_attempt_can_do_nothing(store):
    job = store.submit(ask())
    store.claim(1)
    store.recover()
    second = store.claim(1)
    assert not store.finish(job.id, 1, RESULT)
    assert not store.fail(job.id, 1, Failure("error", "late"))
    assert not store.crash(job.id, 1, "late")
    assert not store.interrupt(job.id, 1, "late")
    store.record_progress([(job.id, 1, 0.9, "late")])
    assert store.get(job.id) == second
    assert store.finish(job.id, 2, RESULT)


def test_a_dismissed_running_job_cannot_succeed(store):
    job = store.submit(ask())
    store.claim(1)
    assert store.dismiss(job.id).state is State.RUNNING
    assert store.cancelled() == {job.id}
    assert not store.finish(job.id, 1, RESULT)
    assert store.confirm_dismissed(job.id, 1)
    gone = store.get(job.id)
    assert (gone.state, gone.result, gone.cancel) == (State.DISMISSED, None, False)
    assert store.cancelled() == set()


def test_a_dismissed_job_of_a_dead_runner_is_dismissed(store):
    job = store.submit(ask())
    store.claim(1)
    store.dismiss(job.id)
    store.recover()
    assert store.get(job.id).state is State.DISMISSED


def test_dismissing_a_finished_job_leaves_a_tombstone_and_files_to_remove(store):
    job = store.submit(ask())
    done(store, store.claim(1))
    gone = store.dismiss(job.id)
    assert (gone.state, gone.result) == (State.DISMISSED, None)
    assert store.discarded() == (job.id,)
    store.confirm_discarded([job.id])
    assert store.discarded() == ()
    assert store.dismiss(job.id) == gone


def test_progress_never_falls_and_ends_at_100(store):
    job = store.submit(ask())
    store.claim(1)
    for fraction, shown in ((0.3, 30), (0.1, 30), (0.999, 99), (7.0, 99)):
        store.record_progress([(job.id, 1, fraction, f"at {fraction}")])
        assert store.get(job.id).progress == shown
        assert store.get(job.id).message == f"at {fraction}"
    store.record_progress([(job.id, 1, 0.0, None)])
    assert store.get(job.id).message == "at 7.0"
    store.finish(job.id, 1, RESULT)
    assert store.get(job.id).progress == 100


def test_results_expire_and_rows_are_forgotten(store, clock):
    kept, lost = store.submit(ask()), store.submit(ask())
    for keep in (1000.0, 10.0):
        job = store.claim(2)
        store.finish(job.id, 1, RESULT, keep)
    clock.now += 10
    assert store.expire() == 1
    assert store.get(kept.id).result is not None
    expired = store.get(lost.id)
    assert (expired.state, expired.result, expired.message) == (State.SUCCESSFUL, None, "the result expired")
    assert store.discarded() == (lost.id,)
    clock.now += 500
    assert store.forget(400) == (lost.id,)
    assert store.get(kept.id).result is not None
    with pytest.raises(UnknownError):
        store.get(lost.id)


def test_filters_select_what_a_loop_over_all_jobs_selects(store, clock):
    jobs = []
    for n in range(12):
        clock.now += 10
        jobs.append(store.submit(ask("ada", process_id="abc"[n % 3])))
    for n in range(8):
        job = store.claim(99)
        clock.now += n
        if n % 3 == 0:
            store.fail(job.id, job.attempt, Failure("error", "no"))
        elif n % 3 == 1:
            store.finish(job.id, job.attempt, RESULT)
    everything = store.list(JobFilter(owner="ada", limit=1000)).jobs
    assert [job.id for job in everything] == [job.id for job in reversed(jobs)]

    def seconds(job):
        from datetime import datetime

        if job.started is None:
            return None
        end = clock.now if job.finished is None else datetime.fromisoformat(job.finished).timestamp()
        return end - datetime.fromisoformat(job.started).timestamp()

    cases = {
        JobFilter(states=frozenset({State.FAILED, State.ACCEPTED})): lambda j: j.state in ("failed", "accepted"),
        JobFilter(process_ids=frozenset("ac")): lambda j: j.process_id in "ac",
        JobFilter(min_duration=2.5): lambda j: seconds(j) is not None and seconds(j) > 2.5,
        JobFilter(max_duration=3.5): lambda j: seconds(j) is not None and seconds(j) < 3.5,
        JobFilter(created=(int(1_700_000_030 * 1e6), int(1_700_000_060 * 1e6))): lambda j: (
            "2023-11-14T22:13:50" <= j.created <= "2023-11-14T22:14:20.000000Z"
        ),
    }
    for wanted, oracle in cases.items():
        expected = [job.id for job in everything if oracle(job)]
        page = store.list(wanted)
        assert [job.id for job in page.jobs] == expected
        assert page.matched == len(expected)
        assert 0 < len(expected) < 12


def test_pages_cover_the_list_once_while_jobs_are_added(store):
    first = [store.submit(ask()).id for _ in range(7)]
    seen, token = [], None
    while True:
        page = store.list(JobFilter(limit=3, token=token))
        seen += [job.id for job in page.jobs]
        store.submit(ask())
        token = page.next_token
        if token is None:
            break
    assert seen == first[::-1]
    assert store.list(JobFilter(limit=3, offset=2)).jobs[0].number == store.list(JobFilter()).jobs[2].number


def test_a_locked_database_is_busy_not_an_error_of_sqlite(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.1)
    store = JobStore(tmp_path / "jobs.sqlite")
    other = sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError):
        store.submit(ask())
    assert store.list(JobFilter()).matched == 0
    other.execute("ROLLBACK")
    other.close()
    store.submit(ask())
    assert store.list(JobFilter()).matched == 1
    store.close()


def test_another_version_and_a_network_disk_are_refused(tmp_path, monkeypatch):
    JobStore(tmp_path / "jobs.sqlite").close()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as connection:
        connection.execute("UPDATE clock SET version = 99")
    connection.close()
    with pytest.raises(StorageError, match="version 99"):
        JobStore(tmp_path / "jobs.sqlite")
    monkeypatch.setattr(schema, "disk_kind", lambda folder: "nfs4")
    with pytest.raises(StorageError, match="network disk"):
        JobStore(tmp_path / "other.sqlite")


def test_disk_kind_finds_the_innermost_mount(tmp_path):
    from pathlib import Path

    assert schema.disk_kind(Path("/proc/self")) == "proc"
    assert schema.disk_kind(tmp_path) not in ("", "proc")


def test_wait_returns_as_soon_as_the_job_ends(store):
    job = store.submit(ask())
    start = time.monotonic()
    assert store.wait(job.id, None, 0.05).state is State.ACCEPTED
    threading.Timer(0.1, lambda: store.dismiss(job.id)).start()
    assert store.wait(job.id, None, 600).state is State.DISMISSED
    assert time.monotonic() - start < 120


def test_claims_use_indices_only(store):
    """With many jobs queued a claim may not look at all of them."""
    plans = []
    with store.engine.connect() as connection:
        for text in (
            "SELECT number FROM jobs WHERE owner='a' AND state='accepted' ORDER BY priority DESC, number LIMIT 1",
            "SELECT count(*) FROM jobs WHERE state='running'",
            "SELECT * FROM owners WHERE queued > 0 AND running < 2 ORDER BY virtual_time, owner LIMIT 1",
        ):
            steps = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text)
            plans += [" ".join(row[3] for row in steps)]
    assert "jobs_queue" in plans[0]
    assert "TEMP B-TREE" not in plans[0]
    assert "jobs_state" in plans[1]
    assert "owners_turn" in plans[2]
    assert "TEMP B-TREE" not in plans[2]


def test_a_store_of_the_first_version_is_brought_up_to_this_one(tmp_path):
    """The tables as the first version made them, with a job that waits and one that runs."""
    store = JobStore(tmp_path / "jobs.sqlite")
    waiting, running = store.submit(ask("ada")), store.submit(ask("bob", priority=9))
    store.claim(1)
    store.claim(2)
    store.close()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as connection:
        for index in ("jobs_lane", "jobs_process", "jobs_content", "jobs_follows"):
            connection.execute(f"DROP INDEX {index}")
        for column in ("lane", "cost", "content", "follows", "shared", "subscriber"):
            connection.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
        connection.execute("DROP TABLE queues")
        connection.execute("DROP TABLE callbacks")
        connection.execute("UPDATE jobs SET state = 'accepted' WHERE id = ?", (waiting.id,))
        connection.execute("UPDATE owners SET queued = 1, running = 0 WHERE owner = 'ada'")
        connection.execute("UPDATE clock SET version = 1")
    connection.close()
    store = JobStore(tmp_path / "jobs.sqlite")
    assert store.recover() == 1
    assert {store.claim(2).id, store.claim(2).id} == {waiting.id, running.id}
    store.close()
    again = JobStore(tmp_path / "jobs.sqlite")
    assert again.counts()[State.RUNNING] == 2
    again.close()
