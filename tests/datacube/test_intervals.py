"""Are numbers, dates, intervals and lists read as the standard writes them, and nothing else?"""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.calendar import Moment
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.intervals import parse_numbers, parse_times
from plugins.datacube.query import NumberInterval, TimeInterval

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE)
def test_a_number(number: float) -> None:
    assert parse_numbers("z", repr(number)) == number


@given(FINITE, FINITE)
def test_an_interval_either_way_round(a: float, b: float) -> None:
    assert parse_numbers("z", f"{a!r}/{b!r}") == NumberInterval(min(a, b), max(a, b))


@given(st.lists(FINITE, min_size=2, max_size=30))
def test_a_list(numbers: list[float]) -> None:
    assert parse_numbers("z", " , ".join(map(repr, numbers))) == tuple(numbers)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("../100", NumberInterval(None, 100.0)),
        ("100/..", NumberInterval(100.0, None)),
        ("../..", NumberInterval(None, None)),
        ("/100", NumberInterval(None, 100.0)),
        ("R20/100/50", tuple(100.0 + 50 * i for i in range(20))),
        ("R2/1000/-150", (1000.0, 850.0)),
        (" 850 ", 850.0),
        ("+.5", 0.5),
    ],
)
def test_forms_of_numbers(text: str, expected: object) -> None:
    assert parse_numbers("z", text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "nan", "inf", "-Infinity", "1e999", "1_000", "0x10", "1/2/3", "1,,2", ",", "1,2/3", "R0/1/1", "R5/1",
     "R1001/0/1", "R/1/1", "R2/x/1", "R2/1e308/1e308", "٣", "1" * 100, ",".join(["1"] * 1001), "1 2", "--1"],
)  # fmt: skip
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_numbers("z", text)
    assert caught.value.parameter == "z"
    assert caught.value.valid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020", Moment(2020, precision="year")),
        ("2020-02-30", Moment(2020, 2, 30, precision="day")),
        ("2020-01-01T06:00:00Z", Moment(2020, 1, 1, 6)),
        ("2020-01/2020-03", TimeInterval(Moment(2020, precision="month"), Moment(2020, 3, precision="month"))),
        ("../2020", TimeInterval(None, Moment(2020, precision="year"))),
        ("2020/..", TimeInterval(Moment(2020, precision="year"), None)),
        ("2020/", TimeInterval(Moment(2020, precision="year"), None)),
        ("../..", TimeInterval(None, None)),
        ("2020, 2021", (Moment(2020, precision="year"), Moment(2021, precision="year"))),
    ],
)
def test_forms_of_dates(text: str, expected: object) -> None:
    assert parse_times("datetime", text) == expected


@pytest.mark.parametrize("text", ["", "now", "2020/2021/2022", "2020,2021/2022", "2020-13", "..", "2020,", "x/2020"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        parse_times("datetime", text)
    assert caught.value.parameter == "datetime"
    assert caught.value.valid


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidQueryError):
        numbers = parse_numbers("z", text)
        assert not isinstance(numbers, float) or math.isfinite(numbers)
    with contextlib.suppress(InvalidQueryError):
        assert parse_times("datetime", text)
