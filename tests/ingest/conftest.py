"""How published stores are looked at: with Icechunk and xarray, not with our own reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import icechunk
import pytest
import xarray as xr

icechunk.set_logs_filter("error")


@pytest.fixture
def published() -> Callable[..., xr.Dataset]:
    """Open branch main of a published dataset as xarray does; ``decode=False`` gives the stored numbers."""

    def opened(data: Path, dataset_id: str, *, decode: bool = True, folder: str = "datasets") -> xr.Dataset:
        storage = icechunk.local_filesystem_storage(str(data / folder / dataset_id / "store"))
        session = icechunk.Repository.open(storage).readonly_session("main")
        return xr.open_dataset(
            session.store,
            engine="zarr",
            consolidated=False,
            chunks=None,
            decode_cf=decode,
            **({"decode_timedelta": False} if decode else {}),
        )

    return opened
