"""A forecast run is the same data under times of validity; what is no forecast has no runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.datacube import instances
from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.cancel import Cancel
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError, UnknownError, UnsupportedDatasetError
from plugins.datacube.ingest.publish import publish
from plugins.datacube.instances import Runs, find_instance, run, run_named, runs_of, states_of, valid_times
from plugins.datacube.library import Library, OpenDatacube, datacube_at, open_datacube
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import plan_query
from plugins.datacube.read import read

LATS, LONS = np.array([10.0, 0.0, -10.0]), np.array([0.0, 10.0, 20.0, 30.0])
HOURS, STEPS = np.array([0, 12, 24]), np.array([0, 3, 9])
REFERENCE = {"units": "hours since 2024-06-03", "standard_name": "forecast_reference_time"}
PERIOD = {"units": "hours", "standard_name": "forecast_period"}


def truth(hour: Any, step: Any, lat: Any, lon: Any) -> Any:
    return np.asarray(hour) * 1e4 + np.asarray(step) * 1e3 + np.asarray(lat) + np.asarray(lon) / 100


def forecast(path: Path, **changes: Any) -> OpenDatacube:
    """Write a forecast of 3 runs by 3 steps; `changes` replace the values and attributes of a coordinate."""
    group = zarr.create_group(path)
    coordinates: dict[str, tuple[Any, dict[str, Any]]] = {
        "time": (HOURS, REFERENCE),
        "step": (STEPS, PERIOD),
        "lat": (LATS, {"units": "degrees_north"}),
        "lon": (LONS, {"units": "degrees_east"}),
    }
    for name, (values, attributes) in {**coordinates, **changes}.items():
        array = group.create_array(name, data=np.asarray(values), dimension_names=[name])
        array.update_attributes(attributes)
    values = truth(*np.meshgrid(HOURS, STEPS, LATS, LONS, indexing="ij"))
    array = group.create_array("t2m", data=values, dimension_names=["time", "step", "lat", "lon"], chunks=(2, 2, 2, 2))
    array.update_attributes({"units": "K"})
    still = group.create_array("z", data=values[0, 0], dimension_names=["lat", "lon"])
    still.update_attributes({"units": "m"})
    return open_datacube(DatasetDefinition("fc", str(path)))


def answer(opened: OpenDatacube, kind: str, **texts: str) -> Any:
    query = parse_query(kind, {name.replace("_", "-"): text for name, text in texts.items()}, opened.cube)
    return read(opened, plan_query(opened.cube, query), Cancel())


def times(opened: OpenDatacube) -> list[str]:
    axis = opened.cube.axis(AxisKind.T)
    return [] if axis is None else axis.texts()


@pytest.fixture
def opened(tmp_path: Path) -> OpenDatacube:
    return forecast(tmp_path / "fc.zarr")


def test_the_runs_are_the_reference_times(opened: OpenDatacube) -> None:
    runs = runs_of(opened.cube)
    assert runs is not None
    assert runs.newest_first == ("2024-06-04T00:00:00Z", "2024-06-03T12:00:00Z", "2024-06-03T00:00:00Z")


def test_a_run_has_times_of_validity_and_no_steps(opened: OpenDatacube) -> None:
    view = find_instance(opened, "2024-06-03T12:00:00Z").opened
    assert times(view) == ["2024-06-03T12:00:00Z", "2024-06-03T15:00:00Z", "2024-06-03T21:00:00Z"]
    assert not view.cube.custom_axes
    assert (view.cube.extent.start, view.cube.extent.end) == ("2024-06-03T12:00:00Z", "2024-06-03T21:00:00Z")
    assert view.cube.fixed == {"time": 1}
    # The collection itself is as it was.
    assert [axis.name for axis in opened.cube.custom_axes] == ["step"]
    assert times(opened)[1] == "2024-06-03T12:00:00Z"


def test_a_run_is_described_once_and_kept_for_a_while(
    opened: OpenDatacube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "VIEWS_KEPT", 1)
    view = find_instance(opened, "latest").opened
    assert find_instance(opened, "20240604T00Z").opened is view
    other = forecast(tmp_path / "other.zarr")
    assert find_instance(other, "latest").opened is not view
    assert find_instance(opened, "latest").opened is not view


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("cube", {"bbox": "-1,-10,31,10"}),
        ("area", {"coords": "POLYGON((-1 -11,31 -11,31 11,-1 11,-1 -11))"}),
        ("radius", {"coords": "POINT(10 0)", "within": "1200", "within_units": "km"}),
        ("corridor", {"coords": "LINESTRING(0 0,30 0)", "corridor_width": "3000", "width_units": "km"}),
        ("position", {"coords": "POINT(9 1)"}),
        ("trajectory", {"coords": "LINESTRING(0 0,30 0)"}),
    ],
)
def test_every_query_reads_its_own_run(opened: OpenDatacube, number: int, kind: str, where: dict[str, str]) -> None:
    runs = runs_of(opened.cube)
    assert runs is not None
    view = run(opened, runs, runs.ids[number])
    start = np.datetime64("2024-06-03", "us") + np.timedelta64(int(HOURS[number]), "h")
    seen = 0
    for coverage in answer(view, kind, parameter_name="t2m", **where):
        axes: dict[Any, Any] = {}
        for position, axis in enumerate(coverage.axes):
            for one in axis.components or (axis,):
                axes[one.kind] = np.expand_dims(one.values, [n for n in range(len(coverage.axes)) if n != position])
        steps = (axes[AxisKind.T].astype("datetime64[us]") - start) / np.timedelta64(1, "h")
        values = np.ma.filled(np.ma.asarray(coverage.ranges["t2m"]).astype("f8"), np.nan)
        wanted = np.broadcast_to(truth(HOURS[number], steps, axes[AxisKind.Y], axes[AxisKind.X]), values.shape)
        there = np.isfinite(values)
        np.testing.assert_array_equal(values[there], wanted[there])
        seen += int(there.sum())
    assert seen >= 3


def test_times_of_validity_can_be_chosen(opened: OpenDatacube) -> None:
    view = find_instance(opened, "latest").opened
    (coverage,) = answer(view, "position", coords="POINT(0 0)", parameter_name="t2m", datetime="2024-06-04T03:00:00Z")
    assert coverage.ranges["t2m"].item() == truth(24, 3, 0, 0)


def test_what_does_not_change_with_the_run_is_of_the_collection(opened: OpenDatacube) -> None:
    assert set(find_instance(opened, "latest").opened.cube.parameters) == {"t2m"}
    (coverage,) = answer(opened, "position", coords="POINT(10 -10)", parameter_name="z")
    assert coverage.ranges["z"].item() == truth(0, 0, -10, 10)


@pytest.mark.parametrize(
    "text",
    [
        "2024-06-03T12:00:00Z", "20240603T120000Z", "20240603T1200Z", "20240603T12Z", "2024-06-03T12Z", "20240603T12",
        "2024-06-03T12:00", "2024-06-03T12:00:00.000Z",
    ],
)  # fmt: skip
def test_both_formats_of_iso_8601_name_a_run(opened: OpenDatacube, text: str) -> None:
    assert find_instance(opened, text).id == "2024-06-03T12:00:00Z"


@pytest.mark.parametrize(
    "text",
    ["2024-06-03", "2024", "20240603", "2024-06-03T06:00:00Z", "2024-06-03T14:00:00+02:00", "", "none", "T12", "1e9"],
)
def test_what_names_no_run_is_unknown_in_words(opened: OpenDatacube, text: str) -> None:
    with pytest.raises(UnknownError, match=r"'latest' and the forecast runs 2024-06-04T00:00:00Z, "):
        find_instance(opened, text)


def test_latest_is_the_newest_run_in_whatever_order_they_are_stored(tmp_path: Path) -> None:
    falling = forecast(tmp_path / "falling.zarr", time=(HOURS[::-1].copy(), REFERENCE))
    found = find_instance(falling, "latest")
    assert found.id == "2024-06-04T00:00:00Z"
    assert found.opened.cube.fixed == {"time": 0}


@pytest.mark.parametrize(
    ("unit", "factor"), [("minutes", 60), ("s", 3600), ("days", 1 / 24), ("nanoseconds", 3.6e12), ("h", 1)]
)
def test_steps_in_other_units(tmp_path: Path, unit: str, factor: float) -> None:
    steps = STEPS * factor
    view = find_instance(forecast(tmp_path / "fc.zarr", step=(steps, {**PERIOD, "units": unit})), "latest").opened
    assert times(view) == ["2024-06-04T00:00:00Z", "2024-06-04T03:00:00Z", "2024-06-04T09:00:00Z"]


@pytest.mark.parametrize(
    "changes",
    [
        {"step": (STEPS, {"standard_name": "forecast_period"})},
        {"step": (STEPS, {**PERIOD, "units": "months"})},
        {"step": (STEPS, {"units": "hours", "standard_name": "realization"})},
        {"time": (HOURS, {**REFERENCE, "standard_name": "time"})},
    ],
    ids=["no unit", "no fixed length", "no step", "no reference time"],
)
def test_what_could_be_something_else_has_no_runs(tmp_path: Path, changes: Any) -> None:
    opened = forecast(tmp_path / "fc.zarr", **changes)
    assert runs_of(opened.cube) is None
    with pytest.raises(UnknownError, match="'fc' has no instances: it has no axis of forecast reference times, and"):
        find_instance(opened, "latest")


def test_the_mark_of_cfgrib_is_known(tmp_path: Path) -> None:
    marks = {**REFERENCE, "standard_name": "time", "long_name": "initial time of forecast"}
    assert runs_of(forecast(tmp_path / "fc.zarr", time=(HOURS, marks)).cube) is not None


def test_steps_out_of_order_are_refused_with_the_reason(tmp_path: Path) -> None:
    view = find_instance(forecast(tmp_path / "fc.zarr", step=(np.array([0, 9, 3]), PERIOD)), "latest").opened
    assert view.cube.unsupported is not None
    with pytest.raises(UnsupportedDatasetError, match="neither rise nor fall"):
        answer(view, "position", coords="POINT(0 0)")


def test_dates_of_other_calendars(tmp_path: Path) -> None:
    marks = {**REFERENCE, "units": "hours since 2024-02-30", "calendar": "360_day"}
    opened = forecast(tmp_path / "fc.zarr", time=(HOURS, marks))
    assert find_instance(opened, "20240230T12Z").id == "2024-02-30T12:00:00Z"
    assert times(find_instance(opened, "latest").opened)[0] == "2024-03-01T00:00:00Z"


def test_runs_beside_an_axis_of_valid_times(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "both.zarr")
    for name, values, marks in (
        ("init", HOURS[:2], {**REFERENCE}),
        ("time", np.array([12, 15, 18]), {"units": "hours since 2024-06-03", "standard_name": "time"}),
        ("lat", LATS, {"units": "degrees_north"}),
        ("lon", LONS, {"units": "degrees_east"}),
    ):
        group.create_array(name, data=values, dimension_names=[name]).update_attributes(marks)
    values = np.arange(2 * 3 * 3 * 4, dtype="f4").reshape(2, 3, 3, 4)
    group.create_array("t2m", data=values, dimension_names=["init", "time", "lat", "lon"])
    opened = open_datacube(DatasetDefinition("both", str(tmp_path / "both.zarr")))
    view = find_instance(opened, "2024-06-03T12Z").opened
    assert times(view) == ["2024-06-03T12:00:00Z", "2024-06-03T15:00:00Z", "2024-06-03T18:00:00Z"]
    (coverage,) = answer(view, "cube", bbox="-1,-10,31,10")
    order = [[AxisKind.T, AxisKind.Y, AxisKind.X].index(axis.kind) for axis in coverage.axes]
    assert np.asarray(coverage.ranges["t2m"]).shape == tuple((3, 3, 4)[n] for n in order)
    lat = next(axis for axis in coverage.axes if axis.kind is AxisKind.Y)
    rows = [LATS.tolist().index(value) for value in lat.values]
    np.testing.assert_array_equal(coverage.ranges["t2m"], values[1][:, rows])


moments = st.integers(-(2**40), 2**40).map(lambda seconds: seconds * 1_000_000)


@given(
    reference=moments,
    steps=st.lists(st.integers(0, 10_000), min_size=1, max_size=20, unique=True).map(sorted),
    unit=st.sampled_from([("hours", "h"), ("minutes", "m"), ("seconds", "s"), ("days", "D")]),
    kind=st.sampled_from(["i4", "i8", "f4", "f8"]),
)
@settings(deadline=None)
def test_valid_time_is_reference_and_step(reference: int, steps: list[int], unit: tuple[str, str], kind: str) -> None:
    period = Axis(AxisKind.CUSTOM, "step", np.array(steps, kind), units=unit[0])
    wanted = np.datetime64(reference, "us") + np.array(steps, f"timedelta64[{unit[1]}]")
    found = valid_times(period, reference, "proleptic_gregorian")
    np.testing.assert_array_equal(found.values.astype("datetime64[us]"), wanted)


@given(st.text(max_size=40))
@settings(deadline=None, max_examples=200)
def test_no_text_is_a_run_but_its_own(text: str) -> None:
    found = run_named(Runs("time", "step", ("2024-06-03T00:00:00Z", "2024-06-03T12:00:00Z")), text)
    assert found is None or text == "latest" or text.replace("-", "").replace(":", "").startswith("20240603T")


# A real forecast ----------------------------------------------------------------------------------------------------

ORACLE = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import xarray as xr
ds = xr.open_dataset(sys.argv[1], engine="cfgrib", backend_kwargs={"indexpath": ""}, decode_timedelta=True)
np.savez(sys.argv[2], t=ds.t.transpose("time", "step", "isobaricInhPa", "latitude", "longitude").values,
         valid=ds.valid_time.transpose("time", "step").values.astype("M8[s]").astype("i8"),
         time=ds.time.values.astype("M8[s]").astype("i8"), level=ds.isobaricInhPa.values, lat=ds.latitude.values,
         lon=ds.longitude.values)
sys.stdout.flush()
os._exit(0)
"""


