"""Where do the cells of an axis begin and end, by how much may its coordinates be off, and in which order do they lie?

Everything here is worked out once for an axis and kept as long as it lives: all requests to a dataset share its axes.
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

type Indices = NDArray[np.intp]

DEGREES_OF_A_POINT: Final = 1e-6
"""How near (in degrees, or units of the axis) a position must come to the only value of a horizontal axis."""
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

    def holding(self, longitude: float) -> int | None:
        """Return the cell that contains a longitude, by the rule of `lookup.longitude_cell` asked of those near it."""
        inside = longitude - 360.0 * math.floor((longitude - self.west) / 360.0)
        near: set[int] = set()
        for turned in (inside, inside + 360.0, inside - 360.0):
            near.update(self.order[bisect_left(self.high, turned) : bisect_right(self.low, turned)])
        distances: dict[int, float] = {}
        for index in sorted(near):
            low, high, slack, value = self.bounds[index]
            east_of_low = (longitude - low) % 360.0
            if east_of_low <= high - low + slack or east_of_low >= 360.0 - slack:
                distances[index] = abs((longitude - value + 180.0) % 360.0 - 180.0)
        if not distances:
            return None
        least = min(distances.values()) + 1e-9
        return next(index for index, distance in distances.items() if distance <= least)


class OncePerAxis[T]:
    """A function of an axis whose result is kept as long as the axis lives; arrays become read-only."""

    def __init__(self, function: Callable[[Axis], T]) -> None:
        self._function = function
        self._known: WeakKeyDictionary[Axis, T] = WeakKeyDictionary()
        update_wrapper(self, function)

    def __call__(self, axis: Axis) -> T:
        """Return what the function says of an axis."""
        try:
            return self._known[axis]
        except KeyError:
            result = self._function(axis)
        if isinstance(result, np.ndarray):
            result.setflags(write=False)
        self._known[axis] = result
        return result


@OncePerAxis
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


@OncePerAxis
def centres(axis: Axis) -> NDArray[np.float64]:
    """Return the coordinates as people write them, shape (n,): 0.1 where 0.1 was rounded to float32, else unchanged."""
    values = axis.values.astype(np.float64)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if axis.values.dtype.kind != "f" or not np.array_equal(single.astype(np.float64), values):
        return values
    return np.array([float(str(value)) for value in single])


@OncePerAxis
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


@OncePerAxis
def edges(axis: Axis) -> NDArray[Any]:
    """Return where cells begin and end, rising, each once."""
    return np.unique(cells(axis))


@OncePerAxis
def ladder(axis: Axis) -> Ladder | None:
    """Return the cells of an axis with their tolerances in order, or None where some lie within others."""
    return _in_steps(cells(axis), tolerances(axis))


@OncePerAxis
def exact_ladder(axis: Axis) -> Ladder | None:
    """Return the same of an axis of integers for an integer, which is compared as it is."""
    return _in_steps(cells(axis), 0)


def _in_steps(bounds: NDArray[Any], slack: Any) -> Ladder | None:
    low, high = bounds[:, 0] - slack, bounds[:, 1] + slack
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    regular = bool((low[1:] >= low[:-1]).all() and (high[1:] >= high[:-1]).all())
    return Ladder(order, low, high) if regular else None


@OncePerAxis
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
