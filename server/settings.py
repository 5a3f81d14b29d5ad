"""What may an operator write in the configuration file, and which line is wrong?

The file is YAML; every setting has a type, a default and a comment in ``config/demo.yml`` and
``config/production.yml``. A key that is not known is refused with its line, never ignored.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from plugins.datacube.definition import ID_PATTERN, NATIVE, DatasetDefinition, LayoutDefinition, Provider
from plugins.datacube.errors import InvalidQueryError
from plugins.datacube.limits import Limits
from plugins.jobs.callbacks import CallbackPolicy
from plugins.jobs.rules import Quotas, Rule

MIB = 1 << 20
KEY_LENGTH = 20
"""Characters that a key has at least: it can be tried as often as an attacker likes."""
PROPERTY = re.compile(r"[\w:@\-]{1,64}(\.[\w:@\-]{1,64}){0,3}")
"""Name of a property of an item, as `catalog.filter_values` reads it; that module takes seconds to import."""
RULE_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
MOST_RULES = 12
"""The names of all rules of a job stand in its row."""
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A part of the configuration: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ServerSettings(Section):
    """Where the server listens and what it calls itself."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    url: str | None = None
    """Public address without a trailing slash; None: the address it listens on."""
    title: str = "Isopleth"
    description: str = "Weather and climate data by OGC API EDR, OGC API Processes and STAC."
    contact_name: str | None = None
    contact_url: str | None = None
    cors: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("url")
    @classmethod
    def absolute(cls, value: str | None) -> str | None:
        """Refuse an address that could not stand in a link."""
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/") if value else value


class LimitSettings(Section):
    """What one request may cost, checked before anything is read."""

    bytes_decoded: Positive = 256 * MIB
    chunks: Positive = 2_000
    values: Positive = 16_000_000
    bytes_out: Positive = 64 * MIB
    bytes_in_flight: Positive = 1_024 * MIB
    """Decoded bytes of all requests together."""
    request_body: Positive = MIB
    chunk_cache: int = Field(default=256 * MIB, ge=0)
    hand_over: bool = False
    """Make a job of a data query above these limits, and answer 308; else 413, with the request that makes the job."""


class RuleSettings(Section):
    """One rule about jobs; its key in the file is its name."""

    processes: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    cost_from: Positive | None = None
    cost_below: Positive | None = None
    running: Positive | None = None
    running_per_user: Positive | None = None
    queued: int | None = Field(default=None, ge=0)
    queued_per_user: int | None = Field(default=None, ge=0)
    cost_most: Positive | None = None
    reserved: int = Field(default=0, ge=0)
    weight: float = Field(default=1.0, gt=0, le=1000)


