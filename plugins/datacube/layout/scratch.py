"""Where do the pieces of a slab lie between reading and writing, and what did the source hold, bit by bit?

A folder beside the copy. It holds the pieces, as raw bytes, until the block that they belong to is safe in the copy;
and for each block that was read a document with the digests of its pieces. The document is written last, so it says
that the block has been read; at the end the whole copy is compared with these digests.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.errors import StorageError
from plugins.datacube.layout.passes import Box

DIGEST_BYTES = 16


def digest(values: NDArray[Any]) -> str:
    """Return a digest of the bits of an array, in C order: NaN is what its bits are, and -0 is not 0.

    Examples
    --------
    >>> digest(np.array([0.0])) == digest(np.array([-0.0]))
    False
    """
    return blake2b(np.ascontiguousarray(values).data.cast("B"), digest_size=DIGEST_BYTES).hexdigest()


class Scratch:
    """The folder of one copy.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def digests(self, block: str) -> Mapping[str, str] | None:
        """Return the digests of the pieces of a block, by the key of the piece; None where it was not yet read."""
        try:
            found = json.loads((self.folder / f"{block}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def is_finished(self, block: str) -> bool:
        """Whether a block has been read, and all its pieces were put."""
        return (self.folder / f"{block}.json").exists()

    def finish(self, block: str, digests: Mapping[str, str]) -> None:
        """Say that a block was read, and what it held."""
        temporary = self.folder / f"{block}.json.part"
        with temporary.open("w") as file:
            json.dump(dict(digests), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / f"{block}.json")

    def put(self, piece: str, values: NDArray[Any]) -> str:
        """Keep a piece, and return its digest."""
        values = np.ascontiguousarray(values)
        values.tofile(self.folder / f"{piece}.raw")
        return digest(values)

    def get(self, piece: str, box: Box, dtype: np.dtype[Any], expected: str | None) -> NDArray[Any]:
        """Return a piece, of the shape of its box.

        Raises
        ------
        StorageError
            If it is gone, or is not what was put.
        """
        shape = tuple(s.stop - s.start for s in box)
        try:
            values = np.fromfile(self.folder / f"{piece}.raw", dtype)
        except OSError as error:
            raise _damaged() from error
        if values.size != int(np.prod(shape)) or digest(values) != expected:
            raise _damaged()
        return values.reshape(shape)

    def drop(self, pieces: Iterable[str]) -> None:
        """Remove pieces that are no longer needed."""
        for piece in pieces:
            (self.folder / f"{piece}.raw").unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _damaged() -> StorageError:
    return StorageError("the interim files of the layout are damaged; give the command again, and it starts anew")
