"""What is an answer, before it becomes bytes of any format?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.datacube import Datacube, Parameter


class DomainType(StrEnum):
    """Domain types of the CoverageJSON specification that answers use."""

    GRID = "Grid"
    POINT = "Point"
    POINT_SERIES = "PointSeries"
    VERTICAL_PROFILE = "VerticalProfile"
    TRAJECTORY = "Trajectory"
    MULTI_POINT = "MultiPoint"
    """The places of a path in data without times."""


type Values = NDArray[Any] | np.ma.MaskedArray[Any, Any]
"""Floats with NaN for missing; a masked array where integers have missing values."""


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

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of all ranges."""
        return tuple(axis.size for axis in self.axes)
