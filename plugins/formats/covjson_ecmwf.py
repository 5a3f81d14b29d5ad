"""How does an answer become the CoverageJSON of ECMWF, which covjsonkit and earthkit decode to the same numbers?

Polytope and its readers write and read a profile of their own. Its axes are ``latitude``, ``longitude``, ``levelist``
and ``t``; where CoverageJSON has tuples of x, y and z, it has latitude, longitude and level; a member, a forecast's
reference time and its step stand in ``mars:metadata``; a variable is named by the ``id`` of its observed property.
These readers read the standard's PointSeries, VerticalProfile and Grid wrongly or not at all, so this is a format
beside CoverageJSON, not another way to write it.

- A point in time or a series is a ``PointSeries``, a profile a ``VerticalProfile``, a path a ``Trajectory``; rows and
  columns are a ``Grid``; cells that lie in no rows and columns, or on a projected grid, are a ``MultiPoint`` for each
  time, in which the levels follow each other. Places without a time are a Grid of one column. Data without levels have
  the ``levelist`` 0, as at ECMWF.
- The document is a ``CoverageCollection`` and begins with exactly ``{"type": "CoverageCollection"``, by which earthkit
  knows it where nothing else tells.
- The readers tell coverages apart by place, member and reference time, and let later ones take the place of earlier
  ones where these agree. What would lose values so is refused: several values of another custom axis, several paths or
  columns, parameters on different axes, steps of several reference times; and so are dates of calendars other than the
  Gregorian, which pandas would read as others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from plugins.datacube import calendar as cf_calendar
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType, Values
from plugins.datacube.datacube import CRS84, Parameter
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.formats import covjson
from plugins.formats import referencing as systems
from plugins.formats.domains import domain_type, is_timed
from plugins.formats.forecasts import Slice, slices
from plugins.formats.places import to_degrees
from plugins.formats.rasters import ANY_GRID
from plugins.formats.value_text import blocks, data_type

KEY: Final = "CoverageJSON-ECMWF"
MEDIA_TYPE: Final = covjson.MEDIA_TYPE
"""Without a parameter: earthkit-data compares the whole value of Content-Type."""
_SERIES: Final = "PointSeries"
_PROFILE: Final = "VerticalProfile"
_BY_PLACE: Final = (_SERIES, _PROFILE)
"""Domain types of which the readers keep several places apart."""


def encode(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write coverages as one CoverageCollection of ECMWF's profile, in parts that concatenate to it.

    Parameters
    ----------
    coverages : sequence of Coverage
        Of one answer, all with the same parameters.

    Yields
    ------
    bytes
        UTF-8; the values are never all text at once.

    Raises
    ------
    NoDataError
        If there is no coverage.
    InvalidQueryError
        If the readers of the profile would read something else than what is meant; the sentence says what to ask for.
    """
    if not coverages:
        raise NoDataError("the query selects no value")
    documents = [document for coverage in coverages for document in _documents(coverage)]
    _check(documents)
    return covjson.in_parts(_collection(coverages[0], documents))


@dataclass(frozen=True, slots=True)
class _Document:
    """One coverage of the collection."""

    domain_type: str
    places: bytes
    """JSON of the axes of the places and levels, without braces."""
    times: bytes
    """JSON of the axis t, with its name; empty where there is none."""
    mars: Mapping[str, Any] | None
    members: Mapping[str, Any]
    """Further members of the coverage."""
    names: tuple[str, ...]
    """Of the axes of the values, in array order."""
    shape: tuple[int, ...]
    ranges: Mapping[str, Values]


def _documents(coverage: Coverage) -> Iterator[_Document]:
    for each in slices(coverage, KEY):
        yield from _of_slice(each)


def _of_slice(each: Slice) -> Iterator[_Document]:
    coverage, axes = each.coverage, each.axes
    path = axes.get(AxisKind.COMPOSITE)
    for axis in (*axes.values(), *(path.components if path is not None else ())):
        if axis.kind is AxisKind.T and systems.calendar_uri(axis) != "Gregorian":
            raise InvalidQueryError("f", f"{KEY} takes Gregorian dates, and those of {axis.name} are none", ANY_GRID)
    for name, values in each.ranges.items():
        if data_type(values) == "string":
            raise InvalidQueryError("f", f"{KEY} takes numbers, and {name} is text", ANY_GRID)
    if path is not None and is_timed(path):
        yield _trajectory(each, path)
    elif path is not None:
        by_kind = {component.kind: component for component in path.components}
        yield from _multipoint(each, by_kind[AxisKind.Y].values, by_kind[AxisKind.X].values, by_kind.get(AxisKind.Z))
    elif AxisKind.X not in axes or AxisKind.Y not in axes:
        raise InvalidQueryError("f", f"{KEY} takes places, and the answer has none", "CoverageJSON, NetCDF or CSV")
    elif axes[AxisKind.X].size * axes[AxisKind.Y].size > 1 and not coverage.reference[2]:
        y, x = np.meshgrid(axes[AxisKind.Y].values, axes[AxisKind.X].values, indexing="ij")
        yield from _multipoint(each, y.ravel(), x.ravel(), None)
    else:
        yield _orthogonal(each)


