"""Which cells does a query select where its CRS is not that of the rows and columns, or where there are none?

The general way, on a `Locator`: whatever the grid and the CRS of the request,

- a place takes the cell that holds it (or the linear mixture of the cells around it),
- an area takes the cells whose centre, in the CRS of the request, lies in it: where the cells lie in rows and columns
  they stay a rectangle of these in the CRS of the grid, else they are a swarm; an area that holds no centre takes the
  cell that holds its middle,
- a path takes the cells that it meets: it is followed in steps of a quarter of the distance between centres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis, AxisKind, horizontal_axis
from plugins.datacube.errors import NoDataError, TooLargeError
from plugins.datacube.locate import cells_of
from plugins.datacube.locator import Locator, OnAxes, distances, stored, turned
from plugins.datacube.lookup import Indices
from plugins.datacube.membership import bounds_of, members
from plugins.datacube.mixtures import Shares, combined, distinct, shares
from plugins.datacube.query import Area, Corridor, Cube, Interpolation, Line, Position, Query, Radius, Trajectory
from plugins.datacube.raster import Region
from plugins.datacube.reference import Reference, longitude_latitude, transform
from plugins.datacube.selection import Along, Indexer, Mixing, Points, Rectangle, Swarm, Tracks
from plugins.datacube.tracks import Way

STEP: Final = 0.25
"""Of the distance between centres: how far apart the places are at which a path is looked at."""
LOOKS: Final = 9
"""Places of a long segment at which the distance between centres is measured."""
MAXIMUM_ACROSS: Final = 256
"""Steps along each side of a box without a centre: its long side is not much longer than the globe has cells."""
MAXIMUM_STEPS: Final = 500_000
"""Places at which the path of one query is looked at."""
METRES_OF_A_DEGREE: Final = 111_195.0
OUTSIDE: Final = "outside the dataset"

type Own = Sequence[tuple[str, Axis]]


def points(query: Position, locator: Locator) -> Points:
    """Return the cells that hold the places of a position query, or mixtures of the cells around them."""
    x, y = (np.array(column, np.float64) for column in zip(*query.points, strict=True))
    if query.interpolation is Interpolation.LINEAR:
        cells, weights = locator.mix(x, y)
        known = np.flatnonzero((cells >= 0).all(axis=1))
        _expect(known, query)
        once, places = distinct([cells[known]])
        made = _points_of(locator, once[0], x[known], y[known], known)
        far = distances(locator, x[known], y[known], locator.hold(x[known], y[known]))
        return replace(made, mixing=Mixing(places, weights[known]), distances=far)
    cells = locator.hold(x, y)
    known = np.flatnonzero(cells >= 0)
    _expect(known, query)
    made = _points_of(locator, cells[known], *_centres(locator, cells[known], x[known], y[known]), known)
    return replace(made, distances=distances(locator, x[known], y[known], cells[known]))


def _centres(
    locator: Locator, cells: Indices, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centres of the cells that hold places, longitudes in the convention of these.

    A centre that has no place in the CRS of the request (a pole, in Mercator's) is given as the place itself.
    """
    centre_x, centre_y = locator.centres(cells)
    if locator.request.geographic:
        centre_x = turned(centre_x, x)
    known = np.isfinite(centre_x) & np.isfinite(centre_y)
    return np.where(known, centre_x, x), np.where(known, centre_y, y)


def _expect(known: Indices, query: Position) -> None:
    if known.size == 0:
        raise NoDataError(f"{'the point lies' if len(query.points) == 1 else 'all points lie'} {OUTSIDE}")


def _points_of(
    locator: Locator, cells: Indices, x: NDArray[np.float64], y: NDArray[np.float64], order: Indices
) -> Points:
    along = _along(locator, cells)
    return Points(
        along,
        horizontal_axis(AxisKind.Y, y, geographic=locator.request.geographic),
        horizontal_axis(AxisKind.X, x, geographic=locator.request.geographic),
        tuple(order.tolist()),
        mixing=None if along else _repeated(x.size),
    )


def _repeated(count: int) -> Mixing:
    """Return how one value, of a dataset of a single place, is given to several places."""
    return Mixing(np.zeros((count, 1), np.intp), np.ones((count, 1)))


def _along(locator: Locator, cells: Indices) -> tuple[Along, ...]:
    return tuple(Along(dim, part) for dim, part in zip(locator.dims, stored(locator, cells), strict=True))


