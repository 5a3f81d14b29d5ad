"""How does an answer become one file that is a whole Zarr store, opened without unpacking?

A zip archive, its members stored as they are, of a Zarr v3 group with consolidated metadata. Chunks are compressed
inside and end in a crc32c checksum. ``xarray.open_zarr(zarr.storage.ZipStore("answer.zarr.zip", mode="r"))`` opens it.
Equal answers give equal bytes.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import orjson
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from plugins.datacube.coverage import Coverage
from plugins.formats.cf_dataset import CfDataset, CfVariable, build
from plugins.formats.sink import Sink

MEDIA_TYPE: Final = "application/zip"
MEDIA_ALIASES: Final = ("application/vnd.zarr", "application/vnd+zarr", "application/x-zarr")
_CHUNK_BYTES = 4 * 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip archive can name: its members have no time of their own."""


def encode(coverages: Sequence[Coverage]) -> Iterator[bytes]:
    """Write coverages as one zipped Zarr v3 store.

    Parameters
    ----------
    coverages : sequence of Coverage
        Of one answer; see `plugins.formats.cf_dataset` for how several share a store.

    Yields
    ------
    bytes
        The archive, one part for each metadata document or chunk.

    Raises
    ------
    NoDataError
        If there is no coverage.
    """
    members = _members(build(coverages))
    sink = Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members, key=lambda key: (not key.endswith("zarr.json"), key)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), members.pop(name))
            yield sink.drain()
    yield sink.drain()


def _members(dataset: CfDataset) -> dict[str, bytes]:
    """Return the keys of the store with their bytes."""
    stored: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(stored), zarr_format=3, attributes=_json(dataset.attributes))
    for variable in dataset.variables:
        _write_variable(group, variable)
    members = {key: buffer.to_bytes() for key, buffer in stored.items()}
    # Written here rather than by zarr.consolidate_metadata: that warns at every call, and warnings are per process.
    documents = {v.name: orjson.loads(members[f"{v.name}/zarr.json"]) for v in dataset.variables}
    root = orjson.loads(members["zarr.json"])
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": documents}
    members["zarr.json"] = orjson.dumps(root, option=orjson.OPT_INDENT_2)
    return members


def _write_variable(group: zarr.Group, variable: CfVariable) -> None:
    text = variable.values.dtype.kind == "O"
    attributes = _json(variable.attributes)
    options: dict[str, Any] = {}
    if not text and variable.fill is not None:
        options["fill_value"] = variable.fill.item()
        if variable.values.dtype.kind != "f":
            attributes["_FillValue"] = variable.fill.item()
    compressors: list[BytesBytesCodec] = [Crc32cCodec()]
    if variable.dims and not text:
        compressors.insert(0, BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"))
    array = group.create_array(
        variable.name,
        shape=variable.values.shape,
        dtype="string" if text else variable.values.dtype,
        chunks=chunk_shape(variable.values.shape, 32 if text else variable.values.dtype.itemsize),
        compressors=compressors,
        dimension_names=variable.dims,
        attributes=attributes,
        # A chunk that is absent must mean damage, here as everywhere.
        config={"write_empty_chunks": True},
        **options,
    )
    array[...] = variable.values


def chunk_shape(shape: tuple[int, ...], itemsize: int, limit: int = _CHUNK_BYTES) -> tuple[int, ...]:
    """Return the chunk shape of a new array: whole trailing axes, and as much of the leading ones as `limit` allows.

    Examples
    --------
    >>> chunk_shape((8760, 181, 360), 4)
    (16, 181, 360)
    """
    chunks = [max(1, size) for size in shape]
    for axis in range(len(chunks)):
        rest = math.prod(chunks[axis + 1 :]) * itemsize
        if chunks[axis] * rest <= limit:
            break
        chunks[axis] = max(1, limit // rest)
    return tuple(chunks)


def _json(attributes: Any) -> dict[str, Any]:
    """Return attributes as JSON values."""
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in attributes.items()}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in plain.items()}
