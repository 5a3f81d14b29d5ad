"""Any sequence of what clients, runners, crashes and time can do to a job store keeps its invariants."""

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from sqlalchemy import func, select

from plugins.datacube.errors import ConflictError, UnknownError
from plugins.jobs.job import Failure, JobRequest, Result, Sharing, State, Subscriber
from plugins.jobs.rules import Rule
from plugins.jobs.schema import CALLBACKS, JOBS, OWNERS, QUEUES
from plugins.jobs.search import JobFilter
from plugins.jobs.store import JobStore, Quotas
from plugins.jobs.transitions import MAX_CRASHES, MAX_INTERRUPTIONS

UNFINISHED = (State.ACCEPTED, State.RUNNING)
OWNER_NAMES = ("", "ada", "bob")
SLOTS = 3
RULES = (Rule(name="short", processes=("s",), reserved=1), Rule(name="bobs", users=("bob",), running_per_user=1))
SUBSCRIBER = Subscriber(
    success="https://a.example/s", in_progress="https://a.example/p", failed="https://a.example/f",
    job_url="https://b.example/{job}", result_url="https://b.example/{job}/{name}",
)  # fmt: skip


@dataclass
class Model:
    """What the test believes of one job."""

    owner: str
    key: str | None
    priority: int
    order: int
    state: State = State.ACCEPTED
    attempt: int = 0
    crashes: int = 0
    interruptions: int = 0
    cancel: bool = False
    committed: list = field(default_factory=list)
    id: str = ""
    content: str | None = None
    """What it asks for, where it may share the answer."""
    follows: str | None = None
    lane: str = ""
    told: list = field(default_factory=list)
    """What the subscriber is to be told, in order."""


