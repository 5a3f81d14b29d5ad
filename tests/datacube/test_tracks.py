"""Are the samples of a path the cells that it meets, in order? Clipping it with every single cell tells."""

import itertools

import numpy as np
import pytest
import shapely

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.errors import TooLargeError
from plugins.datacube.tracks import Met, Way, cells_met

HOUR = 3_600_000_000


def lat(values: object) -> Axis:
    return Axis(AxisKind.Y, "lat", np.array(values, float), units="degrees_north")


def lon(values: object, **more: object) -> Axis:
    return Axis(AxisKind.X, "lon", np.array(values, float), units="degrees_east", **more)


COARSE = (lat(np.arange(90, -91, -15.0)), lon(np.arange(0, 360, 20.0), cyclic=True))
TIME = Axis(AxisKind.T, "time", np.arange(6) * 6 * HOUR)
LEVEL = Axis(AxisKind.Z, "level", np.array([1000.0, 850, 500, 250]))


def follow(axes: tuple[Axis, ...], vertices: np.ndarray, lines: list[int] | None = None) -> Met:
    """Follow vertices of shape (n, axes): y, x, and what else the axes are."""
    columns = [
        column.astype(np.int64) if axis.kind is AxisKind.T else column.astype(float)
        for axis, column in zip(axes, vertices.T, strict=True)
    ]
    ways = [Way(axis, column, circular=axis.kind is AxisKind.X) for axis, column in zip(axes, columns, strict=True)]
    return cells_met(ways, np.array(lines or [0] * len(vertices)))


def clipped(axes: tuple[Axis, ...], start: np.ndarray, end: np.ndarray) -> list[tuple[int, ...]]:
    """Every cell that a straight line crosses, by clipping the line with each cell of each axis (Liang and Barsky)."""
    inside: list[list[tuple[int, float, float]]] = []
    for axis, a, b in zip(axes, start.tolist(), end.tolist(), strict=True):
        found = []
        turns = range(-3, 4) if axis.kind is AxisKind.X else (0,)
        for (index, (low, high)), turn in itertools.product(enumerate(axis.cells.tolist()), turns):
            low, high = low + 360 * turn, high + 360 * turn
            if a == b:
                if low <= a <= high:
                    found.append((index, 0.0, 1.0))
                continue
            ends = sorted(((low - a) / (b - a), (high - a) / (b - a)))
            if ends[0] < 1 and ends[1] > 0:
                found.append((index, max(ends[0], 0.0), min(ends[1], 1.0)))
        inside.append(found)
    met = []
    for combination in itertools.product(*inside):
        first, last = max(c[1] for c in combination), min(c[2] for c in combination)
        if last - first > 1e-9:
            met.append((first, tuple(c[0] for c in combination)))
    return [cell for _, cell in sorted(met)]


def all_clipped(axes: tuple[Axis, ...], vertices: np.ndarray) -> list[tuple[int, ...]]:
    every = [cell for a, b in itertools.pairwise(vertices) for cell in clipped(axes, a, b)]
    return [cell for cell, _ in itertools.groupby(every)]


def cells(met: Met) -> list[tuple[int, ...]]:
    return list(zip(*(indices.tolist() for indices in met.indices), strict=True))


@pytest.mark.parametrize("others", [(), (TIME,), (LEVEL,), (TIME, LEVEL)], ids=len)
@pytest.mark.parametrize("seed", range(12))
def test_random_paths(others: tuple[Axis, ...], seed: int) -> None:
    random = np.random.default_rng(seed)
    ranges = {AxisKind.T: (0, 30 * HOUR), AxisKind.Z: (250, 1000)}
    low = [-90, -400, *(ranges[axis.kind][0] for axis in others)]
    high = [90, 500, *(ranges[axis.kind][1] for axis in others)]
    vertices = random.uniform(low, high, (random.integers(2, 6), len(low)))
    if others and others[0] is TIME:
        vertices[:, 2] = np.rint(vertices[:, 2])
    axes = (*COARSE, *others)
    met = follow(axes, vertices)
    assert cells(met) == all_clipped(axes, vertices)
    # The centres are those of the cells, in the convention of the path.
    stored = COARSE[1].values[met.indices[1]]
    assert (np.mod(met.centres[1] - stored, 360) == 0).all()
    steps = np.abs(np.diff(met.centres[1]))
    assert (steps <= 20.0).all()


