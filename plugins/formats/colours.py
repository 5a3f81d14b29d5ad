"""Which colours show numbers so that equal differences look equal, also in print and to the colour-blind?

A ramp through the space Oklab (B. Ottosson, 2020), whose distances are those that people see: lightness rises by equal
steps from dark violet over blue and green to yellow, and all of it lies inside sRGB, so that nothing is clipped.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

LIGHTNESS: Final = (0.27, 0.93)
"""Oklab lightness of the first and last colour: dark on white paper, and bright on a dark screen."""
_HUE: Final = (305.0, 108.0)
"""Degrees: violet, over blue and green, to yellow."""
_CHROMA: Final = (0.10, 0.18)
_PALER: Final = 0.04
"""Chroma lost in the middle, where sRGB has no stronger green."""


@lru_cache(maxsize=4)
def ramp(count: int) -> NDArray[np.uint8]:
    """Return `count` colours from low to high as sRGB, shape (count, 3).

    Examples
    --------
    >>> ramp(255).shape
    (255, 3)
    """
    part = np.linspace(0.0, 1.0, count)
    lightness = LIGHTNESS[0] + (LIGHTNESS[1] - LIGHTNESS[0]) * part
    hue = np.radians(_HUE[0] + (_HUE[1] - _HUE[0]) * part)
    chroma = _CHROMA[0] + (_CHROMA[1] - _CHROMA[0]) * part - _PALER * np.sin(np.pi * part)
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    # From Oklab to the response of the eye's cones, and on to linear sRGB.
    cones = np.stack([
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.2914855480 * b,
    ]) ** 3  # fmt: skip
    linear = np.array([
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]) @ cones  # fmt: skip
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colours: NDArray[np.uint8] = np.rint(encoded.T * 255).astype(np.uint8)
    colours.setflags(write=False)
    return colours
