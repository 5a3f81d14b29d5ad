"""Does the scan-line test agree with GEOS point by point, and stay quick where GEOS does not?"""

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from plugins.datacube.cover import covered

X = np.arange(-12.0, 13.0)
Y = np.arange(9.0, -10.0, -1.0)
WHOLE = st.integers(-11, 11)


def by_geos(geometry: shapely.Geometry, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array([[geometry.covers(shapely.Point(i, j)) for i in x] for j in y])


# Whole numbers put many grid points exactly on edges and vertices.
@given(st.lists(st.tuples(WHOLE, WHOLE), min_size=3, max_size=8, unique=True))
def test_polygons_whose_corners_are_grid_points(corners: list[tuple[int, int]]) -> None:
    polygon = shapely.Polygon(corners)
    assume(polygon.is_valid)
    mask = covered(polygon, X, Y)
    # Exactly where rounding cannot matter; on slanted edges GEOS may call a point outside that is 1e-14 away.
    exact = by_geos(polygon, X, Y)
    for row, column in zip(*np.nonzero(mask != exact), strict=True):
        assert mask[row, column]
        assert polygon.distance(shapely.Point(X[column], Y[row])) < 1e-12


@given(st.lists(st.tuples(st.floats(-12, 12), st.floats(-9, 9)), min_size=3, max_size=12, unique=True))
def test_any_polygon_is_as_in_geos_away_from_its_edges(corners: list[tuple[float, float]]) -> None:
    polygon = shapely.convex_hull(shapely.MultiPoint(corners))
    assume(isinstance(polygon, shapely.Polygon) and polygon.is_valid)
    mask = covered(polygon, X, Y)
    for row, column in zip(*np.nonzero(mask != by_geos(polygon, X, Y)), strict=True):
        assert polygon.boundary.distance(shapely.Point(X[column], Y[row])) < 2e-9


def test_holes_parts_and_descending_columns() -> None:
    shape = shapely.union_all(
        [shapely.box(-10, -8, 3, 8) - shapely.box(-6, -3, 0, 3), shapely.box(5.5, -8, 7.5, 2), shapely.box(9, 0, 11, 1)]
    )
    exact = by_geos(shape, X, Y)
    assert (covered(shape, X, Y) == exact).all()
    assert (covered(shape, X[::-1], Y) == exact[:, ::-1]).all()
    assert (covered(shape, X, Y[::-1]) == exact[::-1]).all()
    assert exact.sum() not in (0, exact.size)


@pytest.mark.parametrize("nudge", [0.0, 1e-12, -1e-12])
def test_centres_on_the_boundary_but_for_rounding(nudge: float) -> None:
    # 90 - 0.1 * 399 is 50.10000000000001, and people write 50.1.
    mask = covered(shapely.box(-1, 49.9, 1, 50.1 + nudge), np.array([-1.0, 1.0]), 90 - 0.1 * np.arange(398, 403))
    assert mask.all(axis=1).tolist() == [False, True, True, True, False]


def test_a_comb_that_takes_geos_a_minute() -> None:
    teeth = 2000
    x = np.linspace(-80, 80, teeth)
    up = np.where(np.arange(teeth) % 2, 80.0, -80.0)
    comb = shapely.Polygon(np.vstack([np.c_[x, up], np.c_[x[::-1], up[::-1] - 0.01]]))
    columns, rows = np.arange(-180, 180, 0.25), np.arange(90, -90.1, -0.25)
    mask = covered(comb, columns, rows)
    some = np.random.default_rng(0).choice(mask.size, 200)
    i, j = np.unravel_index(some, mask.shape)
    assert (mask[i, j] == shapely.intersects_xy(comb, columns[j], rows[i])).all()
