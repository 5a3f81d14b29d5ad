"""How does any pygeoapi answer EDR queries from a datacube?

`DatacubeEDRProvider` is a pygeoapi provider plugin (pygeoapi 0.24, ``provider/base_edr.py``). It needs nothing of
`server`: it works in pygeoapi's own Flask and Starlette applications with a configuration like this::

    providers:
      - type: edr
        name: plugins.providers.edr.DatacubeEDRProvider
        data: s3://bucket/sst.icechunk
        options:
          sparse: false
          storage_options: {region: eu-west-2, anonymous: true}
    formatters:
      - name: plugins.formats.formatter.NetCDFFormatter

Leave ``extents.temporal`` out of such a resource: with it pygeoapi parses ``datetime`` itself, and refuses lists of
instants and dates of other calendars.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Never

import numpy as np
import shapely
from pygeoapi.provider.base import (
    ProviderConnectionError,
    ProviderGenericError,
    ProviderInvalidQueryError,
    ProviderItemNotFoundError,
    ProviderNoDataError,
    ProviderRequestEntityTooLargeError,
)
from pygeoapi.provider.base_edr import BaseEDRProvider

from plugins.datacube import lookup
from plugins.datacube.axes import AxisKind
from plugins.datacube.cancel import Cancel
from plugins.datacube.definition import DatasetDefinition, LayoutDefinition
from plugins.datacube.errors import (
    DatasetError,
    InvalidQueryError,
    IsoplethError,
    NoDataError,
    StorageError,
    TooLargeError,
    UnknownError,
    UnsupportedDatasetError,
)
from plugins.datacube.geometry import MAXIMUM_VERTICES
from plugins.datacube.instances import find_instance, runs_of
from plugins.datacube.intervals import parse_times
from plugins.datacube.layouts import cheapest, choose
from plugins.datacube.library import OpenDatacube, open_datacube
from plugins.datacube.limits import ByteBudget, Limits, admit
from plugins.datacube.located import LocatedPlan, format_kind, locate, plan_located
from plugins.datacube.location import Location
from plugins.datacube.locations import chosen, in_box, locations_of
from plugins.datacube.parse import parse_query
from plugins.datacube.plan import ReadPlan
from plugins.datacube.read import read
from plugins.formats import covjson
from plugins.formats.formatter import FORMATTERS, CoverageResult
from plugins.formats.location_features import location_feature
from plugins.formats.referencing import parameter as covjson_parameter
from plugins.formats.table import formats_for

OPTIONS: Final = frozenset({"id", "sparse", "storage_options", "crs", "locations", "layouts", "limits"})
"""Keys of ``options`` in the provider's definition; ``limits`` has the fields of `plugins.datacube.limits.Limits`."""
COVERAGEJSON_FORMATS: Final = frozenset({None, "", "json", "html"})
"""pygeoapi's names of the formats that it makes from the CoverageJSON dictionary itself."""
WRITTEN: Final = frozenset(formatter.key for formatter in FORMATTERS)
"""The formats that our formatters write."""
JSON_TYPES: Final = {"f": "number", "i": "integer", "u": "integer", "b": "integer"}
"""NumPy kind by JSON Schema type; anything else is ``string``."""
LENGTHS: Final[Mapping[str, tuple[str, ...]]] = {
    "radius": ("within", "within-units"),
    "corridor": ("corridor-width", "width-units", "corridor-height", "height-units"),
}
"""Parameters of a query that pygeoapi hands on as they are, by EDR's names."""
BYTES_IN_FLIGHT: Final = 1 << 30

PROVIDER_ERRORS: Final[tuple[tuple[type[IsoplethError], type[ProviderGenericError]], ...]] = (
    (NoDataError, ProviderNoDataError),
    (TooLargeError, ProviderRequestEntityTooLargeError),
    (UnknownError, ProviderItemNotFoundError),
    (UnsupportedDatasetError, ProviderInvalidQueryError),
    (InvalidQueryError, ProviderInvalidQueryError),
    (DatasetError, ProviderConnectionError),
    (StorageError, ProviderConnectionError),
    (IsoplethError, ProviderConnectionError),
)
"""The first class that an error belongs to decides; pygeoapi's class decides the HTTP status."""

