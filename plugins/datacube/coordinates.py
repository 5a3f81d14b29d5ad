"""Which coordinate variable gives the values of a dimension, and what kind of axis does it make?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import calendar as cf_calendar
from plugins.datacube import cf
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.contents import Variable
from plugins.datacube.errors import DatasetError

CIRCLE: Final = 360.0
DEFAULT_CALENDAR: Final = "standard"
"""CF conventions 1.11, section 4.4.1: the calendar of a time without the attribute ``calendar``."""


def attached(variables: Mapping[str, Variable]) -> frozenset[str]:
    """Return the names of variables that belong to others: bounds, climatology, grid mappings, terms of formulas."""
    names: set[str] = set()
    for variable in variables.values():
        names.update(variable.words("bounds"), variable.words("climatology"))
        names.update(word.rstrip(":") for word in variable.words("grid_mapping"))
        names.update(word for word in variable.words("formula_terms") if not word.endswith(":"))
        if cf.is_grid_mapping(variable):
            names.add(variable.name)
    return frozenset(names & set(variables))


def coordinate_of(dimension: str, candidates: Iterable[Variable]) -> Variable | None:
    """Return the variable that gives the values of a dimension, or None.

    The coordinate variable of CF has the name of its dimension. Where there is none, an auxiliary coordinate of that
    one dimension is taken if its marks say what it is; the best marks win.
    """
    own = [variable for variable in candidates if variable.dims == (dimension,)]
    for variable in own:
        if variable.name == dimension:
            return variable
    kinds = (cf.LATITUDE, cf.LONGITUDE, cf.TIME, cf.PROJECTED_X, cf.PROJECTED_Y, cf.VERTICAL, cf.CUSTOM)
    ranked = [
        (rank, variable.name, variable)
        for variable in own
        for kind in kinds
        if (rank := kind.rank(variable)) is not None and variable.dtype.kind in "iufM"
    ]
    return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def kind_of(variable: Variable) -> AxisKind:
    """Return the kind of axis that a coordinate makes where it is not horizontal."""
    if cf.is_time(variable):
        return AxisKind.T
    return AxisKind.Z if cf.is_vertical(variable) else AxisKind.CUSTOM


def numbers(variable: Variable) -> NDArray[np.float64]:
    """Return the decoded values as float64: unpacked, with NaN for missing; a stored float32 keeps its exact value."""
    raw = variable.values
    if raw.dtype.kind not in "biuf":
        raise DatasetError(f"the coordinate {variable.name} holds {raw.dtype} where numbers are needed")
    values = raw.astype(np.float64)
    if "_FillValue" in variable.attributes or "missing_value" in variable.attributes:
        for missing in variable.missing:
            values[raw == missing] = np.nan
    scale, offset = variable.packing
    with np.errstate(over="ignore", invalid="ignore"):
        if scale is not None:
            values = values * scale
        if offset is not None:
            values = values + offset
    return values


def degrees(variable: Variable) -> NDArray[np.float64]:
    """Return decoded latitudes or longitudes in degrees; ICON and others store radians."""
    values = numbers(variable)
    return np.degrees(values) if in_radians(variable) else values


def in_radians(variable: Variable) -> bool:
    """Whether the units are radians."""
    return (variable.text("units") or "").lower() in ("rad", "radian", "radians")


def times(variable: Variable, like: Variable | None = None) -> tuple[NDArray[np.int64], str]:
    """Return microseconds since 1970 in the calendar of the variable, and the calendar.

    Parameters
    ----------
    variable : Variable
        A time coordinate, or its bounds.
    like : Variable, optional
        The coordinate whose units and calendar bounds inherit (CF conventions 1.11, section 7.1).

    Raises
    ------
    DatasetError
        If the units or the calendar cannot be read, or a value is missing.
    """
    if variable.dtype.kind == "M":
        stamps = variable.values.astype("datetime64[us]")
        if np.isnat(stamps).any():
            raise DatasetError(f"the time coordinate {variable.name} has missing values")
        return stamps.astype(np.int64), "proleptic_gregorian"
    source = like if like is not None and variable.text("units") is None else variable
    units = source.text("units") or ""
    calendar = (source.text("calendar") or DEFAULT_CALENDAR).lower()
    raw = variable.values
    packed = variable.packing != (None, None)
    try:
        if raw.dtype.kind in "iu" and not packed:
            masked = "_FillValue" in variable.attributes or "missing_value" in variable.attributes
            if masked and np.isin(raw, variable.missing).any():
                raise DatasetError("a time coordinate has missing values")
            return cf_calendar.decode(raw, units, calendar), calendar
        return cf_calendar.decode(numbers(variable), units, calendar), calendar
    except DatasetError as error:
        raise DatasetError(f"the time coordinate {variable.name} cannot be decoded: {error.detail}") from error


def axis_of(
    dimension: str,
    size: int,
    variable: Variable | None,
    kind: AxisKind,
    variables: Mapping[str, Variable],
    *,
    geographic: bool,
) -> Axis:
    """Make the axis of a dimension.

    Parameters
    ----------
    dimension : str
        Name of the dimension.
    size : int
        Its length, for a dimension without a coordinate: it is then numbered from 0.
    variable : Variable or None
        Its coordinate.
    kind : AxisKind
        What it is.
    variables : mapping
        All variables, to find the bounds.
    geographic : bool
        Whether x and y are longitude and latitude.

    Raises
    ------
    DatasetError
        If the values cannot be read or decoded.
    """
    if variable is None:
        return Axis(kind, dimension, np.arange(size, dtype=np.int64))
    bounds = bounds_of(variable, variables)
    calendar = "proleptic_gregorian"
    values: NDArray[Any]
    edges: NDArray[Any] | None = None
    if kind is AxisKind.T:
        values, calendar = times(variable)
        edges = times(bounds, variable)[0] if bounds is not None else None
    elif kind is AxisKind.CUSTOM:
        values = _custom(variable)
        edges = numbers(bounds) if bounds is not None and values.dtype.kind in "iuf" else None
    else:
        values = numbers(variable)
        edges = numbers(bounds) if bounds is not None else None
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DatasetError(f"the coordinate {variable.name} has missing values")
    if edges is not None and not _well_formed(values, edges):
        edges = None
    units = variable.text("units") if kind is not AxisKind.T else None
    if geographic and kind in (AxisKind.X, AxisKind.Y):
        units = units or ("degrees_east" if kind is AxisKind.X else "degrees_north")
    circular = geographic and kind is AxisKind.X
    if circular:
        values, edges = _unwrapped(values, edges)
    axis = Axis(
        kind,
        dimension,
        values,
        units=units,
        standard_name=variable.text("standard_name"),
        long_name=variable.text("long_name"),
        positive=positive_of(variable) if kind is AxisKind.Z else None,
        calendar=calendar,
        bounds=edges,
    )
    return replace(axis, cyclic=True) if circular and closes_circle(axis) else axis


def _custom(variable: Variable) -> NDArray[Any]:
    """Values of an axis that is neither x, y, z nor t: whole numbers, numbers or texts."""
    if cf.is_time(variable):
        stamps, calendar = times(variable)
        return np.array(cf_calendar.to_iso(stamps, calendar))
    raw = variable.values
    if raw.dtype.kind == "m":
        return raw.astype("timedelta64[us]").astype(np.int64) / 3.6e9
    if raw.dtype.kind == "S":
        return np.array([text.decode("utf-8", "replace").rstrip("\x00") for text in raw.tolist()])
    if raw.dtype.kind not in "biuf":
        return np.array([str(text) for text in raw.tolist()])
    packed = variable.packing != (None, None)
    if raw.dtype.kind in "biu" and not packed:
        return raw.astype(np.int64)
    return numbers(variable)


def positive_of(variable: Variable) -> str | None:
    """Return ``up`` or ``down``: as written, else down for pressures and depths."""
    written = (variable.text("positive") or "").lower()
    if written in cf.POSITIVE:
        return written
    if (variable.text("units") or "").lower() in cf.PRESSURE_UNITS or variable.text("standard_name") == "depth":
        return "down"
    return None


def bounds_of(variable: Variable, variables: Mapping[str, Variable]) -> Variable | None:
    """Return the bounds of a one-dimensional coordinate, where they are there and have two values a cell."""
    for attribute in ("bounds", "climatology"):
        bounds = variables.get(variable.text(attribute) or "")
        if bounds is not None and bounds.shape == (*variable.shape, 2) and bounds.dtype.kind in "iufM":
            return bounds
    return None


def _well_formed(values: NDArray[Any], edges: NDArray[Any]) -> bool:
    """Whether each cell holds its value; fabricated bounds (all zero) do not."""
    low, high = edges.min(axis=1), edges.max(axis=1)
    if not np.isfinite(edges.astype(np.float64)).all():
        return False
    slack = 1e-4 * np.maximum(high - low, 0) + (np.abs(values) * 2.0**-20 if values.dtype.kind == "f" else 0)
    return bool(((low - slack <= values) & (values <= high + slack)).all())


def _unwrapped(values: NDArray[Any], edges: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Continue longitudes that jump by the circle (170, 180, -170) so that they rise or fall throughout (190)."""
    if not (np.abs(np.diff(values)) > CIRCLE / 2).any():
        return values, edges
    turns = np.rint((np.unwrap(values, period=CIRCLE) - values) / CIRCLE) * CIRCLE
    gaps = np.diff(values + turns)
    if not ((gaps > 0).all() or (gaps < 0).all()):
        return values, edges
    return values + turns, None if edges is None else edges + turns[:, None]


