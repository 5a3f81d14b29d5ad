"""The command line: which verb, on what, with which result for the shell?

    isopleth serve [CONFIG | STORE…]     run the server
    isopleth publish FILE… --id ID       turn NetCDF or GRIB files into a served dataset
    isopleth check STORE | CONFIG        examine stores before serving them

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
  isopleth publish *.grib --id ifs --data /var/lib/isopleth""",
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
    publish.add_argument("files", nargs="+", type=Path, metavar="FILE", help="NetCDF or GRIB files")
    publish.add_argument("--id", required=True, help="collection id")
    publish.add_argument("--title")
    publish.add_argument("--description")
    publish.add_argument("--licence", help="SPDX identifier, for example CC-BY-4.0")
    publish.add_argument("--attribution", help="the credit that the licence asks for")
    publish.add_argument("--quiet", action="store_true", help="no progress bar")
    _data_option(publish)

    check = verb("check", "examine a store, or every dataset of a configuration, before serving it")
    check.add_argument("source", metavar="STORE|CONFIG")
    check.add_argument("--json", action="store_true", help="machine-readable report")
    return top


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


def _data_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--data", type=Path, metavar="DIR", help="data folder (default: ISOPLETH_DATA, else ./data)", default=None
    )
