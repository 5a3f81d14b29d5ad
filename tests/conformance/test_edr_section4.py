"""Does everything come out right that the stock server answers wrong, and what its clients cannot do without?

The first part asks a store of 4 times, 5 latitudes and 7 longitudes what pygeoapi's own EDR provider answers wrongly
(measured on its release 0.24). The second part holds what QGIS's EDR plugin, OWSLib, edr-xarray and the readers of
CoverageJSON need beyond the standard.
"""

from __future__ import annotations

import itertools
import re

import pytest

TIMES = ["2020-01-01T00:00:00Z", "2020-01-01T06:00:00Z", "2020-01-01T12:00:00Z", "2020-01-01T18:00:00Z"]
ANCHOR = "/collections/anchor"
QUERIES = ("position", "radius", "area", "cube", "trajectory", "corridor")
PLACES = {
    "position": {"coords": "POINT(0 0)"},
    "radius": {"coords": "POINT(0 0)", "within": "900", "within-units": "km"},
    "area": {"coords": "POLYGON((-6 -6,6 -6,6 6,-6 6,-6 -6))"},
    "cube": {"bbox": "-6,-6,6,6"},
    "trajectory": {"coords": "LINESTRING(-6 -6,6 6)"},
    "corridor": {"coords": "LINESTRING(-6 -6,6 6)", "corridor-width": "900", "width-units": "km"},
}


def truth(time, y, x):
    return TIMES.index(time) * 1e4 + (y + 50) * 100 + x


def values(document, name="t2m"):
    """Every value with the coordinates that the answer declares for it."""
    axes = {axis: one["values"] for axis, one in document["domain"]["axes"].items()}
    block = document["ranges"][name]
    named = block["axisNames"]
    assert block["shape"] == [len(axes[axis]) for axis in named]
    fixed = {axis: held[0] for axis, held in axes.items() if axis not in named}
    places = itertools.product(*(axes[axis] for axis in named))
    found = zip(places, block["values"], strict=True)
    return [({**fixed, **dict(zip(named, place, strict=True))}, value) for place, value in found]


def all_true(found):
    assert found
    for at, value in found:
        assert value == truth(at["t"], at["y"], at["x"]), at


# What the stock server answers wrong ---------------------------------------------------------------------------------


def test_the_order_of_the_values_is_that_of_the_axes(api):
    document = api.json(f"{ANCHOR}/cube", {"bbox": "0,0,10,10"})
    found = values(document)
    all_true(found)
    assert len(found) == 4 * 3 * 3
    assert [value for at, value in found if (at["y"], at["x"]) == (10.0, 0.0)] == [6000.0, 16000.0, 26000.0, 36000.0]


@pytest.mark.parametrize("time", TIMES)
def test_an_instant_that_is_there_is_found(api, time):
    document = api.json(f"{ANCHOR}/position", {"coords": "POINT(0 0)", "datetime": time})
    assert document["domain"]["axes"]["t"]["values"] == [time]
    assert document["ranges"]["t2m"]["values"] == [truth(time, 0, 0)]


def test_a_list_of_instants(api):
    document = api.json(f"{ANCHOR}/position", {"coords": "POINT(0 0)", "datetime": f"{TIMES[0]},{TIMES[2]}"})
    assert document["domain"]["axes"]["t"]["values"] == [TIMES[0], TIMES[2]]
    all_true(values(document))


@pytest.mark.parametrize("place", ["POINT(100 70)", "POINT(30 0)", "POINT(0 -40)"])
def test_outside_there_is_no_edge_value(api, place):
    assert api.get(f"{ANCHOR}/position", {"coords": place}).status_code == 204


def test_another_reference_system_is_used_for_question_and_answer(api):
    asked = {"coords": "POINT(556597.45 557305.26)", "crs": "EPSG:3857", "datetime": TIMES[0]}
    response = api.get(f"{ANCHOR}/position", asked)
    assert response.headers["Content-Crs"] == "<http://www.opengis.net/def/crs/EPSG/0/3857>"
    document = response.json()
    assert document["ranges"]["t2m"]["values"] == [truth(TIMES[0], 5, 5)]
    axes = document["domain"]["axes"]
    assert (axes["x"]["values"][0], axes["y"]["values"][0]) == pytest.approx((556597.45, 557305.26), abs=1)
    (horizontal,) = [one for one in document["domain"]["referencing"] if "x" in one["coordinates"]]
    assert "3857" in horizontal["system"].get("id", "") or "wkt" in horizontal["system"]


