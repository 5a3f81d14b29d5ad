"""How is the STAC API put together, ready to be mounted under ``/stac``?

stac-fastapi makes the routes and validates the requests; what it would otherwise take from the environment, from
proxies' headers or from the internet (a documentation page) is set here.
"""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI
from pydantic_settings import SettingsConfigDict
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import (
    ItemCollectionUri,
    create_get_request_model,
    create_post_request_model,
    create_request_model,
)
from stac_fastapi.types.config import ApiSettings
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from catalog import failures
from catalog.aggregations import Aggregations
from catalog.client import API_PATH, CatalogClient
from catalog.conditional import Conditional
from catalog.document import STAC_VERSION
from catalog.links import STAC_PATH
from catalog.openapi import as_openapi_3_0
from catalog.queryables import SchemasClient
from catalog.repository import Repository
from catalog.requests import SearchBody, extensions
from catalog.transactions import Transactions
from catalog.writers import Writers

VERSION = "0.1.0"
WRITING_METHODS = ("PUT", "PATCH", "DELETE")


class Settings(ApiSettings):
    """stac-fastapi's settings, read from nowhere: this server is configured by its own file."""

    model_config = SettingsConfigDict(env_file=None, env_prefix="ISOPLETH_STAC_FASTAPI_", extra="ignore")


def stac_application(
    repository: Repository,
    *,
    base_url: str | None = None,
    identifier: str = "isopleth",
    title: str = "Isopleth",
    description: str = "Weather and climate datacubes",
    body_limit: int = 1 << 20,
    write_key: str | None = None,
    write_limit: int = 64 << 20,
) -> FastAPI:
    """Return the STAC API as an ASGI application, to be mounted at `catalog.links.STAC_PATH`.

    Parameters
    ----------
    repository : Repository
        Where the documents are; the caller closes it.
    base_url : str, optional
        Public address of the server, without ``/stac``. All links are made from it; without it they follow the
        scheme and host of each request. Forwarding headers are never trusted here.
    identifier, title, description : str
        Of the landing page.
    body_limit : int
        Bytes of the body of ``POST /search``; a larger one is refused with 413.
    write_key : str, optional
        Who sends it as bearer token may write (`catalog.transactions`); without it nobody may.
    write_limit : int
        Bytes of the body of a request that writes.
    """
    settings = Settings(
        stac_fastapi_title=title,
        stac_fastapi_description=description,
        stac_fastapi_version=VERSION,
        stac_fastapi_landing_id=identifier,
    )
    client = CatalogClient(repository, base_url=base_url, identifier=identifier, title=title, description=description)
    server = f"{base_url.rstrip('/')}{STAC_PATH}" if base_url else STAC_PATH
    # The interactive documentation of FastAPI is loaded from the internet; it is left out.
    app = FastAPI(
        title=title,
        description=description,
        version=VERSION,
        openapi_url=API_PATH,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": server}],
        root_path_in_servers=False,
    )
    offered = extensions(client, SchemasClient(repository, client))
    counting = Aggregations(repository, client, offered.of_aggregations, SearchBody)
    writing = [] if write_key is None else [Transactions(repository, client)]
    items_request = cast(
        "type[ItemCollectionUri]",
        create_request_model(
            "ItemsRequest", base_model=ItemCollectionUri, extensions=offered.of_items, request_type="GET"
        ),
    )
    StacApi(
        settings=settings,
        client=client,
        app=app,
        title=title,
        description=description,
        stac_version=STAC_VERSION,
        extensions=[*offered.all, counting, *writing],
        exceptions={},
        search_get_request_model=create_get_request_model(offered.of_search),
        search_post_request_model=create_post_request_model(offered.of_search, base_model=SearchBody),
        items_get_request_model=items_request,
        collections_get_request_model=offered.of_collections,
        # The last one is the outermost.
        middlewares=[
            Middleware(failures.BodyLimit, limit=body_limit, write_limit=write_limit),
            *([] if write_key is None else [Middleware(Writers, key=write_key)]),
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "HEAD", "POST", "OPTIONS", *([] if write_key is None else WRITING_METHODS)],
                allow_headers=["*"],
                expose_headers=["ETag", "Link", "Location"],
                max_age=600,
            ),
            Middleware(Conditional),
        ],
    )
    # stac-fastapi makes its own links (in extensions) from the router's prefix, which a mount does not set.
    app.state.router_prefix = STAC_PATH
    failures.install(app)
    generated = app.openapi
    app.openapi = lambda: as_openapi_3_0(generated())  # type: ignore[method-assign]
    return app
