"""Into which items is a datacube divided: one for all of it, or one for each month, year or forecast run?

The division follows from the data unless the dataset's definition says it (``items``):

- forecasts have an item for each reference time;
- more than `LONG_MONTHS` months of data with several times a month have one for each month;
- more than `LONG_YEARS` years of data with several times a year have one for each year;
- everything else has a single one.

The id of a part depends on its month, year or run alone, so it stays when data are appended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from catalog.extents import gregorian, interval_of
from catalog.forecasts import Run, each_run
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS, whole_seconds
from plugins.datacube.datacube import Datacube
from plugins.datacube.instances import Runs, runs_of

LONG_MONTHS: Final = 12
LONG_YEARS: Final = 10
PARTS_LIMIT: Final = 20_000
"""A cube that would have more parts is divided coarser."""
WHOLE_SUFFIX: Final = "all"
_SHORTEST_MONTH: Final = 28 * MICROSECONDS["day"]
_SHORTEST_YEAR: Final = 360 * MICROSECONDS["day"]


class Division(StrEnum):
    """What one item stands for."""

    WHOLE = "whole"
    MONTH = "month"
    YEAR = "year"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Part:
    """What one item describes."""

    suffix: str
    """The last part of the item's id."""
    start: datetime
    """First time, UTC; of a forecast, the first valid time."""
    end: datetime
    axes: Mapping[str, Axis] = field(default_factory=dict)
    """The axes that are cut, by dimension name; the others are those of the cube."""
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The first and the last stored position on each of these axes."""
    query: Mapping[str, str] = field(default_factory=dict)
    """The parameters of an EDR query that ask for this part."""
    reference: datetime | None = None
    """When the forecast was begun."""
    run: Run | None = None


def parts(cube: Datacube) -> tuple[Part, ...]:
    """Return the parts of a cube in the order of time; none where it has no date that a STAC item can carry."""
    runs = runs_of(cube)
    match division_of(cube, runs):
        case Division.RUN if runs is not None:
            return tuple(_runs(cube, runs))
        case Division.MONTH:
            return tuple(_periods(cube, 7))
        case Division.YEAR:
            return tuple(_periods(cube, 4))
        case _:
            return _whole(cube)


def division_of(cube: Datacube, runs: Runs | None) -> Division:
    """Return the division that is asked for, as far as the data allow it, or that suits them."""
    time = cube.axis(AxisKind.T)
    if time is None or time.size == 0:
        return Division.WHOLE
    # A store that keeps no states is divided as its data suggest.
    asked = Division(cube.definition.items) if cube.definition.items in list(Division) else None
    if asked is Division.WHOLE:
        return asked
    if asked in (None, Division.RUN) and runs is not None:
        return Division.RUN if len(runs.ids) <= PARTS_LIMIT else Division.WHOLE
    if asked in (Division.MONTH, Division.YEAR):
        finer = [(Division.MONTH, 7), (Division.YEAR, 4)][asked is Division.YEAR :]
        return next((d for d, length in finer if _count(time, length) <= PARTS_LIMIT), Division.WHOLE)
    return _natural(time)


def _natural(time: Axis) -> Division:
    """Return the division of a time axis by its usual step and its length."""
    if time.size < 2:
        return Division.WHOLE
    step = float(np.median(np.abs(np.diff(time.values))))
    if step < _SHORTEST_MONTH and LONG_MONTHS < _count(time, 7) <= PARTS_LIMIT:
        return Division.MONTH
    if step < _SHORTEST_YEAR and LONG_YEARS < _count(time, 4) <= PARTS_LIMIT:
        return Division.YEAR
    return Division.WHOLE


def _whole(cube: Datacube) -> tuple[Part, ...]:
    start, end = interval_of(cube)
    return () if start is None or end is None else (Part(WHOLE_SUFFIX, start, end),)


def _periods(cube: Datacube, length: int) -> list[Part]:
    """Return a part for each month or year: the times whose ISO dates agree in their first `length` characters."""
    time = cube.axis(AxisKind.T)
    assert time is not None  # noqa: S101 - a cube without one is not divided
    found = []
    for indices in _grouped(time, length):
        axis = time.take(indices)
        texts = axis.take(np.array([0, -1])).texts()
        start, end = (gregorian(text) for text in texts)
        if start is not None and end is not None:
            span = texts[0] if axis.size == 1 else f"{texts[0]}/{texts[-1]}"
            spans = {time.name: (int(indices.min()), int(indices.max()))}
            found.append(Part(texts[0][:length], start, end, {time.name: axis}, spans, {"datetime": span}))
    return found


def _runs(cube: Datacube, runs: Runs) -> Iterator[Part]:
    """Yield a part for each reference time."""
    for run in each_run(cube, runs):
        reference, start, end = (gregorian(text) for text in (run.id, run.first, run.last))
        if reference is None or start is None or end is None:
            continue
        axes = {run.dimension: cube.axes[run.dimension].take(np.array([run.position]))}
        spans = {run.dimension: (run.position, run.position)}
        name = "datetime" if runs.period is not None else run.dimension
        yield Part(_compact(run.id), start, end, axes, spans, {name: run.id}, reference, run)


def _grouped(time: Axis, length: int) -> list[NDArray[np.intp]]:
    """Return the positions of each month or year, in the order of time."""
    order = np.argsort(time.values, kind="stable")
    keys = _keys(time, length)[order]
    return np.split(order, np.flatnonzero(keys[1:] != keys[:-1]) + 1)


def _count(time: Axis, length: int) -> int:
    keys = _keys(time, length)
    # A time axis rises or falls throughout, so equal months are neighbours.
    return 1 + int((keys[1:] != keys[:-1]).sum())


def _keys(time: Axis, length: int) -> NDArray[Any]:
    """Return the month (`length` 7) or year (4) of every time: equal ones have equal keys."""
    stamps = whole_seconds(time.values, time.calendar)
    if stamps is not None:
        return stamps.astype("datetime64[M]" if length == 7 else "datetime64[Y]").astype(np.int64)
    # A year before 0 has a sign in front, and one after 9999 more digits: what follows the year is always as long.
    cut = len("-01-01T00:00:00Z") if length == 4 else len("-01T00:00:00Z")
    texts = time.texts()
    fraction = len(".000000") if "." in texts[0] else 0
    return np.array([text[: -cut - fraction] for text in texts])


def _compact(text: str) -> str:
    """Return a reference time as it stands in an id.

    Examples
    --------
    >>> _compact("2020-01-01T06:00:00Z"), _compact("2020-02-30T06:00:01Z")
    ('20200101T0600Z', '20200230T060001Z')
    """
    return text.replace("-", "").replace(":", "").replace("00Z", "Z", int(text.endswith(":00Z")))
