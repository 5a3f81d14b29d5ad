"""What does each parameter of a collection measure, in EDR's words?

The ``parameter_names`` of a collection document (OGC 19-086r6, requirement /req/edr/rc-parameters). Labels are plain
strings here, as the QGIS plugin needs them; in CoverageJSON the same labels are language maps. So is, in a collection
document, the label of what is observed: the schema of the standard allows both, and edr-xarray reads no other.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import MICROSECONDS, iso_duration
from plugins.datacube.datacube import Datacube, Parameter
from plugins.formats.referencing import STANDARD_NAME_URI, UCUM_URI

METHODS = {
    "mean": "mean", "sum": "sum", "maximum": "maximum", "minimum": "minimum", "point": "instantaneous",
    "median": "median", "mid_range": "mid_range", "mode": "mode", "range": "range",
    "standard_deviation": "standard_deviation", "variance": "variance",
}  # fmt: skip
"""CF cell methods (appendix E) by the name of the measurement method."""
DATA_TYPES = {"f": "float", "i": "integer", "u": "integer", "b": "integer"}
"""NumPy kind by EDR's name of a data type; anything else is ``string``."""
DAY = MICROSECONDS["day"]


def parameter_documents(cube: Datacube) -> dict[str, Any]:
    """Return the ``parameter_names`` member of a collection document, in stored order."""
    return {name: with_language(parameter_document(cube, parameter)) for name, parameter in cube.parameters.items()}


def with_language(document: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter whose observed property says in which language its label is."""
    observed = document["observedProperty"]
    return {**document, "observedProperty": {**observed, "label": {"en": observed["label"]}}}


def parameter_document(cube: Datacube, parameter: Parameter) -> dict[str, Any]:
    """Return one parameter: what is observed, in which unit, as which type, and how it was measured over time."""
    label = parameter.label or parameter.name
    observed: dict[str, Any] = {"label": parameter.standard_name or label}
    if parameter.standard_name:
        observed = {"id": f"{STANDARD_NAME_URI}{parameter.standard_name.split()[0]}/", **observed}
    document: dict[str, Any] = {
        "type": "Parameter",
        "id": parameter.name,
        "label": label,
        "description": description(parameter),
        "data-type": DATA_TYPES.get(np.dtype(parameter.dtype).kind, "string"),
        "observedProperty": observed,
    }
    if parameter.units:
        document["unit"] = {"label": parameter.units}
        if parameter.ucum:
            document["unit"]["symbol"] = {"value": parameter.ucum, "type": UCUM_URI}
    if (measured := measurement(cube, parameter)) is not None:
        document["measurementType"] = measured
    return document


def description(parameter: Parameter) -> str:
    """Return a sentence of text: the label and, where it is known, the unit."""
    label = parameter.label or parameter.name
    return f"{label} ({parameter.units})" if parameter.units and parameter.units != "1" else label


def measurement(cube: Datacube, parameter: Parameter) -> dict[str, str] | None:
    """Return method and duration of a parameter measured over time, from its CF cell methods; None if unsaid."""
    time = next((axis for axis in cube.axes_of(parameter) if axis.kind is AxisKind.T), None)
    if time is None or not parameter.cell_methods:
        return None
    found = re.search(rf"(?:^|\s)(?:{re.escape(time.name)}|time)\s*:\s*(?:\w+\s*:\s*)*(\w+)", parameter.cell_methods)
    method = METHODS.get(found.group(1)) if found else None
    if method is None:
        return None
    duration = "PT0S" if method == "instantaneous" else cell_duration(time)
    return None if duration is None else {"method": method, "duration": duration}


def cell_duration(time: Axis) -> str | None:
    """Return the length of the cells of a time axis as an ISO 8601 duration, or None where they differ.

    Calendar months and years count as one length.
    """
    if time.bounds is not None:
        widths = np.abs(time.bounds[:, 1] - time.bounds[:, 0])
    elif time.step is not None:
        widths = np.array([time.step])
    else:
        return None
    shortest, longest = int(widths.min()), int(widths.max())
    if shortest == longest:
        return iso_duration(shortest) if shortest else None
    if shortest >= 28 * DAY and longest <= 31 * DAY:
        return "P1M"
    if shortest >= 365 * DAY and longest <= 366 * DAY:
        return "P1Y"
    return None
