"""What is selected of a datacube: which positions along each stored dimension, and which axes do they make?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.datacube import Datacube, Parameter
from plugins.datacube.lookup import Indices


@dataclass(frozen=True, slots=True)
class Indexer:
    """Positions along one stored dimension, and the axis that they make in the answer."""

    dim: str
    indices: Indices
    """shape (n,): stored positions in the order of the answer."""
    axis: Axis
    """shape (n,): the axis of the answer; longitudes shifted to the convention of the request."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows and columns of the grid."""

    y: Indexer
    x: Indexer
    mask: NDArray[np.bool_] | None = None
    """shape (y, x): True where a cell belongs to the answer; None where all do."""


@dataclass(frozen=True, slots=True)
class Points:
    """Single cells of the grid."""

    y: Indexer
    """shape (n,); not an axis in the order of the grid, but one row a point."""
    x: Indexer
    """shape (n,)"""
    order: tuple[int, ...]
    """Which point of the query each is; points outside the domain are left out."""
    others: tuple[Indexer, ...] = ()
    """Times and levels, where each point has its own: t, then z, each of shape (n,)."""

    @property
    def indexers(self) -> tuple[Indexer, ...]:
        """The dimensions that are taken together, one position a point, in the order t, z, y, x."""
        return (*self.others, self.y, self.x)


@dataclass(frozen=True, slots=True)
class Tracks(Points):
    """Cells of the grid that lines meet, one after the other; `order` holds the line of each, rising."""


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share all their dimensions."""

    parameters: tuple[Parameter, ...]
    leading: tuple[Indexer, ...]
    """Custom axes in the order of the store, then t, then z, but those that the points have for themselves."""
    horizontal: Rectangle | Points


@dataclass(frozen=True, slots=True)
class Selection:
    """What a query selects of one datacube; never empty."""

    cube: Datacube
    groups: tuple[Group, ...]
