"""Which datasets are there, and is the opened state of each still that of its store?

Opening and describing a store costs file or network reads; it is done once per (href, revision) and shared by every
front. A dataset is looked at again at most every `CHECK_SECONDS`, when somebody asks for it (in the background where it
is not on this machine); when its store was written to, a new `OpenDatacube` takes the place of the old one, which stays
valid for those who still read from it. Earlier states of a dataset are opened when they are asked for, and the last
few of them are kept.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

import zarr

from plugins.datacube.datacube import Datacube
from plugins.datacube.definition import NATIVE, DatasetDefinition
from plugins.datacube.describe import describe
from plugins.datacube.errors import DatasetError, IsoplethError, UnknownError
from plugins.datacube.published import published_definitions
from plugins.datacube.sources import UNREACHABLE, Source, explain, local_path, open_source, open_state

_LOG = logging.getLogger(__name__)
CHECK_SECONDS: Final = 2.0
"""A store is asked for changes at most this often."""
RETRY_SECONDS: Final = 10.0
"""A dataset that could not be opened is tried again at most this often."""
STATES_KEPT: Final = 32
"""Earlier states of datasets that are kept open, all datasets together."""


@dataclass(frozen=True, slots=True)
class OpenDatacube:
    """A described store and its arrays, at one snapshot."""

    cube: Datacube
    arrays: Mapping[str, zarr.Array[Any]]
    """The array of each parameter; absent chunks raise, unless the dataset is sparse."""
    source: Source
    layout: str = NATIVE
    """Which of the layouts of the dataset it is (see `plugins.datacube.layouts`)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One dataset of the library, whether or not it could be opened."""

    definition: DatasetDefinition
    opened: OpenDatacube | None
    problem: str | None
    """One sentence where it could not be opened."""


class _Slot:
    """The opened state of one dataset, and the lock under which it is replaced."""

    def __init__(self, definition: DatasetDefinition) -> None:
        self.definition = definition
        self._remote = local_path(definition.href) is None
        self._lock = threading.Lock()
        self._opened: OpenDatacube | None = None
        self._problem: str | None = None
        self._checked = -float("inf")

    def get(self, *, now: bool = False) -> OpenDatacube:
        """Return the opened dataset; open or renew it where that is due, or at once if `now`."""
        if not self._due() and not now:
            return self._current()
        # While one thread asks the store, the others go on with what is known; a first opening is waited for.
        first = self._opened is None and self._problem is None
        if not self._lock.acquire(blocking=now or first):
            return self._current()
        if self._remote and self._opened is not None and not now:
            # A slow network is not waited for: this answer comes from what is open, later ones from what is found.
            threading.Thread(target=self._renew_and_release, name=f"renew {self.definition.id}", daemon=True).start()
        else:
            self._renew_and_release(force=now)
        return self._current()

    def at_hand(self) -> OpenDatacube | None:
        """Return the opened dataset if it need not be looked at now; else None. Never waits."""
        return None if self._due() else self._opened

    def _renew_and_release(self, *, force: bool = False) -> None:
        try:
            if force or self._due():
                self._renew()
        finally:
            self._lock.release()

    def _due(self) -> bool:
        wait = CHECK_SECONDS if self._opened is not None else RETRY_SECONDS
        return monotonic() - self._checked >= wait

    def _current(self) -> OpenDatacube:
        opened, problem = self._opened, self._problem
        if opened is not None:
            return opened
        # A new error each time: one that is raised again and again would gather the tracebacks of all requests.
        raise DatasetError(problem or f"{self.definition.id} is not open yet")

    def _renew(self) -> None:
        opened = self._opened
        try:
            if opened is None or opened.source.probe() != opened.source.snapshot:
                self._opened, self._problem = _open(self.definition), None
        except FileNotFoundError as error:
            label = self.definition.id if opened is None else opened.source.label
            self._opened, self._problem = None, explain(error, label).detail
        except DatasetError as error:
            # Where a store is being written to, what is open stays, and is looked at again.
            self._problem = error.detail
            _LOG.warning("dataset %s: %s", self.definition.id, error.detail)
        except UNREACHABLE as error:
            _LOG.warning("the storage of dataset %s does not answer: %s", self.definition.id, error)
        finally:
            self._checked = monotonic()


def _open(definition: DatasetDefinition) -> OpenDatacube:
    return _described(open_source(definition), definition)


def _described(source: Source, definition: DatasetDefinition) -> OpenDatacube:
    try:
        cube = describe(source, definition)
    except IsoplethError:
        raise
    except Exception as error:
        _LOG.exception("dataset %s cannot be described", definition.id)
        raise explain(error, source.label) from error
    arrays: dict[str, zarr.Array[Any]] = {}
    for name in cube.parameters:
        array = source.group[name]
        if isinstance(array, zarr.Array):
            arrays[name] = array.with_config({"read_missing_chunks": definition.sparse})
    return OpenDatacube(cube, MappingProxyType(arrays), source)


_SLOTS: dict[str, _Slot] = {}
_SLOTS_LOCK = threading.Lock()


def _slot(definition: DatasetDefinition) -> _Slot:
    key = repr(definition)
    with _SLOTS_LOCK:
        if (slot := _SLOTS.get(key)) is None:
            slot = _SLOTS[key] = _Slot(definition)
        return slot


def _forget(definition: DatasetDefinition) -> None:
    with _SLOTS_LOCK:
        for gone in _with_layouts(definition):
            _SLOTS.pop(repr(gone), None)


def _with_layouts(definition: DatasetDefinition) -> tuple[DatasetDefinition, ...]:
    return (definition, *(definition.of_layout(layout) for layout in definition.layouts))


def open_datacube(definition: DatasetDefinition) -> OpenDatacube:
    """Return the opened dataset, from the cache unless its store was written to.

    Raises
    ------
    DatasetError
        If the store cannot be opened or described.
    """
    return _slot(definition).get()


def at_hand(definition: DatasetDefinition) -> OpenDatacube | None:
    """Return the opened dataset if nothing has to be looked at for it, else None; for who must not wait."""
    with _SLOTS_LOCK:
        slot = _SLOTS.get(repr(definition))
    return None if slot is None else slot.at_hand()


class _StateSlot:
    """One earlier state of a dataset, and the lock under which it is opened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: OpenDatacube | None = None

    def get(self, now: OpenDatacube, snapshot: str) -> OpenDatacube:
        """Return the opened state; open it the first time."""
        if self._opened is None:
            with self._lock:
                if self._opened is None:
                    self._opened = _described(open_state(now.source, snapshot), now.cube.definition)
        return self._opened


