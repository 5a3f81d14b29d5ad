"""Does `isopleth jobs` show and change the jobs of a data folder as it says?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.jobs.job import Failure, JobRequest, Result, State
from plugins.jobs.store import JobStore
from server.cli import main


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    """Held open all the time, as a server does."""
    store = JobStore(tmp_path / "jobs.sqlite")
    yield store
    store.close()


def submit(store: JobStore, process: str = "subset", owner: str = "ada") -> str:
    return store.submit(JobRequest(process_id=process, inputs={"n": 1}, owner=owner)).id


def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> str:
    assert main(["jobs", *arguments, "--data", str(tmp_path)]) == 0
    return capsys.readouterr().out


def test_list_and_show(store: JobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running, waiting = submit(store), submit(store, "trend", "bob")
    store.claim(1)
    store.record_progress([(running, 1, 0.4, "reading")])
    lines = run(capsys, tmp_path, "list").splitlines()
    assert [line.split()[0] for line in lines] == ["JOB", waiting, running]
    assert lines[2].split()[1:5] == ["subset", "ada", "running", "40"]
    listed = json.loads(run(capsys, tmp_path, "list", "--status", "accepted", "--user", "bob", "--json"))
    assert [(job["jobID"], job["position"]) for job in listed] == [(waiting, 1)]
    folder = tmp_path / "results" / running
    folder.mkdir(parents=True)
    (folder / "1.log").write_text("what the process said\n")
    shown = run(capsys, tmp_path, "show", running)
    assert "message: reading" in shown
    assert "what the process said" in shown


def test_cancel_and_retry(store: JobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = submit(store)
    store.claim(1)
    store.fail(failed, 1, Failure("internal", "no"))
    assert "accepted" in run(capsys, tmp_path, "retry", failed)
    assert store.claim(1).attempt == 2  # type: ignore[union-attr]
    assert json.loads(run(capsys, tmp_path, "cancel", failed, "--json"))["stopping"] is True
    assert store.cancelled() == {failed}
    waiting = submit(store)
    run(capsys, tmp_path, "cancel", waiting)
    assert store.get(waiting).state is State.DISMISSED
    assert main(["jobs", "retry", waiting, "--data", str(tmp_path)]) == 1
    assert "only a failed job" in capsys.readouterr().err


def test_purge_takes_what_ended_with_its_files(
    store: JobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done, waiting = submit(store), submit(store)
    store.claim(1)
    store.finish(done, 1, Result("text/plain", "f", 1, "0" * 64, 1))
    for job_id in (done, waiting):
        (tmp_path / "results" / job_id).mkdir(parents=True)
    assert run(capsys, tmp_path, "purge", "--older-than", "1") == "0 jobs deleted\n"
    assert run(capsys, tmp_path, "purge", "--older-than", "0") == "1 jobs deleted\n"
    assert [path.name for path in (tmp_path / "results").iterdir()] == [waiting]
    assert list(store.states()) == [waiting]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "nobody"], "there is no job 'nobody'"),
        (["list", "--status", "done"], "'done' is not a status; there are accepted, running"),
        (["purge", "--older-than", "0", "--status", "running"], "only jobs that ended can be deleted"),
        (["purge", "--older-than", "nan"], "nan is not a number of days"),
    ],
)
def test_mistakes_are_one_line(
    store: JobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["jobs", *arguments, "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_folder_without_jobs_is_not_made_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list", "--data", str(tmp_path / "empty")]) == 1
    assert "holds no jobs" in capsys.readouterr().err
    assert not (tmp_path / "empty").exists()
