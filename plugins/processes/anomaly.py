"""By how much does each month, day or hour differ from what is usual at that time of the year?

Two reductions: the values themselves (as they are, or of periods), and their climatology in the reference period, of
which the second is taken from the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import AxisKind
from plugins.datacube.cancel import Cancel
from plugins.datacube.datacube import Parameter
from plugins.datacube.decode import decoded_dtype
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.datacube.library import Library
from plugins.datacube.limits import Limits, admit
from plugins.datacube.plan import Cost
from plugins.datacube.reduce.answer import answer, describe, difference_units
from plugins.datacube.reduce.engine import reduce
from plugins.datacube.reduce.layout import Layout
from plugins.datacube.reduce.periods import Cycle, Period, by_cycle
from plugins.datacube.reduce.reduction import Reduction, Rows, Statistic, lay_reduction
from plugins.datacube.reduce.sums import Deviation, Mean
from plugins.jobs.child import Report
from plugins.jobs.job import Outcome
from plugins.processes.climatology import WORDS
from plugins.processes.data_inputs import (
    Data,
    checked,
    choose,
    chosen_format,
    data_inputs,
    format_input,
    formats_of,
    result_output,
)
from plugins.processes.process import Prepared, Process
from plugins.processes.reducing import READING_SHARE, write
from plugins.processes.statistics import LEAST_SHARE
from plugins.processes.times import ADVERBS, BY, CLOCK, FIRST, PERIOD, clock_of, reference_note, time_rows, times_of

_OWN: Final[Mapping[str, Any]] = {
    "reference": {
        "title": "Reference period",
        "description": "The times of which the climatology is made: start/end, '..' for an open end; all times of the "
        "collection if absent.",
        "schema": {"type": "string", "maxLength": 1000},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "by": BY,
    "period": {
        **PERIOD,
        "description": "Make values of each day, month, season or year first; if absent, take the values as they are.",
        "schema": {"type": "string", "enum": ["day", "month", "season", "year"]},
    },
    "statistic": {
        "title": "Statistic",
        "description": "What is made of the values of a period.",
        "schema": {"type": "string", "enum": list(FIRST), "default": "mean"},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "standardized": {
        "title": "Standardized",
        "description": "Divide by the standard deviation in the reference period.",
        "schema": {"type": "boolean", "default": False},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    **CLOCK,
    "least-share": LEAST_SHARE,
    "format": format_input(),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "anomaly",
    "version": "1.0.0",
    "title": "Anomaly",
    "description": (
        "The values, or means of days, months, seasons or years, less their mean in a reference period: that of the "
        "same month, season, day of the year or hour of the day."
    ),
    "keywords": ["anomaly", "departure", "climatology", "standardized anomaly"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {**data_inputs(datetime="The times whose anomalies are wanted; all if absent."), **_OWN},
    "outputs": result_output("The anomalies", "A file in the format that was asked for."),
    "example": {
        "inputs": {
            "collection": "hadcm3-a1b",
            "coords": "POINT(-90 45)",
            "datetime": "2000-01-01/2099-12-30",
            "reference": "1961-01-01/1990-12-30",
            "by": "all",
            "format": "CSV",
        }
    },
}
_OWN_NAMES: Final = frozenset(_OWN)


@dataclass(frozen=True, slots=True)
class _Laid:
    """Both reductions of one request."""

    data: Data
    reference: Data
    target: Reduction
    usual: Reduction
    cycle: Cycle
    cost: Cost


def validate(inputs: object) -> dict[str, Any]:
    """Check the form of the inputs. Raises InvalidQueryError."""
    return checked(inputs, DESCRIPTION)


def prepare(inputs: Mapping[str, Any], library: Library, limits: Limits) -> Prepared:
    """Check validated inputs against the collection, and say what the answer costs; nothing is read.

    Raises
    ------
    InvalidQueryError, NoDataError, TooLargeError, DatasetError
        What the run would raise before it reads.
    """
    laid = _lay(inputs, library, limits)
    chosen_format(inputs, formats_of(laid.data))
    return Prepared(dict(inputs), laid.cost, laid.data.cube.snapshot)


def run(
    inputs: Mapping[str, Any],
    library: Library,
    limits: Limits,
    workdir: Path,
    report: Report,
    cancel: Cancel | None = None,
) -> Outcome:
    """Reduce twice, subtract, and write the answer. Raises as `prepare`, StorageError and CancelledError."""
    laid = _lay(inputs, library, limits)
    written_as = chosen_format(inputs, formats_of(laid.data))
    cancel = cancel or Cancel()
    share = laid.usual.cost.chunks / max(1, laid.cost.chunks) * READING_SHARE
    report(0.0, "reading")
    usual = reduce(
        laid.reference.opened, laid.usual, cancel, lambda done: report(share * done, "making the climatology")
    )
    values = reduce(
        laid.data.opened, laid.target, cancel,
        lambda done: report(share + (READING_SHARE - share) * done, "reading and reducing"),
    )  # fmt: skip
    statistic = _shown(inputs, laid.cycle, laid.data)
    for work, of_usual in zip(laid.target.works, laid.usual.works, strict=True):
        name = work.layout.parameter.name
        places = _places(work.rows, of_usual.rows, laid.cycle, inputs)
        grouped = of_usual.rows.axis is not None
        departures = _departures(values[name][0], usual[name], places, work.rows.dims[0], grouped=grouped)
        values[name][0] = departures.astype(decoded_dtype(statistic.describe(work.layout.parameter)))
    name = f"{laid.data.cube.id}-anomaly"
    shown = replace(laid.target, statistics=(statistic,))
    return write(answer(shown, values), written_as, workdir, name, report, cancel)


def _lay(inputs: Mapping[str, Any], library: Library, limits: Limits) -> _Laid:
    cycle = Cycle(inputs.get("by", "month"))
    data = choose(inputs, _OWN_NAMES, library)
    times_of(data)
    reference = {name: value for name, value in inputs.items() if name != "datetime"}
    if "reference" in inputs:
        reference["datetime"] = inputs["reference"]
    try:
        of_reference = choose(reference, _OWN_NAMES, library)
    except InvalidQueryError as error:
        if error.parameter == "datetime" and "reference" in inputs:
            raise InvalidQueryError("reference", error.detail, error.valid) from error
        raise
    clock, first = clock_of(inputs), None
    if "period" in inputs:
        first = (Period(inputs["period"]), FIRST[inputs.get("statistic", "mean")])
        if cycle is Cycle.HOUR:
            raise InvalidQueryError("by", "the hour of the day is lost in periods", "another cycle, or no period")
    kernel = Mean() if first is None else first[1]
    least = float(inputs.get("least-share", 0))
    target = lay_reduction(
        data.plan,
        _each_time if first is None else partial(time_rows, groups=first[0], clock=clock),
        [Statistic(kernel, _exact)],
        limits,
        named=data.named,
        least_share=least,
    )
    made = [Statistic(Mean(), _exact)]
    if inputs.get("standardized"):
        made.append(Statistic(Deviation(), _exact))
    usual = lay_reduction(
        of_reference.plan,
        partial(time_rows, groups=cycle, clock=clock, first=first),
        made,
        limits,
        named=data.named,
        least_share=least,
    )
    if [work.layout.parameter.name for work in usual.works] != [work.layout.parameter.name for work in target.works]:
        raise NoDataError("the reference period has not the same parameters")
    cost = replace(
        target.cost,
        bytes_decoded=target.cost.bytes_decoded + usual.cost.bytes_decoded,
        chunks=target.cost.chunks + usual.cost.chunks,
        values=target.cost.values + usual.cost.values,
    )
    admit(cost, limits)
    return _Laid(data, of_reference, target, usual, cycle, cost)


def _each_time(layout: Layout) -> Rows | None:
    number = layout.time()
    if number is None:
        return None
    axis = layout.leading[number].axis
    return Rows((number,), axis, np.arange(axis.size))


def _places(rows: Rows, of_usual: Rows, cycle: Cycle, inputs: Mapping[str, Any]) -> NDArray[np.intp]:
    """Return which group of the climatology each time belongs to; -1 for those that it does not have."""
    if of_usual.axis is None or rows.axis is None:
        return np.zeros(rows.groups, np.intp)
    clock = clock_of(inputs)
    mine = by_cycle(rows.axis, cycle, replace(clock, stamp=type(clock.stamp).START) if "period" in inputs else clock)
    known = of_usual.axis.values.tolist()
    names = [] if mine.axis is None else mine.axis.values.tolist()
    found = np.array([known.index(name) if name in known else -1 for name in names], np.intp)
    return np.asarray(found[mine.labels], np.intp)


def _departures(
    values: NDArray[Any], usual: list[NDArray[Any]], places: NDArray[np.intp], dim: int, *, grouped: bool
) -> NDArray[Any]:
    """Subtract the climatology, and divide by the deviation if there is one, time by time."""
    at_time = np.moveaxis(values, dim, 0)
    groups = [np.moveaxis(array, dim, 0) if grouped else array[None] for array in usual]
    for number, place in enumerate(places.tolist()):
        if place < 0:
            at_time[number] = np.nan
            continue
        at_time[number] -= groups[0][place]
        if len(groups) > 1:
            deviation = groups[1][place]
            at_time[number] /= np.where(deviation > 0, deviation, np.nan)
    return values


def _exact(parameter: Parameter) -> Parameter:
    return describe(parameter, "exact", "exact", dtype="float64")


def _shown(inputs: Mapping[str, Any], cycle: Cycle, data: Data) -> Statistic:
    words = ADVERBS.get(inputs.get("period", ""), "")
    since = str(inputs.get("reference") or _all_times(data)).strip()
    standardized = bool(inputs.get("standardized"))
    kind = "standardized anomaly" if standardized else "anomaly"
    label = f"{words} {kind} from the mean {WORDS[cycle]}, {since[:100]}".strip()
    return Statistic(Mean(), partial(_described, label=label, standardized=standardized))


def _all_times(data: Data) -> str:
    axis = data.cube.axis(AxisKind.T)
    return "" if axis is None else reference_note(axis)


def _described(parameter: Parameter, label: str, *, standardized: bool) -> Parameter:
    units = ("1", "1") if standardized else difference_units(parameter)
    return describe(parameter, "anomaly", label, units=units, named=False)


PROCESS: Final = Process(DESCRIPTION, "plugins.processes.processors.AnomalyProcessor", validate, prepare, run)
