"""Which chunks fit a purpose: the series of a point, or a map of one time?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import numpy as np

from plugins.datacube.axes import AxisKind
from plugins.datacube.datacube import Datacube, Parameter
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.ingest import chunking

type Shape = tuple[int, ...]

FEWEST_CELLS: Final = 16
"""A chunk for series holds at least so many cells: a very long series is cut rather."""
MAP_BYTES: Final = 4 << 20
"""A map up to this size is one chunk."""
SMALL_CHUNK: Final = 64 << 10
"""Smaller chunks than this are gathered in shards, where there are more than `FEW_CHUNKS`."""
FEW_CHUNKS: Final = 100
SHARD_BYTES: Final = 8 << 20


class Purpose(StrEnum):
    """What a layout is for; also the name that it gets."""

    TIME_SERIES = "time-series"
    MAP = "map"


def time_dimension(cube: Datacube, parameter: Parameter) -> int | None:
    """Return the position of the time dimension of a parameter, or None."""
    axis = cube.axis(AxisKind.T)
    return next((i for i, dim in enumerate(parameter.dims) if axis is not None and cube.axes.get(dim) is axis), None)


def horizontal_dimensions(cube: Datacube, parameter: Parameter) -> list[int]:
    """Return the positions of the horizontal dimensions: x and y, or the dimensions of a list of cells."""
    horizontal = (AxisKind.X, AxisKind.Y)
    return [i for i, dim in enumerate(parameter.dims) if dim not in cube.axes or cube.axes[dim].kind in horizontal]


def chunks_for(purpose: Purpose, cube: Datacube, parameter: Parameter) -> Shape:
    """Return the chunk shape of a parameter for a purpose.

    Time series: about a mebibyte, of as many times as leave `FEWEST_CELLS` cells; maps: one time and level, cut only
    above `MAP_BYTES`.
    """
    shape, itemsize = parameter.shape, np.dtype(parameter.stored_dtype).itemsize
    time, space = time_dimension(cube, parameter), horizontal_dimensions(cube, parameter)
    chunks = [1] * len(shape)
    if purpose is Purpose.MAP:
        chunking.divide_space(chunks, shape, space, MAP_BYTES // itemsize)
        return tuple(chunks)
    values = chunking.TARGET_BYTES // itemsize
    if time is not None:
        # The axis may still grow: a chunk may be longer than it.
        times = max(shape[time], chunking.EXPECTED_TIMES)
        chunks[time] = math.ceil(times / math.ceil(times / (values // FEWEST_CELLS)))
    chunking.divide_space(chunks, shape, space, max(1, values // math.prod(chunks)))
    for i in reversed(range(len(shape))):
        if chunks[i] == 1 and i != time and i not in space:
            chunks[i] = min(shape[i], max(1, values // math.prod(chunks)))
    return tuple(chunks)


def named_chunks(sizes: Mapping[str, int], parameter: Parameter) -> Shape:
    """Return the chunk shape of a parameter by the sizes of dimensions; those not named stay as they are stored."""
    return tuple(
        max(1, size if (named := sizes.get(dim)) == -1 else named or chunk)
        for dim, size, chunk in zip(parameter.dims, parameter.shape, parameter.chunks, strict=True)
    )


def read_sizes(text: str, cube: Datacube) -> dict[str, int]:
    """Read ``time=8760,latitude=10``; -1 is the whole dimension.

    Raises
    ------
    InvalidQueryError
        If a size is no whole number, or the dataset has no such dimension.
    """
    dims = list(dict.fromkeys(dim for parameter in cube.parameters.values() for dim in parameter.dims))
    valid = f"DIMENSION=SIZE,… with the dimensions {', '.join(dims)}, and -1 for a whole one"
    sizes: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        if name not in dims or name in sizes:
            raise InvalidQueryError(
                "chunks", f"{name[:64]!r} is not a dimension of {cube.id}, or is given twice", valid
            )
        try:
            sizes[name] = int(number)
        except ValueError:
            sizes[name] = 0
        if sizes[name] == 0 or sizes[name] < -1:
            raise InvalidQueryError("chunks", f"{number[:64]!r} is not the size of a chunk along {name}", valid)
    return sizes


def shards_for(chunks: Sequence[int], shape: Sequence[int], itemsize: int, time: int | None) -> Shape | None:
    """Return the shape of shards where chunks are small and many, else None.

    Shards grow along time where a chunk holds one time, since maps of neighbouring times are asked for together; else
    from the last dimension to the first.
    """
    size = math.prod(chunks) * itemsize
    if size >= SMALL_CHUNK or chunking.chunk_count(shape, chunks) <= FEW_CHUNKS:
        return None
    shards = list(chunks)
    order = list(reversed(range(len(chunks))))
    if time is not None and chunks[time] == 1:
        order.remove(time)
        order.insert(0, time)
    for i in order:
        factor = min(math.ceil(shape[i] / chunks[i]), SHARD_BYTES // (math.prod(shards) * itemsize))
        shards[i] = chunks[i] * max(1, factor)
    return tuple(shards)
