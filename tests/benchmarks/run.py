"""How fast is this server beside its peers, and beside the read that nobody can avoid?

``make bench``, or ``python tests/benchmarks/run.py [--quick] [--only WORD ...] [--json FILE]``. It writes the stores,
installs the peers (pygeoapi with its own provider on gunicorn, xpublish-edr on uvicorn), starts everybody on the
loopback with one worker, checks the answers against the stores, and measures. No test: nothing fails because a machine
is slow, and what could not be measured is never called a success. Absolute figures of a busy machine mean little;
the servers take turns, so the ratios mean more, and their spread is shown.

"Cold" is a server without a chunk cache (``limits.chunk_cache: 0``); the files are in the operating system's cache for
everybody. "Published" is the same data in Icechunk with a checksum on each chunk.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import promises
import servers
import stores
import table
import zarr
from answers import problem
from queries import PARAMETER, Query, all_queries

HERE = Path(__file__).resolve().parent
CONCURRENCIES = (1, 4, 16)
CACHE = 256 * 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    began = time.monotonic()
    days = 60 if options.quick else 365
    found = stores.make_stores(options.work, days)
    chosen = [q for q in all_queries(days) if not options.only or any(word in q.name for word in options.only)]
    print(_machine(), flush=True)
    with contextlib.ExitStack() as stack:
        running, absent = _start(stack, found, options)
        result = measure(running, absent, chosen, found, days, options)
    if not options.only and not options.servers:
        small = next(query for query in chosen if query.name == "point-day")
        result["promises"] = promises.measure(options, found, small, _ask)
    result["minutes"] = (time.monotonic() - began) / 60
    result["versions"] = _versions(options.work, absent)
    print(table.render(result))
    print("\n".join(["", *promises.render(result["promises"])] if "promises" in result else []))
    print(f"\nload at the end {os.getloadavg()[0]:.1f}; {result['minutes']:.1f} minutes; {result['versions']}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return 0


def measure(
    running: list[servers.Server],
    absent: dict[str, str],
    chosen: list[Query],
    found: dict[str, Path],
    days: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Measure every query on every server; the servers take turns within each repetition."""
    result: dict[str, Any] = {"machine": _machine(), "days": days, "absent": absent, "queries": []}
    for query in chosen:
        array = zarr.open_group(found[query.layout], mode="r")[PARAMETER]
        entry: dict[str, Any] = {
            "name": query.name, "layout": query.layout, "servers": {}, "absent": {}, "bare": [], "load": [],
        }  # fmt: skip
        result["queries"].append(entry)
        asked: list[servers.Server] = []
        for server in running:
            if query.kind == "trajectory" and not _advertises(server, query):
                entry["absent"][server.name] = "its collection document has no trajectory query"
                continue
            try:
                wrong = _check(server, query, array, 16 if server.style == "isopleth" else 4)
            except servers.NotMeasuredError as error:
                entry["absent"][server.name] = str(error)
                continue
            entry["servers"][server.name] = {"wrong": wrong, "runs": {n: [] for n in CONCURRENCIES}}
            asked.append(server)
        for repetition in range(options.repetitions if asked else 0):
            print(f"{query.name}: repetition {repetition + 1} of {options.repetitions}", file=sys.stderr, flush=True)
            entry["load"].append(os.getloadavg()[0])
            job = {"store": str(found[query.layout]), "query": query.name, "days": days, "seconds": options.seconds / 2}
            entry["bare"].append(_program("bare.py", job))
            for server in asked:
                _measure_server(server, query, entry["servers"][server.name], options)
    return result


def _measure_server(server: servers.Server, query: Query, entry: dict[str, Any], options: argparse.Namespace) -> None:
    own = server.style == "isopleth"
    job = {
        "port": server.port, "pid": server.pid, "targets": [server.target(query, cells) for cells in query.cells],
        "limit": 4 * options.seconds + 5,
    }  # fmt: skip
    # Own caches are filled by every variant; a peer has none, and is only woken.
    waking = len(query.cells) if own else 2
    runs = [{"concurrency": 2, "seconds": 0, "least": waking, "most": waking}]
    for concurrency in CONCURRENCIES:
        least = max(concurrency, 16 if own else 6)
        runs.append({"concurrency": concurrency, "seconds": options.seconds, "least": least, "most": 50_000})
    _, *seen = _program("client.py", {**job, "runs": runs})
    for concurrency, run in zip(CONCURRENCIES, seen, strict=True):
        entry["runs"][concurrency].append(run)
        others = {status: count for status, count in run["statuses"].items() if status != "200"}
        if others or not run["steady"]:
            note = f"at concurrency {concurrency}: {others}" if others else "answers of one request differ in length"
            entry["wrong"] = entry["wrong"] or note


