"""How many times at the beginning of a dataset are, provably, what they were when a copy was made?

Icechunk lists the chunks in which two snapshots differ: what lies before the first changed one along time need not be
copied again. A plain Zarr store keeps no such history, so nothing is proved of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import icechunk
import numpy as np
import zarr

from plugins.datacube import remote
from plugins.datacube.datacube import Datacube
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.layout.fields import Field, same_array
from plugins.datacube.library import OpenDatacube
from plugins.datacube.sources import local_path


def storage_of(definition: DatasetDefinition) -> icechunk.Storage:
    """Return Icechunk's storage of a dataset.

    Raises
    ------
    DatasetError
        If the address or an option is not valid.
    """
    path = local_path(definition.href)
    if path is not None:
        return icechunk.local_filesystem_storage(str(path))
    return remote.icechunk_storage(definition.href, definition.id, definition.storage_options)


def unchanged_times(
    opened: OpenDatacube, since: str, fields: Mapping[str, Field], copy: Datacube, group: zarr.Group
) -> int:
    """Return how many leading times of a dataset a copy holds already; 0 where everything must be written anew.

    Parameters
    ----------
    opened : OpenDatacube
        The dataset as it is now.
    since : str
        The snapshot of which `copy` is a copy.
    fields : mapping of str to Field
        Its arrays, by name, with the chunks of the copy.
    copy : Datacube
        The copy as it is.
    group : zarr.Group
        Its root.
    """
    parameters = {name: field for name, field in fields.items() if field.parameter is not None}
    times = {field.variable.dims[field.time] for field in parameters.values() if field.time is not None}
    if opened.source.layout != "icechunk" or set(copy.parameters) != set(parameters) or len(times) != 1:
        return 0
    if not all(_fits(field, group) for field in parameters.values()):
        return 0
    time = times.pop()
    first, now = copy.axes.get(time), opened.cube.axes.get(time)
    if first is None or now is None:
        return 0
    known = min(first.size, now.size)
    if not np.array_equal(first.values[:known], now.values[:known]):
        return 0
    try:
        repository = icechunk.Repository.open(storage_of(opened.cube.definition), config=remote.icechunk_config())
        diff = repository.diff(from_snapshot_id=since, to_snapshot_id=opened.source.snapshot)
    except icechunk.IcechunkError:
        return 0  # that snapshot has been removed
    if diff.moved_nodes or diff.new_groups or diff.deleted_groups:
        return 0
    remade = {path.strip("/") for path in (*diff.new_arrays, *diff.deleted_arrays)}
    if remade & set(parameters):
        return 0
    for path, chunks in diff.updated_chunks.items():
        field = parameters.get(path.strip("/"))
        if field is not None and chunks:
            known = min(known, _first_time(field, chunks))
    return known


def _fits(field: Field, group: zarr.Group) -> bool:
    array = group.get(field.name)
    if not isinstance(array, zarr.Array):
        return False
    shards = None if array.shards is None else tuple(int(n) for n in array.shards)
    return (tuple(int(n) for n in array.chunks), shards) == (field.chunks, field.shards) and same_array(field, array)


def _first_time(field: Field, chunks: Any) -> int:
    """Return the first time of the changed chunks; 0 where the field has no time."""
    if field.time is None:
        return 0
    array = field.variable.array
    sizes = array.shards if array.shards is not None else array.chunks
    return int(min(index[field.time] for index in chunks) * sizes[field.time])
