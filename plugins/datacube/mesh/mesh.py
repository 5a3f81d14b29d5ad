"""What does a query need to know of cells that do not lie on two axes?

HEALPix pixels, the cells of a curvilinear or an unstructured grid, and stations have a centre each, and a number: their
position along the stored dimensions, counted in C order. The numbers become stored positions in
`plugins.datacube.on_mesh`; everything about the Earth is behind this interface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

type Cells = NDArray[np.intp]
"""Numbers of cells."""
type Degrees = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weighted:
    """Of which cells the value at each of some places is a linear mixture."""

    cells: Cells
    """shape (n, k): -1 in a row without a mixture, outside the mesh."""
    weights: NDArray[np.float64]
    """shape (n, k): at least 0, each row with a sum of 1; 0 where a row needs fewer cells."""


@runtime_checkable
class Mesh(Protocol):
    """The cells of one dataset; immutable, safe to share between threads."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Stored dimensions of the cells: one, two (curvilinear), or none (a single place)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each of `dims`."""

    @property
    def spacing(self) -> float:
        """Typical distance between neighbouring centres, in degrees of a great circle; 0 for a single place."""

    def centres(self, cells: Cells) -> tuple[Degrees, Degrees]:
        """Return longitude (-180 to 180) and latitude of the centres of cells, each of the shape of `cells`.

        A cell without a place has NaN.
        """

    def candidates(self, west: float, south: float, east: float, north: float) -> Cells:
        """Return, rising, all cells whose centre may lie in a box: no fewer, but perhaps more.

        Longitudes count modulo 360; west <= east.
        """

    def nearest(self, longitude: Degrees, latitude: Degrees) -> Cells:
        """Return the cell that holds each place, -1 where none does; shape (n,)."""

    def mixture(self, longitude: Degrees, latitude: Degrees) -> Weighted:
        """Return the cells around each place and their weights for linear interpolation."""
