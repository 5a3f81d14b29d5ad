"""How do a file's attributes read in Zarr, where they must be JSON?"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_STORAGE_ONLY = frozenset({"_NCProperties", "_Netcdf4Coordinates", "_Netcdf4Dimid", "_ChunkSizes", "DIMENSION_LIST"})
"""Attributes that say how a NetCDF file is laid out, not what the data are."""


def to_json(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as JSON values, without ``_FillValue``.

    NumPy scalars become numbers, arrays become lists; the numbers JSON does not have become the text ``NaN``,
    ``Infinity`` and ``-Infinity``. A ``missing_value`` of NaN is left out: NaN is missing in any case, and as text it
    would mean something else.
    """
    result: dict[str, Any] = {}
    for name, value in attributes.items():
        if name == "_FillValue" or name in _STORAGE_ONLY:
            continue
        if name == "missing_value" and _is_nan(value):
            continue
        result[name] = _plain(value)
    return result


def encode_fill_value(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return ``_FillValue`` as xarray writes and reads it among the attributes of a Zarr v3 array.

    Floats are base64 of their eight little-endian bytes (so that NaN survives JSON), integers and text are plain.

    Examples
    --------
    >>> encode_fill_value(np.float32("nan"), np.dtype("float32"))
    'AAAAAAAA+H8='
    >>> encode_fill_value(np.int16(-32767), np.dtype("int16"))
    -32767
    """
    if dtype.kind == "f":
        return base64.standard_b64encode(struct.pack("<d", float(value))).decode()
    if dtype.kind in "iu":
        return int(value)
    if dtype.kind == "b":
        return bool(value)
    return str(value)


def decode_fill_value(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return the number that `encode_fill_value` wrote; plain numbers are accepted too."""
    if dtype.kind == "f" and isinstance(value, str):
        return float(struct.unpack("<d", base64.standard_b64decode(value))[0])
    return value


def fill_value(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> Any:
    """Return the value that a cell never written has: ``_FillValue``, else NaN, zero, False or an empty text."""
    declared = attributes.get("_FillValue")
    if declared is not None and np.ndim(declared) == 0 and dtype.kind in "iufb":
        return dtype.type(declared)
    return {"f": np.nan, "O": ""}.get(dtype.kind, dtype.type(0) if dtype.kind in "iub" else 0)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()] if value.ndim else _plain(value.item())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value if isinstance(value, str | int | float | bool) else str(value)


def _is_nan(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind == "f" and bool(np.isnan(array).all())
