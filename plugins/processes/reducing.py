"""How does a reduction become a process: inputs checked, cost known, blocks reduced, a file written?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from plugins.datacube.cancel import Cancel
from plugins.datacube.coverage import Coverage
from plugins.datacube.library import Library
from plugins.datacube.limits import Limits
from plugins.datacube.reduce.answer import answer
from plugins.datacube.reduce.engine import reduce
from plugins.datacube.reduce.reduction import Lay, Reduction, Statistic, lay_reduction
from plugins.formats.table import Format
from plugins.jobs.child import Report
from plugins.jobs.job import Outcome
from plugins.processes.data_inputs import Data, checked, choose, chosen_format, formats_of
from plugins.processes.process import Prepared, Process

READING_SHARE: Final = 0.9
"""Of the progress of a job; the rest is writing."""

type Answer = Callable[[Reduction, Mapping[str, Sequence[NDArray[Any]]]], tuple[Coverage, ...]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a process makes of its inputs and of the data that they select."""

    rows_of: Lay
    statistics: Sequence[Statistic]
    answer: Answer = answer
    formats: Collection[str] | None = None
    """Keys; those of the query if None."""
    least_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Reducing:
    """A process that is one reduction."""

    description: Mapping[str, Any]
    own: frozenset[str]
    """Its inputs that say nothing of the data."""
    setting: Callable[[Mapping[str, Any], Data], Setting]
    data: Callable[[Mapping[str, Any], Collection[str], Library], Data] = choose

    def process(self, processor: str) -> Process:
        """Return it as a process of the server; `processor` is the class for pygeoapi."""
        return Process(
            self.description, f"plugins.processes.processors.{processor}", self.validate, self.prepare, self.run
        )

    def validate(self, inputs: object) -> dict[str, Any]:
        """Check the form of the inputs. Raises InvalidQueryError."""
        return checked(inputs, self.description)

    def prepare(self, inputs: Mapping[str, Any], library: Library, limits: Limits) -> Prepared:
        """Check validated inputs against the collection, and say what the answer costs; nothing is read.

        Raises
        ------
        InvalidQueryError, NoDataError, TooLargeError, DatasetError
            What the run would raise before it reads.
        """
        data, _, reduction, _ = self._lay(inputs, library, limits)
        return Prepared(dict(inputs), reduction.cost, data.cube.snapshot)

    def run(
        self,
        inputs: Mapping[str, Any],
        library: Library,
        limits: Limits,
        workdir: Path,
        report: Report,
        cancel: Cancel | None = None,
    ) -> Outcome:
        """Reduce, and write the answer to a file in `workdir`. Raises as `prepare`, StorageError and CancelledError."""
        data, setting, reduction, written_as = self._lay(inputs, library, limits)
        cancel = cancel or Cancel()
        report(0.0, "reading")
        values = reduce(
            data.opened, reduction, cancel, lambda fraction: report(READING_SHARE * fraction, "reading and reducing")
        )
        name = f"{data.cube.id}-{self.description['id']}"
        return write(setting.answer(reduction, values), written_as, workdir, name, report, cancel)

    def _lay(
        self, inputs: Mapping[str, Any], library: Library, limits: Limits
    ) -> tuple[Data, Setting, Reduction, Format]:
        data = self.data(inputs, self.own, library)
        setting = self.setting(inputs, data)
        written_as = chosen_format(inputs, formats_of(data) if setting.formats is None else setting.formats)
        reduction = lay_reduction(
            data.plan, setting.rows_of, setting.statistics, limits, named=data.named, least_share=setting.least_share
        )
        return data, setting, reduction, written_as


def write(
    coverages: tuple[Coverage, ...], written_as: Format, workdir: Path, name: str, report: Report, cancel: Cancel
) -> Outcome:
    """Write coverages to a file of `workdir`. Raises CancelledError, and InvalidQueryError where the format cannot."""
    report(READING_SHARE, "writing")
    path = workdir / f"result.{written_as.extension}"
    with path.open("wb") as file:
        for part in written_as.encode(coverages):
            cancel.raise_if_cancelled()
            file.write(part)
    return Outcome(path, written_as.content_type, f"{name}.{written_as.extension}")
