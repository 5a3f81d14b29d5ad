"""What is wrong with a store: can it be opened, does it say what it means, would damage be noticed?

Nothing is read but metadata, coordinates and the list of chunks: whether the bytes of every chunk are sound only a full
read can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from plugins.datacube.axes import AxisKind
from plugins.datacube.datacube import Datacube, Integrity, Parameter
from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.describe import describe
from plugins.datacube.doctor.copies import layout_copies
from plugins.datacube.doctor.layout import layout_costs, layout_findings, missing_chunks
from plugins.datacube.doctor.report import Finding, Report, Severity
from plugins.datacube.errors import DatasetError, IsoplethError
from plugins.datacube.locations import problem_of
from plugins.datacube.published import DOCUMENT, STORE, read_dataset_json
from plugins.datacube.sources import Source, explain, label_of, local_path, open_source

_OVER_TIME = re.compile(r"\btime:\s*(mean|sum|minimum|maximum|mid_range|standard_deviation|variance|median)")
"""Cell methods that say nothing without the bounds of the time they are over (CF conventions 1.11, section 7.3)."""


def examine(target: DatasetDefinition | str) -> Report:
    """Examine a Zarr or Icechunk store.

    Parameters
    ----------
    target : DatasetDefinition or str
        A dataset, the path or URL of a store, or the folder of a published dataset.

    Returns
    -------
    Report
        Also for a store that cannot be opened: that is its first finding. This function raises nothing for a bad store.
    """
    if isinstance(target, DatasetDefinition):
        definition = target
    else:
        try:
            definition = _definition(target)
        except DatasetError as error:
            return Report(label_of(target), (Finding(Severity.ERROR, "not-servable", error.detail),))
    try:
        source = open_source(definition)
        cube = _describe(source, definition)
    except DatasetError as error:
        return Report(definition.id, (Finding(Severity.ERROR, "not-servable", error.detail),))
    costs = layout_costs(cube)
    unusable = problem_of(definition)
    findings = [
        *_coordinates(cube),
        *([] if unusable is None else [Finding(Severity.ERROR, "no-locations", unusable)]),
        *_integrity(cube, source),
        *missing_chunks(cube, source),
        *layout_copies(definition),
        *(finding for parameter in cube.parameters.values() for finding in _meaning(parameter)),
        *_bounds(cube),
        *_dataset(cube),
        *layout_findings(cube, costs),
    ]
    order = list(Severity)
    return Report(definition.id, tuple(sorted(findings, key=lambda finding: order.index(finding.severity))), costs)


def _definition(href: str) -> DatasetDefinition:
    path = local_path(href)
    if path is not None:
        # A published dataset says more of itself than its store does.
        folder = next((f for f in (path, path.parent) if (f / DOCUMENT).is_file() and (f / STORE).is_dir()), None)
        if folder is not None and path.name in (folder.name, STORE):
            return read_dataset_json(folder.resolve())
    stem = PurePosixPath(label_of(href)).stem
    return DatasetDefinition(id=re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:128] or "store", href=href)


def _describe(source: Source, definition: DatasetDefinition) -> Datacube:
    try:
        return describe(source, definition)
    except IsoplethError:
        raise
    except Exception as error:
        # What the storage libraries raise becomes a sentence here as it does in the server.
        raise explain(error, source.label) from error


def _coordinates(cube: Datacube) -> Iterator[Finding]:
    if cube.unsupported is not None:
        yield Finding(Severity.ERROR, "not-queryable", cube.unsupported)
    for remark in cube.remarks:
        yield Finding(Severity.WARNING, "coordinates-contradict", remark)
    for name, reason in cube.skipped.items():
        yield Finding(Severity.WARNING, "variable-left-out", f"it is left out: {reason}", name)
    time = cube.axis(AxisKind.T)
    if time is None:
        yield Finding(Severity.ADVICE, "no-time", "there is no time axis, so nothing can be asked by time")
    for axis in cube.axes.values():
        if axis.kind is AxisKind.Z and axis.positive is None and axis.standard_name is None:
            sentence = "the vertical axis says neither what it is (standard_name) nor which way is up (positive)"
            yield Finding(Severity.WARNING, "vertical-unclear", sentence, axis.name)


def _integrity(cube: Datacube, source: Source) -> Iterator[Finding]:
    if cube.integrity is not Integrity.VERIFIED:
        sentence = (
            "some chunks carry no checksum, so a flipped bit would be served as data; the dataset is listed as "
            "'integrity: unverified' (publish it, or write it with a crc32c codec)"
        )
        yield Finding(Severity.WARNING, "no-checksums", sentence)
    if source.layout != "icechunk":
        sentence = "a plain Zarr store that is rewritten while it is served gives mixed answers; Icechunk does not"
        yield Finding(Severity.ADVICE, "no-snapshots", sentence)
        if source.group.metadata.consolidated_metadata is None:
            sentence = "its metadata is not consolidated: opening it takes one request an array"
            yield Finding(Severity.ADVICE, "not-consolidated", sentence)


def _meaning(parameter: Parameter) -> Iterator[Finding]:
    if parameter.units is None:
        yield Finding(Severity.WARNING, "no-units", "it has no units", parameter.name)
    elif parameter.ucum is None:
        sentence = f"its units {parameter.units!r} are not known, so clients get them as they stand and no UCUM code"
        yield Finding(Severity.WARNING, "unknown-units", sentence, parameter.name)
    if parameter.standard_name is None:
        sentence = "it has no CF standard name, so it cannot be found by what it measures"
        if parameter.long_name is None:
            sentence = "it has neither a standard name nor a long name: nothing says what it is"
        severity = Severity.ADVICE if parameter.long_name is not None else Severity.WARNING
        yield Finding(severity, "no-standard-name", sentence, parameter.name)


def _bounds(cube: Datacube) -> Iterator[Finding]:
    time = cube.axis(AxisKind.T)
    if time is None or time.bounds is not None:
        return
    for parameter in cube.parameters.values():
        match = _OVER_TIME.search(parameter.cell_methods or "")
        if match is not None and time.name in parameter.dims:
            sentence = (
                f"its values are a {match[1]} over time (cell_methods), but the time coordinate has no bounds: "
                "nothing says over which time"
            )
            yield Finding(Severity.WARNING, "no-time-bounds", sentence, parameter.name)


def _dataset(cube: Datacube) -> Iterator[Finding]:
    conventions = str(cube.attributes.get("Conventions", ""))
    if "CF" not in conventions:
        sentence = "the attribute Conventions does not name CF, so readers must guess what the attributes mean"
        yield Finding(Severity.ADVICE, "no-conventions", sentence)
    if cube.title == cube.id:
        yield Finding(Severity.ADVICE, "no-title", "there is no title, neither in the definition nor in the store")
    if cube.definition.licence is None and not any(key in cube.attributes for key in ("license", "licence")):
        sentence = "no licence is given: people cannot know what they may do with the data"
        yield Finding(Severity.ADVICE, "no-licence", sentence)
