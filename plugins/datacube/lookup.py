"""Which positions along one axis does a value, an interval or a list select?

Every function takes one `Axis` and returns stored positions; none of them clamps to an edge.

- A *value* selects the cell that contains it, bounds included; of several, the one whose centre is nearest; of equally
  near ones, the first in stored order.
- An *interval* selects the coordinates that lie in it, ends included.

Coordinates are often stored as float32, where 0.1 is 0.10000000149: comparisons forgive that rounding (`tolerances`),
and no more.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import update_wrapper
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import Moment
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.query import NumberInterval, RepeatedTime, TimeInterval, TimeSelection

type Indices = NDArray[np.intp]

DEGREES_OF_A_POINT: Final = 1e-6
"""How near (in degrees, or units of the axis) a position must come to the only value of a horizontal axis."""
SAME_MERIDIAN: Final = 1e-9
"""Degrees between columns that are one and the same (0 and 360)."""
_TURN_AND_MORE: Final = 700.0
"""Degrees from the first cell of a longitude axis to the last, below which two turns and more are never in question."""
_HIDDEN: Final = 1e-6
"""Degrees that rounding never moves a longitude."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The cells of an axis one after the other, neither end falling: those that hold a value are neighbours."""

    order: Indices
    """shape (n,): stored positions of the cells."""
    low: NDArray[Any]
    """shape (n,): where each begins; rising."""
    high: NDArray[Any]
    """shape (n,): where each ends; rising."""


@dataclass(frozen=True, slots=True)
class Circle:
    """The cells of a longitude axis one after the other, as plain numbers: one of them is found in no time."""

    west: float
    """Where the first begins."""
    order: list[int]
    low: list[float]
    """A little below the cells' own, so that what rounding does to a longitude cannot hide a cell."""
    high: list[float]
    bounds: list[tuple[float, float, float, float]]
    """By stored position: low, high, by how much they may be off, and the coordinate."""


class _OncePerAxis[T]:
    """Keeps what a function says of an axis as long as the axis lives: every request to a dataset shares its axes."""

    def __init__(self, function: Callable[[Axis], T]) -> None:
        self._function = function
        self._known: WeakKeyDictionary[Axis, T] = WeakKeyDictionary()
        update_wrapper(self, function)

    def __call__(self, axis: Axis) -> T:
        try:
            return self._known[axis]
        except KeyError:
            result = self._function(axis)
        if isinstance(result, np.ndarray):
            result.setflags(write=False)
        self._known[axis] = result
        return result


@_OncePerAxis
def tolerances(axis: Axis) -> NDArray[np.float64]:
    """Return by how much each coordinate may be off, shape (n,), in the units of the axis.

    A billionth of the step; for decimal fractions that were rounded to float32, that rounding.
    """
    values = axis.values.astype(np.float64)
    step = float(np.abs(np.diff(values)).min()) if axis.size > 1 else 0.0
    if axis.size == 1 and axis.kind in (AxisKind.X, AxisKind.Y):
        return np.full(1, DEGREES_OF_A_POINT)
    fine = np.maximum(1e-9 * step if step else 1e-9 * np.abs(values), 1e-12)
    rounded = centres(axis) != values  # a decimal fraction that was stored as float32
    return np.where(rounded, np.maximum(np.maximum(1e-9, 2.0**-22 * np.abs(values)), fine), fine)


@_OncePerAxis
def centres(axis: Axis) -> NDArray[np.float64]:
    """Return the coordinates as people write them, shape (n,): 0.1 where 0.1 was rounded to float32, else unchanged."""
    values = axis.values.astype(np.float64)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if axis.values.dtype.kind != "f" or not np.array_equal(single.astype(np.float64), values):
        return values
    return np.array([float(str(value)) for value in single])


@_OncePerAxis
def cells(axis: Axis) -> NDArray[Any]:
    """Return the cell bounds, shape (n, 2), low and high; half-way cells where stored bounds miss their own coordinate.

    Stored longitude bounds sometimes do: 359.5 to 0.5 for the cell of 0.
    """
    bounds = axis.cells
    if axis.bounds is not None:
        low, high = bounds.T
        slack = tolerances(axis) if axis.values.dtype.kind == "f" else 0
        if not bool(((low - slack <= axis.values) & (axis.values <= high + slack)).all()):
            return replace(axis, bounds=None).cells
    return bounds


@_OncePerAxis
def ladder(axis: Axis) -> Ladder | None:
    """Return the cells of an axis with their tolerances in order, or None where some lie within others."""
    slack = tolerances(axis)
    return _in_steps(cells(axis), slack)


@_OncePerAxis
def exact_ladder(axis: Axis) -> Ladder | None:
    """Return the same of an axis of integers for an integer, which is compared as it is."""
    return _in_steps(cells(axis), 0)


def _in_steps(bounds: NDArray[Any], slack: Any) -> Ladder | None:
    low, high = bounds[:, 0] - slack, bounds[:, 1] + slack
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    regular = bool((low[1:] >= low[:-1]).all() and (high[1:] >= high[:-1]).all())
    return Ladder(order, low, high) if regular else None


@_OncePerAxis
def circle(axis: Axis) -> Circle | None:
    """Return the cells of a longitude axis in order, or None where some lie within others or go round twice."""
    found = ladder(axis)
    bounds = cells(axis)
    west = float(bounds.min())
    if found is None or not float(bounds.max()) - west < _TURN_AND_MORE:
        return None
    columns = (*bounds.T.tolist(), tolerances(axis).tolist(), axis.values.tolist())
    return Circle(
        west,
        found.order.tolist(),
        (found.low - _HIDDEN).tolist(),
        (found.high + _HIDDEN).tolist(),
        list(zip(*columns, strict=True)),
    )


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
    >>> axis = Axis(AxisKind.X, "lon", np.arange(0.0, 360.0), units="degrees_east", cyclic=True)
    >>> longitude_cell(axis, -30.2)
    (330, -30.0)
    """
    around = circle(axis)
    if around is None:
        low, high = cells(axis).T
        slack = tolerances(axis)
        east_of_low = np.mod(longitude - low, 360.0)
        hits = np.flatnonzero((east_of_low <= high - low + slack) | (east_of_low >= 360.0 - slack))
        if hits.size == 0:
            return None
        distances = np.abs(np.mod(longitude - axis.values[hits] + 180.0, 360.0) - 180.0)
        index = int(hits[np.flatnonzero(distances <= distances.min() + 1e-9)[0]])
    else:
        found = _column_of(around, longitude)
        if found is None:
            return None
        index = found
    value = float(axis.values[index])
    return index, value + 360.0 * round((longitude - value) / 360.0)


def _column_of(around: Circle, longitude: float) -> int | None:
    """Return what `longitude_cell` does, by the same rule, asked of the few cells that are near."""
    inside = longitude - 360.0 * math.floor((longitude - around.west) / 360.0)
    near: set[int] = set()
    for turned in (inside, inside + 360.0, inside - 360.0):
        near.update(around.order[bisect_left(around.high, turned) : bisect_right(around.low, turned)])
    distances: dict[int, float] = {}
    for index in sorted(near):
        low, high, slack, value = around.bounds[index]
        east_of_low = (longitude - low) % 360.0
        if east_of_low <= high - low + slack or east_of_low >= 360.0 - slack:
            distances[index] = abs((longitude - value + 180.0) % 360.0 - 180.0)
    if not distances:
        return None
    least = min(distances.values()) + 1e-9
    return next(index for index, distance in distances.items() if distance <= least)


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
