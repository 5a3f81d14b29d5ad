"""What does a kernel see of one block: which rows of values, and to which group does each of them belong?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FEW: Final = 256
"""Values a row below which one call for all groups is faster than one call a group."""


class Sample:
    """Rows of values, sorted by group; immutable.

    Parameters
    ----------
    values : ndarray of float or (masked) ndarray of int, shape (r, ...)
        Rows that are reduced; NaN or masked where a value is missing. Integers become float64.
    labels : ndarray of int, shape (r,)
        The group of each row, in any order.
    weights : ndarray of float64, shape (r,), optional
        What a row counts, at least 0; None where all count the same.
    places : ndarray of float64, shape (r,), optional
        Where each row lies along the axis that is reduced (years, for a trend).
    """

    def __init__(
        self,
        values: NDArray[Any],
        labels: NDArray[np.intp],
        weights: NDArray[np.float64] | None = None,
        places: NDArray[np.float64] | None = None,
    ) -> None:
        values = floating(values)
        if bool((np.diff(labels) < 0).any()):
            order = np.argsort(labels, kind="stable")
            values, labels = values[order], labels[order]
            weights = None if weights is None else weights[order]
            places = None if places is None else places[order]
        self.values: NDArray[Any] = values
        self.labels = labels
        self.weights = weights
        self.places = places
        self._starts: NDArray[np.intp] = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1]).astype(np.intp)
        self._stops = np.append(self._starts[1:], labels.size)

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """The groups that occur, rising, shape (g,)."""
        return self.labels[self._starts]

    @cached_property
    def valid(self) -> NDArray[np.bool_] | None:
        """Where a value is there, shape (r, ...); None where all are."""
        missing = np.isnan(self.values)
        return ~missing if bool(missing.any()) else None

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many values each group has, shape (g, ...)."""
        return self.sizes if self.valid is None else self.add(self.valid, np.int64)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many rows each group has, for each value of a row, shape (g, ...)."""
        return self.spread(self._stops - self._starts)

    @cached_property
    def present(self) -> NDArray[Any]:
        """The values with 0 where they are missing, shape (r, ...)."""
        return self.values if self.valid is None else np.where(self.valid, self.values, self.values.dtype.type(0))

    @cached_property
    def ordered(self) -> tuple[NDArray[Any], ...]:
        """The values of each group, sorted along the rows, missing ones last."""
        return tuple(np.sort(self.values[rows], axis=0) for rows in self.runs())

    def runs(self) -> Iterator[slice]:
        """Yield the rows of each group."""
        for start, stop in zip(self._starts.tolist(), self._stops.tolist(), strict=True):
            yield slice(start, stop)

    def add(self, values: NDArray[Any], dtype: Any = np.float64) -> NDArray[Any]:
        """Add rows up by group, shape (g, ...), in `dtype`."""
        return self._reduce(np.add, values, dtype)

    def least(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the least of each group, shape (g, ...); NaN does not count unless there is nothing else."""
        return self._reduce(np.fmin, values, values.dtype)

    def greatest(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the greatest of each group, shape (g, ...)."""
        return self._reduce(np.fmax, values, values.dtype)

    def rows(self, of_groups: NDArray[Any]) -> NDArray[Any]:
        """Repeat what belongs to groups, shape (g, ...), for each of their rows, shape (r, ...)."""
        return np.repeat(of_groups, self._stops - self._starts, axis=0)

    def spread(self, of_groups: NDArray[Any]) -> NDArray[Any]:
        """Repeat one number for each group, shape (g,), for each value of a row, shape (g, ...)."""
        shaped = of_groups.reshape(-1, *(1,) * (self.values.ndim - 1))
        return np.broadcast_to(shaped, (of_groups.size, *self.values.shape[1:]))

    def column(self, of_rows: NDArray[Any]) -> NDArray[Any]:
        """Shape one number a row so that it meets the values, shape (r, 1, ...)."""
        return of_rows.reshape(-1, *(1,) * (self.values.ndim - 1))

    def _reduce(self, ufunc: np.ufunc, values: NDArray[Any], dtype: Any) -> NDArray[Any]:
        if values[0].size < FEW:
            return np.asarray(ufunc.reduceat(values, self._starts, axis=0, dtype=dtype))
        out = np.empty((self._starts.size, *values.shape[1:]), dtype)
        for number, rows in enumerate(self.runs()):
            ufunc.reduce(values[rows], axis=0, dtype=dtype, out=out[number])
        return out


def floating(values: NDArray[Any]) -> NDArray[Any]:
    """Return values as floats with NaN where they are missing; integers become float64, exact up to 2**53."""
    if isinstance(values, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(values), np.nan, values.data.astype(np.float64))
    return values if values.dtype.kind == "f" else values.astype(np.float64)
