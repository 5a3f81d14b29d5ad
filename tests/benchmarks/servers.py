"""How is each server installed, started, asked and stopped?

All run on the loopback with one worker process. A peer lives in an environment of its own, made by pip and kept; one
that cannot be installed or started is not measured, and that is what the table says of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import stores
from queries import PARAMETER, Cells, Query

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90
PEERS: Mapping[str, tuple[str, ...]] = {
    "xpublish": ("xpublish>=0.5", "xpublish-edr>=0.11", "uvicorn[standard]>=0.34", "xarray>=2025.9", "zarr>=3.1"),
    "pygeoapi": ("pygeoapi==0.24.*", "gunicorn>=23", "xarray>=2025.9", "zarr>=3.1", "fsspec>=2025.9"),
}
"""What is installed for each peer, with the oldest version that counts as this peer."""


class NotMeasuredError(Exception):
    """A server could not be installed or started; the reason in a sentence."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    port: int
    pid: int
    style: str
    """Whose addresses it has: ``isopleth``, ``xpublish`` or ``pygeoapi``."""
    suffix: str = ""
    """What stands after the layout in the name of a collection."""

    def collection(self, query: Query) -> str:
        """Return the path of the document of the collection that fits a query."""
        name = query.layout + self.suffix
        if self.style == "xpublish":
            return f"/datasets/{name}/edr/"
        return f"{'/ogc' if self.style == 'isopleth' else ''}/collections/{name}?f=json"

    def target(self, query: Query, cells: Cells) -> str:
        """Return the path and query string that ask a server for these cells."""
        name = query.layout + self.suffix
        base = f"/datasets/{name}/edr" if self.style == "xpublish" else f"/collections/{name}"
        prefix = "/ogc" if self.style == "isopleth" else ""
        arguments = {**place(query, cells), "parameter-name": PARAMETER}
        if not cells.along:
            arguments["datetime"] = self._interval(cells)
        return f"{prefix}{base}/{query.kind}?" + "&".join(
            f"{key}={quote(value, safe='(),:/')}" for key, value in arguments.items()
        )

    def _interval(self, cells: Cells) -> str:
        zone = "Z" if self.style != "xpublish" else ""  # its times have none, and are not compared with such that do
        first, last = (f"{moment}{zone}" for moment in cells.times()[[0, -1]])
        # A single instant makes pygeoapi's provider look for a date (its issue 1608): it is asked for an interval.
        return first if first == last and self.style != "pygeoapi" else f"{first}/{last}"


def place(query: Query, cells: Cells) -> dict[str, str]:
    """Return the horizontal part of a query."""
    latitudes, longitudes = stores.LATITUDES[cells.y], stores.LONGITUDES[cells.x]
    if query.kind == "position":
        return {"coords": f"POINT({longitudes[0]:g} {latitudes[0]:g})"}
    if query.kind == "cube":
        return {"bbox": ",".join(f"{v:g}" for v in (longitudes[0], latitudes[-1], longitudes[-1], latitudes[0]))}
    seconds = cells.times().astype(int)
    vertices = ",".join(f"{x:g} {y:g} {m}" for x, y, m in zip(longitudes, latitudes, seconds, strict=True))
    return {"coords": f"LINESTRINGM({vertices})"}


def environment(work: Path, name: str) -> Path:
    """Return the Python of a peer's environment, made if it is not there in this form.

    Raises
    ------
    NotMeasuredError
        If it cannot be installed.
    """
    folder = work / "peers" / name
    stamp, wanted = folder / "requirements.txt", "\n".join((sys.version, *PEERS[name]))
    python = folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing {name} ({', '.join(PEERS[name])}) ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        # Not the interpreter of our own environment, of which a venv would be a part.
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PEERS[name]]
        subprocess.run(pip, check=True, capture_output=True, timeout=600)
    except (subprocess.SubprocessError, OSError) as error:
        output = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        raise NotMeasuredError(f"not installed: {output[-1] if output else error}") from error
    stamp.write_text(wanted)
    return python


def versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of packages in an environment."""
    code = "import importlib.metadata as m, sys; print('\\n'.join(p + ' ' + m.version(p) for p in sys.argv[1:]))"
    found = subprocess.run([str(python), "-c", code, *packages], check=True, capture_output=True, text=True, timeout=60)
    return dict(line.split() for line in found.stdout.splitlines())


@contextlib.contextmanager
def isopleth(
    root: Path,
    work: Path,
    found: Mapping[str, Path],
    name: str,
    cache: int,
    suffix: str = "",
    limits: Mapping[str, int] | None = None,
) -> Iterator[Server]:
    """Run the server of the source tree `root` with a chunk cache of so many bytes, perhaps with other limits."""
    folder = work / "servers" / name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    configuration = {
        "server": {"host": "127.0.0.1", "port": port},
        "data": str(folder / "data"),
        "limits": {"chunk_cache": cache, **(limits or {})},
        "datasets": {layout: {"href": str(path)} for layout, path in found.items()},
    }
    (folder / "config.yml").write_text(json.dumps(configuration))  # JSON is YAML
    command = [sys.executable, "-m", "server", "serve", str(folder / "config.yml")]
    with _running(command, folder, root, {}) as process:
        server = Server(name, port, process.pid, "isopleth", suffix)
        _await(process, port, "/health/ready", folder)
        yield server


@contextlib.contextmanager
def xpublish(work: Path, found: Mapping[str, Path]) -> Iterator[Server]:
    """Run xpublish-edr on uvicorn."""
    python = environment(work, "xpublish")
    folder = work / "servers" / "xpublish"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    program = Path(__file__).with_name("peer_xpublish.py")
    command = [str(python), str(program), str(port), *(f"{name}={found[name]}" for name in stores.LAYOUTS)]
    with _running(command, folder, folder, {}) as process:
        _await(process, port, "/datasets", folder)
        yield Server("xpublish-edr", port, process.pid, "xpublish")


@contextlib.contextmanager
def pygeoapi(work: Path, found: Mapping[str, Path]) -> Iterator[Server]:
    """Run stock pygeoapi with its xarray-edr provider on gunicorn, one worker of four threads."""
    python = environment(work, "pygeoapi")
    folder = work / "servers" / "pygeoapi"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "config.yml").write_text(json.dumps(_pygeoapi_configuration(port, found)))
    (folder / "openapi.yml").write_text(
        json.dumps({"openapi": "3.0.2", "info": {"title": "benchmark", "version": "1"}, "paths": {}})
    )
    command = [
        str(python), "-m", "gunicorn", "--workers", "1", "--worker-class", "gthread", "--threads", "4",
        "--keep-alive", "75", "--timeout", "120", "--bind", f"127.0.0.1:{port}", "pygeoapi.flask_app:APP",
    ]  # fmt: skip
    variables = {
        "PYGEOAPI_CONFIG": str(folder / "config.yml"),
        "PYGEOAPI_OPENAPI": str(folder / "openapi.yml"),
        # It would write three warnings of pyproj a request into its log.
        "PYTHONWARNINGS": "ignore",
    }
    with _running(command, folder, folder, variables) as process:
        _await(process, port, "/conformance?f=json", folder)
        yield Server("pygeoapi", port, process.pid, "pygeoapi")


def _pygeoapi_configuration(port: int, found: Mapping[str, Path]) -> dict[str, object]:
    def collection(path: Path) -> dict[str, object]:
        return {
            "type": "collection",
            "title": "ERA5-like",
            "description": "Hourly fields",
            "keywords": ["benchmark"],
            "links": [],
            "extents": {
                "spatial": {"bbox": [0, -90, 359, 90], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}
            },
            "providers": [
                {
                    "type": "edr", "name": "xarray-edr", "data": str(path), "x_field": "longitude",
                    "y_field": "latitude", "time_field": "time",
                    "format": {"name": "zarr", "mimetype": "application/zip"},
                }
            ],
        }  # fmt: skip

    address = {"name": "Nobody", "url": "https://example.org", "email": "nobody@example.org"}
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port},
            "url": f"http://127.0.0.1:{port}",
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 10, "max_items": 10},
            "map": {"url": "https://tile.example/{z}/{x}/{y}.png", "attribution": "none"},
        },
        "logging": {"level": "CRITICAL"},
        "metadata": {
            "identification": {
                "title": "Benchmark", "description": "Benchmark", "keywords": ["k"], "keywords_type": "theme",
                "terms_of_service": "https://example.org", "url": "https://example.org",
            },
            "license": {"name": "CC0-1.0", "url": "https://example.org"},
            "provider": address,
            "contact": address,
        },
        "resources": {name: collection(found[name]) for name in stores.LAYOUTS},
    }  # fmt: skip


@contextlib.contextmanager
def _running(
    command: list[str], folder: Path, cwd: Path, variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own, which is gone when the block ends."""
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, path: str, folder: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    lines = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
    raise NotMeasuredError(f"did not start: {lines[-1][:160] if lines else 'no answer'}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
