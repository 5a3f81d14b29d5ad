"""Of which member, and of which forecast, are the values of an answer, and at which times do they hold?

A forecast may be stored by reference time and step; what it says, it says of the times at which both meet. ECMWF's
readers of CoverageJSON want these valid times, and the reference time and the member beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS, to_iso
from plugins.datacube.coverage import Coverage, Values
from plugins.datacube.errors import InvalidQueryError
from plugins.formats.domains import is_timed, path_of
from plugins.formats.rasters import ANY_GRID

_MEMBERS: Final = ("number", "realization", "member", "ensemble_member")
_STEPS: Final = ("step", "forecast_period", "leadtime", "lead_time")
_UNITS: Final = {"": "hour", "h": "hour", "hr": "hour", "min": "minute", "s": "second", "sec": "second", "d": "day"}


@dataclass(frozen=True, slots=True)
class Slice:
    """A coverage at one value of every custom axis; its times are those for which its values hold."""

    coverage: Coverage
    axes: Mapping[AxisKind, Axis]
    """In array order; t, z, and y and x or a composite axis."""
    ranges: Mapping[str, Values]
    dimensions: Mapping[str, Any]
    number: Any
    """The member; None where there is none."""
    reference: str | None
    """The reference time of the forecast; None where the data do not say it apart from the time."""
    step: Any
    """Hours from there, of a forecast of one step."""


def slices(coverage: Coverage, key: str) -> Iterator[Slice]:
    """Yield a coverage at each of its members, with the times at which its values hold.

    Parameters
    ----------
    coverage : Coverage
        Of any domain.
    key : str
        The format that needs it, for errors.

    Raises
    ------
    InvalidQueryError
        If another custom axis than members and steps has several values, if several steps have several reference times
        or none, or steps no unit of time.
    """
    coverage, reference, step = _valid(coverage, key)
    custom = [axis for axis in coverage.axes if axis.kind is AxisKind.CUSTOM]
    rest: dict[AxisKind, Axis] = {axis.kind: axis for axis in coverage.axes if axis.kind is not AxisKind.CUSTOM}
    for axis in custom:
        if axis.size > 1 and not _named(axis, _MEMBERS):
            sentence = f"{key} tells members apart, and not values of {axis.name}"
            raise InvalidQueryError("f", sentence, f"one {axis.name}, or {ANY_GRID}")
    for index in product(*(range(axis.size) for axis in custom)):
        held = {axis.name: axis.values[i].item() for axis, i in zip(custom, index, strict=True)}
        number = next((held[axis.name] for axis in custom if _named(axis, _MEMBERS)), None)
        # The ellipsis keeps an array an array where no axis is left.
        place: tuple[Any, ...] = (*index, ...)
        ranges = {name: values[place] for name, values in coverage.ranges.items()}
        yield Slice(coverage, rest, ranges, held, number, reference, step)


def _valid(coverage: Coverage, key: str) -> tuple[Coverage, str | None, Any]:
    """Return a coverage whose times are those for which its values hold, the reference time, and the one step."""
    number = next((n for n, axis in enumerate(coverage.axes) if _named(axis, _STEPS)), None)
    if number is None:
        return coverage, None, None
    steps = coverage.axes[number]
    lengths = _microseconds(steps, key)
    place = next((n for n, axis in enumerate(coverage.axes) if axis.kind is AxisKind.T), None)
    several = InvalidQueryError(
        "f", f"{key} takes the steps of one reference time", f"one {steps.name}, one time, or {ANY_GRID}"
    )
    if place is None:
        path = path_of(coverage)
        if steps.size > 1 or path is None or not is_timed(path):
            raise several
        moved = tuple(
            replace(part, values=part.values + lengths[0], bounds=None) if part.kind is AxisKind.T else part
            for part in path.components
        )
        axes = tuple(replace(axis, components=moved) if axis is path else axis for axis in coverage.axes)
        return replace(coverage, axes=axes), None, None
    times = coverage.axes[place]
    if steps.size > 1 and times.size > 1:
        raise several
    valid = replace(times, values=np.add.outer(times.values, lengths).reshape(-1), bounds=None)
    axes = tuple(valid if axis is times else axis for axis in coverage.axes if axis is not steps)
    shape = tuple(axis.size for axis in axes)
    # One of the two has one value: the other takes the place of the time.
    ranges = {
        name: (values if steps.size == 1 else np.moveaxis(values, number, place)).reshape(shape)
        for name, values in coverage.ranges.items()
    }
    reference = to_iso(times.values, times.calendar)[0] if times.size == 1 else None
    hours = float(lengths[0] / MICROSECONDS["hour"])
    step = (int(hours) if hours.is_integer() else hours) if steps.size == 1 else None
    kind = coverage.domain_type if steps.size == 1 else None
    return replace(coverage, axes=axes, ranges=ranges, domain_type=kind), reference, step


def _named(axis: Axis, names: Sequence[str]) -> bool:
    return axis.kind is AxisKind.CUSTOM and (axis.standard_name in names or axis.name.lower() in names)


def _microseconds(steps: Axis, key: str) -> NDArray[np.int64]:
    """Return steps as microseconds; without a unit they are hours, as at ECMWF."""
    written = (steps.units or "").strip().lower()
    unit = _UNITS.get(written, written.removesuffix("s"))
    if unit not in MICROSECONDS or steps.values.dtype.kind not in "iuf":
        raise InvalidQueryError("f", f"{key} takes steps in a unit of time, and {steps.name} has none", ANY_GRID)
    return np.rint(np.asarray(steps.values, np.float64) * MICROSECONDS[unit]).astype(np.int64)