def _orthogonal(each: Slice) -> _Document:
    """Return the document of a series, a profile, or rows and columns."""
    axes = each.axes
    latitude, longitude = _degrees(each.coverage, axes[AxisKind.Y].values, axes[AxisKind.X].values)
    level = axes.get(AxisKind.Z)
    levels = np.zeros(1, np.int64) if level is None else level.values
    places = {"latitude": latitude, "longitude": longitude, "levelist": levels}
    body = orjson.dumps(
        {name: {"values": covjson.native(values)} for name, values in places.items()}, None, covjson.NUMPY
    )
    times = axes.get(AxisKind.T)
    kind = {
        DomainType.POINT: _SERIES,
        DomainType.POINT_SERIES: _SERIES,
        DomainType.VERTICAL_PROFILE: _PROFILE,
    }.get(domain_type(each.coverage) or DomainType.GRID, "Grid")
    if times is None:
        kind = "Grid"
    mars = _mars(each)
    if kind == _SERIES:
        mars = mars or {}
        names: tuple[str, ...] = ("t",)
    elif kind == _PROFILE:
        assert times is not None  # noqa: S101 - a profile without a time is a Grid
        date = each.reference or _texts(times)[0]
        mars = {**(mars or {"number": 0}), "Forecast date": date, "step": each.step or 0}
        names = ("levelist",)
    else:
        names = ("t",) * (times is not None) + ("levelist", "latitude", "longitude")
    sizes = {"t": times.size if times is not None else 1, **{name: values.size for name, values in places.items()}}
    shape = tuple(sizes[name] for name in names)
    ranges = {name: values.reshape(shape) for name, values in each.ranges.items()}
    return _Document(kind, body[1:-1], _times(times), mars, _members(each), names, shape, ranges)


def _multipoint(each: Slice, y: NDArray[Any], x: NDArray[Any], height: Axis | None) -> Iterator[_Document]:
    """Yield a document for each time; its tuples are the places at the first level, then at the second."""
    times, level = each.axes.get(AxisKind.T), each.axes.get(AxisKind.Z)
    if times is None:
        raise InvalidQueryError("f", f"{KEY} takes places at a time, and this answer has none", ANY_GRID)
    latitude, longitude = (values.tolist() for values in _degrees(each.coverage, y, x))
    levels = [0] if level is None else level.values.tolist()
    heights = [None] * len(latitude) if height is None else height.values.tolist()
    tuples = [
        (lat, lon, z if own is None else own)
        for z in levels
        for lat, lon, own in zip(latitude, longitude, heights, strict=True)
    ]
    composite = {"dataType": "tuple", "coordinates": ["y", "x", "z"], "values": tuples}
    places = orjson.dumps({"composite": composite})[1:-1]
    mars = _mars(each) or {}
    shape = (times.size, len(tuples))
    flat = {name: values.reshape(shape) for name, values in each.ranges.items()}
    for number in range(times.size):
        at = times.take(np.array([number]))
        ranges = {name: values[number] for name, values in flat.items()}
        yield _Document("MultiPoint", places, _times(at), mars, _members(each), ("composite",), shape[1:], ranges)


def _trajectory(each: Slice, path: Axis) -> _Document:
    """Return the document of a path: tuples of time, latitude, longitude and level."""
    by_kind = {component.kind: component for component in path.components}
    latitude, longitude = _degrees(each.coverage, by_kind[AxisKind.Y].values, by_kind[AxisKind.X].values)
    levels = by_kind[AxisKind.Z].values.tolist() if AxisKind.Z in by_kind else [0] * path.size
    times = _texts(by_kind[AxisKind.T])
    tuples = list(zip(times, latitude.tolist(), longitude.tolist(), levels, strict=True))
    composite = {"dataType": "tuple", "coordinates": ["t", "y", "x", "z"], "values": tuples}
    mars = {"number": 0 if each.number is None else each.number, "Forecast date": each.reference or times[0]}
    places = orjson.dumps({"composite": composite})[1:-1]
    return _Document("Trajectory", places, b"", mars, _members(each), ("composite",), (path.size,), each.ranges)


def _mars(each: Slice) -> dict[str, Any] | None:
    """Return the member and the reference time, where there is one or the other; the readers want both."""
    if each.number is None and each.reference is None:
        return None
    times = each.axes.get(AxisKind.T)
    date = each.reference or (None if times is None else _texts(times)[0])
    if date is None:
        raise InvalidQueryError("f", f"{KEY} takes members at times, and those of this answer have none", ANY_GRID)
    return {"number": 0 if each.number is None else each.number, "Forecast date": date}


