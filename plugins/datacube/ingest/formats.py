"""Which kind of file is this, by its first bytes?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest import grib, netcdf
from plugins.datacube.ingest.content import Content

GRIB_MAGIC = b"GRIB"
_LEADING_BYTES = 1024
"""A GRIB file may begin with a bulletin header; the first message follows within this distance."""


def is_source_file(path: Path) -> bool:
    """Whether a path is a NetCDF or GRIB file (a Zarr or Icechunk store is a folder)."""
    if not path.is_file():
        return False
    start = _start(path)
    return start.startswith(netcdf.MAGIC) or _has_message(start)


def open_content(path: Path, scratch: Path, progress: Callable[[float], None]) -> Content:
    """Describe a NetCDF or GRIB file.

    Parameters
    ----------
    path : Path
        The file; its name and its ending do not matter.
    scratch : Path
        An empty folder in which the fields of a GRIB file are decoded; it must stay until the content was read.
    progress : callable
        Told the decoded fraction of a GRIB file.

    Raises
    ------
    DatasetError
        If the file does not exist, is empty, of another format, or damaged.
    """
    if not path.exists():
        raise DatasetError(f"{path.name} does not exist")
    if not path.is_file():
        raise DatasetError(f"{path.name} is not a file: only NetCDF and GRIB files can be published")
    if path.stat().st_size == 0:
        raise DatasetError(f"{path.name} is empty")
    start = _start(path)
    if start.startswith(netcdf.MAGIC):
        return netcdf.open_netcdf(path)
    if _has_message(start):
        return grib.open_grib(path, scratch, progress)
    raise DatasetError(f"{path.name} is neither a NetCDF nor a GRIB file")


def _has_message(start: bytes) -> bool:
    """Whether a GRIB message of edition 1 or 2 begins there; the four letters alone may stand in any text."""
    place = start.find(GRIB_MAGIC)
    while place >= 0:
        if start[place + 7 : place + 8] in (b"\x01", b"\x02"):
            return True
        place = start.find(GRIB_MAGIC, place + 1)
    return False


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_LEADING_BYTES)
    except OSError as error:
        raise DatasetError(f"{path.name} cannot be read: {(error.strerror or 'input error').lower()}") from error
