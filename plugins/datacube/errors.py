"""What can go wrong between a query and its answer, grouped by what a handler would do about it?

::

    IsoplethError
    ├── InvalidQueryError     (also a ValueError)   the request is wrong: say which parameter, and what is valid
    │   └── NotAcceptableError                      no format that the client accepts
    ├── UnknownError          (also a LookupError)  no such collection, process, job, instance
    ├── NoDataError                                 a good request, but nothing lies there
    ├── TooLargeError                               a good request that would read or write too much
    ├── ConflictError                               what is there already stands against it
    │   └── PreconditionError                       it has changed since the client last saw it
    ├── BusyError                                   try again later
    │   └── QuotaError                              too much at a time, by the quota of a user or a rule
    ├── CancelledError                              the client went away, or the job was dismissed
    ├── DatasetError                                a store that cannot be opened or described
    │   └── UnsupportedDatasetError                 a store we can read but not query right
    └── StorageError          (also an OSError)     stored bytes could not be read, or failed their checksum

Errors know nothing of HTTP: `server.problems` and the pygeoapi providers map them in one table each.
"""

from __future__ import annotations

from typing import ClassVar


class IsoplethError(Exception):
    """Root of the tree; ``str(error)`` is one sentence fit for a user."""

    code: ClassVar[str] = "error"
    """Stable, append-only identifier, used in problem documents and logs."""

    @property
    def detail(self) -> str:
        """The sentence shown to the user (no Python text, no path of the server's machine)."""
        return str(self.args[0]) if self.args else self.code


class InvalidQueryError(IsoplethError, ValueError):
    """A parameter of the request is missing, malformed or out of its range."""

    code = "invalid-query"

    def __init__(self, parameter: str | None, detail: str, valid: str | None = None) -> None:
        super().__init__(detail)
        self.parameter = parameter
        """Name of the offending parameter as the client spells it."""
        self.valid = valid
        """What would be valid, in words or as a list; None where nothing useful can be said."""

    def __reduce__(self) -> tuple[type[InvalidQueryError], tuple[str | None, str, str | None]]:
        """Survive the way between a job's process and its runner."""
        return type(self), (self.parameter, self.detail, self.valid)


class NotAcceptableError(InvalidQueryError):
    """None of the media types that the client accepts can be produced."""

    code = "not-acceptable"


class UnknownError(IsoplethError, LookupError):
    """The named thing does not exist."""

    code = "not-found"


class NoDataError(IsoplethError):
    """The query is valid, but selects nothing: it lies outside the domain."""

    code = "no-data"


class TooLargeError(IsoplethError):
    """The query would read or produce more than the limits allow; refused before anything was read."""

    code = "too-large"

    def __init__(self, detail: str, *, estimate: dict[str, int], limits: dict[str, int]) -> None:
        super().__init__(detail)
        self.estimate = estimate
        """What the plan would cost: ``bytes_decoded``, ``chunks``, ``bytes_out``, ``values``."""
        self.limits = limits
        """The limits in force, under the same keys."""

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way between a job's process and its runner."""
        return _too_large, (self.detail, self.estimate, self.limits)


def _too_large(detail: str, estimate: dict[str, int], limits: dict[str, int]) -> TooLargeError:
    return TooLargeError(detail, estimate=estimate, limits=limits)


class ConflictError(IsoplethError):
    """A valid request that what is there already does not allow."""

    code = "conflict"


class PreconditionError(ConflictError):
    """What the client wants to change has changed since it was read."""

    code = "precondition"


class BusyError(IsoplethError):
    """The server is at its limits; the same request may succeed later."""

    code = "busy"

    def __init__(self, detail: str, retry_after: int = 2) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        """Seconds after which a new try makes sense."""


class QuotaError(BusyError):
    """The user, or a kind of request, has used up what it may have at a time."""

    code = "quota"

    def __init__(
        self, detail: str, retry_after: int = 60, *, rule: str | None = None, valid: str | None = None
    ) -> None:
        super().__init__(detail, retry_after)
        self.rule = rule
        """Name of the operator's rule, where it is one."""
        self.valid = valid
        """What would be accepted."""


class CancelledError(IsoplethError):
    """Nobody waits for the answer any more."""

    code = "cancelled"


class DatasetError(IsoplethError):
    """A store cannot be opened or described; the message is one sentence that says why."""

    code = "dataset"


class UnsupportedDatasetError(DatasetError):
    """A store was opened, but its contents cannot be queried correctly; the message says why."""

    code = "unsupported-dataset"


class StorageError(IsoplethError, OSError):
    """Stored bytes could not be read: missing chunk, failed checksum, broken network."""

    code = "storage"
