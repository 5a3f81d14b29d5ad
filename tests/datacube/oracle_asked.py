"""What is a dataset, a query and an answer, in numbers? The types of the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from oracle_cells import CRS84, Grid
from pyproj import CRS

AREAS = ("area", "cube", "radius", "corridor")


@dataclass
class Dimension:
    name: str
    kind: str
    """``t`` (int64 microseconds since 1970), ``z`` or ``custom``."""
    values: np.ndarray
    bounds: np.ndarray | None = None


@dataclass
class Field:
    dims: tuple[str, ...]
    values: np.ndarray
    """Decoded, in stored order; NaN is missing."""


@dataclass
class World:
    """A dataset as its maker knows it."""

    grid: Grid
    cell_dims: tuple[str, ...]
    leading: dict[str, Dimension]
    fields: dict[str, Field]

    def block(self, name: str, leading: Sequence[str]) -> np.ndarray:
        """Return the values of a field, the named dimensions first, then one for the cells."""
        one = self.fields[name]
        moved = np.transpose(one.values, [one.dims.index(dim) for dim in (*leading, *self.cell_dims)])
        return moved.reshape(*moved.shape[: len(leading)], -1)


@dataclass
class Asked:
    """A query, as numbers."""

    kind: str
    points: tuple[tuple[float, float], ...] = ()
    polygons: tuple[tuple[np.ndarray, ...], ...] = ()
    """Of each the outer ring, then its holes, shape (n, 2), closed."""
    bbox: tuple[float, float, float, float] = (0, 0, 0, 0)
    lines: tuple[np.ndarray, ...] = ()
    """shape (n, 2): vertices."""
    heights: tuple[np.ndarray, ...] | None = None
    """Z of each vertex of each line."""
    times: tuple[np.ndarray, ...] | None = None
    """M of each vertex of each line, in microseconds since 1970."""
    metres: float = 0.0
    """``within``, or ``corridor-width``."""
    height: float = 0.0
    crs: CRS | None = None
    linear: bool = False
    columns: int = 0
    rows: int = 0
    levels: int = 0
    select: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    """By the name of a dimension: ``("interval", (low, high))`` or ``("values", [...])``."""
    parameters: tuple[str, ...] = ()
    raw: Mapping[str, str] = field(default_factory=dict)
    """As it was sent."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The bbox, its east beyond 180 where it crosses the antimeridian."""
        west, south, east, north = self.bbox
        while west > east:
            east += 360.0
        return west, south, east, north

    @property
    def path(self) -> list[np.ndarray]:
        return [np.asarray(line, float) for line in self.lines]


@dataclass
class Piece:
    """One coverage of an answer."""

    leading: list[tuple[str, str, np.ndarray]]
    """Name, kind and values of the axes before the horizontal ones, in the order of the array."""
    form: str
    """``point``, ``rows``, ``list`` (cells one by one) or ``path``."""
    x: np.ndarray
    y: np.ndarray
    t: np.ndarray | None
    z: np.ndarray | None
    values: dict[str, np.ndarray]
    """NaN is missing."""
    geographic: bool
    distance: float | None = None
    linear: bool = False


class TooFineError(Exception):
    """A path is too long beside the cells for the oracle to follow it, or leaves the Earth."""


def fail(asked: Asked, why: str) -> None:
    raise AssertionError(f"{why}\n  asked: {asked.kind} {dict(asked.raw)}")


def request_of(asked: Asked) -> CRS:
    return CRS84 if asked.crs is None else asked.crs
