"""Small random datasets on every kind of grid, known cell by cell to the oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from oracle_asked import Dimension, World
from oracle_cells import CRS84, Cloud, Healpix
from oracle_rows import projected, rectilinear
from oracle_stores import (
    HOUR,
    LATITUDE,
    LONGITUDE,
    START,
    Chance,
    Store,
    fields,
    finish,
    leading_dimensions,
    real,
    yes,
)
from pyproj import CRS, Transformer


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
