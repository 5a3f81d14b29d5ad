"""Can several files be read as one, and what does that one hold?

Files are laid end to end along time. The first (or the collection that is continued) is the template: every other one
must have the same variables, units, grid and calendar. Times are written in the template's units, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.datacube import calendar
from plugins.datacube.errors import DatasetError
from plugins.datacube.ingest import times
from plugins.datacube.ingest.agreement import convert, require_same_statics, require_same_structure, stored_variables
from plugins.datacube.ingest.content import Content, Selection, SourceVariable


@dataclass(frozen=True, slots=True)
class Piece:
    """One file's place along the joined time axis."""

    content: Content
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Files read as one; indices along time count from the first of these files."""

    template: Content
    """Whose attributes and units hold; when a collection is continued, the collection."""
    pieces: tuple[Piece, ...]
    variables: Mapping[str, SourceVariable]
    """With the joined length of time, as they are to be stored."""
    time: str | None
    """The time dimension, or None."""
    moments: NDArray[np.int64]
    """shape (joined length,): microseconds in the calendar of the time axis."""

    @property
    def length(self) -> int:
        """How many times the files hold together (1 without a time axis)."""
        return self.pieces[-1].stop

    def read(self, name: str, selection: Selection) -> NDArray[Any]:
        """Return values as they are to be stored.

        Raises
        ------
        DatasetError
            If a file cannot be read, or its times cannot be written in the template's units.
        """
        target = self.variables[name]
        if self.time is None or self.time not in target.dims:
            return self._convert(self.pieces[0].content, name, selection)
        axis = target.dims.index(self.time)
        wanted = selection[axis]
        parts = []
        for piece in self.pieces:
            start, stop = max(wanted.start, piece.start), min(wanted.stop, piece.stop)
            if start < stop:
                inner = slice(start - piece.start, stop - piece.start)
                parts.append(self._convert(piece.content, name, (*selection[:axis], inner, *selection[axis + 1 :])))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)

    def _convert(self, content: Content, name: str, selection: Selection) -> NDArray[Any]:
        return convert(content, self.template, name, self.variables[name], content.read(name, selection))


def join(contents: Sequence[Content], collection: Content | None = None) -> Timeline:
    """Lay files end to end along time, after the collection they continue.

    Parameters
    ----------
    contents : sequence of Content
        In any order; they are sorted by their first time.
    collection : Content or None
        What is published already.

    Raises
    ------
    DatasetError
        If the files do not fit together, or a time is given twice or is published already; the sentence names it.
    """
    template = collection or contents[0]
    time = times.time_dimension(template)
    if time is None and (collection is not None or len(contents) > 1):
        where = "the collection" if collection is not None else template.path.name
        raise DatasetError(f"{where} has no time axis, so nothing can be appended to it")
    for content in contents:
        require_same_structure(content, template, time)
    variables = stored_variables(template, contents)
    if time is None:
        return Timeline(template, (Piece(contents[0], 0, 1),), variables, None, np.zeros(1, np.int64))
    ordered = sorted(
        ((_moments(content, template, time), content) for content in contents), key=lambda pair: int(pair[0][0])
    )
    moments = np.concatenate([own for own, _ in ordered])
    _require_new(ordered, template, time, collection)
    pieces, start = [], 0
    for own, content in ordered:
        pieces.append(Piece(content, start, start + own.size))
        start += own.size
    resized = {
        name: replace(v, shape=tuple(start if dim == time else size for dim, size in zip(v.dims, v.shape, strict=True)))
        for name, v in variables.items()
    }
    sequence = Timeline(template, tuple(pieces), resized, time, moments)
    for _, content in ordered:
        if content is not template:
            require_same_statics(content, template, resized, time)
    return sequence


def _moments(content: Content, template: Content, time: str) -> NDArray[np.int64]:
    variable = content.variables.get(time)
    if variable is None or variable.dims != (time,):
        raise DatasetError(f"{content.path.name} does not fit: it has no time coordinate {time}")
    if variable.shape[0] == 0:
        raise DatasetError(f"{content.path.name} holds no times")
    moments = times.decode(content.read(time), variable.attributes)
    own = times.calendar_of(variable.attributes)
    wanted = times.calendar_of(template.variables[time].attributes)
    if not times.same_calendar(own, wanted, int(moments.min())):
        raise DatasetError(f"{content.path.name} does not fit: its calendar is {own}, not {wanted}")
    times.require_increasing(moments, time, own)
    return moments


def _require_new(
    ordered: Sequence[tuple[NDArray[np.int64], Content]], template: Content, time: str, collection: Content | None
) -> None:
    name = times.calendar_of(template.variables[time].attributes)
    for (first, one), (second, two) in pairwise(ordered):
        if second[0] <= first[-1]:
            repeated = np.intersect1d(first, second)
            if repeated.size:
                text = calendar.to_iso(repeated[:1], name)[0]
                raise DatasetError(f"the time {text} is both in {one.path.name} and in {two.path.name}")
            raise DatasetError(f"the times of {one.path.name} and {two.path.name} interleave")
    if collection is None:
        return
    known = times.decode(collection.read(time), collection.variables[time].attributes)
    if not known.size:
        return
    for own, content in ordered:
        repeated = np.intersect1d(known, own)
        if repeated.size:
            text = calendar.to_iso(repeated[:1], name)[0]
            raise DatasetError(f"the time {text} of {content.path.name} is in the collection already")
        if own[0] < known[-1]:
            last, text = (calendar.to_iso([number], name)[0] for number in (known[-1], own[0]))
            raise DatasetError(
                f"{content.path.name} begins at {text}, before the collection ends ({last}): it can only be continued"
            )
