"""Which HTTP status and which problem document (RFC 9457) does an error become?

The one table between the error tree of `plugins.datacube.errors` and HTTP. Whatever is not in the tree is a fault of
ours: it is logged with its traceback, and the client sees a 500 without a word of Python.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import orjson

from plugins.datacube.errors import (
    BusyError,
    CancelledError,
    ConflictError,
    DatasetError,
    InvalidQueryError,
    IsoplethError,
    NoDataError,
    NotAcceptableError,
    PreconditionError,
    QuotaError,
    StorageError,
    TooLargeError,
    UnknownError,
    UnsupportedDatasetError,
)

log = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[IsoplethError], HTTPStatus] = {
    NotAcceptableError: HTTPStatus.NOT_ACCEPTABLE,
    InvalidQueryError: HTTPStatus.BAD_REQUEST,
    UnknownError: HTTPStatus.NOT_FOUND,
    NoDataError: HTTPStatus.NO_CONTENT,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    PreconditionError: HTTPStatus.PRECONDITION_FAILED,
    ConflictError: HTTPStatus.CONFLICT,
    BusyError: HTTPStatus.SERVICE_UNAVAILABLE,
    QuotaError: HTTPStatus.TOO_MANY_REQUESTS,
    CancelledError: HTTPStatus.SERVICE_UNAVAILABLE,
    UnsupportedDatasetError: HTTPStatus.BAD_REQUEST,
    DatasetError: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageError: HTTPStatus.BAD_GATEWAY,
}
"""The most specific class of an error's family tree decides."""

EXCEPTION_TYPES: dict[str, str] = {
    "no-such-process": "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-process",
    "no-such-job": "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-job",
    "result-not-ready": "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/result-not-ready",
}
"""Types that OGC API Processes prescribes (OGC 18-062r2, clause 7)."""


def status_of(error: IsoplethError) -> HTTPStatus:
    """Return the HTTP status of an error of the tree."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_for(
    error: Exception, path: str, *, type_: str | None = None, extra: dict[str, Any] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body for an error.

    Parameters
    ----------
    error : Exception
        Anything; only errors of our tree show their sentence.
    path : str
        Path of the request, the problem's ``instance``.
    type_ : str, optional
        Key of `EXCEPTION_TYPES`, or a URI; default ``about:blank``.
    extra : dict, optional
        Further members of the problem document.
    """
    if not isinstance(error, IsoplethError):
        log.error("unexpected error at %s", path, exc_info=error)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        document: dict[str, Any] = {"detail": "the server failed in a way that it should not; it has been logged"}
    else:
        status = status_of(error)
        document = {"code": error.code, "detail": error.detail}
    if status is HTTPStatus.NO_CONTENT:
        return int(status), {"Cache-Control": "no-cache"}, b""
    headers = {"Content-Type": PROBLEM_MEDIA_TYPE, "Cache-Control": "no-store"}
    if isinstance(error, InvalidQueryError):
        document |= {"parameter": error.parameter} if error.parameter else {}
        document |= {"valid": error.valid} if error.valid else {}
    if isinstance(error, TooLargeError):
        document |= {"estimate": error.estimate, "limits": error.limits}
    if isinstance(error, QuotaError):
        document |= {"rule": error.rule} if error.rule else {}
        document |= {"valid": error.valid} if error.valid else {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(error.retry_after)
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "5"
    uri = EXCEPTION_TYPES.get(type_ or "", type_) or "about:blank"
    body = {"type": uri, "title": status.phrase, "status": int(status), "instance": path, **document, **(extra or {})}
    return int(status), headers, orjson.dumps(body)
