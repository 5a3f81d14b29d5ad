"""Random queries to a dataset: as numbers for the oracle, and as the text that a client sends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from oracle_asked import AREAS, Asked, Dimension, World, request_of
from oracle_cells import CRS84, RADIUS, Cloud, Lattice, is_geographic, move, same
from oracle_stores import HOUR, Chance, real, yes
from pyproj import CRS

KINDS = ("position", "area", "cube", "radius", "trajectory", "corridor")
SYSTEMS = {
    "EPSG:3857": (-180, -85, 180, 85),
    "EPSG:27700": (-8, 49, 2, 60),
    "EPSG:3035": (-15, 35, 35, 70),
    "EPSG:3413": (-180, 50, 180, 90),
    "EPSG:4258": (-180, -90, 180, 90),
}
"""CRSs of requests, and where they make sense."""


def ask(world: World, chance: Chance, kind: str, native: str) -> Asked:
    """Draw a query.

    Parameters
    ----------
    native : str
        How the CRS of the grid is called.
    """
    asked = Asked(kind)
    raw: dict[str, str] = {}
    _in_a_crs(world, chance, asked, raw, native)
    if yes(chance, 3):
        asked.linear = True
        raw["interpolation"] = "linear"
    _where(world, chance, asked, raw)
    if kind in AREAS and yes(chance, 4):
        asked.columns = chance.whole(1, 7)
        raw["resolution-x"] = str(asked.columns)
        if yes(chance):
            asked.rows = chance.whole(1, 6)
            raw["resolution-y"] = str(asked.rows)
    _selection(world, chance, asked, raw)
    if yes(chance, 4):
        names = [name for name in world.fields if yes(chance)] or [next(iter(world.fields))]
        asked.parameters = tuple(names)
        raw["parameter-name"] = ",".join(names)
    asked.raw = raw
    return asked


def _in_a_crs(world: World, chance: Chance, asked: Asked, raw: dict[str, str], native: str) -> None:
    how = chance.one(["none", "none", "none", "crs84", "native", "other", "other"])
    if how == "crs84":
        asked.crs, raw["crs"] = CRS84, chance.one(["CRS84", "EPSG:4326", "http://www.opengis.net/def/crs/EPSG/0/4326"])
    elif how == "native":
        asked.crs, raw["crs"] = world.grid.crs, native
    elif how == "other":
        lon, lat = world.grid.centres_in(CRS84)
        fitting = []
        for name, (west, south, east, north) in SYSTEMS.items():
            within = (lon % 360 >= west % 360) | (lon % 360 <= east % 360) if west < 0 and east < 180 else lon < 1000
            if (within & (lat >= south) & (lat <= north)).any():
                fitting.append(name)
        if fitting:
            raw["crs"] = chance.one(fitting)
            asked.crs = CRS(raw["crs"])


def _place(world: World, chance: Chance, crs: CRS) -> tuple[float, float]:
    """Return a place near or on the data, in a CRS."""
    grid = world.grid
    x, y = grid.centres()
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    how = chance.one(["beside", "beside", "beside", "centre", "between", "border", "globe", "pole", "seam"])
    cell, other = known[chance.whole(0, len(known) - 1)], known[chance.whole(0, len(known) - 1)]
    gap = _gap(world)
    at_x, at_y = float(x[cell]), float(y[cell])
    if how == "beside":
        at_x += gap[0] * real(chance, -1.6, 1.6, 64)
        at_y += gap[1] * real(chance, -1.6, 1.6, 64)
    elif how == "between":
        at_x, at_y = (at_x + float(x[other])) / 2, (at_y + float(y[other])) / 2
    elif how == "border":
        at_x += gap[0] / 2
        at_y += gap[1] / 2 * chance.one([0, 1])
    elif how != "centre":
        lon, lat = {
            "globe": (real(chance, -360, 540, 900), real(chance, -90, 90, 180)),
            "pole": (real(chance, -180, 180, 8), chance.one([90.0, -90.0, 89.9, -89.9])),
            "seam": (chance.one([180.0, -180.0, 179.9, -179.9, 0.0, 360.0]), at_y if same(grid.crs, CRS84) else 45.0),
        }[how]
        at_x, at_y = (float(part) for part in move(lon, np.clip(lat, -90, 90), CRS84, grid.crs))
        if not math.isfinite(at_x + at_y):
            at_x, at_y = float(x[cell]), float(y[cell])
    if same(grid.crs, CRS84):
        at_y = min(max(at_y, -90.0), 90.0)
    at_x, at_y = (float(part) for part in move(at_x, at_y, grid.crs, crs))
    if not math.isfinite(at_x + at_y) or abs(at_x) > 1e9 or abs(at_y) > 1e9:
        at_x, at_y = (0.0, 0.0)
    if not crs.is_geographic:
        at_x, at_y = min(max(at_x, -2e7), 2e7), min(max(at_y, -2e7), 2e7)
    if is_geographic(crs):
        at_x += chance.one([0.0, 0.0, 360.0, -360.0])
        at_x = (at_x + 540) % 1080 - 540
        at_y = min(max(at_y, -90.0), 90.0)
    decimals = 6 if crs.is_geographic else 2
    return round(at_x, decimals), round(at_y, decimals)


def _gap(world: World) -> tuple[float, float]:
    """Return the distance of neighbouring centres in the grid's own coordinates."""
    grid = world.grid
    if isinstance(grid, Lattice):
        return tuple(
            float(np.median(np.abs(np.diff(line.values)))) if len(line.values) > 1 else 0.01
            for line in (grid.x, grid.y)
        )
    if isinstance(grid, Cloud):
        gap = 0.02 if grid.stations or grid.placed.size < 2 else grid.spacing / 111_195.0
        return gap, gap
    gap = 58.6 / 2**grid.level
    return gap, gap


