"""Does bisection find the very cells that looking at all of them finds, ends, ties and rounding included?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.cells import cells, circle, exact_ladder, ladder, tolerances
from plugins.datacube.lookup import cell_of, longitude_cell, within

HOUR = 3_600_000_000


def by_looking(axis: Axis, value: float) -> int | None:
    """The rule of `cell_of`, asked of every cell."""
    low, high = cells(axis).T
    exact = axis.values.dtype.kind in "iu" and isinstance(value, int)
    slack: Any = 0 if exact else tolerances(axis)
    hits = np.flatnonzero((low - slack <= value) & (value <= high + slack))
    if hits.size == 0:
        return None
    distances = np.abs(axis.values[hits] - value)
    return int(hits[np.flatnonzero(distances <= distances.min() + (0 if exact else 1e-9 * abs(value)))[0]])


def round_the_globe(axis: Axis, longitude: float) -> tuple[int, float] | None:
    """The rule of `longitude_cell`, asked of every cell."""
    low, high = cells(axis).T
    slack = tolerances(axis)
    east_of_low = np.mod(longitude - low, 360.0)
    hits = np.flatnonzero((east_of_low <= high - low + slack) | (east_of_low >= 360.0 - slack))
    if hits.size == 0:
        return None
    distances = np.abs(np.mod(longitude - axis.values[hits] + 180.0, 360.0) - 180.0)
    index = int(hits[np.flatnonzero(distances <= distances.min() + 1e-9)[0]])
    value = float(axis.values[index])
    return index, value + 360.0 * round((longitude - value) / 360.0)


@st.composite
def coordinates(draw: st.DrawFn, most: float = 400.0) -> np.ndarray:
    """Coordinates that rise or fall, evenly or not, some of them rounded to float32; now and then in no order."""
    size = draw(st.integers(1, 12))
    first = draw(st.floats(-most, most / 2).map(lambda x: round(x, 2)))
    gaps = draw(st.lists(st.sampled_from([0.1, 0.25, 1.0, 1.5, 30.0, 45.0]), min_size=size - 1, max_size=size - 1))
    if draw(st.booleans()):
        gaps = gaps[:1] * (size - 1)
    values = first + np.concatenate([[0.0], np.cumsum(gaps)])
    if draw(st.booleans()):
        values = values[::-1]
    if draw(st.booleans()):
        values = values.astype(np.float32).astype(np.float64)
    if draw(st.integers(0, 9)) == 0:
        values = values[draw(st.permutations(range(size)))]
    return np.array(values)


@st.composite
def bounded(draw: st.DrawFn, values: np.ndarray) -> np.ndarray | None:
    """Bounds that touch, leave gaps, overlap, or lie within others."""
    if draw(st.booleans()):
        return None
    widths = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 40.0]), min_size=2 * values.size, max_size=2 * values.size))
    half = np.array(widths).reshape(-1, 2) / 2
    return np.stack([values - half[:, 0], values + half[:, 1]], axis=1)


@st.composite
def questions(draw: st.DrawFn, axis: Axis) -> float:
    """Values at the ends of cells, beside them by less and by more than is forgiven, and anywhere."""
    ends = [*axis.values.tolist(), *cells(axis).reshape(-1).tolist()]
    shift = draw(st.sampled_from([0.0, 1e-13, -1e-13, 1e-10, -1e-10, 1e-7, -1e-7, 1e-5, -1e-5, 0.3]))
    turn = draw(st.sampled_from([0.0, 0.0, 360.0, -360.0]))
    return draw(st.sampled_from(ends).map(lambda end: end + shift + turn) | st.floats(-540, 540))


@given(st.data())
def test_a_number_is_found_in_the_cell_that_holds_it(data: st.DataObject) -> None:
    values = data.draw(coordinates())
    kind = data.draw(st.sampled_from([AxisKind.Y, AxisKind.X, AxisKind.Z, AxisKind.CUSTOM]))
    axis = Axis(kind, "a", values, bounds=data.draw(bounded(values)))
    value = data.draw(questions(axis))
    assert cell_of(axis, value) == by_looking(axis, value)


@given(st.data())
def test_a_time_is_found_in_the_cell_that_holds_it(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.sampled_from([0, 1, HOUR, 6 * HOUR]), min_size=1, max_size=10))
    values = np.cumsum(np.array(steps, np.int64)) + data.draw(st.integers(-(2**60), 2**60))
    axis = Axis(AxisKind.T, "time", values[::-1] if data.draw(st.booleans()) else values)
    near = st.sampled_from([*axis.values.tolist(), *cells(axis).reshape(-1).tolist()])
    value = data.draw(st.tuples(near, st.integers(-2, 2)).map(sum) | st.integers(-(2**62), 2**62))
    assert cell_of(axis, value) == by_looking(axis, value)
    assert cell_of(axis, float(value)) == by_looking(axis, float(value))


@given(st.data())
def test_a_longitude_is_found_in_the_cell_that_holds_it(data: st.DataObject) -> None:
    values = data.draw(
        coordinates()
        | st.tuples(st.sampled_from([4, 8, 360]), st.sampled_from([-180.0, 0.0, 0.5])).map(
            lambda of: of[1] + np.arange(of[0]) * (360.0 / of[0])
        )
        | st.just(np.arange(0.0, 360.5, 0.5))
    )
    axis = Axis(AxisKind.X, "lon", values, units="degrees_east", bounds=data.draw(bounded(values)))
    longitude = data.draw(questions(axis))
    assert longitude_cell(axis, longitude) == round_the_globe(axis, longitude)


@given(st.data())
def test_an_interval_of_times_holds_the_steps_between_its_ends(data: st.DataObject) -> None:
    values = np.cumsum(data.draw(st.lists(st.integers(-1, 5), min_size=1, max_size=12))) * HOUR
    axis = Axis(AxisKind.T, "time", values.astype(np.int64))
    ends = st.none() | st.tuples(st.sampled_from(values.tolist()), st.integers(-1, 1)).map(sum)
    low, high = data.draw(ends), data.draw(ends)
    expected = [n for n, t in enumerate(values.tolist()) if (low is None or t >= low) and (high is None or t <= high)]
    found = within(axis, low, high)
    assert found.tolist() == expected
    assert found.dtype == np.intp


def test_ordinary_axes_are_bisected_and_odd_ones_are_not() -> None:
    latitudes = Axis(AxisKind.Y, "lat", np.arange(90.0, -91.0, -1.0), units="degrees_north")
    longitudes = Axis(AxisKind.X, "lon", np.arange(0.0, 360.0), units="degrees_east", cyclic=True)
    times = Axis(AxisKind.T, "time", np.arange(10) * HOUR)
    assert ladder(latitudes) is not None
    assert circle(longitudes) is not None
    assert exact_ladder(times) is not None
    within_each_other = Axis(AxisKind.Z, "z", np.array([1.0, 2.0]), bounds=np.array([[0.0, 9.0], [1.5, 2.5]]))
    twice_round = Axis(AxisKind.X, "lon", np.arange(0.0, 721.0, 10.0))
    assert ladder(within_each_other) is None
    assert circle(twice_round) is None


def test_what_is_known_of_an_axis_cannot_be_changed() -> None:
    axis = Axis(AxisKind.Y, "lat", np.arange(3.0))
    with pytest.raises(ValueError, match="read-only"):
        cells(axis)[0, 0] = 7.0
