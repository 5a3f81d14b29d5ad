"""What happens in the process of one job?

It is a fork of the zygote (`plugins.jobs.zygote`), in a session of its own, that calls one function::

    entry(process_id, inputs, context, workdir, report) -> Outcome

publishes the file that the function wrote, tells the runner over its socket (one JSON object a line), and ends. It
never opens the job store. It dies with the zygote, and the zygote dies with the server.
"""

from __future__ import annotations

import errno
import importlib
import json
import logging
import os
import pickle
import resource
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from plugins.datacube.errors import InvalidQueryError, IsoplethError, TooLargeError
from plugins.jobs.job import Failure, Outcome
from plugins.jobs.results import Results

type Report = Callable[[float, str | None], None]
"""Takes the fraction done, 0..1, and a message for the owner or None."""
type Entry = Callable[[str, dict[str, Any], Any, Path, Report], Outcome]


@runtime_checkable
class Pinnable(Protocol):
    """A context whose jobs can be held to a state of the data."""

    def at(self, snapshot: str) -> Any:
        """Return the context of a job that reads this state, where the data still have it."""


REPORT_SECONDS: Final = 0.5
"""Least time between two reports of one job."""
_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that a job's process needs to know."""

    entry: str
    """``package.module:function``."""
    process_id: str
    inputs: Mapping[str, Any]
    context: Any
    """Given to the entry function as it is; must be picklable."""
    job_id: str
    attempt: int
    results: Path
    """The results folder."""
    memory: int | None
    """Most bytes of private memory, or None."""


def send_assignment(channel: socket.socket, assignment: Assignment) -> None:
    """Write an assignment to a job's socket. The other end is our own fork: pickle crosses no border of trust."""
    payload = pickle.dumps(assignment)
    channel.sendall(_LENGTH.pack(len(payload)) + payload)


def run(channel: socket.socket) -> None:
    """Do the job that comes over the socket. Called in a fresh fork; the caller ends the process afterwards."""
    assignment = _receive(channel)
    if assignment is None:
        return  # dismissed before it began
    results = Results(assignment.results)
    work = results.work_folder(assignment.job_id, assignment.attempt)
    work.mkdir(parents=True, exist_ok=True)
    _redirect(results.log(assignment.job_id, assignment.attempt))
    os.chdir(work)
    answer: dict[str, Any]
    try:
        _limit(assignment.memory)
        module, _, name = assignment.entry.partition(":")
        entry: Entry = getattr(importlib.import_module(module), name)
        outcome = entry(
            assignment.process_id, dict(assignment.inputs), assignment.context, work, _reporter(channel)
        )  # fmt: skip
        published = results.publish(assignment.job_id, assignment.attempt, outcome)
        answer = {"result": asdict(published)}
    except BaseException as error:  # noqa: BLE001 -- the last frame of a process: every end must be told
        if not isinstance(error, IsoplethError):
            traceback.print_exc()
        answer = {"failure": asdict(describe(error, assignment.memory))}
    _send(channel, answer)


def describe(error: BaseException, memory: int | None = None) -> Failure:
    """Say in one sentence for the owner why a job failed; Python text stays in the log.

    Examples
    --------
    >>> describe(ZeroDivisionError()).code
    'internal'
    """
    if isinstance(error, TooLargeError):
        return Failure(error.code, error.detail, estimate=error.estimate, limits=error.limits)
    if isinstance(error, InvalidQueryError):
        return Failure(error.code, error.detail, parameter=error.parameter, valid=error.valid)
    if isinstance(error, IsoplethError):
        return Failure(error.code, error.detail)
    if isinstance(error, MemoryError):
        most = "" if memory is None else f", {memory // 2**20} MiB"
        return Failure("memory-limit", f"the job needed more memory than one job may use{most}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure("storage", "the server has no space left for the result")
    return Failure("internal", "the process failed by an error of the server; the operator finds it in the job's log")


def _receive(channel: socket.socket) -> Assignment | None:
    head = _exactly(channel, _LENGTH.size)
    if head is None:
        return None
    payload = _exactly(channel, _LENGTH.unpack(head)[0])
    if payload is None:
        return None
    assignment = pickle.loads(payload)  # noqa: S301 -- written by the process that forked us
    return assignment if isinstance(assignment, Assignment) else None


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _reporter(channel: socket.socket) -> Report:
    last = 0.0

    def report(fraction: float, message: str | None = None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_SECONDS:
            last = now
            _send(channel, {"progress": float(fraction), "message": None if message is None else message[:500]})

    return report


def _send(channel: socket.socket, answer: dict[str, Any]) -> None:
    channel.sendall(json.dumps(answer).encode() + b"\n")


def _redirect(log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def _limit(memory: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory is not None:
        # RLIMIT_DATA counts what is written; RLIMIT_AS would also count reserved address space of thread pools.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
