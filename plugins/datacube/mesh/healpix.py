"""Where are the pixels of a HEALPix grid, and which one holds a place?

Arithmetic alone (Górski et al. 2005, by healpix-geo): no index is built, whatever the number of pixels. The store may
hold all pixels, in the order of their numbers, or those of a list; numbered nested or in rings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import healpix_geo
import numpy as np
from numpy.typing import NDArray

from plugins.datacube.mesh.mesh import Cells, Degrees, Weighted

COARSE: Final = 6
"""Refinement level at which a box is first compared with pixels: 49,152 of them."""
RADIUS_OF_A_BASE_PIXEL: Final = 60.0
"""Degrees from the centre of a base pixel to its farthest corner, and more; halved with each level."""
THREADS: Final = 1
"""Requests share the cores already."""
MAXIMUM_LEVEL: Final = 29

type Numbers = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class HealpixMesh:
    """The pixels of one refinement level."""

    dims: tuple[str, ...]
    """The stored dimension of the pixels: one."""
    shape: tuple[int, ...]
    level: int
    """Refinement level: there are 12 · 4 ** level pixels on the globe."""
    nested: bool
    """Whether the pixels are numbered nested, else in rings."""
    numbers: Numbers | None = None
    """shape (n,): the pixel at each stored position; None where all are there, in the order of their numbers."""
    ellipsoid: str = "sphere"

    @property
    def spacing(self) -> float:
        """Side of a square as large as a pixel, in degrees."""
        return float(np.degrees(np.sqrt(4.0 * np.pi / (12 * 4**self.level))))

    def centres(self, cells: Cells) -> tuple[Degrees, Degrees]:
        """Return longitude (-180 to 180) and latitude of the centres of cells."""
        numbers = np.asarray(cells, np.uint64) if self.numbers is None else self.numbers[cells]
        longitude, latitude = self._module.healpix_to_lonlat(
            np.ascontiguousarray(numbers).ravel(), self.level, self.ellipsoid, THREADS
        )
        shape = np.shape(cells)
        longitude = np.mod(np.asarray(longitude) + 180.0, 360.0) - 180.0
        return longitude.reshape(shape), np.asarray(latitude).reshape(shape)

    def nearest(self, longitude: Degrees, latitude: Degrees) -> Cells:
        """Return the cell that holds each place, -1 where it is not in the store."""
        numbers = self._module.lonlat_to_healpix(
            np.mod(longitude, 360.0), np.ascontiguousarray(latitude, np.float64), self.level, self.ellipsoid, THREADS
        )
        return self._positions(np.asarray(numbers, np.uint64))

    def candidates(self, west: float, south: float, east: float, north: float) -> Cells:
        """Return, rising, all cells whose centre may lie in a box."""
        coarse = min(self.level, COARSE)
        few: Numbers = np.arange(12 * 4**coarse, dtype=np.uint64)
        longitude, latitude = healpix_geo.nested.healpix_to_lonlat(few, coarse, self.ellipsoid, THREADS)
        margin = RADIUS_OF_A_BASE_PIXEL / 2**coarse
        near: Numbers = few[_near(np.asarray(longitude), np.asarray(latitude), (west, south, east, north), margin)]
        finer = 2 * (self.level - coarse)
        children = np.arange(1 << finer, dtype=np.uint64)
        finest = np.asarray((near[:, None] << np.uint64(finer)) + children, np.uint64)
        positions = self._positions(self._own(finest.ravel()))
        return np.sort(positions[positions >= 0])

    def mixture(self, longitude: Degrees, latitude: Degrees) -> Weighted:
        """Return the four pixels around each place and their bilinear weights.

        Where one of them is not in the store, a place takes the value of the pixel that holds it.
        """
        numbers, weights = self._module.bilinear_interpolation(
            np.mod(longitude, 360.0),
            np.ascontiguousarray(latitude, np.float64),
            self.level,
            ellipsoid=self.ellipsoid,
            num_threads=THREADS,
        )
        cells = self._positions(np.asarray(numbers.data, np.uint64).ravel()).reshape(-1, 4)
        shares = np.where(np.asarray(numbers.mask), 0.0, np.asarray(weights.data))
        shares = np.clip(shares, 0.0, None)
        shares = shares / shares.sum(axis=1, keepdims=True)
        # A pixel that does not count need not be there.
        least = np.take_along_axis(cells, shares.argmax(axis=1)[:, None], axis=1)
        cells = np.where(shares == 0.0, least, cells)
        edge = (cells < 0).any(axis=1)
        if edge.any():
            cells[edge] = self.nearest(longitude[edge], latitude[edge])[:, None]
            shares[edge] = (1.0, 0.0, 0.0, 0.0)
        return Weighted(cells, shares)

    @property
    def _module(self) -> Any:
        return healpix_geo.nested if self.nested else healpix_geo.ring

    def _own(self, nested: Numbers) -> Numbers:
        """Return pixel numbers in the scheme of the store."""
        if self.nested:
            return nested
        return np.asarray(healpix_geo.nested.to_ring(nested, self.level, num_threads=THREADS), np.uint64)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        assert self.numbers is not None  # noqa: S101 -- asked only where there is a list
        return np.argsort(self.numbers, kind="stable")

    def _positions(self, numbers: Numbers) -> Cells:
        """Return where pixels stand in the store, -1 where they do not."""
        if self.numbers is None:
            return numbers.astype(np.intp)
        order = self._order
        place = np.searchsorted(self.numbers, numbers, sorter=order)
        place = np.minimum(place, order.size - 1)
        found = order[place]
        return np.where(self.numbers[found] == numbers, found, -1)


def _near(
    longitude: Degrees, latitude: Degrees, box: tuple[float, float, float, float], margin: float
) -> NDArray[np.bool_]:
    """Tell which places lie within degrees of a box of longitude and latitude."""
    west, south, east, north = box
    rows = (latitude >= south - margin) & (latitude <= north + margin)
    # How many degrees of longitude the margin is; near a pole it is all of them.
    polar = np.abs(latitude) + margin >= 90.0 - 1e-9
    with np.errstate(invalid="ignore"):
        sine = np.sin(np.radians(margin)) / np.cos(np.radians(latitude))
        beside = np.where(polar, 360.0, np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))
    if east - west >= 360.0:
        return np.asarray(rows)
    east_of = np.mod(longitude - west, 360.0)
    away = np.minimum(np.maximum(east_of - (east - west), 0.0), 360.0 - east_of)
    return np.asarray(rows & (away <= beside))


def read_level(attributes: Mapping[str, Any]) -> int | None:
    """Return the refinement level that attributes name: of CF 1.13, xdggs or nextGEMS; None where they do not.

    Examples
    --------
    >>> read_level({"healpix_nside": 64}), read_level({"refinement_level": 3}), read_level({"nside": 12})
    (6, 3, None)
    """
    for name in ("refinement_level", "level", "resolution", "depth"):
        value = attributes.get(name)
        if isinstance(value, int | np.integer) and 0 <= int(value) <= MAXIMUM_LEVEL:
            return int(value)
    for name in ("healpix_nside", "nside"):
        value = attributes.get(name)
        if isinstance(value, int | np.integer) and int(value) > 0 and int(value) & (int(value) - 1) == 0:
            return int(value).bit_length() - 1
    return None


def read_nested(attributes: Mapping[str, Any]) -> bool | None:
    """Return whether attributes name the nested order; None where they name another one than nested and ring.

    Examples
    --------
    >>> read_nested({"indexing_scheme": "ring"}), read_nested({"healpix_order": "nest"}), read_nested({"nest": False})
    (False, True, False)
    """
    if isinstance(attributes.get("nest"), bool | np.bool_):
        return bool(attributes["nest"])
    for name in ("indexing_scheme", "healpix_order", "order", "ordering"):
        value = attributes.get(name)
        if isinstance(value, str):
            word = value.strip().lower()
            if word in ("nested", "nest"):
                return True
            return False if word == "ring" else None
    return None
