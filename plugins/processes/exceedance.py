"""How often, by how much and for how long is a threshold passed: frost days, heat waves, degree days?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.datacube import Parameter
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.reduce.answer import describe, difference_units
from plugins.datacube.reduce.kernel import Kernel
from plugins.datacube.reduce.layout import Layout
from plugins.datacube.reduce.periods import DAY, Cycle, Period, lengths
from plugins.datacube.reduce.reduction import Rows, Statistic
from plugins.datacube.reduce.thresholds import Beyond, Comparison, Excess, Hits, Share, Spell
from plugins.processes.climatology import WORDS
from plugins.processes.data_inputs import Data, data_inputs, format_input, result_output
from plugins.processes.reducing import Reducing, Setting
from plugins.processes.statistics import LEAST_SHARE
from plugins.processes.times import ADVERBS, BY, CLOCK, DAILY, PERIOD, clock_of, first_of, time_rows, times_of

MEASURES: Final[Mapping[str, str]] = {
    "count": "number of times", "share": "share of the times", "excess": "excess in degree days",
    "spell": "longest spell",
}  # fmt: skip

_OWN: Final[Mapping[str, Any]] = {
    "threshold": {
        "title": "Threshold",
        "description": "In the units of the parameter.",
        "schema": {"type": "number"},
        "minOccurs": 1,
        "maxOccurs": 1,
    },
    "comparison": {
        "title": "Comparison",
        "description": "Which side of the threshold counts.",
        "schema": {"type": "string", "enum": [each.value for each in Comparison], "default": ">"},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "measures": {
        "title": "Measures",
        "description": "count: how many times (with daily values: days); share: which share of the times that have "
        "values, 0 to 1; excess: the sum of the distances from the threshold times their length in days (degree days); "
        "spell: the most times one after the other.",
        "schema": {"type": "string", "enum": list(MEASURES), "default": "count"},
        "minOccurs": 0,
        "maxOccurs": 4,
    },
    "period": {**PERIOD, "schema": {**PERIOD["schema"], "default": "year"}},
    "by": {**BY, "schema": {key: value for key, value in BY["schema"].items() if key != "default"}},
    "daily": DAILY,
    **CLOCK,
    "least-share": LEAST_SHARE,
    "format": format_input(),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "exceedance",
    "version": "1.0.0",
    "title": "Exceedance of a threshold",
    "description": (
        "How many times of each period lie beyond a threshold, which share of them, by how much in all (degree days), "
        "and the longest spell. With daily values: summer days (daily max > 298.15 K), frost days (daily min < 273.15 "
        "K), tropical nights (daily min > 293.15 K), wet days (daily sum >= 0.001 m), growing degree days."
    ),
    "keywords": ["threshold", "exceedance", "climate index", "frost days", "degree days", "spell", "heat wave"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {**data_inputs(), **_OWN},
    "outputs": result_output("Counts, shares, excess and spells", "A file in the format that was asked for."),
    "example": {
        "inputs": {
            "collection": "era5-like",
            "bbox": [-10, 50, 2, 60],
            "parameter-name": "t2m",
            "daily": "min",
            "threshold": 273.15,
            "comparison": "<",
            "measures": ["count", "spell"],
            "period": "month",
        }
    },
}


def setting(inputs: Mapping[str, Any], data: Data) -> Setting:
    """Compare and group times as they are asked for."""
    times_of(data)
    if "period" in inputs and "by" in inputs:
        raise InvalidQueryError("by", "period and by are two ways of grouping", "one of them")
    groups: Period | Cycle = Cycle(inputs["by"]) if "by" in inputs else Period(inputs.get("period", "year"))
    measures = list(dict.fromkeys(inputs.get("measures", ["count"])))
    if "spell" in measures and isinstance(groups, Cycle):
        raise InvalidQueryError("measures", "times of different years make no spell", "count, share, excess; or period")
    if "daily" in inputs and groups in (Period.HOUR, Cycle.HOUR):
        raise InvalidQueryError("daily", "hours are not made of daily values", "no hours, or no daily values")
    beyond = Beyond(Comparison(inputs.get("comparison", ">")), float(inputs["threshold"]))
    words = WORDS[groups] if isinstance(groups, Cycle) else ADVERBS[groups]
    rows_of = partial(_rows, inputs=inputs, groups=groups, timed="excess" in measures)
    made = [_statistic(measure, beyond, words, daily="daily" in inputs) for measure in measures]
    return Setting(rows_of, made, least_share=float(inputs.get("least-share", 0)))


def _rows(layout: Layout, inputs: Mapping[str, Any], groups: Period | Cycle, *, timed: bool) -> Rows | None:
    rows = time_rows(layout, groups, clock_of(inputs), first=first_of(inputs))
    if rows is None or not timed or rows.first is not None:
        return rows
    return replace(rows, weights=_days(layout.leading[rows.dims[0]].axis))


def _days(axis: Axis) -> NDArray[np.float64]:
    """Return how many days each time stands for: by its bounds, else by the distance to the next."""
    known = lengths(axis)
    if known is not None:
        return known
    if axis.step is None:
        raise InvalidQueryError(
            "measures", "excess needs times with bounds, or at regular distances", "excess of daily values"
        )
    return np.full(axis.size, axis.step / DAY)


def _statistic(measure: str, beyond: Beyond, words: str, *, daily: bool) -> Statistic:
    kernels: Mapping[str, Kernel] = {
        "count": Hits(beyond), "share": Share(beyond), "excess": Excess(beyond), "spell": Spell(beyond),
    }  # fmt: skip
    kind = "days" if daily else "times"
    label = f"{words} {MEASURES[measure]} {beyond.comparison.value} {beyond.threshold:g}".replace("times", kind)
    return Statistic(kernels[measure], partial(_describe, measure=measure, label=label, daily=daily))


def _describe(parameter: Parameter, measure: str, label: str, *, daily: bool) -> Parameter:
    units: tuple[str | None, str | None] = ("1", "1")
    if measure == "excess":
        of_units, ucum = difference_units(parameter)
        units = (f"{of_units} day" if of_units else None, f"{ucum}.d" if ucum else None)
    elif daily and measure in ("count", "spell"):
        units = ("day", "d")
    return describe(parameter, measure, label, units=units, dtype="float32", named=False)


PROCESS: Final = Reducing(DESCRIPTION, frozenset(_OWN), setting).process("ExceedanceProcessor")
