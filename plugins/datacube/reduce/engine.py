"""How is a reduction carried out on this machine?

Block after block: what is read of one is reduced before the next is read, and the threads that decode share a block.
The work between two looks at the cancel token is one block. Another engine would map `kernel.partial` over the same
blocks, and take the partials together in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.cancel import Cancel
from plugins.datacube.chunks import ChunkCache
from plugins.datacube.decode import decoded_dtype
from plugins.datacube.library import OpenDatacube
from plugins.datacube.read import read
from plugins.datacube.reduce.kernel import Kernel, Total, partial
from plugins.datacube.reduce.reduction import Reduction, Work
from plugins.datacube.reduce.sums import Count

_NO_CACHE: Final = ChunkCache(0)
"""What is read for a reduction is read once: it would push out of the cache what others need."""


def reduce(
    opened: OpenDatacube, reduction: Reduction, cancel: Cancel, progress: Callable[[float], None] | None = None
) -> Mapping[str, list[NDArray[Any]]]:
    """Carry out a reduction.

    Parameters
    ----------
    opened : OpenDatacube
        The dataset, at the snapshot of the reduction.
    reduction : Reduction
    cancel : Cancel
        Looked at before each block.
    progress : callable, optional
        Called with the done fraction, 0 to 1.

    Returns
    -------
    mapping of str to list of ndarray
        By the name of the parameter that was reduced: one array a statistic, in the order of the layout, with the
        groups where the rows were; floats with NaN where no value, or too few, were there.

    Raises
    ------
    StorageError, CancelledError, BusyError
        As `plugins.datacube.read.read`.
    """
    done, total = 0, max(1, reduction.cost.chunks)
    answers: dict[str, list[NDArray[Any]]] = {}

    def advance(chunks: int) -> None:
        nonlocal done
        done += chunks
        if progress is not None:
            progress(min(1.0, done / total))

    for work in reduction.works:
        answers[work.layout.parameter.name] = _reduce(opened, reduction, work, cancel, advance)
    return answers


def _reduce(
    opened: OpenDatacube, reduction: Reduction, work: Work, cancel: Cancel, advance: Callable[[int], None]
) -> list[NDArray[Any]]:
    kernels: tuple[Kernel, ...] = tuple(statistic.kernel for statistic in reduction.statistics)
    counted: tuple[Kernel, ...] = (*kernels, Count()) if reduction.least_share > 0 else kernels
    out = [
        np.empty(work.answer, decoded_dtype(statistic.describe(work.layout.parameter)))
        for statistic in reduction.statistics
    ]
    for tile in work.tiles():
        where = (tile.groups, *(tile.region[number] for number in work.shape.kept))
        totals = Total(counted, out[0][where].shape)
        for block in tile.blocks:
            cancel.raise_if_cancelled()
            plan = work.layout.plan(block)
            values = work.layout.values(read(opened, plan, cancel, cache=_NO_CACHE))
            sample = work.rows.sample(values, block)
            if sample.labels.size:
                totals.take(partial(counted, sample), tile.groups.start)
            advance(plan.cost.chunks)
        found = totals.finish()
        few = _too_few(work, tile.groups, found[-1], reduction.least_share)
        for array, statistic in zip(out, found, strict=False):
            if few is not None and array.dtype.kind == "f":
                statistic = np.where(few, np.nan, statistic)
            with np.errstate(over="ignore"):
                array[where] = statistic
    return [work.arranged(array) for array in out]


def _too_few(work: Work, groups: slice, counts: NDArray[Any], least_share: float) -> NDArray[np.bool_] | None:
    if least_share <= 0 or work.rows.sizes is None:
        return None
    sizes = work.rows.sizes[groups].reshape(-1, *(1,) * (counts.ndim - 1))
    return np.asarray(counts < least_share * sizes)
