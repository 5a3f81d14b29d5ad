"""Does a data query over the API functions answer what the store holds, with the right headers and refusals?"""

from __future__ import annotations

import io
import shutil
import zipfile
from urllib.parse import quote

import netCDF4
import numpy as np
import orjson
import pytest
from covjson_pydantic.coverage import Coverage, CoverageCollection
from pyproj import Geod

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import (
    BusyError,
    CancelledError,
    InvalidQueryError,
    NoDataError,
    NotAcceptableError,
    StorageError,
    UnknownError,
)
from plugins.datacube.limits import ByteBudget, Limits
from plugins.formats.netcdf import NETCDF_LOCK
from server.ogc.edr import edr_query

LATS, LONS = np.arange(-10, 11, 5.0), np.arange(-15, 16, 5.0)
INSTANT = "2020-01-01T06:00:00Z"


def places(found):
    return {(cell.at["t"], cell.at["y"], cell.at["x"]) for cell in found}


def all_true(found, true_value):
    assert found
    assert [cell.value for cell in found] == [true_value(cell) for cell in found]


def valid(document):
    kind = Coverage if document["type"] == "Coverage" else CoverageCollection
    return kind.model_validate_json(orjson.dumps(document))


# What stock pygeoapi answers wrong ---------------------------------------------------------------------------------


def test_a_cube_is_not_mirrored_or_scrambled(site, cells, true_value):
    document = site.json("region/cube", "bbox=0,0,10,10&parameter-name=tas")
    valid(document)
    found = cells(document)
    all_true(found, true_value)
    assert len(found) == 4 * 3 * 3
    assert {cell.at["y"] for cell in found} == {0, 5, 10}


def test_an_instant_is_found(site, cells, true_value):
    found = cells(site.json("region/position", f"coords=POINT(1 4)&datetime={INSTANT}&parameter-name=tas"))
    assert places(found) == {(INSTANT, 5.0, 0.0)}
    all_true(found, true_value)


def test_a_list_of_instants(site, cells, true_value):
    times = {"2020-01-01T00:00:00Z", "2020-01-01T18:00:00Z"}
    found = cells(site.json("region/position", f"coords=POINT(0 0)&datetime={','.join(times)}"))
    assert {cell.at["t"] for cell in found} == times
    all_true(found, true_value)


def test_a_point_outside_has_no_data(site):
    with pytest.raises(NoDataError):
        site.edr("region/position", "coords=POINT(100 70)")


def test_another_reference_system_is_refused_by_name(site):
    with pytest.raises(InvalidQueryError) as caught:
        site.edr("region/position", "coords=POINT(0 0)&crs=EPSG:99999")
    assert caught.value.parameter == "crs"


def test_one_unknown_parameter_among_known_ones_is_refused(site):
    with pytest.raises(InvalidQueryError, match="nope") as caught:
        site.edr("region/position", "coords=POINT(0 0)&parameter-name=tas,nope")
    assert "tas" in caught.value.valid


def test_a_box_over_the_antimeridian_wraps(site, cells, true_value):
    found = cells(site.json("globe/cube", "bbox=170,-10,-170,10&parameter-name=tas"))
    all_true(found, true_value)
    assert {cell.at["x"] % 360 for cell in found} == {180.0}


def test_negative_longitudes_on_a_grid_of_0_to_360(site, cells, true_value):
    found = cells(site.json("globe/position", "coords=POINT(-41 0)&parameter-name=tas"))
    all_true(found, true_value)
    assert {cell.at["x"] % 360 for cell in found} == {320.0}


def test_a_post_as_a_form_and_as_json_is_the_same_question(site, cells):
    get = site.json("region/position", "coords=POINT(0 0)&parameter-name=tas,pr")
    form = site.json(
        "region/position",
        method="POST",
        body=b"coords=POINT%280%200%29&parameter-name=tas%2Cpr",
        content_type="application/x-www-form-urlencoded",
    )
    body = orjson.dumps({"coords": "POINT(0 0)", "parameter-name": ["tas", "pr"]})
    as_json = site.json("region/position", method="POST", body=body, content_type="application/json; charset=utf-8")
    assert get == form == as_json


