"""In which types, and with which value for "missing", are the values of an answer stored in a binary file?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.coverage import Values
from plugins.formats.value_text import is_missing


def fill_missing(values: Values, preferred: Sequence[float | int] = ()) -> tuple[NDArray[Any], Any | None]:
    """Return plain stored values, and the value among them that means "missing".

    Floats keep every bit and use NaN. Masked integers use the first of `preferred` (what the store used), the default
    of NetCDF, and the ends of the type that is not a value of the data.

    Examples
    --------
    >>> values, fill = fill_missing(np.ma.array([1, -32767, 3], mask=[0, 0, 1], dtype="i2"))
    >>> values.tolist(), int(fill)
    ([1, -32767, -32768], -32768)
    """
    kind = values.dtype.kind
    masked = isinstance(values, np.ma.MaskedArray)
    if kind == "f":
        plain = values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) else values
        stored = storable(plain)
        return stored, stored.dtype.type(np.nan)
    if kind not in "iub":
        return storable(values.filled("") if isinstance(values, np.ma.MaskedArray) else values), None
    stored = storable(values.data if isinstance(values, np.ma.MaskedArray) else values)
    mask = np.ma.getmaskarray(values) if masked else None
    if mask is None or not mask.any():
        return stored, None
    limits = np.iinfo(stored.dtype)
    default = -(2 ** (8 * stored.dtype.itemsize - 1)) + 1 if limits.min < 0 else limits.max
    present = stored[~mask]
    for candidate in chain(preferred, (default, limits.min, limits.max), range(limits.min, limits.max)):
        fits = float(candidate).is_integer() and limits.min <= candidate <= limits.max
        if fits and not (present == int(candidate)).any():
            break
    else:
        # Every value of the type occurs (8 or 16 bits): the next larger type has room.
        wider = stored.astype(np.int32)
        wider[mask] = -1 if limits.min == 0 else limits.min - 1
        return wider, wider.dtype.type(-1 if limits.min == 0 else limits.min - 1)
    fill = stored.dtype.type(int(candidate))
    filled = stored.copy()
    filled[mask] = fill
    return filled, fill


def storable(values: NDArray[Any]) -> NDArray[Any]:
    """Return values in a type that both NetCDF and Zarr store: native numbers, or an object array of str."""
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.int8)
    if kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    if kind in "iuf":
        return np.asarray(values, values.dtype.newbyteorder("="))
    texts = np.empty(values.shape, object)
    for index, value in np.ndenumerate(values):
        texts[index] = "" if is_missing(value) else str(value)
    return texts
