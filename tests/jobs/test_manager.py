"""A stock pygeoapi, by its own API functions, with our manager: durable and killable jobs."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from pygeoapi.api import API, APIRequest, processes
from werkzeug.test import create_environ
from werkzeug.wrappers import Request

from plugins.jobs import manager
from plugins.jobs.job import JobRequest, State
from plugins.jobs.store import JobStore

WAIT = 120.0
"""Seconds; only ever waited in full where a test fails."""


def config(folder: Path) -> dict:
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": 5000}, "url": "http://localhost:5000", "mimetype": "application/json",
            "encoding": "utf-8", "language": "en", "languages": ["en"], "pretty_print": False, "admin": False,
            "map": {"url": "https://tile.invalid/{z}/{x}/{y}.png", "attribution": "none"},
            "manager": {"name": "plugins.jobs.manager.IsoplethManager", "connection": str(folder)},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": {"en": "t"}, "description": {"en": "d"}, "keywords": {"en": ["k"]}, "keywords_type": "theme",
                "terms_of_service": "none", "url": "http://localhost",
            },
            "license": {"name": "CC0", "url": "http://localhost"},
            "provider": {"name": "p", "url": "http://localhost"},
            "contact": {"name": "c"},
        },
        "resources": {
            "greet": {"type": "process", "processor": {"name": "stock_processors.Greet"}},
            "echo": {"type": "process", "processor": {"name": "plugins.processes.processors.EchoProcessor"}},
        },
    }  # fmt: skip


@contextlib.contextmanager
def started(folder: Path) -> Iterator[API]:
    """A pygeoapi with a runner on a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        yield API(config(folder), {})
    for key, engine in list(manager._ENGINES.items()):
        if key[1] == folder:
            engine.runner.stop()
            engine.store.close()
            del manager._ENGINES[key]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """One for all tests: a runner takes seconds to start."""
    with started(tmp_path_factory.mktemp("manager")) as made:
        yield made


def request(api, method="GET", body=None, headers=None, query=""):
    headers = {"Accept": "application/json"} | (headers or {})
    data = None if body is None else json.dumps(body)
    environ = create_environ(method=method, query_string=query, headers=headers, data=data)
    return APIRequest.from_flask(Request(environ), api.locales)


def execute(api, process_id, inputs, prefer=None, **more):
    headers = {"Prefer": prefer} if prefer else {}
    return processes.execute_process(
        api, request(api, "POST", {"inputs": inputs, **more}, headers), process_id
    )  # fmt: skip


def status(api, job_id):
    _, code, body = processes.get_jobs(api, request(api), job_id)
    return code, json.loads(body)


def finished(api, job_id):
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        code, job = status(api, job_id)
        assert code == HTTPStatus.OK
        if job["status"] not in ("accepted", "running"):
            return job
        time.sleep(0.02)
    raise AssertionError("the job did not finish")


def test_asynchronous_execution(api):
    headers, code, body = execute(api, "greet", {"name": "Ada"}, "respond-async")
    assert code == HTTPStatus.CREATED
    job_id = json.loads(body)["jobID"]
    assert headers["Location"] == f"http://localhost:5000/jobs/{job_id}"
    assert finished(api, job_id)["status"] == "successful"
    _, code, body = processes.get_job_result(api, request(api), job_id)
    assert code == HTTPStatus.OK
    result = json.loads(body)
    assert result["greeting"] == "Hello Ada"
    assert result["pid"] != os.getpid()


def test_synchronous_execution_in_every_form(api):
    _, code, body = execute(api, "greet", {"name": "Ada"})
    assert (code, json.loads(body)["greeting"]) == (HTTPStatus.OK, "Hello Ada")
    _, code, body = execute(api, "greet", {"name": "Ada"}, response="document")
    assert json.loads(body)["outputs"][0]["greeting"] == "Hello Ada"
    headers, code, body = execute(api, "greet", {"name": "binary"})
    assert (headers["Content-Type"], body) == ("application/octet-stream", b"\x00\xff" * 10)
    _, code, body = execute(api, "echo", {"echo": "a", "number": 1.5}, outputs={"number": {}})
    assert json.loads(body) == {"number": 1.5}


