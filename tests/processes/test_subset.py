"""The process ``subset``: the same numbers as xarray selects, in every format, and no bad input gets through."""

import csv
import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import xarray as xr
from pyproj import Geod

from plugins.datacube.errors import (
    CancelledError,
    InvalidQueryError,
    IsoplethError,
    NoDataError,
    TooLargeError,
    UnknownError,
)
from plugins.datacube.limits import Limits
from plugins.datacube.read import Cancel
from plugins.processes import subset
from plugins.processes.registry import execute, prepare

CUBE = {"collection": "small", "query": "cube", "bbox": [10, 40, 30, 50], "parameter-name": "t2m"}


def no_report(fraction, message=None):
    pass


def run(context, workdir, **inputs):
    return execute("subset", inputs, context, workdir, no_report)


@pytest.fixture
def expected(truth):
    return truth["t2m"].sel(latitude=slice(50, 40), longitude=slice(10, 30)).transpose("number", "time", ...)


def test_netcdf_is_the_default_and_equals_the_store(context, tmp_path, expected):
    outcome = run(context, tmp_path, **CUBE)
    assert (outcome.media_type, outcome.file_name) == ("application/netcdf", "small-cube.nc")
    assert outcome.path.parent == tmp_path
    with xr.open_dataset(outcome.path, engine="netcdf4") as file:
        got = file["t2m"].transpose("number", "time", "latitude", "longitude").sortby("latitude", ascending=False)
        np.testing.assert_array_equal(got.values, expected.values)
        np.testing.assert_array_equal(got["time"].values, expected["time"].values)
        np.testing.assert_array_equal(got["longitude"].values, expected["longitude"].values)


def test_zipped_zarr_equals_the_store(context, tmp_path, expected):
    outcome = run(context, tmp_path, **CUBE, format="ZARR")
    assert outcome.file_name == "small-cube.zarr.zip"
    with zipfile.ZipFile(outcome.path) as archive:
        archive.extractall(tmp_path / "out")
    with xr.open_dataset(tmp_path / "out", engine="zarr", consolidated=False) as file:
        got = file["t2m"].transpose("number", "time", "latitude", "longitude").sortby("latitude", ascending=False)
        np.testing.assert_array_equal(got.values, expected.values)


def test_csv_has_every_value(context, tmp_path, expected):
    outcome = run(context, tmp_path, **CUBE, format="csv")
    text = outcome.path.read_text()
    rows = list(csv.reader(io.StringIO("\n".join(line for line in text.splitlines() if not line.startswith("#")))))
    column = next(i for i, name in enumerate(rows[0]) if name.startswith("t2m"))
    assert sorted(float(row[column]) for row in rows[1:] if row[column]) == sorted(expected.values.ravel().tolist())


def test_the_cells_within_a_distance(context, tmp_path, truth):
    inputs = {
        "collection": "small",
        "query": "radius",
        "coords": "POINT(21 49)",
        "within": 1000.5,
        "within-units": "km",
    }
    outcome = run(context, tmp_path, **inputs, number=0, datetime="2020-01-02", **{"parameter-name": "t2m"})
    lon, lat = np.meshgrid(truth["longitude"].values, truth["latitude"].values)
    sphere = Geod(a=6_371_008.8, b=6_371_008.8)
    near = sphere.inv(np.full(lon.shape, 21.0), np.full(lon.shape, 49.0), lon, lat)[2] <= 1_000_500
    with xr.open_dataset(outcome.path, engine="netcdf4") as file:
        values = file["t2m"].values
    assert np.sort(values[~np.isnan(values)]).tolist() == np.sort(truth["t2m"].values[0, 1][near]).tolist()


def test_the_cells_along_a_path(context, tmp_path, truth):
    days = (np.datetime64("2020-01-01") - np.datetime64("1970-01-01")).astype(int)
    line = f"LINESTRINGM(0 60 {days * 86400},50 60 {(days + 4) * 86400})"
    inputs = {"collection": "small", "query": "trajectory", "coords": line, "number": 2, "parameter-name": "t2m"}
    outcome = run(context, tmp_path, **inputs, format="csv")
    rows = list(csv.DictReader(io.StringIO(outcome.path.read_text())))
    assert [row["longitude"] for row in rows] == [f"{x}.0" for x in (0, 10, 10, 20, 20, 30, 30, 40, 40, 50)]
    for row in rows:
        at = {"time": row["datetime"].rstrip("Z"), "longitude": float(row["longitude"])}
        assert float(row["t2m"]) == float(truth["t2m"].sel(number=2, latitude=60, **at))


def test_the_cells_beside_a_path(context, tmp_path, truth):
    inputs = {"collection": "small", "query": "corridor", "coords": "LINESTRING(0 50,50 50)", "parameter-name": "t2m"}
    inputs |= {"corridor-width": 100, "width-units": "km", "resolution-x": 0, "number": 1, "datetime": "2020-01-02"}
    outcome = run(context, tmp_path, **inputs)
    with xr.open_dataset(outcome.path, engine="netcdf4") as file:
        assert file["latitude"].values.tolist() == [50]
        np.testing.assert_array_equal(file["t2m"].values.ravel(), truth["t2m"].values[1, 1, 1])


