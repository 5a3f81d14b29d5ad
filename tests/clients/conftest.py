"""One server over a small store of each kind, and the values of those stores by NumPy and xarray alone.

Every value of a store occurs once in it, so that a value at the wrong place is a wrong value. The data are float32 and
have few digits: what a client reads must be equal, not close.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import xarray as xr

from server.pages.bundle import Node, NodeMissingError, find_node

TIMES = np.arange(4) * 6
"""Hours since 2020-01-01."""
HOURS = "hours since 2020-01-01"
LATS, LONS = np.arange(75.0, -76, -15), np.arange(0.0, 360, 15)
NSIDE = 4
PIXELS = 12 * NSIDE**2
CELLS = {"curvilinear": ("j", "i"), "healpix": ("cell",), "stations": ("station",)}
"""Dimensions of the grids without rows and columns."""
LOCATIONS = {
    "harbour": {"type": "Point", "coordinates": [15, 45]},
    "mountain": {"type": "Point", "coordinates": [-60, -15]},
    "bay": {"type": "Polygon", "coordinates": [[[-20, -20], [20, -20], [20, 20], [-20, 20], [-20, -20]]]},
}


def axis(name: str, values: Any, **attributes: Any) -> dict[str, xr.Variable]:
    return {name: xr.Variable((name,), values, attributes)}


TIME = axis("time", TIMES, units=HOURS, standard_name="time", calendar="standard")
LEVEL = axis("plev", [1000.0, 850.0, 500.0], units="hPa", standard_name="air_pressure", positive="down")
MEMBER = axis("number", np.arange(2), standard_name="realization")
LAT = axis("lat", LATS, units="degrees_north", standard_name="latitude")
RISING = axis("lat", LATS[::-1], units="degrees_north", standard_name="latitude")
LON = axis("lon", LONS, units="degrees_east", standard_name="longitude")


def store(coordinates: Mapping[str, Any], *parameters: tuple[str, tuple[str, ...], float], **attributes: Any) -> Any:
    """A dataset whose parameters count their cells, each from another value on."""
    found = xr.Dataset(coords=coordinates, attrs={"Conventions": "CF-1.11", **attributes})
    for name, dims, first in parameters:
        shape = tuple(found.sizes[dim] for dim in dims)
        values = first + np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
        described = {"units": "K", "standard_name": "air_temperature", "long_name": f"Parameter {name}"}
        found[name] = xr.Variable(dims, values, {**described, "cell_methods": "time: mean"})
    return found


def ring_centres(nside: int) -> tuple[Any, Any]:
    """Longitudes and latitudes of HEALPix pixels in rings: Gorski et al. (2005), equations 4 to 9."""
    lons, lats = [], []
    for ring in range(1, 4 * nside):
        mirrored = min(ring, 4 * nside - ring)
        if mirrored < nside:
            count, height, shift = 4 * mirrored, 1 - mirrored**2 / (3 * nside**2), 0.5
        else:
            count, height, shift = 4 * nside, 4 / 3 - 2 * mirrored / (3 * nside), 0.5 * ((mirrored - nside + 1) % 2)
        lats += [np.degrees(np.arcsin(height if ring <= 2 * nside else -height))] * count
        lons += [360 * (number + shift) / count for number in range(count)]
    return np.array(lons), np.array(lats)


def datasets() -> dict[str, Any]:
    """The stores by the collection that they become."""
    surface = store(
        {**TIME, **LAT, **LON}, ("t2m", ("time", "lat", "lon"), 100.25), ("tp", ("time", "lat", "lon"), 9000.5)
    )
    surface["t2m"][1, 3, 5] = np.nan
    surface["tp"].attrs |= {"units": "kg m-2", "standard_name": "precipitation_amount", "cell_methods": "time: sum"}
    y, x = np.arange(5.0), np.arange(7.0)
    curved = {
        "lat": (("j", "i"), 40 + 2 * y[:, None] + 0.25 * x, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": (("j", "i"), -20 + 2.5 * x - 0.5 * y[:, None], {"units": "degrees_east", "standard_name": "longitude"}),
    }
    grid = {"grid_name": "healpix", "level": int(np.log2(NSIDE)), "indexing_scheme": "ring"}
    stations = {
        "name": (("station",), np.array(["alpha", "beta", "gamma"]), {"cf_role": "timeseries_id"}),
        "lat": (("station",), [50.0, 51.0, 52.5], {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": (("station",), [1.0, 2.0, -3.5], {"units": "degrees_east", "standard_name": "longitude"}),
    }
    runs = axis("reference", [0, 24], units=HOURS, standard_name="forecast_reference_time", calendar="standard")
    steps = axis("step", [0, 6, 12], units="hours", standard_name="forecast_period")
    easting = axis("easting", np.arange(100_000.0, 500_001, 50_000), units="m", standard_name="projection_x_coordinate")
    northing = axis(
        "northing", np.arange(200_000.0, 600_001, 50_000), units="m", standard_name="projection_y_coordinate"
    )
    return {
        "surface": surface,
        "levels": store({**TIME, **LEVEL, **RISING, **LON}, ("ta", ("time", "plev", "lat", "lon"), 0.5)),
        "members": store(
            {**MEMBER, **TIME, **LEVEL, **LAT, **LON}, ("ta", ("number", "time", "plev", "lat", "lon"), 0.5)
        ),
        "forecasts": store({**runs, **steps, **LAT, **LON}, ("t2m", ("reference", "step", "lat", "lon"), 0.5)),
        "projected": store({**TIME, **northing, **easting}, ("t2m", ("time", "northing", "easting"), 0.5)),
        "curvilinear": store({**TIME, **curved}, ("t2m", ("time", "j", "i"), 0.5)),
        "healpix": store(
            {**TIME, "cell_ids": (("cell",), np.arange(PIXELS), grid)}, ("t2m", ("time", "cell"), 0.5)
        ),
        "stations": store({**TIME, **stations}, ("t2m", ("station", "time"), 0.5), featureType="timeSeries"),
    }  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What the stores hold."""

    stores: Mapping[str, Any]

    def __getitem__(self, collection: str) -> Any:
        """The dataset of a collection, with decoded times."""
        return xr.decode_cf(self.stores[collection], decode_timedelta=False)

    def cells(self, collection: str) -> tuple[Any, Any]:
        """Longitudes and latitudes of the cells of a grid without rows and columns, in stored order."""
        if collection == "healpix":
            return ring_centres(NSIDE)
        found = self.stores[collection]
        return found["lon"].values.ravel(), found["lat"].values.ravel()

    def at(self, collection: str, parameter: str, **coordinates: Any) -> Any:
        """The values at coordinates of cells, which broadcast; a coordinate that is no cell's is a `KeyError`.

        ``x`` and ``y`` are longitude and latitude in any convention, or those of the projection; ``t`` texts or dates;
        other names are those of the store.
        """
        arrays = np.broadcast_arrays(*coordinates.values())
        at = dict(zip(coordinates, (array.ravel() for array in arrays), strict=True))
        x, y = at.pop("x").astype(float), at.pop("y").astype(float)
        found = self[collection][parameter]
        keys = {{"z": "plev", "t": "time"}.get(name, name): times(v) if name == "t" else v for name, v in at.items()}
        if collection in CELLS:
            lons, lats = self.cells(collection)
            apart = np.abs((lons - x[:, None] + 180) % 360 - 180) + np.abs(lats - y[:, None])
            if np.any(apart.min(axis=1) > 1e-6):
                raise KeyError((x, y))
            found = found.stack(place=CELLS[collection], create_index=False)
            found = found.isel(place=xr.Variable("cells", apart.argmin(axis=1)))
        elif collection == "projected":
            keys |= {"easting": x, "northing": y}
        else:
            keys |= {"lon": x % 360, "lat": y}
        found = found.sel({name: xr.Variable("cells", values) for name, values in keys.items()})
        assert found.dims == ("cells",), f"the coordinates {set(coordinates)} leave {found.dims}"
        return found.values.reshape(arrays[0].shape)

    def compare(self, collection: str, document: Mapping[str, Any], *, masked: bool = False, **fixed: Any) -> int:
        """Compare every value of a CoverageJSON document, by its declared axes alone; return how many are there.

        Parameters
        ----------
        masked : bool
            Values may be missing where the store has one.
        **fixed
            Coordinates of which the document says nothing.
        """
        count = 0
        for coverage in document.get("coverages", [document]):
            said = {**fixed, **coverage.get("isopleth:dimensions", {})}
            for parameter, block in coverage["ranges"].items():
                names = block.get("axisNames", [])
                coordinates: dict[str, Any] = dict(said)
                for name, axis in coverage["domain"]["axes"].items():
                    beside = len(names) - 1 - names.index(name) if name in names else 0
                    parts = zip(*axis["values"], strict=True) if name == "composite" else [axis["values"]]
                    for part, values in zip(axis.get("coordinates", [name]), parts, strict=True):
                        coordinates[part] = np.array(values).reshape(-1, *[1] * beside)
                got = np.array(block["values"], float).reshape(block.get("shape", []))
                wanted = self.at(collection, parameter, **coordinates).reshape(got.shape)
                np.testing.assert_array_equal(np.where(np.isnan(got), wanted, got) if masked else got, wanted)
                count += int(np.isfinite(got).sum())
        return count


