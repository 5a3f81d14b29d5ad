"""Would a flipped bit in a stored chunk be noticed when it is read?

Only where a codec of the chain carries a checksum and checks it: crc32c, gzip (its own CRC-32), zstd with its checksum
flag, and the checksum filters of numcodecs. Blosc and plain zstd return wrong values without a word. In a shard the
codecs of the inner chunks count: the checksum of a shard's index protects the index alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import zarr
from zarr.codecs import Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.core.metadata import ArrayV3Metadata

from plugins.datacube.datacube import Integrity

CHECKED_NUMCODECS: Final = frozenset({"crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "gzip", "zlib"})
"""Identifiers of the codecs of numcodecs that check a checksum when they decode."""


def of_arrays(arrays: Iterable[zarr.Array[Any]]) -> Integrity:
    """Return VERIFIED where every array is checked."""
    return Integrity.VERIFIED if all(is_checked(array) for array in arrays) else Integrity.UNVERIFIED


def is_checked(array: zarr.Array[Any]) -> bool:
    """Whether every chunk of an array carries a checksum that is checked on reading."""
    metadata = array.metadata
    if isinstance(metadata, ArrayV3Metadata):
        return _any_checked(metadata.codecs)
    return _any_checked([*(metadata.filters or ()), metadata.compressor])


def _any_checked(codecs: Iterable[Any]) -> bool:
    return any(_checks(codec) for codec in codecs)


def _checks(codec: Any) -> bool:
    if isinstance(codec, ShardingCodec):
        return _any_checked(codec.codecs)
    if isinstance(codec, (Crc32cCodec, GzipCodec)):
        return True
    if isinstance(codec, ZstdCodec):
        return bool(codec.checksum)
    # numcodecs itself, and numcodecs wrapped for Zarr version 3 ("numcodecs.fletcher32").
    name = getattr(codec, "codec_id", None) or getattr(codec, "codec_name", None) or ""
    name = str(name).removeprefix("numcodecs.")
    if name == "zstd":
        return bool(getattr(codec, "checksum", False))
    return name in CHECKED_NUMCODECS
