"""Does covjsonkit, by which ECMWF's earthkit reads CoverageJSON, decode our answers to the numbers that are stored?

covjsonkit wants pandas before 3, so it may need an environment of its own: `ISOPLETH_COVJSONKIT_PYTHON` names the
Python interpreter of one (``python -m venv x && x/bin/pip install covjsonkit``).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

DECODER = """
import json, sys
from covjsonkit.api import Covjsonkit
decoded = Covjsonkit().decode(json.load(sys.stdin)).to_xarray()
several = decoded if isinstance(decoded, list) else [decoded]
def plain(array):
    return {"dims": array.dims, "values": array.values.astype(str if array.dtype.kind in "MUO" else float).tolist()}
print(json.dumps([{name: plain(each[name]) for name in each.variables} for each in several]))
"""
FORMAT = "CoverageJSON-ECMWF"
STORE = ("--years", "0.01", "--resolution", "5", "--variables", "t2m", "--levels", "850,500", "--members", "2")
TIMES = np.arange("2020-01-01T00", "2020-01-01T06", dtype="M8[h]")
DATETIME = "2020-01-01T00:00:00Z/2020-01-01T05:00:00Z"
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def interpreter() -> str:
    found = os.environ.get("ISOPLETH_COVJSONKIT_PYTHON")
    if found is None and importlib.util.find_spec("covjsonkit") is not None:
        found = sys.executable
    if found is None:
        pytest.skip("covjsonkit is not installed, and ISOPLETH_COVJSONKIT_PYTHON names no interpreter that has it")
    return found


@pytest.fixture(scope="module")
def expected(era5_like: Any) -> Callable[..., Any]:
    _, module = era5_like(*STORE)
    assert isinstance(module, ModuleType)
    return module.expected  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def ask(interpreter: str, era5_like: Any, serve_process: Any) -> Ask:
    """Ask one query, and return the datasets that covjsonkit makes of the answer, as plain values."""
    store, _ = era5_like(*STORE)
    served = serve_process(str(store))

    def asked(query: str, **parameters: str) -> list[dict[str, Any]]:
        parameters["f"] = FORMAT
        answer = served.get(f"/ogc/collections/{store.stem}/{query}", params=parameters)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/prs.coverage+json"
        assert answer.content.startswith(b'{"type": "CoverageCollection"')
        done = subprocess.run([interpreter, "-c", DECODER], input=answer.content, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    return asked


def same(found: dict[str, Any], name: str, dims: list[str], values: Any) -> None:
    assert found[name]["dims"] == dims
    np.testing.assert_array_equal(np.array(found[name]["values"], np.float32), values)


def coordinate(found: dict[str, Any], name: str, *values: float) -> None:
    assert found[name]["values"] == list(values)


def test_a_series(ask: Ask, expected: Any) -> None:
    (found,) = ask("position", coords="POINT(10 50)", datetime=DATETIME, number="1", **{"parameter-name": "t2m"})
    coordinate(found, "latitude", 50)
    coordinate(found, "longitude", 10)
    assert [text[:16] for text in found["t"]["values"]] == np.datetime_as_string(TIMES, "m").tolist()
    values = expected("t2m", TIMES, 50, 10, member=1)
    same(
        found,
        "t2m",
        ["latitude", "longitude", "levelist", "number", "datetime", "t"],
        values[None, None, None, None, None],
    )


def test_members_and_several_points(ask: Ask, expected: Any) -> None:
    several = ask("position", coords="MULTIPOINT((10 50),(20 -5))", datetime=DATETIME, **{"parameter-name": "t2m"})
    assert len(several) == 2
    for found, (lon, lat) in zip(several, ((10, 50), (20, -5)), strict=True):
        coordinate(found, "latitude", lat)
        coordinate(found, "longitude", lon)
        order = [int(number) for number in found["number"]["values"]]
        assert sorted(order) == [0, 1]
        values = expected("t2m", TIMES, lat, lon, member=np.array(order)[:, None])
        assert np.array_equal(np.array(found["t2m"]["values"], np.float32)[0, 0, 0, :, 0, :], values)


def test_a_profile(ask: Ask, expected: Any) -> None:
    (found,) = ask(
        "position", coords="POINT(10 50)", datetime="2020-01-01T03:00:00Z", number="0", **{"parameter-name": "t"}
    )
    order = [int(level) for level in found["levelist"]["values"]]
    assert sorted(order) == [500, 850]
    values = [expected("t", TIMES[3], 50, 10, level=level) for level in order]
    assert np.array_equal(np.array(found["t"]["values"], np.float32).reshape(-1), np.array(values).reshape(-1))


def test_a_grid_with_members_times_and_levels(ask: Ask, expected: Any) -> None:
    (found,) = ask("cube", bbox="0,40,15,50", datetime=DATETIME, **{"parameter-name": "t"})
    lat, lon, levels = (np.array(found[name]["values"]) for name in ("latitude", "longitude", "levelist"))
    assert sorted(lat.tolist()) == [40, 45, 50]
    assert lon.tolist() == [0, 5, 10, 15]
    assert found["steps"]["values"] == [f"2020-01-01T0{hour}:00:00Z" for hour in range(6)]
    member = np.array(found["number"]["values"])[:, None, None, None, None]
    values = expected("t", TIMES[:, None, None, None], lat[:, None], lon, level=levels[:, None, None], member=member)
    same(found, "t", ["datetimes", "number", "steps", "levelist", "latitude", "longitude"], values[None])


def test_what_lies_outside_an_area_is_missing(ask: Ask, expected: Any) -> None:
    (found,) = ask(
        "area", coords="POLYGON((-1 39,11 39,-1 51,-1 39))", datetime="2020-01-01T00:00:00Z", number="0",
        **{"parameter-name": "t2m"},
    )  # fmt: skip
    values = np.array(found["t2m"]["values"], np.float32).squeeze()
    lat, lon = np.array(found["latitude"]["values"]), np.array(found["longitude"]["values"])
    inside = lat[:, None] - 39 + lon + 1 <= 12
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(values, np.where(inside, expected("t2m", TIMES[0], lat[:, None], lon), np.nan))


def test_a_path(ask: Ask, expected: Any) -> None:
    (found,) = ask(
        "trajectory", coords="LINESTRINGM(0 50 1577836800,20 30 1577844000)", number="1", **{"parameter-name": "t2m"}
    )
    lat, lon = np.array(found["latitude"]["values"]), np.array(found["longitude"]["values"])
    times = np.array([text.rstrip("Z") for text in found["time"]["values"]], "M8[h]")
    assert lat.size > 4
    assert len(np.unique(times)) == 3
    same(
        found,
        "t2m",
        ["datetimes", "number", "steps", "points"],
        expected("t2m", times, lat, lon, member=1)[None, None, None],
    )
