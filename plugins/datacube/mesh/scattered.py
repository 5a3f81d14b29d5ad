"""Which of many centres, given one by one, is nearest to a place, and does the place lie in its cell?

For curvilinear grids (2-D latitude and longitude, the tripolar grids of ocean models), unstructured and reduced
Gaussian grids, and stations. Nearness is that of great circles. How far a cell reaches is not stored in most files:

- in a curvilinear grid, as far as half-way to the farthest of its diagonal neighbours;
- in a list of cells that covers the globe, everywhere; in one that does not, as far as its third nearest neighbour;
- a station, and the one place of a series, within `STATION_METRES`.

What lies farther from every centre is outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.distance import EARTH_RADIUS
from plugins.datacube.mesh import tree as trees
from plugins.datacube.mesh.mesh import Cells, Degrees, Weighted
from plugins.datacube.mesh.triangles import Triangles, triangulate

STATION_METRES: Final = 1_000.0
"""How near to a station a place must lie to be at it."""
TIES: Final = 4
"""Centres that are compared where several are equally near: the first in stored order is taken."""
SAME: Final = 1e-12
"""Difference of chords (of the unit sphere) that is none."""
GLOBAL_SAMPLES: Final = 20_000
GLOBAL_GAP: Final = 3.0
"""A list of cells covers the globe if no place is farther from a centre than so many mean spacings."""
_AT_ONCE: Final = 500_000


@dataclass(frozen=True, eq=False)
class ScatteredMesh:
    """Cells whose centres are listed."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    longitude: Degrees
    """shape (n,), in C order of `shape`, -180 to 180; NaN where a cell has no place."""
    latitude: Degrees
    stations: bool = False
    """Whether the cells are places of their own: stations, or one series."""

    def __post_init__(self) -> None:
        """Freeze the arrays: a mesh is shared between threads."""
        self.longitude.setflags(write=False)
        self.latitude.setflags(write=False)
        object.__setattr__(self, "_lock", Lock())

    @property
    def spacing(self) -> float:
        """Typical distance between neighbouring centres, in degrees."""
        return self._measures.spacing

    def centres(self, cells: Cells) -> tuple[Degrees, Degrees]:
        """Return longitude and latitude of the centres of cells."""
        return self.longitude[cells], self.latitude[cells]

    def candidates(self, west: float, south: float, east: float, north: float) -> Cells:
        """Return, rising, all cells between two parallels."""
        del west, east
        return np.flatnonzero((self.latitude >= south - 1e-6) & (self.latitude <= north + 1e-6))

    def nearest(self, longitude: Degrees, latitude: Degrees) -> Cells:
        """Return the cell that holds each place, -1 where none does."""
        found = np.empty(longitude.size, np.intp)
        for start in range(0, longitude.size, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            found[part] = self._nearest(unit_vectors(longitude[part], latitude[part]))
        return found

    def _nearest(self, places: NDArray[np.float64]) -> Cells:
        placed = self._placed
        several = min(TIES, placed.size)
        chords, numbers = self.tree.query(places, k=np.arange(1, several + 1))
        near = chords <= chords[:, :1] + SAME
        cells = np.where(near, placed[numbers], np.iinfo(np.intp).max).min(axis=1)
        return np.where(chords[:, 0] <= self._measures.reach[cells] * (1 + 1e-9) + SAME, cells, -1)

    def mixture(self, longitude: Degrees, latitude: Degrees) -> Weighted:
        """Return the corners of the triangle of centres around each place and their weights.

        The triangles are those of Delaunay on the sphere; a place in a cell that no triangle of neighbouring centres
        holds takes the value of the cell.
        """
        places = unit_vectors(longitude, latitude)
        held = self._nearest(places)
        known = np.flatnonzero(held >= 0)
        cells = np.full((longitude.size, 3), -1, np.intp)
        weights = np.tile([1.0, 0.0, 0.0], (longitude.size, 1))
        cells[known] = held[known, None]
        if known.size and self._placed.size > 3 and not self.stations:
            corners, shares = self.triangles.locate(places[known], self._number[held[known]])
            inside = (corners >= 0).all(axis=1)
            cells[known[inside]] = self._placed[corners[inside]]
            weights[known[inside]] = shares[inside]
        return Weighted(cells, weights)

    @cached_property
    def _placed(self) -> Cells:
        """The cells that have a place."""
        return np.flatnonzero(np.isfinite(self.longitude) & np.isfinite(self.latitude))

    @cached_property
    def _number(self) -> NDArray[np.intp]:
        """Where each cell stands among those that have a place."""
        number = np.full(self.longitude.size, -1, np.intp)
        number[self._placed] = np.arange(self._placed.size)
        return number

    @cached_property
    def _vectors(self) -> NDArray[np.float64]:
        return unit_vectors(self.longitude[self._placed], self.latitude[self._placed])

    @cached_property
    def tree(self) -> trees.Tree:
        """The spatial index; from disk where it was made before."""
        with self._lock:  # type: ignore[attr-defined]
            return trees.tree_of(self._vectors)

    @cached_property
    def triangles(self) -> Triangles:
        """The triangles between neighbouring centres; made when they are first asked for."""
        with self._lock:  # type: ignore[attr-defined]
            return triangulate(self._vectors, longest=4.0 * 2.0 * np.sin(np.radians(self._measures.spacing) / 2.0))

    @cached_property
    def _measures(self) -> _Measures:
        return _measure(self)


@dataclass(frozen=True, slots=True)
class _Measures:
    spacing: float
    """Degrees."""
    reach: NDArray[np.float64]
    """shape (n,): of each cell, as a chord of the unit sphere."""


def _measure(mesh: ScatteredMesh) -> _Measures:
    size = mesh.longitude.size
    placed = mesh._placed
    if mesh.stations or placed.size < 4:
        reach = np.full(size, 2.0 * np.sin(STATION_METRES / EARTH_RADIUS / 2.0))
        return _Measures(0.0, reach)
    vectors = mesh._vectors
    if len(mesh.shape) == 2:
        reach = _half_diagonals(mesh)
        typical = float(np.nanmedian(reach)) * np.sqrt(2.0)
        return _Measures(_degrees(typical), np.nan_to_num(reach, nan=0.0))
    # Two places are no farther apart than a chord of 2: a list of cells over the globe leaves nothing outside.
    mean = float(np.sqrt(4.0 * np.pi / placed.size))
    far = float(mesh.tree.query(_even_places(GLOBAL_SAMPLES), k=1)[0].max())
    if far <= GLOBAL_GAP * mean:
        return _Measures(_degrees(mean), np.full(size, 2.0))
    third = mesh.tree.query(vectors, k=[4])[0][:, 0]
    reach = np.zeros(size)
    reach[placed] = third
    return _Measures(_degrees(float(np.median(mesh.tree.query(vectors, k=[2])[0]))), reach)


def _half_diagonals(mesh: ScatteredMesh) -> NDArray[np.float64]:
    """Return half the way to the farthest diagonal neighbour of each cell of a curvilinear grid, as a chord.

    A neighbour that is more than five times as far as the nearest is not one: grids have seams.
    """
    rows, columns = mesh.shape
    places = unit_vectors(mesh.longitude, mesh.latitude).reshape(rows, columns, 3)
    ways = np.full((4, rows, columns), np.nan)
    for number, (down, right) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
        here = _window(rows, down), _window(columns, right)
        there = _window(rows, -down), _window(columns, -right)
        ways[number][here] = np.linalg.norm(places[here] - places[there], axis=-1)
    with np.errstate(invalid="ignore"):
        least = np.fmin.reduce(ways, axis=0)
        ways[ways > 5.0 * least] = np.nan
        farthest = np.fmax.reduce(ways, axis=0)
    # Half the arc, not half the chord.
    flat = 2.0 * np.sin(np.arcsin(np.clip(farthest.ravel() / 2.0, 0.0, 1.0)) / 2.0)
    lonely = ~np.isfinite(flat) & np.isfinite(mesh.longitude)
    flat[lonely] = np.nanmedian(flat) if np.isfinite(flat).any() else 0.0
    return np.asarray(flat)


def _window(size: int, step: int) -> slice:
    return slice(0, size - step) if step > 0 else slice(-step, size)


def _even_places(count: int) -> NDArray[np.float64]:
    """Return places that are spread evenly over the sphere (a Fibonacci lattice), shape (count, 3)."""
    number = np.arange(count) + 0.5
    z = 1.0 - 2.0 * number / count
    turn = np.pi * (1.0 + np.sqrt(5.0)) * number
    radius = np.sqrt(1.0 - z * z)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)


