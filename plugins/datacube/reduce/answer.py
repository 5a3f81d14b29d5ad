"""How do the numbers of a reduction become coverages, which every format can write?

The axes that were not reduced are those of the selection; in the place of the rows stand their groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage, DomainType, Values
from plugins.datacube.datacube import Parameter
from plugins.datacube.decode import Range, decoded_dtype
from plugins.datacube.domain import coverages
from plugins.datacube.reduce.layout import Layout
from plugins.datacube.reduce.reduction import Reduction, Work
from plugins.datacube.selection import Group, Indexer, Points

_OF_VALUES: Final = ("flag_values", "flag_masks", "flag_meanings", "valid_min", "valid_max", "valid_range")
"""Attributes that say something of single values, and nothing of what is made of many."""


def describe(
    parameter: Parameter,
    suffix: str,
    label: str,
    *,
    method: str | None = None,
    units: tuple[str | None, str | None] | None = None,
    dtype: str | None = None,
    named: bool = True,
) -> Parameter:
    """Describe a statistic of a parameter.

    Parameters
    ----------
    parameter : Parameter
    suffix : str
        Added to its name: ``mean``.
    label : str
        In words: ``monthly mean``.
    method : str, optional
        Cell method (CF 7.3) to add: ``time: mean``.
    units : tuple of str, optional
        Units, and their UCUM code, where they are not those of the parameter.
    dtype : str, optional
        Type of the statistic; float32 stays float32 and all others are float64 if absent.
    named : bool
        Whether the standard name of the parameter is also that of the statistic.
    """
    dtype = dtype or ("float32" if decoded_dtype(parameter) == np.float32 else "float64")
    of_units, ucum = units or (parameter.units, parameter.ucum)
    long_name = f"{parameter.label or parameter.name}, {label}"
    methods = " ".join(text for text in (parameter.cell_methods, method) if text)
    return replace(
        parameter,
        name=f"{parameter.name}_{suffix}",
        dtype=dtype,
        stored_dtype=dtype,
        label=long_name,
        long_name=long_name,
        standard_name=parameter.standard_name if named else None,
        units=of_units,
        ucum=ucum,
        cell_methods=methods or None,
        scale_factor=None,
        add_offset=None,
        missing=(),
        attributes={name: value for name, value in parameter.attributes.items() if name not in _OF_VALUES},
    )


def difference_units(parameter: Parameter) -> tuple[str | None, str | None]:
    """Return the units of differences: a difference of degrees Celsius is one of kelvins.

    Returns
    -------
    tuple of (str or None)
        As the store would spell them, and as a UCUM code.
    """
    return ("K", "K") if parameter.ucum == "Cel" else (parameter.units, parameter.ucum)


def answer(reduction: Reduction, values: Mapping[str, Sequence[NDArray[Any]]]) -> tuple[Coverage, ...]:
    """Make the coverages of a reduction whose places are those of the selection.

    Parameters
    ----------
    reduction : Reduction
        Along leading dimensions.
    values : mapping of str to sequence of ndarray
        What `plugins.datacube.reduce.engine.reduce` returned.
    """
    results = []
    for group in reduction.selection.groups:
        works = [work for work in reduction.works if work.layout.group is group]
        if not works:
            continue
        ranges: dict[str, Range] = {}
        parameters = []
        for work in works:
            for statistic, array in zip(reduction.statistics, values[work.layout.parameter.name], strict=True):
                described = statistic.describe(work.layout.parameter)
                parameters.append(described)
                ranges[described.name] = ready(described, array)
        results.append((_group(group, works[0], tuple(parameters)), ranges))
    return coverages(reduction.selection, results)


def answer_of_regions(reduction: Reduction, values: Mapping[str, Sequence[NDArray[Any]]]) -> tuple[Coverage, ...]:
    """Make the coverages of a reduction over the places: along the axes that are left, for each region.

    Several regions become an axis ``region``, and the answer has no places. A single one becomes a place, the middle of
    its cells, whose bounds say how far it reaches.
    """
    made = []
    for group in reduction.selection.groups:
        works = [work for work in reduction.works if work.layout.group is group]
        if not works:
            continue
        layout, rows = works[0].layout, works[0].rows
        axes = tuple(indexer.axis for indexer in layout.leading)
        kind: DomainType | None = None
        if rows.axis is not None:
            axes = (rows.axis, *axes)
        else:
            place = _around(layout)
            axes = (*axes, *place)
            kind = _of_a_place(axes) if place else None
        parameters: dict[str, Parameter] = {}
        ranges: dict[str, Values] = {}
        shape = tuple(axis.size for axis in axes)
        for work in works:
            for statistic, array in zip(reduction.statistics, values[work.layout.parameter.name], strict=True):
                described = statistic.describe(work.layout.parameter)
                parameters[described.name] = described
                ranges[described.name] = np.ascontiguousarray(array).reshape(shape)
        made.append(Coverage(reduction.selection.cube, kind, axes, parameters, ranges))
    return tuple(made)


def _of_a_place(axes: Sequence[Axis]) -> DomainType | None:
    several = [axis.kind for axis in axes if axis.size > 1]
    if AxisKind.CUSTOM in several:
        return None
    kinds = {(): DomainType.POINT, (AxisKind.T,): DomainType.POINT_SERIES, (AxisKind.Z,): DomainType.VERTICAL_PROFILE}
    return kinds.get(tuple(several), DomainType.GRID)


def _around(layout: Layout) -> tuple[Axis, ...]:
    """Return y and x of one cell that holds all cells of a selection."""
    horizontal = layout.group.horizontal
    y, x = horizontal.y, horizontal.x
    return tuple(_one_cell(place.axis if isinstance(place, Indexer) else place) for place in (y, x))


def _one_cell(axis: Axis) -> Axis:
    low, high = float(axis.cells.min()), float(axis.cells.max())
    return replace(
        axis, values=np.array([(low + high) / 2.0]), bounds=np.array([[low, high]]), cyclic=False, components=()
    )


def ready(parameter: Parameter, values: NDArray[Any]) -> Range:
    """Return complete values as what a read leaves behind."""
    made = Range((), parameter, partial=False)
    made.values = values
    return made


def replaced(group: Group, number: int, axis: Axis | None, fixed: int) -> Group:
    """Return a group with another axis in the place of a leading one, or with none."""
    leading = list(group.leading)
    if axis is None:
        del leading[fixed + number]
    else:
        old = leading[fixed + number]
        leading[fixed + number] = Indexer(old.dim, np.arange(axis.size), axis)
    return replace(group, leading=tuple(leading))


def _group(group: Group, work: Work, parameters: tuple[Parameter, ...]) -> Group:
    fixed = len(work.layout.selection.cube.fixed)
    made = replace(replaced(group, work.rows.dims[0], work.rows.axis, fixed), parameters=parameters)
    if isinstance(made.horizontal, Points):
        # The values are there: nothing is mixed any more.
        made = replace(made, horizontal=replace(made.horizontal, mixing=None))
    return made
