"""What would it cost to answer a selection: chunks fetched, bytes decoded, values and bytes returned?

Pure integer arithmetic on positions and chunk grids, well under a millisecond for ordinary requests. The plan is the
cost: limits, ``413``, admission, progress and job quotas all read the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from plugins.datacube.blocks import chunk_bytes, count_chunks
from plugins.datacube.datacube import Datacube
from plugins.datacube.query import Query
from plugins.datacube.select import select
from plugins.datacube.selection import Points, Raster, Rectangle, Selection, Swarm, Tracks

BYTES_OF_A_VALUE: Final = 12
"""Encoded size of one value: CoverageJSON takes 8 to 20 bytes, the binary formats 4 to 8."""
BYTES_OF_A_COORDINATE: Final = 24
"""A time in ISO 8601 with quotation marks and comma."""
READING: Final = 64 * 2**20
"""Bytes of decoded chunks that one answer holds at a time, at most: `tasks.AT_A_TIME` blocks of `read.BLOCK_BYTES`."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan reads and returns."""

    bytes_decoded: int
    """Chunks times the size of a full chunk in its stored dtype."""
    chunks: int
    """Chunks (inner chunks of shards) touched, over all parameters."""
    bytes_out: int
    """Estimate of the encoded answer."""
    values: int
    """Numbers in the answer, masked ones included."""

    @property
    def memory(self) -> int:
        """Bytes held while reading and encoding, at most: what `ByteBudget` is asked for."""
        return min(self.bytes_decoded, READING) + 8 * self.values + self.bytes_out


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A selection with its cost; `plugins.datacube.read` carries it out."""

    selection: Selection
    cost: Cost

    @property
    def cube(self) -> Datacube:
        """The datacube, at the snapshot that will be read."""
        return self.selection.cube


def plan(cube: Datacube, selection: Selection) -> ReadPlan:
    """Count what a selection costs.

    Parameters
    ----------
    cube : Datacube
        The datacube of the selection.
    selection : Selection

    Raises
    ------
    ValueError
        If the selection is of another datacube: a mistake of the program.
    """
    if selection.cube is not cube:
        raise ValueError("the selection belongs to another datacube")
    chunks = bytes_decoded = values = coordinates = 0
    for group in selection.groups:
        leading = math.prod(indexer.axis.size for indexer in group.leading)
        # Every point repeats the axes; every trajectory its places.
        repeated = sum(indexer.axis.size for indexer in group.leading)
        match group.horizontal:
            case Tracks(y=y):
                cells, coordinates_of = y.size, leading * y.size * 4
            case Points(y=y):
                cells, coordinates_of = y.size, y.size * (repeated + 2)
            case Swarm(y=y):
                cells, coordinates_of = y.size, repeated + 2 * y.size
            case Raster(y=y, x=x):
                cells, coordinates_of = y.size * x.size, repeated + y.size + x.size
            case Rectangle(y=rows, x=columns):
                cells = rows.indices.size * columns.indices.size
                coordinates_of = repeated + rows.indices.size + columns.indices.size
            case other:
                raise TypeError(f"{type(other).__name__} is no kind of horizontal selection")
        values += leading * cells * len(group.parameters)
        coordinates += coordinates_of
        for parameter in group.parameters:
            touched = count_chunks(group, parameter)
            chunks += touched
            bytes_decoded += touched * chunk_bytes(parameter)
    bytes_out = values * BYTES_OF_A_VALUE + coordinates * BYTES_OF_A_COORDINATE
    return ReadPlan(selection, Cost(bytes_decoded, chunks, bytes_out, values))


def plan_query(cube: Datacube, query: Query) -> ReadPlan:
    """Select and plan in one step.

    Raises
    ------
    UnsupportedDatasetError, InvalidQueryError, NoDataError, TooLargeError
        As `plugins.datacube.select.select` does.
    """
    return plan(cube, select(cube, query))
