"""Where on Earth and when is a datacube, in the terms of STAC: WGS 84 degrees and RFC 3339 in UTC?

STAC dates are Gregorian. Dates of other CF calendars are written with the same year, month, day and time of day where
that date exists, and with the last day of the month where it does not (30 February of ``360_day`` becomes 28 or 29
February); the true text stands in ``cube:dimensions``. A bound that RFC 3339 cannot express (a year before 1 or after
9999) is open. A cube without a time axis has an interval that is open at both ends, which the collection
specification (1.1.0, Temporal Extent Object) allows where there is a strong case: a land-sea mask has no date.
"""

from __future__ import annotations

import calendar
import math
import re
from datetime import UTC, datetime

import pystac
from pyproj import Transformer
from pyproj.exceptions import ProjError

from catalog.forecasts import valid_extent
from plugins.datacube.datacube import Datacube

type Box = tuple[float, float, float, float]
"""West, south, east, north in degrees, -180..180; a box that crosses the antimeridian is the whole circle."""

WORLD: Box = (-180.0, -90.0, 180.0, 90.0)
_ISO = re.compile(r"(-?\d{4,})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{6}))?Z")


def gregorian(text: str | None) -> datetime | None:
    """Read a date of any CF calendar as the nearest Gregorian date with the same fields, in UTC.

    Parameters
    ----------
    text : str or None
        As `plugins.datacube.calendar.to_iso` writes it.

    Returns
    -------
    datetime or None
        None for None, and for years that a STAC date cannot have.

    Examples
    --------
    >>> gregorian("2021-02-30T12:00:00Z")
    datetime.datetime(2021, 2, 28, 12, 0, tzinfo=datetime.timezone.utc)
    """
    match = _ISO.fullmatch(text) if text else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction = (int(part or 0) for part in match.groups())
    if not 1 <= year <= 9999:
        return None
    day = min(day, calendar.monthrange(year, month)[1])
    return datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC)


def rfc3339(moment: datetime) -> str:
    """Write a UTC date with four-digit year and ``Z``.

    Examples
    --------
    >>> rfc3339(datetime(850, 1, 1, tzinfo=UTC))
    '0850-01-01T00:00:00Z'
    """
    return moment.replace(tzinfo=None).isoformat() + "Z"


def interval_of(cube: Datacube) -> tuple[datetime | None, datetime | None]:
    """Return first and last time of the cube, of forecasts the times of validity; None is an open end."""
    first, last = valid_extent(cube) or (cube.extent.start, cube.extent.end)
    start, end = gregorian(first), gregorian(last)
    return (end, start) if start is not None and end is not None and start > end else (start, end)


def box_of(cube: Datacube) -> Box:
    """Return the bounding box of the cells in WGS 84 degrees.

    The extent of a cube is in its own CRS; a projected one is transformed with its edges densified. What cannot be
    placed on Earth (no CRS, no finite coordinates) is given as the whole world, so that no search misses it.
    """
    extent = cube.extent
    box = (float(extent.west), float(extent.south), float(extent.east), float(extent.north))
    if not all(math.isfinite(edge) for edge in box):
        return WORLD
    if not cube.grid.geographic and cube.unsupported is None:
        if not cube.grid.crs_wkt:
            return WORLD
        try:
            transformer = Transformer.from_crs(cube.grid.crs_wkt, "OGC:CRS84", always_xy=True)
            box = transformer.transform_bounds(*box, densify_pts=21)
        except ProjError:
            return WORLD
        if not all(math.isfinite(edge) for edge in box) or box[0] > box[2]:
            return WORLD
    west, south, east, north = box
    if west < -180.0 or east > 180.0:
        west, east = -180.0, 180.0
    return (_tidy(west), _tidy(max(south, -90.0)), _tidy(east), _tidy(min(north, 90.0)))


def extent_of(cube: Datacube) -> pystac.Extent:
    """Return the STAC extent of the cube: one box, one interval."""
    start, end = interval_of(cube)
    return pystac.Extent(
        pystac.SpatialExtent([list(box_of(cube))]),
        pystac.TemporalExtent([[start, end]]),
    )


def _tidy(degrees: float) -> float:
    """Cut the noise of float32 coordinates: 1e-9 degrees is a tenth of a millimetre."""
    return round(degrees, 9) + 0.0
