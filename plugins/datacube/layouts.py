"""Which of several stores of the same data answers a query at the least cost?

A dataset may list layouts: the same values in other chunks, as a database has indices. A query is planned on each that
may answer, and the cheapest reads it; the dataset's own store on ties. A layout may answer where it holds all
parameters asked for, on the same axes, decoded to the same type and unit, and stems from the same state:

- A layout that ``isopleth layout`` wrote records the snapshot of its source. Where the source has moved on the layout
  is stale: it is not used until it has been brought up to date.
- Any other store is trusted once its axes compare equal, and only for the newest state of the dataset; whether its
  values are the same, ``isopleth check`` samples.

What answers is a *view*: the description of the dataset (its snapshot, so that the ETag is that of the data and not of
the layout) over the arrays and chunks of the layout.

The cost of a plan is the bytes that it decodes, weighed by how fast they come, and a constant for each chunk, which
stands for the request (`Pace`).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from plugins.datacube.axes import Axis
from plugins.datacube.blocks import chunk_bytes
from plugins.datacube.datacube import Datacube, Integrity, Parameter
from plugins.datacube.decode import decoded_dtype
from plugins.datacube.definition import LayoutDefinition
from plugins.datacube.errors import DatasetError
from plugins.datacube.library import OpenDatacube, at_hand, open_datacube
from plugins.datacube.plan import Cost, ReadPlan, plan, plan_query
from plugins.datacube.query import Query
from plugins.datacube.selection import Selection
from plugins.datacube.sources import local_path

_LOG = logging.getLogger(__name__)

HEADER: Final = "Isopleth-Layout"
"""Response header that names the layout by which a query was answered."""
RECORD: Final = "isopleth_layout"
"""Attribute of the root group of a layout: which state of which dataset it is a copy of."""
REMEMBERED: Final = 512
"""Comparisons of a dataset with a layout that are remembered."""
COMPARED_CELLS: Final = 10_000
"""Centres that are compared where cells do not lie on two axes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a chunk costs, in bytes decoded from local Zarr."""

    request: int
    """For asking, whatever its size."""
    byte: int
    """For each byte after decompression."""


LOCAL: Final = Pace(request=128 << 10, byte=1)
"""Measured with zstd: 0.3 ms a chunk, 2.4 ns a byte."""
LOCAL_ICECHUNK: Final = Pace(request=512 << 10, byte=1)
"""The same: 1.2 ms a chunk."""
REMOTE: Final = Pace(request=4 << 20, byte=4)
"""Tens of milliseconds to the first byte, of which some pass side by side; and the network is slower than the disk."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a layout says of its origin."""

    dataset: str
    snapshot: str
    """Of the dataset when it was copied."""
    purpose: str = ""
    """What it was written for, as the operator said it."""

    def to_json(self) -> dict[str, str]:
        """Return the value of the attribute `RECORD`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether a layout may answer for a dataset."""

    view: OpenDatacube | None
    """What answers; None where it may not."""
    problem: str | None
    """Why it may not, or not for all parameters; one sentence without its subject."""
    stale: bool = False
    """It is a copy of another state of the dataset."""
    recorded: bool = False
    """It was written by ``isopleth layout``."""


def choose(opened: OpenDatacube, query: Query) -> tuple[OpenDatacube, ReadPlan]:
    """Plan a query on the cheapest layout.

    Parameters
    ----------
    opened : OpenDatacube
        The dataset, or a view of it.
    query : Query

    Returns
    -------
    opened : OpenDatacube
        What to read from; its ``layout`` is the name of the layout, and its cube has the id and the snapshot of the
        dataset.
    plan : ReadPlan
        For `plugins.datacube.read.read` with just that; its cost is that of the layout.

    Raises
    ------
    UnsupportedDatasetError, InvalidQueryError, NoDataError, TooLargeError
        As `plugins.datacube.plan.plan_query`.
    """
    return cheapest(opened, plan_query(opened.cube, query))


def cheapest[P: ReadPlan](opened: OpenDatacube, todo: P) -> tuple[OpenDatacube, P]:
    """Lay a plan over the cheapest layout: `choose`, where the plan on the dataset itself was made already."""
    best, native = (opened, todo), todo.selection
    if not opened.cube.definition.layouts:
        return best
    least = weight(todo.cost, pace_of(opened))
    for view in usable(opened):
        selection = _onto(native, view.cube)
        if selection is None or _at_least(selection, pace_of(view)) >= least:
            continue
        cost = plan(view.cube, selection).cost
        if (weighed := weight(cost, pace_of(view))) < least:
            best, least = (view, replace(todo, selection=selection, cost=cost)), weighed
    return best