# Levels, members, areas, aliases -----------------------------------------------------------------------------------


def test_levels_and_members_are_where_they_say(site, cells, true_value):
    document = site.json("globe/cube", "bbox=0,0,40,40&parameter-name=ta&z=850/500&number=1")
    valid(document)
    found = cells(document)
    all_true(found, true_value)
    assert {(cell.at["z"], cell.at["number"]) for cell in found} == {(850.0, 1), (500.0, 1)}


def test_all_members_are_given_where_none_is_named(site, cells, true_value):
    document = site.json("globe/position", f"coords=POINT(20 20)&parameter-name=ta&z=500&datetime={INSTANT}")
    valid(document)
    found = cells(document)
    all_true(found, true_value)
    assert {cell.at["number"] for cell in found} == {0, 1}


def test_the_cells_of_an_area(site, cells, true_value):
    ring = "POLYGON((-6 -6, 6 -6, -6 6, -6 -6))"
    document = site.json("region/area", f"coords={quote(ring)}&parameter-name=tas&datetime={INSTANT}")
    valid(document)
    inside = [cell for cell in cells(document) if cell.value is not None]
    all_true(inside, true_value)
    expected = {(float(y), float(x)) for y in LATS for x in LONS if x >= -6 and y >= -6 and x + y <= 0}
    assert {(cell.at["y"], cell.at["x"]) for cell in inside} == expected


def test_the_cells_within_a_distance(site, cells, true_value):
    query = f"coords=POINT(3 2)&within=500&within-units=nmi&parameter-name=tas&datetime={INSTANT}"
    document = site.json("region/radius", query)
    valid(document)
    inside = [cell for cell in cells(document) if cell.value is not None]
    all_true(inside, true_value)
    sphere = Geod(a=6_371_008.8, b=6_371_008.8)
    expected = {
        (float(y), float(x)) for y in LATS for x in LONS if sphere.inv(3, 2, float(x), float(y))[2] <= 500 * 1852
    }
    assert {(cell.at["y"], cell.at["x"]) for cell in inside} == expected
    assert len(inside) < len(cells(document))


def test_a_trajectory_of_one_time(site, cells, true_value):
    query = f"coords=LINESTRING(-14 -9,14 9)&parameter-name=tas&datetime={INSTANT}"
    document = site.json("region/trajectory", query)
    valid(document)
    assert document["domain"]["domainType"] == "Trajectory"
    found = cells(document)
    all_true(found, true_value)
    assert [(cell.at["x"], cell.at["y"]) for cell in found] == [
        (-15, -10), (-10, -10), (-10, -5), (-5, -5), (-5, 0), (0, 0), (5, 0), (5, 5), (10, 5), (10, 10), (15, 10),
    ]  # fmt: skip


def test_a_trajectory_over_all_times_is_one_for_each(site, cells, true_value):
    document = site.json("region/trajectory", "coords=MULTILINESTRING((0 0,10 0),(0 5,10 5))&parameter-name=tas")
    valid(document)
    assert document["domainType"] == "Trajectory"
    assert len(document["coverages"]) == 8
    found = cells(document)
    assert len(found) == 8 * 3
    all_true(found, true_value)
    assert [cell.at["t"] for cell in found[:12:3]] == [f"2020-01-01T{hour:02d}:00:00Z" for hour in (0, 6, 12, 18)]
    assert {cell.at["y"] for cell in found[:12]} == {0}


