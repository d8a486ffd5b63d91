"""The mirrors file: its entries as they are written (pydantic), and the values that they are parsed to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from registry_sync.config.deep_check import DeepCheckRules, WrittenDeepCheck
from registry_sync.config.events import EventRules, EventsEntry
from registry_sync.config.fields import (
    Host,
    NamespaceName,
    Rename,
    RepositoryName,
    Schedule,
    Slug,
    Strict,
    UtcTime,
    VariableName,
    WorkerFile,
)
from registry_sync.config.node_pools import NodePool, NodePoolEntry
from registry_sync.config.notify import Notifier, WrittenNotifiers
from registry_sync.config.settings import MoverName, RouteOptions, RouteSettings, written_options
from registry_sync.config.tag_rules import Patterns, WrittenDuration
from registry_sync.config.team_keys import AccessControl, DagTags, Owner, WrittenAccess
from registry_sync.oci.reference import without_default_port
from registry_sync.registry.kinds import CREATES_REPOSITORIES, OWN_API, Kind, api_url_fault, infer_kind
from registry_sync.tags.patterns import Pattern, first_match
from registry_sync.tags.rules import Duration
from registry_sync.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry. ``api_kind`` is its ``kind``, inferred from the host where it is not written."""

    name: str
    host: str
    kind: Kind | None = None
    api_url: str | None = None
    connection: str | None = None
    private: bool = False
    tls: bool = True
    ca_file: Path | None = None
    max_connections: int = 8
    requests_per_second: float | None = None
    create_repository: bool = False
    transfer: MoverName | None = None
    pool: str = "default_pool"
    queue: str | None = None
    fresh_within: Duration | None = None
    events: EventRules | None = None
    api_kind: Kind = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_kind", self.kind or infer_kind(self.host))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRule:
    """One repository to mirror. ``written_options`` are the options that the rule itself writes."""

    repository: str
    rename: str | None = None
    settings: RouteSettings = RouteSettings()
    written_options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRule:
    """All repositories of a namespace, which is listed when a run starts."""

    namespace: str
    include: tuple[Pattern, ...] | None = None
    exclude: tuple[Pattern, ...] | None = None
    include_private: bool = False
    rename: str | None = None
    settings: RouteSettings = RouteSettings()
    written_options: frozenset[str] = frozenset()

    def chooses(self, repository: str) -> bool:
        """Return whether the patterns choose ``repository``, the whole name of a repository in the namespace."""
        within = repository.removeprefix(f"{self.namespace}/")
        if self.include is not None and not first_match(self.include, within):
            return False
        return not first_match(self.exclude or (), within)

    def finds(self, repository: str) -> bool:
        """Return whether ``repository``, any whole name, is in the namespace and chosen."""
        return repository.startswith(f"{self.namespace}/") and self.chooses(repository)


Rule = RepositoryRule | NamespaceRule


def rule_summary(rule: Rule) -> str:
    """The rule in a few words of Markdown."""
    renamed = f" as `{rule.rename}`" if rule.rename else ""
    if isinstance(rule, RepositoryRule):
        return f"`{rule.repository}`{renamed}"
    which = f" matching {_code(rule.include)}" if rule.include else ""
    but = f" but {_code(rule.exclude)}" if rule.exclude else ""
    return f"all of `{rule.namespace}`{which}{but}{renamed}"


def _code(patterns: tuple[Pattern, ...]) -> str:
    others = f" and {len(patterns) - MAX_PATTERNS} more" if len(patterns) > MAX_PATTERNS else ""
    return ", ".join(f"`{pattern}`" for pattern in patterns[:MAX_PATTERNS]) + others


