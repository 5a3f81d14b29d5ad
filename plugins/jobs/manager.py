"""How does a stock pygeoapi get durable, fair, killable jobs?

In its configuration::

    server:
      manager:
        name: plugins.jobs.manager.IsoplethManager
        connection: /data           # folder: jobs.sqlite and results/
        slots: 2                    # optional: jobs that run at the same time

pygeoapi makes a manager for each of its API objects, and one more while it writes its OpenAPI document; all managers of
one folder in one operating system process share a store and a runner. Every execution is a job, also a synchronous one,
which is waited for: so all can be dismissed, are limited in memory and time, and have a status. Callbacks are off: the
server sends nothing to addresses that clients name.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from pygeoapi.error import GenericError
from pygeoapi.formats import F_JSON, FORMAT_TYPES
from pygeoapi.plugin import load_plugin
from pygeoapi.process.base import JobNotFoundError, JobResultNotFoundError, ProcessorExecuteError
from pygeoapi.process.manager.base import BaseManager
from pygeoapi.util import JobStatus, ProcessExecutionMode, RequestedProcessExecutionMode, RequestedResponse

from plugins.datacube.errors import BusyError, InvalidQueryError, IsoplethError, UnknownError
from plugins.jobs.child import Report
from plugins.jobs.job import FINISHED, Job, JobRequest, Outcome, State
from plugins.jobs.runner import Runner
from plugins.jobs.search import JobFilter
from plugins.jobs.store import JobStore

LOGGER: Final = logging.getLogger(__name__)
OWNER: Final = ""
"""pygeoapi knows no users."""
SYNC_PRIORITY: Final = 10
"""Somebody waits for a synchronous execution: it goes before the same owner's asynchronous ones."""
DISMISS_SECONDS: Final = 3.0
UNFINISHED: Final = frozenset({State.ACCEPTED, State.RUNNING})


@dataclass(frozen=True, slots=True)
class _Engine:
    store: JobStore
    runner: Runner


_ENGINES: dict[tuple[int, Path], _Engine] = {}
_ENGINES_LOCK = threading.Lock()


class IsoplethManager(BaseManager):  # type: ignore[misc]
    """pygeoapi's process manager over our store and runner."""

    def __init__(self, manager_def: dict[str, Any]) -> None:
        """Take the definition; jobs that an earlier server left unfinished go on at once."""
        super().__init__(manager_def)
        self.is_async = True
        self.supports_subscribing = False
        self._folder = Path(manager_def["connection"]).absolute()
        self._slots = int(manager_def.get("slots", 2))
        if (self._folder / "jobs.sqlite").exists() and any(self._store.counts()[state] for state in UNFINISHED):
            self._engine.runner.start()

    @property
    def _engine(self) -> _Engine:
        # By process too: after a fork (gunicorn) neither the thread nor the database connections may be shared.
        key = (os.getpid(), self._folder)
        with _ENGINES_LOCK:
            engine = _ENGINES.get(key)
            if engine is None:
                store = JobStore(self._folder / "jobs.sqlite")
                runner = Runner(
                    store, self._folder / "results", "plugins.jobs.manager:execute", slots=self._slots,
                    preload=("pygeoapi.process.base", "plugins.jobs.manager"),
                )  # fmt: skip
                engine = _ENGINES[key] = _Engine(store, runner)
                atexit.register(runner.stop)
            if self.processes:
                engine.runner.context = dict(self.processes)
            return engine

    @property
    def _store(self) -> JobStore:
        return self._engine.store

    def get_jobs(
        self, status: JobStatus | None = None, limit: int | None = None, offset: int | None = None
    ) -> dict[str, Any]:
        """Return a page of jobs, newest first, and how many there are."""
        states = frozenset() if status is None else frozenset({State(status.value)})
        page = self._store.list(JobFilter(owner=OWNER, states=states, limit=limit or 100, offset=offset or 0))
        return {"jobs": [_described(job) for job in page.jobs], "numberMatched": page.matched}

    def get_job(self, job_id: str) -> dict[str, Any]:
        """Return a job; JobNotFoundError if there is none."""
        return _described(self._get(job_id))

    def add_job(self, job_metadata: dict[str, Any]) -> str:
        """Submit a job: ``process_id``, and its inputs as ``parameters``; return its id, which the store chooses."""
        inputs = {"data": job_metadata.get("parameters") or {}, "outputs": None, "response": "raw"}
        return self._submit(job_metadata["process_id"], inputs, 0).id

    def update_job(self, job_id: str, update_dict: dict[str, Any]) -> bool:
        """Record message and progress of a running job, or dismiss a job; other states are the runner's to set."""
        job = self._get(job_id)
        status = update_dict.get("status", job.state.value)
        if status == JobStatus.dismissed.value:
            return self.delete_job(job_id)
        if job.state is not State.RUNNING or status != job.state.value:
            return False
        report = (float(update_dict.get("progress") or 0) / 100, update_dict.get("message"))
        self._store.record_progress([(job.id, job.attempt, *report)])
        return True

    def get_job_result(self, job_id: str) -> tuple[str, Any]:
        """Return media type and content of a result: parsed where it is JSON, else bytes."""
        job = self._get(job_id)
        try:
            path = self._engine.runner.results.path(job)
        except UnknownError as error:
            raise JobResultNotFoundError from error
        return _content(job, path)

    def delete_job(self, job_id: str) -> bool:
        """Dismiss a job: stop it if it runs, remove its result if it has one. JobNotFoundError the second time."""
        if self._get(job_id).state is State.DISMISSED:
            raise JobNotFoundError
        self._start()
        self._store.dismiss(job_id, OWNER)
        return self._store.wait(job_id, OWNER, DISMISS_SECONDS).state is State.DISMISSED

    def execute_process(
        self,
        process_id: str,
        data_dict: dict[str, Any],
        execution_mode: RequestedProcessExecutionMode | None = None,
        requested_outputs: dict[str, Any] | None = None,
        subscriber: object = None,
        requested_response: str | None = RequestedResponse.raw.value,
    ) -> tuple[str, str, Any, JobStatus, dict[str, str] | None]:
        """Execute a process as a job.

        Returns
        -------
        tuple
            Job id, media type, content, status, further headers; as pygeoapi's own managers.

        Raises
        ------
        UnknownProcessError
            If there is no such process.
        ProcessorExecuteError
            If the job cannot be accepted; with 503 where a later try may succeed.
        """
        if subscriber is not None:
            raise _refusal(InvalidQueryError("subscriber", "this server sends no notifications"))
        options = self.get_processor(process_id).metadata.get("jobControlOptions", [])
        wants_async = execution_mode == RequestedProcessExecutionMode.respond_async
        can = {mode: mode.value in options for mode in ProcessExecutionMode}
        runs_async = can[ProcessExecutionMode.async_execute] and (
            wants_async or not can[ProcessExecutionMode.sync_execute]
        )
        inputs = {"data": data_dict, "outputs": requested_outputs, "response": requested_response}
        job = self._submit(process_id, inputs, 0 if runs_async else SYNC_PRIORITY)
        if runs_async:
            applied = {"Preference-Applied": RequestedProcessExecutionMode.respond_async.value}
            return job.id, FORMAT_TYPES[F_JSON], None, JobStatus.accepted, applied
        while job.state not in FINISHED:
            job = self._store.wait(job.id, OWNER, 60.0)
        applied = {} if execution_mode is None else {"Preference-Applied": RequestedProcessExecutionMode.wait.value}
        if job.result is None:
            detail = job.message if job.failure is None else job.failure.detail
            code = "InvalidParameterValue"
            content = {"type": code, "code": code, "description": detail}
            return job.id, FORMAT_TYPES[F_JSON], content, JobStatus.failed, applied
        media_type, content = self.get_job_result(job.id)
        return job.id, media_type, content, JobStatus.successful, applied

    def _get(self, job_id: str) -> Job:
        try:
            job = self._store.get(job_id, OWNER)
        except UnknownError as error:
            raise JobNotFoundError from error
        if job.state in UNFINISHED:
            self._start()
        return job

    def _start(self) -> None:
        self._engine.runner.start()

    def _submit(self, process_id: str, inputs: Mapping[str, Any], priority: int) -> Job:
        self._start()
        request = JobRequest(process_id=process_id, inputs=inputs, owner=OWNER, priority=priority)
        try:
            return self._store.submit(request)
        except (IsoplethError, ValueError) as error:
            raise _refusal(error) from error


