"""Does covjsonkit, by which ECMWF's earthkit reads CoverageJSON, decode our answers to the numbers that are stored?

covjsonkit asks for pandas before 3, which other readers of the environment do not have; it works with later ones. So it
is installed once, without what it asks for, into a folder of its own, and runs in a process of its own.
`ISOPLETH_COVJSONKIT_PYTHON` names the Python interpreter of an environment that has it otherwise
(``python -m venv x && x/bin/pip install covjsonkit``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PACKAGES = ("covjsonkit==0.2.26", "conflator==0.1.8", "rich-argparse==1.8.0")
DECODER = """
import json, sys
from covjsonkit.api import Covjsonkit
out, sys.stdout = sys.stdout, sys.stderr
def plain(array):
    return {"dims": array.dims, "values": array.values.astype(str if array.dtype.kind in "MUO" else float).tolist()}
for line in sys.stdin:
    try:
        decoded = Covjsonkit().decode(json.loads(line)).to_xarray()
        several = decoded if isinstance(decoded, list) else [decoded]
        found = [{name: plain(each[name]) for name in each.variables} for each in several]
    except Exception as error:
        found = repr(error)
    print(json.dumps(found), file=out, flush=True)
"""
"""A line of CoverageJSON in, a line of datasets out."""
FORMAT = "CoverageJSON-ECMWF"
TIMES = ["2020-01-01T00:00:00Z", "2020-01-01T06:00:00Z", "2020-01-01T12:00:00Z", "2020-01-01T18:00:00Z"]
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def decoder(installed: Callable[..., Path]) -> Iterator[subprocess.Popen[bytes]]:
    environment, interpreter = dict(os.environ), os.environ.get("ISOPLETH_COVJSONKIT_PYTHON")
    if interpreter is None:
        interpreter = sys.executable
        options = ("--disable-pip-version-check", "--retries=1", "--no-deps", "--target=.")
        command = (interpreter, "-m", "pip", "install", *options, *PACKAGES)
        environment["PYTHONPATH"] = str(installed(PACKAGES[0], command))
    with subprocess.Popen(
        [interpreter, "-c", DECODER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def ask(decoder: subprocess.Popen[bytes], site: Any) -> Ask:
    """Ask one query, and return the datasets that covjsonkit makes of the answer, as plain values."""

    def asked(where: str, **parameters: str) -> list[dict[str, Any]]:
        parameters = {name.replace("_", "-"): value for name, value in parameters.items()} | {"f": FORMAT}
        answer = site.client.get(site.collection(where), params=parameters)
        assert answer.status_code == 200, answer.text
        # Neither is detected by earthkit in any other spelling.
        assert answer.headers["content-type"] == "application/prs.coverage+json"
        assert answer.content.startswith(b'{"type": "CoverageCollection"')
        assert decoder.stdin is not None
        assert decoder.stdout is not None
        decoder.stdin.write(answer.content.replace(b"\n", b" ") + b"\n")
        decoder.stdin.flush()
        found = json.loads(decoder.stdout.readline())
        assert isinstance(found, list), found
        return found

    return asked


def values(found: dict[str, Any], name: str) -> Any:
    return np.array(found[name]["values"], float)


def same(found: dict[str, Any], name: str, dims: list[str], wanted: Any) -> None:
    assert found[name]["dims"] == dims
    np.testing.assert_array_equal(values(found, name), wanted)


def coordinate(found: dict[str, Any], name: str, *wanted: float) -> None:
    assert values(found, name).ravel().tolist() == list(wanted)


def moments(found: dict[str, Any], name: str) -> list[str]:
    """Times as texts to the minute: pandas and NumPy write more or fewer digits."""
    return [text[:16] for text in found[name]["values"]]


def test_a_series(ask: Ask, truth: Any) -> None:
    (found,) = ask("members/position", coords="POINT(15 45)", z="850", number="1")
    coordinate(found, "latitude", 45)
    coordinate(found, "longitude", 15)
    coordinate(found, "levelist", 850)
    assert moments(found, "t") == [text[:16] for text in TIMES]
    wanted = truth.at("members", "ta", x=15, y=45, z=850, t=TIMES, number=1)
    dims = ["latitude", "longitude", "levelist", "number", "datetime", "t"]
    same(found, "ta", dims, wanted[None, None, None, None, None])


def test_two_parameters_without_levels(ask: Ask, truth: Any) -> None:
    (found,) = ask("surface/position", coords="POINT(-165 -30)")
    for name in ("t2m", "tp"):
        assert np.array_equal(values(found, name).ravel(), truth.at("surface", name, x=-165, y=-30, t=TIMES))


def test_members_and_several_points(ask: Ask, truth: Any) -> None:
    several = ask("members/position", coords="MULTIPOINT((15 45),(30 -15))", z="500")
    assert len(several) == 2
    for found, (lon, lat) in zip(several, ((15, 45), (30, -15)), strict=True):
        coordinate(found, "latitude", lat)
        coordinate(found, "longitude", lon)
        order = values(found, "number").astype(int)
        assert sorted(order) == [0, 1]
        wanted = truth.at("members", "ta", x=lon, y=lat, z=500, t=TIMES, number=order[:, None])
        assert np.array_equal(values(found, "ta")[0, 0, 0, :, 0, :], wanted)


def test_a_profile(ask: Ask, truth: Any) -> None:
    (found,) = ask("members/position", coords="POINT(15 45)", datetime=TIMES[3], number="0")
    order = values(found, "levelist")
    assert sorted(order) == [500, 850, 1000]
    wanted = truth.at("members", "ta", x=15, y=45, z=order, t=TIMES[3], number=0)
    assert np.array_equal(values(found, "ta").ravel(), wanted)


def test_a_grid_with_members_times_and_levels(ask: Ask, truth: Any) -> None:
    (found,) = ask("members/cube", bbox="0,30,45,60")
    lat, lon, levels = (values(found, name) for name in ("latitude", "longitude", "levelist"))
    assert sorted(lat) == [30, 45, 60]
    assert lon.tolist() == [0, 15, 30, 45]
    assert found["steps"]["values"] == TIMES
    wanted = truth.at(
        "members", "ta", x=lon, y=lat[:, None], z=levels[:, None, None],
        t=np.array(TIMES)[:, None, None, None], number=values(found, "number")[:, None, None, None, None],
    )  # fmt: skip
    same(found, "ta", ["datetimes", "number", "steps", "levelist", "latitude", "longitude"], wanted[None])


def test_what_lies_outside_an_area_is_missing(ask: Ask, truth: Any) -> None:
    (found,) = ask("members/area", coords="POLYGON((-1 29,31 29,-1 61,-1 29))", datetime=TIMES[0], number="0", z="850")
    lat, lon = values(found, "latitude")[:, None], values(found, "longitude")
    inside = lat - 29 + lon + 1 <= 32
    assert 0 < inside.sum() < inside.size
    wanted = truth.at("members", "ta", x=lon, y=lat, z=850, t=TIMES[0], number=0)
    np.testing.assert_array_equal(values(found, "ta").squeeze(), np.where(inside, wanted, np.nan))


@pytest.mark.parametrize("collection", ["curvilinear", "healpix"])
def test_cells_without_rows_and_columns(ask: Ask, truth: Any, collection: str) -> None:
    coords = "POLYGON((-20 40,-8 40,-8 50,-20 50,-20 40))"
    (found,) = ask(f"{collection}/area", coords=coords, datetime=TIMES[2])
    lat, lon = values(found, "latitude"), values(found, "longitude")
    assert np.array_equal(values(found, "t2m").ravel(), truth.at(collection, "t2m", x=lon, y=lat, t=TIMES[2]))


def test_a_path(ask: Ask, truth: Any) -> None:
    (found,) = ask("members/trajectory", coords="LINESTRINGM(0 45 1577836800,31 15 1577901600)", number="1", z="850")
    lat, lon = values(found, "latitude"), values(found, "longitude")
    assert lat.size > 4
    assert len(set(found["time"]["values"])) == 4
    wanted = truth.at("members", "ta", x=lon, y=lat, z=850, t=found["time"]["values"], number=1)
    same(found, "ta", ["datetimes", "number", "steps", "points"], wanted[None, None, None])


def test_a_run(ask: Ask, truth: Any) -> None:
    (found,) = ask("forecasts/instances/2020-01-02T00:00:00Z/position", coords="POINT(30 -15)")
    wanted = truth["forecasts"]["t2m"].isel(reference=1).sel(lat=-15, lon=30).values
    assert np.array_equal(values(found, "t2m").ravel(), wanted)
    assert moments(found, "t") == ["2020-01-02T00:00", "2020-01-02T06:00", "2020-01-02T12:00"]
