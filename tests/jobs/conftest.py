"""A store with a runner whose jobs are the functions of `job_entries`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.jobs.runner import Runner
from plugins.jobs.store import JobStore


@pytest.fixture
def make_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes a started runner on one data folder; all are stopped in the end."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    made: list[Runner] = []

    def make(**options) -> Runner:
        store = JobStore(tmp_path / "jobs.sqlite")
        options = {"preload": ("numpy",), "context": "!"} | options
        runner = Runner(store, tmp_path / "results", "job_entries:run", **options)
        made.append(runner)
        runner.start()
        return runner

    yield make
    for runner in made:
        runner.stop()
        runner.store.close()


@pytest.fixture
def runner(make_runner: Callable[..., Runner]) -> Runner:
    """One active runner."""
    runner = make_runner()
    assert runner.wait_active(120)
    return runner
