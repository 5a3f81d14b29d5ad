from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import iris_sample_data
import numpy as np
import pystac
import pytest
import xarray as xr
from pyproj import CRS

from catalog.describe import collection
from catalog.document import hrefs
from catalog.items import items
from catalog.links import FrontUrls
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube, Extent, Grid, GridKind
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.library import open_datacube

MakeCube = Callable[..., Datacube]
Validate = Callable[[Mapping[str, Any]], None]
URLS = FrontUrls("http://127.0.0.1:8000")


def test_a_whole_cube_is_valid(make_cube: MakeCube, validate: Validate) -> None:
    cube = make_cube()
    document = collection(cube, URLS)
    validate(document)
    (item,) = items(cube, URLS)
    validate(item)
    assert document["license"] == "CC-BY-4.0"
    assert document["keywords"] == ["reanalysis", "air_temperature"]
    assert document["providers"] == [{"name": "ECMWF", "roles": ["producer"], "url": "https://www.ecmwf.int"}]
    assert document["extent"] == {
        "spatial": {"bbox": [[-180.0, 35.0, 180.0, 65.0]]},
        "temporal": {"interval": [["1970-01-01T00:00:00Z", "1970-01-10T00:00:00Z"]]},
    }
    assert document["isopleth:integrity"] == "verified"
    assert document["isopleth:queryable"] is True
    assert item["collection"] == document["id"] == "model"
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_pystac_reads_it_back(make_cube: MakeCube) -> None:
    document = collection(make_cube(), URLS)
    read = pystac.Collection.from_dict(document)
    assert read.assets["zarr"].href == "http://127.0.0.1:8000/zarr/model"
    assert read.assets["zarr"].media_type == "application/vnd+zarr"
    assert read.assets["zarr-v3"].media_type == "application/vnd.zarr; version=3"
    assert read.extent.spatial.bboxes == [[-180.0, 35.0, 180.0, 65.0]]


def test_it_leads_to_the_other_fronts(make_cube: MakeCube) -> None:
    found = {link["rel"]: link["href"] for link in collection(make_cube(), URLS)["links"]}
    assert found == {
        "store": "http://127.0.0.1:8000/zarr/model",
        "related": "http://127.0.0.1:8000/ogc/collections/model",
        "service": "http://127.0.0.1:8000/ogc",
        "http://www.opengis.net/def/rel/ogc/1.0/processes": "http://127.0.0.1:8000/ogc/processes",
        "license": "https://spdx.org/licenses/CC-BY-4.0.html",
    }


def test_what_cannot_be_queried_says_why_and_has_no_link_to_edr(make_cube: MakeCube, validate: Validate) -> None:
    document = collection(make_cube(axes={}, parameters={}, unsupported="its grid is curvilinear"), URLS)
    validate(document)
    assert document["isopleth:queryable"] is False
    assert document["isopleth:reason"] == "its grid is curvilinear"
    assert "its grid is curvilinear" in document["description"]
    assert not any("/ogc" in href for href in hrefs(document))


def test_no_path_of_the_server_and_no_secret_leaks(make_cube: MakeCube) -> None:
    def origins(href: str) -> list[str]:
        cube = make_cube()
        document = collection(replace(cube, definition=replace(cube.definition, href=href)), URLS)
        if href != "https://data.example/a.zarr":
            assert href not in json.dumps(document)
        return [link["href"] for link in document["links"] if link["rel"] == "via"]

    assert origins("https://data.example/a.zarr") == ["https://data.example/a.zarr"]
    assert origins("/secret/a.zarr") == []
    assert origins("s3://private/a.zarr") == []
    assert origins("https://user:word@data.example/a.zarr") == []
    assert origins("https://data.example/a.zarr?sig=secret") == []


@pytest.mark.parametrize(
    ("licence", "url", "expected", "link"),
    [
        (None, None, "other", None),
        ("OGL-UK-3.0", None, "OGL-UK-3.0", "https://spdx.org/licenses/OGL-UK-3.0.html"),
        ("proprietary", "https://x.example/terms", "other", "https://x.example/terms"),
        ("Ask the author", None, "other", None),
        ("CC-BY-4.0", "https://x.example/terms", "CC-BY-4.0", "https://x.example/terms"),
    ],
)
def test_licence(
    make_cube: MakeCube, validate: Validate, licence: str | None, url: str | None, expected: str, link: str | None
) -> None:
    cube = make_cube()
    definition = replace(cube.definition, licence=licence, licence_url=url)
    document = collection(replace(cube, definition=definition), URLS)
    validate(document)
    assert document["license"] == expected
    assert [found["href"] for found in document["links"] if found["rel"] == "license"] == ([link] if link else [])


