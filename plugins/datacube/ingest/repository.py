"""How does a half-written publication survive a crash, and how does a finished one appear all at once?

All work happens on the Icechunk branch ``publish``, in one commit that is amended as blocks are finished; the commit's
metadata is the journal. Readers follow ``main``, which moves to that commit in one step at the end. After a crash the
journal tells where to go on; if the task is another one by then, the branch is dropped and the work starts anew.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import icechunk

from plugins.datacube.errors import BusyError, StorageError

MAIN = "main"
WORK = "publish"
_PLAN, _BASE, _DONE = "isopleth-plan", "isopleth-base", "isopleth-blocks-done"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder for one writer: local Icechunk storage is not safe for two.

    The kernel lets go of the lock when the process ends, however it ends.

    Raises
    ------
    BusyError
        If another process is writing there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "publish.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"another process is publishing to {folder.name}: wait until it has finished") from error
        yield


def guarded[T](action: Callable[[], T]) -> T:
    """Do something that writes to the data folder, and say in one sentence where it cannot be written.

    Raises
    ------
    StorageError
        For what the file system and Icechunk raise.
    """
    try:
        return action()
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"the data folder cannot be written: {(error.strerror or 'input error').lower()}") from error
    except icechunk.IcechunkError as error:
        raise StorageError("the repository in the data folder is damaged or cannot be written") from error


def open_repository(path: Path) -> icechunk.Repository:
    """Open the repository at a path, or make an empty one."""
    icechunk.set_logs_filter("error")
    path.mkdir(parents=True, exist_ok=True)
    storage = icechunk.local_filesystem_storage(str(path))
    # A crash during creation leaves a folder that is neither clean nor a repository.
    return icechunk.Repository.open_or_create(storage, check_clean_root=False)


@dataclass(slots=True)
class Work:
    """One publication in progress."""

    repository: icechunk.Repository
    plan: str
    """Digest of everything that decides what is written and in which order."""
    base: str
    """Snapshot of `MAIN` that is continued."""
    tip: str
    """Snapshot of `WORK`."""
    done: int
    """Finished blocks; -1 before the arrays have been made."""
    saves: int = 0

    @classmethod
    def begin(cls, repository: icechunk.Repository, plan: str) -> Work:
        """Go on with an interrupted publication of the same plan, or start one."""
        base = repository.lookup_branch(MAIN)
        if WORK in repository.list_branches():
            tip = repository.lookup_branch(WORK)
            metadata = repository.lookup_snapshot(tip).metadata
            if tip != base and (metadata.get(_PLAN), metadata.get(_BASE)) == (plan, base):
                return cls(repository, plan, base, tip, int(metadata[_DONE]))
            repository.delete_branch(WORK)
        repository.create_branch(WORK, base)
        return cls(repository, plan, base, base, -1)

    def session(self) -> icechunk.Session:
        """Return a session in which the next blocks are written."""
        return self.repository.writable_session(WORK)

    def save(self, session: icechunk.Session, done: int) -> None:
        """Make the blocks written so far survive a crash."""
        self._commit(session, "publication in progress", {_PLAN: self.plan, _BASE: self.base, _DONE: done})
        self.done = done

    def abandon(self) -> None:
        """Drop what was begun: the files turned out not to be servable."""
        self.repository.delete_branch(WORK)

    def finish(self, session: icechunk.Session, message: str, metadata: dict[str, Any]) -> str:
        """Show everything to readers at once, and return the new snapshot id."""
        self._commit(session, message, {_PLAN: self.plan, **metadata})
        return self.show()

    def show(self) -> str:
        """Move `MAIN` to the finished work, unless someone else has moved it, and clean up."""
        self.repository.reset_branch(MAIN, self.tip, from_snapshot_id=self.base)
        self.repository.delete_branch(WORK)
        if self.saves > 1:
            # Amended commits, and chunks of a session that a crash ended, are reachable from nowhere.
            self.repository.garbage_collect(datetime.now(UTC))
        return self.tip

    def _commit(self, session: icechunk.Session, message: str, metadata: dict[str, Any]) -> None:
        if self.tip == self.base:
            self.tip = session.commit(message, metadata=metadata)
        else:
            self.tip = session.amend(message, metadata=metadata, allow_empty=True)
        self.saves += 1


def published_plan(repository: icechunk.Repository) -> str | None:
    """Return the plan of the newest publication that readers see, or None where nothing is published."""
    metadata = repository.lookup_snapshot(repository.lookup_branch(MAIN)).metadata
    plan = metadata.get(_PLAN)
    return str(plan) if plan is not None else None
