"""What did the client ask for, once every text has become a typed value?

One type a query of OGC API EDR (OGC 19-086r6, clause 8). Values here are checked for form, not yet against a dataset:
`plugins.datacube.parse` makes them from text, `plugins.datacube.select` lays them over the axes of a datacube.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shapely import MultiPolygon, Polygon

from plugins.datacube.calendar import Moment


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


type TimeSelection = Moment | TimeInterval | tuple[Moment, ...]
"""An instant, an interval, or a list of instants (requirement /req/edr/datetime-response)."""
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


type Query = Position | Area | Cube

QUERY_TYPES: dict[str, type[Position | Area | Cube]] = {"position": Position, "area": Area, "cube": Cube}
"""The query types that are answered, by their name in the path."""
