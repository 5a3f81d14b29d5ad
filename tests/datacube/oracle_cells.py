"""Which cell of a grid holds a place, and of which cells is a linear value made? By brute force, from textbooks.

Nothing of the project is imported here. Axes are searched value by value, nearest centres by comparing with every
centre, HEALPix pixels by the formulas of Górski et al. (2005) and the tables of its C library, triangles of Delaunay by
trying all triples of centres, coordinates by fresh transformers of PROJ.

Every grid has cells numbered in C order, and three questions: `hold` (the number of the cell at places, -1 outside),
`mix` (cells and weights at places) and `centres`, all in the grid's own coordinates. What docs/queries.md does not
decide (a place on the border of two cells) is found by asking for places a hair beside it: `Grid.options`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from oracle_pixels import face_to_number, neighbour, on_face, pixel_centre
from pyproj import CRS, Transformer

RADIUS = 6_371_008.8


CRS84 = CRS("OGC:CRS84")


STATION = 1_000.0


_TRANSFORMERS: dict[tuple[str, str], Transformer] = {}


Shares = tuple[tuple[int, ...], tuple[float, ...]]
"""Cells and weights of one mixture; one cell of weight 1 for a stored value, none for "outside"."""


def move(x, y, source: CRS, target: CRS):
    """Bring places from one CRS to another, x first; NaN where that cannot be done."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if same(source, target):
        return x, y
    key = source.srs, target.srs
    if key not in _TRANSFORMERS:
        _TRANSFORMERS[key] = Transformer.from_crs(source, target, always_xy=True)
    x, y = _TRANSFORMERS[key].transform(x, y, errcheck=False)
    lost = ~(np.isfinite(x) & np.isfinite(y))
    return np.where(lost, np.nan, x), np.where(lost, np.nan, y)


def _is_degrees(crs: CRS) -> bool:
    return crs.srs in ("OGC:CRS84", "EPSG:4326")


def same(a: CRS, b: CRS) -> bool:
    return a.srs == b.srs or (_is_degrees(a) and _is_degrees(b))


def is_geographic(crs: CRS) -> bool:
    """Whether x is longitude and y latitude."""
    return crs.is_geographic and not crs.is_derived


def metres(lon, lat, other, parallel):
    """Return great-circle distances on the sphere of the Earth's mean radius, by the formula of Vincenty."""
    a, b, d = np.radians(lat), np.radians(parallel), np.radians(np.asarray(other) - lon)
    up = np.hypot(np.cos(b) * np.sin(d), np.cos(a) * np.sin(b) - np.sin(a) * np.cos(b) * np.cos(d))
    return RADIUS * np.arctan2(up, np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(d))


def vectors(lon, lat):
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


