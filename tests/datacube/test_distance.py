"""Are lengths read in every unit, and are the cells near a point those that a geodesic library finds?"""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj import Geod

from plugins.datacube.distance import (
    EARTH_RADIUS,
    HALF_CIRCUMFERENCE,
    covering_arc,
    near_points,
    parse_length,
    reach,
)
from plugins.datacube.errors import InvalidQueryError, TooLargeError

SPHERE = Geod(a=6_371_008.8, b=6_371_008.8)
ELLIPSOID = Geod(ellps="WGS84")
LONGITUDES, LATITUDES = st.floats(-540, 540), st.floats(-90, 90)


@pytest.mark.parametrize(
    ("text", "units", "metres"),
    [
        ("1", "m", 1),
        ("1.5", "km", 1500),
        ("1e1", "KM", 10_000),
        ("1", "mi", 1609.344),
        ("10", " nmi ", 18_520),
        ("1000", "ft", 304.8),
        ("1", "Metres", 1),
        ("1", "meter", 1),
        ("1", "kilometers", 1000),
        ("1", "Nautical Miles", 1852),
        ("1", "nautical_mile", 1852),
        ("1", "miles", 1609.344),
        ("2", "feet", 0.6096),
        ("1", "[nmi_i]", 1852),
        ("20015.114", "km", 20_015_114),
    ],
)
def test_lengths(text: str, units: str, metres: float) -> None:
    assert parse_length("within", text, "within-units", units) == pytest.approx(metres, rel=1e-15)


@pytest.mark.parametrize(
    "text", ["0", "-1", "nan", "inf", "1e400", "", "ten", "20016", "1_000", "0.0", "1,5", "1/2", "٣"]
)
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(InvalidQueryError, match="within") as caught:
        parse_length("within", text, "within-units", "km")
    assert caught.value.parameter == "within"
    assert caught.value.valid


@pytest.mark.parametrize("units", ["", "nm", "cm", "degrees", "k m", "km²", "M" * 500])
def test_units_that_are_none(units: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_length("within", "1", "within-units", units)
    assert (caught.value.parameter, caught.value.valid) == ("within-units", "km, m, mi, nmi, ft")


@given(
    st.lists(st.tuples(LONGITUDES, LATITUDES), min_size=1, max_size=3),
    st.floats(1e3, 2.0015e7),
    st.sampled_from([-180.0, 0.0, 37.0]),
)
@example([(0.0, 90.0)], 2e6, 0.0)
@example([(20.0, -90.0)], 1e6, -180.0)
@example([(179.9, 89.0)], 3e5, 0.0)
@example([(-180.0, 0.0)], 1.9e7, -180.0)
def test_the_cells_near_points(points: list[tuple[float, float]], distance: float, first: float) -> None:
    x, y = np.arange(first, first + 360, 7.5), np.arange(-90, 91, 6.0)
    found = near_points(points, distance, x, y)
    expected = np.zeros(found.shape, bool)
    unsure = np.zeros(found.shape, bool)
    lon, lat = np.meshgrid(x, y)
    for longitude, latitude in points:
        _, _, away = SPHERE.inv(np.full(lon.shape, longitude), np.full(lat.shape, latitude), lon, lat)
        expected |= away <= distance
        unsure |= np.abs(away - distance) < 1.0
    assert (found == expected)[~unsure].all()


@given(LONGITUDES, LATITUDES, LONGITUDES, LATITUDES)
def test_the_sphere_is_near_the_ellipsoid(x: float, y: float, lon: float, lat: float) -> None:
    _, _, geodesic = ELLIPSOID.inv(x, y, lon, lat)
    distance = geodesic * 1.0057 + 1.0
    assert near_points([(x, y)], min(distance, HALF_CIRCUMFERENCE), np.array([lon]), np.array([lat])).all()


def test_a_distance_is_included() -> None:
    degree = EARTH_RADIUS * math.pi / 180
    x = np.arange(-3.0, 4)
    assert near_points([(0.0, 0.0)], 2 * degree, x, np.array([0.0])).tolist() == [[0, 1, 1, 1, 1, 1, 0]]
    assert near_points([(0.0, 0.0)], HALF_CIRCUMFERENCE, np.arange(0, 360.0), np.arange(-90.0, 91)).all()


def test_too_many_pairs_are_refused_before_they_are_counted_out() -> None:
    points = [(float(i), 0.0) for i in range(1000)]
    with pytest.raises(TooLargeError) as caught:
        near_points(points, HALF_CIRCUMFERENCE, np.linspace(0, 360, 3600), np.linspace(-90, 90, 1801))
    assert caught.value.estimate["distances"] > caught.value.limits["distances"]


@given(LATITUDES, st.floats(1.0, 2e7))
def test_a_circle_reaches_as_far_as_it_does(latitude: float, distance: float) -> None:
    bearings = np.linspace(0, 360, 721)
    start = np.zeros(bearings.size)
    lon, _, _ = SPHERE.fwd(start, start + latitude, bearings, np.full(bearings.size, distance))
    farthest = np.abs(lon).max()
    if reach(latitude, distance) < 180:
        assert farthest <= reach(latitude, distance) + 1e-6
        assert farthest >= reach(latitude, distance) * 0.98 - 1e-6


@given(st.lists(st.tuples(LONGITUDES, st.floats(0.25, 200)), min_size=1, max_size=6))
@example([(350.0, 5.0), (10.0, 4.0)])
@example([(0.0, 100.0), (180.0, 100.0)])
@example([(350.0, 30.0), (30.0, 5.0), (10.0, 1.0)])
def test_an_arc_covers_all_and_is_the_shortest(intervals: list[tuple[float, float]]) -> None:
    west, east = covering_arc(intervals)
    middle = intervals[0][0]
    assert west - 1e-6 <= middle <= east + 1e-6
    assert 0 < east - west <= 360 + 1e-9
    steps = np.arange(0, 360, 0.25)
    needed = np.zeros(steps.size, bool)
    for centre, half in intervals:
        away = np.abs(np.mod(steps - centre + 180, 360) - 180)
        needed |= away <= half
    assert (np.mod(steps - west, 360)[needed] <= east - west + 1e-6).all() or east - west >= 360 - 1e-9
    # No gap between the places needed is wider than the one that was left out.
    at = np.flatnonzero(needed)
    if at.size:
        gaps = np.diff(np.append(steps[at], steps[at[0]] + 360))
        assert 360 - (east - west) >= gaps.max() - 0.5 - 1e-6
