"""Shared fixtures: where the sample data is, and stores whose every value can be recomputed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import httpx
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
Era5Like = Callable[..., tuple[Path, ModuleType]]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample files; a test that needs it is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the sample data (../shared/data) is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def era5_like(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Era5Like:
    """Make (once per set of arguments) a synthetic store, and return it with the module that knows its values.

    ``era5_like("--years", "0.02", "--chunks", "map")`` returns ``(path, module)``; the oracle is ``module.expected``.
    """
    script = shared_data / "make_era5_like.py"
    spec = importlib.util.spec_from_file_location("make_era5_like", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_era5_like"] = module
    spec.loader.exec_module(module)
    root = tmp_path_factory.mktemp("era5-like")
    made: dict[tuple[str, ...], Path] = {}

    def make(*arguments: str) -> tuple[Path, ModuleType]:
        if arguments not in made:
            path = root / f"store-{len(made)}.zarr"
            command = [sys.executable, str(script), "--out", str(path), *arguments]
            subprocess.run(command, check=True, capture_output=True)
            made[arguments] = path
        return made[arguments], module

    return make


@dataclass
class Served:
    """A server that runs as a process of its own, as a user would run it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, **options: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60, **options)  # type: ignore[arg-type]

    def post(self, path: str, **options: object) -> httpx.Response:
        return httpx.post(self.url + path, timeout=60, **options)  # type: ignore[arg-type]

    def kill(self) -> None:
        """End the server's process, and only it, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()


Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def serve_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start servers by the command line; all are stopped at the end.

    ``serve_process("era5.zarr", data=folder)`` returns when the server has said its address, or raises with what it
    said instead.
    """
    root = tmp_path_factory.mktemp("servers")
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, data: Path | None = None) -> Served:
            log = root / f"server-{time.monotonic_ns()}.log"
            data = data or root / f"data-{time.monotonic_ns()}"
            command = [sys.executable, "-m", "server", "serve", *arguments, "--port", "0", "--data", str(data)]
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
            with log.open("wb") as output:
                process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline:
                said = log.read_text()
                if "ready at " in said:
                    served = Served(said.split("ready at ")[1].split()[0], process, log)
                    stack.callback(served.stop)
                    return served
                if process.poll() is not None:
                    break
                time.sleep(0.05)
            process.kill()
            raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")

        yield start
