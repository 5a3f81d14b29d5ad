"""How long may the event loop be busy with answers before it looks at its connections again?

Short answers are made on the event loop itself. Each takes less than a millisecond, but hundreds of them may stand in
line: after `MOST_SECONDS` of them the others wait for the next turn of the loop, and what came in meanwhile (a look at
``/health/live``) is served in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

MOST_SECONDS: Final = 0.003


class Turns:
    """The time that short answers have taken in this turn of the event loop; not for several threads."""

    def __init__(self, most: float = MOST_SECONDS) -> None:
        self._most = most
        self._spent = 0.0

    async def take[T](self, work: Callable[[], T]) -> T:
        """Do short work in this turn of the loop, or in the first one that has time for it."""
        while self._spent >= self._most:  # noqa: ASYNC110 - the next turn of the loop is no event
            await asyncio.sleep(0)
        if self._spent == 0.0:
            asyncio.get_running_loop().call_soon(self._renew)
        begun = time.perf_counter()
        try:
            return work()
        finally:
            self._spent += time.perf_counter() - begun

    def _renew(self) -> None:
        self._spent = 0.0
