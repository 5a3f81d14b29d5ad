"""What does a NetCDF file hold, and how are its stored values read without unpacking them?"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest import classic
from plugins.datacube.ingest.content import STRING, Content, Selection, SourceVariable, find_auxiliary

NETCDF_LOCK = threading.Lock()
"""NetCDF-C and HDF5 are not safe to call from two threads of one process."""
MAGIC = (*classic.MAGIC, b"\x89HDF")


def open_netcdf(path: Path) -> Content:
    """Describe the root group of a NetCDF file, classic or NetCDF-4.

    Raises
    ------
    DatasetError
        If the file cannot be opened or is cut short.
    """
    with path.open("rb") as stream:
        is_classic = stream.read(4) in classic.MAGIC
    if is_classic:
        classic.require_complete(path)
    notes: list[str] = []
    variables: dict[str, SourceVariable] = {}
    characters: set[str] = set()
    try:
        with NETCDF_LOCK, netCDF4.Dataset(path, "r") as dataset:
            attributes = {name: dataset.getncattr(name) for name in dataset.ncattrs()}
            for name, variable in dataset.variables.items():
                described = _describe(name, variable)
                if isinstance(described, str):
                    notes.append(described)
                    continue
                variables[name] = described
                if variable.dtype is not str and np.dtype(variable.dtype).kind == "S":
                    characters.add(name)
            notes += [f"the group {group!r} is left out: only the root group is served" for group in dataset.groups]
    except (OSError, RuntimeError, UnicodeDecodeError, ValueError) as error:
        raise DatasetError(f"{path.name} cannot be read as NetCDF: it is damaged or cut short") from error
    used = {dim: size for v in variables.values() for dim, size in zip(v.dims, v.shape, strict=True)}

    def reader(name: str, selection: Selection) -> NDArray[Any]:
        try:
            with NETCDF_LOCK, netCDF4.Dataset(path, "r") as dataset:
                source = dataset.variables[name]
                source.set_auto_mask(False)
                source.set_auto_scale(False)
                source.set_auto_chartostring(False)
                values = source[selection if name not in characters else (*selection, ...)]
        except (OSError, RuntimeError, IndexError) as error:
            raise DatasetError(f"{path.name} cannot be read: the values of {name} are damaged or cut short") from error
        return _native(np.asarray(values), variables[name])

    return Content(path, used, variables, attributes, reader, tuple(notes), find_auxiliary(variables, attributes))


def _describe(name: str, variable: Any) -> SourceVariable | str:
    """Describe one variable, or say in a sentence why it is left out."""
    attributes = {key: variable.getncattr(key) for key in variable.ncattrs()}
    dims, shape = tuple(variable.dimensions), tuple(int(size) for size in variable.shape)
    if variable.dtype is str:
        return SourceVariable(name, dims, shape, STRING, attributes)
    if isinstance(variable.datatype, netCDF4.CompoundType | netCDF4.VLType):
        return f"the variable {name} is left out: values of a compound or ragged type cannot be stored in Zarr"
    dtype = np.dtype(variable.dtype)
    if dtype.kind == "S":
        # A scalar character is a container of attributes (a grid mapping); an array of characters is text.
        if not dims:
            return SourceVariable(name, dims, shape, np.dtype(np.int8), attributes)
        return SourceVariable(name, dims[:-1], shape[:-1], STRING, attributes)
    if dtype.kind not in "iufb":
        return f"the variable {name} is left out: values of type {dtype} cannot be stored in Zarr"
    return SourceVariable(name, dims, shape, dtype.newbyteorder("="), attributes)


def _native(values: NDArray[Any], variable: SourceVariable) -> NDArray[Any]:
    if values.dtype.kind == "S":
        if variable.dtype.kind == "i":
            return np.frombuffer(values.tobytes().ljust(1, b"\0")[:1], np.int8).reshape(())
        return np.asarray(netCDF4.chartostring(values, encoding="utf-8"), dtype=object).reshape(values.shape[:-1])
    if variable.is_text:
        return values.astype(object)
    return values.astype(variable.dtype, copy=False)
