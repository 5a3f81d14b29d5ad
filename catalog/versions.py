"""How do the states of a dataset become STAC items: one for each snapshot of its Icechunk repository?

Asked for by ``items: snapshot``. The newest `STATES_LIMIT` snapshots, each with the version extension (v1.2.0), links
to the one before and the one after it, and files by address, which are read from that state. The Zarr store is
shown at its current state only, so the item of the current state alone has it as an asset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from catalog.assets import GEOJSON, ZarrFormat
from catalog.document import VERSION_EXTENSION, Document
from catalog.extents import rfc3339
from catalog.items import items
from catalog.links import FrontUrls
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import DatasetError
from plugins.datacube.history import State
from plugins.datacube.instances import states_of
from plugins.datacube.library import OpenDatacube, datacube_at
from plugins.datacube.limits import Limits

STATES_LIMIT: Final = 50
"""Each must be opened to be described."""
SNAPSHOT: Final = "snapshot"
"""The division that asks for these items."""


@dataclass(frozen=True, slots=True)
class _StateUrls(FrontUrls):
    """The addresses of the fronts, where that of the EDR collection is the address of one of its states."""

    state: str

    def collection(self, identifier: str) -> str:
        """EDR document of the state."""
        return self.instance(identifier, self.state)


def version_items(
    opened: OpenDatacube, urls: FrontUrls, zarr_format: ZarrFormat = 3, limits: Limits | None = None
) -> list[Document]:
    """Return the items of the states of a dataset, the oldest first.

    A state that cannot be opened any more, or has no dates, has no item.

    Raises
    ------
    DatasetError
        If the repository cannot be read.
    """
    name = opened.cube.id
    found = [
        (state, tags, item)
        for state, tags in _snapshots(opened)
        if (item := _item(opened, state, urls, zarr_format, limits)) is not None
    ]
    ids = [f"{name}-{state.snapshot}" for state, _, _ in found]
    documents = []
    for place, (state, tags, item) in enumerate(found):
        current = state.snapshot == opened.cube.snapshot
        around: list[tuple[str, str | None]] = [
            ("predecessor-version", ids[place - 1] if place else None),
            ("successor-version", ids[place + 1] if place + 1 < len(ids) else None),
            ("latest-version", ids[-1]),
        ]
        links = [
            {"rel": rel, "type": GEOJSON, "href": urls.stac_item(name, other)}
            for rel, other in around
            if other is not None
        ]
        properties: dict[str, Any] = {
            **item["properties"],
            "title": f"{item['properties']['title']}, as of {rfc3339(state.written)}",
            "description": state.message or "no message",
            "created": rfc3339(state.written),
            "version": tags[0] if tags else state.snapshot,
            "deprecated": not current,
            "isopleth:snapshot": state.snapshot,
        }
        if tags:
            properties["isopleth:tags"] = tags
        # The store is shown at its current state only.
        assets = {key: one for key, one in item["assets"].items() if current or not key.startswith("zarr")}
        documents.append(
            {
                **item,
                "id": ids[place],
                "stac_extensions": [*item["stac_extensions"], VERSION_EXTENSION],
                "properties": properties,
                "links": [*item["links"], *links],
                "assets": assets,
            }
        )
    return documents


def _snapshots(opened: OpenDatacube) -> Iterator[tuple[State, list[str]]]:
    """Yield each snapshot with its tags, the oldest first."""
    tags: dict[str, list[str]] = {}
    by_snapshot: dict[str, State] = {}
    for state in states_of(opened):
        by_snapshot.setdefault(state.snapshot, state)
        if state.tagged:
            tags.setdefault(state.snapshot, []).append(state.id)
    newest = sorted(by_snapshot.values(), key=lambda state: (state.written, state.snapshot))[-STATES_LIMIT:]
    yield from ((state, sorted(tags.get(state.snapshot, []))) for state in newest)


def _item(
    opened: OpenDatacube, state: State, urls: FrontUrls, zarr_format: ZarrFormat, limits: Limits | None
) -> Document | None:
    try:
        cube: Datacube = datacube_at(opened, state.snapshot).cube
    except DatasetError:
        return None
    whole = replace(cube, definition=replace(cube.definition, items="whole"))
    return next(iter(items(whole, _StateUrls(urls.base, state.snapshot), zarr_format, limits)), None)
