from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import cftime
import numpy as np
import pytest
from pyproj import CRS

from catalog.dimensions import VALUES_LIMIT, dimensions, time_step, variables
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube, Extent, Grid, GridKind, Parameter

MakeCube = Callable[..., Datacube]


def times(dates: list[cftime.datetime], calendar: str) -> Axis:
    numbers = cftime.date2num(dates, "microseconds since 1970-01-01", calendar=calendar)
    return Axis(AxisKind.T, "time", np.asarray(numbers, np.int64), calendar=calendar)


def test_every_axis_of_the_cube_is_a_dimension(make_cube: MakeCube) -> None:
    found = dimensions(make_cube())
    assert list(found) == ["time", "number", "lev", "lat", "lon"]
    assert found["time"]["type"] == "temporal"
    assert found["time"]["extent"] == ["1970-01-01T00:00:00Z", "1970-01-10T00:00:00Z"]
    assert found["time"]["step"] == "P1D"
    assert "values" not in found["time"]
    assert found["number"]["type"] == "realization"
    assert found["number"]["values"] == [0, 1, 2]
    assert "axis" not in found["number"]
    assert found["lev"]["axis"] == "z"
    assert found["lev"]["extent"] == [500.0, 1000.0]
    assert found["lev"]["values"] == [1000.0, 850.0, 500.0]
    assert found["lev"]["step"] is None
    assert found["lev"]["unit"] == "hPa"
    assert found["lat"]["extent"] == [35.0, 65.0]
    assert "falling" in found["lat"]["description"]
    assert found["lat"]["step"] == 10.0
    assert found["lon"]["extent"] == [-180.0, 180.0]
    assert "0.0 to 350.0" in found["lon"]["description"]
    assert found["lon"]["reference_system"] == 4326


@pytest.mark.parametrize(
    ("calendar", "months", "step"),
    [
        ("360_day", range(24), "P1M"),
        ("noleap", range(0, 24, 3), "P3M"),
        ("proleptic_gregorian", range(24), "P1M"),
        ("proleptic_gregorian", range(0, 120, 12), "P1Y"),
        ("360_day", [0, 1, 3], None),
    ],
)
def test_months_and_years_are_found(calendar: str, months: list[int], step: str | None) -> None:
    dates = [cftime.datetime(2000 + m // 12, m % 12 + 1, 16, calendar=calendar) for m in months]
    assert time_step(times(dates, calendar)) == step
    assert time_step(times(dates[::-1], calendar)) == step


def test_weeks_are_days() -> None:
    axis = Axis(AxisKind.T, "time", np.arange(4, dtype=np.int64) * 28 * 86_400_000_000)
    assert time_step(axis) == "P28D"


def test_dates_that_only_their_calendar_has_keep_their_text(make_cube: MakeCube) -> None:
    dates = [cftime.datetime(2000, 2, day, calendar="360_day") for day in (1, 2, 30)]
    found = dimensions(make_cube(axes={"time": times(dates, "360_day")}))["time"]
    assert found["extent"] == ["2000-02-01T00:00:00Z", "2000-02-30T00:00:00Z"]
    assert found["values"] == ["2000-02-01T00:00:00Z", "2000-02-02T00:00:00Z", "2000-02-30T00:00:00Z"]
    assert found["isopleth:calendar"] == "360_day"
    assert "360_day" in found["description"]


def test_a_long_irregular_axis_lists_no_values(make_cube: MakeCube) -> None:
    numbers = np.cumsum(np.arange(VALUES_LIMIT + 1, dtype=np.int64) % 7 + 1) * 3_600_000_000
    found = dimensions(make_cube(axes={"time": Axis(AxisKind.T, "time", numbers)}))["time"]
    assert "values" not in found
    assert found["step"] is None
    assert datetime.fromisoformat(found["extent"][0]).timestamp() == numbers[0] / 1e6
    assert datetime.fromisoformat(found["extent"][1]).timestamp() == numbers[-1] / 1e6


def test_irregular_longitudes_are_listed_within_180_degrees(make_cube: MakeCube) -> None:
    axis = Axis(AxisKind.X, "lon", np.array([170.0, 179.0, 200.0]), "degrees_east")
    found = dimensions(make_cube(axes={"lon": axis}))["lon"]
    assert found["values"] == [170.0, 179.0, -160.0]


def test_an_axis_of_strings_lists_them_all(make_cube: MakeCube) -> None:
    axis = Axis(AxisKind.CUSTOM, "expver", np.array(["0001", "0005"]))
    found = dimensions(make_cube(axes={"expver": axis}))["expver"]
    assert found["values"] == ["0001", "0005"]
    assert "extent" not in found


@pytest.mark.parametrize("name", ["spatial", "geometry", "temporal"])
def test_a_custom_axis_never_takes_a_reserved_type(make_cube: MakeCube, name: str) -> None:
    axis = Axis(AxisKind.CUSTOM, name, np.arange(2))
    assert dimensions(make_cube(axes={name: axis}))[name]["type"] == "other"


def test_a_projected_axis_is_in_its_own_crs(make_cube: MakeCube) -> None:
    axis = Axis(AxisKind.X, "x", np.array([500.0, 1500.0, 2500.0]), "m")
    extent = Extent(0, 0, 3000, 3000)
    named = Grid(GridKind.PROJECTED, "", CRS.from_epsg(27700).to_wkt(), False)
    found = dimensions(make_cube(axes={"x": axis}, grid=named, extent=extent))["x"]
    assert (found["extent"], found["reference_system"], found["unit"]) == ([0.0, 3000.0], 27700, "m")
    own = CRS.from_proj4("+proj=laea +lat_0=12 +lon_0=34 +R=6371229")
    grid = Grid(GridKind.PROJECTED, "", own.to_wkt(), False)
    system = dimensions(make_cube(axes={"x": axis}, grid=grid, extent=extent))["x"]["reference_system"]
    assert CRS.from_json_dict(system) == own


def test_variables(make_cube: MakeCube) -> None:
    cube = make_cube()
    assert variables(cube) == {
        "t": {
            "type": "data",
            "dimensions": ["time", "number", "lev", "lat", "lon"],
            "description": "Temperature",
            "data_type": "float32",
            "unit": "K",
            "nodata": "nan",
            "attrs": {"standard_name": "air_temperature"},
        }
    }
    flags = Parameter("flags", ("lat",), (3,), "int16", (3,), missing=(-1,))
    odd = Parameter("odd", ("lat",), (3,), "complex64", (3,))
    found = variables(replace(cube, parameters={"flags": flags, "odd": odd}))
    assert found["flags"]["nodata"] == -1
    assert found["flags"]["data_type"] == "int16"
    assert found["odd"]["data_type"] == "other"
