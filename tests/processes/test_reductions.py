"""The processes that reduce: the same numbers as xarray on the whole array, in the calendar of the data."""

import csv
import io
import json
import warnings
import zipfile

import numpy as np
import pytest
import shapely
import xarray as xr

from plugins.datacube.cancel import Cancel
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import CancelledError, InvalidQueryError, NoDataError, TooLargeError
from plugins.datacube.limits import Limits
from plugins.formats.table import FORMATS
from plugins.processes import zonal_statistics
from plugins.processes.context import ProcessContext
from plugins.processes.registry import PROCESSES, execute, prepare

YEARS = 3
BOX = shapely.box(0, 40, 9, 50)
BOW_TIE = shapely.Polygon([(0, 40), (9, 50), (9, 40), (0, 50)])


@pytest.fixture(scope="module")
def members():
    """Six-hourly temperatures of 3 members over 70 days, a tenth missing."""
    rng = np.random.default_rng(3)
    shape = (3, 280, 4, 6)
    values = (278 + 6 * rng.standard_normal(shape)).astype("float32")
    values[rng.random(shape) < 0.1] = np.nan
    rain = rng.gamma(0.3, 1e-3, shape[1:]).astype("float32")
    times = np.datetime64("2019-12-15T06", "ns") + np.arange(280) * np.timedelta64(6, "h")
    return xr.Dataset(
        {
            "t2m": (("number", "time", "latitude", "longitude"), values, {"units": "degC", "long_name": "Temperature"}),
            "tp": (("time", "latitude", "longitude"), rain, {"units": "m"}),
        },
        coords={
            "number": ("number", [0, 1, 2], {"standard_name": "realization"}),
            "time": times,
            "latitude": ("latitude", [60.0, 50.0, 40.0, 30.0], {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(6) * 10.0, {"units": "degrees_east"}),
        },
    )


@pytest.fixture(scope="module")
def calendar():
    """Daily values of years of 360 days."""
    times = xr.date_range("2000-01-01", periods=360 * YEARS, freq="D", calendar="360_day", use_cftime=True)
    values = np.random.default_rng(5).normal(280, 5, (360 * YEARS, 2, 3)) + np.arange(360 * YEARS)[:, None, None] / 100
    axes = {"time": times, "latitude": ("latitude", [10.0, 0.0], {"units": "degrees_north"})}
    axes["longitude"] = ("longitude", [0.0, 10.0, 20.0], {"units": "degrees_east"})
    return xr.Dataset({"tas": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords=axes)


@pytest.fixture(scope="module")
def served(members, calendar, tmp_path_factory):
    root = tmp_path_factory.mktemp("reductions")
    chunks = {"t2m": {"chunks": (2, 50, 3, 4)}, "tp": {"chunks": (50, 3, 4)}}
    members.to_zarr(root / "members.zarr", zarr_format=3, consolidated=False, encoding=chunks)
    calendar.to_zarr(
        root / "calendar.zarr", zarr_format=3, consolidated=False, encoding={"tas": {"chunks": (100, 2, 2)}}
    )
    ids = ("members", "calendar")
    return ProcessContext(tuple(DatasetDefinition(name, str(root / f"{name}.zarr")) for name in ids))


@pytest.fixture
def run(served, tmp_path):
    def go(process, **inputs):
        outcome = execute(
            process, {name.replace("_", "-"): value for name, value in inputs.items()}, served, tmp_path, quiet
        )
        if outcome.path.suffix != ".nc":
            return outcome
        with xr.open_dataset(outcome.path, engine="netcdf4") as file:
            return file.load()

    return go


def quiet(fraction, message=None):
    pass


def exact(data, *order):
    return data.astype("float64").transpose(*order).values


def test_daily_means_and_extremes(run, members):
    names = ["mean", "min", "max", "std", "count"]
    got = run("temporal-aggregation", collection="members", period="day", statistics=names, parameter_name="t2m")
    days = members["t2m"].astype("float64").resample(time="1D")
    order = ("number", "time", "latitude", "longitude")
    np.testing.assert_allclose(got["t2m_mean"], exact(days.mean(), *order), rtol=1e-6)
    np.testing.assert_allclose(got["t2m_std"], exact(days.std(), *order), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(got["t2m_min"], exact(days.min(), *order).astype("float32"))
    np.testing.assert_array_equal(got["t2m_count"], exact(days.count(), *order))
    np.testing.assert_array_equal(got["time"].values, days.mean()["time"].values)
    assert got["time"].attrs["bounds"] == "time_bnds"
    assert (got["time_bnds"].values[0] == np.array(["2019-12-15", "2019-12-16"], "datetime64[ns]")).all()
    assert got["t2m_mean"].attrs["cell_methods"] == "time: mean"
    assert got["t2m_std"].attrs["units"] == "K"
    assert got["t2m_mean"].attrs["units"] == "degC"
    assert got["t2m_count"].dtype.kind == "i"


def test_the_day_that_ends_and_the_day_elsewhere(run, members):
    shifted = members["tp"].astype("float64")
    ends = run("temporal-aggregation", collection="members", period="day", statistics="sum", parameter_name="tp",
               time_stamp="end")  # fmt: skip
    by_end = shifted.assign_coords(time=members["time"] - np.timedelta64(1, "ns")).resample(time="1D").sum()
    np.testing.assert_allclose(ends["tp_sum"], by_end.values, rtol=1e-12)
    assert ends["tp_sum"].dtype == np.float64
    east = run("temporal-aggregation", collection="members", period="day", statistics="sum", parameter_name="tp",
               utc_offset=5.5)  # fmt: skip
    by_local = shifted.assign_coords(time=members["time"] + np.timedelta64(330, "m")).resample(time="1D").sum()
    np.testing.assert_allclose(east["tp_sum"], by_local.values, rtol=1e-12)
    assert east["time"].values[0] == np.datetime64("2019-12-14T18:30")


def test_the_wettest_day_of_each_month(run, members):
    got = run("temporal-aggregation", collection="members", period="month", statistics="max", daily="sum",
              parameter_name="tp")  # fmt: skip
    expected = members["tp"].astype("float64").resample(time="1D").sum().resample(time="MS").max()
    np.testing.assert_allclose(got["tp_max"], expected.values, rtol=1e-6)


def test_months_seasons_and_years_of_360_days(run, calendar):
    for period, frequency in (("month", "MS"), ("season", "QS-DEC"), ("year", "YS")):
        got = run("temporal-aggregation", collection="calendar", period=period)
        expected = calendar["tas"].resample(time=frequency).mean()
        np.testing.assert_allclose(got["tas_mean"], expected.values, rtol=1e-12)
        assert got["time"].values.tolist() == expected["time"].values.tolist()
        assert got["time"].encoding["calendar"] == "360_day"
    lengths = got["time_bnds"].values[:, 1] - got["time_bnds"].values[:, 0]
    assert {length.days for length in lengths} == {360}


@pytest.mark.parametrize("by", ["month", "season", "dayofyear"])
def test_climatology(run, calendar, by):
    got = run("climatology", collection="calendar", by=by, statistics=["mean", "std", "p90"])
    groups = calendar["tas"].groupby(f"time.{by}")
    for name, expected in (("mean", groups.mean()), ("std", groups.std()), ("p90", groups.quantile(0.9))):
        expected = expected.reindex({by: got[by].values}).transpose(by, ...)
        np.testing.assert_allclose(got[f"tas_{name}"], expected.values, rtol=1e-9)
    assert got[by].size == {"month": 12, "season": 4, "dayofyear": 360}[by]
    assert "2000-01-01 to 2002-12-30" in got["tas_mean"].attrs["cell_methods"]


def test_climatology_of_a_reference_period(run, calendar):
    got = run("climatology", collection="calendar", datetime="2001-01-01/2001-12-30", bbox=[-1, -1, 11, 1])
    expected = calendar["tas"].sel(time=slice("2001-01-01", "2001-12-30"), latitude=[0], longitude=[0, 10])
    np.testing.assert_allclose(got["tas_mean"], expected.groupby("time.month").mean().values, rtol=1e-12)


def test_the_course_of_the_day(run, members):
    got = run("climatology", collection="members", by="hour", parameter_name="tp")
    np.testing.assert_allclose(got["tp_mean"], members["tp"].astype("f8").groupby("time.hour").mean().values, rtol=1e-6)
    assert got["hour"].values.tolist() == [0, 6, 12, 18]


def test_anomalies(run, calendar):
    inputs = {"collection": "calendar", "datetime": "2002-03-01/2002-04-30", "reference": "2000-01-01/2001-12-30"}
    got = run("anomaly", **inputs)
    usual = calendar["tas"].sel(time=slice("2000-01-01", "2001-12-30")).groupby("time.month").mean()
    target = calendar["tas"].sel(time=slice("2002-03-01", "2002-04-30"))
    expected = (target.groupby("time.month") - usual).transpose("time", ...)
    np.testing.assert_allclose(got["tas_anomaly"], expected.values, rtol=1e-9, atol=1e-9)
    assert got["time"].size == 60


def test_standardized_anomalies_of_monthly_means(run, calendar):
    got = run("anomaly", collection="calendar", period="month", standardized=True)
    months = calendar["tas"].resample(time="MS").mean()
    groups = months.groupby("time.month")
    expected = ((groups - groups.mean()).groupby("time.month") / groups.std()).transpose("time", ...)
    np.testing.assert_allclose(got["tas_anomaly"], expected.values, rtol=1e-6, atol=1e-9)
    assert got["tas_anomaly"].attrs["units"] == "1"


def test_times_without_a_climatology_have_no_anomaly(run, calendar):
    got = run("anomaly", collection="calendar", datetime="2000-01-15/2000-02-14", reference="2001-01-01/2001-01-30")
    missing = np.isnan(got["tas_anomaly"]).all(("latitude", "longitude")).values
    assert missing.tolist() == [False] * 16 + [True] * 14


def test_percentiles(run, members):
    got = run("percentiles", collection="members", percentiles=[10, 99.5], parameter_name="t2m", number=1)
    values = members["t2m"].sel(number=1).astype("float64")
    for percent in (10, 99.5):
        expected = np.nanpercentile(values.values, percent, axis=0)
        np.testing.assert_allclose(got[f"t2m_p{percent:g}"].values[0, 0], expected, rtol=1e-6)


def test_frost_days_and_spells(run, members):
    inputs = {"collection": "members", "parameter_name": "t2m", "daily": "min", "threshold": 272.0, "comparison": "<"}
    got = run("exceedance", **inputs, measures=["count", "share", "excess", "spell"], period="month")
    coldest = members["t2m"].resample(time="1D").min()
    months = (coldest < 272).where(coldest.notnull()).resample(time="MS")
    order = ("number", "time", "latitude", "longitude")
    np.testing.assert_array_equal(got["t2m_count"], exact(months.sum(), *order))
    np.testing.assert_allclose(got["t2m_share"], exact(months.mean(), *order), rtol=1e-6)
    excess = (272 - coldest.astype("f8")).clip(0).resample(time="MS").sum()
    np.testing.assert_allclose(got["t2m_excess"], exact(excess, *order), rtol=1e-6, atol=1e-6)
    assert got["t2m_count"].attrs["units"] == "day"
    assert got["t2m_excess"].attrs["units"] == "K day"
    january = (coldest < 272).sel(time="2020-01", number=0, latitude=50, longitude=20).values
    runs = "".join("x" if cold else " " for cold in january).split()
    longest = got["t2m_spell"].sel(time="2020-01-01", number=0, latitude=50, longitude=20)
    assert longest == max(map(len, runs), default=0)


def test_degree_days_of_six_hourly_values(run, members):
    got = run("exceedance", collection="members", parameter_name="t2m", threshold=280, measures="excess", period="all")
    expected = (members["t2m"].astype("f8") - 280).clip(0).sum("time") / 4
    np.testing.assert_allclose(got["t2m_excess"].values[:, 0], expected.values, rtol=1e-5)


def test_trend_of_yearly_means(run, calendar):
    got = run("trend", collection="calendar", period="year")
    yearly = calendar["tas"].resample(time="YS").mean()
    for latitude in range(2):
        slope = np.polyfit(np.arange(YEARS), yearly.values[:, latitude, 1], 1)[0]
        assert float(got["tas_slope"][latitude, 1]) == pytest.approx(slope, rel=1e-9)
    assert got["tas_slope"].attrs["units"] == "K year-1"
    assert 3.0 < float(got["tas_slope"].mean()) < 4.2  # a hundredth of a kelvin a day


def test_trend_of_every_month(run, calendar):
    got = run("trend", collection="calendar", by="month", period="month")
    months = calendar["tas"].resample(time="MS").mean()
    july = months.isel(time=slice(6, None, 12))
    slope = np.polyfit(np.arange(YEARS), july.values[:, 0, 0], 1)[0]
    assert float(got["tas_slope"].sel(month=7)[0, 0]) == pytest.approx(slope, rel=1e-9)


def test_ensemble(run, members):
    got = run("ensemble-statistics", collection="members", statistics=["mean", "std", "p50"], threshold=280.0,
              comparison=">=", bbox=[-1, 39, 31, 61])  # fmt: skip
    values = members["t2m"].sel(latitude=slice(60, 40), longitude=slice(0, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the oracle, where all members are missing
        np.testing.assert_allclose(got["t2m_mean"], values.astype("f8").mean("number").values, rtol=1e-6)
        np.testing.assert_allclose(got["t2m_p50"], np.nanmedian(values.values, axis=0), rtol=1e-6)
    likely = (values >= 280).where(values.notnull()).mean("number")
    np.testing.assert_allclose(got["t2m_probability"], likely.values, rtol=1e-6)
    assert list(got["t2m_mean"].dims) == ["time", "latitude", "longitude"]
    assert got["t2m_mean"].attrs["cell_methods"] == "realization: mean"
    assert "tp_mean" not in got


def weights_of(latitudes, half):
    return np.sin(np.radians(np.minimum(latitudes + half, 90))) - np.sin(np.radians(latitudes - half))


def test_the_mean_of_a_box_is_weighted_by_area(run, members):
    got = run("zonal-statistics", collection="members", parameter_name="tp", bbox=[-1, 29, 31, 61],
              statistics=["mean", "std", "max", "count"])  # fmt: skip
    values = members["tp"].sel(longitude=slice(0, 30)).astype("f8")
    weights = np.repeat(weights_of(members["latitude"].values, 5.0)[:, None], 4, axis=1)
    flat = values.values.reshape(280, -1)
    mean = np.average(flat, weights=weights.ravel(), axis=1)
    np.testing.assert_allclose(got["tp_mean"].values.ravel(), mean, rtol=1e-6)
    std = np.sqrt(np.average((flat - mean[:, None]) ** 2, weights=weights.ravel(), axis=1))
    np.testing.assert_allclose(got["tp_std"].values.ravel(), std, rtol=1e-6)
    np.testing.assert_array_equal(got["tp_max"].values.ravel(), flat.max(axis=1).astype("f4"))
    assert set(got["tp_count"].values.ravel()) == {16}
    assert got["tp_mean"].attrs["cell_methods"] == "area: mean"
    assert got.attrs["featureType"] == "timeSeries"
    assert got["latitude_bnds"].values.ravel().tolist() == [25.0, 65.0]


def features(*polygons):
    made = [
        {"type": "Feature", "id": name, "properties": {}, "geometry": json.loads(shapely.to_geojson(geometry))}
        for name, geometry in polygons
    ]
    return {"type": "FeatureCollection", "features": made}


def covered(geometry, truth):
    """Area of the part of each cell that lies in a polygon, by points on a fine grid."""
    fine = 40
    offsets = (np.arange(fine) + 0.5) / fine * 10.0 - 5.0
    shares = np.zeros((4, 6))
    for i, latitude in enumerate(truth["latitude"].values):
        for j, longitude in enumerate(truth["longitude"].values):
            x, y = np.meshgrid(longitude + offsets, latitude + offsets)
            shares[i, j] = shapely.contains_xy(geometry, x, y).mean()
    return shares * weights_of(truth["latitude"].values, 5.0)[:, None]


def test_regions_count_cells_by_the_part_inside(run, members):
    triangle = shapely.Polygon([(-4, 31), (44, 33), (21, 58)])
    ring = shapely.MultiPolygon(
        [shapely.box(0, 30, 20, 50).difference(shapely.box(7, 37, 13, 43)), shapely.box(30, 52, 33, 54)]
    )
    regions = features(("a", triangle), ("b", ring))
    got = run(
        "zonal-statistics", collection="members", parameter_name="tp", regions=regions, statistics=["mean", "min"]
    )
    assert got["region"].values.tolist() == ["a", "b"]
    assert got["tp_mean"].dims == ("region", "time")
    for number, geometry in enumerate((triangle, ring)):
        weights = covered(geometry, members)
        flat = members["tp"].values.reshape(280, -1).astype("f8")
        np.testing.assert_allclose(got["tp_mean"][number], np.average(flat, weights=weights.ravel(), axis=1), rtol=0.03)
        inside = weights.ravel() > 0
        np.testing.assert_array_equal(got["tp_min"][number], flat[:, inside].min(axis=1).astype("f4"))
    # Exactly, for a box that cuts cells along meridians and parallels.
    box = shapely.box(2, 33, 17, 41)
    got = run("zonal-statistics", collection="members", parameter_name="tp", regions=features(("box", box)),
              statistics=["mean", "integral"])  # fmt: skip
    rows = np.array([0, 0, 6, 2])[:, None] / 10 * weights_of(members["latitude"].values, 5.0)[:, None]
    columns = np.array([3, 10, 2, 0, 0, 0]) / 10
    weights = (rows * columns).ravel()
    flat = members["tp"].values.reshape(280, -1).astype("f8")
    np.testing.assert_allclose(got["tp_mean"][0], np.average(flat, weights=weights, axis=1), rtol=1e-6)
    area = 6_371_008.8**2 * np.radians(10.0)
    np.testing.assert_allclose(got["tp_integral"][0], flat @ weights * area, rtol=1e-9)
    assert got["tp_integral"].attrs["units"] == "m m2"


def test_regions_across_the_antimeridian_of_the_data(run, members):
    """Longitudes of a region are those of the globe: -10 to 5 lies at 350 to 5."""
    shifted = features(("w", shapely.box(345, 45, 365, 55)))
    west = run(
        "zonal-statistics",
        collection="members",
        parameter_name="tp",
        regions=features(("w", shapely.box(-15, 45, 5, 55))),
    )
    same = run("zonal-statistics", collection="members", parameter_name="tp", regions=shifted)
    np.testing.assert_allclose(west["tp_mean"], same["tp_mean"], rtol=1e-6)
    np.testing.assert_allclose(west["tp_mean"][0], members["tp"].sel(latitude=50, longitude=0), rtol=1e-6)


@pytest.mark.parametrize("key", [key for key in ("CSV", "CoverageJSON", "Zarr", "Parquet", "Arrow") if key in FORMATS])
def test_regions_in_every_format(run, key, members):
    regions = features(("a", shapely.box(0, 40, 20, 60)), ("b", shapely.box(5, 35, 9, 38)))
    outcome = run("zonal-statistics", collection="members", parameter_name="tp", regions=regions, format=key,
                  datetime="2019-12-20")  # fmt: skip
    if key == "CSV":
        rows = list(csv.DictReader(io.StringIO(outcome.path.read_text())))
        assert [row["region"] for row in rows] == ["a"] * 4 + ["b"] * 4
        assert float(rows[4]["tp_mean"]) == pytest.approx(
            float(members["tp"].sel(time=rows[4]["datetime"][:-1], latitude=40, longitude=10))
        )
    elif key == "CoverageJSON":
        document = json.loads(outcome.path.read_text())
        assert document["type"] == "CoverageCollection"
        assert [coverage["isopleth:dimensions"] for coverage in document["coverages"]] == [
            {"region": "a"},
            {"region": "b"},
        ]
        assert len(document["coverages"][0]["ranges"]["tp_mean"]["values"]) == 4
    elif key == "Zarr":
        assert "tp_mean/zarr.json" in zipfile.ZipFile(outcome.path).namelist()
    else:
        assert outcome.path.stat().st_size > 100


@pytest.mark.parametrize(
    ("process", "inputs", "parameter"),
    [
        ("temporal-aggregation", {}, "period"),
        ("temporal-aggregation", {"period": "week"}, "period"),
        ("temporal-aggregation", {"period": "day", "statistics": ["p101"]}, "statistics"),
        ("temporal-aggregation", {"period": "day", "statistics": "mode"}, "statistics"),
        ("temporal-aggregation", {"period": "hour", "daily": "max"}, "daily"),
        ("temporal-aggregation", {"period": "month", "weights": "duration"}, "weights"),
        ("temporal-aggregation", {"period": "month", "weights": "duration", "statistics": "max"}, "weights"),
        ("temporal-aggregation", {"period": "day", "nonsense": 1}, "nonsense"),
        ("temporal-aggregation", {"period": "day", "f": "CSV"}, "f"),
        ("temporal-aggregation", {"period": "day", "format": "Excel"}, "format"),
        ("temporal-aggregation", {"period": "day", "parameter-name": "sst"}, "parameter-name"),
        ("temporal-aggregation", {"period": "day", "query": "trajectory"}, "query"),
        ("temporal-aggregation", {"period": "day", "utc-offset": 15}, "utc-offset"),
        ("climatology", {"by": "hour", "daily": "mean"}, "daily"),
        ("anomaly", {"reference": "yesterday"}, "reference"),
        ("anomaly", {"period": "day", "by": "hour"}, "by"),
        ("percentiles", {}, "percentiles"),
        ("percentiles", {"percentiles": [50], "by": "month", "period": "year"}, "by"),
        ("exceedance", {"threshold": "hot"}, "threshold"),
        ("exceedance", {"threshold": 1, "measures": "spell", "by": "month"}, "measures"),
        ("ensemble-statistics", {"over": "level"}, "over"),
        ("ensemble-statistics", {"parameter-name": "tp"}, "parameter-name"),
        ("zonal-statistics", {"coords": "POINT(0 50)"}, "query"),
        ("zonal-statistics", {"format": "GeoTIFF"}, "format"),
        ("zonal-statistics", {"regions": {"type": "FeatureCollection", "features": []}}, "regions"),
        ("zonal-statistics", {"regions": features(("a", BOX), ("a", BOX))}, "regions"),
        ("zonal-statistics", {"regions": features(("a", BOW_TIE))}, "regions"),
        ("zonal-statistics", {"regions": features(("a", BOX)), "bbox": [0, 40, 9, 50]}, "bbox"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_before_anything_is_read(served, process, inputs, parameter):
    with pytest.raises(InvalidQueryError) as caught:
        prepare(process, {"collection": "members", **inputs}, served.library(), served.limits)
    assert caught.value.parameter == parameter


def test_too_many_vertices(served):
    ring = [
        [20 + 5 * np.cos(a), 45 + 5 * np.sin(a)] for a in np.linspace(0, 2 * np.pi, zonal_statistics.MOST_VERTICES + 2)
    ]
    region = {"type": "Feature", "properties": None, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    inputs = {"collection": "members", "regions": {"type": "FeatureCollection", "features": [region]}}
    with pytest.raises(TooLargeError, match="vertices"):
        prepare("zonal-statistics", inputs, served.library(), served.limits)


def test_a_region_outside_the_data(served):
    inputs = {"collection": "members", "regions": features(("far", shapely.box(100, -60, 110, -50)))}
    with pytest.raises(NoDataError):
        prepare("zonal-statistics", inputs, served.library(), served.limits)


def test_what_costs_too_much_is_refused_with_the_numbers(served):
    inputs = {"collection": "members", "period": "day", "parameter-name": "t2m"}
    whole = prepare("temporal-aggregation", inputs, served.library(), served.limits)
    assert whole.cost.chunks == 2 * 6 * 2 * 2
    assert whole.cost.values == 3 * 71 * 4 * 6
    with pytest.raises(TooLargeError) as caught:
        prepare("temporal-aggregation", inputs, served.library(), Limits(chunks=47))
    assert caught.value.estimate["chunks"] == 48


def test_progress_and_cancellation(served, tmp_path):
    cancel, seen = Cancel(), []
    inputs = PROCESSES["climatology"].validate({"collection": "members"})

    def report(fraction, message=None):
        seen.append(fraction)
        if fraction > 0:
            cancel.cancel()

    with pytest.raises(CancelledError):
        PROCESSES["climatology"].run(inputs, served.library(), served.limits, tmp_path, report, cancel)
    assert seen == sorted(seen)
    assert seen[-1] < 1
