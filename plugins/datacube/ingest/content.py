"""What is in a source file, before a byte of its data is copied?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

type Selection = tuple[slice, ...]
"""One slice with explicit start and stop a dimension, in stored order."""
type Progress = Callable[[float, str], None]
"""Called with the finished fraction (0 to 1) and what is being done."""

STRING = np.dtype(object)
"""The dtype under which variable-length text travels."""


@dataclass(frozen=True, slots=True)
class SourceVariable:
    """One variable of a file, with the values as they are stored: packed integers stay packed."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    """Native byte order; `STRING` for text."""
    attributes: Mapping[str, Any]
    """As the file has them, ``_FillValue`` included: NumPy scalars and arrays, or str."""

    @property
    def is_text(self) -> bool:
        """Whether the values are variable-length text."""
        return self.dtype.kind == "O"

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded values; text is counted as 16 bytes a value."""
        return int(np.prod(self.shape, dtype=np.int64)) * (16 if self.is_text else self.dtype.itemsize)


@dataclass(frozen=True, slots=True)
class Content:
    """What one file holds."""

    path: Path
    dimensions: Mapping[str, int]
    variables: Mapping[str, SourceVariable]
    attributes: Mapping[str, Any]
    """Global attributes."""
    reader: Callable[[str, Selection], NDArray[Any]]
    notes: tuple[str, ...] = ()
    """One sentence for each thing that was left out."""
    auxiliary: frozenset[str] = field(default=frozenset())
    """Variables that only describe others: coordinates, bounds, grid mappings, ancillary tables of a dimension."""

    def read(self, name: str, selection: Selection | None = None) -> NDArray[Any]:
        """Return stored values of a variable; all of them without a selection.

        Raises
        ------
        DatasetError
            If the bytes cannot be read.
        """
        variable = self.variables[name]
        return self.reader(name, selection or tuple(slice(0, size) for size in variable.shape))

    @property
    def data_variables(self) -> tuple[str, ...]:
        """The variables that hold data, in the order of the file."""
        return tuple(name for name in self.variables if name not in self.auxiliary)


def find_auxiliary(variables: Mapping[str, SourceVariable], attributes: Mapping[str, Any]) -> frozenset[str]:
    """Tell the variables that describe others (CF conventions 1.11, sections 4, 5, 5.6, 7.1 and 7.2).

    Coordinate variables, and what the attributes ``coordinates``, ``bounds``, ``climatology``, ``grid_mapping`` and
    ``cell_measures`` name; and scalars that are a grid mapping or have a role of their own.
    """
    found = {name for name, variable in variables.items() if variable.dims == (name,)}
    for owner in (attributes, *(variable.attributes for variable in variables.values())):
        for key in ("coordinates", "bounds", "climatology", "grid_mapping", "cell_measures"):
            text = owner.get(key)
            if isinstance(text, str):
                # "crs: x y", "area: areacella" and "lat lon" all reduce to words, of which some are variables.
                found.update(word for word in text.replace(":", " ").split() if word in variables)
    for name, variable in variables.items():
        scalar = not variable.dims and str(variable.attributes.get("standard_name", "")) in SCALAR_COORDINATES
        if scalar or variable.is_text or "grid_mapping_name" in variable.attributes:
            found.add(name)
    return frozenset(found)


SCALAR_COORDINATES = frozenset(
    {
        "time",
        "forecast_reference_time",
        "forecast_period",
        "latitude",
        "longitude",
        "height",
        "depth",
        "altitude",
        "air_pressure",
        "realization",
    }
)
"""Standard names that make a scalar variable a coordinate even where no ``coordinates`` attribute names it."""
