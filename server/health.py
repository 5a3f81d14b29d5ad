"""Is the process alive, and are its datasets open?

Both answers are given on the event loop, from what is already known: they never wait for a thread or for storage.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from server.deployment import Deployment


def routes(deployment: Deployment) -> list[Route]:
    """Return the routes of `/health`."""

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})

    async def ready(_: Request) -> JSONResponse:
        opening = deployment.opened
        document = {
            "status": "opening" if opening is None else opening.status,
            "datasets": [] if opening is None else list(opening.open),
            "failed": {} if opening is None else dict(opening.failed),
        }
        good = opening is not None and opening.status != "failed"
        return JSONResponse(document, 200 if good else 503, headers={"Cache-Control": "no-store"})

    return [Route("/health/live", live), Route("/health/ready", ready)]