class CallbackSettings(Section):
    """Whom the server may tell how a job goes."""

    hosts: tuple[str, ...] = ()
    """Hosts that may be told: names, ``*.example.org``, or ``*`` for every public one; empty: nobody."""
    networks: tuple[str, ...] = ()
    """Networks that are not public and may be reached all the same."""
    plain_http: bool = False
    secret: str | None = Field(default=None, min_length=KEY_LENGTH, repr=False)
    """Key of the signatures."""

    @field_validator("networks")
    @classmethod
    def proper_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no network."""
        for text in value:
            ipaddress.ip_network(text)
        return value

    @model_validator(mode="after")
    def signed(self) -> Self:
        """Refuse messages that nobody could tell from forged ones."""
        if self.hosts and not self.secret:
            raise ValueError("hosts need a secret, with which the messages are signed")
        return self


class JobSettings(Section):
    """How asynchronous processes run."""

    slots: Positive = 2
    """Jobs that run at the same time."""
    running_per_user: Positive = 2
    queued_per_user: Positive = 1_000
    bytes_decoded: Positive = 100 * 1_024 * MIB
    chunks: Positive = 2_000_000
    values: Positive = 100_000_000
    bytes_out: Positive = 2 * 1_024 * MIB
    memory: Positive = 4 * 1_024 * MIB
    """Address space of data of one job."""
    wall_seconds: Positive = 6 * 3600
    result_days: float = Field(default=7.0, gt=0)
    rules: Mapping[str, RuleSettings] = Field(default_factory=dict)
    callbacks: CallbackSettings = CallbackSettings()

    @model_validator(mode="after")
    def startable(self) -> Self:
        """Refuse rules under which some jobs could never start, and names that could not be shown."""
        for name in self.rules:
            if not RULE_NAME.fullmatch(name):
                raise ValueError(f"{name[:64]!r} cannot be the name of a rule: letters, digits, '_', '-', at most 40")
        if sum(rule.reserved for rule in self.rules.values()) >= self.slots:
            raise ValueError("the rules reserve all slots: jobs of no rule could never start")
        if len(self.rules) > MOST_RULES:
            raise ValueError(f"there are more than {MOST_RULES} rules")
        return self


class CatalogueSettings(Section):
    """Who may write to the STAC catalogue, and by what it is searched often."""

    write_key: str | None = Field(default=None, min_length=KEY_LENGTH, repr=False)
    """Whoever sends this as bearer token may write collections and items; None: nobody."""
    write_body: Positive = 64 * MIB
    """Bytes of one request that writes."""
    indexes: tuple[str, ...] = ()
    """Properties of items that filters compare: an index is kept on each."""

    @field_validator("write_key")
    @classmethod
    def a_token(cls, value: str | None) -> str | None:
        """Refuse a key that cannot be sent in a header as it stands."""
        if value is not None and not (value.isascii() and value.isprintable() and " " not in value):
            raise ValueError("must be printable ASCII without spaces")
        return value

    @field_validator("indexes")
    @classmethod
    def properties(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no name of a property."""
        for name in value:
            if not PROPERTY.fullmatch(name) or name in ("geometry", "bbox"):
                raise ValueError(f"{name!r} is no name of a property")
        return value


class ProviderSettings(Section):
    """An organisation behind a dataset."""

    name: str
    roles: tuple[Literal["licensor", "producer", "processor", "host"], ...] = ("producer",)
    url: str | None = None


class LayoutSettings(Section):
    """Another store of the same data, in other chunks."""

    name: str = Field(pattern=f"^{ID_PATTERN.pattern}$")
    href: str
    storage_options: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def not_the_dataset(cls, value: str) -> str:
        """Refuse the name by which answers mean the dataset's own store."""
        if value == NATIVE:
            raise ValueError(f"{NATIVE!r} means the store of the dataset itself")
        return value


class DatasetSettings(Section):
    """One dataset; its key in the file is the collection id."""

    href: str
    title: str | None = None
    description: str | None = None
    licence: str | None = None
    licence_url: str | None = None
    attribution: str | None = None
    keywords: tuple[str, ...] = ()
    providers: tuple[ProviderSettings, ...] = ()
    sparse: bool = False
    crs: str | None = None
    storage_options: Mapping[str, Any] = Field(default_factory=dict)
    layouts: tuple[LayoutSettings, ...] = ()
    items: Literal["whole", "month", "year", "run", "snapshot"] | None = None
    """One STAC item for each of these; None lets the data decide."""
    locations: str | None = None
    """GeoJSON file of named places."""

    @field_validator("layouts")
    @classmethod
    def distinct(cls, value: tuple[LayoutSettings, ...]) -> tuple[LayoutSettings, ...]:
        """Refuse two layouts of one name."""
        if len({layout.name for layout in value}) < len(value):
            raise ValueError("two layouts have the same name")
        return value