class StoreMachine(RuleBasedStateMachine):
    jobs = Bundle("jobs")
    attempts = Bundle("attempts")

    def __init__(self):
        super().__init__()
        self.now = 1_000_000.0
        self.folder = tempfile.TemporaryDirectory()
        self.place = Path(self.folder.name) / "jobs.sqlite"
        self.store = self.open()
        self.model: dict[str, Model] = {}
        self.expires: dict[str, float] = {}
        self.gone: set[str] = set()
        self.order = 0

    def open(self):
        return JobStore(self.place, Quotas(2, 1000, SLOTS, RULES), clock=lambda: self.now)

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    @rule(
        target=jobs,
        owner=st.sampled_from(OWNER_NAMES),
        key=st.one_of(st.none(), st.sampled_from(["k1", "k2"])),
        priority=st.integers(-1, 1),
        process=st.sampled_from("ps"),
        content=st.sampled_from([None, "a"]),
    )
    def submit(self, owner, key, priority, process, content):
        process, content = ("p", None) if key else (process, content)
        request = JobRequest(
            process_id=process, inputs={"content": content}, owner=owner, idempotency_key=key, priority=priority,
            snapshot="s1", sharing=Sharing.EVERYBODY if content else Sharing.NOBODY, subscriber=SUBSCRIBER,
        )  # fmt: skip
        job = self.store.submit(request)
        earlier = [id_ for id_, m in self.model.items() if key is not None and (m.owner, m.key) == (owner, key)]
        if earlier:
            assert job.id == earlier[0]
            return multiple()
        assert job.id not in self.model
        assert job.state is State.ACCEPTED
        lane = ",".join(name for name, holds in (("short", process == "s"), ("bobs", owner == "bob")) if holds)
        m = Model(owner, key, priority, self.order, content=content and process + content, lane=lane)
        self.order += 1
        serves = [
            id_ for id_, other in self.model.items()
            if content and other.content == m.content and other.follows is None and not other.cancel
            and (self.fresh(id_) if other.state is State.SUCCESSFUL else other.state in UNFINISHED)
        ]  # fmt: skip
        m.follows = job.follows
        assert (m.follows in serves) if serves else (m.follows is None)
        self.model[job.id] = m
        return job.id

    @initialize(target=attempts)
    def begin_with_followers(self):
        """Most runs would otherwise end before a job that others follow has ended."""
        for owner in ("ada", "bob", ""):
            self.submit(owner=owner, key=None, priority=0, process="p", content="a")
        return self.claim()

    def fresh(self, job_id):
        result = self.store.get(job_id).result
        return result is not None and self.now < self.expires[job_id]

    def release(self, leader):
        """The first that follows a job takes its own turn, and the others follow that one."""
        waiting = sorted(
            ((m.order, id_) for id_, m in self.model.items() if m.follows == leader and m.state is State.ACCEPTED)
        )
        for n, (_, id_) in enumerate(waiting):
            self.model[id_].follows = None if n == 0 else waiting[0][1]

    @rule()
    def share(self):
        """What the runner does for the jobs that wait for another one."""
        for job, leader in self.store.followers():
            m = self.model[job.id]
            assert m.follows == job.follows
            assert leader is None or leader.state not in UNFINISHED
            if leader is not None and leader.result is not None:
                result = Result("text/plain", "f", 1, "0" * 64, job.attempt + 1)
                assert self.store.adopt(job.id, leader.id, result, 100.0)
                m.state, m.attempt, m.follows = State.SUCCESSFUL, m.attempt + 1, None
                m.committed.append(m.attempt)
                m.told.append("success")
                self.expires[job.id] = self.now + 100
            else:
                self.store.release(job.follows)
                self.release(job.follows)
                return

    @rule(job_id=jobs)
    def adopt_in_vain(self, job_id):
        """A job that does not follow the one that is named takes no result of it."""
        assert not self.store.adopt(job_id, "nobody", Result("text/plain", "f", 1, "0" * 64, 9), 1.0)

    @rule(job_id=jobs)
    def retry(self, job_id):
        m = self.model.get(job_id)
        if m is None or m.state is not State.FAILED:
            with pytest.raises((ConflictError, UnknownError)):
                self.store.retry(job_id)
            return
        assert self.store.retry(job_id).state is State.ACCEPTED
        m.state, m.crashes, m.interruptions = State.ACCEPTED, 0, 0

    @rule(states=st.sampled_from([frozenset({State.FAILED}), frozenset({State.SUCCESSFUL, State.DISMISSED})]))
    def purge(self, states):
        gone = set(self.store.purge(60.0, states))
        assert all(self.model[job_id].state in states for job_id in gone)
        for job_id in gone:
            self.gone.add(job_id)
            del self.model[job_id]
        for job_id in sorted(gone, key=str):
            self.release(job_id)

    @rule(target=attempts)
    def claim(self):
        job = self.store.claim(SLOTS)
        running = dict.fromkeys(OWNER_NAMES, 0)
        for m in self.model.values():
            running[m.owner] += m.state is State.RUNNING
        at_work = [m for m in self.model.values() if m.state is State.RUNNING]
        short_ones = sum("short" in m.lane for m in at_work)
        bobs = sum("bobs" in m.lane for m in at_work)
        ready = [
            m for m in self.model.values()
            if m.state is State.ACCEPTED and m.follows is None and running[m.owner] < 2
            and ("short" in m.lane or len(at_work) < SLOTS - max(0, 1 - short_ones))
            and not ("bobs" in m.lane and bobs)
        ]  # fmt: skip
        if job is None:
            assert sum(running.values()) >= SLOTS or not ready
            return multiple()
        m = self.model[job.id]
        assert m in ready
        assert sum(running.values()) < SLOTS
        first = min((r for r in ready if r.owner == m.owner), key=lambda r: (-r.priority, r.order))
        assert first is m
        m.state, m.attempt = State.RUNNING, m.attempt + 1
        m.told += ["inProgress"] if m.attempt == 1 else []
        assert job.attempt == m.attempt
        return (job.id, job.attempt)

    def fenced(self, attempt):
        """Whether the attempt still counts, and its job."""
        m = self.model.get(attempt[0]) or Model("", None, 0, -1, State.DISMISSED)
        m.id = attempt[0]
        return m.state is State.RUNNING and m.attempt == attempt[1], m

    @rule(attempt=attempts)
    def finish(self, attempt):
        counts, m = self.fenced(attempt)
        result = Result("text/plain", "f", 1, "0" * 64, attempt[1])
        accepted = self.store.finish(*attempt, result, 100.0)
        assert accepted == (counts and not m.cancel)
        if accepted:
            m.state = State.SUCCESSFUL
            m.told.append("success")
            self.expires[attempt[0]] = self.now + 100
            m.committed.append(attempt[1])

    @rule(attempt=attempts)
    def fail(self, attempt):
        counts, m = self.fenced(attempt)
        assert self.store.fail(*attempt, Failure("invalid-query", "no")) == counts
        if counts:
            self.end(m, State.FAILED)

    @rule(attempt=attempts)
    def crash(self, attempt):
        counts, m = self.fenced(attempt)
        assert self.store.crash(*attempt, "boom") == counts
        if counts:
            m.crashes += 1
            self.end(m, State.FAILED if m.crashes >= MAX_CRASHES else State.ACCEPTED)

    @rule(attempt=attempts)
    def interrupt(self, attempt):
        counts, m = self.fenced(attempt)
        assert self.store.interrupt(*attempt, "power") == counts
        if counts:
            self.interrupted(m)

    def interrupted(self, m):
        m.interruptions += 1
        self.end(m, State.FAILED if m.interruptions >= MAX_INTERRUPTIONS else State.ACCEPTED)

    def end(self, m, state):
        m.state = State.DISMISSED if m.cancel else state
        m.cancel = False
        if m.state is not State.ACCEPTED:
            m.told.append("failed")
            self.release(m.id)

    @rule(attempt=consumes(attempts))
    def confirm_dismissed(self, attempt):
        counts, m = self.fenced(attempt)
        assert self.store.confirm_dismissed(*attempt) == (counts and m.cancel)
        if counts and m.cancel:
            self.end(m, State.DISMISSED)

    @rule(job_id=jobs)
    def dismiss(self, job_id):
        m = self.model.get(job_id)
        if m is None:
            return
        job = self.store.dismiss(job_id, m.owner)
        if m.state is State.RUNNING:
            m.cancel = True
        else:
            m.told += ["failed"] if m.state is State.ACCEPTED else []
            m.state, m.follows = State.DISMISSED, None
            self.release(job_id)
        assert job.state is m.state

    @rule(attempt=attempts, fraction=st.floats(-1, 2))
    def progress(self, attempt, fraction):
        counts, _ = self.fenced(attempt)
        if attempt[0] not in self.model:
            return
        before = self.store.get(attempt[0]).progress
        self.store.record_progress([(*attempt, fraction, "working")])
        after = self.store.get(attempt[0]).progress
        assert before <= after <= (99 if counts else before)

    @rule()
    def lose_the_runner(self):
        """A new process opens the store while nobody else does."""
        self.store.close()
        self.store = self.open()
        running = [m for m in self.model.values() if m.state is State.RUNNING]
        assert self.store.recover() == len(running)
        for job_id, m in list(self.model.items()):
            if m in running:
                m.id = job_id
                self.interrupted(m)

    @rule(seconds=st.sampled_from([1.0, 60.0, 200.0]))
    def pass_time(self, seconds):
        self.now += seconds

    @rule()
    def expire(self):
        self.store.expire()
        for job_id, m in self.model.items():
            job = self.store.get(job_id)
            assert (job.result is None) or m.state is State.SUCCESSFUL

    @invariant()
    def every_acknowledged_job_is_there_as_believed(self):
        page = self.store.list(JobFilter(limit=1000))
        found = {job.id: job for job in page.jobs}
        assert page.matched == len(found)
        assert set(found) == set(self.model)
        for job_id, m in self.model.items():
            job = found[job_id]
            assert (job.state, job.attempt, job.crashes, job.interruptions, job.cancel, job.owner) == (
                m.state, m.attempt, m.crashes, m.interruptions, m.cancel, m.owner,
            )  # fmt: skip
            assert len(m.committed) <= 1
            assert job.result is None or m.committed == [job.result.attempt]
            assert (job.follows, job.lane.removeprefix("=")) == (m.follows, m.lane)
            assert job.lane.startswith("=") == (job.follows is not None)
            assert job.follows is None or job.state is State.ACCEPTED
            assert (job.finished is not None) == (m.state in (State.SUCCESSFUL, State.FAILED, State.DISMISSED))

    @invariant()
    def counters_are_counts(self):
        with self.store.engine.connect() as connection:
            rows = connection.execute(
                select(JOBS.c.owner, JOBS.c.state, func.count()).group_by(JOBS.c.owner, JOBS.c.state)
            ).all()
            counted = {(owner, state): n for owner, state, n in rows}
            for row in connection.execute(select(OWNERS)):
                assert row.queued == counted.get((row.owner, "accepted"), 0), json.dumps(str(rows))
                assert row.running == counted.get((row.owner, "running"), 0)
            rows = connection.execute(
                select(JOBS.c.owner, JOBS.c.lane, JOBS.c.state, func.count())
                .where(JOBS.c.state.in_(UNFINISHED))
                .group_by(JOBS.c.owner, JOBS.c.lane, JOBS.c.state)
            ).all()
            counted = {(owner, lane, state): n for owner, lane, state, n in rows}
            queues = connection.execute(select(QUEUES)).all()
            assert {(row.owner, row.lane) for row in queues} >= {key[:2] for key in counted}
            for row in queues:
                assert row.queued == counted.get((row.owner, row.lane, "accepted"), 0)
                assert row.running == counted.get((row.owner, row.lane, "running"), 0)

    @invariant()
    def subscribers_are_told_what_happened_in_order(self):
        with self.store.engine.connect() as connection:
            rows = connection.execute(select(CALLBACKS.c.job_id, CALLBACKS.c.kind).order_by(CALLBACKS.c.number)).all()
        for job_id, m in self.model.items():
            assert [kind for id_, kind in rows if id_ == job_id] == m.told


StoreMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStore = StoreMachine.TestCase
