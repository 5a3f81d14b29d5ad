"""A published NetCDF file decodes to what xarray makes of the file itself, and its stored numbers are unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.ingest.publish import publish
from plugins.datacube.library import Library

FILES = (
    "co2_column_packed.nc",
    "hadcm3_a1b_360_day.nc",
    "coads_monthly.nc",
    "era5_expver_strings.nc",
    "cesm_point_members_noleap.nc",
    "osgb_tmean_1910.nc",
    "rotated_pole_precipitation.nc",
)


def original(path: Path, **options: object) -> xr.Dataset:
    return xr.open_dataset(path, engine="netcdf4", **options)


@pytest.mark.parametrize("name", FILES)
def test_decodes_to_what_the_file_decodes_to_and_stores_the_same_bits(
    name: str, shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    report = publish([shared_data / name], DatasetDefinition(id="x", href=""), tmp_path)
    with original(shared_data / name, decode_timedelta=False) as wanted:
        got = published(tmp_path, "x")
        # A grid mapping stored as a character has no value; text is text whichever way it is stored.
        ours = {v for v in wanted.variables if wanted[v].dtype.kind not in "SOUT" or wanted[v].ndim}
        assert set(got.variables) == set(wanted.variables)
        assert set(got.coords) == set(wanted.coords)
        for variable in ours:
            assert got[variable].dims == wanted[variable].dims
            if wanted[variable].dtype.kind in "OUT" and isinstance(wanted[variable].values.flat[0], str):
                assert got[variable].values.tolist() == wanted[variable].values.tolist()
                continue
            assert got[variable].dtype == wanted[variable].dtype
            np.testing.assert_array_equal(got[variable].values, wanted[variable].values)
            assert got[variable].attrs.get("units") == wanted[variable].attrs.get("units")
            assert got[variable].attrs.get("standard_name") == wanted[variable].attrs.get("standard_name")
            assert got[variable].attrs.get("cell_methods") == wanted[variable].attrs.get("cell_methods")
        assert got.attrs.get("Conventions") == wanted.attrs.get("Conventions")
        if "time" in wanted.dims:
            assert report.added_times == wanted.sizes["time"]
    with original(shared_data / name, decode_cf=False) as stored:
        got = published(tmp_path, "x", decode=False)
        for variable in stored.variables:
            if stored[variable].dtype.kind in "iuf":
                assert got[variable].dtype == stored[variable].dtype
                assert got[variable].values.tobytes() == stored[variable].values.tobytes()


def test_packed_integers_stay_packed_with_their_fill_value(
    shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    publish([shared_data / "co2_column_packed.nc"], DatasetDefinition(id="x", href=""), tmp_path)
    stored = published(tmp_path, "x", decode=False)["tcco2"]
    assert stored.dtype == np.int16
    assert stored.attrs["scale_factor"] == 0.0013179950193703076
    assert stored.attrs["_FillValue"] == -32767


def test_every_chunk_is_written_checksummed_and_coordinates_are_one_chunk(shared_data: Path, tmp_path: Path) -> None:
    import icechunk

    publish([shared_data / "hadcm3_a1b_360_day.nc"], DatasetDefinition(id="x", href=""), tmp_path)
    storage = icechunk.local_filesystem_storage(str(tmp_path / "datasets" / "x" / "store"))
    group = zarr.open_group(icechunk.Repository.open(storage).readonly_session("main").store, mode="r")
    for name, array in group.arrays():
        codecs = [codec["name"] for codec in array.metadata.to_dict()["codecs"]]
        assert codecs[-1] == "crc32c", name
        assert array.nchunks_initialized == array.nchunks
        assert len(array.metadata.dimension_names or ()) == array.ndim
        if name != "air_temperature":
            assert array.nchunks == 1
    assert group["time_bnds"].shape == (240, 2)


def test_it_is_listed_only_when_complete_and_carries_what_people_said(shared_data: Path, tmp_path: Path) -> None:
    definition = DatasetDefinition(id="air", href="", title="Air", licence="OGL-UK-3.0", keywords=("a", "b"))
    seen: list[bool] = []
    fractions: list[float] = []

    def progress(fraction: float, text: str) -> None:
        fractions.append(fraction)
        if fraction < 1:
            seen.append((tmp_path / "datasets" / "air" / "dataset.json").exists())
        assert text

    report = publish([shared_data / "hadcm3_a1b_360_day.nc"], definition, tmp_path, progress)
    assert seen
    assert not any(seen)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert json.loads((tmp_path / "datasets" / "air" / "dataset.json").read_text())["title"] == "Air"
    opened = Library([], tmp_path / "datasets").get("air")
    assert opened.cube.title == "Air"
    assert opened.cube.definition.keywords == ("a", "b")
    assert opened.cube.snapshot == report.snapshot
    assert report.parameters == ("air_temperature",)
    assert (report.first_time, report.last_time) == ("1860-06-01T00:00:00Z", "2099-06-01T00:00:00Z")


def test_grids_that_cannot_be_queried_are_published_with_the_reason(shared_data: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.nc"
    with xr.open_dataset(shared_data / "osgb_tmean_1910.nc", engine="netcdf4", decode_cf=False) as grid:
        for axis in ("x", "y"):
            grid[axis].attrs["standard_name"] = f"projection_{axis}_coordinate"
        grid["tmean"].attrs = {"units": "degC"}
        grid[["tmean", "x", "y", "time"]].drop_vars(["lat", "lon"], errors="ignore").to_netcdf(bare, engine="netcdf4")
    report = publish([bare], DatasetDefinition(id="uk", href=""), tmp_path)
    assert report.unsupported is not None
    assert "of which CRS" in report.unsupported
    assert Library([], tmp_path / "datasets").get("uk").cube.unsupported == report.unsupported


def test_characters_are_text_and_ragged_types_are_left_out_with_a_note(
    tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    import netCDF4

    path = tmp_path / "odd.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in (("lat", 3), ("lon", 4), ("letters", 5)):
            dataset.createDimension(name, size)
        for name, units in (("lat", "degrees_north"), ("lon", "degrees_east")):
            variable = dataset.createVariable(name, "f8", (name,))
            variable.units = units
            variable[:] = np.arange(variable.size)
        dataset.createVariable("station", "S1", ("lat", "letters"))[:] = netCDF4.stringtochar(
            np.array([b"north", b"mid", b"south"], "S5")
        )
        dataset.createVariable("ragged", dataset.createVLType("i4", "list"), ("lat",))
        data = dataset.createVariable("v", np.dtype(">f4"), ("lat", "lon"), endian="big")
        data.setncattr("valid_range", np.array([np.nan, np.inf], "f4"))
        data.setncattr("missing_value", np.float32("nan"))
        data[:] = np.arange(12).reshape(3, 4)
    report = publish([path], DatasetDefinition(id="odd", href=""), tmp_path)
    got = published(tmp_path, "odd")
    assert got["station"].values.tolist() == ["north", "mid", "south"]
    assert "ragged" not in got.variables
    assert any("ragged" in note for note in report.notes)
    np.testing.assert_array_equal(got["v"].values, np.arange(12, dtype="f4").reshape(3, 4))
    assert got["v"].attrs["valid_range"] == ["NaN", "Infinity"]
