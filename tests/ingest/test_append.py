"""Halves published one after the other equal the whole, and what does not fit is refused with one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import BusyError, DatasetError
from plugins.datacube.ingest.publish import publish
from plugins.datacube.ingest.repository import exclusive

DEFINITION = DatasetDefinition(id="x", href="", title="First title")


def write(
    path: Path,
    days: list[float],
    values: np.ndarray | None = None,
    *,
    units: str = "days since 2001-01-01",
    calendar: str = "standard",
    time_type: str = "f8",
    name: str = "v",
    unit: str = "K",
    lats: tuple[float, ...] = (10.0, 20.0, 30.0),
    packing: tuple[float, float] | None = None,
    bounds: bool = True,
) -> Path:
    """Write a small file whose values count up from the first day, so that any mix-up shows."""
    with netCDF4.Dataset(path, "w", format="NETCDF4") as dataset:
        dataset.createDimension("time", None)
        for dim, size in (("lat", len(lats)), ("lon", 4), ("bnds", 2)):
            dataset.createDimension(dim, size)
        time = dataset.createVariable("time", time_type, ("time",))
        time.setncatts({"units": units, "calendar": calendar, "standard_name": "time"})
        time[:] = np.array(days).astype(time_type)
        if bounds:
            time.bounds = "time_bnds"
            edges = dataset.createVariable("time_bnds", "f8", ("time", "bnds"))
            edges[:] = np.stack([np.array(days) - 0.5, np.array(days) + 0.5], axis=1)
        for dim, cf_unit, axis in (("lat", "degrees_north", lats), ("lon", "degrees_east", (0.0, 1.0, 2.0, 3.0))):
            variable = dataset.createVariable(dim, "f8", (dim,))
            variable.units = cf_unit
            variable[:] = axis
        dims = ("time", "lat", "lon")
        if packing is None:
            data = dataset.createVariable(name, "f4", dims)
        else:
            data = dataset.createVariable(name, "i2", dims, fill_value=np.int16(-9999))
            data.scale_factor, data.add_offset = packing
        data.units = unit
        size = len(days) * len(lats) * 4
        data[:] = np.arange(size).reshape(len(days), len(lats), 4) + days[0] * 100 if values is None else values
    return path


def test_two_halves_equal_the_whole(shared_data: Path, tmp_path: Path, published: Callable[..., xr.Dataset]) -> None:
    source = shared_data / "hadcm3_a1b_360_day.nc"
    halves = [tmp_path / "a.nc", tmp_path / "b.nc"]
    with xr.open_dataset(source, engine="netcdf4", decode_cf=False) as whole:
        # 97 is no multiple of a chunk: the second half begins in the middle of one.
        whole.isel(time=slice(0, 97)).to_netcdf(halves[0], engine="netcdf4")
        whole.isel(time=slice(97, None)).to_netcdf(halves[1], engine="netcdf4")
    first = publish([halves[0]], DEFINITION, tmp_path)
    second = publish([halves[1]], DatasetDefinition(id="x", href="", description="More"), tmp_path)
    assert (first.created, second.created) == (True, False)
    assert (first.added_times, second.added_times) == (97, 143)
    assert first.snapshot != second.snapshot
    with xr.open_dataset(source, engine="netcdf4") as wanted:
        got = published(tmp_path, "x")
        for name in wanted.variables:
            np.testing.assert_array_equal(got[name].values, wanted[name].values)
    # What was said first is kept, what is said later is added.
    text = (tmp_path / "datasets" / "x" / "dataset.json").read_text()
    assert "First title" in text
    assert "More" in text


def test_files_given_in_any_order_are_laid_along_time(tmp_path: Path, published: Callable[..., xr.Dataset]) -> None:
    files = [write(tmp_path / f"{day}.nc", [day, day + 0.5]) for day in (4.0, 0.0, 2.0)]
    report = publish(files, DEFINITION, tmp_path)
    assert report.added_times == 6
    got = published(tmp_path, "x")
    for index, path in enumerate(sorted(files)):
        with xr.open_dataset(path, engine="netcdf4") as wanted:
            mine = slice(2 * index, 2 * index + 2)
            np.testing.assert_array_equal(got["time"].values[mine], wanted["time"].values)
            np.testing.assert_array_equal(got["v"].values[mine], wanted["v"].values)


def test_a_history_of_single_times_grows_past_a_chunk(tmp_path: Path, published: Callable[..., xr.Dataset]) -> None:
    # A collection that began with one time has chunks of 24.
    for day in (0, 1, 23, 24, 25, 48, 49):
        publish([write(tmp_path / f"{day}.nc", [float(day)])], DEFINITION, tmp_path)
        if day == 1:
            publish([write(tmp_path / "more.nc", [2.0 + n for n in range(21)])], DEFINITION, tmp_path)
        if day == 25:
            publish([write(tmp_path / "rest.nc", [26.0 + n for n in range(22)])], DEFINITION, tmp_path)
    got = published(tmp_path, "x")
    assert got.sizes["time"] == 50
    for day in (0, 1, 2, 23, 24, 25, 26, 48, 49):
        np.testing.assert_array_equal(got["v"].values[day].ravel(), np.arange(12) + day * 100)


@pytest.mark.parametrize("time_type", ["i4", "f8", "i8"])
def test_times_in_other_units_are_written_exactly_in_the_first_ones(
    time_type: str, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    first = write(tmp_path / "a.nc", [0, 6, 12], units="hours since 2000-01-01", time_type=time_type)
    publish([first], DEFINITION, tmp_path)
    publish([write(tmp_path / "b.nc", [0.25, 0.5], units="days since 2001-01-01")], DEFINITION, tmp_path)
    got = published(tmp_path, "x")
    wanted = ["2000-01-01T00", "2000-01-01T06", "2000-01-01T12", "2001-01-01T06", "2001-01-01T12"]
    np.testing.assert_array_equal(got["time"].values, np.array(wanted, "datetime64[ns]"))
    stored = published(tmp_path, "x", decode=False)
    assert stored["time"].attrs["units"] == "hours since 2000-01-01"
    # Bounds have no units of their own: those of their axis hold, in each file.
    hours_in_2001 = 366 * 24
    np.testing.assert_array_equal(
        stored["time_bnds"].values[3:], hours_in_2001 + 24 * np.array([[-0.25, 0.75], [0.0, 1.0]])
    )


def test_times_that_cannot_be_written_exactly_are_refused(tmp_path: Path) -> None:
    publish([write(tmp_path / "a.nc", [0, 1], units="hours since 2000-01-01", time_type="i4")], DEFINITION, tmp_path)
    later = write(tmp_path / "b.nc", [1000.5], units="hours since 2000-01-01", time_type="f8")
    with pytest.raises(DatasetError, match="cannot be written exactly in 'hours since 2000-01-01'"):
        publish([later], DEFINITION, tmp_path)


def test_a_360_day_calendar_keeps_its_own_dates(tmp_path: Path, published: Callable[..., xr.Dataset]) -> None:
    publish([write(tmp_path / "a.nc", [58.0, 59.0], calendar="360_day")], DEFINITION, tmp_path)
    publish(
        [write(tmp_path / "b.nc", [24.0], units="hours since 2001-02-30", calendar="360_day")], DEFINITION, tmp_path
    )
    got = published(tmp_path, "x")["time"].values
    assert got[1] == cftime.Datetime360Day(2001, 2, 30)
    assert got[2] == cftime.Datetime360Day(2001, 3, 1)


def test_files_packed_in_different_ways_are_unpacked_exactly(
    tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    values = np.linspace(250, 300, 24).reshape(2, 3, 4)
    holes = np.ma.masked_array(values, np.arange(24).reshape(2, 3, 4) % 7 == 0)
    files = [
        write(tmp_path / "a.nc", [0, 1], holes, packing=(0.002, 275.0)),
        write(tmp_path / "b.nc", [2, 3], holes + 1, packing=(0.003, 276.0)),
    ]
    publish(files, DEFINITION, tmp_path)
    got = published(tmp_path, "x")["v"]
    for index, path in enumerate(files):
        with xr.open_dataset(path, engine="netcdf4") as wanted:
            np.testing.assert_array_equal(got.values[2 * index : 2 * index + 2], wanted["v"].values)
    third = write(tmp_path / "c.nc", [4], values[:1], packing=(0.001, 270.0))
    publish([third], DEFINITION, tmp_path)
    with xr.open_dataset(third, engine="netcdf4") as wanted:
        np.testing.assert_array_equal(published(tmp_path, "x")["v"].values[4:], wanted["v"].values)


MISMATCHES = {
    "another variable": ({"name": "w"}, "has no variable v"),
    "other units": ({"unit": "degC"}, "the units of v are 'degC', not 'K'"),
    "another grid": ({"lats": (10.0, 20.0, 31.0)}, "the values of lat are not those of"),
    "another size": ({"lats": (10.0, 20.0)}, "its lat has 2 values, not 3"),
    "another calendar": ({"calendar": "noleap"}, "calendar is 365_day, not standard"),
    "packed where the first is not": ({"bounds": False}, "has no variable time_bnds"),
    "a published time": ({"days": [1.0, 5.0]}, r"the time 2001-01-02T00:00:00Z of b.nc is in the collection already"),
    "an earlier time": ({"days": [0.5, 5.0]}, r"begins at 2001-01-01T12:00:00Z, before the collection ends"),
    "a time twice": ({"days": [4.0, 5.0, 5.0]}, r"the time 2001-01-06T00:00:00Z is given twice"),
    "backwards": ({"days": [6.0, 5.0]}, r"the time 2001-01-06T00:00:00Z comes after a later time"),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    case: str, tmp_path: Path, published: Callable[..., xr.Dataset]
) -> None:
    changes, sentence = MISMATCHES[case]
    options = {"days": [4.0, 5.0], **changes}
    first = publish([write(tmp_path / "a.nc", [0.0, 1.0])], DEFINITION, tmp_path)
    with pytest.raises(DatasetError, match=sentence) as caught:
        publish([write(tmp_path / "b.nc", **options)], DEFINITION, tmp_path)
    assert "\n" not in caught.value.detail
    assert str(tmp_path) not in caught.value.detail
    assert published(tmp_path, "x").sizes["time"] == 2
    again = publish([write(tmp_path / "c.nc", [7.0])], DEFINITION, tmp_path)
    assert again.snapshot != first.snapshot
    assert published(tmp_path, "x").sizes["time"] == 3


def test_overlapping_files_name_the_first_common_time(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.nc", [0.0, 1.0, 2.0]), write(tmp_path / "b.nc", [1.0, 2.0, 3.0])]
    with pytest.raises(DatasetError, match=r"2001-01-02T00:00:00Z is both in a\.nc and in b\.nc"):
        publish(files, DEFINITION, tmp_path)
    assert not (tmp_path / "datasets" / "x").exists()
    interleaved = [files[0], write(tmp_path / "c.nc", [0.5, 1.5])]
    with pytest.raises(DatasetError, match="interleave"):
        publish(interleaved, DEFINITION, tmp_path)


def test_a_file_without_time_cannot_be_continued(tmp_path: Path) -> None:
    import iris_sample_data

    source = Path(iris_sample_data.path) / "orca2_votemper.nc"
    publish([source], DEFINITION, tmp_path)
    copy = shutil.copy(source, tmp_path / "copy.nc")
    with pytest.raises(DatasetError, match="no time axis"):
        publish([copy], DEFINITION, tmp_path)


def test_two_writers_exclude_each_other(tmp_path: Path) -> None:
    source = write(tmp_path / "a.nc", [0.0])
    with exclusive(tmp_path / "datasets" / "x"), pytest.raises(BusyError, match="another process is publishing to x"):
        publish([source], DEFINITION, tmp_path)
    assert publish([source], DEFINITION, tmp_path).added_times == 1
