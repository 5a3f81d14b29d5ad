"""Cells tile an axis in any direction, steps are what they are, and taking from an axis changes nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.axes import Axis, AxisKind


@st.composite
def numeric_axes(draw: st.DrawFn) -> Axis:
    kind = draw(st.sampled_from([AxisKind.X, AxisKind.Y, AxisKind.Z, AxisKind.T, AxisKind.CUSTOM]))
    gaps = draw(st.lists(st.integers(1, 40), min_size=1, max_size=12))
    values = np.concatenate([[0], np.cumsum(gaps)]) - draw(st.integers(0, 50))
    values = values.astype(np.int64) * 1_000_000 if kind is AxisKind.T else values.astype(np.float64) / 8
    if draw(st.booleans()):
        values = values[::-1].copy()
    return Axis(kind, "a", values)


@given(numeric_axes())
def test_cells_tile_the_axis(axis: Axis) -> None:
    cells = axis.cells
    assert cells.shape == (axis.size, 2)
    assert (cells[:, 0] <= axis.values).all()
    assert (axis.values <= cells[:, 1]).all()
    ordered = cells[np.argsort(cells[:, 0])]
    np.testing.assert_array_equal(ordered[1:, 0], ordered[:-1, 1], "no gap and no overlap")
    middles = (np.sort(axis.values)[1:] + np.sort(axis.values)[:-1]) / 2
    np.testing.assert_array_equal(ordered[1:, 0], middles)


@given(numeric_axes())
def test_direction(axis: Axis) -> None:
    assert axis.ascending == (sorted(axis.values) == list(axis.values))


@given(numeric_axes(), st.data())
def test_taking(axis: Axis, data: st.DataObject) -> None:
    indices = np.array(data.draw(st.lists(st.integers(0, axis.size - 1), min_size=1, max_size=5)), np.intp)
    taken = axis.take(indices)
    assert taken.values.tolist() == [axis.values[i] for i in indices]
    assert not taken.cyclic
    assert (taken.kind, taken.name, taken.units) == (axis.kind, axis.name, axis.units)


def test_taken_longitudes_move_their_bounds_along() -> None:
    axis = Axis(AxisKind.X, "lon", np.array([350.0, 355.0]), bounds=np.array([[347.5, 352.5], [352.5, 357.5]]))
    taken = axis.take(np.array([0, 1]), np.array([-10.0, -5.0]))
    np.testing.assert_array_equal(taken.cells, [[-12.5, -7.5], [-7.5, -2.5]])
    np.testing.assert_array_equal(axis.values, [350.0, 355.0])


@given(st.integers(2, 400), st.floats(-180, 180), st.sampled_from([0.1, 0.25, 1 / 3, 1.125, 2.8125]), st.booleans())
def test_regular_steps_survive_float32(count: int, first: float, step: float, down: bool) -> None:
    values = (first + np.arange(count) * step * (-1 if down else 1)).astype("f4").astype("f8")
    axis = Axis(AxisKind.X, "lon", values)
    assert axis.step == pytest.approx(step, rel=1e-3)


def test_irregular_single_and_text_axes_have_no_step() -> None:
    for values in (np.array([1.0, 2.0, 4.0]), np.array([1.0]), np.array(["a", "b"]), np.array([1, 2, 4])):
        assert Axis(AxisKind.CUSTOM, "a", values).step is None


def test_latitude_cells_end_at_the_poles() -> None:
    axis = Axis(AxisKind.Y, "lat", np.array([90.0, 0.0, -90.0]), units="degrees_north")
    assert (axis.cells.min(), axis.cells.max()) == (-90, 90)


def test_single_value() -> None:
    assert Axis(AxisKind.X, "lon", np.array([10.0])).cells.tolist() == [[10, 10]]
    bounds = np.array([[12.0, 8.0]])
    assert Axis(AxisKind.X, "lon", np.array([10.0]), bounds=bounds).cells.tolist() == [[8, 12]]


def test_text_axes_have_no_cells() -> None:
    with pytest.raises(TypeError, match="no numeric cells"):
        _ = Axis(AxisKind.CUSTOM, "expver", np.array(["0001"])).cells


@pytest.mark.parametrize(
    ("axis", "key", "texts"),
    [
        (Axis(AxisKind.T, "TIME", np.array([0], np.int64), calendar="360_day"), "t", ["1970-01-01T00:00:00Z"]),
        (Axis(AxisKind.Z, "lev", np.array([1000.0, 0.1])), "z", ["1000", "0.1"]),
        (Axis(AxisKind.CUSTOM, "number", np.array([0, 5])), "number", ["0", "5"]),
        (Axis(AxisKind.CUSTOM, "expver", np.array(["0001"])), "expver", ["0001"]),
    ],
)
def test_names_and_texts(axis: Axis, key: str, texts: list[str]) -> None:
    assert axis.key == key
    assert axis.texts() == texts


def test_an_axis_cannot_be_changed() -> None:
    axis = Axis(AxisKind.X, "lon", np.array([1.0, 2.0]), bounds=np.array([[0.5, 1.5], [1.5, 2.5]]))
    for array in (axis.values, axis.bounds):
        changed: Any = array
        with pytest.raises(ValueError, match="read-only"):
            changed[0] = 5
