"""Do the readers of CoverageJSON in JavaScript (covjson-reader, under leaflet-coverage) find the right values?

The npm package is installed once, by the lock file beside this, into a folder of the Python environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

HERE = Path(__file__).parent
TIMES = ["2020-01-01T00:00:00Z", "2020-01-01T06:00:00Z", "2020-01-01T12:00:00Z", "2020-01-01T18:00:00Z"]
WEST = "POLYGON((-20 40,-8 40,-8 50,-20 50,-20 40))"
QUERIES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "grid": ("surface/cube", {"bbox": "-30,-15,30,15"}),
    "missing": ("surface/cube", {"bbox": "60,15,90,45", "datetime": TIMES[1]}),
    "masked": ("surface/radius", {"coords": "POINT(0 0)", "within": 1700, "within-units": "km"}),
    "levels": ("levels/cube", {"bbox": "0,0,30,15"}),
    "members": ("members/cube", {"bbox": "0,0,30,15", "z": "850"}),
    "projected": ("projected/cube", {"bbox": "-5,52,-2,54"}),
    "point": ("surface/position", {"coords": "POINT(15 45)", "datetime": TIMES[0]}),
    "series": ("surface/position", {"coords": "POINT(15 45)"}),
    "profile": ("levels/position", {"coords": "POINT(15 45)", "datetime": TIMES[2]}),
    "column": ("levels/position", {"coords": "POINT(15 45)"}),
    "points": ("surface/position", {"coords": "MULTIPOINT((15 45),(-60 -15))"}),
    "cells": ("healpix/area", {"coords": WEST, "datetime": TIMES[3]}),
    "series-of-cells": ("curvilinear/area", {"coords": WEST}),
    "stations": ("stations/area", {"coords": "POLYGON((0 49,3 49,3 52,0 52,0 49))"}),
    "path": ("surface/trajectory", {"coords": "LINESTRINGM(0 0 1577836800,31 0 1577901600)"}),
    "paths": ("surface/trajectory", {"coords": "MULTILINESTRING((0 0,31 0),(0 30,0 0))", "datetime": TIMES[0]}),
    "corridor": (
        "surface/corridor", {"coords": "LINESTRING(0 0,30 0)", "corridor-width": 3600, "width-units": "km"},
    ),
    "locations": ("surface/locations/harbour,bay", {}),
    "run": ("forecasts/instances/latest/position", {"coords": "POINT(15 45)"}),
    "linear": (
        "surface/position", {"coords": "POINT(22.5 45)", "datetime": TIMES[0], "interpolation": "linear"},
    ),
}  # fmt: skip
SUBSETS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "time": ("grid", {"t": TIMES[2]}),
    "place": ("grid", {"x": 15, "y": {"start": -15, "stop": 0}}),
    "nearest": ("levels", {"z": {"target": 520}, "t": {"start": TIMES[1], "stop": TIMES[2]}}),
}


@pytest.fixture(scope="module")
def read(node: Any, site: Any, installed: Callable[..., Path]) -> dict[str, Any]:
    """What the reader makes of every query and subset: all in one Node.js."""
    lock = HERE / "package-lock.json"
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")
    command = (*node.npm, "ci", *options, "--loglevel=error")
    path = f"{node.folder}{os.pathsep}{os.environ.get('PATH', '')}"
    name = f"covjson-reader-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    folder = installed(name, command, lock, HERE / "package.json", PATH=path)
    addresses = {name: f"{site.collection(where)}?{urlencode(query)}" for name, (where, query) in QUERIES.items()}
    asked = [{"url": url} for url in addresses.values()]
    asked += [{"url": addresses[name], "subset": subset} for name, subset in SUBSETS.values()]
    command = [*node.node, str(HERE / "read.mjs"), str(folder)]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip([*QUERIES, *(f"subset by {name}" for name in SUBSETS)], json.loads(done.stdout), strict=True))


def axes(answer: Any, number: int = 0) -> dict[str, Any]:
    found = answer["coverages"][number]["domain"]["axes"]
    return {name: axis["values"] for name, axis in found.items()}


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("grid", "Grid", 2 * 4 * 3 * 5), ("levels", "Grid", 4 * 3 * 2 * 3), ("point", "Point", 2),
        ("series", "PointSeries", 2 * 4), ("profile", "VerticalProfile", 3), ("points", "PointSeries", 2 * 2 * 4),
        ("series-of-cells", "MultiPointSeries", 0), ("cells", "MultiPoint", 0), ("path", "Trajectory", 0),
        ("paths", "Trajectory", 0), ("stations", "MultiPointSeries", 4 * 2),
        ("column", "Grid", 0),
    ],
)  # fmt: skip
def test_every_value_of_every_domain_type(read: Any, truth: Any, name: str, kind: str, count: int) -> None:
    where, _ = QUERIES[name]
    answer = read[name]
    assert {one["domainType"] for one in answer["coverages"]} == {kind}
    assert all(one["loaded"] for one in answer["coverages"])
    found = truth.compare(where.split("/")[0], answer)
    assert found == count if count else found > 0


def test_where_and_when(read: Any) -> None:
    assert axes(read["grid"]) == {"x": [-30, -15, 0, 15, 30], "y": [15, 0, -15], "t": TIMES}
    assert axes(read["levels"])["z"] == [1000, 850, 500]
    assert [axes(read["points"], number)["x"] for number in range(2)] == [[15], [-60]]
    assert read["points"]["type"] == "CoverageCollection"
    assert read["path"]["coverages"][0]["domain"]["axes"]["composite"]["coordinates"] == ["t", "x", "y"]
    assert read["grid"]["coverages"][0]["units"] == {"t2m": "K", "tp": "kg m-2"}


def test_a_missing_value_is_null(read: Any, truth: Any) -> None:
    assert truth.compare("surface", read["missing"]) == 2 * 3 * 3 - 1
    values = read["missing"]["coverages"][0]["ranges"]["t2m"]["values"]
    assert values.index(None) == 4


def test_what_lies_outside_is_null(read: Any, truth: Any) -> None:
    assert truth.compare("surface", read["masked"], masked=True) == 2 * 4 * 5
    assert truth.compare("surface", read["corridor"], masked=True) >= 2 * 4 * 9


def test_a_projected_grid(read: Any, truth: Any) -> None:
    """The box is one of longitude and latitude: it cuts rows and columns of the grid."""
    assert truth.compare("projected", read["projected"], masked=True) > 4 * 10
    assert {x % 50e3 for x in axes(read["projected"])["x"]} == {0}


def test_members(read: Any, truth: Any) -> None:
    """The reader knows nothing of members: they are in the order of the data."""
    coverages = read["members"]["coverages"]
    assert len(coverages) == 2
    for number, coverage in enumerate(coverages):
        assert truth.compare("members", coverage, number=number, z=850) == 4 * 2 * 3


def test_locations(read: Any, truth: Any) -> None:
    assert [one["domainType"] for one in read["locations"]["coverages"]] == ["PointSeries", "Grid"]
    assert truth.compare("surface", read["locations"]) == 2 * 4 * (1 + 9)


def test_a_run(read: Any, truth: Any) -> None:
    (coverage,) = read["run"]["coverages"]
    assert axes(read["run"])["t"] == ["2020-01-02T00:00:00Z", "2020-01-02T06:00:00Z", "2020-01-02T12:00:00Z"]
    wanted = truth["forecasts"]["t2m"].isel(reference=1).sel(lat=45, lon=15).values
    assert np.array_equal(coverage["ranges"]["t2m"]["values"], wanted)


def test_an_interpolated_value(read: Any, truth: Any) -> None:
    assert axes(read["linear"])["x"] == [22.5]
    wanted = truth.at("surface", "tp", x=[15, 30], y=45, t=TIMES[0]).mean()
    assert read["linear"]["coverages"][0]["ranges"]["tp"]["values"] == [wanted]


def test_subsets_by_value(read: Any, truth: Any) -> None:
    """The library under the reader finds coordinates by what the referencing says of them."""
    assert axes(read["subset by time"])["t"] == [TIMES[2]]
    assert truth.compare("surface", read["subset by time"]) == 2 * 3 * 5
    place = axes(read["subset by place"])
    assert (place["x"], place["y"]) == ([15], [0, -15])
    assert truth.compare("surface", read["subset by place"]) == 2 * 4 * 2
    nearest = axes(read["subset by nearest"])
    assert (nearest["z"], nearest["t"]) == ([500], TIMES[1:3])
    assert truth.compare("levels", read["subset by nearest"]) == 2 * 2 * 3
