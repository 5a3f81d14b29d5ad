"""Which positions along one axis does a value, an interval or a list select?

Every function takes one `Axis` and returns stored positions; none of them clamps to an edge.

- A *value* selects the cell that contains it, bounds included; of several, the one whose centre is nearest; of equally
  near ones, the first in stored order.
- An *interval* selects the coordinates that lie in it, ends included.

Coordinates are often stored as float32, where 0.1 is 0.10000000149: comparisons forgive that rounding (`tolerances`),
and no more. Cells that lie side by side are found by bisection, others by looking at all of them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.calendar import Moment
from plugins.datacube.cells import (
    DEGREES_OF_A_POINT,
    Indices,
    cells,
    centres,
    circle,
    exact_ladder,
    ladder,
    tolerances,
)
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.query import NumberInterval, RepeatedTime, TimeInterval, TimeSelection

__all__ = [
    "DEGREES_OF_A_POINT", "Indices", "cell_of", "cells", "centres", "instants", "levels", "listing", "longitude_cell",
    "longitudes_overlapping", "longitudes_within", "members", "moments", "overlapping", "tolerances", "within",
]  # fmt: skip

SAME_MERIDIAN: Final = 1e-9
"""Degrees between columns that are one and the same (0 and 360)."""


def cell_of(axis: Axis, value: float) -> int | None:
    """Return the position of the cell that contains `value`, or None.

    Parameters
    ----------
    axis : Axis
        Of numbers or times; a longitude goes to `longitude_cell`.
    value : float or int
        In the units of the axis; int microseconds for a time axis.
    """
    exact = axis.values.dtype.kind in "iu" and isinstance(value, int)
    steps = exact_ladder(axis) if exact else ladder(axis)
    if steps is None or abs(value) >= 2**62:
        low, high = cells(axis).T
        slack: Any = 0 if exact else tolerances(axis)
        hits = np.flatnonzero((low - slack <= value) & (value <= high + slack))
    else:
        hits = steps.order[steps.high.searchsorted(value, "left") : steps.low.searchsorted(value, "right")]
        if hits.size == 1:
            return int(hits[0])
        hits = np.sort(hits)
    if hits.size == 0:
        return None
    distances = np.abs(axis.values[hits] - value)
    return int(hits[np.flatnonzero(distances <= distances.min() + (0 if exact else 1e-9 * abs(value)))[0]])


def within(axis: Axis, low: float | None, high: float | None) -> Indices:
    """Return the positions of the coordinates in [low, high], in stored order; None is an open end."""
    if axis.values.dtype.kind == "i" and axis.rising and isinstance(low, int | None) and isinstance(high, int | None):
        first = 0 if low is None else int(axis.values.searchsorted(low, "left"))
        stop = axis.size if high is None else int(axis.values.searchsorted(high, "right"))
        return np.arange(first, max(first, stop))
    values, slack = axis.values, (tolerances(axis) if axis.values.dtype.kind == "f" else 0)
    inside = np.ones(axis.size, bool)
    if low is not None:
        inside &= values >= low - slack
    if high is not None:
        inside &= values <= high + slack
    return np.flatnonzero(inside)


def overlapping(axis: Axis, low: float, high: float) -> Indices:
    """Return the cells that share more than an edge with [low, high], else the cell at its middle."""
    bottom, top = cells(axis).T
    hits = np.flatnonzero(np.minimum(top, high) - np.maximum(bottom, low) > tolerances(axis))
    if hits.size:
        return hits
    middle = cell_of(axis, (low + high) / 2)
    return np.array([] if middle is None else [middle], np.intp)


def longitude_cell(axis: Axis, longitude: float) -> tuple[int, float] | None:
    """Return the cell that contains a longitude modulo 360, and its centre in the convention of the request.

    Examples
    --------
    >>> from plugins.datacube.axes import AxisKind
    >>> axis = Axis(AxisKind.X, "lon", np.arange(0.0, 360.0), units="degrees_east", cyclic=True)
    >>> longitude_cell(axis, -30.2)
    (330, -30.0)
    """
    around = circle(axis)
    if around is None or not math.isfinite(longitude):
        low, high = cells(axis).T
        slack = tolerances(axis)
        east_of_low = np.mod(longitude - low, 360.0)
        hits = np.flatnonzero((east_of_low <= high - low + slack) | (east_of_low >= 360.0 - slack))
        if hits.size == 0:
            return None
        distances = np.abs(np.mod(longitude - axis.values[hits] + 180.0, 360.0) - 180.0)
        index = int(hits[np.flatnonzero(distances <= distances.min() + 1e-9)[0]])
    else:
        found = around.holding(longitude)
        if found is None:
            return None
        index = found
    value = float(axis.values[index])
    return index, value + 360.0 * round((longitude - value) / 360.0)


def longitudes_within(axis: Axis, west: float, east: float) -> tuple[Indices, NDArray[np.float64]]:
    """Return the cells whose centres lie in [west, east] modulo 360, each once, and their shifted longitudes.

    Parameters
    ----------
    axis : Axis
        Longitudes in degrees, in any convention.
    west, east : float
        Degrees, west <= east; 360 or more apart selects every cell.

    Returns
    -------
    indices : ndarray of int, shape (n,)
        Ordered so that the longitudes run without a jump in the direction in which they are stored.
    longitudes : ndarray of float64, shape (n,)
        ``stored + k * 360``, the least that is not west of `west`.
    """
    slack = tolerances(axis)
    turns = np.ceil((west - slack - centres(axis)) / 360.0)
    shifted = axis.values + 360.0 * turns
    inside = np.flatnonzero(centres(axis) + 360.0 * turns <= east + slack)
    return _in_order(axis, inside, shifted)


def longitudes_overlapping(axis: Axis, west: float, east: float) -> tuple[Indices, NDArray[np.float64]]:
    """Return the cells that share more than an edge with [west, east] modulo 360, else the cell at its middle."""
    low, high = cells(axis).T
    slack = tolerances(axis)
    turns = np.ceil((west + slack - high) / 360.0)
    overlap = np.minimum(high + 360.0 * turns, east) - np.maximum(low + 360.0 * turns, west)
    hits = np.flatnonzero(overlap > slack)
    if hits.size:
        return _in_order(axis, hits, axis.values + 360.0 * turns)
    middle = longitude_cell(axis, (west + east) / 2)
    if middle is None:
        return np.array([], np.intp), np.array([])
    return np.array([middle[0]], np.intp), np.array([middle[1]])


def levels(axis: Axis, selection: float | NumberInterval | tuple[float, ...]) -> Indices:
    """Return the positions of the levels that a selection names, in stored order; none where one of them is missed."""
    if isinstance(selection, NumberInterval):
        return within(axis, selection.low, selection.high)
    wanted = selection if isinstance(selection, tuple) else (selection,)
    return _all_or_none([cell_of(axis, float(value)) for value in wanted])


def moments(axis: Axis, selection: TimeSelection) -> Indices:
    """Return the positions of the time steps that a selection names, in stored order; none where one is missed.

    An instant selects the nearest step, if it lies in that step's cell: the store's time bounds, else half-way to the
    neighbours. A date of reduced precision selects the steps inside the interval that it names; where there are none,
    it is read as the instant at its start. Repeated times are instants, also where the first is a date. An interval
    selects the steps whose coordinate lies in it, ends included.

    Raises
    ------
    InvalidQueryError
        If a date does not exist in the calendar of the axis, or an interval ends before it starts.
    """
    if isinstance(selection, TimeInterval):
        start = None if selection.start is None else selection.start.first(axis.calendar)
        end = None if selection.end is None else selection.end.last(axis.calendar)
        if start is not None and end is not None and start > end:
            raise InvalidQueryError(
                "datetime", f"datetime: {selection.start} is after {selection.end}", "an interval from earlier to later"
            )
        return within(axis, start, end)
    if isinstance(selection, Moment):
        return _moment(axis, selection)
    if isinstance(selection, RepeatedTime):
        return _all_or_none([cell_of(axis, time) for time in _repeated(selection, axis.calendar)])
    found = [_moment(axis, moment) for moment in selection]
    return np.unique(np.concatenate(found)) if all(part.size for part in found) else np.array([], np.intp)


def instants(axis: Axis, selection: Moment | RepeatedTime | tuple[Moment, ...]) -> list[int]:
    """Return the instants between which values are to be interpolated, in microseconds in the calendar of the axis.

    A date of reduced precision stands for the steps inside the interval that it names, as in `moments`.

    Raises
    ------
    InvalidQueryError
        If a date does not exist in the calendar of the axis.
    """
    if isinstance(selection, RepeatedTime):
        return _repeated(selection, axis.calendar)
    found: list[int] = []
    for moment in selection if isinstance(selection, tuple) else (selection,):
        first = moment.first(axis.calendar)
        inside = np.zeros(0, np.intp)
        if moment.precision != "second":
            inside = within(axis, first, moment.last(axis.calendar))
        found += axis.values[inside].tolist() if inside.size else [first]
    return sorted(set(found))


def members(axis: Axis, selection: float | str | NumberInterval | tuple[float, ...] | tuple[str, ...]) -> Indices:
    """Return the positions of the values of a custom axis that a selection names exactly; none where one is missed."""
    numeric = axis.values.dtype.kind in "iuf"
    if isinstance(selection, NumberInterval):
        return within(axis, selection.low, selection.high) if numeric else np.array([], np.intp)
    wanted = selection if isinstance(selection, tuple) else (selection,)
    found: list[int | None] = []
    for value in wanted:
        if isinstance(value, str) == numeric:
            hits = np.array([], np.intp)
        elif isinstance(value, str):
            hits = np.flatnonzero(axis.values == value)
        else:
            hits = np.flatnonzero(np.abs(centres(axis) - value) <= np.maximum(tolerances(axis), 1e-9))
        found.append(int(hits[0]) if hits.size else None)
    return _all_or_none(found)


def listing(axis: Axis, most: int = 20) -> str:
    """Name the values of an axis in an error: all of a few, the first and the last of many."""
    values = [f"{value:.12g}" if isinstance(value, float) else str(value) for value in axis.values[:most].tolist()]
    if axis.size > most:
        values.append(f"... {axis.values[-1]} ({axis.size} values)")
    return ", ".join(values)


def _repeated(selection: RepeatedTime, calendar: str) -> list[int]:
    """Return repeated instants in a calendar, in microseconds since 1970."""
    start = selection.start
    times: list[int] = []
    for number in range(selection.count):
        years, month = divmod(start.month - 1 + number * selection.months, 12)
        shifted = replace(start, year=start.year + years, month=month + 1)
        times.append(shifted.first(calendar) + number * selection.microseconds)
    return times


def _moment(axis: Axis, moment: Moment) -> Indices:
    first = moment.first(axis.calendar)
    if moment.precision != "second":
        inside = within(axis, first, moment.last(axis.calendar))
        if inside.size:
            return inside
    return _all_or_none([cell_of(axis, first)])


def _all_or_none(found: list[int | None]) -> Indices:
    indices = sorted({index for index in found if index is not None})
    return np.array(indices if None not in found else [], np.intp)


def _in_order(axis: Axis, indices: Indices, shifted: NDArray[np.float64]) -> tuple[Indices, NDArray[np.float64]]:
    """Sort by shifted longitude in the stored direction, and keep one of columns that lie on the same meridian."""
    gaps = np.diff(axis.values)
    rising = np.count_nonzero(gaps > 0) >= np.count_nonzero(gaps < 0)
    keys = shifted[indices] if rising else -shifted[indices]
    indices = indices[np.argsort(keys, kind="stable")]
    if indices.size == 0:
        return indices, np.array([])
    longitudes = shifted[indices]
    distinct = np.concatenate([[True], np.abs(np.diff(longitudes)) > SAME_MERIDIAN])
    return indices[distinct], longitudes[distinct]
