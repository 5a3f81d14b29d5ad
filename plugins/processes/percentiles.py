"""Between which values does a share of all times lie?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.reduce.periods import Cycle, Period
from plugins.processes.climatology import WORDS
from plugins.processes.data_inputs import Data, data_inputs, format_input, result_output
from plugins.processes.reducing import Reducing, Setting
from plugins.processes.statistics import LEAST_SHARE, statistics
from plugins.processes.times import ADVERBS, BY, CLOCK, DAILY, PERIOD, clock_of, first_of, time_rows, times_of

_OWN: Final[Mapping[str, Any]] = {
    "percentiles": {
        "title": "Percentiles",
        "description": "One or more, from 0 to 100.",
        "schema": {"type": "number", "minimum": 0, "maximum": 100},
        "minOccurs": 1,
        "maxOccurs": 20,
    },
    "period": PERIOD,
    "by": {**BY, "schema": {key: value for key, value in BY["schema"].items() if key != "default"}},
    "daily": DAILY,
    **CLOCK,
    "least-share": LEAST_SHARE,
    "format": format_input(),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "percentiles",
    "version": "1.0.0",
    "title": "Percentiles over time",
    "description": (
        "The percentiles of all values of each cell: of all times, of the times of each period, or by month, season, "
        "day of the year or hour. They are exact, interpolated linearly between the two values around them."
    ),
    "keywords": ["percentile", "quantile", "median", "distribution", "extremes"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {**data_inputs(), **_OWN},
    "outputs": result_output("The percentiles", "A file in the format that was asked for."),
    "example": {
        "inputs": {
            "collection": "era5-like",
            "bbox": [-10, 50, 2, 60],
            "parameter-name": "t2m",
            "percentiles": [5, 50, 95],
            "daily": "max",
        }
    },
}


def setting(inputs: Mapping[str, Any], data: Data) -> Setting:
    """Group times as they are asked for."""
    times_of(data)
    if "period" in inputs and "by" in inputs:
        raise InvalidQueryError("by", "period and by are two ways of grouping", "one of them")
    groups: Period | Cycle = Cycle(inputs["by"]) if "by" in inputs else Period(inputs.get("period", "all"))
    if "daily" in inputs and groups in (Period.HOUR, Cycle.HOUR):
        raise InvalidQueryError("daily", "hours are not made of daily values", "no hours, or no daily values")
    words = WORDS[groups] if isinstance(groups, Cycle) else ADVERBS[groups]
    rows_of = partial(time_rows, groups=groups, clock=clock_of(inputs), first=first_of(inputs))
    names = [f"p{round(float(percent), 3):g}" for percent in inputs["percentiles"]]
    return Setting(rows_of, statistics(names, "time", words), least_share=float(inputs.get("least-share", 0)))


PROCESS: Final = Reducing(DESCRIPTION, frozenset(_OWN), setting).process("PercentilesProcessor")