MAX_PATTERNS = 10
"""Patterns of a namespace that its summary names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A mirror; becomes the DAG ``mirror_NAME``.

    ``written_options`` are the options that the mirror itself writes, ``default_options`` those of ``defaults:``.
    ``source`` and ``destinations`` are empty where neither writes them. ``fresh_within`` is the promise of the mirror
    or of ``defaults:``; destinations and rules may have others. ``events`` are the mirror's own, where it
    ``writes_events``.
    """

    name: str
    source: str
    destinations: tuple[str, ...]
    rules: tuple[Rule, ...]
    description: str = ""
    schedule: str | None = None
    full_check: str | None = "@daily"
    deep_check: DeepCheckRules = DeepCheckRules()
    notify: tuple[Notifier, ...] = ()
    owner: str | None = None
    access_control: AccessControl | None = None
    dag_tags: tuple[str, ...] | None = None
    start_date: datetime | None = None
    catchup: bool = False
    retries: int = 3
    task_timeout_minutes: int = 1440
    fresh_within: Duration | None = None
    events: EventRules | None = None
    writes_events: bool = False
    written_options: frozenset[str] = frozenset()
    default_options: frozenset[str] = frozenset()

    def events_from(self, source: Registry) -> EventRules | None:
        """The events that start it: its own where it writes some, or null, and those of its source elsewhere."""
        return self.events if self.writes_events else source.events

    def is_disabled(self, now: datetime) -> bool:
        """Return whether all of its rules are disabled at a time (aware UTC). One without rules is not."""
        return bool(self.rules) and all(rule.settings.is_disabled(now) for rule in self.rules)

    @property
    def disabled_until(self) -> datetime | None:
        """The time at which the first of its rules is enabled again; ``None`` when no rule ever is."""
        return min((rule.settings.until for rule in self.rules if rule.settings.until), default=None)

    @property
    def enabled_again_at(self) -> datetime | None:
        """The time up to which all of the mirror is or was disabled; ``None`` where a rule never was, or always is."""
        return None if any(rule.settings.enabled for rule in self.rules) else self.disabled_until

    def inherits(self, option: str) -> bool:
        """True if ``defaults:`` gives the mirror the option."""
        return option in self.default_options - self.written_options


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorsFile:
    """A whole mirrors file, checked; names are unique and every name that is used exists.

    :ivar note: says that this is an earlier text of the file, because the present one cannot be read; else empty.
    :ivar path: of the file, or of the folder with several.
    :ivar mirror_files: the file of each mirror.
    :ivar problems: mistakes in the file, each as ``file:line: message``. Mirrors and node pools with one are left out.
    """

    path: Path
    registries: Mapping[str, Registry]
    mirrors: Mapping[str, Mirror]
    node_pools: Mapping[str, NodePool] = field(default_factory=dict)
    note: str = ""
    problems: tuple[str, ...] = ()
    mirror_files: Mapping[str, Path] = field(default_factory=dict)


class RegistryEntry(Strict):
    """A registry, under its name in ``registries:``."""

    host: Host = Field(description="host or host:port, such as quay.io; Docker Hub is docker.io")
    kind: Kind | None = Field(
        None,
        description="API of the registry; default: known for well-known hosts, else distribution (any OCI registry)",
    )
    api_url: str | None = Field(
        None,
        min_length=1,
        description="Address of the API, if it differs from the default; for quay, docker_hub and harbor",
    )
    connection: str | None = Field(
        None,
        min_length=1,
        description="Airflow Connection of type oci_registry or docker with login and password; default: anonymous",
    )
    private: bool = Field(False, description="true: only we can push to it, so machines may use it as a mirror")
    tls: bool = Field(True, description="false: plain HTTP, for a registry on the same machine")
    ca_file: WorkerFile | None = Field(
        None, description="PEM file on the workers, with the authority that signed the registry's certificate"
    )
    max_connections: int = Field(
        8, ge=1, le=64, description="Maximum number of connections that one task opens to the registry"
    )
    requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None,
        description="Maximum rate of requests, to an API of its own and to /v2 together, of all tasks that share a "
        "temporary directory; default: by kind",
    )
    create_repository: bool = Field(
        False, description="true: create a public repository before the first push; for docker_hub"
    )
    transfer: MoverName | None = Field(
        None,
        description="skopeo (default) or direct: moves the content to this registry, where no mirror, rule or defaults "
        "writes transfer",
    )
    pool: str = Field(
        "default_pool", min_length=1, description="Airflow pool of the tasks that write to the registry; must exist"
    )
    queue: str | None = Field(
        None,
        min_length=1,
        description="Celery queue of the workers that write to the registry; default: Airflow's default queue",
    )
    fresh_within: WrittenDuration | None = Field(
        None,
        description="Promise for this registry as a destination, such as 6h; replaces that of defaults and mirrors, "
        "and a rule's own replaces it",
    )
    events: EventsEntry | None = Field(
        None,
        description="Pushes to this registry start, within seconds, the copy of every mirror that reads from it; "
        "default: none",
    )

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.ca_file and not self.tls:
            raise ValueError("ca_file is for TLS, which tls: false turns off; remove one of them")
        return self

    @model_validator(mode="after")
    def _check_api_url(self) -> Self:
        if self.api_url and self._kind() not in OWN_API:
            raise ValueError(f"a registry of kind {quoted(self._kind())} has no api_url; remove it")
        if self.api_url and (fault := api_url_fault(self.api_url, tls=self.tls)):
            raise ValueError(f"api_url: {fault}")
        return self

    @model_validator(mode="after")
    def _check_create_repository(self) -> Self:
        if self.create_repository and self._kind() not in CREATES_REPOSITORIES:
            which = f"only supported for kind {', '.join(CREATES_REPOSITORIES)}"
            raise ValueError(f"create_repository is {which} (this registry is {quoted(self._kind())}); remove it")
        return self

    def _kind(self) -> Kind:
        return self.kind or infer_kind(self.host)

    def parse(self, name: str) -> Registry:
        """The registry as a value."""
        return Registry(
            name=name,
            host=without_default_port(self.host, tls=self.tls),
            kind=self.kind,
            api_url=self.api_url,
            connection=self.connection,
            private=self.private,
            tls=self.tls,
            ca_file=self.ca_file,
            max_connections=self.max_connections,
            requests_per_second=self.requests_per_second,
            create_repository=self.create_repository,
            transfer=self.transfer,
            pool=self.pool,
            queue=self.queue,
            fresh_within=self.fresh_within,
            events=self.events.parse() if self.events else None,
        )