class Settings(Section):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    data: Path = Field(default_factory=lambda: default_data())
    limits: LimitSettings = LimitSettings()
    jobs: JobSettings = JobSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    demonstration: bool = False
    """Publish the demonstration datasets at start."""
    datasets: Mapping[str, DatasetSettings] = Field(default_factory=dict)

    @field_validator("datasets")
    @classmethod
    def proper_ids(cls, value: Mapping[str, DatasetSettings]) -> Mapping[str, DatasetSettings]:
        """Refuse ids that could not stand in a URL path."""
        for key in value:
            if not ID_PATTERN.fullmatch(key):
                raise ValueError(f"{key!r} cannot be a collection id: letters, digits, '.', '_', '-', at most 128")
        return value

    @property
    def base_url(self) -> str:
        """The public address, without a trailing slash."""
        host = "127.0.0.1" if self.server.host in ("0.0.0.0", "::", "") else self.server.host  # noqa: S104
        bracketed = f"[{host}]" if ":" in host else host
        return self.server.url or f"http://{bracketed}:{self.server.port}"

    @property
    def sync_limits(self) -> Limits:
        """Limits of an answer that the client waits for."""
        return _limits(self.limits)

    @property
    def job_limits(self) -> Limits:
        """Limits of one job."""
        return _limits(self.jobs)

    @property
    def quotas(self) -> Quotas:
        """How much of the jobs a user, or what a rule selects, may have."""
        jobs = self.jobs
        rules = tuple(Rule(name=name, **rule.model_dump()) for name, rule in jobs.rules.items())
        return Quotas(jobs.running_per_user, jobs.queued_per_user, jobs.slots, rules)

    @property
    def callback_policy(self) -> CallbackPolicy:
        """Whom the server may tell how a job goes."""
        told = self.jobs.callbacks
        return CallbackPolicy(
            hosts=told.hosts, networks=told.networks, plain_http=told.plain_http, secret=told.secret or ""
        )

    def definitions(self) -> tuple[DatasetDefinition, ...]:
        """Return the configured datasets in the order of the file."""
        return tuple(
            DatasetDefinition(
                id=key,
                providers=tuple(Provider(p.name, p.roles, p.url) for p in dataset.providers),
                layouts=tuple(LayoutDefinition(o.name, o.href, o.storage_options) for o in dataset.layouts),
                **dataset.model_dump(exclude={"providers", "layouts"}),
            )
            for key, dataset in self.datasets.items()
        )


def _limits(section: LimitSettings | JobSettings) -> Limits:
    return Limits(section.bytes_decoded, section.chunks, section.values, section.bytes_out)


def default_data() -> Path:
    """Return the data folder: ``ISOPLETH_DATA``, else ``./data``."""
    return Path(os.environ.get("ISOPLETH_DATA") or "data")


def load_settings(path: Path) -> Settings:
    """Read and check a configuration file. Relative paths in it are relative to the file.

    Raises
    ------
    InvalidQueryError
        If the file cannot be read or a setting is wrong; the sentence names file, line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InvalidQueryError("config", f"cannot read the configuration {path}: {reason}") from error
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InvalidQueryError("config", f"{path}{where}: not valid YAML") from error
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise InvalidQueryError("config", f"{path}: the configuration must be a mapping of settings")
    if duplicate := _duplicate_key(tree):
        key, line = duplicate
        raise InvalidQueryError("config", f"{path}, line {line}: the key {key!r} is written twice")
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(part) for part in first["loc"]]
        message = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        sentence = f"{path}, line {_line(tree, keys)}: {'.'.join(keys)}: {message[0].lower()}{message[1:]}"
        raise InvalidQueryError("config", sentence) from error
    return _anchored(settings, path.resolve().parent)


def _anchored(settings: Settings, folder: Path) -> Settings:
    def anchored[T: (DatasetSettings, LayoutSettings)](store: T) -> T:
        return store if "://" in store.href else store.model_copy(update={"href": str(folder / store.href)})

    datasets = {
        key: anchored(dataset).model_copy(update={"layouts": tuple(anchored(layout) for layout in dataset.layouts)})
        for key, dataset in settings.datasets.items()
    }
    datasets = {
        key: dataset.model_copy(update={"locations": str(folder / dataset.locations)}) if dataset.locations else dataset
        for key, dataset in datasets.items()
    }
    data = settings.data if "data" not in settings.model_fields_set else folder / settings.data
    return settings.model_copy(update={"datasets": datasets, "data": data})


def _line(tree: yaml.Node | None, keys: list[str]) -> int:
    """Return the line (from 1) of the deepest key of a path that stands in the file."""
    line, node = 1, tree
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if str(k.value) == key), None)
        elif isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
            found = (node.value[int(key)], node.value[int(key)])
        else:
            found = None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _duplicate_key(node: yaml.Node | None) -> tuple[str, int] | None:
    """Return the first key that a mapping holds twice: YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                return str(key.value), key.start_mark.line + 1
            seen.add(key.value)
            if found := _duplicate_key(value):
                return found
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            if found := _duplicate_key(value):
                return found
    return None
