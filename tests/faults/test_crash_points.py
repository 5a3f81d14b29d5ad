"""A process that ends after any statement of the store loses nothing acknowledged and breaks no invariant."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import event

from plugins.jobs.job import JobRequest
from plugins.jobs.store import JobStore

HERE = Path(__file__).parent


@pytest.fixture
def memory():
    """A folder in memory where there is one: a process that ends loses nothing that the system has."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def crash_points(monkeypatch):
    """The script beside this file, as a module: the history that is played, and the invariants."""
    monkeypatch.syspath_prepend(str(HERE))
    import crash_points

    return crash_points


def test_a_crash_after_any_statement_breaks_nothing(memory):
    script = [sys.executable, str(HERE / "crash_points.py"), str(memory)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    making, playing, sharing = (int(word) for word in done.stdout.split())
    assert making > 8
    assert playing > 60
    assert sharing > 60


def test_an_error_after_any_statement_is_rolled_back(memory, crash_points):
    """The statement worked, then the program failed: the store must be as before, in the same process too."""

    class InjectedError(Exception):
        pass

    JobStore(memory / "empty" / "jobs.sqlite").close()
    shutil.copytree(memory / "empty", memory / "data")
    store = JobStore(memory / "data" / "jobs.sqlite")
    statements, finished = 0, False
    while not finished:
        statements += 1
        store.close()
        shutil.rmtree(memory / "data")
        shutil.copytree(memory / "empty", memory / "data")
        told, seen = [], 0

        def count(*_, statements=statements):
            nonlocal seen
            seen += 1
            if seen == statements:
                raise InjectedError

        event.listen(store.engine, "after_cursor_execute", count)
        try:
            crash_points.history(store, lambda kind, job_id, told=told: told.append((kind, job_id)))
            finished = True
        except InjectedError:
            pass
        event.remove(store.engine, "after_cursor_execute", count)
        crash_points.check(store, told)
        # The same requests again: keys make them the same jobs, and nothing is locked.
        for n in range(2):
            request = JobRequest(process_id="p", inputs={"n": n}, owner="ab"[n % 2], idempotency_key=str(n))
            assert store.submit(request).id == store.submit(request).id
        crash_points.check(store, told)
    store.close()
    assert statements > 60