_STATES: OrderedDict[tuple[str, str], _StateSlot] = OrderedDict()
_STATES_LOCK = threading.Lock()


def datacube_at(now: OpenDatacube, snapshot: str) -> OpenDatacube:
    """Return a dataset at another of its states.

    Parameters
    ----------
    now : OpenDatacube
        The dataset at any state.
    snapshot : str
        Identifier of an Icechunk snapshot; whether it may be asked for is for the caller to know
        (`plugins.datacube.history`).

    Raises
    ------
    DatasetError
        If it cannot be opened or described.
    """
    if snapshot == now.cube.snapshot:
        return now
    key = (repr(now.cube.definition), snapshot)
    with _STATES_LOCK:
        slot = _STATES.setdefault(key, _StateSlot())
        _STATES.move_to_end(key)
        while len(_STATES) > STATES_KEPT:
            _STATES.popitem(last=False)
    return slot.get(now, snapshot)


def _pinned(opened: OpenDatacube, snapshot: str) -> OpenDatacube:
    """Return a dataset at a state where it has that state, else as it is."""
    history = opened.source.history
    if history is None or snapshot == opened.cube.snapshot:
        return opened
    try:
        state = history.find(snapshot)
    except UNREACHABLE as error:
        raise explain(error, opened.source.label) from error
    return opened if state is None else datacube_at(opened, snapshot)


