"""How do GRIB hypercubes stand as variables with CF coordinates, all on the same dimensions?

1. ``number`` and ``step`` stay where any parameter has several; ``time`` always stays, so that it can be continued.
2. With one step, the time axis is the time of validity; with several it is the time of the run, and ``valid_time``
   has both dimensions.
3. A single level becomes a scalar coordinate where all parameters agree on it, else the attribute ``GRIB_level``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plugins.datacube.ingest.grib_fields import UNKNOWN, Hypercube, RefusedError

LEVELS_OF_NO_HEIGHT = frozenset({"surface", "meanSea", "entireAtmosphere", "nominalTop", "unknown", "undef"})
"""Kinds of level whose value says nothing."""
REFERENCE_TIME_ATTRIBUTES = {
    "units": "seconds since 1970-01-01T00:00:00",
    "calendar": "proleptic_gregorian",
    "standard_name": "forecast_reference_time",
    "long_name": "initial time of forecast",
}
TIME_ATTRIBUTES = {**REFERENCE_TIME_ATTRIBUTES, "standard_name": "time", "long_name": "time"}
PERIOD_ATTRIBUTES = {
    "units": "hours",
    "standard_name": "forecast_period",
    "long_name": "time since forecast_reference_time",
}
GLOBAL_KEYS = ("edition", "centre", "centreDescription", "subCentre")


class Layout:
    """The variables of the file as they are found, and the values of the coordinates."""

    def __init__(self, cubes: Sequence[Hypercube]) -> None:
        self.cubes = cubes
        self.variables: dict[str, dict[str, Any]] = {}
        """Each with ``dims``, ``attributes`` and ``auxiliary``."""
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        """Values of the coordinates."""
        self.several_steps = any(cube.size("step") > 1 for cube in cubes)
        self.several_members = any(cube.size("number") > 1 for cube in cubes)
        self.scalar_levels = _scalar_levels(cubes)
        for cube in cubes:
            self._add(cube)
        if clash := next((cube.name for cube in cubes if cube.name in self.arrays), None):
            raise RefusedError(f"holds a parameter named {clash}, which is also the name of one of its coordinates")

    def attributes(self) -> dict[str, Any]:
        """Return the global attributes: what is the same for all fields."""
        result: dict[str, Any] = {"Conventions": "CF-1.7"}
        for key in GLOBAL_KEYS:
            found = {value for cube in self.cubes for value in cube.index.get(key, [])}
            if len(found) == 1 and found.isdisjoint(UNKNOWN):
                result[f"GRIB_{key}"] = found.pop()
        if "GRIB_centreDescription" in result:
            result["institution"] = result["GRIB_centreDescription"]
        return result

    def _add(self, cube: Hypercube) -> None:
        unknown = {key for key, value in cube.attrs.items() if isinstance(value, str) and value in UNKNOWN}
        attributes = {key: value for key, value in cube.attrs.items() if key not in unknown and key != "coordinates"}
        dims: list[str] = []
        described: list[str] = []
        if self.several_members:
            dims.append("number")
            self._coordinate("number", ("number",), cube.values("number"), cube.coords["number"].attributes)
        self._add_times(cube, dims, described, attributes)
        self._add_levels(cube, dims, described, attributes)
        for name in ("latitude", "longitude"):
            if name in cube.coords:
                own = tuple(cube.coords[name].dimensions)
                self._coordinate(name, own, cube.coords[name].data, cube.coords[name].attributes)
                if own != (name,):
                    described.append(name)
        self._add_healpix(cube, attributes)
        dims.extend(cube.dims[-cube.data.geo_ndim :])
        if described:
            attributes["coordinates"] = " ".join(described)
        attributes["_FillValue"] = "NaN"
        self.variables[cube.name] = {"dims": dims, "attributes": attributes, "auxiliary": False}

    def _add_times(self, cube: Hypercube, dims: list[str], described: list[str], attributes: dict[str, Any]) -> None:
        base, steps = cube.values("time"), cube.values("step")
        seconds = np.rint(steps * 3600).astype(np.int64)
        dims.append("time")
        if self.several_steps:
            dims.append("step")
            self._coordinate("time", ("time",), base, REFERENCE_TIME_ATTRIBUTES)
            self._coordinate("step", ("step",), steps, PERIOD_ATTRIBUTES)
            self._coordinate("valid_time", ("time", "step"), base[:, None] + seconds[None, :], TIME_ATTRIBUTES)
            described.append("valid_time")
            return
        # With one step nobody asks for the weather by the time of the run.
        self._coordinate("time", ("time",), base + seconds[0], TIME_ATTRIBUTES)
        if seconds[0]:
            attributes["GRIB_step"] = float(steps[0])

    def _add_levels(self, cube: Hypercube, dims: list[str], described: list[str], attributes: dict[str, Any]) -> None:
        for dim in cube.other_dims:
            if cube.size(dim) > 1:
                dims.append(dim)
                self._coordinate(dim, (dim,), cube.values(dim), cube.coords[dim].attributes)
        level = cube.level
        if level is not None and cube.size(level) == 1 and level not in LEVELS_OF_NO_HEIGHT:
            value = float(cube.values(level)[0])
            attributes["GRIB_level"] = value
            if self.scalar_levels.get(level) == value:
                self._coordinate(level, (), value, cube.coords[level].attributes)
                described.append(level)

    def _add_healpix(self, cube: Hypercube, attributes: dict[str, Any]) -> None:
        """Name a HEALPix grid by a grid mapping (CF conventions 1.13, appendix F)."""
        if attributes.get("GRIB_gridType") != "healpix":
            return
        first = cube.index.first()
        mapping = {
            "grid_mapping_name": "healpix",
            "refinement_level": int(first["Nside"]).bit_length() - 1,
            "indexing_scheme": "nested" if first["orderingConvention"] in (1, "nested") else "ring",
        }
        self._coordinate("healpix", (), np.int8(0), mapping)
        attributes["grid_mapping"] = "healpix"

    def _coordinate(self, name: str, dims: tuple[str, ...], values: Any, attributes: Mapping[str, Any]) -> None:
        array = np.asarray(values)
        known = self.arrays.setdefault(name, array)
        if not np.array_equal(known, array):
            raise RefusedError(f"holds parameters with different values of {name}: split it into files that agree")
        self.variables.setdefault(name, {"dims": dims, "attributes": dict(attributes), "auxiliary": True})


def _scalar_levels(cubes: Sequence[Hypercube]) -> dict[str, float]:
    """Return the kinds of level that have the same single value in all fields: those can be scalar coordinates."""
    values: dict[str, set[float]] = {}
    for cube in cubes:
        if cube.level is not None:
            values.setdefault(cube.level, set()).update(float(value) for value in cube.values(cube.level))
    return {level: next(iter(found)) for level, found in values.items() if len(found) == 1}
