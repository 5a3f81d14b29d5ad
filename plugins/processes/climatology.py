"""What is usual at this time of the year, or of the day?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.reduce.periods import Cycle
from plugins.processes.data_inputs import Data, data_inputs, format_input, result_output
from plugins.processes.reducing import Reducing, Setting
from plugins.processes.statistics import LEAST_SHARE, STATISTICS, statistics
from plugins.processes.times import BY, CLOCK, DAILY, clock_of, first_of, reference_note, time_rows, times_of

WORDS: Final[Mapping[str, str]] = {
    "month": "of each month", "season": "of each season", "dayofyear": "of each day of the year",
    "hour": "of each hour of the day", "all": "of all times",
}  # fmt: skip

_OWN: Final[Mapping[str, Any]] = {
    "by": BY,
    "statistics": STATISTICS,
    "daily": DAILY,
    **CLOCK,
    "least-share": LEAST_SHARE,
    "format": format_input(),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "climatology",
    "version": "1.0.0",
    "title": "Climatology",
    "description": (
        "Means, extremes, standard deviations and percentiles of each month, season, day of the year or hour of the "
        "day over all years of a reference period. The result has the dimension month, season, dayofyear or hour in "
        "the place of time."
    ),
    "keywords": ["climatology", "normals", "long-term mean", "annual cycle", "diurnal cycle"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {
        **data_inputs(datetime="The reference period (start/end, '..' for an open end); all times if absent."),
        **_OWN,
    },
    "outputs": result_output("The climatology", "A file in the format that was asked for."),
    "example": {
        "inputs": {
            "collection": "era5-like",
            "bbox": [-10, 50, 2, 60],
            "parameter-name": "t2m",
            "datetime": "2024-01-01/2024-02-29",
            "by": "hour",
            "statistics": ["mean", "std"],
        }
    },
}


def setting(inputs: Mapping[str, Any], data: Data) -> Setting:
    """Group times by what comes again."""
    cycle = Cycle(inputs.get("by", "month"))
    if "daily" in inputs and cycle is Cycle.HOUR:
        raise InvalidQueryError("daily", "hours are not made of daily values", "another cycle, or no daily values")
    note = f"{WORDS[cycle]}, {reference_note(times_of(data))}"
    names = inputs.get("statistics", ["mean"])
    rows_of = partial(time_rows, groups=cycle, clock=clock_of(inputs), first=first_of(inputs))
    made = statistics(names, "time", WORDS[cycle], note)
    return Setting(rows_of, made, least_share=float(inputs.get("least-share", 0)))


PROCESS: Final = Reducing(DESCRIPTION, frozenset(_OWN), setting).process("ClimatologyProcessor")
