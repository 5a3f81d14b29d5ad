"""What do the members of an ensemble say together: mean, spread, percentiles, and how likely is it?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from plugins.datacube.axes import Axis, AxisKind
from plugins.datacube.datacube import Datacube, Parameter
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.reduce.answer import describe
from plugins.datacube.reduce.layout import Layout
from plugins.datacube.reduce.reduction import Rows, Statistic
from plugins.datacube.reduce.thresholds import Beyond, Comparison, Share
from plugins.processes.data_inputs import Data, data_inputs, format_input, result_output
from plugins.processes.reducing import Reducing, Setting
from plugins.processes.statistics import LEAST_SHARE, STATISTICS, statistics

MEMBERS: Final = ("realization", "number", "member", "ensemble", "ensemble_member")
"""Standard name, and names, of the dimension of the members."""

_OWN: Final[Mapping[str, Any]] = {
    "over": {
        "title": "Dimension",
        "description": "The dimension of the members; if absent, the one whose standard name is realization or whose "
        "name is usual for members, or the only custom dimension.",
        "schema": {"type": "string", "maxLength": 200},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "statistics": STATISTICS,
    "threshold": {
        "title": "Threshold",
        "description": "In the units of the parameter: gives the probability, as the share of the members beyond it.",
        "schema": {"type": "number"},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "comparison": {
        "title": "Comparison",
        "description": "Which side of the threshold counts.",
        "schema": {"type": "string", "enum": [each.value for each in Comparison], "default": ">"},
        "minOccurs": 0,
        "maxOccurs": 1,
    },
    "least-share": LEAST_SHARE,
    "format": format_input(),
}

DESCRIPTION: Final[Mapping[str, Any]] = {
    "id": "ensemble-statistics",
    "version": "1.0.0",
    "title": "Statistics over the members",
    "description": (
        "Mean, spread (std, divided by the number of members), extremes and percentiles over the members of an "
        "ensemble at each time and cell, and the probability that a threshold is passed. Also over any "
        "other custom dimension."
    ),
    "keywords": ["ensemble", "members", "spread", "probability", "percentiles"],
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "inputs": {**data_inputs(), **_OWN},
    "outputs": result_output("The statistics", "A file in the format that was asked for."),
    "example": {
        "inputs": {
            "collection": "an-ensemble",
            "coords": "POINT(-3.5 50.7)",
            "statistics": ["mean", "std", "p10", "p90"],
            "threshold": 273.15,
            "comparison": "<",
            "format": "CoverageJSON",
        }
    },
}


def setting(inputs: Mapping[str, Any], data: Data) -> Setting:
    """Take the members together."""
    members = _members(inputs.get("over"), data.cube)
    names = inputs.get("statistics", [] if "threshold" in inputs else ["mean", "std"])
    made = statistics(names, members.standard_name or members.name, "ensemble")
    if "threshold" in inputs:
        beyond = Beyond(Comparison(inputs.get("comparison", ">")), float(inputs["threshold"]))
        label = f"probability {beyond.comparison.value} {beyond.threshold:g}"
        made.append(Statistic(Share(beyond), partial(_probability, label=label)))
    return Setting(partial(_rows, members=members), made, least_share=float(inputs.get("least-share", 0)))


def _members(name: str | None, cube: Datacube) -> Axis:
    custom = cube.custom_axes
    valid = ", ".join(axis.name for axis in custom) or "a collection with members"
    if name is not None:
        found = [axis for axis in custom if axis.name == name]
    else:
        found = [axis for axis in custom if axis.standard_name == MEMBERS[0]]
        found = found or [axis for axis in custom if axis.name.lower() in MEMBERS]
        found = found or list(custom)
    if not found or (name is None and len(found) > 1):
        what = "has no members" if not custom else "has several dimensions that could be the members"
        raise InvalidQueryError(
            "over", f"{cube.id} {what if name is None else f'has no dimension {name[:64]!r}'}", valid
        )
    return found[0]


def _rows(layout: Layout, members: Axis) -> Rows | None:
    number = layout.find(members)
    if number is None or layout.leading[number].axis.kind is not AxisKind.CUSTOM:
        return None
    return Rows((number,), None, np.zeros(layout.shape[number], np.intp))


def _probability(parameter: Parameter, label: str) -> Parameter:
    return describe(parameter, "probability", label, units=("1", "1"), dtype="float32", named=False)


PROCESS: Final = Reducing(DESCRIPTION, frozenset(_OWN), setting).process("EnsembleStatisticsProcessor")
