"""Killed at any moment, a publication leaves readers with what they had, and can be given again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import icechunk
import numpy as np
import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.ingest import blocks, write
from plugins.datacube.ingest import publish as publishing
from plugins.datacube.ingest.publish import publish

DEFINITION = DatasetDefinition(id="x", href="")
SCRIPT = """
import os, signal, sys
from pathlib import Path
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.ingest import blocks, write
from plugins.datacube.ingest.publish import publish
blocks.BLOCK_BYTES = 1
write.SAVE_BYTES = 1
calls = 0
def progress(fraction, text):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
publish([Path(sys.argv[1])], DatasetDefinition(id="x", href=""), Path(sys.argv[2]), progress)
"""


class Stopped(BaseException):
    """What a power cut is to the code under test: nothing catches it."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy chunk by chunk and save after each, so that there are many moments to die in."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    monkeypatch.setattr(write, "SAVE_BYTES", 1)


def branches(data: Path) -> set[str]:
    storage = icechunk.local_filesystem_storage(str(data / "datasets" / "x" / "store"))
    return icechunk.Repository.open(storage).list_branches()


def same(got: xr.Dataset, path: Path, times: slice = slice(None)) -> None:
    with xr.open_dataset(path, engine="netcdf4") as wanted:
        np.testing.assert_array_equal(got["tcco2"].values, wanted["tcco2"].values[times])
        np.testing.assert_array_equal(got["time"].values, wanted["time"].values[times])


@pytest.mark.parametrize("moment", [1, 2, 9])
def test_kill_minus_nine_then_the_same_command(
    moment: int, shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    source = shared_data / "co2_column_packed.nc"
    command = [sys.executable, "-c", SCRIPT, str(source), str(tmp_path), str(moment)]
    died = subprocess.run(command, check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert not (tmp_path / "datasets" / "x" / "dataset.json").exists()
    report = publish([source], DEFINITION, tmp_path)
    assert report.resumed == (moment > 1)
    assert report.created
    same(published(tmp_path, "x"), source)
    assert branches(tmp_path) == {"main"}


def test_stopping_at_every_step_of_an_append_shows_all_or_nothing(
    shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    source = shared_data / "co2_column_packed.nc"
    first, second = tmp_path / "a.nc", tmp_path / "b.nc"
    with xr.open_dataset(source, engine="netcdf4", decode_cf=False) as whole:
        whole.isel(time=slice(0, 14)).to_netcdf(first, engine="netcdf4")
        whole.isel(time=slice(14, None)).to_netcdf(second, engine="netcdf4")
    publish([first], DEFINITION, tmp_path)

    def stop_at(moment: int) -> Callable[[float, str], None]:
        calls = iter(range(1, 1000))

        def progress(_fraction: float, _text: str) -> None:
            same(published(tmp_path, "x"), source, slice(0, 14))
            if next(calls) == moment:
                raise Stopped

        return progress

    # Each attempt goes on where the one before it was stopped, three steps further.
    attempts = 0
    while True:
        attempts += 1
        try:
            report = publish([second], DEFINITION, tmp_path, stop_at(5))
        except Stopped:
            same(published(tmp_path, "x"), source, slice(0, 14))
            assert attempts < 50
            continue
        except AssertionError:
            # The last call of progress comes after the new times have appeared.
            break
        assert report.resumed
        break
    assert attempts > 2
    same(published(tmp_path, "x"), source)
    assert branches(tmp_path) == {"main"}


def test_a_crash_between_the_data_and_the_document(
    shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shared_data / "co2_column_packed.nc"

    def stop(*_arguments: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "write_dataset_json", stop)
        with pytest.raises(Stopped):
            publish([source], DEFINITION, tmp_path)
    assert not (tmp_path / "datasets" / "x" / "dataset.json").exists()
    report = publish([source], DEFINITION, tmp_path)
    assert report.resumed
    assert report.added_times == 31
    same(published(tmp_path, "x"), source)


def test_other_files_after_a_crash_start_anew(
    shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    def stop(fraction: float, _text: str) -> None:
        if fraction > 0.6:
            raise Stopped

    with pytest.raises(Stopped):
        publish([shared_data / "coads_monthly.nc"], DEFINITION, tmp_path, stop)
    assert branches(tmp_path) == {"main", "publish"}
    source = shared_data / "co2_column_packed.nc"
    report = publish([source], DEFINITION, tmp_path)
    assert not report.resumed
    got = published(tmp_path, "x")
    assert set(got.data_vars) == {"tcco2"}
    same(got, source)


def test_what_a_crash_leaves_behind_is_removed(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "x"
    (folder / ".scratch-old").mkdir(parents=True)
    (folder / "store").mkdir()
    publish([shared_data / "co2_column_packed.nc"], DEFINITION, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "publish.lock", "store"]
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder / "store")))
    # One commit for readers, whatever it took.
    assert len(list(repository.ancestry(branch="main"))) == 2
    reachable = len(list((folder / "store" / "chunks").iterdir()))
    assert reachable == 12


@pytest.mark.parametrize("step", [1, 7])
def test_a_flipped_bit_or_a_lost_chunk_is_an_error(
    step: int, shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    publish([shared_data / "co2_column_packed.nc"], DEFINITION, tmp_path)
    files = sorted((tmp_path / "datasets" / "x" / "store" / "chunks").iterdir(), key=lambda path: path.stat().st_size)
    generator = np.random.default_rng(step)
    for path in files[-4:]:
        sound = path.read_bytes()
        for _ in range(4):
            position, bit = int(generator.integers(len(sound))), int(generator.integers(8))
            damaged = bytearray(sound)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match="checksum"):
                _ = published(tmp_path, "x", decode=False)["tcco2"].values
        path.write_bytes(sound)
    same(published(tmp_path, "x"), shared_data / "co2_column_packed.nc")
    files[-1].unlink()
    with pytest.raises(icechunk.IcechunkError):
        _ = published(tmp_path, "x")["tcco2"].values
