"""What did the doctor find, as values and as text?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Severity(StrEnum):
    """How much a finding matters, worst first."""

    ERROR = "error"
    """The dataset, or a part of it, cannot be served right."""
    WARNING = "warning"
    """It is served, but something is lost: a check, a meaning, a variable, or speed beyond the limits."""
    ADVICE = "advice"
    """It could be better."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    severity: Severity
    code: str
    """Stable identifier, for example ``missing-chunks``."""
    sentence: str
    subject: str | None = None
    """The variable it is about; None where it is about the dataset."""


@dataclass(frozen=True, slots=True)
class LayoutCost:
    """What two typical requests of a parameter decode, as it is stored and as it could be."""

    parameter: str
    chunks: tuple[int, ...]
    """Shape of the unit that is decoded at once."""
    series_chunks: int
    """Chunks that the whole time axis at one point reads."""
    series_bytes: int
    """Bytes decoded for it."""
    map_chunks: int
    """Chunks that one whole map, at one time and level, reads."""
    map_bytes: int
    better_chunks: tuple[int, ...]
    """Chunks that balance the two, of about a mebibyte."""
    better_series_bytes: int
    better_map_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """The whole examination of one store."""

    id: str
    findings: tuple[Finding, ...]
    """Worst first."""
    costs: tuple[LayoutCost, ...] = ()
    """By parameter, where the grid has horizontal dimensions."""

    @property
    def servable(self) -> bool:
        """Whether the store can be served right: there is no error."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 where the store can be served right, warnings and advice or not; 1 where it cannot."""
        return 0 if self.servable else 1

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "id": self.id,
            "servable": self.servable,
            "findings": [
                {"severity": f.severity.value, "code": f.code, "subject": f.subject, "sentence": f.sentence}
                for f in self.findings
            ],
            "layout": [
                {
                    "parameter": cost.parameter,
                    "chunks": list(cost.chunks),
                    "point_series": {"chunks": cost.series_chunks, "bytes_decoded": cost.series_bytes},
                    "map": {"chunks": cost.map_chunks, "bytes_decoded": cost.map_bytes},
                    "balanced": {
                        "chunks": list(cost.better_chunks),
                        "point_series_bytes_decoded": cost.better_series_bytes,
                        "map_bytes_decoded": cost.better_map_bytes,
                    },
                }
                for cost in self.costs
            ],
        }


_UNITS: Final = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def size_text(count: int) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> size_text(512), size_text(1536), size_text(3 << 30)
    ('512 B', '1.5 KiB', '3.0 GiB')
    """
    for unit, size in _UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def shape_text(shape: Sequence[int]) -> str:
    """Write a chunk shape for people.

    Examples
    --------
    >>> shape_text((1, 181, 360))
    '1×181×360'
    """
    return "×".join(str(size) for size in shape) or "one value"


def render(report: Report) -> str:
    """Write a report as text: the findings, worst first, then a table of what typical requests decode."""
    lines = [f"{report.id}: {_verdict(report)}"]
    for finding in report.findings:
        subject = f" {finding.subject}:" if finding.subject else ""
        lines.append(f"  {finding.severity.value:<7} [{finding.code}]{subject} {finding.sentence}")
    if report.costs:
        header = ("parameter", "chunks", "point series", "one map", "balanced chunks", "point series", "one map")
        rows = [
            (
                cost.parameter,
                shape_text(cost.chunks),
                f"{size_text(cost.series_bytes)} in {cost.series_chunks}",
                f"{size_text(cost.map_bytes)} in {cost.map_chunks}",
                shape_text(cost.better_chunks),
                size_text(cost.better_series_bytes),
                size_text(cost.better_map_bytes),
            )
            for cost in report.costs
        ]
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
        lines.append("  what is decoded (bytes in chunks) for the whole time axis at one point, and for one map:")
        lines.extend(
            "    " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in (header, *rows)
        )
    return "\n".join(lines)


def _verdict(report: Report) -> str:
    counts = [(report.count(severity), severity.value) for severity in Severity]
    found = [f"{n} {name}{'s' if n > 1 and name != 'advice' else ''}" for n, name in counts if n]
    verdict = "can be served" if report.servable else "cannot be served right"
    return f"{verdict} ({', '.join(found)})" if found else f"{verdict}, nothing to remark"
