"""Does a layout hold the values of its dataset, as far as a few random cells tell?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray

from plugins.datacube.datacube import Parameter
from plugins.datacube.decode import decode
from plugins.datacube.library import OpenDatacube
from plugins.datacube.stored import StoredArray

CELLS: Final = 16
"""Cells of each parameter that are compared."""


def differences(opened: OpenDatacube, view: OpenDatacube, *, seed: int = 0, cells: int = CELLS) -> Iterator[str]:
    """Compare random cells, and yield the name of each parameter that has another value in the layout.

    Parameters
    ----------
    opened : OpenDatacube
        The dataset.
    view : OpenDatacube
        A layout of it, see `plugins.datacube.layouts.compare`.
    seed : int
        Of the random positions.
    cells : int
        Of each parameter; the first and the last cell besides.

    Raises
    ------
    StorageError
        If a chunk of either cannot be read.
    """
    random = np.random.default_rng(seed)
    for name, theirs in view.cube.parameters.items():
        parameter = opened.cube.parameters[name]
        shape = np.array(parameter.shape)
        places = [0 * shape, shape - 1, *(random.integers(0, shape) for _ in range(cells))]
        for place in places:
            at = dict(zip(parameter.dims, place.tolist(), strict=True))
            first = _value(opened, parameter, opened.arrays[name], at)
            second = _value(view, theirs, view.arrays[name], at)
            if not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
                yield name
                break


def _value(opened: OpenDatacube, parameter: Parameter, array: zarr.Array[Any], at: dict[str, int]) -> NDArray[Any]:
    index = tuple(at[dim] for dim in parameter.dims)
    chunk = tuple(i // size for i, size in zip(index, parameter.chunks, strict=True))
    stored = StoredArray(opened.cube.id, parameter, array).read_box(tuple(slice(i, i + 1) for i in index), [chunk])
    values, mask = decode(stored.reshape(1), parameter)
    return values if mask is None else np.append(values * ~mask, mask)