def closes_circle(axis: Axis) -> bool:
    """Whether the cells of a longitude axis close the circle, each place lying in one cell."""
    values = axis.values
    if axis.bounds is not None:
        cells = axis.cells
        width = float(cells.max() - cells.min())
        return abs(width - CIRCLE) <= 1e-3
    if values.size < 2:
        return False
    gaps = np.abs(np.diff(values))
    if float(gaps.max()) > CIRCLE / 2:
        return False  # out of order, see `order_problem`
    rest = CIRCLE - abs(float(values[-1] - values[0]))
    # The gap that is left must be as wide as those beside it, within the rounding of float32 coordinates.
    return 1e-6 < rest <= float(max(gaps[0], gaps[-1])) * 1.001 + 1e-4


def order_problem(axis: Axis, *, longitude: bool) -> str | None:
    """Return a sentence where the values of an axis cannot be searched without doubt, else None.

    Parameters
    ----------
    axis : Axis
        Any axis.
    longitude : bool
        Whether x is in degrees.
    """
    what = {"x": "x (longitude)", "y": "y (latitude)", "t": "time", "z": "vertical"}.get(axis.kind.value, axis.name)
    if axis.size == 0:
        return f"the {what} axis {axis.name} is empty"
    if axis.kind in (AxisKind.X, AxisKind.Y, AxisKind.T):
        gaps = np.diff(axis.values)
        if not ((gaps > 0).all() or (gaps < 0).all()):
            return f"the values of the {what} axis {axis.name} neither rise nor fall throughout"
        if axis.kind is AxisKind.X and longitude and (np.abs(gaps) > CIRCLE / 2).any():
            return (
                f"the longitudes of the axis {axis.name} are out of order: neighbours lie more than 180 degrees apart"
            )
    elif len(set(axis.values.tolist())) != axis.size:
        return f"the {what} axis {axis.name} has a value twice"
    return None
