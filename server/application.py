"""Which address is answered by which function? The one ASGI application, put together from its fronts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import orjson
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugins.datacube.errors import UnknownError
from plugins.datacube.query import QUERY_TYPES
from plugins.processes.registry import PROCESSES
from server import catalog_front, health, zarr_view
from server.asgi import ApiFunction, Transport
from server.deployment import Deployment
from server.ogc.at_once import at_once
from server.ogc.collections import collection, collections
from server.ogc.conformance import conformance
from server.ogc.edr import edr_query
from server.ogc.handover import Handover, answer_status
from server.ogc.host import PygeoapiHost
from server.ogc.instances import instance, instance_query, instances, versions
from server.ogc.items import item, items
from server.ogc.jobs import JobService, job_dismiss, job_list, job_results, job_status, result_file
from server.ogc.landing import landing
from server.ogc.locations import (
    instance_location_list,
    instance_location_query,
    location_list,
    location_query,
)
from server.ogc.messages import OgcRequest, OgcResponse, json_response
from server.ogc.openapi import openapi
from server.ogc.openapi_processes import process_paths
from server.ogc.processes import CONFORMANCE, ProcessService, execute, process_description, process_list
from server.ogc.service import OgcService
from server.pages.answer import answer_page
from server.pages.context import CollectionCard, CollectionPage, LandingPage
from server.pages.render import HEADERS, Pages, explorer_document
from server.problems import problem_for

CORES = os.cpu_count() or 1
METADATA_THREADS = 8
DATA_THREADS = 2 * CORES
"""One that computes and one that waits for storage, a core."""
EDR = "edr"
"""In the path of a route: a type of data query."""
EDR_QUERY = "data of a collection"
EXPOSED = ["Content-Crs", "ETag", "Link", "Location", "Preference-Applied", "Repr-Digest", "Retry-After",
           "Content-Location", "Content-Range", "Accept-Ranges", "Content-Length"]  # fmt: skip


class QueryType(Convertor[str]):
    """The name of a type of data query in a path."""

    regex = "|".join(QUERY_TYPES)

    def convert(self, value: str) -> str:
        """Return the name."""
        return value

    def to_string(self, value: str) -> str:
        """Return the name."""
        return value


register_url_convertor(EDR, QueryType())


def create_application(deployment: Deployment) -> Starlette:
    """Return the application of a deployment; its lifespan runs the jobs and follows the datasets."""
    settings = deployment.settings
    pages = Pages(base_path=urlsplit(deployment.urls.base).path)
    transport = Transport(
        urls=deployment.urls,
        metadata=anyio.CapacityLimiter(METADATA_THREADS),
        data=anyio.CapacityLimiter(DATA_THREADS),
        render=partial(_page, pages, settings.server.title),
        body_limit=settings.limits.request_body,
        show=partial(answer_page, pages, settings.server.title),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        with deployment.running():
            yield

    of_ogc = _ogc_routes(deployment, transport)
    routes: list[BaseRoute] = [
        # Starlette tries one route after the other: what is asked most comes first.
        *(route for route in of_ogc if isinstance(route, Route) and route.name == EDR_QUERY),
        *_page_routes(deployment, transport, pages),
        *health.routes(deployment),
        *zarr_view.routes(deployment.library),
        Route("/results/{job_id}/{name}", _result_endpoint(deployment), methods=["GET"]),
        *of_ogc,
        *catalog_front.routes(deployment),
    ]
    middleware = [Middleware(SecurityHeaders)]
    if settings.server.cors:
        middleware.insert(
            0,
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
                allow_headers=["*"],
                expose_headers=EXPOSED,
                max_age=86_400,
            ),
        )
    return Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_problem, Exception: _fault},
    )


def _ogc_routes(deployment: Deployment, transport: Transport) -> list[BaseRoute]:
    settings = deployment.settings
    jobs = JobService(deployment.jobs, deployment.runner.results)
    service = OgcService(
        library=deployment.library,
        host=PygeoapiHost(
            settings.server.title,
            settings.server.description,
            processes={name: {"processor": {"name": process.processor}} for name, process in PROCESSES.items()},
        ),
        limits=settings.sync_limits,
        budget=deployment.budget,
        title=settings.server.title,
        description=settings.server.description,
        extra_paths=lambda _: process_paths(),
        extra_conformance=CONFORMANCE,
        handover=Handover(jobs, deployment.library, settings.job_limits, automatic=settings.limits.hand_over),
    )
    processes = ProcessService(
        jobs=jobs,
        library=deployment.library,
        context=deployment.process_context,
        sync_limits=settings.sync_limits,
        budget=deployment.budget,
        work=settings.data / "tmp",
        callbacks=settings.callback_policy,
    )

    def route(path: str, function: ApiFunction, *methods: str, **options: Any) -> Route:
        name = options.pop("name", None)
        endpoint = transport.endpoint(function, **options)
        return Route(f"/ogc{path}", endpoint, methods=list(methods) or ["GET"], name=name)

    def job(request: OgcRequest, job_id: str) -> OgcResponse:
        return (job_dismiss if request.method == "DELETE" else job_status)(jobs, request, job_id)

    one = "/collections/{collection_id}"
    below = one + "/instances/{instance_id}"
    places = "/locations/{location_ids}"
    of_data = {"reads_data": True, "html": False, "data_page": True}
    return [
        route("", partial(landing, service)),
        route("/", partial(landing, service)),
        route("/conformance", partial(conformance, service)),
        route("/openapi", partial(openapi, service)),
        route("/api", partial(openapi, service)),
        route("/collections", partial(collections, service)),
        route(one, partial(collection, service)),
        route(one + "/instances", partial(instances, service)),
        route(one + "/versions", partial(versions, service)),
        route(below, partial(instance, service)),
        route(below + "/locations", partial(instance_location_list, service), "GET", "POST"),
        route(below + places, partial(instance_location_query, service), "GET", "POST", **of_data),
        route(f"{below}/{{query_type}}", partial(instance_query, service), "GET", "POST", **of_data),
        route(one + "/items", partial(items, service), "GET", "POST", reads_data=True),
        route(one + "/items/{item_id}", partial(item, service), reads_data=True),
        route(one + "/locations", partial(location_list, service), "GET", "POST"),
        route(one + places, partial(location_query, service), "GET", "POST", **of_data),
        route(
            f"{one}/{{query_type:{EDR}}}",
            partial(edr_query, service),
            "GET",
            "POST",
            name=EDR_QUERY,
            at_once=partial(at_once, service),
            **of_data,
        ),
        # No such query: the answer says so.
        route(one + "/{query_type}", partial(edr_query, service), "GET", "POST", **of_data),
        route("/processes", partial(process_list, processes)),
        route("/processes/{process_id}", partial(process_description, processes)),
        route("/processes/{process_id}/execution", partial(execute, processes), "POST", reads_data=True, html=False),
        route("/jobs", partial(job_list, jobs)),
        route("/jobs/{job_id}", job, "GET", "DELETE"),
        route("/jobs/{job_id}/results", partial(job_results, jobs), html=False),
        route("/jobs/{job_id}/answer", partial(answer_status, jobs), "GET", "POST", html=False),
    ]


def _page_routes(deployment: Deployment, transport: Transport, pages: Pages) -> list[BaseRoute]:
    settings = deployment.settings

    def start(request: OgcRequest) -> OgcResponse:
        entries = deployment.library.entries()
        if _wants_json(request):
            return json_response(_front_links(deployment))
        cards = tuple(CollectionCard.of(e.definition, e.opened.cube if e.opened else None, e.problem) for e in entries)
        server = settings.server
        page = LandingPage(server.title, server.description, cards, server.contact_name, server.contact_url)
        return OgcResponse(200, dict(HEADERS), pages.landing(page).encode())

    def one(_: OgcRequest, collection_id: str) -> OgcResponse:
        entry = next((e for e in deployment.library.entries() if e.definition.id == collection_id), None)
        if entry is None:
            raise UnknownError(f"there is no collection {collection_id[:128]!r}")
        card = CollectionCard.of(entry.definition, entry.opened.cube if entry.opened else None, entry.problem)
        page = CollectionPage(card, settings.server.title)
        return OgcResponse(200, dict(HEADERS), pages.collection(page).encode())

    def axes(_: OgcRequest, collection_id: str) -> OgcResponse:
        return json_response(explorer_document(deployment.library.get(collection_id).cube))

    return [
        Route("/", transport.endpoint(start, html=False)),
        Route("/collections/{collection_id}", transport.endpoint(one, html=False)),
        Route("/collections/{collection_id}/axes.json", transport.endpoint(axes, html=False)),
        *pages.static_routes(),
    ]


def _wants_json(request: OgcRequest) -> bool:
    wanted = request.query.get("f")
    if wanted:
        return wanted[0].lower() in ("json", "application/json")
    return "json" in (request.accept or "").split(",")[0].lower()


def _front_links(deployment: Deployment) -> dict[str, Any]:
    urls, server = deployment.urls, deployment.settings.server
    links = [
        {"rel": "self", "type": "application/json", "title": server.title, "href": f"{urls.base}/?f=json"},
        {"rel": "alternate", "type": "text/html", "title": "this page for people", "href": f"{urls.base}/"},
        {"rel": "service", "type": "application/json", "title": "OGC API: EDR and Processes", "href": urls.ogc},
        {"rel": "service", "type": "application/json", "title": "STAC API", "href": urls.stac},
        {"rel": "data", "type": "application/json", "title": "collections", "href": f"{urls.ogc}/collections"},
    ]
    return {"title": server.title, "description": server.description, "links": links}


def _result_endpoint(deployment: Deployment) -> Any:
    service = JobService(deployment.jobs, deployment.runner.results)

    async def endpoint(request: Request) -> Response:
        job_id, name = request.path_params["job_id"], request.path_params["name"]
        try:
            path, media_type = await anyio.to_thread.run_sync(result_file, service, job_id, name)
        except Exception as error:  # noqa: BLE001 - becomes a problem document
            status, headers, body = problem_for(error, request.url.path)
            return Response(body, status, headers)
        headers = {"Cache-Control": "private, max-age=300", "X-Content-Type-Options": "nosniff"}
        return FileResponse(path, media_type=media_type, filename=name, headers=headers)

    return endpoint


def _page(pages: Pages, title: str, request: OgcRequest, response: OgcResponse) -> str:
    document = orjson.loads(response.content())
    steps = request.path.strip("/").split("/")
    base = request.base.base
    up = [(title, f"{base}/")]
    up += [(step, f"{base}/{'/'.join(steps[: n + 1])}?f=html") for n, step in enumerate(steps[:-1])]
    json_url = OgcRequest("GET", request.path, {**request.query, "f": ["json"]}, request.base).url
    return pages.document(steps[-1], document, json_url, up, title)


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    path = request.url.path
    detail = {
        404: "there is nothing at this address",
        405: f"{request.method[:16]} is not possible here",
    }.get(error.status_code, error.detail)
    document = {"type": "about:blank", "title": error.detail, "status": error.status_code, "instance": path,
                "detail": detail}  # fmt: skip
    return JSONResponse(document, error.status_code, error.headers, media_type="application/problem+json")


async def _fault(request: Request, error: Exception) -> Response:
    status, headers, body = problem_for(error, request.url.path)
    return Response(body, status, headers)


class SecurityHeaders:
    """Middleware: tell browsers not to guess types, and name no server software."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header to every response."""

        async def with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                if not any(name == b"x-content-type-options" for name, _ in headers):
                    headers.append((b"x-content-type-options", b"nosniff"))
            await send(message)

        await self.app(scope, receive, with_header if scope["type"] == "http" else send)
