"""Which times belong together: to one day, month, season or year, or to one month or hour of all years?

Dates are those of the calendar of the axis, so that a month of ``360_day`` has 30 days. A time with bounds belongs
where the middle of its bounds lies; one without belongs where it stands, or, where the times stand at the end of what
they describe, where the moment before it lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import cftime
import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import GREGORIAN_START, MICROSECONDS, STANDARD, Moment

DAY: Final = MICROSECONDS["day"]
HOUR: Final = MICROSECONDS["hour"]
SEASONS: Final = ("DJF", "MAM", "JJA", "SON")
YEAR_DAYS: Final = {
    "360_day": 360.0, "365_day": 365.0, "noleap": 365.0, "366_day": 366.0, "all_leap": 366.0, "julian": 365.25,
}  # fmt: skip
"""Days of a mean year, where it is not the Gregorian."""


class Period(StrEnum):
    """A length of time of the calendar."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    SEASON = "season"
    YEAR = "year"
    ALL = "all"


class Cycle(StrEnum):
    """What comes again every day or every year."""

    HOUR = "hour"
    DAY_OF_YEAR = "dayofyear"
    MONTH = "month"
    SEASON = "season"
    ALL = "all"


class Stamp(StrEnum):
    """Where a time stands in what it describes."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class Clock:
    """How dates are read off the times of an axis."""

    offset: int = 0
    """Minutes east of UTC of the days."""
    stamp: Stamp = Stamp.START


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which group each position of an axis belongs to, and what the groups are."""

    labels: NDArray[np.intp]
    """shape (n,): 0..g-1."""
    axis: Axis | None
    """shape (g,): the axis of the answer; None where all are one group that needs no axis."""


@dataclass(frozen=True, slots=True)
class Dates:
    """Fields of the calendar, each of shape (n,)."""

    year: NDArray[np.int64]
    month: NDArray[np.int64]
    """1..12"""
    day_of_year: NDArray[np.int64]
    """1..366"""
    day: NDArray[np.int64]
    """Days since 1970-01-01, in the calendar."""
    hour: NDArray[np.int64]
    """0..23"""


def by_period(axis: Axis, period: Period, clock: Clock = Clock()) -> Grouping:
    """Group times by periods, those that hold a time, in the order of time.

    Parameters
    ----------
    axis : Axis
        Of times.
    period : Period
    clock : Clock

    Returns
    -------
    Grouping
        Its axis has the starts of the periods as times, and the periods as bounds.
    """
    if period is Period.ALL:
        low, high = covered(axis)
        whole = replace(axis, values=np.array([low]), bounds=np.array([[low, high]]), cyclic=False)
        return Grouping(np.zeros(axis.size, np.intp), whole)
    dates = read_dates(axis, clock)
    local = clock.offset * MICROSECONDS["minute"]
    match period:
        case Period.HOUR:
            keys = dates.day * 24 + dates.hour
        case Period.DAY:
            keys = dates.day
        case Period.MONTH:
            keys = dates.year * 12 + dates.month - 1
        case Period.SEASON:
            keys = (dates.year * 12 + dates.month) // 3
        case Period.YEAR:
            keys = dates.year
    found, labels = np.unique(keys, return_inverse=True)
    starts = np.array([_start(period, key, axis.calendar) for key in found.tolist()], np.int64) - local
    stops = np.array([_start(period, key + 1, axis.calendar) for key in found.tolist()], np.int64) - local
    grouped = replace(axis, values=starts, bounds=np.stack([starts, stops], axis=1), cyclic=False)
    return Grouping(labels.reshape(-1).astype(np.intp), grouped)


