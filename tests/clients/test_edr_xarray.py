"""Does `xarray.open_dataset(url, engine="edr")`, the EDR backend of xarray, read the right numbers?

edr-xarray 0.1 reads the grids of cube queries. What it cannot know of a server it does not read right from anyone:
members and steps (they are several coverages), cells without rows and columns, times that are given as
``Rn/start/period``, the times of an instance (it takes those of the collection; the address of the instance itself is
opened instead), and a range of columns or rows where latitudes fall. ``datetime`` and ``z`` choose what is fetched, and
not the coordinates that it shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import httpx
import numpy as np
import pytest
import xarray as xr
from edr_xarray.backend import EdrBackendEntrypoint

BOX = (-15, -15, 30, 15)
"""Four columns, three rows."""
XS, YS = [-15.0, 0.0, 15.0, 30.0], [15.0, 0.0, -15.0]
TIMES = np.arange("2020-01-01T00", "2020-01-02T00", 6, dtype="M8[h]")


@pytest.fixture
def opened(site: Any) -> Iterator[Any]:
    """Open a collection.

    The engine is given as its class: by name, xarray imports every engine that is installed, and that of cfgrib brings
    ecCodes into a process that has another PROJ already.
    """
    with httpx.Client() as session:

        def opening(collection: str, **options: Any) -> Any:
            return xr.open_dataset(site.collection(collection), engine=EdrBackendEntrypoint, session=session, **options)

        yield opening


def test_the_engine_has_its_name() -> None:
    (found,) = entry_points(group="xarray.backends", name="edr")
    assert found.load() is EdrBackendEntrypoint


def test_a_whole_collection(opened: Any, truth: Any) -> None:
    found = opened("surface")
    assert list(found.data_vars) == ["t2m", "tp"]
    assert found.sizes == {"t": 4, "y": 11, "x": 24}
    assert np.array_equal(found["t"], TIMES)
    for name in ("t2m", "tp"):
        wanted = truth.at(
            "surface", name, t=found["t"].values[:, None, None], y=found["y"].values[:, None], x=found["x"]
        )
        assert wanted.shape == found[name].shape
        np.testing.assert_array_equal(found[name].values, wanted)


def test_what_a_parameter_is(opened: Any) -> None:
    found = opened("surface", bbox=BOX)
    assert found["t2m"].attrs == {
        "units": "K", "long_name": "air_temperature", "cell_methods": "mean",
        "standard_name": "http://vocab.nerc.ac.uk/standard_name/air_temperature/",
    }  # fmt: skip
    assert found["tp"].attrs["cell_methods"] == "sum"


def test_a_box_and_one_parameter(opened: Any, truth: Any) -> None:
    found = opened("surface", bbox=BOX, parameter_names=["tp"])
    assert list(found.data_vars) == ["tp"]
    assert (found["x"].values.tolist(), found["y"].values.tolist()) == (XS, YS)
    wanted = truth.at("surface", "tp", t=TIMES[:, None, None], y=np.array(YS)[:, None], x=XS)
    assert np.array_equal(found["tp"].values, wanted)


def test_parts_are_fetched_by_index_and_by_coordinate(opened: Any, truth: Any) -> None:
    found = opened("levels", bbox=BOX)["ta"]
    assert found.dims == ("t", "z", "y", "x")
    assert found["z"].values.tolist() == [1000, 850, 500]
    assert found["y"].values.tolist() == YS[::-1]
    places = {"y": np.array(YS[::-1])[:, None], "x": np.array(XS)}
    assert np.array_equal(
        found.sel(t="2020-01-01T12", z=850).values, truth.at("levels", "ta", t=TIMES[2], z=850, **places)
    )
    assert np.array_equal(
        found.isel(t=slice(1, 3), z=2).values,
        truth.at("levels", "ta", t=TIMES[1:3, None, None], z=500, **places),
    )
    part = found.sel(x=slice(0, 15), y=slice(-15, 0), z=slice(1000, 850))
    wanted = truth.at(
        "levels", "ta", t=TIMES[:, None, None, None], z=np.array([1000, 850])[:, None, None],
        y=np.array([-15, 0])[:, None], x=[0, 15],
    )  # fmt: skip
    assert np.array_equal(part.values, wanted)
    assert found.isel(t=3, z=0, y=1, x=2).item() == truth.at("levels", "ta", t=TIMES[3], z=1000, y=0, x=15)


def test_parts_of_rows_from_north_to_south(opened: Any, truth: Any) -> None:
    found = opened("surface", bbox=BOX)["tp"]
    assert found["y"].values.tolist() == YS
    wanted = truth.at("surface", "tp", t=TIMES[1:3, None, None], y=np.array(YS)[:, None], x=XS)
    assert np.array_equal(found.isel(t=slice(1, 3)).values, wanted)
    assert found.isel(t=3, y=0, x=3).item() == truth.at("surface", "tp", t=TIMES[3], y=YS[0], x=XS[3])


def test_a_time_and_a_level_that_are_chosen_in_advance(opened: Any, truth: Any) -> None:
    places = {"y": np.array(YS[::-1])[:, None], "x": np.array(XS)}
    found = opened("levels", bbox=BOX, datetime="2020-01-01T06:00:00Z/2020-01-01T12:00:00Z", z="850/500")
    wanted = truth.at("levels", "ta", t=TIMES[1:3, None, None, None], z=np.array([850, 500])[:, None, None], **places)
    assert np.array_equal(found["ta"].values, wanted)
    found = opened("levels", bbox=BOX, datetime="2020-01-01T06:00:00Z", z=500)
    assert np.array_equal(found["ta"].values, truth.at("levels", "ta", t=TIMES[1], z=500, **places)[None, None])


def test_a_reference_system_of_the_list(opened: Any, truth: Any) -> None:
    found = opened("surface", bbox=BOX, crs="EPSG:4326", parameter_names=["t2m"])
    wanted = truth.at("surface", "t2m", t=TIMES[:, None, None], y=np.array(YS)[:, None], x=XS)
    assert np.array_equal(found["t2m"].values, wanted)


def test_a_projected_grid(opened: Any, truth: Any) -> None:
    found = opened("projected")["t2m"]
    assert np.array_equal(found["x"], truth["projected"]["easting"])
    assert np.array_equal(found["y"], truth["projected"]["northing"])
    assert np.array_equal(found.values, truth["projected"]["t2m"].values)


@pytest.mark.parametrize("number", [0, 1])
def test_each_run_by_its_address(opened: Any, truth: Any, number: int) -> None:
    run = truth["forecasts"]["reference"].values[number]
    found = opened(f"forecasts/instances/{np.datetime_as_string(run, 's')}Z", bbox=BOX)["t2m"]
    assert np.array_equal(found["t"], run + np.array([0, 6, 12], "m8[h]"))
    wanted = truth["forecasts"]["t2m"].isel(reference=number).sel(lat=YS, lon=np.array(XS) % 360)
    assert np.array_equal(found.values, wanted)
    assert np.array_equal(found.isel(t=2, y=0).values, wanted[2, 0])


def test_a_run_by_its_name(opened: Any, truth: Any) -> None:
    """The times that it shows are those of the collection: of the run it has asked for one that both have."""
    found = opened("forecasts", instance="2020-01-01T00:00:00Z", bbox=BOX)["t2m"]
    wanted = truth["forecasts"]["t2m"].isel(reference=0, step=0).sel(lat=YS, lon=np.array(XS) % 360)
    assert np.array_equal(found.isel(t=0).values, wanted)
