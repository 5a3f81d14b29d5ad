"""What does `isopleth jobs` show and do?

It works on the tables of a data folder, by the same transactions as the server, so it is safe while one runs: a job
that is cancelled here is stopped by the runner within a quarter of a second.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from plugins.datacube.errors import InvalidQueryError
from plugins.jobs.job import FINISHED, Job, State
from plugins.jobs.outlook import Outlook
from plugins.jobs.results import Results
from plugins.jobs.search import MAX_LIMIT, JobFilter
from plugins.jobs.store import JobStore
from server.settings import default_data

LOG_BYTES: Final = 8_000
"""The end of a log that is shown."""
BATCH: Final = 500
MOST_DAYS: Final = 100_000


def jobs(options: argparse.Namespace) -> int:
    """Run one command of `isopleth jobs`, and return its exit code.

    Raises
    ------
    InvalidQueryError
        If the data folder holds no jobs, or an option has a value that it cannot have.
    UnknownError
        If there is no such job.
    ConflictError
        If a job that has not failed shall be tried again.
    """
    data: Path = options.data or default_data()
    place = data / "jobs.sqlite"
    if not place.is_file():
        raise InvalidQueryError("data", f"the folder {data} holds no jobs", "--data, the data folder of a server")
    store, results = JobStore(place), Results((data / "results").absolute())
    try:
        if options.command == "list":
            _list(store, options)
        elif options.command == "show":
            _show(store, results, options)
        elif options.command == "purge":
            _purge(store, results, options)
        else:
            job = store.dismiss(options.job) if options.command == "cancel" else store.retry(options.job)
            stopping = "it is being stopped" if job.cancel else job.state.value
            _say(options, {"jobID": job.id, "status": job.state.value, "stopping": job.cancel}, f"{job.id}: {stopping}")
    finally:
        store.close()
    return 0


def _list(store: JobStore, options: argparse.Namespace) -> None:
    processes = frozenset(_words(options.process))
    wanted = JobFilter(
        owner=options.user, states=_states(options.status), process_ids=processes, limit=min(options.limit, MAX_LIMIT)
    )
    page = store.list(wanted)
    told = store.outlook(*page.jobs)
    if options.json:
        _print(json.dumps([_document(job, told.get(job.id)) for job in page.jobs], indent=1))
        return
    rows = [("JOB", "PROCESS", "USER", "STATUS", "DONE", "PLACE", "CREATED", "MESSAGE")]
    for job in page.jobs:
        place = told[job.id].position if job.id in told else None
        rows.append(
            (job.id, job.process_id, job.owner or "-", job.state.value, f"{job.progress} %", str(place or "-"),
             f"{job.created[:19]}Z", _message(job, told.get(job.id)))
        )  # fmt: skip
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    for row in rows:
        _print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip())
    if page.matched > len(page.jobs):
        _print(f"and {page.matched - len(page.jobs)} more")


def _show(store: JobStore, results: Results, options: argparse.Namespace) -> None:
    job = store.get(options.job)
    document = _document(job, store.outlook(job).get(job.id))
    log = _log_end(results.log(job.id, job.attempt))
    if options.json:
        _print(json.dumps({**document, "log": log}, indent=1))
        return
    for name, value in document.items():
        if value not in (None, "", {}):
            _print(f"{name}: {value if isinstance(value, str | int | bool) else json.dumps(value)}")
    if log:
        _print(f"log of attempt {job.attempt}:\n{log.rstrip()}")


def _purge(store: JobStore, results: Results, options: argparse.Namespace) -> None:
    days, states = options.older_than, _states(options.status) or FINISHED
    if not math.isfinite(days) or not 0 <= days <= MOST_DAYS:
        raise InvalidQueryError("older-than", f"{days} is not a number of days", f"0 to {MOST_DAYS}")
    if states - FINISHED:
        raise InvalidQueryError("status", "only jobs that ended can be deleted", ", ".join(sorted(FINISHED)))
    number = 0
    while ids := store.purge(days * 86_400, states, BATCH):
        # The rows first: what a crash leaves here is removed when the server starts.
        for job_id in ids:
            results.remove(job_id)
        number += len(ids)
    _say(options, {"deleted": number}, f"{number} jobs deleted")


def _document(job: Job, told: Outlook | None) -> dict[str, Any]:
    return {
        "jobID": job.id,
        "processID": job.process_id,
        "user": job.owner,
        "status": job.state.value,
        "message": _message(job, told),
        "progress": job.progress,
        "position": None if told is None else told.position,
        "secondsToFinish": None if told is None or told.finish is None else asdict(told.finish),
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "attempt": job.attempt,
        "crashes": job.crashes,
        "interruptions": job.interruptions,
        "rules": [name for name in job.lane.removeprefix("=").split(",") if name],
        "bytesToRead": job.cost,
        "snapshot": job.snapshot,
        "shared": job.shared,
        "follows": job.follows,
        "inputs": dict(job.inputs),
        "result": None if job.result is None else asdict(job.result),
        "failure": None if job.failure is None else asdict(job.failure),
    }


def _message(job: Job, told: Outlook | None) -> str:
    if told is None or job.state is not State.ACCEPTED or told.block is None:
        return job.message
    return f"{job.message}: {told.block.detail}"


def _states(text: str | None) -> frozenset[State]:
    for word in _words(text):
        if word not in list(State):
            raise InvalidQueryError("status", f"{word!r} is not a status; there are {', '.join(State)}")
    return frozenset(State(word) for word in _words(text))


def _words(text: str | None) -> Sequence[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _log_end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _say(options: argparse.Namespace, document: dict[str, Any], sentence: str) -> None:
    _print(json.dumps(document) if options.json else sentence)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
