"""Does every abstract test of OGC API EDR hold, that can be executed against these collections?

One test for each line of Annex A of the standard (OGC 19-086, versions 1.0 to 1.2), as the compliance suite of OGC
executes it; the names have the numbers of version 1.0.1. Where the suite only reads a parameter's definition, the
requirement behind it is tried as well. Abstract tests 24 to 27 (CoverageJSON, HTML) are not in the suite: 24 and 25 are
here, and the class HTML is not declared.
"""

from __future__ import annotations

import http.client
import re
from datetime import datetime
from urllib.parse import urlsplit

import orjson
import pytest
from covjson_pydantic.coverage import Coverage, CoverageCollection
from edr_pydantic.collections import Collection, Instance
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from server.ogc.conformance import EDR_CLASSES, EDR_VERSIONS

COLLECTIONS = ("surface", "levels", "projected", "forecasts")
WITH_PLACES = ("surface", "levels")
QUERIES = ("position", "radius", "area", "cube", "trajectory", "corridor")
GRIDDED = ("radius", "area", "cube", "corridor")
LINE_QUERIES = ("trajectory", "corridor")
OAS30 = "application/vnd.oai.openapi+json;version=3.0"
EDR = "http://www.opengis.net/spec/ogcapi-edr-1/1.0"
CRS84 = re.compile(r"CRS84|CRS:84|EPSG:4326|WGS84")
every_collection = pytest.mark.parametrize("collection", COLLECTIONS)
some_collections = pytest.mark.parametrize("collection", ["levels", "projected"])
every_query = pytest.mark.parametrize("query", QUERIES)


@pytest.fixture(scope="module")
def listed(api):
    return {one["id"]: one for one in api.json("/collections")["collections"]}


@pytest.fixture(scope="module")
def openapi(api):
    return api.json("/openapi")


def centre(document):
    """The middle of a collection's box, and a degree around it, as the suite computes it."""
    ((west, south, east, north),) = document["extent"]["spatial"]["bbox"]
    return (west + east) / 2, (south + north) / 2


def whole_time(document):
    ((start, end),) = document["extent"]["temporal"]["interval"]
    return f"{start}/{end}"


def where(document, query):
    """The parameters that say where, in the way of the suite: around the centre."""
    x, y = centre(document)
    line = f"LINESTRING({x - 1} {y - 1},{x} {y},{x + 1} {y + 1})"
    ring = f"({x - 1} {y - 1},{x + 1} {y - 1},{x + 1} {y + 1},{x - 1} {y + 1},{x - 1} {y - 1})"
    return {
        "position": {"coords": f"POINT({x} {y})"},
        "radius": {"coords": f"POINT({x} {y})", "within": "200", "within-units": "km"},
        "area": {"coords": f"POLYGON({ring})"},
        "cube": {"bbox": f"{x - 1},{y - 1},{x + 1},{y + 1}"},
        "trajectory": {"coords": line},
        # Without height: the suite leaves it out.
        "corridor": {"coords": line, "corridor-width": "2.0", "width-units": "m"},
    }[query]


def problem(response, status=400):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert document["detail"]
    return document


def data(response):
    """The answer is data, as the suite looks for it, and a valid document."""
    assert response.status_code == 200, response.text
    document = response.json()
    model = {"Coverage": Coverage, "CoverageCollection": CoverageCollection}[document["type"]]
    model.model_validate_json(response.content)
    return document


def strictly(document):
    """The document without what edr-pydantic does not know yet."""
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


# Core ---------------------------------------------------------------------------------------------------------------


def test_at_1_http_1_1(api):
    connection = http.client.HTTPConnection(urlsplit(str(api.client.base_url)).netloc)
    connection.request("GET", "/ogc/?f=json")
    response = connection.getresponse()
    assert (response.status, response.version) == (200, 11)
    response.read()
    connection.close()


@pytest.mark.parametrize("form", ["application/json", "json"])
def test_at_2_3_landing_page(api, form):
    links = api.json("/", {"f": form})["links"]
    relations = {link["rel"] for link in links}
    assert relations & {"service-desc", "service-doc"}
    assert {"conformance", "data"} <= relations
    assert all(link["href"].startswith(str(api.client.base_url)) for link in links)