def all_at_hand(opened: OpenDatacube) -> bool:
    """Whether the cheapest layout of a dataset can be told without looking at any storage."""
    definition = opened.cube.definition
    return all(at_hand(definition.of_layout(layout)) is not None for layout in definition.layouts)


def usable(opened: OpenDatacube) -> Iterator[OpenDatacube]:
    """Yield the layouts of a dataset that may answer now, in their order."""
    for layout in opened.cube.definition.layouts:
        try:
            copy = open_datacube(opened.cube.definition.of_layout(layout))
        except DatasetError as error:
            _say(opened, layout, f"cannot be opened: {error.detail}")
            continue
        if (view := _REMEMBERED.comparison(opened, layout, copy).view) is not None:
            yield view


def pace_of(opened: OpenDatacube) -> Pace:
    """Return how fast the chunks of a store come."""
    if local_path(opened.cube.definition.href) is None:
        return REMOTE
    return LOCAL_ICECHUNK if opened.source.layout == "icechunk" else LOCAL


def weight(cost: Cost, pace: Pace) -> int:
    """Return what a plan costs, in bytes decoded from local Zarr."""
    return cost.chunks * pace.request + cost.bytes_decoded * pace.byte


def compare(opened: OpenDatacube, layout: LayoutDefinition, copy: OpenDatacube) -> Comparison:
    """Tell whether a layout may answer for a dataset.

    Parameters
    ----------
    opened : OpenDatacube
        The dataset, or a view of it.
    layout : LayoutDefinition
        One of its layouts.
    copy : OpenDatacube
        The store of that layout.
    """
    cube, other = opened.cube, copy.cube
    record = record_of(other.attributes)
    recorded = record is not None
    if record is not None and record.snapshot != cube.snapshot:
        return Comparison(None, "is a copy of another state of the dataset", stale=True, recorded=True)
    if record is None and (opened.cube.fixed or not _is_newest(opened)):
        return Comparison(None, "says nothing of its origin, so it answers for the newest state as a whole only")
    problem = _difference(cube, other)
    if problem is None and record is None:
        # A copy that records this snapshot has its coordinates, and a run of it has axes of its own.
        problem = other_axes(cube, other)
    if problem is not None:
        return Comparison(None, problem, recorded=recorded)
    shared: dict[str, Parameter] = {}
    for name, parameter in cube.parameters.items():
        theirs = other.parameters.get(name)
        reason = "is not in it" if theirs is None else _unlike(parameter, theirs)
        if theirs is None or reason is not None:
            problem = f"does not answer for {name}, which {reason}"
        else:
            shared[name] = _in_chunks_of(parameter, theirs)
    if not shared:
        return Comparison(None, problem, recorded=recorded)
    return Comparison(_view(opened, layout, copy, shared, recorded=recorded), problem, recorded=recorded)


def record_of(attributes: Mapping[str, Any]) -> Record | None:
    """Return what a store records of its origin, or None where ``isopleth layout`` did not write it."""
    found = attributes.get(RECORD)
    if not isinstance(found, Mapping):
        return None
    # A record that cannot be read is that of no known state.
    return Record(*(str(found.get(name, "")) for name in ("dataset", "snapshot", "purpose")))


def _is_newest(opened: OpenDatacube) -> bool:
    try:
        return open_datacube(opened.cube.definition).source is opened.source
    except DatasetError:
        return False


def _view(
    opened: OpenDatacube,
    layout: LayoutDefinition,
    copy: OpenDatacube,
    parameters: dict[str, Parameter],
    *,
    recorded: bool,
) -> OpenDatacube:
    # What `isopleth layout` wrote has every chunk, even of a sparse dataset: an absent one is a loss.
    sparse = opened.cube.definition.sparse and not recorded
    definition = replace(
        opened.cube.definition,
        # Decoded chunks are kept by href, snapshot and place: those of two states of a layout must never be mistaken.
        href=f"{layout.href}#{copy.source.snapshot}",
        storage_options=layout.storage_options,
        sparse=sparse,
        layouts=(),
    )
    cube = replace(opened.cube, definition=definition, parameters=MappingProxyType(parameters))
    arrays = {name: copy.arrays[name].with_config({"read_missing_chunks": sparse}) for name in parameters}
    return OpenDatacube(cube, MappingProxyType(arrays), copy.source, layout.name)


def _in_chunks_of(parameter: Parameter, other: Parameter) -> Parameter:
    return replace(
        parameter,
        dims=other.dims,
        shape=other.shape,
        chunks=other.chunks,
        shards=other.shards,
        stored_dtype=other.stored_dtype,
        scale_factor=other.scale_factor,
        add_offset=other.add_offset,
        missing=other.missing,
    )


