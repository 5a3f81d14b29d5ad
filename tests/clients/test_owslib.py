"""Does OWSLib, by which QGIS plugins and Python users speak to OGC services, read the right values of every query?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from owslib import ogcapi
from owslib.ogcapi.edr import EnvironmentalDataRetrieval
from owslib.ogcapi.features import Features
from owslib.ogcapi.processes import Processes

TIMES = ["2020-01-01T00:00:00Z", "2020-01-01T06:00:00Z", "2020-01-01T12:00:00Z", "2020-01-01T18:00:00Z"]
SQUARE = "POLYGON((-20 -20,20 -20,20 20,-20 20,-20 -20))"
"""It holds the centres of three rows of three cells."""


@pytest.fixture(autouse=True)
def headers() -> Iterator[None]:
    """OWSLib keeps the headers of one request for all others, of every object."""
    kept = dict(ogcapi.REQUEST_HEADERS)
    yield
    ogcapi.REQUEST_HEADERS.clear()
    ogcapi.REQUEST_HEADERS.update(kept)


@pytest.fixture
def edr(site: Any) -> Any:
    return EnvironmentalDataRetrieval(site.ogc)


def axis(document: Any, name: str) -> Any:
    return document["domain"]["axes"][name]["values"]


def test_what_there_is(edr: Any, truth: Any) -> None:
    assert edr.data() == list(truth.stores)
    assert edr.api()["openapi"].startswith("3.0")
    assert any("ogcapi-edr-1" in uri for uri in edr.conformance()["conformsTo"])
    found = edr.collection("members")
    assert set(found["parameter_names"]) == {"ta"}
    assert found["extent"]["vertical"]["values"] == ["1000", "850", "500"]


@pytest.mark.parametrize("collection", ["surface", "projected", "curvilinear", "healpix", "stations"])
def test_a_point_on_every_grid(edr: Any, truth: Any, collection: str) -> None:
    x, y = {"surface": (15, 45), "projected": (-3.5, 53.0), "stations": (2.0, 51.0)}.get(collection, (-12.4, 44.4))
    found = edr.query_data(collection, "position", coords=f"POINT({x} {y})", parameter_names=["t2m"])
    assert found["domain"]["domainType"] == "PointSeries"
    assert axis(found, "t") == TIMES
    if collection == "projected":
        # The place is answered in longitude and latitude; which cell it is in, the EPSG register says: 299 km, 341 km.
        wanted = truth.at("projected", "t2m", x=300_000, y=350_000, t=TIMES)
        assert np.array_equal(found["ranges"]["t2m"]["values"], wanted)
    else:
        assert truth.compare(collection, found) == 4
        assert max(abs(axis(found, "x")[0] - x), abs(axis(found, "y")[0] - y)) <= 11.25


def test_one_parameter_of_two(edr: Any, truth: Any) -> None:
    """OWSLib sends `parameter_names`, which is not the name of the standard."""
    found = edr.query_data("surface", "position", coords="POINT(15 45)", parameter_names=["tp"], datetime_=TIMES[1])
    assert list(found["ranges"]) == ["tp"]
    assert found["domain"]["domainType"] == "Point"
    assert truth.compare("surface", found, t=TIMES[1]) == 1
    both = edr.query_data("surface", "position", coords="POINT(15 45)", parameter_names=["tp", "t2m"])
    assert truth.compare("surface", both) == 8


def test_several_points(edr: Any, truth: Any) -> None:
    found = edr.query_data("surface", "position", coords="MULTIPOINT((-165 45),(75 30))", parameter_names=["t2m"])
    assert [axis(one, "x") + axis(one, "y") for one in found["coverages"]] == [[-165, 45], [75, 30]]
    assert found["coverages"][1]["ranges"]["t2m"]["values"][1] is None
    assert truth.compare("surface", found) == 7


def test_an_area(edr: Any, truth: Any) -> None:
    found = edr.query_data("surface", "area", coords=SQUARE, datetime_=f"{TIMES[0]}/{TIMES[1]}")
    assert (axis(found, "x"), axis(found, "y")) == ([-15, 0, 15], [15, 0, -15])
    assert truth.compare("surface", found) == 2 * 2 * 9


def test_a_radius(edr: Any, truth: Any) -> None:
    """OWSLib knows no units of the radius; they are given with the type of the query."""
    with pytest.raises(RuntimeError, match="within-units"):
        edr.query_data("surface", "radius", coords="POINT(0 0)", within=1700)
    found = edr.query_data(
        "surface", "radius?within-units=km", coords="POINT(0 0)", within=1700, parameter_names=["t2m"]
    )
    assert truth.compare("surface", found, masked=True) == 4 * 5
    values = np.array(found["ranges"]["t2m"]["values"], float).reshape(4, 3, 3)
    assert np.array_equal(np.isfinite(values[0]), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def test_a_cube_with_levels(edr: Any, truth: Any) -> None:
    found = edr.query_data("levels", "cube", bbox=[0, 0, 30, 15], z="850/500", datetime_=TIMES[2])
    assert axis(found, "z") == [850, 500]
    assert found["ranges"]["ta"]["axisNames"] == ["t", "z", "y", "x"]
    assert truth.compare("levels", found) == 2 * 2 * 3


def test_a_cube_of_members(edr: Any, truth: Any) -> None:
    found = edr.query_data("members", "cube", bbox=[0, 0, 30, 15], z=500)
    assert [one["isopleth:dimensions"]["number"] for one in found["coverages"]] == [0, 1]
    assert truth.compare("members", found) == 2 * 4 * 2 * 3


def test_one_member(edr: Any, truth: Any) -> None:
    """OWSLib knows no dimensions of the data; they are given with the type of the query."""
    found = edr.query_data("members", "position?number=1", coords="POINT(15 45)", z=850, datetime_=TIMES[0])
    assert truth.compare("members", found, number=1, z=850, t=TIMES[0]) == 1


def test_a_cube_in_other_columns(edr: Any, truth: Any) -> None:
    found = edr.query_data("surface", "cube", bbox=[0, 0, 60, 30], resolution_x=3, resolution_y=3, datetime_=TIMES[0])
    assert (axis(found, "x"), axis(found, "y")) == ([0, 30, 60], [0, 15, 30])
    assert truth.compare("surface", found) == 2 * 9


def test_a_cube_in_the_reference_system_of_the_grid(edr: Any, truth: Any) -> None:
    found = edr.query_data(
        "projected", "cube", bbox=[200_000, 300_000, 300_000, 400_000], crs="EPSG:27700", datetime_=TIMES[3]
    )
    assert (axis(found, "x"), axis(found, "y")) == ([200e3, 250e3, 300e3], [300e3, 350e3, 400e3])
    assert truth.compare("projected", found) == 9


def test_cells_without_rows_and_columns(edr: Any, truth: Any) -> None:
    for collection in ("curvilinear", "healpix"):
        found = edr.query_data(collection, "area", coords="POLYGON((-20 40,-8 40,-8 50,-20 50,-20 40))")
        lons, lats = truth.cells(collection)
        inside = (np.abs((lons + 180) % 360 - 166) <= 6) & (lats >= 40) & (lats <= 50)
        assert truth.compare(collection, found) == 4 * inside.sum() > 0


def test_a_trajectory(edr: Any, truth: Any) -> None:
    coords = "LINESTRINGM(0 0 1577836800,31 0 1577901600)"
    found = edr.query_data("surface", "trajectory", coords=coords, parameter_names=["t2m"])
    assert found["domain"]["domainType"] == "Trajectory"
    assert found["domain"]["axes"]["composite"]["coordinates"] == ["t", "x", "y"]
    path = axis(found, "composite")
    assert [x for _, x, _ in path] == sorted(x for _, x, _ in path)
    assert {x for _, x, _ in path} == {0, 15, 30}
    assert {t for t, _, _ in path} == set(TIMES)
    assert truth.compare("surface", found) == len(path)


def test_a_corridor(edr: Any, truth: Any) -> None:
    found = edr.query_data(
        "surface", "corridor", coords="LINESTRING(0 0,30 0)", parameter_names=["t2m"], datetime_=TIMES[0],
        corridor_width=3600, width_units="km", corridor_height=1, height_units="m",
    )  # fmt: skip
    values = np.array(found["ranges"]["t2m"]["values"], float).reshape(len(axis(found, "y")), -1)
    row = axis(found, "y").index(15), axis(found, "y").index(-15)
    column = axis(found, "x").index(15)
    assert np.isfinite(values[row, column]).all()
    assert truth.compare("surface", found, masked=True) >= 3 * 3


def test_locations(edr: Any, truth: Any) -> None:
    listed = edr.query_data("surface", "locations")
    assert [one["id"] for one in listed["features"]] == ["harbour", "mountain", "bay"]
    found = edr.query_data("surface", "locations/harbour", parameter_names=["t2m"])
    assert axis(found, "x") + axis(found, "y") == [15, 45]
    assert truth.compare("surface", found) == 4
    several = edr.query_data("surface", "locations/mountain,bay", datetime_=TIMES[0])
    assert [one["isopleth:location"]["id"] for one in several["coverages"]] == ["mountain", "bay"]
    assert truth.compare("surface", several) == 2 * (1 + 9)
    stations = edr.query_data("stations", "locations/gamma")
    assert stations["ranges"]["t2m"]["values"] == truth["stations"]["t2m"].values[2].tolist()


def test_items(site: Any, truth: Any) -> None:
    features = Features(site.ogc)
    listed = features.collection_items("surface", limit=2)
    assert [one["id"] for one in listed["features"]] == ["harbour", "mountain"]
    assert features.collection_item("surface", "bay")["geometry"]["type"] == "Polygon"
    inside = features.collection_items("surface", bbox=[-70, -20, -50, -10])
    assert [one["id"] for one in inside["features"]] == ["mountain"]
    series = features.collection_items("surface", location="harbour", limit=100)
    rows = [one["properties"] for one in series["features"]]
    assert [row["time"] for row in rows] == TIMES
    for name in ("t2m", "tp"):
        assert np.array_equal([row[name] for row in rows], truth.at("surface", name, x=15, y=45, t=TIMES))


def test_instances(edr: Any, truth: Any) -> None:
    listed = edr.query_data("forecasts", "instances")
    assert [one["id"] for one in listed["instances"]] == ["2020-01-02T00:00:00Z", "2020-01-01T00:00:00Z"]
    run = listed["instances"][1]["id"]
    found = edr.query_data("forecasts", f"instances/{run}/cube", bbox=[0, 0, 30, 15])
    assert axis(found, "t") == TIMES[:3]
    values = truth["forecasts"]["t2m"].sel(reference=np.datetime64("2020-01-01"), lat=[15, 0], lon=[0, 15, 30]).values
    assert np.array_equal(np.reshape(found["ranges"]["t2m"]["values"], (3, 2, 3)), values)
    latest = edr.query_data("forecasts", "instances/latest/position", coords="POINT(30 -15)")
    values = truth["forecasts"]["t2m"].sel(reference=np.datetime64("2020-01-02"), lat=-15, lon=30).values
    assert np.array_equal(latest["ranges"]["t2m"]["values"], values)


def test_a_place_without_data_is_an_empty_answer(edr: Any) -> None:
    assert edr.query_data("surface", "position", coords="POINT(0 89)") == {}


def test_processes(site: Any, truth: Any) -> None:
    processes = Processes(site.ogc)
    assert "subset" in [one["id"] for one in processes.processes()]
    assert "coords" in processes.process("subset")["inputs"]
    inputs = {
        "collection": "surface", "query": "position", "coords": "POINT(15 45)", "parameter-name": "t2m",
        "format": "CoverageJSON",
    }  # fmt: skip
    found = processes.execute("subset", inputs)
    assert truth.compare("surface", found["result"]["value"]) == 4
    started = processes.execute("subset", inputs, async_=True)
    monitor = processes.response_headers["Location"]
    assert monitor == f"{site.ogc}/jobs/{started['jobID']}"
    deadline = time.monotonic() + 60
    while (job := httpx.get(monitor).json())["status"] in ("accepted", "running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    assert job["status"] == "successful", job
    results = httpx.get(f"{monitor}/results").json()["result"]
    document = results["value"] if "value" in results else httpx.get(results["href"]).json()
    assert truth.compare("surface", document) == 4
