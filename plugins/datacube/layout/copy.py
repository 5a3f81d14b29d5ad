"""How do the values of a collection come into a layout of it block by block, and are they there, bit for bit?"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import icechunk
import numpy as np
import zarr
from numpy.typing import NDArray

from plugins.datacube.errors import StorageError
from plugins.datacube.ingest.content import Progress
from plugins.datacube.ingest.repository import Work
from plugins.datacube.ingest.store import writable_array
from plugins.datacube.layout.fields import Field, read_whole, reader
from plugins.datacube.layout.passes import Box, Limits, Passes, Shape, Slab, inside, overlap
from plugins.datacube.layout.scratch import Scratch, digest
from plugins.datacube.library import OpenDatacube

SAVE_BYTES: Final = 512 << 20
"""After so many bytes the work is saved, so that a crash costs no more than this."""
SAVE_SECONDS: Final = 20.0
"""Or after so long."""


PART_BYTES: Final = 32 << 20
"""Blocks go through Zarr in parts of this size: while it works on a part it holds that a second time."""


class MismatchError(StorageError):
    """The copy is not what the source holds."""


@dataclass(frozen=True, slots=True)
class Step:
    """One block of the copy."""

    field: Field
    slab: Slab
    key: str
    """Of the slab, in the names of interim files."""
    number: int
    """Of the block in the slab."""

    @property
    def box(self) -> Box:
        """Where the block is."""
        return self.slab.writes[self.number]

    @property
    def nbytes(self) -> int:
        """Bytes of the block."""
        return _nbytes(self.box, self.field)

    def pieces(self) -> Iterator[tuple[int, Box]]:
        """Yield the blocks of the source that hold a part of this one: their number, and the part."""
        if self.slab.direct:
            yield self.number, self.box
            return
        for number, box in enumerate(self.slab.reads):
            if (part := overlap(box, self.box)) is not None:
                yield number, part


def steps_of(fields: Mapping[str, Field], plans: Mapping[str, Passes]) -> list[Step]:
    """List the blocks of all arrays that are written in blocks, always in the same order."""
    return [
        Step(fields[name], slab, f"{order}-{index}", number)
        for order, (name, plan) in enumerate(plans.items())
        for index, slab in enumerate(plan.slabs)
        for number in range(len(slab.writes))
    ]


class Copying:
    """The copy of all blocks, and its verification.

    Parameters
    ----------
    opened : OpenDatacube
        The source.
    steps : sequence of Step
    scratch : Scratch
    progress : callable
        Told the share of bytes that were read, written and compared.
    """

    def __init__(self, opened: OpenDatacube, steps: Sequence[Step], scratch: Scratch, progress: Progress) -> None:
        self.steps, self.scratch, self.progress = steps, scratch, progress
        self.readers = {step.field.name: reader(opened, step.field) for step in steps}
        # Written, and read back; and read first, where that is a pass of its own.
        self._total = max(1, sum(step.nbytes * (2 if step.slab.direct else 3) for step in steps))
        self._done = 0

    def copy(self, work: Work) -> None:
        """Copy the blocks that are not yet done, saving now and then, and at the end."""
        for step in self.steps[: work.done]:
            self._tell(step.nbytes * (1 if step.slab.direct else 2), "going on")
        session, group = self._session(work)
        unsaved, since = 0, clock.monotonic()
        for number in range(work.done, len(self.steps)):
            step = self.steps[number]
            self._write(group, step)
            self._tell(step.nbytes, f"writing {step.field.name}")
            unsaved += step.nbytes
            if unsaved >= SAVE_BYTES or clock.monotonic() - since >= SAVE_SECONDS or number == len(self.steps) - 1:
                saved = work.done
                work.save(session, number + 1)
                for done in self.steps[saved : number + 1]:
                    self.scratch.drop(f"{done.key}-{i}-{done.number}" for i, _ in done.pieces())
                session, group = self._session(work)
                unsaved, since = 0, clock.monotonic()

    def verify(self, group: zarr.Group, whole: Sequence[Field]) -> None:
        """Read everything back, and compare it with what the source held, bit for bit.

        Parameters
        ----------
        group : zarr.Group
            The copy.
        whole : sequence of Field
            The arrays that were written at once.

        Raises
        ------
        MismatchError
            If the copy cannot be read, or any bit is another.
        """
        for field in whole:
            values = self._read_back(group, field, tuple(slice(0, size) for size in field.shape))
            expected = read_whole(field)
            same = np.array_equal(values, expected) if field.is_text else digest(values) == digest(expected)
            if not same:
                raise _mismatch(field, None)
        for step in self.steps:
            self._compare(group, step)
            self._tell(step.nbytes, f"comparing {step.field.name}")

    # Each block lives in a function of its own, so that it is gone before the next one is made.

    def _write(self, group: zarr.Group, step: Step) -> None:
        values = self._values(step)
        array = writable_array(group, step.field.name)
        for part in _parts(step.box, step.field.unit, step.field):
            array[part] = values[inside(part, step.box)]

    def _compare(self, group: zarr.Group, step: Step) -> None:
        values = self._read_back(group, step.field, step.box)
        for number, part in step.pieces():
            known = self.scratch.digests(f"{step.key}-{number}") or {}
            # Where a crash of the machine took the digest along, the source is asked again.
            expected = known.get(str(step.number)) or digest(self._read(step.field, part))
            if digest(values[inside(part, step.box)]) != expected:
                raise _mismatch(step.field, part)

    def _values(self, step: Step) -> NDArray[Any]:
        if step.slab.direct:
            values = self._read(step.field, step.box)
            self.scratch.finish(f"{step.key}-{step.number}", {str(step.number): digest(values)})
            return values
        for number, box in enumerate(step.slab.reads):
            self._keep_pieces(step, number, box)
        values = np.empty(tuple(s.stop - s.start for s in step.box), step.field.dtype)
        for number, part in step.pieces():
            expected = (self.scratch.digests(f"{step.key}-{number}") or {}).get(str(step.number))
            piece = f"{step.key}-{number}-{step.number}"
            values[inside(part, step.box)] = self.scratch.get(piece, part, step.field.dtype, expected)
        return values

    def _read(self, field: Field, box: Box) -> NDArray[Any]:
        return _in_parts(self.readers[field.name], box, field.source_chunks, field)

    def _keep_pieces(self, step: Step, number: int, box: Box) -> None:
        block = f"{step.key}-{number}"
        if self.scratch.is_finished(block):
            return
        values = self._read(step.field, box)
        digests = {}
        for other, target in enumerate(step.slab.writes):
            if (part := overlap(box, target)) is not None:
                digests[str(other)] = self.scratch.put(f"{block}-{other}", values[inside(part, box)])
        self.scratch.finish(block, digests)
        self._tell(_nbytes(box, step.field), f"reading {step.field.name}")

    def _read_back(self, group: zarr.Group, field: Field, box: Box) -> NDArray[Any]:
        array = group[field.name]
        if not isinstance(array, zarr.Array):
            raise _mismatch(field, box)
        try:
            if field.whole:
                values = np.asarray(array[box])
                return values.astype(object) if field.is_text else values.astype(field.dtype, copy=False)
            return _in_parts(lambda part: np.asarray(array[part]), box, field.unit, field)
        except Exception as error:
            raise _mismatch(field, box) from error

    def _session(self, work: Work) -> tuple[icechunk.Session, zarr.Group]:
        session = work.session()
        return session, zarr.open_group(session.store, mode="r+")

    def _tell(self, nbytes: int, text: str) -> None:
        self._done += nbytes
        self.progress(min(1.0, self._done / self._total), text)


def _parts(box: Box, unit: Shape, field: Field) -> Iterator[Box]:
    """Cut a block into parts of whole units."""
    limits = Limits(field.shape, tuple(s.start for s in box), field.dtype.itemsize)
    return limits.grid(limits.grown(unit, PART_BYTES), box)


def _in_parts(read: Callable[[Box], NDArray[Any]], box: Box, unit: Shape, field: Field) -> NDArray[Any]:
    values = np.empty(tuple(s.stop - s.start for s in box), field.dtype)
    for part in _parts(box, unit, field):
        values[inside(part, box)] = read(part)
    return values


def _nbytes(box: Box, field: Field) -> int:
    return int(math.prod(s.stop - s.start for s in box) * field.dtype.itemsize)


def _mismatch(field: Field, box: Box | None) -> MismatchError:
    where = ""
    if box is not None:
        dims = zip(field.variable.dims, box, strict=True)
        where = f" at {', '.join(f'{dim} {part.start} to {part.stop - 1}' for dim, part in dims)}"
    return MismatchError(
        f"the copy of {field.name} is not what the source holds{where}; readers see nothing of it, and the same "
        "command starts anew"
    )