@pytest.mark.parametrize("prefer", [None, "respond-async"])
def test_a_processor_that_refuses_gives_its_own_words(api, prefer):
    _, code, body = execute(api, "greet", {}, prefer)
    if prefer is None:
        assert code == HTTPStatus.BAD_REQUEST
        assert json.loads(body)["description"] == "the input name is missing"
        return
    job = finished(api, json.loads(body)["jobID"])
    assert (job["status"], job["message"]) == ("failed", "the input name is missing")


def test_our_own_errors_name_the_input(api):
    _, code, body = execute(api, "echo", {"number": "seven"})
    assert code == HTTPStatus.BAD_REQUEST
    assert "'number' is not of type number" in json.loads(body)["description"]


def test_dismissing_stops_the_work(api):
    _, _, body = execute(api, "greet", {"name": "slow", "seconds": 600}, "respond-async")
    job_id = json.loads(body)["jobID"]
    end = time.monotonic() + WAIT
    while status(api, job_id)[1]["status"] != "running" and time.monotonic() < end:
        time.sleep(0.02)
    _, code, body = processes.delete_job(api, request(api, "DELETE"), job_id)
    assert (code, json.loads(body)["status"]) == (HTTPStatus.OK, "dismissed")
    assert status(api, job_id)[1]["status"] == "dismissed"
    _, code, _ = processes.delete_job(api, request(api, "DELETE"), job_id)
    assert code == HTTPStatus.NOT_FOUND
    # The slot is free again.
    assert execute(api, "greet", {"name": "next"})[1] == HTTPStatus.OK


def test_the_list_has_pages(api):
    made = {json.loads(execute(api, "greet", {"name": str(n)}, "respond-async")[2])["jobID"] for n in range(3)}
    found = []
    for offset in range(0, 1000, 2):
        _, _, body = processes.get_jobs(api, request(api, query=f"limit=2&offset={offset}"))
        page = json.loads(body)
        if not page["jobs"]:
            break
        found += [job["jobID"] for job in page["jobs"]]
        if offset == 0:
            assert len(found) == 2
            assert any(link["rel"] == "next" for link in page["links"])
    assert len(set(found)) == len(found)
    assert made <= set(found)


@pytest.mark.parametrize("job_id", ["nobody", "../../etc/passwd", ""])
def test_an_unknown_job_is_not_found(api, job_id):
    if job_id:
        assert processes.get_jobs(api, request(api), job_id)[1] == HTTPStatus.NOT_FOUND
    assert processes.get_job_result(api, request(api), job_id)[1] == HTTPStatus.NOT_FOUND
    assert processes.delete_job(api, request(api, "DELETE"), job_id)[1] == HTTPStatus.NOT_FOUND


def test_subscribers_are_refused(api):
    _, code, body = execute(api, "greet", {"name": "x"}, subscriber={"successUri": "http://127.0.0.1:1/"})
    assert code == HTTPStatus.BAD_REQUEST
    assert "no notifications" in json.loads(body)["description"]


def test_jobs_of_an_earlier_server_go_on(tmp_path):
    store = JobStore(tmp_path / "jobs.sqlite")
    inputs = {"data": {"name": "left over"}, "outputs": None, "response": "raw"}
    job = store.submit(JobRequest(process_id="greet", inputs=inputs))
    with started(tmp_path):
        assert store.wait(job.id, None, WAIT).state is State.SUCCESSFUL
    store.close()


def test_adding_and_updating_by_the_managers_own_methods(api):
    job_id = api.manager.add_job({"process_id": "greet", "parameters": {"name": "x", "seconds": 600}})
    end = time.monotonic() + WAIT
    while api.manager.get_job(job_id)["status"] != "running" and time.monotonic() < end:
        time.sleep(0.02)
    assert not api.manager.update_job(job_id, {"status": "successful"})
    assert api.manager.update_job(job_id, {"progress": 40, "message": "almost half"})
    seen = api.manager.get_job(job_id)
    assert (seen["progress"], seen["message"]) == (40, "almost half")
    assert api.manager.update_job(job_id, {"status": "dismissed"})
    assert api.manager.get_job(job_id)["status"] == "dismissed"
