"""Are the named places of a collection listed, filtered, paged and answered over HTTP as EDR says?"""

from __future__ import annotations

import csv
import io
import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from covjson_pydantic.coverage import Coverage, CoverageCollection
from edr_pydantic.data_queries import DataQueries
from geojson_pydantic import FeatureCollection
from openapi_spec_validator import validate

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, NoDataError, NotAcceptableError, UnknownError
from plugins.datacube.limits import Limits
from server.ogc.collections import collection, collections
from server.ogc.features import GEOJSON
from server.ogc.locations import location_list, location_query
from server.ogc.openapi import openapi

INSTANT = "2020-01-01T06:00:00Z"
PLACES = {
    "north": ("The north", {"type": "Point", "coordinates": [0, 10]}),
    "east side": ("The east", {"type": "Point", "coordinates": [15, 0]}),
    "square": ("A square", {"type": "Polygon", "coordinates": [[[-6, -6], [6, -6], [6, 6], [-6, 6], [-6, -6]]]}),
    "far": ("Far away", {"type": "Point", "coordinates": [120, 50]}),
}


def features(names: Any = tuple(PLACES)) -> dict[str, Any]:
    made = [
        {"type": "Feature", "id": name, "geometry": deepcopy(PLACES[name][1]), "properties": {"name": PLACES[name][0]}}
        for name in names
    ]
    return {"type": "FeatureCollection", "features": made}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "places.geojson"
    path.write_text(json.dumps(features()))
    return path


@pytest.fixture
def site(site_of, stores, file):
    """``region`` and ``globe`` with the same places, and ``bare`` without."""
    return site_of(
        [
            DatasetDefinition("region", str(stores["region"]), locations=str(file)),
            DatasetDefinition("globe", str(stores["globe"]), locations=str(file)),
            DatasetDefinition("bare", str(stores["region"])),
        ]
    )


def ids(document):
    return [one["id"] for one in document["features"]]


def ask(site, places, query="", where="region", **fields):
    return site.get(location_query, where, places, query=query, **fields)


def told(site, places, query="", **fields):
    response = ask(site, places, query, **fields)
    assert response.status == 200
    document = orjson.loads(response.content())
    kind = Coverage if document["type"] == "Coverage" else CoverageCollection
    kind.model_validate_json(response.content())
    return document


# The list ----------------------------------------------------------------------------------------------------------


def test_the_list_without_parameters(site):
    response = site.get(location_list, "region")
    assert (response.status, response.headers["Content-Type"]) == (200, GEOJSON)
    document = orjson.loads(response.content())
    FeatureCollection.model_validate(document)
    assert ids(document) == list(PLACES)
    assert (document["numberMatched"], document["numberReturned"]) == (4, 4)
    first = document["features"][1]
    assert first["geometry"] == {"type": "Point", "coordinates": [15.0, 0.0]}
    assert first["properties"] == {
        "name": "The east",
        "label": "The east",
        "datetime": "2020-01-01T00:00:00Z/2020-01-01T18:00:00Z",
        "parameter-name": ["pr", "tas"],
        "edrqueryendpoint": "http://127.0.0.1:8000/ogc/collections/region/locations/east%20side",
    }
    assert {link["rel"] for link in document["links"]} == {"self", "alternate", "collection"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("bbox=-1,9,1,11", ["north"]),
        ("bbox=5,-1,20,1", ["east side", "square"]),
        ("bbox=355,-1,5,1", ["square"]),
        ("bbox=100,0,-100,90", ["far"]),
        ("bbox=0,9,0,1,11,99", ["north"]),
        ("bbox=50,-80,60,-70", []),
        ("datetime=2020-01-01", list(PLACES)),
        ("datetime=../2019-01-01", []),
        ("datetime=2020-01-01T05:00:00Z/..&limit=1", ["north"]),
        ("limit=2", ["north", "east side"]),
        ("limit=2&offset=2", ["square", "far"]),
        ("offset=9", []),
        ("limit=999999999", list(PLACES)),
        ("f=GeoJSON", list(PLACES)),
        ("f=json&crs=CRS84", list(PLACES)),
        ("f=application/geo%2Bjson", list(PLACES)),
    ],
)
def test_the_list_is_filtered(site, query, expected):
    document = site.document(location_list, "region", query=query)
    assert ids(document) == expected
    assert document["numberReturned"] == len(expected)