def test_one_unknown_name_among_known_ones_is_refused(api):
    response = api.get(f"{ANCHOR}/position", {"coords": "POINT(0 0)", "parameter-name": "t2m,nope"})
    assert response.status_code == 400
    assert "nope" in response.json()["detail"]
    assert "t2m" in response.json()["valid"]


def test_a_box_over_the_antimeridian_wraps(api):
    document = api.json("/collections/surface/cube", {"bbox": "165,-10,-165,10", "parameter-name": "t"})
    xs = document["domain"]["axes"]["x"]["values"]
    assert sorted(x % 360 for x in xs) == [165.0, 180.0, 195.0]
    assert xs == sorted(xs)
    # No cell of the small region lies there.
    assert api.get(f"{ANCHOR}/cube", {"bbox": "170,-10,-170,10"}).status_code == 204


@pytest.mark.parametrize("query", QUERIES)
def test_a_post_is_answered(api, query):
    expected = api.json(f"{ANCHOR}/{query}", PLACES[query])
    assert api.request("POST", f"{ANCHOR}/{query}", data=PLACES[query]).json() == expected


def test_an_asynchronous_execution_answers_with_the_job(api):
    body = {"inputs": {"collection": "anchor", "query": "position", "coords": "POINT(0 0)", "format": "CSV"}}
    response = api.request("POST", "/processes/subset/execution", json=body, headers={"Prefer": "respond-async"})
    assert response.status_code == 201
    said = response.json()
    assert {"jobID", "processID", "type", "status", "created", "links"} <= set(said)
    assert response.headers["Location"].endswith(f"/jobs/{said['jobID']}")
    assert api.json(response.headers["Location"])["status"] in ("accepted", "running", "successful")
    # The jobs can be filtered: this one has not failed.
    assert said["jobID"] in {job["jobID"] for job in api.json("/jobs")["jobs"]}
    assert said["jobID"] not in {job["jobID"] for job in api.json("/jobs", {"status": "failed"})["jobs"]}
    assert api.request("DELETE", response.headers["Location"]).json()["status"] == "dismissed"


def test_an_asynchronous_data_query_is_a_job_too(api):
    asked = {**PLACES["cube"], "f": "CSV"}
    first = api.get(f"{ANCHOR}/cube", asked, headers={"Prefer": "respond-async"})
    assert first.status_code == 308
    assert first.headers["Preference-Applied"] == "respond-async"
    waiting = api.get(first.headers["Location"])
    assert waiting.status_code == 202
    assert int(waiting.headers["Retry-After"]) > 0
    assert waiting.json()["jobID"] in {job["jobID"] for job in api.json("/jobs")["jobs"]}
    job = next(link["href"] for link in waiting.json()["links"] if link["rel"] == "monitor")
    assert api.request("DELETE", job).status_code == 200
    gone = api.get(first.headers["Location"])
    assert (gone.status_code, gone.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "inputs"),
    [
        ("/collections/surface/locations/harbour,bay", {"query": "locations", "locationId": "harbour,bay"}),
        ("/collections/forecasts/instances/2020-01-02T00:00:00Z/position", {"instance": "2020-01-02T00:00:00Z"}),
        ("/collections/forecasts/instances/latest/position", {"instance": "2020-01-02T00:00:00Z"}),
    ],
)
def test_locations_and_instances_become_jobs_too(api, path, inputs):
    place = {} if "locations" in path else PLACES["position"]
    first = api.get(path, place, headers={"Prefer": "respond-async"})
    assert first.status_code == 308, first.text
    assert api.get(first.headers["Location"]).status_code == 202
    job = api.deployment.jobs.get(first.json()["jobID"])
    assert inputs.items() <= job.inputs.items()


# What clients cannot do without --------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", ["surface", "levels", "projected"])
def test_formats_have_the_names_that_clients_compare(api, collection):
    document = api.json(f"/collections/{collection}")
    names = {"CoverageJSON", "GeoJSON", "NetCDF", "CSV", "Zarr"}
    assert names | {"GeoTIFF"} <= set(document["output_formats"])
    for query in QUERIES:
        variables = document["data_queries"][query]["link"]["variables"]
        assert names <= set(variables["output_formats"])
        assert variables["default_output_format"] == "CoverageJSON"


