"""What does ``isopleth publish`` leave beside a store, so that a server finds and describes the dataset?

``<id>/dataset.json`` holds the fields of a `DatasetDefinition` that people wrote; ``<id>/store`` is an Icechunk
repository. The document is replaced in one step: a reader sees the old one or the new one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from plugins.datacube.definition import ID_PATTERN, DatasetDefinition, LayoutDefinition, Provider
from plugins.datacube.errors import DatasetError, InvalidQueryError

DOCUMENT: Final = "dataset.json"
STORE: Final = "store"
LOCATIONS: Final = "locations.geojson"
"""The named places of the dataset, where it has any."""
TEXTS: Final = ("title", "description", "licence", "licence_url", "attribution", "crs", "items")
MAX_BYTES: Final = 1 << 20
"""A description is a page of text; a larger file is none."""


def write_dataset_json(folder: Path, definition: DatasetDefinition) -> None:
    """Write ``dataset.json`` of a published dataset, atomically and durably.

    Parameters
    ----------
    folder : Path
        Folder of the dataset; its store is ``folder / "store"``. It is made where it does not exist.
    definition : DatasetDefinition
        All but `href`, `storage_options` and `published` is written; the file of the locations is copied beside it.

    Raises
    ------
    DatasetError
        If the file of the locations cannot be read.
    """
    document: dict[str, Any] = {"id": definition.id}
    document |= {name: value for name in TEXTS if (value := getattr(definition, name)) is not None}
    if definition.keywords:
        document["keywords"] = list(definition.keywords)
    if definition.providers:
        document["providers"] = [
            {"name": provider.name, "roles": list(provider.roles)} | ({"url": provider.url} if provider.url else {})
            for provider in definition.providers
        ]
    if definition.sparse:
        document["sparse"] = True
    if definition.layouts:
        document["layouts"] = [_layout_entry(folder, layout) for layout in definition.layouts]
    folder.mkdir(parents=True, exist_ok=True)
    if definition.locations is not None:
        document["locations"] = LOCATIONS
        given = Path(definition.locations)
        if given.resolve() != (folder / LOCATIONS).resolve():
            _replace(folder / LOCATIONS, _bytes_of(given))
    _replace(folder / DOCUMENT, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step: a reader sees the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"the locations in {path.name} cannot be read") from error


def read_dataset_json(folder: Path) -> DatasetDefinition:
    """Read ``dataset.json`` of a published dataset.

    Raises
    ------
    DatasetError
        If it cannot be read, is no JSON object, has an unknown field or a value of the wrong type.
    """
    try:
        data = (folder / DOCUMENT).read_bytes()
    except OSError as error:
        raise DatasetError(f"{DOCUMENT} of {folder.name} cannot be read") from error
    try:
        document = json.loads(data) if len(data) <= MAX_BYTES else None
    except ValueError as error:
        raise DatasetError(f"{DOCUMENT} of {folder.name} is truncated or damaged: it is not JSON") from error
    if not isinstance(document, dict):
        raise DatasetError(f"{DOCUMENT} of {folder.name} is not a JSON object")
    known = {field.name for field in fields(DatasetDefinition)} - {"href", "storage_options", "published"}
    if unknown := sorted(set(document) - known):
        raise DatasetError(f"{DOCUMENT} of {folder.name} has an unknown field {unknown[0]!r}")
    try:
        definition = DatasetDefinition(
            id=_text(document, "id") or folder.name,
            href=str(folder / STORE),
            title=_text(document, "title"),
            description=_text(document, "description"),
            licence=_text(document, "licence"),
            licence_url=_text(document, "licence_url"),
            attribution=_text(document, "attribution"),
            crs=_text(document, "crs"),
            items=_text(document, "items"),
            keywords=_texts(document, "keywords"),
            providers=tuple(_provider(entry) for entry in _list(document, "providers")),
            sparse=_flag(document, "sparse"),
            layouts=tuple(_layout(folder, entry) for entry in _list(document, "layouts")),
            locations=_beside(folder, _text(document, "locations")),
            published=True,
        )
    except (InvalidQueryError, DatasetError) as error:
        raise DatasetError(f"{DOCUMENT} of {folder.name}: {error.detail}") from error
    if definition.id != folder.name:
        raise DatasetError(f"{DOCUMENT} of {folder.name} has the id {definition.id!r} of another folder")
    return definition


def published_definitions(folder: Path) -> tuple[dict[str, DatasetDefinition], dict[str, str]]:
    """Read all published datasets of a folder.

    Returns
    -------
    definitions : dict
        By id; also of those whose document is broken, with what is known of them.
    problems : dict
        By id, one sentence for each broken document.
    """
    definitions: dict[str, DatasetDefinition] = {}
    problems: dict[str, str] = {}
    try:
        candidates = [entry for entry in folder.iterdir() if ID_PATTERN.fullmatch(entry.name)]
    except OSError:
        return definitions, problems  # nothing was published yet
    for entry in candidates:
        if not (entry / DOCUMENT).is_file():
            continue
        try:
            definitions[entry.name] = read_dataset_json(entry)
        except DatasetError as error:
            definitions[entry.name] = DatasetDefinition(id=entry.name, href=str(entry / STORE), published=True)
            problems[entry.name] = error.detail
    return definitions, problems


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise DatasetError(f"{name} must be a text")
    return value


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list):
        raise DatasetError(f"{name} must be a list")
    return value


def _texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = _list(document, name)
    if not all(isinstance(value, str) for value in values):
        raise DatasetError(f"{name} must be a list of texts")
    return tuple(values)


def _flag(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise DatasetError(f"{name} must be true or false")
    return value


def _provider(entry: Any) -> Provider:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise DatasetError("each of providers must be an object with a name")
    roles = _texts(entry, "roles") if "roles" in entry else Provider(entry["name"]).roles
    return Provider(entry["name"], roles, _text(entry, "url"))


def _beside(folder: Path, name: str | None) -> str | None:
    """Return the path of a file of the folder; a document never leads out of it."""
    if name is None:
        return None
    if Path(name).name != name:
        raise DatasetError(f"locations must be the name of a file in the folder, {LOCATIONS} for example")
    return str(folder / name)


def _layout_entry(folder: Path, layout: LayoutDefinition) -> dict[str, Any]:
    href = layout.href
    if "://" not in href and Path(href).is_relative_to(folder):
        # The data folder may be moved with all that is in it.
        href = Path(href).relative_to(folder).as_posix()
    options = {"storage_options": dict(layout.storage_options)} if layout.storage_options else {}
    return {"name": layout.name, "href": href} | options


def _layout(folder: Path, entry: Any) -> LayoutDefinition:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("name", "href")):
        raise DatasetError("each of layouts must be an object with a name and an href")
    options = entry.get("storage_options", {})
    if not isinstance(options, dict):
        raise DatasetError("the storage_options of a layout must be an object")
    href = entry["href"] if "://" in entry["href"] else str(folder / entry["href"])
    return LayoutDefinition(entry["name"], href, options)
