"""May this plan run, and may it run now?

`admit` compares a cost with limits before anything is read. `ByteBudget` bounds the memory of all answers that are
being made at the same time; who cannot be served soon is told to come back.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from plugins.datacube.errors import BusyError, TooLargeError
from plugins.datacube.plan import Cost

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one answer may cost; every figure is included."""

    bytes_decoded: int = 256 * MEBIBYTE
    chunks: int = 2_000
    values: int = 16_000_000
    bytes_out: int = 64 * MEBIBYTE


_WORDS: dict[str, Callable[[int], str]] = {
    "bytes_decoded": lambda n: f"decode {_size(n)}",
    "chunks": lambda n: f"read {n:,} chunks",
    "values": lambda n: f"return {n:,} values",
    "bytes_out": lambda n: f"return about {_size(n)}",
}
"""How a figure of `Cost` reads after "would" or "may"."""


def admit(cost: Cost, limits: Limits) -> None:
    """Let a plan pass, or refuse it with the numbers.

    Raises
    ------
    TooLargeError
        If any figure exceeds its limit; the sentence names the exceeded ones.

    Examples
    --------
    >>> admit(Cost(bytes_decoded=2**30, chunks=40, bytes_out=1000, values=80), Limits())
    Traceback (most recent call last):
    plugins.datacube.errors.TooLargeError: the request would decode 1.0 GiB, and one request may decode 256.0 MiB: ...
    """
    estimate, allowed = asdict(cost), asdict(limits)
    exceeded = [name for name in allowed if estimate[name] > allowed[name]]
    if exceeded:
        would = " and ".join(_WORDS[name](estimate[name]) for name in exceeded)
        may = " and ".join(_WORDS[name](allowed[name]) for name in exceeded)
        raise TooLargeError(
            f"the request would {would}, and one request may {may}: "
            "ask for a smaller region, a shorter time or fewer parameters, or run it as a job",
            estimate=estimate,
            limits=allowed,
        )


class ByteBudget:
    """A semaphore of bytes: the answers that are being made never hold more than `total` together.

    First come, first served, so that a large request is not overtaken for ever by small ones.

    Parameters
    ----------
    total : int
        Bytes.
    waiting : int
        How many may wait; one more is refused at once.
    """

    def __init__(self, total: int, waiting: int = 64) -> None:
        if total <= 0:
            raise ValueError("a budget needs a positive number of bytes")
        self.total = total
        self._waiting = waiting
        self._free = total
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @property
    def in_flight(self) -> int:
        """Bytes held at this moment."""
        with self._changed:
            return self.total - self._free

    @contextmanager
    def hold(self, amount: int, timeout: float = 2.0) -> Iterator[None]:
        """Hold `amount` bytes of the budget while the block runs.

        Parameters
        ----------
        amount : int
            Bytes; more than the whole budget counts as the whole, so that one large answer runs alone.
        timeout : float
            Seconds to wait for others to finish.

        Raises
        ------
        BusyError
            If the bytes do not become free in time, or too many wait already.
        """
        held = min(max(amount, 0), self.total)
        self._take(held, timeout)
        try:
            yield
        finally:
            with self._changed:
                self._free += held
                self._changed.notify_all()

    def _take(self, amount: int, timeout: float) -> None:
        ticket, deadline = object(), time.monotonic() + timeout
        with self._changed:
            if len(self._queue) >= self._waiting:
                raise BusyError("the server has as many requests waiting as it accepts; try again soon", retry_after=5)
            self._queue.append(ticket)
            try:
                while self._queue[0] is not ticket or self._free < amount:
                    if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                        raise BusyError("the server is working on as much as its memory allows; try again soon")
                self._free -= amount
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()


def _size(n: int) -> str:
    return next((f"{n / size:,.1f} {unit}" for unit, size in _UNITS if n >= size), f"{n:,} bytes")


_UNITS = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
