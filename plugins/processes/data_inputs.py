"""On which data shall a process work?

The inputs have the names and forms of OGC API EDR (OGC 19-086r6, clause 8.2), as those of ``subset``, and mean the
same; but here all of them may be left out except the collection: then the whole of it is meant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import InvalidQueryError, UnknownError
from plugins.datacube.instances import find_instance
from plugins.datacube.layouts import choose as choose_layout
from plugins.datacube.library import Library, OpenDatacube
from plugins.datacube.parse import OTHER_PARAMETERS, PARAMETER_NAMES, parse_query
from plugins.datacube.plan import ReadPlan
from plugins.formats.table import FORMATS, Format, formats_for, negotiate
from plugins.processes.subset import CUSTOM, DEFAULT_FORMAT, edr_parameters
from plugins.processes.subset import DESCRIPTION as SUBSET
from plugins.processes.validation import validate_inputs

QUERIES: Final = ("position", "radius", "area", "cube")
_OF_SUBSET: Final = (
    "coords", "within", "within-units", "bbox", "datetime", "z", "parameter-name", "crs", "dimensions",
)  # fmt: skip
TABLES: Final = tuple(key for key in ("NetCDF", "CSV", "CoverageJSON", "Zarr", "Parquet", "Arrow") if key in FORMATS)
"""The formats of answers that need not lie anywhere."""


def data_inputs(**descriptions: str) -> dict[str, Any]:
    """Describe the inputs that say which data; `descriptions` replace those of ``subset``."""
    query = {
        "title": "Query type",
        "description": "position: cells at points; radius: cells within a distance of a point; area: cells in a "
        "polygon; cube: cells in a box. If absent, what coords, within and bbox imply; without them the whole "
        "collection.",
        "schema": {"type": "string", "enum": list(QUERIES)},
        "minOccurs": 0,
        "maxOccurs": 1,
    }
    described = {name: SUBSET["inputs"][name] for name in ("collection", "instance")} | {"query": query}
    described |= {name: SUBSET["inputs"][name] for name in _OF_SUBSET}
    for name, text in descriptions.items():
        described[name] = {**described[name], "description": text}
    return described


def format_input(keys: Collection[str] = tuple(FORMATS)) -> dict[str, Any]:
    """Describe the input that names the format of the result."""
    return {
        "title": "Format of the result",
        "description": f"One of {', '.join(keys)}, in any case.",
        "schema": {"type": "string", "maxLength": 100, "default": DEFAULT_FORMAT},
        "minOccurs": 0,
        "maxOccurs": 1,
    }


def result_output(title: str, text: str, keys: Collection[str] = tuple(FORMATS)) -> dict[str, Any]:
    """Describe the output that is a file in one of some formats."""
    schemas = []
    for known in (FORMATS[key] for key in keys):
        binary = {"contentEncoding": "binary"} if known.binary else {}
        schemas.append({"type": "string", "contentMediaType": known.media_type, **binary})
    return {"result": {"title": title, "description": text, "schema": {"oneOf": schemas}}}


def checked(inputs: object, description: Mapping[str, Any]) -> dict[str, Any]:
    """Check the form of the inputs; those that are not described are dimensions of the collection.

    Raises
    ------
    InvalidQueryError
        With the input at fault and what would be valid.
    """
    found = validate_inputs(inputs, description["inputs"], CUSTOM)
    for name in found:
        if name in (*OTHER_PARAMETERS, *PARAMETER_NAMES[1:]) and name not in description["inputs"]:
            valid = ", ".join(description["inputs"])
            raise InvalidQueryError(name, f"{name!r} is not an input of this process", valid)
    return found


@dataclass(frozen=True, slots=True)
class Data:
    """What the inputs select, and nothing is read of yet."""

    opened: OpenDatacube
    """In the layout that answers at the least cost."""
    plan: ReadPlan
    query: str
    named: bool
    """Whether parameters are named."""

    @property
    def cube(self) -> Datacube:
        """The collection."""
        return self.opened.cube


def open_collection(inputs: Mapping[str, Any], library: Library) -> OpenDatacube:
    """Return the collection, or the instance of it, that the inputs name.

    Raises
    ------
    InvalidQueryError
        If there is none of that name.
    DatasetError
        If it cannot be opened.
    """
    try:
        opened = library.get(inputs["collection"])
    except UnknownError as error:
        raise InvalidQueryError("collection", error.detail, ", ".join(library.ids()[:50])) from error
    if "instance" not in inputs:
        return opened
    try:
        return find_instance(opened, inputs["instance"]).opened
    except UnknownError as error:
        raise InvalidQueryError("instance", error.detail) from error


def choose(inputs: Mapping[str, Any], own: Collection[str], library: Library) -> Data:
    """Return what validated inputs select.

    Parameters
    ----------
    inputs : mapping
    own : collection of str
        Names of inputs that say nothing of the data.
    library : Library

    Raises
    ------
    InvalidQueryError, NoDataError, TooLargeError, DatasetError
        As ``subset``.
    """
    opened = open_collection(inputs, library)
    of_data = {name: value for name, value in inputs.items() if name not in own}
    kind = query_type(of_data)
    raw = edr_parameters({**of_data, "query": kind})
    if kind == "cube" and not raw.get("bbox"):
        extent = opened.cube.extent
        raw["bbox"] = f"{extent.west!r},{extent.south!r},{extent.east!r},{extent.north!r}"
    opened, plan = choose_layout(opened, parse_query(kind, raw, opened.cube))
    return Data(opened, plan, kind, bool(raw.get(PARAMETER_NAMES[0], "").strip()))


def query_type(inputs: Mapping[str, Any]) -> str:
    """Return the query type that inputs name or imply.

    Examples
    --------
    >>> query_type({"coords": "POINT(0 50)"}), query_type({"coords": "POLYGON((0 0,1 0,1 1,0 0))"}), query_type({})
    ('position', 'area', 'cube')
    """
    if "query" in inputs:
        return str(inputs["query"])
    if "coords" not in inputs:
        return "cube"
    if "POLYGON" in str(inputs["coords"])[:32].upper():
        return "area"
    return "radius" if "within" in inputs else "position"


def chosen_format(inputs: Mapping[str, Any], available: Collection[str]) -> Format:
    """Return the format that the inputs name.

    Raises
    ------
    InvalidQueryError
        If it is none of those available.
    """
    try:
        return negotiate(inputs.get("format") or DEFAULT_FORMAT, None, tuple(available))
    except InvalidQueryError as error:
        given = str(inputs.get("format"))[:64]
        raise InvalidQueryError("format", f"{given!r} is not a format of this result", error.valid) from error


def formats_of(data: Data) -> tuple[str, ...]:
    """Return the formats for an answer whose places are those of the data."""
    return formats_for(data.query)
