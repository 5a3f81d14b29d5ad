"""The example in each description runs on the demonstration, and its answer can be opened."""

import csv
import importlib.util
import io

import pytest
import xarray as xr

from plugins.datacube.definition import DatasetDefinition
from plugins.processes.context import ProcessContext
from plugins.processes.registry import PROCESSES, execute, prepare
from server.demonstration import publish_demonstration


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory, store):
    if importlib.util.find_spec("iris_sample_data") is None:
        pytest.skip("the package iris-sample-data is not installed")
    data = tmp_path_factory.mktemp("demonstration")
    publish_demonstration(data, synthetic_days=6)
    # The demonstration has no members.
    return ProcessContext((DatasetDefinition("an-ensemble", str(store)),), data / "datasets")


@pytest.mark.parametrize("process_id", list(PROCESSES))
def test_the_example_runs(demonstration, tmp_path, process_id):
    inputs = PROCESSES[process_id].description["example"]["inputs"]
    prepared = prepare(process_id, inputs, demonstration.library(), demonstration.limits)
    outcome = execute(process_id, prepared.inputs, demonstration, tmp_path, lambda fraction, message=None: None)
    assert outcome.path.stat().st_size > 0
    if outcome.media_type.startswith("text/csv"):
        rows = list(csv.DictReader(io.StringIO(outcome.path.read_text())))
        values = [row[name] for row in rows for name in row if name.startswith(("t2m", "air_temperature"))]
        assert all(values)
    elif outcome.media_type == "application/netcdf":
        with xr.open_dataset(outcome.path, engine="netcdf4") as file:
            assert all(bool(file[name].notnull().any()) for name in file.data_vars if "t2m" in name)


@pytest.mark.parametrize("process_id", [name for name in PROCESSES if name not in ("echo", "subset")])
def test_every_input_says_what_it_is(process_id):
    description = PROCESSES[process_id].description
    for name, part in description["inputs"].items():
        assert part["title"], name
        assert part["description"][-1] in ".)", name
        assert part["minOccurs"] in (0, 1), name
        assert part["maxOccurs"] >= 1, name
    assert description["inputs"]["collection"]["minOccurs"] == 1
    assert description["keywords"]
