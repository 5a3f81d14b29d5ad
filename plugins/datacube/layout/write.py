"""How does a layout of a collection come to be, or come up to date?

1. Say what is to be written: all of a new copy; of one that is there, what its source has gained since.
2. Make the arrays, and copy them block by block, on a branch that no reader sees. Now and then the work is saved; after
   a crash, however abrupt, the same command goes on there.
3. Read every block back from the copy, and compare it bit for bit with what the source held.
4. Show the copy to readers in one step, with the snapshot of its source recorded in it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import icechunk
import zarr

from plugins.datacube import layouts, remote
from plugins.datacube.datacube import Datacube
from plugins.datacube.definition import DatasetDefinition, LayoutDefinition
from plugins.datacube.describe import describe
from plugins.datacube.errors import InvalidQueryError, StorageError, UnsupportedDatasetError
from plugins.datacube.ingest.content import Progress
from plugins.datacube.ingest.repository import MAIN, WORK, Work, exclusive
from plugins.datacube.ingest.store import writable_array
from plugins.datacube.layout.changes import storage_of, unchanged_times
from plugins.datacube.layout.copy import Copying, MismatchError, Step, steps_of
from plugins.datacube.layout.fields import ChunksOf, Field, create, fields_of, read_whole
from plugins.datacube.layout.passes import Passes, passes
from plugins.datacube.layout.sample import differences
from plugins.datacube.layout.scratch import Scratch
from plugins.datacube.library import OpenDatacube
from plugins.datacube.sources import Source, local_path

VERSION: Final = 1
"""Raised when the same plan would be written in another way, so that old half-finished work is not continued."""
MEMORY: Final = 512 << 20
"""Bytes of arrays that are held at a time, unless the operator says otherwise."""
FREE_SHARE: Final = 0.5
"""Of the free disk: what interim files may take."""
SCRATCH: Final = ".scratch-"


@dataclass(frozen=True, slots=True)
class LayoutReport:
    """What was written."""

    snapshot: str
    """Of the source."""
    created: bool
    """Everything was written; False where a copy was brought up to date."""
    resumed: bool
    """Interrupted work was finished."""
    current: bool
    """There was nothing to do."""
    bytes: int
    """Decoded bytes written."""
    chunks: Mapping[str, tuple[int, ...]]
    """By parameter."""
    amplification: float
    """How often a source chunk was read, on average, weighed by bytes."""
    scratch: int
    """Bytes of interim files at a time, at most."""


@dataclass(frozen=True, slots=True)
class Known:
    """A copy that is there."""

    group: zarr.Group
    cube: Datacube
    record: layouts.Record


def write_layout(
    opened: OpenDatacube,
    layout: LayoutDefinition,
    folder: Path,
    purpose: str,
    chunks_of: ChunksOf,
    progress: Progress,
    *,
    memory: int = MEMORY,
) -> LayoutReport:
    """Write a copy of a dataset in other chunks, or bring it up to date.

    Parameters
    ----------
    opened : OpenDatacube
        The dataset at its newest state.
    layout : LayoutDefinition
        Where the copy goes: an Icechunk repository, made where it does not exist.
    folder : Path
        On this machine, for the lock and for interim files.
    purpose : str
        What the copy is for; one that is there for the same purpose is brought up to date, and keeps its chunks.
    chunks_of : callable
        Gives the chunk shape of a parameter.
    progress : callable
        ``progress(fraction, text)`` with a fraction from 0 to 1.
    memory : int
        Bytes of the arrays that are held at a time: half for a block, half for what is made of it. More are held only
        where a single chunk of the source, or a chunk or shard of the copy, is larger than half of them.

    Raises
    ------
    UnsupportedDatasetError
        If the dataset cannot be queried: a layout would be of no use.
    InvalidQueryError
        If the dataset has these chunks already, or the place is taken by something else.
    BusyError
        If another process is writing the same layout.
    StorageError
        If the source cannot be read, the copy cannot be written, or is not what the source holds.
    """
    if opened.cube.unsupported is not None:
        raise UnsupportedDatasetError(opened.cube.unsupported)
    record = layouts.Record(opened.cube.id, opened.cube.snapshot, purpose)
    try:
        with exclusive(folder):
            return _write(opened, layout, folder, record, chunks_of, progress, max(1, memory // 2))
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"the layout cannot be written: {(error.strerror or 'input error').lower()}") from error
    except icechunk.IcechunkError as error:
        raise StorageError("the repository of the layout is damaged or cannot be written") from error


def _write(
    opened: OpenDatacube,
    layout: LayoutDefinition,
    folder: Path,
    record: layouts.Record,
    chunks_of: ChunksOf,
    progress: Progress,
    block_bytes: int,
) -> LayoutReport:
    repository = _repository(opened.cube.definition.of_layout(layout))
    known = _known(repository, opened, layout)
    fields, kept = _what_to_write(opened, known, record, chunks_of)
    if known is not None and known.record == record:
        for abandoned in folder.glob(f"{SCRATCH}*"):
            shutil.rmtree(abandoned)
        return _report(fields, {}, [], record.snapshot, current=True)
    disk = int(shutil.disk_usage(folder).free * FREE_SHARE)
    plans = {
        name: _passes(field, kept, block_bytes, disk)
        for name, field in fields.items()
        if not field.whole and (kept == 0 or field.parameter is None or field.time is not None)
    }
    steps = steps_of(fields, plans)
    digest = _digest(record, fields, steps, kept)
    scratch = _scratch(folder, digest)
    if known is not None and kept == 0 and WORK not in repository.list_branches():
        _forget_history(repository)
    work = Work.begin(repository, digest)
    resumed = work.done >= 0
    if not resumed:
        session = work.session()
        _make_arrays(session, fields, {**opened.source.group.attrs.asdict(), layouts.RECORD: record.to_json()}, kept)
        work.save(session, 0)
    copying = Copying(opened, steps, scratch, progress)
    copying.copy(work)
    try:
        _verify(repository, work, copying, opened, layout, fields)
    except MismatchError:
        work.abandon()
        scratch.remove()
        raise
    work.finish(work.session(), f"layout {layout.name} of {record.dataset} at {record.snapshot}", {})
    scratch.remove()
    progress(1.0, "written")
    return _report(fields, plans, steps, record.snapshot, created=kept == 0, resumed=resumed)


def _repository(definition: DatasetDefinition) -> icechunk.Repository:
    icechunk.set_logs_filter("error")
    path = local_path(definition.href)
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
    # A crash during creation leaves a folder that is neither clean nor a repository.
    return icechunk.Repository.open_or_create(
        storage_of(definition), config=remote.icechunk_config(), check_clean_root=False
    )


def _known(repository: icechunk.Repository, opened: OpenDatacube, layout: LayoutDefinition) -> Known | None:
    """Return the copy that readers see, or None where nothing was written yet.

    Raises
    ------
    InvalidQueryError
        If there is something that is no copy of this dataset: it is never written over.
    """
    copy = _opened(repository.readonly_session(MAIN), opened, layout)
    if copy is None:
        return None
    record = layouts.record_of(copy.source.group.attrs.asdict())
    if record is None or record.dataset != opened.cube.id:
        raise InvalidQueryError("out", f"the place of the layout {layout.name} is taken by something else", "another")
    return Known(copy.source.group, copy.cube, record)


def _opened(session: icechunk.Session, opened: OpenDatacube, layout: LayoutDefinition) -> OpenDatacube | None:
    """Look at a copy with the server's own eyes; None where the repository is empty."""
    try:
        group = zarr.open_group(session.store, mode="r")
    except FileNotFoundError:
        return None
    source = Source(group, str(session.snapshot_id), "icechunk", session.store, layout.name, lambda: "")
    cube = describe(source, opened.cube.definition.of_layout(layout))
    arrays = {name: array for name in cube.parameters if isinstance(array := group[name], zarr.Array)}
    return OpenDatacube(cube, arrays, source, layout.name)


