"""Does every kind of answer over every kind of grid pass the validators of CoverageJSON, EDR and GeoJSON?"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from covjson_pydantic.coverage import Coverage, CoverageCollection
from edr_pydantic.collections import Collection, Instance
from geojson_pydantic import FeatureCollection
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

COLLECTIONS = ["surface", "levels", "members", "forecasts", "projected", "curvilinear", "healpix", "stations"]
CENTRES = {"projected": (-3.0, 53.0), "curvilinear": (-13.0, 44.5), "stations": (1.0, 50.0)}
"""A place in a cell of each, beside (15, 45)."""
QUERIES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "a point": ("position", {"coords": "POINT({x} {y})"}),
    "points": ("position", {"coords": "MULTIPOINT(({x} {y}),({east} {north}))"}),
    "a radius": ("radius", {"coords": "POINT({x} {y})", "within": 150, "within-units": "km"}),
    "an area": (
        "area", {"coords": "POLYGON(({west} {south},{east} {south},{east} {north},{west} {south}))"},
    ),
    "a cube": ("cube", {"bbox": "{west},{south},{east},{north}"}),
    "a map": ("cube", {"bbox": "{west},{south},{east},{north}", "resolution-x": 5, "resolution-y": 4}),
    "web map": ("position", {"coords": "POINT(1669792 5621521)", "crs": "EPSG:3857"}),
    "a path": ("trajectory", {"coords": "LINESTRING({west} {south},{x} {y},{east} {north})"}),
    "a corridor": (
        "corridor",
        {"coords": "LINESTRING({west} {south},{east} {north})", "corridor-width": 300, "width-units": "km"},
    ),
}  # fmt: skip
WITHOUT = {("stations", "a map")}
"""No place of that map is within a kilometre of a station: 204."""
MORE: list[dict[str, str]] = [{}, {"datetime": "2020-01-01T00:00:00Z", "interpolation": "linear"}]
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def schema(shared_data: Path) -> Draft202012Validator:
    documents = [json.loads(path.read_text()) for path in (shared_data / "covjson-schemas").glob("*.json")]
    registry: Registry[Any] = Registry().with_resources(
        (one["$id"], DRAFT202012.create_resource(one)) for one in documents
    )
    return Draft202012Validator({"$ref": "/schemas/coveragejson"}, registry=registry)


@pytest.fixture(scope="module")
def ask(site: Any) -> Ask:
    @functools.cache
    def asking(collection: str, name: str, **more: object) -> Any:
        x, y = CENTRES.get(collection, (15.0, 45.0))
        near = {"x": x, "y": y, "west": x - 2.5, "south": y - 1.5, "east": x + 2.5, "north": y + 1.5}
        query, parameters = QUERIES[name]
        filled = {key: value.format(**near) if isinstance(value, str) else value for key, value in parameters.items()}
        return site.client.get(site.collection(f"{collection}/{query}"), params={**filled, **more})

    return asking


def queries() -> list[Any]:
    return [
        pytest.param(collection, name, id=f"{name} of {collection}")
        for collection in COLLECTIONS
        for name in QUERIES
        if (collection, name) not in WITHOUT and not (name == "web map" and collection in CENTRES)
    ]


def readers(document: Mapping[str, Any]) -> None:
    """Read strictly, as Python programs do."""
    text = json.dumps(document)
    kind = {"Coverage": Coverage, "CoverageCollection": CoverageCollection}[document["type"]]
    found = kind.model_validate_json(text)
    assert json.loads(found.model_dump_json(exclude_none=True, by_alias=True))["type"] == document["type"]


@pytest.mark.parametrize(("collection", "name"), queries())
def test_readers_of_coveragejson(ask: Ask, collection: str, name: str) -> None:
    for more in MORE:
        answer = ask(collection, name, **more)
        assert answer.status_code == 200, answer.text
        readers(answer.json())


@pytest.mark.parametrize(("collection", "name"), queries())
def test_schema_of_coveragejson(ask: Ask, collection: str, name: str, schema: Draft202012Validator) -> None:
    for more in MORE:
        assert not [error.message for error in schema.iter_errors(ask(collection, name, **more).json())]


def test_stations_cover_no_map(ask: Ask) -> None:
    assert {ask(*one).status_code for one in WITHOUT} == {204}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_geojson(ask: Ask, collection: str) -> None:
    for name in ("a point", "an area", "a path"):
        answer = ask(collection, name, f="GeoJSON", datetime="2020-01-01T00:00:00Z")
        assert FeatureCollection.model_validate_json(answer.content).features


def strictly(document: Mapping[str, Any]) -> dict[str, Any]:
    """A collection without what edr-pydantic does not know: values of EDR 1.2, grids, languages, members of our own."""
    extent = {
        name: {key: value for key, value in part.items() if key != "grid" and (name, key) != ("spatial", "values")}
        if isinstance(part, dict)
        else part
        for name, part in document["extent"].items()
    }
    parameters = {
        name: {**one, "observedProperty": {**one["observedProperty"], "label": one["observedProperty"]["label"]["en"]}}
        for name, one in document["parameter_names"].items()
    }
    kept = {name: value for name, value in document.items() if not name.startswith("isopleth:")}
    return {**kept, "extent": extent, "parameter_names": parameters}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_collections_and_instances(site: Any, collection: str) -> None:
    document = site.json(collection)
    assert Collection.model_validate_json(json.dumps(strictly(document))).id == collection
    if "instances" in document["data_queries"]:
        for one in site.json(f"{collection}/instances")["instances"]:
            assert Instance.model_validate_json(json.dumps(strictly(one))).id == one["id"]
