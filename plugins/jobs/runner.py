"""Who takes jobs from the store, gives each a process, and books how it ended?

One runner at a time works on a data folder: it holds a lock on a file (`flock`, which the kernel releases when the
process ends, however it ends). Any other runner of the same folder stands by and takes over within a quarter of a
second. So a new runner knows that every row that says ``running`` was left by a dead one, and gives it back to the
queue without waiting for a lease.

The runner is one thread of the server. It never blocks on a job, and survives a store that is away for a while: what
has ended is kept and booked when the store is back.
"""

from __future__ import annotations

import fcntl
import logging
import os
import selectors
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from plugins.datacube.errors import BusyError, UnknownError
from plugins.jobs.attempt import Attempt, Ending
from plugins.jobs.callbacks import CallbackPolicy
from plugins.jobs.child import Assignment, Pinnable, send_assignment
from plugins.jobs.courier import Courier
from plugins.jobs.job import State
from plugins.jobs.pacing import Backoff, Schedule
from plugins.jobs.results import Results
from plugins.jobs.store import JobStore
from plugins.jobs.zygote import Started, Zygote

LOGGER: Final = logging.getLogger(__name__)
POLL_SECONDS: Final = 0.25
"""How often the store is asked for work and dismissals of other processes; this process' own wake the runner."""
PROGRESS_SECONDS: Final = 0.5
SWEEP_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 0.5
"""Time between SIGTERM and SIGKILL."""
STOP_SECONDS: Final = 15.0
COURIER_SECONDS: Final = 5.0
"""Pause before a new process sends callbacks, where the last one was lost."""
SEND_SECONDS: Final = 5.0


