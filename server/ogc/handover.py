"""How is a large answer made while nobody waits for it?

The asynchronous answers of EDR (OGC 19-086, clause "Asynchronous queries"): ``308`` with the address at which the data
will be; there ``202`` with ``Retry-After`` until they are there, then ``200`` with the data. The work is a job of the
process ``subset``: it stands in ``/jobs`` like any other, and can be watched and dismissed there.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from catalog.links import FrontUrls
from plugins.datacube.errors import UnknownError
from plugins.datacube.library import Library
from plugins.datacube.limits import Limits
from plugins.jobs.job import FINISHED, Job, JobRequest, State
from plugins.jobs.outlook import Outlook
from plugins.processes.registry import prepare
from server.ogc.documents import not_modified
from server.ogc.jobs import JobProblemError, JobService, failure_response, file_blocks, status_info
from server.ogc.messages import OgcRequest, OgcResponse, json_response

PROCESS: Final = "subset"
KEPT: Final = ("Content-Type", "Content-Crs", "Content-Disposition")
"""Headers of the answer that the job's file cannot tell."""
LONGEST_PAUSE: Final = 30
"""Seconds after which a client is asked to come back, at most."""
TRIES: Final = 100
"""How many ended jobs of one question are looked at before a new one is made without a name."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What answers that are not waited for need."""

    jobs: JobService
    library: Library
    limits: Limits
    """What one job may cost."""
    automatic: bool = False
    """Whether a query that is too large to be answered at once becomes a job without being asked to: clients that take
    any redirection for the data would be given a status instead."""


def answer_url(urls: FrontUrls, job_id: str) -> str:
    """Return the address at which the data of a job will be."""
    return f"{urls.job(job_id)}/answer"


def hand_over(
    handover: Handover,
    request: OgcRequest,
    inputs: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    preferred: tuple[str, ...] = (),
    wait: float | None = None,
) -> OgcResponse:
    """Make a job of a data query, and answer 308 with the address of its data.

    The same question about the same state of the data is one job, however often it is asked: a GET stays safe.

    Parameters
    ----------
    inputs : mapping
        Inputs of the process ``subset`` that ask the same.
    headers : mapping
        Those of the answer with data; its ``ETag`` stands for question and state.
    preferred : tuple of str
        The preferences that are honoured.
    wait : float, optional
        Seconds that the client is willing to wait; an answer that is there by then is sent at once.

    Raises
    ------
    TooLargeError
        If a job may not cost as much either.
    InvalidQueryError
        If the process cannot do what the query asks.
    BusyError
        If too many jobs wait already.
    """
    job = _submit(handover, inputs, headers)
    if wait and job.state not in FINISHED:
        job = handover.jobs.store.wait(job.id, handover.jobs.owner, wait)
    applied = {"Preference-Applied": ", ".join(preferred)} if preferred else {}
    if wait and job.state is State.SUCCESSFUL:
        found = _data(handover.jobs, request, job)
        return OgcResponse(found.status, {**found.headers, **applied}, found.body)
    return json_response(
        status_document(job, request.base),
        status=308,
        headers={
            "Location": answer_url(request.base, job.id),
            # A 308 may be kept for ever (RFC 9110, clause 15.4.9); the job will not.
            "Cache-Control": "no-store",
            "Vary": "Accept, Prefer",
            "Retry-After": str(pause(job)),
            **applied,
        },
    )


def _submit(handover: Handover, inputs: Mapping[str, Any], headers: Mapping[str, str]) -> Job:
    prepared = prepare(PROCESS, dict(inputs), handover.library, handover.limits)
    # The process has its own media type for a format; the client is given the one that it asked for.
    kept = {name: headers[name] for name in KEPT if name in headers}
    options = {"response": "raw", "transmission": {}, "outputs": ["result"], "document": False, "answer": kept}
    store, owner = handover.jobs.store, handover.jobs.owner
    question = hashlib.blake2b(headers["ETag"].encode(), digest_size=16).hexdigest()
    wanted = JobRequest(
        process_id=PROCESS, inputs=prepared.inputs, owner=owner, snapshot=prepared.snapshot, options=options
    )
    key = f"edr-{question}"
    for _ in range(TRIES):
        job = store.submit(replace(wanted, idempotency_key=key))
        if not _ended_in_vain(handover.jobs, job):
            return job
        key = f"edr-{question}-{job.id}"
    return store.submit(wanted)


