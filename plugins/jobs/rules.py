"""Which jobs may wait, which may start now, and if not, by which rule?

A rule of the operator selects jobs by process, user and cost, and limits them. All rules that select a job hold for it;
which those are is decided once, when the job is submitted, and stands in its *lane*: the names of the rules, so that a
claim need not look at the jobs themselves. What a rule limits is looked up at each claim, so it can be changed while
jobs wait; a rule that is gone limits nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from plugins.datacube.errors import QuotaError, TooLargeError
from plugins.jobs.job import JobRequest

FOLLOWING: Final = "="
"""Before the lane of a job that waits for the result of another: nothing is started from such a lane."""
RETRY_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What some jobs may do."""

    name: str
    """Letters, digits, ``-`` and ``_``; shown to users."""
    processes: tuple[str, ...] = ()
    """Patterns of process identifiers (``*`` stands for anything); empty selects all."""
    users: tuple[str, ...] = ()
    """Patterns of owners; empty selects all. Who did not identify themselves is ``""``."""
    cost_from: int | None = None
    """Selects jobs that read at least so many bytes."""
    cost_below: int | None = None
    """Selects jobs that read fewer bytes; one whose cost is not known is not selected."""
    running: int | None = None
    """Jobs that run at the same time, of all users."""
    running_per_user: int | None = None
    queued: int | None = None
    """Jobs that wait, of all users."""
    queued_per_user: int | None = None
    cost_most: int | None = None
    """Bytes that one job may read."""
    reserved: int = 0
    """Slots that are kept free for these jobs."""
    weight: float = 1.0
    """Share of a user with such jobs against users with others: 2 starts twice as often while both wait."""

    def selects(self, request: JobRequest) -> bool:
        """Return whether the rule holds for a job."""
        return (
            (not self.processes or any(fnmatchcase(request.process_id, pattern) for pattern in self.processes))
            and (not self.users or any(fnmatchcase(request.owner, pattern) for pattern in self.users))
            and (self.cost_from is None or (request.cost is not None and request.cost >= self.cost_from))
            and (self.cost_below is None or (request.cost is not None and request.cost < self.cost_below))
        )


@dataclass(frozen=True, slots=True)
class Quotas:
    """How much one owner may ask for, and what the rules say."""

    running_per_owner: int | None = None
    """Jobs of one owner that run at the same time; None: as many as there are slots."""
    queued_per_owner: int = 1000
    """Jobs of one owner that wait."""
    slots: int | None = None
    """Jobs that run at the same time, for estimates; None where it is not known here."""
    rules: tuple[Rule, ...] = ()

    def of_lane(self, lane: str) -> tuple[Rule, ...]:
        """Return the rules of a lane that are still in force."""
        names = lane.removeprefix(FOLLOWING).split(",")
        return tuple(rule for rule in self.rules if rule.name in names)


@dataclass(frozen=True, slots=True)
class Block:
    """Why a job cannot start now."""

    kind: str
    """``slots``, ``user`` or ``rule``."""
    detail: str
    """For the owner of the job."""
    rule: str | None = None


def lane_of(request: JobRequest, rules: Iterable[Rule]) -> str:
    """Return the lane of a job: the names of its rules.

    Examples
    --------
    >>> rules = [Rule(name="short", cost_below=100), Rule(name="plots", processes=("plot*",))]
    >>> lane_of(JobRequest(process_id="plot-map", inputs={}, cost=7), rules)
    'short,plots'
    """
    return ",".join(rule.name for rule in rules if rule.selects(request))


def admit(
    request: JobRequest, rules: Sequence[Rule], queued: Mapping[str, int], queued_by_owner: Mapping[str, int]
) -> None:
    """Refuse a job that may not even wait.

    Parameters
    ----------
    request : JobRequest
    rules : sequence of Rule
        Those that select it.
    queued, queued_by_owner : mapping of str to int
        Jobs that wait, by lane: of everybody, and of the owner of the job.

    Raises
    ------
    TooLargeError
        If a rule allows less for one job: it can never be accepted.
    QuotaError
        If too many jobs wait: it can be accepted later.
    """
    for rule in rules:
        if rule.cost_most is not None and request.cost is not None and request.cost > rule.cost_most:
            raise TooLargeError(
                f"the rule {rule.name!r} allows such a job to read {rule.cost_most} bytes, and it would read "
                f"{request.cost}: ask for less, or in several jobs",
                estimate={"bytes_decoded": request.cost},
                limits={"bytes_decoded": rule.cost_most},
            )
        for most, waiting, whose in (
            (rule.queued_per_user, _within(rule, queued_by_owner), "of your jobs"),
            (rule.queued, _within(rule, queued), "jobs"),
        ):
            if most is not None and waiting >= most:
                raise QuotaError(
                    f"{waiting} {whose} wait already under the rule {rule.name!r}, the most that it allows",
                    RETRY_SECONDS,
                    rule=rule.name,
                    valid=f"the same request, as soon as fewer than {most} wait",
                )


def blocked(lane: str, owner: str, running: Sequence[tuple[str, str]], quotas: Quotas, slots: int) -> Block | None:
    """Return why a job of a lane cannot start now, or None where it can.

    Parameters
    ----------
    lane : str
    owner : str
    running : sequence of (owner, lane)
        The jobs that run.
    quotas : Quotas
    slots : int
        Jobs that may run at the same time.
    """
    if lane.startswith(FOLLOWING):
        return Block("shared", "another job makes the same result")
    if len(running) >= slots:
        return Block("slots", "the only slot is busy" if slots == 1 else f"all {slots} slots are busy")
    own = sum(1 for other, _ in running if other == owner)
    most = quotas.running_per_owner or slots
    if own >= most:
        return Block("user", f"{own} of your jobs run already, as many as one user may have")
    names = lane.split(",")
    for rule in quotas.rules:
        count = sum(1 for _, other in running if rule.name in other.split(","))
        if rule.name not in names:
            continue
        if rule.running is not None and count >= rule.running:
            return Block("rule", f"{count} jobs run under the rule {rule.name!r}, as many as it allows", rule.name)
        mine = sum(1 for who, other in running if who == owner and rule.name in other.split(","))
        if rule.running_per_user is not None and mine >= rule.running_per_user:
            detail = f"{mine} of your jobs run under the rule {rule.name!r}, as many as it allows one user"
            return Block("rule", detail, rule.name)
    kept = [rule for rule in quotas.rules if rule.reserved and rule.name not in names]
    wanting = {
        rule.name: max(0, rule.reserved - sum(1 for _, other in running if rule.name in other.split(",")))
        for rule in kept
    }
    if slots - len(running) <= sum(wanting.values()):
        name = next(name for name, missing in wanting.items() if missing)
        return Block("rule", f"the free slots are reserved by the rule {name!r}", name)
    return None


def weight_of(lane: str, quotas: Quotas) -> float:
    """Return the share of a lane: the largest weight of its rules."""
    return max((rule.weight for rule in quotas.of_lane(lane)), default=1.0)


def _within(rule: Rule, counts: Mapping[str, int]) -> int:
    return sum(
        number for lane, number in counts.items() if rule.name in lane.removeprefix(FOLLOWING).split(",")
    )  # fmt: skip
