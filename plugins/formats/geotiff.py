"""How does a grid become a Cloud Optimized GeoTIFF that GDAL and QGIS open at the right place, to the last bit?

A band for every parameter, member, step, time and level, named by them; its unit and what it is at stand in its
metadata. North is up. Pixels are the cells: a coordinate is the centre of its pixel, so that the pixels of a grid with
a row at the pole reach half a step beyond it, as GDAL has it. Longitudes are those of the answer, 170 to 190 across the
antimeridian. Missing values are NaN; of integers up to 32 bits, a value that the data do not have. Overviews pick the
nearest pixel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.coverage import Coverage, Values
from plugins.datacube.datacube import CRS84
from plugins.datacube.errors import InvalidQueryError
from plugins.formats.cf_values import fill_missing, storable
from plugins.formats.rasters import ANY_GRID, Band, Raster, pixels, raster

KEY: Final = "GeoTIFF"
MEDIA_TYPE: Final = "image/tiff"
MEDIA_PARAMETERS: Final = "application=geotiff"
"""GDAL looks for exactly ``image/tiff; application=geotiff``."""
MAXIMUM_BANDS: Final = 1000
"""Viewers list every band by its name; the directory of a file with more takes longer to read than the values."""
_BLOCK: Final = 512
_SMALL: Final = 128
"""The smallest block that GDAL takes for a Cloud Optimized GeoTIFF."""
_PART: Final = 1024 * 1024
_LONG: Final = 8
"""Bytes of the integers that float64 does not hold all."""
_EXACT: Final = 2**53
"""Up to here float64 holds every integer."""


def encode(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write the coverages of a grid as one Cloud Optimized GeoTIFF.

    Parameters
    ----------
    coverages : sequence of Coverage
        Of one answer; all on the same x and y of equal steps.

    Yields
    ------
    bytes
        The file in parts of at most 1 MiB. Its temporary copy on disk is gone when the iteration ends or is closed.

    Raises
    ------
    NoDataError
        If there is no coverage.
    InvalidQueryError
        If the answer is not a grid of numbers with equal steps, has more than `MAXIMUM_BANDS` bands, or whole numbers
        and fractions that no one type of number holds.
    """
    grid = raster(coverages, KEY)
    if grid.count > MAXIMUM_BANDS:
        raise InvalidQueryError(
            "f",
            f"the answer has {grid.count} planes (parameters, times, levels, members), and {KEY} takes at most "
            f"{MAXIMUM_BANDS} bands",
            f"fewer times, levels or parameters, or {ANY_GRID}",
        )
    across, down = pixels(grid.x, grid.cube), pixels(grid.y, grid.cube)
    if across is None or down is None:
        name = grid.x.name if across is None else grid.y.name
        raise InvalidQueryError("f", f"{KEY} takes equal steps, and {name} has none", ANY_GRID)
    top = down[0] + grid.y.size * down[1]
    with tempfile.TemporaryDirectory(prefix="isopleth-") as folder:
        path = Path(folder) / "answer.tif"
        _write(path, grid, (across[1], 0.0, across[0], 0.0, -down[1], top))
        with path.open("rb") as file:
            while part := file.read(_PART):
                yield part


def _write(path: Path, grid: Raster, transform: tuple[float, ...]) -> None:
    # On first use: GDAL takes half a second to load, and most servers and jobs never write a raster.
    import rasterio  # type: ignore[import-untyped]
    import rasterio.shutil  # type: ignore[import-untyped]

    dtype, fill = _common_type(grid)
    crs = _crs(grid.coverages[0])
    longest = max(grid.x.size, grid.y.size)
    # No file of metadata beside the file: all of it is inside.
    with rasterio.Env(GDAL_PAM_ENABLED=False):
        with rasterio.open(
            "answer", "w", driver="MEM", width=grid.x.size, height=grid.y.size, count=grid.count, dtype=dtype,
            nodata=fill, crs=crs, transform=rasterio.Affine(*transform),
        ) as memory:  # fmt: skip
            memory.update_tags(**_dataset_tags(grid.coverages[0]))
            for number, band in enumerate(grid.bands(), 1):
                memory.write(_plane(band.values, dtype, fill), number)
                memory.set_band_description(number, band.description)
                memory.set_band_unit(number, band.parameter.units or "")
                memory.update_tags(number, **_band_tags(band))
            rasterio.shutil.copy(
                memory, path, driver="COG", COMPRESS="DEFLATE", LEVEL="1", PREDICTOR="YES", INTERLEAVE="BAND",
                # A tile is stored whole: a small raster gets a small one.
                BLOCKSIZE=str(_BLOCK if longest > _SMALL else _SMALL), BIGTIFF="IF_SAFER",
                OVERVIEWS="AUTO" if longest > _BLOCK else "NONE", OVERVIEW_RESAMPLING="NEAREST",
            )  # fmt: skip
        with rasterio.open(path) as written:
            if crs is not None and written.crs is None:
                raise InvalidQueryError("f", f"{KEY} cannot name the reference system of this grid", ANY_GRID)


