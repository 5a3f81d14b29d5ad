"""Does a collection with named places look like OGC API Features, and are its series the values that are stored?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
import pytest
import xarray as xr
from geojson_pydantic import Feature, FeatureCollection

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, NotAcceptableError, TooLargeError, UnknownError
from plugins.datacube.limits import Limits
from server.ogc.features import GEOJSON
from server.ogc.items import item, items

TIMES = [f"2020-01-01T{hour:02}:00:00Z" for hour in (0, 6, 12, 18)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Twenty-five buoys from west to east, an area, and one named with the sign that stands before times."""
    buoys = {f"buoy-{n:02}": {"type": "Point", "coordinates": [n - 12, 2]} for n in range(25)}
    square = [[[-6, -6], [6, -6], [6, 6], [-6, 6], [-6, -6]]]
    places = {**buoys, "square": {"type": "Polygon", "coordinates": square}, "a@b": buoys["buoy-00"]}
    made = [{"type": "Feature", "id": i, "geometry": g, "properties": {"owner": "me"}} for i, g in places.items()]
    path = tmp_path / "places.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made}))
    return path


@pytest.fixture
def site(site_of, stores, file):
    definitions = [DatasetDefinition(name, str(stores[name]), locations=str(file)) for name in ("region", "globe")]
    return site_of([*definitions, DatasetDefinition("bare", str(stores["region"]))])


def ids(document: Any) -> list[str]:
    return [one["id"] for one in document["features"]]


def test_ten_items_are_a_page(site):
    response = site.get(items, "region")
    assert (response.status, response.headers["Content-Type"]) == (200, GEOJSON)
    document = orjson.loads(response.content())
    FeatureCollection.model_validate(document)
    assert ids(document) == [f"buoy-{n:02}" for n in range(10)]
    assert (document["numberMatched"], document["numberReturned"]) == (27, 10)
    assert document["timeStamp"].endswith("Z")
    links = {link["rel"]: link["href"] for link in document["links"]}
    assert links["self"] == "http://127.0.0.1:8000/ogc/collections/region/items"
    assert links["next"] == "http://127.0.0.1:8000/ogc/collections/region/items?offset=10"
    assert links["collection"] == "http://127.0.0.1:8000/ogc/collections/region"
    first = document["features"][0]
    assert first["properties"]["owner"] == "me"
    assert first["properties"]["parameter-name"] == ["pr", "tas"]
    assert {link["rel"]: link["href"] for link in first["links"]} == {
        "data": "http://127.0.0.1:8000/ogc/collections/region/locations/buoy-00",
        "related": "http://127.0.0.1:8000/ogc/collections/region/items?location=buoy-00",
    }


@pytest.mark.parametrize("limit", [1, 7, 10000, 99999])
def test_following_next_gives_every_item_once(site, limit):
    seen, query = [], f"limit={limit}"
    while query:
        document = site.document(items, "region", query=query)
        assert document["numberReturned"] == len(document["features"]) <= limit
        seen += ids(document)
        links = {link["rel"]: link["href"] for link in document["links"]}
        query = links["next"].partition("?")[2] if "next" in links else ""
    assert seen == [*(f"buoy-{n:02}" for n in range(25)), "square", "a@b"]


def test_a_box_and_a_time(site):
    assert ids(site.document(items, "region", query="bbox=-1.5,0,0.5,3")) == ["buoy-11", "buoy-12", "square"]
    assert site.document(items, "region", query="datetime=1999-01-01/2000-01-01")["numberMatched"] == 0
    assert site.document(items, "region", query="datetime=2020-01-01T06:00:00Z")["numberMatched"] == 27


@pytest.mark.parametrize("query", ["unknown=1", "coords=POINT(0 0)", "z=5", "parameter-name=tas", "limit=x", "f=csv"])
def test_what_is_not_known_is_refused(site, query):
    with pytest.raises(InvalidQueryError) as caught:
        site.get(items, "region", query=query)
    assert caught.value.parameter == query.partition("=")[0]


