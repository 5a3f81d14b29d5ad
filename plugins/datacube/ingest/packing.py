"""How are packed integers kept, and what are they once unpacked (CF conventions 1.11, section 8.1)?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.ingest.content import SourceVariable

_PACKED_ONLY = frozenset(
    {"scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned", "valid_range", "valid_min", "valid_max"}
)
"""Attributes in packed units: they mean nothing for unpacked values."""


def is_packed(variable: SourceVariable) -> bool:
    """Whether the stored numbers must be scaled."""
    return "scale_factor" in variable.attributes or "add_offset" in variable.attributes


def same_packing(first: SourceVariable, second: SourceVariable) -> bool:
    """Whether stored numbers of both mean the same values, so that they may stand in one array."""
    return first.dtype == second.dtype and all(
        _equal(first.attributes.get(key), second.attributes.get(key))
        for key in ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
    )


def unpacked(variable: SourceVariable) -> SourceVariable:
    """Describe the same variable with its values unpacked: float32 where both attributes are float32, else float64."""
    kept = {key: value for key, value in variable.attributes.items() if key not in _PACKED_ONLY}
    dtype = _unpacked_dtype(variable.attributes)
    return replace(variable, dtype=dtype, attributes={**kept, "_FillValue": dtype.type("nan")})


def unpack(values: NDArray[Any], variable: SourceVariable, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return unpacked values; missing ones are NaN.

    The product is formed in the type that CF gives the unpacked values, as xarray does, then cast to `dtype`.
    """
    attributes = variable.attributes
    missing = np.zeros(values.shape, bool)
    for key in ("_FillValue", "missing_value"):
        if key in attributes:
            missing |= np.isin(values, np.atleast_1d(attributes[key]))
    if str(attributes.get("_Unsigned", "false")).lower() == "true" and values.dtype.kind == "i":
        values = values.view(values.dtype.str.replace("i", "u"))
    result = values.astype(_unpacked_dtype(attributes))
    if "scale_factor" in attributes:
        result *= attributes["scale_factor"]
    if "add_offset" in attributes:
        result += attributes["add_offset"]
    result[missing] = np.nan
    return result.astype(dtype, copy=False)


def _unpacked_dtype(attributes: Mapping[str, Any]) -> np.dtype[Any]:
    kinds = [np.asarray(attributes[key]).dtype for key in ("scale_factor", "add_offset") if key in attributes]
    return np.dtype(np.float32 if len(kinds) == 2 and all(kind == np.float32 for kind in kinds) else np.float64)


def _equal(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is second
    left, right = np.asarray(first), np.asarray(second)
    if left.dtype.kind in "SU" or right.dtype.kind in "SU":
        return str(first) == str(second)
    return left.shape == right.shape and bool(np.array_equal(left, right, equal_nan=True))