def times(texts: Any) -> Any:
    """Times as texts (``2020-01-01T00:00:00Z``) or dates, without their zone, which is UTC."""
    array = np.asarray(texts)
    if array.dtype.kind in "UO":
        array = np.array([np.datetime64(str(text).removesuffix("Z"), "ns") for text in array.ravel()])
    return array.astype("M8[ns]")


@pytest.fixture(scope="session")
def truth() -> Truth:
    return Truth(datasets())


@dataclass(frozen=True)
class Site:
    """The server, as clients are told of it."""

    url: str
    client: httpx.Client

    @property
    def ogc(self) -> str:
        return f"{self.url}/ogc"

    def collection(self, name: str) -> str:
        return f"{self.ogc}/collections/{name}"

    def json(self, path: str, **parameters: Any) -> Any:
        """Ask below ``/ogc/collections/``."""
        answer = self.client.get(self.collection(path), params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def site(serve_session: Any, truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One server for all tests of this folder that run in the same process."""
    root = tmp_path_factory.mktemp("clients")
    features = [
        {"type": "Feature", "id": name, "properties": {"name": f"The {name}"}, "geometry": geometry}
        for name, geometry in LOCATIONS.items()
    ]
    (root / "places.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    config: dict[str, Any] = {"data": str(root / "data"), "datasets": {}}
    for name, dataset in truth.stores.items():
        dataset.to_zarr(root / f"{name}.zarr", zarr_format=3, consolidated=False)
        config["datasets"][name] = {"href": str(root / f"{name}.zarr")}
    config["datasets"]["projected"]["crs"] = "EPSG:27700"
    config["datasets"]["surface"]["locations"] = str(root / "places.geojson")
    (root / "config.yml").write_text(json.dumps(config))
    served = serve_session(str(root / "config.yml"), data=root / "data")
    return Site(served.url, served.client)


Installed = Callable[..., Path]


@pytest.fixture(scope="session")
def installed() -> Installed:
    """Install a reader that is no part of the environment; it is kept with it, and removed with it.

    ``installed(name, command, file, file)`` runs the command in a folder with copies of the files, unless that has been
    done, and returns the folder. Where it cannot be done, for want of a network, the test is skipped.
    """

    def install(name: str, command: Sequence[str], *files: Path, **environment: str) -> Path:
        cache = Path(sys.prefix) / "client-tests"
        cache.mkdir(exist_ok=True)
        folder, work = cache / name, cache / f"{name}.unfinished"
        with (cache / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.is_dir():
                return folder
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            for file in files:
                shutil.copy2(file, work)
            done = subprocess.run(
                command, cwd=work, env={**os.environ, **environment}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                pytest.skip(f"{name} could not be installed: {done.stderr.strip()[-300:]}")
            work.rename(folder)
        return folder

    return install


@pytest.fixture(scope="session")
def node() -> Node:
    """Node.js: the machine's, or that of the Python environment."""
    try:
        return find_node()
    except NodeMissingError as error:
        pytest.skip(error.detail)
