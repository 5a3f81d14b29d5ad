from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.datacube.axes import AxisKind
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.errors import NoDataError
from plugins.formats import arrow_table, csv_text
from plugins.formats.table import FORMATS

pa = pytest.importorskip("pyarrow", reason="pyarrow (the extra 'parquet') is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow (the extra 'parquet') is not installed")

GRID = DomainType.GRID
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_parquet(*coverages: Coverage) -> Any:
    return pq.read_table(io.BytesIO(b"".join(arrow_table.encode_parquet(coverages))))


def from_arrow(*coverages: Coverage) -> Any:
    return pa.ipc.open_stream(b"".join(arrow_table.encode_arrow(coverages))).read_all()


Reader = Callable[..., Any]
each_format = pytest.mark.parametrize("read", [from_parquet, from_arrow])


@each_format
def test_every_row_has_its_position_and_its_value(read: Reader, any_coverage: Mapping[str, Coverage]) -> None:
    for coverage in any_coverage.values():
        ((name, values),) = coverage.ranges.items()
        table = read(coverage)
        assert table.num_rows == values.size
        rows = table.to_pylist()
        for row, index in zip(rows, np.ndindex(values.shape), strict=True):
            for (_, written), axis, i in zip(list(row.items())[:-1], coverage.axes, index, strict=True):
                if axis.kind is not AxisKind.T:
                    assert written == axis.values[i]
                elif isinstance(written, str):
                    assert written == axis.texts()[i]
                else:
                    assert (written - EPOCH).total_seconds() * 1_000_000 == axis.values[i]
            right = values[index]
            missing = right is np.ma.masked or right != right
            assert (row[name] is None) == missing
        column = table[name].combine_chunks().to_numpy(zero_copy_only=False)
        if not table[name].null_count:
            assert column.dtype == values.dtype
            assert column.tobytes() == values.tobytes()


@each_format
@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("grid", {"datetime": "timestamp[us, tz=UTC]", "latitude": "double", "longitude": "double", "t2m": "float"}),
        ("360-day", {"datetime": "string", "latitude": "double", "longitude": "double", "t2m": "float"}),
        ("strings", {"expver": "string", "datetime": "timestamp[us, tz=UTC]", "latitude": "double",
                     "longitude": "double", "t2m": "float"}),
        ("members-steps", {"number": "int64", "step": "double", "latitude": "double", "longitude": "double",
                           "t2m": "float"}),
        ("masked-integers", {"latitude": "double", "longitude": "double", "mask": "int16"}),
        ("series-float64", {"datetime": "timestamp[us, tz=UTC]", "latitude": "double", "longitude": "double",
                            "t2m": "double"}),
    ],
)  # fmt: skip
def test_columns_have_types(
    read: Reader, name: str, types: dict[str, str], any_coverage: Mapping[str, Coverage]
) -> None:
    assert {field.name: str(field.type) for field in read(any_coverage[name]).schema} == types


@each_format
def test_columns_and_the_table_say_what_they_are(
    read: Reader, make: Callable[..., Coverage], cube: Callable[..., Any]
) -> None:
    coverage = make(domain_type=GRID, t=[0], z=[850], cube=cube(licence_url="https://example.org/licence"))
    schema = read(coverage).schema
    assert schema.field("t2m").metadata == {
        b"standard_name": b"air_temperature", b"long_name": b"2 metre temperature", b"units": b"K",
        b"cell_methods": b"time: mean",
    }  # fmt: skip
    assert schema.field("z").metadata[b"units"] == b"hPa"
    assert schema.field("z").metadata[b"positive"] == b"down"
    assert {key: schema.metadata[key] for key in (b"title", b"collection", b"license", b"isopleth_snapshot")} == {
        b"title": b"A demonstration", b"collection": b"demo", b"license": b"https://example.org/licence",
        b"isopleth_snapshot": b"SNAPSHOT1",
    }  # fmt: skip
    other = read(make(domain_type=DomainType.POINT_SERIES, t=[0], calendar="noleap")).schema
    assert other.field("datetime").metadata[b"calendar"] == b"noleap"


@each_format
def test_dates_before_the_gregorian_calendar_are_text(read: Reader, make: Callable[..., Coverage]) -> None:
    # Three days after 1582-10-01 of the mixed calendar is 1582-10-04, and the next one 1582-10-15.
    hours = int(np.datetime64("1582-10-14", "h").astype(int))
    mixed = read(make(domain_type=DomainType.POINT_SERIES, t=[hours, hours + 24], calendar="standard"))
    assert mixed["datetime"].to_pylist() == ["1582-10-04T00:00:00Z", "1582-10-15T00:00:00Z"]
    proleptic = read(make(domain_type=DomainType.POINT_SERIES, t=[hours, hours + 24]))
    assert [str(each.date()) for each in proleptic["datetime"].to_pylist()] == ["1582-10-14", "1582-10-15"]