class Library:
    """The datasets that are served: the configured ones, and those that were published into a folder."""

    def __init__(
        self, definitions: Iterable[DatasetDefinition], published: Path | None = None, *, at: str | None = None
    ) -> None:
        """Take the definitions; nothing is opened yet.

        Parameters
        ----------
        definitions : iterable of DatasetDefinition
            The configured datasets; they come first, in this order.
        published : Path, optional
            Folder of the published datasets, each ``<id>/dataset.json`` and ``<id>/store``. It need not exist yet.
        at : str, optional
            Identifier of a snapshot: `get` returns the dataset that has it at this state, the others as they are now.
            For a job, which reads what it was estimated on.

        Raises
        ------
        DatasetError
            If two definitions have the same id.
        """
        self._configured: dict[str, DatasetDefinition] = {}
        for definition in definitions:
            if definition.id in self._configured:
                raise DatasetError(f"two datasets have the id {definition.id}")
            self._configured[definition.id] = definition
        self._folder = published
        self._at = at
        self._lock = threading.Lock()
        self._known: dict[str, DatasetDefinition] = dict(self._configured)
        self._problems: dict[str, str] = {}
        self._slots: dict[str, tuple[DatasetDefinition, _Slot]] = {}
        self._scanned = -float("inf")
        self._warm = False

    def ids(self) -> tuple[str, ...]:
        """Return the ids: the configured datasets in their order, then the published ones by name."""
        return tuple(self._definitions())

    def get(self, dataset_id: str) -> OpenDatacube:
        """Return an opened dataset; look at ``cube.unsupported`` before querying it.

        Raises
        ------
        UnknownError
            If there is no dataset of this id.
        DatasetError
            If its store cannot be opened or described.
        """
        definition = self._definitions().get(dataset_id) or self._definitions(now=True).get(dataset_id)
        if definition is None:
            raise UnknownError(f"there is no collection {dataset_id[:128]!r}")
        if (problem := self._problems.get(dataset_id)) is not None:
            raise DatasetError(problem)
        opened = open_datacube(definition)
        return opened if self._at is None else _pinned(opened, self._at)

    def at_hand(self, dataset_id: str) -> OpenDatacube | None:
        """Return an opened dataset as `get` would, if it can do so without looking at any storage; else None."""
        scanned = self._folder is None or monotonic() - self._scanned < CHECK_SECONDS
        definition = self._known.get(dataset_id)
        if not scanned or definition is None or dataset_id in self._problems or self._at is not None:
            return None
        known = self._slots.get(dataset_id)
        if known is None or known[0] is not definition:
            known = self._slots[dataset_id] = (definition, _slot(definition))
        return known[1].at_hand()

    def entries(self) -> tuple[Entry, ...]:
        """Return all datasets with their state; one that is broken never stops the others."""
        definitions = tuple(self._definitions().values())
        if self._warm or len(definitions) < 2:
            return tuple(self._entry(definition) for definition in definitions)
        with ThreadPoolExecutor(min(8, len(definitions))) as pool:
            entries = tuple(pool.map(self._entry, definitions))
        self._warm = True
        return entries

    def refresh(self) -> None:
        """Look for new and changed datasets now, whenever they were last looked at."""
        for definition in self._definitions(now=True).values():
            for store in _with_layouts(definition):
                try:
                    _slot(store).get(now=True)
                except DatasetError as error:
                    _LOG.debug("dataset %s: %s", definition.id, error.detail)

    def _entry(self, definition: DatasetDefinition) -> Entry:
        if (problem := self._problems.get(definition.id)) is not None:
            return Entry(definition, None, problem)
        try:
            return Entry(definition, open_datacube(definition), None)
        except DatasetError as error:
            return Entry(definition, None, error.detail)

    def _definitions(self, *, now: bool = False) -> Mapping[str, DatasetDefinition]:
        if self._folder is None or (not now and monotonic() - self._scanned < CHECK_SECONDS):
            return self._known
        with self._lock:
            found, problems = published_definitions(self._folder)
            known = {
                **self._configured,
                **{name: found[name] for name in sorted(found) if name not in self._configured},
            }
            for name, definition in self._known.items():
                if known.get(name) != definition:
                    _forget(definition)
            self._known = known
            self._problems = {name: problem for name, problem in problems.items() if name not in self._configured}
            self._scanned = monotonic()
        return self._known