def _check(server: servers.Server, query: Query, array: zarr.Array, variants: int) -> str | None:
    """Ask for some variants, four at a time, and compare every answer; return what is wrong with the first that is.

    Raises
    ------
    NotMeasuredError
        If the server does not answer with 200: how fast it refuses is of no interest.
    """

    def one(number: int) -> str | None:
        cells = query.cells[number]
        status, body = _get(server.port, server.target(query, cells))
        if status != 200:
            text = " ".join(body[:200].decode(errors="replace").split())
            raise servers.NotMeasuredError(f"answers with status {status}: {text}")
        try:
            document = json.loads(body)
        except ValueError:
            return "no JSON"
        return problem(document, array, cells)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(variants)))
    return next((text for text in found if text), None)


def _advertises(server: servers.Server, query: Query) -> bool:
    status, body = _get(server.port, server.collection(query))
    try:
        return status == 200 and query.kind in json.loads(body).get("data_queries", {})
    except ValueError:
        return False


def _get(port: int, target: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()
    finally:
        connection.close()


def _start(
    stack: contextlib.ExitStack, found: dict[str, Path], options: argparse.Namespace
) -> tuple[list[servers.Server], dict[str, str]]:
    work, wanted = options.work, options.servers
    plain = {name: found[name] for name in stores.LAYOUTS}
    published = {f"{name}-published": found[f"{name}-published"] for name in stores.LAYOUTS}
    makers = {
        "isopleth cold": lambda: servers.isopleth(options.root, work, plain, "isopleth cold", 0),
        "isopleth warm": lambda: servers.isopleth(options.root, work, plain, "isopleth warm", CACHE),
        "published cold": lambda: servers.isopleth(options.root, work, published, "published cold", 0, "-published"),
        "published warm": lambda: servers.isopleth(
            options.root, work, published, "published warm", CACHE, "-published"
        ),
        "xpublish-edr": lambda: servers.xpublish(work, plain),
        "pygeoapi": lambda: servers.pygeoapi(work, plain),
    }
    running: list[servers.Server] = []
    absent: dict[str, str] = {}
    for name, make in makers.items():
        if wanted and not any(word in name for word in wanted):
            continue
        try:
            running.append(stack.enter_context(make()))
        except servers.NotMeasuredError as error:
            absent[name] = str(error)
            print(f"{name}: not measured: {error}", flush=True)
    return running, absent


def _ask(server: servers.Server, targets: list[str], headers: dict[str, str], run: dict[str, float]) -> dict[str, Any]:
    """Ask this server once as a run says, after a few requests that wake it."""
    job = {"port": server.port, "pid": server.pid, "targets": targets, "headers": headers, "limit": 120}
    waking = [{"concurrency": 2, "seconds": 0, "least": 4, "most": 4}] if run["most"] > 1 else []
    return _program("client.py", {**job, "runs": [*waking, run]})[-1]


def _program(name: str, job: dict[str, Any]) -> Any:
    """Run one of the programs beside this one with a job, and return what it saw."""
    done = subprocess.run(
        [sys.executable, str(HERE / name)],
        input=json.dumps(job).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=180,
    )
    return json.loads(done.stdout)


def _machine() -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}; load {load}"


def _versions(work: Path, absent: dict[str, str]) -> dict[str, Any]:
    own = ("isopleth", "zarr", "numpy", "orjson", "uvicorn", "starlette", "icechunk")
    found: dict[str, Any] = {"isopleth": {name: importlib.metadata.version(name) for name in own}}
    packages = {"xpublish": ("xpublish", "xpublish-edr", "uvicorn"), "pygeoapi": ("pygeoapi", "gunicorn")}
    for name, several in packages.items():
        python = work / "peers" / name / "bin" / "python"
        if python.exists() and not any(peer.startswith(name) for peer in absent):
            found[name] = servers.versions(python, (*several, "xarray", "zarr"))
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 days instead of a year, and shorter runs")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="only queries with such a word in the name"
    )
    parser.add_argument("--servers", nargs="+", default=[], metavar="WORD", help="only servers with such a word")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="keeps stores and peers (default: .bench)")
    parser.add_argument(
        "--root", type=Path, default=servers.ROOT, help="source tree of this server, to compare changes"
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="least duration of one measurement (3, quick: 0.5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or (0.5 if options.quick else 3.0)
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    sys.exit(main())