def test_at_4_5_api_definition(api):
    link = next(link for link in api.json("/")["links"] if link["rel"] == "service-desc")
    assert link["type"] == OAS30
    response = api.get(link["href"], headers={"Accept": link["type"]})
    assert response.headers["Content-Type"] == OAS30
    validate(response.json())
    assert response.json()["openapi"].startswith("3.0")


def test_at_6_7_conformance(api):
    classes = api.json("/conformance", {"f": "json"})["conformsTo"]
    assert all(isinstance(name, str) for name in classes)
    assert f"{EDR}/conf/core" in classes
    expected = {f"{version}/conf/{name}" for version in EDR_VERSIONS for name in EDR_CLASSES}
    assert expected <= set(classes)


@every_collection
def test_at_8_crs84(listed, collection):
    assert any(CRS84.search(name) for name in listed[collection]["crs"])


# Collections --------------------------------------------------------------------------------------------------------


def test_at_9_10_collections(api, listed):
    response = api.get("/collections", headers={"Accept": "application/json"})
    assert response.status_code == 200
    assert set(COLLECTIONS) <= set(listed)
    assert "self" in {link["rel"] for link in response.json()["links"]}


@every_collection
def test_at_11_12_14_a_collection(api, listed, collection):
    document = api.json(f"/collections/{collection}")
    assert document["id"] == collection
    assert document == listed[collection]
    assert Collection.model_validate_json(orjson.dumps(strictly(document))).id == collection


@every_collection
def test_at_13_extent(listed, collection):
    extent = listed[collection]["extent"]
    ((west, south, east, north),) = extent["spatial"]["bbox"]
    assert -180 <= west < east <= 180
    assert -90 <= south < north <= 90
    # A closed interval: the suite sends an open end as "null".
    ((start, end),) = extent["temporal"]["interval"]
    assert datetime.fromisoformat(start) <= datetime.fromisoformat(end)
    assert extent["temporal"]["trs"].startswith("TIMECRS")
    for name, system in (("vertical", "vrs"),):
        if name in extent:
            assert extent[name][system]
            assert all(isinstance(value, str) for value in extent[name]["values"])
    for dimension in extent.get("custom", ()):
        assert {"id", "interval", "values", "reference"} <= set(dimension)


@every_collection
def test_at_15_16_links(api, listed, collection):
    links = listed[collection]["links"]
    assert all({"href", "rel", "type"} <= set(link) for link in links)
    relations = {link["rel"] for link in links}
    assert {"self", "alternate", "data"} <= relations
    page = next(link["href"] for link in links if link["rel"] == "alternate")
    assert api.get(page).headers["Content-Type"].startswith("text/html")


@every_collection
def test_at_17_parameters(listed, collection):
    parameters = listed[collection]["parameter_names"]
    assert set(parameters) == {"t", "p"}
    for parameter in parameters.values():
        assert parameter["type"] == "Parameter"
        assert isinstance(parameter["label"], str)
        assert isinstance(parameter["observedProperty"]["label"]["en"], str)
        assert parameter["unit"]["symbol"]["type"].endswith("/UCUM/")
        assert parameter["data-type"] == "float"


@every_collection
def test_the_queries_are_described_with_formats_and_reference_systems(api, listed, collection):
    document = listed[collection]
    for name, query in document["data_queries"].items():
        link = query["link"]
        variables = link["variables"]
        assert variables["query_type"] == name
        assert link["rel"] == "data"
        assert variables["default_output_format"] in variables["output_formats"]
        assert set(variables["output_formats"]) <= set(document["output_formats"])
        assert all(one["wkt"] for one in variables["crs_details"])
        assert [one["crs"] for one in variables["crs_details"]] == document["crs"]
        assert api.get(link["href"]).status_code != 404
    assert document["data_queries"]["radius"]["link"]["variables"]["within_units"]
    for name in ("width_units", "width-units"):
        assert document["data_queries"]["corridor"]["link"]["variables"][name]


# Encodings of the documents -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/", "landingPage"),
        ("/conformance", "conformance"),
        ("/collections", "collections"),
        *((f"/collections/{name}", "collection") for name in COLLECTIONS),
    ],
)
def test_at_18_19_json(api, openapi, path, shape):
    response = api.get(path, headers={"Accept": "application/json"})
    assert response.headers["Content-Type"] == "application/json"
    schemas = openapi["components"]
    root = {"$ref": f"#/components/schemas/{shape}", "components": schemas}
    Draft202012Validator(root).validate(response.json())


