"""In which triangle of neighbouring centres does a place lie, and what are the shares of its corners?

The Delaunay triangles of points on a sphere are the faces of their convex hull. A place is found by walking from a
triangle at its nearest centre across the edges that it lies beyond; its shares are the barycentric coordinates of its
gnomonic projection on the plane of the triangle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree

from plugins.datacube.errors import InvalidQueryError

MAXIMUM_CENTRES: Final = 1_000_000
"""Of more, the triangles would take minutes to make."""
MAXIMUM_STEPS: Final = 200
_ON_THE_EDGE: Final = -1e-12
_AT_THE_MIDDLE: Final = 1e-9

type Numbers = NDArray[np.intp]
type Vectors = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Triangles:
    """The triangles between centres."""

    vectors: Vectors
    """shape (n, 3): unit vectors of the centres."""
    corners: Numbers
    """shape (m, 3): counter-clockwise seen from outside."""
    neighbours: Numbers
    """shape (m, 3): the triangle across the edge opposite each corner."""
    start: Numbers
    """shape (n,): one triangle at each centre, or at the nearest that has one."""
    usable: NDArray[np.bool_]
    """shape (m,): False where a triangle spans a gap, such as the side of the globe without centres."""

    def locate(self, places: Vectors, nearest: Numbers) -> tuple[Numbers, NDArray[np.float64]]:
        """Find the triangle of each place.

        Parameters
        ----------
        places : ndarray of float64, shape (k, 3)
            Unit vectors.
        nearest : ndarray of int, shape (k,)
            The centre nearest to each.

        Returns
        -------
        corners : ndarray of int, shape (k, 3)
            -1 where a place lies in no usable triangle.
        shares : ndarray of float64, shape (k, 3)
        """
        at = self.start[nearest].copy()
        shares = np.zeros((len(places), 3))
        walking = np.arange(len(places))
        for _ in range(MAXIMUM_STEPS):
            if walking.size == 0:
                break
            parts = self._parts(places[walking], at[walking])
            shares[walking] = parts
            worst = parts.argmin(axis=1)
            outside = parts[np.arange(walking.size), worst] < _ON_THE_EDGE
            walking = walking[outside]
            at[walking] = self.neighbours[at[walking], worst[outside]]
        lost = np.zeros(len(places), bool)
        lost[walking] = True
        lost |= ~self.usable[at]
        corners = np.where(lost[:, None], -1, self.corners[at])
        shares = np.clip(shares, 0.0, None)
        total = shares.sum(axis=1, keepdims=True)
        return corners, np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)

    def _parts(self, places: Vectors, triangles: Numbers) -> NDArray[np.float64]:
        a, b, c = (self.vectors[self.corners[triangles, corner]] for corner in range(3))
        parts = np.stack(
            [
                np.einsum("ij,ij->i", places, np.cross(b, c)),
                np.einsum("ij,ij->i", places, np.cross(c, a)),
                np.einsum("ij,ij->i", places, np.cross(a, b)),
            ],
            axis=1,
        )
        size = np.abs(parts).sum(axis=1, keepdims=True)
        return np.asarray(parts / np.where(size > 0, size, 1.0))


def _hull(vectors: Vectors) -> tuple[Vectors, ConvexHull]:
    """Return the convex hull of centres, and the points that it is of.

    That of a part of the globe, outside of which the middle of the Earth lies, is closed on its far side by a point
    there. Around the globe such a point would lie among the centres.
    """
    inward = -vectors.mean(axis=0)
    if (vectors @ inward).max() >= 0.0:
        hull = ConvexHull(vectors)
        if (hull.equations[:, 3] <= -_AT_THE_MIDDLE).all():
            return vectors, hull
    closed = np.vstack([vectors, inward / np.linalg.norm(inward)])
    return closed, ConvexHull(closed)


def triangulate(vectors: Vectors, longest: float) -> Triangles:
    """Make the triangles of centres.

    Parameters
    ----------
    vectors : ndarray of float64, shape (n, 3)
        Unit vectors, not all in one plane.
    longest : float
        Chord of the longest edge that a usable triangle has.

    Raises
    ------
    InvalidQueryError
        If there are too many centres, or they lie on one line.
    """
    if len(vectors) > MAXIMUM_CENTRES:
        raise InvalidQueryError(
            "interpolation",
            f"interpolation: linear is not offered for a list of more than {MAXIMUM_CENTRES:,} cells",
            "nearest",
        )
    try:
        closed, hull = _hull(vectors)
    except QhullError as error:
        raise InvalidQueryError(
            "interpolation", "interpolation: the cells lie on one line, linear is not possible", "nearest"
        ) from error
    corners = hull.simplices.astype(np.intp)
    neighbours = hull.neighbors.astype(np.intp)
    a, b, c = (closed[corners[:, corner]] for corner in range(3))
    turned = np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) < 0
    corners[turned] = corners[turned][:, [0, 2, 1]]
    neighbours[turned] = neighbours[turned][:, [0, 2, 1]]
    real = (corners < len(vectors)).all(axis=1)
    edges = [np.linalg.norm(closed[corners[:, i]] - closed[corners[:, j]], axis=1) for i, j in ((0, 1), (1, 2), (2, 0))]
    usable = real & (np.max(edges, axis=0) <= longest)
    start = np.full(len(closed), -1, np.intp)
    start[corners.ravel()] = np.repeat(np.arange(len(corners)), 3)
    # Of centres in one place (the overlapping columns of an ocean grid) only one has triangles.
    left, placed = np.flatnonzero(start < 0), np.flatnonzero(start >= 0)
    if left.size:
        start[left] = start[placed[cKDTree(closed[placed]).query(closed[left])[1]]]
    return Triangles(closed, corners, neighbours, start[: len(vectors)], usable)
