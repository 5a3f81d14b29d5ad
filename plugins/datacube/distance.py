"""How long is a length or how high a height that a client wrote, and which cells of a grid lie that near to a point?

The Earth is the sphere that has its mean radius (6,371,008.8 m, the IUGG's), and distances are those along great
circles. That is the Earth of the weather models; from a geodesic on the WGS 84 ellipsoid such a distance differs by at
most 0.56 %. Nothing special happens at the antimeridian or at a pole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.errors import InvalidQueryError, TooLargeError
from plugins.datacube.intervals import parse_number

EARTH_RADIUS: Final = 6_371_008.8
"""Metres."""
HALF_CIRCUMFERENCE: Final = math.pi * EARTH_RADIUS
LENGTH_UNITS: Final = MappingProxyType({"km": 1000.0, "m": 1.0, "mi": 1609.344, "nmi": 1852.0, "ft": 0.3048})
"""Metres of each unit, by the name that is published."""
PRESSURE_UNITS: Final = MappingProxyType({"hPa": 100.0, "Pa": 1.0, "mbar": 100.0, "bar": 1e5})
"""Pascals of each unit, by the name that is published."""
MAXIMUM_TESTS: Final = 64_000_000
"""Pairs of cell and point that one query tests: about half a second."""
_ALIASES: Final = {
    **dict.fromkeys(("metre", "metres", "meter", "meters"), "m"),
    **dict.fromkeys(("kms", "kilometre", "kilometres", "kilometer", "kilometers"), "km"),
    **dict.fromkeys(("mile", "miles", "[mi_i]", "statute mile", "statute miles"), "mi"),
    **dict.fromkeys(("nautical mile", "nautical miles", "[nmi_i]"), "nmi"),
    **dict.fromkeys(("foot", "feet", "[ft_i]"), "ft"),
}
_PRESSURE_ALIASES: Final = {
    **dict.fromkeys(("pascal", "pascals"), "Pa"),
    **dict.fromkeys(("hectopascal", "hectopascals"), "hPa"),
    **dict.fromkeys(("mb", "millibar", "millibars"), "mbar"),
}
_SLACK: Final = 1e-9
"""Degrees by which the window around a circle is wider than the circle."""


def parse_length(parameter: str, text: str, units_parameter: str, units: str) -> float:
    """Read a length and its unit, in metres.

    Raises
    ------
    InvalidQueryError
        If the number is not positive and at most half the circumference of the Earth, or the unit is not known; it
        names the parameter at fault.

    Examples
    --------
    >>> parse_length("within", "2.5", "within-units", "Kilometres")
    2500.0
    """
    name = length_name(units)
    factor = LENGTH_UNITS.get(name)
    if factor is None:
        raise InvalidQueryError(
            units_parameter,
            f"{units_parameter}: {units.strip()[:32]!r} is not a unit of length here",
            ", ".join(LENGTH_UNITS),
        )
    valid = f"a number of more than 0 and at most {math.floor(HALF_CIRCUMFERENCE / factor)} {name}"
    length = parse_number(parameter, text, valid) * factor
    if not 0.0 < length <= HALF_CIRCUMFERENCE:
        raise InvalidQueryError(parameter, f"{parameter}: {text.strip()[:32]} is not a distance on the Earth", valid)
    return length


def length_name(units: str) -> str:
    """Return the published name of a unit of length, or what was written in lower case.

    Examples
    --------
    >>> length_name("Nautical_Miles"), length_name("parsec")
    ('nmi', 'parsec')
    """
    lower = units.strip().lower()
    name = lower if "[" in lower else " ".join(lower.replace("_", " ").split())
    return _ALIASES.get(name, name)


def height_units(axis: Axis | None) -> tuple[str, ...]:
    """Return the units in which a height beside a vertical axis may be given, its own first."""
    own = () if axis is None or not axis.units else (axis.units,)
    if axis is None:
        return (*LENGTH_UNITS, *PRESSURE_UNITS)
    family = next((family for family in (LENGTH_UNITS, PRESSURE_UNITS) if _factor(family, axis.units or "")), None)
    return tuple(dict.fromkeys((*own, *(family or ())))) or ("1",)


def parse_height(parameter: str, text: str, units_parameter: str, units: str, axis: Axis | None) -> float:
    """Read an extent of height, in the units of the vertical axis.

    Parameters
    ----------
    parameter, text : str
        The number, and the name to give in the error.
    units_parameter, units : str
        Its unit: of length or of pressure as that of the axis is, or literally that of the axis.
    axis : Axis or None
        The vertical axis; without one the number is only checked.

    Raises
    ------
    InvalidQueryError
        If the number is not positive, or the unit cannot be converted to that of the axis.
    """
    number = parse_number(parameter, text, "a positive number")
    if number <= 0.0:
        raise InvalidQueryError(parameter, f"{parameter}: {text.strip()[:32]} is not a height", "a positive number")
    own = "" if axis is None else (axis.units or "1")
    if units.strip().lower() == own.lower():
        return number
    for family in (LENGTH_UNITS, PRESSURE_UNITS):
        given, wanted = _factor(family, units), _factor(family, own)
        if given and axis is None:
            return number
        if given and wanted:
            return number * given / wanted
    raise InvalidQueryError(
        units_parameter,
        f"{units_parameter}: {units.strip()[:32]!r} is not a unit of heights here",
        ", ".join(height_units(axis)),
    )


def _factor(family: Mapping[str, float], units: str) -> float | None:
    name = length_name(units)
    name = _PRESSURE_ALIASES.get(name, name)
    return next((factor for known, factor in family.items() if known.lower() == name.lower()), None)


def reach(latitude: float, distance: float) -> float:
    """Return how many degrees of longitude a circle extends to either side; 180 where it contains a pole.

    Parameters
    ----------
    latitude : float
        Of the centre, in degrees.
    distance : float
        Metres.

    Examples
    --------
    >>> round(reach(60.0, 1000e3), 3), reach(85.0, 1000e3)
    (18.218, 180.0)
    """
    angle = distance / EARTH_RADIUS
    if math.radians(abs(latitude)) + angle >= math.pi / 2 - 1e-12:
        return 180.0
    return math.degrees(math.asin(min(1.0, math.sin(angle) / math.cos(math.radians(latitude)))))


def covering_arc(intervals: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the shortest interval of longitude that covers several, modulo 360; it contains the first one's middle.

    Parameters
    ----------
    intervals : sequence of (middle, half width)
        Degrees, at least one.

    Returns
    -------
    west, east : float
        Degrees, west < east, at most 360 apart.

    Examples
    --------
    >>> covering_arc([(170.0, 5.0), (-170.0, 8.0)])
    (165.0, 198.0)
    """
    middles, halves = (np.array(column) for column in zip(*intervals, strict=True))
    first = float(middles[0])
    whole = (first - 180.0, first + 180.0)
    if halves.max() >= 180.0:
        return whole
    base = first - float(halves[0])
    starts = np.mod(middles - halves - base, 360.0)
    ends = starts + 2.0 * halves
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    covered = np.maximum.accumulate(np.maximum(ends, ends.max() - 360.0))
    gaps = np.append(starts[1:], 360.0 + starts[0]) - covered
    widest = int(np.argmax(gaps))
    if gaps[widest] <= 0.0:
        return whole
    east = base + float(covered[widest])
    west = base + (float(starts[0]) if widest == starts.size - 1 else float(starts[widest + 1]) - 360.0)
    turn = 360.0 * math.floor((first - west) / 360.0)
    return west + turn, min(east, west + 360.0) + turn