@pytest.mark.parametrize("seed", range(8))
def test_shapely_finds_the_same_cells_in_the_same_order(seed: int) -> None:
    axes = (lat([-5, 0, 2, 7, 15]), lon([10.0, 12, 15, 25]))
    random = np.random.default_rng(seed)
    start, end = random.uniform([-20, 0], [30, 40], (2, 2))
    line = shapely.LineString([start[::-1], end[::-1]])
    expected = []
    for (i, (south, north)), (j, (west, east)) in itertools.product(
        enumerate(axes[0].cells.tolist()), enumerate(axes[1].cells.tolist())
    ):
        part = shapely.intersection(line, shapely.box(west, south, east, north))
        if part.length > 1e-9:
            expected.append((line.project(part.centroid), (i, j)))
    assert cells(follow(axes, np.array([start, end]))) == [cell for _, cell in sorted(expected)]


def test_each_vertex_is_in_the_cell_of_a_position_query() -> None:
    # All of them lie on edges: of equally near cells the first in stored order.
    met = follow(COARSE, np.array([[7.5, 10.0], [7.5, 50.0]]))
    assert cells(met) == [(5, 0), (5, 1), (5, 2)]
    assert cells(follow(COARSE, np.array([[7.5, 50.0], [7.5, 10.0]]))) == [(5, 2), (5, 1), (5, 0)]


def test_a_path_through_corners_meets_no_cell_beside_it() -> None:
    axes = (lat(np.arange(0, 60, 1.0)), lon(np.arange(0, 120, 3.0)))
    met = follow(axes, np.array([[0.0, 0.0], [39.0, 117.0]]))
    assert cells(met) == [(i, i) for i in range(40)]


def test_a_path_at_anchor_has_a_sample_for_each_time() -> None:
    axes = (*COARSE, TIME)
    met = follow(axes, np.array([[1.0, 1.0, 0], [1.0, 1.0, 30 * HOUR]]))
    assert cells(met) == [(6, 0, step) for step in range(6)]
    still = follow(COARSE, np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    assert cells(still) == [(6, 0)]


def test_there_and_back_again() -> None:
    met = follow(COARSE, np.array([[0.0, 0.0], [0.0, 45.0], [0.0, 0.0]]))
    assert cells(met) == [(6, 0), (6, 1), (6, 2), (6, 1), (6, 0)]


def test_what_lies_outside_is_left_out_and_a_return_is_a_new_sample() -> None:
    axes = (lat([0, 1, 2]), lon([0, 1, 2]))
    met = follow(axes, np.array([[1.0, 1.0], [1.0, 10.0], [1.0, 2.0], [50.0, 2.0]]))
    assert cells(met) == [(1, 1), (1, 2), (1, 2), (2, 2)]
    assert cells(follow(axes, np.array([[50.0, 1.0], [60.0, 1.0]]))) == []
    late = follow((*axes, TIME), np.array([[1.0, 1.0, 100 * HOUR], [2.0, 2.0, 200 * HOUR]]))
    assert cells(late) == []


def test_the_antimeridian_and_the_poles() -> None:
    met = follow(COARSE, np.array([[0.0, 165.0], [0.0, 205.0]]))
    assert met.centres[1].tolist() == [160.0, 180.0, 200.0]
    west = follow(COARSE, np.array([[0.0, -165.0], [0.0, -205.0]]))
    assert west.centres[1].tolist() == [-160.0, -180.0, -200.0]
    assert west.indices[1].tolist() == [10, 9, 8]
    pole = follow(COARSE, np.array([[70.0, 0.0], [90.0, 0.0], [90.0, 25.0]]))
    assert cells(pole) == [(1, 0), (0, 0), (0, 1)]


def test_lines_are_not_joined() -> None:
    met = follow(COARSE, np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 20.0], [0.0, 40.0]]), [0, 0, 1, 1])
    assert met.line.tolist() == [0, 0, 1, 1]
    assert cells(met) == [(6, 0), (6, 1), (6, 1), (6, 2)]


def test_a_path_of_no_end_is_refused_before_it_is_followed() -> None:
    axes = (lat(np.linspace(-90, 90, 18001)), lon(np.arange(0, 360, 0.01), cyclic=True))
    zigzag = np.array([[(-1) ** i * 89.0, (-1) ** i * 500.0] for i in range(2000)])
    with pytest.raises(TooLargeError) as caught:
        follow(axes, zigzag)
    assert caught.value.estimate["crossings"] > caught.value.limits["crossings"]