budget = ByteBudget(BYTES_IN_FLIGHT)
"""Decoded bytes that all requests of the process may hold together; pygeoapi makes a provider for each request."""


def raise_provider_error(error: IsoplethError) -> Never:
    """Raise pygeoapi's own error for one of ours, with our sentence as its public text."""
    kind = next(theirs for ours, theirs in PROVIDER_ERRORS if isinstance(error, ours))
    raise kind(user_msg=sentence(error)) from error


@contextmanager
def provider_errors() -> Iterator[None]:
    """Turn errors of the datacube into pygeoapi's: anything else would leave pygeoapi as an unhandled 500."""
    try:
        yield
    except IsoplethError as error:
        raise_provider_error(error)


def sentence(error: IsoplethError) -> str:
    """Return what a client should read: what is wrong and, for a parameter, what would be valid."""
    if isinstance(error, InvalidQueryError) and error.valid:
        return f"{error.detail}; valid: {error.valid}"
    if isinstance(error, TooLargeError):
        numbers = ", ".join(
            f"{key} {value} of {error.limits[key]}" for key, value in error.estimate.items() if key in error.limits
        )
        return f"{error.detail} ({numbers})"
    return error.detail


class Instances:
    """Forecast runs as pygeoapi's instances.

    pygeoapi's base class *returns* ``NotImplementedError()``, which counts as a valid instance. This class stands apart
    because pygeoapi takes every method of the provider's own class that is named like a query type (``instances``) for
    a query type that is offered, and only some datasets have forecast runs. Earlier states of the data can be asked for
    by their identifiers; they are not listed.
    """

    opened: OpenDatacube
    query_types: list[str]

    def get_query_types(self) -> list[str]:
        """Return the query types, with ``instances`` where there are forecast runs."""
        return [*self.query_types, "instances"] if runs_of(self.opened.cube) is not None else self.query_types

    def instances(self) -> list[str]:
        """Return the reference times of the forecast runs, the newest first."""
        runs = runs_of(self.opened.cube)
        return [] if runs is None else list(runs.newest_first)

    def instance(self, instance: str) -> bool:
        """Return whether there is such an instance: of an error pygeoapi would make a 500."""
        try:
            find_instance(self.opened, instance)
        except IsoplethError:
            return False
        return True