def _members(each: Slice) -> dict[str, Any]:
    """Return the members of a coverage that are not the profile's."""
    said = {covjson.DIMENSIONS: dict(each.dimensions)} if each.dimensions else {}
    return {**said, **covjson.place_members(each.coverage)}


def _check(documents: Sequence[_Document]) -> None:
    """Refuse what the readers would mix up.

    Raises
    ------
    InvalidQueryError
        If two documents have different parameters or domains, or places that the readers do not keep apart.
    """
    first = documents[0]
    if any(each.domain_type != first.domain_type or each.ranges.keys() != first.ranges.keys() for each in documents):
        raise InvalidQueryError(
            "f",
            f"{KEY} takes one set of axes, and the parameters of this answer lie on several",
            f"one parameter-name at a time, or {ANY_GRID}",
        )
    if first.domain_type in _BY_PLACE:
        return
    told = {
        orjson.dumps([each.mars and [each.mars.get("number"), each.mars.get("Forecast date")], each.times.decode()])
        for each in documents
    }
    if len(told) < len(documents) or any(each.places != first.places for each in documents):
        raise InvalidQueryError(
            "f",
            f"{KEY} takes one domain, and this answer is several, of type {first.domain_type}",
            f"one point, or one line at one time and level, or {ANY_GRID}",
        )


def _collection(coverage: Coverage, documents: Sequence[_Document]) -> Iterator[bytes]:
    first = documents[0]
    head = {
        "domainType": first.domain_type,
        **covjson.document_members(coverage),
        "parameters": {name: _parameter(described) for name, described in coverage.parameters.items()},
        "referencing": _referencing(coverage, first),
    }
    # With this one space: earthkit-data compares the first bytes of a document.
    yield b'{"type": "CoverageCollection",' + orjson.dumps(head)[1:-1] + b',"coverages":['
    for number, document in enumerate(documents):
        yield (b"," if number else b"") + b'{"type":"Coverage",'
        if document.mars is not None:
            yield b'"mars:metadata":' + orjson.dumps(document.mars) + b","
        if document.members:
            yield orjson.dumps(document.members)[1:-1] + b","
        axes = b",".join(part for part in (document.places, document.times) if part)
        yield b'"domain":{"type":"Domain","axes":{' + axes + b"}},"
        yield b'"ranges":{'
        for place, (name, values) in enumerate(document.ranges.items()):
            yield (b"," if place else b"") + orjson.dumps(name) + b":"
            yield from _range(document, values)
        yield b"}}"
    yield b"]}"


def _range(document: _Document, values: Values) -> Iterator[bytes]:
    head = {"type": "NdArray", "dataType": data_type(values), "axisNames": document.names, "shape": document.shape}
    yield orjson.dumps(head)[:-1] + b',"values":['
    for number, block in enumerate(blocks(values)):
        yield b"," + block if number else block
    yield b"]}"


def _parameter(described: Parameter) -> dict[str, Any]:
    """Return the parameter object; the readers name the variable by ``observedProperty.id``, and need a unit."""
    body = systems.parameter(described)
    label = body["observedProperty"]["label"]
    unit = (described.units or "").strip()
    return {
        "type": "Parameter",
        "description": body["description"],
        "unit": {"symbol": unit},
        "observedProperty": {"id": described.name, "label": label},
    }


def _referencing(coverage: Coverage, first: _Document) -> list[dict[str, Any]]:
    composite = first.names == ("composite",)
    horizontal = ["y", "x"] if composite else ["latitude", "longitude"]
    geographic = coverage.reference[2]
    system = systems.horizontal_system(coverage) if geographic else {"type": "GeographicCRS", "id": CRS84}
    level = next(
        (part for axis in coverage.axes for part in axis.components or (axis,) if part.kind is AxisKind.Z), None
    )
    surface = {"type": "VerticalCRS", "cs": {"csAxes": [{"name": {"en": "level"}}]}}
    vertical = surface if level is None else systems.vertical_system(level)
    connections = [
        {"coordinates": horizontal, "system": system},
        {"coordinates": ["z" if composite else "levelist"], "system": vertical},
    ]
    if first.times or first.domain_type == "Trajectory":
        connections.append({"coordinates": ["t"], "system": {"type": "TemporalRS", "calendar": "Gregorian"}})
    return connections


def _degrees(coverage: Coverage, y: NDArray[Any], x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitudes and longitudes; those of geographic data as they are."""
    if coverage.reference[2]:
        return np.asarray(y, np.float64), np.asarray(x, np.float64)
    longitude, latitude = to_degrees(coverage, KEY)(x, y)
    return latitude, longitude


def _times(axis: Axis | None) -> bytes:
    return b"" if axis is None else orjson.dumps({"t": {"values": _texts(axis)}})[1:-1]


def _texts(axis: Axis) -> list[str]:
    return cf_calendar.to_iso(axis.values, axis.calendar)
