"""How do the values of a page become HTML that needs nothing from the internet?

Every address in a page stands under the base path of the server, no script or style is inline, and `HEADERS` forbid the
browser anything else. Where the bundle of libraries is missing, pages have no map and say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jinja2
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from server.pages.bundle import BUNDLE, bundled_stamp
from server.pages.context import AnswerPage, CollectionPage, LandingPage
from server.pages.document import Shape, heading, shape_of, web_link
from server.pages.explorer import explorer_document

__all__ = ["HEADERS", "Pages", "explorer_document"]

SCRIPTS: Final = Path(__file__).resolve().parent / "scripts"
HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""Headers that every page must be sent with."""
_PUBLIC_SCRIPTS: Final = ("style.css", "isopleth.svg", "jobs.js")
_IMMUTABLE = (b"cache-control", b"public, max-age=31536000, immutable")
_REVALIDATE = (b"cache-control", b"public, max-age=300")


class Pages:
    """Renders the pages of one server. Thread-safe.

    Parameters
    ----------
    bundle_dir : Path, optional
        Folder that `server.pages.bundle.bundle` made; it may be absent, and may appear later.
    base_path : str
        Path under which the whole application is reached, for example ``/isopleth``; empty at the root.
    """

    def __init__(self, bundle_dir: Path | None = None, base_path: str = "") -> None:
        self._bundle = bundle_dir or BUNDLE
        self._base = base_path.rstrip("/")
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("server.pages", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["segment"] = lambda text: quote(text, safe="")
        self._environment.filters["day"] = lambda text: text.partition("T")[0] if text else ".."
        self._environment.tests["web_link"] = web_link
        self._environment.tests["listing"] = lambda value: isinstance(value, list | tuple)
        self._environment.globals.update(base=self._base, asset=self._asset, has_map=self._has_map, Shape=Shape)
        # Documents have the members they have; the typed pages must not name one that does not exist.
        self._documents = self._environment.overlay(undefined=jinja2.ChainableUndefined)
        self._versions = {name: hashlib.sha256((SCRIPTS / name).read_bytes()).hexdigest() for name in _PUBLIC_SCRIPTS}

    def landing(self, context: LandingPage) -> str:
        """Return the page at ``/``."""
        return self._environment.get_template("landing.html").render(page=context, server_title=context.title)

    def collection(self, context: CollectionPage) -> str:
        """Return the page of one collection, at ``/collections/{id}``; its script reads ``axes.json`` beneath it."""
        return self._environment.get_template("collection.html").render(
            card=context.card, server_title=context.server_title
        )

    def answer(self, page: AnswerPage, server_title: str = "Isopleth") -> str:
        """Return the page about the answer of a data query; its script asks for the data."""
        return self._environment.get_template("answer.html").render(page=page, server_title=server_title)

    def document(
        self,
        title: str,
        document: Mapping[str, Any],
        json_url: str,
        up_links: Sequence[tuple[str, str]] = (),
        server_title: str = "Isopleth",
    ) -> str:
        """Return any JSON document of the fronts as a readable page.

        Parameters
        ----------
        title : str
            Heading, used where the document has no title of its own.
        document : Mapping
            The JSON document, as it is sent to programs.
        json_url : str
            Address of the document as JSON.
        up_links : sequence of (text, href)
            The way back up, outermost first; the start page where it is empty.
        server_title : str
            Title of the server, for the head of the page.
        """
        shape = shape_of(document)
        return self._documents.get_template("document.html").render(
            title=heading(shape, document, title),
            document=document,
            shape=shape,
            json_url=json_url,
            up_links=up_links,
            server_title=server_title,
        )

    def static_routes(self) -> list[BaseRoute]:
        """Return the routes of our style sheet and of the bundle, below ``/static``."""
        return [
            Mount("/static/bundle", _Static(self._bundle)),
            Mount("/static/pages", _Static(SCRIPTS, only=_PUBLIC_SCRIPTS)),
        ]

    def _has_map(self) -> bool:
        return bundled_stamp(self._bundle) is not None

    def _asset(self, kind: str, name: str) -> str:
        """Return the address of a static file, with a version, so that it can be cached for ever."""
        version = self._versions[name] if kind == "pages" else bundled_stamp(self._bundle) or "none"
        return f"{self._base}/static/{kind}/{name}?v={version[:12]}"


class _Static(StaticFiles):
    """Static files that may be cached for ever where the address carries a version."""

    def __init__(self, directory: Path, only: Sequence[str] | None = None) -> None:
        super().__init__(directory=directory, check_dir=False)
        self._only = only

    async def check_config(self) -> None:
        """Let the folder be absent: without a bundle there is simply no such file."""

    def lookup_path(self, path: str) -> tuple[str, Any]:
        """Find a file; beside the named ones there are none."""
        if self._only is not None and path not in self._only:
            return "", None
        return super().lookup_path(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        versioned = b"v=" in scope.get("query_string", b"")

        async def send_cached(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 304):
                headers = [*message.get("headers", []), _IMMUTABLE if versioned else _REVALIDATE]
                headers.append((b"x-content-type-options", b"nosniff"))
                message = {**message, "headers": headers}
            await send(message)

        await super().__call__(scope, receive, send_cached)
