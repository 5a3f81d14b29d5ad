"""Over which times does a process reduce: the inputs that say so, and the rows that they make?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.reduce.kernel import Kernel
from plugins.datacube.reduce.layout import Layout
from plugins.datacube.reduce.orders import Maximum, Minimum
from plugins.datacube.reduce.periods import (
    Clock,
    Cycle,
    Grouping,
    Period,
    Stamp,
    by_cycle,
    by_period,
    lengths,
    years,
)
from plugins.datacube.reduce.reduction import First, Rows
from plugins.datacube.reduce.sums import Mean, Sum
from plugins.processes.data_inputs import Data

ADVERBS: Final[Mapping[str, str]] = {
    "hour": "hourly", "day": "daily", "month": "monthly", "season": "seasonal", "year": "yearly", "all": "overall",
}  # fmt: skip
FIRST: Final[Mapping[str, Kernel]] = {"mean": Mean(), "min": Minimum(), "max": Maximum(), "sum": Sum()}

PERIOD: Final[Mapping[str, Any]] = {
    "title": "Period",
    "description": "Times of one hour, day, month, season (December to February, …) or year of the data's calendar "
    "belong together; all: all times.",
    "schema": {"type": "string", "enum": [period.value for period in Period]},
    "minOccurs": 0,
    "maxOccurs": 1,
}
BY: Final[Mapping[str, Any]] = {
    "title": "By",
    "description": "Times of the same month, season, day of the year or hour of the day belong together, whatever the "
    "year; all: all times.",
    "schema": {"type": "string", "enum": [cycle.value for cycle in Cycle], "default": "month"},
    "minOccurs": 0,
    "maxOccurs": 1,
}
DAILY: Final[Mapping[str, Any]] = {
    "title": "Daily values",
    "description": "Make daily values of this kind first (max: of hourly temperatures the daily maxima), and work on "
    "those. If absent, work on the values as they are.",
    "schema": {"type": "string", "enum": list(FIRST)},
    "minOccurs": 0,
    "maxOccurs": 1,
}
CLOCK: Final[Mapping[str, Mapping[str, Any]]] = {
    "utc-offset": {
        "title": "Offset of the days",
        "description": "Hours east of UTC by which days, months and years begin: 5.5 in India, -3 in eastern Brazil.",
        "schema": {"type": "number", "minimum": -14, "maximum": 14, "multipleOf": 0.25, "default": 0},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "time-stamp": {
        "title": "Where a time stands",
        "description": "start: the value of 00:00 belongs to the day that begins; end: to the day that ends, as for "
        "precipitation that fell in the hour before. Times with bounds need neither: their middle decides.",
        "schema": {"type": "string", "enum": [stamp.value for stamp in Stamp], "default": "start"},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
}
WEIGHTS: Final[Mapping[str, Any]] = {
    "title": "Weights",
    "description": "equal: all times count the same; duration: as much as they last, by the bounds of the times (of "
    "monthly means the yearly mean).",
    "schema": {"type": "string", "enum": ["equal", "duration"], "default": "equal"},
    "minOccurs": 0,
    "maxOccurs": 1,
}


def clock_of(inputs: Mapping[str, Any]) -> Clock:
    """Return how dates are read."""
    return Clock(round(float(inputs.get("utc-offset", 0)) * 60), Stamp(inputs.get("time-stamp", "start")))


def first_of(inputs: Mapping[str, Any]) -> tuple[Period, Kernel] | None:
    """Return the daily values that are made first."""
    return (Period.DAY, FIRST[inputs["daily"]]) if "daily" in inputs else None


def time_rows(
    layout: Layout,
    groups: Period | Cycle,
    clock: Clock,
    *,
    first: tuple[Period, Kernel] | None = None,
    weighted: bool = False,
    placed: bool = False,
) -> Rows | None:
    """Return the rows of a reduction along time; None where there is no time.

    Parameters
    ----------
    layout : Layout
    groups : Period or Cycle
    clock : Clock
    first : tuple of Period and Kernel, optional
        A reduction to periods that comes before.
    weighted : bool
        Weigh the times by how long they last.
    placed : bool
        Say where each lies, in years.

    Raises
    ------
    InvalidQueryError
        If the times shall be weighted and do not say how long they last.
    """
    number = layout.time()
    if number is None:
        return None
    axis = layout.leading[number].axis
    before = None
    if first is not None:
        period, kernel = first
        days = by_period(axis, period, clock)
        before = First(kernel, days.labels)
        axis = _not_empty(days.axis)
        # The periods have bounds, of which the middle is meant; where a time stood is settled.
        clock = Clock(clock.offset)
    found: Grouping = by_period(axis, groups, clock) if isinstance(groups, Period) else by_cycle(axis, groups, clock)
    weights = lengths(axis) if weighted else None
    if weighted and weights is None:
        raise InvalidQueryError("weights", "the times have no bounds that say how long they last", "equal")
    return Rows(
        (number,),
        found.axis,
        found.labels,
        weights=weights,
        places=years(axis) if placed else None,
        first=before,
    )


def times_of(data: Data) -> Axis:
    """Return the times that are selected.

    Raises
    ------
    InvalidQueryError
        If the collection has none.
    """
    for group in data.plan.selection.groups:
        for indexer in group.leading:
            if indexer.axis.kind is AxisKind.T:
                return indexer.axis
    raise InvalidQueryError("collection", f"{data.cube.id} has no times", "a collection with times")


def reference_note(axis: Axis) -> str:
    """Say which times a climatology is of: ``1991-01-01 to 2020-12-31``."""
    order = np.array([axis.values.argmin(), axis.values.argmax()])
    first, last = (text.partition("T")[0] for text in axis.take(order).texts())
    return f"{first} to {last}"


def _not_empty(axis: Axis | None) -> Axis:
    if axis is None:
        raise ValueError("periods have an axis")
    return axis
