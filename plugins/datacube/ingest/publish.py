"""How does a file become a dataset of the server: a new one, or the next part of one that is published?

``DATA/datasets/<id>/store`` is an Icechunk repository and ``DATA/datasets/<id>/dataset.json`` makes it visible. A crash
at any moment leaves readers with what they had; the same command, given again, goes on where the first one stopped.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import icechunk
import zarr

from plugins.datacube import calendar
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest import store, times
from plugins.datacube.ingest.content import Content, Progress, SourceVariable
from plugins.datacube.ingest.folders import INGESTED, SCRATCH, dataset_folder
from plugins.datacube.ingest.formats import is_source_file, open_content
from plugins.datacube.ingest.horizontal import require_values
from plugins.datacube.ingest.repository import MAIN, Work, exclusive, guarded, open_repository, published_plan
from plugins.datacube.ingest.sequence import Timeline, join
from plugins.datacube.ingest.tags import give_name, require_name, require_unused
from plugins.datacube.ingest.write import (
    Block,
    Task,
    copy_blocks,
    describe_session,
    make_arrays,
    plan_blocks,
)
from plugins.datacube.published import DOCUMENT, STORE, read_dataset_json, write_dataset_json

VERSION = 1
"""Raised when the same plan would be written in another way, so that old half-finished work is not continued."""

__all__ = ["PublishReport", "ingest_file", "is_source_file", "publish"]


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What a publication did."""

    id: str
    snapshot: str
    """Icechunk snapshot that readers see now."""
    created: bool
    """True for a new dataset, False where one was continued."""
    resumed: bool
    """True where an interrupted publication was finished."""
    added_times: int
    """How many times were added; 0 for a dataset without a time axis."""
    first_time: str | None
    """First added time, ISO 8601 in the calendar of the dataset."""
    last_time: str | None
    parameters: tuple[str, ...]
    """Data variables that can be asked for."""
    unsupported: str | None
    """Why the dataset can be listed but not yet queried (one sentence), or None."""
    bytes: int
    """Decoded bytes written."""
    notes: tuple[str, ...] = ()
    """One sentence for each thing that was left out or is missing."""


def publish(
    files: Sequence[Path],
    definition: DatasetDefinition,
    data: Path,
    progress: Progress | None = None,
    *,
    tag: str | None = None,
) -> PublishReport:
    """Publish NetCDF and GRIB files as one dataset, or append them to it along time.

    Parameters
    ----------
    files : sequence of Path
        Laid end to end along time, in the order of their times.
    definition : DatasetDefinition
        The id, and what people should know; `href` is decided here. Of a dataset that exists, only what is given
        replaces what is known.
    data : Path
        The data folder; the dataset is ``data / "datasets" / id``.
    progress : callable, optional
        ``progress(fraction, text)`` with a fraction from 0 to 1.
    tag : str, optional
        A name for the new state of the dataset (`plugins.datacube.ingest.tags`).

    Raises
    ------
    DatasetError
        If a file cannot be read or served right, or does not fit to the others or to what is published, or the name
        cannot be given. Nothing that readers see has changed then.
    BusyError
        If another process is publishing to the same dataset.
    StorageError
        If the data folder cannot be written.
    """
    if not files:
        raise DatasetError("no files to publish were given")
    if tag is not None:
        require_name(tag)
    folder = dataset_folder(data, definition.id)
    return guarded(lambda: _publish(files, folder, definition, progress or _silent, tag))


def publish_contents(
    contents: Sequence[Content],
    identity: Sequence[Any],
    definition: DatasetDefinition,
    data: Path,
    progress: Progress | None = None,
) -> PublishReport:
    """Publish contents that come from elsewhere than files, as `publish` does with files.

    Parameters
    ----------
    identity : sequence
        JSON values that change whenever the contents do: interrupted work is only continued where they are the same.

    Raises
    ------
    DatasetError, BusyError, StorageError
        As for `publish`.
    """

    def write() -> PublishReport:
        folder = dataset_folder(data, definition.id)
        with exclusive(folder):
            report = _write(contents, identity, folder, definition, progress or _silent)
        (progress or _silent)(1.0, "published")
        return report

    return guarded(write)


def ingest_file(path: Path, data: Path, progress: Progress | None = None) -> DatasetDefinition:
    """Make a NetCDF or GRIB file servable without publishing it, once as long as the file is unchanged.

    Parameters
    ----------
    path : Path
        The file; the id of the dataset is the stem of its name.
    data : Path
        The data folder; the store is ``data / "ingested" / "<stem>-<digest>" / "store"``, where the digest is of the
        file's path, size and time of change.
    progress : callable, optional
        As for `publish`.

    Raises
    ------
    DatasetError, BusyError, StorageError
        As for `publish`.
    """
    if not path.is_file():
        raise DatasetError(f"{path.name} is not a file" if path.exists() else f"{path.name} does not exist")
    dataset_id = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")[:100] or "file"
    digest = sha256(json.dumps(_identity(path)).encode()).hexdigest()[:16]
    folder = data / INGESTED / f"{dataset_id}-{digest}"
    definition = DatasetDefinition(id=dataset_id, href=str(folder / STORE))
    if not (folder / DOCUMENT).exists():
        guarded(lambda: _publish([path], folder, definition, progress or _silent))
    return definition


def _silent(_fraction: float, _text: str) -> None:
    """Report progress to nobody."""


