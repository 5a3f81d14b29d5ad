"""Which months, years and runs become items; the oracle is pandas or cftime on the same times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import cftime
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.extents import interval_of
from catalog.items import items
from catalog.links import FrontUrls
from catalog.partitions import parts
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube, Extent
from plugins.datacube.errors import InvalidQueryError

MakeCube = Callable[..., Datacube]
Validate = Callable[[dict[str, Any]], None]
URLS = FrontUrls("http://127.0.0.1:8000")
HOUR = 3_600_000_000


def timed(make_cube: MakeCube, times: Axis, division: str | None = None, **more: Axis) -> Datacube:
    """A cube on these times, with the extent that they have."""
    y = Axis(AxisKind.Y, "lat", np.array([60.0, 50.0, 40.0]), "degrees_north", "latitude")
    x = Axis(AxisKind.X, "lon", np.arange(0.0, 360.0, 10.0), "degrees_east", "longitude", cyclic=True)
    first, last = times.take(np.array([times.values.argmin(), times.values.argmax()])).texts()
    extent = Extent(-180.0, 35.0, 180.0, 65.0, first, last)
    cube = make_cube(axes={"time": times, **more, "lat": y, "lon": x}, extent=extent)
    return replace(cube, definition=replace(cube.definition, items=division))


def stamps(start: str, periods: int, freq: str) -> Axis:
    found = pd.date_range(start, periods=periods, freq=freq)
    return Axis(AxisKind.T, "time", found.values.astype("datetime64[us]").astype(np.int64), standard_name="time")


@pytest.mark.parametrize(
    ("start", "periods", "freq", "expected"),
    [
        ("2020-01-01", 366, "D", "all"),
        ("2020-01-01", 367, "D", "month"),
        ("2020-01-15", 24 * 400, "h", "month"),
        ("2000-01-01", 120, "MS", "all"),
        ("2000-01-01", 121, "MS", "year"),
        ("1900-01-01", 200, "YS", "all"),
        ("2000-01-01", 1, "D", "all"),
    ],
)
def test_a_long_series_is_divided(make_cube: MakeCube, start: str, periods: int, freq: str, expected: str) -> None:
    axis = stamps(start, periods, freq)
    found = [part.suffix for part in parts(timed(make_cube, axis))]
    dates = pd.date_range(start, periods=periods, freq=freq)
    if expected == "all":
        assert found == ["all"]
    else:
        assert found == sorted({f"{date:%Y-%m}" if expected == "month" else f"{date:%Y}" for date in dates})


@given(
    st.lists(st.integers(-40 * 366 * 24, 40 * 366 * 24), min_size=1, max_size=60, unique=True),
    st.booleans(),
    st.sampled_from(["month", "year"]),
    st.sampled_from(["proleptic_gregorian", "360_day", "noleap", "julian"]),
)
def test_every_time_is_in_the_part_of_its_date(
    make_cube: MakeCube, hours: list[int], rising: bool, division: str, calendar: str
) -> None:
    values = np.sort(np.array(hours, np.int64)) * HOUR
    axis = Axis(AxisKind.T, "time", values if rising else values[::-1].copy(), calendar=calendar)
    dates = cftime.num2date(np.sort(np.array(hours)), "hours since 1970-01-01", calendar=calendar)
    expected: dict[str, list[Any]] = {}
    for date in dates:
        key = f"{date.year:04d}-{date.month:02d}" if division == "month" else f"{date.year:04d}"
        expected.setdefault(key, []).append(date)
    found = parts(timed(make_cube, axis, division))
    assert [part.suffix for part in found] == list(expected)
    for part, those in zip(found, expected.values(), strict=True):
        first, last = (f"{date:%Y-%m-%dT%H:%M:%SZ}" for date in (those[0], those[-1]))
        assert part.query == {"datetime": first if len(those) == 1 else f"{first}/{last}"}
        assert part.axes["time"].texts() == [f"{date:%Y-%m-%dT%H:%M:%SZ}" for date in those]
        assert (part.start.month, part.end.month) == (those[0].month, those[-1].month)
        assert part.start.hour == those[0].hour


def test_what_has_been_an_item_stays_the_same_item(make_cube: MakeCube) -> None:
    before = {item["id"]: item for item in items(timed(make_cube, stamps("2020-01-01", 500, "D")), URLS)}
    after = {item["id"]: item for item in items(timed(make_cube, stamps("2020-01-01", 560, "D")), URLS)}
    assert list(before)[-1] == "model-2021-05"
    assert list(after)[: len(before)] == list(before)
    # The month that grew is another one, and those after it are new; the others are the same to the last letter.
    assert [name for name in before if before[name] != after[name]] == ["model-2021-05"]


def test_the_items_of_months(make_cube: MakeCube, validate: Validate) -> None:
    found = items(timed(make_cube, stamps("2020-01-10T06:00", 800, "D")), URLS)
    assert len(found) == 27
    for item in (found[0], found[1], found[-1]):
        validate(item)
    second = found[1]
    assert (second["id"], second["collection"]) == ("model-2020-02", "model")
    properties = second["properties"]
    assert properties["title"] == "The model, 2020-02"
    assert properties["datetime"] == properties["start_datetime"] == "2020-02-01T06:00:00Z"
    assert properties["end_datetime"] == "2020-02-29T06:00:00Z"
    assert properties["cube:dimensions"]["time"]["extent"] == ["2020-02-01T06:00:00Z", "2020-02-29T06:00:00Z"]
    assert properties["cube:dimensions"]["time"]["step"] == "P1D"
    assert "29 times" in properties["cube:dimensions"]["time"]["description"]
    assert set(properties["cube:dimensions"]) == {"time", "lat", "lon"}
    assert "isopleth:snapshot" not in properties


def test_a_single_time_of_a_month_has_a_date(make_cube: MakeCube, validate: Validate) -> None:
    (item,) = items(timed(make_cube, stamps("2020-01-10", 1, "D"), "month"), URLS)
    validate(item)
    assert item["id"] == "model-2020-01"
    assert item["properties"]["datetime"] == "2020-01-10T00:00:00Z"
    assert item["properties"]["cube:dimensions"]["time"]["step"] is None


def begun(start: str, periods: int, freq: str) -> Axis:
    return replace(stamps(start, periods, freq), standard_name="forecast_reference_time")


def lead(hours: list[int], units: str | None = "hours", **more: Any) -> Axis:
    return Axis(AxisKind.CUSTOM, "step", np.array(hours), units, **more)


def test_a_run_by_lead_time(make_cube: MakeCube, validate: Validate) -> None:
    cube = timed(make_cube, begun("2020-01-01", 4, "12h"), step=lead([6, 12, 240]))
    assert interval_of(cube) == (datetime(2020, 1, 1, 6, tzinfo=UTC), datetime(2020, 1, 12, 12, tzinfo=UTC))
    found = items(cube, URLS)
    assert [item["id"] for item in found] == [
        "model-20200101T0000Z", "model-20200101T1200Z", "model-20200102T0000Z", "model-20200102T1200Z",
    ]  # fmt: skip
    for item in found:
        validate(item)
    properties = found[1]["properties"]
    assert properties["forecast:reference_datetime"] == "2020-01-01T12:00:00Z"
    assert properties["forecast:horizon"] == "PT6H"
    assert properties["forecast:duration"] == "P9DT18H"
    assert (properties["start_datetime"], properties["end_datetime"]) == (
        "2020-01-01T18:00:00Z", "2020-01-11T12:00:00Z",
    )  # fmt: skip
    assert properties["cube:dimensions"]["time"]["extent"] == ["2020-01-01T12:00:00Z"] * 2
    assert properties["cube:dimensions"]["step"]["values"] == [6, 12, 240]
    assert any("forecast" in uri for uri in found[1]["stac_extensions"])


@pytest.mark.parametrize(
    ("axis", "hours"),
    [
        (lead([0, 2], "days"), 48),
        (lead([0, 90], "minutes"), 1.5),
        (lead([0, 3600], "s"), 1),
        (lead([0, 6], "H", standard_name="forecast_period"), 6),
    ],
)
def test_the_units_of_lead_times(make_cube: MakeCube, axis: Axis, hours: float) -> None:
    (part, *_) = parts(timed(make_cube, begun("2020-01-01", 2, "D"), step=axis))
    assert part.end - part.start == timedelta(hours=hours)


@pytest.mark.parametrize(
    "axis", [lead([0, 6], "furlongs"), lead([0, 6], None), lead([0, 6], standard_name="realization")]
)
def test_what_is_no_lead_time_makes_no_runs(make_cube: MakeCube, axis: Axis) -> None:
    assert [part.suffix for part in parts(timed(make_cube, begun("2020-01-01", 2, "D"), step=axis))] == ["all"]


def test_a_run_by_valid_time(make_cube: MakeCube, validate: Validate) -> None:
    runs = np.array(["2020-01-02T00:00:00Z", "2020-01-01T00:00:00Z"])
    axis = Axis(AxisKind.CUSTOM, "reference_time", runs, standard_name="forecast_reference_time")
    found = items(timed(make_cube, stamps("2020-01-01T00:00", 5, "D"), reference_time=axis), URLS)
    assert [item["id"] for item in found] == ["model-20200101T0000Z", "model-20200102T0000Z"]
    for item in found:
        validate(item)
    properties = found[1]["properties"]
    assert (properties["start_datetime"], properties["end_datetime"]) == (
        "2020-01-02T00:00:00Z", "2020-01-05T00:00:00Z",
    )  # fmt: skip
    assert properties["forecast:reference_datetime"] == "2020-01-02T00:00:00Z"
    assert properties["cube:dimensions"]["reference_time"]["values"] == ["2020-01-02T00:00:00Z"]


def test_runs_on_days_that_only_their_calendar_has_are_told_apart(make_cube: MakeCube) -> None:
    days = np.array([58, 59], np.int64) * 24 * HOUR  # 29 and 30 February of a year of 360 days
    axis = Axis(AxisKind.T, "time", days, calendar="360_day", standard_name="forecast_reference_time")
    found = [part.suffix for part in parts(timed(make_cube, axis, step=lead([0, 6])))]
    assert found == ["19700229T0000Z", "19700230T0000Z"]


def test_the_definition_decides(make_cube: MakeCube) -> None:
    days = stamps("2020-01-01", 800, "D")
    assert [part.suffix for part in parts(timed(make_cube, days, "year"))] == ["2020", "2021", "2022"]
    assert [part.suffix for part in parts(timed(make_cube, days, "whole"))] == ["all"]
    forecasts = timed(make_cube, begun("2020-01-01", 2, "D"), "whole", step=lead([0, 6]))
    assert [part.suffix for part in parts(forecasts)] == ["all"]
    with pytest.raises(InvalidQueryError, match="week"):
        timed(make_cube, days, "week")


def test_a_series_of_too_many_months_has_years(make_cube: MakeCube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.partitions.PARTS_LIMIT", 20)
    days = stamps("2020-01-01", 800, "D")
    assert [part.suffix for part in parts(timed(make_cube, days))] == ["all"]
    assert [part.suffix for part in parts(timed(make_cube, days, "month"))] == ["2020", "2021", "2022"]


def test_a_cube_without_dates_has_no_parts(make_cube: MakeCube) -> None:
    assert parts(make_cube(extent=Extent(0, 0, 1, 1))) == ()
    early = Axis(AxisKind.T, "time", np.arange(3, dtype=np.int64) * 24 * HOUR - 3_000 * 366 * 24 * HOUR)
    assert parts(timed(make_cube, early, "month")) == ()
