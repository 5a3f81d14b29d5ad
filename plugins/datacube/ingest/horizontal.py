"""Which dimensions of a file are horizontal, and does it hold any values?"""

from __future__ import annotations

from collections.abc import Mapping

from plugins.datacube import cf
from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest.content import Content, SourceVariable

_CRITERIA = (cf.LATITUDE, cf.LONGITUDE, cf.PROJECTED_Y, cf.PROJECTED_X)


def horizontal_dimensions(variables: Mapping[str, SourceVariable]) -> frozenset[str]:
    """Return the dimensions of the coordinates that say where a cell is."""
    return frozenset(dim for variable in variables.values() if is_horizontal(variable) for dim in variable.dims)


def is_horizontal(variable: SourceVariable) -> bool:
    """Whether a variable is a latitude, a longitude or a projection coordinate, by the marks of CF."""
    return variable.dtype.kind in "iuf" and any(_fits(variable, criterion) for criterion in _CRITERIA)


def _fits(variable: SourceVariable, criterion: cf.Criterion) -> bool:
    standard_name = str(variable.attributes.get("standard_name", "")).strip()
    units = str(variable.attributes.get("units", "")).strip().lower()
    if standard_name in criterion.standard_names or units in criterion.units:
        return True
    if standard_name:
        return False
    if criterion.axis is not None and variable.attributes.get("axis") == criterion.axis:
        return True
    # A name alone makes a coordinate only where the variable is one by its dimensions.
    if variable.dims != (variable.name,) or criterion.names is None:
        return False
    return criterion.names.fullmatch(variable.name.lower()) is not None


def require_values(content: Content) -> None:
    """Refuse a file that has nothing to serve; whether its coordinates can be understood is asked of `describe`.

    Raises
    ------
    DatasetError
        If the file has no data variables, or an empty dimension.
    """
    label = content.path.name
    if not content.data_variables:
        raise DatasetError(f"{label} holds no data variables, only coordinates")
    empty = next((dim for dim, size in content.dimensions.items() if size == 0), None)
    if empty is not None:
        raise DatasetError(f"{label} holds no values: its dimension {empty} is empty")
