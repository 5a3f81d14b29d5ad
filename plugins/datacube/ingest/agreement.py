"""Do two files agree, so that one can continue the other?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest import packing, times
from plugins.datacube.ingest.content import Content, Selection, SourceVariable

COMPARED_BYTES = 32 << 20
"""Variables without time are compared in blocks of this size."""


def convert(
    content: Content, template: Content, name: str, target: SourceVariable, values: NDArray[Any]
) -> NDArray[Any]:
    """Turn stored values of one file into those of the template: times in its units, unpacked where it is unpacked."""
    own = content.variables[name]
    if packing.is_packed(own) and not packing.is_packed(target) and target.dtype.kind == "f":
        return packing.unpack(values, own, target.dtype)
    here, there = time_attributes(content, name), time_attributes(template, name)
    if here is not None and there is not None:
        return times.recode(values, replace(own, attributes=here), replace(target, attributes=there))
    return values


def time_attributes(content: Content, name: str) -> Mapping[str, Any] | None:
    """Return the attributes by which a variable's values are times, its own or those it is the bounds of."""
    variable = content.variables[name]
    if variable.dtype.kind not in "iuf":
        return None
    if times.is_time(variable.attributes):
        return variable.attributes
    for owner in content.variables.values():
        if name in (owner.attributes.get("bounds"), owner.attributes.get("climatology")) and times.is_time(
            owner.attributes
        ):
            # Bounds inherit units and calendar, and keep their own missing value.
            inherited = {key: owner.attributes[key] for key in ("units", "calendar") if key in owner.attributes}
            return {**variable.attributes, **inherited}
    return None


def require_same_structure(content: Content, template: Content, time: str | None) -> None:
    """Refuse a file whose variables, dimensions, types or units are not those of the template.

    Raises
    ------
    DatasetError
        Naming the first difference.
    """
    if content is template:
        return
    label = content.path.name
    for name in template.variables:
        if name not in content.variables:
            raise DatasetError(f"{label} does not fit: it has no variable {name}")
    for name, own in content.variables.items():
        wanted = template.variables.get(name)
        if wanted is None:
            raise DatasetError(f"{label} does not fit: its variable {name} is not in {template.path.name}")
        if own.dims != wanted.dims:
            raise DatasetError(
                f"{label} does not fit: {name} has the dimensions {_words(own.dims)}, not {_words(wanted.dims)}"
            )
        for dim, size, expected in zip(own.dims, own.shape, wanted.shape, strict=True):
            if dim != time and size != expected:
                raise DatasetError(f"{label} does not fit: its {dim} has {size} values, not {expected}")
        if time_attributes(content, name) is not None and time_attributes(template, name) is not None:
            continue
        unit, expected_unit = (str(v.attributes.get("units", "")).strip() for v in (own, wanted))
        if unit != expected_unit:
            raise DatasetError(f"{label} does not fit: the units of {name} are {unit!r}, not {expected_unit!r}")
        may_unpack = packing.is_packed(own) and not packing.is_packed(wanted) and wanted.dtype.kind == "f"
        if own.dtype != wanted.dtype and not may_unpack and not (packing.is_packed(own) and packing.is_packed(wanted)):
            raise DatasetError(f"{label} does not fit: the values of {name} are {own.dtype}, not {wanted.dtype}")


def stored_variables(template: Content, contents: Sequence[Content]) -> dict[str, SourceVariable]:
    """Return how each variable is to be stored: unpacked where the files are packed in different ways."""
    continued = template not in contents
    result = dict(template.variables)
    for name, wanted in template.variables.items():
        if time_attributes(template, name) is not None:
            continue
        for content in contents:
            own = content.variables[name]
            if packing.same_packing(own, wanted) or own is wanted:
                continue
            if packing.is_packed(own) and not packing.is_packed(wanted) and wanted.dtype.kind == "f":
                continue
            if packing.is_packed(own) and packing.is_packed(wanted) and not continued:
                result[name] = packing.unpacked(wanted)
                continue
            what = "packing (scale_factor, add_offset)" if packing.is_packed(own) else "missing value"
            raise DatasetError(
                f"{content.path.name} does not fit: the {what} of {name} is not that of {template.path.name}"
            )
    return result


def require_same_statics(content: Content, template: Content, targets: Mapping[str, SourceVariable], time: str) -> None:
    """Refuse a file whose grid, levels or other variables without time have other values.

    Raises
    ------
    DatasetError
        Naming the variable.
    """
    for name, target in targets.items():
        if time in target.dims:
            continue
        for selection in blocks_of(target.shape, max(1, target.dtype.itemsize)):
            own = convert(content, template, name, target, content.read(name, selection))
            wanted = template.read(name, selection)
            if template.variables[name].dtype != target.dtype:
                wanted = convert(template, template, name, target, wanted)
            if not _same_values(own, wanted):
                raise DatasetError(
                    f"{content.path.name} does not fit: the values of {name} are not those of {template.path.name}"
                )


def blocks_of(shape: Sequence[int], itemsize: int) -> Iterator[Selection]:
    """Cut an array along its first dimension into selections of at most `COMPARED_BYTES`."""
    if not shape:
        yield ()
        return
    row = itemsize * int(np.prod(shape[1:], dtype=np.int64))
    step = max(1, COMPARED_BYTES // max(1, row))
    rest = tuple(slice(0, size) for size in shape[1:])
    for start in range(0, shape[0], step):
        yield (slice(start, min(start + step, shape[0])), *rest)


def _same_values(first: NDArray[Any], second: NDArray[Any]) -> bool:
    if first.shape != second.shape:
        return False
    if first.dtype.kind == "f" and second.dtype.kind == "f":
        # A coordinate that went through float32 is the same coordinate.
        return bool(np.allclose(first, second, rtol=1e-6, atol=0, equal_nan=True))
    return bool(np.array_equal(first, second))


def _words(dims: Sequence[str]) -> str:
    return f"({', '.join(dims)})"