def test_a_state_without_the_time_of_the_answer(site):
    first = site.get(items, "region")
    again = site.get(items, "region", headers={"if-none-match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_one_item(site):
    document = site.document(item, "region", "buoy-03")
    Feature.model_validate(document)
    assert document["geometry"]["coordinates"] == [-9.0, 2.0]
    assert {"self", "collection", "data"} <= {link["rel"] for link in document["links"]}
    assert site.document(item, "region", "a@b")["id"] == "a@b"
    for unknown in ("nope", "nope@2020", "buoy-03@", "buoy-03@2020-01-01T01:00:00Z", "buoy-03@x,y=1"):
        with pytest.raises(UnknownError):
            site.get(item, "region", unknown)
    with pytest.raises(NotAcceptableError):
        site.get(item, "region", "buoy-03", accept="image/png")
    with pytest.raises(InvalidQueryError):
        site.get(item, "region", "buoy-03", query="limit=3")


def test_a_collection_without_locations_has_no_items(site):
    for function, more in ((items, ()), (item, ("x",))):
        with pytest.raises(UnknownError, match="'bare' has no locations, and so no items"):
            site.get(function, "bare", *more)


# The values at a place, as features --------------------------------------------------------------------------------


def test_each_time_step_is_a_feature_with_plain_values(site, stores):
    document = site.document(items, "region", query="location=buoy-14")
    FeatureCollection.model_validate(document)
    with xr.open_dataset(stores["region"], engine="zarr", consolidated=False) as dataset:
        there = dataset.sel(lon=2, lat=2, method="nearest")
        expected = {name: there[name].values for name in ("tas", "pr")}
    assert [one["properties"]["time"] for one in document["features"]] == TIMES
    for name, values in expected.items():
        np.testing.assert_array_equal([one["properties"][name] for one in document["features"]], values)
    assert {json.dumps(one["geometry"]["coordinates"]) for one in document["features"]} == {"[2.0, 2.0]"}
    assert len({one["id"] for one in document["features"]}) == 4


def test_times_and_parameters_are_chosen(site):
    document = site.document(
        items, "region", query="location=buoy-14&datetime=2020-01-01T06:00:00Z/2020-01-01T12:00:00Z&parameter-name=pr"
    )
    assert [one["properties"]["time"] for one in document["features"]] == TIMES[1:3]
    assert "tas" not in document["features"][0]["properties"]
    for nothing in ("datetime=1990-01-01", "bbox=100,0,110,10"):
        empty = site.document(items, "region", query=f"location=buoy-14&{nothing}")
        assert (empty["numberMatched"], empty["features"]) == (0, [])


@pytest.mark.parametrize("limit", [1, 5, 13, 100])
def test_pages_of_levels_and_members_join_to_the_whole(site, true_value, limit):
    """``ta`` has 2 members, 4 times and 3 levels; ``pr`` and ``tas`` have times alone."""
    seen, query = [], f"location=buoy-14&limit={limit}"
    while query:
        document = site.document(items, "globe", query=query)
        assert document["numberMatched"] == 4 + 24
        seen += document["features"]
        links = {link["rel"]: link["href"] for link in document["links"]}
        query = links["next"].partition("?")[2] if "next" in links else ""
    assert len({one["id"] for one in seen}) == len(seen) == 28
    levels = [one["properties"] for one in seen if "z" in one["properties"]]
    assert len(levels) == 24
    assert [one["time"] for one in levels] == sorted(one["time"] for one in levels)
    for one in levels:
        step = TIMES.index(one["time"])
        assert one["ta"] == pytest.approx(step * 1e6 + 90e3 + one["z"] * 1e-3 + one["number"] * 1e7, rel=1e-12)
    surface = [one["properties"] for one in seen if "z" not in one["properties"]]
    assert [one["tas"] for one in surface] == [step * 1e6 + 90e3 for step in range(4)]


def test_every_step_is_an_item_of_its_own(site):
    for name in ("region", "globe"):
        for one in site.document(items, name, query="location=buoy-14&limit=100")["features"]:
            found = site.document(item, name, one["id"])
            assert {key: found[key] for key in ("id", "geometry", "properties")} == {
                key: one[key] for key in ("id", "geometry", "properties")
            }


@pytest.mark.parametrize("wanted", ["square", "buoy-01,buoy-02"])
def test_many_cells_are_no_series(site, wanted):
    with pytest.raises(InvalidQueryError, match="not one point") as caught:
        site.get(items, "region", query=f"location={wanted}")
    assert caught.value.parameter == "location"


def test_an_unknown_place_and_a_wrong_parameter(site):
    with pytest.raises(UnknownError, match="'nope'"):
        site.get(items, "region", query="location=nope")
    for query in ("parameter-name=x", "z=1", "datetime=x", "crs=EPSG:3857"):
        with pytest.raises(InvalidQueryError) as caught:
            site.get(items, "region", query=f"location=buoy-01&{query}")
        assert caught.value.parameter == query.partition("=")[0]


def test_missing_values_are_null_and_numbers_have_the_digits_they_were_stored_with(site_of, tmp_path, file):
    import zarr

    group = zarr.create_group(tmp_path / "gaps.zarr")

    def add(name: str, dims: tuple[str, ...], data: Any, **attributes: Any) -> None:
        group.create_array(name, data=np.asarray(data), dimension_names=dims).update_attributes(attributes)

    add("time", ("time",), np.arange(3), units="hours since 2020-01-01")
    add("lat", ("lat",), [0.0, 5.0], units="degrees_north")
    add("lon", ("lon",), [0.0, 5.0], units="degrees_east")
    values = np.broadcast_to(np.array([0.1, np.nan, np.inf], "f4")[:, None, None], (3, 2, 2))
    counts = np.broadcast_to(np.array([1, -9, 3], "i2")[:, None, None], (3, 2, 2))
    add("t", ("time", "lat", "lon"), np.ascontiguousarray(values), units="K")
    add("n", ("time", "lat", "lon"), np.ascontiguousarray(counts), missing_value=-9)
    site = site_of([DatasetDefinition("gaps", str(tmp_path / "gaps.zarr"), locations=str(file))])
    response = site.get(items, "gaps", query="location=buoy-14")
    assert b'"t":0.1,' in response.content() or b'"t":0.1}' in response.content()
    found = [one["properties"] for one in orjson.loads(response.content())["features"]]
    assert [one["t"] for one in found] == [pytest.approx(0.1), None, None]
    assert [one["n"] for one in found] == [1, None, 3]


def test_only_the_page_is_read(site_of, stores, file):
    definition = DatasetDefinition("region", str(stores["region"]), locations=str(file))
    site = site_of([definition], limits=Limits(values=2))
    assert site.document(items, "region", query="location=buoy-14&limit=1&offset=3")["numberReturned"] == 1
    with pytest.raises(TooLargeError):
        site.get(items, "region", query="location=buoy-14&limit=4")


def test_a_place_named_with_an_at_sign_has_a_series(site):
    document = site.document(items, "region", query=f"location={quote('a@b')}")
    assert ids(document)[0] == f"a@b@{TIMES[0]}"
    assert site.document(item, "region", f"a@b@{TIMES[0]}")["properties"]["location"] == "a@b"
