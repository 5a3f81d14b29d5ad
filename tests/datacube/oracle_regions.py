"""Which cells lie in an area, and which does an area take that holds no centre?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from oracle_asked import Asked, TooFineError, World, request_of
from oracle_cells import CRS84, Lattice, is_geographic, metres, move, same, vectors
from oracle_events import events
from oracle_places import SEAM, close, least_distance
from pyproj import CRS


def inside(asked: Asked, x, y, crs: CRS, *, exact: bool, hair: float) -> np.ndarray:
    """Tell of each place of a CRS whether it lies in the area: 1 for yes, -1 for no, 0 for both."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    found = np.full(x.shape, -1)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if asked.kind in ("radius", "corridor"):
        lon, lat = move(x[known], y[known], crs, CRS84)
        found[known] = (_in_circles if asked.kind == "radius" else _in_corridor)(asked, lon, lat)
        return found
    # What was computed is right but for rounding; what was given is exact.
    rounding = 0.0 if exact else (1e-9 if crs.is_geographic else 1e-5)
    near = max(hair if crs.is_geographic else 1e-5, rounding)
    turns = 360.0 * np.arange(-4, 5) if is_geographic(crs) else np.zeros(1)
    test = _in_box if asked.kind == "cube" else in_polygons
    found[known] = np.max([test(asked, x[known] + turn, y[known], near, exact=exact) for turn in turns], axis=0)
    return found


def _in_box(asked: Asked, x, y, near: float, *, exact: bool) -> np.ndarray:
    west, south, east, north = asked.box
    # How deep a place lies in the box: negative outside.
    deep = np.minimum(np.minimum(x - west, east - x), np.minimum(y - south, north - y))
    return np.where(deep >= (0 if exact else near), 1, np.where(deep >= -near, 0, -1))


def in_polygons(asked: Asked, x, y, near: float, *, exact: bool) -> np.ndarray:
    found = np.full(x.shape, -1)
    for rings in asked.polygons:
        odd = np.zeros(x.shape, bool)
        away = np.full(x.shape, np.inf)
        on_edge = np.zeros(x.shape, bool)
        for ring in rings:
            for (x1, y1), (x2, y2) in itertools.pairwise(np.asarray(ring, float)):
                crossed = (y1 > y) != (y2 > y)
                with np.errstate(divide="ignore", invalid="ignore"):
                    odd ^= crossed & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
                length = (x2 - x1) ** 2 + (y2 - y1) ** 2
                part = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / (length or 1.0), 0, 1)
                away = np.minimum(away, np.hypot(x1 + part * (x2 - x1) - x, y1 + part * (y2 - y1) - y))
                if x1 == x2 or y1 == y2:
                    on_edge |= (min(x1, x2) <= x) & (x <= max(x1, x2)) & (min(y1, y2) <= y) & (y <= max(y1, y2))
                on_edge |= ((x == x1) & (y == y1)) | ((x == x2) & (y == y2))
        here = np.where(odd, 1, -1)
        here[away <= near] = 0
        if exact:
            here[on_edge] = 1
        found = np.maximum(found, here)
    return found


def _in_circles(asked: Asked, lon, lat) -> np.ndarray:
    points = np.array(asked.points, float)
    at_lon, at_lat = move(points[:, 0], points[:, 1], request_of(asked), CRS84)
    away = metres(at_lon[:, None], at_lat[:, None], lon, lat).min(axis=0)
    near = 1e-2 + 1e-8 * asked.metres
    return np.where(np.abs(away - asked.metres) <= near, 0, np.where(away < asked.metres, 1, -1))


def _in_corridor(asked: Asked, lon, lat) -> np.ndarray:
    away = np.full(lon.shape, np.inf)
    for a, b in arcs(asked):
        away = np.minimum(away, _from_arcs(a, b, vectors(lon, lat)))
    half = asked.metres / 2
    # The path is followed to within about 30 m.
    return np.where(np.abs(away - half) <= 40.0, 0, np.where(away < half, 1, -1))


def arcs(asked: Asked, longest: float = 0.05) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the ends of short arcs along each line, as unit vectors."""
    crs = request_of(asked)
    for line in asked.path:
        whole = []
        for a, b in itertools.pairwise(line):
            wide = np.abs(b - a).max()
            count = int(np.ceil(wide / longest)) if crs.is_geographic else 1000
            whole.append(a + (b - a) * np.linspace(0, 1, max(count, 1) + 1)[:, None])
        places = np.concatenate(whole)
        lon, lat = move(places[:, 0], places[:, 1], crs, CRS84)
        if np.isnan(lon).any():
            raise TooFineError
        along = vectors(lon, lat)
        yield along[:-1], along[1:]


def _from_arcs(a: np.ndarray, b: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the least distance of places from short arcs, in metres."""
    best = np.full(len(places), np.inf)
    for start in range(0, len(a), 512):
        p, q = a[start : start + 512, None], b[start : start + 512, None]
        way = q - p
        length = (way**2).sum(axis=-1)
        part = np.clip(((places - p) * way).sum(axis=-1) / np.where(length > 0, length, 1.0), 0, 1)
        nearest = p + part[..., None] * way
        nearest /= np.linalg.norm(nearest, axis=-1, keepdims=True)
        chords = np.linalg.norm(places - nearest, axis=-1).min(axis=0)
        best = np.minimum(best, 2 * 6_371_008.8 * np.arcsin(np.clip(chords / 2, 0, 1)))
    return best


