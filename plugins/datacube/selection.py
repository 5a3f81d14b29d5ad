"""What is selected of a datacube: which positions along each stored dimension, and which axes do they make?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.datacube import Datacube, Parameter
from plugins.datacube.lookup import Indices
from plugins.datacube.query import Interpolation
from plugins.datacube.reference import Reference


@dataclass(frozen=True, slots=True)
class Mixing:
    """How the values of an answer are made of those that are read: each is a weighted sum of a few of them."""

    sources: Indices
    """shape (m, k): positions among what is read."""
    weights: NDArray[np.float64]
    """shape (m, k): each row has the sum 1; what has the weight 0 does not count, not even where it is missing."""


@dataclass(frozen=True, slots=True)
class Along:
    """Positions along one stored dimension."""

    dim: str
    indices: Indices
    """shape (n,): stored positions, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class Indexer(Along):
    """Positions along one stored dimension, and the axis that they make in the answer."""

    axis: Axis
    """shape (n,), or (m,) with `mixing`: the axis of the answer; longitudes in the convention of the request."""
    mixing: Mixing | None = None


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows and columns of the grid."""

    y: Indexer
    x: Indexer
    mask: NDArray[np.bool_] | None = None
    """shape (y, x): True where a cell belongs to the answer; None where all do."""


@dataclass(frozen=True, slots=True)
class Scattered:
    """Single cells of the grid, n of them."""

    cells: tuple[Along, ...]
    """Their positions along the horizontal dimensions, each of shape (n,): y and x, or those of a mesh; none where the
    dataset is of a single place."""
    y: Axis
    x: Axis

    @property
    def indexers(self) -> tuple[Along, ...]:
        """The dimensions that are taken together, one position a cell."""
        return self.cells

    @property
    def count(self) -> int:
        """How many cells are read."""
        return int(self.indexers[0].indices.size) if self.indexers else 1


@dataclass(frozen=True, slots=True)
class Points(Scattered):
    """Places that each make a coverage; `y` and `x`, of shape (m,), are the coordinates of their answers."""

    order: tuple[int, ...]
    """Which place of the query each is; places outside the domain are left out."""
    others: tuple[Indexer, ...] = ()
    """Times and levels, where each place has its own: t, then z, with positions of shape (n,) and axes of (m,)."""
    mixing: Mixing | None = None
    """Where the value of a place is made of those of several cells; otherwise m is n."""
    distances: NDArray[np.float64] | None = None
    """shape (m,): metres from the place that was asked for to the centre of its cell."""

    @property
    def indexers(self) -> tuple[Along, ...]:
        """The dimensions that are taken together, one position a cell, in the order t, z, y, x."""
        return (*self.others, *self.cells)


@dataclass(frozen=True, slots=True)
class Tracks(Points):
    """Places along lines, one after the other; `order` holds the line of each, rising."""


@dataclass(frozen=True, slots=True)
class Swarm(Scattered):
    """The cells of an area where they lie on no axes: one coverage; `y` and `x`, of shape (n,), are their centres."""


@dataclass(frozen=True, slots=True)
class Raster(Scattered):
    """A grid of places, each with the value of a cell or a mixture; `y` and `x` are its axes, of shape (ny,), (nx,)."""

    places: Indices
    """shape (ny, nx): which cell (or row of `mixing`) each place takes; -1 where it is missing."""
    mixing: Mixing | None = None


type Horizontals = Rectangle | Scattered


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share all their dimensions."""

    parameters: tuple[Parameter, ...]
    leading: tuple[Indexer, ...]
    """First the dimensions that the view holds fixed, each with one position; then custom axes in the order of the
    store, then t, then z, but those that the points have for themselves."""
    horizontal: Horizontals


@dataclass(frozen=True, slots=True)
class Selection:
    """What a query selects of one datacube; never empty."""

    cube: Datacube
    groups: tuple[Group, ...]
    reference: Reference | None = None
    """The CRS of x and y of the answer, where it is not that of the grid."""
    interpolation: Interpolation = Interpolation.NEAREST