def cells_of_area(query: Region, locator: Locator) -> tuple[Indices, NDArray[np.float64], NDArray[np.float64]]:
    """Return the cells of an area, rising, and their centres in the CRS of the request.

    Raises
    ------
    NoDataError
        If there is none.
    """
    request = locator.request
    inner, geographic = localised(query, request), request.geographic
    by_distance = isinstance(query, Radius | Corridor)
    box = bounds_of(inner, geographic=geographic or by_distance)
    # A distance is measured in degrees, whatever the CRS of the request.
    found = locator.candidates(box) if geographic or not by_distance else np.arange(math.prod(locator.shape))
    x, y = locator.centres(found)
    test_x, test_y = transform(request, longitude_latitude(), x, y) if by_distance else (x, y)
    inside = members(inner, test_x, test_y, geographic=geographic or by_distance)
    if not inside.any():
        cells = np.unique(locator.hold(*heart(query, locator)))
        cells = cells[cells >= 0]
        if cells.size == 0:
            raise NoDataError(f"the area lies {OUTSIDE}")
        return cells, *locator.centres(cells)
    if geographic:
        x = box.west + np.mod(x - box.west + 1e-9, 360.0) - 1e-9
    return found[inside], x[inside], y[inside]


def localised(query: Region, request: Reference) -> Region:
    """Return a query by distance with its places in longitude and latitude; others as they are."""
    degrees = longitude_latitude()
    if request.geographic or isinstance(query, Cube | Area):
        return query
    if isinstance(query, Radius):
        x, y = transform(request, degrees, *(np.array(column) for column in zip(*query.points, strict=True)))
        if not np.isfinite(x).all():
            raise NoDataError("a point of coords has no place on the Earth in this CRS")
        return replace(query, points=tuple(zip(x.tolist(), y.tolist(), strict=True)))
    return replace(query, lines=tuple(_degrees(line, request) for line in query.lines))


def _degrees(line: Line, request: Reference, pieces: int = 32) -> Line:
    """Return a line in degrees; it is straight in the CRS of the request, so each segment gets places between."""
    fraction = np.arange(len(line.x) * pieces - pieces + 1) / pieces
    vertex = np.arange(len(line.x), dtype=np.float64)
    x, y = transform(
        request, longitude_latitude(), np.interp(fraction, vertex, line.x), np.interp(fraction, vertex, line.y)
    )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise NoDataError("a vertex of coords has no place on the Earth in this CRS")
    x = np.unwrap(x, period=360.0)
    return replace(line, x=tuple(x.tolist()), y=tuple(y.tolist()), z=None, t=None)


