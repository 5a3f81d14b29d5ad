"""Kernels give what NumPy gives on all rows at once, however the rows are divided."""

import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from plugins.datacube.reduce.kernel import Total, partial
from plugins.datacube.reduce.orders import Maximum, Minimum, Percentile
from plugins.datacube.reduce.sample import FEW, Sample
from plugins.datacube.reduce.sums import Count, Deviation, Mean, Sum
from plugins.datacube.reduce.thresholds import Beyond, Comparison, Excess, Hits, Share, Spell
from plugins.datacube.reduce.trends import Correlation, Slope, SlopeError

ABOVE = Beyond(Comparison.ABOVE, 1.0)


def reduced(kernel, values, labels, groups, cuts=(), weights=None, places=None):
    """Reduce rows in the parts that `cuts` make."""
    total = Total((kernel,), (groups, *values.shape[1:]))
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(values)}), len(values)]
    for start, stop in itertools.pairwise(edges):
        rows = slice(start, stop)
        of = [None if given is None else given[rows] for given in (weights, places)]
        total.take(partial((kernel,), Sample(values[rows], labels[rows], *of)))
    return total.finish()[0]


def by_group(function, values, labels, groups):
    """Apply a function to the values that are there, group by group and column by column."""
    out = np.full((groups, *values.shape[1:]), np.nan)
    for group in range(groups):
        rows = values[labels == group].astype(float)
        for place in np.ndindex(values.shape[1:]):
            column = rows[(slice(None), *place)]
            column = column[~np.isnan(column)]
            if column.size:
                out[(group, *place)] = function(column)
    return out


ORACLES = [
    (Mean(), lambda v: math.fsum(v) / v.size),
    (Sum(), math.fsum),
    (Deviation(), np.std),
    (Minimum(), np.min),
    (Maximum(), np.max),
    (Hits(ABOVE), lambda v: np.sum(v > 1.0)),
    (Share(ABOVE), lambda v: np.mean(v > 1.0)),
    (Excess(ABOVE), lambda v: np.sum(np.maximum(v - 1.0, 0.0))),
    (Excess(Beyond(Comparison.BELOW, 1.0)), lambda v: np.sum(np.maximum(1.0 - v, 0.0))),
]
values_of = npst.arrays(
    np.float32,
    st.tuples(st.integers(1, 24), st.integers(1, 3)),
    elements=st.one_of(st.floats(-1e6, 1e6, width=32), st.just(np.nan), st.just(1.0)),
)


@pytest.mark.parametrize(("kernel", "oracle"), ORACLES, ids=lambda part: type(part).__name__)
@given(values=values_of, data=st.data())
@settings(max_examples=30, deadline=None)
def test_the_answer_does_not_depend_on_the_division(kernel, oracle, values, data):
    groups = 3
    labels = np.array(data.draw(st.lists(st.integers(0, groups - 1), min_size=len(values), max_size=len(values))))
    cuts = data.draw(st.lists(st.integers(1, 24), max_size=5))
    got = reduced(kernel, values, labels, groups, cuts)
    expected = by_group(oracle, values, labels, groups)
    scale = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12 * max(scale, 1.0) * len(values))


@given(values=values_of, percent=st.floats(0, 100), data=st.data())
@settings(max_examples=60, deadline=None)
def test_percentiles_are_those_of_numpy(values, percent, data):
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(values), max_size=len(values))))
    got = reduced(Percentile(percent), values, labels, 2)
    expected = by_group(lambda column: np.percentile(column, percent), values, labels, 2)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-6)


def test_wide_and_narrow_rows_are_added_alike():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(50, FEW + 3)).astype("float32")
    labels = np.sort(rng.integers(0, 4, 50))
    wide = reduced(Mean(), values, labels, 4)
    narrow = np.concatenate([reduced(Mean(), values[:, n : n + 1], labels, 4) for n in range(FEW + 3)], axis=1)
    np.testing.assert_allclose(wide, narrow, rtol=1e-14, atol=1e-14)


def test_what_additions_between_blocks_round_off_is_kept():
    """A sum of which a naive one loses every small term."""
    values = np.full((257, 1), 1.0)
    values[0] = 1e16
    got = reduced(Sum(), values, np.zeros(257, int), 1, cuts=range(1, 257))
    assert got[0, 0] == math.fsum(values[:, 0])
    naive = values[0, 0]
    for value in values[1:, 0]:
        naive += value
    assert naive != got[0, 0]


def test_deviation_of_large_numbers_close_together():
    values = 1e9 + np.array([[0.0], [1.0], [2.0], [3.0], [7.0]])
    got = reduced(Deviation(), values, np.zeros(5, int), 1, cuts=[2, 3])
    assert got[0, 0] == pytest.approx(np.std([0, 1, 2, 3, 7]), rel=1e-12)


