"""A process reads the instance that it is asked for, and a job the state of the data that it was estimated on."""

from __future__ import annotations

from pathlib import Path

import icechunk
import numpy as np
import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError
from plugins.jobs.job import JobRequest, State
from plugins.jobs.runner import Runner
from plugins.jobs.store import JobStore
from plugins.processes.context import ProcessContext
from plugins.processes.registry import ENTRY, PRELOAD, execute, prepare

INPUTS = {"collection": "fc", "query": "position", "coords": "POINT(10 0)", "parameter-name": "t2m"}
RUNS = np.array(["2024-06-03T00", "2024-06-03T12"], "datetime64[ns]")


def forecast(offset: float) -> xr.Dataset:
    """Two runs of three steps; the values count up from `offset`."""
    values = np.arange(2 * 3 * 2 * 3, dtype="f4").reshape(2, 3, 2, 3) + offset
    return xr.Dataset(
        {"t2m": (("time", "step", "lat", "lon"), values.astype("f4"), {"units": "K"})},
        {
            "time": ("time", RUNS, {"standard_name": "forecast_reference_time"}),
            "step": ("step", [0, 6, 12], {"standard_name": "forecast_period", "units": "hours"}),
            "lat": ("lat", [10.0, 0.0], {"units": "degrees_north"}),
            "lon": ("lon", [0.0, 10.0, 20.0], {"units": "degrees_east"}),
        },
    )


def commit(path: Path, offset: float) -> str:
    repository = icechunk.Repository.open_or_create(icechunk.local_filesystem_storage(str(path)))
    session = repository.writable_session("main")
    forecast(offset).to_zarr(
        session.store, zarr_format=3, consolidated=False, mode="w", encoding={"time": {"dtype": "i8"}}
    )
    return session.commit(f"from {offset:g}")


@pytest.fixture
def context(tmp_path: Path) -> ProcessContext:
    return ProcessContext((DatasetDefinition("fc", str(tmp_path / "store")),))


def series(path: Path) -> tuple[list[str], list[float]]:
    """Times of validity and values of a NetCDF file, by xarray."""
    with xr.open_dataset(path, engine="netcdf4") as file:
        return np.datetime_as_string(file["time"].values, "h").ravel().tolist(), file["t2m"].values.ravel().tolist()


def test_a_run_and_a_state_can_be_asked_for(context: ProcessContext, tmp_path: Path) -> None:
    first = commit(tmp_path / "store", 0.0)
    commit(tmp_path / "store", 100.0)
    wanted = forecast(100.0)["t2m"].sel(lat=0, lon=10)
    for number, instance in enumerate(["20240603T00Z", "latest"]):
        outcome = execute("subset", {**INPUTS, "instance": instance}, context, tmp_path, lambda *_: None)
        assert outcome.file_name == f"fc-{instance}-position.nc"
        times, values = series(outcome.path)
        assert values == wanted[number].values.tolist()
        assert times == np.datetime_as_string(RUNS[number] + np.array([0, 6, 12], "m8[h]"), "h").tolist()
    old = execute("subset", {**INPUTS, "instance": first}, context, tmp_path, lambda *_: None)
    assert sorted(series(old.path)[1]) == sorted((wanted.values - 100).ravel().tolist())


def test_an_unknown_instance_is_a_wrong_input(context: ProcessContext, tmp_path: Path) -> None:
    commit(tmp_path / "store", 0.0)
    with pytest.raises(InvalidQueryError, match="no instance 'nope'") as caught:
        prepare("subset", {**INPUTS, "instance": "nope"}, context.library(), context.limits)
    assert caught.value.parameter == "instance"
    with pytest.raises(InvalidQueryError):
        prepare("subset", {**INPUTS, "instance": ""}, context.library(), context.limits)


def test_a_job_reads_what_it_was_estimated_on(context: ProcessContext, tmp_path: Path) -> None:
    commit(tmp_path / "store", 0.0)
    job_store = JobStore(tmp_path / "jobs.sqlite")
    prepared = prepare("subset", {**INPUTS, "instance": "latest"}, context.library(), context.limits)
    wanted = JobRequest(process_id="subset", inputs=prepared.inputs, snapshot=prepared.snapshot, idempotency_key="once")
    job = job_store.submit(wanted)
    newest = commit(tmp_path / "store", 100.0)
    # The same request after the write is the same job.
    later = prepare("subset", {**INPUTS, "instance": "latest"}, context.at(newest).library(), context.limits)
    assert later.snapshot == newest
    assert (
        job_store.submit(
            JobRequest(process_id="subset", inputs=later.inputs, snapshot=newest, idempotency_key="once")
        ).id
        == job.id
    )
    second = job_store.submit(JobRequest(process_id="subset", inputs=later.inputs, snapshot=newest))
    runner = Runner(job_store, tmp_path / "results", ENTRY, context, preload=PRELOAD, seconds=60)
    runner.start()
    try:
        for one, offset in ((job, 0.0), (second, 100.0)):
            done = job_store.wait(one.id, None, 90)
            assert done.state is State.SUCCESSFUL, done
            assert series(runner.results.path(done))[1] == forecast(offset)["t2m"].sel(lat=0, lon=10)[1].values.tolist()
    finally:
        runner.stop()
        job_store.close()