def heart(query: Region, locator: Locator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places that stand for an area too small to hold a centre, in the CRS of the request.

    They are steps across all of a box, one place in a polygon, the points of circles, or steps along a corridor.
    """
    match query:
        case Area(geometry=geometry):
            inside = geometry.representative_point()
            return np.array([inside.x]), np.array([inside.y])
        case Radius(points=points):
            x, y = np.array(points, np.float64).T
            return x, y
        case Corridor(lines=lines):
            numbers = np.repeat(np.arange(len(lines)), [len(line.x) for line in lines])
            x, y = (np.array([value for line in lines for value in column(line)]) for column in (_x_of, _y_of))
            vertex, fraction = _steps(locator, x, y, numbers, ())
            return _between(x, vertex, fraction), _between(y, vertex, fraction)
    box = bounds_of(query, geographic=locator.request.geographic)
    gap_x, gap_y = locator.spacing((box.west + box.east) / 2.0, (box.south + box.north) / 2.0)
    across, up = _between_edges(box.west, box.east, gap_x), _between_edges(box.south, box.north, gap_y)
    at_y, at_x = np.meshgrid(up, across, indexing="ij")
    return at_x.ravel(), at_y.ravel()


def _between_edges(low: float, high: float, gap: float) -> NDArray[np.float64]:
    """Return places from one edge of a box to the other, in steps as along a path."""
    count = min(max(math.ceil((high - low) / (gap * STEP)), 1), MAXIMUM_ACROSS) if high > low else 0
    return np.linspace(low, high, count + 1)


def rectangle(query: Region, locator: OnAxes) -> Rectangle:
    """Return the rows and columns around the cells of an area, with a mask: the answer is in the CRS of the grid."""
    cells, _, _ = cells_of_area(query, locator)
    rows, columns = np.divmod(cells, locator.x.size)
    own_rows = np.arange(rows.min(), rows.max() + 1)
    own_columns, longitudes = _columns(locator.x, columns)
    mask = np.zeros((own_rows.size, own_columns.size), bool)
    place = np.full(locator.x.size, -1)
    place[own_columns] = np.arange(own_columns.size)
    mask[rows - own_rows[0], place[columns]] = True
    return Rectangle(
        Indexer(locator.y_dim, own_rows, locator.y.take(own_rows)),
        Indexer(locator.x_dim, own_columns, locator.x.take(own_columns, longitudes)),
        None if mask.all() else mask,
    )


def _columns(axis: Axis, columns: Indices) -> tuple[Indices, NDArray[np.float64]]:
    """Return the columns from the first to the last one, across the seam of a full circle where that is shorter."""
    used = np.unique(columns)
    values = axis.values.astype(np.float64)
    if axis.cyclic and used.size < axis.size:
        gaps = np.diff(np.append(used, used[0] + axis.size))
        start = int(used[(int(np.argmax(gaps)) + 1) % used.size])
        run = start + np.arange(axis.size - int(gaps.max()) + 1)
        turn = np.where(run >= axis.size, 360.0 if values[-1] > values[0] else -360.0, 0.0)
        return run % axis.size, values[run % axis.size] + turn
    run = np.arange(used[0], used[-1] + 1)
    return run, values[run]


def swarm(query: Region, locator: Locator) -> Swarm:
    """Return the cells of an area one by one, with their centres."""
    cells, x, y = cells_of_area(query, locator)
    return Swarm(
        _along(locator, cells),
        horizontal_axis(AxisKind.Y, y, geographic=locator.request.geographic),
        horizontal_axis(AxisKind.X, x, geographic=locator.request.geographic),
    )


def tracks(query: Trajectory, locator: Locator, own: Own) -> Tracks:
    """Return the cells that lines meet; with linear interpolation the mixtures at their vertices.

    Parameters
    ----------
    query : Trajectory
    locator : Locator
    own : sequence of (dimension, Axis)
        The time and the vertical axis, in this order, as far as each vertex has its own.
    """
    numbers = np.repeat(np.arange(len(query.lines)), [len(line.x) for line in query.lines])
    x, y = (np.array([value for line in query.lines for value in column(line)]) for column in (_x_of, _y_of))
    along = {
        AxisKind.T: np.array([t for line in query.lines for t in line.t or ()], np.int64),
        AxisKind.Z: np.array([z for line in query.lines for z in line.z or ()], np.float64),
    }
    ways = [Way(axis, along[axis.kind]) for _, axis in own]
    if query.interpolation is Interpolation.LINEAR:
        return _at_vertices(locator, x, y, numbers, own, ways)
    vertex, fraction = _steps(locator, x, y, numbers, ways)
    at_x, at_y = (_between(values, vertex, fraction) for values in (x, y))
    cells = locator.hold(at_x, at_y)
    others = [cells_of(way.axis, way.at(vertex, fraction)) for way in ways]
    line = numbers[vertex]
    states = np.stack([line, cells, *others])
    kept = np.concatenate([[True], (np.diff(states, axis=1) != 0).any(axis=0)]) & (states[1:] >= 0).all(axis=0)
    if not kept.any():
        raise NoDataError(f"the path lies {OUTSIDE}")
    centre_x, centre_y = _centres(locator, cells[kept], at_x[kept], at_y[kept])
    indexers = tuple(
        Indexer(dim, found[kept], axis.take(found[kept])) for (dim, axis), found in zip(own, others, strict=True)
    )
    along_cells = _along(locator, cells[kept])
    return Tracks(
        along_cells,
        horizontal_axis(AxisKind.Y, centre_y, geographic=locator.request.geographic),
        horizontal_axis(AxisKind.X, centre_x, geographic=locator.request.geographic),
        tuple(line[kept].tolist()),
        indexers,
        None if along_cells or indexers else _repeated(centre_x.size),
    )


def _x_of(line: Line) -> tuple[float, ...]:
    return line.x


def _y_of(line: Line) -> tuple[float, ...]:
    return line.y


def _at_vertices(
    locator: Locator,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    numbers: Indices,
    own: Own,
    ways: Sequence[Way],
) -> Tracks:
    cells, weights = locator.mix(x, y)
    along: list[Shares] = [shares(way.axis, way.values) for way in ways]
    known = (cells >= 0).all(axis=1)
    for positions, _ in along:
        known &= (positions >= 0).all(axis=1)
    if not known.any():
        raise NoDataError(f"the path lies {OUTSIDE}")
    several: list[Indices] = []
    total = weights[known]
    if along:
        parts = [(positions[known], part[known]) for positions, part in along]
        of_own, shared = combined(parts)
        k = total.shape[1]
        several = [np.repeat(part, k, axis=1) for part in of_own]
        total = (shared[:, :, None] * total[:, None, :]).reshape(shared.shape[0], -1)
        cells_of_all = np.tile(cells[known], (1, shared.shape[1]))
    else:
        cells_of_all = cells[known]
    once, places = distinct([*several, cells_of_all])
    indexers = tuple(
        Indexer(dim, positions, _at(way, known)) for (dim, _), positions, way in zip(own, once, ways, strict=False)
    )
    return Tracks(
        _along(locator, once[-1]),
        horizontal_axis(AxisKind.Y, y[known], geographic=locator.request.geographic),
        horizontal_axis(AxisKind.X, x[known], geographic=locator.request.geographic),
        tuple(numbers[known].tolist()),
        indexers,
        Mixing(places, total),
    )


def _at(way: Way, known: NDArray[np.bool_]) -> Axis:
    """Return the axis of the vertices themselves."""
    return replace(way.axis, values=way.values[known].copy(), bounds=None, cyclic=False)


def _between(values: NDArray[np.float64], vertex: Indices, fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    following = values[np.minimum(vertex + 1, values.size - 1)]
    return np.asarray(values[vertex] + (following - values[vertex]) * fraction)


def _steps(
    locator: Locator, x: NDArray[np.float64], y: NDArray[np.float64], numbers: Indices, ways: Sequence[Way]
) -> tuple[Indices, NDArray[np.float64]]:
    """Return where a path is looked at: a vertex, and the fraction of the way to the next one; in order."""
    segment = np.flatnonzero(numbers[1:] == numbers[:-1])
    lengths = np.hypot(x[segment + 1] - x[segment], y[segment + 1] - y[segment])
    gaps = np.array(
        [
            _gap(locator, (x[first], y[first]), (x[first + 1], y[first + 1]), length)
            for first, length in zip(segment.tolist(), lengths.tolist(), strict=True)
        ]
    )
    count = np.maximum(np.ceil(lengths / (gaps * STEP)), 1.0)
    for way in ways:
        step = np.abs(np.diff(way.axis.values.astype(np.float64))).min(initial=np.inf)
        moved = np.abs(np.diff(way.values.astype(np.float64)))[segment]
        count = np.maximum(count, np.ceil(moved / (step * STEP)))
    total = float(count.sum())
    if total > MAXIMUM_STEPS:
        raise TooLargeError(
            f"the path would be looked at in {total:,.0f} places, and at most {MAXIMUM_STEPS:,} are: "
            "ask for a shorter path",
            estimate={"places": int(min(total, 2**62))},
            limits={"places": MAXIMUM_STEPS},
        )
    counts = count.astype(np.intp)
    ends = np.flatnonzero(np.append(numbers[1:] != numbers[:-1], True))
    vertex = np.concatenate([np.repeat(segment, counts), ends])
    inner = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    fraction = np.concatenate([inner / np.repeat(counts, counts), np.zeros(ends.size)])
    order = np.lexsort((fraction, vertex))
    return vertex[order], fraction[order]


def _gap(locator: Locator, start: tuple[float, float], end: tuple[float, float], length: float) -> float:
    """Return the least distance between centres near a segment, in the units of the request.

    It varies along a long one: by the scale of a projection, and along parallels towards the pole.
    """
    here = min(locator.spacing(*start))
    if length <= here:
        return here
    ways = np.linspace(0.0, 1.0, LOOKS)[1:, None] * (np.array(end) - start) + start
    return min(here, *(min(locator.spacing(x, y)) for x, y in ways.tolist()))


def select(query: Query, locator: Locator, own: Own, *, native: bool) -> Points | Swarm | Rectangle:
    """Return the cells of a query.

    Parameters
    ----------
    query : Query
    locator : Locator
    own : sequence of (dimension, Axis)
        As of `tracks`.
    native : bool
        Whether an area is answered in rows and columns of the grid.
    """
    match query:
        case Position():
            return points(query, locator)
        case Trajectory():
            return tracks(query, locator, own)
        case Cube() | Area() | Radius() | Corridor():
            return rectangle(query, locator) if native and isinstance(locator, OnAxes) else swarm(query, locator)