@dataclass
class Members:
    """Which cells an answer must hold, and which it may hold."""

    must: set[int]
    may: set[int]
    one: bool = False
    """Any one of `may`, where there is no `must`."""
    nothing: bool = False
    """Whether there may be no answer."""


def members(world: World, asked: Asked) -> Members:
    crs = request_of(asked)
    grid = world.grid
    own = same(crs, grid.crs)
    x, y = grid.centres_in(crs)
    state = inside(asked, x, y, crs, exact=own, hair=max(grid.hair, 1e-9))
    if not crs.is_geographic and same(grid.crs, CRS84):
        other = inside(asked, np.where(close(np.abs(x), SEAM, crs), -x, x), y, crs, exact=False, hair=1e-9)
        state = np.where(state == other, state, 0)
    must, may = set(np.flatnonzero(state > 0).tolist()), set(np.flatnonzero(state >= 0).tolist())
    if must:
        return Members(must, may)
    met = _met(world, asked)
    if not may:
        return met
    return Members(set(), may | met.must | met.may, nothing=met.nothing)


def _met(world: World, asked: Asked) -> Members:
    """Return what an area without a centre takes."""
    crs, grid = request_of(asked), world.grid
    if asked.kind == "radius":
        held = [grid.held(np.array([x]), np.array([y]), crs)[0] for x, y in asked.points]
    elif asked.kind == "corridor":
        return _met_by_path(world, asked)
    elif asked.kind == "cube":
        if isinstance(grid, Lattice) and same(crs, grid.crs):
            return _met_by_box(grid, asked)
        west, south, east, north = asked.box
        fine = 0.2 * least_distance(grid) / (111_195.0 if crs.is_geographic else 1.0)
        counts = [int((most - least) / fine) + 12 for least, most in ((west, east), (south, north))]
        if counts[0] * counts[1] > 30_000:
            raise TooFineError
        wide, high = np.linspace(west, east, counts[0]), np.linspace(south, north, counts[1])
        at_x, at_y = (part.ravel() for part in np.meshgrid(wide, high))
        held = grid.held(at_x, at_y, crs)
        # Cells that are met by a corner of the box alone may be missed.
        inner = grid.held(*(part.ravel() for part in np.meshgrid(wide[2:-2:5], high[2:-2:5])), crs)
        must = {next(iter(one)) for one in inner if len(one) == 1} - {-1}
        every = set().union(*held) - {-1}
        return Members(must if (west < east and south < north) else set(), every, nothing=not must)
    else:
        places = []
        for rings in asked.polygons:
            outer = np.asarray(rings[0], float)
            west, south = outer.min(axis=0)
            east, north = outer.max(axis=0)
            wide, high = np.linspace(west, east, 40), np.linspace(south, north, 40)
            at_x, at_y = (part.ravel() for part in np.meshgrid(wide, high))
            within = in_polygons(asked, at_x, at_y, 1e-12, exact=False) >= 0
            places.append(np.stack([at_x[within], at_y[within]]))
        at_x, at_y = np.concatenate(places, axis=1)
        held = grid.held(at_x, at_y, crs) if at_x.size else [{-1}]
        every = set().union(*held)
        return Members(set(), every - {-1}, one=True, nothing=-1 in every or not every)
    must = {next(iter(one)) for one in held if len(one) == 1} - {-1}
    return Members(must, set().union(*held) - {-1}, nothing=not must)


def _met_by_box(grid: Lattice, asked: Asked) -> Members:
    """Return the cells that share more than an edge with a box."""
    west, south, east, north = asked.box
    found = []
    for line, low, high in ((grid.y, south, north), (grid.x, west, east)):
        bottom, top = line.cells
        turns = line.turns
        shared = np.max([np.minimum(top + t, high) - np.maximum(bottom + t, low) for t in turns], axis=0)
        centred = np.max([(line.values + t >= low) & (line.values + t <= high) for t in turns], axis=0)
        touched = set(np.flatnonzero(shared >= -1e-9).tolist())
        # Along an axis that has centres in the box, these are enough.
        certain = np.flatnonzero(centred) if centred.any() else np.flatnonzero(shared > 1e-6)
        found.append((set(certain.tolist()), touched | set(np.flatnonzero(centred).tolist())))
    columns = len(grid.x.values)
    must, may = ({i * columns + j for i in found[0][k] for j in found[1][k]} for k in (0, 1))
    return Members(must, may, nothing=not must)


def _met_by_path(world: World, asked: Asked) -> Members:
    must, may = set(), set()
    for number in range(len(asked.lines)):
        for (cell, *_), sure in events(world, asked, number, []):
            may.add(cell)
            if sure:
                must.add(cell)
    return Members(must - {-1}, may - {-1}, nothing=not must - {-1})
