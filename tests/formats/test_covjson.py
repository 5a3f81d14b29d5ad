from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from covjson_pydantic.coverage import Coverage as CoverageModel
from covjson_pydantic.coverage import CoverageCollection as CollectionModel
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.datacube import CRS84
from plugins.datacube.errors import NoDataError
from plugins.formats import covjson

NAMES = (
    "point", "point-without-time", "series", "series-of-one", "series-float64", "profile", "series-of-profiles", "grid",
    "grid-bounds", "grid-levels", "grid-of-one", "masked-integers", "member", "members", "members-grid", "strings",
    "members-steps", "360-day", "noleap",
)  # fmt: skip


@pytest.fixture(scope="session")
def schema(shared_data: Path) -> Draft202012Validator:
    documents = [json.loads(path.read_text()) for path in (shared_data / "covjson-schemas").glob("*.json")]
    # The schemas do not name their dialect.
    resources = [(each["$id"], DRAFT202012.create_resource(each)) for each in documents]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator({"$ref": "/schemas/coveragejson"}, registry=registry)


def parsed(*coverages: Coverage) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(b"".join(covjson.encode(coverages)), parse_constant=pytest.fail)
    return document


def several(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["coverages"] if document["type"] == "CoverageCollection" else [document]
    return found


def lookup(document: dict[str, Any], name: str) -> dict[tuple[Any, ...], Any]:
    """Every value by its full position (custom values, t, z, y, x), read by the declared axes alone."""
    found = {}
    for coverage in several(document):
        axes = {key: axis["values"] for key, axis in coverage["domain"]["axes"].items()}
        array = coverage["ranges"][name]
        names = array.get("axisNames", [])
        assert array.get("shape", []) == [len(axes[key]) for key in names]
        assert all(len(values) == 1 for key, values in axes.items() if key not in names)
        combinations = list(itertools.product(*(axes[key] for key in names)))
        assert len(array["values"]) == len(combinations)
        fixed = dict(coverage.get(covjson.DIMENSIONS, {}))
        for combination, value in zip(combinations, array["values"], strict=True):
            at = {key: values[0] for key, values in axes.items()} | dict(zip(names, combination, strict=True))
            position = (*fixed.values(), *(at[key] for key in ("t", "z", "y", "x") if key in at))
            assert position not in found
            found[position] = value
    return found


def truth(coverage: Coverage, name: str) -> dict[tuple[Any, ...], Any]:
    """The same from the array, by brute force."""
    labels = [axis.texts() if axis.kind.value == "t" else axis.values.tolist() for axis in coverage.axes]
    values = coverage.ranges[name]
    mask = np.ma.getmaskarray(values)
    found = {}
    for index in np.ndindex(values.shape):
        value = None if mask[index] or not np.isfinite(values[index]) else values[index]
        found[tuple(label[i] for label, i in zip(labels, index, strict=True))] = value
    return found


def assert_same(document: dict[str, Any], coverage: Coverage, name: str = "t2m") -> None:
    read, right = lookup(document, name), truth(coverage, name)
    assert read.keys() == right.keys()
    dtype = coverage.ranges[name].dtype
    for position, value in right.items():
        if value is None:
            assert read[position] is None
        else:
            assert read[position] is not None
            assert dtype.type(read[position]).tobytes() == value.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_values_read_by_the_declared_axes_are_those_of_the_array(
    name: str, any_coverage: Mapping[str, Coverage]
) -> None:
    coverage = any_coverage[name]
    (parameter,) = coverage.parameters
    assert_same(parsed(coverage), coverage, parameter)


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_fits_the_json_schemas(
    name: str, any_coverage: Mapping[str, Coverage], schema: Draft202012Validator
) -> None:
    schema.validate(parsed(any_coverage[name]))


def test_the_schemas_are_really_applied(any_coverage: Mapping[str, Coverage], schema: Draft202012Validator) -> None:
    document = parsed(any_coverage["grid"])
    document["domain"]["axes"]["number"] = {"values": [1]}
    assert not schema.is_valid(document)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "360-day"])
def test_every_answer_fits_covjson_pydantic(name: str, any_coverage: Mapping[str, Coverage]) -> None:
    text = b"".join(covjson.encode([any_coverage[name]]))
    model = CollectionModel if json.loads(text)["type"] == "CoverageCollection" else CoverageModel
    model.model_validate_json(text)


