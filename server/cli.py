"""The command line: which verb, on what, with which result for the shell?

    isopleth serve [CONFIG | STORE…]     run the server
    isopleth publish FILE… --id ID       turn NetCDF or GRIB files into a served dataset
    isopleth layout ID --for PURPOSE     write a dataset once more, in other chunks
    isopleth jobs list|show|cancel|…     look at the jobs of a data folder, and act on them
    isopleth check STORE | CONFIG        examine stores before serving them
    isopleth catalog COMMAND             show, check, export and fill the STAC catalogue

Errors are one line on standard error and a non-zero exit code, never a traceback. Heavy imports are made by the verb
that needs them, so that ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

EXAMPLES = {
    "serve": """examples:
  isopleth serve                          serve everything published in the data folder
  isopleth serve era5.zarr sst.nc         serve two stores as the collections era5 and sst
  isopleth serve config/production.yml    serve what a configuration says
  isopleth serve s3://bucket/era5.zarr --port 8080""",
    "publish": """examples:
  isopleth publish sst-2023.nc --id sst --title "Sea-surface temperature"
  isopleth publish sst-2024.nc --id sst   append a year to the same collection
  isopleth publish *.grib --id ifs --data /var/lib/isopleth
  isopleth publish --id sst --tag 2024-final   give the state that is served a name""",
    "layout": """examples:
  isopleth layout era5 --for time-series  a copy whose chunks hold long series of few cells
  isopleth layout era5 --for map --memory 2048
  isopleth layout era5 --chunks time=744,latitude=16,longitude=16 --name balanced
  isopleth layout era5 --for time-series --config config/production.yml --out /big/era5-series

The same command, given again, goes on where it was interrupted, and later brings the copy up to date.""",
    "catalog": """commands: harvest, list, show, validate, export, import; `isopleth catalog COMMAND --help` says more

examples:
  isopleth catalog list --data /var/lib/isopleth
  isopleth catalog show era5 era5-2020-01
  isopleth catalog export /var/www/stac --server https://data.example.org
  isopleth catalog import https://stac.example.org/ --prefix their-""",
    "jobs": """examples:
  isopleth jobs list --status running,accepted
  isopleth jobs show JOB                  all about one job, with the log of its attempts
  isopleth jobs cancel JOB                stop it, or remove its result
  isopleth jobs retry JOB                 put a failed job back into the queue
  isopleth jobs purge --older-than 30     delete jobs that ended 30 days ago, with their results

All of them work on the data folder, while a server runs or not.""",
    "check": """examples:
  isopleth check era5.zarr
  isopleth check config/production.yml    every dataset of a configuration
  isopleth check s3://bucket/era5.zarr --json

exit code: 0 it can be served (warnings allowed), 1 it cannot be served right, 2 bad usage""",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="isopleth",
        description="A standards server for weather and climate data: OGC API EDR and Processes, and STAC.",
        epilog="`isopleth VERB --help` shows examples.",
    )
    top.add_argument("--version", action="version", version=f"isopleth {version('isopleth')}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        return verbs.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=EXAMPLES[name],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    serve = verb("serve", "run the server")
    serve.add_argument("sources", nargs="*", metavar="CONFIG|STORE", help="a configuration file (.yml), or stores")
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="port to listen on (default 8000; 0 takes a free one)")
    _data_option(serve)

    publish = verb("publish", "turn NetCDF or GRIB files into a served dataset, or append to one")
    publish.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="NetCDF or GRIB files; none to name a state",
    )
    publish.add_argument("--id", required=True, help="collection id")
    publish.add_argument("--title")
    publish.add_argument("--description")
    publish.add_argument("--licence", help="SPDX identifier, for example CC-BY-4.0")
    publish.add_argument("--attribution", help="the credit that the licence asks for")
    publish.add_argument(
        "--locations", type=Path, metavar="GEOJSON", help="named places of the dataset: a FeatureCollection, copied"
    )
    publish.add_argument("--tag", metavar="NAME", help="name this state of the data, by which it can be asked for")
    publish.add_argument("--quiet", action="store_true", help="no progress bar")
    _data_option(publish)

    layout = verb("layout", "write the data of a dataset once more, in chunks for another kind of request")
    layout.add_argument("id", metavar="ID", help="collection id")
    chunks = layout.add_mutually_exclusive_group(required=True)
    chunks.add_argument(
        "--for",
        dest="purpose",
        choices=("time-series", "map"),
        help="what the chunks should fit: series at a point, or maps of one time",
    )
    chunks.add_argument(
        "--chunks", metavar="DIM=SIZE,…", help="the chunks themselves; -1 is a whole dimension, others stay as they are"
    )
    layout.add_argument("--name", help="name of the layout (default: what it is for)")
    layout.add_argument("--out", metavar="HREF", help="where to write it (default: beside the dataset's store)")
    layout.add_argument(
        "--storage-option", action="append", default=[], metavar="NAME=VALUE", help="for the object store of --out"
    )
    layout.add_argument("--config", type=Path, metavar="FILE.yml", help="where the dataset is configured")
    layout.add_argument(
        "--memory", type=_mebibytes, default=512, metavar="MIB", help="arrays held at a time (default 512)"
    )
    layout.add_argument("--quiet", action="store_true", help="no progress bar")
    _data_option(layout)

    _jobs_commands(verb("jobs", "look at the jobs of a data folder, and act on them"))

    check = verb("check", "examine a store, or every dataset of a configuration, before serving it")
    check.add_argument("source", metavar="STORE|CONFIG")
    check.add_argument("--json", action="store_true", help="machine-readable report")

    _catalog_commands(verb("catalog", "show, check, export and fill the STAC catalogue"))
    return top