GEOJSON = {
    "type": "object",
    "required": ["type", "features", "links"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "links": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["href", "rel"]}},
        "features": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "geometry", "properties"],
                "properties": {
                    "type": {"const": "Feature"},
                    "geometry": {
                        "type": "object",
                        "required": ["type", "coordinates"],
                        "properties": {
                            "type": {"enum": ["Point", "MultiPoint", "LineString", "Polygon", "MultiPolygon"]}
                        },
                    },
                    "properties": {"type": "object"},
                },
            },
        },
    },
}
FEATURE = {
    "type": "object",
    "required": ["id"],
    "properties": {
        # The standard's schema; `format` is checked below.
        "id": {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:[^ ]+$"},
        "properties": {
            "type": "object",
            "required": ["datetime", "label", "parameter-name", "edrqueryendpoint"],
            "properties": {"label": {"type": "string"}, "parameter-name": {"type": "array"}},
        },
    },
}
EDR_GEOJSON = {
    "allOf": [GEOJSON],
    "required": ["parameters"],
    "properties": {
        "features": {"items": FEATURE},
        "parameters": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "observedProperty"],
                "properties": {
                    "type": {"const": "Parameter"},
                    "label": {"type": "string"},
                    "description": {"type": "string"},
                    "observedProperty": {"type": "object", "properties": {"label": {"type": "string"}}},
                },
            },
        },
    },
}


@pytest.mark.parametrize("collection", WITH_PLACES)
def test_at_20_21_geojson_of_locations(api, listed, collection):
    link = listed[collection]["data_queries"]["locations"]["link"]
    assert "GeoJSON" in link["variables"]["output_formats"]
    response = api.get(link["href"], {"f": "GeoJSON"})
    assert response.headers["Content-Type"] == "application/geo+json"
    Draft202012Validator(GEOJSON).validate(response.json())


@every_collection
@every_query
def test_at_22_23_edr_geojson(api, listed, collection, query):
    document = listed[collection]
    more = {"f": "GeoJSON", "parameter-name": "t", "datetime": whole_time(document)}
    if query not in LINE_QUERIES:
        more["crs"] = "CRS84"
    response = api.get(f"/collections/{collection}/{query}", {**where(document, query), **more})
    assert response.headers["Content-Type"] == "application/geo+json"
    answer = response.json()
    Draft202012Validator(EDR_GEOJSON, format_checker=FormatChecker()).validate(answer)
    identifiers = [feature["id"] for feature in answer["features"]]
    assert len(set(identifiers)) == len(identifiers)


@every_collection
@every_query
@pytest.mark.parametrize("media_type", ["application/vnd.cov+json", "application/prs.coverage+json"])
def test_at_24_25_coveragejson(api, listed, collection, query, media_type):
    path = f"/collections/{collection}/{query}"
    response = api.get(path, where(listed[collection], query), headers={"Accept": media_type})
    assert response.headers["Content-Type"] == media_type
    answer = data(response)
    for one in answer.get("coverages", [answer]):
        for block in one["ranges"].values():
            axes = one["domain"]["axes"]
            assert block["dataType"] == "float"
            named = zip(block.get("axisNames", []), block.get("shape", []), strict=True)
            assert all(len(axes[name]["values"]) == size for name, size in named)
        times = one["domain"]["axes"].get("t", {}).get("values", [])
        assert all(time.endswith("Z") for time in times)
        assert next(iter(one["domain"]["axes"])) in ("t", "composite", "number", "step", "x", "z", "y")


# The API definition -------------------------------------------------------------------------------------------------


def operations(document):
    methods = ("get", "post", "put", "delete", "patch", "head")
    return [item[method] for item in document["paths"].values() for method in methods if method in item]


@pytest.mark.parametrize("version", ["oas30", "oas31"])
def test_at_28_33_the_definition_is_valid_and_whole(api, version):
    document = api.json("/openapi", {"f": version})
    validate(document)
    assert document == api.json("/api", {"f": version})
    references = set(re.findall(r'"\$ref": ?"([^"]+)"', api.get("/openapi", {"f": version}).text))
    assert references
    assert all(reference.startswith("#/") for reference in references)
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names)
    for operation in operations(document):
        # Completeness, and exceptions: a good answer and what can go wrong.
        codes = set(operation["responses"])
        assert any(code.startswith("2") for code in codes)
        assert any(code.startswith(("4", "5")) for code in codes)