@pytest.mark.parametrize(
    ("name", "domain_type", "axis_names"),
    [
        ("point", "Point", None),
        ("series", "PointSeries", ["t"]),
        ("series-of-one", "PointSeries", ["t"]),
        ("profile", "VerticalProfile", ["z"]),
        ("series-of-profiles", "Grid", ["t", "z", "y", "x"]),
        ("grid", "Grid", ["t", "y", "x"]),
        ("grid-levels", "Grid", ["t", "z", "y", "x"]),
        ("grid-of-one", "Grid", ["t", "z", "y", "x"]),
        ("masked-integers", "Grid", ["y", "x"]),
        ("members", "PointSeries", ["t"]),
        ("members-grid", "Grid", ["t", "z", "y", "x"]),
        ("members-steps", "Point", None),
    ],
)
def test_domain_types_and_axis_names(
    name: str, domain_type: str, axis_names: list[str] | None, any_coverage: Mapping[str, Coverage]
) -> None:
    document = parsed(any_coverage[name])
    for coverage in several(document):
        assert coverage["domain"]["domainType"] == domain_type
        assert all(array.get("axisNames") == axis_names for array in coverage["ranges"].values())
    if document["type"] == "CoverageCollection":
        assert document["domainType"] == domain_type


def test_members_become_a_collection_of_one_coverage_each(any_coverage: Mapping[str, Coverage]) -> None:
    document = parsed(any_coverage["members-steps"])
    assert document["type"] == "CoverageCollection"
    assert [coverage[covjson.DIMENSIONS] for coverage in document["coverages"]] == [
        {"number": 0, "step": 0.0},
        {"number": 0, "step": 6.5},
        {"number": 1, "step": 0.0},
        {"number": 1, "step": 6.5},
    ]
    assert all("referencing" not in each["domain"] and "parameters" not in each for each in document["coverages"])
    assert parsed(any_coverage["member"])[covjson.DIMENSIONS] == {"number": 3}
    assert parsed(any_coverage["strings"])["coverages"][1][covjson.DIMENSIONS] == {"expver": "0005, é"}


shapes = st.fixed_dictionaries(
    {
        "custom": st.lists(st.integers(1, 2), max_size=2),
        "t": st.none() | st.integers(1, 3),
        "z": st.none() | st.integers(1, 3),
        "y": st.integers(1, 3),
        "x": st.integers(1, 4),
    }
)


@given(sizes=shapes, seed=st.integers(0, 2**32 - 1), holes=st.floats(0, 1), integers=st.booleans())
def test_any_shape_and_any_holes(
    sizes: dict[str, Any], seed: int, holes: float, integers: bool, make: Callable[..., Coverage]
) -> None:
    random = np.random.default_rng(seed)
    counts = [*sizes["custom"], *(sizes[key] for key in ("t", "z", "y", "x") if sizes[key])]
    missing = random.random(counts) < holes
    if integers:
        values: Any = np.ma.array(random.integers(-(2**31), 2**31, counts, dtype="i4"), mask=missing)
    else:
        # Any bits at all: NaN and infinities are among them.
        values = np.where(missing, np.nan, random.integers(0, 2**32, counts, dtype="u4").view("f4"))
        values = values.astype("f4")
    coverage = make(
        {"t2m": values},
        custom=[(f"d{i}", list(range(n))) for i, n in enumerate(sizes["custom"])],
        t=range(sizes["t"]) if sizes["t"] else None,
        z=range(100, 100 + sizes["z"]) if sizes["z"] else None,
        y=np.linspace(60, 50, sizes["y"]),
        x=np.linspace(-10, 20, sizes["x"]),
    )
    document = parsed(coverage)
    assert_same(document, coverage)
    model = CollectionModel if document["type"] == "CoverageCollection" else CoverageModel
    model.model_validate_json(json.dumps(document))


