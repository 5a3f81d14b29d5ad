"""Where are the pixels of HEALPix? By the formulas of Górski et al. (2005) and the tables of its C library."""

from __future__ import annotations

import numpy as np


def on_face(lon: float, lat: float) -> tuple[int, float, float]:
    """Return the base pixel of a place, and where it lies in it, 0 to 1 to the north-east and to the north-west."""
    z = float(np.sin(np.radians(lat)))
    turn = float(np.mod(lon, 360.0)) / 90.0 % 4.0
    if abs(z) <= 2 / 3:
        rising, falling = 0.5 + turn - 0.75 * z, 0.5 + turn + 0.75 * z
        a, b = int(np.floor(rising)), int(np.floor(falling))
        face = (a & 3) | 4 if a == b else (a & 3 if a < b else (b & 3) + 8)
        return face, falling - b, 1 - (rising - a)
    quarter = min(int(turn), 3)
    part = turn - quarter
    size = np.sqrt(3.0) * np.sqrt(2.0) * abs(float(np.sin(np.radians(90.0 - abs(lat)) / 2.0)))
    a, b = part * size, (1 - part) * size
    return (quarter, 1 - b, 1 - a) if z > 0 else (quarter + 8, a, b)


def _ring_start(side: int, ring: int) -> tuple[int, int, int]:
    """Return the first pixel of a ring (counted from 1), its length, and 1 if it begins half a pixel further west."""
    total = 12 * side * side
    if ring < side:
        return 2 * ring * (ring - 1), 4 * ring, 0
    if ring <= 3 * side:
        return 2 * side * (side - 1) + (ring - side) * 4 * side, 4 * side, (ring - side) & 1
    south = 4 * side - ring
    return total - 2 * south * (south + 1), 4 * south, 0


_ROW = (2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4)


_COLUMN = (1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7)


def face_to_number(level: int, face: int, ix: int, iy: int, *, nested: bool) -> int:
    side = 1 << level
    if nested:
        number = sum((ix >> bit & 1) << (2 * bit) | (iy >> bit & 1) << (2 * bit + 1) for bit in range(level))
        return face * side * side + number
    ring = _ROW[face] * side - ix - iy - 1
    start, length, shifted = _ring_start(side, ring)
    quarter = length // 4
    column = (_COLUMN[face] * quarter + ix - iy + 1 + shifted) // 2
    return start + (column - 1) % length


def pixel_centre(level: int, number: int, *, nested: bool) -> tuple[float, float]:
    """Return the longitude and latitude of the centre of a pixel."""
    side = 1 << level
    if nested:
        face, rest = divmod(number, side * side)
        ix = sum((rest >> 2 * bit & 1) << bit for bit in range(level))
        iy = sum((rest >> 2 * bit + 1 & 1) << bit for bit in range(level))
        ring = _ROW[face] * side - ix - iy - 1
        _, length, shifted = _ring_start(side, ring)
        column = (_COLUMN[face] * (length // 4) + ix - iy + 1 + shifted) // 2
        column = (column - 1) % length + 1
    else:
        ring = next(r for r in range(4 * side - 1, 0, -1) if _ring_start(side, r)[0] <= number)
        start, length, shifted = _ring_start(side, ring)
        column = number - start + 1
    if ring < side:
        z = 1 - ring**2 / (3 * side**2)
    elif ring <= 3 * side:
        z = (2 * side - ring) * 2 / (3 * side)
    else:
        z = (4 * side - ring) ** 2 / (3 * side**2) - 1
    return (column - (1 + shifted) / 2) * 360.0 / length, float(np.degrees(np.arcsin(z)))


_FACES = (
    (8, 9, 10, 11, -1, -1, -1, -1, 10, 11, 8, 9),
    (5, 6, 7, 4, 8, 9, 10, 11, 9, 10, 11, 8),
    (-1, -1, -1, -1, 5, 6, 7, 4, -1, -1, -1, -1),
    (4, 5, 6, 7, 11, 8, 9, 10, 11, 8, 9, 10),
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    (1, 2, 3, 0, 0, 1, 2, 3, 5, 6, 7, 4),
    (-1, -1, -1, -1, 7, 4, 5, 6, -1, -1, -1, -1),
    (3, 0, 1, 2, 3, 0, 1, 2, 4, 5, 6, 7),
    (2, 3, 0, 1, -1, -1, -1, -1, 0, 1, 2, 3),
)


_SWAPS = ((0, 0, 3), (0, 0, 6), (0, 0, 0), (0, 0, 5), (0, 0, 0), (5, 0, 0), (0, 0, 0), (6, 0, 0), (3, 0, 0))


def neighbour(level: int, face: int, ix: int, iy: int) -> tuple[int, int, int] | None:
    """Return a pixel that is at most one pixel beyond its base pixel; None at a corner where there is none."""
    side = 1 << level
    number = 4
    if ix < 0:
        ix, number = ix + side, number - 1
    elif ix >= side:
        ix, number = ix - side, number + 1
    if iy < 0:
        iy, number = iy + side, number - 3
    elif iy >= side:
        iy, number = iy - side, number + 3
    there = _FACES[number][face]
    if there < 0:
        return None
    swap = _SWAPS[number][face // 4]
    ix = side - ix - 1 if swap & 1 else ix
    iy = side - iy - 1 if swap & 2 else iy
    return (there, iy, ix) if swap & 4 else (there, ix, iy)
