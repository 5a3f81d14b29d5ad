"""How does a person see at a glance what an answer holds: a map of its first parameter at its first time and level?

A PNG with north up and a pixel or more for every cell, coloured between the 2nd and the 98th percentile of what it
shows; missing cells are transparent. Its texts say what is shown, and between which values. It is a picture: to compute
with, there are the other formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis
from plugins.datacube.coverage import Coverage, Values
from plugins.formats.colours import ramp
from plugins.formats.png import indexed
from plugins.formats.rasters import Band, Raster, raster

KEY: Final = "PNG"
MEDIA_TYPE: Final = "image/png"
PERCENTILES: Final = (2, 98)
WIDTH: Final = 512
"""Pixels that a picture is wide at least, where its height allows it."""
LARGEST: Final = 4096
"""Pixels of the longer side; a grid with more cells shows every n-th."""
_COLOURS: Final = 255
_MISSING: Final = 255
"""Palette index of a missing cell, after the colours."""


def encode(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Draw the first band of a grid.

    Parameters
    ----------
    coverages : sequence of Coverage
        Of one answer; the first parameter of the first one is drawn.

    Yields
    ------
    bytes
        The whole PNG.

    Raises
    ------
    NoDataError
        If there is no coverage.
    InvalidQueryError
        If the answer is not a grid of numbers.
    """
    grid = raster(coverages[:1], KEY)
    band = next(grid.bands())
    plane = _floats(band.values)
    finite = plane[np.isfinite(plane)]
    low, high = (float(each) for each in np.percentile(finite, PERCENTILES)) if finite.size else (0.0, 0.0)
    palette = np.vstack([ramp(_COLOURS), np.zeros((1, 3), np.uint8)])
    image = scaled(stretched(plane, low, high))
    yield indexed(image, palette, _texts(grid, band, finite, (low, high)), transparent=_MISSING)


def stretched(plane: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    """Return the palette index of every value: 0 at `low` and below, 254 at `high` and above, 255 where missing.

    Where all values are equal, all have the colour in the middle.
    """
    missing = ~np.isfinite(plane)
    # By halves: the difference of two float64 may be more than the largest of them.
    span = high / 2 - low / 2
    part = (
        (np.where(missing, low, plane).clip(low, high) / 2 - low / 2) / span if span > 0 else np.full_like(plane, 0.5)
    )
    image: NDArray[np.uint8] = np.rint(part * (_COLOURS - 1)).astype(np.uint8)
    image[missing] = _MISSING
    return image


def scaled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat every cell until the picture is `WIDTH` wide, or leave cells out until it is no larger than `LARGEST`."""
    height, width = image.shape
    every = -(-max(height, width) // LARGEST)
    if every > 1:
        return image[::every, ::every]
    times = max(1, min(-(-WIDTH // width), LARGEST // max(height, width)))
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _floats(values: Values) -> NDArray[np.float64]:
    floats = values.astype(np.float64)
    plain: NDArray[Any] = floats.filled(np.nan) if isinstance(floats, np.ma.MaskedArray) else floats
    return plain


def _texts(grid: Raster, band: Band, finite: NDArray[np.float64], colours: tuple[float, float]) -> dict[str, str]:
    cube, parameter = grid.cube, band.parameter
    described = parameter.label.strip() or parameter.name
    texts = {
        "Title": f"{cube.title}: {described}",
        "Parameter": parameter.name,
        "Units": parameter.units or "",
        "Time": band.labels.get("datetime", ""),
        "Level": f"{band.labels['z']} {band.level_units}".rstrip() if "z" in band.labels else "",
        **{key: text for key, text in band.labels.items() if key not in ("datetime", "z")},
        "Bounding box": _box(grid),
        "Copyright": cube.definition.attribution or "",
        "License": cube.definition.licence_url or cube.definition.licence or "",
    }
    if finite.size:
        numbers = (finite.min(), finite.max(), *colours)
        names = ("Minimum", "Maximum", "First colour", "Last colour")
        texts |= {name: f"{number:.9g}" for name, number in zip(names, numbers, strict=True)}
    return {_keyword(key): text.replace("\0", "") for key, text in texts.items() if text}


def _keyword(key: str) -> str:
    return key.encode("latin-1", "replace").decode("latin-1")[:79]


def _box(grid: Raster) -> str:
    edges = (_edges(grid.x), _edges(grid.y))
    return ",".join(f"{each:.9g}" for each in (edges[0][0], edges[1][0], edges[0][1], edges[1][1]))


def _edges(axis: Axis) -> tuple[float, float]:
    return float(axis.cells.min()), float(axis.cells.max())
