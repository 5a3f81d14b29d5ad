"""How are the measurements shown so that nobody is misled?

One block a query, one row a server. A figure is the median over the repetitions; rates carry their least and greatest
too, and a ratio is taken within each repetition, where both sides saw the same load of the machine, before its median,
least and greatest are taken. ``WRONG`` stands before a server whose answer is wrong, ``*`` after each of its figures.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

COLUMNS = ("rate 1", "rate 4", "rate 16 (least-most)", "p50/p95 ms 1", "p50/p95 4", "p50/p95 16", "CPU ms 1",
           "CPU ms 16", "CPU/bare", "rate/bare", "RSS MB", "kB", "× xpublish", "× pygeoapi")  # fmt: skip
PEERS = ("xpublish-edr", "pygeoapi")

type Runs = dict[int, list[dict[str, Any]]]
"""Measurements of one server and query, by concurrency, one a repetition."""


def render(result: dict[str, Any]) -> str:
    """Return the table of a result as `run.measure` makes it."""
    lines: list[str] = []
    for query in result["queries"]:
        rows = [_bare(query)] if query["bare"] else []
        rows += [_row(query, name) for name in query["servers"]]
        widths = [max(len(cell) for cell in column) for column in zip(("", *COLUMNS), *rows, strict=True)]
        heading = f"{query['name']}, {query['layout']} layout"
        lines += ["", heading, _line(("", *COLUMNS), widths), *(_line(row, widths) for row in rows)]
        lines += [f"  {name}: not measured: {why}" for name, why in {**result["absent"], **query["absent"]}.items()]
        lines += [f"  {name}: WRONG: {entry['wrong']}" for name, entry in query["servers"].items() if entry["wrong"]]
    return "\n".join([*lines, "", *summary(result)])


def summary(result: dict[str, Any]) -> list[str]:
    """Return the comparison with the peers at concurrency 16, and with the targets."""
    lines = []
    for name, least, mean in (("isopleth cold", 10.0, 20.0), ("isopleth warm", None, 60.0)):
        ratios: list[float] = []
        missing = 0
        for query, peer in ((query, peer) for query in result["queries"] for peer in PEERS):
            found = ratio(query, name, peer)
            if found is None:
                missing += 1
                lines.append(f"{name} / {peer}, {query['name']}: not measured")
                continue
            low, middle, high = found
            ratios.append(middle)
            doubt = ", of WRONG answers" if query["servers"][name]["wrong"] or query["servers"][peer]["wrong"] else ""
            verdict = "" if least is None else f"  ({'reached' if middle >= least else 'MISSED'}: {least:g})"
            lines.append(f"{name} / {peer}, {query['name']}: {middle:.1f} ({low:.1f} to {high:.1f}){doubt}{verdict}")
        if ratios:
            average = math.exp(statistics.fmean(math.log(value) for value in ratios))
            verdict = "MISSED" if average < mean else f"not complete: {missing} not measured" if missing else "reached"
            lines.append(f"{name}, geometric mean of {len(ratios)}: {average:.1f}  ({verdict}: {mean:g})")
    lines += [line for query in result["queries"] for line in _budget(query)]
    for query in result["queries"]:
        found = ratio(query, "isopleth warm", "published warm")
        if found:
            lines.append(
                f"price of integrity, warm, {query['name']}: {found[1]:.2f} ({found[0]:.2f} to {found[2]:.2f})  "
                f"({'reached' if found[1] <= 1.3 else 'MISSED'}: at most 1.3)"
            )
    return lines


def ratio(query: dict[str, Any], name: str, other: str, concurrency: int = 16) -> tuple[float, float, float] | None:
    """Return least, median and greatest ratio of the rates of two servers, taken within each repetition."""
    one, two = query["servers"].get(name), query["servers"].get(other)
    if not one or not two:
        return None
    pairs = zip(one["runs"][concurrency], two["runs"][concurrency], strict=True)
    values = sorted(a["rate"] / b["rate"] for a, b in pairs if a["rate"] > 0 and b["rate"] > 0)
    return (values[0], statistics.median(values), values[-1]) if values else None


def _budget(query: dict[str, Any]) -> list[str]:
    """Compare the processor time with cold chunks with that of the bare read."""
    cold, bare = query["servers"].get("isopleth cold"), query["bare"]
    if not cold or not bare:
        return []
    read = _middle(bare, "read_cpu_ms")
    small = _middle(cold["runs"][16], "bytes") < 256 * 1024
    allowed = 1.5 * read + 2 if small else 2 * (read + _middle(bare, "encode_ms"))
    rule = "1.5 × read + 2 ms" if small else "2 × (read + encode)"
    used = _middle(cold["runs"][16], "cpu_ms")
    verdict = "reached" if used <= allowed else "MISSED"
    return [f"isopleth cold, CPU, {query['name']}: {used:.2f} ms ({verdict}: {rule} = {allowed:.2f})"]


def _row(query: dict[str, Any], name: str) -> tuple[str, ...]:
    entry = query["servers"][name]
    runs: Runs = entry["runs"]
    mark = "*" if entry["wrong"] else ""
    rates = [run["rate"] for run in runs[16]]
    cells = [
        _number(_middle(runs[1], "rate")),
        _number(_middle(runs[4], "rate")),
        f"{_number(statistics.median(rates))} ({_number(min(rates))}-{_number(max(rates))})",
        *(f"{_number(_middle(runs[n], 'p50_ms'))}/{_number(_middle(runs[n], 'p95_ms'))}" for n in (1, 4, 16)),
        _number(_middle(runs[1], "cpu_ms")),
        _number(_middle(runs[16], "cpu_ms")),
    ]
    bare = query["bare"]
    cells += (
        [
            _number(_middle(runs[16], "cpu_ms") / _middle(bare, "read_cpu_ms")),
            f"{_middle(runs[16], 'rate') / _middle(bare, 'rate_2_threads'):.2f}",
        ]
        if bare
        else ["-", "-"]
    )
    peak = max(run["rss_bytes"] for several in runs.values() for run in several)
    cells += [f"{peak / 2**20:.0f}", _number(_middle(runs[16], "bytes") / 1000)]
    for peer in PEERS:
        found = ratio(query, name, peer) if name != peer else None
        cells.append(f"{found[1]:.1f} ({found[0]:.1f}-{found[2]:.1f})" if found else "-")
    label = f"WRONG {name}" if entry["wrong"] else name
    return (label, *(cell + mark for cell in cells))


def _bare(query: dict[str, Any]) -> tuple[str, ...]:
    """Show the bare read in the columns that it has."""
    bare = query["bare"]
    rates = [run["rate_2_threads"] for run in bare]
    shown = {
        "rate 1": _number(_middle(bare, "rate")),
        "rate 16 (least-most)": f"{_number(statistics.median(rates))} ({_number(min(rates))}-{_number(max(rates))})",
        "p50/p95 ms 1": _number(_middle(bare, "read_ms")),
        "CPU ms 1": _number(_middle(bare, "read_cpu_ms")),
        "CPU ms 16": _number(_middle(bare, "read_cpu_ms_2_threads")),
    }
    label = f"bare read (+ orjson {_number(_middle(bare, 'encode_ms'))})"
    return (label, *(shown.get(column, "") for column in COLUMNS))


def _middle(runs: Sequence[dict[str, Any]], key: str) -> float:
    values = [run[key] for run in runs if run[key] is not None]
    return statistics.median(values) if values else math.nan


def _number(value: float) -> str:
    """Write a number with three digits."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value < 10 else f"{value:.1f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pad: Callable[[str, int], str] = str.rjust
    return "  " + "  ".join(
        [cells[0].ljust(widths[0]), *(pad(c, w) for c, w in zip(cells[1:], widths[1:], strict=True))]
    )
