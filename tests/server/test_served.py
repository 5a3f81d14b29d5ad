"""What does a user meet who starts the server: right values, a clear line for a bad store, honest health?"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

ROOT = Path(__file__).resolve().parents[2]


def original(name: str) -> xr.Dataset:
    spec = importlib.util.find_spec("iris_sample_data")
    assert spec is not None
    assert spec.origin is not None
    return xr.open_dataset(Path(spec.origin).parent / "sample_data" / name, engine="netcdf4")


def test_a_position_equals_the_file(demo) -> None:  # type: ignore[no-untyped-def]
    answer = demo.get("/ogc/collections/ostia-sst/position?coords=POINT(-30 0)")
    assert answer.status_code == 200
    coverage = answer.json()
    axes = coverage["domain"]["axes"]
    served = coverage["ranges"]["surface_temperature"]
    assert served["axisNames"] == ["t"]
    with original("ostia_monthly.nc") as file:
        expected = file["surface_temperature"].sel(latitude=0, longitude=330, method="nearest")
        np.testing.assert_array_equal(np.array(served["values"], "f4"), expected.values)
        times = np.array([t.removesuffix("Z") for t in axes["t"]["values"]], "datetime64[ns]")
        np.testing.assert_array_equal(times, expected["time"].values)
    assert axes["x"]["values"] == [-30.0]
    assert abs(axes["y"]["values"][0]) < 1e-4


def test_a_360_day_calendar_keeps_its_dates(demo) -> None:  # type: ignore[no-untyped-def]
    path = "/ogc/collections/hadcm3-a1b/cube?bbox=-100,40,-90,45&datetime=1990/1995"
    coverage = demo.get(path).json()
    values = coverage["ranges"]["air_temperature"]
    assert values["axisNames"] == ["t", "y", "x"]
    with original("A1B_north_america.nc") as file:
        part = file["air_temperature"].sel(time=slice("1990-01-01", "1995-12-30"), latitude=slice(40, 45))
        part = part.where((part.longitude >= 260) & (part.longitude <= 270), drop=True)
        assert values["shape"] == list(part.shape)
        np.testing.assert_array_equal(np.array(values["values"], "f4").reshape(part.shape), part.values)
        stamps = [t.strftime("%Y-%m-%dT%H:%M:%SZ") for t in part["time"].values]
        assert coverage["domain"]["axes"]["t"]["values"] == stamps
        np.testing.assert_allclose(coverage["domain"]["axes"]["x"]["values"], part["longitude"].values - 360, atol=0)


def test_the_ocean_grid_gives_the_values_of_its_file(demo) -> None:  # type: ignore[no-untyped-def]
    listed = {c["id"]: c for c in demo.get("/ogc/collections").json()["collections"]}
    assert set(listed) == {"ostia-sst", "hadcm3-a1b", "orca2-temperature", "era5-like"}
    assert "synthetic" in listed["era5-like"]["title"].lower()
    with original("orca2_votemper.nc") as file:
        values, latitudes, longitudes = (file[name].values for name in ("votemper", "nav_lat", "nav_lon"))
    for row, column in ((60, 40), (75, 100), (90, 150)):
        place = f"POINT({float(longitudes[row, column])!r} {float(latitudes[row, column])!r})"
        answer = demo.get(f"/ogc/collections/orca2-temperature/position?coords={place}").json()
        (value,) = answer["ranges"]["votemper"]["values"]
        stored = values[row, column]
        assert value is None if np.isnan(stored) else np.float32(value) == stored


def test_every_format_gives_the_same_values(demo, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = "/ogc/collections/era5-like/cube?bbox=-10,40,10,50&datetime=2024-01-05T00:00Z/2024-01-05T05:00Z&f="
    coverage = demo.get(path + "CoverageJSON").json()
    for name in ("t2m", "u10", "v10", "tp"):
        served = coverage["ranges"][name]
        values = np.array(served["values"], "f4").reshape(served["shape"])
        file = tmp_path / f"{name}.nc"
        file.write_bytes(demo.get(path + f"NetCDF&parameter-name={name}").content)
        with xr.open_dataset(file, engine="netcdf4") as netcdf:
            np.testing.assert_array_equal(netcdf[name].values, values)
        archive = tmp_path / f"{name}.zip"
        archive.write_bytes(demo.get(path + f"Zarr&parameter-name={name}").content)
        with zarr.storage.ZipStore(archive, mode="r") as store:
            np.testing.assert_array_equal(zarr.open_group(store, mode="r")[name][...], values)
        rows = demo.get(path + f"CSV&parameter-name={name}").text.strip().splitlines()
        column = rows[0].split(",").index(name)
        table = np.array([row.split(",")[column] for row in rows[1:]], "f4")
        np.testing.assert_array_equal(table, values.ravel())


def test_a_request_that_reads_too_much_is_refused_with_the_numbers(demo) -> None:  # type: ignore[no-untyped-def]
    answer = demo.get("/ogc/collections/era5-like/cube?bbox=-180,-90,180,90")
    assert answer.status_code == 413
    problem = answer.json()
    assert problem["estimate"]["values"] == 4 * 1440 * 91 * 180
    assert problem["estimate"]["values"] > problem["limits"]["values"]
    process = problem["process"]
    job = demo.post(process["href"].removeprefix(demo.url), json=process["body"], headers=process["headers"])
    assert job.status_code == 201
    assert demo.get(f"/ogc/jobs/{job.json()['jobID']}").json()["status"] in ("accepted", "running", "successful")


def test_the_raw_zarr_opens_and_equals_the_answers(demo) -> None:  # type: ignore[no-untyped-def]
    store = zarr.storage.ObjectStore(_http_store(f"{demo.url}/zarr/era5-like"), read_only=True)
    with xr.open_dataset(store, engine="zarr", consolidated=True, chunks=None) as raw:
        point = raw["t2m"].sel(latitude=50, longitude=4, method="nearest")
        answer = demo.get("/ogc/collections/era5-like/position?coords=POINT(4 50)&parameter-name=t2m").json()
        np.testing.assert_array_equal(np.array(answer["ranges"]["t2m"]["values"], "f4"), point.values)


def _http_store(url: str):  # type: ignore[no-untyped-def]
    from obstore.store import HTTPStore

    return HTTPStore.from_url(url, client_options={"allow_http": True})


def test_stac_describes_what_edr_serves(demo) -> None:  # type: ignore[no-untyped-def]
    collections = {c["id"]: c for c in demo.get("/stac/collections").json()["collections"]}
    edr = {c["id"]: c for c in demo.get("/ogc/collections").json()["collections"]}
    assert set(collections) == set(edr)
    for identifier, collection in collections.items():
        box = edr[identifier]["extent"]["spatial"]["bbox"][0]
        assert collection["extent"]["spatial"]["bbox"][0] == pytest.approx(box, abs=1e-8)
        assert set(collection["cube:variables"]) >= set(edr[identifier]["parameter_names"])
        links = {link["href"] for link in collection["links"]}
        if edr[identifier].get("data_queries"):
            assert f"{demo.url}/ogc/collections/{identifier}" in links
        assert demo.get(collection["assets"]["zarr"]["href"].removeprefix(demo.url) + "/zarr.json").status_code == 200


def test_every_link_leads_somewhere(demo) -> None:  # type: ignore[no-untyped-def]
    """Follow all links of the fronts, to documents of this server, and see that none is broken."""
    seen: set[str] = set()
    todo = ["/?f=json", "/ogc", "/stac/"]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = demo.get(path, headers={"Accept": "application/json"}, follow_redirects=True)
        assert answer.status_code in (200, 400), (path, answer.status_code)
        if "json" not in answer.headers["content-type"] or answer.status_code != 200:
            continue
        for link in _links(answer.json()):
            href = link["href"].removeprefix(demo.url)
            # Data queries without their coordinates are 400; executions are POSTed.
            if href.startswith("/") and "{" not in href and not link.get("rel", "").endswith("/execute"):
                todo.append(href)
    assert len(seen) > 40


def _links(node: object) -> list[dict[str, str]]:
    found = []
    if isinstance(node, dict):
        if isinstance(node.get("href"), str) and "rel" in node:
            found.append(node)
        for value in node.values():
            found += _links(value)
    elif isinstance(node, list):
        for value in node:
            found += _links(value)
    return found


def make(path: Path, latitude: str = "latitude", extra: dict[str, np.ndarray] | None = None) -> Path:
    group = zarr.create_group(path)
    axes = {
        "time": (np.arange(4), {"units": "hours since 2020-01-01", "standard_name": "time"}),
        latitude: (np.arange(60.0, -61, -30), {"units": "degrees_north" if latitude == "latitude" else "1"}),
        "longitude": (np.arange(0.0, 360, 90), {"units": "degrees_east"}),
    }
    for name, (values, attributes) in axes.items():
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=(name,), attributes=attributes
        )
        array[...] = values
    data = group.create_array("t", shape=(4, 5, 4), dtype="f4", dimension_names=tuple(axes), attributes={"units": "K"})
    data[...] = np.arange(80, dtype="f4").reshape(4, 5, 4)
    return path


BAD = ("missing", "not-cf", "bad-time", "two-latitudes", "truncated", "cut")


@dataclass
class Mixed:
    """A server of stores that are good, and of others that are not."""

    served: Any
    folder: Path
    """Of the stores."""
    data: Path


@pytest.fixture(scope="module")
def mixed(serve_process, tmp_path_factory: pytest.TempPathFactory) -> Mixed:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("mixed")
    make(folder / "good.zarr")
    make(folder / "lost.zarr")

    not_cf = zarr.create_group(folder / "not-cf.zarr")
    not_cf.create_array("a", shape=(3, 3), dtype="f4", dimension_names=("i", "j"))[...] = 1

    zarr.open_group(make(folder / "bad-time.zarr"))["time"].attrs["units"] = "fortnights since the flood"

    two = zarr.open_group(make(folder / "two-latitudes.zarr"))
    twin = two.create_array(
        "lat2", shape=(5,), dtype="f8", dimension_names=("lat2",), attributes={"units": "degrees_north"}
    )
    twin[...] = np.arange(5.0)
    both = two.create_array(
        "u", shape=(5, 5, 4), dtype="f4", dimension_names=("lat2", "latitude", "longitude"), attributes={"units": "1"}
    )
    both[...] = 1

    document = make(folder / "truncated.zarr") / "zarr.json"
    document.write_bytes(document.read_bytes()[:20])

    no_time = zarr.create_group(folder / "no-time.zarr")
    axes = (("latitude", np.arange(3.0), "degrees_north"), ("longitude", np.arange(4.0), "degrees_east"))
    for name, values, units in axes:
        array = no_time.create_array(
            name, shape=values.shape, dtype="f8", dimension_names=(name,), attributes={"units": units}
        )
        array[...] = values
    field = no_time.create_array("h", shape=(3, 4), dtype="f4", dimension_names=("latitude", "longitude"))
    field[...] = np.arange(12, dtype="f4").reshape(3, 4)

    (folder / "cut.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 64)

    stores = [f"{name}.nc" if name == "cut" else f"{name}.zarr" for name in ("good", "lost", *BAD, "no-time")]
    data = tmp_path_factory.mktemp("mixed-data")
    return Mixed(serve_process(*(str(folder / store) for store in stores), data=data), folder, data)


def test_bad_stores_are_one_line_each_and_the_others_are_served(mixed: Mixed) -> None:
    served = mixed.served
    log = served.log.read_text()
    assert "Traceback" not in log
    for name in [*BAD, "no-time"]:
        lines = [line for line in log.splitlines() if line.startswith(f"isopleth: {name}: ")]
        assert len(lines) == 1, (name, log)
        assert len(lines[0]) < 400
    assert served.get("/ogc/collections/good/position?coords=POINT(90 30)&datetime=2020-01-01T01:00Z").json()["ranges"][
        "t"
    ]["values"] == [20 + 1 * 4 + 1]
    ready = served.get("/health/ready")
    assert ready.status_code == 200
    # Another test publishes the dataset "late".
    assert [name for name in ready.json()["datasets"] if name != "late"] == ["good", "lost", "no-time"]
    # A field without time is said, and served all the same.
    static = served.get("/ogc/collections/no-time/position?coords=POINT(2 1)").json()
    assert static["ranges"]["h"]["values"] == [6.0]
    assert ready.json()["status"] == "degraded"
    assert served.get("/ogc/collections/not-cf").status_code in (404, 503)


def test_a_store_that_is_lost_while_it_is_served_is_an_error_and_no_value(mixed: Mixed) -> None:
    shutil.rmtree(mixed.folder / "lost.zarr" / "t" / "c")
    answer = mixed.served.get("/ogc/collections/lost/position?coords=POINT(90 30)")
    assert answer.status_code in (502, 503)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_dataset_that_is_published_appears_without_a_restart(mixed: Mixed, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    file = tmp_path / "late.nc"
    dataset = xr.Dataset(
        {"v": (("time", "latitude", "longitude"), rng.normal(size=(3, 4, 5)).astype("f4"), {"units": "m s-1"})},
        {
            "time": np.arange("2021-01-01", "2021-01-04", dtype="datetime64[D]").astype("datetime64[ns]"),
            "latitude": ("latitude", np.arange(4.0), {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(5.0), {"units": "degrees_east"}),
        },
    )
    dataset.to_netcdf(file, engine="netcdf4")
    publish = [sys.executable, "-m", "server", "publish", "--quiet"]
    command = [*publish, str(file), "--id", "late", "--data", str(mixed.data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = mixed.served.get("/ogc/collections/late/position?coords=POINT(2 1)")
        if answer.status_code == 200 and mixed.served.get("/stac/collections/late").status_code == 200:
            break
        time.sleep(0.2)
    values = np.array(answer.json()["ranges"]["v"]["values"], "f4")
    np.testing.assert_array_equal(values, dataset["v"].sel(latitude=1, longitude=2).values)