class DatacubeEDRProvider(Instances, BaseEDRProvider):  # type: ignore[misc]
    """Data queries of one Zarr or Icechunk store."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """Find the opened dataset; pygeoapi makes a provider for every request, so this must cost nothing.

        Raises
        ------
        ProviderConnectionError
            If the store cannot be opened or the options are wrong.
        """
        super().__init__(provider_def)
        with provider_errors():
            options = checked_options(self.options)
            self.limits = Limits(**options.get("limits", {}))
            self.opened = open_datacube(definition(str(self.data), options))
        self.get_fields()

    def get_fields(self) -> dict[str, dict[str, Any]]:
        """Return name, JSON type, title and unit of every parameter."""
        self._fields = {
            name: {
                "type": JSON_TYPES.get(np.dtype(parameter.dtype).kind, "string"),
                "title": parameter.label or name,
                "x-ogc-unit": parameter.ucum or parameter.units or "",
            }
            for name, parameter in self.opened.cube.parameters.items()
        }
        return self._fields

    def get_parameters(
        self, parameters: Iterable[str] = (), as_list: bool = False
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Return CoverageJSON parameter objects, of all parameters or of those named.

        Every one has a ``unit``, because pygeoapi's page of a collection cannot do without.
        """
        known = self.opened.cube.parameters
        found = {name: {"id": name, **covjson_parameter(known[name])} for name in parameters or known if name in known}
        for body in found.values():
            body.setdefault("unit", {"label": {"en": "not given"}, "symbol": "?"})
        return list(found.values()) if as_list else found

    def position(self, **kwargs: Any) -> dict[str, Any] | CoverageResult:
        """Answer a position query (OGC 19-086r6, clause 8.2.1)."""
        return self.answer("position", kwargs)

    def radius(self, **kwargs: Any) -> dict[str, Any] | CoverageResult:
        """Answer a radius query (OGC 19-086r6, clause 8.2.2)."""
        return self.answer("radius", kwargs)

    def area(self, **kwargs: Any) -> dict[str, Any] | CoverageResult:
        """Answer an area query (OGC 19-086r6, clause 8.2.3)."""
        return self.answer("area", kwargs)

    def cube(self, **kwargs: Any) -> dict[str, Any] | CoverageResult:
        """Answer a cube query (OGC 19-086r6, clause 8.2.4)."""
        return self.answer("cube", kwargs)

    def trajectory(self, **kwargs: Any) -> dict[str, Any] | CoverageResult:
        """Answer a trajectory query (OGC 19-086r6, clause 8.2.5)."""
        return self.answer("trajectory", kwargs)

    def corridor(self, **kwargs: Any) -> dict[str, Any] | CoverageResult:
        """Answer a corridor query (OGC 19-086r6, clause 8.2.6)."""
        return self.answer("corridor", kwargs)

    def locations(self, **kwargs: Any) -> dict[str, Any] | CoverageResult:
        """List the named places, or answer with the values at one or more (OGC 19-086r6, clause 8.2.8)."""
        if kwargs.get("location_id") is not None:
            return self.answer("locations", kwargs)
        with provider_errors():
            return location_list(self.opened, kwargs)

    def get_query_types(self) -> list[str]:
        """Return the query types, with ``locations`` where there are any."""
        known = super().get_query_types()
        return known if locations_of(self.opened) else [name for name in known if name != "locations"]

    def answer(self, query_type: str, arguments: Mapping[str, Any]) -> dict[str, Any] | CoverageResult:
        """Return a CoverageJSON dictionary, or the coverages themselves for one of our formatters.

        Raises
        ------
        ProviderGenericError
            The subclass whose HTTP status fits (`PROVIDER_ERRORS`).
        """
        form = arguments.get("format_")
        with provider_errors():
            instance = arguments.get("instance")
            opened = self.opened if instance is None else find_instance(self.opened, instance).opened
            cube = opened.cube
            wanted = chosen(opened, str(arguments["location_id"])) if query_type == "locations" else ()
            # pygeoapi's names of them are in lower case.
            known = formats_for(format_kind(wanted) if wanted else query_type)
            written = [key.lower() for key in known if key in WRITTEN]
            if form not in COVERAGEJSON_FORMATS and form not in written:
                valid = ", ".join(("json", "html", *written))
                raise InvalidQueryError("f", f"EDR answers have no format {str(form)[:32]!r}", valid)
            if cube.unsupported is not None:
                raise UnsupportedDatasetError(cube.unsupported)
            texts = query_texts(query_type, arguments)
            todo: ReadPlan
            if wanted:
                opened, todo = cheapest(opened, plan_located(cube, locate(wanted, texts, cube)))
            else:
                opened, todo = choose(opened, parse_query(query_type, texts, cube))
            admit(todo.cost, self.limits)
            with budget.hold(todo.cost.memory):
                coverages = read(opened, todo, Cancel())
                if isinstance(todo, LocatedPlan):
                    coverages = todo.named(coverages)
                if form in COVERAGEJSON_FORMATS:
                    return covjson.to_dict(coverages)
                return CoverageResult(coverages)


