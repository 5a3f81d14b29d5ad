"""Which mesh do the horizontal coordinates of a store make, where its cells lie on no axes?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plugins.datacube import coordinates
from plugins.datacube.contents import Variable
from plugins.datacube.datacube import GridKind
from plugins.datacube.errors import DatasetError
from plugins.datacube.grids import Horizontal
from plugins.datacube.mesh import healpix
from plugins.datacube.mesh.healpix import HealpixMesh
from plugins.datacube.mesh.mesh import Mesh
from plugins.datacube.mesh.scattered import ScatteredMesh, without_places


def mesh_of(horizontal: Horizontal, sizes: Mapping[str, int]) -> Mesh | None:
    """Make the mesh of a grid.

    Parameters
    ----------
    horizontal : Horizontal
        The recognised coordinates.
    sizes : mapping of str to int
        Lengths of the stored dimensions.

    Returns
    -------
    Mesh or None
        None for cells in rows and columns, and for a grid that cannot be queried.

    Raises
    ------
    DatasetError
        If the coordinates cannot be read, or are not those of the grid that they are said to be.
    """
    if horizontal.unsupported is not None or horizontal.kind in (GridKind.RECTILINEAR, GridKind.PROJECTED):
        return None
    shape = tuple(sizes[dim] for dim in horizontal.dims)
    if horizontal.kind is GridKind.HEALPIX:
        return _healpix(horizontal, shape)
    assert horizontal.longitude is not None  # noqa: S101 -- every other kind is recognised by them
    assert horizontal.latitude is not None  # noqa: S101
    longitude = coordinates.degrees(horizontal.longitude).ravel()
    latitude = coordinates.degrees(horizontal.latitude).ravel()
    stations = horizontal.kind is GridKind.POINT
    if not stations:
        longitude, latitude = without_places(longitude, latitude)
    else:
        longitude = np.mod(longitude + 180.0, 360.0) - 180.0
    if not (np.isfinite(longitude) & np.isfinite(latitude)).any():
        raise DatasetError(f"no cell has a latitude ({horizontal.latitude.name}) and a longitude")
    return ScatteredMesh(horizontal.dims, shape, longitude, latitude, stations)


def _healpix(horizontal: Horizontal, shape: tuple[int, ...]) -> HealpixMesh:
    level, nested = healpix.read_level(horizontal.mapping), healpix.read_nested(horizontal.mapping)
    if level is None or nested is None:
        raise DatasetError("the HEALPix grid has no refinement level or order of pixels that is known")
    ellipsoid = horizontal.mapping.get("ellipsoid")
    named = ellipsoid if isinstance(ellipsoid, str) and ellipsoid.upper() == "WGS84" else "sphere"
    total = 12 * 4**level
    numbers = None if horizontal.pixels is None else _numbers(horizontal.pixels, total)
    if numbers is None and shape != (total,):
        raise DatasetError(
            f"a HEALPix grid of refinement level {level} has {total} pixels, the data have {shape[0]}, "
            "and no variable lists their numbers"
        )
    return HealpixMesh(horizontal.dims, shape, level, nested, numbers, named)


def _numbers(pixels: Variable, total: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]] | None:
    """Return the listed pixel numbers; None where they are simply counted."""
    values = pixels.values
    if values.dtype.kind not in "iuf" or (values < 0).any() or (values >= total).any():
        raise DatasetError(f"{pixels.name} holds numbers that are no HEALPix pixels of 0 to {total - 1}")
    numbers = values.astype(np.uint64)
    if np.unique(numbers).size != numbers.size:
        raise DatasetError(f"{pixels.name} lists a HEALPix pixel twice")
    return None if np.array_equal(numbers, np.arange(total, dtype=np.uint64)) else numbers