def test_a_cube_without_time_is_valid_and_has_no_item(make_cube: MakeCube, validate: Validate) -> None:
    cube = make_cube(extent=Extent(0, 0, 1, 1))
    document = collection(cube, URLS)
    validate(document)
    assert document["extent"]["temporal"]["interval"] == [[None, None]]
    assert items(cube, URLS) == []
    assert not any(link["rel"] == "item" for link in document["links"])


def test_a_point_has_a_point_as_its_geometry(make_cube: MakeCube, validate: Validate) -> None:
    extent = Extent(10.0, 50.0, 10.0, 50.0, "2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z")
    (item,) = items(make_cube(extent=extent), URLS)
    validate(item)
    assert item["geometry"] == {"type": "Point", "coordinates": [10.0, 50.0]}
    assert item["properties"]["datetime"] == "2000-01-01T00:00:00Z"


def test_a_crs_without_a_code_is_valid(make_cube: MakeCube, validate: Validate) -> None:
    own = CRS.from_proj4("+proj=laea +lat_0=52 +lon_0=10 +R=6371229").to_wkt()
    values = np.array([0.0, 1000.0, 5000.0, 20000.0])
    axes = {"x": Axis(AxisKind.X, "x", values, "m"), "y": Axis(AxisKind.Y, "y", values.copy(), "m")}
    grid = Grid(GridKind.PROJECTED, "", own, False)
    validate(collection(make_cube(axes=axes, grid=grid, extent=Extent(0, 0, 20000, 20000)), URLS))


def as_zarr(source: xr.Dataset, target: Path) -> str:
    for variable in source.variables.values():
        variable.encoding = {}
    source.to_zarr(target, zarr_format=3, consolidated=False)
    return str(target)


@pytest.mark.parametrize("file", ["ostia_monthly.nc", "A1B_north_america.nc", "orca2_votemper.nc"])
def test_real_data_are_valid(file: str, tmp_path: Path, validate: Validate) -> None:
    with xr.open_dataset(Path(iris_sample_data.path) / file, engine="netcdf4", decode_times=False) as source:
        href = as_zarr(source, tmp_path / "store.zarr")
        times = source["time"].values if "time" in source else None
    cube = open_datacube(DatasetDefinition("real", href)).cube
    document = collection(cube, URLS)
    validate(document)
    for item in items(cube, URLS):
        validate(item)
    if file == "A1B_north_america.nc":
        assert times is not None
        assert document["cube:dimensions"]["time"]["isopleth:calendar"] == "360_day"
        assert document["cube:dimensions"]["time"]["step"] == "P1Y"
        west, _, east, _ = document["extent"]["spatial"]["bbox"][0]
        assert -180 <= west < east <= 0
    assert document["isopleth:queryable"] is True


def test_the_era5_like_store(era5_like: Callable[..., tuple[Path, ModuleType]], validate: Validate) -> None:
    path, _ = era5_like(
        "--years", "0.01", "--resolution", "10", "--levels", "1000,500", "--members", "2"
    )  # fmt: skip
    cube = open_datacube(DatasetDefinition("era5", str(path))).cube
    document = collection(cube, URLS)
    validate(document)
    with xr.open_dataset(path, engine="zarr") as source:
        assert set(document["cube:variables"]) == set(source.data_vars)
        for name, variable in source.data_vars.items():
            assert tuple(document["cube:variables"][name]["dimensions"]) == variable.dims
        start, end = document["extent"]["temporal"]["interval"][0]
        times = [name for name, kind in document["cube:dimensions"].items() if kind["type"] == "temporal"]
        assert start == f"{source[times[0]].values[0].astype('datetime64[s]')}Z"
        assert end == f"{source[times[0]].values[-1].astype('datetime64[s]')}Z"
        assert document["cube:dimensions"][times[0]]["step"] == "PT1H"
