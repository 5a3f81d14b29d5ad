"""Is this CoverageJSON the right answer, by the values that Zarr itself reads from the store?

The times, latitudes and longitudes of an answer must be exactly those that were asked for, and the value at each of
them must be the stored float32, to the last bit. Dialects of the axes (names, ``start``/``stop``/``num``, forms of
times) are understood, so that nobody is called wrong for his spelling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stores
import zarr
from queries import PARAMETER, Cells, moments

NAMES = {"t": "t", "time": "t", "y": "y", "lat": "y", "latitude": "y", "x": "x", "lon": "x", "longitude": "x"}


def problem(document: Any, array: zarr.Array, cells: Cells) -> str | None:
    """Return what is wrong with an answer, in a few words, or None.

    Parameters
    ----------
    document : any
        Parsed JSON.
    array : zarr.Array
        The array of the parameter, of shape (time, latitude, longitude).
    cells : Cells
        What was asked for.
    """
    try:
        return _compare(document, array, cells)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return f"not readable as CoverageJSON ({type(error).__name__}: {error})"


def _compare(document: Any, array: zarr.Array, cells: Cells) -> str | None:
    if document["type"] == "CoverageCollection":
        if len(document["coverages"]) != 1:
            return f"{len(document['coverages'])} coverages"
        shared = {name: document[name] for name in ("parameters", "referencing") if name in document}
        document = {**shared, **document["coverages"][0]}
    values = document["ranges"][PARAMETER]
    numbers = np.array(values["values"], np.float64)
    axes = document["domain"]["axes"]
    if "composite" in axes:
        return _along(axes["composite"], numbers, array, cells)
    if cells.along:
        return "the domain is no trajectory"
    found = {NAMES[name.lower()]: _values(axis) for name, axis in axes.items() if name.lower() in NAMES}
    positions = {
        "t": _times(found["t"]),
        "y": _lookup(stores.LATITUDES, np.array(found["y"], np.float64)),
        "x": _lookup(stores.LONGITUDES, np.array(found["x"], np.float64) % 360),
    }
    for name, wanted in (("t", cells.t), ("y", cells.y), ("x", cells.x)):
        if not np.array_equal(np.sort(positions[name]), wanted):
            return f"{positions[name].size} positions along {name}, not the {wanted.size} asked for"
    named = [NAMES[name.lower()] for name in values.get("axisNames", [])]
    numbers = numbers.reshape([positions[name].size for name in named])
    # Axes of one value need not be named.
    numbers = np.expand_dims(numbers, tuple(range(len(named), 3)))
    order = [*named, *(name for name in "tyx" if name not in named)]
    numbers = numbers.transpose([order.index(name) for name in "tyx"])
    box = array[cells.index]
    start = [p[0] for p in (cells.t, cells.y, cells.x)]
    stored = box[np.ix_(*(positions[name] - first for name, first in zip("tyx", start, strict=True)))]
    return _differing(numbers, stored)


def _along(composite: Any, numbers: np.ndarray, array: zarr.Array, cells: Cells) -> str | None:
    columns = dict(zip(composite["coordinates"], zip(*composite["values"], strict=True), strict=True))
    t, y = _times(list(columns["t"])), _lookup(stores.LATITUDES, np.array(columns["y"], np.float64))
    x = _lookup(stores.LONGITUDES, np.array(columns["x"], np.float64) % 360)
    if not all(np.array_equal(got, asked) for got, asked in ((t, cells.t), (y, cells.y), (x, cells.x))):
        return "another course than was asked for"
    return _differing(numbers, array.vindex[t, y, x])


def _differing(numbers: np.ndarray, stored: np.ndarray) -> str | None:
    # A client reads the decimals as the float32 that they stand for.
    wrong = int(np.count_nonzero(numbers.astype(np.float32) != stored))
    return f"{wrong} of {stored.size} values differ from the store" if wrong else None


def _values(axis: Any) -> list[Any]:
    if "values" in axis:
        return axis["values"] if isinstance(axis["values"], list) else [axis["values"]]
    return np.linspace(axis["start"], axis["stop"], axis["num"]).tolist()


def _times(texts: list[str]) -> np.ndarray:
    seconds = np.array([str(text).removesuffix("Z").removesuffix("+00:00") for text in texts], "datetime64[s]")
    hours = (seconds - moments(np.array(0))) / np.timedelta64(3600, "s")
    if not np.array_equal(hours, np.rint(hours)):
        raise ValueError("times between the hours")
    return hours.astype(int)


def _lookup(coordinates: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the positions of values among coordinates, -1 where there is none."""
    distance = np.abs(coordinates[None, :] - values[:, None])
    return np.where(distance.min(axis=1) < 1e-6, distance.argmin(axis=1), -1)
