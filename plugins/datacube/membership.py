"""Which of some places lie where a query asks, place by place?

The tests of `cover`, `distance` and `corridors` use that cells lie in rows and columns; here the places may lie
anywhere: centres of cells that have no axes, or of a grid that is asked in another CRS. The rules are the same:
boundaries belong to the area, longitudes count modulo 360, distances are those on the sphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from plugins.datacube.corridors import POLEWARD, Pieces, cut
from plugins.datacube.distance import EARTH_RADIUS, check_tests, covering_arc, reach
from plugins.datacube.query import Area, Corridor, Cube, Query, Radius

type Floats = NDArray[np.float64]
type Mask = NDArray[np.bool_]

ON_THE_LINE: Final = 1e-9
"""How near to the edge of a box or polygon a place counts as on it, in units of the coordinates."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The box around a query, in its own CRS; west <= east, beyond 180 where it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float


def bounds_of(query: Query, *, geographic: bool) -> Bounds:
    """Return the box around the area that a query asks for, with what lies within its distance.

    Parameters
    ----------
    query : Cube, Area, Radius or Corridor
        The last two in longitude and latitude.
    geographic : bool
        Whether the coordinates are degrees.
    """
    match query:
        case Cube(west=west, south=south, east=east, north=north):
            if west > east and geographic:
                east += 360.0 * math.ceil((west - east) / 360.0)
            return Bounds(west, south, east, north)
        case Area(geometry=geometry):
            return Bounds(*geometry.bounds)
        case Radius(points=points, within=within):
            west, east = covering_arc([(x, reach(y, within)) for x, y in points])
            angle = math.degrees(within / EARTH_RADIUS)
            south, north = min(y for _, y in points) - angle, max(y for _, y in points) + angle
            return Bounds(west, max(south, -90.0), east, min(north, 90.0))
        case Corridor(lines=lines, width=width):
            west, south, east, north = cut(lines).reaches(width / 2.0)
            return Bounds(west, max(south, -90.0), east, min(north, 90.0))
    raise TypeError(f"{type(query).__name__} asks for no area")


def members(query: Query, x: Floats, y: Floats, *, geographic: bool) -> Mask:
    """Tell which places belong to the area of a query.

    Parameters
    ----------
    query : Cube, Area, Radius or Corridor
        The last two in longitude and latitude.
    x, y : ndarray of float64, shape (n,)
        In the CRS of the query; NaN belongs to nothing.
    geographic : bool
        Whether x are longitudes, which count modulo 360.
    """
    match query:
        case Cube():
            box = bounds_of(query, geographic=geographic)
            return in_box(box, x, y, geographic=geographic)
        case Area(geometry=geometry):
            return in_polygon(geometry, x, y, geographic=geographic)
        case Radius(points=points, within=within):
            return near_places(points, within, x, y)
        case Corridor(lines=lines, width=width):
            return near_line(cut(lines), width / 2.0, x, y)
    raise TypeError(f"{type(query).__name__} asks for no area")


def in_box(box: Bounds, x: Floats, y: Floats, *, geographic: bool) -> Mask:
    """Tell which places lie in a box, edges included."""
    slack_x, slack_y = (_slack(x), _slack(y)) if not geographic else (ON_THE_LINE, ON_THE_LINE)
    rows = (y >= box.south - slack_y) & (y <= box.north + slack_y)
    if not geographic:
        return np.asarray(rows & (x >= box.west - slack_x) & (x <= box.east + slack_x))
    if box.east - box.west >= 360.0:
        return np.asarray(rows & np.isfinite(x))
    east_of = np.mod(x - box.west + slack_x, 360.0)
    return np.asarray(rows & (east_of <= box.east - box.west + 2.0 * slack_x))


def _slack(values: Floats) -> float:
    largest = np.nanmax(np.abs(values), initial=0.0)
    return max(ON_THE_LINE, float(largest) * 1e-12)


