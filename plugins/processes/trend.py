"""By how much does a quantity change from year to year, and how sure is that?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from plugins.datacube.datacube import Parameter
from plugins.datacube.reduce.answer import describe, difference_units
from plugins.datacube.reduce.kernel import Kernel
from plugins.datacube.reduce.periods import Cycle, Period
from plugins.datacube.reduce.reduction import Statistic
from plugins.datacube.reduce.trends import Correlation, Slope, SlopeError
from plugins.processes.climatology import WORDS
from plugins.processes.data_inputs import Data, data_inputs, format_input, result_output
from plugins.processes.reducing import Reducing, Setting
from plugins.processes.statistics import LEAST_SHARE
from plugins.processes.times import BY, CLOCK, FIRST, PERIOD, clock_of, time_rows, times_of

_KERNELS: Final[Mapping[str, tuple[Kernel, str]]] = {
    "slope": (Slope(), "trend per year"),
    "slope_error": (SlopeError(), "standard error of the trend per year"),
    "correlation": (Correlation(), "correlation with time"),
}

_OWN: Final[Mapping[str, Any]] = {
    "period": {
        **PERIOD,
        "description": "Make values of each day, month, season or year first, and take the trend of those. If absent, "
        "take that of the values as they are.",
        "schema": {"type": "string", "enum": ["day", "month", "season", "year"]},
    },
    "statistic": {
        "title": "Statistic",
        "description": "What is made of the values of a period.",
        "schema": {"type": "string", "enum": list(FIRST), "default": "mean"},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "by": {
        **BY,
        "description": "A trend for each month, season, day of the year or hour of the day; all: one trend.",
        "schema": {**BY["schema"], "default": "all"},
    },
    **CLOCK,
    "least-share": LEAST_SHARE,
    "format": format_input(),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "trend",
    "version": "1.0.0",
    "title": "Trend",
    "description": (
        "The slope of the line of least squares through the values of each cell over time, per mean year of the "
        "calendar (365.2425 days in the Gregorian), its standard error (as if the residuals were independent), and the "
        "correlation with time."
    ),
    "keywords": ["trend", "linear regression", "climate change", "slope"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {**data_inputs(), **_OWN},
    "outputs": result_output("Slope, standard error and correlation", "A file in the format that was asked for."),
    "example": {"inputs": {"collection": "hadcm3-a1b", "period": "year", "format": "NetCDF"}},
}


def setting(inputs: Mapping[str, Any], data: Data) -> Setting:
    """Take the trend of values, or of values of periods."""
    times_of(data)
    cycle = Cycle(inputs.get("by", "all"))
    first = None
    if "period" in inputs:
        first = (Period(inputs["period"]), FIRST[inputs.get("statistic", "mean")])
    words = "" if cycle is Cycle.ALL else WORDS[cycle]
    rows_of = partial(time_rows, groups=cycle, clock=clock_of(inputs), first=first, placed=True)
    made = [
        Statistic(kernel, partial(_describe, suffix=name, label=f"{words} {label}".strip()))
        for name, (kernel, label) in _KERNELS.items()
    ]
    return Setting(rows_of, made, least_share=float(inputs.get("least-share", 0)))


def _describe(parameter: Parameter, suffix: str, label: str) -> Parameter:
    units: tuple[str | None, str | None] = ("1", "1")
    if suffix != "correlation":
        of_units, ucum = difference_units(parameter)
        units = (f"{of_units} year-1" if of_units else None, f"{ucum}/a" if ucum else None)
    return describe(parameter, suffix, label, units=units, named=False)


PROCESS: Final = Reducing(DESCRIPTION, frozenset(_OWN), setting).process("TrendProcessor")
