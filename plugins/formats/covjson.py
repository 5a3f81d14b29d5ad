"""How does an answer become CoverageJSON (OGC 21-069r2) that every reader we know reads right?

Choices, and whom they serve:

- The values stand in the order of ``axisNames``: t, z, y, x. A Grid names every axis it has, of one value too, so that
  the shape of a subset matches the shape of the whole (edr-xarray); a series names t, a profile z, a point none; the
  places of a path are one axis of tuples, in the order t, x, y, z. The cells of a grid without rows and columns
  (HEALPix, unstructured) are a MultiPoint or a MultiPointSeries: an axis of tuples x, y, z beside t.
- A custom axis (members, steps) cannot be an axis of a common domain type: the schemas and covjson-pydantic refuse it.
  Its value stands in the member ``isopleth:dimensions`` of the coverage, and several values make a CoverageCollection
  of one coverage each. The same holds for several points, and for several levels of a MultiPoint.
- A collection repeats at its top the parameters and reference systems that its coverages share (the QGIS plugin looks
  only there); a coverage that differs carries its own.
- Axes are lists of their exact values, never start, stop and number, which would round.
- NaN, masked and infinite values are ``null``: JSON has no other word for them.

Dates of other calendars (30 February) are written as the standard asks, in the form of ISO 8601; readers that insist on
a Gregorian date will refuse those, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from plugins.datacube import calendar as cf_calendar
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import NoDataError
from plugins.formats import referencing as systems
from plugins.formats.domains import Piece, is_dimension, split
from plugins.formats.time_text import OPTIONS, kept_times
from plugins.formats.value_text import blocks, data_type

MEDIA_TYPE: Final = "application/prs.coverage+json"
"""What EDR 1.0 and 1.1 name, covjson-reader asks for, and the only type by which earthkit-data knows CoverageJSON."""
MEDIA_ALIASES: Final = ("application/vnd.cov+json", "application/json")
"""EDR 1.2 names the first; both are given to a client that asks for them."""
DIMENSIONS: Final = "isopleth:dimensions"
"""Member of a coverage: the value on each custom axis, for example ``{"number": 3}``."""
SNAPSHOT: Final = "isopleth:snapshot"
"""Member of the document: the state of the data that the answer was read from."""
INTERPOLATION: Final = "isopleth:interpolation"
"""Member of the document: how the values were made of those of the cells, ``nearest`` or ``linear``."""
DISTANCE: Final = "isopleth:distance"
"""Member of a coverage at a point: metres from the place that was asked for to the centre of its cell."""
LOCATION: Final = "isopleth:location"
"""Member of a coverage: the ``id`` and the ``name`` of the location that was asked for."""
_PART = 64 * 1024
NUMPY: Final = OPTIONS
"""Options of orjson for axes."""


def encode(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write coverages as one CoverageJSON document, in parts that concatenate to it.

    Parameters
    ----------
    coverages : sequence of Coverage
        One piece gives a ``Coverage``, several a ``CoverageCollection``.

    Yields
    ------
    bytes
        UTF-8, at most about 1 MiB each; the values are never all text at once.

    Raises
    ------
    NoDataError
        If there is no coverage: an empty document would claim that something was found.
    """
    return in_parts(_document(coverages))


def to_dict(coverages: Sequence[Coverage]) -> dict[str, Any]:
    """Return the same document as plain Python values, missing ones as None.

    A float32 value is the Python float of its shortest decimals, so that any JSON library writes those again.
    """
    document: dict[str, Any] = orjson.loads(b"".join(encode(coverages)))
    return document


@dataclass(frozen=True, slots=True)
class _Context:
    """What all pieces of one coverage share, made once however many pieces there are."""

    axes: orjson.Fragment
    parameters: dict[str, Any]
    referencing: list[dict[str, Any]]