def test_arrays_in_any_memory_order_and_byte_order(make: Callable[..., Coverage]) -> None:
    values = np.arange(24, dtype="f4").reshape(2, 3, 4)
    for stored in (values.copy("F"), values.astype(">f4"), np.repeat(values, 2, axis=2)[..., ::2]):
        coverage = make({"t2m": stored}, domain_type=DomainType.GRID, t=[0, 1], y=[1, 2, 3], x=[1, 2, 3, 4])
        assert parsed(coverage)["ranges"]["t2m"]["values"] == values.ravel().tolist()
    mask = values % 5 == 0
    stored = np.ma.array(values.astype("i4").copy("F"), mask=mask.copy("F"))
    coverage = make({"t2m": stored}, domain_type=DomainType.GRID, t=[0, 1], y=[1, 2, 3], x=[1, 2, 3, 4])
    expected = [None if int(v) % 5 == 0 else int(v) for v in values.ravel()]
    assert parsed(coverage)["ranges"]["t2m"]["values"] == expected


@pytest.mark.parametrize(
    ("array", "data_type", "written"),
    [
        (np.array([0.1, np.nan, np.inf, -0.0], "f4"), "float", b"0.1,null,null,-0.0"),
        (np.array([0.1, 1e300, -np.inf, 5e-324], "f8"), "float", b"0.1,1e+300,null,5e-324"),
        (np.array([0.5, 2, np.nan, 65504], "f2"), "float", b"0.5,2.0,null,65504.0"),
        (np.array([True, False, True, True]), "integer", b"1,0,1,1"),
        (np.array([0, 1, 2**64 - 1, 7], "u8"), "integer", b"0,1,18446744073709551615,7"),
        (np.ma.array([1, 2, 3, 4], "i8", mask=[False, True, False, False]), "integer", b"1,null,3,4"),
        (np.ma.array([1.5, 2, 3, np.nan], mask=[False, True, False, False], dtype="f4"), "float", b"1.5,null,3.0,null"),
        (np.array(["a", 'b"', "é", ""]), "string", '"a","b\\"","é",""'.encode()),
        (np.array(["a", None, "c", np.nan], object), "string", b'"a",null,"c",null'),
    ],
)
def test_every_type_of_value(array: Any, data_type: str, written: bytes, make: Callable[..., Coverage]) -> None:
    coverage = make({"t2m": array}, domain_type=DomainType.POINT_SERIES, t=[0, 1, 2, 3], x=None, y=None)
    text = b"".join(covjson.encode([coverage]))
    assert json.loads(text)["ranges"]["t2m"]["dataType"] == data_type
    assert b'"values":[' + written + b"]}" in text


def test_parts_are_bounded_and_concatenate(make: Callable[..., Coverage]) -> None:
    values = np.random.default_rng(1).standard_normal((3, 500, 400)).astype("f4")
    coverage = make(
        {"t2m": values, "d2m": -values},
        domain_type=DomainType.GRID,
        t=[0, 1, 2],
        y=np.linspace(80, -80, 500),
        x=np.linspace(-170, 170, 400),
    )
    parts = list(covjson.encode([coverage]))
    assert len(parts) > 10
    assert max(map(len, parts)) < 1.25 * 2**20
    document = json.loads(b"".join(parts))
    for name, right in (("t2m", values), ("d2m", -values)):
        read = np.array(document["ranges"][name]["values"]).astype("f4").reshape(document["ranges"][name]["shape"])
        np.testing.assert_array_equal(read, right)


def test_thousands_of_small_coverages_are_not_thousands_of_parts(make: Callable[..., Coverage]) -> None:
    coverage = make(custom=[("number", list(range(3000)))])
    parts = list(covjson.encode([coverage]))
    assert len(parts) < 30
    assert len(json.loads(b"".join(parts))["coverages"]) == 3000


def test_axes_keep_their_exact_values(make: Callable[..., Coverage]) -> None:
    x = np.array([0.1, 0.2, 0.3], "f4").astype("f8")
    document = parsed(make(domain_type=DomainType.GRID, x=x, y=[1 / 3, 2 / 3]))
    assert document["domain"]["axes"]["x"]["values"] == x.tolist()
    assert document["domain"]["axes"]["y"]["values"] == [1 / 3, 2 / 3]


