"""What has changed in the datasets since the catalogue last looked?

Idempotent: a second harvest of the same datasets writes nothing. A dataset that cannot be opened or described is
reported and does not stop the others; its last description stays, since data that cannot be read today has not ceased
to exist. A collection whose dataset is no longer there is removed; collections that were not harvested are not touched,
and win over a dataset of the same id.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from catalog.assets import ZarrFormat
from catalog.describe import described
from catalog.document import digest, relative_to
from catalog.links import FrontUrls
from catalog.repository import Repository
from plugins.datacube.datacube import Datacube
from plugins.datacube.errors import BusyError, IsoplethError, StorageError
from plugins.datacube.library import Entry, OpenDatacube
from plugins.datacube.limits import Limits

log = logging.getLogger(__name__)

_DESCRIBED: dict[str, tuple[Datacube, str]] = {}
"""The cube that was described last, and the digest of its documents, by collection id.

A server harvests every few seconds; a cube is immutable, so what was said of it once need not be worked out again.
"""

FOREIGN = "the catalogue has another collection of this id, which was imported or written by a client"
UNEXPECTED = "the dataset could not be described; the reason has been logged"


@dataclass(frozen=True, slots=True)
class HarvestReport:
    """The collections of one harvest, by what happened to them."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    """One sentence for each dataset that could not be described."""


def harvest(
    entries: Iterable[Entry], repository: Repository, urls: FrontUrls, limits: Limits | None = None
) -> HarvestReport:
    """Bring the repository up to date with the datasets.

    Parameters
    ----------
    entries : iterable of Entry
        Every dataset there is: what is missing here is removed from the catalogue.
    repository : Repository
        Written one collection a transaction; several harvests at the same time do no harm.
    urls : FrontUrls
        Public addresses; only their layout matters, documents are kept relative to their base.
    limits : Limits, optional
        What one answer of the server may cost: files that would cost more are not linked.

    Raises
    ------
    StorageError, BusyError
        If the repository itself cannot be read or written.
    """
    known = repository.digests()
    done: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
    failed: dict[str, str] = {}
    seen: set[str] = set()
    for entry in entries:
        name = entry.definition.id
        seen.add(name)
        if entry.opened is None:
            failed[name] = entry.problem or "the dataset cannot be opened"
            continue
        if name not in known and repository.get_collection(name) is not None:
            failed[name] = FOREIGN
            continue
        try:
            state = _put(entry.opened, repository, urls, limits, known.get(name))
        except (StorageError, BusyError):
            raise
        except IsoplethError as error:
            failed[name] = error.detail
        except Exception:  # one dataset, whatever is wrong with it, must not stop the others
            log.exception("the dataset %s could not be described", name)
            failed[name] = UNEXPECTED
        else:
            done[state].append(name)
    removed = tuple(name for name in known if name not in seen)
    for name in removed:
        _DESCRIBED.pop(name, None)
        repository.delete_collection(name)
    states = {state: tuple(names) for state, names in done.items()}
    return HarvestReport(**states, removed=removed, failed=failed)


def _put(
    opened: OpenDatacube, repository: Repository, urls: FrontUrls, limits: Limits | None, known: str | None
) -> str:
    """Describe one datacube, and write it where its description differs from the known digest."""
    cube = opened.cube
    last = _DESCRIBED.get(cube.id)
    if last is not None and last[0] is cube and last[1] == known:
        return "unchanged"
    # The raw view shows a store as it is kept; an Icechunk repository is Zarr version 3.
    zarr_format: ZarrFormat = 2 if opened.source.layout == "zarr2" else 3
    document, its_items = described(cube, urls, zarr_format, limits, opened)
    document = relative_to(document, urls.base)
    its_items = [relative_to(item, urls.base) for item in its_items]
    state = digest([document, *its_items])
    _DESCRIBED[cube.id] = (cube, state)
    if state == known:
        return "unchanged"
    repository.replace(document, its_items, state)
    return "added" if known is None else "changed"
