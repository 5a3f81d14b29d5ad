"""What is an answer, before it becomes bytes of any format?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.datacube import Datacube, Parameter
from plugins.datacube.query import Interpolation


class DomainType(StrEnum):
    """Domain types of the CoverageJSON specification that answers use."""

    GRID = "Grid"
    POINT = "Point"
    POINT_SERIES = "PointSeries"
    VERTICAL_PROFILE = "VerticalProfile"
    TRAJECTORY = "Trajectory"
    MULTI_POINT = "MultiPoint"
    """The places of a path in data without times, or the cells of an area where they lie on no axes."""
    MULTI_POINT_SERIES = "MultiPointSeries"
    """Such cells at several times."""


type Values = NDArray[Any] | np.ma.MaskedArray[Any, Any]
"""Floats with NaN for missing; a masked array where integers have missing values."""


@dataclass(frozen=True, slots=True)
class Place:
    """What people call the place of an answer."""

    id: str
    """Of a location of the dataset."""
    name: str


@runtime_checkable
class ReadLater(Protocol):
    """Values that are read while they are written; `plugins.datacube.slabs` makes them."""

    def slabs(self) -> Iterator[Values]:
        """Read them, part by part, in C order."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Values of some parameters over one domain."""

    cube: Datacube
    """Where the values come from: id, title, CRS, snapshot."""
    domain_type: DomainType | None
    """None where a custom axis (members, steps) has several values: no common domain type has such an axis."""
    axes: tuple[Axis, ...]
    """In array order: custom axes, then t, z, y, x, as far as they exist, or one composite axis instead of these; axes
    of one value are kept."""
    parameters: Mapping[str, Parameter]
    ranges: Mapping[str, Values]
    """By parameter name; each of shape ``tuple(axis.size for axis in axes)``, C order."""
    crs: str | None = None
    """URI of the CRS of x and y, where it is not that of the grid."""
    crs_wkt: str | None = None
    """Its WKT 2."""
    geographic: bool | None = None
    """Whether x and y are longitude and latitude in degrees; None where the CRS is that of the grid."""
    interpolation: Interpolation = Interpolation.NEAREST
    distance: float | None = None
    """Of a point: metres from the place that was asked for to the centre of its cell."""
    place: Place | None = None
    """The location that was asked for by its name."""

    @property
    def reference(self) -> tuple[str, str, bool]:
        """URI, WKT 2, and whether geographic, of the CRS of x and y of this answer."""
        grid = self.cube.grid
        if self.crs is None:
            return grid.crs, grid.crs_wkt, grid.geographic
        return self.crs, self.crs_wkt or "", bool(self.geographic)

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of all ranges."""
        return tuple(axis.size for axis in self.axes)
