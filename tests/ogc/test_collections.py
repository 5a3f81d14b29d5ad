"""Do the collection documents say what the data are, in a form that strict clients read?"""

from __future__ import annotations

import time
from dataclasses import replace

import orjson
import pytest
from edr_pydantic.collections import Collection, Collections

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, UnknownError
from plugins.datacube.query import QUERY_TYPES
from server.ogc.collections import collection, collection_document, collections


def strictly(document):
    """The document without what edr-pydantic does not know yet: values of EDR 1.2, and the grids of OGC API Common."""
    if "collections" in document:
        return {**document, "collections": [strictly(one) for one in document["collections"]]}
    extent = {
        name: {key: value for key, value in part.items() if key != "grid" and (name, key) != ("spatial", "values")}
        if isinstance(part, dict)
        else part
        for name, part in document["extent"].items()
    }
    # It reads plain labels alone; the schema of the standard allows language maps beside them.
    parameters = {
        name: {**one, "observedProperty": {**one["observedProperty"], "label": one["observedProperty"]["label"]["en"]}}
        for name, one in document["parameter_names"].items()
    }
    return {**document, "extent": extent, "parameter_names": parameters}


def test_the_list_is_valid_and_leaves_out_what_cannot_be_opened(site):
    found = Collections.model_validate_json(orjson.dumps(strictly(site.document(collections))))
    assert [one.id for one in found.collections] == ["region", "globe"]
    assert "self" in {link.rel for link in found.links}


@pytest.mark.parametrize("identifier", ["region", "globe"])
def test_a_collection_is_valid_and_the_same_as_in_the_list(site, identifier):
    response = site.get(collection, identifier)
    assert Collection.model_validate_json(orjson.dumps(strictly(orjson.loads(response.content())))).id == identifier
    listed = {one["id"]: one for one in site.document(collections)["collections"]}
    assert orjson.loads(response.content()) == listed[identifier]


def test_the_address_of_a_broken_dataset_says_why(site):
    with pytest.raises(UnknownError, match=r"'broken' cannot be served: nothing\.zarr does not exist"):
        site.get(collection, "broken")
    with pytest.raises(UnknownError, match="'absent'"):
        site.get(collection, "absent")


def test_the_links(site):
    links = site.document(collection, "region")["links"]
    assert all({"href", "rel", "type"} <= set(link) for link in links)
    by_relation: dict[str, list[str]] = {}
    for link in links:
        by_relation.setdefault(link["rel"], []).append(link["href"])
    address = "http://127.0.0.1:8000/ogc/collections/region"
    assert by_relation["self"] == [address]
    assert by_relation["data"] == [f"{address}/{name}" for name in QUERY_TYPES]
    assert by_relation["license"] == ["https://spdx.org/licenses/CC-BY-4.0.html"]
    assert by_relation["describedby"] == ["http://127.0.0.1:8000/stac/collections/region"]


def test_the_queries_with_their_formats_and_reference_systems(site):
    document = site.document(collection, "globe")
    assert set(document["data_queries"]) == {"position", "radius", "area", "cube", "trajectory", "corridor"}
    formats = ["CoverageJSON", "NetCDF", "CSV", "Zarr", "CoverageJSON-ECMWF", "GeoJSON", "PNG", "GeoTIFF"]
    assert document["output_formats"][:8] == formats
    assert set(document["output_formats"][8:]) <= {"Parquet", "Arrow"}
    assert document["crs"] == ["CRS:84", "EPSG:4326", "EPSG:3857"]
    for name, query in document["data_queries"].items():
        variables = query["link"]["variables"]
        assert variables["query_type"] == name
        rasters = {"PNG", "GeoTIFF"} if name in ("position", "trajectory") else set()
        assert variables["output_formats"] == [f for f in document["output_formats"] if f not in rasters]
        assert variables["default_output_format"] in document["output_formats"]
        assert all({"crs", "wkt"} <= set(one) for one in variables["crs_details"])
    assert document["data_queries"]["cube"]["link"]["variables"]["height_units"] == ["hPa"]
    assert document["data_queries"]["radius"]["link"]["variables"]["within_units"] == ["km", "m", "mi", "nmi", "ft"]
    corridor = document["data_queries"]["corridor"]["link"]["variables"]
    # By the names of the standard, and by those that the QGIS plugin reads.
    assert corridor["width_units"] == corridor["width-units"] == ["km", "m", "mi", "nmi", "ft"]
    assert corridor["height_units"] == corridor["height-units"] == ["hPa", "Pa", "mbar", "bar"]


