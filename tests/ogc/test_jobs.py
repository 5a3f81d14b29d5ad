"""What does a client read about its job, and what is it told when a job is refused?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from catalog.links import FrontUrls
from plugins.datacube.errors import InvalidQueryError, QuotaError
from plugins.datacube.library import Library
from plugins.datacube.limits import ByteBudget, Limits
from plugins.jobs.callbacks import CallbackPolicy
from plugins.jobs.job import JobRequest, Result, Sharing
from plugins.jobs.results import Results
from plugins.jobs.rules import Quotas, Rule
from plugins.jobs.store import JobStore
from plugins.processes.context import ProcessContext
from server.ogc.jobs import JobService, job_list, job_status
from server.ogc.messages import OgcRequest
from server.ogc.processes import ProcessService, execute
from server.problems import problem_for

BASE = FrontUrls("http://127.0.0.1:8000")
RESULT = Result("text/plain", "out.txt", 3, "ab" * 32, 1)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ProcessService]:
    rules = (Rule(name="few", processes=("echo",), queued=2),)
    store = JobStore(tmp_path / "jobs.sqlite", Quotas(slots=1, rules=rules))
    jobs = JobService(store, Results(tmp_path / "results"))
    yield ProcessService(jobs, Library(()), ProcessContext(), Limits(), ByteBudget(1 << 30), tmp_path / "tmp")
    store.close()


def post(service: ProcessService, **more: Any) -> dict[str, Any]:
    body = orjson.dumps({"inputs": {"echo": "a"}, **more})
    request = OgcRequest("POST", "/x", {}, BASE, body=body, headers={"prefer": "respond-async"})
    response = execute(service, request, "echo")
    assert response.status == 201
    document: dict[str, Any] = orjson.loads(response.content())
    return document


def status(service: ProcessService, job_id: str) -> tuple[dict[str, Any], int | None]:
    response = job_status(service.jobs, OgcRequest("GET", f"/ogc/jobs/{job_id}", {}, BASE), job_id)
    after = response.headers.get("Retry-After")
    return orjson.loads(response.content()), None if after is None else int(after)


def test_a_waiting_job_says_its_place_and_why_it_waits(service: ProcessService) -> None:
    first, second = post(service), post(service)
    assert first["isopleth:queue"]["position"] == 1
    service.jobs.store.claim(1)
    said, after = status(service, second["jobID"])
    assert said["message"] == "waiting: it is next; the only slot is busy"
    assert said["isopleth:queue"] == {"position": 1, "reason": {"kind": "slots"}}, "no times: nothing is known"
    assert after == 1
    third = post(service)
    assert third["message"] == "waiting: 1 job is before it; the only slot is busy"
    listed = orjson.loads(job_list(service.jobs, OgcRequest("GET", "/ogc/jobs", {}, BASE)).content())
    assert [job.get("isopleth:queue", {}).get("position") for job in listed["jobs"]] == [2, 1, None]


def test_times_are_said_once_jobs_have_been_measured(service: ProcessService) -> None:
    store = service.jobs.store
    start = datetime.now(UTC).timestamp() - 1000
    for n in range(6):
        store._clock = lambda n=n: start + 100 * n  # type: ignore[misc]
        job = store.submit(JobRequest(process_id="echo", inputs={}))
        store.claim(1)
        store._clock = lambda n=n: start + 100 * n + 40  # type: ignore[misc]
        store.finish(job.id, 1, RESULT)
    now = datetime.now(UTC).timestamp()
    store._clock = lambda: now
    running, waiting = post(service), post(service)
    store.claim(1)
    said, after = status(service, waiting["jobID"])
    seconds = {
        name: datetime.fromisoformat(said["isopleth:queue"][name]["expected"]).timestamp() - now
        for name in ("start", "finish")
    }
    assert seconds == pytest.approx({"start": 40, "finish": 80}, abs=3)
    assert after == 30, "half of what is left, at most half a minute"
    assert status(service, running["jobID"])[1] == 20


def test_a_refused_job_is_429_with_the_rule(service: ProcessService) -> None:
    post(service), post(service)
    with pytest.raises(QuotaError) as caught:
        post(service)
    code, headers, body = problem_for(caught.value, "/x")
    said = orjson.loads(body)
    assert (code, headers["Retry-After"], said["code"], said["rule"]) == (429, "60", "quota", "few")
    assert said["valid"] == "the same request, as soon as fewer than 2 wait"


def test_a_job_that_shares_says_so_and_names_nobody(service: ProcessService) -> None:
    store = service.jobs.store
    shared: dict[str, Any] = {"process_id": "p", "inputs": {}, "snapshot": "s", "sharing": Sharing.EVERYBODY}
    leader, follower = store.submit(JobRequest(**shared, owner="bob")), store.submit(JobRequest(**shared))
    store.claim(1)
    store.record_progress([(leader.id, 1, 0.3, None)])
    said, _ = status(service, follower.id)
    assert (said["status"], said["isopleth:shared"], said["progress"]) == ("accepted", "joined", 30)
    assert "the same request runs already" in said["message"]
    assert leader.id not in orjson.dumps(said).decode()
    store.finish(leader.id, 1, RESULT)
    assert store.adopt(follower.id, leader.id, RESULT)
    assert status(service, follower.id)[0]["isopleth:shared"] == "reused"


def test_subscribers_are_for_allowed_hosts_alone(service: ProcessService) -> None:
    subscriber = {"successUri": "https://hooks.example/a", "failedUri": "https://hooks.example/b"}
    with pytest.raises(InvalidQueryError, match="not offered"):
        post(service, subscriber=subscriber)
    open_ = replace(service, callbacks=CallbackPolicy(hosts=("hooks.example",), secret="x" * 20))
    for wrong in ({**subscriber, "successUri": "https://10.0.0.1/"}, {"failedUri": "https://hooks.example/"}, "x",
                  {**subscriber, "inProgress": "https://hooks.example/"}):  # fmt: skip
        with pytest.raises(InvalidQueryError):
            post(open_, subscriber=wrong)
    job = service.jobs.store.get(post(open_, subscriber=subscriber)["jobID"])
    assert job.subscriber is not None
    assert (job.subscriber.success, job.subscriber.failed) == tuple(subscriber.values())
    assert service.jobs.store.due_callbacks() == ()
    service.jobs.store.dismiss(job.id)
    (told,) = service.jobs.store.due_callbacks()
    assert (told.uri, orjson.loads(told.body)["status"]) == (subscriber["failedUri"], "dismissed")
