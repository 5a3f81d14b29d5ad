"""How do millions of values become text quickly, exactly, and without ever standing in memory as a whole?

Text is what JSON writes: the shortest decimals that read back as the same float32 or float64, ``null`` for a missing
value. Infinities have no form in JSON and are written as ``null`` too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from plugins.datacube.coverage import ReadLater, Values

BLOCK = 65_536
"""Values written at once: about 700 kB of text."""


def data_type(values: Values) -> str:
    """Return ``float``, ``integer`` or ``string``, as CoverageJSON and its readers divide them."""
    kind = values.dtype.kind
    if kind == "f":
        return "float"
    return "integer" if kind in "iub" else "string"


def blocks(values: Values | ReadLater, size: int = BLOCK) -> Iterator[bytes]:
    """Yield the values in C order as JSON without brackets: ``1.5,null,2.0``, at most `size` values a block.

    Parameters
    ----------
    values : array, any shape
        Floats with NaN for missing, integers or booleans (perhaps masked), or strings; or values that are read
        while they are written.
    size : int
        Largest number of values in a block.

    Examples
    --------
    >>> list(blocks(np.array([[0.1, np.nan], [1, 2]], np.float32), size=3))
    [b'0.1,null,1.0', b'2.0']
    """
    if isinstance(values, ReadLater):
        for slab in values.slabs():
            yield from blocks(slab, size)
        return
    for start in range(0, values.size, size):
        yield _json(_flat(values, start, start + size))[1:-1]


def texts(values: Values) -> list[str | None]:
    """Return strings as Python strings in C order, None where they are missing (masked, None, or NaN)."""
    plain = values.reshape(-1).tolist()
    return [None if is_missing(value) else str(value) for value in plain]


def is_missing(value: object) -> bool:
    """Return whether an element of an array of strings is none: None, or NaN, which alone differs from itself."""
    return value is None or value != value


def block(values: Values, start: int, stop: int) -> Values:
    """Return the values from `start` to `stop` in C order; a view where the array allows it."""
    return _flat(values, start, stop)


def _flat(values: Values, start: int, stop: int) -> Values:
    if values.flags.c_contiguous:
        flat: Values = values.reshape(-1)[start:stop]
        return flat
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        return np.ma.MaskedArray(values.data.flat[start:stop], mask.flat[start:stop])
    part: NDArray[Any] = values.flat[start:stop]
    return part


def _json(flat: Values) -> bytes:
    """Write a one-dimensional block as a JSON array."""
    kind = flat.dtype.kind
    if kind not in "fiub":
        return orjson.dumps(texts(flat))
    if kind == "b":
        flat = flat.astype(np.uint8)
    elif kind == "f" and flat.dtype.itemsize > 8:
        flat = flat.astype(np.float64)
    if isinstance(flat, np.ma.MaskedArray):
        if kind != "f" and np.ma.getmaskarray(flat).any():
            return orjson.dumps(flat.tolist())
        flat = flat.filled(np.nan) if kind == "f" else flat.data
    native = flat.dtype.newbyteorder("=")
    return orjson.dumps(np.ascontiguousarray(flat, native), option=orjson.OPT_SERIALIZE_NUMPY)
