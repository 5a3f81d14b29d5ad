"""How does `isopleth publish` show what it does?"""

from __future__ import annotations

import argparse

from plugins.datacube.definition import DatasetDefinition
from plugins.datacube.ingest.publish import publish as publish_files
from plugins.datacube.ingest.tags import tag as give_tag
from plugins.datacube.location_file import read_locations
from server.progress import ProgressBar
from server.settings import default_data


def publish(options: argparse.Namespace) -> int:
    """Publish files as one collection, or append them to it, or name a state of it; return the exit code.

    Raises
    ------
    IsoplethError
        If a file cannot be served right, or does not fit to what is published, or the name cannot be given.
    """
    data = options.data if options.data is not None else default_data()
    if not options.files and options.tag is not None:
        snapshot = give_tag(options.id, data, options.tag)
        print(f"named the state of {options.id} {options.tag}, snapshot {snapshot}")  # noqa: T201
        return 0
    if options.locations is not None:
        # What is wrong with it is said before anything is written.
        read_locations(options.locations)
    definition = DatasetDefinition(
        id=options.id,
        href="",
        title=options.title,
        description=options.description,
        licence=options.licence,
        attribution=options.attribution,
        locations=None if options.locations is None else str(options.locations.resolve()),
        published=True,
    )
    with ProgressBar(f"publishing {options.id}", quiet=options.quiet) as bar:
        report = publish_files(options.files, definition, data, bar.show, tag=options.tag)
    for note in report.notes:
        print(f"note: {note}")  # noqa: T201
    verb = "finished" if report.resumed else "published" if report.created else "appended to"
    times = f", {report.added_times} times ({report.first_time} to {report.last_time})" if report.added_times else ""
    named = f" ({options.tag})" if options.tag is not None else ""
    print(f"{verb} {report.id}: {', '.join(report.parameters)}{times}, snapshot {report.snapshot}{named}")  # noqa: T201
    return 0
