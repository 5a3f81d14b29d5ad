"""Does this server keep what it promises by itself, whatever its peers do?

Conditional requests answered from one worker, the list of a hundred collections, and the first byte and the memory of
an answer that is far larger than what the server may hold.
"""

from __future__ import annotations

import argparse
import statistics
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import servers
from queries import PARAMETER, Query, moments

COLLECTIONS = 100
HOURS = 24 * 14
"""Global maps of 1 degree that are about 200 MB of CoverageJSON."""
NAMES = (
    "answers 304 a second",
    "/ogc/collections of 100, ms",
    "first byte of a large answer, ms",
    "peak RSS of the process that sends it, MB",
)
LEAST = (5_000.0, None, None, None)
MOST = (None, 20.0, 200.0, 300.0)

type Ask = Callable[[servers.Server, list[str], dict[str, str], dict[str, float]], dict[str, Any]]


def measure(options: argparse.Namespace, found: dict[str, Path], query: Query, ask: Ask) -> dict[str, Any]:
    """Start a server for each promise, and measure as often as the peers are measured.

    Parameters
    ----------
    query : Query
        A small one.
    ask : callable
        Runs the client: ``ask(server, targets, headers, run)``.
    """
    figures: dict[str, list[float]] = {name: [] for name in NAMES}
    sizes: list[float] = []
    one = {query.layout: found[query.layout]}
    with servers.isopleth(options.root, options.work, one, "promises 304", 256 * 2**20) as server:
        target = server.target(query, query.cells[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{target}", timeout=30) as response:
            etag = response.headers["ETag"]
        for _ in range(options.repetitions):
            run = {"concurrency": 16, "seconds": options.seconds, "least": 1_000, "most": 100_000}
            seen = ask(server, [target], {"If-None-Match": etag}, run)
            figures[NAMES[0]].append(seen["rate"] if set(seen["statuses"]) == {"304"} else 0.0)
    many = {f"c{number}": found[query.layout] for number in range(COLLECTIONS)}
    with servers.isopleth(options.root, options.work, many, "promises collections", 0) as server:
        for _ in range(options.repetitions):
            run = {"concurrency": 1, "seconds": options.seconds, "least": 50, "most": 5_000}
            figures[NAMES[1]].append(ask(server, ["/ogc/collections?f=json"], {}, run)["p95_ms"])
    for _ in range(options.repetitions):
        limits = {"values": 100_000_000, "bytes_out": 2**31, "chunks": 10_000}
        with servers.isopleth(
            options.root, options.work, {"map": found["map"]}, "promises stream", 0, limits=limits
        ) as (server):
            ends = "/".join(f"{moment}Z" for moment in moments(np.array([0, HOURS - 1])))
            interval = quote(ends, safe=":/")
            target = f"/ogc/collections/map/cube?bbox=-180,-90,180,90&parameter-name={PARAMETER}&datetime={interval}"
            seen = ask(server, [target], {}, {"concurrency": 1, "seconds": 0, "least": 1, "most": 1})
            figures[NAMES[2]].append(seen["first_ms"])
            figures[NAMES[3]].append(seen["own_rss_bytes"] / 2**20)
            sizes.append(seen["bytes"] / 1e6)
    return {"figures": figures, "large_mb": statistics.median(sizes)}


def render(promises: dict[str, Any]) -> list[str]:
    """Return a line for each promise: the median, the least and the greatest of the repetitions."""
    lines = [f"the large answer has {promises['large_mb']:.0f} MB"]
    for name, least, most in zip(NAMES, LEAST, MOST, strict=True):
        values = promises["figures"][name]
        middle = statistics.median(values)
        kept = middle >= least if least is not None else middle <= most
        bound = f"at least {least:,.0f}" if least is not None else f"at most {most:,.0f}"
        spread = f"{min(values):,.1f} to {max(values):,.1f}"
        lines.append(f"{name}: {middle:,.1f} ({spread})  ({'reached' if kept else 'MISSED'}: {bound})")
    return lines
