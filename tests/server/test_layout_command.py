"""`isopleth layout`: what an operator types, and what a running server makes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
import yaml

from plugins.datacube.definition import DatasetDefinition, LayoutDefinition
from plugins.datacube.ingest.publish import publish
from plugins.datacube.ingest.repository import exclusive
from plugins.datacube.published import read_dataset_json, write_dataset_json
from server import layout as command
from server.cli import main
from server.settings import load_settings

CHUNKS = "time=-1,latitude=20,longitude=20"
SERIES = "/ogc/collections/co2/position?coords=POINT(7%2051)&f=CoverageJSON"


@pytest.fixture
def data(shared_data: Path, tmp_path: Path) -> Path:
    publish([shared_data / "co2_column_packed.nc"], DatasetDefinition(id="co2", href="", title="CO2"), tmp_path)
    return tmp_path


def document(data: Path) -> dict[str, object]:
    return json.loads((data / "datasets" / "co2" / "dataset.json").read_text())


def test_a_running_server_uses_the_layout_and_the_answer_stays_the_same(
    data: Path, serve_process: Callable[..., object], capsys: pytest.CaptureFixture[str], shared_data: Path
) -> None:
    server = serve_process(data=data)
    before = server.get(SERIES)
    assert (before.status_code, before.headers["Isopleth-Layout"]) == (200, "native")

    assert main(["layout", "co2", "--chunks", CHUNKS, "--name", "series", "--data", str(data), "--quiet"]) == 0
    assert "wrote series of co2: tcco2 31×20×20" in capsys.readouterr().out
    assert document(data)["layouts"] == [{"name": "series", "href": "layouts/series/store"}]
    deadline = time.monotonic() + 120
    while (after := server.get(SERIES)).headers["Isopleth-Layout"] == "native":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert after.headers["Isopleth-Layout"] == "series"
    assert after.headers["ETag"] == before.headers["ETag"]
    assert after.content == before.content
    assert server.get(SERIES, headers={"If-None-Match": before.headers["ETag"]}).status_code == 304
    with xr.open_dataset(shared_data / "co2_column_packed.nc", engine="netcdf4") as wanted:
        cell = wanted["tcco2"].sel(latitude=51, longitude=7, method="nearest").values
    assert after.json()["ranges"]["tcco2"]["values"] == pytest.approx(cell.tolist(), rel=1e-6)
    one_map = "/ogc/collections/co2/cube?bbox=-180,-90,180,90&datetime=2006-01-02T00:00:00Z"
    assert server.get(one_map).headers["Isopleth-Layout"] == "native"


def test_the_command_given_again_has_nothing_to_do(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["layout", "co2", "--for", "time-series", "--data", str(data), "--quiet"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "snapshot" in first
    assert "each chunk of the dataset was read 1.0 times" in first
    assert main(arguments) == 0
    assert "time-series of co2 is up to date" in capsys.readouterr().out
    assert document(data)["title"] == "CO2"


def test_a_configured_dataset_gets_its_lines_for_the_configuration(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "isopleth.yml"
    datasets = {"mine": {"href": "datasets/co2/store"}}
    config.write_text(yaml.safe_dump({"data": "elsewhere", "datasets": datasets}))
    arguments = [
        "layout",
        "mine",
        "--for",
        "time-series",
        "--config",
        str(config),
        "--quiet",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    advice = yaml.safe_load(said[said.index("    layouts:") :])
    assert advice == {"layouts": [{"name": "time-series", "href": str(tmp_path / "o")}]}
    config.write_text(yaml.safe_dump({"data": "elsewhere", "datasets": {"mine": datasets["mine"] | advice}}))
    assert main(arguments) == 0
    assert "add this" not in capsys.readouterr().out
    assert main(["check", str(config)]) == 0
    assert "layout-" not in capsys.readouterr().out.replace("layout-unbalanced", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing", "--for", "map"], "there is no collection 'nothing'"),
        (["co2", "--chunks", "depth=3"], "'depth' is not a dimension of co2"),
        (["co2", "--for", "map", "--name", "native"], "'native' cannot be the name of a layout"),
        (["co2", "--for", "map", "--name", "../x"], "'../x' cannot be the name of a layout"),
        (["co2", "--for", "map", "--out", "{data}/datasets/co2/store"], "there is the dataset itself"),
        (["co2", "--for", "map", "--out", "/tmp/x", "--storage-option", "region"], "not of the form NAME=VALUE"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    data: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state = (data / "datasets" / "co2" / "dataset.json").read_bytes()
    filled = [argument.replace("{data}", str(data)) for argument in arguments]
    assert main(["layout", *filled, "--data", str(data), "--quiet"]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert (data / "datasets" / "co2" / "dataset.json").read_bytes() == state


def test_it_waits_for_a_publication_before_it_registers(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data / "datasets" / "co2"
    waited = []

    def wait(_seconds: float) -> None:
        # Meanwhile the publication writes what it had read before.
        write_dataset_json(folder, read_dataset_json(folder))
        waited.append(holding.__exit__(None, None, None))

    monkeypatch.setattr(command.time, "sleep", wait)
    holding = exclusive(folder)
    holding.__enter__()
    assert main(["layout", "co2", "--for", "time-series", "--data", str(data), "--quiet"]) == 0
    assert len(waited) == 1
    assert [layout.name for layout in read_dataset_json(folder).layouts] == ["time-series"]


def test_layouts_in_the_description_and_in_the_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    layouts = (
        LayoutDefinition("near", str(folder / "layouts" / "near" / "store")),
        LayoutDefinition("far", "s3://bucket/far", {"region": "eu-central-1"}),
    )
    write_dataset_json(folder, DatasetDefinition(id="a", href="", layouts=layouts))
    assert read_dataset_json(folder).layouts == layouts
    config = tmp_path / "c.yml"
    entries = [{"name": "near", "href": "x.zarr"}, {"name": "far", "href": "s3://b/f", "storage_options": {"a": "b"}}]
    config.write_text(yaml.safe_dump({"datasets": {"a": {"href": "a.zarr", "layouts": entries}}}))
    (definition,) = load_settings(config).definitions()
    assert definition.layouts == (
        LayoutDefinition("near", str(tmp_path / "x.zarr")),
        LayoutDefinition("far", "s3://b/f", {"a": "b"}),
    )


@pytest.mark.parametrize("names", [["native"], ["a", "a"], ["a b"]])
def test_wrong_names_of_layouts_are_refused_with_their_line(
    tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yml"
    entries = [{"name": name, "href": "x"} for name in names]
    config.write_text(yaml.safe_dump({"datasets": {"a": {"href": "a.zarr", "layouts": entries}}}))
    assert main(["check", str(config)]) == 1
    assert "line " in capsys.readouterr().err