def _size(world: World, chance: Chance, crs: CRS) -> float:
    """Return a length of the order of a few cells, in the units of a CRS."""
    grid = world.grid
    cells = chance.one([0.2, 0.7, 1.5, 3.0, 8.0])
    gap = max(_gap(world))
    metres = gap * (111_195.0 if grid.crs.is_geographic else 1.0)
    return cells * (metres / 111_195.0 if crs.is_geographic else metres)


def _where(world: World, chance: Chance, asked: Asked, raw: dict[str, str]) -> None:
    crs = request_of(asked)
    if asked.kind in ("position", "radius"):
        number = chance.one([1, 1, 2, 4])
        asked.points = tuple(_place(world, chance, crs) for _ in range(number))
        texts = [f"{x!r} {y!r}" for x, y in asked.points]
        raw["coords"] = f"POINT({texts[0]})" if number == 1 else f"MULTIPOINT({','.join(f'({t})' for t in texts)})"
    if asked.kind == "radius":
        size = _size(world, chance, crs) * (111_195.0 if crs.is_geographic else 1.0)
        asked.metres = round(min(size, math.pi * RADIUS * 0.6), 3)
        raw |= {"within": repr(asked.metres), "within-units": "m"}
    elif asked.kind == "cube":
        asked.bbox = _bbox(world, chance, crs)
        raw["bbox"] = ",".join(repr(part) for part in asked.bbox)
    elif asked.kind == "area":
        count = chance.one([1, 1, 1, 2])
        asked.polygons = tuple(_polygon(world, chance, crs) for _ in range(count))
        if count == 2 and not _apart(*(one[0] for one in asked.polygons)):
            asked.polygons = asked.polygons[:1]
        texts = [f"({','.join(_ring(ring) for ring in rings)})" for rings in asked.polygons]
        raw["coords"] = f"POLYGON{texts[0]}" if len(texts) == 1 else f"MULTIPOLYGON({','.join(texts)})"
    elif asked.kind in ("trajectory", "corridor"):
        _lines(world, chance, asked, raw)
    if asked.kind == "corridor":
        size = _size(world, chance, crs) * (111_195.0 if crs.is_geographic else 1.0)
        asked.metres = round(min(2 * size, 5e6), 3)
        raw |= {"corridor-width": repr(asked.metres), "width-units": "m"}
        level = next((one for one in world.leading.values() if one.kind == "z"), None)
        if level is not None and yes(chance, 3):
            asked.height = chance.one([10.0, 300.0])
            raw |= {"corridor-height": repr(asked.height), "height-units": "hPa"}