def _publish(
    files: Sequence[Path],
    folder: Path,
    definition: DatasetDefinition,
    progress: Progress,
    tag: str | None = None,
) -> PublishReport:
    existed = folder.exists()
    with exclusive(folder):
        try:
            for abandoned in folder.glob(f"{SCRATCH}*"):
                shutil.rmtree(abandoned)
            with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as scratch:
                contents = _open_all(files, Path(scratch), lambda part, text: progress(0.3 * part, text))
                identity = [_identity(path) for path in files]
                report = _write(
                    contents, identity, folder, definition, lambda part, text: progress(0.3 + 0.7 * part, text), tag
                )
        except DatasetError:
            if not existed:
                shutil.rmtree(folder)
            raise
    progress(1.0, "published")
    return report


def _write(
    contents: Sequence[Content],
    identity: Sequence[Any],
    folder: Path,
    definition: DatasetDefinition,
    progress: Progress,
    tag: str | None = None,
) -> PublishReport:
    visible = (folder / DOCUMENT).exists()
    known = read_dataset_json(folder) if visible else None
    repository = open_repository(folder / STORE)
    if tag is not None:
        require_unused(repository, tag, definition.id)
    base = repository.lookup_branch(MAIN)
    digest = _digest(identity, base if visible else None)
    if not visible and published_plan(repository) == digest:
        # Everything had been written when the process ended; only the document was lacking.
        write_dataset_json(folder, definition)
        if tag is not None:
            give_name(repository, tag, definition.id)
        return _report(definition, repository, join(contents), contents, created=True, resumed=True, written=0)
    collection = _collection(repository, definition.id)
    timeline = join(contents, collection)
    task = Task(timeline, collection, _finished(timeline, collection), timeline.template.auxiliary)
    work = Work.begin(repository, digest)
    resumed = work.done >= 0
    if not resumed:
        session = work.session()
        try:
            make_arrays(session, task)
            describe_session(session, definition, contents[0].path.name)
        except DatasetError:
            work.abandon()
            raise
        work.save(session, 0)
    planned = _planned(work, task)
    session = copy_blocks(work, task, planned, progress)
    work.finish(session, _message(task), {"files": [content.path.name for content in contents]})
    write_dataset_json(folder, _merged(known, definition))
    if tag is not None:
        give_name(repository, tag, definition.id)
    written = sum(block.nbytes for block in planned)
    created = collection is None
    return _report(definition, repository, timeline, contents, created=created, resumed=resumed, written=written)


def _collection(repository: icechunk.Repository, dataset_id: str) -> Content | None:
    """Return what is published already, or None where the repository is empty."""
    try:
        group = zarr.open_group(repository.readonly_session(MAIN).store, mode="r")
    except FileNotFoundError:
        return None
    return store.content_of(group, f"the collection {dataset_id}")


def _open_all(files: Sequence[Path], scratch: Path, progress: Progress) -> list[Content]:
    contents = []
    for number, path in enumerate(files):
        room = scratch / str(number)
        room.mkdir()

        def decoded(part: float, name: str = path.name, done: int = number) -> None:
            progress((done + part) / len(files), f"decoding {name}")

        progress(number / len(files), f"reading {path.name}")
        content = open_content(path, room, decoded)
        require_values(content)
        contents.append(content)
    return contents


def _finished(timeline: Timeline, collection: Content | None) -> dict[str, SourceVariable]:
    """Return the variables as they stand once everything is written: with the times that were there already."""
    time = timeline.time
    if collection is None or time is None:
        return dict(timeline.variables)
    total = collection.dimensions[time] + timeline.length
    return {
        name: replace(v, shape=tuple(total if dim == time else size for dim, size in zip(v.dims, v.shape, strict=True)))
        for name, v in timeline.variables.items()
    }


def _planned(work: Work, task: Task) -> list[Block]:
    group = zarr.open_group(work.session().store, mode="r")
    chunks = {name: tuple(int(n) for n in array.chunks) for name, array in group.arrays()}
    return list(plan_blocks(task, chunks))


def _identity(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _digest(identity: Sequence[Any], base: str | None) -> str:
    """Return what must be the same for interrupted work to be continued: the files, and what they are appended to."""
    return sha256(json.dumps([VERSION, base, list(identity)]).encode()).hexdigest()


def _merged(known: DatasetDefinition | None, given: DatasetDefinition) -> DatasetDefinition:
    """Return what is known of a dataset, with what is given now in its place."""
    if known is None:
        return given
    changes = {
        field.name: value
        for field in fields(DatasetDefinition)
        if field.name not in ("id", "href", "published") and (value := getattr(given, field.name))
    }
    return replace(known, **changes)


def _message(task: Task) -> str:
    names = ", ".join(task.timeline.template.data_variables[:8])
    times_added = f", {task.timeline.length} times" if task.timeline.time is not None else ""
    return f"{'publish' if task.collection is None else 'append'} {names}{times_added}"


def _report(
    definition: DatasetDefinition,
    repository: icechunk.Repository,
    timeline: Timeline,
    contents: Sequence[Content],
    *,
    created: bool,
    resumed: bool,
    written: int,
) -> PublishReport:
    first = last = None
    if timeline.time is not None:
        name = times.calendar_of(timeline.template.variables[timeline.time].attributes)
        first, last = calendar.to_iso([timeline.moments[0], timeline.moments[-1]], name)
    session = repository.readonly_session(MAIN)
    cube = describe_session(session, definition, definition.id)
    return PublishReport(
        id=definition.id,
        snapshot=session.snapshot_id,
        created=created,
        resumed=resumed,
        added_times=timeline.length if timeline.time is not None else 0,
        first_time=first,
        last_time=last,
        parameters=tuple(cube.parameters),
        unsupported=cube.unsupported,
        bytes=written,
        notes=tuple(note for content in contents for note in content.notes),
    )
