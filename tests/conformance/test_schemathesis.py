"""Does any request that the served OpenAPI document allows, or nearly allows, end in a fault of the server?

The requests are the same each time; ``ISOPLETH_TEST_SEED=random make test TESTS=tests/conformance`` draws others, and a
number instead of ``random`` repeats the draw that schemathesis names at the end of its report.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

CASES = 5_000
SEED = os.environ.get("ISOPLETH_TEST_SEED", "1")
CONFIGURATION = """
# The border cases of the second collection are those of the first, which has all its parameters and more.
[[operations]]
include-path-regex = "/collections/plain/"
phases.coverage.enabled = false
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two small cubes of our own, so that this runs without the sample data: one plain, one with all axes."""
    root = tmp_path_factory.mktemp("fuzzed")
    random = np.random.default_rng(7)
    axes = {
        "number": (np.arange(3), {"standard_name": "realization"}),
        "time": (np.arange(48), {"units": "hours since 2020-01-01", "standard_name": "time", "calendar": "standard"}),
        "level": (np.array([1000.0, 850.0, 500.0]), {"units": "hPa", "positive": "down"}),
        "latitude": (np.arange(80.0, -81, -20), {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": (np.arange(0.0, 360, 30), {"units": "degrees_east", "standard_name": "longitude"}),
    }
    for name, dims in (("plain", ("time", "latitude", "longitude")), ("full", tuple(axes))):
        group = zarr.create_group(root / f"{name}.zarr")
        for dim in dims:
            values, attributes = axes[dim]
            array = group.create_array(
                dim, shape=values.shape, dtype=values.dtype, dimension_names=(dim,), attributes=attributes
            )
            array[...] = values
        shape = tuple(axes[dim][0].size for dim in dims)
        data = group.create_array("t", shape=shape, dtype="f4", dimension_names=dims, attributes={"units": "K"})
        data[...] = random.normal(280, 10, shape)
    return [str(root / "plain.zarr"), str(root / "full.zarr")]


def test_no_generated_request_gives_a_fault(serve_process, stores: list[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    served = serve_process(*stores)
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or "schemathesis"
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [
        program, "run", f"{served.url}/ogc/openapi", "--max-examples=12", "--phases=examples,coverage,fuzzing",
        "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--continue-on-failure", "--no-color", "--warnings=off", "--generation-database=none",
        *([] if SEED == "random" else [f"--seed={SEED}"]),
        # A slow machine is no fault: neither of the generator nor of the server, which may pause when it is asked to.
        # And a request that fails is not tried in a hundred smaller forms.
        "--suppress-health-check=all", "--request-timeout=90", "--no-shrink",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=tmp_path, check=False)
    said = done.stdout + done.stderr
    found = re.search(r"(\d+) generated", said)
    assert found, said[-3000:]
    assert int(found[1]) >= CASES, f"only {found[1]} cases were generated"
    assert done.returncode == 0, said[-6000:]
    assert "Traceback" not in served.log.read_text()
    assert served.get("/health/live").status_code == 200
