"""How does an EDR query become a process: a file with a part of a collection?

The inputs are the parameters of OGC API EDR by their own names (OGC 19-086r6, clause 8.2), so that a query which is
too large for an immediate answer is sent again, unchanged, as a job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from plugins.datacube.cancel import Cancel
from plugins.datacube.definition import ID_PATTERN
from plugins.datacube.distance import LENGTH_UNITS
from plugins.datacube.errors import InvalidQueryError, UnknownError
from plugins.datacube.instances import find_instance
from plugins.datacube.layouts import cheapest, choose
from plugins.datacube.library import Library, OpenDatacube
from plugins.datacube.limits import Limits, admit
from plugins.datacube.located import LocatedPlan, locate, plan_located
from plugins.datacube.locations import chosen
from plugins.datacube.parse import OTHER_PARAMETERS, parse_query
from plugins.datacube.plan import ReadPlan
from plugins.datacube.query import QUERY_TYPES
from plugins.datacube.read import read
from plugins.datacube.reference import names_longitude_latitude
from plugins.formats.table import FORMATS, Format, formats_for, negotiate
from plugins.jobs.child import Report
from plugins.jobs.job import Outcome
from plugins.processes.process import Prepared
from plugins.processes.schemas import BBOX, bbox_values
from plugins.processes.validation import validate_inputs

DEFAULT_FORMAT: Final = "NetCDF"
READING_SHARE: Final = 0.8
"""Of the progress of a job; the rest is writing."""
MAX_TEXT: Final = 256 * 1024
LOCATIONS: Final = "locations"
"""The query for named places (OGC 19-086r6, clause 8.2.8), beside those of `QUERY_TYPES`."""
LOCATION_ID: Final = "locationId"
UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
"""What does not stand in the name of a file."""

_TEXT_OR_NUMBER: Final = [{"type": "string", "maxLength": MAX_TEXT}, {"type": "number"}]
CUSTOM: Final[Mapping[str, Any]] = {
    "oneOf": [*_TEXT_OR_NUMBER, {"type": "array", "items": {"oneOf": _TEXT_OR_NUMBER}, "minItems": 1}]
}
"""A value, a list, or an interval ``a/b`` of a dimension."""

CORRIDOR: Final = (
    ("corridor-width", "Width of the corridor", "For corridor: from side to side."),
    ("width-units", "Unit of the width", f"For corridor: one of {', '.join(LENGTH_UNITS)}."),
    (
        "corridor-height",
        "Height of the corridor",
        "For corridor: from bottom to top, around z or the heights in coords.",
    ),
    ("height-units", "Unit of the height", "For corridor: of the vertical axis, or one that can be converted to it."),
    ("resolution-x", "Resolution along x", "For corridor: 0, the data's own."),
    ("resolution-y", "Resolution along y", "For corridor: 0, the data's own."),
    ("resolution-z", "Resolution along z", "For corridor: 0, the data's own."),
)

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "subset",
    "version": "1.0.0",
    "title": "Subset of a collection",
    "description": (
        "Answers an OGC API EDR query as a file. The inputs have the names and forms of the EDR query parameters; "
        "a custom dimension of the collection (a member, a step) is an input by its own name, or a member of "
        "'dimensions'. A query that is too large for an immediate answer can be run as a job."
    ),
    "keywords": ["subset", "EDR", *QUERY_TYPES, *FORMATS],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {
        "collection": {
            "title": "Collection",
            "description": "Identifier of the collection, as in /collections.",
            "schema": {"type": "string", "pattern": f"^{ID_PATTERN.pattern}$"},
            "minOccurs": 1,
            "maxOccurs": 1,
        },
        "instance": {
            "title": "Instance",
            "description": "A forecast run of the collection (2024-06-03T00:00:00Z), a state of its data (the name of "
            "a version, or a snapshot), or 'latest'; without it the collection as it is now.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "query": {
            "title": "Query type",
            "description": "position: values at points; radius: cells within a distance of a point; area: cells in a "
            "polygon; cube: cells in a box; trajectory: cells along a path; corridor: cells beside a path; "
            "locations: values at named places.",
            "schema": {"type": "string", "enum": [*QUERY_TYPES, LOCATIONS]},
            "minOccurs": 1,
            "maxOccurs": 1,
        },
        LOCATION_ID: {
            "title": "Locations",
            "description": "For locations: identifiers of named places of the collection, as text with commas between, "
            "or as array.",
            "schema": {
                "oneOf": [
                    {"type": "string", "maxLength": MAX_TEXT},
                    {"type": "array", "items": {"type": "string", "maxLength": 128}, "minItems": 1},
                ]
            },
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "coords": {
            "title": "Coordinates",
            "description": "Well-known text, longitude first. For position and radius POINT or MULTIPOINT; for area "
            "POLYGON or MULTIPOLYGON; for trajectory and corridor LINESTRING or MULTILINESTRING, with Z for heights "
            "and M for times in seconds since 1970.",
            "schema": {"type": "string", "maxLength": MAX_TEXT},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "within": {
            "title": "Distance",
            "description": "For radius: how far from the point along the great circle.",
            "schema": {"oneOf": _TEXT_OR_NUMBER},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "within-units": {
            "title": "Unit of the distance",
            "description": f"For radius: one of {', '.join(LENGTH_UNITS)}.",
            "schema": {"type": "string", "maxLength": 100},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        **{
            name: {
                "title": title,
                "description": text,
                "schema": {"oneOf": _TEXT_OR_NUMBER},
                "minOccurs": 0,
                "maxOccurs": 1,
            }
            for name, title, text in CORRIDOR
        },
        "bbox": {
            "title": "Bounding box",
            "description": "For cube: west, south, east, north (or with lowest and highest level in third and sixth "
            "place), as text, as array, or as a bounding box value.",
            "schema": {
                "oneOf": [
                    {"type": "string", "maxLength": 1000},
                    {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
                    BBOX,
                ]
            },
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "datetime": {
            "title": "Time",
            "description": "An instant, an interval (start/end, '..' for an open end), a comma list of instants, or "
            "instants a period apart (R4/2020-01-01/P1M).",
            "schema": {"type": "string", "maxLength": MAX_TEXT},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "z": {
            "title": "Level",
            "description": "A level, an interval (low/high) or a list of levels.",
            "schema": CUSTOM,
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "parameter-name": {
            "title": "Parameters",
            "description": "Names of parameters, as comma list or array; all if absent.",
            "schema": {
                "oneOf": [
                    {"type": "string", "maxLength": MAX_TEXT},
                    {"type": "array", "items": {"type": "string", "maxLength": 1000}},
                ]
            },
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "crs": {
            "title": "Coordinate reference system",
            "description": "Of coords and bbox; CRS84 if absent.",
            "schema": {"type": "string", "maxLength": 1000},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "dimensions": {
            "title": "Custom dimensions",
            "description": "A value, list or interval for each custom dimension of the collection, by its name.",
            "schema": {"type": "object", "additionalProperties": CUSTOM},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "format": {
            "title": "Format of the result",
            "description": f"One of {', '.join(FORMATS)}, in any case.",
            "schema": {"type": "string", "maxLength": 100, "default": DEFAULT_FORMAT},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
    },
    "outputs": {
        "result": {
            "title": "The subset",
            "description": "A file in the format that was asked for.",
            "schema": {
                "oneOf": [
                    {"type": "string", "contentMediaType": known.media_type, "contentEncoding": "binary"}
                    if known.binary
                    else {"type": "string", "contentMediaType": known.media_type}
                    for known in FORMATS.values()
                ]
            },
        }
    },
    "example": {
        "inputs": {
            "collection": "era5-like",
            "query": "position",
            "coords": "POINT(-3.5 50.7)",
            "format": "CSV",
        }
    },
}


def validate(inputs: object) -> dict[str, Any]:
    """Check the form of the inputs; see `plugins.processes.validation.validate_inputs`."""
    checked = validate_inputs(inputs, DESCRIPTION["inputs"], CUSTOM)
    for name in checked:
        if name in OTHER_PARAMETERS and name not in DESCRIPTION["inputs"]:
            # The parser lets these pass, because other parts of an EDR request answer to them; here nothing would.
            valid = ", ".join(DESCRIPTION["inputs"])
            raise InvalidQueryError(name, f"{name!r} is not an input of this process", valid)
    return checked


def prepare(inputs: Mapping[str, Any], library: Library, limits: Limits) -> Prepared:
    """Check validated inputs against the collection, and say what the answer costs; nothing is read.

    Raises
    ------
    InvalidQueryError
        If an input is not valid for this collection, or the collection does not exist.
    NoDataError
        If nothing lies there.
    TooLargeError
        If it costs more than the limits allow.
    DatasetError
        If the collection cannot be opened, or not be queried.
    """
    _format(inputs)
    opened, plan = _plan(inputs, library)
    admit(plan.cost, limits)
    return Prepared(dict(inputs), plan.cost, opened.cube.snapshot)


def run(
    inputs: Mapping[str, Any],
    library: Library,
    limits: Limits,
    workdir: Path,
    report: Report,
    cancel: Cancel | None = None,
) -> Outcome:
    """Read the subset, and write it to a file in `workdir`. Raises as `prepare`, StorageError and CancelledError."""
    written_as = _format(inputs)
    opened, plan = _plan(inputs, library)
    admit(plan.cost, limits)
    cancel = cancel or Cancel()
    report(0.0, "reading")
    coverages = read(opened, plan, cancel, lambda fraction: report(READING_SHARE * fraction, "reading"))
    if isinstance(plan, LocatedPlan):
        coverages = plan.named(coverages)
    report(READING_SHARE, "writing")
    path = workdir / f"result.{written_as.extension}"
    with path.open("wb") as file:
        for part in written_as.encode(coverages):
            cancel.raise_if_cancelled()
            file.write(part)
    instance = f"-{UNSAFE.sub('-', inputs['instance'])}" if "instance" in inputs else ""
    name = f"{opened.cube.id}{instance}-{inputs['query']}.{written_as.extension}"
    return Outcome(path, written_as.content_type, name)


def _plan(inputs: Mapping[str, Any], library: Library) -> tuple[OpenDatacube, ReadPlan]:
    try:
        opened = library.get(inputs["collection"])
    except UnknownError as error:
        raise InvalidQueryError("collection", error.detail, ", ".join(library.ids()[:50])) from error
    if "instance" in inputs:
        try:
            opened = find_instance(opened, inputs["instance"]).opened
        except UnknownError as error:
            raise InvalidQueryError("instance", error.detail) from error
    if inputs["query"] == LOCATIONS:
        return _of_locations(inputs, opened)
    if LOCATION_ID in inputs:
        raise InvalidQueryError(LOCATION_ID, f"{LOCATION_ID} belongs to the query {LOCATIONS!r}")
    query = parse_query(inputs["query"], edr_parameters(inputs), opened.cube)
    return choose(opened, query)


def _of_locations(inputs: Mapping[str, Any], opened: OpenDatacube) -> tuple[OpenDatacube, ReadPlan]:
    try:
        wanted = chosen(opened, _text(inputs.get(LOCATION_ID, "")))
    except UnknownError as error:
        raise InvalidQueryError(LOCATION_ID, error.detail) from error
    asked = locate(wanted, edr_parameters(inputs), opened.cube)
    return cheapest(opened, plan_located(opened.cube, asked))


def edr_parameters(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the inputs as the query parameters of the EDR request that asks for the same.

    Examples
    --------
    >>> edr_parameters({"collection": "c", "query": "cube", "bbox": [0, 50.5, 2, 52], "dimensions": {"number": [1, 2]}})
    {'bbox': '0,50.5,2,52', 'number': '1,2'}

    Raises
    ------
    InvalidQueryError
        If something is given twice.
    """
    raw: dict[str, str] = {}
    for name, value in inputs.items():
        if name in ("collection", "instance", "query", LOCATION_ID, "format", "dimensions"):
            continue
        if name == "bbox" and not isinstance(value, str):
            raw["bbox"] = _text(bbox_values("bbox", value))
        else:
            raw[name] = _text(value)
    for name, value in inputs.get("dimensions", {}).items():
        if name in DESCRIPTION["inputs"] or name in raw:
            raise InvalidQueryError("dimensions", f"{name[:64]!r} is not a custom dimension, or is given twice")
        raw[name] = _text(value)
    box = inputs.get("bbox")
    if isinstance(box, Mapping) and "crs" in box:
        same = {str(box["crs"]).strip().lower(), raw.get("crs", str(box["crs"])).strip().lower()}
        if len(same) > 1 and not all(names_longitude_latitude(name) for name in same):
            raise InvalidQueryError("crs", "crs and the bounding box name different reference systems", "one of them")
        raw["crs"] = str(box["crs"])
    return raw


def _format(inputs: Mapping[str, Any]) -> Format:
    try:
        return negotiate(inputs.get("format") or DEFAULT_FORMAT, None, formats_for(inputs["query"]))
    except InvalidQueryError as error:
        given = str(inputs.get("format"))[:64]
        raise InvalidQueryError(
            "format", f"{given!r} is not a format of a {inputs['query']} query", error.valid
        ) from error


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in value)
    return value if isinstance(value, str) else repr(value)
