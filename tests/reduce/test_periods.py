"""Times are grouped as the dates of their calendar say, which cftime and NumPy know independently."""

import cftime
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.datacube import calendar as cf_calendar
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.reduce.periods import (
    SEASONS,
    Clock,
    Cycle,
    Period,
    Stamp,
    by_cycle,
    by_period,
    lengths,
    read_dates,
    years,
)

UNIT = "microseconds since 1970-01-01"
DAY = 86_400_000_000


def axis_of(times, calendar="proleptic_gregorian", bounds=None):
    return Axis(AxisKind.T, "time", np.asarray(times, np.int64), calendar=calendar, bounds=bounds)


@pytest.mark.parametrize("calendar", sorted(cf_calendar.CALENDARS))
@given(times=st.lists(st.integers(-200 * 366 * DAY, 200 * 366 * DAY), min_size=1, max_size=20))
@settings(max_examples=15, deadline=None)
def test_dates_are_those_of_cftime(calendar, times):
    dates = read_dates(axis_of(times, calendar))
    expected = np.atleast_1d(cftime.num2date(np.asarray(times), UNIT, calendar=calendar))
    fields = np.stack([dates.year, dates.month, dates.day_of_year, dates.hour], axis=1)
    assert fields.tolist() == [[date.year, date.month, date.dayofyr, date.hour] for date in expected]


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "all_leap", "julian", "standard"])
@pytest.mark.parametrize("period", [Period.HOUR, Period.DAY, Period.MONTH, Period.SEASON, Period.YEAR])
def test_every_time_lies_in_its_period_and_periods_do_not_overlap(calendar, period):
    rng = np.random.default_rng(4)
    times = np.sort(rng.integers(0, 5 * 366 * DAY, 300))
    found = by_period(axis_of(times, calendar), period)
    low, high = found.axis.bounds[found.labels].T
    assert (low <= times).all()
    assert (times < high).all()
    bounds = found.axis.bounds
    assert (bounds[1:, 0] >= bounds[:-1, 1]).all()
    np.testing.assert_array_equal(found.axis.values, bounds[:, 0])
    firsts = cftime.num2date(bounds, UNIT, calendar=calendar).ravel()
    if period is Period.SEASON:
        assert {date.month for date in firsts} <= {12, 3, 6, 9}
    if period in (Period.MONTH, Period.SEASON, Period.YEAR):
        assert {date.day for date in firsts} == {1}
    if period is Period.YEAR:
        assert {date.month for date in firsts} == {1}


def test_seasons_of_all_years():
    found = by_cycle(axis_of(np.arange(365) * DAY), Cycle.SEASON)
    assert found.axis.values.tolist() == list(SEASONS)
    assert np.bincount(found.labels).tolist() == [31 + 28 + 31, 92, 92, 91]


def test_bounds_decide_before_stamps():
    times = np.array([0, 24, 48]) * DAY // 24
    bounds = np.stack([times - DAY, times], axis=1)
    assert (
        by_period(axis_of(times, bounds=bounds), Period.DAY).axis.values.tolist() == (times - DAY)[[0, 1, 2]].tolist()
    )
    ends = by_period(axis_of(times), Period.DAY, Clock(stamp=Stamp.END))
    assert ends.axis.values.tolist() == [-DAY, 0, DAY]
    starts = by_period(axis_of(times), Period.DAY)
    assert starts.axis.values.tolist() == [0, DAY, 2 * DAY]


def test_days_elsewhere_begin_elsewhere():
    found = by_period(axis_of(np.arange(48) * DAY // 24), Period.DAY, Clock(offset=-180))
    assert found.axis.values.tolist() == [3 * DAY // 24 - DAY, 3 * DAY // 24, 3 * DAY // 24 + DAY]
    assert np.bincount(found.labels).tolist() == [3, 24, 21]


def test_times_that_fall():
    found = by_period(axis_of(np.arange(60)[::-1] * DAY), Period.MONTH)
    assert found.axis.texts() == ["1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z", "1970-03-01T00:00:00Z"]
    assert found.labels[0] == 2
    assert found.labels[-1] == 0


def test_all_times_are_one_period_with_the_bounds_of_the_data():
    bounds = np.array([[0, 5], [5, 9]]) * DAY
    found = by_period(axis_of([2 * DAY, 7 * DAY], bounds=bounds), Period.ALL)
    assert found.axis.bounds.tolist() == [[0, 9 * DAY]]
    assert by_cycle(axis_of([0]), Cycle.ALL).axis is None


def test_lengths_and_years():
    months = np.array([[0, 31], [31, 59]]) * DAY
    assert lengths(axis_of([0, 31 * DAY], bounds=months)).tolist() == [31.0, 28.0]
    assert lengths(axis_of([0, DAY])) is None
    assert lengths(axis_of([0, 1], bounds=np.array([[0, 0], [1, 1]]))) is None
    assert years(axis_of([0, 720 * DAY], "360_day")).tolist() == [-1.0, 1.0]
