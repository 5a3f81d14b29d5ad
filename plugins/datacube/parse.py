"""What does a request ask for, and is every word of it something this dataset could answer?

`parse_query` turns the text parameters of OGC API EDR (OGC 19-086r6, clause 8.2) into one typed `Query`. The same
parameters serve the EDR paths, the inputs of processes, and every other front. Nothing is ignored in silence: a
parameter that the query does not know is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypedDict

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube
from plugins.datacube.distance import LENGTH_UNITS, height_units, parse_height, parse_length
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.geometry import MAXIMUM_LENGTH, check_position, parse_lines, parse_points, parse_polygon
from plugins.datacube.intervals import parse_number, parse_numbers, parse_times, split_list
from plugins.datacube.lookup import listing
from plugins.datacube.query import (
    Area,
    Corridor,
    Cube,
    CustomSelection,
    Interpolation,
    Line,
    NumberInterval,
    NumberSelection,
    Position,
    Query,
    Radius,
    TimeSelection,
    Trajectory,
)
from plugins.datacube.reference import Reference, native_reference, parse_reference

MAXIMUM_TEXT: Final = 8 * 1024
"""Characters of any parameter but ``coords``."""
PARAMETER_NAMES: Final = ("parameter-name", "parameter_names", "parameter-names", "parameter_name")
"""The standard's spelling first; OWSLib and others send the rest."""
RESOLUTIONS: Final = ("resolution-x", "resolution-y", "resolution-z")
MAXIMUM_RESOLUTION: Final = 16_384
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "position": ("coords",),
    "radius": ("coords", "within", "within-units", *RESOLUTIONS),
    "area": ("coords", *RESOLUTIONS),
    "cube": ("bbox", *RESOLUTIONS),
    "trajectory": ("coords",),
    "corridor": ("coords", "corridor-width", "width-units", "corridor-height", "height-units", *RESOLUTIONS),
}
"""The parameters by which each query says where."""
OTHER_PARAMETERS: Final = ("f", "limit", "crs", "interpolation")
"""Accepted with every query: ``f`` is the encoders' business, one answer has no pages for ``limit`` to bound."""


def parse_query(kind: str, raw: Mapping[str, str], cube: Datacube) -> Query:
    """Read the parameters of one query.

    Parameters
    ----------
    kind : str
        The query type, as in the path of the request: one of `plugins.datacube.query.QUERY_TYPES`.
    raw : mapping of str to str
        The parameters as the client wrote them, after URL decoding:

        - ``coords`` (position, radius: POINT, POINT Z, MULTIPOINT; area: POLYGON, MULTIPOLYGON; trajectory, corridor:
          LINESTRING, MULTILINESTRING), longitude first. A Z that all vertices share stands for ``z`` unless ``z`` is
          given; but in a path each vertex has its own height (Z) and time (M, seconds since 1970), and ``z`` or
          ``datetime`` beside them is refused.
        - ``corridor-width``, ``width-units`` (corridor): from side to side; ``corridor-height``, ``height-units``: from
          bottom to top, around ``z`` or the heights in ``coords``; without these two, or without a height to lie
          around, nothing is bounded by them.
        - ``resolution-x``, ``-y``, ``-z`` (area, cube, radius, corridor): so many columns, rows, levels, evenly from
          the least to the greatest coordinate; 0, or none, for the data's own.
        - ``interpolation``: ``nearest`` or ``linear``.
        - ``within``, ``within-units`` (radius): a distance in one of `plugins.datacube.distance.LENGTH_UNITS`.
        - ``bbox`` (cube): west,south,east,north or west,south,lowest,east,north,highest; west > east crosses the
          antimeridian; ``z`` overrides the heights of the box.
        - ``datetime``: instant, interval, list; ``2020-01`` stands for all of January.
        - ``z``: value, interval either way round, list, ``Rn/min/step``.
        - ``parameter-name``: comma list, absent or empty for all.
        - ``crs``: of the coordinates of query and answer, see `plugins.datacube.reference.parse_reference`; without it
          a query is in longitude and latitude, and a gridded answer in the CRS of the grid.
        - custom dimensions by their own name: value, list, and interval where the dimension is numeric.
        - ``f`` and ``limit`` are accepted and not looked at.
    cube : Datacube
        The dataset that is asked.

    Returns
    -------
    Query
        Of the type that `kind` names.

    Raises
    ------
    InvalidQueryError
        With the parameter at fault and what would be valid.
    """
    reader = _READERS.get(kind)
    if reader is None:
        raise InvalidQueryError("query", f"{kind[:32]!r} is not a query type", ", ".join(_READERS))
    _check_names(kind, raw, cube)
    return reader(raw, cube)


