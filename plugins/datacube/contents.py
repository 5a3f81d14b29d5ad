"""Which variables does a store hold, with which dimensions, attributes and stored values that mean "missing"?

The same conventions as xarray's Zarr backend: dimension names are in the metadata of Zarr version 3 and in the
attribute ``_ARRAY_DIMENSIONS`` of version 2; the fill value of a version 2 array is its CF ``_FillValue``, that of a
version 3 array is not.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from json import JSONDecodeError
from typing import Any, Final

import numpy as np
import obstore
import zarr
from numpy.typing import NDArray
from zarr.core.metadata import ArrayV3Metadata
from zarr.core.sync import sync

from plugins.datacube.errors import DatasetError
from plugins.datacube.sources import UNREACHABLE, Source, explain

DIMENSIONS_ATTRIBUTE: Final = "_ARRAY_DIMENSIONS"
MAX_COORDINATE_BYTES: Final = 1 << 30
METADATA_NAMES: Final = frozenset({"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"})
READABLE_KINDS: Final = "biufMmSUT"
"""NumPy kinds that a variable may have; no Python objects, whose decoding could run code."""


@dataclass(frozen=True)
class Variable:
    """One array of a store in the terms of CF."""

    name: str
    dims: tuple[str, ...]
    attributes: Mapping[str, Any]
    """Without the dimension names."""
    array: zarr.Array[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(int(n) for n in self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Stored dtype."""
        return np.dtype(self.array.dtype)

    def text(self, attribute: str) -> str | None:
        """Return an attribute as text, stripped; None where it is absent, empty or no text."""
        value = self.attributes.get(attribute)
        return value.strip() or None if isinstance(value, str) else None

    def words(self, attribute: str) -> tuple[str, ...]:
        """Return the blank-separated words of an attribute (``coordinates``, ``ancillary_variables``)."""
        return tuple((self.text(attribute) or "").split())

    @cached_property
    def missing(self) -> tuple[float | int, ...]:
        """Stored values that mean "missing": ``_FillValue`` and ``missing_value``, each once."""
        found: list[float | int] = []
        candidates = [self.attributes.get("_FillValue"), self.attributes.get("missing_value")]
        if self.array.metadata.zarr_format == 2:
            candidates[0] = self.array.fill_value
        for candidate in candidates:
            for value in candidate if isinstance(candidate, (list, tuple)) else [candidate]:
                number = _number(value, self.dtype)
                if number is not None and not any(number == known or number != number for known in found):
                    found.append(number)
        return tuple(found)

    @cached_property
    def packing(self) -> tuple[float | None, float | None]:
        """``scale_factor`` and ``add_offset``, as far as they are given.

        Raises
        ------
        DatasetError
            If one is no number: the values cannot be known then.
        """
        return self._factor("scale_factor"), self._factor("add_offset")

    def _factor(self, attribute: str) -> float | None:
        value = self.attributes.get(attribute)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise DatasetError(f"the {attribute} of {self.name} is no number")
        return None if value is None else float(value)

    @cached_property
    def values(self) -> NDArray[Any]:
        """All values as stored, in memory.

        Raises
        ------
        DatasetError
            If they cannot be read, or are too many for a coordinate.
        """
        if self.array.nbytes > MAX_COORDINATE_BYTES:
            raise DatasetError(f"the coordinate {self.name} has {self.array.size} values, too many to keep in memory")
        # A chunk of nothing but the fill value (a single time 0) is rightly absent: Zarr does not write it. A lost
        # chunk of a coordinate shows as values out of order, which `coordinates` refuses.
        array = self.array.with_config({"read_missing_chunks": True})
        try:
            return np.asarray(array[...])
        except Exception as error:
            raise DatasetError(f"the values of {self.name} cannot be read: its chunks are damaged") from error


@dataclass(frozen=True, slots=True)
class Contents:
    """The variables of the root group."""

    variables: Mapping[str, Variable]
    skipped: Mapping[str, str]
    """Arrays that cannot be variables, with the reason."""
    attributes: Mapping[str, Any]
    """Attributes of the group."""


