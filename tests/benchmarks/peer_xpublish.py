"""Serve Zarr stores with xpublish-edr: ``python peer_xpublish.py PORT {NAME=STORE ...}``, in xpublish's environment.

The datasets are opened once and without Dask, which is the fastest way that it has.
"""

from __future__ import annotations

import sys

import uvicorn
import xarray
import xpublish
from xpublish_edr import CfEdrPlugin


def main(port: int, stores: dict[str, str]) -> None:
    datasets = {name: xarray.open_dataset(path, engine="zarr", chunks=None) for name, path in stores.items()}
    rest = xpublish.Rest(datasets, plugins={"edr": CfEdrPlugin()})
    uvicorn.run(rest.app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
