from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from geojson_pydantic import FeatureCollection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry import shape as geometry_of

from plugins.datacube.axes import AxisKind
from plugins.datacube.coverage import Coverage, DomainType
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.formats import geojson
from plugins.formats.places import wrapped

GRID = DomainType.GRID
KINDS_OF_GRIDS = ("grid", "grid-bounds", "grid-levels", "grid-of-one", "masked-integers", "members-grid")
ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})+")


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def read(*coverages: Coverage) -> dict[str, Any]:
    """Read by the standard library, refusing what is no JSON and a name that is given twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names))
        return dict(pairs)

    text = b"".join(geojson.encode(coverages))
    found: dict[str, Any] = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    return found


def value_of(written: Any) -> Any:
    return np.nan if written is None else written


@pytest.mark.parametrize("name", KINDS_OF_GRIDS)
def test_every_cell_time_level_and_member_is_one_feature(name: str, any_coverage: Mapping[str, Coverage]) -> None:
    coverage = any_coverage[name]
    ((parameter, values),) = coverage.ranges.items()
    document = read(coverage)
    assert len(document["features"]) == document["numberReturned"] == values.size
    labels = [axis.texts() if axis.kind is AxisKind.T else axis.values.tolist() for axis in coverage.axes]
    for feature, index in zip(document["features"], np.ndindex(values.shape), strict=True):
        at = {axis.key: label[i] for axis, label, i in zip(coverage.axes, labels, index, strict=True)}
        place = geometry_of(feature["geometry"])
        assert (place.x, place.y, place.has_z) == (at.pop("x"), at.pop("y"), False)
        properties = feature["properties"]
        if "t" in at:
            assert properties["datetime"] == at.pop("t")
        assert {key: properties[key] for key in at} == at
        assert properties["parameter-name"] == [parameter]
        right = values[index]
        if right is np.ma.masked or right != right:
            assert properties[parameter] is None
        else:
            assert np.asarray(properties[parameter], values.dtype).tobytes() == right.tobytes()


def test_a_series_is_one_feature_with_arrays_over_its_times(any_coverage: Mapping[str, Coverage]) -> None:
    (feature,) = read(any_coverage["series"])["features"]
    assert feature["properties"]["datetime"] == "1970-01-01T00:00:00Z/1970-01-03T00:00:00Z"
    assert feature["properties"]["time"] == ["1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z", "1970-01-03T00:00:00Z"]
    written = np.asarray(feature["properties"]["t2m"], "f4")
    assert written.tobytes() == any_coverage["series"].ranges["t2m"].tobytes()
    (feature,) = read(any_coverage["series-of-one"])["features"]
    assert feature["properties"]["datetime"] == "1970-01-01T07:00:00Z"
    assert feature["properties"]["time"] == ["1970-01-01T07:00:00Z"]
    assert len(feature["properties"]["t2m"]) == 1


def test_a_profile_runs_over_its_levels(any_coverage: Mapping[str, Coverage]) -> None:
    (feature,) = read(any_coverage["profile"])["features"]
    assert feature["properties"]["z"] == [1000, 850, 500]
    assert feature["properties"]["datetime"] == "1970-01-01T03:00:00Z"
    written = np.asarray(feature["properties"]["t2m"], "f4")
    assert written.tobytes() == any_coverage["profile"].ranges["t2m"].tobytes()


def test_a_series_of_profiles_is_a_series_a_level(any_coverage: Mapping[str, Coverage]) -> None:
    values = any_coverage["series-of-profiles"].ranges["t2m"]
    features = read(any_coverage["series-of-profiles"])["features"]
    assert [feature["properties"]["z"] for feature in features] == [1000, 850]
    for level, feature in enumerate(features):
        assert np.asarray(feature["properties"]["t2m"], "f4").tobytes() == values[:, level, 0, 0].tobytes()


def test_members_and_steps_are_features_with_their_own_properties(any_coverage: Mapping[str, Coverage]) -> None:
    values = any_coverage["members-steps"].ranges["t2m"]
    features = read(any_coverage["members-steps"])["features"]
    found = [[feature["properties"][name] for name in ("number", "step")] for feature in features]
    assert found == [[0, 0.0], [0, 6.5], [1, 0.0], [1, 6.5]]
    assert np.asarray([feature["properties"]["t2m"] for feature in features], "f4").tobytes() == values.tobytes()
    features = read(any_coverage["strings"])["features"]
    assert [feature["properties"]["expver"] for feature in features] == ["0001", "0005, é"]


def test_a_path_is_a_feature_a_place(trajectory: Coverage) -> None:
    document = read(trajectory)
    found = [
        (
            said["number"],
            said["datetime"],
            said["z"],
            feature["geometry"]["coordinates"],
            said["t2m"],
        )
        for feature in document["features"]
        for said in [feature["properties"]]
    ]
    places = [
        ("1970-01-01T00:00:00Z", 1000, [-1.5, 50]),
        ("1970-01-01T01:00:00Z", 850, [0, 50]),
        ("1970-01-01T01:00:00Z", 850, [1.5, 51.5]),
        ("1970-01-01T03:00:00Z", 500, [-178, 53]),
    ]
    right = [(number, *place) for number in (3, 7) for place in places]
    assert found == [(*place, value) for value, place in enumerate(right)]
    assert document["numberReturned"] == 8


def test_every_answer_is_geojson_and_edr_geojson(any_coverage: Mapping[str, Coverage]) -> None:
    identifiers = set()
    for coverage in any_coverage.values():
        document = read(coverage)
        FeatureCollection.model_validate(document)
        for parameter in document["parameters"]:
            assert parameter["type"] == "Parameter"
            texts = (parameter["label"], parameter["description"], parameter["observedProperty"]["label"])
            assert all(isinstance(text, str) for text in texts)
            assert parameter["unit"]["label"] == "K"
        for feature in document["features"]:
            assert ABSOLUTE_URI.fullmatch(feature["id"])
            assert {"label", "parameter-name", "edrqueryendpoint"} <= set(feature["properties"])
            x, y = feature["geometry"]["coordinates"]
            assert feature["properties"]["edrqueryendpoint"] == f"position?coords=POINT({x}%20{y})"
        own = [feature["id"] for feature in document["features"]]
        assert len(own) == len(set(own))
        identifiers.update(own)
    assert "urn:isopleth:demo:x=-0.25,y=51.5,datetime=1970-01-01T05:00:00Z,z=850.0" in identifiers
    assert (
        "urn:isopleth:demo:x=-0.25,y=51.5,expver=0005%2C%20%C3%A9,datetime=1970-01-01T00:00:00Z/1970-01-03T00:00:00Z"
        in identifiers
    )


def test_dates_of_other_calendars_are_kept(any_coverage: Mapping[str, Coverage]) -> None:
    (feature,) = read(any_coverage["360-day"])["features"]
    assert feature["properties"]["time"] == ["1970-02-29T00:00:00Z", "1970-02-30T00:00:00Z"]


def test_longitudes_wrap_and_the_others_keep_every_bit(make: Callable[..., Coverage]) -> None:
    coverage = make(domain_type=GRID, y=[0.1, 7.62939453125e-6], x=[170, 180, 180.1, 190, 359.9])
    found = [feature["geometry"]["coordinates"] for feature in read(coverage)["features"]]
    assert [x for x, _ in found[:5]] == [170, 180, 180.1 - 360, -170, 359.9 - 360]
    assert [y for _, y in found[::5]] == [0.1, 7.62939453125e-6]


@given(st.floats(-720, 720))
def test_a_wrapped_longitude_is_the_same_place(longitude: float) -> None:
    (found,) = wrapped([longitude])
    assert -180 <= found <= 180
    turns = (longitude - found) / 360
    assert abs(turns - round(turns)) < 1e-12
    if abs(longitude) <= 180:
        assert found == longitude


def test_a_projected_grid_is_given_in_degrees(make: Callable[..., Coverage], cube: Callable[..., Any]) -> None:
    # On its central meridian, UTM 31N has easting 500 km; on the equator, northing 0; 166021.443 m is longitude 0.
    utm = cube(geographic=False, wkt=CRS.from_epsg(32631).to_wkt(), crs="http://www.opengis.net/def/crs/EPSG/0/32631")
    coverage = make(domain_type=GRID, cube=utm, y=[0.0], x=[166021.4431, 500000.0])
    found = [feature["geometry"]["coordinates"] for feature in read(coverage)["features"]]
    np.testing.assert_allclose(found, [[0, 0], [3, 0]], atol=1e-8)


@pytest.mark.parametrize("wkt", ["", "LOCAL_CS"])
def test_a_grid_of_unknown_place_is_refused(wkt: str, make: Callable[..., Coverage], cube: Callable[..., Any]) -> None:
    coverage = make(domain_type=GRID, cube=cube(geographic=False, wkt=wkt, crs="unknown"), y=[0.0, 1], x=[0, 1])
    with pytest.raises(InvalidQueryError) as raised:
        read(coverage)
    assert raised.value.parameter == "f"
    assert "CSV" in (raised.value.valid or "")


def test_names_that_are_taken_stay_with_the_data(make: Callable[..., Coverage]) -> None:
    numbers = {name: np.array([[[1.5]]], "f4") for name in ("datetime", "label", "parameter-name", "10%d", 'q"')}
    coverage = make(numbers, domain_type=GRID, t=[0])
    (feature,) = read(coverage)["features"]
    assert all(feature["properties"][name] == 1.5 for name in numbers)
    assert feature["properties"]["time"] == "1970-01-01T00:00:00Z"
    series = make({"time": np.ones((2, 1, 1), "f4")}, domain_type=DomainType.POINT_SERIES, t=[0, 1])
    (feature,) = read(series)["features"]
    assert feature["properties"]["time"] == [1, 1]
    assert feature["properties"]["times"] == ["1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z"]


def test_text_and_numbers_that_json_does_not_have(make: Callable[..., Coverage]) -> None:
    words = np.array([['a,"b"', None, "é"]], object)
    numbers = np.array([[np.inf, -np.inf, np.nan]], "f4")
    flags = np.array([[True, False, True]])
    coverage = make({"word": words, "number": numbers, "flag": flags}, domain_type=GRID, y=[0], x=[0, 1, 2])
    found = [feature["properties"] for feature in read(coverage)["features"]]
    assert [each["word"] for each in found] == ['a,"b"', None, "é"]
    assert [each["number"] for each in found] == [None, None, None]
    assert [each["flag"] for each in found] == [1, 0, 1]


def test_several_coverages_are_one_collection(make: Callable[..., Coverage]) -> None:
    surface = make({"lsm": np.ones((2, 1), "f4")}, domain_type=GRID, y=[1, 0], x=[5])
    levels = make({"t": np.ones((1, 2, 2, 1), "f8")}, domain_type=GRID, t=[0], z=[1000, 500], y=[1, 0], x=[5])
    document = read(surface, levels)
    assert [parameter["id"] for parameter in document["parameters"]] == ["lsm", "t"]
    assert document["numberReturned"] == len(document["features"]) == 6
    assert len({feature["id"] for feature in document["features"]}) == 6
    assert "t" not in document["features"][0]["properties"]
    assert document["features"][2]["properties"]["z"] == 1000


def test_the_source_is_named(make: Callable[..., Coverage], cube: Callable[..., Any]) -> None:
    document = read(make(domain_type=GRID, cube=cube(licence_url="https://example.org/licence")))
    assert document["title"] == "A demonstration"
    assert document["license"] == "https://example.org/licence"
    assert document["attribution"] == "The Office"
    assert document["isopleth:snapshot"] == "SNAPSHOT1"


def test_a_large_grid_is_written_in_parts(make: Callable[..., Coverage]) -> None:
    lon, lat = np.arange(-180, 180.0, 2), np.arange(-90, 90.0, 2)
    values = np.arange(180 * 90, dtype="f4").reshape(1, 90, 180)
    coverage = make({"n": values}, domain_type=GRID, t=[0], y=lat, x=lon)
    parts = list(geojson.encode([coverage]))
    assert len(parts) >= 4
    assert max(map(len, parts)) < 4_000_000
    features = json.loads(b"".join(parts))["features"]
    assert [feature["properties"]["n"] for feature in features] == list(range(180 * 90))
    assert features[181]["geometry"]["coordinates"] == [-178, -88]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60, deadline=None
)
@given(
    sizes=st.tuples(*[st.integers(1, 3)] * 5),
    kind=st.sampled_from([GRID, None]),
    fortran=st.booleans(),
)
def test_any_shape(
    make: Callable[..., Coverage], sizes: tuple[int, ...], kind: DomainType | None, fortran: bool
) -> None:
    number, t, z, y, x = sizes
    values = np.arange(np.prod(sizes), dtype="f8").reshape(sizes)
    coverage = make(
        {"n": np.asfortranarray(values) if fortran else values}, domain_type=kind, custom=[("number", range(number))],
        t=range(t), z=range(z), y=range(y), x=range(x),
    )  # fmt: skip
    found: dict[tuple[Any, ...], Any] = {}
    for feature in read(coverage)["features"]:
        said = feature["properties"]
        times = said.get("time", [said["datetime"]])
        levels = said["z"] if isinstance(said["z"], list) else [said["z"]]
        numbers = said["n"] if isinstance(said["n"], list) else [said["n"]]
        lon, lat = feature["geometry"]["coordinates"]
        keys = [(said["number"], time, level, lat, lon) for time in times for level in levels]
        found.update(zip(keys, numbers, strict=True))
    assert len(found) == values.size
    for index, right in np.ndenumerate(values):
        hour = f"1970-01-01T{index[1]:02d}:00:00Z"
        assert found[index[0], hour, float(index[2]), float(index[3]), float(index[4])] == right


def test_equal_answers_give_equal_bytes(any_coverage: Mapping[str, Coverage]) -> None:
    for coverage in any_coverage.values():
        assert b"".join(geojson.encode([coverage])) == b"".join(geojson.encode([coverage]))


def test_nothing_found_and_nowhere_are_errors(make: Callable[..., Coverage]) -> None:
    with pytest.raises(NoDataError):
        list(geojson.encode([]))
    coverage = make(domain_type=None, t=[0, 1], x=None)
    with pytest.raises(InvalidQueryError):
        list(geojson.encode([replace(coverage, domain_type=DomainType.POINT_SERIES)]))
