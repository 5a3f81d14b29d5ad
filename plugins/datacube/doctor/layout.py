"""What do a point series and a map cost with the chunks as they are, and are chunks missing?"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import icechunk
import numpy as np
import obstore
import zarr

from plugins.datacube.axes import AxisKind
from plugins.datacube.datacube import Datacube, Parameter
from plugins.datacube.doctor.report import Finding, LayoutCost, Severity, shape_text, size_text
from plugins.datacube.ingest import chunking
from plugins.datacube.sources import Source

SYNCHRONOUS_BYTES = 256 << 20
"""What one synchronous request may decode by default; see the limits of the server."""
LARGEST_CHUNK = 64 << 20
SMALLEST_CHUNK = 64 << 10
MANY_CHUNKS = 1000
MUCH_BETTER = 4
"""Chunks are advised against where balanced ones would decode this many times less for one kind of request."""
COUNTED_CHUNKS = 500_000
"""Chunks of an array are counted up to this many: counting means listing them."""


def layout_costs(cube: Datacube) -> tuple[LayoutCost, ...]:
    """Predict, from metadata alone, what two typical requests of each parameter decode."""
    return tuple(_cost(cube, parameter) for parameter in cube.parameters.values())


def _cost(cube: Datacube, parameter: Parameter) -> LayoutCost:
    time = _time(cube, parameter)
    space = _space(cube, parameter)
    itemsize = np.dtype(parameter.stored_dtype).itemsize
    better = chunking.balanced_chunks(parameter.shape, itemsize, time=time, space=space)
    series, one_map = (
        chunking.series_cost(parameter.shape, parameter.chunks, time),
        chunking.map_cost(parameter.shape, parameter.chunks, space),
    )
    size, better_size = chunking.decoded_bytes(parameter.chunks, itemsize), chunking.decoded_bytes(better, itemsize)
    return LayoutCost(
        parameter=parameter.name,
        chunks=parameter.chunks,
        series_chunks=series,
        series_bytes=series * size,
        map_chunks=one_map,
        map_bytes=one_map * size,
        better_chunks=better,
        better_series_bytes=chunking.series_cost(parameter.shape, better, time) * better_size,
        better_map_bytes=chunking.map_cost(parameter.shape, better, space) * better_size,
    )


def _time(cube: Datacube, parameter: Parameter) -> int | None:
    axis = cube.axis(AxisKind.T)
    return parameter.dims.index(axis.name) if axis is not None and axis.name in parameter.dims else None


def _space(cube: Datacube, parameter: Parameter) -> list[int]:
    """Return the horizontal dimensions: x and y, or the dimensions of a list of cells, which have no axis."""
    horizontal = (AxisKind.X, AxisKind.Y)
    return [i for i, dim in enumerate(parameter.dims) if dim not in cube.axes or cube.axes[dim].kind in horizontal]


def layout_findings(cube: Datacube, costs: tuple[LayoutCost, ...]) -> Iterator[Finding]:
    """Say which layouts are too dear for a request, far from balanced, or cut too large or too small."""
    for cost in costs:
        parameter = cube.parameters[cost.parameter]
        itemsize = np.dtype(parameter.stored_dtype).itemsize
        chunk = chunking.decoded_bytes(cost.chunks, itemsize)
        count = chunking.chunk_count(parameter.shape, cost.chunks)
        for what, spent, better in (
            ("a point series", cost.series_bytes, cost.better_series_bytes),
            ("one map", cost.map_bytes, cost.better_map_bytes),
        ):
            advised = f"chunks of {shape_text(cost.better_chunks)} would decode {size_text(better)}"
            if spent > SYNCHRONOUS_BYTES:
                limit = size_text(SYNCHRONOUS_BYTES)
                sentence = (
                    f"{what} decodes {size_text(spent)}, more than a synchronous request may ({limit}); {advised}"
                )
                yield Finding(Severity.WARNING, "layout-beyond-limits", sentence, cost.parameter)
            elif spent > MUCH_BETTER * better and spent > chunking.TARGET_BYTES * MUCH_BETTER:
                sentence = f"{what} decodes {size_text(spent)}; {advised}"
                yield Finding(Severity.ADVICE, "layout-unbalanced", sentence, cost.parameter)
        if chunk > LARGEST_CHUNK:
            sentence = f"its chunks of {size_text(chunk)} are large: the smallest answer decodes a whole one"
            yield Finding(Severity.WARNING, "chunks-large", sentence, cost.parameter)
        elif chunk < SMALLEST_CHUNK and count > MANY_CHUNKS:
            sentence = f"its {count} chunks of {size_text(chunk)} are small: most of the time goes into requests"
            yield Finding(Severity.ADVICE, "chunks-small", sentence, cost.parameter)


def missing_chunks(cube: Datacube, source: Source) -> Iterator[Finding]:
    """Count the chunks that were never written, or were lost, of a dataset that is not declared sparse."""
    if cube.definition.sparse:
        return
    for name, parameter in cube.parameters.items():
        array = source.group[name]
        if not isinstance(array, zarr.Array):
            continue
        expected = chunking.chunk_count(parameter.shape, parameter.shards or parameter.chunks)
        if expected > COUNTED_CHUNKS:
            sentence = f"its {expected} chunks were not counted: there are too many"
            yield Finding(Severity.ADVICE, "chunks-not-counted", sentence, name)
            continue
        try:
            present = _present(array, parameter)
        except (OSError, NotImplementedError, ValueError, obstore.exceptions.BaseError, icechunk.IcechunkError):
            sentence = "its chunks could not be counted: the store cannot be listed"
            yield Finding(Severity.ADVICE, "chunks-not-counted", sentence, name)
            continue
        if present < expected:
            sentence = (
                f"{expected - present} of its {expected} chunks are absent, and requests that touch them fail; "
                "if they mean 'no data', declare the dataset sparse"
            )
            yield Finding(Severity.ERROR, "missing-chunks", sentence, name)


def _present(array: zarr.Array[Any], parameter: Parameter) -> int:
    """Return how many stored objects there are; a shard that exists may still lack inner chunks."""
    if parameter.shards is None:
        return int(array.nchunks_initialized)
    inner = prod(shard // chunk for shard, chunk in zip(parameter.shards, parameter.chunks, strict=True))
    return int(array.nchunks_initialized) // inner
