"""Forecast runs and states of the data over the API functions: lists, documents, queries, and where they are found."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import icechunk
import numpy as np
import orjson
import pytest
import zarr
from edr_pydantic.collections import Collection, Instance, Instances
from openapi_spec_validator import validate

from plugins.datacube import library as library_module
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, UnknownError
from plugins.datacube.limits import Limits
from server.ogc.collections import collection, collections
from server.ogc.edr import edr_query
from server.ogc.instances import MOST_RUNS, instance, instance_query, instances, versions
from server.ogc.openapi import openapi
from server.pages.render import Pages

RUNS = ["2024-06-04T00:00:00Z", "2024-06-03T12:00:00Z", "2024-06-03T00:00:00Z"]
HOURS, STEPS, LATS, LONS = np.arange(3) * 12, np.arange(4) * 3, np.array([10.0, 0.0]), np.array([0.0, 10.0, 20.0])
ADDRESS = "http://127.0.0.1:8000/ogc/collections"
PLACE = "coords=POINT(10 0)"


def truth(hour: Any, step: Any, lat: Any, lon: Any) -> Any:
    return hour * 1e4 + step * 1e2 + lat + lon / 100


def write_grid(group: zarr.Group, times: dict[str, tuple[Any, dict[str, Any]]], values: Any) -> None:
    for name, (coordinate, marks) in {
        **times, "lat": (LATS, {"units": "degrees_north"}), "lon": (LONS, {"units": "degrees_east"})
    }.items():  # fmt: skip
        group.create_array(name, data=coordinate, dimension_names=[name]).update_attributes(marks)
    array = group.create_array("t2m", data=values, dimension_names=[*times, "lat", "lon"])
    array.update_attributes({"units": "K", "standard_name": "air_temperature"})


def write_forecast(store: Any, hours: Any = HOURS) -> None:
    times = {
        "time": (hours, {"units": "hours since 2024-06-03", "standard_name": "forecast_reference_time"}),
        "step": (STEPS, {"units": "hours", "standard_name": "forecast_period"}),
    }
    write_grid(
        zarr.create_group(store, overwrite=True), times, truth(*np.meshgrid(hours, STEPS, LATS, LONS, indexing="ij"))
    )


def commit(path: Path, count: int) -> str:
    """Write `count` times into an Icechunk repository; each value is the time, and 1000 for each state."""
    repository = icechunk.Repository.open_or_create(icechunk.local_filesystem_storage(str(path)))
    session = repository.writable_session("main")
    times = {"time": (np.arange(count), {"units": "hours since 2024-01-01", "standard_name": "time"})}
    values = np.broadcast_to(np.arange(count)[:, None, None] + count * 1000.0, (count, 2, 3))
    write_grid(zarr.create_group(session.store, overwrite=True), times, values)
    return session.commit(f"state of {count} times")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, site_of: Callable[..., Any]) -> Any:
    """``fc``: 3 runs; ``obs``: 3 states, the first tagged ``v1``; ``both``: runs in Icechunk; ``plain``: neither."""
    root = tmp_path_factory.mktemp("instances")
    write_forecast(root / "fc.zarr")
    snapshots = [commit(root / "obs", count) for count in (1, 2, 3)]
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(root / "obs")))
    repository.create_tag("v1", snapshots[0])
    both = icechunk.Repository.create(icechunk.local_filesystem_storage(str(root / "both"))).writable_session("main")
    write_forecast(both.store)
    state = both.commit("three runs")
    times = {"time": (np.arange(2), {"units": "hours since 2024-01-01", "standard_name": "time"})}
    write_grid(zarr.create_group(root / "plain.zarr"), times, np.zeros((2, 2, 3)))
    places = {"fc": "fc.zarr", "obs": "obs", "both": "both", "plain": "plain.zarr"}
    site = site_of([DatasetDefinition(name, str(root / path), title=name.upper()) for name, path in places.items()])
    return site, snapshots, state


def ask(
    site: Any, collection_id: str, instance_id: str, kind: str, query: str, method: str = "GET", **fields: Any
) -> Any:
    path = f"/ogc/collections/{collection_id}/instances/{instance_id}/{kind}"
    return instance_query(site.service, site.request(path, query, method, **fields), collection_id, instance_id, kind)


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what goes beyond the standard: the strict reader forbids it."""
    extent = dict(document["extent"])
    for name in {"spatial", "temporal", "vertical"} & set(extent):
        extent[name] = {k: v for k, v in extent[name].items() if k != "grid" and (name, k) != ("spatial", "values")}
    kept = {name: part for name, part in document.items() if not name.startswith("isopleth:")}
    # It reads plain labels alone; the schema of the standard allows language maps beside them.
    parameters = {
        name: {**one, "observedProperty": {**one["observedProperty"], "label": one["observedProperty"]["label"]["en"]}}
        for name, one in document["parameter_names"].items()
    }
    return {**kept, "extent": extent, "parameter_names": parameters}


