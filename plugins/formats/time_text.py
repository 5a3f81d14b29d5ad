"""How do the times of a long series become JSON without being written anew for each answer?

The text of a time axis of a store is made once: every time in it has the same length, so the times of an answer, which
follow each other there, are a piece of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import orjson

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import whole_seconds
from plugins.datacube.cells import OncePerAxis
from plugins.datacube.datacube import Datacube

FEWEST: Final = 200
"""Times of an answer from which on it pays to look for them in the text of the axis."""
MOST: Final = 100_000
"""Times of an axis whose text is kept: 2 MB, made in some ten milliseconds."""
_WIDTH: Final = len('"2020-01-01T00:00:00Z",')
OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
"""By which orjson writes arrays, and times in UTC with ``Z``."""


def kept_times(axis: Axis, cube: Datacube) -> bytes | None:
    """Return the times of an answer as a JSON array, where they are a piece of the time axis of its store.

    Parameters
    ----------
    axis : Axis
        Of the answer; compared with that of the store, value by value.
    cube : Datacube
        What was asked.

    Returns
    -------
    bytes or None
        None where the times are few, or do not follow each other in the store, or need more than whole seconds.
    """
    if axis.size < FEWEST:
        return None
    whole = cube.axis(AxisKind.T)
    if whole is None or whole.size > MOST or whole.calendar != axis.calendar:
        return None
    first = int(whole.values.searchsorted(axis.values[0]))
    if not np.array_equal(whole.values[first : first + axis.size], axis.values):
        return None
    text = _text(whole)
    return b"[" + text[_WIDTH * first : _WIDTH * (first + axis.size) - 1] + b"]" if text else None


@OncePerAxis
def _text(axis: Axis) -> bytes:
    """Return all times of an axis as JSON, each with a comma behind it; nothing where they differ in length."""
    stamps = whole_seconds(axis.values, axis.calendar)
    text = b"" if stamps is None else orjson.dumps(stamps, option=OPTIONS)[1:-1] + b","
    return text if len(text) == _WIDTH * axis.size else b""
