"""How does an answer become a table of text (RFC 4180) that a spreadsheet and pandas read without being told how?

One row for every position, in C order. Columns: the custom axes, ``datetime``, ``z``, ``latitude``, ``longitude``
(``y``, ``x`` where the CRS is projected), as far as any coverage has them, then one for each parameter. UTF-8, CRLF, a
header of plain names: units are in the collection's description, where they cannot break a reader. A missing value, an
infinite one, and an axis or parameter that a row does not have are empty fields. A path has one row for each of its
places, in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from plugins.datacube import calendar as cf_calendar
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, Values
from plugins.datacube.errors import NoDataError
from plugins.formats.value_text import BLOCK, block, blocks, data_type, texts

MEDIA_TYPE: Final = "text/csv"
MEDIA_ALIASES: Final = ("application/csv",)
_ORDER: Final = (AxisKind.CUSTOM, AxisKind.T, AxisKind.Z, AxisKind.Y, AxisKind.X)
_END: Final = b"\r\n"


def encode(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write coverages as one table, in blocks of rows.

    Parameters
    ----------
    coverages : sequence of Coverage
        Their rows follow each other; the columns are those of all of them.

    Yields
    ------
    bytes
        The header, then blocks of at most 65,536 rows.

    Raises
    ------
    NoDataError
        If there is no coverage.
    """
    if not coverages:
        raise NoDataError("the query selects no value")
    parameters = list(dict.fromkeys(name for coverage in coverages for name in coverage.parameters))
    axes = axis_columns(coverages)
    yield b",".join(quoted(name) for name in (*axes.values(), *parameters)) + _END
    for coverage in coverages:
        yield from _rows(coverage, list(axes), parameters)


def axis_columns(coverages: Sequence[Coverage]) -> dict[tuple[AxisKind, str], str]:
    """Return the column names of the axes by what identifies them, in the order of the columns.

    ``z`` is the vertical axis, but not where a parameter has that name (geopotential) or two vertical axes occur: then
    the columns have the names of the axes in the store.
    """
    parameters = {name for coverage in coverages for name in coverage.parameters}
    _, _, geographic = coverages[0].reference
    wanted = {AxisKind.T: "datetime", AxisKind.Z: "z"}
    wanted |= {AxisKind.Y: "latitude", AxisKind.X: "longitude"} if geographic else {AxisKind.Y: "y", AxisKind.X: "x"}
    found = dict.fromkeys(_identity(axis) for coverage in coverages for _, axis in coordinates(coverage))
    columns: dict[tuple[AxisKind, str], str] = {}
    for identity in sorted(found, key=lambda each: _ORDER.index(each[0])):
        kind, name = identity
        alone = sum(other is kind for other, _ in found) == 1
        candidates = chain([wanted[kind]] if kind in wanted and alone else [], (name, f"{name}_coordinate"))
        free = (each for each in candidates if each not in parameters and each not in columns.values())
        columns[identity] = next(free, f"{name}_{kind.value}_coordinate")
    return columns


def coordinates(coverage: Coverage) -> list[tuple[int, Axis]]:
    """Return all coordinates of a coverage, each with the dimension of the array along which it lies."""
    return [(number, part) for number, axis in enumerate(coverage.axes) for part in axis.components or (axis,)]


def _identity(axis: Axis) -> tuple[AxisKind, str]:
    return axis.kind, axis.name


def _rows(coverage: Coverage, columns: list[tuple[AxisKind, str]], parameters: list[str]) -> Iterator[bytes]:
    shape = coverage.shape
    tables = {_identity(axis): (number, _table(axis)) for number, axis in coordinates(coverage)}
    size = int(np.prod(shape))
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        places = np.unravel_index(np.arange(start, stop), shape) if shape else ()
        fields: list[Any] = []
        for column in columns:
            if column in tables:
                number, table = tables[column]
                fields.append(table[places[number]].tolist())
            else:
                fields.append(repeat(b""))
        for name in parameters:
            known = name in coverage.parameters
            fields.append(_column(block(coverage.ranges[name], start, stop)) if known else repeat(b""))
        yield _END.join(map(b",".join, zip(*fields, strict=False))) + _END


def _table(axis: Axis) -> NDArray[Any]:
    """Return the text of every axis value, once, as an object array of bytes."""
    if axis.kind is AxisKind.T:
        encoded = [text.encode() for text in cf_calendar.to_iso(axis.values, axis.calendar)]
    elif axis.values.dtype.kind in "iuf":
        encoded = [orjson.dumps(value) for value in axis.values.tolist()]
    else:
        encoded = [quoted(str(value)) for value in axis.values.tolist()]
    table = np.empty(len(encoded), object)
    table[:] = encoded
    return table


def _column(values: Values) -> list[bytes]:
    """Return the fields of one block of values."""
    if data_type(values) == "string":
        return [b"" if text is None else quoted(text) for text in texts(values)]
    return b",".join(blocks(values)).replace(b"null", b"").split(b",")


def quoted(text: str) -> bytes:
    r"""Return a field of text, quoted where RFC 4180 asks for it.

    Examples
    --------
    >>> quoted('a "b", c'), quoted("plain")
    (b'"a ""b"", c"', b'plain')
    """
    if any(character in text for character in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()
