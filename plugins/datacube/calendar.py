"""How does a date in a CF calendar become a number that can be compared, and back?

Every time in the datacube core is an ``int64``: microseconds since 1970-01-01T00:00:00 *in the calendar of its axis*
(CF conventions 1.11, section 4.4.1). Numbers of one axis compare exactly in every calendar, including ``360_day``
where 30 February exists; nothing is ever converted to another calendar.
"""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

import cftime
import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugins.datacube.errors import DatasetError, InvalidQueryError

STANDARD: Final = frozenset({"standard", "gregorian", "proleptic_gregorian"})
"""Calendars whose dates after 1582-10-15 are those of ISO 8601."""
CALENDARS: Final = STANDARD | {"360_day", "365_day", "noleap", "366_day", "all_leap", "julian"}
MICROSECONDS: Final = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
}
_UNIT_NAMES: Final = {
    **{f"{name}{plural}": size for name, size in MICROSECONDS.items() for plural in ("", "s")},
    "us": 1,
    "ms": 1_000,
    "msec": 1_000,
    "msecs": 1_000,
    "s": 1_000_000,
    "sec": 1_000_000,
    "secs": 1_000_000,
    "min": 60_000_000,
    "mins": 60_000_000,
    "h": 3_600_000_000,
    "hr": 3_600_000_000,
    "hrs": 3_600_000_000,
    "d": 86_400_000_000,
}
_EPOCH: Final = "microseconds since 1970-01-01"
_PYTHON_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC throughout; offsets are added by hand
_MICROSECOND: Final = timedelta(microseconds=1)
GREGORIAN_START: Final = int(np.datetime64("1582-10-15", "us").astype(np.int64))
YEAR_1: Final = int(np.datetime64("0001-01-01", "us").astype(np.int64))
YEAR_9999: Final = int(np.datetime64("9999-01-01", "us").astype(np.int64))
_MOMENT = re.compile(
    r"(?P<year>-?\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)?)?)?)?",
    re.ASCII,
)
Precision = Literal["year", "month", "day", "hour", "minute", "second"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and time as a client wrote it, not yet in any calendar."""

    year: int
    month: int = 1
    day: int = 1
    hour: int = 0
    minute: int = 0
    second: int = 0
    microsecond: int = 0
    offset: int = 0
    """Minutes east of UTC."""
    precision: Precision = "second"
    """The smallest field that was written; ``2020-01`` has ``month`` and stands for all of January."""

    def first(self, calendar: str) -> int:
        """Return the first microsecond that this moment covers, on an axis of `calendar`.

        Raises
        ------
        InvalidQueryError
            If the date does not exist in the calendar (30 February outside ``360_day``).
        """
        if calendar == "proleptic_gregorian" or (calendar in STANDARD and self.year > 1582):
            # The calendar of Python's own dates, which are much quicker; what they refuse, cftime judges.
            fields = (self.year, self.month, self.day, self.hour, self.minute, self.second, self.microsecond)
            with contextlib.suppress(ValueError):
                date = datetime(*fields)  # noqa: DTZ001 - the offset is taken away
                return (date - _PYTHON_EPOCH) // _MICROSECOND - self.offset * MICROSECONDS["minute"]
        try:
            found = cftime.datetime(
                self.year, self.month, self.day, self.hour, self.minute, self.second, self.microsecond,
                calendar=calendar,
            )  # fmt: skip
            number = int(cftime.date2num(found, _EPOCH, calendar=calendar))
        except (ValueError, OverflowError) as error:
            raise InvalidQueryError(
                "datetime", f"{self} is not a date of the {calendar} calendar", "an ISO 8601 date of that calendar"
            ) from error
        return number - self.offset * MICROSECONDS["minute"]

    def last(self, calendar: str) -> int:
        """Return the last microsecond that this moment covers: for ``2020-01``, the end of January."""
        if self.precision == "second":
            return self.first(calendar)
        if self.precision == "year":
            return Moment(self.year + 1, offset=self.offset).first(calendar) - 1
        if self.precision == "month":
            year, month = (self.year + 1, 1) if self.month == 12 else (self.year, self.month + 1)
            return Moment(year, month, offset=self.offset).first(calendar) - 1
        return self.first(calendar) + MICROSECONDS[self.precision] - 1

    def __str__(self) -> str:
        """Return the moment as ISO 8601, to the precision it was written in."""
        text = f"{self.year:04d}"
        if self.precision == "year":
            return text
        text += f"-{self.month:02d}"
        if self.precision == "month":
            return text
        text += f"-{self.day:02d}"
        return text if self.precision == "day" else text + f"T{self.hour:02d}:{self.minute:02d}:{self.second:02d}"


@lru_cache(maxsize=1024)
def parse_moment(text: str, parameter: str = "datetime") -> Moment:
    """Read an ISO 8601 date or date-time (RFC 3339, and its reduced forms year, month, day, hour).

    Parameters
    ----------
    text : str
        For example ``2020-01-01T06:00:00Z``, ``2020-01-01``, ``2020-01``, ``2020-01-01T06:00+02:00``. A time without
        a zone is UTC.
    parameter : str
        Name to give in the error.

    Raises
    ------
    InvalidQueryError
        If the text is not such a date, or a field is out of its range in every calendar.

    Examples
    --------
    >>> parse_moment("2020-02-30").last("360_day") - parse_moment("2020-02-30").first("360_day")
    86399999999
    """
    match = _MOMENT.fullmatch(text.strip()) if len(text) <= 64 else None
    valid = "an ISO 8601 date such as 2020-01-01T06:00:00Z, or an interval of two, or '..' for an open end"
    if match is None:
        raise InvalidQueryError(parameter, f"{text[:64]!r} is not a date", valid)
    part = match.groupdict()
    names: tuple[Precision, ...] = ("year", "month", "day", "hour", "minute", "second")
    written = [name for name in names if part[name] is not None]
    fraction = (part["fraction"] or "").ljust(6, "0")[:6]
    zone = part["zone"] or "Z"
    offset = 0
    if zone not in ("Z", "z"):
        offset = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
        offset = -offset if zone[0] == "-" else offset
    moment = Moment(
        **{name: int(part[name]) for name in written},
        microsecond=int(fraction),
        offset=offset,
        precision=written[-1],
    )
    limits = (("month", 1, 12), ("day", 1, 31), ("hour", 0, 23), ("minute", 0, 59), ("second", 0, 59))
    for name, low, high in limits:
        if not low <= getattr(moment, name) <= high:
            raise InvalidQueryError(parameter, f"{text!r} has no valid {name}", valid)
    if abs(offset) > 18 * 60:
        raise InvalidQueryError(parameter, f"{text!r} has no valid time zone", valid)
    return moment


def decode(values: ArrayLike, units: str, calendar: str) -> NDArray[np.int64]:
    """Turn the numbers of a CF time variable into microseconds since 1970 in its calendar.

    Raises
    ------
    DatasetError
        If the units or the calendar are not of CF, or a value is missing.
    """
    if calendar not in CALENDARS:
        raise DatasetError(f"the calendar {calendar!r} is not a CF calendar")
    unit, _, reference = units.strip().partition(" since ")
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise DatasetError(f"a time coordinate holds {array.dtype} where numbers are needed")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DatasetError("a time coordinate has missing values")
    factor = _UNIT_NAMES.get(unit.strip().lower())
    try:
        if factor is None or not reference:
            # Months and years have no fixed length: let cftime judge.
            dates = cftime.num2date(array, units, calendar=calendar)
            return np.atleast_1d(np.asarray(cftime.date2num(dates, _EPOCH, calendar=calendar), np.int64)).reshape(
                array.shape
            )
        start = int(cftime.date2num(cftime.num2date(0, units, calendar=calendar), _EPOCH, calendar=calendar))
    except (ValueError, OverflowError, TypeError) as error:
        raise DatasetError(f"the time units {units!r} cannot be read") from error
    if array.size and float(np.abs(array.astype(np.float64)).max()) * factor + abs(start) >= 2.0**63:
        raise DatasetError("a time coordinate has values too large to be dates")
    if array.dtype.kind in "iu":
        return array.astype(np.int64) * np.int64(factor) + np.int64(start)
    # Whole units are exact; only the fraction is rounded, to a microsecond.
    whole = np.floor(array.astype(np.float64))
    fraction = np.rint((array.astype(np.float64) - whole) * factor).astype(np.int64)
    return whole.astype(np.int64) * np.int64(factor) + fraction + np.int64(start)


def to_iso(times: ArrayLike, calendar: str) -> list[str]:
    """Write times as ISO 8601 with seconds and ``Z``; with a fraction where any of them needs one.

    Parameters
    ----------
    times : array_like of int64, any shape
        Microseconds since 1970 in `calendar`; flattened in C order.

    Examples
    --------
    >>> to_iso([0, 60_000_000], "proleptic_gregorian"), to_iso([1_500_000], "360_day")
    (['1970-01-01T00:00:00Z', '1970-01-01T00:01:00Z'], ['1970-01-01T00:00:01.500000Z'])
    """
    numbers = np.asarray(times, np.int64).ravel()
    if numbers.size == 0:
        return []
    fraction = bool((numbers % MICROSECONDS["second"]).any())
    if _is_iso(numbers, calendar) and _year(int(numbers.min())) >= 0 and _year(int(numbers.max())) <= 9999:
        stamps = numbers.astype("datetime64[us]")
        texts = np.datetime_as_string(stamps, unit="us" if fraction else "s")
        return [f"{text}Z" for text in texts.tolist()]
    dates: Any = cftime.num2date(numbers, _EPOCH, calendar=calendar)
    return [
        f"{d.year:04d}-{d.month:02d}-{d.day:02d}T{d.hour:02d}:{d.minute:02d}:{d.second:02d}"
        + (f".{d.microsecond:06d}" if fraction else "")
        + "Z"
        for d in dates
    ]


def unit_microseconds(unit: str) -> float | None:
    """Return the length of a unit of time, or None for what has no fixed length, or is no time.

    Examples
    --------
    >>> unit_microseconds("hours"), unit_microseconds("nanoseconds"), unit_microseconds("months")
    (3600000000, 0.001, None)
    """
    name = unit.strip().lower()
    return 0.001 if name in ("ns", "nanosecond", "nanoseconds") else _UNIT_NAMES.get(name)


def whole_seconds(times: ArrayLike, calendar: str) -> NDArray[np.datetime64] | None:
    """Return times as ``datetime64[s]``, flattened, where `to_iso` would write them as ISO 8601 without a fraction.

    JSON is then written from the array, without a Python string for each time; None where only `to_iso` can write them.
    """
    numbers = np.asarray(times, np.int64).ravel()
    if numbers.size == 0 or not _is_iso(numbers, calendar) or bool((numbers % MICROSECONDS["second"]).any()):
        return None
    if int(numbers.min()) < YEAR_1 or int(numbers.max()) >= YEAR_9999:
        return None  # beyond what orjson writes
    return (numbers // MICROSECONDS["second"]).astype("datetime64[s]")


def _is_iso(numbers: NDArray[np.int64], calendar: str) -> bool:
    """Whether the dates of these times (at least one) are those of ISO 8601."""
    return calendar == "proleptic_gregorian" or (calendar in STANDARD and int(numbers.min()) >= GREGORIAN_START)


def iso_duration(microseconds: int) -> str:
    """Write a length of time as an ISO 8601 duration.

    Examples
    --------
    >>> iso_duration(3_600_000_000), iso_duration(86_400_000_000), iso_duration(5_400_000_000)
    ('PT1H', 'P1D', 'PT1H30M')
    """
    days, rest = divmod(microseconds, MICROSECONDS["day"])
    hours, rest = divmod(rest, MICROSECONDS["hour"])
    minutes, rest = divmod(rest, MICROSECONDS["minute"])
    seconds = rest / MICROSECONDS["second"]
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if seconds:
        clock += f"{int(seconds)}S" if math.isclose(seconds, int(seconds)) else f"{seconds:g}S"
    date = f"{days}D" if days else ""
    return f"P{date}" + (f"T{clock}" if clock else "") if (date or clock) else "PT0S"


def _year(number: int) -> int:
    return int(np.int64(number).astype("datetime64[us]").astype("datetime64[Y]").astype(int)) + 1970
