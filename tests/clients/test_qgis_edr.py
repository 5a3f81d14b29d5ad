"""Would the EDR plugin of QGIS (Met Office) find its way through the collections, and draw the right values?

QGIS is not needed: written here is what the plugin asks, how it fills its dialog from the documents, and by which rules
it makes rasters and points of CoverageJSON. Each rule that it has is an assertion or an exception here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import numpy as np
import pytest
from pyproj import CRS, Transformer

TIMES = ["2020-01-01T00:00:00Z", "2020-01-01T06:00:00Z", "2020-01-01T12:00:00Z", "2020-01-01T18:00:00Z"]
QUERIES = {"area", "cube", "position", "radius", "items", "locations", "trajectory", "corridor"}
SQUARE = "Polygon ((-15 -15, 30 -15, 30 15, -15 15, -15 -15))"
TO_GRID = Transformer.from_crs("OGC:CRS84", "EPSG:27700", always_xy=True)
HEADERS = {"User-Agent": "Mozilla/5.0 QGIS/34013/Debian GNU/Linux 13", "Accept-Language": "en-GB,*"}


@dataclass
class Choice:
    """What the dialog offers of a collection, or of an instance."""

    document: Mapping[str, Any]
    query: str
    crs: dict[str, str] = field(default_factory=dict)
    formats: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        variables = self.document["data_queries"][self.query]["link"].get("variables", {})
        self.crs = {one["crs"]: one["wkt"] for one in variables["crs_details"]}
        self.formats = variables["output_formats"]
        assert variables["default_output_format"] in self.formats
        for name, parameter in self.document["parameter_names"].items():
            text = parameter.get("description", parameter["label"])
            assert isinstance(text, str)
            self.parameters[text] = name

    @property
    def interval(self) -> tuple[str, str]:
        """The times of the two fields."""
        first, last = self.document["extent"]["temporal"]["interval"][0]
        assert datetime.fromisoformat(first) <= datetime.fromisoformat(last)
        return first, last

    @property
    def levels(self) -> list[str]:
        """The levels of the list; Qt takes nothing but text."""
        found = self.document["extent"]["vertical"]["values"]
        assert all(isinstance(one, str) for one in found)
        return list(found)

    @property
    def dimensions(self) -> dict[str, list[str]]:
        """The values of each dimension of its own; a repeated interval would be spread out wrongly."""
        found = {one["id"]: one["values"] for one in self.document["extent"].get("custom", [])}
        assert not [one for values in found.values() for one in values if one.startswith("R")]
        return found


@dataclass(frozen=True)
class Plugin:
    """The plugin, by what it asks."""

    root: str
    client: httpx.Client
    post: bool

    def document(self, path: str) -> Any:
        """Ask without a word about formats, as it does."""
        answer = self.client.get(f"{self.root}{path}")
        assert answer.status_code == 200
        return answer.json()

    def choose(self, collection: str, query: str, instance: str | None = None) -> Choice:
        (found,) = [one for one in self.document("/collections")["collections"] if one["id"] == collection]
        by_instance = any("/instances" in link["href"].lower() for link in found["links"])
        assert by_instance == ("instances" in found["data_queries"]) == (instance is not None)
        if instance is not None:
            listed = self.document(f"/collections/{collection}/instances")["instances"]
            (found,) = [one for one in listed if one["id"] == instance]
        return Choice(found, query)

    def ask(self, path: str, **parameters: str) -> Any:
        """Send a query as the plugin does: by POST, texts stand as they are, spaces and slashes too."""
        named = {name.replace("_", "-"): value for name, value in parameters.items()}
        url = f"{self.root}/collections/{path}"
        if self.post:
            body = "&".join(f"{name}={value}" for name, value in named.items())
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self.client.post(url, content=body.encode(), headers=form)
        else:
            answer = self.client.get(url, params=named)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(params=["GET", "POST"])
def plugin(request: pytest.FixtureRequest, site: Any) -> Iterator[Plugin]:
    with httpx.Client(headers=HEADERS) as client:
        del client.headers["Accept"]
        yield Plugin(site.ogc, client, request.param == "POST")


# How it reads CoverageJSON ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raster:
    """A GeoTIFF that it writes: one time, one level."""

    values: Any
    xs: Any
    """Centres of the columns, by the transform of the file."""
    ys: Any
    time: str | None
    level: float | None


def system(document: Mapping[str, Any]) -> CRS:
    """The CRS that it finds."""
    whole = document["referencing"] if document["type"] == "CoverageCollection" else document["domain"]["referencing"]
    for one in whole:
        if {"x", "y"} <= set(one["coordinates"]):
            identifier = one["system"]["id"]
            if "wkt" in one["system"]:
                return CRS.from_wkt(one["system"]["wkt"])
            assert "http:" in identifier
            assert "CRS84" in identifier or "4326" in identifier
            return CRS.from_epsg(4326)
    raise AssertionError("no CRS")


def unit(parameters: Mapping[str, Any]) -> str | None:
    """The unit in the name of a layer: the first language that there is."""
    found = next(iter(parameters.values())).get("unit", {}).get("label")
    return None if found is None else str(found[next(iter(found))])


def edges(values: Any) -> tuple[float, float]:
    return values[0] - (values[1] - values[0]) / 2, values[-1] + (values[-1] - values[-2]) / 2


def rasters(coverage: Mapping[str, Any], parameter: str) -> list[Raster]:
    """The rasters of a grid: axes of one value are dropped, what is left must be t, z, y, x."""
    axes = {name: axis["values"] for name, axis in coverage["domain"]["axes"].items()}
    block = coverage["ranges"][parameter]
    assert block["type"] == "NdArray"
    assert block["dataType"] in ("float", "integer")
    long = {name: size for name, size in zip(block["axisNames"], block["shape"], strict=True) if size > 1}
    assert list(long) == [name for name in ("t", "z", "y", "x") if name in long]
    assert {"y", "x"} <= set(long)
    values = np.array(block["values"], float).reshape(list(long.values()))
    (west, east), (south, north) = edges(axes["x"]), edges(axes["y"])
    width, height = (east - west) / len(axes["x"]), (north - south) / len(axes["y"])
    xs = west + (np.arange(len(axes["x"])) + 0.5) * width
    # The last row of the array is written first, whichever way the rows run.
    ys = north - (np.arange(len(axes["y"])) + 0.5) * height
    found = []
    for number, time in enumerate(axes["t"] if "t" in block["axisNames"] else [None]):
        for step, level in enumerate(axes["z"] if "z" in block["axisNames"] else [None]):
            place = {"t": number, "z": step}
            picture = values[tuple(place[name] for name in long if name in place)]
            found.append(Raster(picture[::-1], xs, ys, time, level))
    return found


def drawn(truth: Any, collection: str, document: Mapping[str, Any], **fixed: Any) -> int:
    """Compare every pixel of every raster with the store, at the place where QGIS draws it; return how many."""
    count = 0
    for coverage in document.get("coverages", [document]):
        assert document.get("domainType", coverage["domain"].get("domainType")) == "Grid"
        for parameter in coverage.get("parameters", document["parameters"]):
            for one in rasters(coverage, parameter):
                said = {**fixed, **coverage.get("isopleth:dimensions", {})}
                said |= {name: value for name, value in (("t", one.time), ("z", one.level)) if value is not None}
                wanted = truth.at(collection, parameter, x=one.xs, y=one.ys[:, None], **said)
                np.testing.assert_array_equal(one.values, wanted)
                count += int(np.isfinite(one.values).sum())
    return count


# What it does with every kind of collection ----------------------------------------------------------------------


def test_every_collection_fills_the_dialog(plugin: Plugin) -> None:
    for document in plugin.document("/collections")["collections"]:
        collection = document["id"]
        instance = "2020-01-02T00:00:00Z" if collection == "forecasts" else None
        offered = set(document["data_queries"]) & QUERIES
        assert {"area", "cube", "position", "radius", "trajectory", "corridor"} <= offered
        for query in offered:
            choice = plugin.choose(collection, query, instance)
            assert {"CRS:84", "EPSG:4326"} <= set(choice.crs)
            assert all(CRS.from_wkt(wkt) for wkt in choice.crs.values())
            assert choice.parameters
            assert len(choice.interval) == 2
        variables = document["data_queries"]["corridor"]["link"]["variables"]
        assert variables["width-units"]
        assert "height-units" in variables
        assert document["data_queries"]["radius"]["link"]["variables"]["within_units"]


def test_an_area(plugin: Plugin, truth: Any) -> None:
    choice = plugin.choose("surface", "area")
    found = plugin.ask(
        "surface/area", crs="CRS:84", f="CoverageJSON", parameter_name=",".join(choice.parameters.values()),
        datetime="/".join(choice.interval), coords=SQUARE,
    )  # fmt: skip
    assert system(found) == CRS.from_epsg(4326)
    assert unit(found["parameters"]) == "K"
    assert drawn(truth, "surface", found) == 2 * 4 * 3 * 4


@pytest.mark.parametrize("collection", ["surface", "levels"])
def test_rows_either_way(plugin: Plugin, truth: Any, collection: str) -> None:
    found = plugin.ask(f"{collection}/cube", crs="EPSG:4326", f="CoverageJSON", bbox="-15.0,-15.0,30.0,15.0")
    rows = found["domain"]["axes"]["y"]["values"]
    assert (rows[0] > rows[-1]) == (collection == "surface")
    assert drawn(truth, collection, found) > 0


def test_a_cube_of_one_level_and_of_a_range(plugin: Plugin, truth: Any) -> None:
    choice = plugin.choose("levels", "cube")
    assert choice.levels == ["1000", "850", "500"]
    asked = {
        "crs": "CRS:84", "f": "CoverageJSON", "parameter_name": "ta", "datetime": f"{TIMES[0]}/{TIMES[1]}",
        "bbox": "0.0,0.0,30.0,15.0",
    }  # fmt: skip
    assert drawn(truth, "levels", plugin.ask("levels/cube", z="850/850", **asked)) == 2 * 2 * 3
    last_first = f"{choice.levels[-1]}/{choice.levels[0]}"
    assert drawn(truth, "levels", plugin.ask("levels/cube", z=last_first, **asked)) == 2 * 3 * 2 * 3
    assert drawn(truth, "levels", plugin.ask("levels/cube", z="1000,500", **asked)) == 2 * 2 * 2 * 3


@pytest.mark.parametrize("members", ["1", "0,1", "0/1"])
def test_members(plugin: Plugin, truth: Any, members: str) -> None:
    choice = plugin.choose("members", "cube")
    assert choice.dimensions == {"number": ["0", "1"]}
    found = plugin.ask(
        "members/cube", crs="CRS:84", f="CoverageJSON", parameter_name="ta", datetime=f"{TIMES[2]}/{TIMES[2]}",
        z="500/500", number=members, bbox="0.0,0.0,30.0,15.0",
    )  # fmt: skip
    fixed = {"number": 1} if members == "1" else {}
    assert drawn(truth, "members", found, **fixed) == (1 if members == "1" else 2) * 2 * 3


def test_a_point(plugin: Plugin, truth: Any) -> None:
    asked = {"crs": "CRS:84", "f": "CoverageJSON", "parameter_name": "t2m,tp", "coords": "Point (15 45)"}
    found = plugin.ask("surface/position", datetime=f"{TIMES[0]}/{TIMES[3]}", **asked)
    assert found["domain"]["domainType"] == "PointSeries"
    for block in found["ranges"].values():
        assert block["shape"] == [len(found["domain"]["axes"]["t"]["values"])] == [4]
    assert truth.compare("surface", found) == 8
    found = plugin.ask("surface/position", datetime=f"{TIMES[1]}/{TIMES[1]}", **asked)
    assert truth.compare("surface", found) == 2


def test_a_radius_and_a_corridor(plugin: Plugin, truth: Any) -> None:
    asked = {"crs": "CRS:84", "f": "CoverageJSON", "parameter_name": "t2m", "datetime": f"{TIMES[0]}/{TIMES[0]}"}
    units = plugin.choose("surface", "radius").document["data_queries"]["radius"]["link"]["variables"]["within_units"]
    assert "km" in units
    found = plugin.ask("surface/radius", coords="Point (0 0)", within="2500.000", within_units="km", **asked)
    assert drawn(truth, "surface", found) == 9
    found = plugin.ask(
        "surface/corridor", coords="LineString (0 0, 30 0)", corridor_width="3600.000", width_units="km",
        corridor_height="1.000", height_units="m", **asked,
    )  # fmt: skip
    assert truth.compare("surface", found, masked=True) >= 9


def test_locations_and_items(plugin: Plugin, truth: Any) -> None:
    listed = plugin.document("/collections/surface/locations")["features"]
    assert [one["id"] for one in listed] == ["harbour", "mountain", "bay"]
    asked = {"crs": "CRS:84", "f": "CoverageJSON", "parameter_name": "tp", "datetime": f"{TIMES[0]}/{TIMES[3]}"}
    assert truth.compare("surface", plugin.ask("surface/locations/mountain", **asked)) == 4
    assert drawn(truth, "surface", plugin.ask("surface/locations/bay", **asked)) == 4 * 9
    assert plugin.document("/collections/surface/items")["features"]


def test_a_run(plugin: Plugin, truth: Any) -> None:
    run = "2020-01-02T00:00:00Z"
    choice = plugin.choose("forecasts", "cube", run)
    assert choice.interval == (run, "2020-01-02T12:00:00Z")
    found = plugin.ask(
        f"forecasts/instances/{run}/cube", crs="CRS:84", f="CoverageJSON", parameter_name="t2m",
        datetime="/".join(choice.interval), bbox="0.0,0.0,30.0,15.0",
    )  # fmt: skip
    pictures = rasters(found, "t2m")
    stored = truth["forecasts"]["t2m"].isel(reference=1)
    for number, one in enumerate(pictures):
        assert one.time == f"2020-01-02T{6 * number:02}:00:00Z"
        assert np.array_equal(one.values, stored.isel(step=number).sel(lat=one.ys, lon=one.xs % 360))
    assert len(pictures) == 3


@pytest.mark.parametrize(
    ("crs", "bbox"), [("EPSG:27700", "200000,300000,300000,400000"), ("CRS:84", "-4.9,52.6,-3.6,53.5")]
)
def test_a_projected_grid(plugin: Plugin, truth: Any, crs: str, bbox: str) -> None:
    """In the CRS of the grid its own rows and columns; in longitude and latitude a raster of places in these."""
    choice = plugin.choose("projected", "cube")
    assert CRS.from_wkt(choice.crs["EPSG:27700"]).to_epsg() == 27700
    found = plugin.ask("projected/cube", crs=crs, f="CoverageJSON", datetime=f"{TIMES[0]}/{TIMES[1]}", bbox=bbox)
    assert system(found).to_epsg() == (27700 if crs != "CRS:84" else 4326)
    if crs == "EPSG:27700":
        assert drawn(truth, "projected", found) == 2 * 9
        return
    for one in rasters(found, "t2m"):
        eastings, northings = TO_GRID.transform(*np.meshgrid(one.xs, one.ys))
        cells = {"x": 50e3 * np.round(eastings / 50e3), "y": 50e3 * np.round(northings / 50e3)}
        assert np.array_equal(one.values, truth.at("projected", "t2m", t=one.time, **cells))


@pytest.mark.parametrize("collection", ["curvilinear", "healpix"])
def test_cells_are_points(plugin: Plugin, truth: Any, collection: str) -> None:
    found = plugin.ask(
        f"{collection}/area", crs="CRS:84", f="CoverageJSON", datetime=f"{TIMES[1]}/{TIMES[1]}",
        coords="Polygon ((-20 40, -8 40, -8 50, -20 50, -20 40))",
    )  # fmt: skip
    composite = found["domain"]["axes"]["composite"]
    assert found["domain"]["domainType"] == "MultiPoint"
    assert (composite["dataType"], composite["coordinates"]) == ("tuple", ["x", "y"])
    values = np.array(found["ranges"]["t2m"]["values"], float).ravel()
    assert len(values) == len(composite["values"])
    x, y = np.array(composite["values"]).T
    assert np.array_equal(values, truth.at(collection, "t2m", x=x, y=y, t=TIMES[1]))
