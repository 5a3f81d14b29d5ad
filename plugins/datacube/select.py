"""Which cells of a datacube does a query select, as integer positions along each stored dimension?

1. Refuse a dataset that cannot be queried right, and parameters of the query that the dataset has no axis for.
2. Group the parameters by their dimensions: one group becomes one coverage (or one a point).
3. Per group, look up the positions along t, z and the custom axes (`plugins.datacube.lookup`), then the horizontal
   cells: points, or a rectangle of columns and rows with a mask where the query is a polygon.

Pure: nothing is read. The rules, as users are told them:

- *position*: the cell that contains the point; outside all cells there is no data. Longitudes count modulo 360.
- *cube*: the cells whose centre lies in the box, edges included. A box that holds no centre along an axis selects the
  cells that it overlaps along that axis.
- *area*: the cells whose centre the polygon covers, boundary included; the other cells of the bounding rectangle are
  missing. A polygon that covers no centre selects the cell of a point inside it.
- Longitudes of the answer are in the convention of the request, and run without a jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from plugins.datacube import lookup
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.cover import covered
from plugins.datacube.datacube import Datacube, GridKind, Parameter
from plugins.datacube.errors import InvalidQueryError, NoDataError, TooLargeError, UnsupportedDatasetError
from plugins.datacube.lookup import Indices
from plugins.datacube.query import Area, BaseQuery, Cube, Position, Query

MAXIMUM_MASK: Final = 16_000_000
"""Cells of the rectangle around a polygon: each is tested against the polygon before anything is read."""
_LEADING: Final = (AxisKind.CUSTOM, AxisKind.T, AxisKind.Z)


@dataclass(frozen=True, slots=True)
class Indexer:
    """Positions along one stored dimension, and the axis that they make in the answer."""

    dim: str
    indices: Indices
    """shape (n,): stored positions in the order of the answer."""
    axis: Axis
    """shape (n,): the axis of the answer; longitudes shifted to the convention of the request."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows and columns of the grid."""

    y: Indexer
    x: Indexer
    mask: NDArray[np.bool_] | None = None
    """shape (y, x): True where a cell belongs to the answer; None where all do."""


