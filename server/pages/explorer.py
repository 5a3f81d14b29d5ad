"""What must the page of a collection know before it can ask its first query?

The axes document: parameters, and the axes they lie on. Levels and members are listed; times are listed where they are
few or irregular, and otherwise given by first, step and count, because an hourly century has 876,000 of them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS, STANDARD
from plugins.datacube.datacube import Datacube, Parameter

LISTED_TIMES: Final = 5_000
"""Up to so many times are listed even where they are regular."""
_GREGORIAN_START: Final = int(np.datetime64("1582-10-15", "us").astype(np.int64))


def explorer_document(cube: Datacube) -> dict[str, Any]:
    """Return the axes document of a collection, ready for JSON.

    Returns
    -------
    dict
        ``id``, ``title``, ``bbox`` (west, south, east, north, degrees), ``parameters`` (``name``, ``label``, ``units``,
        ``axes``: dimension names in stored order) and ``axes`` by dimension name: ``key`` (name in queries and
        answers), ``kind`` (x, y, z, t, custom), ``label``, ``units``, ``count``, ``first``, ``last``, and

        - for z and custom axes ``values``, as the texts that queries take;
        - for t ``calendar``, and either ``values`` (ISO 8601) or ``step_seconds``.
    """
    extent = cube.extent
    return {
        "id": cube.id,
        "title": cube.title,
        "bbox": [extent.west, extent.south, extent.east, extent.north],
        "parameters": [_parameter(parameter) for parameter in cube.parameters.values()],
        "axes": {name: _axis(axis) for name, axis in cube.axes.items() if axis.size},
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "label": parameter.label or parameter.name,
        "units": parameter.units,
        "axes": list(parameter.dims),
    }


def _axis(axis: Axis) -> dict[str, Any]:
    first, last = axis.take(np.array([0, axis.size - 1])).texts()
    document: dict[str, Any] = {
        "key": axis.key,
        "kind": axis.kind.value,
        "label": axis.long_name or axis.standard_name or axis.name,
        "units": axis.units,
        "count": axis.size,
        "first": first,
        "last": last,
    }
    if axis.kind is AxisKind.T:
        document["calendar"] = axis.calendar
        # The units of a time axis ("hours since 1970") are those of the store, not of the texts given here.
        document["units"] = None
        step = _step_seconds(axis)
        document |= {"values": axis.texts()} if step is None else {"step_seconds": step}
    elif axis.kind in (AxisKind.Z, AxisKind.CUSTOM):
        document["values"] = axis.texts()
    return document


def _step_seconds(axis: Axis) -> int | None:
    """Return the step of a long, regular, rising axis of whole seconds; None where the times must be listed."""
    step = axis.step
    second = MICROSECONDS["second"]
    first = int(axis.values[0])
    if axis.size <= LISTED_TIMES or step is None or not axis.ascending or step % second or first % second:
        return None
    # The mixed calendar jumps from 4 to 15 October 1582: a page should not count over that.
    if axis.calendar in STANDARD - {"proleptic_gregorian"} and first < _GREGORIAN_START:
        return None
    return int(step) // second
