"""Which files of named places are read, which are refused and how, and when is a file read again?"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.datacube.datacube import GridKind
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.doctor import examine
from plugins.datacube.errors import DatasetError, InvalidQueryError, UnknownError
from plugins.datacube.library import open_datacube
from plugins.datacube.location import IDENTIFIER, Location
from plugins.datacube.location_file import MAXIMUM_BYTES, MAXIMUM_LOCATIONS, MAXIMUM_VERTICES, read_locations
from plugins.datacube.locations import MAXIMUM_CHOSEN, chosen, in_box, locations_of, problem_of
from plugins.datacube.published import read_dataset_json, write_dataset_json

SQUARE = [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]
POINT = {"type": "Point", "coordinates": [5, 6]}


def feature(identifier: Any = None, geometry: Any = POINT, **properties: Any) -> dict[str, Any]:
    made = {"type": "Feature", "geometry": geometry, "properties": properties}
    return made if identifier is None else {"id": identifier, **made}


def collection(*features: Any, **members: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), **members}


def write(path: Path, document: Any) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "places.geojson"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two cells, so that a dataset can be opened."""
    group = zarr.create_group(tmp_path / "store.zarr")
    for name, values, units in (("lat", [0.0, 10.0], "degrees_north"), ("lon", [0.0, 10.0], "degrees_east")):
        array = group.create_array(name, data=np.array(values), dimension_names=(name,))
        array.update_attributes({"units": units})
    group.create_array("t", data=np.ones((2, 2)), dimension_names=("lat", "lon")).update_attributes({"units": "K"})
    return tmp_path / "store.zarr"


