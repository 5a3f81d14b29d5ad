"""What do the pages show of a collection, once everything is decided and only the writing is left?

Values for the templates, derived from the same `Datacube` as the OGC API and STAC documents, so that the pages cannot
disagree with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugins.datacube.datacube import Datacube, Integrity
from plugins.datacube.definition import DatasetDefinition


@dataclass(frozen=True, slots=True)
class ParameterLine:
    """One parameter in a list."""

    name: str
    label: str
    units: str | None
    """As the store spells them; None where it has none."""
    dims: tuple[str, ...] = ()
    """Dimension names in stored order."""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AxisLine:
    """One axis in a list, by its first and last value."""

    name: str
    label: str
    count: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class CollectionCard:
    """One collection, as the landing page and its own page show it."""

    id: str
    title: str
    description: str = ""
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north in degrees, west < east, within -180..180."""
    interval: tuple[str | None, str | None] = (None, None)
    """First and last time, ISO 8601 in the calendar of the data."""
    calendar: str | None = None
    """CF calendar, where it is not that of ISO 8601."""
    parameters: tuple[ParameterLine, ...] = ()
    axes: tuple[AxisLine, ...] = ()
    licence: str | None = None
    licence_url: str | None = None
    attribution: str | None = None
    keywords: tuple[str, ...] = ()
    verified: bool = False
    """Whether every chunk is checked by a checksum when it is read."""
    queryable: bool = True
    reason: str | None = None
    """Why it cannot be queried, one sentence."""

    @classmethod
    def of(cls, definition: DatasetDefinition, cube: Datacube | None, problem: str | None = None) -> CollectionCard:
        """Describe a dataset that could be opened (`cube`) or not (`problem`)."""
        if cube is None:
            return cls(
                id=definition.id,
                title=definition.title or definition.id,
                description=definition.description or "",
                licence=definition.licence,
                licence_url=_web(definition.licence_url),
                attribution=definition.attribution,
                keywords=definition.keywords,
                queryable=False,
                reason=problem or "it could not be opened",
            )
        extent = cube.extent
        calendars = {axis.calendar for axis in cube.axes.values() if axis.kind == "t"}
        unusual = calendars - {"standard", "gregorian", "proleptic_gregorian"}
        return cls(
            id=cube.id,
            title=cube.title,
            description=cube.description,
            bbox=(extent.west, extent.south, extent.east, extent.north),
            interval=(extent.start, extent.end),
            calendar=min(unusual, default=None),
            parameters=tuple(
                ParameterLine(p.name, p.label or p.name, p.units, p.dims, p.shape) for p in cube.parameters.values()
            ),
            axes=tuple(
                AxisLine(name, axis.long_name or axis.standard_name or name, axis.size, *_ends(cube, name))
                for name, axis in cube.axes.items()
                if axis.size
            ),
            licence=definition.licence,
            licence_url=_web(definition.licence_url),
            attribution=definition.attribution,
            keywords=definition.keywords,
            verified=cube.integrity is Integrity.VERIFIED,
            queryable=cube.unsupported is None and problem is None,
            reason=cube.unsupported or problem,
        )


@dataclass(frozen=True, slots=True)
class LandingPage:
    """What the page at ``/`` shows."""

    title: str
    description: str
    collections: tuple[CollectionCard, ...]
    contact_name: str | None = None
    contact_url: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerPage:
    """What the page about the answer of a data query shows; the values it asks for itself."""

    title: str
    query_type: str
    """Last part of the address: ``position``, ``cube``, a location."""
    question: tuple[tuple[str, str], ...]
    """The parameters of the query, by name, without ``f``."""
    formats: tuple[tuple[str, str], ...]
    """Names of the formats, each with the address of the answer in it."""
    data_url: str
    """Address of the answer as CoverageJSON, without host."""
    up: tuple[tuple[str, str], ...]
    """The way back up: texts and addresses, outermost first."""


@dataclass(frozen=True, slots=True)
class CollectionPage:
    """What the page of one collection shows."""

    card: CollectionCard
    server_title: str = "Isopleth"
    """Title of the server, for the head of the page."""


def _ends(cube: Datacube, name: str) -> tuple[str, str]:
    """Return the first and the last value of an axis as text, without making a text of every value."""
    axis = cube.axes[name]
    first, last = axis.take(np.array([0, axis.size - 1])).texts()
    return first, last


def _web(url: str | None) -> str | None:
    return url if url and url.startswith(("http://", "https://")) else None
