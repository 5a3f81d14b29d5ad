"""How is the work of an answer shared between threads, and stopped when nobody waits for it any more?

Tasks are small and independent. They run in one pool as large as the machine has cores, a few of each answer at a time,
so that answers take turns; an answer of little work runs in the thread that asks.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from plugins.datacube.cancel import Cancel

AT_A_TIME: Final = 4
"""Tasks of one answer that run at the same time, at most; bounds its memory."""


@dataclass(frozen=True, slots=True)
class Task:
    """The unit of work between two looks at the cancel token."""

    weight: int
    """Its share of the work, for the progress."""
    run: Callable[[], None]
    here: bool = False
    """So little work (nothing to decode) that it is done faster than handed on."""


def run(
    tasks: Iterator[Task],
    total: int,
    cancel: Cancel,
    progress: Callable[[float], None] | None,
    *,
    alone: bool,
) -> None:
    """Run tasks until all are done, one fails, or the token is set.

    Parameters
    ----------
    tasks : iterator of Task
        Made one by one, as they are started.
    total : int
        Sum of the weights.
    cancel : Cancel
        Looked at before each task.
    progress : callable, optional
        Called in this thread with the done fraction after each task.
    alone : bool
        Run in this thread.

    Raises
    ------
    CancelledError
        If the token was set.
    Exception
        What a task raised; no task is running any more then.
    """
    done = 0
    first, second = next(tasks, None), next(tasks, None)
    # To hand on a single task, and then to wait for it, gains nothing.
    alone = alone or second is None
    tasks = itertools.chain((task for task in (first, second) if task is not None), tasks)

    def finished(task: Task) -> None:
        nonlocal done
        done += task.weight
        if progress is not None:
            progress(min(1.0, done / max(1, total)))

    if alone:
        for task in tasks:
            cancel.raise_if_cancelled()
            task.run()
            finished(task)
        return
    running: dict[Future[None], Task] = {}
    try:
        for task in tasks:
            cancel.raise_if_cancelled()
            if task.here:
                task.run()
                finished(task)
                continue
            running[_POOL.submit(task, cancel)] = task
            if len(running) >= AT_A_TIME:
                _collect(running, finished)
        while running:
            _collect(running, finished)
    finally:
        # After an error no task may still be writing, nor hold memory that is no longer accounted for.
        for future in running:
            future.cancel()
        wait(running)


def _collect(running: dict[Future[None], Task], finished: Callable[[Task], None]) -> None:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        task = running.pop(future)
        future.result()
        finished(task)


def _unless_cancelled(task: Task, cancel: Cancel) -> None:
    cancel.raise_if_cancelled()
    task.run()


class _Pool:
    """One pool for all answers, made when it is first needed; a forked child makes its own."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def submit(self, task: Task, cancel: Cancel) -> Future[None]:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="datacube-read")
            return self._executor.submit(_unless_cancelled, task, cancel)

    def forget(self) -> None:
        self._executor = None
        self._lock = threading.Lock()


_POOL = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)
