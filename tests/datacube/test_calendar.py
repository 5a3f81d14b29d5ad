"""Dates of every CF calendar become numbers and come back; cftime and xarray are the judges."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import cftime
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plugins.datacube.calendar import CALENDARS, decode, iso_duration, parse_moment, to_iso
from plugins.datacube.errors import DatasetError, InvalidQueryError

EPOCH = "microseconds since 1970-01-01"
CALENDAR = st.sampled_from(sorted(CALENDARS))
UNITS = st.sampled_from(
    ["seconds", "minutes", "hours", "days", "h", "hrs", "s", "Hours", "DAYS", "d", "microseconds", "milliseconds"]
)
START = st.sampled_from(["1900-01-01", "1970-01-01 00:00:00", "2000-02-28 12:30:00", "0001-01-01 00:00:00", "1850-1-1"])


def number(date: Any, calendar: str) -> int:
    return int(cftime.date2num(date, EPOCH, calendar=calendar))


@given(CALENDAR, UNITS, START, st.lists(st.integers(0, 100_000), min_size=1, max_size=5))
def test_decoding_equals_cftime(calendar: str, unit: str, start: str, values: list[int]) -> None:
    units = f"{unit} since {start}"
    dates = cftime.num2date(values, units.lower(), calendar=calendar)
    assert decode(values, units, calendar).tolist() == [number(date, calendar) for date in dates]


@given(CALENDAR, st.floats(0, 60_000, allow_nan=False))
def test_fractions_of_a_day_are_kept_to_a_microsecond(calendar: str, days: float) -> None:
    units = "days since 1970-01-01"
    (decoded,) = decode([days], units, calendar).tolist()
    assert abs(decoded - days * 86_400_000_000) <= 8, "float64 days have this precision"


def test_whole_hours_in_floats_are_exact() -> None:
    hours = np.arange(0, 3_000_000, 997)
    whole = decode(hours, "hours since 1800-01-01", "standard")
    np.testing.assert_array_equal(decode(hours.astype(float), "hours since 1800-01-01", "standard"), whole)
    np.testing.assert_array_equal(np.diff(whole), 997 * 3_600_000_000)


@pytest.mark.parametrize(
    ("values", "units", "calendar", "words"),
    [
        ([0], "hours since 1900-01-01", "lunar", "'lunar' is not a CF calendar"),
        ([0], "hours since never", "standard", "'hours since never' cannot be read"),
        ([0], "hours", "standard", "'hours' cannot be read"),
        ([0], "", "standard", "cannot be read"),
        ([np.nan], "hours since 1900-01-01", "standard", "missing"),
        ([np.inf], "hours since 1900-01-01", "standard", "missing"),
        ([9.96921e36], "hours since 1900-01-01", "standard", "too large"),
        ([2**62], "hours since 1900-01-01", "noleap", "too large"),
        (["a"], "hours since 1900-01-01", "standard", "numbers are needed"),
    ],
)
def test_what_cannot_be_decoded(values: Any, units: str, calendar: str, words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        decode(values, units, calendar)
    assert words in caught.value.detail


@given(
    CALENDAR, st.integers(1, 9999), st.integers(1, 12), st.integers(1, 30), st.integers(0, 23), st.integers(0, 59),
    st.integers(0, 59), st.sampled_from([0, 1, 500_000, 999_999]),
)  # fmt: skip
def test_text_and_number_agree_in_every_calendar(
    calendar: str, year: int, month: int, day: int, hour: int, minute: int, second: int, micro: int
) -> None:
    try:
        date = cftime.datetime(year, month, day, hour, minute, second, micro, calendar=calendar)
    except ValueError:
        assume(False)  # not a date of this calendar
    wanted = number(date, calendar)
    text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
    text += (f".{micro:06d}" if micro else "") + "Z"
    assert to_iso([wanted], calendar) == [text]
    assert parse_moment(text).first(calendar) == wanted


@given(st.datetimes(datetime(1600, 1, 1), datetime(9000, 1, 1)), st.integers(-18 * 60, 18 * 60))  # noqa: DTZ001
def test_time_zones(moment: datetime, offset: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017
    assert parse_moment(zoned.isoformat()).first("proleptic_gregorian") == (zoned - epoch) // timedelta(microseconds=1)


@given(CALENDAR, st.integers(1, 9000), st.integers(1, 12), st.integers(1, 28), st.integers(0, 23))
def test_reduced_dates_cover_up_to_the_next(calendar: str, year: int, month: int, day: int, hour: int) -> None:
    after = {
        f"{year:04d}": f"{year + 1:04d}",
        f"{year:04d}-{month:02d}": f"{year:04d}-{month + 1:02d}" if month < 12 else f"{year + 1:04d}-01",
    }
    for text, following in after.items():
        assert parse_moment(text).last(calendar) + 1 == parse_moment(following).first(calendar)
    date = f"{year:04d}-{month:02d}-{day:02d}"
    for text, microseconds in ((date, 86_400_000_000), (f"{date}T{hour:02d}", 3_600_000_000)):
        moment = parse_moment(text)
        assert moment.last(calendar) - moment.first(calendar) == microseconds - 1
        assert str(moment).startswith(text)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2020-13", "2020-00", "2020-01-32", "2020-01-01T24:30", "2020-01-01T12:60", "20200101",
     "2020-01-01T00:00+19:00", "2020-1-1", "2020-01-01T00:00:00ZZ", "x" * 1000, "2020-01-01T", "2020/01/01",
     "..", "٢٠٢٠"],
)  # fmt: skip
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_moment(text, "datetime")
    assert caught.value.parameter == "datetime"
    assert caught.value.valid is not None


@pytest.mark.parametrize(
    ("text", "calendar"), [("2021-02-29", "standard"), ("2020-02-29", "noleap"), ("2020-01-31", "360_day")]
)
def test_dates_that_a_calendar_lacks(text: str, calendar: str) -> None:
    with pytest.raises(InvalidQueryError, match=f"is not a date of the {calendar} calendar"):
        parse_moment(text).first(calendar)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(0, "PT0S"), (3_600_000_000, "PT1H"), (21_600_000_000, "PT6H"), (86_400_000_000, "P1D"), (90_000_000, "PT1M30S"),
     (1_500_000, "PT1.5S"), (2_592_000_000_000, "P30D"), (93_600_000_000, "P1DT2H")],
)  # fmt: skip
def test_durations(microseconds: int, text: str) -> None:
    assert iso_duration(microseconds) == text