def query_parameters(document, path):
    found = {}
    for one in document["paths"][path]["get"].get("parameters", []):
        one = document["components"]["parameters"][one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one
        if one["in"] == "query":
            found[one["name"]] = one
    return found


OPTIONAL = {
    "position": {42: "datetime", 44: "parameter-name", 46: "crs", 48: "f"},
    "area": {58: "datetime", 60: "parameter-name", 62: "crs", 64: "f"},
    "cube": {74: "datetime", 76: "parameter-name", 78: "crs", 80: "f"},
    "trajectory": {94: "parameter-name", 96: "crs", 98: "f"},
    "corridor": {126: "parameter-name", 128: "crs", 130: "f"},
    "radius": {"radius": "datetime", "radius-name": "parameter-name", "radius-crs": "crs", "radius-f": "f"},
}


@every_collection
@pytest.mark.parametrize(
    ("number", "query", "name"),
    [(number, query, name) for query, names in OPTIONAL.items() for number, name in names.items()],
)
def test_at_42_to_130_optional_parameters(openapi, collection, number, query, name):
    parameter = query_parameters(openapi, f"/collections/{collection}/{query}")[name]
    assert (parameter["required"], parameter["style"], parameter["explode"]) == (False, "form", False)


@every_collection
@every_query
def test_at_38_54_70_92_116_place_definitions(openapi, collection, query):
    parameters = query_parameters(openapi, f"/collections/{collection}/{query}")
    parameter = parameters["bbox" if query == "cube" else "coords"]
    assert (parameter["in"], parameter["required"], parameter["explode"]) == ("query", True, False)
    assert parameter["schema"]["type"] == ("array" if query == "cube" else "string")


@every_collection
@every_query
def test_at_40_56_69_z_is_declared_only_where_there_are_levels(openapi, collection, query):
    # The suite wants it required, against the standard; without levels it is not there, and the suite is content.
    parameters = query_parameters(openapi, f"/collections/{collection}/{query}")
    assert ("z" in parameters) == (collection == "levels")
    if "z" in parameters:
        assert (parameters["z"]["required"], parameters["z"]["style"], parameters["z"]["explode"]) == (
            False, "form", False,
        )  # fmt: skip


@every_collection
def test_at_118_120_122_124_corridor_and_radius_definitions(openapi, collection):
    corridor = query_parameters(openapi, f"/collections/{collection}/corridor")
    wanted = {"corridor-width", "width-units"}
    wanted |= {"corridor-height", "height-units"} if collection == "levels" else set()
    for name in wanted:
        assert (corridor[name]["required"], corridor[name]["style"], corridor[name]["explode"]) == (True, "form", False)
    radius = query_parameters(openapi, f"/collections/{collection}/radius")
    for name in ("within", "within-units"):
        assert (radius[name]["required"], radius[name]["style"], radius[name]["explode"]) == (False, "form", False)


@every_collection
@pytest.mark.parametrize("query", GRIDDED)
def test_at_a21_to_a31_resolution_definitions(openapi, collection, query):
    parameters = query_parameters(openapi, f"/collections/{collection}/{query}")
    names = ("x", "y", "z") if collection == "levels" else ("x", "y")
    assert {name for name in parameters if name.startswith("resolution-")} == {f"resolution-{name}" for name in names}
    for name in names:
        parameter = parameters[f"resolution-{name}"]
        assert (parameter["required"], parameter["style"], parameter["explode"]) == (False, "form", False)


def test_at_139_141_143_145_location_definitions(openapi):
    paths = [path for path in openapi["paths"] if re.fullmatch(r"/collections/[^/]+/locations/\{[A-Za-z]+\}", path)]
    assert paths
    for path in paths:
        parameters = query_parameters(openapi, path)
        for name in ("datetime", "parameter-name", "crs", "f"):
            parameter = parameters[name]
            assert (parameter["required"], parameter["style"], parameter["explode"]) == (False, "form", False)


# Queries: what must be refused ---------------------------------------------------------------------------------------

NOTHING = {"position": 34, "area": 50, "cube": 66, "trajectory": 82, "corridor": 100, "radius": "radius"}


@every_collection
@every_query
def test_at_34_50_66_82_100_without_parameters(api, collection, query):
    document = problem(api.get(f"/collections/{collection}/{query}"))
    assert document["parameter"] == ("bbox" if query == "cube" else "coords")


@every_collection
@every_query
def test_at_35_51_83_101_empty_place(api, listed, collection, query):
    name = "bbox" if query == "cube" else "coords"
    asked = {**where(listed[collection], query), name: ""}
    assert problem(api.get(f"/collections/{collection}/{query}", asked))["parameter"] == name


WRONG = {
    "position": ["POINT()", "POINT EMPTY", "POINT(1)", "LINESTRING(0 0,1 1)", "POINT(a b)", "POINT(nan 0)"],
    "radius": ["POINT()", "POLYGON((0 0,1 0,1 1,0 0))"],
    "area": ["POLYGON()", "POLYGON EMPTY", "POLYGON((0 0,1 1))", "POINT(0 0)", "POLYGON((0 0,1 0,1 1,0 1)"],
    "trajectory": ["LINESTRING()", "LINESTRINGM()", "LINESTRINGZM()", "LINESTRINGZ()", "LINESTRING(0 0)", "POINT(0 0)"],
    "corridor": ["LINESTRING()", "LINESTRINGM()", "LINESTRINGZM()", "LINESTRINGZ()", "MULTIPOINT((0 0),(1 1))"],
}


@some_collections
@pytest.mark.parametrize(("query", "text"), [(query, text) for query, texts in WRONG.items() for text in texts])
def test_at_36_52_84_85_88_89_106_wrong_wkt(api, listed, collection, query, text):
    asked = {**where(listed[collection], query), "coords": text}
    document = problem(api.get(f"/collections/{collection}/{query}", asked))
    assert document["parameter"] == "coords"
    assert document["valid"]


@pytest.mark.parametrize("text", ["1,2,3", "0,0,1,1,2", "a,b,c,d", "nan,0,1,1", "0,10,1,5", "0,0,10,100"])
def test_at_68_wrong_boxes(api, text):
    assert problem(api.get("/collections/surface/cube", {"bbox": text}))["parameter"] == "bbox"


@pytest.mark.parametrize("query", LINE_QUERIES)
@pytest.mark.parametrize(
    ("coords", "more"),
    [
        ("LINESTRINGZ(0 0 1000,10 10 850)", {"z": "850"}),
        ("LINESTRINGM(0 0 1577836800,10 10 1577858400)", {"datetime": "2020-01-01T00:00:00Z"}),
        ("LINESTRINGZM(0 0 1000 1577836800,10 10 850 1577858400)", {"z": "850"}),
        ("LINESTRINGZM(0 0 1000 1577836800,10 10 850 1577858400)", {"datetime": "2020-01-01T00:00:00Z"}),
    ],
)
def test_at_86_87_90_107_to_111_heights_or_times_twice(api, listed, query, coords, more):
    asked = {**where(listed["levels"], query), "coords": coords}
    assert problem(api.get(f"/collections/levels/{query}", {**asked, **more}))["parameter"] in more
    assert api.get(f"/collections/levels/{query}", asked).status_code in (200, 204)


@every_collection
@pytest.mark.parametrize("name", ["corridor-width", "width-units"])
def test_at_102_to_105_corridor_without_its_width(api, listed, collection, name):
    asked = where(listed[collection], "corridor")
    del asked[name]
    assert problem(api.get(f"/collections/{collection}/corridor", asked))["parameter"] == name


@every_collection
@pytest.mark.parametrize("name", ["within", "within-units"])
def test_radius_without_its_distance(api, listed, collection, name):
    asked = where(listed[collection], "radius")
    del asked[name]
    assert problem(api.get(f"/collections/{collection}/radius", asked))["parameter"] == name


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("corridor", "corridor-width", "wide"),
        ("corridor", "corridor-width", "-1"),
        ("corridor", "corridor-width", "0"),
        ("corridor", "width-units", "furlong"),
        ("corridor", "corridor-height", "tall"),
        ("corridor", "height-units", "furlong"),
        ("radius", "within", "far"),
        ("radius", "within", "-5"),
        ("radius", "within-units", "parsec"),
    ],
)
def test_at_112_to_114_wrong_sizes_and_units(api, listed, query, name, value):
    asked = where(listed["levels"], query)
    if name in ("corridor-height", "height-units"):
        asked |= {"corridor-height": "100", "height-units": "hPa", "z": "850"}
    document = problem(api.get(f"/collections/levels/{query}", {**asked, name: value}))
    assert document["parameter"] == name
    assert document["valid"]


