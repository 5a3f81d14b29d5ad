"""How do the processes work in a stock pygeoapi?

In its configuration::

    resources:
      subset:
        type: process
        processor:
          name: plugins.processes.processors.SubsetProcessor
          datasets: [{id: sst, href: /data/sst.zarr}]   # fields of DatasetDefinition
          published: /data/datasets                     # optional: folder of published datasets

Each is a thin adapter: pygeoapi makes a new processor for every request, so nothing is opened in ``__init__``.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pygeoapi.process.base import BaseProcessor

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.errors import InvalidQueryError
from plugins.processes.context import ProcessContext
from plugins.processes.registry import PROCESSES, execute


class _Processor(BaseProcessor):  # type: ignore[misc]
    process_id: ClassVar[str]

    def __init__(self, processor_def: dict[str, Any]) -> None:
        """Take the definition from pygeoapi's configuration."""
        super().__init__(processor_def, copy.deepcopy(dict(PROCESSES[self.process_id].description)))
        self.supports_outputs = True
        published = processor_def.get("published")
        self._context = ProcessContext(
            tuple(DatasetDefinition(**item) for item in processor_def.get("datasets", ())),
            None if published is None else Path(published),
        )

    def execute(self, data: dict[str, Any], outputs: Any = None) -> tuple[str, Any]:
        """Run the process.

        Parameters
        ----------
        data : dict
            The inputs.
        outputs : dict, list or None
            Which outputs are wanted, of a process that has several; None or empty for all.

        Returns
        -------
        tuple of str and (bytes, str or dict)
            Media type and result.

        Raises
        ------
        IsoplethError
            As the process.
        """
        with tempfile.TemporaryDirectory(prefix="isopleth-") as folder:
            outcome = execute(self.process_id, data, self._context, Path(folder), _no_report)
            content = outcome.path.read_bytes()
        if not PROCESSES[self.process_id].document:
            return outcome.media_type, content
        return outcome.media_type, _chosen(json.loads(content), outputs, PROCESSES[self.process_id].description)


class SubsetProcessor(_Processor):
    """The process ``subset`` for pygeoapi."""

    process_id = "subset"


class TemporalAggregationProcessor(_Processor):
    """The process ``temporal-aggregation`` for pygeoapi."""

    process_id = "temporal-aggregation"


class ClimatologyProcessor(_Processor):
    """The process ``climatology`` for pygeoapi."""

    process_id = "climatology"


class AnomalyProcessor(_Processor):
    """The process ``anomaly`` for pygeoapi."""

    process_id = "anomaly"


class ZonalStatisticsProcessor(_Processor):
    """The process ``zonal-statistics`` for pygeoapi."""

    process_id = "zonal-statistics"


class PercentilesProcessor(_Processor):
    """The process ``percentiles`` for pygeoapi."""

    process_id = "percentiles"


class ExceedanceProcessor(_Processor):
    """The process ``exceedance`` for pygeoapi."""

    process_id = "exceedance"


class EnsembleStatisticsProcessor(_Processor):
    """The process ``ensemble-statistics`` for pygeoapi."""

    process_id = "ensemble-statistics"


class TrendProcessor(_Processor):
    """The process ``trend`` for pygeoapi."""

    process_id = "trend"


class EchoProcessor(_Processor):
    """The process ``echo`` for pygeoapi."""

    process_id = "echo"


def _no_report(fraction: float, message: str | None = None) -> None:
    """Report to nobody: pygeoapi's processors have no progress."""


def _chosen(values: dict[str, Any], outputs: Any, description: Mapping[str, Any]) -> dict[str, Any]:
    wanted = list(outputs) if isinstance(outputs, dict | list) else []
    for name in wanted:
        if name not in description["outputs"]:
            raise InvalidQueryError(
                "outputs", f"{str(name)[:64]!r} is not an output", ", ".join(description["outputs"])
            )
    return {name: value for name, value in values.items() if not wanted or name in wanted}
