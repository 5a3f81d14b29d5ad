"""Small random datasets, written as Zarr: times, levels and members, and fields over any cells.

What is stored is decided here, and decoded by xarray; nothing of the project is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
import zarr
from oracle_asked import Dimension, Field, World
from oracle_cells import Grid

HOUR = 3_600_000_000


START = 1_704_067_200_000_000  # 2024-01-01


LATITUDE = {"standard_name": "latitude", "units": "degrees_north"}


LONGITUDE = {"standard_name": "longitude", "units": "degrees_east"}


class Chance(Protocol):
    """Draws, so that the property-based framework can make a counterexample smaller, or a plain generator go faster."""

    def whole(self, low: int, high: int) -> int: ...
    def one(self, options: Sequence[Any]) -> Any: ...


class Drawn:
    """Draws of hypothesis."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        from hypothesis import strategies as st

        self._draw, self._st = draw, st

    def whole(self, low: int, high: int) -> int:
        return self._draw(self._st.integers(low, high))

    def one(self, options: Sequence[Any]) -> Any:
        return options[self.whole(0, len(options) - 1)]


class Rolled:
    """Draws of a generator: for long campaigns."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def whole(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high + 1))

    def one(self, options: Sequence[Any]) -> Any:
        return options[self.whole(0, len(options) - 1)]


def real(chance: Chance, low: float, high: float, parts: int = 1000) -> float:
    """Return a number of few decimals, its ends included."""
    return round(low + (high - low) * chance.whole(0, parts) / parts, 4)


def yes(chance: Chance, one_in: int = 2) -> bool:
    return chance.whole(1, one_in) == one_in


class Store:
    """A Zarr group that is being written."""

    def __init__(self, path: Path, attributes: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.group = zarr.open_group(path, mode="w", zarr_format=3, attributes=dict(attributes or {}))

    def put(self, name: str, dims: Sequence[str], values, attributes: Mapping[str, Any] | None = None, chunks=None):
        values = np.asarray(values)
        self.group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=chunks or tuple(max(1, n) for n in values.shape),
            dimension_names=list(dims),
            attributes=dict(attributes or {}),
            compressors=None,
            config={"write_empty_chunks": True},
        )[...] = values


def leading_dimensions(store: Store, chance: Chance) -> dict[str, Dimension]:
    """Write times, levels and members, as far as chance wants them."""
    found = {}
    if yes(chance, 4) is False:
        number = chance.whole(1, 4)
        gaps = [chance.one([1, 6, 6, 24]) for _ in range(number)]
        if yes(chance):
            gaps = gaps[:1] * number
        hours = np.cumsum([0, *gaps[1:]])
        bounds = None
        attributes = {"units": "hours since 2024-01-01", "standard_name": "time", "calendar": "proleptic_gregorian"}
        if yes(chance, 4):
            # Sums and means over the time before.
            bounds = np.stack([hours - ([gaps[0], *gaps[1:]]), hours], axis=1)
            store.put("time_bnds", ("time", "nv"), bounds.astype(np.int64))
            attributes["bounds"] = "time_bnds"
        store.put("time", ("time",), hours.astype(np.int64), attributes)
        edges = None if bounds is None else (bounds * HOUR + START).astype(np.int64)
        found["time"] = Dimension("time", "t", (hours * HOUR + START).astype(np.int64), edges)
    if yes(chance):
        values = chance.one(
            [[1000.0, 850.0, 500.0], [500.0, 1000.0, 850.0], [0.5, 1.5, 10.0, 20.0], [10.0], [100.0, 200.0, 300.0]]
        )
        store.put("level", ("level",), np.array(values), {"axis": "Z", "units": "hPa", "positive": "down"})
        found["level"] = Dimension("level", "z", np.array(values))
    if yes(chance, 3):
        store.put("number", ("number",), np.arange(2), {"standard_name": "realization"})
        found["number"] = Dimension("number", "custom", np.arange(2))
    return found


def fields(
    store: Store, chance: Chance, cells: Mapping[str, int], leading: Mapping[str, Dimension], attributes: Mapping
) -> None:
    """Write data variables: of all dimensions, of some, and of none but the horizontal ones; in any order."""
    rng = np.random.default_rng(chance.whole(0, 999))
    sizes = {**{name: len(one.values) for name, one in leading.items()}, **cells}
    wanted = [("a", list(leading)), ("b", [name for name in leading if name == "time"]), ("c", [])]
    for name, lead in wanted[: chance.whole(1, 3)]:
        dims = [*lead, *cells]
        if yes(chance, 3):
            dims = [dims[i] for i in np.argsort([chance.whole(0, 9) for _ in dims], kind="stable")]
        shape = tuple(sizes[dim] for dim in dims)
        kind = chance.one(["f4", "f8", "f4", "packed", "whole"])
        values = rng.normal(size=shape) * 100
        extra = dict(attributes)
        missing = rng.random(shape) < 0.15 if yes(chance, 3) else np.zeros(shape, bool)
        if kind == "packed":
            extra |= {"scale_factor": 0.01, "add_offset": 10.0, "_FillValue": -32767}
            stored = np.where(missing, -32767, np.rint(values * 10)).astype("i2")
        elif kind == "whole":
            extra |= {"_FillValue": -999} if missing.any() else {}
            stored = np.where(missing, -999, np.rint(values)).astype("i4")
        else:
            stored = np.where(missing, np.nan, values).astype(kind)
        chunks = tuple(chance.one([1, 2, size, size]) if size > 1 else 1 for size in shape)
        store.put(name, dims, stored, extra, tuple(min(c, s) for c, s in zip(chunks, shape, strict=True)))


def finish(store: Store, grid: Grid, cell_dims: Sequence[str], leading: dict[str, Dimension]) -> World:
    """Read the fields by xarray, which decodes them."""
    with xr.open_zarr(store.path, consolidated=False, decode_times=False, chunks=None) as dataset:
        found = {
            name: Field(tuple(map(str, dataset[name].dims)), dataset[name].values) for name in "abc" if name in dataset
        }
    used = {dim for one in found.values() for dim in one.dims}
    return World(grid, tuple(cell_dims), {name: one for name, one in leading.items() if name in used}, found)