@some_collections
@every_query
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parameter-name", "nope"),
        ("parameter-name", "t,nope"),
        ("datetime", "yesterday"),
        ("datetime", "2020-13-01"),
        ("datetime", "2020-01-02/2020-01-01"),
        ("datetime", "99999999999999999999"),
        ("crs", "EPSG:99999"),
        ("f", "docx"),
        ("interpolation", "cubic"),
        ("depth", "1"),
    ],
)
def test_every_parameter_is_refused_by_name_with_what_is_valid(api, listed, collection, query, name, value):
    asked = {**where(listed[collection], query), name: value}
    document = problem(api.get(f"/collections/{collection}/{query}", asked))
    assert document["parameter"] == name
    assert document["valid"]
    assert "Traceback" not in document["detail"]


@every_query
@pytest.mark.parametrize(("name", "value"), [("z", "high"), ("z", "1000/850/500"), ("number", "x"), ("number", "0/x")])
def test_levels_and_members_are_refused_by_name(api, listed, query, name, value):
    document = problem(api.get(f"/collections/levels/{query}", {**where(listed["levels"], query), name: value}))
    assert document["parameter"] == name


@pytest.mark.parametrize("query", GRIDDED)
@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("value", ["-1", "1.5", "many", "1000000"])
def test_wrong_resolutions_say_the_valid_range(api, listed, query, axis, value):
    name = f"resolution-{axis}"
    asked = {**where(listed["levels"], query), name: value}
    document = problem(api.get(f"/collections/levels/{query}", asked))
    assert document["parameter"] == name
    assert "16384" in document["valid"]