@pytest.mark.parametrize("collection", ["surface", "levels", "projected"])
def test_qgis_can_read_the_reference_systems(api, collection):
    document = api.json(f"/collections/{collection}")
    assert document["crs"][0] == "CRS:84"
    assert all(re.fullmatch(r"CRS:84|EPSG:\d+", name) for name in document["crs"])
    for query in QUERIES:
        details = document["data_queries"][query]["link"]["variables"]["crs_details"]
        assert [one["crs"] for one in details] == document["crs"]
        assert all(re.match(r"(GEOG|PROJ)CRS\[", one["wkt"]) for one in details)


def test_corridors_have_their_units_by_both_names(api):
    variables = api.json("/collections/levels")["data_queries"]["corridor"]["link"]["variables"]
    for name in ("width", "height"):
        assert variables[f"{name}_units"] == variables[f"{name}-units"]
        assert variables[f"{name}_units"]


def test_values_of_levels_and_dimensions_are_texts_one_by_one(api):
    extent = api.json("/collections/levels")["extent"]
    assert extent["vertical"]["values"] == ["1000", "850", "500"]
    (member,) = extent["custom"]
    assert member["values"] == ["0", "1"]


@pytest.mark.parametrize(
    ("z", "levels"),
    [("500/1000", 3), ("1000/500", 3), ("850/850", 1), ("850", 1), ("../850", 2), ("850/..", 2), ("1000,500", 2),
     ("R2/500/350", 2)],
)  # fmt: skip
def test_levels_in_every_form_that_qgis_sends(api, z, levels):
    asked = {"bbox": "0,0,10,10", "z": z, "number": "0", "parameter-name": "t", "datetime": f"{TIMES[0]}/{TIMES[1]}"}
    document = api.json("/collections/levels/cube", asked)
    axes = document["domain"]["axes"]
    assert len(axes["z"]["values"]) == levels
    assert axes["t"]["values"] == TIMES[:2]


def test_qgis_posts_a_form_without_saying_so(api):
    body = b"bbox=0%2C0%2C10%2C10&parameter-name=t2m&f=CoverageJSON"
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        response = api.request("POST", f"{ANCHOR}/cube", content=body, headers=headers)
        assert response.status_code == 200
        all_true(values(response.json()))


@pytest.mark.parametrize("collection", ["anchor", "projected"])
def test_coveragejson_is_as_its_readers_take_it(api, collection):
    box = "-6,-6,6,6" if collection == "anchor" else "-5,52,-3,54"
    document = api.json(f"/collections/{collection}/cube", {"bbox": box})
    for parameter in document["parameters"].values():
        label = parameter["unit"]["label"]
        assert isinstance(label, dict)
        assert label
    (horizontal,) = [one["system"] for one in document["domain"]["referencing"] if "x" in one["coordinates"]]
    if "id" in horizontal and "CRS84" in horizontal["id"]:
        assert horizontal["id"].startswith("http://")
    else:
        assert horizontal["wkt"]
    for block in document["ranges"].values():
        assert block["axisNames"][-2:] == ["y", "x"]
        assert block["axisNames"][0] == "t"
        assert block["type"] == "NdArray"


def test_the_definition_is_at_both_addresses(api):
    assert api.json("/api") == api.json("/openapi")


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("name", ["parameter-name", "parameter_names", "parameter-names", "parameter_name"])
def test_parameters_are_named_in_all_spellings(api, query, name):
    place = PLACES[query]
    found = api.json(f"/collections/surface/{query}", {**place, name: "p"})
    assert found == api.json(f"/collections/surface/{query}", {**place, "parameter-name": "p"})
    parameters = found.get("parameters") or found["coverages"][0]["parameters"]
    assert set(parameters) == {"p"}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("name", ["bbox-crs", "depth", "parametername", "Coords", "limits"])
def test_unknown_parameters_are_refused(api, query, name):
    response = api.get(f"{ANCHOR}/{query}", {**PLACES[query], name: "1"})
    assert response.status_code == 400
    assert response.json()["parameter"] == name
    assert "datetime" in response.json()["valid"]


@pytest.mark.parametrize("path", ["/conformance", "/collections", "/collections/anchor", "/openapi"])
def test_unknown_parameters_of_documents_are_refused(api, path):
    response = api.get(path, {"nope": "1"})
    assert (response.status_code, response.json()["parameter"]) == (400, "nope")
