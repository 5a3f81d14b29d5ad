"""What are the dimensions and variables of a datacube, in the terms of the STAC datacube extension v2.3.0?

https://github.com/stac-extensions/datacube (``cube:dimensions``, ``cube:variables``). Extents are those of the cells;
longitudes are always published in -180..180, and the description says how they are stored.
"""

from __future__ import annotations

from typing import Any

import cftime
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS, STANDARD, iso_duration
from plugins.datacube.datacube import Datacube, Grid, Parameter

VALUES_LIMIT = 400
"""Axes longer than this are described by extent and step alone: a year of days still lists its values."""
WGS84 = 4326
DATA_TYPES = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"}
)
"""The names of NumPy dtypes that STAC's ``data_type`` shares."""
_RESERVED_TYPES = frozenset({"spatial", "temporal", "geometry", "bands"})
_EPOCH = "microseconds since 1970-01-01"


def dimensions(cube: Datacube) -> dict[str, dict[str, Any]]:
    """Return ``cube:dimensions``: every axis under its dimension name."""
    return {name: _dimension(axis, cube) for name, axis in cube.axes.items()}


def cut(entry: dict[str, Any], axis: Axis) -> dict[str, Any]:
    """Return the entry of ``cube:dimensions`` for a part of an axis that is not horizontal.

    Parameters
    ----------
    entry : dict
        The entry of the whole axis; a regular step holds for its parts too.
    axis : Axis
        The part.
    """
    if axis.kind is not AxisKind.T:
        return _vertical(axis) if axis.kind is AxisKind.Z else _additional(axis)
    return _temporal(axis, entry["step"] if axis.size > 1 else None)


def variables(cube: Datacube) -> dict[str, dict[str, Any]]:
    """Return ``cube:variables``: every parameter that can be queried."""
    return {name: _variable(parameter) for name, parameter in cube.parameters.items()}


def time_step(axis: Axis) -> str | None:
    """Return the spacing of a time axis as an ISO 8601 duration, or None where it is irregular or single.

    Months and years are found by their dates, since they have no fixed length; ``P1M`` of a ``360_day`` calendar is 30
    days.
    """
    if axis.size < 2:
        return None
    fixed = axis.step
    if fixed is None or fixed >= 28 * MICROSECONDS["day"]:
        months = _months(axis)
        if months is not None:
            return f"P{months // 12}Y" if months % 12 == 0 else f"P{months}M"
    return iso_duration(int(fixed)) if fixed else None


def _months(axis: Axis) -> int | None:
    """Return the number of whole months between neighbours where it is always the same, else None."""
    dates = cftime.num2date(np.asarray(axis.values), _EPOCH, calendar=axis.calendar)
    within = {(d.day, d.hour, d.minute, d.second, d.microsecond) for d in dates}
    if len(within) != 1:
        return None
    counts = np.diff([d.year * 12 + d.month for d in dates])
    return abs(int(counts[0])) if counts[0] != 0 and bool((counts == counts[0]).all()) else None


def _dimension(axis: Axis, cube: Datacube) -> dict[str, Any]:
    match axis.kind:
        case AxisKind.T:
            return _temporal(axis)
        case AxisKind.X | AxisKind.Y:
            return _horizontal(axis, cube)
        case AxisKind.Z:
            return _vertical(axis)
        case _:
            return _additional(axis)


def _temporal(axis: Axis, step: str | None = None) -> dict[str, Any]:
    texts = axis.texts() if axis.size <= VALUES_LIMIT else axis.take(np.array([0, axis.size - 1])).texts()
    step = step or time_step(axis)
    description = f"{_label(axis)}; {axis.size} {_plural('time', axis.size)}"
    if axis.calendar not in STANDARD:
        description += f" in the CF calendar {axis.calendar}, whose dates need not exist in the Gregorian calendar"
    first, last = (texts[0], texts[-1]) if axis.ascending else (texts[-1], texts[0])
    entry: dict[str, Any] = {"type": "temporal", "description": description, "extent": [first, last], "step": step}
    if step is None and axis.size <= VALUES_LIMIT:
        entry["values"] = texts
    if axis.calendar not in STANDARD:
        entry["isopleth:calendar"] = axis.calendar
    return entry


