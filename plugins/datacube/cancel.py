"""Does anybody still wait for the answer?"""

from __future__ import annotations

import threading

from plugins.datacube.errors import CancelledError


class Cancel:
    """A flag that one thread sets and the threads that work look at between two chunks."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the work is in vain."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Say that nobody waits any more. May be called from any thread, and more than once."""
        self._event.set()

    def raise_if_cancelled(self) -> None:
        """Stop the work if nobody waits for it.

        Raises
        ------
        CancelledError
            If `cancel` was called.
        """
        if self._event.is_set():
            raise CancelledError("the request was cancelled")