def _document(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    pieces = [made for coverage in coverages for made in _in_context(coverage)]
    if not pieces:
        raise NoDataError("the query selects no value")
    members = document_members(coverages[0])
    if len(pieces) == 1:
        ((context, piece),) = pieces
        yield from _coverage(piece, members, context.axes, context.parameters, context.referencing)
        return
    contexts = list({id(context): context for context, _ in pieces}.values())
    parameters = _common_parameters(contexts)
    references = _common_systems(contexts)
    head: dict[str, Any] = {"type": "CoverageCollection"}
    kinds = {piece.domain_type for _, piece in pieces}
    if len(kinds) == 1 and None not in kinds:
        head["domainType"] = str(pieces[0][1].domain_type)
    head |= members
    if parameters:
        head["parameters"] = parameters
    if references:
        head["referencing"] = references
    yield orjson.dumps(head)[:-1] + b',"coverages":['
    for number, (context, piece) in enumerate(pieces):
        if number:
            yield b","
        yield from _coverage(
            piece,
            {},
            context.axes,
            None if context.parameters == parameters else context.parameters,
            None if context.referencing == references else context.referencing,
        )
    yield b"]}"


def _in_context(coverage: Coverage) -> Iterator[tuple[_Context, Piece]]:
    """Yield the pieces of a coverage, each with what it shares with those of the same axes."""
    known: dict[int, _Context] = {}
    for piece in split(coverage):
        if id(piece.axes) not in known:
            known[id(piece.axes)] = _context(coverage, piece.axes)
        yield known[id(piece.axes)], piece


def _context(coverage: Coverage, axes: Sequence[Axis]) -> _Context:
    # Readers and people expect x before y in the axes; the order of the values is that of axisNames.
    bodies = {axis.key: _axis(axis, coverage.cube) for axis in reversed(axes)}
    return _Context(
        axes=orjson.Fragment(orjson.dumps(bodies, option=NUMPY)),
        parameters={name: systems.parameter(described) for name, described in coverage.parameters.items()},
        referencing=systems.referencing(coverage, [part for axis in axes for part in axis.components or (axis,)]),
    )


def _coverage(
    piece: Piece,
    members: dict[str, Any],
    axes: orjson.Fragment,
    parameters: dict[str, Any] | None,
    references: list[dict[str, Any]] | None,
) -> Iterator[bytes]:
    """Write one Coverage object; members that are None stand in the collection."""
    domain: dict[str, Any] = {"type": "Domain"}
    if piece.domain_type is not None:
        domain["domainType"] = str(piece.domain_type)
    domain["axes"] = axes
    if references is not None:
        domain["referencing"] = references
    head: dict[str, Any] = {"type": "Coverage", **members}
    if piece.dimensions:
        head[DIMENSIONS] = dict(piece.dimensions)
    head |= place_members(piece.coverage)
    head["domain"] = domain
    if parameters is not None:
        head["parameters"] = parameters
    yield orjson.dumps(head)[:-1] + b',"ranges":{'
    for number, name in enumerate(piece.coverage.parameters):
        yield (b"," if number else b"") + orjson.dumps(name) + b":"
        yield from _range(piece, name)
    yield b"}}"


def _range(piece: Piece, name: str) -> Iterator[bytes]:
    values = piece.values(name)
    named = _axis_names(piece)
    head: dict[str, Any] = {"type": "NdArray", "dataType": data_type(values)}
    if named:
        head["axisNames"] = named
        head["shape"] = [axis.size for axis in piece.axes if axis.key in named]
    yield orjson.dumps(head)[:-1] + b',"values":['
    for number, block in enumerate(blocks(values)):
        yield b"," + block if number else block
    yield b"]}"


def _axis_names(piece: Piece) -> list[str]:
    """Return the names of the array's axes: those that the domain type lets vary, and in a Grid all."""
    whole = piece.domain_type in (DomainType.GRID, None)
    return [axis.key for axis in piece.axes if whole or is_dimension(piece.coverage, axis)]


def _axis(axis: Axis, cube: Datacube) -> dict[str, Any]:
    if axis.kind is AxisKind.COMPOSITE:
        columns = (part.texts() if part.kind is AxisKind.T else part.values.tolist() for part in axis.components)
        return {
            "dataType": "tuple",
            "coordinates": [part.key for part in axis.components],
            "values": list(zip(*columns, strict=True)),
        }
    if axis.kind is AxisKind.T:
        kept = kept_times(axis, cube)
        body: dict[str, Any] = {"values": orjson.Fragment(kept) if kept else times(axis.values, axis.calendar)}
        if axis.bounds is not None:
            body["bounds"] = times(axis.bounds, axis.calendar)
        return body
    if axis.values.dtype.kind not in "iuf":
        return {"values": [str(value) for value in axis.values.tolist()]}
    body = {"values": native(axis.values)}
    if axis.bounds is not None and np.isfinite(axis.bounds).all():
        body["bounds"] = native(axis.bounds)
    return body


def times(values: Any, calendar: str) -> Any:
    """Return what orjson writes as ISO 8601 with ``Z``, with the options of `NUMPY`."""
    stamps = cf_calendar.whole_seconds(values, calendar)
    return cf_calendar.to_iso(values, calendar) if stamps is None else stamps


def native(values: Any) -> Any:
    """Return numbers as a flat array that orjson writes."""
    return np.ascontiguousarray(values.reshape(-1), values.dtype.newbyteorder("="))


def _common_parameters(contexts: Iterable[_Context]) -> dict[str, Any]:
    """Return the parameters of all coverages by name, or nothing where one name means two things."""
    shared: dict[str, Any] = {}
    for context in contexts:
        for name, body in context.parameters.items():
            if shared.setdefault(name, body) != body:
                return {}
    return shared


def _common_systems(contexts: Sequence[_Context]) -> list[dict[str, Any]]:
    """Return the reference system connections that every coverage has."""
    first, *others = (context.referencing for context in contexts)
    return [connection for connection in first if all(connection in other for other in others)]


def document_members(coverage: Coverage) -> dict[str, Any]:
    """Return what a reader should know of the source, under the prefixes of the document's own ``@context``."""
    cube = coverage.cube
    definition = cube.definition
    members: dict[str, Any] = {
        "@context": {"dct": "http://purl.org/dc/terms/", "isopleth": "urn:isopleth:"},
        "dct:title": cube.title,
        "dct:license": definition.licence_url or definition.licence,
        "dct:rightsHolder": definition.attribution,
        SNAPSHOT: cube.snapshot,
        INTERPOLATION: str(coverage.interpolation),
    }
    return {name: value for name, value in members.items() if value}


def place_members(coverage: Coverage) -> dict[str, Any]:
    """Return what a reader should know of the place of a coverage: which location it is, how far its cell lies."""
    members: dict[str, Any] = {}
    if coverage.place is not None:
        members[LOCATION] = {"id": coverage.place.id, "name": coverage.place.name}
    if coverage.distance is not None:
        members[DISTANCE] = coverage.distance
    return members


def in_parts(small: Iterator[bytes]) -> Iterator[bytes]:
    """Gather small pieces of text, so that a collection of thousands of coverages is not thousands of writes."""
    waiting: list[bytes] = []
    size = 0
    for part in small:
        waiting.append(part)
        size += len(part)
        if size >= _PART:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
