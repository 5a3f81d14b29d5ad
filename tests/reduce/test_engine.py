"""Reductions of a stored cube are those of xarray and NumPy on the whole array, however it is stored and divided."""

from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.datacube.cancel import Cancel
from plugins.datacube.errors import CancelledError, InvalidQueryError, NoDataError, TooLargeError
from plugins.datacube.limits import Limits
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import plan_query
from plugins.datacube.reduce import reduction
from plugins.datacube.reduce import tiles as tiling
from plugins.datacube.reduce.answer import answer, describe
from plugins.datacube.reduce.engine import reduce
from plugins.datacube.reduce.orders import Maximum, Percentile
from plugins.datacube.reduce.periods import Cycle, Period, by_cycle, by_period
from plugins.datacube.reduce.reduction import First, Rows, Statistic, lay_reduction
from plugins.datacube.reduce.sums import Count, Mean, Sum

WORLD = {"bbox": "0,-90,359,90"}
CHUNKS = [(1, 90, 3, 4), (3, 1, 6, 8), (2, 7, 4, 8), (3, 90, 6, 8)]
ROOMY = Limits(bytes_decoded=2**40, chunks=10**9)


def statistic(kernel, name):
    return Statistic(kernel, partial(describe, suffix=name, label=name))


def run(opened, rows_of, *statistics, raw=None, limits=ROOMY, kind="cube", cancel=None, least_share=0.0, named=True):
    raw = {"parameter-name": "t2m", **(WORLD if raw is None else raw)}
    plan = plan_query(opened.cube, parse_query(kind, raw, opened.cube))
    laid = lay_reduction(plan, rows_of, statistics, limits, named=named, least_share=least_share)
    coverages = answer(laid, reduce(opened, laid, cancel or Cancel()))
    return laid, coverages


def along_time(layout, make=by_period, groups=Period.MONTH):
    number = layout.time()
    if number is None:
        return None
    found = make(layout.leading[number].axis, groups)
    return Rows((number,), found.axis, found.labels)


def exact(truth):
    return truth["t2m"].astype("float64")


@pytest.mark.parametrize("chunks", CHUNKS)
def test_monthly_values(stored, truth, chunks):
    _, (got,) = run(stored(*chunks), along_time, statistic(Mean(), "mean"), statistic(Maximum(), "max"))
    months = exact(truth).resample(time="MS")
    assert [axis.size for axis in got.axes] == [3, 2, 6, 8]
    assert got.axes[1].texts() == ["2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z"]
    np.testing.assert_allclose(got.ranges["t2m_mean"], months.mean().transpose(*got_dims()).values, rtol=1e-7)
    np.testing.assert_array_equal(got.ranges["t2m_max"], months.max().transpose(*got_dims()).values.astype("f4"))
    assert got.ranges["t2m_mean"].dtype == np.float32
    assert np.isnan(got.ranges["t2m_mean"][:, :, 2, 3]).all()


def got_dims():
    return "number", "time", "latitude", "longitude"


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")  # of the oracle
@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("kernel", [Mean(), Percentile(90.0)], ids=["mean", "p90"])
def test_by_the_hour(stored, truth, chunks, kernel):
    """Groups that do not follow each other."""
    rows_of = partial(along_time, make=by_cycle, groups=Cycle.HOUR)
    _, (got,) = run(stored(*chunks), rows_of, statistic(kernel, "x"))
    hours = exact(truth).groupby("time.hour")
    expected = hours.mean() if isinstance(kernel, Mean) else hours.quantile(0.9, skipna=True)
    assert got.axes[1].name == "hour"
    assert got.axes[1].values.tolist() == [0, 6, 12, 18]
    expected = expected.transpose("number", "hour", "latitude", "longitude").values
    np.testing.assert_allclose(got.ranges["t2m_x"], expected, rtol=1e-6)