def _common_type(grid: Raster) -> tuple[np.dtype[Any], Any | None]:
    """Return the type of all bands, and the value in it that means "missing": a GeoTIFF has one of each."""
    ranges = [values for coverage in grid.coverages for values in coverage.ranges.values()]
    dtype = np.result_type(*(storable(np.empty(0, values.dtype)).dtype for values in ranges))
    missing = any(np.ma.getmaskarray(values).any() for values in ranges if isinstance(values, np.ma.MaskedArray))
    if dtype.kind != "f" and dtype.itemsize == _LONG and missing:
        # rasterio cannot name a missing value of such bands.
        dtype = np.dtype(np.float64)
    if dtype.kind == "f":
        if not all(_exact(values) for values in ranges):
            raise InvalidQueryError("f", f"{KEY} has one type of number, and none holds these exactly", ANY_GRID)
        return dtype, dtype.type(np.nan)
    if not missing:
        return dtype, None
    known = [each for coverage in grid.coverages for p in coverage.parameters.values() for each in p.missing]
    every = np.ma.concatenate([np.ma.ravel(values).astype(dtype) for values in ranges])
    stored, fill = fill_missing(every, (*known, -9999))
    return stored.dtype, fill


def _exact(values: Values) -> bool:
    """Return whether float64 holds every value, of floats no wider and of whole numbers."""
    if values.dtype.kind not in "iu" or values.dtype.itemsize < _LONG:
        return True
    present = np.ma.compressed(values)
    return present.size == 0 or max(abs(int(present.min())), abs(int(present.max()))) <= _EXACT


def _plane(values: Values, dtype: np.dtype[Any], fill: Any | None) -> NDArray[Any]:
    typed = values.astype(dtype, copy=False)
    plain: NDArray[Any] = typed.filled(fill) if isinstance(typed, np.ma.MaskedArray) else typed
    return np.ascontiguousarray(plain)


def _crs(coverage: Coverage) -> Any | None:
    from rasterio.crs import CRS  # type: ignore[import-untyped]
    from rasterio.errors import CRSError  # type: ignore[import-untyped]

    crs, wkt, geographic = coverage.reference
    if geographic and (crs == CRS84 or not wkt):
        return CRS.from_epsg(4326)
    try:
        return CRS.from_wkt(wkt) if wkt else None
    except CRSError:
        return None


def _dataset_tags(coverage: Coverage) -> dict[str, str]:
    cube = coverage.cube
    said = {
        "TIFFTAG_IMAGEDESCRIPTION": cube.title,
        "TIFFTAG_COPYRIGHT": cube.definition.attribution,
        "collection": cube.id,
        "license": cube.definition.licence_url or cube.definition.licence,
        "isopleth_snapshot": cube.snapshot,
        "isopleth_interpolation": str(coverage.interpolation),
    }
    return {name: text for name, text in said.items() if text}


def _band_tags(band: Band) -> dict[str, str]:
    parameter = band.parameter
    said = {
        "parameter": parameter.name,
        "long_name": parameter.long_name or parameter.label,
        "standard_name": parameter.standard_name,
        "units": parameter.units,
        "cell_methods": parameter.cell_methods,
        **band.labels,
        "z_units": band.level_units,
    }
    return {name: text for name, text in said.items() if text}
