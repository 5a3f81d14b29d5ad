"""What is asked of every server, and which cells of the store is the answer?

Each query has `VARIANTS` forms in different chunks. They are sent in turn, so that requests in flight never share a
chunk: without that, a server that lets equal requests share one read would look faster with cold chunks than it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import stores

VARIANTS = 16
PARAMETER = "t2m"


@dataclass(frozen=True)
class Cells:
    """Positions in the store along time, latitude and longitude."""

    t: np.ndarray
    y: np.ndarray
    x: np.ndarray
    along: bool = False
    """Whether the three belong together one by one (a trajectory) instead of spanning a box."""

    @property
    def index(self) -> tuple[slice, slice, slice]:
        """The box as slices."""
        return tuple(slice(int(p[0]), int(p[-1]) + 1) for p in (self.t, self.y, self.x))

    def times(self) -> np.ndarray:
        """The times, datetime64 in seconds."""
        return moments(self.t)


@dataclass(frozen=True)
class Query:
    """One question, in all its variants."""

    name: str
    kind: str
    """``position``, ``cube`` or ``trajectory``."""
    layout: str
    """The store that fits."""
    cells: tuple[Cells, ...]


def moments(hours: np.ndarray) -> np.ndarray:
    """Return the times of positions along the time axis."""
    return np.datetime64(stores.START, "s") + hours * np.timedelta64(3600, "s")


def all_queries(days: int) -> tuple[Query, ...]:
    """Return the queries for a record of so many days; a series has the length of the record, up to a year."""
    hours = days * 24
    year = np.arange(min(hours, 8760))
    name = "point-year" if days >= 365 else f"point-{days}-days"
    builders: tuple[tuple[str, str, str, Callable[[int], Cells]], ...] = (
        (name, "position", "time", lambda n: _point(n, year)),
        ("point-day", "position", "time", lambda n: _point(n, _day(n, days))),
        ("cube 20°×24 h", "cube", "time", lambda n: _box(n, _day(n, days))),
        ("global map", "cube", "map", lambda n: Cells(np.array([(n * 89) % hours]), np.arange(181), np.arange(360))),
        ("200-point trajectory", "trajectory", "time", lambda n: _line(n, hours)),
    )
    return tuple(
        Query(label, kind, layout, tuple(make(n) for n in range(VARIANTS))) for label, kind, layout, make in builders
    )


def _day(number: int, days: int) -> np.ndarray:
    return np.arange(24) + 24 * ((number * 37) % days)


def _point(number: int, times: np.ndarray) -> Cells:
    """Return a point in a column of chunks of its own."""
    row, column = 16 * (1 + number % 9) + 5, 16 * ((number * 5) % 22) + 9
    return Cells(times, np.array([row]), np.array([column]))


def _box(number: int, times: np.ndarray) -> Cells:
    """Return a box of 21 × 21 cells in four chunks a layer; no two boxes touch the same chunk."""
    row, column = 32 * (number % 4) + 5, 32 * (number // 4) * 2 + 5
    return Cells(times, np.arange(row, row + 21), np.arange(column, column + 21))


def _line(number: int, hours: int) -> Cells:
    """Return 200 cells along a slanting course, an hour apart."""
    steps = np.arange(200)
    return Cells(
        (steps + 31 * number) % hours,
        20 + (steps * 3) // 5 + number % 16,
        8 * number + steps,
        along=True,
    )
