"""From where do the documents of another catalogue come, and what do their relative addresses mean?

A file, a folder or an address on the web (a static catalogue or a STAC API). Every document is read by its whole
address; what is relative in it is resolved against that address. Only what the operator names is read, by the command
line: the server itself fetches nothing.
"""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import Request, build_opener

import orjson

from plugins.datacube.errors import InvalidQueryError, StorageError

DOCUMENT_BYTES: Final = 128 << 20
SECONDS: Final = 60.0
ROOTS: Final = ("catalog.json", "collection.json")
_ACCEPT = "application/geo+json, application/json;q=0.9, */*;q=0.1"


def address_of(source: str) -> str:
    """Return the address of what an operator names: a web address, or that of a file as ``file://``.

    Raises
    ------
    InvalidQueryError
        If there is no such file, or a folder holds no catalogue.
    """
    if is_web(source):
        return source
    if "://" in source:
        raise InvalidQueryError("source", f"{source!r} cannot be read", "a file, a folder, or an http(s) address")
    path = Path(source).expanduser().resolve()
    if path.is_dir():
        path = next((path / name for name in ROOTS if (path / name).is_file()), path)
    if not path.is_file():
        detail = f"{path.name} is no file, and no folder with a {' or '.join(ROOTS)}"
        raise InvalidQueryError("source", detail, "a static catalogue, a dump of an API, or the address of one")
    return path.as_uri()


def is_web(address: str) -> bool:
    """Return whether an address is one of the web."""
    return urlsplit(address).scheme.lower() in ("http", "https")


def resolved(address: str, href: str) -> str:
    """Return the whole address of an href that stands in the document at `address`.

    Examples
    --------
    >>> resolved("https://h/a/catalog.json", "./b/item.json")
    'https://h/a/b/item.json'
    """
    return urljoin(address, href)


def read(address: str, body: Any = None) -> Any:
    """Read a JSON document; `body` is sent by POST.

    Raises
    ------
    StorageError
        If it cannot be read, is too large, or is not JSON.
    """
    text = _file(address) if address.startswith("file:") else _web(address, body)
    if len(text) > DOCUMENT_BYTES:
        raise StorageError(f"{name_of(address)} is larger than {DOCUMENT_BYTES >> 20} MiB")
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise StorageError(f"{name_of(address)} is not JSON") from error


def path_of(address: str) -> Path:
    """Return the path of a ``file://`` address."""
    return Path(unquote(urlsplit(address).path))


def name_of(address: str) -> str:
    """Return the address as an error names it: the path of a file, or a web address without its query."""
    return str(path_of(address)) if address.startswith("file:") else address.partition("?")[0]


def _file(address: str) -> bytes:
    try:
        with path_of(address).open("rb") as file:
            return file.read(DOCUMENT_BYTES + 1)
    except OSError as error:
        raise StorageError(f"{name_of(address)} cannot be read: {error.strerror}") from error


def _web(address: str, body: Any) -> bytes:
    if not is_web(address):
        raise StorageError(f"{name_of(address)} is no address of the web")
    data = None if body is None else orjson.dumps(body)
    headers = {"Accept": _ACCEPT, "User-Agent": "isopleth"} | (
        {} if data is None else {"Content-Type": "application/json"}
    )
    try:
        # Of the handlers that are there by default, only those of the web are reached by such an address.
        with build_opener().open(Request(address, data, headers), timeout=SECONDS) as answer:  # noqa: S310
            found: bytes = answer.read(DOCUMENT_BYTES + 1)
            return found
    except (URLError, HTTPException, OSError, ValueError) as error:
        status = getattr(error, "code", None)
        reason = f"the server answers {status}" if status else "no answer"
        raise StorageError(f"{name_of(address)} cannot be read: {reason}") from error
