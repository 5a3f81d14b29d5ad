"""What is one axis of a datacube: which values does it have, in which order, and where do its cells end?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import calendar as cf_calendar


class AxisKind(StrEnum):
    """The role of an axis, as CF and CoverageJSON name it."""

    X = "x"
    Y = "y"
    Z = "z"
    T = "t"
    CUSTOM = "custom"
    COMPOSITE = "composite"
    """The places of a path one after the other: only in answers, never in a store."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One coordinate axis, in the stored order. Immutable: `take` makes a new one."""

    kind: AxisKind
    name: str
    """Dimension name in the store (``longitude``, ``lev``, ``number``)."""
    values: NDArray[Any]
    """shape (n,): float64 for x, y and numeric z; int64 microseconds in `calendar` for t (see
    `plugins.datacube.calendar`); int64, float64 or str for custom axes."""
    units: str | None = None
    standard_name: str | None = None
    long_name: str | None = None
    positive: str | None = None
    """``up`` or ``down``, for z."""
    calendar: str = "proleptic_gregorian"
    """CF calendar, for t."""
    bounds: NDArray[Any] | None = None
    """shape (n, 2), in the units of `values`, where the store gives cell bounds; else None."""
    cyclic: bool = False
    """True for a longitude axis whose cells close the circle of 360 degrees."""
    components: tuple[Axis, ...] = ()
    """Of a composite axis: the coordinates of its places, in the order t, x, y, z, each of shape (n,); `values` are
    their numbers."""

    def __post_init__(self) -> None:
        """Freeze the arrays: an axis is shared between threads."""
        self.values.setflags(write=False)
        if self.bounds is not None:
            self.bounds.setflags(write=False)

    @property
    def key(self) -> str:
        """Name of the axis in answers: ``x``, ``y``, ``z``, ``t``, ``composite``, or a custom axis' own name."""
        return self.name if self.kind is AxisKind.CUSTOM else self.kind.value

    @property
    def size(self) -> int:
        """Number of values."""
        return int(self.values.size)

    @cached_property
    def ascending(self) -> bool:
        """Whether the values rise in stored order (True for one value)."""
        return self.size < 2 or bool(self.values[-1] >= self.values[0])

    @cached_property
    def rising(self) -> bool:
        """Whether each value is greater than the one before, in stored order."""
        return bool((self.values[1:] > self.values[:-1]).all())

    @cached_property
    def cells(self) -> NDArray[Any]:
        """Cell bounds, shape (n, 2), each row (low, high), in the units of `values`.

        From the store's bounds where it has them, else half-way to the neighbours; an end cell is as wide as the gap
        beside it; a single value without bounds is a cell of no width. Latitudes end at the poles. Times without
        bounds are instants: half-way cells serve "nearest", never intersection.

        Raises
        ------
        TypeError
            For an axis of strings, which has no cells.
        """
        if self.values.dtype.kind not in "iuf":
            raise TypeError(f"axis {self.name} has no numeric cells")
        if self.bounds is not None:
            return np.sort(self.bounds, axis=1)
        v = self.values
        if v.size < 2:
            return np.stack([v, v], axis=1)
        gaps = np.diff(v)
        if (gaps > 0).any() and (gaps < 0).any():
            # Levels may be stored in any order: their neighbours are the next lower and the next higher one.
            order = np.argsort(v, kind="stable")
            return self.take(order).cells[np.argsort(order)]
        half = gaps // 2 if v.dtype.kind in "iu" else gaps / 2
        low = np.concatenate([[v[0] - half[0]], v[:-1] + half])
        high = np.concatenate([v[:-1] + half, [v[-1] + half[-1]]])
        cells = np.sort(np.stack([low, high], axis=1), axis=1)
        if self.kind is AxisKind.Y and (self.units or "").startswith("degree"):
            cells = np.clip(cells, -90.0, 90.0)
        return cells

    @cached_property
    def step(self) -> Any | None:
        """The regular spacing (positive), or None where the axis is irregular, single or of strings."""
        if self.size < 2 or self.values.dtype.kind not in "iuf":
            return None
        gaps = np.diff(self.values)
        if self.values.dtype.kind in "iu":
            return abs(int(gaps[0])) if (gaps == gaps[0]).all() else None
        mean = float(self.values[-1] - self.values[0]) / (self.size - 1)
        # Coordinates are often stored as float32: a step is regular within its rounding.
        tolerance = max(abs(mean) * 1e-3, float(np.abs(self.values).max()) * 2.0**-22)
        return abs(mean) if bool((np.abs(gaps - mean) <= tolerance).all()) else None

    def take(self, indices: NDArray[np.intp], values: NDArray[Any] | None = None) -> Axis:
        """Return the axis at `indices`, optionally with shifted values (longitudes in the request's convention)."""
        bounds = None
        if self.bounds is not None:
            bounds = self.bounds[indices].copy()
            if values is not None and self.values.dtype.kind in "iuf":
                bounds = bounds + (values - self.values[indices])[:, None]
        # Every answer takes a few axes, and `dataclasses.replace` takes twice as long.
        return Axis(
            self.kind,
            self.name,
            np.array(self.values[indices] if values is None else values),
            self.units,
            self.standard_name,
            self.long_name,
            self.positive,
            self.calendar,
            bounds,
            cyclic=False,
            components=tuple(component.take(indices) for component in self.components),
        )

    def texts(self) -> list[str]:
        """Return the values as text: ISO 8601 for t, plain numbers or strings elsewhere."""
        if self.kind is AxisKind.T:
            return cf_calendar.to_iso(self.values, self.calendar)
        if self.values.dtype.kind == "f":
            return [f"{v:.12g}" for v in self.values.tolist()]
        return [str(v) for v in self.values.tolist()]


def horizontal_axis(kind: AxisKind, values: NDArray[np.float64], *, geographic: bool) -> Axis:
    """Make an axis of places: longitudes or latitudes in degrees, else coordinates of a projection."""
    letter = kind.value
    if not geographic:
        return Axis(kind, letter, np.array(values, np.float64), standard_name=f"projection_{letter}_coordinate")
    name, direction = ("longitude", "east") if kind is AxisKind.X else ("latitude", "north")
    return Axis(kind, name, np.array(values, np.float64), units=f"degrees_{direction}", standard_name=name)