def test_a_trajectory_with_its_own_times_and_heights(site, cells, true_value):
    start = 1577836800
    line = f"LINESTRINGZM(170 0 1000 {start},190 0 500 {start + 18 * 3600})"
    document = site.json("globe/trajectory", f"coords={line}&parameter-name=ta&number=1")
    valid(document)
    assert document["domain"]["axes"]["composite"]["coordinates"] == ["t", "x", "y", "z"]
    found = cells(document)
    all_true(found, true_value)
    assert (found[0].at["t"], found[0].at["z"]) == ("2020-01-01T00:00:00Z", 1000.0)
    assert (found[-1].at["t"], found[-1].at["z"]) == ("2020-01-01T18:00:00Z", 500.0)
    assert {cell.at["x"] for cell in found} == {160.0, 180.0}
    times = [cell.at["t"] for cell in found]
    assert times == sorted(times)


def test_the_cells_beside_a_path(site, cells, true_value):
    line = "LINESTRING(-10 -5,10 -5)"
    query = f"coords={line}&corridor-width=1200&width-units=km&parameter-name=tas&datetime={INSTANT}"
    document = site.json("region/corridor", query)
    valid(document)
    assert document["domain"]["domainType"] == "Grid"
    inside = [cell for cell in cells(document) if cell.value is not None]
    all_true(inside, true_value)
    # 5 degrees are 556 km: the rows beside the path, and the cell at either end of it.
    beside = {(float(y), float(x)) for y in (-10, -5, 0) for x in range(-10, 11, 5)}
    assert {(cell.at["y"], cell.at["x"]) for cell in inside} == beside | {(-5.0, -15.0), (-5.0, 15.0)}


def test_a_corridor_as_the_compliance_suite_asks_for_it(site, cells, true_value):
    line = "LINESTRING(-1 -1,0 0,1 1)"
    document = site.json("globe/corridor", f"coords={line}&corridor-width=2.0&width-units=m&parameter-name=ta&number=0")
    found = [cell for cell in cells(document) if cell.value is not None]
    all_true(found, true_value)
    assert {cell.at["z"] for cell in found} == {1000.0, 850.0, 500.0}


def test_a_path_in_every_text_and_cf_format(site):
    query = f"coords=LINESTRING(-14 -9,14 9)&parameter-name=tas&datetime={INSTANT}"
    rows = site.edr("region/trajectory", f"{query}&f=CSV").content().decode().splitlines()
    assert rows[0] == "datetime,latitude,longitude,tas"
    assert len(rows) == 12
    content = site.edr("region/trajectory", f"{query}&f=NetCDF").content()
    with NETCDF_LOCK, netCDF4.Dataset("memory", memory=content) as found:
        assert found.featureType == "trajectory"
        assert found["tas"].shape == (11,)
    packed = site.edr("region/trajectory", f"{query}&f=zarr").content()
    assert zipfile.ZipFile(io.BytesIO(packed)).testzip() is None


@pytest.mark.parametrize("name", ["parameter-name", "parameter_names", "parameter-names"])
def test_the_names_clients_use_for_parameter_name(site, name):
    assert set(site.json("region/position", f"coords=POINT(0 0)&{name}=tas")["parameters"]) == {"tas"}


