"""Small random datasets whose cells lie in rows and columns: of longitude and latitude, or of a projection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from oracle_asked import World
from oracle_cells import CRS84, Lattice, Line, move
from oracle_stores import (
    LATITUDE,
    LONGITUDE,
    Chance,
    Store,
    fields,
    finish,
    leading_dimensions,
    real,
    yes,
)
from pyproj import CRS, Transformer


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
    steps = [np.abs(np.diff(values)).max(initial=0.0) for values in (y, x)]
    grid.hair = max(hair, 4e-9 * max(steps), 2e-6 if min(len(y), len(x)) == 1 else 0.0)
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
    grid = Lattice(Line(y, latitude=name == "rotated"), Line(x), crs)
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
