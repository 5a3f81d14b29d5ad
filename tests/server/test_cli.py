"""Does the command line keep its contract: names, exit codes, one clear line for an error?"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import zarr

from server.serve import collection_id

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serve", "/nowhere/a.zarr"], "a: "),
        (["serve", "/nowhere/config.yml"], "cannot read the configuration"),
        (["publish", "/nowhere/a.nc", "--id", "a"], "does not exist"),
        (["publish", "/nowhere/a.nc", "--id", "a/b"], "cannot be a collection id"),
        (["check", "/nowhere/a.zarr"], "exist"),
    ],
)
def test_an_error_is_one_clear_line_and_a_non_zero_exit(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    data = [] if arguments[0] == "check" else ["--data", str(tmp_path / "data")]
    port = ["--port", "0"] if arguments[0] == "serve" else []
    done = run(*arguments, *data, *port)
    said = done.stderr + (done.stdout if arguments[0] == "check" else "")
    assert done.returncode in (1, 2)
    assert sentence in said
    assert "Traceback" not in said
    assert len(done.stderr.strip().splitlines()) <= 2


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


def test_two_stores_of_one_name_are_refused(tmp_path: Path, free_store: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = make_store(tmp_path / "other" / "plain.zarr", latitude=np.arange(3.0), longitude=np.arange(3.0))
    done = run("serve", str(free_store), str(twin), "--port", "0", "--data", str(tmp_path / "d"))
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
