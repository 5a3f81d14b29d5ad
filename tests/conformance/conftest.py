"""The whole application over small collections of each kind, asked by HTTP, as a compliance suite asks it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import numpy as np
import orjson
import pytest
import uvicorn
import zarr

from plugins.datacube.definition import DatasetDefinition
from server.application import create_application
from server.deployment import Deployment, create
from server.settings import ServerSettings, Settings

TIMES = np.arange(4) * 6
"""Hours since 2020-01-01."""
AXES: Mapping[str, tuple[Any, dict[str, str]]] = {
    "time": (TIMES, {"units": "hours since 2020-01-01", "standard_name": "time", "calendar": "standard"}),
    "reference": (
        np.array([0, 24]),
        {"units": "hours since 2020-01-01", "standard_name": "forecast_reference_time", "calendar": "standard"},
    ),
    "step": (np.array([0, 6, 12]), {"units": "hours", "standard_name": "forecast_period"}),
    "number": (np.arange(2), {"standard_name": "realization"}),
    "plev": (np.array([1000.0, 850.0, 500.0]), {"units": "hPa", "standard_name": "air_pressure", "positive": "down"}),
    "lat": (np.arange(-75.0, 76, 15), {"units": "degrees_north", "standard_name": "latitude"}),
    "falling": (np.arange(75.0, -76, -15), {"units": "degrees_north", "standard_name": "latitude"}),
    "lon": (np.arange(0.0, 360, 15), {"units": "degrees_east", "standard_name": "longitude"}),
    "west": (np.arange(-180.0, 180, 15), {"units": "degrees_east", "standard_name": "longitude"}),
    "northing": (np.arange(200_000.0, 600_001, 50_000), {"units": "m", "standard_name": "projection_y_coordinate"}),
    "easting": (np.arange(100_000.0, 500_001, 50_000), {"units": "m", "standard_name": "projection_x_coordinate"}),
}
CUBES = {
    "surface": ("time", "lat", "lon"),
    "levels": ("number", "time", "plev", "falling", "west"),
    "projected": ("time", "northing", "easting"),
    "forecasts": ("reference", "step", "lat", "lon"),
}
ANCHOR = {"time": np.arange(4) * 6, "lat": np.arange(-10.0, 11, 5), "lon": np.arange(-15.0, 16, 5)}
"""The axes of the store on which the stock server's wrong answers were found."""
LOCATIONS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "harbour",
            "properties": {"name": "The harbour"},
            "geometry": {"type": "Point", "coordinates": [10, 50]},
        },
        {
            "type": "Feature",
            "id": "bay",
            "properties": {"name": "The bay"},
            "geometry": {"type": "Polygon", "coordinates": [[[-20, -20], [20, -20], [20, 20], [-20, 20], [-20, -20]]]},
        },
    ],
}


def write(path: Path, dims: tuple[str, ...]) -> None:
    """Write a CF store with two parameters; the second is 0.5 more."""
    group = zarr.create_group(path, attributes={"Conventions": "CF-1.11", "title": f"The {path.stem}"})
    for dim in dims:
        values, attributes = AXES[dim]
        array = group.create_array(dim, data=values, dimension_names=(dim,), chunks="auto")
        array.update_attributes(attributes)
    shape = tuple(AXES[dim][0].size for dim in dims)
    data = np.zeros(shape)
    for number, size in enumerate(shape):
        data = data * 100 + np.arange(size).reshape([-1 if k == number else 1 for k in range(len(shape))])
    described = {
        "t": {"units": "K", "standard_name": "air_temperature", "cell_methods": "time: mean"},
        "p": {"units": "kg m-2", "long_name": "Rain", "cell_methods": "time: sum"},
    }
    for name, attributes in described.items():
        array = group.create_array(name, data=data + (0.5 if name == "p" else 0.0), dimension_names=dims, chunks="auto")
        array.update_attributes(attributes)


def write_anchor(path: Path) -> None:
    """Write 4 times, 5 ascending latitudes, 7 longitudes: value = step 1e4 + (lat + 50) 100 + lon."""
    group = zarr.create_group(path, attributes={"Conventions": "CF-1.11", "title": "The anchor"})
    for dim, values in ANCHOR.items():
        array = group.create_array(dim, data=values, dimension_names=(dim,), chunks="auto")
        array.update_attributes(AXES[dim][1])
    step, lat, lon = np.arange(4)[:, None, None], ANCHOR["lat"][:, None], ANCHOR["lon"]
    data = step * 1e4 + (lat + 50) * 100 + lon
    array = group.create_array("t2m", data=data, dimension_names=tuple(ANCHOR), chunks="auto")
    array.update_attributes({"units": "K", "standard_name": "air_temperature"})


@dataclass(frozen=True)
class Api:
    """The application by HTTP; addresses are relative to ``/ogc``, or whole."""

    client: httpx.Client
    deployment: Deployment

    def get(self, path: str, query: Mapping[str, object] | str | None = None, **options: Any) -> httpx.Response:
        return self.request("GET", path, query, **options)

    def request(
        self, method: str, path: str, query: Mapping[str, object] | str | None = None, **options: Any
    ) -> httpx.Response:
        parts = urlsplit(path)
        target = parts.path if parts.netloc else f"/ogc{parts.path}"
        text = query if isinstance(query, str) else urlencode(query or {})
        full = "&".join(part for part in (parts.query, text) if part)
        return self.client.request(method, f"{target}?{full}" if full else target, **options)

    def json(self, path: str, query: Mapping[str, object] | str | None = None, **options: Any) -> Any:
        response = self.get(path, query, **options)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    root = tmp_path_factory.mktemp("conformance")
    (root / "places.geojson").write_bytes(orjson.dumps(LOCATIONS))
    for name, dims in CUBES.items():
        write(root / f"{name}.zarr", dims)
    write_anchor(root / "anchor.zarr")
    definitions = tuple(
        DatasetDefinition(
            name,
            str(root / f"{name}.zarr"),
            crs="EPSG:27700" if name == "projected" else None,
            locations=str(root / "places.geojson") if name in ("surface", "levels") else None,
        )
        for name in (*CUBES, "anchor")
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        deployment = create(Settings(data=root / "data", server=ServerSettings(port=port)), definitions)
        # Without its lifespan: the jobs need not run, and the datasets need not be followed.
        config = uvicorn.Config(create_application(deployment), lifespan="off", ws="none", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        with httpx.Client(base_url=deployment.urls.base, timeout=60) as client:
            yield Api(client, deployment)
        server.should_exit = True
        thread.join()
    deployment.jobs.close()
    deployment.repository.close()
