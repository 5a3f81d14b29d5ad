"""Is a GRIB file complete, from its first message to its last?

ecCodes skips what it does not recognise: a message whose head is damaged is passed over in silence, and one whose end
is cut off may be taken. So the file is walked once more by the lengths that the messages state of themselves (WMO
Manual on Codes, FM 92 GRIB, section 0). Imported by `plugins.datacube.ingest.grib_child`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

END = b"7777"
LARGEST_GAP = 1 << 20
"""Padding and bulletin headers between messages are far shorter."""


def find_damage(path: Path, offsets: Iterable[int], length_of: Callable[[int], int]) -> str | None:
    """Say in a few words what is wrong with a file, or return None.

    Parameters
    ----------
    offsets : iterable of int
        Where ecCodes found messages.
    length_of : callable
        Asked for the length of the message at an offset where the file itself does not say it plainly (edition 1 beyond
        8 MiB).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 0
        for offset in sorted(set(offsets)):
            if _hides_a_message(file, position, offset):
                return f"is damaged: a GRIB message between the bytes {position} and {offset} cannot be recognised"
            position = offset + (_stated_length(file, offset) or length_of(offset))
            file.seek(max(0, position - len(END)))
            if position > size or file.read(len(END)) != END:
                return f"is cut short or damaged: its GRIB message at byte {offset} is not complete"
        if _hides_a_message(file, position, size):
            return f"is damaged: a GRIB message after byte {position} cannot be recognised"
    return None


def _stated_length(file: BinaryIO, offset: int) -> int | None:
    file.seek(offset)
    head = file.read(16)
    if len(head) == 16 and head[7] == 2:
        return int.from_bytes(head[8:16], "big")
    length = int.from_bytes(head[4:7], "big")
    return length if length < 1 << 23 else None


def _hides_a_message(file: BinaryIO, start: int, stop: int) -> bool:
    """Whether the bytes between two messages hold the end of a third one."""
    if stop - start > LARGEST_GAP:
        return True
    file.seek(start)
    return END in file.read(max(0, stop - start))