def location_list(opened: OpenDatacube, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the named places of a dataset as GeoJSON: all, or those in a box and in a time."""
    found: Sequence[Location] = locations_of(opened)
    if box := arguments.get("bbox"):
        west, south, east, north = (box[0], box[1], *box[-2:]) if len(box) == 4 else (box[0], box[1], box[3], box[4])
        found = in_box(found, (west, south, east, north))
    axis = opened.cube.axis(AxisKind.T)
    if arguments.get("datetime_") is not None and axis is not None:
        wanted = parse_times("datetime", str(arguments["datetime_"]))
        found = found if lookup.moments(axis, wanted).size else ()
    shown = found[: arguments.get("limit") or len(found)]
    return {
        "type": "FeatureCollection",
        "numberMatched": len(found),
        "numberReturned": len(shown),
        # Relative to the address of the list, which a provider does not know.
        "features": [location_feature(location, opened.cube, "locations") for location in shown],
    }


def definition(href: str, options: Mapping[str, Any]) -> DatasetDefinition:
    """Return the dataset that a provider definition means."""
    name = re.split(r"[/\\]", href.split("?")[0].rstrip("/\\"))[-1].split(".")[0]
    return DatasetDefinition(
        id=options.get("id") or re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:128] or "datacube",
        href=href,
        sparse=bool(options.get("sparse", False)),
        crs=options.get("crs"),
        locations=options.get("locations"),
        storage_options=options.get("storage_options") or {},
        layouts=tuple(
            LayoutDefinition(layout["name"], layout["href"], layout.get("storage_options") or {})
            for layout in options.get("layouts") or ()
        ),
    )


def checked_options(options: Any) -> Mapping[str, Any]:
    """Return the options of a provider definition.

    Raises
    ------
    DatasetError
        If there is a key that nobody would read, or a value of a wrong type.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise DatasetError("the options of the provider must be a mapping")
    if unknown := sorted(str(key) for key in options if key not in OPTIONS):
        raise DatasetError(
            f"unknown options of the provider: {', '.join(unknown)}; there are {', '.join(sorted(OPTIONS))}"
        )
    for name in ("storage_options", "limits"):
        if not isinstance(options.get(name) or {}, Mapping):
            raise DatasetError(f"the option {name} of the provider must be a mapping")
    layouts = options.get("layouts") or []
    complete = isinstance(layouts, list) and all(
        isinstance(layout, Mapping) and {"name", "href"} <= set(layout) <= {"name", "href", "storage_options"}
        for layout in layouts
    )
    if not complete:
        raise DatasetError("the option layouts of the provider is a list of mappings with a name and an href")
    limits = options.get("limits") or {}
    known = set(Limits.__dataclass_fields__)
    if any(key not in known or not isinstance(value, int) for key, value in limits.items()):
        raise DatasetError(f"the option limits of the provider holds whole numbers for {', '.join(sorted(known))}")
    return {**options, "limits": limits}


def query_texts(query_type: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return what pygeoapi has half parsed as the texts that `plugins.datacube.parse` checks.

    Raises
    ------
    InvalidQueryError
        If the geometry is too large to be written, or another reference system is asked for.
    """
    if arguments.get("crs_transform_spec") is not None:
        raise InvalidQueryError("crs", "coordinates are given and returned in CRS84 only", "CRS84")
    texts: dict[str, str] = {}
    geometry = arguments.get("wkt")
    if query_type == "cube":
        texts["bbox"] = ",".join(repr(number) for number in arguments.get("bbox") or ())
    elif geometry is not None:
        if shapely.get_num_coordinates(geometry) > MAXIMUM_VERTICES:
            raise InvalidQueryError(
                "coords", "the geometry has too many vertices", f"at most {MAXIMUM_VERTICES} vertices"
            )
        texts["coords"] = shapely.to_wkt(geometry, rounding_precision=-1, trim=True)
    for name in LENGTHS.get(query_type, ()):
        if (value := arguments.get(name.replace("-", "_"))) is not None:
            texts[name] = str(value)
    if arguments.get("datetime_") is not None:
        texts["datetime"] = str(arguments["datetime_"])
    if arguments.get("z") is not None:
        texts["z"] = str(arguments["z"])
    if names := arguments.get("select_properties"):
        texts["parameter-name"] = ",".join(names)
    return texts
