"""What does a GRIB file hold? Answered in a process of its own.

``python -m plugins.datacube.ingest.grib_child IN OUT`` is how `plugins.datacube.ingest.grib` runs it.

ecCodes and pyproj each bring their own PROJ, and a process that has both crashes; so this module and those it imports
load cfgrib and NumPy and nothing else. They load cfgrib inside functions, so that whoever collects the modules of this
package (a test runner, a documentation tool) does not load ecCodes.

The fields are decoded one by one into ``.npy`` files in the folder OUT; the child writes ``content.json`` beside them
when all is well, and reports on standard output, one JSON document a line: ``{"progress": 0.5}`` or
``{"error": "one sentence"}``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from plugins.datacube.ingest.grib_fields import Hypercube, RefusedError, hypercubes, require_distinct, require_one_grid
from plugins.datacube.ingest.grib_layout import Layout
from plugins.datacube.ingest.grib_messages import find_damage


def main(source: Path, target: Path) -> None:
    """Decode a file; everything is in `target` when this returns."""
    from cfgrib import dataset, messages

    try:
        stream = messages.FileStream(str(source), errors="raise")
        keys = sorted({*dataset.INDEX_KEYS, "time", "step"})
        # An empty index path: nothing is ever written beside the user's file.
        index = dataset.open_fileindex(stream, "", keys)
    except EOFError as error:
        raise RefusedError("holds no GRIB message") from error
    _require_complete(source, stream, index)
    cubes = [cube for param in sorted(index["paramId"]) for cube in hypercubes(index.subindex(paramId=param))]
    require_distinct(cubes)
    require_one_grid(cubes)
    layout = Layout(cubes)
    for name, values in layout.arrays.items():
        np.save(target / f"{name}.npy", values)
    notes = _decode(cubes, layout, target)
    document = {"variables": layout.variables, "attributes": layout.attributes(), "notes": notes}
    partial = target / "content.json.part"
    partial.write_text(json.dumps(_plain(document)), encoding="utf-8")
    partial.rename(target / "content.json")


def _require_complete(source: Path, stream: Any, index: Any) -> None:
    found = (offset for _, ids in index.iter_index() for offset in ids)
    # A second field of one message has the pair (offset, number).
    offsets = [int(offset[0] if isinstance(offset, tuple) else offset) for offset in found]
    damage = find_damage(source, offsets, lambda offset: int(stream[offset]["totalLength"]))
    if damage is not None:
        raise RefusedError(damage)


def _decode(cubes: list[Hypercube], layout: Layout, target: Path) -> list[str]:
    """Write the values of every field, one message at a time; return what is to be said about them."""
    from cfgrib.dataset import get_values_in_order

    total = sum(len(cube.data.field_id_index) for cube in cubes)
    done = 0
    notes = []
    for cube in cubes:
        data = cube.data
        kept = layout.variables[cube.name]["dims"]
        sizes = dict(zip(cube.dims, data.shape, strict=True))
        shape = tuple(sizes.get(dim, 1) for dim in kept)
        array = np.lib.format.open_memmap(target / f"{cube.name}.npy", mode="w+", dtype=data.dtype, shape=shape)
        header_dims = [dim for dim in kept if dim in cube.dims[: -data.geo_ndim]]
        positions = [cube.dims.index(dim) for dim in header_dims]
        expected = int(np.prod(data.shape[: -data.geo_ndim], dtype=np.int64))
        if absent := expected - len(data.field_id_index):
            array[...] = np.nan
            notes.append(f"{absent} of {expected} fields of {cube.name} are absent, and are missing values")
        for header, ids in data.field_id_index.items():
            where = tuple(header[i] for i in positions)
            plane = np.asarray(get_values_in_order(cube.index.get_field(ids[0]), array[where].shape), data.dtype)
            plane = plane.reshape(array[where].shape)
            array[where] = np.where(plane == data.missing_value, data.dtype.type(np.nan), plane)
            done += 1
            if done % max(1, total // 100) == 0:
                _say({"progress": done / total})
        array.flush()
        del array
    return notes


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def run(arguments: list[str]) -> int:
    """Decode, and report what went wrong as a sentence."""
    import eccodes

    try:
        main(Path(arguments[0]), Path(arguments[1]))
    except RefusedError as error:
        _say({"error": str(error)})
        return 2
    except OSError as error:
        _say({"error": f"cannot be decoded: {error.strerror or 'input or output error'}"})
        return 2
    except eccodes.PrematureEndOfFileError:
        _say({"error": "is cut short: its last GRIB message is not complete"})
        return 2
    except Exception:  # noqa: BLE001  a decoder fails in many ways, and all of them end here
        traceback.print_exc()
        _say({"error": "is damaged, or holds GRIB messages that cannot be decoded"})
        return 2
    return 0


if __name__ == "__main__":
    status = run(sys.argv[1:])
    # The exit handlers of ecCodes have been seen to crash when another library brought its own PROJ.
    os._exit(status)
