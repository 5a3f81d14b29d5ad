"""Which valid times does a forecast run have, as the datacube core finds the runs?

`plugins.datacube.instances` says what a run is, for every front alike; here the valid times of all of them are found at
once, without opening each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube
from plugins.datacube.instances import Runs, runs_of, valid_times


@dataclass(frozen=True, slots=True)
class Run:
    """One forecast run."""

    id: str
    """Its reference time, ISO 8601, in the calendar of the data."""
    dimension: str
    """The stored dimension of reference times."""
    period: str | None
    """The stored dimension of steps, which are times of validity in the run; None where those are stored."""
    position: int
    """On this dimension."""
    first: str
    """First and last time of validity, ISO 8601."""
    last: str


def valid_extent(cube: Datacube) -> tuple[str, str] | None:
    """Return the first and last time of validity of all runs; None where there are none."""
    runs = runs_of(cube)
    if runs is None or runs.period is None:
        return None
    reference = cube.axes[runs.reference]
    texts = [
        text
        for moment in (reference.values.min(), reference.values.max())
        for text in _ends(valid_times(cube.axes[runs.period], int(moment), reference.calendar))
    ]
    return texts[0], texts[-1]


def each_run(cube: Datacube, runs: Runs) -> Iterator[Run]:
    """Yield the runs of a cube, the oldest first."""
    reference = cube.axes[runs.reference]
    for position in np.argsort(reference.values, kind="stable").tolist():
        name = runs.ids[position]
        if runs.period is not None:
            moment = int(reference.values[position])
            first, last = _ends(valid_times(cube.axes[runs.period], moment, reference.calendar))
        else:
            time = cube.axis(AxisKind.T)
            assert time is not None  # noqa: S101 - there are no such runs without times of validity
            first, last = _ends(time)
            # What is valid before a run began is of the others. ISO 8601 of one form sorts as the times do.
            first = min(max(first, name), last)
        yield Run(name, runs.reference, runs.period, position, first, last)


def _ends(time: Axis) -> tuple[str, str]:
    first, last = time.take(np.array([time.values.argmin(), time.values.argmax()])).texts()
    return first, last