def _degrees(chord: float) -> float:
    return float(np.degrees(2.0 * np.arcsin(min(chord / 2.0, 1.0))))


def unit_vectors(longitude: Degrees, latitude: Degrees) -> NDArray[np.float64]:
    """Return places as unit vectors, shape (n, 3)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def without_places(longitude: Degrees, latitude: Degrees) -> tuple[Degrees, Degrees]:
    """Return the centres with NaN for cells that have no place.

    Ocean models leave out blocks of land and write 0, 0 (or another constant) for the coordinates there: a place that
    more than two cells share is none. Latitudes beyond a pole are none either.
    """
    longitude = np.mod(np.asarray(longitude, np.float64) + 180.0, 360.0) - 180.0
    latitude = np.array(latitude, np.float64)
    bad = ~(np.isfinite(longitude) & np.isfinite(latitude)) | (np.abs(latitude) > 90.0 + 1e-3)
    pairs = np.stack([np.where(bad, 0.0, longitude), np.where(bad, 0.0, latitude)], axis=1)
    polar = np.abs(latitude) > 90.0 - 1e-6
    _, number, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    bad |= (count[number.ravel()] > 2) & ~polar
    return np.where(bad, np.nan, longitude), np.where(bad, np.nan, np.clip(latitude, -90.0, 90.0))
