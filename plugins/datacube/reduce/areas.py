"""How large is each cell, and which share of it lies in a region?

On longitudes and latitudes a cell is bounded by meridians and parallels, and its area on the sphere is exactly
``R**2 * (sin(north) - sin(south)) * (east - west)``. On projected axes it is a rectangle of the plane. The cells of
HEALPix all have the same area. The share of a cell that a polygon covers is that of the plane of the coordinates, in
which the edges of polygons are straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from plugins.datacube import lookup
from plugins.datacube.axes import Axis
from plugins.datacube.datacube import GridKind
from plugins.datacube.distance import EARTH_RADIUS
from plugins.datacube.errors import NoDataError, UnsupportedDatasetError
from plugins.datacube.reduce.layout import Layout
from plugins.datacube.reduce.reduction import Cells
from plugins.datacube.selection import Indexer, Raster, Rectangle, Swarm

SMALLEST: Final = 1e-12
"""Share of a cell below which a region only touches it."""


def cells_of_query(layout: Layout) -> Cells:
    """Return the cells that a query selects, whole, as one region.

    Raises
    ------
    UnsupportedDatasetError
        If the grid does not say how large its cells are.
    """
    areas = cell_areas(layout)
    horizontal = layout.group.horizontal
    mask = np.ones(areas.shape, bool)
    if isinstance(horizontal, Rectangle) and horizontal.mask is not None:
        mask = horizontal.mask
    elif isinstance(horizontal, Raster):
        mask = horizontal.places >= 0
    places = tuple(found.astype(np.intp) for found in np.nonzero(mask))
    return Cells(places, np.zeros(places[0].size, np.intp), areas[mask])


def cells_of_regions(layout: Layout, regions: Sequence[Polygon | MultiPolygon]) -> Cells:
    """Return the parts of cells that lie in regions.

    Raises
    ------
    UnsupportedDatasetError
        If the cells do not lie on two axes.
    NoDataError
        If a region lies outside all cells.
    """
    horizontal = layout.group.horizontal
    if not isinstance(horizontal, Rectangle):
        raise UnsupportedDatasetError("regions need cells that lie on two axes")
    areas = cell_areas(layout)
    y, x = _cells(layout, horizontal.y), _cells(layout, horizontal.x)
    rows: list[NDArray[np.intp]] = []
    columns: list[NDArray[np.intp]] = []
    weights: list[NDArray[np.float64]] = []
    for number, region in enumerate(regions):
        row, column, share = shares(region, y, x)
        if row.size == 0:
            raise NoDataError(f"region {number + 1} lies outside the data")
        rows.append(row)
        columns.append(column)
        weights.append(share * areas[row, column])
    labels = np.repeat(np.arange(len(regions)), [row.size for row in rows])
    return Cells((np.concatenate(rows), np.concatenate(columns)), labels, np.concatenate(weights))


def cell_areas(layout: Layout) -> NDArray[np.float64]:
    """Return the areas of the cells of a selection in square metres (of the sphere, or of the plane of the CRS).

    Returns
    -------
    ndarray, shape (y, x) or (cells,)
        HEALPix cells, and a cell that is alone along an axis without bounds, count 1 along it.

    Raises
    ------
    UnsupportedDatasetError
        If the grid does not say how large its cells are.
    """
    horizontal, cube = layout.group.horizontal, layout.selection.cube
    reference = layout.selection.reference
    geographic = cube.grid.geographic if reference is None else reference.geographic
    match horizontal:
        case Rectangle(y=y, x=x):
            return _areas(_cells(layout, y), _cells(layout, x), geographic=geographic)
        case Raster(y=y_axis, x=x_axis):
            return _areas(y_axis.cells, x_axis.cells, geographic=geographic)
        case Swarm(y=of_cells) if cube.grid.kind is GridKind.HEALPIX:
            return np.ones(of_cells.size)
        case _:
            raise UnsupportedDatasetError(f"the {cube.grid.kind.value} grid of {cube.id} has no cells of known area")


def shares(
    region: Polygon | MultiPolygon, y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return which cells a region covers, and by which share of each, 0..1.

    Parameters
    ----------
    region : Polygon or MultiPolygon
    y, x : ndarray, shape (ny, 2), (nx, 2)
        Low and high bounds of the cells.

    Returns
    -------
    rows, columns : ndarray of int, shape (k,)
    share : ndarray, shape (k,)
        More than nought.

    Examples
    --------
    >>> edges = np.array([[0.0, 1.0], [1.0, 2.0]])
    >>> rows, columns, share = shares(shapely.box(0.5, 0, 2, 1), edges, edges)
    >>> rows.tolist(), columns.tolist(), share.tolist()
    ([0, 0], [0, 1], [0.5, 1.0])
    """
    west, south, east, north = region.bounds
    rows: list[int] = []
    columns: list[NDArray[np.intp]] = []
    found: list[NDArray[np.float64]] = []
    for row in np.flatnonzero((y[:, 1] >= south) & (y[:, 0] <= north)).tolist():
        # One row after the other: a cell meets the few vertices of its row, not those of the whole region.
        low, high = y[row]
        if high <= low:
            continue
        strip = shapely.intersection(region, shapely.box(west - 1.0, low, east + 1.0, high))
        if strip.is_empty:
            continue
        left, _, right, _ = strip.bounds
        met = np.flatnonzero((x[:, 1] > left) & (x[:, 0] < right) & (x[:, 1] > x[:, 0]))
        boxes = shapely.box(x[met, 0], low, x[met, 1], high)
        shapely.prepare(strip)
        share = np.ones(met.size)
        partly = ~shapely.covers(strip, boxes)
        parts = shapely.area(shapely.intersection(strip, boxes[partly]))
        share[partly] = parts / ((x[met[partly], 1] - x[met[partly], 0]) * (high - low))
        kept = share > SMALLEST
        rows += [row] * int(kept.sum())
        columns.append(met[kept])
        found.append(share[kept])
    if not rows:
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    return np.array(rows, np.intp), np.concatenate(columns), np.minimum(np.concatenate(found), 1.0)


def _areas(y: NDArray[np.float64], x: NDArray[np.float64], *, geographic: bool) -> NDArray[np.float64]:
    if geographic:
        heights = EARTH_RADIUS * (np.sin(np.radians(y[:, 1])) - np.sin(np.radians(y[:, 0])))
        widths = EARTH_RADIUS * np.radians(x[:, 1] - x[:, 0])
    else:
        heights, widths = y[:, 1] - y[:, 0], x[:, 1] - x[:, 0]
    return np.outer(_known(heights), _known(widths))


def _known(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ones_like(lengths) if lengths.size == 1 and lengths[0] == 0 else lengths


def _cells(layout: Layout, indexer: Indexer) -> NDArray[Any]:
    """Return the bounds of selected cells, in the longitudes of the answer.

    Those of the whole axis: beside what is selected lie neighbours that say where a cell ends.
    """
    axes = layout.selection.cube.axes
    whole: Axis | None = axes.get(indexer.dim)
    if whole is None or indexer.mixing is not None or layout.selection.reference is not None:
        return indexer.axis.cells
    moved = indexer.axis.values - whole.values[indexer.indices]
    return np.asarray(lookup.cells(whole)[indexer.indices] + moved[:, None], np.float64)
