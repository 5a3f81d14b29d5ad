"""Is a classic NetCDF file as long as its header says?

The NetCDF library reads a classic file that was cut short without an error and gives zeros for what is gone, so the
header is read here (NetCDF classic format specification, CDF-1, CDF-2 and CDF-5).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from plugins.datacube.errors import DatasetError

MAGIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_STREAMING = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Extent:
    begin: int
    size: int
    """Bytes of the variable, or of one record of it, without padding."""
    record: bool


class _Header:
    """A cursor over the header; numbers are big-endian."""

    def __init__(self, stream: BinaryIO, version: int) -> None:
        self.stream = stream
        self.wide = version == 5
        self.offset_wide = version >= 2

    def take(self, size: int) -> bytes:
        data = self.stream.read(size)
        if len(data) != size:
            raise EOFError
        return data

    def number(self, *, wide: bool | None = None) -> int:
        wide = self.wide if wide is None else wide
        return int(struct.unpack(">Q" if wide else ">I", self.take(8 if wide else 4))[0])

    def tag(self) -> int:
        return self.number(wide=False)

    def name(self) -> None:
        self.skip(self.number())

    def skip(self, size: int) -> None:
        self.take(size + -size % 4)

    def attributes(self) -> None:
        self.tag()
        for _ in range(self.number()):
            self.name()
            kind = self.tag()
            self.skip(self.number() * _TYPE_SIZES[kind])


def require_complete(path: Path) -> None:
    """Check that a classic file holds every byte its header promises.

    Raises
    ------
    DatasetError
        If the file is cut short or its header cannot be read.
    """
    actual = path.stat().st_size
    try:
        with path.open("rb") as stream:
            needed = _expected_size(stream, actual)
    except (EOFError, KeyError, IndexError, struct.error) as error:
        raise DatasetError(f"{path.name} is cut short: its NetCDF header is not complete") from error
    if actual < needed:
        raise DatasetError(f"{path.name} is cut short: {actual} bytes of the {needed} its header promises")


def _expected_size(stream: BinaryIO, actual: int) -> int:
    header = _Header(stream, stream.read(4)[3])
    records = header.number()
    header.tag()
    lengths = []
    for _ in range(header.number()):
        header.name()
        lengths.append(header.number())
    header.attributes()
    header.tag()
    extents = [_variable(header, lengths) for _ in range(header.number())]
    fixed = [extent.begin + extent.size for extent in extents if not extent.record]
    recorded = [extent for extent in extents if extent.record]
    needed = max(fixed, default=stream.tell())
    if recorded:
        # A lone record variable is not padded between records.
        padded = [extent.size + (-extent.size % 4 if len(recorded) > 1 else 0) for extent in recorded]
        stride = sum(padded)
        if records in (_STREAMING, 2**64 - 1):
            records = max(0, (actual - min(extent.begin for extent in recorded)) // stride) if stride else 0
        if records:
            needed = max(needed, *(extent.begin + (records - 1) * stride + extent.size for extent in recorded))
    return needed


def _variable(header: _Header, lengths: list[int]) -> _Extent:
    header.name()
    dims = [lengths[header.number()] for _ in range(header.number())]
    header.attributes()
    size = _TYPE_SIZES[header.tag()]
    header.number()  # vsize is capped for large variables, so it is computed instead
    begin = header.number(wide=header.offset_wide)
    record = bool(dims) and dims[0] == 0
    for length in dims[1:] if record else dims:
        size *= length
    return _Extent(begin, size, record)
