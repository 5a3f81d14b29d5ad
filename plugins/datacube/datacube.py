"""What is in an opened store, as far as any query, planner, encoder or catalogue needs to know?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.mesh.mesh import Mesh

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


class GridKind(StrEnum):
    """How the cells lie on the Earth."""

    RECTILINEAR = "rectilinear"
    PROJECTED = "projected"
    CURVILINEAR = "curvilinear"
    HEALPIX = "healpix"
    UNSTRUCTURED = "unstructured"
    POINT = "point"


class Integrity(StrEnum):
    """Whether a flipped bit in storage would be noticed."""

    VERIFIED = "verified"
    """Every chunk of every parameter carries a checksum that is checked on reading."""
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One data variable, described in the terms of CF."""

    name: str
    """Variable name in the store; the EDR parameter name."""
    dims: tuple[str, ...]
    """Dimension names in stored order."""
    shape: tuple[int, ...]
    dtype: str
    """NumPy dtype of the *decoded* values (after unpacking), for example ``float32``."""
    chunks: tuple[int, ...]
    """Shape of the unit that is decoded at once: the chunk, or the inner chunk of a shard."""
    shards: tuple[int, ...] | None = None
    stored_dtype: str = "float32"
    label: str = ""
    """long_name, else standard_name, else name."""
    standard_name: str | None = None
    long_name: str | None = None
    units: str | None = None
    """Units as the store spells them."""
    ucum: str | None = None
    """The same unit as a UCUM code, where the unit is known; else None."""
    cell_methods: str | None = None
    scale_factor: float | None = None
    add_offset: float | None = None
    missing: tuple[float | int, ...] = ()
    """Stored values that mean "missing" (_FillValue, missing_value, and outside valid_range is not applied)."""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grid:
    """The horizontal grid and its CRS."""

    kind: GridKind
    crs: str
    """URI of the CRS in which x and y of answers are given."""
    crs_wkt: str
    """WKT 2 of the same CRS."""
    geographic: bool
    """True where x is longitude and y is latitude, in degrees."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Bounding box of the cells, and first and last coordinate of the other axes."""

    west: float
    """Degrees, -180..180 where the grid is geographic; west > east never occurs: a box that crosses the antimeridian
    is given as -180..180."""
    south: float
    east: float
    north: float
    start: str | None = None
    """First time, ISO 8601 with Z, in the calendar of the axis."""
    end: str | None = None


@dataclass(frozen=True, slots=True)
class Datacube:
    """An immutable description of one opened store at one snapshot."""

    definition: DatasetDefinition
    title: str
    description: str
    parameters: Mapping[str, Parameter]
    """In stored order; only variables that can be queried."""
    axes: Mapping[str, Axis]
    """By dimension name."""
    grid: Grid
    extent: Extent
    snapshot: str
    """Identifier of the state of the data: an Icechunk snapshot id, else a digest of the store's metadata."""
    integrity: Integrity
    unsupported: str | None = None
    """Why this dataset cannot be queried (one sentence), or None; an unsupported dataset is still listed."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Variables left out, with the reason: for the doctor."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Global attributes of the store."""
    remarks: tuple[str, ...] = ()
    """What an operator should know of the data, though they are served; a sentence each: for the doctor."""
    fixed: Mapping[str, int] = field(default_factory=dict)
    """Stored dimensions that are held at one position and have no axis: a view, such as one forecast run."""
    mesh: Mesh | None = None
    """The cells, where they do not lie on two axes: HEALPix, curvilinear, unstructured, stations."""

    @property
    def id(self) -> str:
        """Collection id."""
        return self.definition.id

    def axis(self, kind: AxisKind) -> Axis | None:
        """Return the first axis of a kind, or None."""
        return next((axis for axis in self.axes.values() if axis.kind is kind), None)

    def axes_of(self, parameter: Parameter) -> tuple[Axis, ...]:
        """Return the axes of a parameter in stored order.

        A dimension without a coordinate of its own (the rows of a curvilinear grid) has no axis, and is left out.
        """
        return tuple(self.axes[dim] for dim in parameter.dims if dim in self.axes)

    @property
    def custom_axes(self) -> tuple[Axis, ...]:
        """The axes that are neither x, y, z nor t."""
        return tuple(axis for axis in self.axes.values() if axis.kind is AxisKind.CUSTOM)
