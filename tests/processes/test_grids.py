"""Reductions of HEALPix cells, and as a job in a process of its own."""

import numpy as np
import pytest
import xarray as xr
import zarr

from plugins.datacube.definition import DatasetDefinition
from plugins.jobs.job import JobRequest, State
from plugins.jobs.runner import Runner
from plugins.jobs.store import JobStore
from plugins.processes.context import ProcessContext
from plugins.processes.registry import ENTRY, PRELOAD, execute, prepare


@pytest.fixture(scope="module")
def healpix(era5_like):
    path, _ = era5_like("--years", "0.01", "--healpix", "8", "--chunks", "map", "--variables", "t2m")
    group = zarr.open_group(path, mode="r")
    return ProcessContext((DatasetDefinition("cells", str(path)),)), np.asarray(group["t2m"][...], "f8")


def values_of(outcome, name):
    with xr.open_dataset(outcome.path, engine="netcdf4") as file:
        return file[name].load()


def test_the_mean_of_equal_cells(healpix, tmp_path):
    context, truth = healpix
    inputs = {"collection": "cells", "parameter-name": "t2m", "statistics": ["mean", "count"]}
    outcome = execute("zonal-statistics", inputs, context, tmp_path, lambda *_: None)
    np.testing.assert_allclose(values_of(outcome, "t2m_mean").values.ravel(), truth.mean(axis=1), rtol=1e-6)
    assert set(values_of(outcome, "t2m_count").values.ravel()) == {768}


def test_the_course_of_the_day_of_every_cell(healpix, tmp_path):
    context, truth = healpix
    inputs = {"collection": "cells", "parameter-name": "t2m", "by": "hour"}
    outcome = execute("climatology", inputs, context, tmp_path, lambda *_: None)
    got = values_of(outcome, "t2m_mean").transpose("hour", ...)
    hours = np.arange(len(truth)) % 24
    expected = np.stack([truth[hours == hour].mean(axis=0) for hour in range(24)])
    np.testing.assert_allclose(got.values, expected, rtol=1e-6)


def test_as_a_job(context, library, tmp_path, truth):
    job_store = JobStore(tmp_path / "jobs.sqlite")
    runner = Runner(job_store, tmp_path / "results", ENTRY, context, preload=PRELOAD)
    runner.start()
    try:
        inputs = {"collection": "small", "parameter-name": "t2m", "statistics": ["mean", "std"]}
        prepared = prepare("ensemble-statistics", inputs, library, context.limits)
        job = job_store.submit(JobRequest(process_id="ensemble-statistics", inputs=prepared.inputs))
        job = job_store.wait(job.id, None, 60)
        assert job.state is State.SUCCESSFUL, job
        with xr.open_dataset(runner.results.path(job), engine="netcdf4") as file:
            np.testing.assert_allclose(file["t2m_mean"].values, truth["t2m"].mean("number").values, rtol=1e-6)
    finally:
        runner.stop()
        job_store.close()
