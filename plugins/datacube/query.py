"""What did the client ask for, once every text has become a typed value?

One type a query of OGC API EDR (OGC 19-086r6, clause 8). Values here are checked for form, not yet against a dataset:
`plugins.datacube.parse` makes them from text, `plugins.datacube.select` lays them over the axes of a datacube.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shapely import MultiPolygon, Polygon

from plugins.datacube.calendar import Moment
from plugins.datacube.reference import Reference


class Interpolation(StrEnum):
    """How a value at a place is made of the values of cells."""

    NEAREST = "nearest"
    """The value of the cell that holds the place: a stored value, unchanged."""
    LINEAR = "linear"
    """Linear along each axis between the centres of the cells around the place."""


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """Inclusive at both ends; None is an open end (``../2020``)."""

    start: Moment | None
    end: Moment | None


@dataclass(frozen=True, slots=True)
class NumberInterval:
    """Inclusive at both ends, low <= high; None is an open end."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class RepeatedTime:
    """Instants that are a period apart (``R4/2020-01-01/P1M``), in the calendar of the axis."""

    count: int
    """How many, the first included."""
    start: Moment
    months: int
    """Whole months between one instant and the next."""
    microseconds: int
    """What comes on top of the months."""


type TimeSelection = Moment | TimeInterval | RepeatedTime | tuple[Moment, ...]
"""An instant, an interval, repeated instants, or a list of instants (requirement /req/edr/datetime-response)."""
type NumberSelection = float | NumberInterval | tuple[float, ...]
"""A level, an interval of levels, or a list of levels (requirement /req/edr/z-response)."""
type CustomSelection = NumberSelection | str | tuple[str, ...]
"""A value, list or (numeric) interval of a custom dimension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseQuery:
    """What every query type shares."""

    parameters: tuple[str, ...] = ()
    """Parameter names; empty means all."""
    datetime: TimeSelection | None = None
    z: NumberSelection | None = None
    dimensions: Mapping[str, CustomSelection] = field(default_factory=dict)
    """Custom dimensions by name."""
    crs: Reference | None = None
    """Of the coordinates of the query, and of those of the answer; None is longitude and latitude for the query, and
    for the answer the grid's own."""
    interpolation: Interpolation = Interpolation.NEAREST
    columns: int | None = None
    """Of the answer, evenly from the least x to the greatest (``resolution-x``); None: those of the data."""
    rows: int | None = None
    """The same of y."""
    levels: int | None = None
    """The same of z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position(BaseQuery):
    """One or more points (clause 8.2.1)."""

    points: tuple[tuple[float, float], ...]
    """(x, y), longitude first, in degrees; a z in the coordinates has become `z`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area(BaseQuery):
    """The cells whose centres a polygon covers (clause 8.2.3)."""

    geometry: Polygon | MultiPolygon


@dataclass(frozen=True, slots=True, kw_only=True)
class Cube(BaseQuery):
    """The cells whose centres lie in a box (clause 8.2.4)."""

    west: float
    """Degrees; west > east crosses the antimeridian."""
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Radius(BaseQuery):
    """The cells whose centres lie within a distance of a point (clause 8.2.2)."""

    points: tuple[tuple[float, float], ...]
    """(x, y), longitude first, in degrees; a cell near any of them belongs to the answer."""
    within: float
    """Metres along the great circle, included; more than nought, at most half the circumference of the Earth."""


@dataclass(frozen=True, slots=True)
class Line:
    """The vertices of one line, in order; all sequences have the same length, at least 2."""

    x: tuple[float, ...]
    """Longitude in degrees; the line is straight in degrees between vertices."""
    y: tuple[float, ...]
    z: tuple[float, ...] | None = None
    """In the units of the vertical axis of the dataset."""
    t: tuple[int, ...] | None = None
    """Microseconds since 1970-01-01T00:00:00Z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory(BaseQuery):
    """The cells that a path meets, in the order in which it meets them (clause 8.2.5)."""

    lines: tuple[Line, ...]
    """All of them with heights or none, all with times or none; never both heights and `z`, or times and `datetime`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corridor(BaseQuery):
    """The cells whose centres lie within half a width of a path (clause 8.2.6)."""

    lines: tuple[Line, ...]
    """As of a trajectory; their times bound the times of the answer, and their heights stand in `heights`."""
    width: float
    """Metres, from side to side."""
    heights: NumberInterval | None = None
    """Between which heights the middle of the corridor lies, in the units of the vertical axis; None for all levels, or
    where `z` names them."""
    height: float = 0.0
    """From bottom to top, in the units of the vertical axis."""


type Query = Position | Radius | Area | Cube | Trajectory | Corridor

QUERY_TYPES: dict[str, type[Position | Radius | Area | Cube | Trajectory | Corridor]] = {
    "position": Position,
    "radius": Radius,
    "area": Area,
    "cube": Cube,
    "trajectory": Trajectory,
    "corridor": Corridor,
}
"""The query types that are answered, by their name in the path."""

UNGRIDDED: frozenset[str] = frozenset({"position", "trajectory"})
"""The query types whose answers are points or paths, not grids."""