def _horizontal(axis: Axis, cube: Datacube) -> dict[str, Any]:
    is_x = axis.kind is AxisKind.X
    values = np.asarray(axis.values, np.float64)
    extent = cube.extent
    if cube.grid.geographic:
        low, high = (extent.west, extent.east) if is_x else (extent.south, extent.north)
    else:
        cells = np.asarray(axis.cells, np.float64)
        low, high = float(cells.min()), float(cells.max())
    direction = "rising" if axis.ascending else "falling"
    description = f"{_label(axis)}; {axis.size} {_plural('value', axis.size)}, {direction}"
    shifted = is_x and cube.grid.geographic and bool((values > 180.0).any() or (values < -180.0).any())
    if shifted:
        description += f", stored as {_number(values[0])} to {_number(values[-1])}, published here as -180 to 180"
        values = (values + 180.0) % 360.0 - 180.0
    entry: dict[str, Any] = {
        "type": "spatial",
        "axis": "x" if is_x else "y",
        "description": description,
        "extent": [_number(low), _number(high)],
        "step": _step(axis),
    }
    if axis.step is None and axis.size <= VALUES_LIMIT:
        entry["values"] = _numbers(values)
    reference = _reference_system(cube.grid)
    return _with_unit(entry, axis) | ({} if reference is None else {"reference_system": reference})


def _vertical(axis: Axis) -> dict[str, Any]:
    description = f"{_label(axis)}; {axis.size} {_plural('level', axis.size)}"
    if axis.positive:
        description += f", positive {axis.positive}"
    entry: dict[str, Any] = {"type": "spatial", "axis": "z", "description": description}
    return _with_unit(entry | _levels(axis), axis)


def _additional(axis: Axis) -> dict[str, Any]:
    kind = axis.standard_name or axis.name
    entry: dict[str, Any] = {
        "type": "other" if kind in _RESERVED_TYPES else kind,
        "description": f"{_label(axis)}; {axis.size} {_plural('value', axis.size)}",
    }
    return _with_unit(entry | _levels(axis), axis)


def _levels(axis: Axis) -> dict[str, Any]:
    """Return extent, step and values of an axis that is not horizontal and not time.

    The extent of levels and members is that of their values: their cells are seldom meant. An axis of strings has no
    extent, so it lists all its values, however many.
    """
    if axis.values.dtype.kind not in "iuf":
        return {"values": [str(value) for value in axis.values.tolist()]}
    entry: dict[str, Any] = {
        "extent": [_number(axis.values.min()), _number(axis.values.max())],
        "step": _step(axis),
    }
    return entry | ({"values": _numbers(axis.values)} if axis.size <= VALUES_LIMIT else {})


def _variable(parameter: Parameter) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "data",
        "dimensions": list(parameter.dims),
        "description": parameter.label or parameter.name,
        "data_type": parameter.dtype if parameter.dtype in DATA_TYPES else "other",
    }
    if parameter.units:
        entry["unit"] = parameter.units
    if parameter.missing:
        # The values described are the decoded ones, in which a float is missing as NaN.
        entry["nodata"] = "nan" if parameter.dtype.startswith("float") else _number(parameter.missing[0])
    attributes = {"standard_name": parameter.standard_name, "cell_methods": parameter.cell_methods}
    attributes = {name: value for name, value in attributes.items() if value}
    return entry | ({"attrs": attributes} if attributes else {})


def _reference_system(grid: Grid) -> int | dict[str, Any] | None:
    """Return an EPSG code where there is one, else PROJJSON; None where the CRS is not known."""
    if grid.geographic:
        return WGS84
    try:
        crs = CRS.from_user_input(grid.crs_wkt or grid.crs)
    except CRSError:
        return None
    return crs.to_epsg() or crs.to_json_dict()


def _with_unit(entry: dict[str, Any], axis: Axis) -> dict[str, Any]:
    return entry | ({"unit": axis.units} if axis.units else {})


def _label(axis: Axis) -> str:
    return axis.long_name or (axis.standard_name or axis.name).replace("_", " ")


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _step(axis: Axis) -> int | float | None:
    return None if axis.step is None else _number(axis.step)


def _numbers(values: NDArray[Any]) -> list[int | float]:
    return [_number(value) for value in values.tolist()]


def _number(value: Any) -> int | float:
    """Return a number for JSON: integers stay integers, floats lose the noise that float32 coordinates carry."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(f"{float(value):.9g}")
