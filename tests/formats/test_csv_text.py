from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.errors import NoDataError
from plugins.formats import csv_text


def text_of(*coverages: Coverage) -> str:
    return b"".join(csv_text.encode(coverages)).decode()


def rows_of(*coverages: Coverage) -> list[list[str]]:
    """Read by the standard library, which knows nothing of numbers."""
    return list(csv.reader(io.StringIO(text_of(*coverages), newline="")))


def frame_of(*coverages: Coverage, **options: Any) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text_of(*coverages)), **options)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("point", "datetime,z,latitude,longitude,t2m"),
        ("point-without-time", "latitude,longitude,t2m"),
        ("grid", "datetime,latitude,longitude,t2m"),
        ("members-grid", "number,datetime,z,latitude,longitude,t2m"),
        ("members-steps", "number,step,latitude,longitude,t2m"),
    ],
)
def test_header(name: str, header: str, any_coverage: Mapping[str, Coverage]) -> None:
    assert text_of(any_coverage[name]).split("\r\n")[0] == header


def test_every_row_has_its_position_and_its_value(any_coverage: Mapping[str, Coverage]) -> None:
    for coverage in any_coverage.values():
        (name,) = coverage.parameters
        rows = rows_of(coverage)[1:]
        values = coverage.ranges[name]
        labels = [axis.texts() if axis.kind.value == "t" else axis.values.tolist() for axis in coverage.axes]
        assert len(rows) == values.size
        for row, index in zip(rows, np.ndindex(values.shape), strict=True):
            right = [label[i] for label, i in zip(labels, index, strict=True)]
            assert [type(r)(field) for r, field in zip(right, row[:-1], strict=True)] == right
            if np.ma.getmaskarray(values)[index] or np.isnan(values[index]):
                assert row[-1] == ""
            else:
                assert values.dtype.type(row[-1]) == values[index]


def test_a_literal_table(make: Callable[..., Coverage]) -> None:
    values = {
        "t2m": np.array([[280.1, np.nan], [np.inf, -0.5]], "f4").reshape(2, 1, 2),
        "n": np.ma.array([1, 2, 3, 4], "i2", mask=[False, False, False, True]).reshape(2, 1, 2),
    }
    coverage = make(values, domain_type=DomainType.GRID, t=[0, 6], y=[51.5], x=[-0.25, 0.1])
    assert text_of(coverage) == (
        "datetime,latitude,longitude,t2m,n\r\n"
        "1970-01-01T00:00:00Z,51.5,-0.25,280.1,1\r\n"
        "1970-01-01T00:00:00Z,51.5,0.1,,2\r\n"
        "1970-01-01T06:00:00Z,51.5,-0.25,,3\r\n"
        "1970-01-01T06:00:00Z,51.5,0.1,-0.5,\r\n"
    )


@given(sizes=st.lists(st.integers(1, 4), min_size=4, max_size=4), seed=st.integers(0, 2**32 - 1), holes=st.floats(0, 1))
def test_pandas_reads_the_same_float32(
    sizes: list[int], seed: int, holes: float, make: Callable[..., Coverage]
) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, 2**32, sizes, dtype="u4").view("f4")
    values = np.where((random.random(sizes) < holes) | ~np.isfinite(values), np.nan, values).astype("f4")
    t, z, y, x = map(range, sizes)
    frame = frame_of(make({"t2m": values, "neg": -values}, t=t, z=z, y=y, x=x))
    np.testing.assert_array_equal(frame["t2m"].to_numpy().astype("f4"), values.ravel())
    np.testing.assert_array_equal(frame["neg"].to_numpy().astype("f4"), -values.ravel())


def test_pandas_reads_the_times(any_coverage: Mapping[str, Coverage]) -> None:
    times = frame_of(any_coverage["series"], parse_dates=["datetime"])["datetime"]
    assert times.tolist() == [pd.Timestamp(f"1970-01-0{day}", tz="UTC") for day in (1, 2, 3)]