def execute(
    process_id: str, inputs: dict[str, Any], context: Mapping[str, Any], workdir: Path, report: Report
) -> Outcome:
    """Run one of pygeoapi's processors in a job: the entry function of this manager's runner.

    Parameters
    ----------
    process_id : str
    inputs : dict
        ``data``, ``outputs`` and ``response`` of the execute request.
    context : mapping
        The ``processes`` of pygeoapi's configuration.
    workdir : Path
    report : callable
        Told once: pygeoapi's processors have no progress.

    Raises
    ------
    UnknownError
        If the process is not configured (any more).
    InvalidQueryError
        If the processor refuses the inputs.
    """
    if process_id not in context:
        raise UnknownError(f"there is no process {process_id!r}")
    processor = load_plugin("process", context[process_id]["processor"])
    report(0.05, "running")
    chosen = {"outputs": inputs["outputs"]} if processor.supports_outputs else {}
    try:
        media_type, content = processor.execute(inputs["data"], **chosen)
    except GenericError as error:
        raise InvalidQueryError(None, str(error.message)) from error
    if isinstance(content, bytes) and inputs["response"] == RequestedResponse.document.value:
        with suppress(UnicodeDecodeError):
            content = content.decode("utf-8")
    if not isinstance(content, bytes):
        if inputs["response"] == RequestedResponse.document.value:
            media_type, content = FORMAT_TYPES[F_JSON], {"outputs": [content]}
        content = content if isinstance(content, str) else json.dumps(content)
    path = workdir / "result"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return Outcome(path, media_type, process_id)


def _content(job: Job, path: Path) -> tuple[str, Any]:
    media_type = "application/octet-stream" if job.result is None else job.result.media_type
    content = path.read_bytes()
    if media_type == FORMAT_TYPES[F_JSON]:
        with suppress(ValueError):
            return media_type, json.loads(content)
    return media_type, content


def _described(job: Job) -> dict[str, Any]:
    return {
        "type": "process",
        "identifier": job.id,
        "process_id": job.process_id,
        "status": job.state.value,
        "message": job.message,
        "progress": job.progress,
        "parameters": None,
        "created": job.created,
        # pygeoapi sorts its list by this.
        "started": job.started or job.created,
        "finished": job.finished,
        "updated": job.updated,
        "mimetype": FORMAT_TYPES[F_JSON] if job.result is None else job.result.media_type,
        "location": None,
    }


def _refusal(error: Exception) -> ProcessorExecuteError:
    detail = error.detail if isinstance(error, IsoplethError) else "the inputs are not valid JSON"
    refusal = ProcessorExecuteError(detail, user_msg=detail)
    refusal.http_status_code, refusal.ogc_exception_code = HTTPStatus.BAD_REQUEST, "InvalidParameterValue"
    if isinstance(error, BusyError):
        refusal.http_status_code, refusal.ogc_exception_code = HTTPStatus.SERVICE_UNAVAILABLE, "ServerBusy"
    return refusal
