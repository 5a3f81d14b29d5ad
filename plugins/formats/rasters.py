"""When is an answer a raster of pixels, where do they lie, and which bands has it?

A raster has equal steps along x and along y, and all its bands share them. What does not fit is refused, naming the
formats that do: a raster would put the values at places where they are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, Values
from plugins.datacube.datacube import Datacube, Parameter
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.formats.domains import is_point, is_timed, path_of
from plugins.formats.value_text import data_type

ANY_GRID: Final = "CoverageJSON, NetCDF, CSV, Zarr or GeoJSON"
"""The formats that take every answer."""
RESAMPLED: Final = "resolution-x and resolution-y, the numbers of columns and rows of a grid to lay over them, or "
"""How cells that lie in no rows and columns become a raster."""
_TOLERANCE: Final = 1e-3
"""Part of a pixel by which a cell centre may lie beside the pixel's: coordinates are often stored as float32."""


@dataclass(frozen=True, slots=True)
class Raster:
    """A grid answer, cut into bands."""

    cube: Datacube
    coverages: tuple[Coverage, ...]
    x: Axis
    """Of all coverages, in the order of the answer."""
    y: Axis

    @property
    def count(self) -> int:
        """Number of bands: of every parameter, its members, steps, times and levels."""
        return sum(int(np.prod(each.shape[:-2])) * len(each.parameters) for each in self.coverages)

    def bands(self) -> Iterator[Band]:
        """Yield the bands: parameter by parameter, each in array order."""
        for coverage in self.coverages:
            leading = coverage.axes[:-2]
            texts = [axis.texts() for axis in leading]
            for name, parameter in coverage.parameters.items():
                for index in product(*(range(axis.size) for axis in leading)):
                    labels = {
                        "datetime" if axis.kind is AxisKind.T else axis.key: text[i]
                        for axis, text, i in zip(leading, texts, index, strict=True)
                    }
                    yield Band(parameter, labels, _level_units(leading), self.upright(coverage.ranges[name][index]))

    def upright(self, values: Values) -> Values:
        """Return a plane of shape (y, x) with north at the top and west at the left; a view."""
        turned: Values = values[:: -1 if self.y.ascending else 1, :: 1 if self.x.ascending else -1]
        return turned


@dataclass(frozen=True, slots=True)
class Band:
    """One parameter at one member, step, time and level."""

    parameter: Parameter
    labels: Mapping[str, str]
    """What the band is at, by ``datetime``, ``z`` and the names of custom axes, as far as they exist."""
    level_units: str
    """Units of ``z``; empty where there is none."""
    values: Values
    """shape (y, x), north and west first."""

    @property
    def description(self) -> str:
        """Name of the band for people.

        Returns
        -------
        str
            For example ``t2m 2024-01-05T12:00:00Z 850 hPa number=3``.
        """
        words = [self.parameter.name]
        if "datetime" in self.labels:
            words.append(self.labels["datetime"])
        if "z" in self.labels:
            words.append(f"{self.labels['z']} {self.level_units}".rstrip())
        words += [f"{key}={text}" for key, text in self.labels.items() if key not in ("datetime", "z")]
        return " ".join(words)


def raster(coverages: Sequence[Coverage], key: str) -> Raster:
    """Check that the coverages of one answer are a grid of numbers that all share.

    Parameters
    ----------
    coverages : sequence of Coverage
        Of one answer.
    key : str
        The format that needs it, for the error.

    Raises
    ------
    NoDataError
        If there is no coverage.
    InvalidQueryError
        If the answer lies at points, along a path or in cells without rows and columns, its parameters lie on different
        grids, or a parameter is text.
    """
    if not coverages:
        raise NoDataError("the query selects no value")
    for coverage in coverages:
        kinds = tuple(axis.kind for axis in coverage.axes[-2:])
        path = path_of(coverage)
        if path is not None and not is_timed(path):
            sentence = f"{key} takes a grid of rows and columns, and the cells of this answer lie in none"
            raise InvalidQueryError("f", sentence, RESAMPLED + ANY_GRID)
        if is_point(coverage) or kinds != (AxisKind.Y, AxisKind.X):
            raise InvalidQueryError("f", f"{key} takes a grid, and the answer lies at single places", ANY_GRID)
        for name, values in coverage.ranges.items():
            if data_type(values) == "string":
                raise InvalidQueryError("f", f"{key} takes numbers, and {name} is text", ANY_GRID)
    y, x = coverages[0].axes[-2:]
    for coverage in coverages[1:]:
        same = (np.array_equal(a.values, b.values) for a, b in zip(coverage.axes[-2:], (y, x), strict=True))
        if not all(same):
            names = ", ".join(coverage.parameters)
            raise InvalidQueryError(
                "f",
                f"{key} takes one grid, and {names} lies on another than the parameters before it",
                f"one parameter-name at a time, or {ANY_GRID}",
            )
    return Raster(coverages[0].cube, tuple(coverages), x, y)


def pixels(axis: Axis, cube: Datacube) -> tuple[float, float] | None:
    """Return the low edge of the first pixel of an axis in rising order, and the size of a pixel.

    The centres of the pixels are the coordinates. The size is the step; where only one coordinate was selected, the
    width of its cell if the store gives bounds, else the step of the dataset's axis.

    Returns
    -------
    tuple of float or None
        In the units of the axis; None where the axis has no equal steps.

    Examples
    --------
    >>> pixels(Axis(AxisKind.X, "x", np.array([0.25, 0.5, 0.75])), None)
    (0.125, 0.25)
    """
    values: NDArray[Any] = np.asarray(axis.values, np.float64)
    if axis.size > 1:
        size = abs(float(values[-1] - values[0])) / (axis.size - 1)
    elif axis.bounds is not None:
        size = abs(float(axis.bounds[0, 1] - axis.bounds[0, 0]))
    else:
        whole = cube.axes.get(axis.name)
        size = float(whole.step or 0.0) if whole is not None else 0.0
    if not (size > 0 and np.isfinite(size)):
        return None
    low = float(values.min())
    rounding = float(np.abs(values).max()) * 2.0**-22
    off = np.abs(np.sort(values) - (low + size * np.arange(axis.size)))
    return (low - size / 2, size) if bool((off <= max(_TOLERANCE * size, rounding)).all()) else None


def _level_units(axes: Sequence[Axis]) -> str:
    return next(((axis.units or "").strip() for axis in axes if axis.kind is AxisKind.Z), "")
