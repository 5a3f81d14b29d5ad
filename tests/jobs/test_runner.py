"""The runner with real processes: every way in which a job can end."""

import hashlib
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from plugins.datacube.errors import BusyError
from plugins.jobs.job import JobRequest, State
from plugins.jobs.search import JobFilter

WAIT = 120.0
"""Seconds; only ever waited in full where the test fails."""


def submit(runner, process_id, **inputs):
    return runner.store.submit(JobRequest(process_id=process_id, inputs=inputs))


def finish(runner, process_id, **inputs):
    return runner.store.wait(submit(runner, process_id, **inputs).id, None, WAIT)


def until(condition, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def pids(mark: Path) -> list[int]:
    return [int(word) for word in mark.read_text().split()] if mark.exists() and mark.read_text().endswith("\n") else []


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_job_leaves_its_result_and_nothing_else(runner):
    job = finish(runner, "write", text="hello", name="../a b.txt")
    assert (job.state, job.progress, job.attempt) == (State.SUCCESSFUL, 100, 1)
    path = runner.results.path(job)
    assert path.read_bytes() == b"hello!"
    assert job.result.file_name == "a-b.txt"
    assert (job.result.size, job.result.sha256) == (6, hashlib.sha256(b"hello!").hexdigest())
    assert job.result.expires > job.finished
    until(lambda: sorted(p.name for p in path.parent.iterdir()) == ["1-a-b.txt", "1.log"])


def test_a_new_context_reaches_the_next_job(runner):
    runner.context = {"n": 2}
    job = finish(runner, "write", text="")
    assert runner.results.path(job).read_text() == "{'n': 2}"


def test_progress_is_seen_while_it_runs(runner, tmp_path):
    job = submit(runner, "progress", after=str(tmp_path / "seen"))
    seen = until(lambda: (j := runner.store.get(job.id)).progress and j)
    (tmp_path / "seen").touch()
    assert (seen.state, seen.progress, seen.message) == (State.RUNNING, 25, "a quarter")
    assert runner.store.wait(job.id, None, WAIT).state is State.SUCCESSFUL


@pytest.mark.parametrize(
    ("process_id", "code", "said"),
    [
        ("refuse", "invalid-query", "coords: no such place"),
        ("too_large", "too-large", "too much"),
        ("broken", "internal", "the process failed by an error of the server"),
        ("nothing", "storage", "left no result"),
    ],
)
def test_an_exception_fails_the_job_at_once(runner, process_id, code, said):
    job = finish(runner, process_id)
    assert (job.state, job.attempt, job.crashes) == (State.FAILED, 1, 0)
    assert job.failure.code == code
    assert said in job.message == job.failure.detail
    assert job.result is None
    assert "secret" not in repr(job)
    if process_id == "refuse":
        assert (job.failure.parameter, job.failure.valid) == ("coords", "a place")
    if process_id == "too_large":
        assert (job.failure.estimate, job.failure.limits) == ({"chunks": 9}, {"chunks": 1})
    if process_id == "broken":
        assert "/secret/path" in runner.results.log(job.id, 1).read_text()


def test_a_process_cannot_publish_what_is_not_its_own(runner):
    (runner.results.root / "others").write_text("others")
    job = finish(runner, "outside", file="others")
    assert job.state is State.FAILED
    assert (runner.results.root / "others").read_text() == "others"


@pytest.mark.parametrize(("process_id", "said"), [("vanish", "without an answer (status 3)"), ("segfault", "SIGSEGV")])
def test_a_job_that_crashes_is_tried_three_times(runner, tmp_path, process_id, said):
    job = finish(runner, process_id, mark=str(tmp_path / "mark"))
    assert (job.state, job.attempt, job.crashes, job.interruptions) == (State.FAILED, 3, 3, 0)
    assert said in job.failure.detail
    assert len((tmp_path / "mark").read_text().splitlines()) == 3


def test_a_job_that_crashes_once_succeeds(runner, tmp_path):
    job = finish(runner, "crash_once", mark=str(tmp_path / "mark"))
    assert (job.state, job.attempt, job.crashes) == (State.SUCCESSFUL, 2, 1)
    assert runner.results.path(job).read_bytes() == b"second!"


def test_a_running_job_is_dismissed_with_all_its_processes(runner, tmp_path):
    mark = tmp_path / "mark"
    job = submit(runner, "stubborn", mark=str(mark))
    mine = until(lambda: pids(mark))
    assert len(mine) == 2
    until(lambda: runner.store.get(job.id).state is State.RUNNING)
    runner.store.dismiss(job.id)
    assert runner.store.wait(job.id, None, WAIT).state is State.DISMISSED
    assert all(gone(pid) for pid in mine)
    until(lambda: not runner.results.folder(job.id).exists())


def test_dismissing_a_finished_job_removes_its_result(runner):
    job = finish(runner, "write", text="x")
    folder = runner.results.path(job).parent
    runner.store.dismiss(job.id)
    until(lambda: not folder.exists())
    assert runner.store.get(job.id).state is State.DISMISSED


def test_memory_has_a_limit(make_runner):
    runner = make_runner(memory=400 * 2**20)
    small = finish(runner, "allocate", bytes=50 * 2**20)
    assert small.state is State.SUCCESSFUL, small
    large = finish(runner, "allocate", bytes=500 * 2**20)
    assert (large.state, large.attempt) == (State.FAILED, 1)
    assert large.failure.code == "memory-limit"
    assert "400 MiB" in large.failure.detail


def test_time_has_a_limit(make_runner, tmp_path):
    runner = make_runner(seconds=0.5)
    job = finish(runner, "sleep", mark=str(tmp_path / "mark"))
    assert (job.state, job.failure.code, job.attempt) == (State.FAILED, "time-limit", 1)
    assert all(gone(pid) for pid in pids(tmp_path / "mark"))


def test_stopping_gives_the_jobs_back_and_another_runner_does_them(make_runner, tmp_path):
    first = make_runner()
    job = submit(first, "sleep", mark=str(tmp_path / "mark"))
    waiting = [submit(first, "write", text=str(n)) for n in range(3)]
    mine = until(lambda: pids(tmp_path / "mark"))
    first.stop()
    assert all(gone(pid) for pid in mine)
    back = first.store.get(job.id)
    assert (back.state, back.interruptions, back.crashes) == (State.ACCEPTED, 1, 0)
    assert back.message == "interrupted: the server was stopped (1 of 50)"
    assert not first.alive
    second = make_runner()
    for other in waiting:
        assert second.store.wait(other.id, None, WAIT).state is State.SUCCESSFUL
    until(lambda: second.store.get(job.id).attempt == 2)
    second.store.dismiss(job.id)
    assert second.store.wait(job.id, None, WAIT).state is State.DISMISSED


def test_one_runner_works_and_the_other_stands_by(make_runner):
    first = make_runner()
    assert first.wait_active(WAIT)
    second = make_runner()
    assert not second.wait_active(0.6)
    assert second.alive
    assert finish(second, "write", text="by the first").state is State.SUCCESSFUL
    first.stop()
    assert second.wait_active(WAIT)
    assert finish(second, "write", text="by the second").state is State.SUCCESSFUL


def test_a_killed_zygote_takes_its_jobs_with_it_and_they_run_again(runner, tmp_path):
    mark = tmp_path / "mark"
    job = submit(runner, "sleep", mark=str(mark))
    (pid,) = until(lambda: pids(mark))
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    until(lambda: gone(pid))
    until(lambda: len(pids(mark)) == 2)
    again = runner.store.get(job.id)
    assert (again.attempt, again.interruptions, again.crashes) == (2, 1, 0)
    runner.store.dismiss(job.id)
    assert runner.store.wait(job.id, None, WAIT).state is State.DISMISSED


def test_a_killed_job_process_counts_as_a_crash(runner, tmp_path):
    mark = tmp_path / "mark"
    job = submit(runner, "sleep", mark=str(mark))
    (pid,) = until(lambda: pids(mark))
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(pids(mark)) == 2)
    assert runner.store.get(job.id).crashes == 1
    runner.store.dismiss(job.id)
    runner.store.wait(job.id, None, WAIT)


