"""Entries of a mirrors file: registries, mirrors and their rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from registry_sync.config.fields import (
    Host,
    Moment,
    Rename,
    RepositoryName,
    Schedule,
    Strict,
    Word,
    WorkerFile,
)
from registry_sync.config.node_pools import NodePool, NodePoolEntry
from registry_sync.config.settings import RouteOptions, RouteSettings
from registry_sync.registry.kinds import (
    CREATES_REPOSITORIES,
    OWN_API,
    Kind,
    api_url_fault,
    infer_kind,
)
from registry_sync.tags.patterns import first_match
from registry_sync.tags.rules import Patterns


class RegistryEntry(Strict):
    """An entry of ``registries:`` as it is written."""

    host: Host = Field(description="host or host:port, such as quay.io; Docker Hub is docker.io")
    kind: Kind | None = Field(
        None,
        description="Which API it has; told by well-known hosts, otherwise distribution, which is any OCI registry",
    )
    api_url: str | None = Field(
        None,
        min_length=1,
        description="Address of the API of a quay, docker_hub or harbor, when it is not the usual one",
    )
    connection: str | None = Field(
        None,
        min_length=1,
        description="Airflow Connection of type docker with login and password; without it anonymous",
    )
    private: bool = Field(False, description="Only we can push to it, so machines may use it as a mirror")
    tls: bool = Field(True, description="false is plain HTTP; for a registry on the same machine")
    ca_file: WorkerFile | None = Field(
        None, description="PEM file, on the workers, of the authority that signed its certificate"
    )
    max_connections: int = Field(8, ge=1, le=64, description="Connections that one task opens to it at once")
    requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None,
        description="How fast one task asks it (the kind's usual rate); of a kind with an API, how fast it asks that",
    )
    create_repository: bool = Field(
        False, description="Create a public repository there before the first push to it; for docker_hub"
    )
    pool: str = Field("default_pool", min_length=1, description="Airflow pool for tasks that write to it; must exist")
    queue: str | None = Field(
        None, min_length=1, description="Celery queue of the workers that write to it; without it Airflow's default"
    )

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.ca_file and not self.tls:
            raise ValueError("ca_file is for TLS, which tls: false turns off; remove one of them")
        return self

    @model_validator(mode="after")
    def _check_api_url(self) -> Self:
        if self.api_url and self.api_kind not in OWN_API:
            raise ValueError(f"a registry of kind {self.api_kind!r} has no api_url; remove it")
        if self.api_url and (fault := api_url_fault(self.api_url, tls=self.tls)):
            raise ValueError(f"api_url: {fault}")
        return self

    @model_validator(mode="after")
    def _check_create_repository(self) -> Self:
        if self.create_repository and self.api_kind not in CREATES_REPOSITORIES:
            kinds = ", ".join(CREATES_REPOSITORIES)
            raise ValueError(
                f"create_repository is only supported for kind {kinds} (this registry is {self.api_kind!r}); remove it"
            )
        return self

    @property
    def api_kind(self) -> Kind:
        """Its kind, as written or as its host tells."""
        return self.kind or infer_kind(self.host)


class Registry(RegistryEntry):
    """A registry by its name in the mirrors file."""

    name: Word


class RepositoryRule(RouteOptions):
    """One repository to mirror, the same name at the destination unless renamed."""

    repository: RepositoryName = Field(description="Name without its registry, such as giantswarm/hyperkube")
    rename: Rename | None = Field(
        None, description="Its whole name at the destinations, or a Jinja2 template such as copies/{{ name }}"
    )

    @property
    def summary(self) -> str:
        """The rule in a few words of Markdown."""
        return f"`{self.repository}`" + (f" as `{self.rename}`" if self.rename else "")


class NamespaceRule(RouteOptions):
    """All repositories of a namespace, found through the registry's API when a run starts."""

    namespace: RepositoryName = Field(description="First part of the names, such as giantswarm")
    include: Patterns | None = Field(None, description="Globs of the names within the namespace; without it all")
    exclude: Patterns | None = Field(None, description="Globs of names to leave out of those")
    include_private: bool = Field(False, description="Also the repositories that are not public")
    rename: Rename | None = Field(
        None, description="Jinja2 template of their names at the destinations, such as copies/{{ name }}"
    )

    @model_validator(mode="after")
    def _check_globs(self) -> Self:
        """In ``exclude`` such a one would leave out nothing, in silence."""
        start = f"{self.namespace}/"
        if idle := next(
            (each for each in (*(self.include or ()), *(self.exclude or ())) if each.startswith(start)), None
        ):
            advice = f"patterns are of the names within the namespace; write {idle.removeprefix(start)!r}"
            raise ValueError(f"{idle!r} begins with the namespace, and {advice}")
        return self

    @property
    def summary(self) -> str:
        """The rule in a few words of Markdown."""
        which = f" matching {_code(self.include)}" if self.include else ""
        but = f" but {_code(self.exclude)}" if self.exclude else ""
        return f"all of `{self.namespace}`{which}{but}" + (f" as `{self.rename}`" if self.rename else "")

    def chooses(self, repository: str) -> bool:
        """Whether the globs choose ``repository``, the whole name of one in the namespace."""
        within = repository.removeprefix(f"{self.namespace}/")
        included = self.include is None or first_match(self.include, within)
        return bool(included) and not first_match(self.exclude or (), within)