def _bbox(world: World, chance: Chance, crs: CRS) -> tuple[float, float, float, float]:
    how = chance.one(["places", "around", "around", "band", "point"])
    if how == "band" and is_geographic(crs):
        south, north = sorted(real(chance, -90, 90, 36) for _ in range(2))
        return (
            chance.one([(-180.0, 180.0), (0.0, 360.0), (-20.0, 20.0), (170.0, -170.0)])[0],
            south,
            chance.one([180.0, 360.0, 20.0, -170.0]),
            north,
        )
    (x, y), (x2, y2) = (_place(world, chance, crs) for _ in range(2))
    if how == "around":
        wide, high = _size(world, chance, crs), _size(world, chance, crs)
        x2, y2 = x + wide, y + high
    if how == "point":
        x2, y2 = x, y
    y, y2 = sorted((y, y2))
    if is_geographic(crs):
        x2 = (x2 + 540) % 1080 - 540
        y, y2 = max(y, -90.0), min(y2, 90.0)
        if x > x2 and x - x2 < 1e-9:
            x2 = x
    else:
        x, x2 = sorted((x, x2))
    return round(x, 6), round(y, 6), round(x2, 6), round(y2, 6)


def _polygon(world: World, chance: Chance, crs: CRS) -> tuple[np.ndarray, ...]:
    """Return a star-shaped ring, perhaps with a hole."""
    x, y = _place(world, chance, crs)
    if is_geographic(crs):
        x = min(max(x, -300.0), 300.0)
    wide = _size(world, chance, crs)
    corners = chance.whole(3, 7)
    turn = 2 * np.pi * (np.arange(corners) + 0.1 * chance.whole(0, 9)) / corners
    far = np.array([wide * chance.whole(4, 10) / 10 for _ in range(corners)])
    ring = np.stack([x + far * np.cos(turn), y + far * np.sin(turn)], axis=1)
    if chance.whole(0, 3) == 0:
        ring = np.array([[x - wide, y - wide], [x + wide, y - wide], [x + wide, y + wide], [x - wide, y + wide]])
    decimals = 6 if crs.is_geographic else 2
    rings = [ring]
    if yes(chance, 3):
        rings.append(np.array([x, y]) + (ring - [x, y]) * 0.35)
    if is_geographic(crs):
        rings = [np.stack([np.clip(one[:, 0], -540, 540), np.clip(one[:, 1], -90, 90)], axis=1) for one in rings]
        if (
            any(len(np.unique(one.round(decimals), axis=0)) < len(one) for one in rings)
            or np.ptp(rings[0][:, 1]) < 1e-4
        ):
            rings = [np.array([[x, -89.0], [x + 5, -89.0], [x + 5, 88.0], [x, 88.0]])]
        if len(rings) > 1 and (np.abs(rings[0][:, 1]) == 90).any():
            rings = rings[:1]
    return tuple(np.concatenate([one, one[:1]]).round(decimals) for one in rings)


def _apart(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one.min(axis=0) > other.max(axis=0)).any() or (other.min(axis=0) > one.max(axis=0)).any())


def _ring(ring: np.ndarray) -> str:
    return "(" + ",".join(f"{x!r} {y!r}" for x, y in ring.tolist()) + ")"


