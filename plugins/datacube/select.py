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
- *radius*: the cells whose centre lies within the distance of one of the points; the other cells of the rectangle
  around them are missing. A circle that holds no centre selects the cell that contains its middle.
- *corridor*: the cells whose centre lies within half the width of the path, else those that it meets; the times and
  levels between the least and the greatest of the path's own, the ends by the cells that contain them.
- *trajectory*: the cells that the path meets, in its order (`plugins.datacube.tracks`).
- Longitudes of the answer are in the convention of the request, and run without a jump.
- A query in another CRS than that of the rows and columns, and any query of data that have none, goes by
  `plugins.datacube.elsewhere`; one that asks for a number of columns or rows, or for an area in another CRS, is
  answered by a raster of places (`plugins.datacube.raster`).
- *linear* interpolation applies to places, to the vertices of paths and to rasters along x and y, and to instants and
  levels that are named one by one; what is asked for as an interval stays what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import elsewhere, lookup
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.calendar import STANDARD
from plugins.datacube.datacube import Datacube, Parameter
from plugins.datacube.errors import InvalidQueryError, NoDataError, TooLargeError, UnsupportedDatasetError
from plugins.datacube.horizontal import Horizontal
from plugins.datacube.locate import cells_of
from plugins.datacube.locator import OnAxes, OnMesh
from plugins.datacube.lookup import Indices
from plugins.datacube.mixtures import along_axis
from plugins.datacube.query import (
    BaseQuery,
    Corridor,
    Interpolation,
    NumberInterval,
    NumberSelection,
    Position,
    Query,
    Radius,
    TimeInterval,
    Trajectory,
)
from plugins.datacube.raster import raster
from plugins.datacube.reference import Reference, longitude_latitude, native_reference
from plugins.datacube.selection import Group, Horizontals, Indexer, Mixing, Selection

MAXIMUM_TRAJECTORIES: Final = 1_000
"""Coverages of one answer to a trajectory query: one for each line, time, level and member."""
_LEADING: Final = (AxisKind.CUSTOM, AxisKind.T, AxisKind.Z)


