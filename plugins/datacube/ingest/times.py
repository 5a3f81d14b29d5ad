"""Which dimension of a file is time, and how do its values read in another file's units?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import calendar
from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest.content import Content, SourceVariable

GREGORIAN_START = int(np.datetime64("1582-10-15", "us").astype(np.int64))


def is_time(attributes: Mapping[str, Any]) -> bool:
    """Whether a variable counts time from a date (CF conventions 1.11, section 4.4)."""
    return " since " in str(attributes.get("units", ""))


def time_dimension(content: Content) -> str | None:
    """Return the dimension along which a file can be continued, or None where it has no time axis.

    Of several dimensions that count time, the one whose coordinate says ``standard_name: time``, then ``axis: T``,
    then the first.
    """
    found = [
        v for v in content.variables.values() if v.dims == (v.name,) and v.dtype.kind in "iuf" and is_time(v.attributes)
    ]
    for wanted in ("standard_name", "axis"):
        for variable in found:
            if str(variable.attributes.get(wanted, "")) in ("time", "T"):
                return variable.name
    return found[0].name if found else None


def calendar_of(attributes: Mapping[str, Any]) -> str:
    """Return the CF calendar of a time variable; the default is ``standard``."""
    name = str(attributes.get("calendar", "standard")).lower()
    return {"gregorian": "standard", "noleap": "365_day", "all_leap": "366_day"}.get(name, name)


def decode(values: NDArray[Any], attributes: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return microseconds since 1970 in the variable's calendar.

    Raises
    ------
    DatasetError
        If the units or the calendar cannot be read, or a time is missing.
    """
    missing = [attributes[key] for key in ("_FillValue", "missing_value") if key in attributes]
    if any(bool(np.isin(values, np.atleast_1d(value)).any()) for value in missing):
        raise DatasetError("a time coordinate has missing values")
    return calendar.decode(values, str(attributes["units"]), calendar_of(attributes))


def same_calendar(first: str, second: str, earliest: int) -> bool:
    """Whether dates of two calendars are the same dates, given the earliest one in question (microseconds)."""
    if first == second:
        return True
    return {first, second} <= calendar.STANDARD and earliest >= GREGORIAN_START


def recode(values: NDArray[Any], variable: SourceVariable, target: SourceVariable) -> NDArray[Any]:
    """Write the values of a time variable in the units and type of another one, exactly.

    Parameters
    ----------
    values : ndarray
        Stored values of `variable`, any shape.
    target : SourceVariable
        Whose ``units``, ``calendar`` and dtype the result has.

    Raises
    ------
    DatasetError
        If the calendars differ, or a time cannot be written exactly (half an hour in whole hours).
    """
    units, wanted = str(variable.attributes["units"]), str(target.attributes["units"])
    here, there = calendar_of(variable.attributes), calendar_of(target.attributes)
    if units == wanted and here == there and variable.dtype == target.dtype:
        return values
    if values.size == 0:
        return values.astype(target.dtype)
    moments = decode(values, variable.attributes)
    if not same_calendar(here, there, int(moments.min())):
        raise DatasetError(f"the calendar of {variable.name} is {here}, where the collection has {there}")
    # Two points of the target's scale give its origin and its unit; both are whole microseconds for CF units.
    probe = calendar.decode(np.arange(2, dtype=np.int64), wanted, there)
    origin, unit = int(probe[0]), int(probe[1] - probe[0])
    shifted = moments - origin
    if target.dtype.kind in "iu":
        encoded = (shifted // unit).astype(target.dtype)
    else:
        encoded = (shifted / unit).astype(target.dtype)
    if not np.array_equal(calendar.decode(encoded, wanted, there), moments):
        raise DatasetError(f"the times of {variable.name} ({units}) cannot be written exactly in {wanted!r}")
    return encoded


def require_increasing(moments: NDArray[np.int64], name: str, calendar_name: str) -> None:
    """Refuse a time axis that runs backwards or repeats itself.

    Raises
    ------
    DatasetError
        Naming the first time that is not later than the one before.
    """
    wrong = np.flatnonzero(np.diff(moments) <= 0)
    if wrong.size:
        index = int(wrong[0]) + 1
        text = calendar.to_iso(moments[index : index + 1], calendar_name)[0]
        how = "is given twice" if moments[index] == moments[index - 1] else "comes after a later time"
        raise DatasetError(f"the time {text} {how} in the coordinate {name}")
