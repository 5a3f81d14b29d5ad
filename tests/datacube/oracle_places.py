"""Are two places one, and how near do cells lie to each other?"""

from __future__ import annotations

import numpy as np
from oracle_asked import Dimension
from oracle_cells import CRS84, Cloud, Grid, Lattice, is_geographic, metres, same
from pyproj import CRS

SEAM = 20_037_508.342789244
"""The antimeridian in EPSG:3857."""


def close(a, b, crs: CRS, near: float = 0.0) -> np.ndarray:
    """Whether two coordinates are one, but for the rounding of a transformation."""
    return np.abs(np.asarray(a) - b) <= max(near, 1e-9 if crs.is_geographic else 1e-5)


def same_longitude(a, b, near: float = 1e-9) -> np.ndarray:
    return np.abs((np.asarray(a) - b + 180) % 360 - 180) <= near


def same_place(grid: Grid, crs: CRS, x, y, wanted_x, wanted_y) -> np.ndarray:
    # 0.1 that is stored in 32 bits may be transformed as 0.1.
    near = 0.0 if grid.hair < 1e-5 else grid.beside(crs)
    along = same_longitude(x, wanted_x, max(near, 1e-9)) if is_geographic(crs) else close(x, wanted_x, crs, near)
    polar = is_geographic(crs) & (np.abs(np.asarray(wanted_y)) > 90 - 1e-9)
    if not crs.is_geographic and same(grid.crs, CRS84):
        # What lies on the antimeridian may lie at either end of a projection.
        along |= close(np.abs(x), SEAM, crs) & close(np.abs(wanted_x), SEAM, crs)
    return (along | polar) & close(y, wanted_y, crs, near)


def twins(grid: Grid, cell: int) -> set[int]:
    """Return the cells whose centres are in one place."""
    if isinstance(grid, Lattice) and grid.x.circular:
        row, at = divmod(cell, len(grid.x.values))
        columns = np.flatnonzero(same_longitude(grid.x.values.astype(float), float(grid.x.values[at])))
        return {row * len(grid.x.values) + int(column) for column in columns}
    if not isinstance(grid, Cloud):
        return {cell}
    lon, lat = grid.centres()
    return set(np.flatnonzero(metres(lon[cell], lat[cell], lon, lat) < 1e-3).tolist())


def least_distance(grid: Grid) -> float:
    """Return how near the centres of neighbouring rows or columns, or cells, come to each other, in metres."""
    if not isinstance(grid, Lattice):
        return grid.spacing if isinstance(grid, Cloud) else 6.5e6 / 2**grid.level
    gaps = [float(np.abs(np.diff(one.values)).min()) for one in (grid.y, grid.x) if len(one.values) > 1]
    return min(gaps, default=1.0) * (111_195.0 if grid.crs.is_geographic else 1.0)


def least_gap(dimension: Dimension) -> float:
    return float(np.abs(np.diff(np.sort(dimension.values.astype(float)))).min(initial=np.inf))
