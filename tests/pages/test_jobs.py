"""Does the job list in a browser follow the jobs without being loaded again, and stop the one that is meant?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plugins.jobs.job import JobRequest, State
from plugins.jobs.store import JobStore
from server.application import create_application
from server.deployment import create
from server.settings import JobSettings, Settings

EVIL = "<img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Served:
    url: str
    store: JobStore


@pytest.fixture
def jobs(serve: Any, tmp_path: Path) -> Iterator[Served]:
    """A server whose runner stands still: the test itself moves the jobs."""
    deployment = create(Settings(data=tmp_path, jobs=JobSettings(slots=1)))
    with serve(create_application(deployment)) as url:
        deployment.runner.stop()
        yield Served(url, deployment.jobs)
    deployment.jobs.close()


def cell(job_id: str, number: int) -> str:
    return f"document.querySelector('tr[data-job=\"{job_id}\"] td:nth-child({number})')?.textContent.trim()"


def test_the_list_follows_the_jobs_and_dismisses_one(chromium: Any, jobs: Served, tmp_path: Path) -> None:
    store = jobs.store
    first = store.submit(JobRequest(process_id="subset", inputs={}))
    with chromium.page(f"{jobs.url}/ogc/jobs?f=html", width=1400) as page:
        page.evaluate("window.stays = 1")
        page.wait(f"{cell(first.id, 4)} === '1'")
        store.claim(1)
        store.record_progress([(first.id, 1, 0.42, EVIL)])
        second = store.submit(JobRequest(process_id=EVIL, inputs={}))
        page.wait(f"{cell(first.id, 3)} === '42 %' && {cell(second.id, 4)} === '1'")
        assert page.evaluate(cell(first.id, 2)) == "running"
        assert page.evaluate(cell(first.id, 6)) == EVIL, "a text of a job is text"
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
        assert page.evaluate(cell(second.id, 6)) == "waiting: it is next; the only slot is busy"
        order = "[...document.querySelectorAll('tr[data-job]')].map(row => row.dataset.job)"
        assert page.evaluate(order) == [second.id, first.id]
        page.screenshot(tmp_path / "jobs.png")
        page.evaluate(f"document.querySelector('tr[data-job=\"{second.id}\"] button').click()")
        page.wait(f"{cell(second.id, 2)} === 'dismissed'")
        assert store.get(second.id).state is State.DISMISSED
        assert store.get(first.id).state is State.RUNNING
        assert page.evaluate("window.stays") == 1, "the page was loaded again"
    assert (tmp_path / "jobs.png").stat().st_size > 10_000
