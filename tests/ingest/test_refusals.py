"""A file that cannot be served right is refused with one sentence, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest import classic
from plugins.datacube.ingest.publish import ingest_file, publish

DEFINITION = DatasetDefinition(id="x", href="")


def refused(path: Path, data: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        publish([path], DEFINITION, data)
    assert not (data / "datasets" / "x").exists()
    sentence = caught.value.detail
    assert "\n" not in sentence
    assert str(path.parent) not in sentence
    assert sentence.count(". ") == 0
    return sentence


def test_what_is_no_data_file(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.nc", tmp_path / "text.nc"
    empty.touch()
    text.write_text("not data")
    assert refused(tmp_path / "none.nc", tmp_path) == "none.nc does not exist"
    assert refused(empty, tmp_path) == "empty.nc is empty"
    assert refused(text, tmp_path) == "text.nc is neither a NetCDF nor a GRIB file"
    assert "is not a file" in refused(tmp_path, tmp_path)
    with pytest.raises(DatasetError, match="no files"):
        publish([], DEFINITION, tmp_path)


@pytest.mark.parametrize("name", ["coads_monthly.nc", "co2_column_packed.nc", "rotated_pole_precipitation.nc"])
@pytest.mark.parametrize("keep", [0.001, 0.3, 0.9999])
def test_files_that_are_cut_short(name: str, keep: float, shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * keep)])
    assert "cut short" in refused(path, tmp_path)


def test_every_classic_length_but_the_whole_is_noticed(shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / "rotated_pole_precipitation.nc").read_bytes()
    path = tmp_path / "cut.nc"

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.integers(8, len(whole) - 1))
    def check(length: int) -> None:
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match="cut short"):
            classic.require_complete(path)

    check()
    path.write_bytes(whole)
    classic.require_complete(path)


@pytest.mark.parametrize("version", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("lone", [True, False])
def test_whole_classic_files_of_every_version_pass(version: str, lone: bool, tmp_path: Path) -> None:
    path = tmp_path / "whole.nc"
    with netCDF4.Dataset(path, "w", format=version) as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("x", 3)
        dataset.setncattr("history", "odd")
        # Three bytes a record: a lone record variable is packed without padding.
        dataset.createVariable("b", "i1", ("time", "x"))[:] = np.ones((5, 3))
        if not lone:
            dataset.createVariable("f", "f8", ("time",))[:] = np.ones(5)
        dataset.createVariable("fixed", "i2", ("x",))[:] = np.ones(3)
    classic.require_complete(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DatasetError, match="cut short"):
        classic.require_complete(path)


def test_damaged_bytes_in_a_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size, units in (("lat", 60, "degrees_north"), ("lon", 60, "degrees_east")):
            dataset.createDimension(name, size)
            variable = dataset.createVariable(name, "f8", (name,))
            variable.units = units
            variable[:] = np.arange(size)
        data = dataset.createVariable("v", "f4", ("lat", "lon"), zlib=True, fletcher32=True)
        data[:] = np.random.default_rng(1).normal(size=(60, 60))
    content = bytearray(path.read_bytes())
    middle = len(content) - 3000
    content[middle] ^= 0xFF
    path.write_bytes(content)
    assert "damaged or cut short" in refused(path, tmp_path)


def test_contents_that_nobody_could_query(tmp_path: Path) -> None:
    nowhere, only_axes, no_times = tmp_path / "nowhere.nc", tmp_path / "axes.nc", tmp_path / "timeless.nc"
    with netCDF4.Dataset(nowhere, "w") as dataset:
        dataset.createDimension("n", 3)
        dataset.createVariable("v", "f4", ("n",))[:] = 1
    with netCDF4.Dataset(only_axes, "w") as dataset:
        dataset.createDimension("lat", 3)
        dataset.createVariable("lat", "f4", ("lat",))[:] = 1
    with netCDF4.Dataset(no_times, "w") as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("lat", 2)
        dataset.createVariable("time", "f4", ("time",)).units = "days since 2000-01-01"
        dataset.createVariable("lat", "f4", ("lat",))[:] = [1, 2]
        dataset.createVariable("v", "f4", ("time", "lat"))
    assert "latitude and longitude" in refused(nowhere, tmp_path)
    assert "no data variables" in refused(only_axes, tmp_path)
    assert "its dimension time is empty" in refused(no_times, tmp_path)


def test_ingesting_is_done_once_for_an_unchanged_file(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "My file (1).nc"
    source.write_bytes((shared_data / "coads_monthly.nc").read_bytes())
    data = tmp_path / "data"
    first = ingest_file(source, data)
    assert first.id == "My-file-1-"
    stores = list((data / "ingested").iterdir())
    marks = {path: path.stat().st_mtime_ns for path in stores[0].rglob("*") if path.is_file()}
    assert ingest_file(source, data) == first
    assert {path: path.stat().st_mtime_ns for path in stores[0].rglob("*") if path.is_file()} == marks
    source.write_bytes((shared_data / "co2_column_packed.nc").read_bytes())
    second = ingest_file(source, data)
    assert second.href != first.href
    assert not (data / "datasets").exists()
    with pytest.raises(DatasetError, match="does not exist"):
        ingest_file(tmp_path / "none.grib", data)
