"""What do all tests share: the sample data, stores whose every value can be recomputed, servers, and chance.

The suite runs in several processes at once (`make test`), a whole file in one of them. What is slow to make is made by
the process that needs it first, and the others wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
STARTING = 300
"""Seconds that a server may take to start; only ever waited in full where the test fails."""
STOPPING = 60
"""Seconds."""
SLOWEST = (
    "tests/conformance/test_schemathesis.py",
    "tests/faults/test_server_kill.py",
)
"""Files to begin with, slowest first: begun last, they would keep one process busy when the others have finished."""
Era5Like = Callable[..., tuple[Path, ModuleType]]

# The same inputs each time, so that a change is judged by what it changed; `ISOPLETH_TEST_SEED=random` draws others. A
# failure is printed with what repeats it. That this machine is slow is no failure.
RANDOM = os.environ.get("ISOPLETH_TEST_SEED") == "random"
settings.register_profile("random", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("random"), derandomize=True)
settings.load_profile("random" if RANDOM else "repeatable")
# The processes that run the tests, which start after this, must agree on the names of those that are made from sets.
os.environ.setdefault("PYTHONHASHSEED", str(random.randrange(2**32)) if RANDOM else "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first."""
    order = {ROOT / name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among the processes of this run."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run have in common, and no other run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample files; a test that needs it is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the sample data (../shared/data) is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def era5_like(shared_data: Path, shared_folder: Path) -> Era5Like:
    """Make (once per set of arguments) a synthetic store, and return it with the module that knows its values.

    ``era5_like("--years", "0.02", "--chunks", "map")`` returns ``(path, module)``; the oracle is ``module.expected``.
    """
    script = shared_data / "make_era5_like.py"
    # Not imported, because that would leave a compiled file beside the sample data.
    module = sys.modules["make_era5_like"] = ModuleType("make_era5_like")
    exec(compile(script.read_bytes(), script, "exec"), module.__dict__)

    def make(*arguments: str) -> tuple[Path, ModuleType]:
        name = "era5-like-" + hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:16]
        path = shared_folder / f"{name}.zarr"
        with locked(shared_folder / f"{name}.lock"):
            if not path.exists():
                unfinished = shared_folder / f"{name}.unfinished.zarr"
                command = [sys.executable, str(script), "--out", str(unfinished), *arguments]
                subprocess.run(command, check=True, capture_output=True)
                unfinished.rename(path)
        return path, module

    return make


@dataclass
class Served:
    """A server that runs as a process of its own, as a user would run it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=120, verify=False))
    """One for all requests: it takes longer to make than most of them."""

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.client.get(self.url + path, **options)  # type: ignore[arg-type]

    def post(self, path: str, **options: object) -> httpx.Response:
        return self.client.post(self.url + path, **options)  # type: ignore[arg-type]

    def kill(self) -> None:
        """End the server's process, and only it, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        self.wait()

    def wait(self) -> None:
        """Wait until a server that was asked to end has done so."""
        self.client.close()
        try:
            self.process.wait(timeout=STOPPING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


Serve = Callable[..., Served]


@contextlib.contextmanager
def servers(root: Path) -> Iterator[Serve]:
    """Start servers by the command line; all are stopped at the end.

    ``start("era5.zarr", data=folder)`` returns when the server has said its address, or raises with what it said
    instead.
    """
    started: list[Served] = []
    numbers = itertools.count()

    def start(*arguments: str, data: Path | None = None) -> Served:
        number = next(numbers)
        log = root / f"server-{number}.log"
        data = data or root / f"data-{number}"
        command = [sys.executable, "-m", "server", "serve", *arguments, "--port", "0", "--data", str(data)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT)}
            )
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            said = log.read_text()
            if "ready at " in said and said.endswith("\n"):
                served = Served(said.split("ready at ")[1].split()[0], process, log)
                started.append(served)
                return served
            if process.poll() is not None:
                break
            time.sleep(0.05)
        process.kill()
        process.wait()
        raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")

    try:
        yield start
    finally:
        # All are asked first and waited for afterwards, so that they stop at the same time.
        for served in started:
            served.process.send_signal(signal.SIGTERM)
        for served in started:
            served.wait()


@pytest.fixture(scope="module")
def serve_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start servers by the command line, as `servers` does; all are stopped after the last test of the file."""
    with servers(tmp_path_factory.mktemp("servers")) as start:
        yield start


@pytest.fixture(scope="session")
def serve_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """The same for servers that several files share; they are stopped after the last test of this process."""
    with servers(tmp_path_factory.mktemp("servers")) as start:
        yield start


@pytest.fixture(scope="module")
def demo(serve_process: Serve, shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Serve the demonstration, as `make serve` does.

    The first server of a run publishes its datasets; the later ones begin with a copy, each in a folder of its own.
    """
    if importlib.util.find_spec("iris_sample_data") is None:
        pytest.skip("the package iris-sample-data is not installed")
    data = tmp_path_factory.mktemp("demo")
    published = shared_folder / "demonstration"
    with locked(shared_folder / "demonstration.lock"):
        if published.exists():
            shutil.copytree(published, data / "datasets")
        served = serve_process(str(ROOT / "config" / "demo.yml"), data=data)
        if not published.exists():
            unfinished = shared_folder / "demonstration.unfinished"
            shutil.copytree(data / "datasets", unfinished)
            unfinished.rename(published)
    return served
