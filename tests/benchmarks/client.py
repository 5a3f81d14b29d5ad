"""How fast is a server, seen from outside?

A program of its own, so that it takes no time of the server's interpreter: reads one `job` as JSON from its standard
input, keeps so many connections busy for a bounded time and number of requests, and prints what it saw as JSON. The
targets are asked in turn. Latency is from the last byte of the request handed to the socket to the last byte of the
answer, ``first_ms`` to the first of its body. The processor time is that of the server's process tree between the first
request and the last; ``own_rss_bytes`` is the memory of the process that answers, without those that run jobs.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
import sys
import time
from typing import Any

import httptools
import psutil
import uvloop

TIMEOUT = 30.0
"""Seconds after which a server that says nothing is given up."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[int, int]] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.done is not None and not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self.done is not None and not self.done.done():
                self.done.set_exception(error)

    def on_body(self, body: bytes) -> None:
        if self.size == 0:
            self.first = time.perf_counter()
        self.size += len(body)

    def on_message_complete(self) -> None:
        if self.transport is not None and not self.parser.should_keep_alive():
            self.transport.close()
            self.transport = None
        if self.done is not None and not self.done.done():
            self.done.set_result((self.parser.get_status_code(), self.size))

    async def ask(self, request: bytes) -> tuple[int, int]:
        """Send a request; return the status and the size of the body."""
        assert self.transport is not None
        self.parser, self.size, self.first = httptools.HttpResponseParser(self), 0, 0.0
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.done


async def run(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Carry out the runs of a job, one after the other.

    Parameters
    ----------
    job : dict
        ``port``, ``pid`` of the server, ``targets`` (paths with queries), ``headers``, ``limit`` (seconds that a run
        lasts at most), and ``runs``, each with ``concurrency``, ``seconds`` (at least, unless ``most`` requests are
        done before), ``least`` and ``most`` requests.
    """
    tree = processes(job["pid"])
    return [await one(tree, {**job, **each}) for each in job["runs"]]


async def one(tree: list[psutil.Process], job: dict[str, Any]) -> dict[str, Any]:
    """Keep the connections busy once, and return what was seen."""
    loop = asyncio.get_running_loop()
    requests = [
        (
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{job['port']}\r\nAccept: */*\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in job.get("headers", {}).items())
            + "\r\n"
        ).encode()
        for target in job["targets"]
    ]
    latencies: list[float] = []
    waits: list[float] = []
    statuses: collections.Counter[str] = collections.Counter()
    sizes: dict[int, set[int]] = collections.defaultdict(set)
    turn = itertools.count()
    started = time.perf_counter()

    def is_over() -> bool:
        passed = time.perf_counter() - started
        enough = passed >= job["seconds"] and len(latencies) >= job["least"]
        return enough or passed >= job["limit"] or len(latencies) >= job["most"] or statuses["failed"] > 20

    async def worker() -> None:
        connection: Connection | None = None
        while not is_over():
            number = next(turn) % len(requests)
            try:
                if connection is None or connection.transport is None:
                    _, connection = await loop.create_connection(Connection, "127.0.0.1", job["port"])
                before = time.perf_counter()
                status, size = await asyncio.wait_for(connection.ask(requests[number]), TIMEOUT)
            except (OSError, TimeoutError, httptools.HttpParserError):
                statuses["failed"] += 1
                connection = None
                continue
            latencies.append(time.perf_counter() - before)
            waits.append(connection.first - before)
            statuses[str(status)] += 1
            sizes[number].add(size)
        if connection is not None and connection.transport is not None:
            connection.transport.close()

    peak, own = memory(tree), memory(tree[:1])

    async def watch() -> None:
        nonlocal peak, own
        while True:
            await asyncio.sleep(0.2)
            peak, own = max(peak, memory(tree)), max(own, memory(tree[:1]))

    watcher = asyncio.create_task(watch())
    cpu = processor_time(tree)
    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(job["concurrency"])))
    elapsed = time.perf_counter() - started
    cpu = processor_time(tree) - cpu
    watcher.cancel()
    ordered = sorted(latencies)
    return {
        "requests": len(ordered),
        "seconds": elapsed,
        "rate": len(ordered) / elapsed,
        "p50_ms": 1000 * ordered[len(ordered) // 2] if ordered else None,
        "p95_ms": 1000 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else None,
        "first_ms": 1000 * sorted(waits)[len(waits) // 2] if waits else None,
        "cpu_ms": 1000 * cpu / max(1, len(ordered)),
        "rss_bytes": max(peak, memory(tree)),
        "own_rss_bytes": max(own, memory(tree[:1])),
        "statuses": dict(statuses),
        "bytes": sum(max(found) for found in sizes.values()) / max(1, len(sizes)),
        "steady": all(len(found) == 1 for found in sizes.values()),
    }


def processes(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def processor_time(tree: list[psutil.Process]) -> float:
    """Return the seconds of processor time that the processes have used."""
    total = 0.0
    for process in tree:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def memory(tree: list[psutil.Process]) -> int:
    """Return the resident bytes of the processes."""
    total = 0
    for process in tree:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


if __name__ == "__main__":
    json.dump(uvloop.run(run(json.load(sys.stdin))), sys.stdout)
