"""How is a metadata document made once, and then served in microseconds until what it describes has changed?

A document is encoded once for each state of its sources (the opened datacubes) and each public address; a request
finds the bytes and their ETag ready. Sources are compared by identity: the library makes a new object when a dataset
has changed.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import orjson

from plugins.datacube.errors import InvalidQueryError, NotAcceptableError
from server.ogc.messages import OgcRequest, OgcResponse

JSON = "application/json"
CACHE_CONTROL = "no-cache"
"""A client may keep the answer, but asks (cheaply, by ETag) whether it still holds."""


@dataclass(frozen=True, slots=True)
class Document:
    """A metadata document as it goes on the wire."""

    body: bytes
    etag: str
    """Weak, in quotes: a proxy or our own compression may change the bytes, not the meaning."""
    media_type: str


class DocumentCache:
    """Encoded documents by key, each with the sources that it was made from. Safe to share between threads.

    Parameters
    ----------
    limit : int
        Documents kept; the one unused for longest goes first.
    """

    def __init__(self, limit: int = 1024) -> None:
        self.limit = limit
        self.lock = threading.Lock()
        self.entries: OrderedDict[Hashable, tuple[tuple[object, ...], Document]] = OrderedDict()

    def get(
        self,
        key: Hashable,
        sources: tuple[object, ...],
        make: Callable[[], object],
        media_type: str = JSON,
    ) -> Document:
        """Return the document of a key, made anew if it is not there or a source is another object than before.

        Parameters
        ----------
        key : hashable
            What the document is, and for which public address.
        sources : tuple of object
            Everything it is made from that can change; compared by identity.
        make : callable
            Returns the document as something that JSON can hold.
        """
        with self.lock:
            found = self.entries.get(key)
            if found is not None and same(found[0], sources):
                self.entries.move_to_end(key)
                return found[1]
        # Made outside the lock: two threads may make the same document once, but nobody waits for another's.
        document = encode(make(), media_type)
        with self.lock:
            self.entries[key] = (sources, document)
            self.entries.move_to_end(key)
            while len(self.entries) > self.limit:
                self.entries.popitem(last=False)
        return document


def encode(value: object, media_type: str = JSON) -> Document:
    """Return a value as a document; numbers that JSON does not have become null."""
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Document(body, weak_etag(body), media_type)


def same(first: tuple[object, ...], second: tuple[object, ...]) -> bool:
    """Return whether two tuples hold the same objects."""
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def weak_etag(*parts: bytes) -> str:
    """Return a weak entity tag that changes when any of the parts does."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return f'W/"{digest.hexdigest()}"'


def not_modified(request: OgcRequest, etag: str) -> bool:
    """Return whether the client already has this state (If-None-Match, RFC 9110 clause 13.1.2, weak comparison)."""
    held = request.headers.get("if-none-match")
    if held is None or request.method not in ("GET", "HEAD"):
        return False
    tags = [tag.strip().removeprefix("W/") for tag in held.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def document_response(request: OgcRequest, document: Document, headers: Mapping[str, str] | None = None) -> OgcResponse:
    """Return a document as a response: 304 where the client has it, no body for HEAD."""
    common = {"ETag": document.etag, "Cache-Control": CACHE_CONTROL, "Vary": "Accept", **(headers or {})}
    if not_modified(request, document.etag):
        return OgcResponse(304, common)
    body = b"" if request.method == "HEAD" else document.body
    return OgcResponse(200, {"Content-Type": document.media_type, **common}, body)


def document_arguments(
    request: OgcRequest, known: tuple[str, ...] = (), media_types: tuple[str, ...] = (JSON,)
) -> dict[str, str]:
    """Return the query parameters of a request for a metadata document, checked.

    Parameters
    ----------
    request : OgcRequest
        The request; a page for browsers has been taken out of its ``f`` and Accept before.
    known : tuple of str
        Parameters allowed beside ``f``.
    media_types : tuple of str
        What the document can be.

    Raises
    ------
    InvalidQueryError
        If a parameter is unknown, given twice, or ``f`` names another format.
    NotAcceptableError
        If the Accept header allows none of the media types.
    """
    arguments = request.single()
    for name in arguments:
        if name not in (*known, "f"):
            raise InvalidQueryError(name, f"there is no parameter {name[:64]!r} here", ", ".join((*known, "f")))
    form = arguments.pop("f", None)
    if form is not None:
        if form.strip().lower() not in {"json", *media_types}:
            raise InvalidQueryError("f", f"this document has no format {form[:64]!r}", "json or html")
    elif not any(accepts(request.accept, media_type) for media_type in media_types):
        raise NotAcceptableError(
            "Accept",
            "this document has no format that the Accept header allows",
            ", ".join((*media_types, "text/html")),
        )
    return arguments


def accepts(accept: str | None, media_type: str) -> bool:
    """Return whether an Accept header (RFC 9110 clause 12.5.1) allows a media type; no header allows all.

    Examples
    --------
    >>> accepts("text/html, application/*;q=0.5", "application/json"), accepts("image/png", "application/json")
    (True, False)
    """
    if accept is None or not accept.strip():
        return True
    wanted = media_type.split(";")[0].strip().lower()
    family = wanted.split("/")[0]
    best: tuple[int, bool] = (-1, False)
    for part in accept.split(",")[:64]:
        name, *options = (piece.strip().lower() for piece in part.split(";"))
        rank = {wanted: 2, f"{family}/*": 1, "*/*": 0}.get(name, -1)
        if rank > best[0]:
            best = (rank, not any(option.replace(" ", "") in REFUSED for option in options))
    return best[1]


REFUSED = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})
"""Quality values that mean "not this"."""
