"""Any sequence of what clients, runners, crashes and time can do to a job store keeps its invariants."""

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from sqlalchemy import func, select

from plugins.jobs.job import Failure, JobRequest, Result, State
from plugins.jobs.schema import JOBS, OWNERS
from plugins.jobs.search import JobFilter
from plugins.jobs.store import JobStore, Quotas
from plugins.jobs.transitions import MAX_CRASHES, MAX_INTERRUPTIONS

OWNER_NAMES = ("", "ada", "bob")
SLOTS = 3


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

    def open(self):
        return JobStore(self.place, Quotas(running_per_owner=2, queued_per_owner=1000), clock=lambda: self.now)

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    @rule(
        target=jobs,
        owner=st.sampled_from(OWNER_NAMES),
        key=st.one_of(st.none(), st.sampled_from(["k1", "k2"])),
        priority=st.integers(-1, 1),
    )
    def submit(self, owner, key, priority):
        request = JobRequest(
            process_id="p", inputs={"owner": owner}, owner=owner, idempotency_key=key, priority=priority
        )
        job = self.store.submit(request)
        earlier = [id_ for id_, m in self.model.items() if key is not None and (m.owner, m.key) == (owner, key)]
        if earlier:
            assert job.id == earlier[0]
            return multiple()
        assert job.id not in self.model
        assert job.state is State.ACCEPTED
        self.model[job.id] = Model(owner, key, priority, len(self.model))
        return job.id

    @rule(target=attempts)
    def claim(self):
        job = self.store.claim(SLOTS)
        running = dict.fromkeys(OWNER_NAMES, 0)
        for m in self.model.values():
            running[m.owner] += m.state is State.RUNNING
        ready = [m for m in self.model.values() if m.state is State.ACCEPTED and running[m.owner] < 2]
        if job is None:
            assert sum(running.values()) >= SLOTS or not ready
            return multiple()
        m = self.model[job.id]
        assert m in ready
        assert sum(running.values()) < SLOTS
        first = min((r for r in ready if r.owner == m.owner), key=lambda r: (-r.priority, r.order))
        assert first is m
        m.state, m.attempt = State.RUNNING, m.attempt + 1
        assert job.attempt == m.attempt
        return (job.id, job.attempt)

    def fenced(self, attempt):
        """Whether the attempt still counts, and its job."""
        m = self.model[attempt[0]]
        return m.state is State.RUNNING and m.attempt == attempt[1], m

    @rule(attempt=attempts)
    def finish(self, attempt):
        counts, m = self.fenced(attempt)
        result = Result("text/plain", "f", 1, "0" * 64, attempt[1])
        accepted = self.store.finish(*attempt, result, 100.0)
        assert accepted == (counts and not m.cancel)
        if accepted:
            m.state = State.SUCCESSFUL
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

    @rule(attempt=consumes(attempts))
    def confirm_dismissed(self, attempt):
        counts, m = self.fenced(attempt)
        assert self.store.confirm_dismissed(*attempt) == (counts and m.cancel)
        if counts and m.cancel:
            self.end(m, State.DISMISSED)

    @rule(job_id=jobs)
    def dismiss(self, job_id):
        m = self.model[job_id]
        job = self.store.dismiss(job_id, m.owner)
        if m.state is State.RUNNING:
            m.cancel = True
        else:
            m.state = State.DISMISSED
        assert job.state is m.state

    @rule(attempt=attempts, fraction=st.floats(-1, 2))
    def progress(self, attempt, fraction):
        counts, _ = self.fenced(attempt)
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
        for m in running:
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


StoreMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestStore = StoreMachine.TestCase
