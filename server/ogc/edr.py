"""How is a data query of EDR answered over HTTP: parse, plan, admit, read, encode, stream?

``/collections/{id}/{query}`` (OGC 19-086r6, clause 8). The first block of the answer is made before a header is sent,
so whatever fails up to there is a proper error; and what is known from metadata alone (a wrong parameter, nothing
there, too much, nothing changed) is answered without reading data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from catalog.links import FrontUrls
from plugins.datacube.cancel import Cancel
from plugins.datacube.datacube import CRS84, Datacube
from plugins.datacube.errors import TooLargeError, UnknownError
from plugins.datacube.library import OpenDatacube
from plugins.datacube.limits import admit
from plugins.datacube.parse import PARAMETER_NAMES, parse_query
from plugins.datacube.plan import ReadPlan, plan_query
from plugins.datacube.read import read
from plugins.formats.table import Format, formats_for, negotiate
from server.ogc.arguments import query_arguments
from server.ogc.collections import find
from server.ogc.data_queries import query_types
from server.ogc.documents import CACHE_CONTROL, not_modified, weak_etag
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.service import OgcService
from server.problems import problem_for

WHOLE = 2**20
"""Bytes up to which an answer is sent whole; a larger one is streamed."""
ENCODING = b"1"
"""Part of the ETag: raised when the same data would be encoded otherwise than by the release before."""


class Blocks:
    """The blocks of a body, the first of them already made; closing it ends the work behind it."""

    def __init__(self, blocks: Iterator[bytes], cancel: Cancel, first: bytes) -> None:
        self.blocks = blocks
        self.cancel = cancel
        self.first: bytes | None = first

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.first is not None:
            block, self.first = self.first, None
            return block
        return next(self.blocks)

    def close(self) -> None:
        """Stop reading, and give back the bytes held."""
        self.cancel.cancel()
        close = getattr(self.blocks, "close", None)
        if close is not None:
            close()


def whole_or_blocks(blocks: Iterator[bytes], cancel: Cancel) -> bytes | Blocks:
    """Return a small body whole, so that it has a length and is sent in one go; else blocks, some already made."""
    made: list[bytes] = []
    size = 0
    for block in blocks:
        made.append(block)
        size += len(block)
        if size > WHOLE:
            return Blocks(blocks, cancel, b"".join(made))
    return b"".join(made)


def edr_query(service: OgcService, request: OgcRequest, collection_id: str, query_type: str) -> OgcResponse:
    """Answer a data query, of a type of `plugins.datacube.query.QUERY_TYPES`, by GET, HEAD or POST.

    Raises
    ------
    UnknownError
        If there is no such collection, or it has no such query.
    InvalidQueryError, NotAcceptableError
        If a parameter is wrong.
    NoDataError
        If nothing lies there.
    BusyError
        If too many bytes are in flight.
    StorageError, DatasetError
        If the data cannot be read.
    """
    opened = find(service, collection_id)
    cube = opened.cube
    if query_type not in query_types(cube):
        reason = f": {cube.unsupported}" if cube.unsupported else ""
        raise UnknownError(f"the collection {cube.id!r} has no {query_type[:32]!r} query{reason}")
    arguments = query_arguments(request)
    form = negotiate(arguments.pop("f", None), request.accept, formats_for(query_type))
    query = parse_query(query_type, arguments, cube)
    todo = plan_query(cube, query)
    etag = query_etag(cube, query_type, arguments, form)
    headers = answer_headers(cube, request.base, query_type, form, etag)
    if not_modified(request, etag):
        return OgcResponse(304, {name: headers[name] for name in ("ETag", "Cache-Control", "Vary")})
    try:
        admit(todo.cost, service.limits)
    except TooLargeError as error:
        return too_large(error, request, cube, query_type, arguments, form)
    if request.method == "HEAD":
        return OgcResponse(200, headers)
    return OgcResponse(200, headers, whole_or_blocks(body(service, request, opened, todo, form), request.cancel))


def body(
    service: OgcService, request: OgcRequest, opened: OpenDatacube, todo: ReadPlan, form: Format
) -> Iterator[bytes]:
    """Read and encode; the bytes in flight are held until the last block has gone, or the client."""
    with service.budget.hold(todo.cost.memory):
        coverages = read(opened, todo, request.cancel)
        for block in form.encode(coverages):
            request.cancel.raise_if_cancelled()
            yield block


def query_etag(cube: Datacube, query_type: str, arguments: dict[str, str], form: Format) -> str:
    """Return the entity tag of an answer: the state of the data, the question, and the format."""
    question = orjson.dumps(sorted(arguments.items()))
    texts = (cube.id, cube.snapshot, query_type, form.key, form.media_type)
    return weak_etag(ENCODING, question, *(text.encode() for text in texts))


def answer_headers(cube: Datacube, urls: FrontUrls, query_type: str, form: Format, etag: str) -> dict[str, str]:
    """Return the headers of an answer with data."""
    headers = {
        "Content-Type": form.content_type,
        # GeoJSON knows no other (RFC 7946, clause 4).
        "Content-Crs": f"<{CRS84 if form.key == 'GeoJSON' else cube.grid.crs}>",
        "ETag": etag,
        "Cache-Control": CACHE_CONTROL,
        "Vary": "Accept",
        "Link": f'<{urls.collection(cube.id)}>; rel="collection"; type="application/json"',
    }
    if form.attachment:
        headers["Content-Disposition"] = f'attachment; filename="{cube.id}-{query_type}.{form.extension.lstrip(".")}"'
    return headers


def too_large(
    error: TooLargeError,
    request: OgcRequest,
    cube: Datacube,
    query_type: str,
    arguments: dict[str, str],
    form: Format,
) -> OgcResponse:
    """Return a 413 that says what it would cost, what is allowed, and how to ask for it as a job instead."""
    process = {
        "method": "POST",
        "href": f"{request.base.process('subset')}/execution",
        "headers": {"Content-Type": "application/json", "Prefer": "respond-async"},
        "body": {"inputs": process_inputs(cube, query_type, arguments, form)},
    }
    status, headers, content = problem_for(error, request.path, extra={"process": process})
    return OgcResponse(status, headers, b"" if request.method == "HEAD" else content)


def process_inputs(cube: Datacube, query_type: str, arguments: dict[str, str], form: Format) -> dict[str, Any]:
    """Return the inputs of the process ``subset`` that ask the same as this query."""
    named = {PARAMETER_NAMES[0] if name in PARAMETER_NAMES else name: text for name, text in arguments.items()}
    named.pop("limit", None)
    return {"collection": cube.id, "query": query_type, **named, "format": form.key}