def by_cycle(axis: Axis, cycle: Cycle, clock: Clock = Clock()) -> Grouping:
    """Group times by what comes again: the months of all years together, or the hours of all days.

    Returns
    -------
    Grouping
        Its axis is custom, of the name of the cycle; none for `Cycle.ALL`.
    """
    if cycle is Cycle.ALL:
        return Grouping(np.zeros(axis.size, np.intp), None)
    dates = read_dates(axis, clock)
    keys = {
        Cycle.HOUR: dates.hour,
        Cycle.DAY_OF_YEAR: dates.day_of_year,
        Cycle.MONTH: dates.month,
        Cycle.SEASON: dates.month % 12 // 3,
    }[cycle]
    found, labels = np.unique(keys, return_inverse=True)
    names: NDArray[Any] = found
    if cycle is Cycle.SEASON:
        names = np.array([SEASONS[key] for key in found.tolist()])
    long_name = {
        Cycle.HOUR: "hour of the day",
        Cycle.DAY_OF_YEAR: "day of the year",
        Cycle.MONTH: "month of the year",
        Cycle.SEASON: "season of the year",
    }[cycle]
    return Grouping(labels.reshape(-1).astype(np.intp), Axis(AxisKind.CUSTOM, cycle.value, names, long_name=long_name))


def read_dates(axis: Axis, clock: Clock = Clock()) -> Dates:
    """Return the fields of the calendar of each time."""
    times = _moments(axis, clock.stamp) + clock.offset * MICROSECONDS["minute"]
    days, rest = np.divmod(times, DAY)
    distinct, where = np.unique(days, return_inverse=True)
    year, month, day_of_year = _of_days(distinct, axis.calendar)
    where = where.reshape(-1)
    return Dates(year[where], month[where], day_of_year[where], days, rest // HOUR)


def covered(axis: Axis) -> tuple[int, int]:
    """Return the first and the last moment that the times of an axis, at least one, describe."""
    if axis.bounds is not None:
        return int(axis.bounds.min()), int(axis.bounds.max())
    return int(axis.values.min()), int(axis.values.max())


def years(axis: Axis) -> NDArray[np.float64]:
    """Return the times in mean years of their calendar, from the middle of the axis, shape (n,)."""
    low, high = int(axis.values.min()), int(axis.values.max())
    length = YEAR_DAYS.get(axis.calendar, 365.2425) * DAY
    return np.asarray((axis.values - (low + (high - low) // 2)) / length, np.float64)


def lengths(axis: Axis) -> NDArray[np.float64] | None:
    """Return how long each time of an axis lasts, in days, shape (n,), by its bounds; None where it has none."""
    if axis.bounds is None:
        return None
    spans = np.abs(axis.bounds[:, 1] - axis.bounds[:, 0]) / DAY
    return spans if bool((spans > 0).all()) else None


def _moments(axis: Axis, stamp: Stamp) -> NDArray[np.int64]:
    if axis.bounds is not None:
        low, high = axis.cells.T
        return np.asarray(low + (high - low) // 2, np.int64)
    return np.asarray(axis.values - (1 if stamp is Stamp.END else 0), np.int64)


def _of_days(days: NDArray[np.int64], calendar: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return year, month and day of the year of days since 1970."""
    gregorian = calendar == "proleptic_gregorian" or (
        calendar in STANDARD and (days.size == 0 or int(days.min()) * DAY >= GREGORIAN_START)
    )
    if gregorian:
        dates = days.astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        firsts = dates.astype("datetime64[Y]")
        month = months.astype(np.int64)
        return month // 12 + 1970, month % 12 + 1, (dates - firsts.astype("datetime64[D]")).astype(np.int64) + 1
    found = np.atleast_1d(cftime.num2date(days, "days since 1970-01-01", calendar=calendar))
    fields = [(date.year, date.month, date.dayofyr) for date in found]
    year, month, day_of_year = np.array(fields, np.int64).reshape(-1, 3).T
    return year, month, day_of_year


def _start(period: Period, key: int, calendar: str) -> int:
    """Return the first microsecond of a period, in the calendar, by its number."""
    match period:
        case Period.HOUR:
            return key * HOUR
        case Period.DAY:
            return key * DAY
        case Period.YEAR:
            return Moment(key).first(calendar)
        case Period.SEASON:
            year, month = divmod(key * 3 - 1, 12)
        case _:
            year, month = divmod(key, 12)
    return Moment(year, month + 1).first(calendar)
