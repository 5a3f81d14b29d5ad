"""Do many values find the same cells as each of them alone?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube import lookup
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.locate import cells_of, longitude_cells

HOUR = 3_600_000_000
AXES = {
    "rising": Axis(AxisKind.Y, "lat", np.arange(-90.0, 91, 2.5), units="degrees_north"),
    "falling": Axis(AxisKind.Z, "level", np.array([1000.0, 925, 850, 500, 100])),
    "single": Axis(AxisKind.Y, "lat", np.array([50.0]), units="degrees_north"),
    "float32": Axis(AxisKind.Y, "lat", np.arange(0, 10, 0.1, np.float32).astype(float), units="degrees_north"),
    "bounds with a gap": Axis(
        AxisKind.Z, "level", np.array([0.0, 10, 20]), bounds=np.array([[-1.0, 2], [8, 12], [12, 25]])
    ),
    "cells in cells": Axis(
        AxisKind.Z, "level", np.array([0.0, 10, 20]), bounds=np.array([[-50.0, 50], [8, 12], [12, 25]])
    ),
    "at the end": Axis(AxisKind.Z, "level", np.array([10.0, 20, 30]), bounds=np.array([[0.0, 10], [10, 20], [20, 30]])),
}  # fmt: skip
TIMES = {
    "instants": Axis(AxisKind.T, "time", np.arange(10) * 6 * HOUR),
    "irregular": Axis(AxisKind.T, "time", np.array([0, 1, 10, 1000, 1001]) * HOUR),
    "means": Axis(
        AxisKind.T, "time", np.arange(1, 9) * 24 * HOUR,
        bounds=np.stack([np.arange(8), np.arange(1, 9)], axis=1) * 24 * HOUR,
    ),
}  # fmt: skip
CIRCLES = {
    "from 0": np.arange(0.0, 360, 2.5),
    "from -180": np.arange(-180.0, 180, 2.5),
    "falling": np.arange(180.0, -180, -2.5),
    "both ends": np.arange(0.0, 361, 5),
    "region": np.arange(350.0, 380, 2.5),
    "single": np.array([7.5]),
}


def expected(found: int | None) -> int:
    return -1 if found is None else found


@pytest.mark.parametrize("name", AXES)
@given(values=st.lists(st.one_of(st.floats(-200, 1200), st.integers(-200, 1200).map(lambda n: n / 4)), max_size=30))
def test_numbers(name: str, values: list[float]) -> None:
    axis = AXES[name]
    found = cells_of(axis, np.array(values, float))
    assert found.tolist() == [expected(lookup.cell_of(axis, value)) for value in values]


@pytest.mark.parametrize("name", TIMES)
@given(values=st.lists(st.integers(-(2**40), 2**43) | st.integers(-50, 1100).map(lambda n: n * HOUR), max_size=30))
def test_times(name: str, values: list[int]) -> None:
    axis = TIMES[name]
    found = cells_of(axis, np.array(values, np.int64))
    assert found.tolist() == [expected(lookup.cell_of(axis, value)) for value in values]


@pytest.mark.parametrize("name", CIRCLES)
@given(values=st.lists(st.floats(-540, 540) | st.integers(-432, 432).map(lambda n: n * 1.25), max_size=30))
def test_longitudes(name: str, values: list[float]) -> None:
    axis = Axis(AxisKind.X, "lon", CIRCLES[name], units="degrees_east", cyclic=name not in ("region", "single"))
    indices, centres = longitude_cells(axis, np.array(values, float))
    alone = [lookup.longitude_cell(axis, value) for value in values]
    assert indices.tolist() == [-1 if one is None else one[0] for one in alone]
    for centre, one in zip(centres.tolist(), alone, strict=True):
        assert one is None or centre == one[1]
