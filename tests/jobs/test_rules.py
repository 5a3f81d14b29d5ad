"""Rules of the operator: what they select, what they refuse, and what they hold back."""

import pytest

from plugins.datacube.errors import QuotaError, TooLargeError
from plugins.jobs.job import JobRequest, Result, State
from plugins.jobs.rules import Quotas, Rule
from plugins.jobs.store import JobStore

RESULT = Result("text/plain", "out.txt", 3, "ab" * 32, 1)


@pytest.fixture
def store_with(tmp_path):
    made = []

    def make(*rules, **more):
        made.append(JobStore(tmp_path / "jobs.sqlite", Quotas(rules=rules, **more)))
        return made[-1]

    yield make
    for store in made:
        store.close()


def ask(owner="", process_id="p", cost=None, **more):
    return JobRequest(process_id=process_id, inputs={}, owner=owner, cost=cost, **more)


def drain(store, slots):
    """The owners in the order in which their jobs start, one after the other."""
    order = []
    while (job := store.claim(slots)) is not None:
        order.append(job.owner)
        store.finish(job.id, job.attempt, RESULT)
    return order


def test_all_rules_that_select_a_job_stand_in_its_lane(store_with):
    store = store_with(
        Rule(name="short", cost_below=100),
        Rule(name="long", cost_from=100),
        Rule(name="plots", processes=("plot-*",)),
        Rule(name="staff", users=("staff/*",)),
    )
    cases = [
        (ask("staff/ada", "plot-map", 99), "short,plots,staff"),
        (ask("bob", "subset", 100), "long"),
        (ask("bob", "subset", None), ""),
    ]
    for request, lane in cases:
        assert store.submit(request).lane == lane


def test_a_reserved_slot_is_kept_free_and_used(store_with):
    store = store_with(Rule(name="short", cost_below=10, reserved=1))
    long_ones = [store.submit(ask("hog", cost=1000)) for _ in range(5)]
    assert store.claim(3).id == long_ones[0].id
    assert store.claim(3).id == long_ones[1].id
    assert store.claim(3) is None
    assert store.outlook(long_ones[2])[long_ones[2].id].block is None  # without slots nothing is said
    short = store.submit(ask("hog", cost=1))
    assert store.claim(3).id == short.id
    assert store.claim(3) is None
    store.finish(short.id, 1, RESULT)
    assert store.claim(3) is None, "the slot is kept, though nobody needs it now"


def test_the_running_limits_of_a_rule_hold_and_others_go_past(store_with):
    store = store_with(Rule(name="heavy", processes=("heavy",), running=2, running_per_user=1))
    for _ in range(3):
        store.submit(ask("ada", "heavy"))
    store.submit(ask("ada", "light"))
    store.submit(ask("bob", "heavy"))
    store.submit(ask("cid", "heavy"))
    started = []
    while (job := store.claim(10)) is not None:
        started.append((job.owner, job.process_id))
    assert sorted(started) == [("ada", "heavy"), ("ada", "light"), ("bob", "heavy")]


def test_a_refused_job_is_told_the_rule_and_what_would_be_accepted(store_with):
    store = store_with(
        Rule(name="heavy", processes=("heavy",), queued=3, queued_per_user=2), Rule(name="guests", cost_most=1000)
    )
    for _ in range(2):
        store.submit(ask("ada", "heavy"))
    with pytest.raises(QuotaError, match=r"2 of your jobs wait already under the rule 'heavy'") as caught:
        store.submit(ask("ada", "heavy"))
    assert (caught.value.rule, caught.value.valid) == ("heavy", "the same request, as soon as fewer than 2 wait")
    store.submit(ask("ada", "light"))
    store.submit(ask("bob", "heavy"))
    with pytest.raises(QuotaError, match="3 jobs wait already"):
        store.submit(ask("cid", "heavy"))
    with pytest.raises(TooLargeError, match="guests") as large:
        store.submit(ask("dan", "light", 1001))
    assert (large.value.estimate, large.value.limits) == ({"bytes_decoded": 1001}, {"bytes_decoded": 1000})
    assert store.counts()[State.ACCEPTED] == 4, "nothing was written for those that were refused"


def test_a_user_of_weight_three_starts_three_times_as_often(store_with):
    store = store_with(Rule(name="gold", users=("gold",), weight=3.0))
    for _ in range(12):
        store.submit(ask("gold"))
        store.submit(ask("zinc"))
    order = drain(store, 1)
    # Until the gold ones are through, every four starts hold three of them.
    assert [order[n : n + 4].count("gold") for n in range(0, 16, 4)] == [3, 3, 3, 3]


def test_a_rule_that_is_gone_limits_nothing(store_with):
    store = store_with(Rule(name="heavy", running=1))
    store.submit(ask("ada"))
    store.submit(ask("bob"))
    assert store.claim(5) is not None
    assert store.claim(5) is None
    store.quotas = Quotas()
    assert store.claim(5) is not None