def _check_names(kind: str, raw: Mapping[str, str], cube: Datacube) -> None:
    custom = tuple(axis.name for axis in cube.custom_axes)
    valid = (*PLACES[kind], "datetime", "z", PARAMETER_NAMES[0], *OTHER_PARAMETERS, *custom)
    for name, text in raw.items():
        if name not in valid and name not in PARAMETER_NAMES:
            raise InvalidQueryError(name, f"{name[:64]!r} is not a parameter of a {kind} query", ", ".join(valid))
        limit = MAXIMUM_LENGTH if name == "coords" else MAXIMUM_TEXT
        if len(text) > limit:
            raise InvalidQueryError(name, f"{name} has {len(text)} characters", f"at most {limit} characters")


class _Shared(TypedDict):
    """What all queries have."""

    parameters: tuple[str, ...]
    datetime: TimeSelection | None
    dimensions: dict[str, CustomSelection]
    crs: Reference | None
    interpolation: Interpolation
    columns: int | None
    rows: int | None
    levels: int | None


def _shared(raw: Mapping[str, str], cube: Datacube) -> _Shared:
    return _Shared(
        parameters=_parameters(raw, cube),
        datetime=_datetime(raw),
        dimensions=_dimensions(raw, cube),
        crs=_reference(raw, cube),
        interpolation=_interpolation(raw),
        columns=_resolution(raw, "resolution-x"),
        rows=_resolution(raw, "resolution-y"),
        levels=_resolution(raw, "resolution-z"),
    )


def _reference(raw: Mapping[str, str], cube: Datacube) -> Reference | None:
    text = raw.get("crs")
    if text is None:
        return None
    native = native_reference(cube)
    found = parse_reference(text, native)
    # Named or not, longitude and latitude ask the same of a grid that lies in them.
    return None if found.geographic and native.geographic and found.key == native.key else found


def _geographic(raw: Mapping[str, str], cube: Datacube) -> bool:
    """Whether the coordinates of the query are degrees."""
    reference = _reference(raw, cube)
    return reference is None or reference.geographic


def _interpolation(raw: Mapping[str, str]) -> Interpolation:
    text = raw.get("interpolation", "").strip().lower() or Interpolation.NEAREST.value
    if text not in tuple(Interpolation):
        raise InvalidQueryError(
            "interpolation", f"interpolation: {text[:32]!r} is not offered", ", ".join(Interpolation)
        )
    return Interpolation(text)


def _resolution(raw: Mapping[str, str], name: str) -> int | None:
    text = raw.get(name, "").strip()
    if not text:
        return None
    valid = f"a whole number from 0 (the data's own) to {MAXIMUM_RESOLUTION}"
    number = parse_number(name, text, valid)
    if not number.is_integer() or not 0 <= number <= MAXIMUM_RESOLUTION:
        raise InvalidQueryError(name, f"{name}: {text[:32]!r} is not a number of places", valid)
    return int(number) or None


def _parameters(raw: Mapping[str, str], cube: Datacube) -> tuple[str, ...]:
    spelt = [name for name in PARAMETER_NAMES if name in raw]
    if len(spelt) > 1:
        raise InvalidQueryError(spelt[1], f"{spelt[0]} and {spelt[1]} are the same parameter", "one of them")
    text = raw[spelt[0]].strip() if spelt else ""
    if not text:
        return ()
    valid = ", ".join(cube.parameters)
    names = tuple(dict.fromkeys(split_list(spelt[0], text, valid)))
    for name in names:
        if name not in cube.parameters:
            raise InvalidQueryError(spelt[0], f"{spelt[0]}: there is no parameter {name[:64]!r}", valid)
    return names


def _datetime(raw: Mapping[str, str]) -> TimeSelection | None:
    text = raw.get("datetime")
    return None if text is None else parse_times("datetime", text)


def _z(raw: Mapping[str, str]) -> NumberSelection | None:
    text = raw.get("z")
    return None if text is None else parse_numbers("z", text)


def _dimensions(raw: Mapping[str, str], cube: Datacube) -> dict[str, CustomSelection]:
    return {axis.name: _custom(axis, raw[axis.name]) for axis in cube.custom_axes if axis.name in raw}


def _custom(axis: Axis, text: str) -> CustomSelection:
    valid = listing(axis)
    if axis.values.dtype.kind in "iuf":
        return parse_numbers(axis.name, text, valid)
    # A value may itself hold a comma.
    if text in axis.values.tolist():
        return text
    items = split_list(axis.name, text, valid)
    return items[0] if len(items) == 1 else tuple(items)


def _position(raw: Mapping[str, str], cube: Datacube) -> Position:
    points, height = parse_points(_required(raw, "coords", "POINT(x y)"), geographic=_geographic(raw, cube))
    z = _z(raw)
    return Position(
        points=points,
        z=height if z is None else z,
        **_shared(raw, cube),
    )