@pytest.mark.parametrize("crs", ["CRS84", "CRS:84", "EPSG:4326", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"])
def test_the_names_clients_use_for_longitude_and_latitude(site, crs):
    assert site.json("region/position", f"coords=POINT(0 0)&crs={quote(crs)}")


def test_the_whole_extent_as_the_compliance_suite_asks_for_it(site, cells, true_value):
    interval = "2020-01-01T00:00:00Z/2020-01-01T18:00:00Z"
    query = f"parameter-name=tas&coords=POINT(0+0)&crs=CRS:84&f=CoverageJSON&datetime={quote(interval)}"
    document = site.json("region/position", query)
    assert len(cells(document)) == 4
    all_true(cells(document), true_value)


# Formats -----------------------------------------------------------------------------------------------------------


def test_netcdf(site):
    response = site.edr("region/cube", "bbox=0,0,10,10&parameter-name=tas&f=netcdf")
    assert response.headers["Content-Type"] == "application/netcdf"
    assert response.headers["Content-Disposition"] == 'attachment; filename="region-cube.nc"'
    with NETCDF_LOCK, netCDF4.Dataset("memory", memory=response.content()) as dataset:
        values = np.asarray(dataset["tas"][:])
        lats, lons = (np.asarray(dataset[name][:]) for name in ("lat", "lon"))
    expected = np.arange(4)[:, None, None] * 1e6 + (lats[:, None] + 90) * 1e3 + lons
    np.testing.assert_array_equal(values, expected)


def test_csv_and_zarr(site):
    text = site.edr("region/position", "coords=POINT(0 0)&parameter-name=tas&f=CSV")
    assert text.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert len(text.content().decode().splitlines()) >= 5
    packed = site.edr("region/position", "coords=POINT(0 0)&parameter-name=tas&f=zarr")
    assert packed.headers["Content-Disposition"].endswith('.zarr.zip"')
    assert zipfile.ZipFile(io.BytesIO(packed.content())).testzip() is None


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/prs.coverage+json"),
        ("*/*", "application/prs.coverage+json"),
        ("application/vnd.cov+json", "application/vnd.cov+json"),
        ("application/json", "application/json"),
        ("image/png, text/csv;q=0.5", "text/csv; charset=utf-8"),
    ],
)
def test_the_accept_header_chooses(site, accept, media_type):
    assert site.edr("region/position", "coords=POINT(0 0)", accept=accept).headers["Content-Type"] == media_type


def test_formats_that_do_not_exist(site):
    with pytest.raises(InvalidQueryError):
        site.edr("region/position", "coords=POINT(0 0)&f=grib")
    with pytest.raises(NotAcceptableError):
        site.edr("region/position", "coords=POINT(0 0)", accept="image/png")


# Headers, conditional requests, HEAD --------------------------------------------------------------------------------


