"""What did the client send? The process that gives its inputs back, for trying out clients and for compliance tests.

The compliance suite of OGC API - Processes 1.0 runs all its execution tests on such a process: it takes the first
input to be a plain string, expects outputs of the same names, and an input ``pause`` to find a job still running.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from plugins.datacube.cancel import Cancel
from plugins.datacube.library import Library
from plugins.datacube.limits import Limits
from plugins.datacube.plan import Cost
from plugins.jobs.child import Report
from plugins.jobs.job import Outcome
from plugins.processes.process import Prepared
from plugins.processes.schemas import BBOX, bbox_values
from plugins.processes.validation import validate_inputs

MAX_PAUSE: Final = 10
"""Seconds: enough to find a job running, and no synchronous request holds a thread for longer."""
_STEP: Final = 0.1
"""Seconds between two looks at whether the work is still wanted."""

_SCHEMAS: Final[dict[str, tuple[str, str, Mapping[str, Any]]]] = {
    "echo": ("Text", "Any text.", {"type": "string", "maxLength": 100_000}),
    "pause": ("Pause", "Seconds to wait before the answer.", {"type": "integer", "minimum": 0, "maximum": MAX_PAUSE}),
    "number": ("Number", "Any number.", {"type": "number"}),
    "array": (
        "Array",
        "Any list of whole numbers.",
        {"type": "array", "items": {"type": "integer"}, "maxItems": 10_000},
    ),
    "object": ("Object", "Any JSON object.", {"type": "object"}),
    "bbox": ("Bounding box", "Any bounding box value.", BBOX),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "echo",
    "version": "1.0.0",
    "title": "Echo",
    "description": "Gives back its inputs, after a pause if one is asked for. For trying out clients.",
    "keywords": ["echo", "test"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {
        name: {"title": title, "description": text, "schema": schema, "minOccurs": 0, "maxOccurs": 1}
        for name, (title, text, schema) in _SCHEMAS.items()
    },
    "outputs": {
        name: {"title": title, "description": f"The input {name}, if it was given.", "schema": schema}
        for name, (title, _, schema) in _SCHEMAS.items()
    },
    "example": {"inputs": {"echo": "Hello", "pause": 0, "array": [1, 2, 3]}},
}


def validate(inputs: object) -> dict[str, Any]:
    """Check the form of the inputs."""
    checked = validate_inputs(inputs, DESCRIPTION["inputs"])
    if "bbox" in checked:
        bbox_values("bbox", checked["bbox"])
    return checked


def prepare(inputs: Mapping[str, Any], library: Library, limits: Limits) -> Prepared:  # noqa: ARG001 -- reads no data
    """Accept any validated inputs; nothing is read."""
    return Prepared(dict(inputs), Cost(0, 0, len(json.dumps(dict(inputs))), 0), None)


def run(
    inputs: Mapping[str, Any],
    library: Library,  # noqa: ARG001 -- reads no data
    limits: Limits,  # noqa: ARG001 -- costs nothing
    workdir: Path,
    report: Report,
    cancel: Cancel | None = None,
) -> Outcome:
    """Wait, then write the inputs as a JSON object. CancelledError as soon as the work is not wanted any more."""
    pause = float(inputs.get("pause", 0))
    start = time.monotonic()
    while (done := time.monotonic() - start) < pause:
        report(done / pause, "waiting")
        if cancel is not None:
            cancel.raise_if_cancelled()
        time.sleep(min(_STEP, pause - done))
    path = workdir / "result.json"
    path.write_text(json.dumps(dict(inputs)), encoding="utf-8")
    return Outcome(path, "application/json", "echo.json")