@dataclass
class Line:
    """One coordinate axis."""

    values: np.ndarray
    bounds: np.ndarray | None = None
    circular: bool = False
    """Longitudes, modulo 360."""
    closed: bool = False
    """Longitudes whose cells close the circle."""
    latitude: bool = False
    stored: np.ndarray | None = None
    """The coordinates as they are stored, where 32 bits make others of them: 0.1 is stored as 0.10000000149."""

    @cached_property
    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends: as given, else half-way to the neighbours."""
        v = np.asarray(self.values)
        if self.bounds is not None:
            return self.bounds.min(axis=1), self.bounds.max(axis=1)
        if len(v) == 1:
            # A cell of no width; a horizontal one forgives a millionth of a degree.
            near = 0 if v.dtype.kind in "iu" else 1e-6
            return v - near, v + near
        low, high = [], []
        for i in range(len(v)):
            ends = []
            for j, k in ((i - 1, i + 1), (i + 1, i - 1)):
                there = j if 0 <= j < len(v) else k
                half = (v[there] - v[i]) / 2
                ends.append(v[i] + half if there == j else v[i] - half)
            low.append(min(ends))
            high.append(max(ends))
        ends = np.array(low), np.array(high)
        return (np.maximum(ends[0], -90.0), np.minimum(ends[1], 90.0)) if self.latitude else ends

    @property
    def turns(self) -> np.ndarray:
        return 360.0 * np.arange(-4, 5) if self.circular else np.zeros(1, np.asarray(self.values).dtype)

    def hold(self, wanted) -> np.ndarray:
        """Return the cell that contains each value; of several the one with the nearest centre, then the first."""
        low, high = self.cells
        v = np.atleast_1d(wanted)[:, None, None] + self.turns[:, None]
        away = np.where((low <= v) & (v <= high), np.abs(v - np.asarray(self.values)), np.inf).min(axis=1)
        near = away <= away.min(axis=1, keepdims=True) + 1e-9
        return np.where(np.isinf(away).all(axis=1), -1, near.argmax(axis=1))

    def mix(self, value: float) -> list[tuple[int, float]] | None:
        """Return the cells and weights between whose centres a value lies; None outside."""
        held = int(self.hold([value])[0])
        if held < 0:
            return None
        low, high = self.cells
        # Of the turns, one on which the value lies in its cell.
        v = next(value + turn for turn in self.turns if low[held] <= value + turn <= high[held])
        centres = [(float(c), i) for i, c in enumerate(self.values)]
        if self.closed:
            centres += [(c + turn, i) for c, i in centres for turn in (-360.0, 360.0)]
        centres.sort()
        below = [pair for pair in centres if pair[0] <= v]
        above = [pair for pair in centres if pair[0] >= v]
        if not below or not above:
            return [(held, 1.0)]
        (a, i), (b, j) = below[-1], above[0]
        if a == b:
            return [(i, 1.0)]
        part = float((v - a) / (b - a))
        return [(i, 1.0 - part), (j, part)]


class Grid:
    """Cells on the Earth."""

    crs: CRS
    """Of `centres`, `hold` and `mix`."""
    shape: tuple[int, ...]
    hair: float = 1e-8
    """How near to a border (in units of a request in degrees) both sides are right."""

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of all centres; NaN for a cell without a place."""
        raise NotImplementedError

    def hold(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def mix(self, x: float, y: float) -> list[Shares]:
        """Return the mixtures that are right at a place; `((), ())` for outside."""
        raise NotImplementedError

    def beside(self, crs: CRS) -> float:
        """Return `hair` in the units of a CRS."""
        return self.hair if crs.is_geographic else max(self.hair * 1e5, 1e-3)

    def held(self, x, y, crs: CRS) -> list[set[int]]:
        """Return, for each place in a CRS, the cells that may be said to hold it; -1 for none."""
        x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
        found: list[set[int]] = [set() for _ in x]
        for at_x, at_y in self._around(x, y, crs):
            for place, cell in zip(found, self.hold(*move(at_x, at_y, crs, self.crs)).tolist(), strict=True):
                place.add(cell)
        return found

    def options(self, x: float, y: float, crs: CRS, *, linear: bool) -> list[Shares]:
        """Return all that may be answered at a place in a CRS."""
        if not linear:
            return [((cell,), (1.0,)) if cell >= 0 else ((), ()) for cell in self.held(x, y, crs)[0]]
        found: list[Shares] = []
        for at_x, at_y in self._around(np.array([x]), np.array([y]), crs):
            own_x, own_y = move(at_x, at_y, crs, self.crs)
            if np.isfinite(own_x[0]):
                found += self.mix(float(own_x[0]), float(own_y[0]))
            else:
                found.append(((), ()))
        return list(dict.fromkeys(found))

    def _around(self, x, y, crs: CRS):
        step = self.beside(crs)
        for dx, dy in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            at_y = y + dy * step
            yield x + dx * step, np.clip(at_y, -90, 90) if is_geographic(crs) else at_y

    def centres_in(self, crs: CRS) -> tuple[np.ndarray, np.ndarray]:
        return move(*self.centres(), self.crs, crs)


@dataclass
class Lattice(Grid):
    """Rows and columns."""

    y: Line
    x: Line
    crs: CRS = CRS84
    hair: float = 1e-8

    @property
    def shape(self):
        return len(self.y.values), len(self.x.values)

    def centres(self):
        y, x = np.meshgrid(self.y.values.astype(float), self.x.values.astype(float), indexing="ij")
        return x.ravel(), y.ravel()

    def hold(self, x, y):
        known = np.isfinite(x) & np.isfinite(y)
        rows, columns = self.y.hold(np.where(known, y, 0)), self.x.hold(np.where(known, x, 0))
        return np.where(known & (rows >= 0) & (columns >= 0), rows * len(self.x.values) + columns, -1)

    def mix(self, x, y):
        rows, columns = self.y.mix(y), self.x.mix(x)
        if rows is None or columns is None:
            return [((), ())]
        parts = [(i * len(self.x.values) + j, a * b) for (i, a), (j, b) in itertools.product(rows, columns)]
        return [(tuple(c for c, _ in parts), tuple(w for _, w in parts))]


@dataclass
class Cloud(Grid):
    """Centres given one by one."""

    lon: np.ndarray
    lat: np.ndarray
    shape: tuple[int, ...]
    stations: bool = False
    whole_globe: bool = False
    hair: float = 1e-8
    crs: CRS = field(default_factory=lambda: CRS84)

    def centres(self):
        return self.lon.ravel(), self.lat.ravel()

    @cached_property
    def _vectors(self):
        return vectors(*self.centres())

    @cached_property
    def placed(self) -> np.ndarray:
        return np.flatnonzero(np.isfinite(self.lon.ravel()) & np.isfinite(self.lat.ravel()))

    @cached_property
    def reach(self) -> np.ndarray:
        """How far each cell reaches, in metres."""
        lon, lat = self.centres()
        if self.stations or self.placed.size < 4:
            return np.full(lon.size, STATION)
        if self.whole_globe:
            return np.full(lon.size, np.inf)
        apart = metres(lon[:, None], lat[:, None], lon, lat)
        if len(self.shape) == 1:
            # Its third nearest neighbour; the nearest of all is itself.
            return np.sort(np.where(np.isnan(apart), np.inf, apart), axis=1)[:, 3]
        rows, columns = self.shape
        number = np.arange(rows * columns).reshape(self.shape)
        found = np.zeros(self.shape)
        for i, j in np.ndindex(*self.shape):
            around = [
                apart[number[i, j], number[k, m]]
                for k in (i - 1, i + 1)
                for m in (j - 1, j + 1)
                if 0 <= k < rows and 0 <= m < columns
            ]
            around = [way for way in around if np.isfinite(way)]
            # Both sides of a seam or a fold are beside each other in the array and not on the Earth.
            around = [way for way in around if way <= 5 * min(around)]
            found[i, j] = max(around, default=0.0) / 2
        lonely = found == 0
        found[lonely] = np.median(found[~lonely]) if (~lonely).any() else 0.0
        return found.ravel()

    def hold(self, x, y):
        x, y = np.atleast_1d(x), np.atleast_1d(y)
        lon, lat = self.centres()
        away = metres(x[:, None], y[:, None], lon, lat)
        away[np.isnan(away)] = np.inf
        cell = away.argmin(axis=1)
        inside = away[np.arange(x.size), cell] <= self.reach[cell] * (1 + 1e-12) + 1e-6
        return np.where(inside & np.isfinite(x) & np.isfinite(y), cell, -1)

    def held(self, x, y, crs):
        """Return the cells that may be said to hold places: all that are as near as each other."""
        lon, lat = self.centres()
        found = []
        at_lon, at_lat = move(np.atleast_1d(x), np.atleast_1d(y), crs, CRS84)
        near = max(self.hair * 3e5, 1e-3)
        for one_lon, one_lat in zip(at_lon, at_lat, strict=True):
            away = metres(one_lon, one_lat, lon, lat)
            away = np.where(np.isnan(away), np.inf, away)
            cells = np.flatnonzero(away <= away.min() + near) if np.isfinite(away.min()) else np.zeros(0, int)
            place = {int(cell) for cell in cells if away[cell] <= self.reach[cell] + near}
            if not cells.size or (away[cells] >= self.reach[cells] - near).any():
                place.add(-1)
            found.append(place)
        return found

    @cached_property
    def triangles(self) -> np.ndarray:
        """All triples of centres whose circumscribed circle holds no other centre, shape (n, 3)."""
        cells = self.placed
        _, first = np.unique(np.round(self._vectors[cells], 10), axis=0, return_index=True)
        cells = cells[np.sort(first)]
        places = self._vectors[cells]
        found = []
        for i, j in itertools.combinations(range(len(cells)), 2):
            k = np.arange(j + 1, len(cells))
            normals = np.cross(places[j] - places[i], places[k] - places[i])
            lengths = np.linalg.norm(normals, axis=1, keepdims=True)
            normals = normals / np.where(lengths > 1e-14, lengths, np.nan)
            above = (places - places[i]) @ normals.T
            empty_up, empty_down = (above <= 1e-11).all(axis=0), (above >= -1e-11).all(axis=0)
            # The circle on the side of the triangle itself.
            up = normals @ places[i] > 0
            fits = np.where(up, empty_up, empty_down)
            # A great circle has a triangle on neither side.
            found += [(i, j, int(m)) for m in k[fits & ~np.isnan(lengths[:, 0])]]
        return cells[np.array(found, int).reshape(-1, 3)]

    @cached_property
    def spacing(self) -> float:
        """Median distance to the nearest other centre, in metres."""
        lon, lat = (part[self.placed] for part in self.centres())
        apart = metres(lon[:, None], lat[:, None], lon, lat)
        return float(np.median(np.min(np.where(apart < 1.0, np.inf, apart), axis=1)))

    def mix(self, x, y):
        held = self.held(np.array([x]), np.array([y]), CRS84)[0]
        alone = [((cell,), (1.0,)) if cell >= 0 else ((), ()) for cell in held]
        if held == {-1} or self.stations or self.placed.size < 4:
            return alone
        place = vectors(x, y)
        corners = self._vectors[self.triangles]
        parts = np.linalg.solve(np.swapaxes(corners, 1, 2) + 0.0, np.broadcast_to(place[:, None], (len(corners), 3, 1)))
        parts = parts[..., 0]
        inside = (parts > -1e-9).all(axis=1)
        found: list[Shares] = []
        short = False
        for cells, part, where in zip(self.triangles[inside], parts[inside], corners[inside], strict=True):
            share = np.clip(part, 0, None)
            found.append((tuple(cells.tolist()), tuple((share / share.sum()).tolist())))
            longest = max(np.linalg.norm(where[a] - where[b]) for a, b in ((0, 1), (1, 2), (2, 0)))
            short |= longest * RADIUS < 2.0 * self.spacing
        # Where triangles are long, they span a gap, or the edge of a region: the value of the cell is as right.
        return found if short else found + alone


@dataclass
class Healpix(Grid):
    """Pixels of one refinement level."""

    level: int
    nested: bool
    numbers: np.ndarray
    """shape (n,): the pixel at each stored position."""
    hair: float = 1e-8
    crs: CRS = field(default_factory=lambda: CRS84)

    @property
    def shape(self):
        return (len(self.numbers),)

    @cached_property
    def place_of(self) -> dict[int, int]:
        return {int(number): place for place, number in enumerate(self.numbers)}

    def _pixel(self, face: int, ix: int, iy: int) -> int:
        return self.place_of.get(face_to_number(self.level, face, ix, iy, nested=self.nested), -1)

    def centres(self):
        lon, lat = zip(*(pixel_centre(self.level, int(n), nested=self.nested) for n in self.numbers), strict=True)
        return np.array(lon), np.array(lat)

    def hold(self, x, y):
        side = 1 << self.level
        found = []
        for lon, lat in zip(np.atleast_1d(x), np.atleast_1d(y), strict=True):
            if not (np.isfinite(lon) and np.isfinite(lat)):
                found.append(-1)
                continue
            face, u, v = on_face(lon, lat)
            ix, iy = (min(max(int(part * side), 0), side - 1) for part in (u, v))
            found.append(self._pixel(face, ix, iy))
        return np.array(found, int)

    def mix(self, x, y):
        held = int(self.hold(np.array([x]), np.array([y]))[0])
        if held < 0:
            return [((), ())]
        side = 1 << self.level
        face, u, v = on_face(x, y)
        u, v = u * side - 0.5, v * side - 0.5
        i, j = int(np.floor(u)), int(np.floor(v))
        corners = {}
        for a, b in itertools.product((0, 1), (0, 1)):
            share = (u - i if a else 1 - u + i) * (v - j if b else 1 - v + j)
            there = neighbour(self.level, face, i + a, j + b)
            corners[a, b] = (None if there is None else self._pixel(*there)), share
        parts = [(cell, share) for cell, share in corners.values() if cell is not None and share > 0]
        if any(cell < 0 for cell, _ in parts):
            return [((held,), (1.0,))]
        total = sum(share for _, share in parts)
        found = [(tuple(cell for cell, _ in parts), tuple(share / total for _, share in parts))]
        lost = [corner for corner, (cell, _) in corners.items() if cell is None]
        if lost:
            # Where three base pixels meet there are three pixels around: the fourth share goes to those beside it.
            (a, b), share = lost[0], corners[lost[0]][1]
            beside = ((1 - a, b), (a, 1 - b))
            given = [(cell, part + share / 2 * (corner in beside)) for corner, (cell, part) in corners.items()]
            given = [(cell, part) for cell, part in given if cell is not None]
            if all(cell >= 0 for cell, part in given if part > 0):
                found.append((tuple(cell for cell, _ in given), tuple(part for _, part in given)))
        return found
