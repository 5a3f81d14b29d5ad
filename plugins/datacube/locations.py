"""Which named places does a dataset have?

Those of the GeoJSON file that its definition names (`plugins.datacube.location_file`); else, where its cells are
stations, the stations by their own identifiers (`plugins.datacube.station_locations`). A file is read again when it has
changed. One that cannot be used is said in the log, once for each state of it, and leaves the dataset without
locations: its data are served all the same.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import shapely

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError, InvalidQueryError, UnknownError
from plugins.datacube.library import OpenDatacube
from plugins.datacube.location import Location
from plugins.datacube.location_file import read_locations
from plugins.datacube.station_locations import stations_of

MAXIMUM_CHOSEN: Final = 1_000
"""Locations of one query."""
KEPT: Final = 256
"""Files whose locations are kept."""
_LOG = logging.getLogger(__name__)
_LOCK = threading.Lock()

type Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Known:
    """One state of a file."""

    state: tuple[int, ...]
    locations: tuple[Location, ...]
    problem: str | None


_FILES: OrderedDict[str, _Known] = OrderedDict()


def locations_of(opened: OpenDatacube) -> tuple[Location, ...]:
    """Return the named places of a dataset, in the order of their file; the same object until they change.

    A dataset that cannot be queried has none.
    """
    if opened.cube.unsupported is not None:
        return ()
    definition = opened.cube.definition
    return stations_of(opened) if definition.locations is None else _known(definition).locations


def problem_of(definition: DatasetDefinition) -> str | None:
    """Return why the locations of a dataset cannot be used (one sentence), or None."""
    return None if definition.locations is None else _known(definition).problem


def chosen(opened: OpenDatacube, identifiers: str) -> tuple[Location, ...]:
    """Return the locations of a list of identifiers with commas between (OGC 19-086r6, ``locationId``).

    Each is returned once, in the order of the list.

    Raises
    ------
    UnknownError
        If the dataset has no locations, or none of one of these identifiers.
    InvalidQueryError
        If the list is empty, or too long.
    """
    known = {location.id: location for location in locations_of(opened)}
    if not known:
        raise UnknownError(without_locations(opened))
    wanted = dict.fromkeys(identifier.strip() for identifier in identifiers.split(",") if identifier.strip())
    if not 1 <= len(wanted) <= MAXIMUM_CHOSEN:
        raise InvalidQueryError("locationId", f"{len(wanted)} locations were asked for", f"1 to {MAXIMUM_CHOSEN}")
    for identifier in wanted:
        if identifier not in known:
            raise UnknownError(
                f"the collection {opened.cube.id!r} has no location {identifier[:128]!r}; "
                f"/collections/{opened.cube.id}/locations lists those that it has"
            )
    return tuple(known[identifier] for identifier in wanted)


def without_locations(opened: OpenDatacube) -> str:
    """Return a sentence for those who ask for the locations of a dataset that has none."""
    return f"the collection {opened.cube.id!r} has no locations, and so no items: it can be asked by coordinates"


def in_box(locations: Sequence[Location], box: Box) -> tuple[Location, ...]:
    """Return the locations that share a point with a box.

    Parameters
    ----------
    locations : sequence of Location
    box : tuple of float
        West, south, east, north in degrees; west > east crosses the antimeridian.
    """
    west, south, east, north = box
    if east < west:
        east = west + (east - west) % 360.0
    if east - west >= 360.0:
        west, east = -180.0, 180.0
    geometries = np.array([location.geometry for location in locations], object)
    hit = np.zeros(len(locations), bool)
    # A place may be written as 350 or as -10, and so may the box.
    for turn in (-720.0, -360.0, 0.0, 360.0, 720.0):
        hit |= shapely.intersects(geometries, _rectangle(west + turn, south, east + turn, north))
    return tuple(location for location, inside in zip(locations, hit, strict=True) if inside)


def _rectangle(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    """Return a box as a geometry; one without width or height is a line or a point, which a polygon could not be."""
    if west == east and south == north:
        return shapely.Point(west, south)
    if west == east or south == north:
        return shapely.LineString([(west, south), (east, north)])
    return shapely.box(west, south, east, north)


def _known(definition: DatasetDefinition) -> _Known:
    path = Path(definition.locations or "")
    try:
        status = path.stat()
        state: tuple[int, ...] = (status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError:
        state = ()
    found = _FILES.get(str(path))
    if found is not None and found.state == state:
        return found
    with _LOCK:
        found = _FILES.get(str(path))
        if found is not None and found.state == state:
            return found
        found = _read(path, state)
        if found.problem is not None:
            _LOG.warning("dataset %s: %s", definition.id, found.problem)
        _FILES[str(path)] = found
        while len(_FILES) > KEPT:
            _FILES.popitem(last=False)
    return found


def _read(path: Path, state: tuple[int, ...]) -> _Known:
    try:
        return _Known(state, read_locations(path), None)
    except DatasetError as error:
        return _Known(state, (), error.detail)
