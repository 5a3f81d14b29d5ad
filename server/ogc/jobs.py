"""Where does a job stand, and what came out?

The job resources of OGC API - Processes 1.0 (OGC 18-062r2, clauses 7.12 to 7.14, 11 and 12): list, status, results,
dismissal.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from catalog.links import FrontUrls
from plugins.datacube.errors import IsoplethError, UnknownError
from plugins.jobs.forecast import CONFIDENCE, Interval
from plugins.jobs.job import FINISHED, Job, State
from plugins.jobs.outlook import Outlook
from plugins.jobs.results import Results
from plugins.jobs.search import JobFilter, parse_filter
from plugins.jobs.store import JobStore
from plugins.jobs.transitions import WAITING
from server.ogc.messages import OgcRequest, OgcResponse, json_response
from server.problems import problem_for

REL = "http://www.opengis.net/def/rel/ogc/1.0"
INLINE_BYTES = 16 << 20
"""The largest result that stands inside a results document; a larger one is a link there."""
BLOCK_BYTES = 1 << 20
LONGEST_PAUSE = 30
"""Seconds after which a client is asked to come back, at most."""


@dataclass(frozen=True, slots=True)
class JobService:
    """The jobs of one deployment and the files they made."""

    store: JobStore
    results: Results
    owner: str = ""
    """Whose jobs are shown: the empty string is everybody who did not identify themselves."""


class JobProblemError(IsoplethError):
    """An answer about a job that is a problem document of a type of its own (OGC 18-062r2, clause 7.13.3)."""

    code = "job"

    def __init__(self, detail: str, status: int, type_: str) -> None:
        super().__init__(detail)
        self.status = status
        self.type_ = type_

    def response(self, path: str) -> OgcResponse:
        """Return the problem document."""
        _, headers, body = problem_for(self, path, type_=self.type_)
        document = orjson.loads(body) | {"status": self.status, "title": self.detail}
        return OgcResponse(self.status, headers, orjson.dumps(document))


def job_list(service: JobService, request: OgcRequest) -> OgcResponse:
    """Answer ``GET /jobs`` with its filters (clause 11)."""
    wanted: JobFilter = parse_filter(request.single(), owner=service.owner)
    page = service.store.list(wanted)
    links = [{"rel": "self", "type": "application/json", "title": "this page", "href": request.url}]
    if page.next_token:
        query = {**{k: v for k, v in request.query.items() if k not in ("token", "offset")}, "token": [page.next_token]}
        following = OgcRequest("GET", request.path, query, request.base).url
        links.append({"rel": "next", "type": "application/json", "title": "the next page", "href": following})
    told = service.store.outlook(*page.jobs)
    document = {
        "jobs": [status_info(job, request.base, told.get(job.id)) for job in page.jobs],
        "links": links,
        "numberMatched": page.matched,
        "numberReturned": len(page.jobs),
    }
    return json_response(document, headers={"Cache-Control": "no-store"})


def job_status(service: JobService, request: OgcRequest, job_id: str) -> OgcResponse:
    """Answer ``GET /jobs/{jobId}`` (clause 7.12)."""
    request.single()
    try:
        job = service.store.get(job_id, service.owner)
    except UnknownError as error:
        return _no_such_job(error, request)
    headers = {"Cache-Control": "no-store"}
    told = service.store.outlook(job).get(job.id)
    if job.state not in FINISHED:
        headers["Retry-After"] = str(ask_again(told))
    return json_response(status_info(job, request.base, told), headers=headers)


def job_dismiss(service: JobService, request: OgcRequest, job_id: str) -> OgcResponse:
    """Answer ``DELETE /jobs/{jobId}`` (clause 12): the work stops; a finished job loses its result."""
    try:
        job = service.store.dismiss(job_id, service.owner)
    except UnknownError as error:
        return _no_such_job(error, request)
    # A running job's process is being ended; what the client asked for is decided.
    document = status_info(job, request.base) | {"status": State.DISMISSED.value}
    return json_response(document, headers={"Cache-Control": "no-store"})


def job_results(service: JobService, request: OgcRequest, job_id: str) -> OgcResponse:
    """Answer ``GET /jobs/{jobId}/results`` (clause 7.13), raw or as a document, as the job was asked to."""
    request.single()
    try:
        job = service.store.get(job_id, service.owner)
    except UnknownError as error:
        return _no_such_job(error, request)
    if job.state is State.FAILED:
        return failure_response(job, request)
    if job.state is State.DISMISSED:
        return JobProblemError(f"the job {job.id} was dismissed", 404, "no-such-job").response(request.path)
    if job.state is not State.SUCCESSFUL:
        problem = JobProblemError(f"the job {job.id} is {job.state.value}: its results are not ready", 404,
                                  "result-not-ready")  # fmt: skip
        return problem.response(request.path)
    try:
        path = service.results.path(job)
    except UnknownError as error:
        return JobProblemError(error.detail, 404, "no-such-job").response(request.path)
    assert job.result is not None  # noqa: S101 - a successful job has one, or `path` would have raised
    link = f"{request.base.result(job.id)}/{job.result.file_name}"
    return results_response(
        path, job.result.media_type, job.result.file_name, job.options, link, sha256=job.result.sha256
    )


def results_response(
    path: Path,
    media_type: str,
    file_name: str,
    options: Mapping[str, Any],
    link: str | None,
    *,
    sha256: str | None = None,
) -> OgcResponse:
    """Return one result file as the execute request asked for it.

    Parameters
    ----------
    path : Path
        The file; it may be unlinked once this has returned.
    options : mapping
        ``response`` (raw or document), ``transmission`` (by output), ``outputs`` (all output ids of the process),
        ``document`` (whether the file is the results document itself).
    link : str or None
        Where the file can be had on its own; None for an answer that is not kept.
    """
    outputs = list(options.get("outputs") or ["result"])
    asked: Mapping[str, str] = options.get("transmission") or {}
    if options.get("response") != "document":
        if link is not None and "reference" in asked.values():
            return OgcResponse(204, {"Link": f'<{link}>; rel="{outputs[0]}"; type="{media_type}"'})
        headers = {"Content-Type": media_type, "Cache-Control": "no-store"}
        if not media_type.endswith("json"):
            headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
        if sha256:
            digest = base64.b64encode(bytes.fromhex(sha256)).decode()
            headers["Repr-Digest"] = f"sha-256=:{digest}:"
        return OgcResponse(200, headers, file_blocks(path))
    if options.get("document"):
        # The process has written the document itself.
        document = orjson.loads(path.read_bytes())
        wanted = {name: value for name, value in document.items() if not asked or name in asked}
        return json_response(wanted, headers={"Cache-Control": "no-store"})
    size = path.stat().st_size
    by_reference = link is not None and (asked.get(outputs[0]) == "reference" or size > INLINE_BYTES)
    value = {"href": link, "type": media_type} if by_reference else _inline(path, media_type)
    return json_response({outputs[0]: value}, headers={"Cache-Control": "no-store"})


def _inline(path: Path, media_type: str) -> dict[str, Any]:
    """Return a qualified value (requirement /req/core/process-execute-input-inline-binary, for outputs)."""
    content = path.read_bytes()
    if media_type.endswith("json"):
        return {"value": orjson.loads(content), "mediaType": media_type}
    if media_type.startswith("text/"):
        return {"value": content.decode(), "mediaType": media_type}
    return {"value": base64.b64encode(content).decode(), "encoding": "base64", "mediaType": media_type}


def file_blocks(path: Path) -> Iterator[bytes]:
    """Return the blocks of a file that is open from now on, whatever happens to its name."""
    file = path.open("rb")

    def blocks() -> Iterator[bytes]:
        with file:
            while block := file.read(BLOCK_BYTES):
                yield block

    return blocks()


def failure_response(job: Job, request: OgcRequest) -> OgcResponse:
    """Return why a job failed, with the status that the same request would have had synchronously."""
    failure = job.failure
    code = failure.code if failure else "internal"
    status = {"invalid-query": 400, "not-found": 404, "too-large": 413, "no-data": 404, "storage": 502}.get(code, 500)
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": "the job failed",
        "status": status,
        "instance": request.path,
        "code": code,
        "detail": failure.detail if failure else "the job failed",
    }
    if failure:
        members = {"parameter": failure.parameter, "valid": failure.valid, "estimate": failure.estimate}
        document |= {name: value for name, value in members.items() if value is not None}
    return json_response(document, status=status, media_type="application/problem+json")


def ask_again(told: Outlook | None) -> int:
    """Return the seconds after which it makes sense to ask again: half of what the job still needs, as it looks."""
    if told is None or told.finish is None:
        return 1
    return max(1, min(LONGEST_PAUSE, round(told.finish.expected / 2)))


def status_info(job: Job, urls: FrontUrls, told: Outlook | None = None) -> dict[str, Any]:
    """Return a job as a statusInfo document (clause 7.12.3), with what can be said of its future.

    Parameters
    ----------
    job : Job
    urls : FrontUrls
    told : Outlook, optional
        Position, reason and times of a job that waits or runs.
    """
    href = urls.job(job.id)
    links = [{"rel": "self", "type": "application/json", "title": "status of the job", "href": href}]
    if job.state in (State.ACCEPTED, State.RUNNING):
        links.append({"rel": "monitor", "type": "application/json", "title": "status of the job", "href": href})
    if job.state is State.SUCCESSFUL and job.result is not None:
        results = f"{href}/results"
        links.append({"rel": f"{REL}/results", "type": "application/json", "title": "results", "href": results})
        download = f"{urls.result(job.id)}/{job.result.file_name}"
        links.append({"rel": "enclosure", "type": job.result.media_type, "title": job.result.file_name,
                      "href": download})  # fmt: skip
    if job.state is State.FAILED:
        links.append({"rel": f"{REL}/exceptions", "type": "application/problem+json", "title": "why it failed",
                      "href": f"{href}/results"})  # fmt: skip
    document: dict[str, Any] = {
        "jobID": job.id,
        "processID": job.process_id,
        "type": "process",
        "status": job.state.value,
        "message": _message(job, told),
        "progress": job.progress if told is None or told.leader is None else told.leader.progress,
        "created": job.created,
        "updated": job.updated,
        "links": links,
    }
    if told is not None and (queue := _queue(told)):
        document["isopleth:queue"] = queue
    if job.shared or job.follows:
        document["isopleth:shared"] = "reused" if job.shared else "joined"
    document |= {"started": job.started} if job.started else {}
    document |= {"finished": job.finished} if job.finished else {}
    if job.result is not None and job.state is State.SUCCESSFUL:
        document["isopleth:result"] = {
            "size": job.result.size,
            "sha256": job.result.sha256,
            "mediaType": job.result.media_type,
            **({"expires": job.result.expires} if job.result.expires else {}),
        }
    return document


def _message(job: Job, told: Outlook | None) -> str:
    """Return the message of a job; of one that waits, why, and how many are before it."""
    if job.state is not State.ACCEPTED or told is None:
        return job.message
    if told.leader is not None:
        state = "runs" if told.leader.state is State.RUNNING else "waits"
        return f"the same request {state} already: its result will be the result of this job too"
    parts = [] if job.message == WAITING else [job.message]
    if told.position is not None:
        before = told.position - 1
        parts.append("it is next" if not before else f"{before} job{'s are' if before > 1 else ' is'} before it")
    if told.block is not None:
        parts.append(told.block.detail)
    return f"waiting: {'; '.join(parts)}" if parts else job.message


def _queue(told: Outlook) -> dict[str, Any]:
    """Return position, reason and estimated times; what is not known is left out."""
    now = datetime.now(UTC)

    def times(span: Interval) -> dict[str, Any]:
        return {
            name: (now + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")
            for name, seconds in (("earliest", span.earliest), ("expected", span.expected), ("latest", span.latest))
        }

    document: dict[str, Any] = {}
    if told.position is not None:
        document["position"] = told.position
    if told.block is not None:
        document["reason"] = {"kind": told.block.kind, **({"rule": told.block.rule} if told.block.rule else {})}
    if told.start is not None:
        document["start"] = times(told.start)
    if told.finish is not None:
        document["finish"] = times(told.finish)
    if told.start is not None or told.finish is not None:
        document["confidence"] = CONFIDENCE
    return document


def _no_such_job(error: UnknownError, request: OgcRequest) -> OgcResponse:
    return JobProblemError(error.detail, 404, "no-such-job").response(request.path)


def result_file(service: JobService, job_id: str, name: str) -> tuple[Path, str]:
    """Return path and media type of a result file, for `/results/{job}/{name}`.

    Raises
    ------
    UnknownError
        If there is no such job, it has no result, or the name is another one.
    """
    job = service.store.get(job_id, service.owner)
    path = service.results.path(job)
    if job.result is None or job.result.file_name != name:
        raise UnknownError("there is no such result")
    return path, job.result.media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
