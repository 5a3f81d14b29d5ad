"""How does the text of a level, a date or a member become a value, an interval or a list?

The grammar is that of OGC API EDR 1.2 (OGC 19-086r6, clause 8.2.1, parameters ``datetime`` and ``z``):

==================  =========================================================
``v``               one value
``a/b``             an interval, both ends included
``a/..``  ``../b``  an interval with an open end (an empty end is open, too)
``v1,v2,v3``        a list
``Rn/min/step``     n values from min, step apart; of times the step is a duration: ``R4/2020-01-01T00:00:00Z/PT6H``
==================  =========================================================
"""

from __future__ import annotations

import math
import re
from typing import Final

from plugins.datacube.calendar import MICROSECONDS, parse_moment
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.query import NumberInterval, NumberSelection, RepeatedTime, TimeInterval, TimeSelection

MAXIMUM_ITEMS: Final = 1000
"""Longest list of one parameter."""
LONGEST_REPETITION: Final = 10_000 * 366 * MICROSECONDS["day"]
OPEN_ENDS: Final = frozenset({"", ".."})
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_RECURRING = re.compile(r"[rR]([0-9]{1,6})/([^/]+)/([^/]+)")
_NUMBERS = "a number, an interval such as 100/500 or ../500, a list such as 100,200, or Rn/min/step"
_DURATION = re.compile(
    r"P(?=.)(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,6})W)?(?:([0-9]{1,6})D)?"
    r"(?:T(?=.)(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,6})S)?)?",
    re.ASCII,
)
_PERIODS = "Rn/start/period, n from 1 to 1000 and the period an ISO 8601 duration such as PT6H, P1D or P1M"
_TIMES = "an ISO 8601 date such as 2020-01-01T06:00:00Z, an interval of two with '/', '..' for an open end, or a list"


def parse_number(parameter: str, text: str, valid: str = "a finite decimal number") -> float:
    """Read one finite decimal number.

    Raises
    ------
    InvalidQueryError
        If the text is anything else; ``nan``, ``inf`` and ``1_000``, which Python would read, are refused.

    Examples
    --------
    >>> parse_number("z", "-1.5e2")
    -150.0
    """
    stripped = text.strip()
    if len(stripped) > 64 or _NUMBER.fullmatch(stripped) is None or not math.isfinite(float(stripped)):
        raise InvalidQueryError(parameter, f"{parameter}: {stripped[:64]!r} is not a finite number", valid)
    return float(stripped)


def parse_numbers(parameter: str, text: str, valid: str = _NUMBERS) -> NumberSelection:
    """Read a number, an interval (either way round), a list, or ``Rn/min/step``.

    Parameters
    ----------
    parameter : str
        Name to give in the error.
    text : str
        What the client wrote.
    valid : str
        What to call valid in the error.

    Raises
    ------
    InvalidQueryError
        If the text has none of these forms, or a list is longer than `MAXIMUM_ITEMS`.

    Examples
    --------
    >>> parse_numbers("z", "500/100")
    NumberInterval(low=100.0, high=500.0)
    >>> parse_numbers("z", "R3/100/50")
    (100.0, 150.0, 200.0)
    """
    recurring = _RECURRING.fullmatch(text.strip())
    if recurring is not None:
        count, start, step = recurring.groups()
        first, gap = parse_number(parameter, start, valid), parse_number(parameter, step, valid)
        if not 1 <= int(count) <= MAXIMUM_ITEMS:
            raise InvalidQueryError(parameter, f"{parameter}: R{count} is not a count of levels", "R1 to R1000")
        numbers = tuple(first + i * gap for i in range(int(count)))
        if not math.isfinite(numbers[-1]):
            raise InvalidQueryError(parameter, f"{parameter}: the last level is not a finite number", valid)
        return numbers
    if "/" in text:
        low, high = (
            None if end in OPEN_ENDS else parse_number(parameter, end, valid)
            for end in _ends(parameter, text, "an interval", valid)
        )
        if low is not None and high is not None and low > high:
            low, high = high, low
        return NumberInterval(low, high)
    if "," in text:
        return tuple(parse_number(parameter, item, valid) for item in split_list(parameter, text, valid))
    return parse_number(parameter, text, valid)


def parse_times(parameter: str, text: str) -> TimeSelection:
    """Read an instant, an interval, a list of instants, or ``Rn/start/period``.

    Whether an interval is the wrong way round depends on the calendar and is told by `plugins.datacube.select`.

    Raises
    ------
    InvalidQueryError
        If the text has none of these forms.

    Examples
    --------
    >>> parse_times("datetime", "../2020").end.precision
    'year'
    """
    recurring = _RECURRING.fullmatch(text.strip())
    if recurring is not None:
        return _repeated(parameter, *recurring.groups())
    if "/" in text:
        start, end = (
            None if part in OPEN_ENDS else parse_moment(part, parameter)
            for part in _ends(parameter, text, "an interval of two dates", _TIMES)
        )
        return TimeInterval(start, end)
    if "," in text:
        return tuple(parse_moment(item, parameter) for item in split_list(parameter, text, _TIMES))
    return parse_moment(text, parameter)


def _repeated(parameter: str, count: str, start: str, period: str) -> RepeatedTime:
    duration = _DURATION.fullmatch(period.strip())
    if duration is None:
        raise InvalidQueryError(parameter, f"{parameter}: {period.strip()[:64]!r} is not a period", _PERIODS)
    years, months, *rest = (int(part or 0) for part in duration.groups())
    units = ("day", "hour", "minute", "second")
    weeks, *others = rest
    fixed = weeks * 7 * MICROSECONDS["day"] + sum(
        number * MICROSECONDS[unit] for number, unit in zip(others, units, strict=True)
    )
    if fixed * int(count) >= LONGEST_REPETITION:
        raise InvalidQueryError(parameter, f"{parameter}: {period.strip()[:64]} is too long to repeat", _PERIODS)
    if not 1 <= int(count) <= MAXIMUM_ITEMS or not (years or months or fixed):
        raise InvalidQueryError(parameter, f"{parameter}: R{count} of {period.strip()[:64]} repeats nothing", _PERIODS)
    return RepeatedTime(int(count), parse_moment(start, parameter), 12 * years + months, fixed)


def split_list(parameter: str, text: str, valid: str) -> list[str]:
    """Split at commas into at most `MAXIMUM_ITEMS` texts without surrounding blanks.

    Raises
    ------
    InvalidQueryError
        If an item is empty or the list is too long.
    """
    items = [item.strip() for item in text.split(",", MAXIMUM_ITEMS)]
    if len(items) > MAXIMUM_ITEMS:
        raise InvalidQueryError(parameter, f"{parameter} lists more than {MAXIMUM_ITEMS} items", "a shorter list")
    if not all(items):
        raise InvalidQueryError(parameter, f"{parameter} has an empty item in its list", valid)
    return items


def _ends(parameter: str, text: str, what: str, valid: str) -> tuple[str, str]:
    ends = [part.strip() for part in text.split("/", 2)]
    if len(ends) != 2:
        raise InvalidQueryError(parameter, f"{parameter}: {text[:80]!r} is not {what}", valid)
    return ends[0], ends[1]
