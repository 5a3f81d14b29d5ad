"""Which part of space, time, height and every other dimension does a collection cover, in EDR's words?

The ``extent`` of a collection document (OGC 19-086r6, requirement /req/edr/rc-extent): bounding boxes and intervals,
and with them the values of each axis, so that a client can offer choices without reading data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import STANDARD, iso_duration
from plugins.datacube.datacube import CRS84, Datacube, GridKind

LISTED_TIMES = 100
"""Up to so many times are listed, even where a repeating interval would say the same."""
LISTED_IRREGULAR_TIMES = 1000
"""Up to so many times are listed where they are irregular."""
LISTED_PLACES = 2000
"""Up to so many irregular columns or rows are listed."""

PRESSURE_UNITS = {"Pa": 1.0, "hPa": 100.0, "mbar": 100.0, "millibar": 100.0, "millibars": 100.0, "kPa": 1000.0}
"""Units of pressure by their factor to pascal."""
LENGTH_UNITS = {"m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "km": 1000.0, "cm": 0.01}
"""Units of length by their factor to metre."""


def extent_document(cube: Datacube) -> dict[str, Any]:
    """Return the ``extent`` member of a collection document.

    Examples of the members: ``spatial.bbox`` is one box in degrees (CRS84); ``temporal.interval`` the first and last
    time, ``temporal.values`` the times or ``Rn/start/period``; ``vertical`` and ``custom`` give their values as text.
    ``grid`` says the same as ``values`` in the words of OGC API Common, Part 2 (Uniform Additional Dimensions).
    """
    document: dict[str, Any] = {"spatial": spatial(cube)}
    if (time := cube.axis(AxisKind.T)) is not None and time.size:
        document["temporal"] = temporal(time)
    if (level := cube.axis(AxisKind.Z)) is not None and level.size:
        document["vertical"] = vertical(level)
    custom = [custom_dimension(axis) for axis in cube.custom_axes if axis.size]
    if custom:
        document["custom"] = custom
    return document


def spatial(cube: Datacube) -> dict[str, Any]:
    """Return the spatial extent: the box in degrees, and the columns and rows where these are longitudes and latitudes.

    Of a grid in another reference system, and of cells that lie on no axes, there is the box alone.
    """
    box = cube.extent
    document: dict[str, Any] = {
        "bbox": [[float(box.west), float(box.south), float(box.east), float(box.north)]],
        "crs": CRS84,
    }
    x, y = cube.axis(AxisKind.X), cube.axis(AxisKind.Y)
    if cube.grid.kind is not GridKind.RECTILINEAR or not cube.grid.geographic or x is None or y is None:
        return document
    # In the convention of the box, whatever that of the store.
    columns = np.unique((np.asarray(x.values, np.float64) + 180.0) % 360.0 - 180.0)
    places = {"x": replace(x, values=columns, bounds=None), "y": y.take(np.argsort(y.values, kind="stable"))}
    if any(axis.step is None and axis.size > LISTED_PLACES for axis in places.values()):
        return document
    return {
        **document,
        "values": {name: place_values(axis) for name, axis in places.items()},
        "grid": [grid(axis) for axis in places.values()],
    }


def place_values(axis: Axis) -> list[str]:
    """Return rising columns, rows or levels as ``Rn/first/step`` where they are regular, else one by one."""
    if axis.step is None:
        return axis.texts()
    first, step = first_and_step(axis)
    return [f"R{axis.size}/{first:.12g}/{step:.12g}"]


def grid(axis: Axis) -> dict[str, Any]:
    """Return the cells of a rising numeric axis (OGC API Common, Part 2, Uniform Additional Dimensions)."""
    if axis.step is None:
        return {"cellsCount": axis.size, "coordinates": [float(text) for text in axis.texts()]}
    first, step = first_and_step(axis)
    return {"cellsCount": axis.size, "resolution": step, "firstCoordinate": first}


def first_and_step(axis: Axis) -> tuple[float, float]:
    """Return the first value of a regular axis and its step as they were meant before they were rounded.

    Coordinates are often stored in single precision: 0.1 is 0.10000000149. Six decimals stand for both where they meet
    every value of the axis within that precision.
    """
    first, step = float(axis.values[0]), float(axis.step or 0)
    precision = float(np.abs(axis.values).max()) * 2.0**-22
    for decimals in (6, 9):
        short_first, short_step = round(first, decimals), round(step, decimals)
        if abs(first - short_first) + axis.size * abs(step - short_step) <= precision:
            return short_first, short_step
    return first, step


def temporal(axis: Axis) -> dict[str, Any]:
    """Return the temporal extent: closed interval, values, and the temporal reference system as WKT 2."""
    order = np.argsort(axis.values, kind="stable")
    rising = axis.take(order)
    first, last = rising.take(np.array([0, rising.size - 1])).texts()
    document = {"interval": [[first, last]], "values": time_values(rising), "trs": trs_wkt(axis.calendar)}
    if rising.step is not None and axis.calendar in STANDARD:
        resolution = iso_duration(int(rising.step))
        document["grid"] = {"cellsCount": axis.size, "resolution": resolution, "firstCoordinate": first}
    return document


def time_values(axis: Axis) -> list[str]:
    """Return the times as a list, or as one ISO 8601 repeating interval where there are many.

    A regular axis of n times is ``Rn/start/period``: n periods, each beginning at a time of the axis. An irregular
    axis too long to list is given as the interval that it covers.
    """
    # A client repeats a period by the calendar of ISO 8601: in another one it would land on other dates.
    step = axis.step if axis.calendar in STANDARD else None
    if axis.size <= LISTED_TIMES or (step is None and axis.size <= LISTED_IRREGULAR_TIMES):
        return axis.texts()
    first, last = axis.take(np.array([0, axis.size - 1])).texts()
    if step is None:
        return [f"{first}/{last}"]
    return [f"R{axis.size}/{first}/{iso_duration(int(step))}"]


def trs_wkt(calendar: str) -> str:
    """Return a temporal reference system as WKT 2 (OGC 18-010r7, clause 14) that names the calendar."""
    name = "proleptic Gregorian" if calendar in STANDARD else calendar
    return (
        f'TIMECRS["DateTime",TDATUM["Calendar time",CALENDAR["{name}"],TIMEORIGIN[1970-01-01T00:00:00Z]],'
        'CS[TemporalDateTime,1],AXIS["time (T)",future]]'
    )


def vertical(axis: Axis) -> dict[str, Any]:
    """Return the vertical extent; the values are text in stored order, the interval is (lowest number, highest)."""
    texts = axis.texts()
    low, high = int(np.argmin(axis.values)), int(np.argmax(axis.values))
    return {"interval": [[texts[low], texts[high]]], "values": texts, "vrs": vrs_wkt(axis)}


def vrs_wkt(axis: Axis) -> str:
    """Return the vertical reference system as WKT 2: heights, depths, pressures, or a parametric level."""
    name = quoted(axis.standard_name or axis.long_name or axis.name)
    unit = (axis.units or "").strip()
    direction = axis.positive if axis.positive in ("up", "down") else "unspecified"
    if unit in LENGTH_UNITS:
        up = direction if direction != "unspecified" else "up"
        return (
            f'VERTCRS["{name}",VDATUM["unknown"],CS[vertical,1],AXIS["{name}",{up}],'
            f'LENGTHUNIT["{quoted(unit)}",{LENGTH_UNITS[unit]:g}]]'
        )
    factor = PRESSURE_UNITS.get(unit, 1.0)
    direction = "down" if unit in PRESSURE_UNITS else direction
    return (
        f'PARAMETRICCRS["{name}",PDATUM["{name}"],CS[parametric,1],AXIS["{name}",{direction}],'
        f'PARAMETRICUNIT["{quoted(unit) or "1"}",{factor:g}]]'
    )


def custom_dimension(axis: Axis) -> dict[str, Any]:
    """Return a custom dimension (members, steps, percentiles) with every value written out as text."""
    texts = axis.texts()
    if axis.values.dtype.kind in "iuf":
        low, high = texts[int(np.argmin(axis.values))], texts[int(np.argmax(axis.values))]
    else:
        low, high = texts[0], texts[-1]
    return {
        "id": axis.name,
        "interval": [[low, high]],
        "values": texts,
        "reference": axis.standard_name or axis.long_name or axis.name,
    }


def quoted(text: str) -> str:
    """Return text that can stand between the quotation marks of WKT."""
    return text.replace('"', "'")
