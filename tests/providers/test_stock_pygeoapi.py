"""Does a stock pygeoapi with our provider answer EDR right, in its Flask and in its Starlette application?

The rows of what pygeoapi's own provider gets wrong come first. Each application runs in a process of its own.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import netCDF4
import numpy as np
import orjson
import pytest
import zarr
from covjson_pydantic.coverage import Coverage, CoverageCollection
from pyproj import Geod

from plugins.formats.netcdf import NETCDF_LOCK

PROGRAM = Path(__file__).with_name("stock_pygeoapi.py")
ROOT = Path(__file__).resolve().parents[2]
LATS, LONS, HOURS = np.arange(-20, 21, 5.0), np.arange(0, 360, 5.0), np.arange(4) * 6
INSTANT = "2020-01-01T06:00:00Z"
RING = "POLYGON((0 0,10 0,10 10,0 10,0 0))"

POSITION = "/collections/demo/position?coords=POINT({})&parameter-name=t2m"
REQUESTS = {
    "cube": "/collections/demo/cube?bbox=0,0,10,10&parameter-name=t2m",
    "wrap": "/collections/demo/cube?bbox=350,0,10,5&parameter-name=t2m",
    "instant": POSITION.format("1 1") + f"&datetime={INSTANT}",
    "offset": POSITION.format("1 1") + "&datetime=" + quote("2020-01-01T08:00:00+02:00"),
    "day": POSITION.format("1 1") + "&datetime=2020-01-01",
    "list": POSITION.format("1 1") + f"&datetime=2020-01-01T00:00:00Z,{INSTANT}",
    "open": POSITION.format("1 1") + "&datetime=2020-01-01T12:00:00Z/..",
    "west": POSITION.format("-10 5"),
    "all": "/collections/demo/position?coords=POINT(0 0)",
    "multi": "/collections/demo/position?coords=MULTIPOINT((0 0),(10 10))&parameter-name=t2m",
    "area": f"/collections/demo/area?coords={RING}&parameter-name=t2m&datetime={INSTANT}",
    "radius": "/collections/demo/radius?coords=POINT(1 1)&within=600&within-units=km&parameter-name=t2m"
    f"&datetime={INSTANT}",
    "path": f"/collections/demo/trajectory?coords=LINESTRING(1 1,14 1)&parameter-name=t2m&datetime={INSTANT}",
    "voyage": "/collections/demo/trajectory?coords=LINESTRINGM(1 1 1577836800,14 1 1577901600)&parameter-name=t2m",
    "pathcsv": f"/collections/demo/trajectory?coords=LINESTRING(1 1,14 1)&datetime={INSTANT}&f=csv",
    "corridor": "/collections/demo/corridor?coords=LINESTRING(0 0,20 0)&corridor-width=1200&width-units=km"
    f"&parameter-name=t2m&datetime={INSTANT}",
    "nowidth": "/collections/demo/corridor?coords=LINESTRING(0 0,20 0)",
    "outside": POSITION.format("0 70"),
    "before": POSITION.format("0 0") + "&datetime=1990-01-01",
    "crs": POSITION.format("0 0") + "&crs=http://www.opengis.net/def/crs/EPSG/0/3857",
    "crs84": POSITION.format("0 0") + "&crs=http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    "unknown": "/collections/demo/position?coords=POINT(0 0)&parameter-name=t2m,nope",
    "empty": "/collections/demo/position?coords=POINT EMPTY",
    "nan": POSITION.format("nan nan"),
    "far": POSITION.format("1e9 0"),
    "polygon": f"/collections/demo/position?coords={RING}",
    "line": "/collections/demo/area?coords=LINESTRING(0 0,1 1)",
    "overflow": POSITION.format("0 0") + "&datetime=99999999999999999999",
    "words": POSITION.format("0 0") + "&datetime=Mon/Tue",
    "blank": POSITION.format("0 0") + "&datetime=",
    "nanbox": "/collections/demo/cube?bbox=nan,nan,nan,nan",
    "between": "/collections/demo/cube?bbox=0.1,0.1,0.4,0.4&parameter-name=t2m",
    "six": "/collections/demo/cube?bbox=0,0,0,10,10,10&parameter-name=t2m",
    "level": POSITION.format("0 0") + "&z=850",
    "toolarge": "/collections/small/cube?bbox=0,-20,350,20",
    "broken": "/collections/broken/position?coords=POINT(0 0)",
    "misspelt": "/collections/misspelt/position?coords=POINT(0 0)",
    "instances": "/collections/demo/instances",
    "instance": "/collections/demo/instances/abc/position?coords=POINT(0 0)",
    "runs": "/collections/forecast/instances?f=json",
    "run": "/collections/forecast/instances/2020-01-01T12:00:00Z?f=json",
    "ofrun": "/collections/forecast/instances/2020-01-01T12:00:00Z/position?coords=POINT(5 5)",
    "latest": "/collections/forecast/instances/latest/position?coords=POINT(5 5)",
    "norun": "/collections/forecast/instances/2020-01-02/position?coords=POINT(5 5)",
    "forecast": "/collections/forecast?f=json",
    "places": "/collections/named/locations?f=json",
    "placesinbox": "/collections/named/locations?f=json&bbox=-1,-1,6,6",
    "placesbefore": "/collections/named/locations?f=json&datetime=1990-01-01",
    "placespage": "/collections/named/locations?f=html",
    "place": f"/collections/named/locations/here?parameter-name=t2m&datetime={INSTANT}",
    "twoplaces": f"/collections/named/locations/square,here?parameter-name=t2m&datetime={INSTANT}",
    "placecsv": f"/collections/named/locations/here?parameter-name=t2m&datetime={INSTANT}&f=csv",
    "noplace": "/collections/named/locations/nowhere",
    "unnamed": "/collections/demo/locations",
    "named": "/collections/named?f=json",
    "nodistance": "/collections/demo/radius?coords=POINT(0 0)",
    "nounits": "/collections/demo/radius?coords=POINT(0 0)&within=5",
    "badunits": "/collections/demo/radius?coords=POINT(0 0)&within=5&within-units=parsec",
    "netcdf": "/collections/demo/cube?bbox=0,0,10,10&parameter-name=t2m&f=netcdf",
    "csv": POSITION.format("0 0") + "&f=csv",
    "zarr": POSITION.format("0 0") + "&f=zarr",
    "png": POSITION.format("0 0") + "&f=png",
    "html": POSITION.format("0 0") + "&f=html",
    "htmlmany": "/collections/demo/position?coords=MULTIPOINT((0 0),(10 10))&f=html",
    "collection": "/collections/demo?f=json",
    "page": "/collections/demo?f=html",
    "schema": "/collections/demo/schema?f=json",
    "conformance": "/conformance?f=json",
}


PLACES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "id": name, "geometry": geometry, "properties": {"name": name.title()}}
        for name, geometry in (
            ("here", {"type": "Point", "coordinates": [6, 6]}),
            ("there", {"type": "Point", "coordinates": [100, 15]}),
            ("square", {"type": "Polygon", "coordinates": [[[-1, -1], [6, -1], [6, 6], [-1, 6], [-1, -1]]]}),
        )
    ],
}


def truth(hours, lat, lon):
    return hours * 1e5 + (np.asarray(lat) + 90) * 1e3 + np.asarray(lon) % 360


def write_store(path: Path) -> None:
    group = zarr.create_group(path, attributes={"title": "Demonstration"})

    def add(name, dims, data, **attributes):
        group.create_array(name, data=data, dimension_names=dims, chunks="auto").update_attributes(attributes)

    add("time", ("time",), HOURS, units="hours since 2020-01-01", standard_name="time")
    add("latitude", ("latitude",), LATS, units="degrees_north")
    add("longitude", ("longitude",), LONS, units="degrees_east")
    values = truth(HOURS[:, None, None], LATS[:, None], LONS)
    dims = ("time", "latitude", "longitude")
    add("t2m", dims, values, units="K", standard_name="air_temperature", long_name="2 metre temperature")
    add("bare", dims, values.astype("float32"))


def write_forecast(path: Path) -> None:
    """Write two runs of three steps; a value tells its run (hours) and its step."""
    group = zarr.create_group(path)
    for name, data, marks in (
        ("time", np.array([0, 12]), {"units": "hours since 2020-01-01", "standard_name": "forecast_reference_time"}),
        ("step", np.array([0, 3, 6]), {"units": "hours", "standard_name": "forecast_period"}),
        ("latitude", LATS, {"units": "degrees_north"}),
        ("longitude", LONS, {"units": "degrees_east"}),
    ):
        group.create_array(name, data=data, dimension_names=[name]).update_attributes(marks)
    values = np.broadcast_to(
        np.array([0, 12])[:, None, None, None] * 100.0 + np.array([0, 3, 6])[:, None, None],
        (2, 3, LATS.size, LONS.size),
    )
    dims = ["time", "step", "latitude", "longitude"]
    group.create_array("t2m", data=values, dimension_names=dims).update_attributes({"units": "K"})


def configuration(store: Path) -> dict:
    def collection(data: Path, **options) -> dict:
        return {
            "type": "collection",
            "title": "Demonstration",
            "description": "A demonstration",
            "keywords": ["demonstration"],
            "links": [],
            "extents": {
                "spatial": {"bbox": [-180, -90, 180, 90], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}
            },
            "providers": [
                {
                    "type": "edr",
                    "name": "plugins.providers.edr.DatacubeEDRProvider",
                    "data": str(data),
                    "options": {"sparse": False, **options},
                }
            ],
            "formatters": [
                {"name": f"plugins.formats.formatter.{name}Formatter"} for name in ("NetCDF", "CSV", "Zarr")
            ],
        }

    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": 5000},
            "url": "http://127.0.0.1:5000",
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 10, "max_items": 10},
            "map": {"url": "https://tile.example/{z}/{x}/{y}.png", "attribution": "none"},
        },
        "logging": {"level": "CRITICAL"},
        "metadata": {
            "identification": {
                "title": "Stock", "description": "Stock", "keywords": ["k"], "keywords_type": "theme",
                "terms_of_service": "https://example.org", "url": "https://example.org",
            },
            "license": {"name": "CC-BY-4.0", "url": "https://example.org"},
            "provider": {"name": "Nobody", "url": "https://example.org"},
            "contact": {"name": "Nobody", "email": "nobody@example.org"},
        },
        "resources": {
            "demo": collection(store),
            "small": collection(store, limits={"values": 100}),
            "forecast": collection(store.with_name("forecast.zarr")),
            "named": collection(store, locations=str(store.with_name("places.geojson"))),
            "broken": collection(store.with_name("nothing.zarr")),
            "misspelt": collection(store, spares=True),
        },
    }  # fmt: skip


@pytest.fixture(scope="module", params=["flask", "starlette"])
def answers(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_store(folder / "demo.zarr")
    write_forecast(folder / "forecast.zarr")
    (folder / "places.geojson").write_text(json.dumps(PLACES))
    work = {
        "config": configuration(folder / "demo.zarr"),
        "broken": ["broken", "misspelt"],
        "requests": [path.replace(" ", "%20") for path in REQUESTS.values()],
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM), request.param, str(folder)],
        input=json.dumps(work), capture_output=True, text=True, cwd=ROOT, env={"PATH": "", "PYTHONPATH": str(ROOT)},
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    return dict(zip(REQUESTS, found, strict=True))


def content(answer) -> bytes:
    return base64.b64decode(answer["body"])


def document(answer):
    assert answer["status"] == 200, content(answer)[:500]
    found = orjson.loads(content(answer))
    kind = Coverage if found["type"] == "Coverage" else CoverageCollection
    kind.model_validate_json(orjson.dumps(found))
    return found


def cells(found):
    """Every value with the coordinates that are declared for it."""
    for coverage in found["coverages"] if found["type"] == "CoverageCollection" else [found]:
        axes = {name: axis["values"] for name, axis in coverage["domain"]["axes"].items()}
        composed = coverage["domain"]["axes"].get("composite", {}).get("coordinates", ())
        for block in coverage["ranges"].values():
            named = block.get("axisNames", [])
            places = itertools.product(*(axes[name] for name in named))
            for place, value in zip(places, block["values"], strict=True):
                at = {**{n: v[0] for n, v in axes.items()}, **dict(zip(named, place, strict=True))}
                yield at | dict(zip(composed, at.pop("composite", ()), strict=True)), value


def check(answer, count):
    found = list(cells(document(answer)))
    assert len(found) == count
    for at, value in found:
        hour = (np.datetime64(at["t"].rstrip("Z")) - np.datetime64("2020-01-01")) / np.timedelta64(1, "h")
        assert value == truth(hour, at["y"], at["x"])
    return [at for at, _ in found]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cube", 4 * 3 * 3),
        ("wrap", 4 * 2 * 5),
        ("instant", 1),
        ("offset", 1),
        ("day", 4),
        ("list", 2),
        ("open", 2),
        ("west", 4),
        ("multi", 8),
        ("area", 9),
        ("crs84", 4),
        ("path", 4),
        ("voyage", 6),
        ("between", 4),
    ],
)
def test_the_values_are_where_they_are_declared_to_be(answers, name, count):
    check(answers[name], count)


def test_a_circle(answers):
    found = [(at, value) for at, value in cells(document(answers["radius"])) if value is not None]
    sphere = Geod(a=6_371_008.8, b=6_371_008.8)
    expected = {(float(x), float(y)) for x in LONS for y in LATS if sphere.inv(1, 1, float(x), float(y))[2] <= 600e3}
    assert {(at["x"] % 360, at["y"]) for at, _ in found} == expected
    assert all(value == truth(6, at["y"], at["x"]) for at, value in found)


def test_a_corridor(answers):
    found = [(at, value) for at, value in cells(document(answers["corridor"])) if value is not None]
    # 5 degrees are 556 km: the rows beside the path, and the cell at either end of it.
    assert {(at["x"], at["y"]) for at, _ in found} == {(x, y) for x in range(0, 21, 5) for y in (-5, 0, 5)} | {
        (-5, 0),
        (25, 0),
    }
    assert all(value == truth(6, at["y"], at["x"]) for at, value in found)


def test_paths_keep_their_times(answers):
    places = check(answers["voyage"], 6)
    assert [at["x"] for at in places] == [0, 5, 5, 10, 10, 15]
    assert [at["t"][11:13] for at in places] == ["00", "00", "06", "12", "18", "18"]
    assert len(content(answers["pathcsv"]).decode().splitlines()) == 5


def test_longitudes_wrap(answers):
    assert {at["x"] % 360 for at in check(answers["west"], 4)} == {350.0}
    assert {at["x"] % 360 for at in check(answers["wrap"], 40)} == {350.0, 355.0, 0.0, 5.0, 10.0}


def test_an_offset_is_converted(answers):
    (at,) = check(answers["offset"], 1)
    assert at["t"] == INSTANT


def test_the_media_type(answers):
    assert "json" in answers["cube"]["headers"]["content-type"]


@pytest.mark.parametrize("name", ["outside", "before"])
def test_nothing_there_is_204(answers, name):
    assert (answers[name]["status"], content(answers[name])) == (204, b"")


@pytest.mark.parametrize(
    "name",
    [
        "crs", "unknown", "empty", "nan", "far", "polygon", "line", "overflow", "words", "blank", "nanbox", "six",
        "level", "nowidth", "nodistance", "nounits", "badunits", "png", "instance",
        "norun",
    ],
)  # fmt: skip
def test_the_clients_fault_is_400_in_words(answers, name):
    assert answers[name]["status"] == 400
    text = orjson.loads(content(answers[name]))["description"]
    assert text
    assert "check logs" not in text
    assert "Error" not in text


def test_the_sentence_names_what_would_be_valid(answers):
    text = orjson.loads(content(answers["unknown"]))["description"]
    assert "nope" in text
    assert "t2m" in text


def test_too_much_is_413_with_the_numbers(answers):
    assert answers["toolarge"]["status"] == 413
    assert "100" in orjson.loads(content(answers["toolarge"]))["description"]


def test_a_dataset_that_cannot_be_opened_says_so_without_a_path(answers, tmp_path):
    text = orjson.loads(content(answers["broken"]))["description"]
    assert (answers["broken"]["status"], text) == (500, "nothing.zarr does not exist")


def test_an_option_that_nobody_reads_is_refused_by_name(answers):
    assert answers["misspelt"]["status"] == 500
    assert "spares" in orjson.loads(content(answers["misspelt"]))["description"]


def test_no_instances(answers):
    assert answers["instances"]["status"] == 200
    assert orjson.loads(content(answers["instances"]))["instances"] == []


def test_forecast_runs_are_instances(answers):
    listed = orjson.loads(content(answers["runs"]))["instances"]
    assert [one["id"] for one in listed] == ["2020-01-01T12:00:00Z", "2020-01-01T00:00:00Z"]
    assert orjson.loads(content(answers["run"]))["id"] == "2020-01-01T12:00:00Z"
    assert "instances" in orjson.loads(content(answers["forecast"]))["data_queries"]
    assert "instances" not in orjson.loads(content(answers["collection"]))["data_queries"]
    for name in ("ofrun", "latest"):
        found = [(at["t"], value) for at, value in cells(document(answers[name]))]
        assert found == [(f"2020-01-01T{12 + step}:00:00Z", 1200.0 + step) for step in (0, 3, 6)]


def test_netcdf_csv_and_zarr_through_the_formatters(answers):
    assert answers["netcdf"]["headers"]["content-type"].startswith("application/netcdf")
    with NETCDF_LOCK, netCDF4.Dataset("memory", memory=content(answers["netcdf"])) as dataset:
        values = np.asarray(dataset["t2m"][:])
        lat, lon = (np.asarray(dataset[name][:]) for name in ("latitude", "longitude"))
    np.testing.assert_array_equal(values, truth(HOURS[:, None, None], lat[:, None], lon))
    assert answers["csv"]["headers"]["content-type"].startswith("text/csv")
    assert len(content(answers["csv"]).decode().splitlines()) >= 5
    assert zipfile.ZipFile(io.BytesIO(content(answers["zarr"]))).testzip() is None


@pytest.mark.parametrize("name", ["html", "htmlmany", "page"])
def test_pages(answers, name):
    assert answers[name]["status"] == 200
    assert content(answers[name]).lstrip().lower().startswith(b"<!doctype html>")


def test_the_collection_document(answers):
    found = orjson.loads(content(answers["collection"]))
    assert set(found["data_queries"]) == {"position", "radius", "area", "cube", "trajectory", "corridor"}
    assert set(found["parameter_names"]) == {"t2m", "bare"}
    assert found["parameter_names"]["t2m"]["unit"]["symbol"]["value"] == "K"


def test_the_schema(answers):
    properties = orjson.loads(content(answers["schema"]))["properties"]
    assert properties["t2m"] == {"type": "number", "title": "2 metre temperature", "x-ogc-unit": "K"}


def test_conformance(answers):
    classes = orjson.loads(content(answers["conformance"]))["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-edr-1/1.0/conf/core" in classes


def test_named_places_are_listed_and_answered(answers):
    def listed(name):
        found = orjson.loads(content(answers[name]))
        assert found["type"] == "FeatureCollection"
        return [one["id"] for one in found["features"]]

    assert listed("places") == ["here", "there", "square"]
    assert listed("placesinbox") == ["here", "square"]
    assert listed("placesbefore") == []
    assert answers["placespage"]["status"] == 200
    ((at, value),) = cells(document(answers["place"]))
    assert (at["x"], at["y"], value) == (5, 5, truth(6, 5, 5))
    both = document(answers["twoplaces"])
    assert [one["isopleth:location"]["id"] for one in both["coverages"]] == ["square", "here"]
    found = cells(both)
    assert {(at["x"], at["y"]) for at, _ in found} == {(x, y) for x in (0, 5) for y in (0, 5)}
    assert all(value == truth(6, at["y"], at["x"]) for at, value in found)
    assert content(answers["placecsv"]).decode().splitlines()[1].endswith(",5.0,5.0,695005.0")
    assert answers["noplace"]["status"] == 404
    assert b"no location 'nowhere'" in content(answers["noplace"])
    assert answers["unnamed"]["status"] == 400
    assert "locations" in orjson.loads(content(answers["named"]))["data_queries"]
    assert "locations" not in orjson.loads(content(answers["collection"]))["data_queries"]