def _ended_in_vain(service: JobService, job: Job) -> bool:
    """Return whether asking again needs a new job: the old one failed, was dismissed, or its result has expired."""
    if job.state is not State.SUCCESSFUL:
        return job.state in FINISHED or job.cancel
    try:
        service.results.path(job)
    except UnknownError:
        return True
    return False


def answer_status(service: JobService, request: OgcRequest, job_id: str) -> OgcResponse:
    """Answer ``/jobs/{jobId}/answer``: 202 while the job goes on, then the data, or why there are none.

    POST is the same as GET here: a client that follows a 308 repeats its POST.
    """
    request.single()
    try:
        job = service.store.get(job_id, service.owner)
    except UnknownError as error:
        return JobProblemError(error.detail, 404, "no-such-job").response(request.path)
    if job.state is State.SUCCESSFUL:
        return _data(service, request, job)
    if job.state is State.DISMISSED or job.cancel:
        return JobProblemError(f"the job {job.id} was dismissed", 404, "no-such-job").response(request.path)
    if job.state is State.FAILED:
        if job.failure is not None and job.failure.code == "no-data":
            return OgcResponse(204, {"Cache-Control": "no-store"})
        return failure_response(job, request)
    headers = {"Cache-Control": "no-store", "Retry-After": str(pause(job))}
    told = service.store.outlook(job).get(job.id)
    return json_response(status_document(job, request.base, told), status=202, headers=headers)


def _data(service: JobService, request: OgcRequest, job: Job) -> OgcResponse:
    try:
        path = service.results.path(job)
    except UnknownError as error:
        return JobProblemError(error.detail, 404, "no-such-job").response(request.path)
    assert job.result is not None  # noqa: S101 - `path` would have raised
    kept: Mapping[str, str] = job.options.get("answer") or {}
    digest = base64.b64encode(bytes.fromhex(job.result.sha256)).decode()
    etag = f'"{job.result.sha256[:32]}"'
    headers = {
        "Content-Type": job.result.media_type,
        **kept,
        "ETag": etag,
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "private, max-age=300",
        # There it can be had by ranges.
        "Content-Location": f"{request.base.result(job.id)}/{job.result.file_name}",
        "Link": f'<{request.base.job(job.id)}>; rel="monitor"; type="application/json"',
    }
    if not_modified(request, etag):
        return OgcResponse(304, {name: headers[name] for name in ("ETag", "Cache-Control")})
    if request.method == "HEAD":
        return OgcResponse(200, headers)
    return OgcResponse(200, headers, file_blocks(path))


def status_document(job: Job, urls: FrontUrls, told: Outlook | None = None) -> dict[str, Any]:
    """Return where the job stands, with the address of the data as the first of its links."""
    document = status_info(job, urls, told)
    address = {
        "rel": "item",
        "type": (job.options.get("answer") or {}).get("Content-Type", "application/octet-stream"),
        "title": "the data, once they are there",
        "href": answer_url(urls, job.id),
    }
    return {**document, "links": [address, *document["links"]]}


def pause(job: Job) -> int:
    """Return the seconds after which it makes sense to ask again: half of what the job still needs, as it looks."""
    if job.started is None or job.state is not State.RUNNING or not job.progress:
        return 2 if job.state is State.ACCEPTED else 1
    elapsed = (datetime.now(UTC) - datetime.fromisoformat(job.started)).total_seconds()
    left = elapsed * (100 - job.progress) / job.progress
    return max(1, min(LONGEST_PAUSE, round(left / 2)))
