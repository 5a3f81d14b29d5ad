"""How do the files' values come into the repository, block by block?"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import icechunk
import numpy as np
import zarr

from plugins.datacube.datacube import Datacube
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.describe import describe
from plugins.datacube.ingest import attributes as cf_attributes
from plugins.datacube.ingest import store
from plugins.datacube.ingest.blocks import blocks
from plugins.datacube.ingest.content import Content, Progress, Selection, SourceVariable
from plugins.datacube.ingest.horizontal import horizontal_dimensions
from plugins.datacube.ingest.repository import Work
from plugins.datacube.ingest.sequence import Timeline
from plugins.datacube.sources import Source

SAVE_BYTES = 512 << 20
"""After so many bytes the work is saved, so that a crash costs no more than this."""
SAVE_SECONDS = 20.0
"""Or after so long."""


@dataclass(frozen=True, slots=True)
class Block:
    """One region of one array that is copied at once."""

    name: str
    target: Selection
    """Where it goes in the collection."""
    source: Selection
    """Where it is in the files; time counts from their first time."""
    nbytes: int


@dataclass(frozen=True, slots=True)
class Task:
    """Everything that is to be written."""

    timeline: Timeline
    collection: Content | None
    """What is continued, or None for a new collection."""
    variables: dict[str, SourceVariable]
    """As they stand in the finished collection."""
    auxiliary: frozenset[str]

    @property
    def known(self) -> int:
        """How many times the collection has already."""
        time = self.timeline.time
        return self.collection.dimensions[time] if self.collection is not None and time is not None else 0

    def grows(self, variable: SourceVariable) -> bool:
        """Whether there is anything to write of a variable: always in a new collection, else where it has time."""
        return self.collection is None or self.timeline.time in variable.dims

    def whole(self, variable: SourceVariable) -> bool:
        """Whether a variable is written as one chunk."""
        return store.is_single_chunk(variable, auxiliary=variable.name in self.auxiliary)

    def chunks(self, variable: SourceVariable) -> tuple[int, ...]:
        """Return the chunk shape for a variable that is created."""
        return store.array_chunks(
            variable,
            auxiliary=variable.name in self.auxiliary,
            time=self.timeline.time,
            horizontal=horizontal_dimensions(self.variables),
        )


def make_arrays(session: icechunk.Session, task: Task) -> None:
    """Make or lengthen all arrays, and write those of one chunk: the coordinates among them."""
    if task.collection is None:
        attributes = cf_attributes.to_json(task.timeline.template.attributes)
        group = zarr.create_group(session.store, zarr_format=3, attributes=attributes, overwrite=True)
    else:
        group = zarr.open_group(session.store, mode="r+")
    time = task.timeline.time
    for name, variable in task.variables.items():
        if not task.grows(variable):
            continue
        if not task.whole(variable):
            if task.collection is None:
                store.create_array(group, variable, task.chunks(variable))
            else:
                store.writable_array(group, name).resize(variable.shape)
            continue
        values = task.timeline.read(name, tuple(slice(0, size) for size in task.timeline.variables[name].shape))
        if task.collection is not None and time is not None:
            values = np.concatenate([task.collection.read(name), values], axis=variable.dims.index(time))
        array = store.create_array(group, variable, task.chunks(variable))
        array[...] = values


def describe_session(session: icechunk.Session, definition: DatasetDefinition, label: str) -> Datacube:
    """Look at the collection with the server's own eyes.

    Raises
    ------
    DatasetError
        If it could not even be listed: no horizontal coordinates, two latitudes, times that cannot be read.
    """
    group = zarr.open_group(session.store, mode="r")
    return describe(Source(group, "", "icechunk", session.store, label, probe=str), definition)


def plan_blocks(task: Task, chunks: dict[str, tuple[int, ...]]) -> Iterator[Block]:
    """List the blocks of all larger arrays, always in the same order.

    Parameters
    ----------
    chunks : dict
        Chunk shapes of the arrays as they stand in the repository.
    """
    time, known = task.timeline.time, task.known
    for name, variable in task.variables.items():
        if task.whole(variable) or not task.grows(variable):
            continue
        start = [known if dim == time else 0 for dim in variable.dims]
        for target in blocks(variable.shape, chunks[name], variable.dtype.itemsize, start=start):
            source = tuple(slice(s.start - first, s.stop - first) for s, first in zip(target, start, strict=True))
            nbytes = prod(s.stop - s.start for s in target) * variable.dtype.itemsize
            yield Block(name, target, source, nbytes)


def copy_blocks(work: Work, task: Task, planned: list[Block], progress: Progress) -> icechunk.Session:
    """Copy the blocks that are not yet done, saving now and then; the last session is returned unsaved."""
    total = sum(block.nbytes for block in planned) or 1
    copied = sum(block.nbytes for block in planned[: work.done])
    session = work.session()
    group = zarr.open_group(session.store, mode="r+")
    unsaved, since = 0, clock.monotonic()
    for number in range(work.done, len(planned)):
        block = planned[number]
        progress(copied / total, f"writing {block.name}")
        values = task.timeline.read(block.name, block.source)
        store.writable_array(group, block.name)[block.target] = values
        copied += block.nbytes
        unsaved += block.nbytes
        is_last = number == len(planned) - 1
        if not is_last and (unsaved >= SAVE_BYTES or clock.monotonic() - since >= SAVE_SECONDS):
            work.save(session, number + 1)
            session = work.session()
            group = zarr.open_group(session.store, mode="r+")
            unsaved, since = 0, clock.monotonic()
    return session
