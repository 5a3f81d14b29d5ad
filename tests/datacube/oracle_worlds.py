"""Small random datasets on every kind of grid: written as Zarr, and known cell by cell to the oracle.

What is stored is decided here, and decoded by xarray; nothing of the project is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
import zarr
from pyproj import CRS, Transformer

from oracle_answers import Dimension, Field, World
from oracle_cells import CRS84, Cloud, Grid, Healpix, Lattice, Line, move

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


# ------------------------------------------------------------------------------------------------------------- stores


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


# -------------------------------------------------------------------------------------------------------------- grids


def rectilinear(path: Path, chance: Chance) -> World:
    store = Store(path)
    leading = leading_dimensions(store, chance)
    y = _latitudes(chance)
    x, stored_x, closed = _longitudes(chance)
    single = chance.one(["f8", "f8", "f4"])
    stored_y, stored_x = y.astype(single), stored_x.astype(single)
    kept: dict[str, np.ndarray | None] = {"lat": None, "lon": None}
    hair = 1e-8
    if single == "f4":
        hair = 1e-4
        turns = np.rint((x - stored_x) / 360) * 360
        kept = {"lat": stored_y.astype(float), "lon": stored_x.astype(float)}
        # They mean the decimal numbers that were rounded.
        y = np.array([float(str(value)) for value in stored_y])
        x = np.array([float(str(value)) for value in stored_x]) + turns
    bounds: dict[str, np.ndarray | None] = {"lat": None, "lon": None}
    attributes = {"lat": dict(LATITUDE), "lon": dict(LONGITUDE)}
    twice = not closed and np.ptp(x) >= 360
    if yes(chance, 4) and min(len(y), len(x)) > 1 and single == "f8" and not twice:
        # Cells whose centre is not in their middle.
        for name, values, stored in (("lat", y, stored_y), ("lon", x, stored_x)):
            edges = _edges(values, chance, closed=closed and name == "lon", latitude=name == "lat")
            bounds[name] = edges
            store.put(f"{name}_bnds", (name, "nv"), edges + (stored - values)[:, None])
            attributes[name]["bounds"] = f"{name}_bnds"
    store.put("lat", ("lat",), stored_y, attributes["lat"])
    store.put("lon", ("lon",), stored_x, attributes["lon"])
    grid = Lattice(
        Line(y, bounds["lat"], latitude=True, stored=kept["lat"]),
        Line(x, bounds["lon"], circular=True, closed=closed, stored=kept["lon"]),
        CRS84,
        hair,
    )
    if min(len(y), len(x)) == 1:
        grid.hair = max(hair, 2e-6)
    fields(store, chance, {"lat": len(y), "lon": len(x)}, leading, {})
    return finish(store, grid, ("lat", "lon"), leading)


def _latitudes(chance: Chance) -> np.ndarray:
    number = chance.whole(2, 7)
    how = chance.one(["globe", "globe", "gauss", "part", "part", "single", "cells"])
    if how == "globe":
        values = np.linspace(-90, 90, number)
    elif how == "cells":
        values = (np.arange(number) + 0.5) * 180 / number - 90
    elif how == "gauss":
        values = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(2 * chance.whole(1, 4))[0]))
    elif how == "single":
        values = np.array([real(chance, -90, 90, 360)])
    else:
        step = chance.one([0.25, 0.1, 1.0, 5.0])
        values = real(chance, -90, 90 - step * number, 100) + step * np.arange(number)
    return values[::-1].copy() if yes(chance) else values


def _longitudes(chance: Chance) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return longitudes that rise or fall throughout, as they are stored, and whether their cells close the circle."""
    number = chance.whole(3, 10)
    how = chance.one(["globe", "globe", "globe", "twice", "part", "part", "jump", "single"])
    closed = how == "globe"
    if how in ("globe", "twice"):
        west = chance.one([0.0, -180.0, 0.5 * 360 / number, real(chance, -360, 360, 72)])
        values = west + 360 / number * np.arange(number + (how == "twice"))
    elif how == "single":
        values = np.array([real(chance, -180, 360, 540)])
    elif how == "jump":
        values = 180 + chance.one([0.5, 2.0, 5.0]) * (np.arange(number) - number // 2 + chance.one([0, 0.5]))
    else:
        step = chance.one([0.25, 0.1, 1.0, 20.0])
        values = chance.one([-20.0, 0.0, 100.0, 170.0, 350.0, -190.0]) + step * np.arange(number)
    if yes(chance, 4):
        values = values[::-1].copy()
    stored = np.where(values >= 180, values - 360, values) if how == "jump" else values
    return values, stored, closed


def _edges(values: np.ndarray, chance: Chance, *, closed: bool, latitude: bool) -> np.ndarray:
    """Return bounds that lie a third of the way to the next centre."""
    part = chance.one([0.5, 1 / 3])
    gaps = np.diff(values)
    inner = values[:-1] + gaps * part
    if closed:
        # The gap across the seam is as wide as the others.
        inner = np.concatenate([[values[0] - gaps[0] * (1 - part)], inner, [values[-1] + gaps[-1] * part]])
    else:
        inner = np.concatenate([[values[0] - gaps[0] / 2], inner, [values[-1] + gaps[-1] / 2]])
    if latitude:
        inner = np.clip(inner, -90, 90)
    return np.stack([inner[:-1], inner[1:]], axis=1)


PROJECTIONS = {
    "lambert": "+proj=lcc +lat_1=40 +lat_2=60 +lat_0=50 +lon_0=10 +R=6371229 +type=crs",
    "lambert at the antimeridian": "+proj=lcc +lat_1=-40 +lat_2=-20 +lat_0=-30 +lon_0=179 +datum=WGS84 +type=crs",
    "north": "EPSG:3413",
    "south": "EPSG:3031",
    "utm": "EPSG:32633",
    "mercator": "+proj=merc +lon_0=170 +datum=WGS84 +type=crs",
    "british": "EPSG:27700",
    "equal area": "EPSG:3035",
}
HOMES = {
    "lambert": (10, 50),
    "lambert at the antimeridian": (179, -30),
    "north": (-45, 89),
    "south": (20, -88),
    "utm": (15, 52),
    "mercator": (175, 10),
    "british": (-2, 54),
    "equal area": (10, 52),
}


def projected(path: Path, chance: Chance) -> World:
    store = Store(path)
    leading = leading_dimensions(store, chance)
    name = chance.one([*PROJECTIONS, "rotated", "rotated", "rotated"])
    units, factor = "m", 1.0
    if name == "rotated":
        crs, x, y, marks = _rotated(chance)
        units = "degrees"
        names = ("grid_longitude", "grid_latitude")
    else:
        crs = CRS(PROJECTIONS[name])
        step = chance.one([1000.0, 25_000.0, 100_000.0]) if name not in ("utm", "british") else 1000.0
        centre = Transformer.from_crs(CRS84, crs, always_xy=True).transform(*HOMES[name])
        rows, columns = chance.whole(1, 7), chance.whole(1, 7)
        x = np.round(centre[0] / step) * step + step * (np.arange(columns) - chance.whole(0, columns))
        y = np.round(centre[1] / step) * step + step * (np.arange(rows) - chance.whole(0, rows))
        marks = dict(crs.to_cf())
        if yes(chance, 3):
            units, factor = "km", 1000.0
        names = ("projection_x_coordinate", "projection_y_coordinate")
    if yes(chance, 3):
        y = y[::-1].copy()
    if yes(chance, 4):
        x = x[::-1].copy()
    x, y = x / factor * factor, y / factor * factor
    store.put("x", ("x",), x / factor, {"standard_name": names[0], "units": units})
    store.put("y", ("y",), y / factor, {"standard_name": names[1], "units": units})
    store.put("crs", (), np.int32(0), {key: _plain(value) for key, value in marks.items()})
    grid = Lattice(Line(y), Line(x), crs)
    if min(len(x), len(y)) == 1:
        grid.hair = 1e-4
    if yes(chance):
        _put_places(store, grid)
    fields(store, chance, {"y": len(y), "x": len(x)}, leading, {"grid_mapping": "crs"})
    return finish(store, grid, ("y", "x"), leading)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _put_places(store: Store, grid: Lattice) -> None:
    lon, lat = move(*grid.centres(), grid.crs, CRS84)
    if np.isfinite(lon).all():
        store.put("longitude", ("y", "x"), lon.reshape(grid.shape), LONGITUDE)
        store.put("latitude", ("y", "x"), lat.reshape(grid.shape), LATITUDE)


def _rotated(chance: Chance) -> tuple[CRS, np.ndarray, np.ndarray, dict[str, Any]]:
    marks = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": chance.one([39.25, 90.0 - 8.0, 18.0, 60.31]),
        "grid_north_pole_longitude": chance.one([-162.0, 198.0, 0.0, 141.38]),
    }
    if yes(chance, 4):
        marks["north_pole_grid_longitude"] = chance.one([0.0, 180.0])
    step = chance.one([0.44, 2.0, 10.0])
    rows, columns = chance.whole(2, 7), chance.whole(2, 8)
    where = chance.one(["middle", "middle", "seam", "own pole", "true pole"])
    crs = CRS.from_cf(marks)
    if where == "own pole":
        y = 90.0 - step * np.arange(rows)[::-1]
        x = -180 + 45.0 * np.arange(8)
    elif where == "seam":
        # Some domains count their longitudes on beyond 180.
        x, y = 180 + step * (np.arange(columns) - columns // 2), step * np.arange(rows)
    elif where == "true pole":
        lon, lat = Transformer.from_crs(CRS84, crs, always_xy=True).transform(0.0, 90.0)
        x = round(float(lon), 1) + step * (np.arange(columns) - columns // 2)
        y = round(float(lat), 1) + step * (np.arange(rows) - rows // 2)
        y = y[np.abs(y) <= 90]
    else:
        x, y = step * (np.arange(columns) - columns // 2) + 1.0, step * (np.arange(rows) - rows // 2) + 3.0
    return crs, x, y, marks


def curvilinear(path: Path, chance: Chance) -> World:
    store = Store(path)
    leading = leading_dimensions(store, chance)
    how = chance.one(["sheared", "rotated", "tripolar", "tripolar", "narrow"])
    if how == "tripolar":
        lon, lat = _tripolar(chance)
    elif how == "narrow":
        lon, lat = np.meshgrid(170 + 2.0 * np.arange(chance.whole(1, 3)), 10 + 1.0 * np.arange(chance.whole(2, 6)))
        lon, lat = lon + 0.3 * lat, lat + 0.1 * lon / 10
    else:
        rows, columns = chance.whole(2, 7), chance.whole(2, 8)
        step = chance.one([0.5, 3.0, 8.0])
        i, j = np.meshgrid(np.arange(columns) - columns // 2, np.arange(rows) - rows // 2)
        if how == "sheared":
            lon = chance.one([0.0, 179.0, 10.0]) + step * i + 0.4 * step * j
            lat = chance.one([0.0, 45.0, -50.0]) + step * j - 0.3 * step * i
        else:
            crs = CRS.from_cf(
                {
                    "grid_mapping_name": "rotated_latitude_longitude",
                    "grid_north_pole_latitude": chance.one([5.0, 39.25, 70.0]),
                    "grid_north_pole_longitude": chance.one([0.0, -162.0]),
                }
            )
            lon, lat = Transformer.from_crs(crs, CRS84, always_xy=True).transform(step * i + 0.1, step * j + 0.2)
    lon, lat = np.array(lon, float), np.array(lat, float)
    if yes(chance, 4) and min(lon.shape) > 3:
        lon[:2, :2] = lat[:2, :2] = np.nan
    shape = lon.shape
    wanted = (lon % 360) if yes(chance) else lon
    store.put("nav_lon", ("j", "i"), wanted, LONGITUDE)
    store.put("nav_lat", ("j", "i"), lat, LATITUDE)
    fields(store, chance, {"j": shape[0], "i": shape[1]}, leading, {"coordinates": "nav_lat nav_lon"})
    lon = (wanted + 180) % 360 - 180
    return finish(store, Cloud(lon, lat, shape), ("j", "i"), leading)


def _tripolar(chance: Chance) -> tuple[np.ndarray, np.ndarray]:
    """Return a globe with two northern poles on a circle of latitude, folded between them; two columns overlap."""
    columns = 2 * chance.whole(5, 8)
    south = np.arange(chance.whole(2, 5)) * 15.0 - 40.0
    edge = south[-1] + 15.0
    turn = (np.arange(columns) + 0.5) * 360 / columns
    rows_lon = [np.tile(turn, (len(south), 1))]
    rows_lat = [np.tile(south[:, None], (1, columns))]
    for part in (1.0, 0.7, 0.4, 0.1):
        # Circles become ellipses, and at last the fold between the two poles.
        x, y = np.cos(np.radians(turn)), part * np.sin(np.radians(turn))
        size = np.tan(np.radians((90 - edge) / 2)) * np.hypot(x, y)
        rows_lat.append(90 - 2 * np.degrees(np.arctan(size))[None])
        rows_lon.append(np.degrees(np.arctan2(y, x))[None])
    lon, lat = np.concatenate(rows_lon), np.concatenate(rows_lat)
    lon = (lon + chance.one([0, 73, 180]) + 180) % 360 - 180
    if yes(chance):
        lon, lat = np.hstack([lon[:, -1:], lon, lon[:, :1]]), np.hstack([lat[:, -1:], lat, lat[:, :1]])
    return lon, lat


def healpix(path: Path, chance: Chance) -> World:
    store = Store(path)
    leading = leading_dimensions(store, chance)
    level = chance.whole(0, 3)
    nested = yes(chance)
    numbers = np.arange(12 * 4**level)
    if yes(chance):
        # A part of the globe, in any order.
        keep = np.random.default_rng(chance.whole(0, 99)).permutation(numbers)[: max(3, int(len(numbers) * 0.6))]
        numbers = keep if yes(chance) else np.sort(keep)
    order = "nested" if nested else "ring"
    extra: dict[str, Any] = {}
    how = chance.one(["cf", "xdggs", "nextgems"])
    full = len(numbers) == 12 * 4**level
    if how == "xdggs":
        marks = {"grid_name": "healpix", "level": level, "indexing_scheme": order}
        store.put("cell_ids", ("cells",), numbers.astype("u8"), marks)
    else:
        marks = {"grid_mapping_name": "healpix"}
        marks |= (
            {"healpix_nside": 2**level, "healpix_order": "nest" if nested else "ring"}
            if how == "nextgems"
            else {"refinement_level": level, "indexing_scheme": order}
        )
        store.put("crs", (), np.int32(0), marks)
        extra["grid_mapping"] = "crs"
        if not full or yes(chance):
            store.put(
                "pixels",
                ("cells",),
                numbers.astype("i8"),
                {"standard_name": "healpix_index"} | ({"grid_name": "healpix"}),
            )
    fields(store, chance, {"cells": len(numbers)}, leading, extra)
    return finish(store, Healpix(level, nested, numbers), ("cells",), leading)


def unstructured(path: Path, chance: Chance) -> World:
    store = Store(path)
    leading = leading_dimensions(store, chance)
    how = chance.one(["globe", "gauss", "region", "region", "radians"])
    rng = np.random.default_rng(chance.whole(0, 99))
    number = chance.whole(40, 90)
    if how in ("globe", "radians"):
        k = np.arange(number) + 0.5
        lat = np.degrees(np.arcsin(1 - 2 * k / number))
        lon = (np.degrees(np.pi * (1 + 5**0.5) * k) + rng.uniform(-3, 3, number)) % 360
    elif how == "gauss":
        rows = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(8)[0]))[::-1]
        lon = np.concatenate([np.arange(m) * 360 / m for m in (8, 12, 16, 20, 20, 16, 12, 8)])
        lat = np.repeat(rows, (8, 12, 16, 20, 20, 16, 12, 8))
    else:
        middle = chance.one([(0, 0), (179.5, 10), (30, 88), (-70, -89.5), (10, 50)])
        step = chance.one([0.1, 1.0])
        i, j = np.meshgrid(np.arange(7), np.arange(6))
        off = rng.uniform(-0.2, 0.2, (2, i.size))
        # Laid around the middle on the globe, wherever it is.
        away, turn = (
            np.hypot(i.ravel() - 3 + off[0], j.ravel() - 2 + off[1]) * step,
            np.arctan2(j.ravel() - 2 + off[1], i.ravel() - 3 + off[0]),
        )
        a, b = np.radians(away), np.radians(middle[1])
        lat = np.degrees(np.arcsin(np.sin(b) * np.cos(a) + np.cos(b) * np.sin(a) * np.cos(turn)))
        lon = middle[0] + np.degrees(
            np.arctan2(np.sin(turn) * np.sin(a) * np.cos(b), np.cos(a) - np.sin(b) * np.sin(np.radians(lat)))
        )
        lon = (lon + 180) % 360 - 180
    marks = {"lat": dict(LATITUDE), "lon": dict(LONGITUDE)}
    stored = lon, lat
    if how == "radians":
        stored = np.radians(lon), np.radians(lat)
        marks["lat"]["units"] = marks["lon"]["units"] = "radian"
        lon, lat = np.degrees(stored[0]), np.degrees(stored[1])
    store.put("lon", ("cell",), stored[0], marks["lon"])
    store.put("lat", ("cell",), stored[1], marks["lat"])
    fields(store, chance, {"cell": len(lon)}, leading, {"coordinates": "lat lon"})
    lon = (lon + 180) % 360 - 180
    return finish(store, Cloud(lon, lat, lon.shape, whole_globe=how != "region"), ("cell",), leading)


def stations(path: Path, chance: Chance) -> World:
    store = Store(path, {"featureType": "timeSeries"})
    leading = leading_dimensions(store, chance)
    number = chance.whole(1, 8)
    lon = np.array([real(chance, -180, 180) for _ in range(number)])
    lat = np.array([real(chance, -90, 90) for _ in range(number)])
    if number > 2:
        lon[1], lat[1] = lon[0], min(lat[0] + 0.005, 90.0)
    store.put("lon", ("station",), lon, LONGITUDE)
    store.put("lat", ("station",), lat, LATITUDE)
    fields(store, chance, {"station": number}, leading, {"coordinates": "lat lon"})
    return finish(store, Cloud(lon, lat, (number,), stations=True), ("station",), leading)


def place(path: Path, chance: Chance) -> World:
    store = Store(path)
    leading = leading_dimensions(store, chance)
    if not leading:
        store.put("time", ("time",), np.arange(2), {"units": "hours since 2024-01-01", "standard_name": "time"})
        leading["time"] = Dimension("time", "t", START + HOUR * np.arange(2))
    lon, lat = np.array([real(chance, -180, 360)]), np.array([real(chance, -90, 90)])
    store.put("lon", (), lon[0], LONGITUDE)
    store.put("lat", (), lat[0], LATITUDE)
    rng = np.random.default_rng(chance.whole(0, 99))
    sizes = [len(one.values) for one in leading.values()]
    store.put("a", list(leading), rng.normal(size=sizes), {"coordinates": "lat lon"})
    return finish(store, Cloud(lon, lat, (), stations=True), (), leading)


WORLDS: dict[str, Callable[[Path, Chance], World]] = {
    "rectilinear": rectilinear,
    "projected": projected,
    "curvilinear": curvilinear,
    "healpix": healpix,
    "unstructured": unstructured,
    "stations": stations,
    "place": place,
}