def select(cube: Datacube, query: Query) -> Selection:
    """Lay a query over the axes of a datacube.

    Parameters
    ----------
    cube : Datacube
    query : Query

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
        If too many cells would have to be tested for a polygon or a circle, or a path gives too many coverages.
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
    return Selection(cube, tuple(groups), _answered_in(cube, query), query.interpolation)


def _answered_in(cube: Datacube, query: Query) -> Reference | None:
    """Return the CRS of the answer, where it is not that of the grid."""
    native = native_reference(cube)
    if query.crs is None:
        ungridded = isinstance(query, Position | Trajectory) or query.columns or query.rows
        request = longitude_latitude() if ungridded else native
    else:
        request = query.crs
    return None if request.key == native.key else request


def _refuse(cube: Datacube, query: Query) -> None:
    if cube.unsupported is not None:
        raise UnsupportedDatasetError(cube.unsupported)
    if query.datetime is not None and cube.axis(AxisKind.T) is None:
        raise InvalidQueryError("datetime", f"{cube.id} has no time axis", "a query without datetime")
    if query.z is not None and cube.axis(AxisKind.Z) is None:
        raise InvalidQueryError("z", f"{cube.id} has no vertical axis", "a query without z and without heights")
    if isinstance(query, Trajectory | Corridor):
        _refuse_vertices(cube, query)


def _refuse_vertices(cube: Datacube, query: Trajectory | Corridor) -> None:
    times, levels = cube.axis(AxisKind.T), cube.axis(AxisKind.Z)
    if query.lines[0].z is not None and levels is None:
        raise InvalidQueryError("coords", f"{cube.id} has no vertical axis", "a line without heights (Z)")
    if query.lines[0].t is None:
        return
    if times is None:
        raise InvalidQueryError("coords", f"{cube.id} has no time axis", "a line without times (M)")
    if times.calendar not in STANDARD:
        raise InvalidQueryError(
            "coords",
            f"the calendar of {cube.id} is {times.calendar}, in which seconds since 1970 are no date",
            "a line without times (M), and the parameter datetime",
        )


def _by_dimensions(cube: Datacube, query: BaseQuery) -> list[tuple[Parameter, ...]]:
    """Group the parameters asked for by their set of dimensions, in stored order."""
    groups: dict[frozenset[str], list[Parameter]] = {}
    for name in query.parameters or tuple(cube.parameters):
        parameter = cube.parameters[name]
        if _varies_in_space(cube, parameter):
            groups.setdefault(frozenset(parameter.dims), []).append(parameter)
        elif query.parameters:
            raise InvalidQueryError("parameter-name", f"{name} does not vary in space", ", ".join(cube.parameters))
    return [tuple(parameters) for parameters in groups.values()]


def _varies_in_space(cube: Datacube, parameter: Parameter) -> bool:
    if cube.mesh is not None:
        return set(cube.mesh.dims) <= set(parameter.dims)
    return {AxisKind.X, AxisKind.Y} <= {axis.kind for axis in cube.axes_of(parameter)}


def _group(cube: Datacube, query: Query, parameters: tuple[Parameter, ...]) -> Group:
    dims = set(parameters[0].dims)
    axes = {dim: axis for dim, axis in cube.axes.items() if dim in dims}
    of_vertices = _of_vertices(query)
    own = [(dim, axis) for kind in of_vertices for dim, axis in axes.items() if axis.kind is kind]
    held = [
        Indexer(dim, np.array([at]), Axis(AxisKind.CUSTOM, dim, np.zeros(1, np.int64)))
        for dim, at in cube.fixed.items()
        if dim in dims
    ]
    if len(held) != len(cube.fixed):
        raise NoDataError(f"{parameters[0].name} does not vary along {', '.join(set(cube.fixed) - dims)}")
    leading = tuple(
        _leading(dim, axis, query)
        for kind in _LEADING
        if kind not in of_vertices
        for dim, axis in axes.items()
        if axis.kind is kind
    )
    if isinstance(query, Trajectory):
        _check_number(math.prod(indexer.axis.size for indexer in leading) * len(query.lines))
    return Group(parameters, (*held, *leading), _horizontal(cube, axes, query, own))


def _horizontal(cube: Datacube, axes: Mapping[str, Axis], query: Query, own: elsewhere.Own) -> Horizontals:
    """Return the horizontal cells: by rows and columns where that can be, else place by place."""
    native = native_reference(cube)
    request = query.crs or longitude_latitude()
    gridded = not isinstance(query, Position | Trajectory)
    counted = query.columns is not None or query.rows is not None
    if cube.mesh is not None:
        on_mesh = OnMesh(cube.mesh, request)
        if counted and not isinstance(query, Position | Trajectory):
            return raster(elsewhere.localised(query, request), on_mesh, elsewhere.heart(query, on_mesh))
        return elsewhere.select(query, on_mesh, own, native=False)
    (y_dim, y), (x_dim, x) = (
        next((dim, axis) for dim, axis in axes.items() if axis.kind is kind) for kind in (AxisKind.Y, AxisKind.X)
    )
    same = request.key == native.key
    on_axes = OnAxes(y_dim, y, x_dim, x, native, request)
    if not isinstance(query, Position | Trajectory) and (counted or (query.crs is not None and not same)):
        return raster(elsewhere.localised(query, request), on_axes, elsewhere.heart(query, on_axes))
    by_distance = isinstance(query, Radius | Corridor) and not native.geographic
    by_axes = gridded or query.interpolation is Interpolation.NEAREST
    if isinstance(query, Position) and not native.geographic:
        by_axes = False  # its distance from the centre is one on the Earth
    if same and by_axes and not by_distance:
        return Horizontal(y_dim, y, x_dim, x, geographic=native.geographic).select(query, own)
    return elsewhere.select(query, on_axes, own, native=gridded)


def _of_vertices(query: Query) -> tuple[AxisKind, ...]:
    """Return the axes beside x and y along which each vertex of the query has a place of its own: t, then z."""
    if not isinstance(query, Trajectory):
        return ()
    return tuple(kind for kind, given in ((AxisKind.T, query.lines[0].t), (AxisKind.Z, query.lines[0].z)) if given)


def _check_number(coverages: int) -> None:
    if coverages > MAXIMUM_TRAJECTORIES:
        raise TooLargeError(
            f"the answer would have {coverages:,} trajectories, one for each line, time, level and member, and one "
            f"answer may have {MAXIMUM_TRAJECTORIES:,}: name fewer times, or give each vertex its time (LINESTRINGM)",
            estimate={"coverages": coverages},
            limits={"coverages": MAXIMUM_TRAJECTORIES},
        )


def _leading(dim: str, axis: Axis, query: BaseQuery) -> Indexer:
    indices = np.arange(axis.size)
    bounds = _of_corridor(axis, query)
    linear = query.interpolation is Interpolation.LINEAR
    if axis.kind is AxisKind.Z and query.levels is not None:
        return _evenly(dim, axis, query, bounds, query.levels)
    if bounds is not None:
        indices = _between(axis, *bounds)
        _expect(indices, "datetime" if axis.kind is AxisKind.T else "z", axis)
    elif axis.kind is AxisKind.T and query.datetime is not None:
        if linear and not isinstance(query.datetime, TimeInterval):
            return _interpolated(dim, axis, np.array(lookup.instants(axis, query.datetime), np.int64), "datetime")
        indices = lookup.moments(axis, query.datetime)
        _expect(indices, "datetime", axis)
    elif axis.kind is AxisKind.Z and query.z is not None:
        if linear and not isinstance(query.z, NumberInterval):
            return _interpolated(dim, axis, np.array(query.z, np.float64).reshape(-1), "z")
        indices = lookup.levels(axis, query.z)
        _expect(indices, "z", axis)
    elif axis.kind is AxisKind.CUSTOM and axis.name in query.dimensions:
        indices = lookup.members(axis, query.dimensions[axis.name])
        if indices.size == 0:
            raise InvalidQueryError(axis.name, f"{axis.name}: there is no such value", lookup.listing(axis))
    return Indexer(dim, indices, axis.take(indices))


def _interpolated(dim: str, axis: Axis, values: NDArray[Any], name: str) -> Indexer:
    """Return the two steps or levels around each value, and how to mix them."""
    indices, mixing = along_axis(axis, values)
    _expect(indices, name, axis)
    return Indexer(dim, indices, replace(axis, values=values.copy(), bounds=None), mixing)


def _evenly(
    dim: str, axis: Axis, query: BaseQuery, bounds: tuple[float | None, float | None, float] | None, count: int
) -> Indexer:
    """Return a number of levels, evenly from the lowest that is asked for to the highest (``resolution-z``).

    Each has the values of the level in whose cell it lies, or a linear mixture; several may have those of one level.
    """
    low, high = float(axis.values.min()), float(axis.values.max())
    given: NumberSelection | None = query.z
    if bounds is not None:
        given = NumberInterval(bounds[0], bounds[1])
    if isinstance(given, NumberInterval):
        low, high = low if given.low is None else given.low, high if given.high is None else given.high
    elif given is not None:
        levels = given if isinstance(given, tuple) else (given,)
        low, high = min(levels), max(levels)
    wanted = np.linspace(low, high, count) if count > 1 else np.array([(low + high) / 2.0])
    if query.interpolation is Interpolation.LINEAR:
        return _interpolated(dim, axis, wanted, "z")
    held = cells_of(axis, wanted)
    _expect(held if (held >= 0).all() else held[:0], "z", axis)
    indices, places = np.unique(held, return_inverse=True)
    mixing = Mixing(places.reshape(-1, 1).astype(np.intp), np.ones((count, 1)))
    return Indexer(dim, indices, replace(axis, values=wanted, bounds=None), mixing)


def _of_corridor(axis: Axis, query: BaseQuery) -> tuple[float | None, float | None, float] | None:
    """Return the least and the greatest time or height of a corridor, and how far it reaches beyond them."""
    if not isinstance(query, Corridor):
        return None
    times = [time for line in query.lines for time in line.t or ()]
    if axis.kind is AxisKind.T and times:
        return min(times), max(times), 0
    if axis.kind is AxisKind.Z and query.heights is not None:
        return query.heights.low, query.heights.high, query.height / 2.0
    return None


def _between(axis: Axis, low: float | None, high: float | None, beyond: float) -> Indices:
    inside = lookup.within(axis, None if low is None else low - beyond, None if high is None else high + beyond)
    ends = [lookup.cell_of(axis, end) for end in (low, high) if end is not None]
    return np.unique(np.concatenate([inside, np.array([end for end in ends if end is not None], np.intp)]))


def _expect(indices: Indices, name: str, axis: Axis) -> None:
    if indices.size == 0:
        first, last = axis.take(np.array([axis.values.argmin(), axis.values.argmax()])).texts()
        unit = f" {axis.units}" if axis.units and axis.kind is AxisKind.Z else ""
        raise NoDataError(f"no data at that {name}: the dataset reaches from {first} to {last}{unit}")
