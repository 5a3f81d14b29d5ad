"""Do readers that seek (GDAL, fsspec) open an answer by its address, asking for no more than they need of it?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.http import HTTPFileSystem
from fsspec.implementations.zip import ZipFileSystem

from plugins.formats.table import FORMATS

QUERY = "cube?bbox=-180,-90,179,90&datetime=2020-01-01T00:00:00Z/2020-01-01T05:00:00Z&parameter-name=t2m"
HOURS = np.arange("2020-01-01T00", "2020-01-01T06", dtype="M8[h]")
LATS, LONS = np.arange(90.0, -91, -2), np.arange(-180.0, 180, 2)
SEEKABLE = [key for key, known in FORMATS.items() if known.made_by]
Arguments = tuple[str, ...]
STORE: Arguments = ("--years", "0.02", "--resolution", "2", "--variables", "t2m", "--chunks", "map")


@pytest.fixture(scope="module")
def served(era5_like: Any, serve_process: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Two servers of the same store, and the values of the query."""
    store, module = era5_like(*STORE)
    servers = [serve_process(str(store), data=tmp_path_factory.mktemp(f"data{number}")) for number in range(2)]
    values = module.expected("t2m", HOURS[:, None, None], LATS[:, None], LONS)
    return [(server, f"/ogc/collections/{store.stem}/{QUERY}&f=") for server in servers], values


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the readers and the server."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


def test_gdal_opens_a_geotiff_by_its_address(served: Any, direct: None) -> None:
    rasterio = pytest.importorskip("rasterio")
    ((server, path), _), values = served
    with rasterio.open(f"/vsicurl/{server.url}{path}GeoTIFF") as raster:
        assert raster.crs.to_epsg() == 4326
        assert raster.count == 6
        np.testing.assert_array_equal(raster.read(), values)


def test_gdal_opens_a_netcdf_by_its_address(served: Any, direct: None) -> None:
    rasterio = pytest.importorskip("rasterio")
    ((server, path), _), values = served
    try:
        with rasterio.open(f'NETCDF:"/vsicurl/{server.url}{path}NetCDF":t2m') as raster:
            np.testing.assert_array_equal(raster.read(), values)
    except rasterio.errors.RasterioIOError as error:
        pytest.skip(f"this GDAL reads no NetCDF through /vsicurl: {error}")


def opened(url: str) -> Any:
    return HTTPFileSystem(skip_instance_cache=True).open(url, block_size=4096, cache_type="none")


def test_a_zipped_store_is_read_member_by_member(served: Any, direct: None) -> None:
    ((server, path), _), _ = served
    with opened(f"{server.url}{path}Zarr") as file:
        archive = ZipFileSystem(file)
        assert b"consolidated_metadata" in archive.cat("zarr.json")
        assert archive.info("t2m/c/0/0/0")["size"] < file.size


def test_a_column_of_parquet_is_read_alone(served: Any, direct: None) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    ((server, path), _), values = served
    with opened(f"{server.url}{path}Parquet") as file:
        table = pq.read_table(file, columns=["t2m"])
    np.testing.assert_array_equal(np.asarray(table["t2m"]).reshape(values.shape), values)


@pytest.mark.parametrize("key", SEEKABLE)
def test_a_range_is_of_the_same_bytes_whichever_server_makes_it(served: Any, key: str) -> None:
    """Two servers make the file each for itself, one as a whole and one for a range; the tags are strong and equal."""
    ((whole, path), (part, _)), _ = served
    body = whole.get(path + key)
    etag = body.headers["etag"]
    assert etag.startswith('"')
    assert body.headers["content-length"] == str(len(body.content))
    pieces: list[bytes] = []
    step = -(-len(body.content) // 5)
    for start in range(0, len(body.content), step):
        wanted = {"Range": f"bytes={start}-{start + step - 1}", "If-Range": etag}
        piece = part.get(path + key, headers=wanted)
        assert piece.status_code == 206
        assert piece.headers["etag"] == etag
        pieces.append(piece.content)
    digest: Callable[[bytes], str] = lambda content: hashlib.sha256(content).hexdigest()  # noqa: E731
    assert digest(b"".join(pieces)) == digest(body.content)
    assert whole.get(path + key, headers={"If-None-Match": etag}).status_code == 304
