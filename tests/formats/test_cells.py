"""Are cells that lie in no rows and columns (HEALPix, unstructured) written so that every format keeps their places?"""

from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from covjson_pydantic.coverage import Coverage as CoverageModel
from covjson_pydantic.coverage import CoverageCollection as CollectionModel
from jsonschema import Draft202012Validator
from pyproj import CRS
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from plugins.datacube.coverage import Coverage, Place
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.query import Interpolation
from plugins.formats import covjson, csv_text, geojson, geotiff, netcdf, quicklook
from plugins.formats.netcdf import NETCDF_LOCK

PLACES = ((-1.5, 50.0), (0.0, 50.0), (181.5, 51.5))
NAN = np.nan


def document(*coverages: Coverage) -> dict[str, Any]:
    text = b"".join(covjson.encode(coverages))
    found: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    (CoverageModel if found["type"] == "Coverage" else CollectionModel).model_validate_json(text)
    return found


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    numbers = itertools.count()

    def read(*coverages: Coverage) -> netCDF4.Dataset:
        path = tmp_path / f"{next(numbers)}.nc"
        path.write_bytes(b"".join(netcdf.encode(coverages)))
        with NETCDF_LOCK:
            return netCDF4.Dataset(path)

    return read


def values(dataset: Any, name: str = "t2m") -> Any:
    with NETCDF_LOCK:
        return np.ma.filled(dataset[name][:], NAN)


def test_cells_at_several_times_are_a_multipointseries(cells: Any) -> None:
    found = document(cells())
    assert found["domain"]["domainType"] == "MultiPointSeries"
    assert found["domain"]["axes"] == {
        "composite": {"dataType": "tuple", "coordinates": ["x", "y"], "values": [list(place) for place in PLACES]},
        "t": {"values": ["1970-01-01T00:00:00Z", "1970-01-01T06:00:00Z"]},
    }
    block = found["ranges"]["t2m"]
    assert (block["axisNames"], block["shape"]) == (["t", "composite"], [2, 3])
    assert block["values"] == [0, None, 2, 3, None, 5]


def test_cells_at_one_time_and_level_are_a_multipoint_with_the_level_in_its_tuples(cells: Any) -> None:
    found = document(cells(t=[6], z=[850]))
    assert found["domain"]["domainType"] == "MultiPoint"
    composite = found["domain"]["axes"]["composite"]
    assert composite["coordinates"] == ["x", "y", "z"]
    assert composite["values"] == [[x, y, 850] for x, y in PLACES]
    assert found["domain"]["axes"]["t"] == {"values": ["1970-01-01T06:00:00Z"]}
    assert found["ranges"]["t2m"]["axisNames"] == ["composite"]
    named = [connection["coordinates"] for connection in found["domain"]["referencing"]]
    assert named == [["x", "y"], ["z"], ["t"]]


def test_each_level_and_each_member_is_a_coverage(cells: Any) -> None:
    found = document(cells(z=[850, 500], members=[3, 7]))
    assert found["domainType"] == "MultiPointSeries"
    told = [
        (one[covjson.DIMENSIONS]["number"], one["domain"]["axes"]["composite"]["values"][0][2])
        for one in found["coverages"]
    ]
    assert told == [(3, 850), (3, 500), (7, 850), (7, 500)]
    # Array order: number, t, z, place. Member 7 (second) at 500 (second): 12 + 6 t + 3.
    assert found["coverages"][3]["ranges"]["t2m"]["values"] == [15, None, 17, 21, None, 23]


def test_the_schema_of_coveragejson(cells: Any, shared_data: Path) -> None:
    documents = [json.loads(each.read_text()) for each in (shared_data / "covjson-schemas").glob("*.json")]
    registry: Registry[Any] = Registry().with_resources(
        [(each["$id"], DRAFT202012.create_resource(each)) for each in documents]
    )
    schema = Draft202012Validator({"$ref": "/schemas/coveragejson"}, registry=registry)
    for options in ({}, {"t": [0]}, {"t": None}, {"z": [1]}, {"z": [1, 2], "members": [1, 2]}):
        schema.validate(document(cells(**options)))


