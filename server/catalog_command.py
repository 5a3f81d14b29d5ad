"""How does `isopleth catalog` show, check, export and fill the STAC catalogue of a data folder?

It works on the file that a server may be using at the same time. What can be harvested is harvested by the server by
itself; `harvest` does it once, without one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import orjson

from catalog.document import Document
from catalog.embedded import EmbeddedRepository
from catalog.harvest import HarvestReport, harvest
from catalog.imports import Importer
from catalog.links import FrontUrls
from catalog.repository import CollectionQuery, ItemQuery, Repository
from catalog.served import served_collection, served_item
from catalog.static import export
from catalog.validation import problem_with
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, UnknownError
from plugins.datacube.library import Library
from server.deployment import definitions_of
from server.settings import Settings, default_data, load_settings

FILE = "catalog.sqlite"
_PAGE = 500


def catalog(options: argparse.Namespace) -> int:
    """Run one command of `isopleth catalog`; return the exit code.

    Raises
    ------
    IsoplethError
        If the catalogue cannot be read or written, or there is nothing of what is named.
    """
    settings, datasets = _settings(options)
    commands: dict[str, Callable[[argparse.Namespace, Settings, EmbeddedRepository], int]] = {
        "harvest": partial(_harvest, datasets),
        "list": _list,
        "show": _show,
        "validate": _validate,
        "export": _export,
        "import": _import,
    }
    path = settings.data / FILE
    if options.command not in ("harvest", "import") and not path.is_file():
        raise InvalidQueryError("data", f"there is no catalogue in {settings.data}", "the data folder of a server")
    repository = EmbeddedRepository(path)
    try:
        return commands[options.command](options, settings, repository)
    finally:
        repository.close()


def _settings(options: argparse.Namespace) -> tuple[Settings, tuple[DatasetDefinition, ...]]:
    if options.command == "harvest":
        # What ingests files takes seconds to import.
        from server.serve import what_to_serve

        return what_to_serve(options.sources, options.data)
    settings = load_settings(options.config) if options.config is not None else Settings(data=default_data())
    return (settings if options.data is None else settings.model_copy(update={"data": options.data})), ()


def _harvest(
    datasets: tuple[DatasetDefinition, ...],
    options: argparse.Namespace,
    settings: Settings,
    repository: EmbeddedRepository,
) -> int:
    entries = Library(definitions_of(settings, datasets), settings.data / "datasets").entries()
    report = harvest(entries, repository, FrontUrls(settings.base_url), settings.sync_limits)
    if options.json:
        _write(asdict(report))
    else:
        _tell(report)
    return 1 if report.failed else 0


def _tell(report: HarvestReport) -> None:
    for state in ("added", "changed", "unchanged", "removed"):
        for name in getattr(report, state):
            print(f"{state:9} {name}")  # noqa: T201
    for name, reason in report.failed.items():
        print(f"failed    {name}: {reason}")  # noqa: T201


def _list(options: argparse.Namespace, settings: Settings, repository: EmbeddedRepository) -> int:
    del settings
    harvested = repository.digests()
    found = [
        {
            "id": heading.id,
            "title": heading.title,
            "items": repository.extremes(ItemQuery(collections=(heading.id,))).count,
            "origin": "dataset" if heading.id in harvested else "written",
        }
        for heading in repository.headings()
    ]
    if options.json:
        _write(found)
        return 0
    width = max((len(str(one["id"])) for one in found), default=0)
    for one in found:
        print(f"{one['id']:{width}}  {one['items']:>7} items  {one['origin']:7}  {one['title'] or ''}".rstrip())  # noqa: T201
    return 0


def _show(options: argparse.Namespace, settings: Settings, repository: EmbeddedRepository) -> int:
    urls = FrontUrls(options.server or settings.base_url)
    document = repository.get_collection(options.id)
    if document is None:
        raise UnknownError(f"there is no collection {options.id!r}")
    if options.item is None:
        _write(served_collection(document, urls))
        return 0
    item = repository.get_item(options.id, options.item)
    if item is None:
        raise UnknownError(f"there is no item {options.item!r} in the collection {options.id!r}")
    _write(served_item(item, urls))
    return 0


def _validate(options: argparse.Namespace, settings: Settings, repository: EmbeddedRepository) -> int:
    urls = FrontUrls(options.server or settings.base_url)
    checked = wrong = 0
    for name, document in _documents(repository, options.ids, urls):
        checked += 1
        if (problem := problem_with(document)) is not None:
            wrong += 1
            print(f"{name}: {problem}")  # noqa: T201
    print(f"{checked} documents, {wrong} not valid")  # noqa: T201
    return 1 if wrong else 0


def _documents(repository: Repository, ids: list[str], urls: FrontUrls) -> Iterator[tuple[str, Document]]:
    """Yield every document as it is read, by its id."""
    for name in ids:
        if repository.get_collection(name) is None:
            raise UnknownError(f"there is no collection {name!r}")
    collections = CollectionQuery(limit=_PAGE)
    while True:
        page = repository.list_collections(collections)
        for document in page.documents:
            if not ids or document["id"] in ids:
                yield document["id"], served_collection(document, urls)
        if page.token is None:
            break
        collections = replace(collections, token=page.token)
    items = ItemQuery(collections=tuple(ids) or None, limit=_PAGE)
    while True:
        page = repository.search(items)
        for document in page.documents:
            yield f"{document['collection']}/{document['id']}", served_item(document, urls)
        if page.token is None:
            return
        items = replace(items, token=page.token)


def _export(options: argparse.Namespace, settings: Settings, repository: EmbeddedRepository) -> int:
    server = FrontUrls(options.server or settings.base_url).base
    collections, items = export(
        repository,
        options.folder,
        server=server,
        published=options.published,
        title=settings.server.title,
        collections=options.id,
        overwrite=options.overwrite,
    )
    print(f"{collections} collections and {items} items are in {options.folder}")  # noqa: T201
    return 0


def _import(options: argparse.Namespace, settings: Settings, repository: EmbeddedRepository) -> int:
    del settings
    shown: list[str] = []

    def progress(name: str, count: int) -> None:
        if sys.stderr.isatty() and not options.quiet:
            shown.append(name)
            print(f"\r{name}: {count} items\033[K", end="", file=sys.stderr, flush=True)  # noqa: T201

    report = Importer(repository, prefix=options.prefix, base=options.published, progress=progress).run(options.source)
    if shown:
        print(file=sys.stderr)  # noqa: T201
    if options.json:
        _write(asdict(report))
        return 1 if report.failed else 0
    for state in ("added", "changed", "unchanged"):
        for name in getattr(report, state):
            print(f"{state:9} {name}")  # noqa: T201
    items = report.items
    print(f"items: {items.added} added, {items.changed} changed, {items.unchanged} unchanged")  # noqa: T201
    for name, reason in report.failed.items():
        print(f"failed    {name}: {reason}", file=sys.stderr)  # noqa: T201
    return 1 if report.failed else 0


def _write(document: Any) -> None:
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