@each_format
def test_all_kinds_of_values(read: Reader, make: Callable[..., Coverage]) -> None:
    values = {
        "word": np.array([["a", None, "é, \"x\""]], object),
        "flag": np.array([[True, False, True]]),
        "masked_flag": np.ma.MaskedArray([[True, False, True]], [[0, 1, 0]]),
        "half": np.array([[0.5, np.nan, 2]], "f2"),
        "long": np.array([[2**63 - 1, 0, -1]], "i8"),
        "masked_float": np.ma.MaskedArray(np.array([[1, 2, np.nan]], "f4"), [[1, 0, 0]]),
        "big_endian": np.array([[1, 2, 3]], ">f4"),
        "infinite": np.array([[np.inf, -np.inf, 0]], "f8"),
    }  # fmt: skip
    table = read(make(values, domain_type=GRID, y=[0], x=[0, 1, 2]))
    assert {name: table[name].to_pylist() for name in values} == {
        "word": ["a", None, 'é, "x"'],
        "flag": [True, False, True],
        "masked_flag": [True, None, True],
        "half": [0.5, None, 2.0],
        "long": [2**63 - 1, 0, -1],
        "masked_float": [None, 2.0, None],
        "big_endian": [1.0, 2.0, 3.0],
        "infinite": [np.inf, -np.inf, 0],
    }
    assert str(table.schema.field("flag").type) == "bool"
    assert str(table.schema.field("half").type) == "float"


@each_format
def test_several_coverages_share_the_columns(read: Reader, make: Callable[..., Coverage]) -> None:
    surface = make({"lsm": np.array([[1], [0]], "i4")}, domain_type=GRID, y=[1, 0], x=[5])
    levels = make({"t": np.array([[[[1.5]], [[2.5]]]])}, domain_type=GRID, t=[0], z=[1000, 500], y=[1], x=[5])
    assert read(surface, levels).to_pylist() == [
        {"datetime": None, "z": None, "latitude": 1, "longitude": 5, "lsm": 1, "t": None},
        {"datetime": None, "z": None, "latitude": 0, "longitude": 5, "lsm": 0, "t": None},
        {"datetime": EPOCH, "z": 1000, "latitude": 1, "longitude": 5, "lsm": None, "t": 1.5},
        {"datetime": EPOCH, "z": 500, "latitude": 1, "longitude": 5, "lsm": None, "t": 2.5},
    ]


@each_format
def test_points_with_axes_of_other_types_share_a_column_that_holds_both(
    read: Reader, make: Callable[..., Coverage]
) -> None:
    whole = make(custom=[("step", [1, 2])])
    fraction = make(custom=[("step", [0.5, 1.5])])
    assert read(whole, fraction)["step"].to_pylist() == [1.0, 2.0, 0.5, 1.5]


def test_a_large_answer_is_written_in_parts(make: Callable[..., Coverage]) -> None:
    values = np.random.default_rng(3).random((3, 300, 400)).astype("f4")
    values[values < 0.1] = np.nan
    coverage = make({"n": values}, domain_type=GRID, t=range(3), y=np.arange(300.0), x=np.arange(400.0))
    for encode in (arrow_table.encode_parquet, arrow_table.encode_arrow):
        assert len(list(encode([coverage]))) == 3
    assert pq.ParquetFile(io.BytesIO(b"".join(arrow_table.encode_parquet([coverage])))).num_row_groups == 2
    for table in (from_parquet(coverage), from_arrow(coverage)):
        np.testing.assert_array_equal(table["n"].to_numpy(), values.ravel())
        assert table["longitude"].to_pylist() == list(range(400)) * 900


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30, deadline=None
)
@given(sizes=st.tuples(*[st.integers(1, 4)] * 5), fortran=st.booleans(), parts=st.integers(1, 50))
def test_any_shape_has_the_rows_of_the_csv(
    make: Callable[..., Coverage], sizes: tuple[int, ...], fortran: bool, parts: int
) -> None:
    number, t, z, y, x = sizes
    values = np.arange(np.prod(sizes), dtype="f8").reshape(sizes)
    coverage = make(
        {"n": np.asfortranarray(values) if fortran else values}, custom=[("number", range(number))],
        t=range(t), z=range(z), y=range(y), x=range(x),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow_table, "ROWS", parts)
        table = from_arrow(coverage)
    text = b"".join(csv_text.encode([coverage])).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert table.column_names == list(rows[0])
    assert [row["n"] for row in table.to_pylist()] == values.ravel().tolist()
    for row, right in zip(table.to_pylist(), rows, strict=True):
        assert row.pop("datetime").strftime("%Y-%m-%dT%H:%M:%SZ") == right.pop("datetime")
        assert row == {name: float(number) for name, number in right.items()}


def test_equal_answers_give_equal_bytes(any_coverage: Mapping[str, Coverage]) -> None:
    for encode in (arrow_table.encode_parquet, arrow_table.encode_arrow):
        for coverage in any_coverage.values():
            assert b"".join(encode([coverage])) == b"".join(encode([coverage]))


def test_nothing_found_is_not_an_empty_table() -> None:
    for encode in (arrow_table.encode_parquet, arrow_table.encode_arrow):
        with pytest.raises(NoDataError):
            list(encode([]))


def test_pyarrow_makes_the_formats_available() -> None:
    assert FORMATS["Parquet"].encode is arrow_table.encode_parquet
    assert FORMATS["Arrow"].encode is arrow_table.encode_arrow
