"""Are the times of a long series, cut from the text of the whole axis, what they would be if written one by one?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import to_iso
from plugins.formats import time_text
from plugins.formats.time_text import FEWEST, kept_times

HOUR = 3_600_000_000


def cube_of(axis: Axis | None) -> Any:
    """As much of a datacube as is asked for."""
    return SimpleNamespace(axis=lambda kind: axis if kind is AxisKind.T else None)


def times(count: int, step: int = HOUR, start: int = 0, calendar: str = "standard") -> Axis:
    return Axis(AxisKind.T, "time", start + np.arange(count) * step, calendar=calendar)


@given(
    first=st.integers(0, 300),
    count=st.integers(0, 300),
    start=st.integers(-60_000_000_000, 250_000_000_000).map(lambda seconds: seconds * 1_000_000),
    step=st.sampled_from([HOUR, 60_000_000, 86_400_000_000, 1_000_000, 1_500_000]),
    calendar=st.sampled_from(["standard", "proleptic_gregorian", "360_day", "julian"]),
)
def test_a_piece_of_the_axis_is_written_as_its_times_are(
    first: int, count: int, start: int, step: int, calendar: str
) -> None:
    whole = times(600, step, start, calendar)
    part = whole.take(np.arange(first, first + count))
    found = kept_times(part, cube_of(whole))
    if found is not None:
        assert orjson.loads(found) == to_iso(part.values, calendar)
        assert found == orjson.dumps(to_iso(part.values, calendar))
    usual = calendar in ("standard", "proleptic_gregorian") and start > 0 and step % 1_000_000 == 0
    if count >= FEWEST and usual:
        assert found is not None
    if count < FEWEST:
        assert found is None


@pytest.mark.parametrize("length", [1, 299, 300])
def test_what_is_no_piece_of_the_axis_is_not_cut_from_it(length: int) -> None:
    whole = times(500)
    other = np.arange(300) * HOUR
    other[length - 1 :] += HOUR
    assert kept_times(Axis(AxisKind.T, "time", other), cube_of(whole)) is None or length == 1
    for strange in (whole.take(np.arange(500)[::-1]), whole.take(np.arange(0, 500, 2)), times(300, start=HOUR // 2)):
        assert kept_times(strange, cube_of(whole)) is None
    assert kept_times(times(400, start=400 * HOUR), cube_of(whole)) is None
    assert kept_times(times(300, calendar="noleap"), cube_of(whole)) is None
    assert kept_times(times(300), cube_of(None)) is None


def test_the_text_of_a_very_long_axis_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = times(400)
    assert kept_times(whole, cube_of(whole)) is not None
    monkeypatch.setattr(time_text, "MOST", 399)
    assert kept_times(whole, cube_of(whole)) is None