def test_pages_follow_each_other(site):
    seen, query = [], "limit=1&bbox=-20,-20,130,60"
    while query:
        document = site.document(location_list, "region", query=query)
        seen += ids(document)
        links = {link["rel"]: link["href"] for link in document["links"]}
        assert ("prev" in links) == (len(seen) > 1)
        query = links["next"].partition("?")[2] if "next" in links else ""
    assert seen == list(PLACES)
    whole = site.document(location_list, "region", query="limit=4")
    assert "next" not in {link["rel"] for link in whole["links"]}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("bbox=1,2,3", "bbox"),
        ("bbox=0,10,1,0", "bbox"),
        ("datetime=x", "datetime"),
        ("limit=0", "limit"),
        ("offset=-1", "offset"),
        ("f=csv", "f"),
        ("crs=EPSG:3857", "crs"),
        ("coords=POINT(0 0)", "coords"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_wrong_parameter_of_the_list_is_named(site, query, parameter):
    with pytest.raises(InvalidQueryError) as caught:
        site.get(location_list, "region", query=query)
    assert caught.value.parameter == parameter


def test_the_list_by_post_and_by_accept(site):
    body = {"method": "POST", "body": b'{"bbox": [-1, 9, 1, 11]}', "content_type": "application/json"}
    assert ids(orjson.loads(site.get(location_list, "region", **body).content())) == ["north"]
    response = site.get(location_list, "region", accept="application/json")
    assert response.headers["Content-Type"] == "application/json"
    with pytest.raises(NotAcceptableError):
        site.get(location_list, "region", accept="image/png")


def test_the_list_has_a_state(site, file):
    first = site.get(location_list, "region")
    headers = {"headers": {"if-none-match": first.headers["ETag"]}}
    assert site.get(location_list, "region", **headers).status == 304
    file.write_text(json.dumps(features(["north"])))
    again = site.get(location_list, "region", **headers)
    assert again.status == 200
    assert ids(orjson.loads(again.content())) == ["north"]


def test_a_collection_without_locations_says_so(site, file):
    for function, more in ((location_list, ()), (location_query, ("north",))):
        with pytest.raises(UnknownError, match="'bare' has no locations"):
            site.get(function, "bare", *more)
    document = site.document(collection, "bare")
    assert {"locations", "items"}.isdisjoint(document["data_queries"])
    file.write_text("{")
    with pytest.raises(UnknownError, match="'region' has no locations"):
        site.get(location_list, "region")
    assert "locations" not in site.document(collection, "region")["data_queries"]
    assert site.json("region/position", "coords=POINT(0 0)")


# The collection and the OpenAPI document ---------------------------------------------------------------------------


def test_the_collection_names_its_locations(site):
    for document in (site.document(collection, "region"), site.document(collections)["collections"][0]):
        link = document["data_queries"]["locations"]["link"]
        assert link["href"] == "http://127.0.0.1:8000/ogc/collections/region/locations"
        assert link["variables"]["multiple_locations"] is True
        assert link["variables"]["query_type"] == "locations"
        assert {"GeoJSON", "CoverageJSON", "GeoTIFF"} <= set(link["variables"]["output_formats"])
        assert "itemType" not in document
        hrefs = {(one["rel"], one["href"].rpartition("/")[2]) for one in document["links"]}
        assert {("data", "locations"), ("items", "items")} <= hrefs
        queries = DataQueries.model_validate(document["data_queries"])
        assert queries.locations is not None
        assert queries.items is not None


def test_rasters_are_offered_where_there_are_areas(site_of, stores, file):
    file.write_text(json.dumps(features(["north", "far"])))
    site = site_of([DatasetDefinition("region", str(stores["region"]), locations=str(file))])
    offered = site.document(collection, "region")["data_queries"]["locations"]["link"]["variables"]["output_formats"]
    assert "GeoTIFF" not in offered


def test_the_openapi_document_has_their_paths(site):
    document = site.document(openapi)
    validate(document)
    base = "/collections/region"
    assert {f"{base}/locations", f"{base}/locations/{{locId}}", f"{base}/items", f"{base}/items/{{itemId}}"} <= set(
        document["paths"]
    )
    assert not [path for path in document["paths"] if path.startswith("/collections/bare/l")]
    parameters = document["paths"][f"{base}/locations/{{locId}}"]["get"]["parameters"]
    named = {one["name"]: one for one in parameters if "name" in one}
    assert {"datetime", "parameter-name", "crs"} <= set(named)
    assert "coords" not in named
    for one in (*parameters, *document["paths"][f"{base}/locations"]["get"]["parameters"]):
        if one.get("in") == "query":
            assert (one["required"], one["style"], one["explode"]) == (False, "form", False)


# The data ----------------------------------------------------------------------------------------------------------


def test_one_place_has_the_values_of_its_cell(site, cells, true_value):
    document = told(site, "north", "parameter-name=tas")
    assert document["type"] == "Coverage"
    assert document["isopleth:location"] == {"id": "north", "name": "The north"}
    found = cells(document)
    assert [(cell.at["x"], cell.at["y"]) for cell in found] == [(0, 10)] * 4
    assert [cell.value for cell in found] == [true_value(cell) for cell in found]


def test_an_area_has_the_cells_that_it_covers(site, cells, true_value):
    document = told(site, "square", f"parameter-name=tas&datetime={INSTANT}")
    found = cells(document)
    assert {(cell.at["x"], cell.at["y"]) for cell in found} == {(x, y) for x in (-5, 0, 5) for y in (-5, 0, 5)}
    assert [cell.value for cell in found] == [true_value(cell) for cell in found]


def test_a_list_is_one_collection_of_named_coverages(site, cells, true_value):
    document = told(site, "square,north,far,east side", f"datetime={INSTANT}&parameter-name=tas")
    assert document["type"] == "CoverageCollection"
    named = [one["isopleth:location"]["id"] for one in document["coverages"]]
    assert named == ["square", "north", "east side"]
    found = cells(document)
    assert len(found) == 9 + 2
    assert [cell.value for cell in found] == [true_value(cell) for cell in found]


def test_levels_and_members(site, cells, true_value):
    document = told(site, "north,east side", "z=850&number=1&parameter-name=ta", where="globe")
    found = cells(document)
    assert {cell.at["z"] for cell in found} == {850}
    assert {cell.at["number"] for cell in found} == {1}
    assert [cell.value for cell in found] == [true_value(cell) for cell in found]


def test_by_post(site):
    query = f"datetime={INSTANT}&parameter-name=tas"
    form = {"method": "POST", "body": query.encode(), "content_type": "application/x-www-form-urlencoded"}
    assert told(site, "north", **form) == told(site, "north", query)


def test_other_formats(site, true_value):
    query = f"datetime={INSTANT}&parameter-name=tas"
    rows = list(csv.DictReader(io.StringIO(ask(site, "north,east side", f"{query}&f=CSV").content().decode())))
    assert [(float(row["longitude"]), float(row["latitude"])) for row in rows] == [(0, 10), (15, 0)]
    assert [float(row["tas"]) for row in rows] == [1e6 + 100e3, 1e6 + 90e3 + 15]
    features_of = orjson.loads(ask(site, "north,square", f"{query}&f=GeoJSON").content())
    assert len(features_of["features"]) == 10
    assert ask(site, "square", f"{query}&f=GeoTIFF").headers["Content-Type"].startswith("image/tiff")
    with pytest.raises(InvalidQueryError) as caught:
        ask(site, "north", f"{query}&f=GeoTIFF")
    assert caught.value.parameter == "f"


def test_what_is_not_there(site):
    with pytest.raises(UnknownError, match="no location 'nope'"):
        ask(site, "north,nope")
    with pytest.raises(NoDataError):
        ask(site, "far")
    with pytest.raises(NoDataError):
        ask(site, "north", "datetime=1990-01-01")


def test_a_query_may_not_say_where_again(site):
    with pytest.raises(InvalidQueryError) as caught:
        ask(site, "north", "coords=POINT(0 0)")
    assert caught.value.parameter == "coords"


def test_the_state_is_that_of_data_question_and_place(site, file):
    first = ask(site, "north", "parameter-name=tas").headers["ETag"]
    assert ask(site, "north", "parameter-name=tas", headers={"if-none-match": first}).status == 304
    assert ask(site, "east side", "parameter-name=tas").headers["ETag"] != first
    moved = features()
    moved["features"][0]["geometry"]["coordinates"] = [5, 5]
    file.write_text(json.dumps(moved))
    assert ask(site, "north", "parameter-name=tas", headers={"if-none-match": first}).status == 200


def test_too_much_is_refused_with_the_process_that_can(site_of, stores, file):
    definition = DatasetDefinition("globe", str(stores["globe"]), locations=str(file))
    site = site_of([definition], limits=Limits(bytes_decoded=1))
    response = ask(site, "square,north", "z=850", where="globe")
    assert response.status == 413
    inputs = orjson.loads(response.content())["process"]["body"]["inputs"]
    assert inputs["query"] == "locations"
    assert (inputs["collection"], inputs["locationId"], inputs["z"]) == ("globe", "square,north", "850")


def test_the_dataset_follows_its_file_while_it_is_served(site_of, stores, file, tmp_path):
    shutil.copytree(stores["region"], tmp_path / "copy.zarr")
    site = site_of([DatasetDefinition("copy", str(tmp_path / "copy.zarr"), locations=str(file))])
    assert len(site.document(location_list, "copy")["features"]) == 4
    file.write_text(json.dumps(features(["far", "north"])))
    assert ids(site.document(location_list, "copy")) == ["far", "north"]
    values = told(site, "north", "parameter-name=tas", where="copy")["ranges"]["tas"]["values"]
    np.testing.assert_array_equal(values, np.arange(4) * 1e6 + 100e3)
