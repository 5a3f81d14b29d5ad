"""Do the layouts of a dataset hold its data, and are they used?"""

from __future__ import annotations

from collections.abc import Iterator

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.doctor.report import Finding, Severity
from plugins.datacube.errors import DatasetError, StorageError
from plugins.datacube.layout.sample import differences
from plugins.datacube.layouts import compare
from plugins.datacube.library import open_datacube


def layout_copies(definition: DatasetDefinition) -> Iterator[Finding]:
    """Compare each layout with the dataset: its axes, its state, and the values of a few random cells."""
    for layout in definition.layouts:
        subject = f"layout {layout.name}"
        try:
            opened = open_datacube(definition)
            found = compare(opened, layout, open_datacube(definition.of_layout(layout)))
        except DatasetError as error:
            yield Finding(Severity.WARNING, "layout-unusable", f"it cannot be opened: {error.detail}", subject)
            continue
        if found.stale:
            sentence = f"it is not used: it {found.problem}; `isopleth layout` brings it up to date"
            yield Finding(Severity.WARNING, "layout-stale", sentence, subject)
            continue
        if found.problem is not None:
            sentence = f"it {found.problem}" if found.view is not None else f"it is not used: it {found.problem}"
            yield Finding(Severity.WARNING, "layout-unusable", sentence, subject)
        if found.view is None:
            continue
        try:
            others = tuple(differences(opened, found.view))
        except StorageError as error:
            yield Finding(Severity.ERROR, "layout-damaged", error.detail, subject)
            continue
        if others:
            sentence = f"it holds other values of {', '.join(others)} than the dataset, and would be used for them"
            yield Finding(Severity.ERROR, "layout-differs", sentence, subject)
