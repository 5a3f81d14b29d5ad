"""Is the OpenAPI document valid, complete without other servers, and true of each collection?"""

from __future__ import annotations

import re
from urllib.parse import urlencode

import orjson
import pytest
from openapi_spec_validator import validate

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.query import QUERY_TYPES
from server.ogc.openapi import elsewhere, openapi

QUERIES = [(identifier, kind) for identifier in ("region", "globe") for kind in QUERY_TYPES]


def place(parameters):
    """The examples of the parameters that say where."""
    known = ("bbox", "coords", "within", "within-units", "corridor-width", "width-units")
    names = [name for name in known if name in parameters]
    examples = {name: parameters[name]["example"] for name in names}
    return {name: ",".join(map(str, one)) if isinstance(one, list) else one for name, one in examples.items()}


@pytest.fixture(scope="module")
def document(site):
    return site.document(openapi)


def walk(value):
    yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(member)


def parameters_of(document, identifier, kind):
    listed = document["paths"][f"/collections/{identifier}/{kind}"]["get"]["parameters"]
    resolved = [
        document["components"]["parameters"][one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one for one in listed
    ]
    return {one["name"]: one for one in resolved}


def test_the_document_is_valid_openapi_3_0(document):
    validate(document)
    assert document["openapi"].startswith("3.0.")


def test_every_reference_leads_into_the_document(document):
    references = {member["$ref"] for member in walk(document) if isinstance(member, dict) and "$ref" in member}
    assert references
    for reference in references:
        value = document
        assert reference.startswith("#/")
        for key in reference[2:].split("/"):
            value = value[key]


def test_operation_ids_are_unique(document):
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("identifier", "kind"), QUERIES)
def test_the_parameters_are_as_the_compliance_suite_wants_them(document, identifier, kind):
    parameters = parameters_of(document, identifier, kind)
    for parameter in parameters.values():
        assert (parameter["in"], parameter["style"], parameter["explode"]) == ("query", "form", False)
    where = parameters["bbox" if kind == "cube" else "coords"]
    assert where["required"] is True
    assert where["schema"]["type"] == ("array" if kind == "cube" else "string")
    for name in ("datetime", "parameter-name", "crs", "f"):
        assert parameters[name]["required"] is False
    assert parameters["parameter-name"]["schema"]["type"] == "string"
    assert parameters["f"]["schema"]["enum"][:4] == ["CoverageJSON", "NetCDF", "CSV", "Zarr"]


def test_only_what_a_collection_has_can_be_asked(document):
    assert "z" not in parameters_of(document, "region", "cube")
    assert "number" not in parameters_of(document, "region", "cube")
    assert {"z", "number"} <= set(parameters_of(document, "globe", "cube"))


def test_parameter_names_are_a_pattern(document):
    pattern = parameters_of(document, "region", "cube")["parameter-name"]["schema"]["pattern"]
    assert re.search(pattern, "tas,pr")
    assert not re.search(pattern, "tas,other")
    assert re.search(pattern, "")


@pytest.mark.parametrize(("identifier", "kind"), QUERIES)
def test_the_examples_give_data(site, document, identifier, kind):
    examples = {
        name: ",".join(map(str, one["example"])) if isinstance(one["example"], list) else one["example"]
        for name, one in parameters_of(document, identifier, kind).items()
        if "example" in one
    }
    assert len(examples) >= 3
    response = site.edr(f"{identifier}/{kind}", urlencode(examples))
    assert response.status == 200
    assert orjson.loads(response.content())["type"] in ("Coverage", "CoverageCollection")


@pytest.mark.parametrize(("identifier", "kind"), QUERIES)
def test_the_bodies_of_post_give_data(site, document, identifier, kind):
    content = document["paths"][f"/collections/{identifier}/{kind}"]["post"]["requestBody"]["content"]
    body = orjson.dumps(content["application/json"]["example"])
    response = site.edr(f"{identifier}/{kind}", method="POST", body=body, content_type="application/json")
    assert response.status == 200
    assert response.content()


@pytest.mark.parametrize(("identifier", "kind"), QUERIES)
def test_every_format_is_a_documented_response(site, document, identifier, kind):
    parameters = parameters_of(document, identifier, kind)
    reference = document["paths"][f"/collections/{identifier}/{kind}"]["get"]["responses"]["200"]["$ref"]
    documented = document["components"]["responses"][reference.rsplit("/", 1)[1]]["content"]
    for form in parameters["f"]["schema"]["enum"]:
        response = site.edr(
            f"{identifier}/{kind}", urlencode({**place(parameters), "f": form, "parameter-name": "tas"})
        )
        assert response.headers["Content-Type"].split(";")[0] in documented
        assert response.content()


@pytest.mark.parametrize("kind", QUERY_TYPES)
def test_a_grid_of_one_cell_has_examples_too(site_of, store_of, kind):
    site = site_of([DatasetDefinition("cell", str(store_of("cell", [50.0], [10.0])))])
    parameters = parameters_of(site.document(openapi), "cell", kind)
    document = site.json(f"cell/{kind}", urlencode(place(parameters)))
    assert all(one["ranges"] for one in document.get("coverages", [document]))


def test_the_paths_of_other_fronts_are_added(site_of, stores):
    operation = {"get": {"operationId": "live", "responses": {"200": {"description": "Alive."}}}}
    site = site_of([], extra_paths=lambda urls: {"/health/live": elsewhere(urls, operation)})
    document = site.document(openapi)
    validate(document)
    assert document["paths"]["/health/live"]["servers"] == [{"url": "http://127.0.0.1:8000"}]
