"""How are minima, maxima and percentiles found?

Percentiles are exact: all values of a group are sorted, and the percentile lies linearly between the two around it
(definition 7 of Hyndman and Fan 1996, the default of NumPy, xarray, R and CDO).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.reduce.kernel import State
from plugins.datacube.reduce.sample import Sample


@dataclass(frozen=True, slots=True)
class Minimum:
    """The least value."""

    whole: ClassVar[bool] = False
    width: ClassVar[int] = 8

    def partial(self, sample: Sample) -> State:
        """Return the least of each group; NaN where all are missing."""
        return (sample.least(sample.values),)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the least of nothing."""
        return (np.full(shape, np.nan),)

    def combine(self, first: State, second: State) -> State:
        """Return the lesser."""
        return (np.fmin(first[0], second[0]),)

    def finish(self, state: State) -> NDArray[Any]:
        """Return the least."""
        return state[0]


@dataclass(frozen=True, slots=True)
class Maximum:
    """The greatest value."""

    whole: ClassVar[bool] = False
    width: ClassVar[int] = 8

    def partial(self, sample: Sample) -> State:
        """Return the greatest of each group; NaN where all are missing."""
        return (sample.greatest(sample.values),)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the greatest of nothing."""
        return (np.full(shape, np.nan),)

    def combine(self, first: State, second: State) -> State:
        """Return the greater."""
        return (np.fmax(first[0], second[0]),)

    def finish(self, state: State) -> NDArray[Any]:
        """Return the greatest."""
        return state[0]


@dataclass(frozen=True, slots=True)
class Percentile:
    """The value below which a share of the values lies."""

    percent: float
    """0..100."""
    whole: ClassVar[bool] = True
    width: ClassVar[int] = 8

    def partial(self, sample: Sample) -> State:
        """Find the percentile of each group; every row counts once, whatever its weight."""
        found = np.empty(sample.counts.shape)
        for number, ordered in enumerate(sample.ordered):
            found[number] = self._of(ordered, np.asarray(sample.counts[number]))
        return (found,)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the percentile of nothing."""
        return (np.full(shape, np.nan),)

    def combine(self, first: State, second: State) -> State:  # noqa: ARG002 -- of the protocol
        """Refuse: a percentile of two parts is not made of theirs."""
        raise TypeError("a percentile needs all values of its group at once")

    def finish(self, state: State) -> NDArray[Any]:
        """Return the percentile."""
        return state[0]

    def _of(self, ordered: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[np.float64]:
        place = np.maximum(counts - 1, 0) * (self.percent / 100.0)
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(counts - 1, 0))
        low = np.take_along_axis(ordered, below[None], axis=0)[0].astype(np.float64)
        high = np.take_along_axis(ordered, above[None], axis=0)[0].astype(np.float64)
        share = place - below
        # At equal ends nothing is added: infinity minus infinity is no number.
        between = low + (high - low) * share
        return np.asarray(np.where((low == high) | (share == 0), low, between))
