"""What does a GRIB file hold? Asked of a child process, because ecCodes cannot live beside pyproj."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest.content import Content, Selection, SourceVariable

CHILD = "plugins.datacube.ingest.grib_child"


def open_grib(path: Path, scratch: Path, progress: Callable[[float], None]) -> Content:
    """Decode a GRIB file, edition 1 or 2, into a scratch folder, and describe what came out.

    Parameters
    ----------
    path : Path
        The file. Nothing is written beside it.
    scratch : Path
        An empty folder with room for the decoded fields (four bytes a value).
    progress : callable
        Told the decoded fraction.

    Raises
    ------
    DatasetError
        If the file is damaged, cut short, or its fields do not form one cube; also if the decoder crashes.
    """
    # -P: a folder named like one of our modules in the user's working directory must not be imported.
    command = [sys.executable, "-P", "-m", CHILD, str(path.resolve()), str(scratch)]
    complaint: str | None = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:  # noqa: S603
        try:
            for line in child.stdout or ():
                report = _parse(line)
                complaint = report.get("error", complaint)
                if "progress" in report:
                    progress(float(report["progress"]))
        except BaseException:
            child.kill()
            raise
    if complaint is not None:
        raise DatasetError(f"{path.name} {complaint}")
    if child.returncode != 0 or not (scratch / "content.json").exists():
        raise DatasetError(f"{path.name} cannot be read: the GRIB decoder stopped unexpectedly ({child.returncode})")
    return _describe(path, scratch)


def _parse(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        return {}  # a message of the decoder's own
    return document if isinstance(document, dict) else {}


def _describe(path: Path, scratch: Path) -> Content:
    document = json.loads((scratch / "content.json").read_text(encoding="utf-8"))
    variables: dict[str, SourceVariable] = {}
    auxiliary = set()
    for name, entry in document["variables"].items():
        array = _memory_map(scratch, name)
        attributes = dict(entry["attributes"])
        if attributes.get("_FillValue") == "NaN":
            attributes["_FillValue"] = array.dtype.type("nan")
        variables[name] = SourceVariable(name, tuple(entry["dims"]), array.shape, array.dtype, attributes)
        if entry["auxiliary"]:
            auxiliary.add(name)

    def reader(name: str, selection: Selection) -> NDArray[Any]:
        return np.array(_memory_map(scratch, name)[selection])

    dimensions = {dim: size for v in variables.values() for dim, size in zip(v.dims, v.shape, strict=True)}
    notes = tuple(f"{path.name}: {note}" for note in document["notes"])
    return Content(path, dimensions, variables, document["attributes"], reader, notes, frozenset(auxiliary))


def _memory_map(scratch: Path, name: str) -> NDArray[Any]:
    path = scratch / f"{name}.npy"
    # A scalar cannot be mapped.
    header = np.load(path, mmap_mode="r") if path.stat().st_size > 0 else np.load(path)
    return np.asarray(header) if header.ndim == 0 else header
