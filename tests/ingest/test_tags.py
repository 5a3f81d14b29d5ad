"""A name of a state is given once, never moves, and can be asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import BusyError, DatasetError
from plugins.datacube.ingest.publish import publish
from plugins.datacube.ingest.repository import exclusive
from plugins.datacube.ingest.tags import require_name, tag
from plugins.datacube.instances import find_instance, states_of
from plugins.datacube.library import Library
from server.cli import main

DEFINITION = DatasetDefinition(id="sst", href="")


def write(path: Path, day: int) -> Path:
    """Write one day whose values are its number."""
    times = np.array([f"2024-01-{day:02d}"], "datetime64[ns]")
    xr.Dataset(
        {"sst": (("time", "lat", "lon"), np.full((1, 3, 4), day, "f4"), {"units": "K"})},
        {
            "time": times,
            "lat": ("lat", [10.0, 0.0, -10.0], {"units": "degrees_north"}),
            "lon": ("lon", [0.0, 10.0, 20.0, 30.0], {"units": "degrees_east"}),
        },
    ).to_netcdf(path, engine="netcdf4")
    return path


def test_a_tagged_state_stays_as_it_was_while_the_dataset_grows(tmp_path: Path) -> None:
    first = publish([write(tmp_path / "1.nc", 1)], DEFINITION, tmp_path, tag="first")
    publish([write(tmp_path / "2.nc", 2)], DEFINITION, tmp_path)
    assert tag("sst", tmp_path, "two-days") != first.snapshot
    publish([write(tmp_path / "3.nc", 3)], DEFINITION, tmp_path, tag="2024.final")
    opened = Library([], tmp_path / "datasets").get("sst")
    for name, days in (("first", [1]), ("two-days", [1, 2]), ("2024.final", [1, 2, 3]), ("latest", [1, 2, 3])):
        found = find_instance(opened, name).opened
        with xr.open_zarr(found.source.store, consolidated=False, chunks=None) as seen:
            np.testing.assert_array_equal(seen["sst"].values[:, 0, 0], days)
            assert seen["time"].dt.day.values.tolist() == days
    states = states_of(opened)
    assert {state.id for state in states if state.tagged} == {"first", "two-days", "2024.final"}
    assert [state.message for state in states if not state.tagged] == ["append sst, 1 times"] * 2 + [
        "publish sst, 1 times"
    ]


def test_a_name_that_is_taken_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    first = publish([write(tmp_path / "1.nc", 1)], DEFINITION, tmp_path, tag="v1")
    with pytest.raises(DatasetError, match=r"has the name 'v1' already"):
        publish([write(tmp_path / "2.nc", 2)], DEFINITION, tmp_path, tag="v1")
    opened = Library([], tmp_path / "datasets").get("sst")
    assert opened.cube.snapshot == first.snapshot
    assert find_instance(opened, "v1").opened.cube.snapshot == first.snapshot
    with pytest.raises(DatasetError, match="was used for a state of sst before"):
        tag("sst", tmp_path, "v1")
    # The files themselves were right.
    assert publish([tmp_path / "2.nc"], DEFINITION, tmp_path, tag="v2").added_times == 1


@pytest.mark.parametrize("name", ["v1", "2024", "2024-06-03", "a.b_c-d", "T12", "x" * 128, "20240603", "final-T"])
def test_a_good_name(name: str) -> None:
    require_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "latest", "a/b", "a b", "é", ".hidden", "-x", "x" * 129, "..", "2024-06-03T00:00:00Z", "20240603T000000Z",
        "2024-06-03T00", "9H5RRJTYPV0B4K384AKG", "a?b", "a\n",
    ],
)  # fmt: skip
def test_a_name_that_could_not_be_asked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="cannot be the name of a state"):
        require_name(name)
    with pytest.raises(DatasetError, match="cannot be the name of a state"):
        publish([tmp_path / "absent.nc"], DEFINITION, tmp_path, tag=name)


@pytest.mark.parametrize("dataset_id", ["absent", "../sst", ""])
def test_there_must_be_a_dataset(tmp_path: Path, dataset_id: str) -> None:
    with pytest.raises(DatasetError, match="there is no published dataset"):
        tag(dataset_id, tmp_path, "v1")


def test_a_publication_that_goes_on_is_not_disturbed(tmp_path: Path) -> None:
    publish([write(tmp_path / "1.nc", 1)], DEFINITION, tmp_path)
    with exclusive(tmp_path / "datasets" / "sst"), pytest.raises(BusyError):
        tag("sst", tmp_path, "v1")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, data = str(write(tmp_path / "1.nc", 1)), ["--data", str(tmp_path)]
    assert main(["publish", file, "--id", "sst", "--tag", "v1", "--quiet", *data]) == 0
    assert "(v1)" in capsys.readouterr().out
    assert main(["publish", "--id", "sst", "--tag", "v2", *data]) == 0
    assert "named the state of sst v2" in capsys.readouterr().out
    assert main(["publish", "--id", "sst", "--tag", "v2", *data]) == 1
    assert capsys.readouterr().err == "isopleth: the name 'v2' was used for a state of sst before\n"
    assert main(["publish", "--id", "sst", *data]) == 1
    assert "no files to publish" in capsys.readouterr().err