def near_points(
    points: Sequence[tuple[float, float]], distance: float, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which grid points lie within a distance of any of some points.

    Parameters
    ----------
    points : sequence of (longitude, latitude)
        Degrees.
    distance : float
        Metres, included.
    x : ndarray, shape (nx,)
        Longitudes in degrees, in any convention.
    y : ndarray, shape (ny,)
        Latitudes in degrees.

    Returns
    -------
    ndarray of bool, shape (ny, nx)

    Raises
    ------
    TooLargeError
        If more than `MAXIMUM_TESTS` pairs would have to be tested.

    Examples
    --------
    >>> near_points([(179.5, 0.0)], 120e3, np.array([178.0, 179.0, -180.0]), np.array([0.0, 1.0])).tolist()
    [[False, True, True], [False, False, False]]
    """
    mask = np.zeros((y.size, x.size), bool)
    angle = math.degrees(distance / EARTH_RADIUS)
    # The haversine of the distance: no square root, arc sine or table of distances is needed to compare.
    most = math.sin(math.radians(min(angle, 180.0)) / 2.0) ** 2 * (1.0 + 1e-12)
    cosines = np.cos(np.radians(y))
    tested = 0
    for longitude, latitude in points:
        rows = np.flatnonzero(np.abs(y - latitude) <= angle + _SLACK)
        away = np.mod(x - longitude + 180.0, 360.0) - 180.0
        columns = np.flatnonzero(np.abs(away) <= reach(latitude, distance) + _SLACK)
        tested += rows.size * columns.size
        check_tests(tested)
        north = np.sin(np.radians(y[rows] - latitude) / 2.0) ** 2
        east = np.sin(np.radians(away[columns]) / 2.0) ** 2
        across = cosines[rows] * math.cos(math.radians(latitude))
        mask[np.ix_(rows, columns)] |= north[:, None] + across[:, None] * east <= most
    return mask


def check_tests(tested: int) -> None:
    """Refuse a question whose answer takes too many tests of a cell.

    Raises
    ------
    TooLargeError
        If they are more than `MAXIMUM_TESTS`.
    """
    if tested > MAXIMUM_TESTS:
        raise TooLargeError(
            f"the distances of more than {MAXIMUM_TESTS:,} pairs of a cell and a place would have to be computed: "
            "ask for a shorter distance or fewer places",
            estimate={"distances": tested},
            limits={"distances": MAXIMUM_TESTS},
        )