@every_query
def test_a_parameter_that_is_given_twice_is_refused(api, listed, query):
    response = api.get(f"/collections/surface/{query}", "datetime=2020-01-01&datetime=2020-01-02")
    assert problem(response)["parameter"] == "datetime"


@every_query
def test_a_format_that_nobody_has_is_406(api, listed, query):
    asked = where(listed["surface"], query)
    document = problem(api.get(f"/collections/surface/{query}", asked, headers={"Accept": "video/mp4"}), 406)
    assert document["parameter"] == "Accept"


@pytest.mark.parametrize(
    "path",
    [
        "/collections/nope", "/collections/nope/position", "/collections/surface/nope", "/nope",
        "/collections/surface/locations/nope", "/collections/forecasts/instances/1999-01-01T00:00:00Z",
        "/collections/forecasts/instances/1999-01-01T00:00:00Z/position", "/collections/surface/items/nope",
    ],
)  # fmt: skip
def test_what_there_is_not_is_404(api, path):
    problem(api.get(path), 404)


def test_too_much_is_413_with_the_limits(api):
    asked = {"bbox": "-180,-75,179,75", "resolution-x": "1100", "resolution-y": "1100"}
    document = problem(api.get("/collections/levels/cube", asked), 413)
    assert document["estimate"]["values"] > document["limits"]["values"]
    assert document["process"]["body"]["inputs"]["collection"] == "levels"


# Queries: data -------------------------------------------------------------------------------------------------------

MEDIA_TYPES = ("application/vnd.cov+json", "application/geo+json")
FORMATS = ("CoverageJSON", "GeoJSON", "coveragejson", "COVERAGEJSON", *MEDIA_TYPES)


@every_collection
@every_query
@pytest.mark.parametrize("form", ["CoverageJSON", "GeoJSON"])
def test_at_37_to_131_data_over_all_times_in_each_listed_reference_system(api, listed, collection, query, form):
    document = listed[collection]
    variables = document["data_queries"][query]["link"]["variables"]
    assert form in variables["output_formats"]
    for crs in document["crs"]:
        if not CRS84.search(crs):
            continue
        more = {"parameter-name": "t", "f": form, "datetime": whole_time(document)}
        # The suite names no reference system where it asks along a line.
        more |= {} if query in LINE_QUERIES else {"crs": crs}
        response = api.get(document["data_queries"][query]["link"]["href"], {**where(document, query), **more})
        assert response.status_code == 200, response.text
        head = response.text[:2000]
        assert "Coverage" in head or "Feature" in head


