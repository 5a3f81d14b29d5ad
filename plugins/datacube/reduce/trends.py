"""By how much do values rise along the axis that is reduced, and how sure is that?

The line of least squares through all values that are there. Sums of products are combined by their means (Chan, Golub
and LeVeque 1979), never as differences of large sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.reduce.kernel import State
from plugins.datacube.reduce.sample import Sample


@dataclass(frozen=True, slots=True)
class _Line:
    whole: ClassVar[bool] = False
    width: ClassVar[int] = 48

    def partial(self, sample: Sample) -> State:
        """Return the count, both means, and the three sums of products from them."""
        if sample.places is None:
            raise ValueError("a trend needs to know where its rows lie")
        x = sample.column(sample.places)
        known = np.ones(sample.values.shape) if sample.valid is None else sample.valid.astype(np.float64)
        count = sample.add(known)
        x_mean = np.divide(sample.add(known * x), count, out=np.zeros(count.shape), where=count > 0)
        y_mean = np.divide(sample.add(sample.present), count, out=np.zeros(count.shape), where=count > 0)
        dx = (x - sample.rows(x_mean)) * known
        dy = (sample.present - sample.rows(y_mean)) * known
        return count, x_mean, y_mean, sample.add(dx * dx), sample.add(dx * dy), sample.add(dy * dy)

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the sums of nothing."""
        count, x_mean, y_mean, xx, xy, yy = np.zeros((6, *shape))
        return count, x_mean, y_mean, xx, xy, yy

    def combine(self, first: State, second: State) -> State:
        """Take two samples with their own means together."""
        count, x_mean, y_mean, xx, xy, yy = first
        more, x_other, y_other, also_xx, also_xy, also_yy = second
        both = count + more
        share = np.divide(more, both, out=np.zeros(both.shape), where=both > 0)
        dx, dy = x_other - x_mean, y_other - y_mean
        between = count * share
        return (
            both,
            x_mean + dx * share,
            y_mean + dy * share,
            xx + also_xx + dx * dx * between,
            xy + also_xy + dx * dy * between,
            yy + also_yy + dy * dy * between,
        )


@dataclass(frozen=True, slots=True)
class Slope(_Line):
    """By how much the line rises for each unit of the axis."""

    def finish(self, state: State) -> NDArray[Any]:
        """Return the slope; NaN where there are fewer than two places with values."""
        xx, xy = state[3], state[4]
        return np.asarray(np.divide(xy, xx, out=np.full(xx.shape, np.nan), where=xx > 0))


@dataclass(frozen=True, slots=True)
class SlopeError(_Line):
    """The standard error of the slope, as if the residuals were independent of each other."""

    def finish(self, state: State) -> NDArray[Any]:
        """Return the standard error; NaN where there are fewer than three values."""
        count, _, _, xx, xy, yy = state
        usable = (count > 2) & (xx > 0)
        slope = np.divide(xy, xx, out=np.zeros(xx.shape), where=usable)
        residual = np.maximum(yy - slope * xy, 0.0)
        variance = np.divide(residual, (count - 2) * xx, out=np.full(xx.shape, np.nan), where=usable)
        return np.asarray(np.sqrt(variance))


@dataclass(frozen=True, slots=True)
class Correlation(_Line):
    """How well values and places lie on a line, -1..1 (Pearson)."""

    def finish(self, state: State) -> NDArray[Any]:
        """Return the correlation; NaN where either does not vary."""
        _, _, _, xx, xy, yy = state
        spread = np.sqrt(xx * yy)
        return np.asarray(np.divide(xy, spread, out=np.full(xx.shape, np.nan), where=spread > 0))
