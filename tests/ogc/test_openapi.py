"""Is the OpenAPI document valid, complete without other servers, and true of each collection?"""

from __future__ import annotations

import re
from urllib.parse import urlencode

import orjson
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, NotAcceptableError
from plugins.datacube.query import QUERY_TYPES
from server.ogc.openapi import elsewhere, openapi
from server.ogc.openapi30 import schema as schema30
from server.ogc.openapi31 import schema as schema31

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
    return {one["name"]: one for one in resolved if one["in"] == "query"}


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


METHODS = ("get", "post", "put", "delete")


def test_operation_ids_are_unique(document):
    names = [path[method]["operationId"] for path in document["paths"].values() for method in METHODS if method in path]
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
    # Of one time: not every format holds several trajectories.
    one = {"parameter-name": "tas", "datetime": "2020-01-01T06:00:00Z"}
    for form in parameters["f"]["schema"]["enum"]:
        response = site.edr(f"{identifier}/{kind}", urlencode({**place(parameters), **one, "f": form}))
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


# Version 3.1 ----------------------------------------------------------------------------------------------------------

V30, V31 = (f"application/vnd.oai.openapi+json;version={version}" for version in ("3.0", "3.1"))


@pytest.mark.parametrize(
    ("query", "accept", "version"),
    [
        ("", None, V30),
        ("", "*/*", V30),
        ("", "application/json", V30),
        ("", V30, V30),
        ("f=json", V31, V30),
        ("f=oas30", None, V30),
        ("f=oas31", None, V31),
        ("f=OAS31", "text/csv", V31),
        ("f=application/vnd.oai.openapi%2Bjson;version=3.1", None, V31),
        ("f=application/vnd.oai.openapi+json;version=3.1", None, V31),
        ("", "application/vnd.oai.openapi+json; version=3.1", V31),
        ("", 'application/openapi+json;version="3.1"', V31),
        ("", f"{V30};q=0.5, {V31}", V31),
        ("", f"{V31};q=0.5, {V30}", V30),
        ("", f"{V31};q=0, */*", V30),
        ("", "application/vnd.oai.openapi+json", V30),
    ],
)
def test_the_version_is_negotiated(site, query, accept, version):
    response = site.get(openapi, query=query, accept=accept)
    assert response.headers["Content-Type"] == version
    assert orjson.loads(response.content())["openapi"].startswith(version[-3:])


@pytest.mark.parametrize(("query", "accept", "error"), [
    ("f=oas32", None, InvalidQueryError),
    ("f=oas31&x=1", None, InvalidQueryError),
    ("", "text/csv", NotAcceptableError),
])  # fmt: skip
def test_other_versions_are_refused(site, query, accept, error):
    with pytest.raises(error):
        site.get(openapi, query=query, accept=accept)


@pytest.fixture(scope="module")
def newer(site):
    return site.document(openapi, query="f=oas31")


def test_the_document_is_valid_openapi_3_1(newer, document):
    validate(newer)
    assert set(newer["paths"]) == set(document["paths"])
    assert newer["jsonSchemaDialect"] == "https://json-schema.org/draft/2020-12/schema"
    assert newer["info"]["license"] == {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    assert document["openapi"].startswith("3.0."), "the translation must not change its source"


def schemas_of(value):
    for member in walk(value):
        if isinstance(member, dict):
            found = member.get("schema")
            yield from [found] if isinstance(found, dict) else []


def test_the_schemas_are_json_schema_2020_12(newer):
    shapes = [*schemas_of(newer["paths"]), *newer["components"]["schemas"].values()]
    assert len(shapes) > 50
    for shape in shapes:
        Draft202012Validator.check_schema(shape)
        for part in walk(shape):
            if isinstance(part, dict) and "properties" not in part:
                assert part.get("format") != "binary"
                assert not isinstance(part.get("exclusiveMinimum"), bool)
                assert "nullable" not in part


def test_what_2020_12_says_otherwise_is_translated():
    old = {
        "type": "object",
        "properties": {
            "example": {"type": "number", "nullable": True, "maximum": 9, "exclusiveMaximum": True, "example": 3},
            "many": {"type": "array", "items": {"oneOf": [{"type": "string", "example": "a"}, {"format": "binary"}]}},
        },
        "additionalProperties": {"type": "integer", "minimum": 0, "exclusiveMinimum": False},
    }
    new = schema31(old)
    assert new["properties"]["example"] == {"type": ["number", "null"], "exclusiveMaximum": 9, "examples": [3]}
    assert new["properties"]["many"]["items"]["oneOf"] == [{"type": "string", "examples": ["a"]}, {}]
    assert new["additionalProperties"] == {"type": "integer", "minimum": 0}
    assert old["properties"]["example"]["nullable"] is True
    for value, allowed in ((None, True), (8.5, True), (9, False), ("x", False)):
        assert Draft202012Validator(new).is_valid({"example": value}) is allowed


def test_what_3_0_says_otherwise_is_translated():
    shape = {
        "type": "object",
        "properties": {
            "kind": {"const": "Feature"},
            "id": {"type": ["string", "number"], "examples": ["a"]},
            "size": {"type": ["number", "null"], "exclusiveMinimum": 0},
        },
        "items": {"anyOf": [{"const": 1}]},
    }
    old = schema30(shape)
    assert old["properties"]["kind"] == {"enum": ["Feature"]}
    assert old["properties"]["id"] == {"anyOf": [{"type": "string"}, {"type": "number"}], "example": "a"}
    assert old["properties"]["size"] == {
        "type": "number", "nullable": True, "minimum": 0, "exclusiveMinimum": True
    }  # fmt: skip
    assert old["items"] == {"anyOf": [{"enum": [1]}]}
    # There and back it allows the same.
    again = Draft202012Validator(schema31(old))
    for value in ({"kind": "Feature", "id": 1}, {"kind": "x"}, {"size": None}, {"size": 0}, {"size": 1}, {"id": []}):
        assert again.is_valid(value) is Draft202012Validator(shape).is_valid(value)


@pytest.mark.parametrize(("identifier", "kind"), QUERIES)
def test_the_new_parameters_are_declared_where_they_are_understood(document, identifier, kind):
    parameters = parameters_of(document, identifier, kind)
    gridded = kind in ("radius", "area", "cube", "corridor")
    assert ("resolution-x" in parameters) == ("resolution-y" in parameters) == gridded
    assert ("resolution-z" in parameters) == (gridded and identifier == "globe")
    assert parameters["interpolation"]["schema"]["enum"] == ["nearest", "linear"]
    assert parameters["crs"]["schema"]["anyOf"][0]["enum"][0] == "CRS:84"


@pytest.mark.parametrize("name", ["CRS:84", "EPSG:4326", "EPSG:3857"])
def test_every_reference_system_that_is_listed_is_answered(site, document, name):
    listed = parameters_of(document, "region", "position")["crs"]["schema"]["anyOf"][0]["enum"]
    assert name in listed
    response = site.edr("region/position", urlencode({"coords": "POINT(0 0)", "crs": name}))
    assert response.status == 200


def test_an_asynchronous_answer_is_documented(document):
    operation = document["paths"]["/collections/region/cube"]["get"]
    assert {"$ref": "#/components/parameters/prefer"} in operation["parameters"]
    reference = operation["responses"]["308"]["$ref"].rsplit("/", 1)[1]
    assert "Location" in document["components"]["responses"][reference]["headers"]