def _what_to_write(
    opened: OpenDatacube, known: Known | None, record: layouts.Record, chunks_of: ChunksOf
) -> tuple[dict[str, Field], int]:
    """Return the arrays with the chunks that they shall have, and how many times of them are there already."""
    if known is not None and known.record.purpose == record.purpose:
        fields = {name: _as_known(field, known.cube) for name, field in fields_of(opened, chunks_of).items()}
        if known.record == record:
            return fields, 0
        kept = unchanged_times(opened, known.record.snapshot, fields, known.cube, known.group)
        if kept:
            return fields, kept
    fields = fields_of(opened, chunks_of)
    parameters = [field for field in fields.values() if field.parameter is not None]
    if all(field.chunks == field.source_chunks for field in parameters):
        raise InvalidQueryError("for", f"{opened.cube.id} has these chunks already", "another purpose, or other chunks")
    return fields, 0


def _as_known(field: Field, copy: Datacube) -> Field:
    theirs = copy.parameters.get(field.name)
    if field.parameter is None or theirs is None:
        return field
    return replace(field, chunks=theirs.chunks, shards=theirs.shards)


def _passes(field: Field, kept: int, block_bytes: int, disk: int) -> Passes:
    # What is written at once is written anew where only a part of it is new.
    first = (kept // field.unit[field.time]) * field.unit[field.time] if field.time is not None else 0
    start = tuple(first if i == field.time else 0 for i in range(len(field.shape)))
    return passes(field.shape, field.source_chunks, field.unit, field.dtype.itemsize, block_bytes, start, disk=disk)


def _digest(record: layouts.Record, fields: Mapping[str, Field], steps: list[Step], kept: int) -> str:
    """Return what must be the same for interrupted work to be continued."""
    arrays = [(field.name, field.shape, field.chunks, field.shards) for field in fields.values()]
    blocks = [(step.key, [(s.start, s.stop) for s in step.box], len(step.slab.reads)) for step in steps]
    return sha256(json.dumps([VERSION, record.to_json(), arrays, blocks, kept]).encode()).hexdigest()


def _scratch(folder: Path, digest: str) -> Scratch:
    """Return the folder of interim files of this plan, and remove those of others."""
    own = folder / f"{SCRATCH}{digest[:16]}"
    for abandoned in folder.glob(f"{SCRATCH}*"):
        if abandoned != own:
            shutil.rmtree(abandoned)
    return Scratch(own)


def _forget_history(repository: icechunk.Repository) -> None:
    """Remove copies that were replaced before: readers are at the newest one by now."""
    now = datetime.now(UTC)
    repository.expire_snapshots(older_than=now)
    repository.garbage_collect(now)


def _make_arrays(session: icechunk.Session, fields: Mapping[str, Field], attributes: dict[str, Any], kept: int) -> None:
    """Make or lengthen all arrays, and write those that are written at once: the coordinates among them."""
    if kept:
        group = zarr.open_group(session.store, mode="r+")
        group.attrs.put(attributes)
    else:
        group = zarr.create_group(session.store, zarr_format=3, attributes=attributes, overwrite=True)
    for field in fields.values():
        if kept and field.parameter is not None:
            writable_array(group, field.name).resize(field.shape)
            continue
        array = create(group, field)
        if field.whole:
            array[...] = read_whole(field)


def _verify(
    repository: icechunk.Repository,
    work: Work,
    copying: Copying,
    opened: OpenDatacube,
    layout: LayoutDefinition,
    fields: Mapping[str, Field],
) -> None:
    """Compare everything that was written with the source, then a few cells by the way that readers take.

    Raises
    ------
    MismatchError
        If anything is not what the source holds.
    """
    copy = _opened(repository.readonly_session(snapshot_id=work.tip), opened, layout)
    if copy is None:
        raise MismatchError(f"the layout {layout.name} is gone while it was written")
    copying.verify(copy.source.group, [field for field in fields.values() if field.whole])
    found = layouts.compare(opened, layout, copy)
    problem = found.problem or layouts.other_axes(opened.cube, copy.cube)
    if found.view is None or problem is not None:
        raise MismatchError(f"the layout {layout.name} {problem}")
    if other := next(differences(opened, found.view), None):
        raise MismatchError(f"the copy of {other} is not what the source holds")


def _report(
    fields: Mapping[str, Field],
    plans: Mapping[str, Passes],
    steps: list[Step],
    snapshot: str,
    *,
    created: bool = False,
    resumed: bool = False,
    current: bool = False,
) -> LayoutReport:
    written = {name: sum(step.nbytes for step in steps if step.field.name == name) for name in plans}
    total = sum(written.values())
    return LayoutReport(
        snapshot=snapshot,
        created=created,
        resumed=resumed,
        current=current,
        bytes=total,
        chunks={name: field.chunks for name, field in fields.items() if field.parameter is not None},
        amplification=sum(plan.amplification * written[name] for name, plan in plans.items()) / total if total else 0.0,
        scratch=max((plan.scratch for plan in plans.values()), default=0),
    )
