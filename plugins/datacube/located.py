"""How is a query for named places asked of a datacube: as which queries, planned as one, and which answer is whose?

A place is asked by a position query, an area by an area query (OGC 19-086r6, clause 8.2.8). All places together make
one position query, each area one query of its own; their selections are read in one plan, whose cost is known before
anything is read. The coverages that come out are then named by the location that they answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPoint

from plugins.datacube.coverage import Coverage, Place
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.datacube.geometry import MAXIMUM_POINTS
from plugins.datacube.location import Geometry, Location
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import ReadPlan, plan
from plugins.datacube.query import Query
from plugins.datacube.reference import longitude_latitude, native_reference, parse_reference, transform
from plugins.datacube.select import select
from plugins.datacube.selection import Group, Points, Selection

PLACE: Final = ("coords", "bbox")
"""Parameters by which other queries say where; a location says that by itself."""

type Owned = tuple[int, int]
"""Where a coverage stands among those of its plan, and the number of its location."""


@dataclass(frozen=True, slots=True)
class Part:
    """One query for some of the locations."""

    kind: str
    """``position`` or ``area``."""
    coords: str
    """Well-known text of the places, in the CRS of the request."""
    query: Query
    owners: tuple[int, ...]
    """The number of the location of each point, in the order of the query; of an area one number."""


@dataclass(frozen=True, slots=True)
class Located:
    """A query for named places."""

    locations: tuple[Location, ...]
    """In the order in which they are answered."""
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class LocatedPlan(ReadPlan):
    """One plan for all places, and whose the coverages are that it makes."""

    locations: tuple[Location, ...]
    owners: tuple[int, ...]
    """The number of the location of each coverage, in the order in which `plugins.datacube.read.read` returns them."""

    def named(self, coverages: Sequence[Coverage]) -> tuple[Coverage, ...]:
        """Return the coverages with the names of their locations, in the order of the locations."""
        owned = zip(self.owners, coverages, strict=True)
        return tuple(
            replace(coverage, place=Place(self.locations[owner].id, self.locations[owner].name))
            for owner, coverage in sorted(owned, key=lambda pair: pair[0])
        )


def format_kind(locations: Sequence[Location]) -> str:
    """Return the query type whose formats fit an answer: rasters are of one area."""
    return "area" if len(locations) == 1 and locations[0].is_area else "position"


def locate(locations: Sequence[Location], raw: Mapping[str, str], cube: Datacube) -> Located:
    """Read the parameters of a query for named places.

    Parameters
    ----------
    locations : sequence of Location
        At least one.
    raw : mapping of str to str
        As of `plugins.datacube.parse.parse_query`, but ``coords`` and ``bbox``.
    cube : Datacube

    Raises
    ------
    InvalidQueryError
        With the parameter at fault; also if the locations have too many points.
    """
    for name in PLACE:
        if name in raw:
            raise InvalidQueryError(
                name, f"{name} is not a parameter of a locations query", "the identifiers in the path"
            )
    native = native_reference(cube)
    if not raw.get("crs", "").strip() and len({location.is_area for location in locations}) > 1:
        # Without a CRS points are answered in degrees and areas in that of the grid; one answer has one of them.
        raw = {**raw, "crs": "CRS84"} if native.key != longitude_latitude().key else raw
    places = [number for number, location in enumerate(locations) if not location.is_area]
    points = [(number, point) for number in places for point in locations[number].points]
    if len(points) > MAXIMUM_POINTS:
        raise InvalidQueryError(
            "locationId",
            f"the locations have {len(points):,} points",
            f"locations of at most {MAXIMUM_POINTS:,} points",
        )
    parts: list[Part] = []
    if points:
        geometry = MultiPoint([point for _, point in points])
        parts.append(_part("position", geometry, raw, cube, tuple(number for number, _ in points)))
    for number, location in enumerate(locations):
        if location.is_area:
            parts.append(_part("area", location.geometry, raw, cube, (number,)))
    return Located(tuple(locations), tuple(parts))


def plan_located(cube: Datacube, asked: Located) -> LocatedPlan:
    """Select and plan all parts as one. Locations outside the data are left out.

    Raises
    ------
    UnsupportedDatasetError, InvalidQueryError, NoDataError, TooLargeError
        As `plugins.datacube.select.select` does; NoDataError if nothing lies at any of the locations.
    """
    found: list[tuple[Part, Selection]] = []
    problem: NoDataError | None = None
    for part in asked.parts:
        try:
            found.append((part, select(cube, part.query)))
        except NoDataError as error:
            problem = problem or error
    if not found:
        raise problem or NoDataError("no location was asked for")
    groups = [(part, group) for part, selection in found for group in selection.groups]
    whole = replace(found[0][1], groups=tuple(group for _, group in groups))
    owned = sorted((each for part, group in groups for each in _owned(part, group)), key=lambda each: each[0])
    todo = plan(cube, whole)
    return LocatedPlan(todo.selection, todo.cost, asked.locations, tuple(owner for _, owner in owned))


def _owned(part: Part, group: Group) -> list[Owned]:
    """Return the place of each coverage of a group in the answer of `read`, and the number of its location.

    It returns points by their number in the query and everything else first, the groups in their order.
    """
    if isinstance(group.horizontal, Points):
        return [(order, part.owners[order]) for order in group.horizontal.order]
    return [(0, part.owners[0])]


def _part(kind: str, geometry: Geometry, raw: Mapping[str, str], cube: Datacube, owners: tuple[int, ...]) -> Part:
    coords = shapely.to_wkt(_in_request(geometry, raw.get("crs"), cube), rounding_precision=-1, trim=True)
    return Part(kind, coords, parse_query(kind, {**raw, "coords": coords}, cube), owners)


def _in_request(geometry: Geometry, crs: str | None, cube: Datacube) -> Geometry:
    """Return a geometry in the CRS that the request names, in which the query and its answer have their coordinates."""
    if not (crs or "").strip():
        return geometry
    degrees, wanted = longitude_latitude(), parse_reference(crs or "", native_reference(cube))

    def moved(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(transform(degrees, wanted, coordinates[:, 0], coordinates[:, 1]), axis=1)

    there: Geometry = shapely.transform(geometry, moved)
    if not np.isfinite(shapely.get_coordinates(there)).all():
        raise InvalidQueryError("crs", "a location has no coordinates in this reference system", "CRS84")
    return there
