"""How does the STAC API become routes of the server?"""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog.application import stac_application
from catalog.links import STAC_PATH
from server.deployment import Deployment


def routes(deployment: Deployment) -> list[BaseRoute]:
    """Return the routes of ``/stac``."""
    server, catalogue = deployment.settings.server, deployment.settings.catalogue
    deployment.repository.index(catalogue.indexes)
    application = stac_application(
        deployment.repository,
        base_url=deployment.urls.base,
        title=server.title,
        description=server.description,
        body_limit=deployment.settings.limits.request_body,
        write_key=catalogue.write_key,
        write_limit=catalogue.write_body,
    )
    mount = Mount(STAC_PATH, application)
    return [Route(STAC_PATH, WithSlash(mount)), mount]


class WithSlash:
    """ASGI application: ``/stac`` is answered as ``/stac/`` is.

    A redirect would have to name the public address, which the request does not tell behind a proxy.
    """

    def __init__(self, mount: ASGIApp) -> None:
        self._mount = mount

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to the mount."""
        await self._mount({**scope, "path": f"{scope['path']}/"}, receive, send)
