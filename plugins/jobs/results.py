"""Where do a job's files lie, and how does a result appear there all at once or not at all?

::

    results/<job id>/<attempt>.tmp/        work folder of a running attempt
    results/<job id>/<attempt>-<name>      the published result
    results/<job id>/<attempt>.log         what the attempt's process wrote to its output: for the operator
    results/.trash-<random>/               on its way out

An attempt has its own names: an attempt that was given up can never touch the file of the one that counts.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from plugins.datacube.errors import StorageError, UnknownError
from plugins.jobs.job import FINISHED, Job, Outcome, Result, State

_TRASH: Final = ".trash-"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_WORK = re.compile(r"\d+\.tmp")
_LOG = re.compile(r"\d+\.log")
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Results:
    """The results folder of one job store."""

    root: Path

    def folder(self, job_id: str) -> Path:
        """Return the folder of a job; only identifiers that this store could have made have one.

        Raises
        ------
        UnknownError
            For any other text.
        """
        if not _JOB_ID.fullmatch(job_id):
            raise UnknownError("there is no such job")
        return self.root / job_id

    def work_folder(self, job_id: str, attempt: int) -> Path:
        """Return the folder in which an attempt writes."""
        return self.folder(job_id) / f"{attempt}.tmp"

    def log(self, job_id: str, attempt: int) -> Path:
        """Return the file that takes the output of an attempt's process."""
        return self.folder(job_id) / f"{attempt}.log"

    def path(self, job: Job) -> Path:
        """Return the file of a job's result.

        Raises
        ------
        UnknownError
            If the job has no result (any more), or its file has gone.
        """
        if job.result is None:
            raise UnknownError(f"job {job.id!r} has no result")
        path = self._published(job.id, job.result.attempt, job.result.file_name)
        if not path.is_file():
            raise UnknownError(f"the result of job {job.id!r} has been removed")
        return path

    def publish(self, job_id: str, attempt: int, outcome: Outcome) -> Result:
        """Make the file of an outcome the result of an attempt: durable, under its final name.

        Raises
        ------
        StorageError
            If the outcome is not a file inside the attempt's work folder.
        """
        work = self.work_folder(job_id, attempt).resolve()
        source = outcome.path.resolve()
        if not source.is_relative_to(work) or not source.is_file():
            raise StorageError("the process left no result in its work folder")
        name = safe_name(outcome.file_name)
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        source.rename(self._published(job_id, attempt, name))
        for folder in (self.folder(job_id), self.root):
            _sync_folder(folder)
        return Result(outcome.media_type, name, size, digest, attempt)

    def share(self, job: Job, job_id: str, attempt: int) -> Result:
        """Give another job the file of a job's result, under a name of its own: either may go without the other.

        Raises
        ------
        UnknownError
            If the job has no result (any more).
        """
        source = self.path(job)
        assert job.result is not None  # noqa: S101 - `path` would have raised
        target = self._published(job_id, attempt, job.result.file_name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except FileNotFoundError as error:
            raise UnknownError(f"the result of job {job.id!r} has been removed") from error
        for folder in (target.parent, self.root):
            _sync_folder(folder)
        return replace(job.result, attempt=attempt, expires=None)

    def clear(self, job_id: str, attempt: int, *, result: Result | None = None) -> None:
        """Remove an attempt's work folder, and the result that it published in vain."""
        shutil.rmtree(self.work_folder(job_id, attempt), ignore_errors=True)
        if result is not None:
            self._published(job_id, attempt, result.file_name).unlink(missing_ok=True)

    def remove(self, job_id: str) -> None:
        """Remove all files of a job. Renamed first: no reader ever finds half a folder."""
        trash = self.root / f"{_TRASH}{secrets.token_hex(8)}"
        try:
            self.folder(job_id).rename(trash)
        except FileNotFoundError:
            return
        shutil.rmtree(trash, ignore_errors=True)

    def reconcile(self, states: Mapping[str, State]) -> int:
        """Remove what no job needs: for the start, when no job runs. Return how many things were removed."""
        removed = 0
        self.root.mkdir(parents=True, exist_ok=True)
        for entry in list(os.scandir(self.root)):
            if entry.name.startswith(_TRASH):
                shutil.rmtree(entry.path, ignore_errors=True)
                removed += 1
            elif _JOB_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                state = states.get(entry.name)
                if state in (None, State.DISMISSED):
                    self.remove(entry.name)
                    removed += 1
                else:
                    removed += self._reconcile_job(Path(entry.path), finished=state in FINISHED)
        return removed

    def _reconcile_job(self, folder: Path, *, finished: bool) -> int:
        removed = 0
        for path in folder.iterdir():
            if _WORK.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
            elif not finished and not _LOG.fullmatch(path.name):
                # Published by an attempt whose commit never came: the job runs again.
                path.unlink(missing_ok=True)
            else:
                continue
            removed += 1
        return removed

    def _published(self, job_id: str, attempt: int, name: str) -> Path:
        return self.folder(job_id) / f"{attempt}-{name}"


def safe_name(name: str) -> str:
    """Return a file name that is safe in any path and any HTTP header.

    Examples
    --------
    >>> safe_name("../sea surface.nc"), safe_name("..")
    ('sea-surface.nc', 'result')
    """
    return _UNSAFE.sub("-", name.replace("/", "-")).lstrip(".-")[-100:] or "result"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
