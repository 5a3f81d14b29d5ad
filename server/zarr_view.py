"""How does a Zarr client read the stored arrays of a collection over HTTP?

`/zarr/{collection}/{key}` is a read-only view of the store's own keys: chunks are passed through as they are stored,
byte ranges included; metadata documents always carry consolidated metadata, so that one request opens the group.
Icechunk repositories appear as the Zarr v3 group of the snapshot that is served.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from plugins.datacube.errors import IsoplethError, StorageError, UnknownError
from plugins.datacube.library import Library, OpenDatacube
from server.problems import problem_for

KEY = re.compile(r"[A-Za-z0-9_.\- ]+(?:/[A-Za-z0-9_.\- ]+)*")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
METADATA_AGE = "public, max-age=2, must-revalidate"
CHUNK_AGE = "public, max-age=300"
METADATA_NAMES = ("zarr.json", ".zgroup", ".zattrs", ".zarray", ".zmetadata")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata documents of one snapshot, as they are served."""

    documents: Mapping[str, bytes]
    """By key below the group."""
    arrays: frozenset[str]


def routes(library: Library) -> list[Route]:
    """Return the route of the raw view."""

    async def serve(request: Request) -> Response:
        try:
            return await _serve(library, request)
        except (IsoplethError, OSError) as error:
            known = error if isinstance(error, IsoplethError) else StorageError("the store could not be read")
            status, headers, body = problem_for(known, request.url.path)
            return Response(body, status, headers)

    return [
        Route("/zarr/{collection}", serve, methods=["GET", "HEAD"]),
        Route("/zarr/{collection}/{key:path}", serve, methods=["GET", "HEAD"]),
    ]


async def _serve(library: Library, request: Request) -> Response:
    opened: OpenDatacube = await to_thread.run_sync(library.get, request.path_params["collection"])
    # The address of the store itself, which catalogues link to, shows what is in it.
    root = "zarr.json" if opened.source.group.metadata.zarr_format == 3 else ".zmetadata"
    key = str(request.path_params.get("key", "")) or root
    if len(key) > 512 or not KEY.fullmatch(key) or any(part in (".", "..") for part in key.split("/")):
        raise UnknownError("there is no such key in the store")
    metadata = await to_thread.run_sync(_metadata, _Snapshot(opened))
    tag = f'"{opened.cube.snapshot}"'
    if key.rsplit("/", 1)[-1] in METADATA_NAMES:
        document = metadata.documents.get(key)
        if document is None:
            return _absent()
        headers = {"Content-Type": "application/json", "Cache-Control": METADATA_AGE, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return _part(document, request.headers.get("range"), headers)
    if not any(key.startswith(f"{name}/") for name in metadata.arrays):
        return _absent()
    return await _chunk(opened, key, request, tag)


async def _chunk(opened: OpenDatacube, key: str, request: Request, tag: str) -> Response:
    store, prefix = opened.source.store, opened.source.group.path
    path = f"{prefix}/{key}" if prefix else key
    headers = {"Content-Type": "application/octet-stream", "Cache-Control": CHUNK_AGE, "ETag": tag}
    headers["Accept-Ranges"] = "bytes"
    wanted = _byte_request(request.headers.get("range"))
    if request.method == "HEAD" or wanted is not None:
        try:
            size = await store.getsize(path)
        except (FileNotFoundError, KeyError):
            return _absent()
        if request.method == "HEAD":
            return Response(headers={**headers, "Content-Length": str(size)})
        span = _span(wanted, size)
        if span is None:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
        found = await store.get(path, default_buffer_prototype(), RangeByteRequest(*span))
        if found is None:
            return _absent()
        headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
        return Response(found.to_bytes(), 206, headers)
    found = await store.get(path, default_buffer_prototype())
    return _absent() if found is None else Response(found.to_bytes(), 200, headers)


def _part(document: bytes, header: str | None, headers: dict[str, str]) -> Response:
    headers = {**headers, "Accept-Ranges": "bytes"}
    wanted = _byte_request(header)
    if wanted is None:
        return Response(document, 200, headers)
    span = _span(wanted, len(document))
    if span is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(document)}"})
    headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{len(document)}"
    return Response(document[slice(*span)], 206, headers)


def _absent() -> Response:
    """Answer the probes of clients quickly, and let caches keep the answer."""
    return Response(status_code=404, headers={"Cache-Control": METADATA_AGE})


def _byte_request(header: str | None) -> ByteRequest | None:
    """Read a single byte range (RFC 9110, section 14.2); several or malformed ones are ignored, as it allows."""
    match = RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return SuffixByteRequest(int(last))
    return RangeByteRequest(int(first), int(last) + 1) if last else OffsetByteRequest(int(first))


def _span(wanted: ByteRequest | None, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a range within `size` bytes, or None where it cannot be satisfied."""
    if isinstance(wanted, SuffixByteRequest):
        start, end = max(0, size - wanted.suffix), size
    elif isinstance(wanted, OffsetByteRequest):
        start, end = wanted.offset, size
    elif isinstance(wanted, RangeByteRequest):
        start, end = wanted.start, min(wanted.end, size)
    else:
        return None
    return (start, end) if start < end else None


@dataclass(frozen=True, slots=True, eq=False)
class _Snapshot:
    """A cache key: one collection at one snapshot."""

    opened: OpenDatacube

    @property
    def key(self) -> tuple[str, str, str]:
        cube = self.opened.cube
        return cube.id, cube.definition.href, cube.snapshot

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Snapshot) and self.key == other.key


@lru_cache(maxsize=256)
def _metadata(snapshot: _Snapshot) -> Metadata:
    """Build the metadata documents of a snapshot, consolidated metadata included."""
    group = snapshot.opened.source.group
    buffers: dict[str, Any] = {}
    # Sorted: the order of listing is that of arriving answers, and the same snapshot must give the same bytes.
    for name, member in (("", group), *sorted(group.members(max_depth=None))):
        for file, buffer in member.metadata.to_buffer_dict(default_buffer_prototype()).items():
            if file in METADATA_NAMES:
                buffers[f"{name}/{file}" if name else file] = orjson.loads(_strict(buffer.to_bytes()))
    arrays = frozenset(name for name, _ in group.arrays())
    if group.metadata.zarr_format == 3:
        nodes = {
            key.removesuffix("/zarr.json"): {k: v for k, v in node.items() if k != "consolidated_metadata"}
            for key, node in buffers.items()
            if key != "zarr.json"
        }
        root = {k: v for k, v in buffers["zarr.json"].items() if k != "consolidated_metadata"}
        root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": nodes}
        buffers["zarr.json"] = root
    else:
        buffers[".zmetadata"] = {"zarr_consolidated_format": 1, "metadata": dict(buffers)}
    return Metadata({key: orjson.dumps(node) for key, node in buffers.items()}, arrays)


def _strict(document: bytes) -> bytes:
    """Zarr v2 writes a bare NaN in `fill_value`; the specification's spelling is the string."""
    return re.sub(rb'("fill_value":\s*)(-?)(NaN|Infinity)\b', rb'\1"\2\3"', document)