def test_bounds_are_twice_as_long_as_their_axis(any_coverage: Mapping[str, Coverage]) -> None:
    axes = parsed(any_coverage["grid-bounds"])["domain"]["axes"]
    assert axes["y"]["bounds"] == [51.875, 52.125, 51.375, 51.625, 50.875, 51.125]
    assert axes["t"]["values"][1] == "1970-01-02T00:00:00Z"
    assert axes["t"]["bounds"][2:4] == ["1970-01-01T23:30:00Z", "1970-01-02T00:30:00Z"]


def test_bounds_that_are_not_numbers_are_left_out(make: Callable[..., Coverage]) -> None:
    coverage = make(domain_type=DomainType.GRID, y=[1.0, 2.0], x=[1.0, 2.0])
    y, x = coverage.axes
    broken = replace(coverage, axes=(replace(y, bounds=np.array([[0.5, 1.5], [1.5, np.nan]])), x))
    assert "bounds" not in parsed(broken)["domain"]["axes"]["y"]


def test_referencing(any_coverage: Mapping[str, Coverage]) -> None:
    systems = {
        tuple(each["coordinates"]): each["system"] for each in parsed(any_coverage["point"])["domain"]["referencing"]
    }
    assert systems["x", "y"] == {"type": "GeographicCRS", "id": CRS84}
    assert systems["t",] == {"type": "TemporalRS", "calendar": "Gregorian"}
    (axis,) = systems["z",]["cs"]["csAxes"]
    assert axis == {"name": {"en": "pressure level"}, "direction": "down", "unit": {"symbol": "hPa"}}


def test_a_projected_crs_gives_its_wkt(make: Callable[..., Coverage], cube: Callable[..., Any]) -> None:
    uri, wkt = "http://www.opengis.net/def/crs/EPSG/0/27700", 'PROJCRS["OSGB"]'
    coverage = make(domain_type=DomainType.POINT, cube=cube(geographic=False, crs=uri, wkt=wkt))
    (reference,) = parsed(coverage)["domain"]["referencing"]
    assert reference["system"] == {"type": "ProjectedCRS", "id": uri, "wkt": wkt}


def test_calendars(any_coverage: Mapping[str, Coverage], make: Callable[..., Coverage]) -> None:
    def calendar(coverage: Coverage) -> str:
        found: str = parsed(coverage)["domain"]["referencing"][-1]["system"]["calendar"]
        return found

    assert calendar(any_coverage["360-day"]).endswith("#calendar-360_day")
    assert calendar(any_coverage["noleap"]).endswith("#calendar-noleap")
    assert calendar(make(t=[0, 1], calendar="365_day")).endswith("#calendar-noleap")
    assert calendar(make(t=[0, 1], calendar="standard")) == "Gregorian"
    before_the_reform = -24 * 365 * 400
    assert calendar(make(t=[before_the_reform, 1], calendar="standard")).endswith("#calendar-standard")
    assert calendar(make(t=[before_the_reform, 1], calendar="proleptic_gregorian")) == "Gregorian"


def test_the_30th_of_february_is_written(any_coverage: Mapping[str, Coverage]) -> None:
    document = parsed(any_coverage["360-day"])
    assert document["domain"]["axes"]["t"]["values"] == ["1970-02-29T00:00:00Z", "1970-02-30T00:00:00Z"]


def test_a_parameter(make: Callable[..., Coverage]) -> None:
    values = {name: np.zeros(2, "f4") for name in ("t2m", "sst", "odd", "bare")}
    coverage = make(
        values,
        t=[0, 1],
        parameters={
            "sst": {"standard_name": "sea_surface_temperature status_flag", "units": "degC", "ucum": "Cel"},
            "odd": {"standard_name": None, "units": "Deg C", "ucum": None},
            "bare": {"standard_name": None, "long_name": None, "label": "", "units": None, "ucum": None},
        },
    )
    parameters = parsed(coverage)["parameters"]
    assert parameters["t2m"] == {
        "type": "Parameter",
        "description": {"en": "2 metre temperature"},
        "observedProperty": {
            "id": "http://vocab.nerc.ac.uk/standard_name/air_temperature/",
            "label": {"en": "2 metre temperature"},
        },
        "unit": {
            "label": {"en": "K"},
            "symbol": {"value": "K", "type": "http://www.opengis.net/def/uom/UCUM/"},
        },
    }
    assert parameters["sst"]["observedProperty"]["id"].endswith("/sea_surface_temperature/")
    assert parameters["sst"]["unit"]["symbol"]["value"] == "Cel"
    assert parameters["odd"]["unit"] == {"label": {"en": "Deg C"}, "symbol": "Deg C"}
    assert parameters["bare"] == {
        "type": "Parameter", "description": {"en": "bare"}, "observedProperty": {"label": {"en": "bare"}},
    }  # fmt: skip


