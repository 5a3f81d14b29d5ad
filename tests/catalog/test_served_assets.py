"""Every address that an item or a collection offers is asked of a running server, and answers with what it promises."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
import xarray as xr

Serve = Callable[..., Any]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.Dataset]:
    """A long series, and a set of forecasts."""
    folder = tmp_path_factory.mktemp("stores")
    rng = np.random.default_rng(7)
    axes = {
        "lat": ("lat", [50.0, 40.0, 30.0], {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", [350.0, 355.0, 360.0, 365.0], {"units": "degrees_east", "standard_name": "longitude"}),
    }
    days = np.arange("2020-01-01", "2021-03-01", dtype="datetime64[D]").astype("datetime64[ns]")
    names = {"standard_name": "air_temperature", "units": "K"}
    series = xr.Dataset(
        {"t": (("time", "lat", "lon"), rng.normal(280, 5, (days.size, 3, 4)).astype(np.float32), names)},
        {"time": days, **axes},
    )
    steps = np.array([0, 6, 12], "timedelta64[h]").astype("timedelta64[ns]")
    runs = xr.Dataset(
        {
            "t": (
                ("time", "step", "level", "lat", "lon"),
                rng.normal(280, 5, (2, 3, 2, 3, 4)).astype(np.float32),
                names,
            )
        },
        {
            "time": ("time", days[:2], {"standard_name": "forecast_reference_time"}),
            "step": ("step", steps, {"standard_name": "forecast_period"}),
            "level": ("level", [1000.0, 500.0], {"units": "hPa", "positive": "down"}),
            **axes,
        },
    )
    for name, source in (("series", series), ("runs", runs)):
        source.to_zarr(folder / f"{name}.zarr", zarr_format=3, consolidated=False)
    series.attrs["folder"] = str(folder)
    return {"series": series, "runs": runs}


@pytest.fixture(scope="module")
def served(serve_process: Serve, stores: dict[str, xr.Dataset]) -> Any:
    folder = Path(stores["series"].attrs["folder"])
    return serve_process(*(str(folder / f"{name}.zarr") for name in stores))


def body(served: Any, asset: dict[str, Any]) -> bytes:
    answer = served.get(asset["href"].removeprefix(served.url))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] == asset["type"].split(";")[0]
    return bytes(answer.content)


def dataset(served: Any, asset: dict[str, Any], folder: Path) -> xr.Dataset:
    file = folder / "asset.nc"
    file.write_bytes(body(served, asset))
    return xr.load_dataset(file, engine="netcdf4")


def test_the_files_of_a_month(served: Any, stores: dict[str, xr.Dataset], tmp_path: Path) -> None:
    found = served.get("/stac/collections/series/items?limit=100").json()["features"]
    assert [item["id"] for item in found] == [
        f"series-{month}" for month in reversed(np.arange("2020-01", "2021-03", dtype="datetime64[M]").astype(str))
    ]
    assets = found[-2]["assets"]
    assert set(assets) == {"zarr", "zarr-v3", "netcdf", "geotiff", "thumbnail"}
    expected = stores["series"].sel(time="2020-02")
    got = dataset(served, assets["netcdf"], tmp_path)
    np.testing.assert_array_equal(got["t"].values, expected["t"].values)
    np.testing.assert_array_equal(got["time"].values, expected["time"].values)
    with rasterio.open(io.BytesIO(body(served, assets["geotiff"]))) as raster:
        assert raster.count == 1
        np.testing.assert_array_equal(raster.read(1), expected["t"].values[0])
    assert body(served, assets["thumbnail"])[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_files_of_a_run(served: Any, stores: dict[str, xr.Dataset], tmp_path: Path) -> None:
    item = served.get("/stac/collections/runs/items/runs-20200102T0000Z").json()
    assert item["properties"]["end_datetime"] == "2020-01-02T12:00:00Z"
    got = dataset(served, item["assets"]["netcdf"], tmp_path)
    expected = stores["runs"].isel(time=1)
    np.testing.assert_array_equal(got["t"].values.squeeze(), expected["t"].values)
    with rasterio.open(io.BytesIO(body(served, item["assets"]["geotiff"]))) as it:
        assert it.count == 1
        np.testing.assert_array_equal(it.read(1), expected["t"].values[0, 0])


def test_every_address_answers(served: Any) -> None:
    documents = [served.get("/stac/collections/series").json(), served.get("/stac/collections/runs").json()]
    documents += served.get("/stac/search?limit=3").json()["features"]
    hrefs = {asset["href"] for document in documents for asset in document["assets"].values()}
    hrefs |= {link["href"] for document in documents for link in document["links"]}
    assert len(hrefs) > 30
    for href in hrefs:
        if href.startswith(served.url):
            assert served.get(href.removeprefix(served.url)).status_code == 200, href


def test_a_search_finds_the_month(served: Any) -> None:
    found = served.get("/stac/search?collections=series&datetime=2020-05-03T12:00:00Z/2020-06-01T00:00:00Z").json()
    assert sorted(item["id"] for item in found["features"]) == ["series-2020-05", "series-2020-06"]
    assert found["numberMatched"] == 2


def test_head_and_the_address_without_a_slash(served: Any) -> None:
    for path in ("/stac", "/stac/"):
        got, head = httpx.get(served.url + path), httpx.head(served.url + path)
        assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
        assert head.headers["etag"] == got.headers["etag"]
        assert head.headers["content-length"] == got.headers["content-length"]
    assert served.get("/stac").json() == served.get("/stac/").json()
