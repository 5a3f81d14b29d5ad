"""What is a named place of a dataset, and what may it be called?

A location (OGC 19-086r6, clause 8.2.8) is a place that people know by a name: a city, a buoy, a river basin, a station.
Its identifier stands in addresses, alone or in a list with commas between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import shapely
from shapely import MultiPoint, MultiPolygon, Point, Polygon

IDENTIFIER = re.compile(r"(?!\.{1,2}\Z)[^\s/,\x00-\x1f\x7f](?:[^/,\x00-\x1f\x7f]{0,126}[^\s/,\x00-\x1f\x7f])?")
"""Of a location: what can be one step of a path, and one member of a list, once it is percent-encoded."""
IDENTIFIER_RULE: Final = "1 to 128 characters without '/', ',' and control characters, and not '.' or '..'"

type Geometry = Point | MultiPoint | Polygon | MultiPolygon


@dataclass(frozen=True, slots=True)
class Location:
    """A place, or an area, with a name."""

    id: str
    """Matches `IDENTIFIER`; used once in a dataset."""
    name: str
    """For people."""
    geometry: Geometry
    """Longitude and latitude in degrees (CRS84), in two dimensions; polygons are valid."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, as JSON values."""

    @property
    def is_area(self) -> bool:
        """Whether it covers cells, rather than lying in some."""
        return isinstance(self.geometry, Polygon | MultiPolygon)

    @property
    def points(self) -> list[tuple[float, float]]:
        """Longitude and latitude of its points; of an area, of its vertices."""
        return [(x, y) for x, y in shapely.get_coordinates(self.geometry).tolist()]