def _lines(world: World, chance: Chance, asked: Asked, raw: dict[str, str]) -> None:
    crs = request_of(asked)
    lines = []
    for _ in range(chance.one([1, 1, 1, 2])):
        vertices = [_place(world, chance, crs) for _ in range(chance.whole(2, 4))]
        if is_geographic(crs):
            # No laps around the world.
            vertices = [(min(max(x, -200.0), 400.0), y) for x, y in vertices]
        if asked.kind == "corridor":
            size = _size(world, chance, crs)
            first = vertices[0]
            vertices = [
                first,
                *(
                    (first[0] + size * real(chance, -2, 2, 40), first[1] + size * real(chance, -2, 2, 40))
                    for _ in vertices[1:]
                ),
            ]
            if is_geographic(crs):
                vertices = [(min(max(x, -540.0), 540.0), min(max(y, -90.0), 90.0)) for x, y in vertices]
        lines.append(np.round(np.array(vertices), 6))
    asked.lines = tuple(lines)
    columns = [list(line.T) for line in lines]
    mark = ""
    kinds = {one.kind: one for one in world.leading.values()}
    if "z" in kinds and yes(chance, 4):
        mark += "Z"
        asked.heights = tuple(np.array([_value(kinds["z"], chance) for _ in line], float) for line in lines)
    if "t" in kinds and yes(chance, 4):
        mark += "M"
        asked.times = tuple(np.array([_value(kinds["t"], chance) for _ in line], np.int64) for line in lines)
    for number, parts in enumerate(columns):
        parts += [asked.heights[number]] if asked.heights else []
        parts += [asked.times[number] // 1_000_000] if asked.times else []
    texts = [
        "(" + ",".join(" ".join(repr(part.item()) for part in row) for row in zip(*parts, strict=True)) + ")"
        for parts in columns
    ]
    raw["coords"] = f"LINESTRING{mark}{texts[0]}" if len(texts) == 1 else f"MULTILINESTRING{mark}({','.join(texts)})"


def _value(dimension: Dimension, chance: Chance) -> Any:
    """Return a time or a level, on or between the stored ones, seldom beyond them."""
    values = np.sort(dimension.values)
    at = chance.whole(0, len(values) - 1)
    low, high = values[at], values[min(at + 1, len(values) - 1)]
    gap = high - low if high > low else (HOUR if dimension.kind == "t" else 10.0)
    part = chance.one([0, 0, 0.25, 0.4, 0.6, 0.5, -0.1, 1.4])
    if dimension.kind == "t":
        return int(low + int(gap * part) // 60_000_000 * 60_000_000)
    return round(float(low + gap * part), 4)


def _selection(world: World, chance: Chance, asked: Asked, raw: dict[str, str]) -> None:
    select: dict[str, tuple[str, Any]] = {}
    for name, dimension in world.leading.items():
        if dimension.kind == "t" and asked.times is None:
            if yes(chance):
                select[name], raw["datetime"] = _times(dimension, chance)
        elif dimension.kind == "z":
            if asked.heights is None and yes(chance):
                select[name], raw["z"] = _levels(dimension, chance)
            if asked.kind in AREAS and yes(chance, 5):
                asked.levels = chance.whole(1, 5)
                raw["resolution-z"] = str(asked.levels)
        elif dimension.kind == "custom" and yes(chance):
            values = chance.one([[0], [1], [0, 1]])
            select[name], raw[name] = ("values", values), ",".join(map(str, values))
    asked.select = select


def stamp(microseconds: int) -> str:
    return f"{np.int64(microseconds).astype('datetime64[us]').astype('datetime64[s]')}Z"


def _times(dimension: Dimension, chance: Chance) -> tuple[tuple[str, Any], str]:
    how = chance.one(["one", "one", "interval", "open", "list", "repeated"])
    first, second = sorted(_value(dimension, chance) for _ in range(2))
    if how == "one":
        return ("values", [first]), stamp(first)
    if how == "interval":
        return ("interval", (first, second)), f"{stamp(first)}/{stamp(second)}"
    if how == "open":
        return (
            (("interval", (first, None)), f"{stamp(first)}/..")
            if yes(chance)
            else (
                ("interval", (None, first)),
                f"../{stamp(first)}",
            )
        )
    if how == "list":
        return ("values", [first, second]), f"{stamp(first)},{stamp(second)}"
    return ("values", [first + HOUR * k for k in range(3)]), f"R3/{stamp(first)}/PT1H"


def _levels(dimension: Dimension, chance: Chance) -> tuple[tuple[str, Any], str]:
    how = chance.one(["one", "one", "interval", "open", "list", "repeated"])
    first, second = (_value(dimension, chance) for _ in range(2))
    low, high = sorted((first, second))
    if how == "one":
        return ("values", [first]), repr(first)
    if how == "interval":
        return ("interval", (low, high)), f"{first!r}/{second!r}"
    if how == "open":
        return ("interval", (low, None)), f"{low!r}/.."
    if how == "list":
        return ("values", [first, second]), f"{first!r},{second!r}"
    return ("values", [first, first + 5.0]), f"R2/{first!r}/5"
