"""How are chunks on this machine's disk decoded in the thread that asks for them?

Zarr's synchronous interface hands each read to its event loop, that to a thread, and that to a pool: three changes of
thread, which cost more than a chunk of a megabyte takes to decode, and which all readers share. For files nothing is
gained by them. `read_here` drives Zarr's own read in this thread; where the store needs the event loop (object stores,
Icechunk) the read goes the usual way.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.codec_pipeline import FusedCodecPipeline
from zarr.registry import register_pipeline
from zarr.storage import LocalStore

_HERE: ContextVar[bool] = ContextVar("read in this thread", default=False)


class ThreadCodecPipeline(FusedCodecPipeline):
    """Zarr's fused pipeline, which reads in the calling thread where `read_here` asks for it."""

    async def read(self, batch_info: Iterable[Any], out: Any, drop_axes: tuple[int, ...] = ()) -> Any:
        """Read the chunks of a batch into `out`; without suspending where `read_here` asks for it."""
        if _HERE.get() and self.sync_transform is not None:
            return self.read_sync(batch_info, out, drop_axes, max_workers=1)
        return await super().read(batch_info, out, drop_axes)


register_pipeline(ThreadCodecPipeline)
PATH = f"{ThreadCodecPipeline.__module__}.{ThreadCodecPipeline.__qualname__}"
"""What ``codec_pipeline.path`` is set to."""


def reads_here(array: zarr.Array[Any]) -> bool:
    """Whether the chunks of an array can be read in the calling thread."""
    pipeline = array.async_array.codec_pipeline
    return (
        isinstance(array.store, LocalStore)
        and isinstance(pipeline, ThreadCodecPipeline)
        and pipeline.sync_transform is not None
    )


def read_here(array: zarr.Array[Any], region: tuple[slice, ...]) -> NDArray[Any]:
    """Read a box of an array for which `reads_here` is true, in this thread."""
    token = _HERE.set(True)
    reading = array.async_array.getitem(region)
    try:
        reading.send(None)
    except StopIteration as finished:
        return np.asarray(finished.value)
    finally:
        _HERE.reset(token)
        reading.close()
    raise RuntimeError("Zarr waited for something in a read from this machine's disk")