def test_the_extent(site):
    extent = site.document(collection, "globe")["extent"]
    (box,) = extent["spatial"]["bbox"]
    assert box == [-180.0, -90.0, 180.0, 90.0]
    assert "CRS84" in extent["spatial"]["crs"]
    assert extent["temporal"]["interval"] == [["2020-01-01T00:00:00Z", "2020-01-01T18:00:00Z"]]
    assert extent["temporal"]["values"] == [f"2020-01-01T{hour:02d}:00:00Z" for hour in (0, 6, 12, 18)]
    assert extent["vertical"]["interval"] == [["500", "1000"]]
    assert extent["vertical"]["values"] == ["1000", "850", "500"]
    (member,) = extent["custom"]
    assert (member["id"], member["values"]) == ("number", ["0", "1"])


def test_a_dataset_without_levels_says_nothing_of_them(site):
    document = site.document(collection, "region")
    assert set(document["extent"]) == {"spatial", "temporal"}
    assert document["data_queries"]["cube"]["link"]["variables"]["height_units"] == []


def test_the_parameters(site):
    parameters = site.document(collection, "region")["parameter_names"]
    assert set(parameters) == {"pr", "tas"}
    tas = parameters["tas"]
    assert tas["type"] == "Parameter"
    assert tas["label"] == "Temperature"
    assert tas["data-type"] == "float"
    assert tas["unit"] == {"label": "K", "symbol": {"value": "K", "type": "http://www.opengis.net/def/uom/UCUM/"}}
    assert tas["observedProperty"] == {
        "id": "http://vocab.nerc.ac.uk/standard_name/air_temperature/",
        "label": {"en": "air_temperature"},
    }
    assert tas["measurementType"] == {"method": "mean", "duration": "PT6H"}
    assert parameters["pr"]["measurementType"]["method"] == "sum"


def test_a_dataset_that_cannot_be_queried_is_described_with_the_reason(site):
    opened = site.service.library.get("region")
    cube = replace(opened.cube, unsupported="its grid is curvilinear.")
    document = collection_document(cube, site.request().base)
    assert document["description"] == "A region. Not queryable: its grid is curvilinear."
    assert "data_queries" not in document
    assert not [link for link in document["links"] if link["rel"] == "data"]
    assert Collection.model_validate_json(orjson.dumps(strictly(document)))


def test_a_new_dataset_appears_without_a_restart(site_of, stores, tmp_path, monkeypatch):
    published = tmp_path / "datasets"
    site = site_of([])
    library = type(site.service.library)([], published)
    site = type(site)(replace(site.service, library=library))
    assert site.document(collections)["collections"] == []
    folder = published / "fresh"
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text('{"id": "fresh", "title": "Fresh"}')
    # A published store is an Icechunk repository; any store that opens will do here.
    (folder / "store").symlink_to(stores["region"])
    deadline = time.monotonic() + 60
    while not site.document(collections)["collections"] and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [one["title"] for one in site.document(collections)["collections"]] == ["Fresh"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("bbox=0,0,10,10", ["region", "globe"]),
        ("bbox=100,40,120,50", ["globe"]),
        ("bbox=170,-10,-170,10", ["globe"]),
        ("bbox=-170,-10,170,10", ["region", "globe"]),
        ("bbox=340,0,350,10", ["region", "globe"]),
        ("datetime=2020-01-01T06:00:00Z", ["region", "globe"]),
        ("datetime=2021-01-01/..", []),
        ("datetime=../2019", []),
        ("datetime=2019/2020", ["region", "globe"]),
        ("limit=1", ["region"]),
        ("limit=1&bbox=100,40,120,50", ["globe"]),
    ],
)
def test_the_list_can_be_filtered(site, query, expected):
    document = site.document(collections, query=query)
    assert [one["id"] for one in document["collections"]] == expected


@pytest.mark.parametrize(
    "query",
    [
        "bbox=1,2,3",
        "bbox=a,b,c,d",
        "bbox=nan,nan,nan,nan",
        "bbox=0,10,10,0",
        "bbox=0,0,10,100",
        "datetime=never",
        "datetime=../..",
        "datetime=2020/2021/2022",
        "limit=0",
        "limit=-1",
        "limit=1.5",
        "limit=99999999999999",
        "limit=٣",
    ],
)
def test_wrong_filters_are_refused(site, query):
    with pytest.raises(InvalidQueryError) as caught:
        site.get(collections, query=query)
    assert caught.value.parameter == query.split("=")[0]


def test_a_filtered_list_is_not_kept(site):
    before = len(site.service.documents.entries)
    for number in range(5):
        site.get(collections, query=f"bbox={number},0,{number + 1},1")
    assert len(site.service.documents.entries) <= before + 1


def test_definitions_of_the_same_store_are_two_collections(site_of, stores):
    path = str(stores["region"])
    site = site_of([DatasetDefinition("a", path), DatasetDefinition("b", path, title="B")])
    assert [one["title"] for one in site.document(collections)["collections"]] == ["The region store", "B"]
