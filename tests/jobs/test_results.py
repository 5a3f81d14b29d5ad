"""The results folder."""

import hashlib
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.errors import StorageError, UnknownError
from plugins.jobs.job import JobRequest, Outcome, State, new_id
from plugins.jobs.results import Results, safe_name
from plugins.jobs.store import JobStore


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results")


def publish(results, job_id, attempt=1, content=b"abc", name="out.nc"):
    work = results.work_folder(job_id, attempt)
    work.mkdir(parents=True, exist_ok=True)
    (work / "x").write_bytes(content)
    return results.publish(job_id, attempt, Outcome(work / "x", "application/netcdf", name))


def test_a_published_result_says_what_is_on_the_disk(results, tmp_path):
    store = JobStore(tmp_path / "jobs.sqlite")
    job = store.submit(JobRequest(process_id="p", inputs={}))
    store.claim(1)
    content = os.urandom(100_000)
    result = publish(results, job.id, content=content)
    assert (result.size, result.sha256) == (100_000, hashlib.sha256(content).hexdigest())
    with pytest.raises(UnknownError):
        results.path(job)
    store.finish(job.id, 1, result)
    path = results.path(store.get(job.id))
    assert path.read_bytes() == content
    assert path.is_relative_to(results.root / job.id)
    path.unlink()
    with pytest.raises(UnknownError, match="removed"):
        results.path(store.get(job.id))
    store.close()


def test_two_attempts_share_no_file(results):
    job_id = new_id()
    publish(results, job_id, 1, b"lost")
    publish(results, job_id, 2, b"kept")
    names = sorted(path.name for path in (results.root / job_id).iterdir() if path.is_file())
    assert names == ["1-out.nc", "2-out.nc"]


@pytest.mark.parametrize("where", ["outside", "absent", "link", "folder"])
def test_only_a_file_in_the_work_folder_is_published(results, tmp_path, where):
    job_id = new_id()
    work = results.work_folder(job_id, 1)
    work.mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = {"outside": secret, "absent": work / "absent", "link": work / "link", "folder": work}[where]
    if where == "link":
        path.symlink_to(secret)
    with pytest.raises(StorageError):
        results.publish(job_id, 1, Outcome(path, "text/plain", "x"))
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("job_id", ["..", "a/b", "", ".lock", "a" * 65, "é", "a\n"])
def test_only_an_id_of_a_job_has_a_folder(results, job_id):
    with pytest.raises(UnknownError):
        results.folder(job_id)


@given(st.text(max_size=300))
def test_file_names_are_safe_in_paths_and_headers(name):
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}|[A-Za-z0-9._-]{1,100}", safe_name(name))
    assert safe_name(name) not in (".", "..")


def test_reconcile_keeps_exactly_what_the_jobs_need(results):
    states = {
        "successful": State.SUCCESSFUL, "dismissed": State.DISMISSED, "waiting": State.ACCEPTED, "failed": State.FAILED,
    }  # fmt: skip
    for job_id in (*states, "forgotten"):
        publish(results, job_id)
        results.log(job_id, 1).write_text("log")
        results.work_folder(job_id, 2).mkdir()
        (results.work_folder(job_id, 2) / "half").write_text("half")
    (results.root / ".trash-1").mkdir()
    (results.root / ".lock").touch()
    assert results.reconcile(states) > 0
    left = sorted(str(path.relative_to(results.root)) for path in results.root.rglob("*") if path.is_file())
    assert left == [
        ".lock", "failed/1-out.nc", "failed/1.log", "successful/1-out.nc", "successful/1.log", "waiting/1.log"
    ]  # fmt: skip
    assert results.reconcile(states) == 0


def test_remove_is_complete_and_may_be_repeated(results):
    job_id = new_id()
    publish(results, job_id)
    results.remove(job_id)
    results.remove(job_id)
    assert list(results.root.iterdir()) == []
