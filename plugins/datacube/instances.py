"""Of which forecast runs, and of which states, does a collection consist, and what is one of them as a datacube?

EDR calls both *instances* (OGC 19-086r6, clause 8.2.9):

- A *run* is one value of an axis of forecast reference time. It is a view of the same store: the dimension of the
  reference time is held at one position, and the steps after it become the times of validity.
- A *state* is what an Icechunk repository held when something was written to it: a tag, or a snapshot of the branch
  that is served.

`latest` stands for the newest run, where there are runs, else for the dataset as it is now.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import calendar as cf_calendar
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coordinates import order_problem
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import InvalidQueryError, UnknownError
from plugins.datacube.history import LATEST, State
from plugins.datacube.library import OpenDatacube, datacube_at
from plugins.datacube.sources import UNREACHABLE, explain

REFERENCE: Final = "forecast_reference_time"
"""Standard name of the time at which a forecast begins (CF conventions 1.11, section 4.4)."""
PERIOD: Final = "forecast_period"
"""Standard name of the time since then."""
REFERENCE_NAMES: Final = re.compile(r"(forecast_)?reference_time|init(ial)?(_time)?|base_time|analysis_time")
PERIOD_NAMES: Final = re.compile(r"step|lead(_?time)?|forecast_(period|hour)|prediction_timedelta")
"""Names of dimensions without a standard name, in lower case."""
INITIAL: Final = "initial time of forecast"
"""The long name by which cfgrib marks the same, under the standard name ``time``."""
TIME: Final = "time"
BASIC: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(T\d{2,6}(?:\.\d+)?Z?)")
"""The basic format of ISO 8601, which has no colons."""
VIEWS_KEPT: Final = 64
"""Runs whose descriptions are kept, all datasets together."""
LISTED: Final = 3
"""Runs that an error names."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The dimension of the reference time, and where the times of validity come from."""

    reference: str
    """Stored dimension."""
    period: str | None
    """Stored dimension of the steps; None where the store has an axis of times of validity."""
    ids: tuple[str, ...]
    """ISO 8601 with Z, in stored order."""

    @property
    def newest_first(self) -> tuple[str, ...]:
        """The identifiers, that of the newest run first."""
        return tuple(sorted(self.ids, reverse=True))


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a collection, opened."""

    id: str
    """Its own identifier: never ``latest``, and a reference time always in the same form."""
    opened: OpenDatacube
    """The collection as this instance has it: its axes, its extent, its state."""
    state: State | None = None
    """Where the instance is a state of the store; None for a run."""


_VIEWS: OrderedDict[tuple[int, str], tuple[OpenDatacube, OpenDatacube]] = OrderedDict()
"""By the identity of a dataset, which is held here so that it stays its own; and by the run."""
_VIEWS_LOCK = threading.Lock()


def runs_of(cube: Datacube) -> Runs | None:
    """Return the forecast runs of a dataset, or None where it has no axis of reference times.

    An axis of reference times alone, with neither steps nor times of validity, makes no runs: each would be one field,
    whose time of validity nobody knows.
    """
    for dim, axis in cube.axes.items():
        if axis.size == 0:
            continue
        if axis.kind is AxisKind.T and is_reference(axis):
            period = next((name for name, one in cube.axes.items() if is_period(one)), None)
            return None if period is None else Runs(dim, period, tuple(axis.texts()))
        if axis.kind is AxisKind.CUSTOM and axis.standard_name == REFERENCE and cube.axis(AxisKind.T) is not None:
            return Runs(dim, None, tuple(axis.texts()))
    return None


def is_reference(axis: Axis) -> bool:
    """Whether the times of an axis are those at which forecasts begin."""
    if axis.standard_name is not None:
        return axis.standard_name == REFERENCE or axis.long_name == INITIAL
    return REFERENCE_NAMES.fullmatch(axis.name.lower()) is not None


def is_period(axis: Axis) -> bool:
    """Whether an axis counts the time since a forecast began, in a unit of a known length."""
    if axis.kind is not AxisKind.CUSTOM or axis.values.dtype.kind not in "iuf" or not axis.size:
        return False
    named = axis.standard_name == PERIOD if axis.standard_name else PERIOD_NAMES.fullmatch(axis.name.lower())
    return bool(named) and cf_calendar.unit_microseconds(axis.units or "") is not None


def run(opened: OpenDatacube, runs: Runs, run_id: str) -> OpenDatacube:
    """Return one forecast run of a dataset: the same arrays under another description.

    Parameters that do not vary with the run (an orography) are those of the collection, and not of any run.

    Parameters
    ----------
    opened : OpenDatacube
    runs : Runs
        Of its datacube.
    run_id : str
        One of `Runs.ids`.

    Returns
    -------
    OpenDatacube
        The same object as long as `opened` is, for the runs that were asked for last: what others remember of it holds.
    """
    key = (id(opened), run_id)
    with _VIEWS_LOCK:
        known = _VIEWS.get(key)
        if known is not None and known[0] is opened:
            _VIEWS.move_to_end(key)
            return known[1]
    view = _view(opened, runs, run_id)
    with _VIEWS_LOCK:
        _VIEWS[key] = (opened, view)
        _VIEWS.move_to_end(key)
        while len(_VIEWS) > VIEWS_KEPT:
            _VIEWS.popitem(last=False)
    return view


def _view(opened: OpenDatacube, runs: Runs, run_id: str) -> OpenDatacube:
    cube, position = opened.cube, runs.ids.index(run_id)
    parameters = {name: one for name, one in cube.parameters.items() if runs.reference in one.dims}
    dims = {dim for parameter in parameters.values() for dim in parameter.dims} - {runs.reference}
    axes = {dim: axis for dim, axis in cube.axes.items() if dim in dims}
    problem = None
    if runs.period in axes:
        reference = cube.axes[runs.reference]
        valid = valid_times(axes[runs.period], int(reference.values[position]), reference.calendar)
        axes[runs.period] = valid
        problem = order_problem(valid, longitude=False)
    times = next((axis for axis in axes.values() if axis.kind is AxisKind.T), None)
    start = end = None
    if times is not None:
        start, end = times.take(np.array([times.values.argmin(), times.values.argmax()])).texts()
    view = replace(
        cube,
        title=f"{cube.title or cube.id}, run of {run_id}",
        parameters=parameters,
        axes=axes,
        fixed={**cube.fixed, runs.reference: position},
        extent=replace(cube.extent, start=start, end=end),
        unsupported=cube.unsupported or problem,
    )
    return replace(opened, cube=view)


def valid_times(period: Axis, reference: int, calendar: str) -> Axis:
    """Return the axis of times of validity of a run.

    Parameters
    ----------
    period : Axis
        The steps (`is_period`).
    reference : int
        When the run begins: microseconds in `calendar`.
    """
    factor = cf_calendar.unit_microseconds(period.units or "")
    if factor is None:
        raise ValueError(f"{period.name} has no unit of time")

    def moments(steps: NDArray[np.generic]) -> NDArray[np.int64]:
        exact = steps.dtype.kind in "iu" and isinstance(factor, int)
        after = steps.astype(np.int64) * np.int64(factor) if exact else np.rint(steps.astype(np.float64) * factor)
        return after.astype(np.int64) + np.int64(reference)

    return Axis(
        AxisKind.T,
        TIME,
        moments(period.values),
        standard_name=TIME,
        long_name="time of validity",
        calendar=calendar,
        bounds=None if period.bounds is None else moments(period.bounds),
    )


def find_instance(opened: OpenDatacube, instance_id: str) -> Instance:
    """Return the instance of an identifier.

    Parameters
    ----------
    opened : OpenDatacube
        The collection as it is now.
    instance_id : str
        ``latest``; a reference time in the extended or the basic format of ISO 8601 (``2024-06-03T00:00:00Z``,
        ``20240603T000000Z``, seconds and minutes may be left out); a tag; or the identifier of a snapshot.

    Raises
    ------
    UnknownError
        If there is no such instance; the sentence says which there are.
    DatasetError
        If a state cannot be opened, or the repository not be read.
    """
    runs = runs_of(opened.cube)
    if runs is not None and (run_id := run_named(runs, instance_id)) is not None:
        return Instance(run_id, run(opened, runs, run_id))
    history = opened.source.history
    if history is not None:
        wanted = opened.cube.snapshot if instance_id == LATEST else instance_id
        try:
            state = history.find(wanted)
        except UNREACHABLE as error:
            raise explain(error, opened.source.label) from error
        if state is not None:
            return Instance(state.id, datacube_at(opened, state.snapshot), state)
    raise UnknownError(absence(opened, runs, instance_id))


def run_named(runs: Runs, text: str) -> str | None:
    """Return the identifier of the run that a text means, or None where it means none of them."""
    if text == LATEST:
        return max(runs.ids)
    if text in runs.ids:
        return text
    basic = BASIC.fullmatch(text)
    try:
        moment = cf_calendar.parse_moment("{}-{}-{}{}".format(*basic.groups()) if basic else text)
    except InvalidQueryError:
        return None
    if moment.offset or moment.precision not in ("hour", "minute", "second"):
        return None
    fraction = f".{moment.microsecond:06d}"
    whole = str(replace(moment, precision="second"))
    candidates = [f"{whole}{fraction}Z", *([f"{whole}Z"] if not moment.microsecond else [])]
    return next((one for one in candidates if one in runs.ids), None)


def states_of(opened: OpenDatacube) -> tuple[State, ...]:
    """Return the states of a dataset that can be asked for: tags, then snapshots, each newest first.

    Raises
    ------
    DatasetError
        If the repository cannot be read.
    """
    history = opened.source.history
    if history is None:
        return ()
    try:
        return history.states()
    except UNREACHABLE as error:
        raise explain(error, opened.source.label) from error


def absence(opened: OpenDatacube, runs: Runs | None, instance_id: str) -> str:
    """Return the sentence that says why there is no such instance, and which there are."""
    name = opened.cube.id
    if runs is None and opened.source.history is None:
        return (
            f"the collection {name!r} has no instances: it has no axis of forecast reference times, and its store "
            "keeps no earlier states"
        )
    wanted = f"the collection {name!r} has no instance {instance_id[:64]!r}"
    if runs is None:
        return f"{wanted}; there are 'latest', the tags and the snapshots that its version history lists"
    newest = ", ".join(runs.newest_first[:LISTED])
    more = f" and {len(runs.ids) - LISTED} more" if len(runs.ids) > LISTED else ""
    return f"{wanted}; there are 'latest' and the forecast runs {newest}{more}"
