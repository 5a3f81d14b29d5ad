"""How do axes, parameters, the CRS and the dataset describe themselves in attributes of the CF conventions?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS
from plugins.datacube.coverage import Coverage
from plugins.datacube.datacube import Parameter

CONVENTIONS: Final = "CF-1.11"
_GEOGRAPHIC: Final = {
    AxisKind.X: {"standard_name": "longitude", "units": "degrees_east"},
    AxisKind.Y: {"standard_name": "latitude", "units": "degrees_north"},
}
_PROJECTED: Final = {
    AxisKind.X: {"standard_name": "projection_x_coordinate", "units": "m"},
    AxisKind.Y: {"standard_name": "projection_y_coordinate", "units": "m"},
}
_ROTATED: Final = {
    AxisKind.X: {"standard_name": "grid_longitude", "units": "degrees"},
    AxisKind.Y: {"standard_name": "grid_latitude", "units": "degrees"},
}
_FLAGS: Final = ("flag_values", "flag_masks")
_TEXTS: Final = ("flag_meanings", "comment", "references")
_FROM_STORE: Final = ("institution", "source", "references", "comment")


def encode_times(times: NDArray[Any], bounds: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any] | None, str]:
    """Turn microseconds since 1970 into the integers of a CF time variable, exactly.

    The unit is the largest of hour, second and microsecond in which all times and bounds are whole; 32 bits are used
    where they suffice, because not every reader of NetCDF knows 64.

    Returns
    -------
    tuple
        The times, the bounds, and the ``units`` attribute.

    Examples
    --------
    >>> encode_times(np.array([0, 7_200_000_000]), None)
    (array([0, 2], dtype=int32), None, 'hours since 1970-01-01 00:00:00')
    """
    every = np.asarray(times, np.int64).ravel()
    if bounds is not None:
        every = np.concatenate([every, np.asarray(bounds, np.int64).ravel()])
    unit = next(unit for unit in ("hour", "second", "microsecond") if not (every % MICROSECONDS[unit]).any())
    size = MICROSECONDS[unit]
    small = every.size == 0 or int(np.abs(every // size).max()) < 2**31
    dtype = np.int32 if small else np.int64
    shrunk = None if bounds is None else (np.asarray(bounds, np.int64) // size).astype(dtype)
    return (np.asarray(times, np.int64) // size).astype(dtype), shrunk, f"{unit}s since 1970-01-01 00:00:00"


def axis_attributes(axis: Axis, coverage: Coverage) -> dict[str, Any]:
    """Return the attributes of a coordinate variable, without those of time units and of bounds.

    For x and y the standard name and the unit follow the CRS of the answer: longitude and latitude, ``grid_longitude``
    and ``grid_latitude`` of a rotated pole (CF 5.6), or coordinates of a projection.
    """
    attributes: dict[str, Any] = {}
    if axis.kind in (AxisKind.X, AxisKind.Y):
        _, wkt, geographic = coverage.reference
        attributes |= (_GEOGRAPHIC if geographic else _PROJECTED)[axis.kind]
        if not geographic:
            if _grid_mapping(wkt, geographic).get("grid_mapping_name") == "rotated_latitude_longitude":
                attributes |= _ROTATED[axis.kind]
            if axis.standard_name not in ("longitude", "latitude"):
                attributes |= _present(standard_name=axis.standard_name, units=axis.units)
    elif axis.kind is AxisKind.T:
        attributes["standard_name"] = axis.standard_name or "time"
    else:
        attributes |= _present(standard_name=axis.standard_name, units=axis.units)
    attributes |= _present(long_name=axis.long_name)
    if axis.kind is AxisKind.Z:
        attributes |= _present(positive=axis.positive)
    if axis.kind is not AxisKind.CUSTOM:
        attributes["axis"] = axis.kind.value.upper()
    return attributes


def parameter_attributes(described: Parameter, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the attributes of a data variable; flags in the type of its values, as CF 3.5 demands."""
    attributes = _present(
        standard_name=described.standard_name,
        long_name=described.long_name or described.label,
        units=described.units,
        cell_methods=described.cell_methods,
    )
    for name in _TEXTS:
        attributes |= _text(described.attributes, name)
    for name in _FLAGS:
        flags = described.attributes.get(name)
        if flags is not None and dtype.kind in "iu":
            try:
                attributes[name] = np.atleast_1d(np.asarray(flags)).astype(dtype)
            except (ValueError, TypeError):
                # Flags that are not numbers cannot be those of an integer variable.
                continue
    return attributes


def grid_mapping(coverage: Coverage) -> dict[str, Any]:
    """Return the attributes of the grid mapping variable (CF 5.6): QGIS finds no CRS without it."""
    _, wkt, geographic = coverage.reference
    return dict(_grid_mapping(wkt, geographic))


def global_attributes(coverage: Coverage) -> dict[str, Any]:
    """Return the attributes of the dataset; nothing in them depends on when or where the answer is made."""
    cube = coverage.cube
    attributes: dict[str, Any] = {"Conventions": CONVENTIONS}
    attributes |= _present(
        title=cube.title,
        summary=cube.description,
        id=cube.id,
        license=cube.definition.licence_url or cube.definition.licence,
        acknowledgement=cube.definition.attribution,
        isopleth_snapshot=cube.snapshot,
        isopleth_interpolation=str(coverage.interpolation),
    )
    for name in _FROM_STORE:
        attributes |= _text(cube.attributes, name)
    return attributes


@lru_cache(maxsize=64)
def _grid_mapping(wkt: str, geographic: bool) -> Mapping[str, Any]:
    try:
        found = CRS.from_wkt(wkt).to_cf() if wkt else {}
    except CRSError:
        found = {}
    if geographic:
        found.setdefault("grid_mapping_name", "latitude_longitude")
        found.setdefault("longitude_of_prime_meridian", 0.0)
    if wkt:
        found.setdefault("crs_wkt", wkt)
    return {name: _attribute(value) for name, value in found.items()}


def _attribute(value: Any) -> Any:
    return [float(each) for each in value] if isinstance(value, list | tuple) else value


def _present(**attributes: str | None) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value}


def _text(attributes: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = attributes.get(name)
    return {name: value} if isinstance(value, str) and value else {}