def _radius(raw: Mapping[str, str], cube: Datacube) -> Radius:
    points, height = parse_points(_required(raw, "coords", "POINT(x y)"), geographic=_geographic(raw, cube))
    distance = _required(raw, "within", "a distance")
    units = _required(raw, "within-units", ", ".join(LENGTH_UNITS))
    z = _z(raw)
    return Radius(
        points=points,
        within=parse_length("within", distance, "within-units", units),
        z=height if z is None else z,
        **_shared(raw, cube),
    )


def _trajectory(raw: Mapping[str, str], cube: Datacube) -> Trajectory:
    return Trajectory(
        lines=_lines(raw, cube),
        z=_z(raw),
        **_shared(raw, cube),
    )


def _lines(raw: Mapping[str, str], cube: Datacube) -> tuple[Line, ...]:
    lines = parse_lines(_required(raw, "coords", "LINESTRING(x y, x y)"), geographic=_geographic(raw, cube))
    for name, given, mark in (("z", lines[0].z, "heights (Z)"), ("datetime", lines[0].t, "times (M)")):
        if name in raw and given is not None:
            raise InvalidQueryError(
                name, f"{name} is given, and coords has {mark} too", f"either {name}, or {mark} in coords"
            )
    return lines


def _corridor(raw: Mapping[str, str], cube: Datacube) -> Corridor:
    lines = _lines(raw, cube)
    width = _required(raw, "corridor-width", "a distance")
    width_units = _required(raw, "width-units", ", ".join(LENGTH_UNITS))
    height = _height(raw, cube)
    z = _z(raw)
    heights = None
    if lines[0].z is not None:
        every = [level for line in lines for level in line.z or ()]
        heights = NumberInterval(min(every), max(every))
    elif height and z is not None:
        heights, z = _hull(z), None
    return Corridor(
        lines=lines,
        width=parse_length("corridor-width", width, "width-units", width_units),
        heights=heights,
        height=height,
        z=z,
        **_shared(raw, cube),
    )


def _height(raw: Mapping[str, str], cube: Datacube) -> float:
    """Return the height of a corridor in the units of the vertical axis; 0 where the client says nothing of it."""
    names = ("corridor-height", "height-units")
    if not any(raw.get(name, "").strip() for name in names):
        return 0.0
    axis = cube.axis(AxisKind.Z)
    valid = ("a positive number", ", ".join(height_units(axis)))
    text, units = (_required(raw, name, one) for name, one in zip(names, valid, strict=True))
    return parse_height(names[0], text, names[1], units, axis)


def _hull(z: NumberSelection) -> NumberInterval:
    if isinstance(z, NumberInterval):
        return z
    levels = z if isinstance(z, tuple) else (z,)
    return NumberInterval(min(levels), max(levels))


def _area(raw: Mapping[str, str], cube: Datacube) -> Area:
    valid = "POLYGON((x y, x y, x y, x y))"
    geometry, height = parse_polygon(_required(raw, "coords", valid), geographic=_geographic(raw, cube))
    z = _z(raw)
    return Area(
        geometry=geometry,
        z=height if z is None else z,
        **_shared(raw, cube),
    )


def _cube(raw: Mapping[str, str], cube: Datacube) -> Cube:
    valid = "west,south,east,north or west,south,lowest,east,north,highest"
    items = [item.strip() for item in _required(raw, "bbox", valid).split(",", 6)]
    if len(items) not in (4, 6):
        raise InvalidQueryError("bbox", "bbox needs 4 or 6 numbers", valid)
    numbers = [parse_number("bbox", item, valid) for item in items]
    half = len(numbers) // 2
    (west, south), (east, north) = numbers[:2], numbers[half : half + 2]
    geographic = _geographic(raw, cube)
    check_position("bbox", west, south, geographic=geographic)
    check_position("bbox", east, north, geographic=geographic)
    if south > north:
        raise InvalidQueryError("bbox", f"bbox: south ({south:g}) lies north of north ({north:g})", valid)
    if west > east and not geographic:
        raise InvalidQueryError("bbox", f"bbox: west ({west:g}) lies east of east ({east:g})", valid)
    z = _z(raw)
    if z is None and half == 3:
        z = NumberInterval(min(numbers[2], numbers[5]), max(numbers[2], numbers[5]))
    return Cube(
        west=west,
        south=south,
        east=east,
        north=north,
        z=z,
        **_shared(raw, cube),
    )


def _required(raw: Mapping[str, str], name: str, valid: str) -> str:
    text = raw.get(name, "").strip()
    if not text:
        raise InvalidQueryError(name, f"the parameter {name} is missing or empty", valid)
    return text


_READERS: Final[dict[str, Callable[[Mapping[str, str], Datacube], Query]]] = {
    "position": _position,
    "radius": _radius,
    "area": _area,
    "cube": _cube,
    "trajectory": _trajectory,
    "corridor": _corridor,
}
