"""Where is the spatial index of some centres, if it was made before?

A k-d tree of unit vectors (scipy's): the nearest in space is the nearest on the sphere. It is kept as plain arrays in a
folder of the server, under a digest of the centres, so that it is built once a dataset and only loaded afterwards; what
cannot be read, or was written by another version of scipy, is built anew.
"""

from __future__ import annotations

import logging
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_LOG = logging.getLogger(__name__)
WORTH_KEEPING: Final = 200_000
"""Centres from which on loading is quicker than building."""
_SCALARS: Final = ("n", "m", "leafsize")
_ARRAYS: Final = ("tree", "data", "maxes", "mins", "indices")
_STATE: Final = ("tree", "data", "n", "m", "leafsize", "maxes", "mins", "indices")
"""What a cKDTree is made of, in the order of its state."""


class Tree(Protocol):
    """What is asked of the index."""

    def query(self, x: NDArray[np.float64], k: Any = ...) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return the distances and the numbers of the k nearest centres of each place."""


class _Folder:
    path: Path | None = None


def keep_in(folder: Path | None) -> None:
    """Say where indexes are kept; None, as at first, for nowhere."""
    _Folder.path = folder


def tree_of(vectors: NDArray[np.float64]) -> Tree:
    """Return the index of centres.

    Parameters
    ----------
    vectors : ndarray of float64, shape (n, 3)
        Unit vectors.
    """
    folder = _Folder.path
    if folder is None or len(vectors) < WORTH_KEEPING:
        return cast("Tree", cKDTree(vectors))
    digest = sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()[:32]
    path = folder / f"{digest}-scipy{scipy.__version__}.npz"
    found = _load(path, vectors)
    if found is not None:
        return found
    made = cKDTree(vectors)
    _save(path, made)
    return cast("Tree", made)


def _load(path: Path, vectors: NDArray[np.float64]) -> Tree | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {name: stored[name] for name in _ARRAYS} | {name: int(stored[name]) for name in _SCALARS}
        if state["data"].shape != vectors.shape or not np.array_equal(state["data"], vectors):
            return None
        tree = cKDTree.__new__(cKDTree)
        tree.__setstate__((*(state[name] for name in _STATE), None, None))
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 -- whatever a damaged file is, the index is made anew
        _LOG.warning("the spatial index %s cannot be used and is made anew: %s", path.name, error)
        return None
    return cast("Tree", tree)


def _save(path: Path, tree: Any) -> None:
    """Write beside and rename, so that no reader sees half a file; an index that cannot be kept is no failure."""
    state = dict(zip(_STATE, tree.__getstate__(), strict=False))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".npz", delete=False) as beside:
            np.savez(beside, **state)
        Path(beside.name).replace(path)
    except OSError as error:
        _LOG.warning("the spatial index could not be kept: %s", error)
