"""By which marks is a variable a latitude, a longitude, a level, a time, a grid: the CF conventions as tables.

The tables of standard names and units are those of cf-xarray (`cf_xarray.criteria`), completed where weather data needs
it; names of variables are the last resort.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cf_xarray import criteria

from plugins.datacube.contents import Variable

DISCRETE_SAMPLING: Final = frozenset(
    {"point", "timeseries", "trajectory", "profile", "timeseriesprofile", "trajectoryprofile"}
)
"""Values of the global attribute ``featureType`` (CF conventions 1.11, section 9.4), in lower case."""


OPPOSITE_UNITS: Final = frozenset(
    f"{degree}_{direction}" for degree in ("degree", "degrees") for direction in ("west", "w", "south", "s")
)
"""Units that count the other way; CF does not know them, and nothing is answered on such axes."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """The marks of one kind of coordinate, each field sufficient, strongest first."""

    standard_names: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    """In lower case."""
    axis: str | None = None
    """The letter of the attribute ``axis``."""
    names: re.Pattern[str] | None = None
    """Names of variables, in lower case."""

    def rank(self, variable: Variable) -> int | None:
        """Return how well a variable fits: 0 by standard name, 1 by units, 2 by axis, 3 by name; None if not at all.

        A variable whose standard name says something else is not taken by weaker marks.
        """
        standard_name, units = variable.text("standard_name"), (variable.text("units") or "").lower()
        if units in OPPOSITE_UNITS:
            return None
        if standard_name in self.standard_names:
            return 0
        if units in self.units:
            return 1
        if standard_name is not None:
            return None
        if self.axis is not None and variable.text("axis") == self.axis:
            return 2
        if self.names is not None and self.names.fullmatch(variable.name.lower()):
            return 3
        return None


def _standard_names(kind: str) -> frozenset[str]:
    return frozenset(criteria.coordinate_criteria[kind]["standard_name"])


def _units(kind: str) -> frozenset[str]:
    return frozenset(unit.lower() for unit in criteria.coordinate_criteria[kind]["units"])


LATITUDE: Final = Criterion(
    _standard_names("latitude"), _units("latitude"), names=re.compile(r"lat|lats|latitude|latitudes|nav_lat|ylat|clat")
)
LONGITUDE: Final = Criterion(
    _standard_names("longitude"),
    _units("longitude"),
    names=re.compile(r"lon|lons|long|longitude|longitudes|nav_lon|xlon|clon"),
)
PROJECTED_X: Final = Criterion(
    frozenset({"projection_x_coordinate", "grid_longitude", "projection_x_angular_coordinate"}),
    axis="X",
    names=re.compile(r"x|xc|rlon|easting|eastings|projection_x_coordinate|grid_longitude"),
)
PROJECTED_Y: Final = Criterion(
    frozenset({"projection_y_coordinate", "grid_latitude", "projection_y_angular_coordinate"}),
    axis="Y",
    names=re.compile(r"y|yc|rlat|northing|northings|projection_y_coordinate|grid_latitude"),
)
TIME: Final = Criterion(frozenset({"time"}), axis="T", names=re.compile(r"time|t|date|datetime|valid_time"))
REFERENCE_TIME: Final = Criterion(
    frozenset({"forecast_reference_time"}),
    names=re.compile(r"(forecast_)?reference_time|init(ial)?_time|init|base_time|analysis_time"),
)
PRESSURE_UNITS: Final = frozenset(
    {"pa", "hpa", "kpa", "mbar", "mb", "bar", "millibar", "millibars", "pascal", "dbar", "decibar"}
)
"""In lower case; a coordinate with such units is vertical (CF conventions 1.11, section 4.3)."""
VERTICAL: Final = Criterion(
    _standard_names("Z") | _standard_names("vertical") | {"height_above_sea_floor", "ocean_model_level", "isobaric"},
    PRESSURE_UNITS | {"level", "sigma_level", "layer"},
    axis="Z",
    names=re.compile(
        r"z|zlev|lev|levs|level|levels|levelist|plev|pressure|pressure_level|isobaric\w*|depth\w*|deptht|depthu|depthv|depthw|"
        r"height|altitude|elevation|hybrid|model_?level(_number)?|heightaboveground\w*|pfull|phalf|sigma"
    ),
)
POSITIVE: Final = frozenset({"up", "down"})
CUSTOM: Final = Criterion(
    frozenset({"realization", "forecast_period", "region", "area_type", "quantile"}),
    names=re.compile(r"number|realization|member|members|member_id|ensemble|ens|step|percentile|quantile|expver"),
)
"""Coordinates of other dimensions: they are told from the vertical, and name a dimension that has no variable."""
SINCE: Final = re.compile(r"\s*\w+\s+since\s+\S.*", re.IGNORECASE)
"""Units of a time coordinate (CF conventions 1.11, section 4.4)."""


def is_time(variable: Variable) -> bool:
    """Whether the values are dates."""
    return variable.dtype.kind == "M" or SINCE.fullmatch(variable.text("units") or "") is not None


def is_vertical(variable: Variable) -> bool:
    """Whether the values are levels, heights, depths or pressures."""
    if CUSTOM.rank(variable) == 0 or variable.dtype.kind not in "iuf":
        return False
    return VERTICAL.rank(variable) is not None or (variable.text("positive") or "").lower() in POSITIVE


def is_grid_mapping(variable: Variable) -> bool:
    """Whether the variable is a container of the attributes of a CRS."""
    return variable.text("grid_mapping_name") is not None or variable.text("crs_wkt") is not None


def is_healpix(attributes: Mapping[str, object]) -> bool:
    """Whether attributes are those of a HEALPix grid: of CF 1.13, of xdggs, or of nextGEMS."""
    return (
        attributes.get("grid_mapping_name") == "healpix"
        or attributes.get("grid_name") == "healpix"
        or "healpix_nside" in attributes
    )


CELL_DIMENSIONS: Final = ("cell", "cells", "cell_ids", "ncells", "values", "hpx", "value", "pix")
"""Names of the dimension of a list of cells."""