def test_the_runs_of_a_real_forecast_hold_what_xarray_reads(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "ifs_levels_time_step.grib"
    subprocess.run([sys.executable, "-c", ORACLE, str(source), str(tmp_path / "o.npz")], check=True, timeout=120)
    oracle = np.load(tmp_path / "o.npz")
    publish([source], DatasetDefinition("ifs", ""), tmp_path)
    opened = Library([], tmp_path / "datasets").get("ifs")
    runs = runs_of(opened.cube)
    assert runs is not None
    wanted_ids = [f"{text}Z" for text in oracle["time"].astype("M8[s]").astype(str).tolist()]
    assert list(runs.ids) == wanted_ids
    for number, run_id in enumerate(wanted_ids):
        view = find_instance(opened, run_id).opened
        assert times(view) == [f"{text}Z" for text in oracle["valid"][number].astype("M8[s]").astype(str).tolist()]
        (coverage,) = answer(view, "cube", bbox="0,-90,359,90", parameter_name="t")
        found = {axis.kind: axis.values for axis in coverage.axes}
        places = [
            [known.tolist().index(value) for value in found[kind].tolist()]
            for kind, known in ((AxisKind.Z, oracle["level"]), (AxisKind.Y, oracle["lat"]))
        ]
        columns = [oracle["lon"].tolist().index(value % 360) for value in found[AxisKind.X].tolist()]
        assert [axis.kind for axis in coverage.axes] == [AxisKind.T, AxisKind.Z, AxisKind.Y, AxisKind.X]
        np.testing.assert_array_equal(
            coverage.ranges["t"], oracle["t"][number][:, places[0]][:, :, places[1]][..., columns]
        )
    assert [state.message for state in states_of(opened)] == ["publish z, t, u, v, r, 4 times"]


def test_a_plain_store_keeps_no_states(opened: OpenDatacube) -> None:
    assert states_of(opened) == ()
    with pytest.raises(DatasetError, match="keeps no earlier states"):
        datacube_at(opened, "AAAAAAAAAAAAAAAAAAAA")
