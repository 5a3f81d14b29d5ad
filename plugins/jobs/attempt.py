"""How does one attempt at a job stand, as seen by the runner, and how must its end be booked?"""

from __future__ import annotations

import json
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from plugins.jobs.job import Failure, Job, Result
from plugins.jobs.results import Results
from plugins.jobs.store import JobStore

_MAX_LINE: Final = 1 << 20


class Ending(Enum):
    """Why the runner ends an attempt."""

    DISMISSED = auto()
    TIME_LIMIT = auto()
    STOPPED = auto()
    """The server stops."""
    LOST = auto()
    """The zygote has gone, and the process with it."""


@dataclass(slots=True)
class Attempt:
    """One started attempt. Used by the runner's thread alone."""

    job: Job
    token: int
    channel: socket.socket
    deadline: float
    """Seconds of the monotonic clock."""
    started: bool = False
    """Whether its process is known to exist."""
    ending: Ending | None = None
    kill_at: float | None = None
    """When the process group gets SIGKILL, if it is still there."""
    status: int | None = None
    """Exit status; None while the process lives."""
    report: tuple[float, str | None] | None = None
    """Progress that is not yet recorded."""
    result: Result | None = None
    failure: Failure | None = None
    _buffer: bytearray = field(default_factory=bytearray)

    @property
    def ended(self) -> bool:
        """Whether nothing is left of the process."""
        return self.status is not None or self.ending is Ending.LOST

    def receive(self) -> bool:
        """Take in what the process has sent; False when it has closed its end, or sends nonsense."""
        while True:
            try:
                part = self.channel.recv(1 << 16)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not part:
                return False
            self._buffer += part
            *lines, rest = self._buffer.split(b"\n")
            self._buffer = bytearray(rest)
            for line in lines:
                self._take(json.loads(bytes(line)))
            if len(rest) > _MAX_LINE:
                return False

    def settle(self, store: JobStore, results: Results, keep_seconds: float | None) -> None:
        """Book the end of the attempt in the store, and remove what is not needed of its files.

        Raises
        ------
        BusyError
            If the store cannot be reached; to be called again.
        """
        job, attempt = self.job, self.job.attempt
        if self.result is not None and store.finish(job.id, attempt, self.result, keep_seconds):
            results.clear(job.id, attempt)
            return
        if self.ending is Ending.DISMISSED or self.result is not None:
            # A result that was refused belongs to a dismissed job, or to an attempt that was given up.
            store.confirm_dismissed(job.id, attempt)
        elif self.ending is Ending.STOPPED:
            store.interrupt(job.id, attempt, "the server was stopped")
        elif self.failure is not None:
            store.fail(job.id, attempt, self.failure)
        elif self.ending is Ending.LOST:
            store.interrupt(job.id, attempt, "the process that starts the jobs was lost")
        elif self.ending is Ending.TIME_LIMIT:
            store.fail(job.id, attempt, Failure("time-limit", "the job ran longer than one job may"))
        else:
            store.crash(job.id, attempt, self._reason())
        results.clear(job.id, attempt, result=self.result)

    def _take(self, told: dict[str, Any]) -> None:
        if "progress" in told:
            message = told["message"] if told["message"] is not None or self.report is None else self.report[1]
            self.report = (told["progress"], message)
        elif "result" in told:
            self.result = Result(**told["result"])
        elif "failure" in told:
            self.failure = Failure(**told["failure"])

    def _reason(self) -> str:
        status = self.status or 0
        if status == -signal.SIGKILL:
            return "its process was killed, perhaps because the machine had no memory left"
        if status < 0:
            with suppress(ValueError):
                return f"its process was ended by {signal.Signals(-status).name}"
        return f"its process ended without an answer (status {status})"
