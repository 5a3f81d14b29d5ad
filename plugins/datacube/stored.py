"""What is stored in these chunks of an array, or which of them cannot be read, and why?

Nothing but `read_box` and `read_chunks` calls Zarr for data. Whatever it raises becomes a `StorageError` of one
sentence that names the dataset, the parameter and the chunk, and nothing of the server.

An absent chunk is an error, and so is an absent shard; but inside a shard the Zarr specification makes an absent inner
chunk mean "fill value", and the checksum of the shard's index says that this is how it was written.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray

from plugins.datacube.datacube import Parameter
from plugins.datacube.errors import StorageError
from plugins.datacube.pipeline import read_here, reads_here

LOGGER = logging.getLogger(__name__)
MOST_TRIED: Final = 64
"""Chunks that are tried one by one to find a damaged one."""
UNREACHABLE: Final = "out of reach"

type Index = tuple[int, ...]
"""Position of a chunk in the chunk grid."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One parameter's array in a store."""

    dataset: str
    """Collection id, for messages."""
    parameter: Parameter
    array: zarr.Array[Any]

    def read_box(self, region: tuple[slice, ...], chunks: Sequence[Index]) -> NDArray[Any]:
        """Read a box of values as they are stored.

        Parameters
        ----------
        region : tuple of slice
            In elements, one a dimension.
        chunks : sequence of Index
            The chunks that the box touches, to name one of them in an error.

        Raises
        ------
        StorageError
            If any of the chunks is missing, damaged or out of reach.
        """
        try:
            return read_here(self.array, region) if reads_here(self.array) else np.asarray(self.array[region])
        except MemoryError:
            raise
        except Exception as error:
            LOGGER.warning("reading %s of %s failed", self.parameter.name, self.dataset, exc_info=error)
            complaint = _complaint(error)
            # Over a broken network each further try may wait for seconds.
            search = len(chunks) <= MOST_TRIED and complaint != UNREACHABLE
            culprit = chunks[0] if len(chunks) == 1 else self._first_unreadable(chunks) if search else None
            place = f"chunk {'.'.join(map(str, culprit))}" if culprit is not None else f"one of {len(chunks)} chunks"
            raise StorageError(
                f"stored data of {self.dataset} could not be read: {place} of {self.parameter.name} is {complaint}"
            ) from error

    def read_chunks(self, indices: Sequence[Index]) -> dict[Index, NDArray[Any]]:
        """Read whole chunks, neighbours together; a chunk at the edge ends where the array ends.

        Raises
        ------
        StorageError
            If any of them is missing, damaged or out of reach.
        """
        sizes = self.parameter.chunks
        read: dict[Index, NDArray[Any]] = {}
        # Reads that travel are few and large; in this thread each chunk is read straight into an array of its own.
        together = [(i, tuple(n + 1 for n in i)) for i in indices] if reads_here(self.array) else boxes(indices)
        for low, high in together:
            region = tuple(
                slice(first * size, min(last * size, length))
                for first, last, size, length in zip(low, high, sizes, self.parameter.shape, strict=True)
            )
            members = list(itertools.product(*(range(a, b) for a, b in zip(low, high, strict=True))))
            values = self.read_box(region, members)
            for index in members:
                part = tuple(
                    slice((i - first) * size, (i - first + 1) * size)
                    for i, first, size in zip(index, low, sizes, strict=True)
                )
                # A view would keep its neighbours in memory.
                read[index] = values if len(members) == 1 else values[part].copy()
        return read

    def _first_unreadable(self, chunks: Sequence[Index]) -> Index | None:
        for index in chunks:
            corner = (i * size for i, size in zip(index, self.parameter.chunks, strict=True))
            try:
                self.array[tuple(slice(start, start + 1) for start in corner)]
            except Exception:  # noqa: BLE001 - any failure is what is looked for
                return index
        return None


def boxes(indices: Sequence[Index]) -> list[tuple[Index, Index]]:
    """Merge chunks into few boxes (low included, high excluded) that together cover exactly them.

    Examples
    --------
    >>> boxes([(0, 0), (0, 1), (1, 0), (1, 1), (5, 5)])
    [((0, 0), (2, 2)), ((5, 5), (6, 6))]
    """
    found = [(tuple(index), tuple(i + 1 for i in index)) for index in indices]
    for dim in reversed(range(len(indices[0]) if indices else 0)):
        # Boxes that differ along one dimension only, and touch there, become one.
        groups: dict[tuple[Index, Index], list[tuple[int, int]]] = {}
        for low, high in found:
            others = (low[:dim] + low[dim + 1 :], high[:dim] + high[dim + 1 :])
            groups.setdefault(others, []).append((low[dim], high[dim]))
        found = [
            ((*low[:dim], start, *low[dim:]), (*high[:dim], stop, *high[dim:]))
            for (low, high), spans in groups.items()
            for start, stop in _joined(spans)
        ]
    return found


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _complaint(error: Exception) -> str:
    text = str(error).lower()
    if isinstance(error, zarr.errors.ChunkNotFoundError) or "not found" in text:
        return "missing"
    if isinstance(error, (ValueError, RuntimeError)):  # what codecs raise
        return "damaged: its checksum is wrong" if "checksum" in text else "damaged"
    return UNREACHABLE
