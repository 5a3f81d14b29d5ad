"""Which problem document does a failed STAC request get?

RFC 9457 (``application/problem+json``), with the ``code`` and ``description`` that the STAC API asks for in errors.
Nothing that Python or SQLite says reaches a client.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.search import VALID_BBOX, VALID_DATETIME
from plugins.datacube.errors import (
    BusyError,
    ConflictError,
    InvalidQueryError,
    IsoplethError,
    PreconditionError,
    StorageError,
    UnknownError,
)

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
STATUS: dict[type[IsoplethError], HTTPStatus] = {
    InvalidQueryError: HTTPStatus.BAD_REQUEST,
    UnknownError: HTTPStatus.NOT_FOUND,
    PreconditionError: HTTPStatus.PRECONDITION_FAILED,
    ConflictError: HTTPStatus.CONFLICT,
    BusyError: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageError: HTTPStatus.BAD_GATEWAY,
}

WRITES = "isopleth.writes"
"""Key of an ASGI scope: the client may write, and wants to."""
VALID = {"bbox": VALID_BBOX, "datetime": VALID_DATETIME}


def install(app: FastAPI) -> None:
    """Let every error of an application become a problem document."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(IsoplethError, _known)
    app.add_exception_handler(Exception, _unexpected)


class BodyLimit:
    """ASGI middleware: read a request's body up to a limit, and refuse a larger one with 413.

    Parameters
    ----------
    app : ASGIApp
    limit : int
        Bytes of the body of a search.
    write_limit : int
        Bytes of the body of a request that writes; only those with the key come here (`catalog.writers`).
    """

    def __init__(self, app: ASGIApp, limit: int, write_limit: int) -> None:
        self._app = app
        self._limit = limit
        self._write_limit = write_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, or answer it."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        limit = self._write_limit if scope.get(WRITES) else self._limit
        messages: list[Message] = []
        size, more = 0, True
        while more:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > limit:
                detail = f"the body is larger than {limit} bytes"
                refusal = problem(
                    Request(scope), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail,
                    headers={"Connection": "close"},
                )  # fmt: skip
                await refusal(scope, receive, send)
                return
        waiting = iter(messages)

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replay, send)


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, IsoplethError)  # noqa: S101 - Starlette's types do not say it
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if status is None:
        return await _unexpected(request, error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s at %s", error.detail, request.url.path, exc_info=error)
    further: dict[str, Any] = {}
    if isinstance(error, InvalidQueryError):
        further = {"parameter": error.parameter, "valid": error.valid}
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, BusyError) else {}
    return problem(request, status, error.code, error.detail, further, headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """Answer what FastAPI and pydantic refuse: 400 (the STAC API says so), naming the first parameter at fault."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first: dict[str, Any] = next(iter(error.errors()), {})
    place = [str(part) for part in first.get("loc", ())[1:]]
    said = str(first.get("msg", "")).removeprefix("Value error, ")
    parameter = place[0] if place and place[0].isidentifier() else None
    detail = f"{parameter or 'the request'}: {said[:1].lower()}{said[1:]}" if said else "the request is not valid"
    return problem(request, HTTPStatus.BAD_REQUEST, InvalidQueryError.code, detail, {"parameter": parameter})


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:
        # stac-fastapi refuses a bbox or a datetime in the query so, without naming it.
        name = "bbox" if "bbox" in str(error.detail).lower() else "datetime"
        if (value := request.query_params.get(name)) is not None:
            refused = InvalidQueryError(name, f"{value[:128]!r} is not a valid {name}", VALID[name])
            return await _known(request, refused)
    code = {404: UnknownError.code, 400: InvalidQueryError.code}.get(error.status_code, "http")
    return problem(request, status, code, str(error.detail), {}, dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected error at %s", request.url.path, exc_info=error)
    detail = "the server failed in a way that it should not; it has been logged"
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, IsoplethError.code, detail)


def problem(
    request: Request,
    status: HTTPStatus,
    code: str,
    detail: str,
    further: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a problem document as a response; members of `further` that are None are left out."""
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "instance": request.url.path,
        "code": code,
        "detail": detail,
        "description": detail,
        **{name: value for name, value in (further or {}).items() if value is not None},
    }
    return Response(orjson.dumps(document), int(status), {"Cache-Control": "no-store", **(headers or {})}, PROBLEM)
