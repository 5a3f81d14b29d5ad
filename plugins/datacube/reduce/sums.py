"""How are counts, sums, means and standard deviations made in blocks without losing digits?

Sums are float64 inside a block; between blocks what each addition rounds off is kept (TwoSum: Knuth, The Art of
Computer Programming, volume 2, 4.2.2, theorem B). Deviations are combined by their means (Chan, Golub and LeVeque
1979), never as the difference of two large sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.reduce.kernel import State
from plugins.datacube.reduce.sample import Sample


@dataclass(frozen=True, slots=True)
class Count:
    """How many values are there."""

    whole: ClassVar[bool] = False
    width: ClassVar[int] = 8

    def partial(self, sample: Sample) -> State:
        """Count the values that are not missing."""
        return (sample.counts,)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the count of nothing."""
        return (np.zeros(shape, np.int64),)

    def combine(self, first: State, second: State) -> State:
        """Add."""
        return (first[0] + second[0],)

    def finish(self, state: State) -> NDArray[Any]:
        """Return the count: 0 where nothing is there."""
        return state[0].astype(np.int32)


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of the values, each times the weight of its row."""

    whole: ClassVar[bool] = False
    width: ClassVar[int] = 24

    def partial(self, sample: Sample) -> State:
        """Add up, with the count (or the weights) of what was added."""
        if sample.weights is None:
            total = sample.add(sample.values)
            if np.isfinite(total).all():
                # Nothing is missing: to look at every value once more costs as much as adding it.
                return sample.sizes.astype(np.float64), total, np.zeros_like(total)
            total = sample.add(sample.present)
            return sample.counts.astype(np.float64), total, np.zeros_like(total)
        weights = sample.column(sample.weights)
        weighted = sample.present * weights
        known = np.broadcast_to(weights, sample.values.shape)
        if sample.valid is not None:
            known = known * sample.valid
        # Nought times infinity is no number, and a row without weight does not count.
        total = sample.add(np.where(known > 0, weighted, 0.0))
        return sample.add(known), total, np.zeros_like(total)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the sum of nothing."""
        return np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def combine(self, first: State, second: State) -> State:
        """Add, and keep what the addition rounds off."""
        (weight, total, lost), (more, addend, also_lost) = first, second
        added = total + addend
        share = added - total
        error = (total - (added - share)) + (addend - share)
        return weight + more, added, lost + also_lost + np.where(np.isfinite(added), error, 0.0)

    def finish(self, state: State) -> NDArray[Any]:
        """Return the sum."""
        return np.where(state[0] > 0, state[1] + state[2], np.nan)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of the values, weighted where their rows have weights."""

    whole: ClassVar[bool] = False
    width: ClassVar[int] = 24

    def partial(self, sample: Sample) -> State:
        """Add up."""
        return Sum().partial(sample)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the sum of nothing."""
        return Sum().identity(shape)

    def combine(self, first: State, second: State) -> State:
        """Add."""
        return Sum().combine(first, second)

    def finish(self, state: State) -> NDArray[Any]:
        """Divide by the count, or by the sum of the weights."""
        weight, total, lost = state
        return np.asarray(np.divide(total + lost, weight, out=np.full(total.shape, np.nan), where=weight > 0))


@dataclass(frozen=True, slots=True)
class Deviation:
    """The standard deviation, weighted where the rows have weights: the root of the mean square from the mean."""

    whole: ClassVar[bool] = False
    width: ClassVar[int] = 24

    def partial(self, sample: Sample) -> State:
        """Return the weight, the mean, and the sum of the squares from it."""
        weight, total, _ = Sum().partial(sample)
        mean = np.divide(total, weight, out=np.zeros(total.shape), where=weight > 0)
        away = sample.values - sample.rows(mean)
        square = np.square(away, out=away)
        if sample.valid is not None:
            square[~sample.valid] = 0.0
        if sample.weights is not None:
            square *= sample.column(sample.weights)
        return weight, mean, sample.add(square)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the deviation of nothing."""
        return np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def combine(self, first: State, second: State) -> State:
        """Take two samples with their own means together."""
        (weight, mean, square), (more, other, also) = first, second
        both = weight + more
        share = np.divide(more, both, out=np.zeros(both.shape), where=both > 0)
        apart = other - mean
        return both, mean + apart * share, square + also + np.square(apart) * weight * share

    def finish(self, state: State) -> NDArray[Any]:
        """Return the root of the mean square."""
        weight, _, square = state
        return np.asarray(np.sqrt(np.divide(square, weight, out=np.full(square.shape, np.nan), where=weight > 0)))