def read_strictly(kind: Any, document: dict[str, Any]) -> Any:
    return kind.model_validate_json(orjson.dumps(document))


# Forecast runs -----------------------------------------------------------------------------------------------------


def test_the_list_of_runs_holds_whole_documents(world):
    site, _, _ = world
    document = site.document(instances, "fc")
    found = read_strictly(
        Instances, {"links": document["links"], "instances": [strict(i) for i in document["instances"]]}
    )
    assert [one.id for one in found.instances] == RUNS
    for one in document["instances"]:
        assert {"data_queries", "parameter_names", "extent", "crs", "output_formats"} <= set(one)
        assert one == site.document(instance, "fc", one["id"])


def test_a_run_has_its_own_times_and_addresses(world):
    site, _, _ = world
    document = site.document(instance, "fc", RUNS[1])
    read_strictly(Instance, strict(document))
    assert document["id"] == RUNS[1]
    assert document["extent"]["temporal"]["values"] == [f"2024-06-03T{hour}:00:00Z" for hour in (12, 15, 18, 21)]
    assert document["extent"]["temporal"]["interval"] == [["2024-06-03T12:00:00Z", "2024-06-03T21:00:00Z"]]
    assert "custom" not in document["extent"]
    below = f"{ADDRESS}/fc/instances/{RUNS[1]}"
    assert {name: query["link"]["href"] for name, query in document["data_queries"].items()} == {
        name: f"{below}/{name}" for name in ("position", "radius", "area", "cube", "trajectory", "corridor")
    }
    links = {link["rel"]: link["href"] for link in document["links"]}
    assert (links["self"], links["collection"]) == (below, f"{ADDRESS}/fc")


@pytest.mark.parametrize("number", range(3))
def test_the_values_are_those_of_the_run(world, cells, number):
    site, _, _ = world
    response = ask(site, "fc", RUNS[number], "cube", "bbox=0,0,20,10")
    found = cells(orjson.loads(response.content()))
    assert len(found) == 4 * 2 * 3
    start = np.datetime64(RUNS[number][:-1])
    for cell in found:
        step = (np.datetime64(cell.at["t"][:-1]) - start) / np.timedelta64(1, "h")
        assert cell.value == truth(HOURS[2 - number], step, cell.at["y"], cell.at["x"])


def test_a_post_asks_the_same(world):
    site, _, _ = world
    body = orjson.dumps({"coords": "POINT(10 0)", "datetime": "2024-06-03T15:00:00Z"})
    posted = ask(site, "fc", RUNS[1], "position", "", "POST", body=body, content_type="application/json")
    got = ask(site, "fc", RUNS[1], "position", f"{PLACE}&datetime=2024-06-03T15:00:00Z")
    assert orjson.loads(posted.content()) == orjson.loads(got.content())


