"""Which processes are there, what do they take, and how is one executed? (OGC 18-062r2, clauses 7.9 to 7.11.)

The descriptions and the work are those of `plugins.processes`, the same that a stock pygeoapi loads as processors.
The execution is ours, because pygeoapi's neither validates inputs, nor reads ``Prefer: respond-async, wait=5``, nor
answers ``201`` with a status document.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog.links import FrontUrls
from plugins.datacube.errors import InvalidQueryError, NoDataError, TooLargeError, UnknownError
from plugins.datacube.library import Library
from plugins.datacube.limits import ByteBudget, Limits
from plugins.jobs.callbacks import CallbackPolicy
from plugins.jobs.job import JobRequest, Sharing, State, Subscriber
from plugins.processes.context import ProcessContext
from plugins.processes.process import Prepared, Process
from plugins.processes.registry import PROCESSES
from server.ogc.execution import Execution, parse_execution
from server.ogc.jobs import REL, JobService, job_results, results_response, status_info
from server.ogc.messages import OgcRequest, OgcResponse, json_response
from server.problems import problem_for

CONFORMANCE = tuple(
    f"http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/{name}"
    for name in ("core", "ogc-process-description", "json", "html", "oas30", "job-list", "dismiss")
)


@dataclass(frozen=True, slots=True)
class ProcessService:
    """The processes of one deployment, and what they may use."""

    jobs: JobService
    library: Library
    context: ProcessContext
    """With the limits of a job."""
    sync_limits: Limits
    """What a process may cost while the client waits."""
    budget: ByteBudget
    work: Path
    """Folder for the files of synchronous executions."""
    processes: Mapping[str, Process] = PROCESSES
    callbacks: CallbackPolicy = field(default_factory=CallbackPolicy)
    """Where subscribers may be told how their jobs go; by default nowhere."""
    sharing: Sharing = Sharing.OWNER
    """Whose jobs share a result when they ask the same of the same state of the data."""


def process_list(service: ProcessService, request: OgcRequest) -> OgcResponse:
    """Answer ``GET /processes`` (clause 7.9)."""
    arguments = request.single()
    if unknown := sorted(set(arguments) - {"limit", "f"}):
        raise InvalidQueryError(unknown[0], f"/processes has no parameter {unknown[0]!r}", "limit, f")
    limit = arguments.get("limit", "1000")
    if not (limit.isascii() and limit.isdigit()) or not int(limit[:9]) >= 1:
        raise InvalidQueryError("limit", f"{limit[:32]!r} is not a number of processes", "a whole number from 1")
    chosen = list(service.processes.values())[: int(limit[:9])]
    links = [
        {"rel": "self", "type": "application/json", "title": "the processes", "href": request.base.processes},
        {"rel": "alternate", "type": "text/html", "title": "the processes as a page",
         "href": f"{request.base.processes}?f=html"},
    ]  # fmt: skip
    return json_response({"processes": [summary(process, request.base) for process in chosen], "links": links})


def process_description(service: ProcessService, request: OgcRequest, process_id: str) -> OgcResponse:
    """Answer ``GET /processes/{processID}`` (clause 7.10)."""
    request.single()
    process = service.processes.get(process_id)
    if process is None:
        return _no_such_process(process_id, request)
    return json_response({**process.description, "links": _links(process, request.base)})


def execute(service: ProcessService, request: OgcRequest, process_id: str) -> OgcResponse:
    """Answer ``POST /processes/{processID}/execution`` (clause 7.11).

    Raises
    ------
    InvalidQueryError
        If the request or an input is wrong: before any job exists.
    TooLargeError
        If the process would cost more than it may.
    QuotaError
        If too many jobs of the user, or under a rule, wait already.
    """
    process = service.processes.get(process_id)
    if process is None:
        return _no_such_process(process_id, request)
    wanted = parse_execution(request, frozenset(process.description["outputs"]), service.callbacks)
    limits = service.context.limits if wanted.respond_async else service.sync_limits
    try:
        prepared = process.prepare(process.validate(wanted.inputs), service.library, limits)
    except NoDataError as error:
        raise _nothing_there(error) from error
    except TooLargeError as error:
        extra = (
            {} if wanted.respond_async else {"hint": "send the same request with the header 'Prefer: respond-async'"}
        )
        status, headers, body = problem_for(error, request.path, extra=extra)
        return OgcResponse(status, headers, body)
    if wanted.subscriber and not wanted.respond_async:
        raise InvalidQueryError(
            "subscriber", "who waits for the answer needs no callback", "the header 'Prefer: respond-async'"
        )
    if wanted.respond_async:
        return _submit(service, request, process, prepared, wanted)
    with service.budget.hold(prepared.cost.memory):
        return _run(service, request, process, prepared, wanted)


def _submit(
    service: ProcessService, request: OgcRequest, process: Process, prepared: Prepared, wanted: Execution
) -> OgcResponse:
    """Make a job of it: it is on disk before the client hears of it."""
    store, owner = service.jobs.store, service.jobs.owner
    job = store.submit(
        JobRequest(
            process_id=process.id,
            inputs=prepared.inputs,
            owner=owner,
            snapshot=prepared.snapshot,
            options=_options(process, wanted),
            idempotency_key=wanted.idempotency_key,
            cost=prepared.cost.bytes_decoded,
            sharing=Sharing.NOBODY if wanted.fresh else service.sharing,
            version=str(process.description["version"]),
            subscriber=_subscriber(request.base, wanted),
        )
    )
    if wanted.wait:
        job = store.wait(job.id, owner, wanted.wait)
        if job.state is State.SUCCESSFUL:
            return job_results(service.jobs, request, job.id)
    headers = {
        "Location": request.base.job(job.id),
        "Preference-Applied": ", ".join(wanted.preferred),
        "Cache-Control": "no-store",
    }
    told = store.outlook(job).get(job.id)
    return json_response(status_info(job, request.base, told), status=201, headers=headers)


def _subscriber(urls: FrontUrls, wanted: Execution) -> Subscriber | None:
    if not wanted.subscriber:
        return None
    return Subscriber(
        success=wanted.subscriber.get("successUri"),
        in_progress=wanted.subscriber.get("inProgressUri"),
        failed=wanted.subscriber.get("failedUri"),
        job_url=f"{urls.jobs}/{{job}}",
        result_url=f"{urls.base}/results/{{job}}/{{name}}",
    )


def _run(
    service: ProcessService, request: OgcRequest, process: Process, prepared: Prepared, wanted: Execution
) -> OgcResponse:
    """Run it while the client waits. The answer's file is open, and already without a name, when this returns."""
    with _work_folder(service.work) as folder:

        def report(_: float, __: str | None = None) -> None:
            request.cancel.raise_if_cancelled()

        try:
            outcome = process.run(prepared.inputs, service.library, service.sync_limits, folder, report, request.cancel)
        except NoDataError as error:
            raise _nothing_there(error) from error
        options = _options(process, wanted)
        return results_response(outcome.path, outcome.media_type, outcome.file_name, options, link=None)