def _difference(cube: Datacube, other: Datacube) -> str | None:
    if other.unsupported is not None:
        return f"cannot be queried: {other.unsupported}"
    if cube.integrity is Integrity.VERIFIED and other.integrity is not Integrity.VERIFIED:
        return "carries no checksums, and the dataset is listed with them"
    return None


def other_axes(cube: Datacube, other: Datacube) -> str | None:
    """Say where the cells, levels or times of a store are others than those of a dataset; None where they are not."""
    grids = [(grid.kind, grid.crs, grid.geographic) for grid in (cube.grid, other.grid)]
    if grids[0] != grids[1]:
        return "lies on another grid"
    for dim, axis in cube.axes.items():
        theirs = other.axes.get(dim)
        if theirs is not None and not same_axis(axis, theirs):
            return f"has other values along {dim}"
    return None if _same_cells(cube, other) else "has other cells"


def same_axis(axis: Axis, other: Axis) -> bool:
    """Whether two axes are the same, to the last bit of their values."""
    return (
        (axis.kind, axis.units, axis.calendar) == (other.kind, other.units, other.calendar)
        and axis.values.dtype.kind == other.values.dtype.kind
        and np.array_equal(axis.values, other.values)
    )


def _same_cells(cube: Datacube, other: Datacube) -> bool:
    mesh, theirs = cube.mesh, other.mesh
    if mesh is None or theirs is None:
        return mesh is theirs
    if (mesh.dims, mesh.shape) != (theirs.dims, theirs.shape):
        return False
    count = int(np.prod(mesh.shape, dtype=np.int64))
    cells = np.unique(np.linspace(0, count - 1, min(count, COMPARED_CELLS)).astype(np.intp))
    pairs = zip(mesh.centres(cells), theirs.centres(cells), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _unlike(parameter: Parameter, other: Parameter) -> str | None:
    if set(parameter.dims) != set(other.dims):
        return "has other dimensions in it"
    if dict(zip(parameter.dims, parameter.shape, strict=True)) != dict(zip(other.dims, other.shape, strict=True)):
        return "has another shape in it"
    if parameter.units != other.units:
        return "has other units in it"
    if decoded_dtype(parameter) != decoded_dtype(other):
        return "has values of another type in it"
    if decoded_dtype(parameter).kind != "f" and parameter.missing != other.missing:
        return "has other missing values in it"
    return None


def _onto(selection: Selection, cube: Datacube) -> Selection | None:
    """Lay a selection of the dataset over a view of it; None where a parameter is lacking."""
    groups = []
    for group in selection.groups:
        if not all(parameter.name in cube.parameters for parameter in group.parameters):
            return None
        parameters = tuple(cube.parameters[parameter.name] for parameter in group.parameters)
        groups.append(replace(group, parameters=parameters))
    return replace(selection, cube=cube, groups=tuple(groups))


def _at_least(selection: Selection, pace: Pace) -> int:
    """Return a cost below which no plan of a selection can be: one chunk of each parameter."""
    parameters = (parameter for group in selection.groups for parameter in group.parameters)
    return sum(pace.request + chunk_bytes(parameter) * pace.byte for parameter in parameters)


class _Comparisons:
    """The comparisons that were made, each valid as long as both sides are the very same objects."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Any, ...], tuple[OpenDatacube, OpenDatacube, Comparison]] = OrderedDict()

    def comparison(self, opened: OpenDatacube, layout: LayoutDefinition, copy: OpenDatacube) -> Comparison:
        cube = opened.cube
        key = (cube.id, cube.definition.href, cube.snapshot, tuple(sorted(cube.fixed.items())), layout.name)
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0] is opened and known[1] is copy:
                self._known.move_to_end(key)
                return known[2]
        result = compare(opened, layout, copy)
        if result.problem is not None and _is_newest(opened):
            _say(opened, layout, result.problem)
        with self._lock:
            self._known[key] = (opened, copy, result)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return result


_REMEMBERED = _Comparisons()
_SAID: OrderedDict[tuple[str, str], str] = OrderedDict()


def _say(opened: OpenDatacube, layout: LayoutDefinition, problem: str) -> None:
    """Log why a layout is not used, once for each reason."""
    key, text = (opened.cube.id, layout.name), f"{problem} ({opened.cube.snapshot})"
    if _SAID.get(key) == text:
        return
    _SAID[key] = text
    while len(_SAID) > REMEMBERED:
        _SAID.popitem(last=False)
    _LOG.warning("layout %s of dataset %s %s", layout.name, opened.cube.id, problem)
