"""Which states has an Icechunk repository had, and which of them may be asked for by name?

A state is a snapshot: of the branch that is served, or one that somebody gave a name (a tag). Snapshots of other
branches, such as a publication that is not finished, are nobody's business. The empty snapshot with which a repository
begins holds no data, and is no state.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from typing import Final

import icechunk

LATEST: Final = "latest"
"""What stands for the newest instance, and is therefore no name of a state."""
NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""A tag that can stand in a path; others are not served."""
SNAPSHOT_PATTERN: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{20}")
"""Icechunk's identifiers: Crockford's base 32."""
ROOT: Final = "1CECHNKREP0F1RSTCMT0"
"""The snapshot with which every repository begins; it is empty."""
MOST_SNAPSHOTS: Final = 1_000
"""Snapshots of the branch that can be asked for, the newest; older ones by their tags only."""
KNOWN_SECONDS: Final = 2.0
"""For so long the states are known without asking the repository again."""


@dataclass(frozen=True, slots=True)
class State:
    """One state of a dataset that can be asked for."""

    id: str
    """The tag, or the identifier of the snapshot."""
    snapshot: str
    written: datetime
    """When the snapshot was committed, UTC."""
    message: str
    """What its writer said of it."""
    tagged: bool
    previous: str | None
    """Identifier of the snapshot before it; None for the first."""


class History:
    """The states of one repository. Safe to share between threads.

    What Icechunk raises where the repository cannot be read is not caught here.

    Parameters
    ----------
    repository : icechunk.Repository
        Opened for reading.
    branch : str
        The branch that is served.
    """

    def __init__(self, repository: icechunk.Repository, branch: str) -> None:
        self._repository = repository
        self._branch = branch
        self._lock = threading.Lock()
        self._tip: str | None = None
        self._snapshots: tuple[State, ...] = ()
        self._tags: Mapping[str, State] = {}
        self._known: Mapping[str, State] = {}
        self._looked = -float("inf")

    def states(self) -> tuple[State, ...]:
        """Return the states as they are now: those with a name, then those of the branch, each newest first."""
        return tuple(self._look().values())

    def find(self, name: str) -> State | None:
        """Return the state of a tag or of a snapshot, or None where there is no such state."""
        known = self._known
        if name in known and monotonic() - self._looked < KNOWN_SECONDS:
            return known[name]
        return self._look().get(name)

    def session(self, snapshot: str) -> icechunk.Session:
        """Return a session that reads one state."""
        return self._repository.readonly_session(snapshot_id=snapshot)

    def _look(self) -> Mapping[str, State]:
        with self._lock:
            tip = str(self._repository.lookup_branch(self._branch))
            if tip != self._tip:
                # Snapshots never change: only where the branch has moved are they read again.
                self._snapshots, self._tip = tuple(self._of_branch()), tip
            self._tags = {state.id: state for state in self._of_tags()}
            others = {state.id: state for state in self._snapshots if state.id not in self._tags}
            self._known = {**self._tags, **others}
            self._looked = monotonic()
            return self._known

    def _of_branch(self) -> Iterator[State]:
        for info in islice(self._repository.ancestry(branch=self._branch), MOST_SNAPSHOTS):
            if info.id != ROOT:
                yield _state(str(info.id), info, tagged=False)

    def _of_tags(self) -> list[State]:
        wanted = [tag for tag in self._repository.list_tags() if NAME_PATTERN.fullmatch(tag) and tag != LATEST]
        # A tag never moves: what is known of it holds.
        found = [self._tags.get(tag) or self._tagged(tag) for tag in wanted]
        return sorted(
            (state for state in found if state is not None), key=lambda state: (state.written, state.id), reverse=True
        )

    def _tagged(self, tag: str) -> State | None:
        try:
            info = self._repository.lookup_snapshot(self._repository.lookup_tag(tag))
        except icechunk.NotFoundError:
            return None  # taken away meanwhile, or its snapshot has expired
        return None if info.id == ROOT else _state(tag, info, tagged=True)


def _state(name: str, info: icechunk.SnapshotInfo, *, tagged: bool) -> State:
    previous = None if info.parent_id in (None, ROOT) else str(info.parent_id)
    return State(name, str(info.id), info.written_at.astimezone(UTC), info.message, tagged, previous)
