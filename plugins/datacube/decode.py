"""What number does a stored value stand for?

The rules of CF conventions 1.11, section 2.5.1 (missing data) and 8.1 (packed data), with the results of xarray's
decoding to the last bit: missing values become NaN, then ``scale_factor`` is multiplied and ``add_offset`` added in the
decoded dtype. Missing values are compared as stored, before any rounding. Integers that are not packed stay integers;
where they have missing values the answer carries a mask, since no integer is "not a number".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.coverage import Values
from plugins.datacube.datacube import Parameter

type Mask = NDArray[np.bool_]


def decode(stored: NDArray[Any], parameter: Parameter) -> tuple[NDArray[Any], Mask | None]:
    """Turn stored values into decoded ones.

    Parameters
    ----------
    stored : ndarray, any shape
        Values as stored, in any byte order; not changed.
    parameter : Parameter
        Its decoded dtype, missing values, scale factor and offset.

    Returns
    -------
    values : ndarray, same shape
        In the decoded dtype and native byte order; floats have NaN where the value is missing.
    mask : ndarray of bool or None
        True where an integer is missing; None for floats, and where none is.
    """
    missing = _missing(stored, parameter)
    dtype = decoded_dtype(parameter)
    values = stored.astype(dtype)
    if dtype.kind != "f":
        return values, missing
    if missing is not None:
        values[missing] = np.nan
    if parameter.scale_factor is not None:
        values *= parameter.scale_factor
    if parameter.add_offset is not None:
        values += parameter.add_offset
    return values, None


def decoded_dtype(parameter: Parameter) -> np.dtype[Any]:
    """Return the dtype of the answer: integers that are not packed stay what they are.

    xarray makes floats of integers with a fill value; here they keep their exact values, and a mask.
    """
    packed = parameter.scale_factor is not None or parameter.add_offset is not None
    return _decoded_dtype(parameter.stored_dtype, parameter.dtype, packed)


@lru_cache(maxsize=256)
def _decoded_dtype(stored: str, decoded: str, packed: bool) -> np.dtype[Any]:
    exact = np.dtype(stored).kind in "iub" and not packed
    return np.dtype(stored if exact else decoded).newbyteorder("=")


class Range:
    """The values of one parameter while blocks of them arrive, from any thread.

    Parameters
    ----------
    shape : tuple of int
    parameter : Parameter
    partial : bool
        Whether some values will not arrive: they are missing.
    """

    def __init__(self, shape: tuple[int, ...], parameter: Parameter, *, partial: bool) -> None:
        dtype = decoded_dtype(parameter)
        self._floating = dtype.kind == "f"
        self.values: NDArray[Any] = np.empty(shape, dtype)
        self.mask: Mask | None = None
        if partial and self._floating:
            self.values.fill(np.nan)
        elif not self._floating and (partial or parameter.missing):
            self.mask = np.full(shape, partial)
            self.values.fill(0)

    def put(self, where: tuple[Any, ...], values: NDArray[Any], mask: Mask | None) -> None:
        """Store decoded values; no two calls share a place."""
        self.values[where] = values
        if self.mask is not None:
            self.mask[where] = False if mask is None else mask

    def exclude(self, outside: Mask) -> None:
        """Make the values missing where `outside`, of the shape of the last dimensions, is True."""
        if self._floating:
            self.values[..., outside] = np.nan
        elif self.mask is not None:
            self.mask[..., outside] = True

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Give the values another shape of the same size."""
        self.values = self.values.reshape(shape)
        self.mask = None if self.mask is None else self.mask.reshape(shape)

    def mix(self, dim: int, sources: NDArray[np.intp], weights: NDArray[np.float64]) -> None:
        """Replace the values along one dimension by weighted sums of them, as float64; one alone stays what it is.

        Parameters
        ----------
        dim : int
            Counted from the first dimension, or negative from the last.
        sources : ndarray of int, shape (m, k)
            Positions along that dimension.
        weights : ndarray of float64, shape (m, k)
            What has the weight 0 does not count, also where it is missing; a share of a missing value is missing.
        """
        if sources.shape[1] == 1:
            self.values = self.values.take(sources[:, 0], axis=dim)
            self.mask = None if self.mask is None else self.mask.take(sources[:, 0], axis=dim)
            return
        values = np.moveaxis(self.values.astype(np.float64), dim, -1)
        if self.mask is not None:
            values[np.moveaxis(self.mask, dim, -1)] = np.nan
        total = np.zeros((*values.shape[:-1], sources.shape[0]))
        for column in range(sources.shape[1]):
            share = weights[:, column]
            part = values[..., sources[:, column]] * share
            total += np.where(share == 0.0, 0.0, part)
        self.values, self.mask, self._floating = np.ascontiguousarray(np.moveaxis(total, -1, dim)), None, True

    def spread(self, places: NDArray[np.intp]) -> None:
        """Lay the values of the last dimension out over a grid; -1 is missing.

        Parameters
        ----------
        places : ndarray of int, shape (ny, nx)
            Which value each cell of the grid takes.
        """
        nothing = places < 0
        self.values = self.values[..., places]
        if self._floating:
            self.values[..., nothing] = np.nan
            return
        self.mask = np.zeros(self.values.shape, bool) if self.mask is None else self.mask[..., places]
        self.mask[..., nothing] = True

    def finish(self, where: tuple[Any, ...] = (...,)) -> Values:
        """Return the values, or a contiguous part of them, masked where integers are missing."""
        values = np.ascontiguousarray(self.values[where])
        if self.mask is None:
            return values
        return np.ma.MaskedArray(values, np.ascontiguousarray(self.mask[where]))


def _missing(stored: NDArray[Any], parameter: Parameter) -> Mask | None:
    mask: Mask | None = None
    for value in parameter.missing:
        if value != value:
            continue  # NaN is missing already
        # An integral float such as -32767.0 is compared as an integer: exact for 64 bits, too.
        exact = int(value) if stored.dtype.kind in "iu" and float(value).is_integer() else value
        equal = stored == exact
        mask = equal if mask is None else mask | equal
    return mask
