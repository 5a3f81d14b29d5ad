"""Does the command line keep its contract: names, exit codes, one clear line for an error?"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import zarr

from server.cli import main
from server.serve import collection_id

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False)


def make_store(path: Path, **coordinates: np.ndarray) -> Path:
    group = zarr.create_group(path)
    for name, values in coordinates.items():
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, dimension_names=(name,))
        array[...] = values
    shape = tuple(v.size for v in coordinates.values())
    data = group.create_array("t2m", shape=shape, dtype="f4", dimension_names=tuple(coordinates))
    data[...] = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    return path


def test_version() -> None:
    done = run("--version")
    assert done.stdout.strip() == f"isopleth {version('isopleth')}"
    assert done.returncode == 0


@pytest.mark.parametrize("verb", ["serve", "publish", "check"])
def test_help_shows_examples(verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0
    assert "examples:" in done.stdout


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends before it has changed anything in this process: a new one takes seconds to import."""
    capsys.readouterr()
    status = main(arguments)
    out, err = capsys.readouterr()
    return subprocess.CompletedProcess(arguments, status, out, err)


def check_error(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    """An error is one clear line, and an exit code that is not zero."""
    said = done.stderr + (done.stdout if done.args[0] == "check" else "")
    assert done.returncode in (1, 2)
    assert sentence in said
    assert "Traceback" not in said
    assert len(done.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serve", "/nowhere/config.yml", "--port", "0"], "cannot read the configuration"),
        (["publish", "/nowhere/a.nc", "--id", "a"], "does not exist"),
        (["publish", "/nowhere/a.nc", "--id", "a/b"], "cannot be a collection id"),
        (["check", "/nowhere/a.zarr"], "exist"),
    ],
)
def test_an_error_is_one_clear_line_and_a_non_zero_exit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    data = [] if arguments[0] == "check" else ["--data", str(tmp_path / "data")]
    check_error(run_here(capsys, *arguments, *data), sentence)


def test_a_server_of_nothing_ends_with_one_clear_line(tmp_path: Path) -> None:
    check_error(run("serve", "/nowhere/a.zarr", "--port", "0", "--data", str(tmp_path / "data")), "a: ")


def test_a_taken_port_is_said(tmp_path: Path, free_store: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", str(free_store), "--port", str(port), "--data", str(tmp_path / "d"))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("the port is taken")


@pytest.fixture
def free_store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "plain.zarr", latitude=np.arange(-80.0, 81, 20), longitude=np.arange(0.0, 360, 30))


def test_two_stores_of_one_name_are_refused(
    tmp_path: Path, free_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    twin = make_store(tmp_path / "other" / "plain.zarr", latitude=np.arange(3.0), longitude=np.arange(3.0))
    done = run_here(capsys, "serve", str(free_store), str(twin), "--port", "0", "--data", str(tmp_path / "d"))
    assert done.returncode == 1
    assert "two stores would both be the collection 'plain'" in done.stderr


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("era5.zarr", "era5"),
        ("/data/my file.nc", "my-file"),
        ("s3://bucket/a/b.zarr/", "b"),
        ("https://host/x.zarr?token=1", "x"),
        ("noending", "noending"),
        ("a.b.zarr", "a.b"),
    ],
)
def test_a_collection_is_named_by_the_stem_of_its_file(store: str, expected: str) -> None:
    assert collection_id(store) == expected


def test_named_places_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    wrong = tmp_path / "places.geojson"
    wrong.write_text('{"type": "FeatureCollection", "features": [{"type": "Feature"}]}')
    data = tmp_path / "data"
    done = run("publish", "/nowhere/a.nc", "--id", "a", "--locations", str(wrong), "--data", str(data))
    assert done.returncode == 1
    assert "places.geojson cannot be used: feature 1" in done.stderr
    assert not data.exists()


def test_a_file_is_checked_as_it_would_be_published(shared_data: Path, tmp_path: Path) -> None:
    done = run("check", str(shared_data / "rotated_pole_precipitation.nc"))
    assert done.returncode == 0, done.stderr
    assert "[coordinates-contradict]" in done.stdout
    broken = tmp_path / "broken.nc"
    broken.write_bytes((shared_data / "coads_monthly.nc").read_bytes()[:5000])
    done = run("check", str(broken))
    assert done.returncode == 1
    assert "[not-servable]" in done.stdout
    text = tmp_path / "GRIB.txt"
    text.write_text("Not a GRIB file.")
    assert "unknown format" in run("check", str(text)).stdout
