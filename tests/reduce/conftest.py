"""A cube with missing values, members and levels whose chunks can be cut anyhow, and what is selected of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.library import Library, OpenDatacube

SIZES = {"number": 3, "time": 90, "latitude": 6, "longitude": 8}


@pytest.fixture(scope="session")
def truth() -> xr.Dataset:
    """Six-hourly temperatures with a twentieth missing, one cell always, and whole days of another."""
    rng = np.random.default_rng(7)
    shape = tuple(SIZES.values())
    values = rng.normal(280.0, 8.0, shape).astype("float32")
    values[rng.random(shape) < 0.05] = np.nan
    values[:, :, 2, 3] = np.nan
    values[:, :12, 1, 1] = np.nan
    counts = rng.integers(-3, 9, shape[1:]).astype("int16")
    return xr.Dataset(
        {
            "t2m": (tuple(SIZES), values, {"units": "K", "standard_name": "air_temperature", "long_name": "Temp"}),
            "days": (tuple(SIZES)[1:], counts, {"units": "1", "_FillValue": np.int16(8)}),
        },
        coords={
            "number": ("number", [0, 1, 2], {"standard_name": "realization"}),
            "time": ("time", np.datetime64("2020-02-20", "ns") + np.arange(90) * np.timedelta64(6, "h")),
            "latitude": ("latitude", np.linspace(50.0, -50.0, 6), {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(8) * 45.0, {"units": "degrees_east"}),
        },
    )


@pytest.fixture(scope="session")
def stored(truth: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., OpenDatacube]:
    """Open the cube in chunks of a shape, made once."""
    root, made = tmp_path_factory.mktemp("cubes"), {}

    def opened(*chunks: int) -> OpenDatacube:
        if chunks not in made:
            path = Path(root / "-".join(map(str, chunks)))
            encoding = {"t2m": {"chunks": chunks}, "days": {"chunks": chunks[1:]}}
            truth.to_zarr(path, zarr_format=3, consolidated=False, encoding=encoding)
            made[chunks] = Library([DatasetDefinition("cube", str(path))]).get("cube")
        return made[chunks]

    return opened