@pytest.mark.parametrize("form", FORMATS)
def test_formats_are_known_by_name_in_any_case_and_by_media_type(api, listed, form):
    asked = {**where(listed["surface"], "position"), "f": form}
    assert api.get("/collections/surface/position", asked).status_code == 200


@pytest.mark.parametrize(
    "crs",
    [
        "CRS84", "crs84", "CRS:84", "OGC:CRS84", "[OGC:CRS84]", "EPSG:4326", "epsg:4326",
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "https://www.opengis.net/def/crs/OGC/1.3/CRS84",
        "http://www.opengis.net/def/crs/EPSG/0/4326", "urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326",
    ],
)  # fmt: skip
def test_longitude_and_latitude_are_known_by_all_their_names(api, listed, crs):
    asked = where(listed["surface"], "position")
    plain = data(api.get("/collections/surface/position", asked))
    assert data(api.get("/collections/surface/position", {**asked, "crs": crs})) == plain


@every_collection
@every_query
def test_a_post_is_the_same_question(api, listed, collection, query):
    asked = {**where(listed[collection], query), "parameter-name": "t"}
    path = f"/collections/{collection}/{query}"
    expected = data(api.get(path, asked))
    assert data(api.request("POST", path, data=asked)) == expected
    assert data(api.request("POST", path, json={**asked, "parameter-name": ["t"]})) == expected


@every_collection
def test_outside_there_is_nothing(api, collection):
    response = api.get(f"/collections/{collection}/position", {"coords": "POINT(100 -89.9)"})
    assert (response.status_code, response.content) == (204, b"")


@every_collection
@every_query
def test_the_headers_of_an_answer(api, listed, collection, query):
    path = f"/collections/{collection}/{query}"
    asked = where(listed[collection], query)
    response = api.get(path, asked, headers={"Origin": "https://elsewhere.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert re.fullmatch(r"<http://www\.opengis\.net/def/crs/\S+>", response.headers["Content-Crs"])
    assert 'rel="collection"' in response.headers["Link"]
    etag = response.headers["ETag"]
    again = api.get(path, asked, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    head = api.request("HEAD", path, asked)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", etag)


# Locations and instances ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", WITH_PLACES)
def test_at_136_locations_without_parameters(api, collection):
    document = api.json(f"/collections/{collection}/locations")
    assert [feature["id"] for feature in document["features"]] == ["harbour", "bay"]


@pytest.mark.parametrize("collection", WITH_PLACES)
@pytest.mark.parametrize("location", ["harbour", "bay", "harbour,bay"])
@pytest.mark.parametrize("crs", ["CRS84", "EPSG:4326"])
def test_at_137_to_146_location_data(api, listed, collection, location, crs):
    more = {"datetime": whole_time(listed[collection]), "parameter-name": "t", "crs": crs, "f": "CoverageJSON"}
    path = f"/collections/{collection}/locations/{location}"
    document = data(api.get(path, more))
    parameters = document.get("parameters") or document["coverages"][0]["parameters"]
    assert set(parameters) == {"t"}
    problem(api.get(path, {"parameter-name": "nope"}))
    problem(api.get(path, {"crs": "EPSG:99999"}))
    problem(api.get(path, {"f": "docx"}))


def test_at_132_to_135_instances_are_collections(api):
    document = api.json("/collections/forecasts/instances")
    assert "self" in {link["rel"] for link in document["links"]}
    assert len(document["instances"]) == 2
    for one in document["instances"]:
        assert Instance.model_validate_json(orjson.dumps(strictly(one))).id == one["id"]
        # QGIS reads the list alone.
        assert {"data_queries", "parameter_names", "extent"} <= set(one)
        address = next(link["href"] for link in one["links"] if link["rel"] == "self")
        assert api.json(address) == one


@every_query
def test_an_instance_is_asked_as_a_collection_is(api, query):
    for one in api.json("/collections/forecasts/instances")["instances"]:
        link = one["data_queries"][query]["link"]
        asked = {**where(one, query), "parameter-name": "t", "datetime": whole_time(one)}
        document = data(api.get(link["href"], asked))
        first = document.get("coverages", [document])[0]
        assert "t" in first["domain"]["axes"] or first["domain"]["axes"]["composite"]["coordinates"][0] == "t"
