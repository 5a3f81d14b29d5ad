"""Which kind of document is this, so that a page can lead with what a reader came for?"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class Shape(StrEnum):
    """Documents of the OGC API front that have a part worth showing first."""

    PROBLEM = "problem"
    OPENAPI = "openapi"
    CONFORMANCE = "conformance"
    COLLECTIONS = "collections"
    COLLECTION = "collection"
    INSTANCES = "instances"
    PROCESSES = "processes"
    PROCESS = "process"
    JOBS = "jobs"
    JOB = "job"
    OTHER = "other"


_BY_LIST: Final = {
    "processes": Shape.PROCESSES,
    "jobs": Shape.JOBS,
    "collections": Shape.COLLECTIONS,
    "instances": Shape.INSTANCES,
}
_BY_MEMBER: Final = (
    (frozenset({"openapi", "paths"}), Shape.OPENAPI),
    (frozenset({"conformsTo"}), Shape.CONFORMANCE),
    (frozenset({"jobID", "status"}), Shape.JOB),
    (frozenset({"data_queries"}), Shape.COLLECTION),
    (frozenset({"inputs", "outputs"}), Shape.PROCESS),
)
_PROBLEM: Final = (
    frozenset({"detail", "status"}),
    frozenset({"type", "title", "status"}),
    frozenset({"code", "description"}),
)


def shape_of(document: Mapping[str, Any]) -> Shape:
    """Recognise a document by its members, as a client would."""
    for member, shape in _BY_LIST.items():
        if isinstance(document.get(member), list):
            return shape
    for members, shape in _BY_MEMBER:
        if members <= document.keys() and not (
            shape is Shape.CONFORMANCE and "links" in document and "title" in document
        ):
            return shape
    if any(members <= document.keys() for members in _PROBLEM):
        return Shape.PROBLEM
    return Shape.OTHER


def heading(shape: Shape, document: Mapping[str, Any], otherwise: str) -> str:
    """Return the heading of a document's page: its own title where that names it, else `otherwise`."""
    if shape is Shape.OPENAPI:
        return "API description"
    title = document.get("title") if shape is not Shape.PROBLEM else None
    text = title if isinstance(title, str) and title else otherwise
    return text[:1].upper() + text[1:] if text == otherwise else text


def web_link(value: object) -> bool:
    """Tell whether a text of a document may become a link: an address of the web or of this server, nothing else."""
    if not isinstance(value, str) or any(ord(character) <= 32 for character in value):
        return False
    return value.startswith(("http://", "https://")) or (value.startswith("/") and not value.startswith("//"))