def test_the_runner_outlives_a_store_that_is_away(runner, tmp_path, monkeypatch):
    job = submit(runner, "write", text="x", after=str(tmp_path / "away"), mark=str(tmp_path / "mark"))
    (pid,) = until(lambda: pids(tmp_path / "mark"))
    away = True
    names = ("finish", "claim", "cancelled", "discarded", "record_progress", "expire")
    for name in names:
        method = getattr(runner.store, name)

        def failing(*arguments, method=method):
            if away:
                raise BusyError("away") from OperationalError("", {}, Exception())
            return method(*arguments)

        monkeypatch.setattr(runner.store, name, failing)
    other = submit(runner, "write", text="y")
    (tmp_path / "away").touch()
    until(lambda: gone(pid))
    time.sleep(0.8)
    assert runner.store.get(job.id).state is State.RUNNING
    assert runner.store.get(other.id).state is State.ACCEPTED
    away = False
    for each in (job, other):
        ended = runner.store.wait(each.id, None, WAIT)
        assert (ended.state, ended.attempt) == (State.SUCCESSFUL, 1)


def test_no_more_jobs_run_than_there_are_slots(make_runner, tmp_path):
    runner = make_runner(slots=2)
    jobs = [submit(runner, "write", text="x", after=str(tmp_path / "seen")) for _ in range(6)]
    until(lambda: runner.store.counts()[State.RUNNING] == 2)
    time.sleep(0.5)
    assert runner.store.counts()[State.RUNNING] == 2
    (tmp_path / "seen").touch()
    most = []

    def done():
        most.append(runner.store.counts()[State.RUNNING])
        return runner.store.counts()[State.SUCCESSFUL] == len(jobs)

    until(done)
    assert max(most) <= 2
    assert runner.store.list(JobFilter(states=frozenset({State.SUCCESSFUL}))).matched == 6


def test_a_module_that_starts_threads_is_not_imported_before_the_fork(make_runner, tmp_path):
    runner = make_runner(preload=("numpy", "absent_module", "thread_starter", "json"))
    mark = tmp_path / "mark"
    job = submit(runner, "sleep", mark=str(mark))
    (pid,) = until(lambda: pids(mark))
    assert psutil.Process(pid).parent().num_threads() == 1
    runner.store.dismiss(job.id)
    assert runner.store.wait(job.id, None, WAIT).state is State.DISMISSED
