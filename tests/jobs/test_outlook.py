"""What is said of the future of a job: its position is that of a queue played by hand, its interval holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.jobs import forecast
from plugins.jobs.job import JobRequest, Result
from plugins.jobs.rules import Quotas
from plugins.jobs.store import JobStore

RESULT = Result("text/plain", "out.txt", 3, "ab" * 32, 1)


class Clock:
    now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_store(tmp_path, clock):
    made = []

    def make(**quotas):
        made.append(JobStore(tmp_path / f"{len(made)}.sqlite", Quotas(**quotas), clock=clock))
        return made[-1]

    yield make
    for store in made:
        store.close()


def ask(owner="", **more):
    return JobRequest(process_id=more.pop("process_id", "p"), inputs={}, owner=owner, **more)


def let_run(store, clock, seconds, **more):
    job = store.submit(ask(**more))
    assert store.claim(99).id == job.id
    clock.now += seconds
    store.finish(job.id, 1, RESULT)


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "ada", "bob", "cid"]), st.integers(-1, 1), st.booleans()),
        min_size=1,
        max_size=14,
    )
)
def test_positions_are_the_order_in_which_jobs_start(tmp_path_factory, steps):
    store = JobStore(tmp_path_factory.mktemp("q") / "jobs.sqlite", Quotas(slots=1))
    for owner, priority, ends_one in steps:
        store.submit(ask(owner, priority=priority))
        if ends_one and (job := store.claim(1)) is not None:
            store.finish(job.id, 1, RESULT)
    waiting = [job for job in (store.get(job_id) for job_id in store.states()) if job.state == "accepted"]
    said = {job_id: told.position for job_id, told in store.outlook(*waiting).items()}
    order = []
    while (job := store.claim(1)) is not None:
        order.append(job.id)
        store.finish(job.id, 1, RESULT)
    store.close()
    assert said == {job_id: n + 1 for n, job_id in enumerate(order)}


def test_the_reason_is_what_is_in_the_way(make_store):
    store = make_store(slots=2, running_per_owner=1)
    first, second = store.submit(ask("ada")), store.submit(ask("ada"))
    assert store.outlook(first)[first.id].block is None
    store.claim(2)
    assert store.outlook(second)[second.id].block.kind == "user"
    store.submit(ask("bob"))
    store.claim(2)
    assert store.outlook(second)[second.id].block.detail == "all 2 slots are busy"


def test_nothing_is_said_without_enough_finished_jobs(make_store, clock):
    store = make_store(slots=1)
    for _ in range(forecast.FEWEST - 1):
        let_run(store, clock, 10)
    running, waiting = store.submit(ask()), store.submit(ask())
    store.claim(1)
    told = store.outlook(store.get(running.id), waiting)
    assert (told[running.id].finish, told[waiting.id].start, told[waiting.id].finish) == (None, None, None)
    assert told[waiting.id].position == 1


def test_jobs_that_always_take_ten_seconds_start_every_ten_seconds(make_store, clock):
    store = make_store(slots=2)
    for _ in range(8):
        let_run(store, clock, 10)
    running = [store.submit(ask()), store.submit(ask())]
    for _ in running:
        store.claim(2)
    clock.now += 4
    waiting = [store.submit(ask()) for _ in range(4)]
    told = store.outlook(*(store.get(job.id) for job in running), *waiting)
    assert told[running[0].id].finish.expected == pytest.approx(6)
    assert [told[job.id].start.expected for job in waiting] == pytest.approx([6, 6, 16, 16])
    assert [told[job.id].finish.expected for job in waiting] == pytest.approx([16, 16, 26, 26])


def test_jobs_of_another_size_say_nothing(make_store, clock):
    store = make_store(slots=1)
    for _ in range(8):
        let_run(store, clock, 1, cost=10)
        let_run(store, clock, 100, cost=1000)
    for cost, seconds in ((12, 1), (900, 100), (10**6, None)):
        job = store.submit(ask(cost=cost))
        finish = store.outlook(job)[job.id].finish
        assert (finish is None) if seconds is None else finish.expected == pytest.approx(seconds)
        store.dismiss(job.id)


def test_progress_says_when_a_job_ends(make_store, clock):
    store = make_store(slots=1)
    job = store.submit(ask())
    store.claim(1)
    clock.now += 30
    store.record_progress([(job.id, 1, 0.75, None)])
    finish = store.outlook(store.get(job.id))[job.id].finish
    assert finish.earliest < 10 < finish.latest
    assert finish.expected == pytest.approx(10, rel=0.2)


def test_four_of_five_starts_lie_in_the_interval():
    """Queues whose jobs take what chance says, played by hand: the interval from 30 earlier jobs holds."""
    chance, inside, played = np.random.default_rng(3), 0, 200
    for _ in range(played):
        scale = chance.uniform(1, 60)

        def durations(n, scale=scale):
            return scale * chance.gamma(2.0, 0.5, n)

        ahead = int(chance.integers(1, 30))
        ends = [0.0, 0.0]
        for seconds in durations(ahead):
            ends[ends.index(min(ends))] += seconds
        said = forecast.interval(forecast.starts([], 2, durations(30), ahead + 1)(ahead + 1))
        inside += said.earliest <= min(ends) <= said.latest
    assert 0.68 <= inside / played <= 0.92