def test_netcdf_has_the_cells_as_stations(cells: Any, opened: Any) -> None:
    dataset = opened(cells())
    assert dataset.featureType == "timeSeries"
    assert dataset["t2m"].dimensions == ("station", "time")
    assert set(dataset["t2m"].coordinates.split()) == {"latitude", "longitude"}
    np.testing.assert_array_equal(values(dataset), [[0, 3], [NAN, NAN], [2, 5]])
    assert list(zip(values(dataset, "longitude"), values(dataset, "latitude"), strict=True)) == list(PLACES)
    assert dataset["station"].cf_role == "timeseries_id"


def test_netcdf_of_levels_members_and_of_no_time(cells: Any, opened: Any) -> None:
    dataset = opened(cells(z=[850, 500], members=[3, 7]))
    assert dataset["t2m"].dimensions == ("station", "number", "time", "level")
    assert values(dataset)[2, 1, 0, 1] == 17
    static = opened(cells(t=None))
    assert static.featureType == "point"
    assert static["t2m"].dimensions == ("station",)
    once = opened(cells(t=[6], z=[850, 500]))
    assert once.featureType == "profile"
    assert once["station"].cf_role == "profile_id"
    assert once["time"].dimensions == ()


def test_parameters_on_the_same_cells_share_them(cells: Any, opened: Any) -> None:
    levels = cells(z=[850, 500])
    levels = replace(levels, ranges={"t": levels.ranges["t2m"]}, parameters={"t": levels.parameters["t2m"]})
    dataset = opened(cells(), levels)
    assert [name for name in dataset.dimensions if name.startswith("station")] == ["station"]
    assert dataset["t"].dimensions == ("station", "time", "level")


def test_csv_and_geojson_have_a_row_for_each_cell_time_and_level(cells: Any) -> None:
    coverage = cells(z=[850, 500], members=[3, 7])
    rows = list(csv.DictReader(io.StringIO(b"".join(csv_text.encode([coverage])).decode())))
    features = json.loads(b"".join(geojson.encode([coverage])))["features"]
    expected = list(itertools.product((3, 7), ("00", "06"), (850, 500), PLACES))
    assert len(rows) == len(features) == len(expected) == 24
    for number, (row, feature, (member, hour, level, (x, y))) in enumerate(zip(rows, features, expected, strict=True)):
        value = None if number % 3 == 1 else number
        assert (int(row["number"]), row["datetime"][11:13], float(row["z"])) == (member, hour, level)
        assert (float(row["longitude"]), float(row["latitude"])) == (x, y)
        assert row["t2m"] == ("" if value is None else f"{value}.0")
        assert feature["geometry"]["coordinates"] == [x if x <= 180 else x - 360, y]
        assert feature["properties"]["t2m"] == value
        assert feature["properties"]["z"] == level


def test_tables_have_the_same_rows(cells: Any) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    from plugins.formats.arrow_table import encode_parquet

    table = pq.read_table(io.BytesIO(b"".join(encode_parquet([cells(z=[850, 500])]))))
    assert table.column("longitude").to_pylist() == [x for x, _ in PLACES] * 4
    assert table.column("z").to_pylist() == ([850] * 3 + [500] * 3) * 2
    assert table.column("t2m").to_pylist() == [None if n % 3 == 1 else float(n) for n in range(12)]


@pytest.mark.parametrize("encoder", [geotiff, quicklook], ids=["GeoTIFF", "PNG"])
def test_a_raster_of_them_is_asked_for_by_its_resolution(cells: Any, encoder: Any) -> None:
    with pytest.raises(InvalidQueryError) as raised:
        list(encoder.encode([cells()]))
    assert raised.value.parameter == "f"
    assert "resolution-x and resolution-y" in (raised.value.valid or "")


UTM = CRS.from_epsg(32630)
ROTATED = CRS.from_cf(
    {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 37.5,
        "grid_north_pole_longitude": 177.5,
        "earth_radius": 6371229.0,
    }
)