def test_weights():
    rng = np.random.default_rng(2)
    values, weights = rng.normal(size=(9, 2)), rng.random(9)
    values[3, 0] = np.nan
    weights[5] = 0.0
    labels = np.zeros(9, int)
    known = ~np.isnan(values[:, 0])
    for cuts in ([], [2, 4], [1, 5, 6]):
        mean = reduced(Mean(), values, labels, 1, cuts, weights=weights)
        assert mean[0, 0] == pytest.approx(np.average(values[known, 0], weights=weights[known]), rel=1e-12)
        assert mean[0, 1] == pytest.approx(np.average(values[:, 1], weights=weights), rel=1e-12)
        std = reduced(Deviation(), values, labels, 1, cuts, weights=weights)
        square = np.average((values[:, 1] - mean[0, 1]) ** 2, weights=weights)
        assert std[0, 1] == pytest.approx(np.sqrt(square), rel=1e-12)


def test_infinity_is_a_value_and_nothing_is_not():
    values = np.array([[np.inf, np.nan], [1.0, np.nan]])
    labels = np.zeros(2, int)
    assert reduced(Mean(), values, labels, 1, [1])[0].tolist()[0] == np.inf
    assert np.isnan(reduced(Mean(), values, labels, 1, [1])[0, 1])
    assert reduced(Count(), values, labels, 1, [1]).tolist() == [[2, 0]]
    assert reduced(Maximum(), values, labels, 1).tolist()[0][0] == np.inf
    weights = np.array([0.0, 1.0])
    assert reduced(Mean(), values, labels, 1, weights=weights)[0, 0] == 1.0


def test_integers_and_masks():
    values = np.ma.MaskedArray(np.array([[1], [2], [9]], "int16"), [[False], [False], [True]])
    assert reduced(Mean(), values, np.zeros(3, int), 1).tolist() == [[1.5]]
    assert reduced(Maximum(), np.array([[1], [2]]), np.zeros(2, int), 1).tolist() == [[2.0]]


def test_a_threshold_is_compared_in_the_precision_of_the_data():
    values = np.array([[0.1], [0.2]], "float32")
    at_least = Beyond(Comparison.AT_LEAST, 0.1)
    assert reduced(Hits(at_least), values, np.zeros(2, int), 1).tolist() == [[2.0]]
    assert reduced(Hits(Beyond(Comparison.ABOVE, 0.1)), values, np.zeros(2, int), 1).tolist() == [[1.0]]


def test_spells():
    hits = [0, 1, 1, 0, 1, 1, 1, np.nan, 1, 0]
    values = 2.0 * np.array(hits, "float32")[:, None]
    labels = np.array([0] * 6 + [1] * 4)
    assert reduced(Spell(ABOVE), values, labels, 2)[:, 0].tolist() == [2, 1]
    assert reduced(Spell(ABOVE), values, np.zeros(10, int), 1)[0, 0] == 3
    assert np.isnan(reduced(Spell(ABOVE), np.full((2, 1), np.nan), np.zeros(2, int), 1)[0, 0])


@given(data=st.data(), count=st.integers(2, 30))
@settings(max_examples=30, deadline=None)
def test_the_line_of_least_squares(data, count):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    x = np.sort(rng.normal(0, 40, count))
    y = 280.0 + 0.02 * x + rng.normal(0, 0.5, count)
    missing = rng.random(count) < 0.2
    y[missing] = np.nan
    cuts = data.draw(st.lists(st.integers(1, 29), max_size=4))
    labels = np.zeros(count, int)
    slope, error, r = (
        reduced(kernel, y[:, None], labels, 1, cuts, places=x)[0, 0]
        for kernel in (Slope(), SlopeError(), Correlation())
    )
    x, y = x[~missing], y[~missing]
    if x.size < 2:
        assert np.isnan(slope)
        return
    design = np.stack([x, np.ones_like(x)], axis=1)
    solved, *_ = np.linalg.lstsq(design, y, rcond=None)
    assert slope == pytest.approx(solved[0], rel=1e-6, abs=1e-9)
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-6, abs=1e-6)
    if x.size > 2:
        residual = y - design @ solved
        variance = residual @ residual / (x.size - 2) * np.linalg.inv(design.T @ design)[0, 0]
        assert error == pytest.approx(np.sqrt(variance), rel=1e-5, abs=1e-9)
    else:
        assert np.isnan(error)


@pytest.mark.parametrize("kernel", [Percentile(50.0), Spell(ABOVE)])
def test_what_needs_all_values_at_once_refuses_parts(kernel):
    with pytest.raises(TypeError, match="at once"):
        kernel.combine((), ())


@pytest.mark.parametrize(
    "kernel", [kernel for kernel, _ in ORACLES] + [Percentile(5.0), Spell(ABOVE), Slope(), Count()]
)
def test_kernels_travel(kernel):
    assert pickle.loads(pickle.dumps(kernel)) == kernel
