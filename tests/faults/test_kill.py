"""The server is killed without warning while jobs run and wait: none is lost, none is done twice, none lives on."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from plugins.jobs.job import JobRequest, State
from plugins.jobs.results import Results
from plugins.jobs.search import JobFilter
from plugins.jobs.store import JobStore

JOBS = 50
KILLS = 4
WAIT = 300.0
"""Seconds; only ever waited in full where the test fails."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pids").mkdir()
    return tmp_path


def start(folder: Path) -> subprocess.Popen:
    script = Path(__file__).with_name("server_script.py")
    server = subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"started\n"
    return server


def kill(server: subprocess.Popen) -> None:
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()


def until(condition):
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def family(server: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(server.pid).children(recursive=True)


def test_fifty_jobs_and_four_kills(folder):
    store = JobStore(folder / "jobs.sqlite")
    acknowledged = [
        store.submit(JobRequest(process_id="p", inputs={"n": n, "seconds": 0.15}, owner=f"user{n % 3}")).id
        for n in range(JOBS)
    ]
    chance = random.Random(7)
    relatives, killed_while_running = [], 0
    for _ in range(KILLS):
        before = store.counts()[State.SUCCESSFUL]
        server = start(folder)
        until(lambda before=before: store.counts()[State.SUCCESSFUL] > before + 3)
        until(lambda: store.counts()[State.RUNNING] > 0)
        time.sleep(chance.uniform(0, 0.1))
        relatives += family(server)
        kill(server)
        killed_while_running += store.counts()[State.RUNNING]
        # Nothing that the server had started may outlive it.
        _, alive = psutil.wait_procs(relatives, timeout=60)
        assert [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    server = start(folder)
    try:
        until(lambda: store.counts()[State.SUCCESSFUL] == JOBS)
    finally:
        kill(server)
    jobs = {job.id: job for job in store.list(JobFilter(limit=1000)).jobs}
    assert set(jobs) == set(acknowledged)
    assert killed_while_running > 0
    results = Results(folder / "results")
    results.reconcile(store.states())
    for n, job_id in enumerate(acknowledged):
        job = jobs[job_id]
        # Exactly one result, written by the attempt that was committed; interruptions are not the job's fault.
        assert results.path(job).read_text() == f"{n} {job.attempt}.tmp"
        assert len([p for p in results.folder(job_id).iterdir() if p.suffix == ".txt"]) == 1
        assert (job.crashes, job.attempt) == (0, job.interruptions + 1)
    assert sum(job.interruptions for job in jobs.values()) == killed_while_running
    assert [path.name for path in (folder / "pids").iterdir() if is_ours(int(path.name), folder)] == []
    store.close()


def is_ours(pid: int, folder: Path) -> bool:
    """Whether a number that a job once had is still that job, and not a later process."""
    try:
        return str(folder) in psutil.Process(pid).cwd()
    except psutil.Error:
        return False