def test_parameters_on_different_axes_share_what_they_can(
    make: Callable[..., Coverage], cube: Callable[..., Any], schema: Draft202012Validator
) -> None:
    one = cube()
    surface = make(domain_type=DomainType.POINT_SERIES, t=[0, 1], cube=one)
    levels = make({"t": np.ones((2, 2, 1, 1), "f4")}, t=[0, 1], z=[850, 500], cube=one)
    document = parsed(surface, levels)
    schema.validate(document)
    CollectionModel.model_validate_json(json.dumps(document))
    assert document["parameters"].keys() == {"t2m", "t"}
    assert [each["parameters"].keys() for each in document["coverages"]] == [{"t2m"}, {"t"}]
    assert [each["coordinates"] for each in document["referencing"]] == [["x", "y"], ["t"]]
    first, second = document["coverages"]
    assert "referencing" not in first["domain"]
    assert [each["coordinates"] for each in second["domain"]["referencing"]] == [["x", "y"], ["z"], ["t"]]
    assert "domainType" not in document
    first["domain"] = {**first["domain"], "referencing": document["referencing"]}
    assert_same(first, surface)
    assert_same(second, levels, "t")


def test_two_meanings_of_one_name_are_not_shared(make: Callable[..., Coverage]) -> None:
    one = make(domain_type=DomainType.POINT)
    other = make(domain_type=DomainType.POINT, y=[1], parameters={"t2m": {"units": "degC", "ucum": "Cel"}})
    document = parsed(one, other)
    assert "parameters" not in document
    assert [each["parameters"]["t2m"]["unit"]["label"]["en"] for each in document["coverages"]] == ["K", "degC"]


def test_several_points_are_a_collection(make: Callable[..., Coverage], schema: Draft202012Validator) -> None:
    points = [make(domain_type=DomainType.POINT_SERIES, t=[0, 1], y=[y]) for y in (10, 20, 30)]
    document = parsed(*points)
    schema.validate(document)
    assert [each["domain"]["axes"]["y"]["values"] for each in document["coverages"]] == [[10.0], [20.0], [30.0]]
    assert document["domainType"] == "PointSeries"


def test_where_the_data_come_from_is_said_once(any_coverage: Mapping[str, Coverage]) -> None:
    for name in ("grid", "members"):
        document = parsed(any_coverage[name])
        assert next(iter(document)) == "type"
        assert document["dct:title"] == "A demonstration"
        assert document["dct:license"] == "CC-BY-4.0"
        assert document["dct:rightsHolder"] == "The Office"
        assert document["isopleth:snapshot"] == "SNAPSHOT1"
        for prefix in {key.partition(":")[0] for key in document if ":" in key}:
            assert prefix in document["@context"]


def test_plain_python_values(make: Callable[..., Coverage]) -> None:
    coverage = make({"t2m": np.array([0.1, np.nan], "f4")}, domain_type=DomainType.POINT_SERIES, t=[0, 1])
    document = covjson.to_dict([coverage])
    values = document["ranges"]["t2m"]["values"]
    assert values == [0.1, None]
    assert type(values[0]) is float
    assert math.isclose(json.loads(json.dumps(document))["domain"]["axes"]["x"]["values"][0], -0.25)


def test_equal_answers_give_equal_bytes(any_coverage: Mapping[str, Coverage]) -> None:
    for coverage in any_coverage.values():
        assert b"".join(covjson.encode([coverage])) == b"".join(covjson.encode([coverage]))


def test_nothing_found_is_not_an_empty_document() -> None:
    with pytest.raises(NoDataError):
        list(covjson.encode([]))


def test_orjson_reads_what_is_written(any_coverage: Mapping[str, Coverage]) -> None:
    for coverage in any_coverage.values():
        orjson.loads(b"".join(covjson.encode([coverage])))