Rule = RepositoryRule | NamespaceRule


def _code(globs: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in globs)


def _form_of_rule(written: Any) -> str | None:
    """Which form of rule an entry of ``repositories:`` has: a bare name, or a mapping with one of two keys."""
    match written:
        case str():
            return "name"
        case RepositoryRule():
            return "repository"
        case NamespaceRule():
            return "namespace"
        case Mapping() if ("repository" in written) != ("namespace" in written):
            return "repository" if "repository" in written else "namespace"
    return None


WrittenRule = Annotated[
    Annotated[RepositoryName, Tag("name")]
    | Annotated[RepositoryRule, Tag("repository")]
    | Annotated[NamespaceRule, Tag("namespace")],
    Discriminator(_form_of_rule),
]


class MirrorEntry(RouteOptions):
    """An entry of ``mirrors:`` as it is written."""

    description: str = Field("", description="What it is for; shown in Airflow")
    source: str = Field(description="Name of the registry to read from")
    destinations: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Names of the registries to write to"
    )
    repositories: Annotated[tuple[WrittenRule, ...], Field(min_length=1)] = Field(
        description="What to mirror: names, or mappings with repository: or namespace:"
    )
    schedule: Schedule | None = Field(
        None, description="Cron expression or preset such as @hourly, in UTC; without it only by hand"
    )
    full_check: Schedule | None = Field(
        "@daily", description="Runs whose interval holds a tick of this compare everything and not just what was pushed"
    )
    start_date: Moment | None = Field(None, description="The first scheduled interval starts here (UTC)")
    catchup: bool = Field(False, description="Also run for the intervals between start_date and now")
    retries: int = Field(3, ge=0, le=100, description="How often Airflow tries a failed route again")
    task_timeout_minutes: int = Field(
        1440, ge=1, description="The longest that one try of a task may take; what it copied stays for the next"
    )

    @model_validator(mode="after")
    def _check_dates(self) -> Self:
        if self.catchup and not (self.schedule and self.start_date):
            raise ValueError("catchup needs a schedule and a start_date, from which to catch up")
        return self


class Mirror(MirrorEntry):
    """A mirror by its name, and the file's defaults that it builds on."""

    name: Word
    defaults: RouteOptions = RouteOptions()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The entries of ``repositories``; a bare name is a rule with nothing but its repository."""
        return tuple(RepositoryRule(repository=each) if isinstance(each, str) else each for each in self.repositories)

    def settings(self, rule: Rule) -> RouteSettings:
        """The options in force for the routes of ``rule``."""
        return RouteSettings.resolve(self.defaults, self, rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorsFile:
    """A whole mirrors file, checked; names are unique and every name that is used exists."""

    path: Path
    registries: Mapping[str, Registry]
    mirrors: Mapping[str, Mirror]
    node_pools: Mapping[str, NodePool] = field(default_factory=dict)


class MirrorsDocument(BaseModel):
    """Container registries, and what is kept in step between them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", title="Mirrors file of registry_sync")

    registries: Mapping[Word, RegistryEntry] = Field(
        description="The registries, by a name of your choice", json_schema_extra={"additionalProperties": False}
    )
    defaults: RouteOptions = Field(RouteOptions(), description="Options of all mirrors that do not write their own")
    mirrors: Mapping[Word, MirrorEntry] = Field(
        description="What to mirror; each becomes the DAG mirror_NAME",
        json_schema_extra={"additionalProperties": False},
    )
    nodes: Mapping[Word, NodePoolEntry] = Field(
        {}, description="Pools of machines, and what they pull by", json_schema_extra={"additionalProperties": False}
    )
