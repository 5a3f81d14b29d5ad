"""How often, by how much and for how long do values lie beyond a threshold?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.reduce.kernel import State
from plugins.datacube.reduce.sample import Sample
from plugins.datacube.reduce.sums import Sum


class Comparison(StrEnum):
    """On which side of the threshold."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="


_TEST: Final[dict[Comparison, Callable[..., Any]]] = {
    Comparison.ABOVE: np.greater,
    Comparison.AT_LEAST: np.greater_equal,
    Comparison.BELOW: np.less,
    Comparison.AT_MOST: np.less_equal,
}


@dataclass(frozen=True, slots=True)
class Beyond:
    """A threshold and the side of it that counts."""

    comparison: Comparison
    threshold: float
    """In the units of the data; compared with their own precision (float32 data with the float32 next to it)."""

    def test(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell which values lie there; missing ones do not."""
        return np.asarray(_TEST[self.comparison](values, values.dtype.type(self.threshold)))

    @property
    def upwards(self) -> bool:
        """Whether larger values lie beyond."""
        return self.comparison in (Comparison.ABOVE, Comparison.AT_LEAST)


@dataclass(frozen=True, slots=True)
class Hits:
    """How many values lie beyond a threshold."""

    beyond: Beyond
    whole: ClassVar[bool] = False
    width: ClassVar[int] = 16

    def partial(self, sample: Sample) -> State:
        """Count the values beyond, and all."""
        return sample.add(self.beyond.test(sample.values), np.int64), sample.counts

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the count of nothing."""
        return np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def combine(self, first: State, second: State) -> State:
        """Add."""
        return first[0] + second[0], first[1] + second[1]

    def finish(self, state: State) -> NDArray[Any]:
        """Return the count, NaN where no value is there."""
        return np.where(state[1] > 0, state[0], np.nan)


@dataclass(frozen=True, slots=True)
class Share:
    """Which share of the values lies beyond a threshold, 0..1."""

    beyond: Beyond
    whole: ClassVar[bool] = False
    width: ClassVar[int] = 16

    def partial(self, sample: Sample) -> State:
        """Count the values beyond, and all."""
        return Hits(self.beyond).partial(sample)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the count of nothing."""
        return Hits(self.beyond).identity(shape)

    def combine(self, first: State, second: State) -> State:
        """Add."""
        return Hits(self.beyond).combine(first, second)

    def finish(self, state: State) -> NDArray[Any]:
        """Divide by the count of values."""
        hits, count = state
        return np.asarray(np.divide(hits, count, out=np.full(hits.shape, np.nan), where=count > 0))


@dataclass(frozen=True, slots=True)
class Excess:
    """The sum of how far the values lie beyond a threshold: degree days, where each row is a day."""

    beyond: Beyond
    whole: ClassVar[bool] = False
    width: ClassVar[int] = 24

    def partial(self, sample: Sample) -> State:
        """Add up the excess; the weight of a row is its length in days."""
        sign = 1.0 if self.beyond.upwards else -1.0
        away = np.maximum((sample.values.astype(np.float64) - self.beyond.threshold) * sign, 0.0)
        return Sum().partial(Sample(away, sample.labels, sample.weights))

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the sum of nothing."""
        return Sum().identity(shape)

    def combine(self, first: State, second: State) -> State:
        """Add."""
        return Sum().combine(first, second)

    def finish(self, state: State) -> NDArray[Any]:
        """Return the sum."""
        return Sum().finish(state)


@dataclass(frozen=True, slots=True)
class Spell:
    """The most rows one after the other that lie beyond a threshold; a missing value ends a spell."""

    beyond: Beyond
    whole: ClassVar[bool] = True
    width: ClassVar[int] = 8

    def partial(self, sample: Sample) -> State:
        """Count along the rows, which come in their order in time."""
        longest = np.zeros(sample.counts.shape)
        for number, rows in enumerate(sample.runs()):
            here = np.zeros(sample.values.shape[1:], np.int64)
            most = np.zeros_like(here)
            for hit in self.beyond.test(sample.values[rows]):
                here = (here + 1) * hit
                np.maximum(most, here, out=most)
            longest[number] = most
        return (np.where(sample.counts > 0, longest, np.nan),)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the spell of nothing."""
        return (np.full(shape, np.nan),)

    def combine(self, first: State, second: State) -> State:  # noqa: ARG002 -- of the protocol
        """Refuse: a spell may go on over the border of two parts."""
        raise TypeError("a spell needs all values of its group at once")

    def finish(self, state: State) -> NDArray[Any]:
        """Return the length of the longest spell, in rows."""
        return state[0]
