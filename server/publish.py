"""How does `isopleth publish` show what it does?"""

from __future__ import annotations

import argparse

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.ingest.publish import publish as publish_files
from server.progress import ProgressBar
from server.settings import default_data


def publish(options: argparse.Namespace) -> int:
    """Publish files as one collection, or append them to it; return the exit code.

    Raises
    ------
    IsoplethError
        If a file cannot be served right, or does not fit to what is published.
    """
    data = options.data if options.data is not None else default_data()
    definition = DatasetDefinition(
        id=options.id,
        href="",
        title=options.title,
        description=options.description,
        licence=options.licence,
        attribution=options.attribution,
        published=True,
    )
    with ProgressBar(f"publishing {options.id}", quiet=options.quiet) as bar:
        report = publish_files(options.files, definition, data, bar.show)
    for note in report.notes:
        print(f"note: {note}")  # noqa: T201
    verb = "finished" if report.resumed else "published" if report.created else "appended to"
    times = f", {report.added_times} times ({report.first_time} to {report.last_time})" if report.added_times else ""
    print(f"{verb} {report.id}: {', '.join(report.parameters)}{times}, snapshot {report.snapshot}")  # noqa: T201
    return 0