@dataclass(frozen=True, slots=True)
class Points:
    """Single cells of the grid."""

    y: Indexer
    """shape (n,); not an axis in the order of the grid, but one row a point."""
    x: Indexer
    """shape (n,)"""
    order: tuple[int, ...]
    """Which point of the query each is; points outside the domain are left out."""


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share all their dimensions."""

    parameters: tuple[Parameter, ...]
    leading: tuple[Indexer, ...]
    """Custom axes in the order of the store, then t, then z."""
    horizontal: Rectangle | Points


@dataclass(frozen=True, slots=True)
class Selection:
    """What a query selects of one datacube; never empty."""

    cube: Datacube
    groups: tuple[Group, ...]


def select(cube: Datacube, query: Query) -> Selection:
    """Lay a query over the axes of a datacube.

    Parameters
    ----------
    cube : Datacube
    query : Position, Area or Cube

    Raises
    ------
    UnsupportedDatasetError
        If the dataset cannot be queried (its grid, for example, is curvilinear).
    InvalidQueryError
        If the query restricts an axis that the dataset does not have, names an unknown value of a custom dimension, or
        a date that the calendar does not have.
    NoDataError
        If nothing of the dataset is selected. Where parameters have different axes, those that miss are left out as
        long as others do not.
    TooLargeError
        If the rectangle around a polygon has more than `MAXIMUM_MASK` cells.
    """
    _refuse(cube, query)
    groups: list[Group] = []
    problem: NoDataError | None = None
    for parameters in _by_dimensions(cube, query):
        try:
            groups.append(_group(cube, query, parameters))
        except NoDataError as error:
            problem = problem or error
    if not groups:
        raise problem or NoDataError("the dataset has no parameter to answer with")
    return Selection(cube, tuple(groups))


def _refuse(cube: Datacube, query: BaseQuery) -> None:
    if cube.unsupported is not None:
        raise UnsupportedDatasetError(cube.unsupported)
    if cube.grid.kind is not GridKind.RECTILINEAR:
        raise UnsupportedDatasetError(f"{cube.id} has a {cube.grid.kind.value} grid, which cannot be queried yet")
    if query.datetime is not None and cube.axis(AxisKind.T) is None:
        raise InvalidQueryError("datetime", f"{cube.id} has no time axis", "a query without datetime")
    if query.z is not None and cube.axis(AxisKind.Z) is None:
        raise InvalidQueryError("z", f"{cube.id} has no vertical axis", "a query without z and without heights")


def _by_dimensions(cube: Datacube, query: BaseQuery) -> list[tuple[Parameter, ...]]:
    """Group the parameters asked for by their set of dimensions, in stored order."""
    groups: dict[frozenset[str], list[Parameter]] = {}
    for name in query.parameters or tuple(cube.parameters):
        parameter = cube.parameters[name]
        kinds = {axis.kind for axis in cube.axes_of(parameter)}
        if {AxisKind.X, AxisKind.Y} <= kinds:
            groups.setdefault(frozenset(parameter.dims), []).append(parameter)
        elif query.parameters:
            raise InvalidQueryError("parameter-name", f"{name} does not vary in space", ", ".join(cube.parameters))
    return [tuple(parameters) for parameters in groups.values()]


def _group(cube: Datacube, query: Query, parameters: tuple[Parameter, ...]) -> Group:
    dims = set(parameters[0].dims)
    axes = {dim: axis for dim, axis in cube.axes.items() if dim in dims}
    leading = tuple(_leading(dim, axis, query) for kind in _LEADING for dim, axis in axes.items() if axis.kind is kind)
    (y_dim, y), (x_dim, x) = (
        next((dim, axis) for dim, axis in axes.items() if axis.kind is kind) for kind in (AxisKind.Y, AxisKind.X)
    )
    horizontal = _Horizontal(y_dim, y, x_dim, x, geographic=cube.grid.geographic)
    return Group(parameters, leading, horizontal.select(query))


def _leading(dim: str, axis: Axis, query: BaseQuery) -> Indexer:
    indices = np.arange(axis.size)
    if axis.kind is AxisKind.T and query.datetime is not None:
        indices = lookup.moments(axis, query.datetime)
        _expect(indices, "datetime", axis)
    elif axis.kind is AxisKind.Z and query.z is not None:
        indices = lookup.levels(axis, query.z)
        _expect(indices, "z", axis)
    elif axis.kind is AxisKind.CUSTOM and axis.name in query.dimensions:
        indices = lookup.members(axis, query.dimensions[axis.name])
        if indices.size == 0:
            raise InvalidQueryError(axis.name, f"{axis.name}: there is no such value", lookup.listing(axis))
    return Indexer(dim, indices, axis.take(indices))


def _expect(indices: Indices, name: str, axis: Axis) -> None:
    if indices.size == 0:
        first, last = axis.take(np.array([axis.values.argmin(), axis.values.argmax()])).texts()
        unit = f" {axis.units}" if axis.units and axis.kind is AxisKind.Z else ""
        raise NoDataError(f"no data at that {name}: the dataset reaches from {first} to {last}{unit}")


@dataclass(frozen=True, slots=True)
class _Horizontal:
    """The two horizontal axes of a group, and what each query type selects of them."""

    y_dim: str
    y: Axis
    x_dim: str
    x: Axis
    geographic: bool

    def select(self, query: Query) -> Rectangle | Points:
        match query:
            case Position():
                return self.points(query.points)
            case Cube():
                return self.box(query.west, query.south, query.east, query.north)
            case Area():
                return self.polygon(query.geometry)

    def points(self, points: tuple[tuple[float, float], ...]) -> Points:
        rows: list[int] = []
        columns: list[int] = []
        longitudes: list[float] = []
        order: list[int] = []
        for number, (x, y) in enumerate(points):
            row, column = lookup.cell_of(self.y, y), self._column(x)
            if row is not None and column is not None:
                rows.append(row)
                columns.append(column[0])
                longitudes.append(column[1])
                order.append(number)
        if not order:
            raise self._outside("the point lies" if len(points) == 1 else "all points lie")
        y_indices, x_indices = np.array(rows, np.intp), np.array(columns, np.intp)
        return Points(
            Indexer(self.y_dim, y_indices, self.y.take(y_indices)),
            Indexer(self.x_dim, x_indices, self.x.take(x_indices, np.array(longitudes))),
            tuple(order),
        )

    def box(self, west: float, south: float, east: float, north: float) -> Rectangle:
        if west > east:  # across the antimeridian
            east += 360.0 * np.ceil((west - east) / 360.0)
        rows = lookup.within(self.y, south, north)
        if rows.size == 0:
            rows = lookup.overlapping(self.y, south, north)
        columns, longitudes = self._columns(west, east)
        if columns.size == 0 and self.geographic:
            columns, longitudes = lookup.longitudes_overlapping(self.x, west, east)
        elif columns.size == 0:
            columns = lookup.overlapping(self.x, west, east)
            longitudes = self.x.values[columns]
        if rows.size == 0 or columns.size == 0:
            raise self._outside("the box lies")
        return self._rectangle(rows, columns, longitudes)

    def polygon(self, geometry: shapely.Polygon | shapely.MultiPolygon) -> Rectangle:
        west, south, east, north = geometry.bounds
        rows = lookup.within(self.y, south, north)
        columns, longitudes = self._columns(west, east)
        if rows.size and columns.size:
            if rows.size * columns.size > MAXIMUM_MASK:
                raise TooLargeError(
                    f"the rectangle around the area has {rows.size * columns.size:,} cells, and at most "
                    f"{MAXIMUM_MASK:,} are tested: ask for a smaller area, or for a box",
                    estimate={"values": rows.size * columns.size},
                    limits={"values": MAXIMUM_MASK},
                )
            mask = self._covered(geometry, rows, columns, longitudes, east)
            if mask.any():
                return self._cropped(rows, columns, longitudes, mask)
        inside = geometry.representative_point()
        points = self.points(((inside.x, inside.y),))
        return Rectangle(points.y, points.x, np.ones((1, 1), bool))

    def _covered(
        self,
        geometry: shapely.Polygon | shapely.MultiPolygon,
        rows: Indices,
        columns: Indices,
        longitudes: NDArray[np.float64],
        east: float,
    ) -> NDArray[np.bool_]:
        """Test each centre, also a turn or two further east where the polygon is wider than the globe."""
        latitudes = lookup.centres(self.y)[rows]
        clean = longitudes + (lookup.centres(self.x)[columns] - self.x.values[columns])
        mask = np.zeros((rows.size, columns.size), bool)
        for turn in range(3 if self.geographic else 1):
            shifted = clean + 360.0 * turn
            if shifted.min() > east:
                break
            mask |= covered(geometry, shifted, latitudes)
        return mask

    def _cropped(
        self, rows: Indices, columns: Indices, longitudes: NDArray[np.float64], mask: NDArray[np.bool_]
    ) -> Rectangle:
        """Leave out rows and columns at the edges without a cell; start a full circle after its widest gap."""
        if self.x.cyclic and columns.size == self.x.size:
            columns, longitudes, mask = _opened(columns, longitudes, mask)
        used_rows, used_columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        of_rows = slice(used_rows[0], used_rows[-1] + 1)
        of_columns = slice(used_columns[0], used_columns[-1] + 1)
        rectangle = self._rectangle(rows[of_rows], columns[of_columns], longitudes[of_columns])
        return Rectangle(rectangle.y, rectangle.x, np.ascontiguousarray(mask[of_rows, of_columns]))

    def _rectangle(self, rows: Indices, columns: Indices, longitudes: NDArray[Any]) -> Rectangle:
        return Rectangle(
            Indexer(self.y_dim, rows, self.y.take(rows)),
            Indexer(self.x_dim, columns, self.x.take(columns, longitudes)),
        )

    def _column(self, x: float) -> tuple[int, float] | None:
        if self.geographic:
            return lookup.longitude_cell(self.x, x)
        index = lookup.cell_of(self.x, x)
        return None if index is None else (index, float(self.x.values[index]))

    def _columns(self, west: float, east: float) -> tuple[Indices, NDArray[np.float64]]:
        if self.geographic:
            return lookup.longitudes_within(self.x, west, east)
        columns = lookup.within(self.x, west, east)
        return columns, self.x.values[columns]

    def _outside(self, what: str) -> NoDataError:
        west, east = float(lookup.cells(self.x).min()), float(lookup.cells(self.x).max())
        south, north = float(lookup.cells(self.y).min()), float(lookup.cells(self.y).max())
        return NoDataError(
            f"{what} outside the dataset, which reaches from {west:g} to {east:g} in x and {south:g} to {north:g} in y"
        )


def _opened(
    columns: Indices, longitudes: NDArray[np.float64], mask: NDArray[np.bool_]
) -> tuple[Indices, NDArray[np.float64], NDArray[np.bool_]]:
    """Turn a full circle so that its widest empty gap is at its ends.

    A MULTIPOLYGON of two halves at the antimeridian then gives 170 to 190, not the whole circle with a hole.
    """
    used = np.flatnonzero(mask.any(axis=0))
    gaps = np.diff(np.append(used, used[0] + columns.size))
    start = int(used[(int(np.argmax(gaps)) + 1) % used.size])
    wide = int(gaps.max()) > 1 and start != used[0]
    if not wide:
        return columns, longitudes, mask
    turn = 360.0 if columns.size < 2 or longitudes[-1] > longitudes[0] else -360.0
    turned = np.concatenate([longitudes[start:], longitudes[:start] + turn])
    return np.roll(columns, -start), turned, np.roll(mask, -start, axis=1)
