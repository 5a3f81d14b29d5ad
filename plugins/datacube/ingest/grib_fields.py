"""Which hypercubes of fields does a GRIB index hold, and do they fit on one grid?

Used by `plugins.datacube.ingest.grib_child` alone: building hypercubes loads ecCodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

UNKNOWN = ("unknown", "undef")
"""What ecCodes says of a key that its tables do not have."""
HEADER_DIMS = ("number", "time", "step")
ENCODE_CF = ("parameter", "time", "geography", "vertical")


class RefusedError(Exception):
    """The file cannot be served right; the message is one sentence that follows the file's name."""


class Hypercube:
    """The fields of one GRIB parameter, with all its coordinates (those of one value, too)."""

    def __init__(self, index: Any, name: str, variable: Any, coords: dict[str, Any]) -> None:
        self.index = index
        self.name = name
        self.dims: tuple[str, ...] = tuple(variable.dimensions)
        self.data = variable.data
        self.coords = coords
        self.attrs: dict[str, Any] = dict(variable.attributes)

    @property
    def other_dims(self) -> tuple[str, ...]:
        """Its further dimensions that are not horizontal: levels, named by their type, and spectra."""
        return tuple(dim for dim in self.dims[: -self.data.geo_ndim] if dim not in HEADER_DIMS)

    @property
    def level(self) -> str | None:
        """The dimension of its levels."""
        name = self.attrs.get("GRIB_typeOfLevel", "level")
        return name if name in self.other_dims else None

    def size(self, dim: str) -> int:
        """How many values it has along a dimension; 1 where it has none."""
        return int(self.data.shape[self.dims.index(dim)]) if dim in self.dims else 1

    def values(self, dim: str) -> np.ndarray[Any, Any]:
        """Coordinate values of a dimension."""
        return np.atleast_1d(np.asarray(self.coords[dim].data))


def hypercubes(index: Any) -> list[Hypercube]:
    """Build the hypercubes of one parameter; several where its messages differ in kind (of level, of step)."""
    from cfgrib import dataset

    try:
        _, variable, coords = dataset.build_variable_components(
            index, ENCODE_CF, index.filter_by_keys, errors="raise", squeeze=False
        )
    except dataset.DatasetBuildError as error:
        if len(error.args) < 3:
            raise RefusedError(f"holds fields that do not form one grid of values: {error}") from error
        key = error.args[1]
        return [field for value in index[key] for field in hypercubes(index.subindex(**{key: value}))]
    attributes = variable.attributes
    name = attributes.get("GRIB_cfVarName", "unknown")
    if name in UNKNOWN:
        name = attributes.get("GRIB_shortName", "unknown")
    if name in UNKNOWN:
        name = f"paramId_{attributes['GRIB_paramId']}"
    field = Hypercube(index, name, variable, coords)
    given = sum(len(ids) for _, ids in index.iter_index())
    if given > len(field.data.field_id_index):
        raise RefusedError(
            f"holds some fields of {name} twice, perhaps of two experiment versions (ERA5 and ERA5T): keep one of them"
        )
    return [field]


def require_distinct(fields: list[Hypercube]) -> None:
    """Refuse a file in which two hypercubes have the same name.

    Raises
    ------
    RefusedError
        Saying in what they differ.
    """
    seen: dict[str, Hypercube] = {}
    for field in fields:
        other = seen.setdefault(field.name, field)
        if other is not field:
            keys = ("GRIB_typeOfLevel", "GRIB_stepType", "GRIB_dataType", "GRIB_gridType")
            one, two = (", ".join(str(f.attrs.get(key)) for key in keys) for f in (other, field))
            raise RefusedError(f"holds {field.name} in two kinds of fields ({one}; {two}): split it with grib_copy -w")


def require_one_grid(fields: list[Hypercube]) -> None:
    """Refuse a file whose parameters lie on different grids.

    Raises
    ------
    RefusedError
        Naming two parameters that differ.
    """
    first = fields[0]
    for field in fields:
        if len(field.index.get("md5GridSection", [])) > 1:
            raise RefusedError(f"holds {field.name} on several grids: split it by grid")
    for field in fields[1:]:
        same = field.dims[-field.data.geo_ndim :] == first.dims[-first.data.geo_ndim :] and all(
            (name in field.coords) == (name in first.coords)
            and (name not in first.coords or np.array_equal(field.coords[name].data, first.coords[name].data))
            for name in ("latitude", "longitude")
        )
        if not same or field.data.shape[-field.data.geo_ndim :] != first.data.shape[-first.data.geo_ndim :]:
            raise RefusedError(f"holds several grids ({first.name} and {field.name} differ): split it by grid")