class RepositoryEntry(RouteOptions):
    """One repository to mirror. It keeps its name at the destination unless renamed."""

    repository: RepositoryName = Field(description="Name without the registry, such as giantswarm/hyperkube")
    rename: Rename | None = Field(
        None, description="Whole name at the destinations, or a Jinja2 template such as copies/{{ name }}"
    )

    def parse(self, outer: tuple[RouteOptions, ...] = ()) -> RepositoryRule:
        """The rule within its outer levels."""
        return RepositoryRule(
            repository=self.repository,
            rename=self.rename,
            settings=RouteSettings.resolve(*outer, self),
            written_options=written_options(self),
        )


class NamespaceEntry(RouteOptions):
    """All repositories of a namespace, which is listed when a run starts."""

    namespace: NamespaceName = Field(description="First part of the names, such as giantswarm")
    include: Patterns | None = Field(
        None,
        description="Patterns of names within the namespace to mirror: globs, or /regular expressions/; default: all",
    )
    exclude: Patterns | None = Field(None, description="Patterns of names within the namespace to exclude")
    include_private: bool = Field(False, description="true: also mirror repositories that are not public")
    rename: Rename | None = Field(
        None, description="Jinja2 template for the names at the destinations, such as copies/{{ name }}"
    )

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        """Refuse patterns of whole names: in ``exclude`` they would silently exclude nothing."""
        start = f"{self.namespace}/"
        texts = (pattern.text for pattern in (*(self.include or ()), *(self.exclude or ())))
        if whole := next((text for text in texts if text.startswith(start)), None):
            advice = f"patterns match the name within the namespace; write {quoted(whole.removeprefix(start))}"
            raise ValueError(f"{quoted(whole)} begins with the namespace, but {advice}")
        return self

    def parse(self, outer: tuple[RouteOptions, ...] = ()) -> NamespaceRule:
        """The rule within its outer levels."""
        return NamespaceRule(
            namespace=self.namespace,
            include=self.include,
            exclude=self.exclude,
            include_private=self.include_private,
            rename=self.rename,
            settings=RouteSettings.resolve(*outer, self),
            written_options=written_options(self),
        )


def _form_of_rule(written: Any) -> str | None:
    """The form of an entry of ``repositories:``: a bare name, or a mapping with one of two keys."""
    match written:
        case str():
            return "name"
        case RepositoryEntry():
            return "repository"
        case NamespaceEntry():
            return "namespace"
        case Mapping() if ("repository" in written) != ("namespace" in written):
            return "repository" if "repository" in written else "namespace"
    return None


WrittenRule = Annotated[
    Annotated[RepositoryName, Tag("name")]
    | Annotated[RepositoryEntry, Tag("repository")]
    | Annotated[NamespaceEntry, Tag("namespace")],
    Discriminator(_form_of_rule),
]


