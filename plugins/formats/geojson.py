"""How does an answer become GeoJSON (RFC 7946) in the form of EDR (OGC 19-086r6), for QGIS, GDAL and web maps?

A FeatureCollection of points, the centres of the cells, with plain attributes:

- of a grid, one Feature for every cell, time, level and member: ``datetime`` (ISO 8601, which GDAL reads as a
  DateTime), ``z``, the custom axes by their names, and one number for each parameter;
- at points, one Feature for every point, member and level, whose parameters are arrays over its times, given in
  ``time``; of a profile they are arrays over its levels, given in ``z``. ``datetime`` is then the whole period;
- along a path, one Feature for every place of it, in its order, as of a grid; and of cells that lie in no rows and
  columns one for every cell, time, level and member.

Every Feature has what EDR asks of one: ``label``, ``parameter-name``, and ``edrqueryendpoint``, the query of its place,
relative to the address of the query answered. Its ``id`` is a URN made of the collection and all its coordinates: the
same place and time has the same one in every answer.

Coordinates are longitude and latitude in degrees (CRS84), -180 to 180 whatever the request had; grids of other CRS are
transformed. Levels are attributes, never a third coordinate, which would be metres above the ellipsoid. Values are the
shortest decimals that read back as the same numbers; missing and infinite ones are ``null``. A property that a
parameter or a custom axis claims by its name is theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import orjson
from numpy.typing import NDArray

from plugins.datacube import calendar as cf_calendar
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, Values
from plugins.datacube.datacube import Parameter
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.formats import referencing
from plugins.formats.covjson import INTERPOLATION, SNAPSHOT, place_members
from plugins.formats.csv_text import axis_columns, coordinates
from plugins.formats.domains import is_dimension, is_point
from plugins.formats.places import Degrees, to_degrees
from plugins.formats.value_text import block, blocks, data_type, texts

MEDIA_TYPE: Final = "application/geo+json"
MEDIA_ALIASES: Final = ("application/vnd.geo+json",)
"""What GeoJSON was called before RFC 7946."""
ROWS: Final = 8_192
"""Features written at once: about 3 MB of text."""
_HORIZONTAL: Final = (AxisKind.Y, AxisKind.X)

type Columns = dict[tuple[AxisKind, str], str]


def encode(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write coverages as one FeatureCollection, in blocks of features.

    Parameters
    ----------
    coverages : sequence of Coverage
        Their features follow each other.

    Yields
    ------
    bytes
        UTF-8; the features are never all text at once.

    Raises
    ------
    NoDataError
        If there is no coverage.
    InvalidQueryError
        If the answer lies nowhere, or in a CRS that cannot be transformed to longitude and latitude.
    """
    if not coverages:
        raise NoDataError("the query selects no value")
    columns = axis_columns(coverages)
    place = to_degrees(coverages[0])
    shapes = [_Shape.of(coverage) for coverage in coverages]
    yield orjson.dumps(_head(coverages, sum(shape.count for shape in shapes)))[:-1] + b',"features":[\n'
    between = b""
    for shape in shapes:
        for part in _features(shape, columns, place):
            yield between + part
            between = b",\n"
    yield b"\n]}\n"


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a coverage is cut into features."""

    coverage: Coverage
    run: int | None
    """Number of the axis along which the values of one feature run; None where a feature has single values."""

    @property
    def count(self) -> int:
        """Number of features."""
        return math.prod(axis.size for number, axis in enumerate(self.coverage.axes) if number != self.run)

    @classmethod
    def of(cls, coverage: Coverage) -> _Shape:
        """Find the axis along which the values of a point run: time, else levels.

        Raises
        ------
        InvalidQueryError
            If there is no x or y.
        """
        if not {AxisKind.X, AxisKind.Y} <= {axis.kind for _, axis in coordinates(coverage)}:
            raise InvalidQueryError("f", "GeoJSON takes places, and the answer has none", "CoverageJSON, NetCDF or CSV")
        if not is_point(coverage):
            return cls(coverage, None)
        varying = {axis.kind: n for n, axis in enumerate(coverage.axes) if is_dimension(coverage, axis)}
        return cls(coverage, varying.get(AxisKind.T, varying.get(AxisKind.Z)))


def _head(coverages: Sequence[Coverage], count: int) -> dict[str, Any]:
    cube = coverages[0].cube
    described = {name: parameter for coverage in coverages for name, parameter in coverage.parameters.items()}
    said = {
        "title": cube.title,
        "license": cube.definition.licence_url or cube.definition.licence,
        "attribution": cube.definition.attribution,
        SNAPSHOT: cube.snapshot,
        INTERPOLATION: str(coverages[0].interpolation),
    }
    return {
        "type": "FeatureCollection",
        **{name: text for name, text in said.items() if text},
        "parameters": [_parameter(each) for each in described.values()],
        "numberReturned": count,
    }


def _parameter(described: Parameter) -> dict[str, Any]:
    """Return a parameter object, whose texts are plain strings in EDR GeoJSON, not texts by language."""
    body = referencing.parameter(described)
    label = body["observedProperty"]["label"]["en"]
    plain: dict[str, Any] = {
        "type": "Parameter",
        "id": described.name,
        "label": label,
        "description": body["description"]["en"],
        "observedProperty": {**body["observedProperty"], "label": label},
    }
    if "unit" in body:
        plain["unit"] = {**body["unit"], "label": body["unit"]["label"]["en"]}
    return plain


def _features(shape: _Shape, columns: Columns, place: Degrees) -> Iterator[bytes]:
    """Write the features of one coverage, about `ROWS` values of a parameter at a time."""
    coverage, axes, run = shape.coverage, shape.coverage.axes, shape.run
    outer = [number for number in range(len(axes)) if number != run]
    sizes = tuple(axes[number].size for number in outer)
    parts = [(outer.index(number), axis) for number, axis in coordinates(coverage) if number != run]
    (at_x, x), (at_y, y) = (next(part for part in parts if part[1].kind is kind) for kind in (AxisKind.X, AxisKind.Y))
    others = [(i, axis) for i, axis in parts if axis.kind not in _HORIZONTAL]
    named = [(i, _table(axis, _property(axis, columns, coverage))) for i, axis in others]
    keyed = [(i, _keys(axis, columns)) for i, axis in others]
    length = 1 if run is None else axes[run].size
    ranges = {name: values if run is None else np.moveaxis(values, run, -1) for name, values in coverage.ranges.items()}
    template, mentions = _template(shape, columns, len(others))
    rows = max(1, ROWS // length)
    for start in range(0, shape.count, rows):
        stop = min(start + rows, shape.count)
        places = np.unravel_index(np.arange(start, stop), sizes)
        where = [_numbers(each) for each in place(x.values[places[at_x]], y.values[places[at_y]])]
        fields = [
            *where,
            *(table[places[i]].tolist() for i, table in keyed),
            *where,
            *(table[places[i]].tolist() for i, table in named),
        ]
        for name in coverage.parameters:
            texts_of = _texts(block(ranges[name], start * length, stop * length))
            fields.append(texts_of if run is None else _arrays(texts_of, length))
        yield b",\n".join(map(template.__mod__, zip(*fields, *(where * mentions), strict=True)))


def _template(shape: _Shape, columns: Columns, others: int) -> tuple[bytes, int]:
    """Return a feature with ``%b`` for what differs, and how often its place is mentioned after the values."""
    coverage, run, place = shape.coverage, shape.run, shape.coverage.place
    taken = {*coverage.parameters, *(axis.name for axis in coverage.axes if axis.kind is AxisKind.CUSTOM)}
    identifier = f"urn:isopleth:{quote(coverage.cube.id, safe='')}:x=%b,y=%b" + "%b" * others
    fixed: dict[str, Any] = place_members(coverage)
    if run is not None:
        axis = coverage.axes[run]
        name = _property(axis, columns, coverage)
        written = _plain(axis)
        period = f"{written[0]}/{written[-1]}" if len(written) > 1 else str(written[0])
        identifier += _literal(f",{quote(columns[_identity(axis)], safe='')}={quote(period, safe=':/')}")
        if axis.kind is AxisKind.T:
            fixed[name] = period
            name = next(each for each in ("time", "times", "time_coordinate") if each not in {*taken, name})
        fixed[name] = written
    head = "".join(f"{_literal(orjson.dumps({name: value})[1:-1].decode())}," for name, value in fixed.items())
    body = [f"{_literal(orjson.dumps(name).decode())}:%b" for name in coverage.parameters]
    said = {
        "label": '"POINT(%b %b)"' if place is None else _literal(orjson.dumps(place.name).decode()),
        "edrqueryendpoint": '"position?coords=POINT(%b%%20%b)"',
        "parameter-name": _literal(orjson.dumps(list(coverage.parameters)).decode()),
    }
    free = {name: text for name, text in said.items() if name not in taken}
    body += [f'"{name}":{text}' for name, text in free.items()]
    text = (
        f'{{"type":"Feature","id":"{identifier}","geometry":{{"type":"Point","coordinates":[%b,%b]}},'
        f'"properties":{{{"%b" * others}{head}{",".join(body)}}}}}'
    )
    return text.encode(), sum(each.count("%b") == 2 for each in free.values())


def _property(axis: Axis, columns: Columns, coverage: Coverage) -> str:
    """Return the name of the property that an axis becomes: what CSV calls its column, but ``datetime`` if it can be.

    CSV gives two time axes two columns; a feature has one of them at most, and EDR looks for it by that name.
    """
    if axis.kind is AxisKind.T and "datetime" not in coverage.parameters:
        return "datetime"
    return columns[_identity(axis)]


def _identity(axis: Axis) -> tuple[AxisKind, str]:
    return axis.kind, axis.name


def _plain(axis: Axis) -> list[Any]:
    """Return the values of an axis as JSON has them."""
    if axis.kind is AxisKind.T:
        return cf_calendar.to_iso(axis.values, axis.calendar)
    return axis.values.tolist() if axis.values.dtype.kind in "iuf" else [str(each) for each in axis.values.tolist()]


def _table(axis: Axis, name: str) -> NDArray[Any]:
    """Return the property of every axis value, with a comma behind it."""
    return _objects([orjson.dumps({name: value})[1:-1] + b"," for value in _plain(axis)])


def _keys(axis: Axis, columns: Columns) -> NDArray[Any]:
    """Return what every axis value adds to an identifier."""
    name = quote(columns[_identity(axis)], safe="")
    texts_of = [value if isinstance(value, str) else orjson.dumps(value).decode() for value in _plain(axis)]
    return _objects([f",{name}={quote(text, safe=':')}".encode() for text in texts_of])


def _objects(encoded: list[bytes]) -> NDArray[Any]:
    table = np.empty(len(encoded), object)
    table[:] = encoded
    return table


def _numbers(values: NDArray[np.float64]) -> list[bytes]:
    return b",".join(blocks(values)).split(b",")


def _texts(values: Values) -> list[bytes]:
    """Return every value of a block as JSON."""
    if data_type(values) == "string":
        return [orjson.dumps(text) for text in texts(values)]
    return b",".join(blocks(values)).split(b",")


def _arrays(fields: list[bytes], length: int) -> list[bytes]:
    return [b"[" + b",".join(fields[start : start + length]) + b"]" for start in range(0, len(fields), length)]


def _literal(text: str) -> str:
    """Return text that stands in a template for itself."""
    return text.replace("%", "%%")
