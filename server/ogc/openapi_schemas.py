"""Which shapes do the documents of the API have, in OpenAPI's words?

The ``components`` of the OpenAPI document: everything that more than one path refers to. There is no reference to
another server: a closed network can generate clients from it.
"""

from __future__ import annotations

from typing import Any

PROBLEM = "application/problem+json"

STRING: dict[str, Any] = {"type": "string"}
STRINGS: dict[str, Any] = {"type": "array", "items": STRING}
OBJECT: dict[str, Any] = {"type": "object"}
GRID: dict[str, Any] = {
    "description": "The cells of one axis: regular, or one by one (OGC API Common, Part 2).",
    "type": "object",
    "required": ["cellsCount"],
    "properties": {
        "cellsCount": {"type": "integer", "minimum": 1},
        "resolution": {"oneOf": [{"type": "number"}, STRING]},
        "firstCoordinate": {"oneOf": [{"type": "number"}, STRING]},
        "coordinates": {"type": "array", "items": {"type": "number"}},
    },
}
PREFER: dict[str, Any] = {
    "name": "Prefer",
    "in": "header",
    "description": "respond-async makes a job of it (308); with wait=N beside it, unless it is done in N seconds "
    "(RFC 7240).",
    "required": False,
    "schema": STRING,
    "example": "respond-async",
}


def schema(name: str) -> dict[str, str]:
    """Return a reference to a schema of this document."""
    return {"$ref": f"#/components/schemas/{name}"}


def response(name: str) -> dict[str, str]:
    """Return a reference to a response of this document."""
    return {"$ref": f"#/components/responses/{name}"}


def parameter(name: str) -> dict[str, str]:
    """Return a reference to a parameter of this document."""
    return {"$ref": f"#/components/parameters/{name}"}


def query_parameter(
    name: str, description: str, shape: dict[str, Any], *, required: bool = False, example: object = None
) -> dict[str, Any]:
    """Return a parameter of the query string; style and explode are always written (the compliance suite asks)."""
    return {
        "name": name,
        "in": "query",
        "description": description,
        "required": required,
        "style": "form",
        "explode": False,
        "schema": shape,
        **({"example": example} if example is not None else {}),
    }


def problem(description: str) -> dict[str, Any]:
    """Return a response whose body is a problem document, or the same as a page for a browser."""
    content = {PROBLEM: {"schema": schema("problem")}, "text/html": {"schema": STRING}}
    return {"description": description, "content": content}


