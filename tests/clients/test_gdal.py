"""Does GDAL, and with it QGIS, read features and rasters of every grid by their addresses, with the right values?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer

pyogrio = pytest.importorskip("pyogrio", reason="pyogrio is not installed")
TIMES = np.arange("2020-01-01T00", "2020-01-02T00", 6, dtype="M8[h]")
BOX = "-30,-15,30,15"
RASTERS = {
    "surface": ("surface", f"bbox={BOX}", "t2m"),
    "rising rows": ("levels", f"bbox={BOX}&z=850", "ta"),
    "projected": ("projected", "bbox=-5,52,-2,54", "t2m"),
    "in its own CRS": ("projected", "bbox=200000,300000,400000,450000&crs=EPSG:27700", "t2m"),
    "in another CRS": ("projected", "bbox=-4.9,52.6,-3.6,53.5&crs=CRS84", "t2m"),
    "pixels": ("healpix", f"bbox={BOX}&resolution-x=12&resolution-y=6", "t2m"),
    "curved": ("curvilinear", "bbox=-18,42,-8,48&resolution-x=5&resolution-y=4", "t2m"),
}


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between GDAL and the server."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


def table(address: str, layer: str | None = None) -> dict[str, Any]:
    """The columns of a layer of features, and their geometries."""
    meta, _, geometries, columns = pyogrio.raw.read(address, layer=layer)
    assert meta["crs"] in ("EPSG:4326", "OGC:CRS84")
    return {**dict(zip(meta["fields"], columns, strict=True)), "geometry": shapely.from_wkb(geometries)}


def test_places_are_features(site: Any) -> None:
    address = f"OAPIF:{site.ogc}"
    assert {"surface", "stations"} <= {name for name, _ in pyogrio.list_layers(address)}
    found = table(address, "surface")
    assert found["id"].tolist() == ["harbour", "mountain", "bay"]
    assert [shapely.to_wkt(one) for one in found["geometry"][:2]] == ["POINT (15 45)", "POINT (-60 -15)"]
    assert found["geometry"][2].bounds == (-20, -20, 20, 20)
    stations = table(address, "stations")
    assert stations["id"].tolist() == ["alpha", "beta", "gamma"]
    assert shapely.get_coordinates(stations["geometry"]).tolist() == [[1, 50], [2, 51], [-3.5, 52.5]]


def test_values_over_time_are_features(site: Any, truth: Any) -> None:
    found = table(f"{site.collection('surface')}/items?location=harbour&limit=100")
    assert np.array_equal(found["time"], TIMES)
    for name in ("t2m", "tp"):
        assert np.array_equal(found[name], truth.at("surface", name, x=15, y=45, t=TIMES))


@pytest.mark.parametrize("collection", ["surface", "curvilinear", "healpix", "stations"])
def test_cells_are_features(site: Any, truth: Any, collection: str) -> None:
    found = table(f"{site.collection(collection)}/area?coords=POLYGON((-20+40,3+40,3+53,-20+53,-20+40))&f=GeoJSON")
    x, y = shapely.get_coordinates(found["geometry"]).T
    assert len(set(found["id"])) == len(x) >= 4
    assert np.array_equal(found["t2m"], truth.at(collection, "t2m", x=x, y=y, t=found["datetime"]))


@pytest.mark.parametrize("driver", ["GeoTIFF", "NetCDF"])
@pytest.mark.parametrize("name", list(RASTERS))
def test_rasters(site: Any, truth: Any, name: str, driver: str) -> None:
    collection, query, parameter = RASTERS[name]
    address = f"/vsicurl/{site.collection(collection)}/cube?{query}&parameter-name={parameter}&f={driver}"
    try:
        raster = rasterio.open(f'NETCDF:"{address}":{parameter}' if driver == "NetCDF" else address)
    except rasterio.errors.RasterioIOError as error:
        if driver == "NetCDF":
            pytest.skip(f"this GDAL reads no NetCDF through /vsicurl: {error}")
        raise
    with raster:
        own = name in ("projected", "in its own CRS")
        assert raster.crs.to_epsg() == (27700 if own else 4326) or str(raster.crs) == "OGC:CRS84"
        assert raster.count == 4
        assert min(raster.shape) > 1
        found = raster.read()
        rows, columns = np.indices(raster.shape)
        x, y = (np.reshape(part, raster.shape) for part in raster.xy(rows.ravel(), columns.ravel()))
    fixed = {"z": 850} if collection == "levels" else {}
    wanted = truth.at(collection, parameter, **where(truth, collection, x, y, own), t=TIMES[:, None, None], **fixed)
    assert np.isfinite(found).sum() > found.size / 2
    # What lies outside the box of longitudes and latitudes, or outside the cells, is missing.
    assert name in ("projected", "curved") or np.isfinite(found).all()
    np.testing.assert_array_equal(found, np.where(np.isnan(found), np.nan, wanted))


def where(truth: Any, collection: str, x: Any, y: Any, own: bool) -> dict[str, Any]:
    """The cells that contain places, or whose centres are nearest on the sphere."""
    if collection == "projected":
        if not own:
            x, y = Transformer.from_crs("OGC:CRS84", "EPSG:27700", always_xy=True).transform(x, y)
        return {"x": 50e3 * np.round(x / 50e3), "y": 50e3 * np.round(y / 50e3)}
    if collection not in ("healpix", "curvilinear"):
        return {"x": np.round(x, 9), "y": np.round(y, 9)}
    lons, lats = truth.cells(collection)
    if collection == "healpix":
        index = np.vectorize(pixel)(x, y)
    else:
        apart = np.einsum("...k,nk->...n", vectors(x, y), vectors(lons, lats))
        index = apart.argmax(axis=-1)
    return {"x": lons[index], "y": lats[index]}


def vectors(lon: Any, lat: Any) -> Any:
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def pixel(lon: float, lat: float, nside: int = 4) -> int:
    """The pixel in rings that contains a place of the equatorial belt: Gorski et al. (2005), section 4.1."""
    height, turn = np.sin(np.radians(lat)), (lon % 360) / 90
    assert abs(height) < 2 / 3
    rising = int(np.floor(nside * (0.5 + turn - 0.75 * height)))
    falling = int(np.floor(nside * (0.5 + turn + 0.75 * height)))
    ring = nside + 1 + rising - falling
    column = ((rising + falling - nside + (ring + 1) % 2 + 1) // 2) % (4 * nside)
    return 2 * nside * (nside - 1) + 4 * nside * (ring - 1) + column


def test_the_oracle_of_pixels(truth: Any) -> None:
    lons, lats = truth.cells("healpix")
    belt = np.flatnonzero(np.abs(np.sin(np.radians(lats))) < 2 / 3 - 1e-9)
    assert [pixel(lons[number] + 1e-6, lats[number] + 1e-6) for number in belt] == belt.tolist()