def test_answers_of_two_runs_and_of_the_collection_have_different_etags(world):
    site, _, _ = world
    # The same question about the same state of the store, with the same parameters.
    tags = {ask(site, "fc", run, "position", PLACE).headers["ETag"] for run in RUNS}
    tags.add(site.edr("fc/position", PLACE).headers["ETag"])
    assert len(tags) == 4
    again = ask(
        site,
        "fc",
        RUNS[0],
        "position",
        PLACE,
        headers={"if-none-match": ask(site, "fc", RUNS[0], "position", PLACE).headers["ETag"]},
    )
    assert again.status == 304


@pytest.mark.parametrize("alias", ["latest", "20240604T000000Z", "20240604T00Z", "2024-06-04T00:00Z"])
def test_an_alias_is_answered_with_the_real_address(world, alias):
    site, _, _ = world
    document = site.get(instance, "fc", alias)
    assert orjson.loads(document.content())["id"] == RUNS[0]
    assert document.headers["Content-Location"] == f"{ADDRESS}/fc/instances/{RUNS[0]}"
    data = ask(site, "fc", alias, "position", PLACE)
    where = urlsplit(data.headers["Content-Location"])
    assert where.path == f"/ogc/collections/fc/instances/{RUNS[0]}/position"
    same = ask(site, "fc", RUNS[0], "position", where.query.replace("+", " ").replace("%28", "(").replace("%29", ")"))
    assert "Content-Location" not in same.headers
    assert same.content() == data.content()


def test_latest_follows_a_new_run(tmp_path, site_of, monkeypatch):
    write_forecast(tmp_path / "fc.zarr")
    site = site_of([DatasetDefinition("fc", str(tmp_path / "fc.zarr"))])
    before = ask(site, "fc", "latest", "position", PLACE)
    write_forecast(tmp_path / "fc.zarr", np.arange(4) * 12)
    monkeypatch.setattr(library_module, "CHECK_SECONDS", 0.0)
    after = ask(site, "fc", "latest", "position", PLACE)
    assert "2024-06-04T12:00:00Z" in after.headers["Content-Location"]
    assert before.headers["ETag"] != after.headers["ETag"]


