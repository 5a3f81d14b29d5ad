"""A small store whose values are known, and the library and context that serve it."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.processes.context import ProcessContext


@pytest.fixture(scope="session")
def truth() -> xr.Dataset:
    """Two parameters on 3 members, 5 times, 4 latitudes (descending) and 6 longitudes."""
    shape = (3, 5, 4, 6)
    axes = ("number", "time", "latitude", "longitude")
    values = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    return xr.Dataset(
        {
            "t2m": (axes, values, {"units": "K", "standard_name": "air_temperature"}),
            "msl": (axes[1:], values[0] * 10, {"units": "Pa"}),
        },
        coords={
            "number": ("number", [0, 1, 2], {"standard_name": "realization"}),
            "time": ("time", np.arange("2020-01-01", "2020-01-06", dtype="datetime64[D]").astype("datetime64[ns]")),
            "latitude": ("latitude", [60.0, 50.0, 40.0, 30.0], {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(6) * 10.0, {"units": "degrees_east"}),
        },
    )


@pytest.fixture(scope="session")
def store(truth: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "small.zarr"
    truth.to_zarr(path, zarr_format=3, consolidated=False)
    return path


@pytest.fixture(scope="session")
def context(store: Path) -> ProcessContext:
    return ProcessContext((DatasetDefinition("small", str(store)),))


@pytest.fixture(scope="session")
def library(context: ProcessContext):
    return context.library()
