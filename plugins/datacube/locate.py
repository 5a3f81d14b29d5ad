"""Which cell of an axis contains each of many values?

The rules are those of `lookup.cell_of` and `lookup.longitude_cell`, value by value: the cell that contains the value,
bounds included; of several the one whose centre is nearest; of equally near ones the first in stored order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import lookup
from plugins.datacube.axes import Axis
from plugins.datacube.cells import exact_ladder, ladder
from plugins.datacube.lookup import Indices


def cells_of(axis: Axis, values: NDArray[Any]) -> Indices:
    """Return the position of the cell that contains each value, -1 where none does.

    Parameters
    ----------
    axis : Axis
        Of numbers or times; longitudes go to `longitude_cells`.
    values : ndarray, shape (n,)
        In the units of the axis; int64 microseconds for a time axis.

    Examples
    --------
    >>> from plugins.datacube.axes import AxisKind
    >>> levels = Axis(AxisKind.Z, "level", np.array([1000.0, 850.0, 500.0]))
    >>> cells_of(levels, np.array([900.0, 1075.0, 1076.0])).tolist()
    [1, 0, -1]
    """
    return _nearest(axis, values)[0]


def longitude_cells(axis: Axis, longitudes: NDArray[np.float64]) -> tuple[Indices, NDArray[np.float64]]:
    """Return the cells that contain longitudes modulo 360, and their centres in the convention of each longitude.

    Returns
    -------
    indices : ndarray of int, shape (n,)
        -1 where no cell contains the longitude; its centre means nothing.
    centres : ndarray of float64, shape (n,)
    """
    bounds = lookup.cells(axis)
    west, east = float(bounds.min()), float(bounds.max())
    most = float(lookup.tolerances(axis).max()) + 1e-6
    inside = longitudes - 360.0 * np.floor((longitudes - west) / 360.0)
    indices, distances = _nearest(axis, inside)
    found = [(indices, distances)]
    # A cell may end beyond a full turn, and the first one forgives a rounding to its west.
    for turn in (360.0, -360.0):
        again = np.flatnonzero((inside + turn >= west - most) & (inside + turn <= east + most))
        if again.size:
            other = np.full(longitudes.shape, -1, np.intp), np.full(longitudes.shape, np.inf)
            other[0][again], other[1][again] = _nearest(axis, inside[again] + turn)
            found.append(other)
    distances = np.stack([distance for _, distance in found])
    near = distances <= distances.min(axis=0) + 1e-9
    indices = np.where(near, np.stack([index for index, _ in found]), axis.size).min(axis=0)
    indices[np.isinf(distances.min(axis=0))] = -1
    centres = axis.values[indices].astype(np.float64)
    return indices, centres + 360.0 * np.rint((longitudes - centres) / 360.0)


def _nearest(axis: Axis, values: NDArray[Any]) -> tuple[Indices, NDArray[np.float64]]:
    """Return the cell of each value and the distance of its centre; -1 and infinity where no cell contains it."""
    exact = axis.values.dtype.kind in "iu" and values.dtype.kind in "iu"
    steps = exact_ladder(axis) if exact else ladder(axis)
    if steps is None:
        return _one_by_one(axis, values)
    order, low, high = steps.order, steps.low, steps.high
    first, stop = np.searchsorted(high, values, "left"), np.searchsorted(low, values, "right")
    most = int((stop - first).max(initial=0))
    candidates = np.full((max(most, 1), values.size), -1, np.intp)
    distances = np.full(candidates.shape, np.inf)
    for step in range(most):
        held = first + step < stop
        index = order[(first + step)[held]]
        candidates[step, held] = index
        distances[step, held] = np.abs(axis.values[index] - values[held])
    best = distances.min(axis=0)
    near = distances <= best + (0 if exact else 1e-9 * np.abs(values))
    indices = np.where(near & (candidates >= 0), candidates, axis.size).min(axis=0)
    return np.where(indices == axis.size, -1, indices), best


def _one_by_one(axis: Axis, values: NDArray[Any]) -> tuple[Indices, NDArray[np.float64]]:
    """Do the same where cells lie within other cells."""
    known = {value: lookup.cell_of(axis, value) for value in set(values.tolist())}
    found = [known[value] for value in values.tolist()]
    indices = np.array([-1 if index is None else index for index in found], np.intp)
    return indices, np.where(indices < 0, np.inf, np.abs(axis.values[indices] - values).astype(np.float64))
