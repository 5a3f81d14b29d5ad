"""Which arrays does a collection have, and how does each stand in a copy of it?

All that belongs to the collection is copied: its parameters, and the coordinates, bounds and grid mappings that
describe them; not the variables that it cannot serve. Values stay as they are stored: packed integers stay packed, with
the same attributes and the same fill value.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from plugins.datacube.contents import Variable, read_contents
from plugins.datacube.datacube import Parameter
from plugins.datacube.ingest.attributes import encode_fill_value
from plugins.datacube.ingest.store import WRITING
from plugins.datacube.layout.passes import Box, Shape
from plugins.datacube.layout.purpose import shards_for, time_dimension
from plugins.datacube.library import OpenDatacube
from plugins.datacube.stored import MOST_TRIED, StoredArray

WHOLE_BYTES: Final = 16 << 20
"""Coordinates up to this size are one chunk, written at once."""

type ChunksOf = Callable[[Parameter], Shape]


@dataclass(frozen=True, slots=True)
class Field:
    """An array of the collection, as it is copied."""

    variable: Variable
    parameter: Parameter | None
    """Where it is one; None for what describes others."""
    source_chunks: Shape
    """What is decoded at once."""
    chunks: Shape
    """Of the copy."""
    shards: Shape | None
    time: int | None
    """Position of the time dimension."""

    @property
    def name(self) -> str:
        """Name of the array."""
        return self.variable.name

    @property
    def shape(self) -> Shape:
        """Shape of the array."""
        return self.variable.shape

    @property
    def is_text(self) -> bool:
        """Whether the values are text."""
        return self.variable.dtype.kind in "SUT"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Stored dtype, in native byte order."""
        return self.variable.dtype.newbyteorder("=")

    @property
    def unit(self) -> Shape:
        """Shape of what is written at once: a chunk, or a shard."""
        return self.shards or self.chunks

    @property
    def whole(self) -> bool:
        """Whether it is written at once."""
        return self.parameter is None and (self.is_text or self.variable.array.nbytes <= WHOLE_BYTES)


def fields_of(opened: OpenDatacube, chunks_of: ChunksOf) -> dict[str, Field]:
    """List the arrays of a collection, with the chunks that they are to have.

    Raises
    ------
    DatasetError
        If the store cannot be listed.
    """
    cube = opened.cube
    found: dict[str, Field] = {}
    for name, variable in read_contents(opened.source).variables.items():
        if name in cube.skipped:
            continue
        parameter = cube.parameters.get(name)
        if parameter is None:
            source = tuple(int(n) for n in variable.array.chunks)
            chunks = variable.shape if variable.array.nbytes <= WHOLE_BYTES else source
            found[name] = Field(variable, None, source, tuple(max(1, n) for n in chunks), None, None)
            continue
        chunks, time = chunks_of(parameter), time_dimension(cube, parameter)
        shards = shards_for(chunks, parameter.shape, variable.dtype.itemsize, time)
        found[name] = Field(variable, parameter, parameter.chunks, chunks, shards, time)
    return found


def attributes_of(field: Field) -> dict[str, Any]:
    """Return the attributes of the copy of an array; the fill value of Zarr version 2 becomes one (see `contents`)."""
    attributes = dict(field.variable.attributes)
    array = field.variable.array
    if field.parameter is not None and array.metadata.zarr_format == 2 and array.fill_value is not None:
        attributes["_FillValue"] = encode_fill_value(array.fill_value, field.dtype)
    return attributes


def create(group: zarr.Group, field: Field) -> zarr.Array[Any]:
    """Make (or make anew) the array of a field, with a checksum on every chunk."""
    dtype = field.dtype
    compressor: BytesBytesCodec = ZstdCodec(level=3)
    if not field.is_text:
        shuffle: Literal["shuffle", "noshuffle"] = "shuffle" if dtype.itemsize > 1 else "noshuffle"
        compressor = BloscCodec(cname="zstd", clevel=3, shuffle=shuffle, typesize=dtype.itemsize)
    with warnings.catch_warnings():
        # Dates of NumPy are outside the specification of Zarr version 3, and read by this server.
        warnings.simplefilter("ignore", zarr.errors.UnstableSpecificationWarning)
        return group.create_array(
            field.name,
            shape=field.shape,
            chunks=field.chunks,
            shards=field.shards,
            dtype=str if field.is_text else dtype,
            serializer="auto" if field.is_text else BytesCodec(endian="little"),
            compressors=[compressor, Crc32cCodec()],
            fill_value=_fill_value(field),
            dimension_names=field.variable.dims,
            attributes=attributes_of(field),
            overwrite=True,
            config=WRITING,
        )


def _fill_value(field: Field) -> Any:
    if field.is_text:
        return ""
    value = field.variable.array.fill_value
    return np.zeros((), field.dtype)[()] if value is None else value


def read_whole(field: Field) -> NDArray[Any]:
    """Return all values of a small array; text as Python strings."""
    values = field.variable.values
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    return values.astype(object) if field.is_text else values.astype(field.dtype, copy=False)


def reader(opened: OpenDatacube, field: Field) -> Callable[[Box], NDArray[Any]]:
    """Return what reads a box of the source as it is stored, in native byte order.

    It raises a `StorageError` where a chunk is missing, damaged or out of reach.
    """
    parameter = field.parameter
    if parameter is None:
        array = field.variable.array.with_config({"read_missing_chunks": True})
        return lambda box: np.asarray(array[box]).astype(field.dtype, copy=False)
    stored = StoredArray(opened.cube.id, parameter, opened.arrays[field.name])

    def read(box: Box) -> NDArray[Any]:
        touched = (
            range(part.start // chunk, (part.stop - 1) // chunk + 1)
            for part, chunk in zip(box, parameter.chunks, strict=True)
        )
        chunks = list(itertools.islice(itertools.product(*touched), MOST_TRIED + 1))
        return stored.read_box(box, chunks).astype(field.dtype, copy=False)

    return read


def same_array(field: Field, array: zarr.Array[Any]) -> bool:
    """Whether an array of a copy is that of a field, but for its length along time."""
    names: Any = getattr(array.metadata, "dimension_names", None)
    others = [i for i in range(len(field.shape)) if i != field.time]
    attributes: Mapping[str, Any] = array.attrs.asdict()
    return (
        tuple(names or ()) == field.variable.dims
        and np.dtype(array.dtype) == field.dtype
        and dict(attributes) == attributes_of(field)
        and np.array_equal(array.fill_value, _fill_value(field), equal_nan=field.dtype.kind == "f")
        and [int(array.shape[i]) for i in others] == [field.shape[i] for i in others]
    )