def test_the_list_comes_in_pages(world):
    site, _, _ = world
    query, seen = "limit=1", []
    for _ in range(5):
        document = site.document(instances, "fc", query=query)
        seen += [one["id"] for one in document["instances"]]
        links = {link["rel"]: link["href"] for link in document["links"]}
        if "next" not in links:
            break
        query = urlsplit(links["next"]).query
    assert seen == RUNS
    assert urlsplit(links["prev"]).query == "limit=1&offset=1"
    assert len(site.document(instances, "fc", query=f"limit={MOST_RUNS * 1000}")["instances"]) == 3
    assert site.document(instances, "fc", query="offset=99")["instances"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1", "offset=1e3", "bbox=0,0,1,1"])
def test_a_wrong_page_is_refused_by_name(world, query):
    site, _, _ = world
    with pytest.raises(InvalidQueryError) as caught:
        site.get(instances, "fc", query=query)
    assert caught.value.parameter == query.split("=")[0]


def test_a_collection_with_runs_says_so_where_clients_look(world):
    site, _, _ = world
    document = site.document(collection, "fc")
    read_strictly(Collection, strict(document))
    link = document["data_queries"]["instances"]["link"]
    assert (link["href"], link["variables"]["query_type"]) == (f"{ADDRESS}/fc/instances", "instances")
    assert f"{ADDRESS}/fc/instances" in [link["href"] for link in document["links"]]


def test_a_query_too_large_names_the_run_in_the_process(world, site_of):
    site, _, _ = world
    small = site_of([site.service.library.get("fc").cube.definition], limits=Limits(values=2))
    response = ask(small, "fc", "latest", "cube", "bbox=0,0,20,10")
    assert response.status == 413
    assert orjson.loads(response.content())["process"]["body"]["inputs"]["instance"] == RUNS[0]


# States of the data ------------------------------------------------------------------------------------------------


def test_an_old_state_answers_as_it_was(world, cells):
    site, snapshots, _ = world
    for count, snapshot in enumerate(snapshots, start=1):
        found = cells(orjson.loads(ask(site, "obs", snapshot, "position", PLACE).content()))
        assert [cell.value for cell in found] == [hour + count * 1000.0 for hour in range(count)]
    tagged = cells(orjson.loads(ask(site, "obs", "v1", "position", PLACE).content()))
    assert [cell.value for cell in tagged] == [1000.0]
    now = cells(site.json("obs/position", PLACE))
    assert [cell.value for cell in now] == [3000.0, 3001.0, 3002.0]


def test_a_state_says_when_it_was_written_and_why(world):
    site, snapshots, _ = world
    document = site.document(instance, "obs", "v1")
    read_strictly(Instance, strict(document))
    assert document["title"] == "OBS, version v1"
    assert "state of 1 times" in document["description"]
    said = document["isopleth:version"]
    assert (said["snapshot"], said["message"], said["tag"]) == (snapshots[0], "state of 1 times", "v1")
    assert said["written"][:4].isdigit()
    assert said["written"] in document["description"]
    assert document["extent"]["temporal"]["interval"] == [["2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"]]


def test_states_are_linked_to_each_other(world):
    site, snapshots, _ = world
    links = {link["rel"]: link["href"] for link in site.document(instance, "obs", snapshots[1])["links"]}
    assert links["predecessor-version"] == f"{ADDRESS}/obs/instances/{snapshots[0]}"
    assert links["version-history"] == f"{ADDRESS}/obs/versions"
    assert links["latest-version"] == links["collection"] == f"{ADDRESS}/obs"
    first = {link["rel"] for link in site.document(instance, "obs", snapshots[0])["links"]}
    assert "predecessor-version" not in first


@pytest.mark.parametrize("function", [instances, versions])
def test_the_states_are_listed_by_name_and_then_by_age(world, function):
    site, snapshots, _ = world
    document = site.document(function, "obs")
    read_strictly(Instances, {"links": document["links"], "instances": [strict(i) for i in document["instances"]]})
    assert [one["id"] for one in document["instances"]] == ["v1", *snapshots[::-1]]
    page = site.document(function, "obs", query="limit=2&offset=1")
    assert [one["id"] for one in page["instances"]] == snapshots[:0:-1]


def test_latest_of_a_dataset_without_runs_is_what_it_is_now(world):
    site, snapshots, _ = world
    assert site.document(instance, "obs", "latest")["id"] == snapshots[-1]


def test_clients_that_look_for_runs_find_none_in_a_history(world):
    """The QGIS plugin takes any link of a collection with /instances in its address for a choice of runs."""
    site, _, _ = world
    for document in (site.document(collection, "obs"), site.document(collections)["collections"][1]):
        hrefs = [link["href"] for link in document["links"]]
        hrefs += [query["link"]["href"] for query in document["data_queries"].values()]
        assert not [href for href in hrefs if "/instances" in href]
        assert {link["rel"]: link["href"] for link in document["links"]}["version-history"] == f"{ADDRESS}/obs/versions"


def test_runs_and_states_of_one_dataset(world):
    site, _, state = world
    assert [one["id"] for one in site.document(instances, "both")["instances"]] == RUNS
    assert [one["id"] for one in site.document(versions, "both")["instances"]] == [state]
    document = site.document(instance, "both", state)
    # A state is the whole dataset, whose runs have no addresses below it.
    assert "instances" not in document["data_queries"]
    assert not [link for link in document["links"] if link["href"].endswith("/instances")]
    assert document["extent"]["custom"][0]["id"] == "step"


# What there is not -------------------------------------------------------------------------------------------------


def test_a_plain_dataset_has_none_and_says_why(world):
    site, _, _ = world
    why = "'plain' has no instances: it has no axis of forecast reference times, and its store keeps no earlier states"
    for call in (
        lambda: site.get(instances, "plain"),
        lambda: site.get(instance, "plain", "latest"),
        lambda: ask(site, "plain", "latest", "position", PLACE),
    ):
        with pytest.raises(UnknownError, match=why):
            call()
    with pytest.raises(UnknownError, match="keeps no earlier states"):
        site.get(versions, "plain")
    document = site.document(collection, "plain")
    assert "instances" not in document["data_queries"]
    assert not {"version-history"} & {link["rel"] for link in document["links"]}


@pytest.mark.parametrize(("collection_id", "instance_id"), [("fc", "nope"), ("obs", "nope"), ("absent", "latest")])
def test_the_unknown_is_unknown(world, collection_id, instance_id):
    site, _, _ = world
    with pytest.raises(UnknownError, match=r"there (is|are)"):
        site.get(instance, collection_id, instance_id)
    with pytest.raises(UnknownError):
        ask(site, collection_id, instance_id, "position", PLACE)


def test_an_instance_has_no_other_queries_than_the_collection(world):
    site, _, _ = world
    with pytest.raises(UnknownError, match="has no 'nope' query"):
        ask(site, "fc", "latest", "nope", PLACE)
    with pytest.raises(UnknownError, match="has no 'instances' query"):
        edr_query(site.service, site.request(), "plain", "instances")


# How it is told to programs and people -----------------------------------------------------------------------------


def test_the_api_description_has_the_paths_of_runs(world):
    site, _, _ = world
    document = site.document(openapi)
    validate(document)
    paths = document["paths"]
    for name in ("position", "radius", "area", "cube", "trajectory", "corridor"):
        item = paths[f"/collections/fc/instances/{{instanceId}}/{name}"]
        named = {one.get("name") for one in item["get"]["parameters"]}
        assert "datetime" in named
        assert "step" not in named
    assert "/collections/obs/instances/{instanceId}/position" not in paths
    assert {"/collections/{collectionId}/instances", "/collections/{collectionId}/versions"} <= set(paths)
    example = next(
        one["example"] for one in paths["/collections/fc/instances/{instanceId}/position"]["get"]["parameters"]
        if one.get("name") == "datetime"
    )  # fmt: skip
    assert example == RUNS[0]
    operations = [
        operation["operationId"] for item in paths.values() for operation in item.values() if "operationId" in operation
    ]
    assert len(operations) == len(set(operations))


def test_datasets_without_instances_leave_the_description_as_it_was(site):
    assert not [path for path in site.document(openapi)["paths"] if "/instances" in path or "/versions" in path]


def test_the_pages(world):
    site, _, _ = world
    pages = Pages()
    listed = pages.document("instances", site.document(instances, "fc"), "/json")
    for run in RUNS:
        assert f'<h3><a href="{ADDRESS}/fc/instances/{run}">FC, run of {run}</a></h3>' in listed
    one = pages.document(RUNS[0], site.document(instance, "fc", RUNS[0]), "/json")
    assert f"<code>{ADDRESS}/fc/instances/{RUNS[0]}/position</code>" in one
    # The page with the map is that of a collection.
    assert "Map and time series" not in one
    assert "Map and time series" in pages.document("fc", site.document(collection, "fc"), "/json")
    history = pages.document("versions", site.document(versions, "obs"), "/json")
    assert "OBS, version v1" in history
    assert "state of 2 times" in history


def test_every_address_in_a_document_is_answered(world):
    """Follow the links of lists and documents to instances, as a client would."""
    site, _, _ = world
    starts = [(instances, "fc"), (instances, "obs"), (versions, "both")]
    hrefs = set(
        itertools.chain.from_iterable(
            (link["href"] for one in site.document(function, name)["instances"] for link in one["links"])
            for function, name in starts
        )
    )
    followed = 0
    for href in sorted(hrefs):
        parts = urlsplit(href).path.split("/")
        if "/instances/" in href and len(parts) == 6:
            assert site.get(instance, parts[3], parts[5]).status == 200
            followed += 1
    assert followed >= 8