def test_coveragejson_by_its_own_axes(context, tmp_path, truth):
    outcome = run(
        context, tmp_path, collection="small", query="position", coords="POINT(20 40)", datetime="2020-01-03",
        number=1, format="CoverageJSON",
    )  # fmt: skip
    document = json.loads(outcome.path.read_text())
    coverages = document["coverages"] if document["type"] == "CoverageCollection" else [document]
    found = {name: c["ranges"][name]["values"] for c in coverages for name in c["ranges"]}
    where = {"time": "2020-01-03", "latitude": 40, "longitude": 20}
    assert found["t2m"] == [float(truth["t2m"].sel(number=1, **where).squeeze())]
    assert found["msl"] == [float(truth["msl"].sel(**where).squeeze())]


@pytest.mark.parametrize(
    "inputs",
    [
        {"bbox": "10,40,30,50"},
        {"bbox": {"bbox": [10, 40, 30, 50], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
        {"bbox": {"value": [10, 40, 30, 50]}},
        {"parameter-name": ["t2m"], "crs": "CRS84"},
        {"format": "netCDF4"},
        {"query": {"value": "cube"}},
    ],
)
def test_the_same_question_in_other_words(context, library, inputs):
    first = prepare("subset", CUBE, library, context.limits)
    assert prepare("subset", CUBE | inputs, library, context.limits).cost == first.cost
    assert first.cost.values == 3 * 5 * 2 * 3
    assert first.snapshot


@pytest.mark.parametrize(
    "inputs",
    [{"dimensions": {"number": [0, 2]}}, {"number": [0, 2]}, {"number": "0,2"}, {"dimensions": {"number": "0,2"}}],
)
def test_custom_dimensions_by_either_way(context, library, inputs):
    assert prepare("subset", CUBE | inputs, library, context.limits).cost.values == 2 * 5 * 2 * 3


@pytest.mark.parametrize(
    ("inputs", "parameter"),
    [
        ({"collection": "absent"}, "collection"),
        ({"collection": "../small"}, "collection"),
        ({"query": "items"}, "query"),
        ({"bbox": [1, 2, 3]}, "bbox"),
        ({"bbox": [1, 2, 3, 4, 5]}, "bbox"),
        ({"bbox": [1, 2, 3, "4"]}, "bbox"),
        ({"bbox": {"href": "https://example.org/bbox"}}, "bbox"),
        ({"bbox": {"bbox": [10, 40, 30, 50], "crs": "EPSG:99999"}}, "crs"),
        ({"bbox": {"bbox": [10, 40, 30, 50], "crs": "EPSG:3857"}, "crs": "CRS84"}, "crs"),
        ({"parameter-name": ["t2m", "nope"]}, "parameter-name"),
        ({"parameter-name": 3}, "parameter-name"),
        ({"datetime": "yesterday"}, "datetime"),
        ({"coords": "POINT(0 0)"}, "coords"),
        ({"height": 3}, "height"),
        ({"query": "radius", "coords": "POINT(0 50)"}, "bbox"),
        ({"within": {"a": 1}}, "within"),
        ({"within": 5}, "within"),
        ({"f": "csv"}, "f"),
        ({"limit": 3}, "limit"),
        ({"number": {"a": 1}}, "number"),
        ({"dimensions": {"nope": 1}}, "nope"),
        ({"dimensions": {"bbox": "0,0,1,1"}}, "dimensions"),
        ({"dimensions": {"number": 1}, "number": 2}, "dimensions"),
        ({"format": "grib"}, "format"),
        ({"format": 3}, "format"),
        ({"z": "surface"}, "z"),
    ],
)
def test_a_bad_input_is_refused_by_name_before_a_job_is_made(context, library, inputs, parameter):
    with pytest.raises(InvalidQueryError) as caught:
        prepare("subset", CUBE | inputs, library, context.limits)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("missing", ["collection", "query", "bbox"])
def test_what_is_missing_is_named(context, library, missing):
    with pytest.raises(InvalidQueryError) as caught:
        prepare("subset", {name: value for name, value in CUBE.items() if name != missing}, library, context.limits)
    assert caught.value.parameter == missing


def test_no_data_and_too_much_data(context, library):
    with pytest.raises(NoDataError):
        prepare("subset", CUBE | {"bbox": [100, -40, 120, -20]}, library, context.limits)
    with pytest.raises(TooLargeError) as caught:
        prepare("subset", CUBE, library, Limits(values=10))
    assert caught.value.estimate["values"] == 90
    with pytest.raises(UnknownError):
        prepare("subsets", CUBE, library, context.limits)


def test_a_cancelled_run_stops(library, context, tmp_path):
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(CancelledError):
        subset.run(CUBE, library, context.limits, tmp_path, no_report, cancel)


def test_progress_rises_to_the_writing(context, tmp_path):
    seen = []
    execute("subset", CUBE, context, tmp_path, lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.8)


def test_the_context_travels_to_another_process(context, tmp_path):
    again = pickle.loads(pickle.dumps(context))
    assert again == context
    assert run(again, tmp_path, **CUBE).path.exists()


def test_errors_survive_the_way_back(context, library):
    with pytest.raises(IsoplethError) as caught:
        prepare("subset", CUBE | {"format": "grib"}, library, context.limits)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.detail, again.parameter, again.valid) == (
        caught.value.detail, caught.value.parameter, caught.value.valid,
    )  # fmt: skip


def test_a_raster_of_a_point_is_refused_before_anything_is_read(context, library):
    inputs = {"collection": "cube", "query": "position", "coords": "POINT(0 0)", "format": "GeoTIFF"}
    with pytest.raises(InvalidQueryError) as caught:
        prepare("subset", inputs, library, context.limits)
    assert caught.value.parameter == "format"
    assert "GeoTIFF" not in caught.value.valid