SCHEMAS: dict[str, Any] = {
    "problem": {
        "description": "A problem document (RFC 9457).",
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": STRING,
            "title": STRING,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": STRING,
            "instance": STRING,
            "code": {**STRING, "description": "Stable identifier of the kind of problem."},
            "parameter": {**STRING, "description": "The parameter at fault."},
            "valid": {**STRING, "description": "What would be valid."},
            "estimate": {"type": "object", "additionalProperties": {"type": "integer"}},
            "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
            "process": {
                "type": "object",
                "description": "The same request as an asynchronous process.",
                "properties": {"method": STRING, "href": STRING, "headers": OBJECT, "body": OBJECT},
            },
        },
    },
    "link": {
        "type": "object",
        "required": ["href", "rel"],
        "properties": {"href": STRING, "rel": STRING, "type": STRING, "title": STRING, "hreflang": STRING},
    },
    "links": {"type": "array", "items": schema("link")},
    "landingPage": {
        "type": "object",
        "required": ["links"],
        "properties": {"title": STRING, "description": STRING, "links": schema("links")},
    },
    "conformance": {"type": "object", "required": ["conformsTo"], "properties": {"conformsTo": STRINGS}},
    "collections": {
        "type": "object",
        "required": ["links", "collections"],
        "properties": {
            "links": schema("links"),
            "collections": {"type": "array", "items": schema("collection")},
        },
    },
    "collection": {
        "type": "object",
        "required": ["id", "links", "extent", "parameter_names"],
        "properties": {
            "id": STRING,
            "title": STRING,
            "description": STRING,
            "keywords": STRINGS,
            "links": schema("links"),
            "extent": schema("extent"),
            "data_queries": {"type": "object", "additionalProperties": schema("dataQuery")},
            "crs": STRINGS,
            "output_formats": STRINGS,
            "parameter_names": {"type": "object", "additionalProperties": schema("parameter")},
        },
    },
    "extent": {
        "type": "object",
        "required": ["spatial"],
        "properties": {
            "spatial": {
                "type": "object",
                "required": ["bbox", "crs"],
                "properties": {
                    "bbox": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                    "crs": STRING,
                    "values": {"type": "object", "additionalProperties": STRINGS},
                    "grid": {"type": "array", "items": GRID},
                },
            },
            "temporal": {
                "type": "object",
                "required": ["interval", "trs"],
                "properties": {
                    "interval": {"type": "array", "items": STRINGS},
                    "values": STRINGS,
                    "trs": STRING,
                    "grid": GRID,
                },
            },
            "vertical": {
                "type": "object",
                "required": ["interval", "vrs"],
                "properties": {
                    "interval": {"type": "array", "items": STRINGS},
                    "values": STRINGS,
                    "vrs": STRING,
                },
            },
            "custom": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "interval", "reference"],
                    "properties": {
                        "id": STRING,
                        "interval": {"type": "array", "items": STRINGS},
                        "values": STRINGS,
                        "reference": STRING,
                    },
                },
            },
        },
    },
    "dataQuery": {
        "type": "object",
        "required": ["link"],
        "properties": {
            "link": {
                "type": "object",
                "required": ["href", "rel", "variables"],
                "properties": {"href": STRING, "rel": STRING, "type": STRING, "title": STRING, "variables": OBJECT},
            }
        },
    },
    "parameter": {
        "type": "object",
        "required": ["type", "observedProperty"],
        "properties": {
            "type": {"type": "string", "enum": ["Parameter"]},
            "id": STRING,
            "label": STRING,
            "description": STRING,
            "data-type": {"type": "string", "enum": ["integer", "float", "string"]},
            "unit": OBJECT,
            "observedProperty": {
                "type": "object",
                "required": ["label"],
                "properties": {
                    "id": STRING,
                    "label": {"oneOf": [STRING, {"type": "object", "additionalProperties": STRING}]},
                },
            },
            "measurementType": {
                "type": "object",
                "required": ["method", "duration"],
                "properties": {"method": STRING, "duration": STRING},
            },
        },
    },
    "statusInfo": {
        "description": "Where a job stands (OGC 18-062r2, clause 7.12).",
        "type": "object",
        "required": ["jobID", "status", "type"],
        "properties": {
            "jobID": STRING,
            "processID": STRING,
            "type": {"type": "string", "enum": ["process"]},
            "status": {"type": "string", "enum": ["accepted", "running", "successful", "failed", "dismissed"]},
            "message": STRING,
            "progress": {"type": "integer", "minimum": 0, "maximum": 100},
            "created": {"type": "string", "format": "date-time"},
            "started": {"type": "string", "format": "date-time"},
            "finished": {"type": "string", "format": "date-time"},
            "updated": {"type": "string", "format": "date-time"},
            "links": schema("links"),
        },
    },
    "coverageJson": {
        "description": "A CoverageJSON document (https://covjson.org).",
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "enum": ["Coverage", "CoverageCollection"]},
            "domain": OBJECT,
            "domainType": STRING,
            "parameters": OBJECT,
            "ranges": OBJECT,
            "coverages": {"type": "array", "items": OBJECT},
            "referencing": {"type": "array", "items": OBJECT},
        },
    },
}

RESPONSES: dict[str, Any] = {
    "noData": {"description": "A good request, but no data lies there."},
    "notModified": {"description": "What the client holds is still valid."},
    "pending": {
        "description": "The data are not there yet: the answer where a 308 leads, to which some clients go unasked.",
        "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}},
        "content": {"application/json": {"schema": schema("statusInfo")}},
    },
    "elsewhere": {
        "description": "The answer is made as a job: `Location` is where it will be. There, 202 says that it is not "
        "there yet, and `Retry-After` when to ask again; 200 has the data.",
        "headers": {
            "Location": {"description": "Where the data will be.", "schema": STRING},
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
            "Preference-Applied": {"description": "`respond-async`.", "schema": STRING},
        },
        "content": {"application/json": {"schema": schema("statusInfo")}},
    },
    "badRequest": problem("A parameter is missing, unknown or not valid; the document says which, and what is valid."),
    "notFound": problem("There is no such resource."),
    "notAcceptable": problem("No format that the client accepts."),
    "tooLarge": problem(
        "More data than is answered at once: the estimate, the limits, and the request to use instead."
    ),
    "serverError": problem("A fault of the server."),
    "storageError": problem("Stored data could not be read."),
    "unavailable": problem("Try again later."),
}
"""Responses that paths refer to by name."""


def format_parameter(names: tuple[str, ...], default: str) -> dict[str, Any]:
    """Return the ``f`` parameter of data queries."""
    return query_parameter(
        "f",
        "The format of the answer; without it the Accept header decides.",
        {"type": "string", "enum": list(names), "default": default},
    )
