"""What is in a store, in the terms of CF: which parameters, on which axes, on which grid?

1. `contents` lists the variables; `grids` finds the horizontal coordinates.
2. A data variable spans the horizontal dimensions and belongs to no other variable.
3. Every dimension of a data variable becomes an axis; `coordinates` finds its values and its kind.
4. The description is frozen, with a digest that changes when metadata or coordinates change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import numpy as np
import xarray as xr

from plugins.datacube import calendar as cf_calendar
from plugins.datacube import cf, coordinates, extents, grids, integrity, meshes
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.contents import Contents, Variable, read_contents
from plugins.datacube.datacube import Datacube, Extent, GridKind, Parameter
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError
from plugins.datacube.sources import Source
from plugins.datacube.units import to_ucum

KIND_NAMES: Final = {"S": "text", "U": "text", "T": "text", "M": "dates", "m": "time differences"}

ENCODING: Final = frozenset(
    {
        *("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "valid_range", "valid_min"),
        *("valid_max", "coordinates", "grid_mapping", "ancillary_variables", "cell_measures"),
    }
)
"""Attributes of stored values, or about other variables of the store: they would be wrong beside decoded values."""


def describe(source: Source, definition: DatasetDefinition) -> Datacube:
    """Describe an opened store.

    Raises
    ------
    DatasetError
        If there are no horizontal coordinates, no data variables, two axes for one direction, or coordinates that
        cannot be read or decoded; one sentence.
    """
    contents = read_contents(source)
    horizontal = grids.recognise(contents, source.label, definition.crs)
    fields, skipped = _fields(contents, horizontal)
    if not fields:
        raise DatasetError(f"{source.label} has no data variable on its horizontal grid ({', '.join(horizontal.dims)})")
    axes = _axes(contents, horizontal, fields)
    parameters = {name: parameter_of(variable) for name, variable in fields.items()}
    longitude = horizontal.kind is GridKind.RECTILINEAR
    problems = [coordinates.order_problem(axis, longitude=longitude) for axis in axes.values()]
    unsupported = horizontal.unsupported or next((problem for problem in problems if problem is not None), None)
    west, south, east, north = extents.box_of(horizontal, axes)
    start, end = _times(axes)
    attributes = contents.attributes
    return Datacube(
        definition=definition,
        title=definition.title or _text(attributes.get("title")) or definition.id,
        description=definition.description or _text(attributes.get("summary") or attributes.get("comment")) or "",
        parameters=parameters,
        axes=axes,
        grid=grids.grid_of(horizontal),
        extent=Extent(west, south, east, north, start, end),
        snapshot=source.snapshot if source.layout == "icechunk" else _digest(contents, axes),
        integrity=integrity.of_arrays(variable.array for variable in fields.values()),
        unsupported=unsupported,
        skipped={**contents.skipped, **skipped},
        attributes={**attributes, **_notes(contents, horizontal)},
        remarks=() if horizontal.remark is None else (horizontal.remark,),
        mesh=meshes.mesh_of(horizontal, _sizes(fields)),
    )


def parameter_of(variable: Variable) -> Parameter:
    """Describe one data variable; the decoded dtype is the one that xarray gives."""
    array = variable.array
    name = variable.name
    standard_name, long_name = variable.text("standard_name"), variable.text("long_name")
    units = variable.text("units")
    scale, offset = variable.packing
    return Parameter(
        name=name,
        dims=variable.dims,
        shape=variable.shape,
        dtype=decoded_dtype(variable),
        chunks=tuple(int(n) for n in array.chunks),
        shards=None if array.shards is None else tuple(int(n) for n in array.shards),
        stored_dtype=str(variable.dtype),
        label=long_name or standard_name or name,
        standard_name=standard_name,
        long_name=long_name,
        units=units,
        ucum=to_ucum(units),
        cell_methods=variable.text("cell_methods"),
        scale_factor=scale,
        add_offset=offset,
        missing=variable.missing,
        attributes={name: value for name, value in variable.attributes.items() if name not in ENCODING},
    )


def decoded_dtype(variable: Variable) -> str:
    """Return the NumPy dtype of the values once they are unpacked and missing ones are NaN, by xarray's own rules."""
    names = ("scale_factor", "add_offset")
    attributes: dict[str, Any] = {
        name: value for name, value in zip(names, variable.packing, strict=True) if value is not None
    }
    if variable.missing:
        attributes["_FillValue"] = variable.dtype.type(0)  # which value it is does not matter to the rule
    stored = xr.Variable(variable.dims, np.empty((0,) * len(variable.dims), variable.dtype), attributes)
    decoded = xr.conventions.decode_cf_variable(variable.name, stored, decode_times=False, decode_timedelta=False)
    return str(decoded.dtype)