def test_an_answer_in_another_crs_than_the_grid_says_so_in_every_format(make: Any, opened: Any) -> None:
    rasterio = pytest.importorskip("rasterio")
    uri = "http://www.opengis.net/def/crs/EPSG/0/32630"
    metres = {"y": [5_000_000.0, 5_001_000.0], "x": [400_000.0, 401_000.0, 402_000.0]}
    coverage = replace(make(t=[0], **metres), crs=uri, crs_wkt=UTM.to_wkt(), geographic=False)
    (system,) = (
        each["system"] for each in document(coverage)["domain"]["referencing"] if each["coordinates"] == ["x", "y"]
    )
    assert (system["type"], system["id"]) == ("ProjectedCRS", uri)
    assert CRS.from_wkt(system["wkt"]) == UTM
    dataset = opened(coverage)
    assert dataset["crs"].grid_mapping_name == "transverse_mercator"
    assert CRS.from_wkt(dataset["crs"].crs_wkt) == UTM
    assert dataset["longitude"].standard_name == "projection_x_coordinate"
    header = b"".join(csv_text.encode([coverage])).partition(b"\r\n")[0]
    assert header == b"datetime,y,x,t2m"
    with rasterio.MemoryFile(b"".join(geotiff.encode([coverage]))) as file, file.open() as raster:
        assert raster.crs.to_epsg() == 32630
    (x, y) = json.loads(b"".join(geojson.encode([coverage])))["features"][0]["geometry"]["coordinates"]
    assert (round(x, 2), round(y, 2)) == (-4.27, 45.15)


def test_a_rotated_pole_has_the_names_of_cf(make: Any, cube: Any, opened: Any) -> None:
    rotated = cube(geographic=False, wkt=ROTATED.to_wkt(), crs="")
    dataset = opened(make(cube=rotated, t=[0], y=[1.0, 2.0], x=[3.0, 4.0]))
    mapping = dataset["crs"]
    assert mapping.grid_mapping_name == "rotated_latitude_longitude"
    assert (mapping.grid_north_pole_latitude, mapping.grid_north_pole_longitude) == (37.5, 177.5)
    assert (dataset["longitude"].standard_name, dataset["latitude"].standard_name) == (
        "grid_longitude",
        "grid_latitude",
    )
    assert dataset["longitude"].units == "degrees"


def test_how_values_were_made_and_how_far_away_they_lie(make: Any, opened: Any) -> None:
    near = replace(make(t=[0, 1]), distance=1234.5, interpolation=Interpolation.LINEAR)
    far = replace(make(t=[0, 1], x=[9.0]), distance=2.0, interpolation=Interpolation.LINEAR)
    alone, both = document(near), document(near, far)
    assert (alone["isopleth:interpolation"], alone["isopleth:distance"]) == ("linear", 1234.5)
    assert both["isopleth:interpolation"] == "linear"
    assert [one["isopleth:distance"] for one in both["coverages"]] == [1234.5, 2.0]
    one, two = opened(near), opened(near, far)
    assert one.isopleth_interpolation == "linear"
    assert values(one, "distance") == 1234.5
    assert values(two, "distance").tolist() == [1234.5, 2.0]
    assert "distance" in two["t2m"].coordinates.split()
    collection = json.loads(b"".join(geojson.encode([near, far])))
    assert collection["isopleth:interpolation"] == "linear"
    assert [each["properties"]["isopleth:distance"] for each in collection["features"]] == [1234.5, 2.0]
    assert document(make(t=[0]))["isopleth:interpolation"] == "nearest"


def test_a_location_is_named_in_every_format_that_can(make: Any, opened: Any) -> None:
    kew = replace(make(t=[0, 1]), place=Place("kew", "Kew “Gardens” 100%"))
    eton = replace(make(t=[0, 1], x=[9.0]), place=Place("eton", "Eton"))
    assert document(kew)["isopleth:location"] == {"id": "kew", "name": "Kew “Gardens” 100%"}
    features = json.loads(b"".join(geojson.encode([kew, eton])))["features"]
    assert [each["properties"]["label"] for each in features] == ["Kew “Gardens” 100%", "Eton"]
    assert [each["properties"]["edrqueryendpoint"] for each in features] == [
        "position?coords=POINT(-0.25%2051.5)",
        "position?coords=POINT(9.0%2051.5)",
    ]
    one, two = opened(kew), opened(kew, eton)
    with NETCDF_LOCK:
        assert str(one["station_id"][...]) == "kew"
        assert one["station_id"].cf_role == "timeseries_id"
        assert list(two["station_name"][:]) == ["Kew “Gardens” 100%", "Eton"]
        assert two["station_name"].dimensions == ("station",)
        assert {"station_id", "station_name"} <= set(two["t2m"].coordinates.split())
