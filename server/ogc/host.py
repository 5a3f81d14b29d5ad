"""How does pygeoapi live inside this server?

One `pygeoapi.api.API` object, built in process from a plain dict: never from files or environment variables, and
never anew for a request. Its resources follow the library of datasets. What it answers itself (landing page,
conformance, the process manager it loads) is taken over with the public address put in; what its API functions cannot
do as the standards ask is answered by the other modules of `server.ogc`
(docs/decisions/0002-pygeoapi-embedding.md).
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pygeoapi.api import API, APIRequest
from pygeoapi.api import conformance as pygeoapi_conformance
from pygeoapi.api import landing_page as pygeoapi_landing_page

from catalog.links import FrontUrls
from plugins.datacube.datacube import CRS84, Datacube
from plugins.datacube.library import Entry, OpenDatacube

OGC_REL = "http://www.opengis.net/def/rel/ogc/1.0"
EDR_PROVIDER = "plugins.providers.edr.DatacubeEDRProvider"
PLACEHOLDER = "http://address.invalid/ogc"
"""The address pygeoapi writes into its links; each answer gets the client's own in its place (RFC 6761, 6.4)."""


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """What `pygeoapi.api.APIRequest` asks of a web framework's request."""

    args: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    path_info: str = ""


class PygeoapiHost:
    """The embedded pygeoapi.

    Parameters
    ----------
    title, description : str
        As the landing page shows them.
    processes : mapping of str to mapping
        pygeoapi resources of type ``process``, by process id.
    manager : mapping, optional
        pygeoapi's definition of the process manager plugin (``{"name": "package.module.Class", ...}``); without it
        pygeoapi takes its dummy manager, and its landing page has no job list.
    """

    def __init__(
        self,
        title: str,
        description: str,
        *,
        processes: Mapping[str, Mapping[str, Any]] | None = None,
        manager: Mapping[str, Any] | None = None,
    ) -> None:
        self.processes = {name: {**definition, "type": "process"} for name, definition in (processes or {}).items()}
        self.followed: tuple[OpenDatacube, ...] = ()
        server: dict[str, Any] = {
            "url": PLACEHOLDER,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-GB"],
            "gzip": False,
            "pretty_print": False,
            "map": {"url": "", "attribution": ""},
        }
        if manager is not None:
            server["manager"] = dict(manager)
        config = {
            "server": server,
            "logging": {"level": "ERROR"},
            "metadata": metadata(title, description),
            "resources": dict(self.processes),
        }
        with logging_untouched():
            self.api = API(config, {})
        # The first call imports every part of pygeoapi: half a second, to be spent now and not by a client.
        self.conformance()

    def follow(self, entries: tuple[Entry, ...]) -> None:
        """Make the datasets pygeoapi's resources; does nothing when they are the same objects as before."""
        opened = tuple(entry.opened for entry in entries if entry.opened is not None)
        if len(opened) == len(self.followed) and all(a is b for a, b in zip(opened, self.followed, strict=True)):
            return
        datasets = {o.cube.id: resource(o.cube) for o in opened if o.cube.unsupported is None}
        # One assignment: a request sees the resources before or after, never half of them.
        self.api.config["resources"] = {**datasets, **self.processes}
        self.followed = opened

    def landing(self, urls: FrontUrls) -> dict[str, Any]:
        """Return pygeoapi's landing page with the links of this address."""
        _, _, body = pygeoapi_landing_page(self.api, self.request())
        page: dict[str, Any] = relocated(json.loads(body), urls.ogc)
        return page

    def conformance(self) -> list[str]:
        """Return the conformance classes that pygeoapi declares for its resources."""
        _, _, body = pygeoapi_conformance(self.api, self.request())
        classes: list[str] = json.loads(body)["conformsTo"]
        return classes

    def request(self) -> APIRequest:
        """Return a request for JSON, as pygeoapi's functions want it."""
        return APIRequest(PlainRequest(), self.api.locales)


def resource(cube: Datacube) -> dict[str, Any]:
    """Return a dataset as a pygeoapi resource that uses our EDR provider; it works in any pygeoapi.

    The temporal extent is left out on purpose: with it pygeoapi parses ``datetime`` itself, and refuses lists and
    dates of other calendars.
    """
    definition = cube.definition
    box = cube.extent
    return {
        "type": "collection",
        "title": cube.title or cube.id,
        "description": cube.description or cube.title or cube.id,
        "keywords": list(definition.keywords) or [cube.id],
        "links": [],
        "extents": {"spatial": {"bbox": [box.west, box.south, box.east, box.north], "crs": CRS84}},
        "providers": [
            {
                "type": "edr",
                "name": EDR_PROVIDER,
                "data": definition.href,
                "options": {
                    "id": definition.id,
                    "sparse": definition.sparse,
                    "storage_options": dict(definition.storage_options),
                    **({"crs": definition.crs} if definition.crs else {}),
                    **({"locations": definition.locations} if definition.locations else {}),
                },
            }
        ],
    }


def metadata(title: str, description: str) -> dict[str, Any]:
    """Return the metadata section of a pygeoapi configuration."""
    return {
        "identification": {
            "title": title,
            "description": description,
            "keywords": ["weather", "climate"],
            "keywords_type": "theme",
            "terms_of_service": "https://www.apache.org/licenses/LICENSE-2.0",
            "url": PLACEHOLDER,
        },
        "license": {"name": "see each collection"},
        "provider": {"name": title, "url": PLACEHOLDER},
        "contact": {"name": title},
    }


def relocated(value: Any, base: str) -> Any:
    """Return a JSON value with the placeholder address at the beginning of texts replaced by the real one."""
    if isinstance(value, dict):
        return {key: relocated(member, base) for key, member in value.items()}
    if isinstance(value, list):
        return [relocated(member, base) for member in value]
    if isinstance(value, str) and value.startswith(PLACEHOLDER):
        return base + value.removeprefix(PLACEHOLDER)
    return value


@contextlib.contextmanager
def logging_untouched() -> Iterator[None]:
    """Undo what pygeoapi does to the logging of the whole process while its API is built."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