def _nothing_there(error: NoDataError) -> InvalidQueryError:
    """Return NoDataError as a fault of the inputs: in Processes, 204 is for results by reference (clause 7.11.4)."""
    return InvalidQueryError("inputs", error.detail, "a query that lies inside the collection's extent")


@contextmanager
def _work_folder(root: Path) -> Iterator[Path]:
    folder = root / secrets.token_hex(8)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(process: Process, wanted: Execution) -> dict[str, Any]:
    return {
        "response": wanted.response,
        "transmission": dict(wanted.transmission),
        "outputs": list(process.description["outputs"]),
        "document": process.document,
    }


def summary(process: Process, urls: FrontUrls) -> dict[str, Any]:
    """Return a process as it stands in the list."""
    members = ("id", "version", "title", "description", "keywords", "jobControlOptions", "outputTransmission")
    chosen = {name: process.description[name] for name in members if name in process.description}
    return {**chosen, "links": _links(process, urls)}


def _links(process: Process, urls: FrontUrls) -> list[dict[str, str]]:
    href = urls.process(process.id)
    title = str(process.description["title"])
    return [
        {"rel": "self", "type": "application/json", "title": title, "href": href},
        {"rel": "alternate", "type": "text/html", "title": f"{title} as a page", "href": f"{href}?f=html"},
        {"rel": f"{REL}/execute", "type": "application/json", "title": f"execute {title}", "href": f"{href}/execution"},
        {"rel": f"{REL}/job-list", "type": "application/json", "title": "jobs", "href": urls.jobs},
    ]


def _no_such_process(process_id: str, request: OgcRequest) -> OgcResponse:
    error = UnknownError(f"there is no process {process_id[:128]!r}")
    status, headers, body = problem_for(error, request.path, type_="no-such-process")
    return OgcResponse(status, headers, body)