def in_polygon(geometry: shapely.Polygon | shapely.MultiPolygon, x: Floats, y: Floats, *, geographic: bool) -> Mask:
    """Tell which places a polygon covers, boundary included; degrees also where it reaches beyond a full turn."""
    west, _, east, _ = geometry.bounds
    box = Bounds(*geometry.bounds)
    mask = np.zeros(x.shape, bool)
    near = np.flatnonzero(in_box(box, x, y, geographic=geographic))
    if near.size == 0:
        return mask
    shapely.prepare(geometry)
    xs, ys = x[near], y[near]
    if not geographic:
        mask[near] = shapely.intersects_xy(geometry, xs, ys)
        return mask
    first = west + np.mod(xs - west, 360.0)
    # A place that rounding puts a hair west of the box belongs to its western edge.
    first = np.where(first > west + 360.0 - ON_THE_LINE, west, first)
    for turn in range(3):
        shifted = first + 360.0 * turn
        inside = shifted <= east + ON_THE_LINE
        if not inside.any():
            break
        mask[near[inside]] |= shapely.intersects_xy(geometry, shifted[inside], ys[inside])
    return mask


def near_places(places: tuple[tuple[float, float], ...], distance: float, x: Floats, y: Floats) -> Mask:
    """Tell which places lie within metres of one of some others; x and y are longitude and latitude in degrees."""
    mask = np.zeros(x.shape, bool)
    angle = math.degrees(distance / EARTH_RADIUS)
    most = math.sin(math.radians(min(angle, 180.0)) / 2.0) ** 2 * (1.0 + 1e-12)
    tested = 0
    for longitude, latitude in places:
        rows = np.flatnonzero(np.abs(y - latitude) <= angle + ON_THE_LINE)
        tested += rows.size
        check_tests(tested)
        mask[rows] |= haversines(longitude, latitude, x[rows], y[rows]) <= most
    return mask


def haversines(longitude: float | Floats, latitude: float | Floats, x: Floats, y: Floats) -> Floats:
    """Return the haversine of the angle between places, in degrees longitude and latitude; broadcasts."""
    north = np.sin(np.radians(y - latitude) / 2.0) ** 2
    east = np.sin(np.radians(x - longitude) / 2.0) ** 2
    return np.asarray(north + np.cos(np.radians(latitude)) * np.cos(np.radians(y)) * east)


def metres(longitude: Floats, latitude: Floats, x: Floats, y: Floats) -> Floats:
    """Return the great-circle distances between places, pair by pair, on the sphere of `EARTH_RADIUS`."""
    half = np.sqrt(np.clip(haversines(longitude, latitude, x, y), 0.0, 1.0))
    return np.asarray(2.0 * EARTH_RADIUS * np.arcsin(half))


def near_line(pieces: Pieces, distance: float, x: Floats, y: Floats) -> Mask:
    """Tell which places lie within metres of the arcs of a path; x and y are longitude and latitude in degrees."""
    mask = np.zeros(x.shape, bool)
    angle = math.degrees(distance / EARTH_RADIUS)
    haversine = math.sin(math.radians(min(angle, 180.0)) / 2.0) ** 2 * (1.0 + 1e-12)
    sine = math.sin(min(math.radians(angle), math.pi / 2.0)) * (1.0 + 1e-12)
    start, end = vectors(pieces.start[:, 0], pieces.start[:, 1]), vectors(pieces.end[:, 0], pieces.end[:, 1])
    normals = np.cross(start, end)
    lengths = np.linalg.norm(normals, axis=1)
    order = np.argsort(y, kind="stable")
    order = order[np.isfinite(y[order]) & np.isfinite(x[order])]
    xs, ys = x[order], y[order]
    places = vectors(xs, ys)
    near = np.zeros(order.size, bool)
    beyond = angle + POLEWARD
    lows = np.searchsorted(ys, np.minimum(pieces.start[:, 1], pieces.end[:, 1]) - beyond)
    highs = np.searchsorted(ys, np.maximum(pieces.start[:, 1], pieces.end[:, 1]) + beyond, "right")
    tested = 0
    for number, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
        tested += 4 * (high - low)
        check_tests(tested)
        for longitude, latitude in (pieces.start[number].tolist(), pieces.end[number].tolist()):
            near[low:high] |= haversines(longitude, latitude, xs[low:high], ys[low:high]) <= haversine
        if lengths[number] <= 1e-12:
            continue
        normal = normals[number] / lengths[number]
        part = places[low:high]
        ahead = part @ np.cross(normal, start[number]) >= 0.0
        behind = part @ np.cross(end[number], normal) >= 0.0
        near[low:high] |= (np.abs(part @ normal) <= sine) & ahead & behind
    mask[order[near]] = True
    return mask


def vectors(longitude: Floats, latitude: Floats) -> Floats:
    """Return places as unit vectors, shape (n, 3)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
