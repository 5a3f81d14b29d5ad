"""Is what a parameter measures said from its CF attributes, and nothing beyond them?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS
from server.ogc.parameters import cell_duration, parameter_document

DAY = MICROSECONDS["day"]


@pytest.fixture
def cube(site):
    return site.service.library.get("region").cube


@pytest.mark.parametrize(
    ("cell_methods", "method"),
    [
        ("time: mean", "mean"),
        ("area: mean time: maximum", "maximum"),
        ("lat: lon: time: sum", "sum"),
        ("time: mean (interval: 1 hour)", "mean"),
        ("time: point", "instantaneous"),
        ("area: mean", None),
        ("time: unheard_of", None),
        (None, None),
    ],
)
def test_the_method_over_time(cube, cell_methods, method):
    found = parameter_document(cube, replace(cube.parameters["tas"], cell_methods=cell_methods))
    assert found.get("measurementType", {}).get("method") == method


def test_a_parameter_without_units_has_no_unit(cube):
    found = parameter_document(cube, replace(cube.parameters["tas"], units=None, ucum=None))
    assert "unit" not in found


def test_a_unit_that_ucum_does_not_know_has_a_label_only(cube):
    found = parameter_document(cube, replace(cube.parameters["tas"], units="furlong", ucum=None))
    assert found["unit"] == {"label": "furlong"}


@pytest.mark.parametrize(("dtype", "name"), [("float32", "float"), ("int16", "integer"), ("<U4", "string")])
def test_the_data_type(cube, dtype, name):
    assert parameter_document(cube, replace(cube.parameters["tas"], dtype=dtype))["data-type"] == name


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([1, 1, 1], "P1D"), ([31, 28, 31], "P1M"), ([365, 366], "P1Y"), ([1, 2], None), ([0, 0], None)],
)
def test_the_length_of_time_cells(lengths, expected):
    ends = np.cumsum(lengths) * DAY
    starts = ends - np.array(lengths) * DAY
    axis = Axis(AxisKind.T, "time", starts.astype(np.int64), bounds=np.stack([starts, ends], axis=1).astype(np.int64))
    assert cell_duration(axis) == expected


def test_instants_of_irregular_distance_have_no_length():
    assert cell_duration(Axis(AxisKind.T, "time", np.array([0, DAY, 3 * DAY]))) is None
