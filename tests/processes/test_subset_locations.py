"""The process ``subset`` asks named places as EDR does: the same values, under the same names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.datacube.limits import Limits
from plugins.processes.context import ProcessContext
from plugins.processes.registry import execute, prepare


@pytest.fixture(scope="module")
def named(store: Path, tmp_path_factory: pytest.TempPathFactory) -> ProcessContext:
    square = [[[5, 35], [25, 35], [25, 55], [5, 55], [5, 35]]]
    places = {
        "here": {"type": "Point", "coordinates": [21, 41]},
        "far": {"type": "Point", "coordinates": [200, 0]},
        "square": {"type": "Polygon", "coordinates": square},
    }
    features = [{"type": "Feature", "id": name, "geometry": one, "properties": {}} for name, one in places.items()]
    path = tmp_path_factory.mktemp("named") / "places.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return ProcessContext((DatasetDefinition("small", str(store), locations=str(path)),))


def run(context: ProcessContext, workdir: Path, **inputs: Any) -> Any:
    wanted = {"collection": "small", "query": "locations", "format": "CoverageJSON", **inputs}
    outcome = execute("subset", wanted, context, workdir, lambda *_: None)
    return json.loads(outcome.path.read_text())


@pytest.mark.parametrize("identifiers", ["square,far,here", ["square", "far", "here"]])
def test_places_and_areas(named: ProcessContext, tmp_path: Path, truth: xr.Dataset, identifiers: Any) -> None:
    document = run(named, tmp_path, locationId=identifiers, datetime="2020-01-03", **{"parameter-name": "msl"})
    assert [one["isopleth:location"]["id"] for one in document["coverages"]] == ["square", "here"]
    area, point = (one["ranges"]["msl"]["values"] for one in document["coverages"])
    there = truth["msl"].isel(time=2)
    np.testing.assert_array_equal(area, there.sel(latitude=[50, 40], longitude=[10, 20]).values.ravel())
    np.testing.assert_array_equal(point, [there.sel(latitude=40, longitude=20)])


@pytest.mark.parametrize(
    "inputs",
    [
        {"query": "locations"},
        {"query": "locations", "locationId": "nope"},
        {"query": "position", "coords": "POINT(0 50)", "locationId": "here"},
    ],
)
def test_what_is_wrong_is_named(named: ProcessContext, inputs: dict[str, Any]) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        prepare("subset", {"collection": "small", **inputs}, named.library(), Limits())
    assert caught.value.parameter == "locationId"


def test_nothing_there(named: ProcessContext) -> None:
    inputs = {"collection": "small", "query": "locations", "locationId": "far"}
    with pytest.raises(NoDataError):
        prepare("subset", inputs, named.library(), Limits())
