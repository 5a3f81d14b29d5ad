"""Does the page show the numbers of the store, when every layer between them is the real one?"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

LEVELS, MEMBERS = [1000.0, 850.0, 500.0], [0, 1]
LATITUDES, LONGITUDES = np.arange(60.0, -61.0, -10.0), np.arange(0.0, 360.0, 15.0)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Random values of shape (member, time, level, latitude, longitude); some are missing."""
    numbers = np.random.default_rng(7).normal(280, 20, (2, 30, 3, LATITUDES.size, LONGITUDES.size)).astype(np.float32)
    numbers[numbers < 240] = np.nan
    return numbers


@pytest.fixture(scope="module")
def server(values: np.ndarray, bundle_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("whole")
    units = {"units": "days since 2000-02-16", "calendar": "360_day"}
    dataset = xr.Dataset(
        {"ta": (("number", "time", "level", "lat", "lon"), values, {"units": "K", "long_name": "Air temperature"})},
        {
            "number": ("number", MEMBERS, {"standard_name": "realization"}),
            "time": ("time", np.arange(30), {**units, "standard_name": "time"}),
            "level": ("level", LEVELS, {"units": "hPa", "positive": "down", "standard_name": "air_pressure"}),
            "lat": ("lat", LATITUDES, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", LONGITUDES, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )
    dataset.to_zarr(folder / "air.zarr", zarr_format=2, consolidated=True)
    run = "import sys; from server.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        run,
        "serve",
        str(folder / "air.zarr"),
        "--port",
        "0",
        "--data",
        str(folder / "data"),
    ]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"ready at (http://\S+)", line):
                break
        else:
            pytest.fail("the server did not start: " + "".join(lines))
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def test_page_shows_what_the_store_holds(chromium: Any, server: str, values: np.ndarray) -> None:
    address = f"{server}/collections/air?number=1&z=500&time=2000-02-30&point=-74,41"
    with chromium.page(address) as page:
        page.wait("['map', 'series'].every(part => document.querySelector('#explorer')?.dataset[part] === 'ready')", 30)
        assert page.evaluate("document.querySelector('#time').value") == "2000-02-30T00:00:00Z"
        title = page.evaluate("document.querySelector('#series-title').textContent")
        assert title == "Air temperature at the grid point 75°W, 40°N"
        rows = page.evaluate(
            "[...document.querySelectorAll('#series-rows tr')].map(r => [...r.children].map(c => c.textContent))"
        )
        days = [(16 + day - 1) % 30 + 1 for day in range(30)]
        assert [time[8:10] for time, _ in rows] == [f"{day:02d}" for day in days]
        series = values[1, :, 2, list(LATITUDES).index(40.0), list(LONGITUDES).index(285.0)]
        shown = [np.nan if value == "missing" else float(value) for _, value in rows]
        np.testing.assert_allclose(shown, series, rtol=1e-6)
        box = page.evaluate(
            "(r => [r.left, r.top, r.width, r.height])(document.querySelector('#map').getBoundingClientRect())"
        )
        across, down = 0.62, 0.37
        page.send("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + across * box[2], y=box[1] + down * box[3])
        page.wait("document.querySelector('#readout').textContent.includes('·')")
        text = page.evaluate("document.querySelector('#readout').textContent")
        found = re.fullmatch(r"(-?[\d.]+)°, (-?[\d.]+)° · (\S+)(?: K)?", text.strip())
        assert found, text
        column = int(np.abs((LONGITUDES - float(found[1]) + 180) % 360 - 180).argmin())
        row = int(np.abs(LATITUDES - float(found[2])).argmin())
        value = np.nan if found[3] == "missing" else float(found[3])
        np.testing.assert_allclose(value, values[1, 14, 2, row, column], rtol=1e-6, err_msg=text)
    assert page.complaints == []
    assert all(url.startswith(server) for url in page.requests)


def test_page_of_a_collection_as_a_document(chromium: Any, server: str) -> None:
    with chromium.page(f"{server}/ogc/collections/air?f=html") as page:
        assert "Air temperature" in page.evaluate("document.querySelector('main').textContent")
    assert page.complaints == []
    assert all(url.startswith(server) for url in page.requests)