def _fields(contents: Contents, horizontal: grids.Horizontal) -> tuple[dict[str, Variable], dict[str, str]]:
    """Choose the data variables, and say of the others that span the grid why they are left out."""
    belonging = coordinates.attached(contents.variables)
    named = {word for variable in contents.variables.values() for word in variable.words("coordinates")}
    named |= set(str(contents.attributes.get("coordinates", "")).split())
    named |= {v.name for v in (horizontal.x, horizontal.y, horizontal.longitude, horizontal.latitude) if v is not None}
    fields: dict[str, Variable] = {}
    skipped: dict[str, str] = {}
    for name, variable in contents.variables.items():
        if name in belonging or name in named or variable.dims in ((), (name,)) or variable.text("cf_role"):
            continue
        if not set(horizontal.dims) <= set(variable.dims):
            if len(variable.dims) > 1 or not horizontal.dims:
                skipped[name] = "it does not lie on the horizontal grid"
            continue
        if horizontal.kind is not GridKind.RECTILINEAR and _is_position(variable):
            continue
        reason = _unreadable(variable)
        if reason is not None:
            skipped[name] = reason
        else:
            fields[name] = variable
    return fields, skipped


def _is_position(variable: Variable) -> bool:
    return any(kind.rank(variable) in (0, 1) for kind in (cf.LATITUDE, cf.LONGITUDE)) or cf.is_healpix(
        variable.attributes
    )


def _unreadable(variable: Variable) -> str | None:
    kind = variable.dtype.kind
    if kind in KIND_NAMES:
        return f"its values are {KIND_NAMES[kind]}, not numbers"
    if (variable.text("_Unsigned") or "").lower() in ("true", "false"):
        return "its numbers are stored under the wrong sign (_Unsigned)"
    if 0 in variable.shape:
        return "it is empty"
    try:
        variable.packing  # noqa: B018
        variable.array.chunks  # noqa: B018
    except DatasetError as error:
        return error.detail
    except NotImplementedError:
        return "its chunks are of different sizes"
    return None


def _axes(contents: Contents, horizontal: grids.Horizontal, fields: Mapping[str, Variable]) -> dict[str, Axis]:
    """Make the axes of all dimensions of the data variables, those of the variable with most dimensions first."""
    sizes: dict[str, int] = {}
    for variable in sorted(fields.values(), key=lambda field: -len(field.dims)):
        for dimension, size in zip(variable.dims, variable.shape, strict=True):
            if sizes.setdefault(dimension, size) != size:
                raise DatasetError(f"the dimension {dimension} has two lengths, {sizes[dimension]} and {size}")
    belonging = coordinates.attached(contents.variables)
    free = [variable for name, variable in contents.variables.items() if name not in belonging and name not in fields]
    chosen = {dimension: coordinates.coordinate_of(dimension, free) for dimension in sizes}
    kinds: dict[str, AxisKind] = {}
    for horizontal_axis, kind in ((horizontal.x, AxisKind.X), (horizontal.y, AxisKind.Y)):
        if horizontal_axis is not None:
            chosen[horizontal_axis.dims[0]] = horizontal_axis
            kinds[horizontal_axis.dims[0]] = kind
    time = _time_dimension(
        {dim: variable for dim, variable in chosen.items() if dim not in kinds and variable is not None}
    )
    geographic = horizontal.kind is GridKind.RECTILINEAR
    axes: dict[str, Axis] = {}
    for dimension, size in sizes.items():
        found = chosen[dimension]
        if found is not None and found.shape != (size,):
            raise DatasetError(
                f"the coordinate {found.name} has {found.shape[0]} values for a dimension of length {size}"
            )
        if dimension not in kinds:
            if found is None:
                if dimension in horizontal.dims:
                    continue  # a list of cells, or the index of a curvilinear grid, is no coordinate
                kinds[dimension] = AxisKind.CUSTOM
            else:
                kind = coordinates.kind_of(found)
                kinds[dimension] = AxisKind.CUSTOM if kind is AxisKind.T and dimension != time else kind
        if dimension in horizontal.dims and kinds[dimension] not in (AxisKind.X, AxisKind.Y):
            continue
        axis = coordinates.axis_of(dimension, size, found, kinds[dimension], contents.variables, geographic=geographic)
        if dimension in horizontal.dims and horizontal.factor != 1.0:
            bounds = None if axis.bounds is None else axis.bounds * horizontal.factor
            axis = replace(axis, values=axis.values * horizontal.factor, bounds=bounds, units=None)
        axes[dimension] = axis
    return _one_vertical_each(axes, fields)


