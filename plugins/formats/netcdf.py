"""How does an answer become a NetCDF-4 file (CF 1.11) that xarray, GDAL, QGIS and CDO open as it was meant?

Equal answers give equal bytes: the file is made on disk, where HDF5 writes no times of creation (it does in memory),
and names neither the program's moment nor its machine.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np

from plugins.datacube.coverage import Coverage
from plugins.formats.cf_dataset import CfDataset, CfVariable, build

MEDIA_TYPE: Final = "application/netcdf"
MEDIA_ALIASES: Final = ("application/x-netcdf", "application/x-netcdf4")
NETCDF_LOCK: Final = threading.Lock()
"""Held around every call of netCDF4 in this process: neither netCDF-C nor HDF5 is safe to use from two threads."""
_PART = 1024 * 1024
_SMALL = 16 * 1024
"""Bytes below which compressing a variable only makes it larger."""


def encode(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write coverages as one NetCDF-4 file.

    Parameters
    ----------
    coverages : sequence of Coverage
        Of one answer; see `plugins.formats.cf_dataset` for how several share a file.

    Yields
    ------
    bytes
        The file in parts of at most 1 MiB. Its temporary copy on disk is gone when the iteration ends or is closed.

    Raises
    ------
    NoDataError
        If there is no coverage.
    """
    dataset = build(coverages)
    with tempfile.TemporaryDirectory(prefix="isopleth-") as folder:
        path = Path(folder) / "answer.nc"
        write(dataset, path)
        with path.open("rb") as file:
            while part := file.read(_PART):
                yield part


def write(dataset: CfDataset, path: Path) -> None:
    """Write a CF dataset to a new NetCDF-4 file, under `NETCDF_LOCK`."""
    with NETCDF_LOCK, netCDF4.Dataset(path, "w", format="NETCDF4") as file:
        file.setncatts(dict(dataset.attributes))
        for name, size in dataset.dims.items():
            file.createDimension(name, size)
        for variable in dataset.variables:
            _write_variable(file, variable)


def _write_variable(file: Any, variable: CfVariable) -> None:
    text = variable.values.dtype.kind == "O"
    options: dict[str, Any] = {}
    if not text:
        # Level 1 costs a quarter of the default's time for nearly the same size; shuffling makes both better.
        if variable.dims and variable.values.nbytes > _SMALL:
            options = {"zlib": True, "complevel": 1, "shuffle": True}
        if variable.fill is not None:
            options["fill_value"] = variable.fill
    stored = file.createVariable(variable.name, str if text else variable.values.dtype, variable.dims, **options)
    stored.set_auto_maskandscale(False)
    stored.setncatts({name: _attribute(value) for name, value in variable.attributes.items()})
    if not text or variable.dims:
        stored[...] = variable.values
    else:
        stored[...] = np.asarray(variable.values[()], object)


def _attribute(value: Any) -> Any:
    """Return a Python int as 32 bits, as the classic model and most readers expect it."""
    return np.int32(value) if isinstance(value, int) and not isinstance(value, bool) else value
