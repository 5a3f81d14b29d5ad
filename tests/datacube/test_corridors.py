"""Are the cells of a corridor those that a geodesic library finds beside the path, wherever it runs?"""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Geod

from plugins.datacube.corridors import cut, near_path
from plugins.datacube.errors import TooLargeError
from plugins.datacube.query import Line

SPHERE = Geod(a=6_371_008.8, b=6_371_008.8)
PLACES = st.tuples(st.floats(-200, 200), st.floats(-89, 89))


def line(*vertices: tuple[float, float]) -> Line:
    x, y = zip(*vertices, strict=True)
    return Line(x, y)


def distances(lines: list[Line], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The distance of every cell from the path, by following it in steps of a tenth of a degree."""
    lon, lat = (part.ravel() for part in np.meshgrid(x, y))
    least = np.full(lon.size, np.inf)
    for one in lines:
        for (a, b), (c, d) in itertools.pairwise(zip(one.x, one.y, strict=True)):
            steps = int(max(abs(c - a), abs(d - b)) / 0.1) + 2
            along = np.stack([np.linspace(a, c, steps), np.linspace(b, d, steps)], axis=1)
            vectors = unit(along)
            cells = unit(np.stack([lon, lat], axis=1))
            chord = np.sqrt(np.maximum(2 - 2 * (cells @ vectors.T).max(axis=1), 0))
            least = np.minimum(least, 2 * np.arcsin(np.minimum(chord / 2, 1)) * 6_371_008.8)
    return least.reshape(y.size, x.size)


def unit(places: np.ndarray) -> np.ndarray:
    lon, lat = np.radians(places).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


@settings(deadline=None, max_examples=25)
@given(st.lists(PLACES, min_size=2, max_size=4), st.floats(2e5, 5e6), st.sampled_from([-180.0, 0.0, 37.0]))
@example([(170.0, 10.0), (190.0, -10.0)], 1e6, -180.0)
@example([(0.0, 80.0), (0.0, 89.0), (170.0, 89.0)], 5e5, 0.0)
@example([(-180.0, -88.0), (180.0, -88.0)], 3e5, 0.0)
@example([(12.0, 12.0), (12.0, 12.0)], 8e5, 0.0)
@example([(0.0, 0.0), (0.0, 89.0)], 3e6, 0.0)
def test_the_cells_beside_a_path(vertices: list[tuple[float, float]], distance: float, first: float) -> None:
    x, y = np.arange(first, first + 360, 10.0), np.arange(-90, 91, 7.5)
    lines = [line(*vertices)]
    found = near_path(cut(lines), distance, x, y)
    away = distances(lines, x, y)
    sure = np.abs(away - distance) > 6000.0
    assert (found == (away <= distance))[sure].all()


@settings(deadline=None, max_examples=25)
@given(st.lists(PLACES, min_size=2, max_size=3), st.floats(1e5, 3e6))
@example([(0.0, 60.0), (90.0, 60.0)], 3e6)
def test_no_cell_beside_a_path_is_out_of_reach(vertices: list[tuple[float, float]], distance: float) -> None:
    x, y = np.arange(-180.0, 180, 10.0), np.arange(-90, 91, 7.5)
    pieces = cut([line(*vertices)])
    west, south, east, north = pieces.reaches(distance)
    mask = near_path(pieces, distance, x, y)
    rows, columns = np.nonzero(mask)
    assert (y[rows] >= south - 1e-6).all()
    assert (y[rows] <= north + 1e-6).all()
    assert (np.mod(x[columns] - west + 1e-6, 360) <= east - west + 2e-6).all()


def test_the_width_is_measured_across_the_path() -> None:
    # 60 nautical miles are a degree, but for the size of this sphere.
    degree = 6_371_008.8 * np.pi / 180
    x, y = np.arange(-5.0, 16), np.arange(-5.0, 6)
    mask = near_path(cut([line((0, 0), (10, 0))]), 2.001 * degree, x, y)
    assert np.flatnonzero(mask[:, 10]).tolist() == [3, 4, 5, 6, 7]
    assert np.flatnonzero(mask[5]).tolist() == list(range(3, 18))
    assert not mask[3, 3]  # the ends are round


def test_the_path_is_straight_in_degrees() -> None:
    x, y = np.array([45.0]), np.array([60.0, 69.0])
    # A great circle from 0 to 90 degrees along 60 north would run through 68 north.
    assert near_path(cut([line((0, 60), (90, 60))]), 1e4, x, y).tolist() == [[True], [False]]


def test_lines_of_their_own_are_not_joined() -> None:
    lines = [line((0, 0), (10, 0)), line((30, 0), (40, 0))]
    x = np.arange(0.0, 41, 5)
    assert near_path(cut(lines), 1e5, x, np.array([0.0])).tolist() == [[1, 1, 1, 0, 0, 0, 1, 1, 1]]
    # Each of them has a round end.
    assert near_path(cut(lines), 6e5, x, np.array([0.0])).tolist() == [[1, 1, 1, 1, 0, 1, 1, 1, 1]]


def test_a_path_of_no_end_is_refused() -> None:
    zigzag = line(*(((-1.0) ** i * 179, (-1.0) ** i * 80) for i in range(100)))
    with pytest.raises(TooLargeError) as caught:
        cut([zigzag])
    assert caught.value.estimate["pieces"] > caught.value.limits["pieces"]
    pieces = cut([line(*(((-1.0) ** i * 10, 0.0) for i in range(200)))])
    with pytest.raises(TooLargeError):
        near_path(pieces, 1e7, np.arange(0, 360, 0.1), np.arange(-90, 90, 0.1))
