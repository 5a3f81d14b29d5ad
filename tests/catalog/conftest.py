"""Fixtures of the catalogue's tests: datacubes made by hand, repositories, and a validator that needs no internet."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from jsonschema import Draft7Validator
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource
from starlette.applications import Starlette
from starlette.routing import Mount

from catalog.application import stac_application
from catalog.embedded import EmbeddedRepository
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import CRS84, Datacube, Extent, Grid, GridKind, Integrity, Parameter
from plugins.datacube.definition import DatasetDefinition, Provider

DAY = 86_400_000_000
PROJJSON = "https://proj.org/schemas/v0.7/projjson.schema.json"


def make_axes() -> dict[str, Axis]:
    days = np.arange(10, dtype=np.int64) * DAY
    return {
        "time": Axis(AxisKind.T, "time", days, standard_name="time"),
        "number": Axis(AxisKind.CUSTOM, "number", np.arange(3), standard_name="realization"),
        "lev": Axis(AxisKind.Z, "lev", np.array([1000.0, 850.0, 500.0]), "hPa", positive="down", long_name="pressure"),
        "lat": Axis(AxisKind.Y, "lat", np.array([60.0, 50.0, 40.0]), "degrees_north", "latitude"),
        "lon": Axis(AxisKind.X, "lon", np.arange(0.0, 360.0, 10.0), "degrees_east", "longitude", cyclic=True),
    }


@pytest.fixture(scope="session")
def make_cube() -> Callable[..., Datacube]:
    """A cube by hand: five axes, one parameter; every part can be replaced."""

    def make(identifier: str = "model", **changes: Any) -> Datacube:
        axes = changes.pop("axes", None) or make_axes()
        definition = DatasetDefinition(
            identifier,
            f"/secret/{identifier}.zarr",
            licence="CC-BY-4.0",
            keywords=("reanalysis",),
            providers=(Provider("ECMWF", ("producer", "nonsense"), "https://www.ecmwf.int"),),
            attribution="Contains modified data",
        )
        parameter = Parameter(
            "t", tuple(axes), tuple(axis.size for axis in axes.values()), "float32", (1,) * len(axes),
            label="Temperature", standard_name="air_temperature", units="K", missing=(-32768,),
        )  # fmt: skip
        values: dict[str, Any] = {
            "definition": definition,
            "title": f"The {identifier}",
            "description": "A model",
            "parameters": {"t": parameter},
            "axes": axes,
            "grid": Grid(GridKind.RECTILINEAR, CRS84, "", True),
            "extent": Extent(-180.0, 35.0, 180.0, 65.0, "1970-01-01T00:00:00Z", "1970-01-10T00:00:00Z"),
            "snapshot": "s1",
            "integrity": Integrity.VERIFIED,
        }
        return Datacube(**{**values, **changes})

    return make


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[EmbeddedRepository]:
    made = EmbeddedRepository(tmp_path / "catalog.sqlite")
    yield made
    made.close()


class StacClient:
    """A client of the STAC API of a repository, called without await: ``ask("GET", "/collections")``."""

    def __init__(self, app: Starlette) -> None:
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testhost:8123")

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        url = path if path.startswith("http") else f"/stac{path}"
        return self._runner.run(self._client.request(method, url, **more))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture(scope="session")
def stac_client() -> Iterator[Callable[..., StacClient]]:
    """Make clients of repositories; options are those of `stac_application`."""
    with ExitStack() as stack:

        def make(repository: EmbeddedRepository, **options: Any) -> StacClient:
            app = stac_application(repository, **options)
            client = StacClient(Starlette(routes=[Mount("/stac", app)]))
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def serve_stac() -> Iterator[Callable[[EmbeddedRepository], str]]:
    """Serve the STAC API of a repository on a port of this machine; return the address."""
    with ExitStack() as stack:

        def serve(repository: EmbeddedRepository) -> str:
            app = Starlette(routes=[Mount("/stac", stac_application(repository))])
            server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
            listening = socket.socket()
            listening.bind(("127.0.0.1", 0))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()

            def stop() -> None:
                server.should_exit = True
                thread.join()
                listening.close()

            stack.callback(stop)
            while not server.started:
                time.sleep(0.01)
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield serve


@pytest.fixture(scope="session")
def validate(shared_data: Path) -> Callable[[dict[str, Any]], None]:
    """Assert that a STAC document is valid against the core and every extension it names, without the internet."""
    folder = shared_data / "stac-schemas"
    if not folder.is_dir():
        pytest.skip("the schemas of the STAC extensions (../shared/data/stac-schemas) are not on this machine")
    schemas = dict(get_local_schema_cache())
    for file in folder.glob("*.json"):
        schema = json.loads(file.read_text())
        schemas[PROJJSON if file.stem == "any" else schema["$id"].rstrip("#")] = schema
    draft7 = "http://json-schema.org/draft-07/schema#"
    registry = Registry().with_resources(
        [(uri, Resource.from_contents({"$schema": draft7, **schema})) for uri, schema in schemas.items()]
    )
    core = {"Collection": "collection", "Feature": "item", "Catalog": "catalog"}

    def check(document: dict[str, Any]) -> None:
        kind = core[document["type"]]
        uris = [f"https://schemas.stacspec.org/v1.1.0/{kind}-spec/json-schema/{kind}.json"]
        for uri in uris + document.get("stac_extensions", []):
            errors = list(Draft7Validator(schemas[uri], registry=registry).iter_errors(document))
            assert not errors, (uri, [(list(e.absolute_path), e.message[:300]) for e in errors])

    return check
