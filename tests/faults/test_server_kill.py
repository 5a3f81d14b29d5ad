"""Is any job lost or done twice when the whole server is killed in the middle of fifty of them?"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

import psutil
import pytest

JOBS = 50


@pytest.fixture(scope="module")
def store(era5_like) -> Path:  # type: ignore[no-untyped-def]
    path, _ = era5_like("--years", "0.03", "--resolution", "5", "--chunks", "map")
    return path


def execution(number: int) -> dict[str, object]:
    inputs = {
        "collection": "cube",
        "query": "position",
        "coords": f"POINT({number} {number - 25})",
        "parameter-name": "t2m",
        "format": "CSV",
    }
    return {"inputs": inputs}


def test_kill_of_the_server_loses_and_repeats_nothing(serve_process, store: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    link = tmp_path / "cube.zarr"
    link.symlink_to(store)
    data = tmp_path / "data"
    served = serve_process(str(link), data=data)
    jobs = {}
    for number in range(JOBS):
        headers = {"Prefer": "respond-async", "Idempotency-Key": f"key-{number}"}
        answer = served.post("/ogc/processes/subset/execution", json=execution(number), headers=headers)
        assert answer.status_code == 201, answer.text
        jobs[number] = answer.json()["jobID"]
    assert len(set(jobs.values())) == JOBS

    # Wait until some are done and some still wait, so that the kill meets every state.
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        states = [job["status"] for job in served.get("/ogc/jobs?limit=1000").json()["jobs"]]
        if states.count("successful") >= 3 and "running" in states and "accepted" in states:
            break
        time.sleep(0.02)
    else:
        pytest.fail(f"the queue never held all states: {states}")
    children = psutil.Process(served.process.pid).children(recursive=True)
    served.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == [], "processes outlived their server"

    again = serve_process(str(link), data=data)
    # A client that never heard the answer asks again: it gets the same job.
    headers = {"Prefer": "respond-async", "Idempotency-Key": "key-49"}
    repeated = again.post("/ogc/processes/subset/execution", json=execution(49), headers=headers)
    assert repeated.json()["jobID"] == jobs[49]

    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        listed = again.get("/ogc/jobs?limit=1000").json()
        if all(job["status"] in ("successful", "failed", "dismissed") for job in listed["jobs"]):
            break
        time.sleep(0.2)
    assert listed["numberMatched"] == JOBS
    assert {job["jobID"]: job["status"] for job in listed["jobs"]} == dict.fromkeys(jobs.values(), "successful")

    for number in (0, 17, 49):
        rows = again.get(f"/ogc/jobs/{jobs[number]}/results").text.strip().splitlines()
        direct = again.get(
            f"/ogc/collections/cube/position?coords=POINT({number} {number - 25})&parameter-name=t2m&f=CSV"
        )
        assert rows == direct.text.strip().splitlines()
        assert len(rows) > 200

    # One result a job on disk, and the store is whole.
    for job in jobs.values():
        files = [f for f in (data / "results" / job).iterdir() if not f.name.endswith((".log", ".tmp"))]
        assert len(files) == 1
    with contextlib.closing(sqlite3.connect(data / "jobs.sqlite")) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