def read_contents(source: Source) -> Contents:
    """List the variables of a store.

    Raises
    ------
    DatasetError
        If the group is empty, has its arrays in nested groups only, or cannot be listed.
    """
    variables: dict[str, Variable] = {}
    skipped: dict[str, str] = {}
    groups: list[str] = []
    for name in _names(source):
        try:
            array = source.group[name]
        except KeyError:
            continue  # a folder without metadata
        except (*UNREACHABLE, JSONDecodeError, UnicodeDecodeError) as error:
            raise explain(error, f"{source.label}/{name}") from error
        except (ValueError, TypeError):
            skipped[name] = "its type or its codecs are not known"
            continue
        if isinstance(array, zarr.Group):
            groups.append(name)
            continue
        dims = _dimensions(array)
        if dims is None:
            skipped[name] = "its dimensions have no names"
        elif array.dtype.kind not in READABLE_KINDS:
            skipped[name] = f"its values are of the type {array.dtype}"
        else:
            attributes = {key: value for key, value in array.attrs.asdict().items() if key != DIMENSIONS_ATTRIBUTE}
            variables[name] = Variable(name, dims, attributes, array)
    if not variables and not skipped:
        raise _empty(source, groups)
    return Contents(variables, skipped, dict(source.group.attrs.asdict()))


def _names(source: Source) -> tuple[str, ...]:
    consolidated = source.group.metadata.consolidated_metadata
    if consolidated is not None:
        return tuple(consolidated.metadata)

    async def children() -> list[str]:
        return [name.rstrip("/") async for name in source.store.list_dir("")]

    try:
        return tuple(sorted(name for name in sync(children()) if name not in METADATA_NAMES))
    except obstore.exceptions.BaseError as error:
        raise DatasetError(f"{source.label} cannot be listed; consolidate its metadata") from error
    except Exception as error:
        raise explain(error, source.label) from error


def _dimensions(array: zarr.Array[Any]) -> tuple[str, ...] | None:
    names: Any = array.metadata.dimension_names if isinstance(array.metadata, ArrayV3Metadata) else None
    if names is None or any(name is None for name in names):
        names = array.attrs.asdict().get(DIMENSIONS_ATTRIBUTE)
    if array.ndim == 0:
        return ()
    if not isinstance(names, (list, tuple)) or len(names) != array.ndim or len(set(names)) != array.ndim:
        return None
    return tuple(str(name) for name in names)


def _empty(source: Source, groups: list[str]) -> DatasetError:
    for name in groups:
        nested = source.group[name]
        path = _first_with_arrays(nested, name, depth=3) if isinstance(nested, zarr.Group) else None
        if path is not None:
            return DatasetError(
                f"{source.label} has no arrays at its root; they are in its group {path}: serve {source.label}/{path}"
            )
    return DatasetError(f"{source.label} is an empty group: it holds no arrays")


def _first_with_arrays(group: zarr.Group, path: str, depth: int) -> str | None:
    try:
        members = dict(group.members())
    except (*UNREACHABLE, ValueError):
        return None
    if any(isinstance(member, zarr.Array) for member in members.values()):
        return path
    inner = ((member, f"{path}/{name}") for name, member in members.items() if isinstance(member, zarr.Group))
    found = (_first_with_arrays(member, below, depth - 1) for member, below in inner if depth)
    return next((below for below in found if below is not None), None)


def _number(value: Any, dtype: np.dtype[Any]) -> float | int | None:
    """Read one stored value from JSON; floats of a ``_FillValue`` are base64 of their eight bytes in Zarr version 3."""
    if dtype.kind not in "biuf" or value is None:
        return None
    if isinstance(value, str):
        try:
            value = struct.unpack("<d", base64.b64decode(value, validate=True))[0]
        except (ValueError, struct.error):
            try:
                value = float(value)
            except ValueError:
                return None
    if not isinstance(value, (int, float, np.number)):
        return None
    try:
        if dtype.kind == "f":
            # As the array stores it: 1e+20 in float32 is another number than in float64.
            with np.errstate(over="ignore"):
                return float(np.asarray(value).astype(dtype))
        whole = int(value)
    except (OverflowError, ValueError):
        return None  # NaN and infinity are no integers
    if dtype.kind != "b" and not np.iinfo(dtype).min <= whole <= np.iinfo(dtype).max:
        return None  # never stored
    return whole