@given(
    block=st.integers(6_000, 40_000),
    memory=st.integers(4_000, 60_000),
    chunks=st.sampled_from(CHUNKS),
    case=st.sampled_from(["period", "cycle", "daily", "whole"]),
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_the_answer_does_not_depend_on_the_blocks(stored, truth, monkeypatch, block, memory, chunks, case):
    monkeypatch.setattr(tiling.tiles, "__defaults__", (block,))
    rows_of, kernel = along_time, Mean()
    if case == "cycle":
        rows_of = partial(along_time, make=by_cycle, groups=Cycle.HOUR)
    elif case == "daily":
        rows_of = daily
    elif case == "whole":
        kernel = Percentile(30.0)
    monkeypatch.setattr(reduction, "MOST_MEMORY", memory)
    _, (got,) = run(stored(*chunks), rows_of, statistic(kernel, "x"))
    monkeypatch.undo()
    _, (plain,) = run(stored(3, 90, 6, 8), rows_of, statistic(kernel, "x"))
    np.testing.assert_allclose(got.ranges["t2m_x"], plain.ranges["t2m_x"], rtol=2e-7)


def daily(layout):
    number = layout.time()
    days = by_period(layout.leading[number].axis, Period.DAY)
    months = by_period(days.axis, Period.MONTH)
    return Rows((number,), months.axis, months.labels, first=First(Maximum(), days.labels))


@pytest.mark.parametrize("chunks", CHUNKS)
def test_means_of_daily_maxima(stored, truth, chunks):
    _, (got,) = run(stored(*chunks), daily, statistic(Mean(), "mean"))
    expected = exact(truth).resample(time="1D").max().resample(time="MS").mean().transpose(*got_dims())
    np.testing.assert_allclose(got.ranges["t2m_mean"], expected.values, rtol=1e-7)


def over_members(layout):
    return Rows((0,), None, np.zeros(layout.shape[0], int))


@pytest.mark.parametrize("chunks", CHUNKS)
def test_over_the_members(stored, truth, chunks):
    _, (got,) = run(stored(*chunks), over_members, statistic(Mean(), "mean"), statistic(Count(), "count"))
    assert [axis.kind.value for axis in got.axes] == ["t", "y", "x"]
    np.testing.assert_allclose(got.ranges["t2m_mean"], exact(truth).mean("number").values, rtol=1e-7)
    np.testing.assert_array_equal(got.ranges["t2m_count"], exact(truth).count("number").values)


def test_points_in_the_order_of_the_query(stored, truth):
    raw = {"coords": "MULTIPOINT((90 10),(0 50),(91 11),(-45 -50))"}
    _, got = run(stored(2, 7, 4, 8), along_time, statistic(Mean(), "mean"), raw=raw, kind="position")
    places = [(10, 90), (50, 0), (10, 90), (-50, 315)]
    assert len(got) == 4
    for coverage, (latitude, longitude) in zip(got, places, strict=True):
        series = exact(truth).sel(latitude=latitude, longitude=longitude).resample(time="MS").mean()
        values = coverage.ranges["t2m_mean"][..., 0, 0]
        np.testing.assert_allclose(values, series.transpose("number", "time").values, rtol=1e-7)


def test_a_polygon_keeps_its_mask(stored):
    opened = stored(2, 7, 4, 8)
    raw = {"coords": "POLYGON((-10 -60,100 -60,-10 60,-10 -60))", "parameter-name": "t2m"}
    _, (got,) = run(opened, along_time, statistic(Mean(), "mean"), raw=raw, kind="area")
    mask = plan_query(opened.cube, parse_query("area", raw, opened.cube)).selection.groups[0].horizontal.mask
    assert not mask.all()
    assert np.isnan(got.ranges["t2m_mean"][..., ~mask]).all()
    assert np.isfinite(got.ranges["t2m_mean"][..., mask]).any()


def test_integers_with_missing_values(stored, truth):
    _, (got,) = run(stored(2, 7, 4, 8), along_time, statistic(Sum(), "sum"), raw={**WORLD, "parameter-name": "days"})
    values = truth["days"].where(truth["days"] != 8).astype("float64")
    np.testing.assert_array_equal(got.ranges["days_sum"], values.resample(time="MS").sum().values)
    assert got.ranges["days_sum"].dtype == np.float64


def test_too_few_values_are_missing(stored, truth):
    counted = Statistic(Count(), partial(describe, suffix="count", label="count", dtype="int32"))
    _, (got,) = run(stored(2, 7, 4, 8), along_time, statistic(Mean(), "mean"), counted, least_share=0.95)
    months = exact(truth).resample(time="MS")
    sizes = np.array([40, 50])[None, :, None, None]
    few = months.count().transpose(*got_dims()).values < 0.95 * sizes
    assert few.any()
    assert not few.all()
    np.testing.assert_array_equal(np.isnan(got.ranges["t2m_mean"]), few)
    assert (got.ranges["t2m_count"][few] >= 0).all()


def test_the_cost_is_that_of_the_blocks_and_is_refused_before_reading(stored):
    opened = stored(3, 1, 6, 8)
    laid, _ = run(opened, along_time, statistic(Mean(), "mean"))
    assert laid.cost.chunks == 90
    assert laid.cost.bytes_decoded == 90 * 3 * 6 * 8 * 4
    assert laid.cost.values == 3 * 2 * 6 * 8
    with pytest.raises(TooLargeError) as caught:
        run(opened, along_time, statistic(Mean(), "mean"), limits=Limits(chunks=89))
    assert (caught.value.estimate["chunks"], caught.value.limits["chunks"]) == (90, 89)
    with pytest.raises(TooLargeError):
        run(opened, along_time, statistic(Mean(), "mean"), limits=Limits(values=10))


def test_chunks_that_do_not_fit_are_paid_for_each_time(stored):
    """A percentile of all times from maps: each part of the map reads all maps again."""
    rows_of = partial(along_time, groups=Period.ALL)
    whole, (one,) = run(stored(3, 1, 6, 8), rows_of, statistic(Percentile(50.0), "x"))
    small = Limits(bytes_decoded=2**40, chunks=10**9, bytes_out=20_000)
    parts, (other,) = run(stored(3, 1, 6, 8), rows_of, statistic(Percentile(50.0), "x"), limits=small)
    assert parts.cost.chunks > whole.cost.chunks == 90
    np.testing.assert_array_equal(one.ranges["t2m_x"], other.ranges["t2m_x"])


def test_work_stops_between_blocks(stored, monkeypatch):
    monkeypatch.setattr(tiling.tiles, "__defaults__", (64,))
    opened, cancel, seen = stored(3, 1, 6, 8), Cancel(), []
    plan = plan_query(opened.cube, parse_query("cube", {**WORLD, "parameter-name": "t2m"}, opened.cube))
    laid = lay_reduction(plan, along_time, [statistic(Mean(), "mean")], ROOMY, named=True)

    def progress(done):
        seen.append(done)
        if len(seen) == 3:
            cancel.cancel()

    with pytest.raises(CancelledError):
        reduce(opened, laid, cancel, progress)
    assert len(seen) == 3
    assert seen == sorted(seen)
    assert 0 < seen[-1] < 1


def test_parameters_that_cannot_be_reduced(stored):
    opened, raw = stored(2, 7, 4, 8), {**WORLD, "parameter-name": "t2m,days"}
    with pytest.raises(InvalidQueryError, match="days cannot be reduced"):
        run(opened, only_members, statistic(Mean(), "mean"), raw=raw)
    _, coverages = run(opened, only_members, statistic(Mean(), "mean"), raw=raw, named=False)
    assert [list(coverage.ranges) for coverage in coverages] == [["t2m_mean"]]
    with pytest.raises(NoDataError):
        run(opened, lambda layout: None, statistic(Mean(), "mean"), named=False)


def only_members(layout):
    return over_members(layout) if len(layout.leading) == 2 else None