def _sizes(fields: Mapping[str, Variable]) -> dict[str, int]:
    """Return the length of each dimension of the data variables."""
    return {dim: size for field in fields.values() for dim, size in zip(field.dims, field.shape, strict=True)}


def _time_dimension(chosen: Mapping[str, Variable]) -> str | None:
    """Return the dimension of time: valid time before the time of reference, whose steps are then a custom axis."""
    dates = {dimension: variable for dimension, variable in chosen.items() if cf.is_time(variable)}
    for dimension, variable in chosen.items():
        units = variable.text("units") or ""
        if dimension not in dates and (cf.TIME.rank(variable) in (0, 2) or " as %" in units):
            raise DatasetError(
                f"the time coordinate {variable.name} cannot be decoded: its units are {units[:60]!r}, not of "
                "the form 'days since 1970-01-01'"
            )
    ordered = sorted(
        dates,
        key=lambda dim: (cf.REFERENCE_TIME.rank(dates[dim]) is not None, cf.TIME.rank(dates[dim]) or 0, dim != "time"),
    )
    return ordered[0] if ordered else None


def _one_vertical_each(axes: dict[str, Axis], fields: Mapping[str, Variable]) -> dict[str, Axis]:
    """Leave at most one vertical axis to each data variable; a second one becomes a custom axis."""
    for variable in fields.values():
        vertical = [dim for dim in variable.dims if dim in axes and axes[dim].kind is AxisKind.Z]
        for dimension in vertical[1:]:
            axis = axes[dimension]
            axes[dimension] = Axis(
                AxisKind.CUSTOM, axis.name, axis.values, axis.units, axis.standard_name, axis.long_name, axis.positive
            )
    return axes


def _times(axes: Mapping[str, Axis]) -> tuple[str | None, str | None]:
    axis = next((axis for axis in axes.values() if axis.kind is AxisKind.T and axis.size), None)
    if axis is None:
        return None, None
    first, last = cf_calendar.to_iso([int(axis.values.min()), int(axis.values.max())], axis.calendar)
    return first, last


def _notes(contents: Contents, horizontal: grids.Horizontal) -> dict[str, Any]:
    """Collect what is no axis and still says where and when: the ellipsoid, and the scalar coordinates."""
    notes: dict[str, Any] = {}
    if horizontal.mapping:
        notes["grid_mapping"] = {name: v for name, v in horizontal.mapping.items() if name not in ENCODING}
    named = {word for variable in contents.variables.values() for word in variable.words("coordinates")}
    scalars: dict[str, dict[str, Any]] = {}
    for name in sorted(named):
        variable = contents.variables.get(name)
        if variable is None or variable.dims:
            continue
        if cf.is_time(variable):
            stamps, calendar = coordinates.times(variable)
            value: Any = cf_calendar.to_iso(stamps, calendar)[0]
        else:
            value = variable.values.tolist()
        scalars[name] = {"value": value, "units": variable.text("units")}
    if scalars:
        notes["scalar_coordinates"] = scalars
    return notes


def _digest(contents: Contents, axes: Mapping[str, Axis]) -> str:
    """Return a short digest of all metadata and all coordinates of a plain Zarr store."""
    digest = sha256(json.dumps(contents.attributes, sort_keys=True, default=str).encode())
    for name, variable in sorted(contents.variables.items()):
        # Its representation has all fields; `to_dict` would warn writers about types without a specification.
        digest.update(f"{name} {variable.array.metadata!r}".encode())
    for name, axis in sorted(axes.items()):
        digest.update(name.encode())
        digest.update(
            "\n".join(axis.values.tolist()).encode() if axis.values.dtype.kind == "U" else axis.values.tobytes()
        )
        if axis.bounds is not None:
            digest.update(axis.bounds.tobytes())
    return digest.hexdigest()[:20]


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
