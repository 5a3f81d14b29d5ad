"""Which statistics have names, and how is each of them made, described and measured?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from plugins.datacube.datacube import Parameter
from plugins.datacube.reduce.answer import describe, difference_units
from plugins.datacube.reduce.kernel import Kernel
from plugins.datacube.reduce.orders import Maximum, Minimum, Percentile
from plugins.datacube.reduce.reduction import Statistic
from plugins.datacube.reduce.sums import Count, Deviation, Mean, Sum

SIMPLE: Final[Mapping[str, tuple[Kernel, str, str]]] = {
    "mean": (Mean(), "mean", "mean"),
    "min": (Minimum(), "minimum", "minimum"),
    "max": (Maximum(), "maximum", "maximum"),
    "sum": (Sum(), "sum", "sum"),
    "std": (Deviation(), "standard_deviation", "standard deviation"),
    "median": (Percentile(50.0), "median", "median"),
    "count": (Count(), "", "number of values"),
}
"""By name: kernel, cell method of CF (appendix E), and words."""
PATTERN: Final = r"^(mean|min|max|sum|std|median|count|p(100|\d{1,2}(\.\d{1,3})?))$"
STATISTICS: Final[Mapping[str, Any]] = {
    "title": "Statistics",
    "description": "One or more of mean, min, max, sum, std (divided by n), median, count (of values that are not "
    "missing), and percentiles p0 to p100 (p90, p99.5). Each becomes a parameter of the result: t2m_mean.",
    "schema": {"type": "string", "pattern": PATTERN, "default": "mean"},
    "minOccurs": 0,
    "maxOccurs": 20,
}
LEAST_SHARE: Final[Mapping[str, Any]] = {
    "title": "Least share",
    "description": "Share of the values of a group that must be there, from 0 to 1; otherwise its statistic is "
    "missing. 0 takes one value for enough.",
    "schema": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    "minOccurs": 0,
    "maxOccurs": 1,
}


def statistics(names: Sequence[str], over: str, words: str, note: str = "") -> list[Statistic]:
    """Return statistics by name.

    Parameters
    ----------
    names : sequence of str
        Each matches `PATTERN`; repeated ones count once.
    over : str
        What is reduced, as CF cell methods name it: ``time``, ``area``, ``realization``.
    words : str
        What stands before the statistic in long names: ``monthly``.
    note : str
        Comment of the cell method.
    """
    return [_statistic(name, over, words, note) for name in dict.fromkeys(names)]


def cell_method(over: str, method: str, note: str = "") -> str:
    """Write a cell method.

    Examples
    --------
    >>> cell_method("time", "mean", "for each month")
    'time: mean (comment: for each month)'
    """
    return f"{over}: {method}" + (f" (comment: {note})" if note else "")


def _statistic(name: str, over: str, words: str, note: str) -> Statistic:
    if name not in SIMPLE:
        percent = float(name[1:])
        label = f"{words} percentile {percent:g}".strip()
        # CF has no cell method for percentiles: the long name says it.
        return Statistic(Percentile(percent), partial(describe, suffix=name, label=label))
    kernel, method, label = SIMPLE[name]
    label = f"{words} {label}".strip()
    if name == "count":
        return Statistic(kernel, partial(_count, label=label))
    making: Callable[[Parameter], Parameter] = partial(
        _deviation if name == "std" else _total if name == "sum" else describe,
        suffix=name,
        label=label,
        method=cell_method(over, method, note),
    )
    return Statistic(kernel, making)


def _count(parameter: Parameter, *, label: str) -> Parameter:
    return describe(parameter, "count", label, units=("1", "1"), dtype="int32", named=False)


def _deviation(parameter: Parameter, suffix: str, label: str, method: str) -> Parameter:
    return describe(parameter, suffix, label, method=method, units=difference_units(parameter))


def _total(parameter: Parameter, suffix: str, label: str, method: str) -> Parameter:
    # A sum of many float32 values has more digits than float32.
    return describe(parameter, suffix, label, method=method, dtype="float64")
