"""How do hours become days, months, seasons and years?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.reduce.periods import Period
from plugins.processes.data_inputs import Data, data_inputs, format_input, result_output
from plugins.processes.reducing import Reducing, Setting
from plugins.processes.statistics import LEAST_SHARE, STATISTICS, statistics
from plugins.processes.times import ADVERBS, CLOCK, DAILY, PERIOD, WEIGHTS, clock_of, first_of, time_rows, times_of

_OWN: Final[Mapping[str, Any]] = {
    "period": {**PERIOD, "minOccurs": 1},
    "statistics": STATISTICS,
    "daily": DAILY,
    **CLOCK,
    "weights": WEIGHTS,
    "least-share": LEAST_SHARE,
    "format": format_input(),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "temporal-aggregation",
    "version": "1.0.0",
    "title": "Aggregation over time",
    "description": (
        "Hourly, daily, monthly, seasonal or yearly means, extremes, sums, standard deviations, counts and "
        "percentiles, in the calendar of the data. The times of the result are the beginnings of the periods, "
        "with the periods as their bounds; a period at either end counts with the times that are selected."
    ),
    "keywords": ["aggregation", "resample", "daily", "monthly", "seasonal", "yearly", "mean", "maximum", "sum"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {**data_inputs(), **_OWN},
    "outputs": result_output("The aggregated data", "A file in the format that was asked for."),
    "example": {
        "inputs": {
            "collection": "era5-like",
            "coords": "POINT(-3.5 50.7)",
            "parameter-name": "t2m",
            "period": "day",
            "statistics": ["mean", "min", "max"],
            "format": "CSV",
        }
    },
}


def setting(inputs: Mapping[str, Any], data: Data) -> Setting:
    """Group times by periods."""
    times_of(data)
    period = Period(inputs["period"])
    if "daily" in inputs and period is Period.HOUR:
        raise InvalidQueryError("daily", "hours are not made of daily values", "a longer period, or no daily values")
    weighted = inputs.get("weights") == "duration"
    names = inputs.get("statistics", ["mean"])
    if weighted and set(names) - {"mean", "std"}:
        raise InvalidQueryError("weights", "only mean and std are weighted", "equal, or only these statistics")
    words = " ".join(text for text in (ADVERBS[period], _of_days(inputs)) if text)
    rows_of = partial(time_rows, groups=period, clock=clock_of(inputs), first=first_of(inputs), weighted=weighted)
    made = statistics(names, "time", words, "of daily values" if "daily" in inputs else "")
    return Setting(rows_of, made, least_share=float(inputs.get("least-share", 0)))


def _of_days(inputs: Mapping[str, Any]) -> str:
    return {"mean": "(daily mean)", "min": "(daily minimum)", "max": "(daily maximum)", "sum": "(daily sum)"}.get(
        inputs.get("daily", ""), ""
    )


PROCESS: Final = Reducing(DESCRIPTION, frozenset(_OWN), setting).process("TemporalAggregationProcessor")