def test_texts_are_quoted(make: Callable[..., Coverage]) -> None:
    odd = ["plain", "a,b", 'say "so"', "two\r\nlines", "é"]
    coverage = make({"p": np.array(odd)[:, None, None]}, custom=[("ver,sion", odd)])
    rows = rows_of(coverage)
    assert rows[0] == ["ver,sion", "latitude", "longitude", "p"]
    assert [row[0] for row in rows[1:]] == odd
    assert [row[-1] for row in rows[1:]] == odd


def test_coverages_with_other_axes_leave_fields_empty(make: Callable[..., Coverage]) -> None:
    surface = make({"t2m": np.array([1, 2], "f4")[:, None, None]}, t=[0, 1])
    levels = make({"t": np.array([[3, 4]], "f4")[..., None, None]}, t=[0], z=[850, 500])
    frame = frame_of(surface, levels)
    assert list(frame.columns) == ["datetime", "z", "latitude", "longitude", "t2m", "t"]
    np.testing.assert_array_equal(frame["z"], [np.nan, np.nan, 850, 500])
    np.testing.assert_array_equal(frame["t2m"], [1, 2, np.nan, np.nan])
    np.testing.assert_array_equal(frame["t"], [np.nan, np.nan, 3, 4])


def test_a_parameter_called_z_keeps_its_name(make: Callable[..., Coverage]) -> None:
    coverage = make({"z": np.ones((2, 1, 1), "f4"), "latitude": np.ones((2, 1, 1), "f4")}, z=[850, 500])
    assert rows_of(coverage)[0] == ["level", "latitude_coordinate", "longitude", "z", "latitude"]


def test_two_vertical_axes_have_their_own_columns(make: Callable[..., Coverage]) -> None:
    pressure = make({"t": np.ones((2, 1, 1), "f4")}, z=[850, 500])
    depth = make({"soil": np.ones((1, 1, 1), "f4")}, z=[0.1], z_name="depth")
    frame = frame_of(pressure, depth)
    np.testing.assert_array_equal(frame["level"], [850, 500, np.nan])
    np.testing.assert_array_equal(frame["depth"], [np.nan, np.nan, 0.1])


def test_projected_coordinates_are_x_and_y(make: Callable[..., Coverage], cube: Callable[..., Any]) -> None:
    coverage = make(domain_type=DomainType.POINT, cube=cube(geographic=False), y=[5000], x=[-2500.5])
    assert rows_of(coverage)[0] == ["y", "x", "t2m"]
    assert rows_of(coverage)[1][:2] == ["5000.0", "-2500.5"]


def test_several_blocks(make: Callable[..., Coverage]) -> None:
    values = np.random.default_rng(0).standard_normal((3, 200, 150)).astype("f4")
    holed: Any = np.ma.array((values * 100).astype("i4"), mask=values > 1)
    coverage = make(
        {"t2m": values, "n": holed}, domain_type=DomainType.GRID, t=[0, 1, 2], y=np.linspace(80, -80, 200), x=range(150)
    )
    assert len(list(csv_text.encode([coverage]))) == 3
    frame = frame_of(coverage)
    np.testing.assert_array_equal(frame["t2m"].to_numpy().astype("f4"), values.ravel())
    np.testing.assert_array_equal(frame["n"].to_numpy(), holed.astype("f8").filled(np.nan).ravel())
    assert frame["longitude"].tolist() == list(range(150)) * 600
    assert frame["datetime"].nunique() == 3


def test_equal_answers_give_equal_bytes(any_coverage: Mapping[str, Coverage]) -> None:
    for coverage in any_coverage.values():
        assert text_of(coverage) == text_of(coverage)


def test_nothing_found_is_not_an_empty_table() -> None:
    with pytest.raises(NoDataError):
        list(csv_text.encode([]))
