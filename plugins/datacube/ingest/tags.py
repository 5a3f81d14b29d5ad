"""How does a state of a published dataset get a name that it keeps?

A name is an Icechunk tag: it never moves, and Icechunk does not let a name be used again once it was taken away.
"""

from __future__ import annotations

from pathlib import Path

import icechunk

from plugins.datacube.calendar import parse_moment
from plugins.datacube.definition import ID_PATTERN
from plugins.datacube.errors import DatasetError, InvalidQueryError
from plugins.datacube.history import LATEST, NAME_PATTERN, SNAPSHOT_PATTERN
from plugins.datacube.ingest.folders import dataset_folder
from plugins.datacube.ingest.repository import MAIN, exclusive, guarded, open_repository
from plugins.datacube.published import DOCUMENT, STORE


def require_name(name: str) -> None:
    """Refuse a name that could not be asked for: it stands in an address, beside reference times and snapshots.

    Raises
    ------
    DatasetError
        Saying what a name may be.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise DatasetError(
            f"{name[:64]!r} cannot be the name of a state: letters, digits, '.', '_' and '-', at most 128, beginning "
            "with a letter or a digit"
        )
    if name == LATEST or SNAPSHOT_PATTERN.fullmatch(name) or _is_moment(name):
        raise DatasetError(f"{name!r} cannot be the name of a state: it would stand for something else in an address")


def _is_moment(name: str) -> bool:
    """Whether a name could be taken for a reference time; a date without a time of day could not."""
    if "T" not in name:
        return False
    head, _, clock = name.partition("T")
    try:
        parse_moment(f"{head[:4]}-{head[4:6]}-{head[6:]}T{clock}" if head.isdigit() and len(head) == 8 else name)
    except InvalidQueryError:
        return False
    return True


def require_unused(repository: icechunk.Repository, name: str, dataset_id: str) -> None:
    """Refuse a name that another state has: before anything is written.

    Raises
    ------
    DatasetError
        If there is such a tag.
    """
    if name in repository.list_tags():
        raise DatasetError(f"a state of {dataset_id} has the name {name!r} already: a name never moves")


def give_name(repository: icechunk.Repository, name: str, dataset_id: str) -> str:
    """Give the state that readers see now a name, and return its snapshot.

    Raises
    ------
    DatasetError
        If the name was used before.
    """
    snapshot = str(repository.lookup_branch(MAIN))
    try:
        repository.create_tag(name, snapshot)
    except icechunk.AlreadyExistsError as error:
        raise DatasetError(f"the name {name!r} was used for a state of {dataset_id} before") from error
    return snapshot


def tag(dataset_id: str, data: Path, name: str) -> str:
    """Give the state of a published dataset a name.

    Parameters
    ----------
    dataset_id : str
    data : Path
        The data folder.
    name : str
        As `require_name` allows.

    Returns
    -------
    str
        Identifier of the snapshot that has the name now.

    Raises
    ------
    DatasetError
        If there is no such dataset, or the name cannot be given.
    BusyError
        If another process is publishing to the dataset.
    StorageError
        If the data folder cannot be written.
    """
    require_name(name)
    folder = dataset_folder(data, dataset_id)
    if not ID_PATTERN.fullmatch(dataset_id) or not (folder / DOCUMENT).is_file():
        raise DatasetError(f"there is no published dataset {dataset_id[:128]!r}")

    def write() -> str:
        with exclusive(folder):
            return give_name(open_repository(folder / STORE), name, dataset_id)

    return guarded(write)
