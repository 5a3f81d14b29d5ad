"""On which data is everybody measured?

Two plain Zarr stores with the same values, hourly on a 1 degree grid, in the two layouts that serve a series and a map
best: ``time.zarr`` (chunks of 1440 × 16 × 16) and ``map.zarr`` (1 × 181 × 360), float32, blosc-lz4. The values are
smooth waves with noise, rounded to a power of two as reanalyses are, so that they compress and decode like such data.
With them the same arrays as a published collection has them, in Icechunk with a checksum on every chunk.

A folder is written once; its name says what is in it.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import icechunk
import numpy as np
import zarr
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec

VERSION = 1
"""Raised when the values or the layouts change."""
LAYOUTS: Mapping[str, tuple[int, int, int]] = {"time": (1440, 16, 16), "map": (1, 181, 360)}
START = "2023-01-01"
LATITUDES = np.arange(90.0, -90.5, -1.0)
LONGITUDES = np.arange(0.0, 360.0, 1.0)
DIMS = ("time", "latitude", "longitude")
BLOCK_HOURS = 1440

# standard name, units, mean at the equator, mean at the poles, amplitude of the waves, noise, step of the rounding
VARIABLES: Mapping[str, tuple[str, str, float, float, float, float, float]] = {
    "t2m": ("air_temperature", "K", 300.0, 250.0, 8.0, 0.5, 2.0**-6),
    "u10": ("eastward_wind", "m s-1", -4.0, 6.0, 7.0, 0.4, 2.0**-7),
    "v10": ("northward_wind", "m s-1", 0.0, 0.0, 6.0, 0.4, 2.0**-7),
    "tp": ("lwe_thickness_of_precipitation_amount", "m", -2e-3, -1e-3, 4e-3, 2e-4, 2.0**-20),
}


def make_stores(work: Path, days: int) -> dict[str, Path]:
    """Return the stores by name (``time``, ``map``, and both with ``-published``), written if they are not there yet.

    Parameters
    ----------
    work : Path
        Folder that keeps them.
    days : int
        Length of the record.
    """
    folder = work / f"era5-like-v{VERSION}-{days}-days"
    names = {name: folder / f"{name}.zarr" for name in LAYOUTS}
    names |= {f"{name}-published": folder / f"{name}.icechunk" for name in LAYOUTS}
    if folder.exists():
        return names
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    print(f"writing {days} days of hourly fields in two layouts, plain and published ...", flush=True)
    _write(partial, days)
    partial.rename(folder)
    return names


def _write(folder: Path, days: int) -> None:
    hours = days * 24
    icechunk.set_logs_filter("error")
    groups: dict[str, zarr.Group] = {}
    sessions: list[icechunk.Session] = []
    for name, chunks in LAYOUTS.items():
        groups[name] = _create(zarr.open_group(folder / f"{name}.zarr", mode="w"), hours, chunks, checked=False)
        storage = icechunk.local_filesystem_storage(str(folder / f"{name}.icechunk"))
        sessions.append(icechunk.Repository.create(storage).writable_session("main"))
        published = zarr.open_group(sessions[-1].store, mode="w")
        groups[f"{name}-published"] = _create(published, hours, chunks, checked=True)
    with ThreadPoolExecutor(2) as pool:
        for variable in VARIABLES:
            for start in range(0, hours, BLOCK_HOURS):
                block = fields(variable, np.arange(start, min(start + BLOCK_HOURS, hours)))
                region = slice(start, start + block.shape[0])
                list(pool.map(lambda group: group[variable].__setitem__(region, block), groups.values()))  # noqa: B023
    for session in sessions:
        session.commit("written")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)
        for name in LAYOUTS:
            zarr.consolidate_metadata(str(folder / f"{name}.zarr"))


def _create(group: zarr.Group, hours: int, chunks: tuple[int, int, int], *, checked: bool) -> zarr.Group:
    """Make the arrays of a store and write its coordinates."""
    group.attrs["Conventions"] = "CF-1.11"
    coordinates = {
        "time": (
            np.arange(hours, dtype=np.int64),
            {"standard_name": "time", "axis": "T", "units": f"hours since {START}", "calendar": "proleptic_gregorian"},
        ),
        "latitude": (LATITUDES, {"standard_name": "latitude", "axis": "Y", "units": "degrees_north"}),
        "longitude": (LONGITUDES, {"standard_name": "longitude", "axis": "X", "units": "degrees_east"}),
    }
    for name, (values, attributes) in coordinates.items():
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, chunks=values.shape, dimension_names=(name,)
        )
        array[...] = values
        array.attrs.update(attributes)
    compressors = [BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.shuffle)]
    for name, (standard_name, units, *_) in VARIABLES.items():
        array = group.create_array(
            name,
            shape=(hours, LATITUDES.size, LONGITUDES.size),
            dtype="float32",
            chunks=tuple(min(a, b) for a, b in zip(chunks, (hours, 181, 360), strict=True)),
            dimension_names=DIMS,
            compressors=[*compressors, Crc32cCodec()] if checked else compressors,
            fill_value=float("nan"),
        )
        array.attrs.update({"standard_name": standard_name, "long_name": name, "units": units})
    return group


def fields(variable: str, hours: np.ndarray) -> np.ndarray:
    """Compute one variable.

    Parameters
    ----------
    hours : ndarray of int, shape (t,)
        Hours since `START`.

    Returns
    -------
    ndarray, shape (t, 181, 360), float32
    """
    _, _, equator, pole, amplitude, noise, step = VARIABLES[variable]
    sine = np.sin(np.radians(LATITUDES)).astype(np.float32)[None, :, None]
    mean = equator + (pole - equator) * sine**2
    tracks = amplitude * 4 * sine**2 * (1 - sine**2)
    t, x = hours[:, None, None].astype(np.float32), np.radians(LONGITUDES).astype(np.float32)[None, None, :]
    result = tracks * np.sin(5 * x - t * np.float32(0.03)) + mean
    result += (0.3 * amplitude * (1 - sine**2)) * np.cos(x + t * np.float32(2 * np.pi / 24))
    # One tile of noise for each step of the day, turned a little from day to day: cheap, and no two fields are equal.
    tiles = np.random.default_rng(len(variable) + 7).uniform(-noise, noise, (24, 181, 360)).astype(np.float32)
    for number, hour in enumerate(hours.tolist()):
        result[number] += np.roll(tiles[hour % 24], 7 * (hour // 24), axis=1)
    result *= np.float32(1 / step)
    np.rint(result, out=result)
    result *= np.float32(step)
    return np.maximum(result, np.float32(0)) if variable == "tp" else result