def test_every_kind_of_place_is_read(file: Path) -> None:
    write(file, collection(
        feature("a", name="Ä name", country="X"),
        feature(None, {"type": "MultiPoint", "coordinates": [[1, 2, 300], [3, 4]]}, id="b", label="B label"),
        feature(None, {"type": "Polygon", "coordinates": SQUARE}, name="c"),
        feature(7, {"type": "MultiPolygon", "coordinates": [SQUARE]}),
        crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
    ))  # fmt: skip
    found = read_locations(file)
    assert [(one.id, one.name) for one in found] == [("a", "Ä name"), ("b", "B label"), ("c", "c"), ("7", "7")]
    assert [one.is_area for one in found] == [False, False, True, True]
    assert found[0].geometry == shapely.Point(5, 6)
    assert found[1].points == [(1, 2), (3, 4)]
    assert not found[1].geometry.has_z
    assert found[2].geometry.area == found[3].geometry.area == 100
    assert found[0].properties == {"name": "Ä name", "country": "X"}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{", "it is not JSON"),
        ([], "not a GeoJSON FeatureCollection"),
        ({"type": "FeatureCollection"}, "no list of features"),
        (collection(3), "feature 1: it is not a Feature"),
        (collection(feature("a"), feature("a")), "feature 2: the identifier 'a' was used before"),
        (collection(feature("a"), feature()), "feature 2: it has no id"),
        (collection(feature(True)), "feature 1: it has no id"),
        (collection(feature("a/b")), "'a/b' cannot stand in an address"),
        (collection(feature("a,b")), "'a,b' cannot stand in an address"),
        (collection(feature("..")), "'..' cannot stand in an address"),
        (collection(feature("x" * 129)), "cannot stand in an address"),
        (collection(feature("a", None)), "its geometry is 'None'"),
        (collection(feature("a", {"type": "LineString", "coordinates": [[0, 0], [1, 1]]})), "'LineString'"),
        (collection(feature("a", {"type": "Point", "coordinates": [0]})), "not a list of longitude and latitude"),
        (collection(feature("a", {"type": "Point", "coordinates": [0, 91]})), "no place on the Earth"),
        (collection(feature("a", {"type": "Point", "coordinates": [True, 1]})), "a coordinate is not a number"),
        (collection(feature("a", {"type": "Point", "coordinates": ["0", 1]})), "a coordinate is not a number"),
        (collection(feature("a", {"type": "MultiPoint", "coordinates": []})), "are empty"),
        (collection(feature("a", {"type": "MultiPoint", "coordinates": [[0, 0]] * 1001})), "1,001 points"),
        (collection(feature("a", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]})), "four positions"),
        (collection(feature("a", {"type": "Polygon", "coordinates": [SQUARE[0][:-1]]})), "not closed"),
        (
            collection(feature("a", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]})),
            "its Polygon is not valid: Self-intersection",
        ),
        (
            collection(feature("a", {"type": "MultiPoint", "coordinates": [[0, 0]] * (MAXIMUM_VERTICES + 1)})),
            "more than 5,000 vertices",
        ),
        (collection(*({} for _ in range(MAXIMUM_LOCATIONS + 1))), "10,001 features"),
        (collection(feature("a"), crs={"properties": {"name": "EPSG:3857"}}), "not longitude and latitude"),
        ({"type": "FeatureCollection", "features": [[[[]]]]}, "feature 1: it is not a Feature"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_the_feature(file: Path, document: Any, sentence: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_locations(write(file, document))
    assert caught.value.detail.startswith("the locations in places.geojson cannot be used: ")
    assert sentence in caught.value.detail
    assert str(file.parent) not in caught.value.detail


def test_a_file_that_is_not_there_or_too_large(file: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_locations(file)
    write(file, " " * (MAXIMUM_BYTES + 1))
    with pytest.raises(DatasetError, match="larger than 16 MiB"):
        read_locations(file)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.integers(-400, 400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["Point", "MultiPoint", "Polygon", "MultiPolygon", "GeometryCollection"]),
    coordinates=JSON | st.lists(st.lists(st.floats(-90, 90), min_size=2, max_size=2), max_size=5).map(lambda r: [r]),
    identifier=JSON,
    properties=JSON,
)
def test_whatever_stands_in_a_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, coordinates: Any, identifier: Any, properties: Any
) -> None:
    made = {"type": "Feature", "id": identifier, "geometry": {"type": kind, "coordinates": coordinates}}
    path = write(tmp_path_factory.mktemp("any") / "any.geojson", collection({**made, "properties": properties}))
    try:
        (location,) = read_locations(path)
    except DatasetError as error:
        assert "feature 1" in error.detail  # noqa: PT017 - either outcome is right
    else:
        assert IDENTIFIER.fullmatch(location.id)
        assert location.geometry.is_valid
        assert not location.geometry.is_empty


@settings(max_examples=60)
@given(
    box=st.tuples(st.integers(-360, 360), st.integers(-90, 89), st.integers(-360, 360), st.integers(0, 90)),
    places=st.lists(st.tuples(st.integers(-360, 360), st.integers(-90, 90)), min_size=1, max_size=20),
)
def test_the_places_in_a_box_are_those_that_lie_in_it_around_the_globe(
    box: tuple[int, int, int, int], places: list[tuple[int, int]]
) -> None:
    west, south, east, height = box
    north = min(90, south + height)
    width = east - west if east >= west else (east - west) % 360
    known = [Location(str(n), "", shapely.Point(x, y)) for n, (x, y) in enumerate(places)]
    found = {location.id for location in in_box(known, (west, south, east, north))}
    expected = {
        str(n) for n, (x, y) in enumerate(places) if south <= y <= north and (width >= 360 or (x - west) % 360 <= width)
    }
    assert found == expected


def test_areas_that_meet_a_box_are_in_it() -> None:
    known = [Location("a", "", shapely.box(0, 0, 10, 10)), Location("b", "", shapely.box(20, 0, 30, 10))]
    assert [one.id for one in in_box(known, (9, 9, 12, 12))] == ["a"]
    assert [one.id for one in in_box(known, (-175, 9, -179, 12))] == ["a", "b"]
    assert in_box((), (0, 0, 1, 1)) == ()


def test_a_file_is_read_once_and_again_when_it_changes(
    store: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = open_datacube(DatasetDefinition("x", str(store), locations=str(write(file, collection(feature("a"))))))
    first = locations_of(opened)
    assert [one.id for one in first] == ["a"]
    assert locations_of(opened) is first
    write(file, collection(feature("a"), feature("b")))
    assert [one.id for one in locations_of(opened)] == ["a", "b"]
    with caplog.at_level(logging.WARNING):
        write(file, "{")
        assert locations_of(opened) == ()
        assert locations_of(opened) == ()
    said = [record for record in caplog.records if record.name == "plugins.datacube.locations"]
    assert [record.getMessage() for record in said] == [f"dataset x: {problem_of(opened.cube.definition)}"]
    write(file, collection(feature("c")))
    os.utime(file, ns=(1, 1))
    assert [one.id for one in locations_of(opened)] == ["c"]
    assert problem_of(opened.cube.definition) is None


def test_a_broken_file_is_named_by_the_doctor_and_the_data_are_served(store: Path, file: Path) -> None:
    definition = DatasetDefinition("x", str(store), locations=str(file))
    report = examine(definition)
    assert report.exit_code == 1
    (found,) = [finding for finding in report.findings if finding.code == "no-locations"]
    assert "places.geojson cannot be used" in found.sentence
    assert open_datacube(definition).cube.unsupported is None
    assert examine(replace(definition, locations=str(write(file, collection(feature("a")))))).exit_code == 0


def test_locations_are_chosen_by_their_identifiers(store: Path, file: Path) -> None:
    write(file, collection(*(feature(f"p{n}") for n in range(MAXIMUM_CHOSEN + 1))))
    opened = open_datacube(DatasetDefinition("x", str(store), locations=str(file)))
    assert [one.id for one in chosen(opened, "p3, p1,p3,")] == ["p3", "p1"]
    with pytest.raises(UnknownError, match=r"'x' has no location 'nope'; /collections/x/locations lists"):
        chosen(opened, "p1,nope")
    for wrong in (",", ",".join(f"p{n}" for n in range(MAXIMUM_CHOSEN + 1))):
        with pytest.raises(InvalidQueryError) as caught:
            chosen(opened, wrong)
        assert caught.value.parameter == "locationId"
    with pytest.raises(UnknownError, match="has no locations"):
        chosen(open_datacube(DatasetDefinition("y", str(store))), "p1")


def test_a_published_dataset_keeps_its_own_copy(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "x"
    write(file, collection(feature("a")))
    write_dataset_json(folder, DatasetDefinition("x", "", locations=str(file)))
    file.unlink()
    known = read_dataset_json(folder)
    assert known.locations == str(folder / "locations.geojson")
    assert [one.id for one in read_locations(Path(known.locations))] == ["a"]
    write_dataset_json(folder, replace(known, title="A title"))
    assert [one.id for one in read_locations(Path(known.locations))] == ["a"]
    # What was lost does not stop an append.
    Path(known.locations).unlink()
    write_dataset_json(folder, known)
    document = json.loads((folder / "dataset.json").read_text())
    write(folder / "dataset.json", {**document, "locations": "../../etc/passwd"})
    with pytest.raises(DatasetError, match="name of a file in the folder"):
        read_dataset_json(folder)


@dataclass(frozen=True)
class Stations:
    """A mesh of four stations, one of them without a place."""

    dims: tuple[str, ...] = ("station",)
    shape: tuple[int, ...] = (4,)
    spacing: float = 1.0

    def centres(self, cells: Any) -> tuple[Any, Any]:
        return np.array([1.0, 2.0, np.nan, 4.0])[cells], np.array([5.0, 6.0, 7.0, 8.0])[cells]


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, [("0", "0"), ("1", "1"), ("3", "3")]),
        (
            {"name": (np.array(["a", "b", "c", "d"]), {"cf_role": "timeseries_id"})},
            [("a", "a"), ("b", "b"), ("d", "d")],
        ),
        (
            {
                "wmo": (np.array([11, 12, 13, 14]), {"standard_name": "platform_id"}),
                "station_name": (np.array(["Ä", "", "", "D/E"]), {}),
            },
            [("11", "Ä"), ("12", "12"), ("14", "D/E")],
        ),
        (
            {"station_name": (np.array(["same", "same", "x", "a/b"]), {})},
            [("same", "same"), ("1", "same"), ("3", "a/b")],
        ),
        (
            {"code": (np.array([list(b"ab"), list(b"c\0"), list(b"de"), list(b"f ")], "u1").view("S1"),
                      {"cf_role": "timeseries_id"})},
            [("ab", "ab"), ("c", "c"), ("f", "f")],
        ),
    ],
)  # fmt: skip
def test_stations_go_by_their_own_names(store: Path, variables: Any, expected: list[tuple[str, str]]) -> None:
    group = zarr.open_group(store)
    for name, (values, attributes) in variables.items():
        dims = ("station", "length")[: values.ndim]
        group.create_array(name, data=values, dimension_names=dims).update_attributes(attributes)
    opened = open_datacube(DatasetDefinition("x", str(store)))
    cube = replace(opened.cube, grid=replace(opened.cube.grid, kind=GridKind.POINT), mesh=Stations())  # type: ignore[arg-type]
    found = locations_of(replace(opened, cube=cube))
    assert [(one.id, one.name) for one in found] == expected
    assert [one.points for one in found] == [[(1.0, 5.0)], [(2.0, 6.0)], [(4.0, 8.0)]]
    assert locations_of(replace(opened, cube=cube)) is found
