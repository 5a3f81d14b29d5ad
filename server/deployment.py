"""What does a running server consist of, and in which order do its parts start and stop?"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from catalog.embedded import EmbeddedRepository
from catalog.harvest import harvest
from catalog.links import FrontUrls
from plugins.datacube.chunks import set_capacity
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError, IsoplethError
from plugins.datacube.library import Library
from plugins.datacube.limits import ByteBudget
from plugins.datacube.mesh.tree import keep_in
from plugins.jobs.runner import Runner
from plugins.jobs.store import JobStore
from plugins.processes.context import ProcessContext
from plugins.processes.registry import ENTRY, PRELOAD
from server.settings import Settings

log = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Opened:
    """The outcome of the last look at all datasets."""

    open: tuple[str, ...]
    failed: Mapping[str, str]

    @property
    def status(self) -> str:
        """``ready``, ``degraded`` (some datasets failed, the others are served) or ``failed`` (all did)."""
        if not self.failed:
            return "ready"
        return "degraded" if self.open else "failed"


@dataclass
class Deployment:
    """The parts of one server process, made once and shared by all its fronts."""

    settings: Settings
    urls: FrontUrls
    library: Library
    repository: EmbeddedRepository
    jobs: JobStore
    runner: Runner
    budget: ByteBudget
    process_context: ProcessContext
    opened: Opened | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run jobs, and follow the datasets, until the block ends."""
        self.runner.start()
        follower = threading.Thread(target=self._follow, name="isopleth-datasets", daemon=True)
        follower.start()
        try:
            yield
        finally:
            self._stop.set()
            self.runner.stop()
            follower.join(timeout=5)

    def look(self) -> Opened:
        """Open what is new, describe it in the catalogue, and note what failed."""
        self.library.refresh()
        entries = self.library.entries()
        report = harvest(entries, self.repository, self.urls, self.settings.sync_limits)
        failed = {entry.definition.id: entry.problem for entry in entries if entry.problem}
        failed |= {identifier: reason for identifier, reason in report.failed.items() if identifier not in failed}
        self.opened = Opened(tuple(e.definition.id for e in entries if not e.problem), failed)
        return self.opened

    def _follow(self) -> None:
        known = self.opened.failed if self.opened else {}
        while not self._stop.wait(REFRESH_SECONDS if self.opened else 0):
            try:
                failed = self.look().failed
                for identifier, reason in failed.items():
                    if known.get(identifier) != reason:
                        log.warning("%s: %s", identifier, reason)
                known = failed
            except IsoplethError as error:
                log.warning("cannot look at the datasets: %s", error.detail)
            except Exception:
                log.exception("cannot look at the datasets")


def definitions_of(settings: Settings, more: tuple[DatasetDefinition, ...]) -> tuple[DatasetDefinition, ...]:
    """Return the configured datasets and those of the command line; the latter win over the same id."""
    named = {definition.id for definition in more}
    return (*(d for d in settings.definitions() if d.id not in named), *more)


def create(settings: Settings, more: tuple[DatasetDefinition, ...] = ()) -> Deployment:
    """Make the parts of a server; nothing runs yet.

    Raises
    ------
    InvalidQueryError
        If the data folder cannot be made or written.
    """
    data = settings.data
    published = data / "datasets"
    try:
        for folder in (data, published, data / "results"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidQueryError("data", f"cannot make the data folder {data}: {error.strerror}") from error
    set_capacity(settings.limits.chunk_cache)
    keep_in(data / "index")
    definitions = definitions_of(settings, more)
    context = ProcessContext(definitions, published, settings.job_limits)
    jobs = JobStore(data / "jobs.sqlite", settings.quotas)
    runner = Runner(
        jobs,
        data / "results",
        ENTRY,
        context,
        slots=settings.jobs.slots,
        preload=PRELOAD,
        memory=settings.jobs.memory,
        seconds=settings.jobs.wall_seconds,
        keep_seconds=settings.jobs.result_days * 86_400,
        callbacks=settings.callback_policy,
    )
    return Deployment(
        settings=settings,
        urls=FrontUrls(settings.base_url),
        library=Library(definitions, published),
        repository=EmbeddedRepository(data / "catalog.sqlite"),
        jobs=jobs,
        runner=runner,
        budget=ByteBudget(settings.limits.bytes_in_flight),
        process_context=context,
    )
