"""Are extents right for regular, irregular, descending and foreign axes?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyproj
import pytest

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS, Moment
from plugins.datacube.datacube import GridKind
from server.ogc.extent import custom_dimension, spatial, temporal, time_values, trs_wkt, vertical, vrs_wkt

HOUR = MICROSECONDS["hour"]


def time_axis(numbers, calendar="standard"):
    return Axis(AxisKind.T, "time", np.asarray(numbers, dtype=np.int64), calendar=calendar)


def test_many_regular_times_are_a_repeating_interval():
    (text,) = time_values(time_axis(np.arange(0, 5000) * HOUR))
    assert text == "R5000/1970-01-01T00:00:00Z/PT1H"


def test_many_irregular_times_are_the_interval_they_cover():
    numbers = np.cumsum(np.arange(1, 1502)) * HOUR
    (text,) = time_values(time_axis(numbers))
    first, last = text.split("/")
    assert np.datetime64(first.rstrip("Z")) == np.datetime64("1970-01-01T01")
    assert np.datetime64(last.rstrip("Z")) == np.datetime64("1970-01-01") + np.timedelta64(1501 * 1502 // 2, "h")


def test_a_period_is_not_repeated_in_a_calendar_that_clients_do_not_count_in():
    month = 30 * MICROSECONDS["day"]
    texts = time_values(time_axis(np.arange(500) * month, "360_day"))
    assert len(texts) == 500
    assert texts[1] == "1970-02-01T00:00:00Z"
    assert time_values(time_axis(np.arange(5000) * month, "360_day")) == ["1970-01-01T00:00:00Z/2386-08-01T00:00:00Z"]


def test_some_hundred_irregular_times_are_listed():
    assert len(time_values(time_axis(np.cumsum(np.arange(1, 402)) * HOUR))) == 401


def test_falling_times_are_given_in_their_order():
    extent = temporal(time_axis(np.arange(3)[::-1] * HOUR))
    assert extent["interval"] == [["1970-01-01T00:00:00Z", "1970-01-01T02:00:00Z"]]
    assert extent["values"][0] < extent["values"][-1]


def test_a_calendar_with_30_february_names_itself():
    start = Moment(1990, 2, 30).first("360_day")
    extent = temporal(time_axis([start], "360_day"))
    assert extent["interval"] == [["1990-02-30T00:00:00Z", "1990-02-30T00:00:00Z"]]
    assert 'CALENDAR["360_day"]' in extent["trs"]


@pytest.mark.parametrize("calendar", ["standard", "360_day", "noleap"])
def test_the_temporal_reference_system_is_wkt(calendar):
    assert pyproj.CRS.from_wkt(trs_wkt(calendar)).type_name == "Temporal CRS"


@pytest.mark.parametrize(
    ("units", "standard_name", "kind"),
    [
        ("m", "height", "Vertical CRS"),
        ("hPa", "air_pressure", "Other CRS"),
        ("1", "atmosphere_sigma_coordinate", "Other CRS"),
        (None, None, "Other CRS"),
        ('odd "unit"', 'name "quoted"', "Other CRS"),
    ],
)
def test_the_vertical_reference_system_is_wkt(units, standard_name, kind):
    axis = Axis(AxisKind.Z, "lev", np.array([2.0, 1.0]), units=units, standard_name=standard_name)
    assert pyproj.CRS.from_wkt(vrs_wkt(axis)).type_name == kind


def test_levels_are_text_in_stored_order():
    extent = vertical(Axis(AxisKind.Z, "lev", np.array([1000.0, 850.5, 500.0]), units="hPa"))
    assert extent["interval"] == [["500", "1000"]]
    assert extent["values"] == ["1000", "850.5", "500"]


def test_every_value_of_a_custom_dimension_is_written_out():
    numbers = custom_dimension(Axis(AxisKind.CUSTOM, "step", np.array([24, 0, 12])))
    assert numbers["interval"] == [["0", "24"]]
    assert numbers["values"] == ["24", "0", "12"]
    words = custom_dimension(Axis(AxisKind.CUSTOM, "expver", np.array(["0005", "0001"]), long_name="version"))
    assert words["interval"] == [["0005", "0001"]]
    assert words["reference"] == "version"


def columns_of(texts):
    """Expand ``Rn/first/step``, else read the list."""
    if not texts[0].startswith("R"):
        return np.array([float(text) for text in texts])
    count, first, step = texts[0][1:].split("/")
    return float(first) + float(step) * np.arange(int(count))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(0.0, 360, 0.25), ["R1440/-180/0.25"]),
        (np.arange(-10.0, 11, 5), ["R5/-10/5"]),
        (np.arange(8.0, -8.05, -0.1).astype(np.float32).astype(np.float64), ["R161/-8/0.1"]),
        (np.array([10.0]), ["10"]),
        (np.array([170.0, 180, 190]), ["-180", "-170", "170"]),
    ],
)
def test_columns_are_given_in_the_convention_of_the_box(site, values, expected):
    cube = site.service.library.get("region").cube
    axes = {**cube.axes, "lon": replace(cube.axes["lon"], values=values)}
    found = spatial(replace(cube, axes=axes))
    assert found["values"]["x"] == expected
    np.testing.assert_allclose(columns_of(found["values"]["x"]), np.sort((values + 180) % 360 - 180), atol=1e-5)
    described = found["grid"][0]
    assert described["cellsCount"] == values.size
    first = described["firstCoordinate"] if "resolution" in described else described["coordinates"][0]
    assert first == pytest.approx(columns_of(expected)[0])


def test_thirds_of_a_degree_do_not_drift(site):
    cube = site.service.library.get("region").cube
    values = np.linspace(-90, 90, 541)
    found = spatial(replace(cube, axes={**cube.axes, "lat": replace(cube.axes["lat"], values=values)}))
    np.testing.assert_allclose(columns_of(found["values"]["y"]), values, atol=1e-6)
    assert found["grid"][1]["cellsCount"] == 541


def test_irregular_rows_are_listed_unless_there_are_too_many(site):
    cube = site.service.library.get("region").cube
    for count, listed in ((300, True), (3000, False)):
        values = np.sort(90 * np.sin(np.linspace(-1.5, 1.5, count)))
        found = spatial(replace(cube, axes={**cube.axes, "lat": replace(cube.axes["lat"], values=values)}))
        assert ("values" in found) == listed
        if listed:
            np.testing.assert_allclose(columns_of(found["values"]["y"]), values)
            assert found["grid"][1]["coordinates"] == pytest.approx(values.tolist())


def test_a_projected_grid_has_its_box_only(site):
    cube = site.service.library.get("region").cube
    projected = replace(cube.grid, geographic=False, kind=GridKind.PROJECTED)
    assert set(spatial(replace(cube, grid=projected))) == {"bbox", "crs"}


def test_regular_times_have_a_grid():
    assert temporal(time_axis(np.arange(4) * 6 * HOUR))["grid"] == {
        "cellsCount": 4,
        "resolution": "PT6H",
        "firstCoordinate": "1970-01-01T00:00:00Z",
    }
    assert "grid" not in temporal(time_axis([0, HOUR, 3 * HOUR]))
