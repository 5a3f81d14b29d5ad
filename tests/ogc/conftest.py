"""A small regional and a small global store whose values say where they are, and the API functions over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import orjson
import pytest
import zarr

from catalog.links import FrontUrls
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.library import Library
from plugins.datacube.limits import ByteBudget, Limits
from server.ogc.edr import edr_query
from server.ogc.host import PygeoapiHost
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.service import OgcService

BASE = FrontUrls("http://127.0.0.1:8000")
TIMES = np.arange(4) * 6
"""Hours since 2020-01-01."""
REGION = (np.arange(-10, 11, 5.0), np.arange(-15, 16, 5.0))
GLOBE = (np.arange(80, -81, -20.0), np.arange(0, 360, 20.0))
LEVELS = np.array([1000.0, 850.0, 500.0])


def truth(t: Any, lat: Any, lon: Any, level: Any = 0.0, member: Any = 0) -> Any:
    """The value at a cell: time step, latitude, longitude (0..360), level, member."""
    return t * 1e6 + (lat + 90) * 1e3 + (lon % 360) + np.asarray(level) * 1e-3 + np.asarray(member) * 1e7


def write_store(path: Path, lats: Any, lons: Any, levels: Any = None, members: int = 0) -> Path:
    """Write a CF store with plain Zarr."""
    group = zarr.create_group(path, attributes={"Conventions": "CF-1.11", "title": f"The {path.stem} store"})

    def add(name: str, dims: tuple[str, ...], data: Any, **attributes: Any) -> None:
        array = group.create_array(name, data=np.asarray(data), dimension_names=dims, chunks="auto")
        array.update_attributes(attributes)

    add("time", ("time",), TIMES, units="hours since 2020-01-01", calendar="standard", standard_name="time")
    add("lat", ("lat",), lats, units="degrees_north", standard_name="latitude")
    add("lon", ("lon",), lons, units="degrees_east", standard_name="longitude")
    sizes = {"time": len(TIMES), "lat": len(lats), "lon": len(lons)}
    t, y, x = np.arange(len(TIMES))[:, None, None], np.asarray(lats)[:, None], np.asarray(lons)
    surface = ("time", "lat", "lon")
    tas = {"units": "K", "standard_name": "air_temperature", "long_name": "Temperature", "cell_methods": "time: mean"}
    add("tas", surface, truth(t, y, x), **tas)
    add("pr", surface, truth(t, y, x) + 0.5, units="kg m-2", long_name="Rain", cell_methods="time: sum")
    if levels is not None:
        sizes |= {"number": members, "plev": len(levels)}
        add("plev", ("plev",), levels, units="hPa", standard_name="air_pressure", positive="down")
        add("number", ("number",), np.arange(members), standard_name="realization", long_name="ensemble member")
        member, level = np.arange(members)[:, None, None, None, None], np.asarray(levels)[:, None, None]
        values = truth(t[:, None], y, x, level, member)
        add("ta", ("number", "time", "plev", "lat", "lon"), values, units="K", standard_name="air_temperature")
    return path


@dataclass(frozen=True)
class Site:
    """The API functions, called as the application calls them."""

    service: OgcService

    def request(self, path: str = "/ogc", query: str = "", method: str = "GET", **fields: Any) -> OgcRequest:
        return OgcRequest(method, path, parse_qs(query, keep_blank_values=True), BASE, **fields)

    def edr(self, where: str, query: str = "", method: str = "GET", **fields: Any) -> OgcResponse:
        """Answer ``era5/position`` with a query string."""
        identifier, kind = where.split("/")
        request = self.request(f"/ogc/collections/{identifier}/{kind}", query, method, **fields)
        return edr_query(self.service, request, identifier, kind)

    def json(self, where: str, query: str = "", **fields: Any) -> dict[str, Any]:
        response = self.edr(where, query, **fields)
        assert response.status == 200
        document: dict[str, Any] = orjson.loads(response.content())
        return document

    def get(
        self, function: Callable[..., OgcResponse], *identifiers: str, query: str = "", **fields: Any
    ) -> OgcResponse:
        return function(self.service, self.request("/ogc", query, **fields), *identifiers)

    def document(self, function: Callable[..., OgcResponse], *identifiers: str, query: str = "") -> dict[str, Any]:
        response = self.get(function, *identifiers, query=query)
        assert response.status == 200
        document: dict[str, Any] = orjson.loads(response.content())
        return document


def make_site(definitions: list[DatasetDefinition], **fields: Any) -> Site:
    """A service over some datasets."""
    host = PygeoapiHost("Isopleth", "Weather and climate data")
    settings: dict[str, Any] = {"limits": Limits(), "budget": ByteBudget(1 << 30), **fields}
    return Site(OgcService(library=Library(definitions), host=host, **settings))


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    root = tmp_path_factory.mktemp("stores")
    return {
        "region": write_store(root / "region.zarr", *REGION),
        "globe": write_store(root / "globe.zarr", *GLOBE, levels=LEVELS, members=2),
    }


@pytest.fixture(scope="session")
def site(stores: Mapping[str, Path]) -> Site:
    """``region`` (-15..15 E, ascending latitudes) and ``globe`` (0..340 E, descending, levels and members)."""
    definitions = [
        DatasetDefinition(
            "region", str(stores["region"]), title="A region", licence="CC-BY-4.0", keywords=("small", "regional")
        ),
        DatasetDefinition("globe", str(stores["globe"])),
        DatasetDefinition("broken", str(stores["region"].parent / "nothing.zarr")),
    ]
    return make_site(definitions)


@dataclass(frozen=True)
class Cell:
    """One value of an answer with the coordinates that the answer declares for it."""

    parameter: str
    value: float | None
    at: Mapping[str, Any]


def cells_of(document: Mapping[str, Any]) -> Iterator[Cell]:
    """Read CoverageJSON by its declared axes alone: every value with the coordinates it is declared to have."""
    coverages = document["coverages"] if document["type"] == "CoverageCollection" else [document]
    for coverage in coverages:
        axes = {name: axis["values"] for name, axis in coverage["domain"]["axes"].items()}
        composed = coverage["domain"]["axes"].get("composite", {}).get("coordinates", [])
        for name, block in coverage["ranges"].items():
            named = block.get("axisNames", [])
            shape = block.get("shape", [])
            assert [len(axes[axis]) for axis in named] == shape
            assert len(block["values"]) == int(np.prod(shape, dtype=int))
            fixed = {axis: values[0] for axis, values in axes.items() if axis not in named}
            assert all(len(axes[axis]) == 1 for axis in fixed)
            fixed |= coverage.get("isopleth:dimensions", {})
            places = itertools.product(*(axes[axis] for axis in named))
            for place, value in zip(places, block["values"], strict=True):
                at = {**fixed, **dict(zip(named, place, strict=True))}
                yield Cell(name, value, at | dict(zip(composed, at.pop("composite", ()), strict=True)))


@pytest.fixture(scope="session")
def cells() -> Callable[[Mapping[str, Any]], list[Cell]]:
    return lambda document: list(cells_of(document))


@pytest.fixture(scope="session")
def true_value() -> Callable[..., Any]:
    """``truth`` for the times of an answer."""

    def value(cell: Cell) -> float:
        hour = int((np.datetime64(cell.at["t"].rstrip("Z")) - np.datetime64("2020-01-01")) / np.timedelta64(1, "h"))
        found = truth(hour // 6, cell.at["y"], cell.at["x"], cell.at.get("z", 0.0), cell.at.get("number", 0))
        return float(found) + (0.5 if cell.parameter == "pr" else 0.0)

    return value


@pytest.fixture(scope="session")
def site_of() -> Callable[..., Site]:
    """Make another site: ``site_of([DatasetDefinition(...)], limits=...)``."""
    return make_site


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a store with other axes: ``store_of(name, lats, lons)``."""
    return lambda name, *axes: write_store(tmp_path / f"{name}.zarr", *axes)
