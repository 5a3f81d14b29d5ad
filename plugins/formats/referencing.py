"""What do the numbers of an answer refer to: which CRS, which calendar, which quantity and which unit?

The members ``referencing`` and ``parameters`` of CoverageJSON (OGC 21-069r2), as plain JSON values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import GREGORIAN_START, STANDARD
from plugins.datacube.coverage import Coverage
from plugins.datacube.datacube import CRS84, Parameter

CALENDAR_URI: Final = "https://cfconventions.org/Data/cf-conventions/cf-conventions-1.11/cf-conventions.html#calendar-"
"""A calendar other than the Gregorian needs a URI: the CF conventions with the CF name as fragment."""
STANDARD_NAME_URI: Final = "http://vocab.nerc.ac.uk/standard_name/"
UCUM_URI: Final = "http://www.opengis.net/def/uom/UCUM/"
_STANDARD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_DOWN: Final = ("pressure", "depth")
"""Standard names of vertical coordinates that grow downwards say so: ``air_pressure``, ``depth``."""


def referencing(coverage: Coverage, axes: Iterable[Axis]) -> list[dict[str, Any]]:
    """Return the reference system connections of a domain, for those of its axes that are x, y, z or t.

    x and y share one system, that of the answer: a ``GeographicCRS`` where they are longitude and latitude, else a
    ``ProjectedCRS``. One that is not CRS84 carries its WKT too, because readers know few identifiers.
    """
    by_kind = {axis.kind: axis for axis in axes}
    connections: list[dict[str, Any]] = []
    horizontal = [kind.value for kind in (AxisKind.X, AxisKind.Y) if kind in by_kind]
    if horizontal:
        connections.append({"coordinates": horizontal, "system": horizontal_system(coverage)})
    if AxisKind.Z in by_kind:
        connections.append({"coordinates": ["z"], "system": vertical_system(by_kind[AxisKind.Z])})
    if AxisKind.T in by_kind:
        system = {"type": "TemporalRS", "calendar": calendar_uri(by_kind[AxisKind.T])}
        connections.append({"coordinates": ["t"], "system": system})
    return connections


def calendar_uri(axis: Axis) -> str:
    """Return ``Gregorian``, or a URI for a time axis whose dates are not those of ISO 8601.

    The CF calendar ``standard`` is Julian before 1582-10-15: an axis that reaches back so far is not Gregorian.
    """
    if axis.calendar in STANDARD:
        proleptic = axis.calendar == "proleptic_gregorian" or axis.size == 0
        if proleptic or int(axis.values.min()) >= GREGORIAN_START:
            return "Gregorian"
        return f"{CALENDAR_URI}standard"
    names = {"365_day": "noleap", "366_day": "all_leap"}
    return CALENDAR_URI + names.get(axis.calendar, axis.calendar)


def horizontal_system(coverage: Coverage) -> dict[str, Any]:
    """Return the reference system of x and y."""
    crs, wkt, geographic = coverage.reference
    system: dict[str, Any] = {"type": "GeographicCRS" if geographic else "ProjectedCRS"}
    if crs:
        system["id"] = crs
    if crs != CRS84 and wkt:
        system["wkt"] = wkt
    return system


def vertical_system(axis: Axis) -> dict[str, Any]:
    """Return the reference system of z."""
    coordinate: dict[str, Any] = {"name": {"en": axis.long_name or axis.standard_name or axis.name}}
    direction = vertical_direction(axis)
    if direction:
        coordinate["direction"] = direction
    if (axis.units or "").strip():
        coordinate["unit"] = {"symbol": axis.units}
    return {"type": "VerticalCRS", "cs": {"csAxes": [coordinate]}}


def vertical_direction(axis: Axis) -> str | None:
    """Return ``up`` or ``down`` as the store says, or as the quantity implies; None where neither does."""
    if axis.positive in ("up", "down"):
        return axis.positive
    name = (axis.standard_name or "").lower()
    if any(word in name for word in _DOWN) or (axis.units or "") in ("Pa", "hPa", "mbar", "millibar", "bar"):
        return "down"
    return "up" if "height" in name or "altitude" in name else None


def parameter(described: Parameter) -> dict[str, Any]:
    """Return the parameter object of a data variable.

    ``unit.label`` holds the unit as the store spells it and ``unit.symbol`` its UCUM code; where the code is not known,
    the symbol is the store's text. A variable without units has no ``unit`` at all: that is not "dimensionless".
    """
    label = described.label.strip() or described.name
    observed: dict[str, Any] = {}
    # A standard name may carry a modifier ("sea_surface_temperature status_flag"): the concept is the first word.
    name = _STANDARD_NAME.match(described.standard_name or "")
    if name:
        observed["id"] = f"{STANDARD_NAME_URI}{name.group()}/"
    observed["label"] = {"en": label}
    body: dict[str, Any] = {
        "type": "Parameter",
        "description": {"en": (described.long_name or "").strip() or label},
        "observedProperty": observed,
    }
    units = (described.units or "").strip()
    if units or described.ucum:
        symbol: Any = {"value": described.ucum, "type": UCUM_URI} if described.ucum else units
        body["unit"] = {"label": {"en": units or described.ucum}, "symbol": symbol}
    return body
