"""What must a statistic say of itself so that it can be made in blocks, by any engine, in any order?

A kernel reduces a block to a *partial* (a few arrays, one row a group), combines two partials, and finishes one. With
``A`` and ``B`` any division of the rows::

    finish(combine(partial(A), partial(B))) == finish(partial(A + B))

exactly for counts, extremes and percentiles. Sums are made in float64 and carry what is lost between blocks (TwoSum),
so that they differ by no more than ``n * 2**-53`` of the sum of the absolute values, n being the rows of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.reduce.sample import Sample

type State = tuple[NDArray[Any], ...]
"""The arrays of a partial, each of shape (g, ...)."""


class Kernel(Protocol):
    """One statistic. Immutable and picklable: it travels to wherever the blocks are."""

    @property
    def whole(self) -> bool:
        """Whether it needs all rows of a group in one block: then nothing is ever combined."""

    @property
    def width(self) -> int:
        """Bytes that a partial holds for each value of the answer."""

    def partial(self, sample: Sample) -> State:
        """Reduce a block."""

    def identity(self, shape: tuple[int, ...]) -> State:
        """Return the partial of no rows; `shape` is that of the answer, (g, ...)."""

    def combine(self, first: State, second: State) -> State:
        """Make one partial of two of the same groups; `first` is of the earlier rows."""

    def finish(self, state: State) -> NDArray[Any]:
        """Return the statistic, shape (g, ...); NaN where no value was there."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The partials of several kernels over one block."""

    groups: NDArray[np.intp]
    """Rising, shape (g,)."""
    states: tuple[State, ...]
    """One a kernel."""


def partial(kernels: tuple[Kernel, ...], sample: Sample) -> Partial:
    """Reduce a block by several kernels: what an engine runs where the block is."""
    # Infinite values give NaN where a statistic of them is no number.
    with np.errstate(all="ignore"):
        return Partial(sample.groups, tuple(kernel.partial(sample) for kernel in kernels))


class Total:
    """Partials of blocks taken together, for groups 0..n-1.

    Parameters
    ----------
    kernels : tuple of Kernel
    shape : tuple of int
        Of the answer: groups first.
    """

    def __init__(self, kernels: tuple[Kernel, ...], shape: tuple[int, ...]) -> None:
        self._kernels = kernels
        self._states = [kernel.identity(shape) for kernel in kernels]

    def take(self, part: Partial, first: int = 0) -> None:
        """Take in a partial, whose group `first` is group 0 here."""
        groups = part.groups - first
        where: Any = groups
        if bool((np.diff(groups) == 1).all()):
            where = slice(int(groups[0]), int(groups[-1]) + 1)
        for number, (kernel, state) in enumerate(zip(self._kernels, part.states, strict=True)):
            mine = self._states[number]
            with np.errstate(all="ignore"):
                merged = state if kernel.whole else kernel.combine(tuple(array[where] for array in mine), state)
            for array, values in zip(mine, merged, strict=True):
                array[where] = values

    def finish(self) -> list[NDArray[Any]]:
        """Return the statistics, one array of shape (g, ...) a kernel."""
        with np.errstate(all="ignore"):
            return [kernel.finish(state) for kernel, state in zip(self._kernels, self._states, strict=True)]
