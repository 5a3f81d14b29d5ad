"""How do variables stand in Zarr, and how is a collection read back as the content it was made from?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest import attributes as cf_attributes
from plugins.datacube.ingest import chunking
from plugins.datacube.ingest.content import STRING, Content, Selection, SourceVariable, find_auxiliary

WRITING: Any = {"write_empty_chunks": True, "read_missing_chunks": True}
"""Every chunk is written, so that an absent one is always a fault; while writing, none is there yet."""


def array_chunks(
    variable: SourceVariable, *, auxiliary: bool, time: str | None, horizontal: frozenset[str]
) -> tuple[int, ...]:
    """Return the chunk shape of a variable: one chunk for coordinates, balanced chunks for data."""
    if is_single_chunk(variable, auxiliary=auxiliary):
        return tuple(max(1, size) for size in variable.shape)
    return chunking.balanced_chunks(
        variable.shape,
        variable.dtype.itemsize,
        time=variable.dims.index(time) if time in variable.dims else None,
        space=[i for i, dim in enumerate(variable.dims) if dim in horizontal and dim != time],
    )


def is_single_chunk(variable: SourceVariable, *, auxiliary: bool) -> bool:
    """Whether a variable is stored as one chunk, written as a whole."""
    return variable.is_text or not variable.dims or (auxiliary and variable.nbytes <= chunking.SINGLE_CHUNK_BYTES)


def create_array(group: zarr.Group, variable: SourceVariable, chunks: tuple[int, ...]) -> zarr.Array[Any]:
    """Make (or make anew) the array of a variable, with a checksum on every chunk."""
    attributes = cf_attributes.to_json(variable.attributes)
    if "_FillValue" in variable.attributes and not variable.is_text:
        attributes["_FillValue"] = cf_attributes.encode_fill_value(variable.attributes["_FillValue"], variable.dtype)
    compressor: BytesBytesCodec
    if variable.is_text:
        compressor = ZstdCodec(level=3)
    else:
        shuffle: Literal["shuffle", "noshuffle"] = "shuffle" if variable.dtype.itemsize > 1 else "noshuffle"
        compressor = BloscCodec(cname="zstd", clevel=3, shuffle=shuffle, typesize=variable.dtype.itemsize)
    return group.create_array(
        variable.name,
        shape=variable.shape,
        chunks=chunks,
        dtype=str if variable.is_text else variable.dtype,
        serializer="auto" if variable.is_text else BytesCodec(endian="little"),
        compressors=[compressor, Crc32cCodec()],
        fill_value=cf_attributes.fill_value(variable.attributes, variable.dtype),
        dimension_names=variable.dims,
        attributes=attributes,
        overwrite=True,
        config=WRITING,
    )


def writable_array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array for writing."""
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise DatasetError(f"the collection has a group where the array {name} should be")
    return array.with_config(WRITING)


def content_of(group: zarr.Group, label: str) -> Content:
    """Describe what a collection holds, in the terms in which files are described.

    Parameters
    ----------
    group : zarr.Group
        Root group, opened for reading.
    label : str
        How messages call the collection.
    """
    arrays = dict(group.arrays())
    variables = {name: _describe(name, array) for name, array in arrays.items()}
    dimensions = {dim: size for v in variables.values() for dim, size in zip(v.dims, v.shape, strict=True)}
    attributes: Mapping[str, Any] = group.attrs.asdict()

    def reader(name: str, selection: Selection) -> NDArray[Any]:
        values = np.asarray(arrays[name][selection])
        return values.astype(object) if variables[name].is_text else values

    return Content(Path(label), dimensions, variables, attributes, reader, (), find_auxiliary(variables, attributes))


def _describe(name: str, array: zarr.Array[Any]) -> SourceVariable:
    dtype = np.dtype(array.dtype)
    dtype = STRING if dtype.kind in "OTU" else dtype
    attributes = array.attrs.asdict()
    if "_FillValue" in attributes:
        attributes["_FillValue"] = cf_attributes.decode_fill_value(attributes["_FillValue"], dtype)
    names: Any = getattr(array.metadata, "dimension_names", None)
    dims = tuple(str(dim) for dim in names or ())
    return SourceVariable(name, dims, tuple(int(size) for size in array.shape), dtype, attributes)
