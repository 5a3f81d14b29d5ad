"""`isopleth catalog …`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import xarray as xr

from catalog.embedded import EmbeddedRepository
from server.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["catalog", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def store(tmp_path: Path) -> Path:
    source = xr.Dataset(
        {"t": (("time", "lat", "lon"), np.zeros((3, 2, 4), np.float32), {"units": "K"})},
        {
            "time": np.arange(3).astype("datetime64[D]").astype("datetime64[ns]"),
            "lat": ("lat", [10.0, 0.0], {"units": "degrees_north"}),
            "lon": ("lon", [0.0, 5.0, 10.0, 15.0], {"units": "degrees_east"}),
        },
    )
    source.to_zarr(tmp_path / "air.zarr", zarr_format=3, consolidated=False)
    return tmp_path / "air.zarr"


def test_all_of_it(capsys: pytest.CaptureFixture[str], tmp_path: Path, store: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    assert run(capsys, "harvest", str(store), *data) == (0, "added     air\n", "")
    assert run(capsys, "harvest", str(store), *data) == (0, "unchanged air\n", "")
    status, out, _ = run(capsys, "list", *data)
    assert (status, out.split()) == (0, ["air", "1", "items", "dataset", "air"])
    status, out, _ = run(capsys, "show", "air", "air-all", "--server", "https://data.example.org", *data)
    item = json.loads(out)
    assert status == 0
    assert item["assets"]["zarr"]["href"] == "https://data.example.org/zarr/air"
    assert item["properties"]["start_datetime"] == "1970-01-01T00:00:00Z"
    assert json.loads(run(capsys, "show", "air", *data)[1])["id"] == "air"
    assert run(capsys, "validate", *data) == (0, "2 documents, 0 not valid\n", "")
    status, out, _ = run(capsys, "export", str(tmp_path / "out"), "--server", "https://data.example.org", *data)
    assert (status, out) == (0, f"1 collections and 1 items are in {tmp_path / 'out'}\n")
    exported = pystac.Catalog.from_file(str(tmp_path / "out" / "catalog.json"))
    assert [one.id for one in exported.get_items(recursive=True)] == ["air-all"]
    status, out, _ = run(capsys, "import", str(tmp_path / "out"), "--prefix", "their-", *data)
    assert (status, out) == (0, "added     their-air\nitems: 1 added, 0 changed, 0 unchanged\n")
    found = json.loads(run(capsys, "list", "--json", *data)[1])
    assert [(one["id"], one["origin"], one["items"]) for one in found] == [
        ("air", "dataset", 1),
        ("their-air", "written", 1),
    ]
    # A harvest without the store takes its collection out, and leaves what was imported.
    assert run(capsys, "harvest", *data) == (0, "removed   air\n", "")
    assert [one["id"] for one in json.loads(run(capsys, "list", "--json", *data)[1])] == ["their-air"]


def test_one_store_that_is_broken(capsys: pytest.CaptureFixture[str], tmp_path: Path, store: Path) -> None:
    (tmp_path / "broken.zarr").mkdir()
    data = ("--data", str(tmp_path / "data"))
    status, out, _ = run(capsys, "harvest", str(store), str(tmp_path / "broken.zarr"), "--json", *data)
    report: dict[str, Any] = json.loads(out)
    assert status == 1
    assert report["added"] == ["air"]
    assert list(report["failed"]) == ["broken"]
    assert run(capsys, "list", *data)[0] == 0


def test_what_is_not_valid_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    repository = EmbeddedRepository(tmp_path / "catalog.sqlite")
    repository.upsert_collection({"type": "Collection", "stac_version": "1.1.0", "id": "bad", "links": []})
    repository.close()
    status, out, _ = run(capsys, "validate", "--data", str(tmp_path))
    assert status == 1
    assert "bad: " in out
    assert "1 documents, 1 not valid" in out
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps([{"type": "Collection", "id": "worse"}]))
    status, out, err = run(capsys, "import", str(dump), "--data", str(tmp_path))
    assert status == 1
    assert "worse" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("show", "x"),
        ("validate", "x"),
        ("export", "out"),
        ("import", "nowhere.json"),
        ("import", "gopher://x"),
        ("list", "--config", "nowhere.yml"),
    ],
)
def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, out, err = run(capsys, *arguments, "--data", str(tmp_path / "none"))
    assert (status, out) == (1, "")
    assert err.startswith("isopleth: ")
    assert err.count("\n") == 1
