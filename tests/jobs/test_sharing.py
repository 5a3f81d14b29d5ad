"""One result for many requests: done once, owned by each, and never somebody else's."""

import pytest

from plugins.jobs.job import JobRequest, Sharing, State
from plugins.jobs.store import JobStore

WAIT = 120.0
"""Seconds; only ever waited in full where a test fails."""


def ask(owner="", sharing=Sharing.EVERYBODY, **more):
    inputs = more.pop("inputs", {"text": "hello"})
    return JobRequest(process_id="write", inputs=inputs, owner=owner, sharing=sharing, **{"snapshot": "s1", **more})


def test_identical_requests_run_once_and_each_has_a_file_of_its_own(runner, tmp_path):
    store, gate = runner.store, tmp_path / "gate"
    inputs = {"text": "hello", "mark": str(tmp_path / "mark"), "after": str(gate)}
    jobs = [store.submit(ask(owner, inputs=inputs)) for owner in ("ada", "bob", "cid")]
    assert [job.follows for job in jobs] == [None, jobs[0].id, jobs[0].id]
    gate.touch()
    ended = [store.wait(job.id, None, WAIT) for job in jobs]
    later = store.wait(store.submit(ask("dan", inputs=inputs)).id, None, WAIT)
    assert [(job.state, job.shared) for job in (*ended, later)] == [
        (State.SUCCESSFUL, n > 0) for n in range(4)
    ]  # fmt: skip
    assert len((tmp_path / "mark").read_text().split()) == 1, "it was run more than once"
    store.dismiss(jobs[0].id)
    while store.discarded():
        pass
    assert not runner.results.folder(jobs[0].id).exists()
    for job in (*ended[1:], later):
        assert runner.results.path(job).read_bytes() == b"hello!"
        assert job.result.sha256 == ended[0].result.sha256


def test_a_job_whose_leader_has_no_result_takes_its_own_turn(runner, tmp_path):
    store, gate = runner.store, tmp_path / "gate"
    inputs = {"text": "x", "after": str(gate)}
    first, second, third = (store.submit(ask("ada", inputs=inputs)) for _ in range(3))
    store.dismiss(first.id)
    assert store.wait(first.id, None, WAIT).state is State.DISMISSED
    gate.touch()
    ended = [store.wait(job.id, None, WAIT) for job in (second, third)]
    assert [(job.state, job.shared) for job in ended] == [(State.SUCCESSFUL, False), (State.SUCCESSFUL, True)]


def test_a_leader_whose_file_has_gone_is_no_leader(runner):
    store = runner.store
    first = store.wait(store.submit(ask()).id, None, WAIT)
    runner.results.path(first).unlink()
    second = store.wait(store.submit(ask()).id, None, WAIT)
    assert (second.state, second.shared) == (State.SUCCESSFUL, False)
    assert runner.results.path(second).read_bytes() == b"hello!"


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (ask("ada"), ask("bob"), True),
        (ask("ada", Sharing.OWNER), ask("ada", Sharing.OWNER), True),
        (ask("ada", Sharing.OWNER), ask("bob", Sharing.OWNER), False),
        (ask("ada", Sharing.OWNER), ask("bob", Sharing.EVERYBODY), False),
        (ask("ada", Sharing.NOBODY), ask("ada", Sharing.NOBODY), False),
        (ask("ada"), ask("ada", snapshot="s2"), False),
        (ask("ada", snapshot=None), ask("ada", snapshot=None), False),
        (ask("ada"), ask("ada", inputs={"text": "other"}), False),
        (ask("ada", version="1"), ask("ada", version="2"), False),
        (ask("ada", options={"response": "raw"}), ask("ada", options={"response": "document"}), True),
    ],
)
def test_who_shares_with_whom(tmp_path, first, second, together):
    store = JobStore(tmp_path / "jobs.sqlite")
    leader, other = store.submit(first), store.submit(second)
    assert other.follows == (leader.id if together else None)
    told = store.outlook(other)[other.id]
    assert (told.leader is not None) == together
    store.close()
