"""When is it time again: for a regular task, and for another try after a failure?"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Schedule:
    """Tasks that are done every so many seconds."""

    _next: dict[str, float] = field(default_factory=dict)

    def due(self, task: str, now: float, seconds: float) -> bool:
        """Return whether a task is due, and if so, count from now.

        Examples
        --------
        >>> schedule = Schedule()
        >>> [schedule.due("sweep", now, 60.0) for now in (0.0, 30.0, 60.0)]
        [True, False, True]
        """
        if now < self._next.get(task, now):
            return False
        self._next[task] = now + seconds
        return True


@dataclass(slots=True)
class Backoff:
    """Pauses that double from one failure to the next, with jitter so that many clients do not come back at once."""

    first: float = 0.1
    """Seconds."""
    most: float = 5.0
    """Seconds."""
    _last: float = 0.0

    def fail(self) -> float:
        """Return how long to pause after one more failure, in seconds."""
        self._last = min(self.most, max(self.first, self._last * 2))
        return self._last * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, not a secret

    def succeed(self) -> None:
        """Start over."""
        self._last = 0.0
