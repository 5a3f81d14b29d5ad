"""How is a data query of EDR answered over HTTP: parse, plan, admit, read, encode, stream?

``/collections/{id}/{query}`` (OGC 19-086r6, clause 8). The first block of the answer is made before a header is sent,
so whatever fails up to there is a proper error; and what is known from metadata alone (a wrong parameter, nothing
there, too much, nothing changed) is answered without reading data.

`edr_query` finds a collection, `opened_query` reads the parameters of a query of a collection or of an instance, and
`answer` does the rest, for every address that gives data: locations make a query of their own and call it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from catalog.links import FrontUrls
from plugins.datacube.cancel import Cancel
from plugins.datacube.chunks import HeldChunks
from plugins.datacube.datacube import CRS84, Datacube
from plugins.datacube.errors import TooLargeError, UnknownError
from plugins.datacube.layouts import HEADER as LAYOUT
from plugins.datacube.layouts import cheapest
from plugins.datacube.library import OpenDatacube
from plugins.datacube.limits import admit
from plugins.datacube.located import Located, LocatedPlan, plan_located
from plugins.datacube.parse import PARAMETER_NAMES, parse_query
from plugins.datacube.plan import ReadPlan, plan_query
from plugins.datacube.query import Query
from plugins.datacube.read import read
from plugins.datacube.slabs import DECODED, in_slabs
from plugins.formats.table import Format, formats_for, negotiate
from server.ogc.arguments import query_arguments
from server.ogc.collections import find
from server.ogc.data_queries import query_types
from server.ogc.documents import CACHE_CONTROL, not_modified, weak_etag
from server.ogc.execution import preferences
from server.ogc.handover import hand_over
from server.ogc.messages import OgcRequest, OgcResponse
from server.ogc.service import OgcService
from server.problems import problem_for

SLAB_MEMORY = 2 * DECODED
"""Bytes that an answer holds which is read while it is sent."""
PATIENCE = 2.0
"""Seconds for which an answer waits until others have given their bytes back."""
WHOLE = 2**20
"""Bytes up to which an answer is sent whole; a larger one is streamed."""
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
"""What does not stand in a file name."""
VARY = "Accept"
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
    """Answer a data query of a collection, of a type of `plugins.datacube.query.QUERY_TYPES`, by GET, HEAD or POST.

    Raises as `opened_query` does; UnknownError also if there is no such collection.
    """
    return opened_query(service, request, find(service, collection_id), query_type)


def opened_query(
    service: OgcService,
    request: OgcRequest,
    opened: OpenDatacube,
    query_type: str,
    *,
    instance_id: str | None = None,
) -> OgcResponse:
    """Answer a data query of a collection that was found, or of one instance of it.

    Parameters
    ----------
    opened : OpenDatacube
        The collection; of an instance, the view that `instance_id` names.
    instance_id : str, optional
        Identifier of the instance, as in the path.

    Raises
    ------
    UnknownError
        If it has no such query.
    InvalidQueryError, NotAcceptableError
        If a parameter is wrong.
    NoDataError, BusyError, StorageError, DatasetError
        As `answer` does.
    """
    cube = opened.cube
    if query_type not in query_types(cube):
        reason = f": {cube.unsupported}" if cube.unsupported else ""
        raise UnknownError(f"the collection {cube.id!r} has no {query_type[:32]!r} query{reason}")
    arguments = query_arguments(request)
    form = negotiate(arguments.pop("f", None), request.accept, formats_for(query_type))
    query = parse_query(query_type, arguments, cube)
    return answer(service, request, opened, query_type, arguments, query, form, instance_id=instance_id)


def answer(
    service: OgcService,
    request: OgcRequest,
    opened: OpenDatacube,
    query_type: str,
    arguments: Mapping[str, str],
    query: Query | Located,
    form: Format,
    *,
    instance_id: str | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> OgcResponse:
    """Plan, admit, read and encode a query that was read; or make a job of it, where the client prefers that.

    Parameters
    ----------
    opened : OpenDatacube
        What is asked: a collection, or the view that is one instance of it.
    query_type : str
        As in the path; with `arguments` it is the question that the ETag stands for.
    arguments : mapping of str to str
        The parameters of the request without ``f``; whatever else decides the answer (the identifier of a location)
        must stand in it too.
    query : Query
        The same as typed values.
    form : Format
    instance_id : str, optional
        Where `opened` is an instance.
    inputs : mapping, optional
        Inputs of the process ``subset`` that ask the same; by default made of `query_type` and `arguments`.

    Raises
    ------
    NoDataError
        If nothing lies there.
    TooLargeError
        If it is asked for as a job (``Prefer: respond-async``), and even a job may not cost as much.
    BusyError
        If too many bytes are in flight, or too many jobs wait.
    StorageError, DatasetError
        If the data cannot be read.
    """
    cube = opened.cube
    native = plan_located(cube, query) if isinstance(query, Located) else plan_query(cube, query)
    # What answers has the identity and the state of the collection, whichever its chunks are.
    chosen, todo = cheapest(opened, native)
    return planned(
        service, request, cube, chosen, todo, query_type, arguments, form, instance_id=instance_id, inputs=inputs
    )


def planned(
    service: OgcService,
    request: OgcRequest,
    cube: Datacube,
    opened: OpenDatacube,
    todo: ReadPlan,
    query_type: str,
    arguments: Mapping[str, str],
    form: Format,
    *,
    instance_id: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    held: HeldChunks | None = None,
) -> OgcResponse:
    """Do what `answer` does, where the query is planned already.

    Parameters
    ----------
    cube : Datacube
        What is asked.
    opened : OpenDatacube
        What answers: the cheapest of its layouts, and
    todo : ReadPlan
        what is to be read of it.
    held : HeldChunks, optional
        Answer from these alone, and wait for nothing: raises AbsentError where a chunk is not among them, and BusyError
        where too many bytes are in flight at this moment.
    """
    etag = query_etag(cube, query_type, arguments, form, instance_id)
    reference = todo.selection.reference
    crs = cube.grid.crs if reference is None else reference.uri
    headers = answer_headers(cube, request.base, query_type, form, etag, instance_id, crs)
    headers[LAYOUT] = opened.layout
    if not_modified(request, etag):
        return not_modified_response(etag)
    # HEAD is only asked for what GET would say; it makes no job.
    handover = None if request.method == "HEAD" else service.handover

    def same() -> Mapping[str, Any]:
        return inputs or process_inputs(cube, query_type, arguments, form, instance_id)

    if handover is not None and "prefer" in request.headers:
        respond_async, wait, preferred = preferences(request.headers["prefer"])
        if respond_async:
            return hand_over(handover, request, same(), headers, preferred=preferred, wait=wait)
    try:
        admit(todo.cost, service.limits)
    except TooLargeError as error:
        if handover is not None and handover.automatic:
            return hand_over(handover, request, same(), headers)
        return too_large(error, request, same(), asynchronous=service.handover is not None)
    if request.method == "HEAD":
        return OgcResponse(200, headers)
    blocks = body(service, request, opened, todo, form, held)
    return OgcResponse(200, headers, whole_or_blocks(blocks, request.cancel))


def body(
    service: OgcService,
    request: OgcRequest,
    opened: OpenDatacube,
    todo: ReadPlan,
    form: Format,
    held: HeldChunks | None = None,
) -> Iterator[bytes]:
    """Read and encode; the bytes in flight are held until the last block has gone, or the client."""
    later = None
    if form.key == "CoverageJSON" and not isinstance(todo, LocatedPlan):
        later = in_slabs(opened, todo, request.cancel)
    amount = todo.cost.memory if later is None else min(todo.cost.memory, SLAB_MEMORY)
    with service.budget.hold(amount, PATIENCE if held is None else 0.0):
        coverages = read(opened, todo, request.cancel, cache=held) if later is None else later
        if isinstance(todo, LocatedPlan):
            coverages = todo.named(coverages)
        blocks = form.encode(coverages)
        for block in linked(blocks, request, opened.cube) if form.key == "GeoJSON" else blocks:
            request.cancel.raise_if_cancelled()
            yield block


def linked(blocks: Iterator[bytes], request: OgcRequest, cube: Datacube) -> Iterator[bytes]:
    """Put ``links`` as the first member into a JSON object (requirement /req/geojson/content, part B)."""
    collection = request.base.collection(cube.id)
    links = [{"href": collection, "rel": "collection", "type": "application/json", "title": cube.title or cube.id}]
    if request.method == "GET":
        links.insert(0, {"href": request.url, "rel": "self", "type": "application/geo+json", "title": "This answer"})
    for block in blocks:
        if links:
            yield b'{"links":' + orjson.dumps(links) + b"," + block.removeprefix(b"{")
            links = []
        else:
            yield block


def query_etag(
    cube: Datacube, query_type: str, arguments: Mapping[str, str], form: Format, instance_id: str | None = None
) -> str:
    """Return the entity tag of an answer: the state of the data, the question, and the format.

    It is weak, because compression on the way changes the bytes; but that of a file in which readers seek is strong:
    it stands for the very bytes that one version of one library writes.
    """
    question = orjson.dumps(sorted(arguments.items()))
    texts = (cube.id, instance_id or "", cube.snapshot, query_type, form.key, form.media_type, form.release)
    etag = weak_etag(ENCODING, question, *(text.encode() for text in texts))
    return etag.removeprefix("W/") if form.release else etag


def not_modified_response(etag: str) -> OgcResponse:
    """Return the answer to a client that has the state of this entity tag."""
    return OgcResponse(304, {"ETag": etag, "Cache-Control": CACHE_CONTROL, "Vary": VARY})


def answer_headers(
    cube: Datacube, urls: FrontUrls, query_type: str, form: Format, etag: str, instance_id: str | None, crs: str
) -> dict[str, str]:
    """Return the headers of an answer with data, whose coordinates are in `crs`."""
    collection = urls.collection(cube.id)
    links = [f'<{collection}>; rel="collection"; type="application/json"']
    name = f"{cube.id}-{query_type}"
    if instance_id is not None:
        links.insert(0, f'<{urls.instance(cube.id, instance_id)}>; rel="up"; type="application/json"')
        name = f"{cube.id}-{UNSAFE.sub('-', instance_id)}-{query_type}"
    headers = {
        "Content-Type": form.content_type,
        # GeoJSON knows no other (RFC 7946, clause 4).
        "Content-Crs": f"<{CRS84 if form.key == 'GeoJSON' else crs}>",
        "ETag": etag,
        "Cache-Control": CACHE_CONTROL,
        "Vary": VARY,
        "Link": ", ".join(links),
    }
    if form.release:
        # The application makes the file whole, and answers ranges of it.
        headers["Accept-Ranges"] = "bytes"
    if form.attachment:
        headers["Content-Disposition"] = f'attachment; filename="{name}.{form.extension.lstrip(".")}"'
    return headers


def too_large(
    error: TooLargeError, request: OgcRequest, inputs: Mapping[str, Any], *, asynchronous: bool = False
) -> OgcResponse:
    """Return a 413 that says what it would cost, what is allowed, and how to ask for it as a job instead."""
    process = {
        "method": "POST",
        "href": f"{request.base.process('subset')}/execution",
        "headers": {"Content-Type": "application/json", "Prefer": "respond-async"},
        "body": {"inputs": dict(inputs)},
    }
    hint = {"hint": "or send the same request with the header 'Prefer: respond-async'"} if asynchronous else {}
    status, headers, content = problem_for(error, request.path, extra={"process": process, **hint})
    return OgcResponse(status, headers, b"" if request.method == "HEAD" else content)


def process_inputs(
    cube: Datacube, query_type: str, arguments: Mapping[str, str], form: Format, instance_id: str | None = None
) -> dict[str, Any]:
    """Return the inputs of the process ``subset`` that ask the same as this query."""
    named = {PARAMETER_NAMES[0] if name in PARAMETER_NAMES else name: text for name, text in arguments.items()}
    named.pop("limit", None)
    instance = {} if instance_id is None else {"instance": instance_id}
    return {"collection": cube.id, **instance, "query": query_type, **named, "format": form.key}
