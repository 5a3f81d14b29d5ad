"""The processes as they are described, as jobs, and as pygeoapi's processors."""

import importlib
import json

import icechunk
import pytest
import xarray as xr
from jsonschema import Draft202012Validator

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import CancelledError, InvalidQueryError, UnknownError
from plugins.datacube.read import Cancel
from plugins.jobs.job import JobRequest, State
from plugins.jobs.runner import Runner
from plugins.jobs.store import JobStore
from plugins.processes import echo
from plugins.processes.context import ProcessContext
from plugins.processes.processors import EchoProcessor, SubsetProcessor
from plugins.processes.registry import ENTRY, PRELOAD, PROCESSES, execute, get_process, prepare


def no_report(fraction, message=None):
    pass


@pytest.mark.parametrize("process_id", list(PROCESSES))
def test_descriptions_hold_what_the_standard_asks_for(process_id):
    process = PROCESSES[process_id]
    description = json.loads(json.dumps(process.description))
    assert description["id"] == process_id == process.id
    assert {"version", "title", "description", "keywords", "inputs", "outputs"} <= set(description)
    assert description["jobControlOptions"] == ["sync-execute", "async-execute", "dismiss"]
    assert set(description["outputTransmission"]) == {"value", "reference"}
    for part in (*description["inputs"].values(), *description["outputs"].values()):
        Draft202012Validator.check_schema(part["schema"])
        assert part["title"]
    module, _, name = process.processor.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_the_example_of_each_process_is_valid():
    for process in PROCESSES.values():
        process.validate(process.description["example"]["inputs"])


def test_entry_and_preload_exist():
    module, _, name = ENTRY.partition(":")
    assert getattr(importlib.import_module(module), name) is execute
    for name in PRELOAD:
        importlib.import_module(name)


def test_an_unknown_process():
    with pytest.raises(UnknownError):
        get_process("nope")


ECHO = {
    "echo": "teststring",
    "number": 1.25,
    "array": [1, 2, 3],
    "object": {"value": "teststring"},
    "bbox": {"bbox": [345345345, 345345345, 345345345, 345345345], "crs": "urn:ogc:def:crs:EPSG:6.6:4326"},
    "pause": 0,
}


def test_echo_gives_back_what_it_got(context, tmp_path, library):
    prepared = prepare("echo", ECHO, library, context.limits)
    assert (prepared.inputs, prepared.snapshot, prepared.cost.chunks) == (ECHO, None, 0)
    outcome = execute("echo", prepared.inputs, context, tmp_path, no_report)
    assert json.loads(outcome.path.read_text()) == ECHO
    assert outcome.media_type == "application/json"
    assert set(ECHO) == set(echo.DESCRIPTION["outputs"])
    assert next(iter(echo.DESCRIPTION["inputs"])) == "echo"


@pytest.mark.parametrize("inputs", [{"pause": 11}, {"pause": "5"}, {"array": [1.5]}, {"invalid-execute-request": 1}])
def test_echo_refuses_what_it_does_not_describe(context, library, inputs):
    with pytest.raises(InvalidQueryError) as caught:
        prepare("echo", inputs, library, context.limits)
    assert caught.value.parameter in inputs


def test_a_pause_can_be_cancelled(context, library, tmp_path):
    cancel = Cancel()
    reports = []

    def report(fraction, message=None):
        reports.append(fraction)
        if len(reports) == 2:
            cancel.cancel()

    with pytest.raises(CancelledError):
        echo.run({"pause": 60}, library, context.limits, tmp_path, report, cancel)
    assert len(reports) == 2


def test_subset_as_a_job(context, library, tmp_path, truth):
    job_store = JobStore(tmp_path / "jobs.sqlite")
    runner = Runner(job_store, tmp_path / "results", ENTRY, context, preload=PRELOAD)
    runner.start()
    try:
        inputs = {"collection": "small", "query": "position", "coords": "POINT(20 40)", "parameter-name": "msl"}
        prepared = prepare("subset", inputs, library, context.limits)
        job = job_store.submit(
            JobRequest(process_id="subset", inputs=prepared.inputs, snapshot=prepared.snapshot)
        )  # fmt: skip
        unknown = job_store.submit(JobRequest(process_id="subset", inputs=inputs | {"collection": "gone"}))
        job = job_store.wait(job.id, None, 60)
        assert job.state is State.SUCCESSFUL, job
        with xr.open_dataset(runner.results.path(job), engine="netcdf4") as file:
            expected = truth["msl"].sel(latitude=40, longitude=20).values.tolist()
            assert file["msl"].values.ravel().tolist() == expected
        unknown = job_store.wait(unknown.id, None, 60)
        assert (unknown.state, unknown.failure.code) == (State.FAILED, "invalid-query")
        assert (unknown.failure.parameter, unknown.failure.valid) == ("collection", "small")
    finally:
        runner.stop()
        job_store.close()


def test_a_job_reads_icechunk(tmp_path, truth):
    """Icechunk has threads of its own, which a fork would not have if it were imported before."""
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "store")))
    session = repository.writable_session("main")
    truth.to_zarr(session.store, zarr_format=3, consolidated=False)
    session.commit("first")
    context = ProcessContext((DatasetDefinition("ice", str(tmp_path / "store")),))
    job_store = JobStore(tmp_path / "jobs.sqlite")
    runner = Runner(job_store, tmp_path / "results", ENTRY, context, preload=PRELOAD, seconds=60)
    runner.start()
    try:
        inputs = {"collection": "ice", "query": "cube", "bbox": [0, 30, 50, 60], "parameter-name": "t2m"}
        job = job_store.submit(JobRequest(process_id="subset", inputs=inputs))
        job = job_store.wait(job.id, None, 90)
        assert job.state is State.SUCCESSFUL, job
        with xr.open_dataset(runner.results.path(job), engine="netcdf4") as file:
            assert sorted(file["t2m"].values.ravel().tolist()) == sorted(truth["t2m"].values.ravel().tolist())
    finally:
        runner.stop()
        job_store.close()


def test_the_processors_of_a_stock_pygeoapi(store, truth):
    definition = {"name": "plugins.processes.processors.SubsetProcessor", "datasets": [{"id": "s", "href": str(store)}]}
    processor = SubsetProcessor(definition)
    inputs = {"collection": "s", "query": "position", "coords": "POINT(20 40)", "parameter-name": "msl"}
    media_type, content = processor.execute(inputs | {"format": "CoverageJSON"})
    document = json.loads(content)
    assert document["ranges"]["msl"]["values"] == truth["msl"].sel(latitude=40, longitude=20).values.tolist()
    assert media_type == "application/prs.coverage+json"
    assert processor.metadata["id"] == "subset"
    with pytest.raises(InvalidQueryError, match="there is no collection"):
        processor.execute(inputs | {"collection": "other"})


def test_the_echo_processor_gives_the_outputs_that_are_wanted():
    processor = EchoProcessor({"name": "x"})
    assert processor.execute(ECHO)[1] == ECHO
    assert processor.execute(ECHO, {"array": {"transmissionMode": "value"}})[1] == {"array": [1, 2, 3]}
    assert processor.execute(ECHO, ["number"])[1] == {"number": 1.25}
    with pytest.raises(InvalidQueryError):
        processor.execute(ECHO, ["nope"])
