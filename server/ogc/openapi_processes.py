"""How do processes and jobs stand in the OpenAPI document?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.processes.process import Process
from plugins.processes.registry import PROCESSES
from server.ogc.openapi30 import schema as older
from server.ogc.openapi_schemas import OBJECT, PREFER, STRING, parameter, query_parameter, response

JSON = "application/json"


def process_paths() -> Mapping[str, Any]:
    """Return the path items of processes and jobs, below ``/ogc``."""
    paths: dict[str, Any] = {
        "/processes": _document("processes", "The processes", _limit("processes")),
        "/processes/{processID}": _document("process", "One process", _process_id(), missing=True),
        "/jobs": _document("jobs", "The jobs, newest first", *_job_filters()),
        "/jobs/{jobId}": {
            **_document("job", "Where a job stands", _job_id(), missing=True),
            "delete": {
                "operationId": "dismissJob",
                "summary": "Stop a job, or remove its result",
                "tags": ["jobs"],
                "parameters": [_job_id()],
                "responses": {
                    "200": _json("The job, dismissed."),
                    "404": response("notFound"),
                    "503": response("unavailable"),
                },
            },
        },
        "/jobs/{jobId}/results": {
            "get": {
                "operationId": "jobResults",
                "summary": "What a job made",
                "tags": ["jobs"],
                "parameters": [_job_id(), parameter("fDocument")],
                "responses": _results(
                    {
                        "204": {"description": "The result is at the address in the Link header."},
                        "404": response("notFound"),
                    }
                ),
            }
        },
    }
    paths["/jobs/{jobId}/answer"] = {
        "get": {
            "operationId": "jobAnswer",
            "summary": "The data of a query that was made a job",
            "description": "Where a data query with `Prefer: respond-async` leads.",
            "tags": ["jobs"],
            "parameters": [_job_id()],
            "responses": _results(
                {
                    "202": response("pending"),
                    "204": {"description": "Nothing lies there."},
                    "304": response("notModified"),
                    "404": response("notFound"),
                    "413": response("tooLarge"),
                    "502": response("storageError"),
                    "503": response("unavailable"),
                }
            ),
        }
    }
    for process in PROCESSES.values():
        paths[f"/processes/{process.id}/execution"] = _execution(process)
    return paths


def _execution(process: Process) -> dict[str, Any]:
    description = process.description
    inputs = {name: older(_input(spec)) for name, spec in description["inputs"].items()}
    required = [name for name, spec in description["inputs"].items() if spec.get("minOccurs", 1) > 0]
    shape = {
        "type": "object",
        "properties": {
            "inputs": {"type": "object", "properties": inputs, **({"required": required} if required else {})},
            "outputs": {
                "type": "object",
                "properties": {
                    name: {
                        "type": "object",
                        "properties": {"transmissionMode": {"type": "string", "enum": ["value", "reference"]}},
                    }
                    for name in description["outputs"]
                },
            },
            "response": {"type": "string", "enum": ["raw", "document"], "default": "raw"},
        },
        **({"required": ["inputs"]} if required else {}),
    }
    prefer = {
        **PREFER,
        "description": "respond-async makes a job of it; wait=N waits up to N seconds for it (RFC 7240).",
    }
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeated request with the same key gives the same job.",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    }
    created = _json("The job, accepted.")
    created["headers"] = {"Location": {"description": "Where the job's status is.", "schema": STRING}}
    return {
        "post": {
            "operationId": f"execute.{process.id}",
            "summary": description["title"],
            "description": description["description"],
            "tags": ["processes"],
            "parameters": [prefer, key],
            "requestBody": {
                "required": True,
                "content": {JSON: {"schema": shape, **_examples(description)}},
            },
            "responses": _results(
                {
                    "201": created,
                    "404": response("notFound"),
                    "413": response("tooLarge"),
                    "429": response("unavailable"),
                    "502": response("storageError"),
                    "503": response("unavailable"),
                }
            ),
        }
    }


def _input(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of an input; one that may occur more than once is a value or an array of them."""
    schema: Mapping[str, Any] = description["schema"]
    most = description.get("maxOccurs", 1)
    if most == 1:
        return schema
    several = {"type": "array", "items": schema, **({} if most == "unbounded" else {"maxItems": most})}
    return {"oneOf": [schema, several]}


def _examples(description: Mapping[str, Any]) -> dict[str, Any]:
    example = description.get("example")
    return {"example": example} if example else {}


def _results(more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "200": {"description": "The result.", "content": {"*/*": {"schema": {}}}},
        "400": response("badRequest"),
        "500": response("serverError"),
        **more,
    }


def _json(description: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": OBJECT}}}


def _document(operation: str, summary: str, *parameters: Mapping[str, Any], missing: bool = False) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "tags": ["jobs" if operation.startswith("job") else "processes"],
            "parameters": [*parameters, parameter("fDocument")],
            "responses": {
                "200": {
                    "description": f"{summary}.",
                    "content": {JSON: {"schema": OBJECT}, "text/html": {"schema": STRING}},
                },
                "400": response("badRequest"),
                **({"404": response("notFound")} if missing else {}),
                "500": response("serverError"),
                "503": response("unavailable"),
            },
        }
    }


def _process_id() -> dict[str, Any]:
    return {
        "name": "processID",
        "in": "path",
        "required": True,
        "description": "Identifier of a process.",
        "schema": {"type": "string", "enum": list(PROCESSES)},
    }


def _job_id() -> dict[str, Any]:
    return {
        "name": "jobId",
        "in": "path",
        "required": True,
        "description": "Identifier of a job.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    }


def _limit(things: str) -> dict[str, Any]:
    return query_parameter("limit", f"At most so many {things}.", {"type": "integer", "minimum": 1, "maximum": 1000})


def _job_filters() -> tuple[dict[str, Any], ...]:
    states = ["accepted", "running", "successful", "failed", "dismissed"]
    listed = {"type": "array", "items": {"type": "string", "enum": states}}
    seconds = {"type": "integer", "minimum": 0, "maximum": 10**9}
    return (
        _limit("jobs"),
        query_parameter("type", "Kind of job.", {"type": "string", "enum": ["process"]}),
        query_parameter("processID", "Jobs of these processes.", {"type": "array", "items": STRING}),
        query_parameter("status", "Jobs in these states.", listed),
        query_parameter(
            "datetime", "Jobs created at this instant or in this interval.", STRING, example="2026-01-01/.."
        ),
        query_parameter("minDuration", "Jobs that take, or took, longer: seconds.", seconds),
        query_parameter("maxDuration", "Jobs that take, or took, less: seconds.", seconds),
    )
