"""How does `isopleth serve` come from its arguments to a listening server?"""

from __future__ import annotations

import errno
import logging
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import uvicorn

from plugins.datacube.axes import AxisKind
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import DatasetError, InvalidQueryError
from plugins.datacube.ingest.publish import ingest_file, is_source_file
from plugins.datacube.library import Library
from plugins.datacube.locations import locations_of
from server.application import create_application
from server.deployment import create
from server.progress import ProgressBar
from server.settings import Settings, default_data, load_settings

GRACE_SECONDS = 10


class Server(uvicorn.Server):
    """A uvicorn server that says where it is once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then print the address."""
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(f"Isopleth is ready at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)  # noqa: T201


def serve(sources: Sequence[str], *, host: str | None, port: int | None, data: Path | None) -> int:
    """Serve a configuration, or stores, or what is published; return the exit code.

    Raises
    ------
    IsoplethError
        If the configuration is wrong, or none of the stores that were named can be served.
    """
    settings, definitions = what_to_serve(sources, data)
    overrides = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=overrides)})
    logging.basicConfig(
        level=settings.server.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # What is wrong with a dataset is said once, by this program: at start below, later by the deployment.
    logging.getLogger("plugins.datacube.library").setLevel(logging.ERROR)
    logging.getLogger("pygeoapi").setLevel(logging.WARNING)
    listening = _listen(settings.server.host, settings.server.port)
    bound = {"port": listening.getsockname()[1]}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=bound)})
    if settings.demonstration:
        from server.demonstration import publish_demonstration

        with ProgressBar("publishing the demonstration datasets") as bar:
            publish_demonstration(settings.data, bar.show)
    deployment = create(settings, definitions)
    opened = deployment.look()
    for identifier, sentence in (*opened.failed.items(), *remarks(deployment.library)):
        print(f"isopleth: {identifier}: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
    if definitions and opened.status == "failed":
        raise DatasetError("none of the stores can be served")
    config = uvicorn.Config(
        create_application(deployment),
        host=settings.server.host,
        port=settings.server.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=1 << 18,
    )
    Server(config).run(sockets=[listening])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Bind the port before anything slow is done: a taken port is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        reason = "the port is taken" if error.errno == errno.EADDRINUSE else (error.strerror or "not an address")
        raise InvalidQueryError("port", f"cannot listen on {host}:{port}: {reason}", "another --port, or 0") from error
    return listening


def what_to_serve(sources: Sequence[str], data: Path | None) -> tuple[Settings, tuple[DatasetDefinition, ...]]:
    """Return the settings and the datasets that the arguments of the command line name."""
    configurations = [source for source in sources if source.lower().endswith((".yml", ".yaml"))]
    if configurations and len(sources) > 1:
        raise InvalidQueryError("sources", "give one configuration file, or stores, not both")
    if configurations:
        settings = load_settings(Path(configurations[0]))
        if data is not None:
            settings = settings.model_copy(update={"data": data})
        return settings, settings.definitions()
    settings = Settings(data=data if data is not None else default_data())
    return settings, _definitions(sources, settings.data)


def _definitions(stores: Sequence[str], data: Path) -> tuple[DatasetDefinition, ...]:
    """Return one dataset a store, named by the stem of its file name; NetCDF and GRIB files are ingested first.

    A file that is refused is said, and left out: the others are served.
    """
    definitions: dict[str, DatasetDefinition] = {}
    refused = 0
    for store in stores:
        identifier = collection_id(store)
        if identifier in definitions:
            raise InvalidQueryError("sources", f"two stores would both be the collection {identifier!r}: rename one")
        definition = DatasetDefinition(id=identifier, href=store)
        if is_source_file(Path(store)):
            with ProgressBar(f"reading {Path(store).name}") as bar:
                try:
                    definition = replace(ingest_file(Path(store), data, bar.show), id=identifier)
                except DatasetError as error:
                    bar.close()
                    print(f"isopleth: {identifier}: {error.detail}", file=sys.stderr, flush=True)  # noqa: T201
                    refused += 1
                    continue
        definitions[identifier] = definition
    if stores and refused == len(stores):
        raise DatasetError("none of the stores can be served")
    return tuple(definitions.values())


def remarks(library: Library) -> Iterator[tuple[str, str]]:
    """Yield (id, sentence) of what is served, but not as its owner may expect."""
    for entry in library.entries():
        cube = entry.opened.cube if entry.opened else None
        if entry.opened is None or cube is None:
            continue
        # Read now, so that a file which cannot be used is said in the log before anybody asks.
        locations_of(entry.opened)
        if cube.unsupported:
            yield cube.id, f"it is listed but cannot be queried: {cube.unsupported}"
        elif cube.axis(AxisKind.T) is None:
            yield cube.id, "it has no time axis: it is served, but nothing can be asked by time"


def collection_id(store: str) -> str:
    """Return the collection id of a store: its file name's stem, with what cannot stand in a URL replaced.

    Examples
    --------
    >>> collection_id("/data/ERA5 single levels.zarr"), collection_id("s3://bucket/sst.2020.icechunk/")
    ('ERA5-single-levels', 'sst.2020')
    """
    name = re.split(r"[/\\]", store.split("?")[0].rstrip("/\\"))[-1]
    stem = name.rsplit(".", 1)[0] if "." in name.lstrip(".") else name
    identifier = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:128]
    if not identifier:
        raise InvalidQueryError("sources", f"{store!r} has no name that could be a collection id")
    return identifier
