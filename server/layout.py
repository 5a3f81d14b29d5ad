"""How does `isopleth layout` write a dataset once more, in chunks for another kind of request?"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from plugins.datacube.definition import DatasetDefinition, LayoutDefinition
from plugins.datacube.doctor.report import shape_text, size_text
from plugins.datacube.errors import BusyError, InvalidQueryError, UnknownError
from plugins.datacube.ingest.folders import DATASETS, dataset_folder
from plugins.datacube.ingest.repository import exclusive
from plugins.datacube.layout.fields import ChunksOf
from plugins.datacube.layout.purpose import Purpose, chunks_for, named_chunks, read_sizes, time_dimension
from plugins.datacube.layout.write import LayoutReport, write_layout
from plugins.datacube.library import Library, OpenDatacube
from plugins.datacube.published import STORE, read_dataset_json, write_dataset_json
from server.progress import ProgressBar
from server.settings import default_data, load_settings

LAYOUTS: Final = "layouts"
"""Folder of the layouts, beside the store of a dataset."""
CUSTOM: Final = "custom"
"""Name of a layout whose chunks were given, unless it gets another."""
WAIT_SECONDS: Final = 0.5


def layout(options: argparse.Namespace) -> int:
    """Write a layout of a dataset, or bring it up to date; return the exit code.

    Raises
    ------
    IsoplethError
        If there is no such dataset, or its copy cannot be written or is not what the dataset holds.
    """
    settings = load_settings(options.config) if options.config is not None else None
    data = options.data or (settings.data if settings is not None else default_data())
    library = Library(settings.definitions() if settings is not None else (), data / DATASETS)
    try:
        opened = library.get(options.id)
    except UnknownError as error:
        valid = ", ".join(library.ids()[:50]) or "none is published; name a configuration with --config"
        raise InvalidQueryError("id", error.detail, valid) from error
    definition = opened.cube.definition
    name, purpose, chunks_of = _wanted(options, opened)
    room = dataset_folder(data, definition.id) / LAYOUTS / name
    registered = next((known for known in definition.layouts if known.name == name), None)
    target = LayoutDefinition(name, str((room / STORE).resolve()))
    if options.out is not None:
        href = options.out if "://" in options.out else str(Path(options.out).resolve())
        target = LayoutDefinition(name, href, _storage_options(options.storage_option))
    elif registered is not None:
        target = registered
    _refuse_stores(definition, target)
    with ProgressBar(f"layout {name} of {definition.id}", quiet=options.quiet) as bar:
        report = write_layout(opened, target, room, purpose, chunks_of, bar.show, memory=options.memory << 20)
    _tell(definition, target, report)
    if opened.source.probe() != opened.source.snapshot:
        print("note: the dataset was written to meanwhile; the same command brings the layout up to date")  # noqa: T201
    if registered == target:
        return 0
    if definition.published:
        _register(dataset_folder(data, definition.id), target)
    else:
        _advise(definition, target)
    return 0


def _wanted(options: argparse.Namespace, opened: OpenDatacube) -> tuple[str, str, ChunksOf]:
    """Return the name of the layout, what it is for, and its chunks."""
    if options.chunks is not None:
        sizes = read_sizes(options.chunks, opened.cube)
        purpose = ",".join(f"{dim}={size}" for dim, size in sizes.items())
        return options.name or CUSTOM, purpose, lambda parameter: named_chunks(sizes, parameter)
    purpose = Purpose(options.purpose)
    cube = opened.cube
    if all(time_dimension(cube, parameter) is None for parameter in cube.parameters.values()):
        raise InvalidQueryError("for", f"{cube.id} has no time axis, so one layout fits all its maps")
    return options.name or purpose.value, purpose.value, lambda parameter: chunks_for(purpose, cube, parameter)


def _storage_options(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := next((name for name, separator, _ in pairs if not separator or not name), None):
        raise InvalidQueryError("storage-option", f"{wrong!r} is not of the form NAME=VALUE", "region=eu-central-1")
    return {name: value for name, _, value in pairs}


def _refuse_stores(definition: DatasetDefinition, target: LayoutDefinition) -> None:
    taken = [definition.href, *(known.href for known in definition.layouts if known.name != target.name)]
    if target.href in taken or any(str(Path(href).resolve()) == target.href for href in taken if "://" not in href):
        raise InvalidQueryError("out", "there is the dataset itself, or another of its layouts", "another place")


def _register(folder: Path, target: LayoutDefinition) -> None:
    """Add a layout to the description of a published dataset, once nobody else is writing it."""
    while True:
        try:
            with exclusive(folder):
                known = read_dataset_json(folder)
                others = tuple(layout for layout in known.layouts if layout.name != target.name)
                write_dataset_json(folder, replace(known, layouts=(*others, target)))
                return
        except BusyError:
            time.sleep(WAIT_SECONDS)


def _tell(definition: DatasetDefinition, target: LayoutDefinition, report: LayoutReport) -> None:
    if report.current:
        print(f"{target.name} of {definition.id} is up to date, snapshot {report.snapshot}")  # noqa: T201
        return
    verb = "finished" if report.resumed else "wrote" if report.created else "brought up to date"
    chunks = ", ".join(f"{name} {shape_text(shape)}" for name, shape in report.chunks.items())
    print(f"{verb} {target.name} of {definition.id}: {chunks}; snapshot {report.snapshot}")  # noqa: T201
    interim = f", {size_text(report.scratch)} of interim files at a time" if report.scratch else ""
    print(  # noqa: T201
        f"wrote and compared {size_text(report.bytes)}; each chunk of the dataset was read "
        f"{report.amplification:.1f} times{interim}"
    )


def _advise(definition: DatasetDefinition, target: LayoutDefinition) -> None:
    """Print what must be added to the configuration: it belongs to its owner."""
    print(f"add this to the dataset {definition.id} in the configuration, and start the server anew:")  # noqa: T201
    print(f"    layouts:\n      - name: {target.name}\n        href: {target.href}")  # noqa: T201
    if target.storage_options:
        print("        storage_options:")  # noqa: T201
        for name, value in target.storage_options.items():
            print(f"          {name}: {value}")  # noqa: T201