class MirrorOptions(RouteOptions):
    """Options in ``defaults:`` and at a mirror. The mirror's own value counts, also if it is ``null``."""

    source: str = Field("", description="Name of the registry to read from")
    destinations: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        (), description="Names of the registries to write to"
    )
    schedule: Schedule | None = Field(
        None, description="Cron expression or preset such as @hourly, in UTC; default: only manual runs"
    )
    full_check: Schedule | None = Field(
        "@daily", description="Schedule of full checks: a run whose interval contains one compares all tags"
    )
    deep_check: WrittenDeepCheck | None = Field(
        None,
        description="Schedule of deep checks, or a mapping with schedule:, share: and read:. A run whose interval "
        "contains one also verifies what the destinations hold, and repairs it; default: only when a run is asked to",
    )
    notify: WrittenNotifiers | None = Field(
        None, description="Notifiers that get a message when something fails, is well again, or breaks a promise"
    )
    owner: Owner | None = Field(None, description="Owner of the DAG in Airflow, such as a team; also in messages")
    access_control: WrittenAccess | None = Field(
        None, description="Airflow roles and what they may do with the DAG, such as {team-a: [can_read, can_edit]}"
    )
    dag_tags: DagTags | None = Field(None, description="Tags of the DAG in Airflow, besides registry_sync")
    start_date: UtcTime | None = Field(None, description="Start of the first scheduled interval, in UTC")
    catchup: bool = Field(False, description="true: also run for the intervals between start_date and now")
    retries: int = Field(3, ge=0, le=100, description="Number of times that Airflow retries a failed route")
    task_timeout_minutes: int = Field(
        1440, ge=1, description="Timeout of one try of a task; the next try continues with what is missing"
    )


MIRROR_OPTIONS = tuple(name for name in MirrorOptions.model_fields if name not in RouteOptions.model_fields)
"""The options that no rule can have."""


class MirrorHeader(MirrorOptions):
    """A mirror without its rules, for tasks that work on rules that were read before."""

    description: str = Field("", description="Purpose of the mirror; shown in Airflow")
    events: EventsEntry | None = Field(
        None, description="Events of this mirror alone, in place of those of its source; null: none"
    )

    def parse(self, name: str, defaults: RouteOptions = MirrorOptions()) -> Mirror:
        """The mirror as a value, with the settings of each rule."""
        options = {option: _in_force(option, self, defaults) for option in MIRROR_OPTIONS}
        deep_check, notify = options.pop("deep_check"), options.pop("notify")
        return Mirror(
            name=name,
            description=self.description,
            rules=self._rules(defaults),
            written_options=frozenset(self.model_fields_set & MirrorOptions.model_fields.keys()),
            default_options=frozenset(defaults.model_fields_set),
            deep_check=deep_check.parse() if deep_check else DeepCheckRules(),
            fresh_within=RouteSettings.resolve(defaults, self).fresh_within,
            notify=tuple(entry.parse() for entry in notify or ()),
            events=self.events.parse() if self.events else None,
            writes_events="events" in self.model_fields_set,
            **options,
        )

    def _rules(self, defaults: RouteOptions) -> tuple[Rule, ...]:  # noqa: ARG002 - of entries with rules
        return ()


class MirrorEntry(MirrorHeader):
    """A mirror, under its name in ``mirrors:``."""

    repositories: Annotated[tuple[WrittenRule, ...], Field(min_length=1)] = Field(
        description="Repositories to mirror: names, or mappings with repository: or namespace:"
    )

    def _rules(self, defaults: RouteOptions) -> tuple[Rule, ...]:
        entries = (RepositoryEntry(repository=rule) if isinstance(rule, str) else rule for rule in self.repositories)
        return tuple(entry.parse((defaults, self)) for entry in entries)


def _in_force(option: str, *levels: RouteOptions) -> Any:
    """The value of an option of mirrors by the first of ``levels`` that writes it, else its default."""
    writing = (level for level in levels if option in level.model_fields_set)
    return getattr(next(writing, MirrorOptions()), option)


class MirrorsDocument(BaseModel):
    """Container registries, and the mirrors that keep them in sync."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        title="Mirrors file of registry_sync",
        json_schema_extra={"patternProperties": {"^x-": {"description": "Values for YAML anchors; ignored"}}},
    )

    env: tuple[VariableName, ...] = Field(
        (), description="Variables of the environment that replace ${NAME} in values; not for secrets"
    )

    registries: Mapping[Slug, RegistryEntry] = Field(
        description="Registries, by a name of your choice", json_schema_extra={"additionalProperties": False}
    )
    defaults: MirrorOptions = Field(MirrorOptions(), description="Default options of all mirrors")
    mirrors: Mapping[Slug, MirrorEntry] = Field(
        description="Mirrors; each becomes the DAG mirror_NAME",
        json_schema_extra={"additionalProperties": False},
    )
    nodes: Mapping[Slug, NodePoolEntry] = Field(
        {},
        description="Pools of machines, and the registries that they pull from",
        json_schema_extra={"additionalProperties": False},
    )


class HeadersDocument(MirrorsDocument):
    """A mirrors file without the rules of its mirrors."""

    mirrors: Mapping[Slug, MirrorHeader]  # type: ignore[assignment]