def _catalog_commands(catalog: argparse.ArgumentParser) -> None:
    commands = catalog.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name != "harvest":
            made.add_argument("--config", type=Path, metavar="FILE.yml", help="configuration of the server")
        _data_option(made)
        return made

    def server_option(made: argparse.ArgumentParser) -> None:
        made.add_argument("--server", metavar="URL", help="public address of the server (default: as configured)")

    harvest = command("harvest", "describe the datasets in the catalogue once, as a server does by itself")
    harvest.add_argument(
        "sources", nargs="*", metavar="CONFIG|STORE", help="as of `isopleth serve`: what is not named is taken out"
    )
    harvest.add_argument("--json", action="store_true", help="machine-readable report")

    listed = command("list", "list the collections with the number of their items")
    listed.add_argument("--json", action="store_true", help="machine-readable list")

    show = command("show", "print a collection, or an item")
    show.add_argument("id", metavar="COLLECTION")
    show.add_argument("item", metavar="ITEM", nargs="?")
    server_option(show)

    validate = command("validate", "check every document against the schemas of STAC; exit code 1 if any is not valid")
    validate.add_argument("ids", metavar="COLLECTION", nargs="*", help="only these")
    server_option(validate)

    export = command("export", "write the catalogue as files, for STAC Browser, pystac and every web server")
    export.add_argument("folder", type=Path, metavar="FOLDER")
    export.add_argument("--id", action="append", default=[], metavar="COLLECTION", help="only this; may be repeated")
    export.add_argument(
        "--published", metavar="URL", help="address at which the folder will be published (default: links are relative)"
    )
    export.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    server_option(export)

    imported = command("import", "copy another catalogue: a folder, a file, or the address of a catalogue or STAC API")
    imported.add_argument("source", metavar="FOLDER|FILE|URL")
    imported.add_argument("--prefix", default="", help="put before the ids of the collections")
    imported.add_argument(
        "--published", metavar="URL", help="address at which a local folder is published: relative links begin there"
    )
    imported.add_argument("--json", action="store_true", help="machine-readable report")
    imported.add_argument("--quiet", action="store_true", help="no progress")


def _jobs_commands(jobs: argparse.ArgumentParser) -> None:
    commands = jobs.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        _data_option(made)
        made.add_argument("--json", action="store_true", help="machine-readable report")
        return made

    listed = command("list", "list jobs, newest first")
    listed.add_argument("--status", metavar="STATUS,…", help="accepted, running, successful, failed, dismissed")
    listed.add_argument("--process", metavar="ID,…", help="of these processes")
    listed.add_argument("--user", metavar="NAME", help="of this user")
    listed.add_argument("--limit", type=_positive, default=50, metavar="N", help="most jobs (default 50)")
    for name, summary in (
        ("show", "show all about one job, and what its last attempt wrote to its log"),
        ("cancel", "dismiss a job: a waiting or running one is stopped, a finished one loses its result"),
        ("retry", "put a failed job back into the queue"),
    ):
        command(name, summary).add_argument("job", metavar="JOB", help="its id")
    purge = command("purge", "delete jobs that ended long ago, with their results")
    purge.add_argument("--older-than", type=float, required=True, metavar="DAYS", help="since their end; 0 is all")
    purge.add_argument("--status", metavar="STATUS,…", help="successful, failed, dismissed (default: all of them)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser().parse_args(arguments)
    # BLAS and OpenMP would start threads that no part of a server of many requests can use.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from plugins.datacube.errors import IsoplethError

    try:
        if options.verb == "serve":
            # On import it warns of settings that it does not find in the environment; ours come from elsewhere.
            logging.getLogger("stac_fastapi").setLevel(logging.ERROR)
            from server.serve import serve

            return serve(options.sources, host=options.host, port=options.port, data=options.data)
        if options.verb == "publish":
            from server.publish import publish

            return publish(options)
        if options.verb == "layout":
            from server.layout import layout

            return layout(options)
        if options.verb == "catalog":
            logging.getLogger("stac_fastapi").setLevel(logging.ERROR)
            from server.catalog_command import catalog

            return catalog(options)
        if options.verb == "jobs":
            from server.jobs import jobs

            return jobs(options)
        from server.check import check

        return check(options.source, as_json=options.json)
    except IsoplethError as error:
        print(f"isopleth: {error.detail}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("isopleth: interrupted", file=sys.stderr)
        return 130


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not int(text[:9]) >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text[:9])


def _mebibytes(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of mebibytes")
    return int(text)


def _data_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--data", type=Path, metavar="DIR", help="data folder (default: ISOPLETH_DATA, else ./data)", default=None
    )
