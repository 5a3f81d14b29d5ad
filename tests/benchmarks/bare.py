"""What do the read and the encoding of an answer cost without any server?

A program of its own: ``python bare.py`` reads a job as JSON (``store``, ``query``, ``days``, ``seconds``), reads the
same cells with an array of Zarr that stays open, with the pipeline that the server uses, in one thread and in two, and
writes them with orjson. Nothing is kept between reads but the operating system's own cache.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import queries
import zarr

zarr.config.set(
    {
        "codec_pipeline.path": "zarr.core.codec_pipeline.FusedCodecPipeline",
        "codec_pipeline.max_workers": 1,
        "array.read_missing_chunks": False,
    }
)


def main(job: dict[str, Any]) -> dict[str, float]:
    """Measure; all figures in milliseconds a read, or reads a second."""
    array = zarr.open_group(job["store"], mode="r")[queries.PARAMETER]
    query = next(query for query in queries.all_queries(job["days"]) if query.name == job["query"])

    def read(number: int) -> Any:
        cells = query.cells[number % len(query.cells)]
        return array.vindex[cells.t, cells.y, cells.x] if cells.along else array[cells.index]

    answer = read(0).ravel()
    for number in range(len(query.cells)):
        read(number)
    wall, cpu, _ = timed(read, job["seconds"], 1)
    _, cpu_of_two, rate_of_two = timed(read, job["seconds"], 2)
    encode, _, _ = timed(lambda _: orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), job["seconds"] / 3, 1)
    return {
        "read_ms": wall,
        "read_cpu_ms": cpu,
        "rate": 1000 / wall,
        "rate_2_threads": rate_of_two,
        "read_cpu_ms_2_threads": cpu_of_two,
        "encode_ms": encode,
    }


def timed(work: Callable[[int], Any], seconds: float, threads: int) -> tuple[float, float, float]:
    """Call `work` in so many threads; return milliseconds a call, of processor time a call, and calls a second."""
    turn, done = itertools.count(), itertools.count()
    end = time.perf_counter() + seconds

    def loop() -> None:
        while time.perf_counter() < end:
            work(next(turn))
            next(done)

    before, cpu = time.perf_counter(), time.process_time()
    if threads == 1:
        loop()
    else:
        started = [threading.Thread(target=loop) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
    wall, used, calls = time.perf_counter() - before, time.process_time() - cpu, max(1, next(done))
    return 1000 * wall * threads / calls, 1000 * used / calls, calls / wall


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
