"""Where are the bytes of a dataset, and in which layout: Zarr version 2, Zarr version 3 or Icechunk?

1. Classify the href: a local path, or a URL of an object store or a web server.
2. Recognise the layout by the documents at its root, never by its name.
3. Open the root group, with consolidated metadata where the store has it.

Every failure is a `DatasetError` of one sentence that names the dataset by the last part of its href: whole paths of
the server's machine are never shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

import icechunk
import obstore
import zarr
from obstore.store import ObjectStore as ObstoreStore
from zarr.abc.store import Store
from zarr.storage import LocalStore, ObjectStore

from plugins.datacube import pipeline, remote
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError
from plugins.datacube.history import History

zarr.config.set(
    {
        "codec_pipeline.path": pipeline.PATH,
        # An absent chunk is a storage failure, not a field of fill values, unless the dataset says `sparse`.
        "array.read_missing_chunks": False,
    }
)
# Opening a local repository warns about concurrent commits; a reader never commits.
icechunk.set_logs_filter("error")

type Layout = Literal["zarr2", "zarr3", "icechunk"]

BRANCH: Final = "main"
ICECHUNK_MARKS: Final = ("repo", "refs/branch.main/ref.json")
"""A document that only an Icechunk repository has, of format 2 and of format 1."""
ZARR_MARKS: Final[Mapping[str, Layout]] = {"zarr.json": "zarr3", ".zmetadata": "zarr2", ".zgroup": "zarr2"}
"""Documents at the root of a Zarr group, in the order in which they are looked for."""
ARRAY_MARKS: Final = (".zarray",)
UNREACHABLE: Final = (OSError, obstore.exceptions.BaseError, icechunk.IcechunkError)
"""What the storage libraries raise where bytes cannot be had; OSError includes FileNotFoundError."""
FILE_KINDS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89HDF\r\n\x1a\n", "a NetCDF-4 or HDF5 file"),
    (b"CDF", "a NetCDF file"),
    (b"GRIB", "a GRIB file"),
    (b"PK\x03\x04", "a zip file"),
)
"""First bytes of the files that people try to serve."""


@dataclass(frozen=True, slots=True)
class Source:
    """An opened store, read-only, at one state of its data."""

    group: zarr.Group
    """The root group."""
    snapshot: str
    """Icechunk snapshot id; for plain Zarr a digest of the state (time, size) of its metadata documents."""
    layout: Layout
    store: Store
    label: str
    """Last part of the href: how error messages name the store."""
    probe: Callable[[], str]
    """Returns what `snapshot` would be now, cheaply: another text means that the store was written to."""
    history: History | None = None
    """The states of an Icechunk repository that can be asked for; a plain Zarr store keeps none."""


def open_source(definition: DatasetDefinition) -> Source:
    """Open the store of a dataset, read-only.

    Raises
    ------
    DatasetError
        If the store does not exist, cannot be reached or read, is of another format, or its metadata is damaged.
    """
    href = definition.href
    label = definition.id if definition.published else label_of(href)
    try:
        if (path := local_path(href)) is not None:
            return _open_local(path, label)
        return _open_remote(href, label, definition.storage_options)
    except DatasetError:
        raise
    except Exception as error:
        raise explain(error, label) from error


def label_of(href: str) -> str:
    """Return the last part of a path or URL, the name by which messages call it."""
    path = urlsplit(href).path if "://" in href else href
    return unquote(path.rstrip("/").rsplit("/", 1)[-1]) or href


def local_path(href: str) -> Path | None:
    """Return the path that an href names on this machine, or None for an object store or a web server."""
    scheme, separator, rest = href.partition("://")
    if not separator:
        return Path(href).expanduser()
    return Path(unquote(rest)) if scheme.lower() == "file" else None


def explain(error: Exception, label: str) -> DatasetError:
    """Turn what the storage libraries raise into one sentence."""
    if isinstance(error, (PermissionError, obstore.exceptions.PermissionDeniedError)):
        return DatasetError(f"{label} cannot be read: permission denied")
    if isinstance(error, obstore.exceptions.UnauthenticatedError):
        return DatasetError(f"{label} cannot be read: the storage asks for credentials")
    if isinstance(error, FileNotFoundError):
        return DatasetError(f"{label} does not exist, or is no Zarr or Icechunk store")
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return DatasetError(f"the metadata of {label} is truncated or damaged: it is not JSON")
    if isinstance(error, obstore.exceptions.UnknownConfigurationKeyError):
        return DatasetError(f"a storage option of {label} is not known to its object store")
    if isinstance(error, (obstore.exceptions.BaseError, OSError)):
        return DatasetError(f"the storage of {label} does not answer")
    if isinstance(error, icechunk.IcechunkError):
        return DatasetError(f"the Icechunk repository {label} cannot be opened: it is damaged or cannot be reached")
    return DatasetError(f"the metadata of {label} is damaged or of an unknown version")


def _open_local(path: Path, label: str) -> Source:
    if not path.exists():
        raise DatasetError(f"{label} does not exist")
    if path.is_file():
        raise DatasetError(_describe_file(path, label))
    if not os.access(path, os.R_OK | os.X_OK):
        raise PermissionError(path)
    if any((path / mark).exists() for mark in ICECHUNK_MARKS):
        return _open_icechunk(icechunk.local_filesystem_storage(str(path)), label)
    layout, mark = _layout(label, lambda key: (path / key).exists(), lambda: not any(path.iterdir()))
    return _open_zarr(LocalStore(path, read_only=True), layout, mark, label, partial(_stat, path))


def _stat(path: Path, keys: Iterable[str]) -> str:
    found = [(path / key).stat() for key in keys]
    return _digest(f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}" for status in found)


def _digest(marks: Iterable[str]) -> str:
    return sha256(" ".join(marks).encode()).hexdigest()[:20]


def _describe_file(path: Path, label: str) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    kind = next((kind for magic, kind in FILE_KINDS if start.startswith(magic)), None)
    if kind is None:
        return f"{label} is a file of an unknown format; a Zarr or Icechunk store is a folder"
    if kind == "a zip file":
        return f"{label} is a zip file; unpack it, and give the folder of the Zarr store"
    return f"{label} is {kind}; publish it first (isopleth publish)"


def _open_remote(href: str, label: str, options: Mapping[str, Any]) -> Source:
    upstream = remote.object_store(href, label, options)
    refused: list[Exception] = []

    @cache
    def exists(key: str) -> bool:
        try:
            obstore.head(upstream, key)
        except FileNotFoundError:
            return False
        except obstore.exceptions.PermissionDeniedError as error:
            # Where listing is not allowed, S3 answers 403 for an object that does not exist.
            refused.append(error)
            return False
        return True

    if not any(exists(mark) for mark in ZARR_MARKS) and any(exists(mark) for mark in ICECHUNK_MARKS):
        return _open_icechunk(remote.icechunk_storage(href, label, options), label)
    if refused and not any(exists(mark) for mark in ZARR_MARKS):
        raise refused[0]
    layout, mark = _layout(label, exists, lambda: False)
    return _open_zarr(ObjectStore(upstream, read_only=True), layout, mark, label, partial(_head, upstream))


def _head(upstream: ObstoreStore, keys: Sequence[str]) -> str:
    def mark(key: str) -> str:
        found = obstore.head(upstream, key)
        return f"{found['e_tag']}-{found['last_modified'].isoformat()}-{found['size']}"

    if len(keys) == 1:
        return _digest([mark(keys[0])])
    with ThreadPoolExecutor(8) as pool:
        return _digest(pool.map(mark, keys))


def _layout(label: str, exists: Callable[[str], bool], empty: Callable[[], bool]) -> tuple[Layout, str]:
    for mark, layout in ZARR_MARKS.items():
        if exists(mark):
            return layout, mark
    if any(exists(mark) for mark in ARRAY_MARKS):
        raise DatasetError(f"{label} is a single Zarr array; a dataset is a group of arrays with their coordinates")
    if empty():
        raise DatasetError(f"{label} is an empty folder")
    raise DatasetError(f"{label} does not exist, or is no Zarr or Icechunk store")


def _open_group(store: Store, layout: Layout, label: str) -> zarr.Group:
    version: Literal[2, 3] = 2 if layout == "zarr2" else 3
    try:
        node = zarr.open(store, mode="r", zarr_format=version)
    except (*UNREACHABLE, json.JSONDecodeError, UnicodeDecodeError):
        raise
    except (ValueError, TypeError, KeyError):
        # One array of an unknown type spoils the consolidated metadata of the whole group: read them one by one, so
        # that only this array is left out.
        node = zarr.open_group(store, mode="r", zarr_format=version, use_consolidated=False)
    if isinstance(node, zarr.Array):
        raise DatasetError(f"{label} is a single Zarr array; a dataset is a group of arrays with their coordinates")
    return node


def _open_zarr(store: Store, layout: Layout, mark: str, label: str, state: Callable[[Sequence[str]], str]) -> Source:
    before = state((mark,))
    group = _open_group(store, layout, label)
    keys = metadata_keys(group, layout)
    # The state is taken before the documents are read, so that a write in between is noticed at the next probe.
    snapshot = before if keys == (mark,) else state(keys)
    return Source(group, snapshot, layout, store, label, probe=partial(state, keys))


def metadata_keys(group: zarr.Group, layout: Layout) -> tuple[str, ...]:
    """Return the metadata documents whose change tells that a plain Zarr store was written to."""
    if group.metadata.consolidated_metadata is not None:
        return (".zmetadata",) if layout == "zarr2" else ("zarr.json",)
    root, leaf = (".zgroup", ".zarray") if layout == "zarr2" else ("zarr.json", "zarr.json")
    try:
        names = sorted(group.array_keys())
    except (*UNREACHABLE, ValueError):
        # Not listable, or an array of an unknown type: `contents` judges when it opens the arrays one by one.
        names = []
    return (root, *(f"{name}/{leaf}" for name in names))


def _open_icechunk(storage: icechunk.Storage, label: str) -> Source:
    repository = icechunk.Repository.open(storage, config=remote.icechunk_config())
    try:
        session = repository.readonly_session(BRANCH)
    except icechunk.RefNotFoundError as error:
        raise DatasetError(f"the Icechunk repository {label} has no branch {BRANCH!r}") from error

    def probe() -> str:
        return str(repository.lookup_branch(BRANCH))

    return _icechunk_source(session, label, probe, History(repository, BRANCH))


def _icechunk_source(session: icechunk.Session, label: str, probe: Callable[[], str], history: History) -> Source:
    try:
        group = zarr.open_group(session.store, mode="r")
    except FileNotFoundError as error:
        raise DatasetError(f"the Icechunk repository {label} is empty") from error
    return Source(group, str(session.snapshot_id), "icechunk", session.store, label, probe, history)


def open_state(source: Source, snapshot: str) -> Source:
    """Open another state of an Icechunk repository; it stays at that state.

    Parameters
    ----------
    source : Source
        The repository at any state.
    snapshot : str
        Identifier of a snapshot.

    Raises
    ------
    DatasetError
        If the repository has no such snapshot (any more), or it cannot be read.
    """
    history, label = source.history, source.label
    if history is None:
        raise DatasetError(f"{label} is no Icechunk repository, and keeps no earlier states")
    try:
        return _icechunk_source(history.session(snapshot), label, lambda: snapshot, history)
    except (icechunk.NotFoundError, icechunk.InvalidInputError) as error:
        raise DatasetError(f"the Icechunk repository {label} has no snapshot {snapshot[:32]!r}") from error
    except DatasetError:
        raise
    except Exception as error:
        raise explain(error, label) from error
