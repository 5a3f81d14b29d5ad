"""How does a writer that wants a file give its bytes away while it still writes?"""

from __future__ import annotations

import io


class Sink(io.BytesIO):
    """A file whose beginning is taken away while it grows; its writer never returns to what has been taken."""

    def __init__(self) -> None:
        super().__init__()
        self._gone = 0

    def tell(self) -> int:
        """Return the position in the whole file, what has been taken included."""
        return self._gone + super().tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position in the whole file."""
        return self._gone + super().seek(offset - self._gone if whence == io.SEEK_SET else offset, whence)

    def drain(self) -> bytes:
        """Take what has been written."""
        taken = self.getvalue()
        self._gone += len(taken)
        super().seek(0)
        self.truncate()
        return taken
