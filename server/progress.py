"""How far is it? A bar on a terminal, one line a stage elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

WIDTH = 30
REFRESH_SECONDS = 0.1


class ProgressBar:
    """A progress bar on standard error, which erases itself.

    Parameters
    ----------
    title : str
        What is being done.
    quiet : bool
        Show nothing.
    """

    def __init__(self, title: str, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.title = title
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.drawn = False
        self._last = 0.0
        self._stage = ""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Erase the bar."""
        self.close()

    def show(self, fraction: float, text: str = "") -> None:
        """Show how much is done, 0 to 1, and what is being done now."""
        if self.quiet:
            return
        if not self.stream.isatty():
            if text and text != self._stage:
                self.stream.write(f"isopleth: {self.title}: {text}\n")
                self.stream.flush()
                self._stage = text
            return
        now = time.monotonic()
        if now - self._last < REFRESH_SECONDS and fraction < 1:
            return
        self._last = now
        done = round(WIDTH * min(max(fraction, 0.0), 1.0))
        bar = "█" * done + "░" * (WIDTH - done)
        self.stream.write(f"\r\x1b[K{bar} {100 * fraction:3.0f} % {self.title}{f': {text}' if text else ''}"[:160])
        self.stream.flush()
        self.drawn = True

    def close(self) -> None:
        """Erase the bar, so that what follows stands on a clean line."""
        if self.drawn:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self.drawn = False