class Runner:
    """Runs the jobs of a store.

    Parameters
    ----------
    store : JobStore
    results : Path
        Folder of the results; the lock lies there too.
    entry : str
        ``package.module:function``, called in the job's process (`plugins.jobs.child.Entry`).
    context : object
        Picklable; given to the entry function. May be replaced at any time: the next job gets the new one.
    slots : int
        Jobs that run at the same time.
    preload : sequence of str
        Modules that the jobs need and that start no threads when imported.
    memory : int or None
        Most bytes of private memory of one job.
    seconds : float
        Longest time that one attempt may take.
    keep_seconds : float or None
        How long a result is kept; None for ever.
    forget_seconds : float
        How long a finished job without result is listed.
    callbacks : CallbackPolicy, optional
        Whom subscribers may let be told; by default nobody is.
    """

    def __init__(
        self,
        store: JobStore,
        results: Path,
        entry: str,
        context: Any = None,
        *,
        slots: int = 2,
        preload: Sequence[str] = (),
        memory: int | None = 2 * 2**30,
        seconds: float = 6 * 3600.0,
        keep_seconds: float | None = 7 * 86400.0,
        forget_seconds: float = 30 * 86400.0,
        callbacks: CallbackPolicy | None = None,
    ) -> None:
        self.store = store
        self.results = Results(results.absolute())
        self.entry = entry
        self.context = context
        self.slots = slots
        self._preload = tuple(preload)
        self._memory = memory
        self._seconds = seconds
        self._keep = keep_seconds
        self._forget = forget_seconds
        self._courier = Courier(callbacks) if callbacks is not None and callbacks.enabled else None
        self._courier_at = 0.0
        self._attempts: dict[int, Attempt] = {}
        self._tokens = 0
        self._zygote: Zygote | None = None
        self._stopping = threading.Event()
        self._working = threading.Event()
        self._woken = True
        self._schedule = Schedule()
        self._backoff = Backoff()
        self._retry_at = 0.0
        self._thread: threading.Thread | None = None
        self._selector = selectors.PollSelector()
        self._wake_write = -1

    @property
    def active(self) -> bool:
        """Whether this runner holds the lock and works; False while another one does."""
        return self._working.is_set()

    @property
    def alive(self) -> bool:
        """Whether the runner's thread lives (active or standing by)."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread. Returns at once; `wait_active` waits for the lock."""
        if self.alive:
            return
        self.results.root.mkdir(parents=True, exist_ok=True)
        self._stopping.clear()
        wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.store.listeners.append(self.wake)
        self._thread = threading.Thread(target=self._main, args=(wake_read,), name="jobs", daemon=True)
        self._thread.start()

    def wait_active(self, seconds: float) -> bool:
        """Wait until this runner works; False if it does not within `seconds`."""
        return self._working.wait(seconds)

    def wake(self) -> None:
        """Say that there may be something to do. May be called from any thread."""
        if self._wake_write >= 0:
            try:
                os.write(self._wake_write, b"!")
            except BlockingIOError:
                return  # it has been woken often enough

    def stop(self) -> None:
        """End the running attempts, give their jobs back to the queue, and end the thread."""
        if self._thread is None:
            return
        self._stopping.set()
        self.wake()
        self._thread.join(STOP_SECONDS)
        if self.wake in self.store.listeners:
            self.store.listeners.remove(self.wake)
        self._thread = None

    # Everything below happens in the runner's thread.

    def _main(self, wake_read: int) -> None:
        lock = os.open(self.results.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            if not self._take_lock(lock):
                return
            self._selector.register(wake_read, selectors.EVENT_READ)
            self._recover()
            self._working.set()
            while not self._stopping.is_set():
                self._guarded_turn()
            self._shut_down()
            self._selector.unregister(wake_read)
        finally:
            self._working.clear()
            os.close(lock)
            write, self._wake_write = self._wake_write, -1
            os.close(write)
            os.close(wake_read)

    def _take_lock(self, lock: int) -> bool:
        while not self._stopping.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                self._stopping.wait(POLL_SECONDS)
        return False

    def _recover(self) -> None:
        while not self._stopping.is_set():
            try:
                given_back = self.store.recover()
                removed = self.results.reconcile(self.store.states())
            except (BusyError, OSError) as error:
                LOGGER.warning("jobs: cannot recover yet: %s", error)
                self._stopping.wait(self._backoff.fail())
                continue
            if given_back or removed:
                LOGGER.info("jobs: %d interrupted jobs given back, %d leftovers removed", given_back, removed)
            self._backoff.succeed()
            return

    def _guarded_turn(self) -> None:
        try:
            self._turn()
        except Exception:  # a runner that dies takes every waiting job with it
            LOGGER.exception("jobs: unexpected error in the runner")
            self._stopping.wait(self._backoff.fail())

    def _turn(self) -> None:
        if self._zygote is None:
            self._zygote = Zygote(self._preload)
            self._selector.register(self._zygote, selectors.EVENT_READ)
        self._listen(self._timeout())
        now = time.monotonic()
        self._enforce(now)
        if now < self._retry_at:
            return
        try:
            self._use_store(now)
            self._retry_at = 0.0
            self._backoff.succeed()
        except BusyError as error:
            LOGGER.warning("jobs: %s", error)
            self._retry_at = now + self._backoff.fail()

    def _use_store(self, now: float) -> None:
        woken, self._woken = self._woken, False
        try:
            self._settle()
            if self._schedule.due("poll", now, POLL_SECONDS) or woken:
                dismissed = self.store.cancelled() if self._attempts else frozenset()
                for attempt in self._attempts.values():
                    if attempt.job.id in dismissed:
                        self._end(attempt, Ending.DISMISSED, now)
                self._share()
                while len(self._attempts) < self.slots and self._start_one(now):
                    pass
                self._discard()
            self._send_callbacks(now)
            if self._schedule.due("progress", now, PROGRESS_SECONDS):
                self._record_progress()
            if self._schedule.due("sweep", now, SWEEP_SECONDS):
                self.store.expire()
                for job_id in self.store.forget(self._forget):
                    self.results.remove(job_id)
        except BusyError:
            self._woken = self._woken or woken
            raise

    def _timeout(self) -> float:
        if self._woken and time.monotonic() >= self._retry_at:
            return 0.0
        now = time.monotonic()
        moments = [now + POLL_SECONDS]
        for attempt in self._attempts.values():
            moments.append(attempt.deadline)
            if attempt.kill_at is not None:
                moments.append(attempt.kill_at)
        return max(0.0, min(moments) - now)

    def _listen(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, Attempt):
                if not key.data.receive():
                    self._selector.unregister(key.fileobj)
            elif key.fileobj is self._zygote:
                self._hear_zygote()
            else:
                os.read(key.fd, 4096)
                self._woken = True

    def _hear_zygote(self) -> None:
        if self._zygote is None:
            return
        try:
            for event in self._zygote.events():
                attempt = self._attempts.get(event.token)
                if attempt is None:
                    continue  # given up before its process began
                if isinstance(event, Started):
                    attempt.started = True
                else:
                    attempt.receive()
                    attempt.status = event.status
        except EOFError:
            self._lose_zygote()

    def _lose_zygote(self) -> None:
        LOGGER.warning("jobs: the process that starts the jobs was lost, starting another one")
        if self._zygote is not None:
            self._selector.unregister(self._zygote)
            self._zygote.close()
            self._zygote = None
        for attempt in self._attempts.values():
            if attempt.status is None:
                attempt.receive()
                attempt.ending = attempt.ending or Ending.LOST
                attempt.status = -signal.SIGKILL
        self._stopping.wait(self._backoff.fail())

    def _enforce(self, now: float) -> None:
        for attempt in list(self._attempts.values()):
            if attempt.ended:
                continue
            if attempt.kill_at is not None and now >= attempt.kill_at:
                self._signal(attempt, signal.SIGKILL)
                attempt.kill_at = None
            elif attempt.ending is None and now >= attempt.deadline:
                self._end(attempt, Ending.TIME_LIMIT, now)

    def _end(self, attempt: Attempt, ending: Ending, now: float) -> None:
        if attempt.ending is not None or attempt.ended:
            return
        attempt.ending = ending
        if attempt.started:
            self._signal(attempt, signal.SIGTERM)
            attempt.kill_at = now + GRACE_SECONDS
        else:
            # It will be killed in its first moment; nobody needs to wait for that.
            self._signal(attempt, signal.SIGKILL)
            attempt.status = -signal.SIGKILL

    def _signal(self, attempt: Attempt, number: int) -> None:
        if self._zygote is not None:
            try:
                self._zygote.signal(attempt.token, number)
            except OSError as error:
                LOGGER.warning("jobs: cannot signal job %s: %s", attempt.job.id, error)

    def _settle(self) -> None:
        for token, attempt in list(self._attempts.items()):
            if attempt.ended:
                attempt.settle(self.store, self.results, self._keep)
                if attempt.channel.fileno() in self._selector.get_map():
                    self._selector.unregister(attempt.channel)
                attempt.channel.close()
                del self._attempts[token]
                self._woken = True

    def _start_one(self, now: float) -> bool:
        if self._zygote is None:
            return False
        job = self.store.claim(self.slots)
        if job is None:
            return False
        self._tokens += 1
        try:
            self.results.folder(job.id).mkdir(parents=True, exist_ok=True)
            channel = self._zygote.fork(self._tokens)
        except OSError as error:
            self.store.interrupt(job.id, job.attempt, "the server could not start its process")
            LOGGER.warning("jobs: cannot start job %s: %s", job.id, error)
            self._stopping.wait(self._backoff.fail())
            return False
        attempt = Attempt(job, self._tokens, channel, now + self._seconds)
        self._attempts[self._tokens] = attempt
        self._selector.register(channel, selectors.EVENT_READ, attempt)
        try:
            channel.settimeout(SEND_SECONDS)
            context = self.context
            if job.snapshot is not None and isinstance(context, Pinnable):
                # What was estimated and promised is what is read, whatever has been written since.
                context = context.at(job.snapshot)
            task = (self.entry, job.process_id, job.inputs, context, job.id, job.attempt)
            send_assignment(channel, Assignment(*task, self.results.root, self._memory))
            channel.setblocking(False)
        except OSError as error:
            LOGGER.warning("jobs: cannot hand over job %s: %s", job.id, error)
            channel.setblocking(False)
            self._end(attempt, Ending.LOST, now)
        return True

    def _record_progress(self) -> None:
        reports = []
        for attempt in self._attempts.values():
            if attempt.report is not None and not attempt.ended:
                reports.append((attempt.job.id, attempt.job.attempt, *attempt.report))
                attempt.report = None
        if reports:
            self.store.record_progress(reports)

    def _share(self) -> None:
        """Give the jobs that follow a finished one its result, or their own turn where it has none."""
        for job, leader in self.store.followers():
            result = None
            if leader is not None and leader.state is State.SUCCESSFUL:
                with suppress(UnknownError, OSError):
                    result = self.results.share(leader, job.id, job.attempt + 1)
            if result is None or leader is None:
                self.store.release(job.follows or "")
                self._woken = True
                return  # the others follow another one now
            if not self.store.adopt(job.id, leader.id, result, self._keep):
                self.results.clear(job.id, job.attempt + 1, result=result)

    def _send_callbacks(self, now: float) -> None:
        if self._courier is not None and now >= self._courier_at:
            try:
                self._courier.work(self.store)
            except (EOFError, OSError) as error:
                LOGGER.warning("jobs: the process that sends callbacks was lost: %s", error)
                self._courier.close()
                self._courier_at = now + COURIER_SECONDS

    def _discard(self) -> None:
        job_ids = self.store.discarded()
        for job_id in job_ids:
            self.results.remove(job_id)
        if job_ids:
            self.store.confirm_discarded(job_ids)

    def _shut_down(self) -> None:
        now = time.monotonic()
        for attempt in self._attempts.values():
            self._end(attempt, Ending.STOPPED, now)
        end = now + 2 * GRACE_SECONDS + 1
        while time.monotonic() < end and not all(attempt.ended for attempt in self._attempts.values()):
            self._listen(0.05)
            self._enforce(time.monotonic())
        if self._zygote is not None:
            # Kills whatever is left: from here on no attempt lives.
            self._selector.unregister(self._zygote)
            self._zygote.close()
            self._zygote = None
        if self._courier is not None:
            self._courier.close()
        for attempt in self._attempts.values():
            attempt.status = attempt.status if attempt.status is not None else -signal.SIGKILL
        try:
            self._settle()
        except BusyError as error:
            LOGGER.warning("jobs: %s; the next runner gives the running jobs back", error)