def test_the_headers_of_an_answer(site):
    headers = site.edr("region/position", "coords=POINT(0 0)").headers
    assert headers["Content-Crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
    assert headers["Link"].startswith('<http://127.0.0.1:8000/ogc/collections/region>; rel="collection"')
    assert headers["Vary"] == "Accept"
    assert "Cache-Control" in headers
    assert "Content-Disposition" not in headers


def test_the_etag_tells_questions_apart_and_answers_304(site):
    def etag(query, **fields):
        return site.edr("region/position", query, **fields).headers["ETag"]

    first = etag("coords=POINT(0 0)&parameter-name=tas")
    assert first == etag("parameter-name=tas&coords=POINT(0 0)")
    others = {etag("coords=POINT(0 1)&parameter-name=tas"), etag("coords=POINT(0 0)"), etag("coords=POINT(0 0)&f=csv")}
    assert len(others | {first}) == 4
    held = site.edr("region/position", "coords=POINT(0 0)&parameter-name=tas", headers={"if-none-match": first})
    assert (held.status, held.content()) == (304, b"")


def test_head_reads_nothing(site_of, stores, tmp_path):
    damaged = damaged_store(stores, tmp_path)
    site = site_of([DatasetDefinition("damaged", str(damaged))])
    response = site.edr("damaged/position", "coords=POINT(0 0)", method="HEAD")
    assert (response.status, response.content()) == (200, b"")
    assert response.headers["Content-Type"] == "application/prs.coverage+json"


# Refusals ----------------------------------------------------------------------------------------------------------


def damaged_store(stores, tmp_path):
    path = tmp_path / "damaged.zarr"
    shutil.copytree(stores["region"], path)
    shutil.rmtree(path / "tas" / "c")
    shutil.rmtree(path / "pr" / "c")
    return path


def test_a_missing_chunk_is_an_error_before_any_byte_is_sent(site_of, stores, tmp_path):
    site = site_of([DatasetDefinition("damaged", str(damaged_store(stores, tmp_path)))])
    with pytest.raises(StorageError):
        site.edr("damaged/position", "coords=POINT(0 0)")
    assert site.service.budget.in_flight == 0


def test_too_much_is_refused_with_the_numbers_and_the_job_to_run_instead(site_of, stores):
    site = site_of([DatasetDefinition("region", str(stores["region"]))], limits=Limits(values=10))
    response = site.edr("region/cube", "bbox=-15,-10,15,10&parameter_names=tas&f=NetCDF&limit=5")
    problem = orjson.loads(response.content())
    assert (response.status, problem["status"]) == (413, 413)
    assert problem["estimate"]["values"] == 4 * 5 * 7
    assert problem["limits"]["values"] == 10
    process = problem["process"]
    assert process["href"] == "http://127.0.0.1:8000/ogc/processes/subset/execution"
    assert process["body"]["inputs"] == {
        "collection": "region",
        "query": "cube",
        "bbox": "-15,-10,15,10",
        "parameter-name": "tas",
        "format": "NetCDF",
    }


def test_a_full_budget_is_said_and_an_abandoned_answer_gives_its_share_back(site_of, stores, monkeypatch):
    monkeypatch.setattr("server.ogc.edr.WHOLE", 0)  # as of an answer that is streamed
    site = site_of([DatasetDefinition("region", str(stores["region"]))], budget=ByteBudget(100))
    waiting = site.edr("region/cube", "bbox=-15,-10,15,10")
    assert site.service.budget.in_flight == 100
    with pytest.raises(BusyError):
        site.edr("region/cube", "bbox=-15,-10,15,10")
    waiting.body.close()
    assert site.service.budget.in_flight == 0
    assert site.edr("region/cube", "bbox=-15,-10,15,10").content()


def test_a_small_answer_is_whole_and_holds_no_budget(site):
    response = site.edr("region/cube", "bbox=-15,-10,15,10")
    assert isinstance(response.body, bytes)
    assert site.service.budget.in_flight == 0


def test_a_cancelled_request_reads_no_further(site):
    request = site.request("/ogc", "coords=POINT(0 0)")
    request.cancel.cancel()
    with pytest.raises(CancelledError):
        edr_query(site.service, request, "region", "position")
    assert site.service.budget.in_flight == 0


@pytest.mark.parametrize(
    "where", ["absent/position", "broken/position", "region/x", "region/items", "region/instances"]
)
def test_what_does_not_exist(site, where):
    with pytest.raises(UnknownError):
        site.edr(where, "coords=POINT(0 0)")


# The reference system of the answer -----------------------------------------------------------------------------------


def test_another_reference_system_is_that_of_question_and_answer(site, cells):
    # 5 E, 5 N in Web Mercator.
    response = site.edr("region/position", "coords=POINT(556597.45 557305.26)&crs=EPSG:3857&parameter-name=tas")
    assert response.headers["Content-Crs"] == "<http://www.opengis.net/def/crs/EPSG/0/3857>"
    first = cells(orjson.loads(response.content()))[0]
    assert first.value == 95_005.0
    assert (first.at["x"], first.at["y"]) == pytest.approx((556597.45, 557305.26), abs=1.0)


def test_geojson_is_in_longitude_and_latitude_whatever_was_asked(site):
    query = "coords=POINT(556597.45 557305.26)&crs=EPSG:3857&parameter-name=tas&f=GeoJSON"
    response = site.edr("region/position", query)
    assert response.headers["Content-Crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
    document = orjson.loads(response.content())
    assert document["features"][0]["geometry"]["coordinates"] == pytest.approx([5, 5], abs=1e-4)
    relations = {link["rel"]: link["href"] for link in document["links"]}
    assert relations["collection"] == "http://127.0.0.1:8000/ogc/collections/region"
    assert "f=GeoJSON" in relations["self"]
