"""What are the values at a place, as features with plain attributes that a GIS can draw over time?

``/collections/{id}/items?location=…``: one Feature for each time step (and level, and member) at one location, the
parameters as its properties, beside ``time`` (ISO 8601, which GDAL and QGIS read as a DateTime). Only the times of one
page are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, unquote

import numpy as np
import shapely

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.coverage import Coverage
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import InvalidQueryError, NoDataError
from plugins.datacube.layouts import cheapest
from plugins.datacube.library import OpenDatacube
from plugins.datacube.limits import admit
from plugins.datacube.located import locate
from plugins.datacube.location import Location
from plugins.datacube.locations import chosen, in_box
from plugins.datacube.parse import PARAMETER_NAMES
from plugins.datacube.plan import plan
from plugins.datacube.read import read
from plugins.datacube.select import select
from plugins.datacube.selection import Group, Selection
from server.ogc.collection_filter import MAX_LIMIT
from server.ogc.features import Page, parse_page
from server.ogc.messages import OgcRequest
from server.ogc.service import OgcService

LOCATION: Final = "location"
"""The parameter that names the location."""
PAGING: Final = ("limit", "offset", "bbox", "crs")
"""Parameters that say which features of the series are wanted, rather than which values."""
STEP: Final = "@"
"""Between the identifier of a location and the time of a step, in the identifier of a feature."""


@dataclass(frozen=True, slots=True)
class Series:
    """One page of the steps at a location."""

    page: Page
    matched: int
    """Steps of all pages."""
    features: list[dict[str, Any]]


def series_parameters(cube: Datacube) -> tuple[str, ...]:
    """Return the parameters that choose values, beside ``datetime``."""
    return ("z", *PARAMETER_NAMES, *(axis.name for axis in cube.custom_axes))


def series(
    service: OgcService, request: OgcRequest, opened: OpenDatacube, arguments: Mapping[str, str], default_limit: int
) -> Series:
    """Read one page of the steps at a location.

    Parameters
    ----------
    arguments : mapping of str to str
        ``location``, `PAGING`, ``datetime`` and `series_parameters`.

    Raises
    ------
    UnknownError
        If there is no such location.
    InvalidQueryError
        If a parameter is wrong, or the location is not one point.
    TooLargeError, BusyError, StorageError, DatasetError
        If the values cannot be read at once.
    """
    location = single_point(opened, arguments[LOCATION])
    paging = parse_page({name: text for name, text in arguments.items() if name in PAGING}, default_limit)
    page = replace(paging, arguments={name: text for name, text in arguments.items() if name != "offset"})
    nothing = Series(page, 0, [])
    if page.box is not None and not in_box((location,), page.box):
        return nothing
    raw = {name: text for name, text in arguments.items() if name not in (LOCATION, *PAGING)}
    (part,) = locate((location,), raw, opened.cube).parts
    try:
        selection = select(opened.cube, part.query)
    except NoDataError:
        return nothing
    matched = sum(_rows(group) for group in selection.groups)
    windows = list(_windows(selection, page))
    if not windows:
        return replace(nothing, matched=matched)
    native = plan(opened.cube, replace(selection, groups=tuple(group for group, _ in windows)))
    opened, todo = cheapest(opened, native)
    admit(todo.cost, service.limits)
    with service.budget.hold(todo.cost.memory):
        coverages = read(opened, todo, request.cancel)
    features = [
        feature
        for coverage, (_, rows) in zip(coverages, windows, strict=True)
        for feature in _features(coverage, location, rows)
    ]
    return Series(page, matched, features)


def one_step(service: OgcService, request: OgcRequest, opened: OpenDatacube, item_id: str) -> dict[str, Any] | None:
    """Return the feature of one step by its identifier, or None if there is none.

    Raises
    ------
    UnknownError
        If there is no such location.
    TooLargeError, BusyError, StorageError, DatasetError
        As `series` does.
    """
    identifier, _, rest = item_id.rpartition(STEP)
    time, *others = rest.split(",")
    arguments = {LOCATION: identifier, "limit": str(MAX_LIMIT)} | ({"datetime": unquote(time)} if time else {})
    known = series_parameters(opened.cube)
    for other in others:
        name, _, text = other.partition("=")
        if unquote(name) not in known:
            return None
        arguments[unquote(name)] = unquote(text)
    try:
        found = series(service, request, opened, arguments, MAX_LIMIT)
    except InvalidQueryError:
        return None
    return next((feature for feature in found.features if feature["id"] == item_id), None)


def single_point(opened: OpenDatacube, identifier: str) -> Location:
    """Return the location of an identifier.

    Raises
    ------
    UnknownError
        If there is none.
    InvalidQueryError
        If there are several, or it is not one point.
    """
    found = chosen(opened, identifier)
    if len(found) > 1 or found[0].is_area or len(found[0].points) > 1:
        raise InvalidQueryError(
            LOCATION,
            f"{identifier[:128]!r} is not one point, and has many values at each time",
            f"a location that is one point; the others are answered by /collections/{opened.cube.id}/locations/…",
        )
    return found[0]


def _rows(group: Group) -> int:
    return math.prod(indexer.axis.size for indexer in group.leading)


def _windows(selection: Selection, page: Page) -> Iterator[tuple[Group, range]]:
    """Yield the groups cut to the times of a page, and which of their rows belong to it.

    The rows of a group are ordered by time first; those of the next group follow.
    """
    before = 0
    for group in selection.groups:
        count = _rows(group)
        first, stop = max(page.offset - before, 0), min(page.offset + page.limit - before, count)
        before += count
        if first >= stop:
            continue
        at = next((n for n, indexer in enumerate(group.leading) if indexer.axis.kind is AxisKind.T), None)
        if at is None:
            yield group, range(first, stop)
            continue
        time = group.leading[at]
        each = count // time.axis.size
        steps = slice(first // each, -(-stop // each))
        cut = replace(time, indices=time.indices[steps], axis=time.axis.take(np.arange(time.axis.size)[steps]))
        leading = (*group.leading[:at], cut, *group.leading[at + 1 :])
        yield replace(group, leading=leading), range(first - steps.start * each, stop - steps.start * each)


def _features(coverage: Coverage, location: Location, rows: range) -> Iterator[dict[str, Any]]:
    axes = coverage.axes[:-2]
    order = sorted(range(len(axes)), key=lambda number: axes[number].kind is not AxisKind.T)
    sizes = tuple(axes[number].size for number in order)
    columns = {
        name: _plain(values.reshape([axis.size for axis in axes]).transpose(order).reshape(-1)[rows.start : rows.stop])
        for name, values in coverage.ranges.items()
    }
    texts = [axes[number].texts() for number in order]
    names = [_name(axes[number], coverage) for number in order]
    geometry = shapely.geometry.mapping(location.geometry)
    for number, row in enumerate(rows):
        place = [int(index) for index in np.unravel_index(row, sizes)]
        said: dict[str, Any] = {"location": location.id, "name": location.name}
        identifier = f"{location.id}{STEP}"
        for axis, name, written, index in zip((axes[n] for n in order), names, texts, place, strict=True):
            timed = axis.kind is AxisKind.T
            said[name] = written[index] if timed or axis.values.dtype.kind not in "iuf" else axis.values[index]
            word = "" if timed else f",{quote('z' if axis.kind is AxisKind.Z else axis.name, safe='')}="
            identifier += word + quote(written[index], safe=":")
        values = {name: column[number] for name, column in columns.items()}
        yield {"type": "Feature", "id": identifier, "geometry": geometry, "properties": {**said, **values}}


def _name(axis: Axis, coverage: Coverage) -> str:
    """Return the name of the property that an axis becomes; one that a parameter has is the parameter's."""
    if axis.kind is AxisKind.CUSTOM:
        return axis.name
    wanted = (
        ("time", "datetime", "time_coordinate") if axis.kind is AxisKind.T else ("z", "level", "vertical_coordinate")
    )
    return next(name for name in wanted if name not in coverage.parameters or name == wanted[-1])


def _plain(values: Any) -> list[Any]:
    """Return values as what JSON writes with the fewest digits that mean the same; missing ones as None."""
    if np.ma.isMA(values):
        return [
            None if hidden else value for value, hidden in zip(values.data, np.ma.getmaskarray(values), strict=True)
        ]
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return native.tolist() if native.dtype.kind == "b" else list(native)
