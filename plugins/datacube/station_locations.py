"""What are the stations of a dataset called, where its cells are stations?

A discrete sampling geometry of CF (CF 1.11, chapter 9) has one dimension of stations, and a variable along it that
names them: by its attribute ``cf_role`` (``timeseries_id``, ``profile_id``), or by its standard name. Each station is a
location. Names are read once for each state of the data.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import zarr
from shapely import Point

from plugins.datacube.datacube import GridKind
from plugins.datacube.library import OpenDatacube
from plugins.datacube.location import IDENTIFIER, Location

MAXIMUM_STATIONS: Final = 100_000
"""Stations of a dataset above which they are not listed by name."""
ROLES: Final = frozenset({"timeseries_id", "profile_id"})
IDENTIFYING: Final = ("platform_id", "station_wmo_id", "station_id")
"""Standard names (and names) of variables that identify a station, where no attribute ``cf_role`` does."""
NAMING: Final = ("platform_name", "station_name", "station_description")
"""The same of variables that name one for people."""
KEPT: Final = 64

_KNOWN: OrderedDict[tuple[str, str], tuple[Location, ...]] = OrderedDict()
_LOCK = threading.Lock()


def stations_of(opened: OpenDatacube) -> tuple[Location, ...]:
    """Return the stations of a dataset as locations, in stored order; none where its cells are not stations.

    A station whose name could not stand in an address, or has been used before, goes by its number in the store.
    """
    cube = opened.cube
    mesh = cube.mesh
    if cube.grid.kind is not GridKind.POINT or mesh is None or len(mesh.dims) != 1 or not cube.grid.geographic:
        return ()
    key = (cube.definition.href, cube.snapshot)
    with _LOCK:
        found = _KNOWN.get(key)
        if found is None:
            found = _KNOWN[key] = _stations(opened.source.group, mesh.dims[0], *mesh.centres(np.arange(mesh.shape[0])))
            while len(_KNOWN) > KEPT:
                _KNOWN.popitem(last=False)
    return found


def _stations(group: zarr.Group, dim: str, longitudes: Any, latitudes: Any) -> tuple[Location, ...]:
    if len(longitudes) > MAXIMUM_STATIONS:
        return ()
    identifiers, names = _texts(group, dim, len(longitudes))
    made: dict[str, Location] = {}
    for number, (x, y) in enumerate(zip(longitudes.tolist(), latitudes.tolist(), strict=True)):
        identifier = identifiers.get(number) or names.get(number) or str(number)
        if not IDENTIFIER.fullmatch(identifier) or identifier in made:
            identifier = next(text for text in (str(number), f"{dim}-{number}") if text not in made)
        if np.isfinite(x) and np.isfinite(y):
            made[identifier] = Location(identifier, names.get(number) or identifier, Point(x, y))
    return tuple(made.values())


def _texts(group: zarr.Group, dim: str, size: int) -> tuple[Mapping[int, str], Mapping[int, str]]:
    """Return the identifiers and the names of the stations by their number, as far as variables hold them."""
    ranked: dict[int, list[tuple[int, zarr.Array[Any]]]] = {0: [], 1: []}
    for name, array in group.arrays():
        if _first_dimension(array) != dim or array.shape[0] != size or array.ndim > 2:
            continue
        said = {str(array.attrs.get("standard_name", "")), name}
        if str(array.attrs.get("cf_role", "")) in ROLES:
            ranked[0].append((-1, array))
        for which, known in enumerate((IDENTIFYING, NAMING)):
            ranked[which] += [(rank, array) for rank, word in enumerate(known) if word in said]
    first, second = (_read(min(found, key=lambda pair: pair[0])[1]) if found else {} for found in ranked.values())
    return first, second


def _first_dimension(array: zarr.Array[Any]) -> str | None:
    metadata = array.metadata
    named = metadata.dimension_names if metadata.zarr_format == 3 else array.attrs.get("_ARRAY_DIMENSIONS")
    return str(named[0]) if isinstance(named, list | tuple) and named else None


def _read(array: zarr.Array[Any]) -> dict[int, str]:
    """Return the texts of a variable by their number: text, whole numbers, or rows of single characters."""
    values = np.asarray(array[...])
    if values.ndim == 2:
        rows = values.tolist() if values.dtype.kind in "SU" else []
        texts = ["".join(_plain(each) for each in row) for row in rows]
    else:
        texts = [_plain(each) for each in values.tolist()] if values.dtype.kind in "iuSUOT" else []
    return {number: text.strip() for number, text in enumerate(texts) if text.strip()}


def _plain(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).rstrip("\x00")
