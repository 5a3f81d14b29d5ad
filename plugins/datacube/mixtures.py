"""Of which cells, in which shares, is a linearly interpolated value made?

Between the centres of two neighbouring cells of an axis a value is linear; in the outer half of an edge cell it is that
of the cell, and outside all cells there is none. Along several axes the shares multiply. A cell whose share is nothing
does not count, not even where its value is missing; a share of a missing value makes the result missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import lookup
from plugins.datacube.axes import Axis
from plugins.datacube.locate import cells_of, longitude_cells
from plugins.datacube.lookup import Indices
from plugins.datacube.selection import Mixing

type Shares = tuple[Indices, NDArray[np.float64]]
"""Two cells of an axis and their shares for each of some places, both of shape (n, 2); cells are -1 outside."""


def shares(axis: Axis, values: NDArray[Any], *, circular: bool = False) -> Shares:
    """Return the two cells between whose centres each value lies, and their shares.

    Parameters
    ----------
    axis : Axis
        Of numbers or times, rising or falling throughout, or with one value.
    values : ndarray, shape (n,)
        In the units of the axis; int64 microseconds for times.
    circular : bool
        Whether they are longitudes, which count modulo 360.

    Examples
    --------
    >>> from plugins.datacube.axes import AxisKind
    >>> levels = Axis(AxisKind.Z, "level", np.array([1000.0, 500.0]))
    >>> cells, parts = shares(levels, np.array([875.0, 1100.0, 1300.0]))
    >>> cells.tolist(), parts.tolist()
    ([[0, 1], [0, 0], [-1, -1]], [[0.75, 0.25], [1.0, 0.0], [1.0, 0.0]])
    """
    gaps = np.diff(axis.values)
    if not circular and not ((gaps > 0).all() or (gaps < 0).all()):
        # Levels may be stored in any order.
        order = np.argsort(axis.values, kind="stable")
        cells, weights = shares(axis.take(order), values)
        return np.where(cells < 0, -1, order[cells]).astype(np.intp), weights
    centres = lookup.centres(axis) if axis.values.dtype.kind == "f" else axis.values
    if circular:
        inside, held = longitude_cells(axis, np.asarray(values, np.float64))
        # How far east of the centre of its cell a place lies; its neighbour is the one on that side.
        away = values - (held + (centres - axis.values)[inside])
    else:
        inside = cells_of(axis, values)
        away = values - centres[inside]
    rising = axis.size < 2 or bool(axis.values[-1] > axis.values[0])
    step = np.where((away > 0) == rising, 1, -1)
    other = inside + step
    if circular and axis.cyclic:
        other = np.mod(other, axis.size)
        gap = np.abs(np.mod(centres[other] - centres[inside] + 180.0, 360.0) - 180.0)
    else:
        other = np.where((other < 0) | (other >= axis.size), inside, other)
        gap = np.abs(centres[other] - centres[inside])
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where((gap > 0) & (other != inside), np.abs(away) / gap, 0.0)
    part = np.clip(part, 0.0, 1.0)
    other = np.where(part == 0.0, inside, other)
    outside = inside < 0
    cells = np.where(outside[:, None], -1, np.stack([inside, other], axis=1))
    weights = np.stack([1.0 - part, part], axis=1)
    weights[outside] = (1.0, 0.0)
    return cells.astype(np.intp), weights


def combined(several: Sequence[Shares]) -> tuple[tuple[Indices, ...], NDArray[np.float64]]:
    """Multiply the shares along several axes.

    Parameters
    ----------
    several : sequence of Shares
        For each axis, of the same places.

    Returns
    -------
    cells : tuple of ndarray of int, each of shape (n, 2 ** axes)
        The position along each axis.
    weights : ndarray of float64, shape (n, 2 ** axes)
    """
    number = several[0][1].shape[0]
    positions: list[NDArray[np.intp]] = []
    weights = np.ones((number, 1))
    for cells, parts in several:
        weights = (weights[:, :, None] * parts[:, None, :]).reshape(number, -1)
        positions = [np.repeat(earlier, 2, axis=1) for earlier in positions]
        positions.append(np.tile(cells, (1, weights.shape[1] // 2)))
    return tuple(positions), weights


def distinct(positions: Sequence[Indices]) -> tuple[tuple[Indices, ...], Indices]:
    """Return each combination of positions once, and where each stands among these.

    Parameters
    ----------
    positions : sequence of ndarray of int, all of one shape
        Along each dimension; not negative.

    Returns
    -------
    once : tuple of ndarray of int, each of shape (k,)
    places : ndarray of int, of the shape of the positions
    """
    shape = positions[0].shape
    sizes = [int(part.max(initial=0)) + 1 for part in positions]
    flat = np.ravel_multi_index(tuple(part.ravel() for part in positions), sizes)
    found, places = np.unique(flat, return_inverse=True)
    once = tuple(np.asarray(part, np.intp) for part in np.unravel_index(found, sizes))
    return once, places.reshape(shape).astype(np.intp)


def along_axis(axis: Axis, values: NDArray[Any]) -> tuple[Indices, Mixing]:
    """Return which positions of an axis to read, and how to mix them for each value; none if one lies outside."""
    cells, parts = shares(axis, values)
    if (cells < 0).any():
        cells, parts = cells[:0], parts[:0]
    read, places = np.unique(cells, return_inverse=True)
    return read.astype(np.intp), Mixing(places.reshape(cells.shape).astype(np.intp), parts)
