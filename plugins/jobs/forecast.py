"""When do jobs start and end, by what earlier ones have taken, and how sure is that?

The queue is played forward many times, each time with durations drawn from those of finished jobs; and first, so that a
small sample is not taken for the truth, the sample itself is drawn anew (bootstrap). The interval holds four of five
outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

type Draws = npt.NDArray[np.float64]
"""Shape (`DRAWS`,): one value, seconds, in each course of events."""

DRAWS: Final = 200
FEWEST: Final = 5
"""Finished jobs below which nothing is said."""
MOST_STEPS: Final = 500
"""Jobs ahead that are played one by one; a longer queue is extrapolated."""
CONFIDENCE: Final = 0.8
LEAST_PROGRESS: Final = 10
"""Per cent from which progress says more than the durations of other jobs."""
PROGRESS_SPREAD: Final = 0.5
"""Standard deviation of the logarithm of the time that is left by the progress: from half to double, mostly."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Seconds from now: four of five times it lies between the ends."""

    earliest: float
    expected: float
    """The median."""
    latest: float


def known(seconds: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return a sample of durations, seconds, shape (n,); empty where there are fewer than `FEWEST`."""
    return np.asarray(seconds if len(seconds) >= FEWEST else [], dtype=float)


def interval(draws: Draws | None) -> Interval | None:
    """Return median and interval of some draws, or None for None."""
    if draws is None:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail])
    return Interval(float(low), float(middle), float(high))


def bootstrap(sample: npt.NDArray[np.float64], seed: int) -> Draws | None:
    """Return one duration in each course of events, or None without a sample."""
    if not len(sample):
        return None
    chance = np.random.default_rng(seed)
    return sample[chance.integers(len(sample), size=DRAWS)]


def left(elapsed: float, progress: int, sample: npt.NDArray[np.float64], seed: int) -> Draws | None:
    """Return the seconds that a running job still needs, or None where nothing says so.

    Parameters
    ----------
    elapsed : float
        Seconds that it has been running.
    progress : int
        Per cent.
    sample : ndarray of shape (n,)
        What similar jobs have taken, seconds.
    seed : int
    """
    chance = np.random.default_rng(seed)
    if progress >= LEAST_PROGRESS:
        middle = elapsed * (100 - progress) / progress
        return np.asarray(middle * np.exp(chance.normal(0.0, PROGRESS_SPREAD, DRAWS)))
    longer = sample[sample > elapsed]
    if len(longer) < FEWEST:
        return None
    return np.asarray(longer[chance.integers(len(longer), size=DRAWS)] - elapsed)


def starts(
    running: Sequence[Draws | None], slots: int, sample: npt.NDArray[np.float64], last: int
) -> Callable[[int], Draws | None]:
    """Play a queue forward, and return a function that says when the n-th in it starts.

    Parameters
    ----------
    running : sequence of Draws or None
        Seconds that each running job still needs, where that is known.
    slots : int
    sample : ndarray of shape (n,)
        What jobs take, seconds; empty where it is not known.
    last : int
        The largest n, from 1, that will be asked for.
    """
    free = slots - len(running)
    blind = any(draws is None for draws in running) or not len(sample)
    if blind or last < 1:
        # What starts on a free slot needs no forecast.
        return lambda n: np.zeros(DRAWS) if n <= free else None
    chance = np.random.default_rng(len(sample) * 1_000 + slots)
    resampled = sample[chance.integers(len(sample), size=(DRAWS, len(sample)))]
    ends = np.stack([draws for draws in running if draws is not None] or [np.zeros(DRAWS)], axis=1)
    ends = np.sort(np.hstack([ends[:, : len(running)], np.zeros((DRAWS, max(0, free)))]), axis=1)[:, -slots:]
    courses = np.arange(DRAWS)
    moments: list[Draws] = []
    for _ in range(min(last, MOST_STEPS)):
        next_slot = ends.argmin(axis=1)
        begin = ends[courses, next_slot]
        moments.append(begin)
        ends[courses, next_slot] = begin + resampled[courses, chance.integers(len(sample), size=DRAWS)]

    def at(n: int) -> Draws:
        if n <= len(moments):
            return moments[n - 1]
        return np.asarray(moments[-1] * (n / len(moments)))

    return at
