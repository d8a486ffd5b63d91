"""What a mirrors file says, as values: registries, mirrors, their rules, and the routes that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from registry_sync.errors import ConfigurationError
from registry_sync.fields import Host, RepositoryName, Word, raising_value_error
from registry_sync.node_pools import NodePool
from registry_sync.reference import DOCKER_HUB, Repository
from registry_sync.schedule import check_schedule
from registry_sync.tags import Patterns, TagRules

Kind = Literal["distribution", "quay", "docker_hub", "acr", "aliyun", "harbor", "google"]
MovedTagPolicy = Literal["follow", "keep", "fail"]


def _parse_moment(written: Any) -> datetime:
    """A date or time in ISO 8601, in UTC unless it has an offset.

    A number is refused. pydantic would take ``2026`` for seconds since 1970.
    """
    try:
        moment = written if isinstance(written, datetime) else datetime.fromisoformat(written)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"expected a date such as 2026-01-31 or 2026-01-31T12:00Z, got {written!r}") from error


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"expected an absolute path, since a worker runs anywhere, got {str(path)!r}")
    return path


Schedule = Annotated[str, raising_value_error(check_schedule)]
Moment = Annotated[
    datetime,
    BeforeValidator(_parse_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": each} for each in ("date", "date-time")]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class RegistryEntry(_Strict):
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
    ca_file: Annotated[Path, Field(strict=False), AfterValidator(_check_absolute)] | None = Field(
        None, description="PEM file, on the workers, of the authority that signed its certificate"
    )
    max_connections: int = Field(8, ge=1, le=64, description="Connections that one task opens to it at once")
    requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None,
        description="How fast one task asks it (the kind's usual rate); of a kind with an API, how fast it asks that",
    )
    pool: str = Field("default_pool", min_length=1, description="Airflow pool for tasks that write to it; must exist")

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.ca_file and not self.tls:
            raise ValueError("ca_file is for TLS, which tls: false turns off; remove one of them")
        return self


class Registry(RegistryEntry):
    """A registry by its name in the mirrors file."""

    name: Word


class RouteOptions(_Strict):
    """What can be written in ``defaults:``, at a mirror and at a rule; the innermost that is written counts."""

    tags: TagRules | None = Field(None, description="Which tags are mirrored; without it all")
    on_moved_tag: MovedTagPolicy | None = Field(
        None, description="A tag that names another digest at the destination is overwritten (follow), kept, or fails"
    )
    parallel_copies: Annotated[int, Field(ge=1, le=32)] | None = Field(
        None, description="Images that one task copies at once (4)"
    )
    copy_timeout_minutes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The longest that one image may take (60)"
    )
    stall_timeout_seconds: Annotated[int, Field(ge=1)] | None = Field(
        None, description="A copy that moves no byte for so long is ended (300)"
    )


class RouteSettings(_Strict):
    """The options in force for a route. Minutes and seconds as the names say."""

    tags: TagRules = TagRules()
    on_moved_tag: MovedTagPolicy = "follow"
    parallel_copies: int = 4
    copy_timeout_minutes: int = 60
    stall_timeout_seconds: int = 300

    @classmethod
    def resolve(cls, *layers: RouteOptions) -> Self:
        """The settings that ``layers`` give, outermost first; a later one overrides an earlier one key by key."""
        written: dict[str, Any] = {}
        for layer in layers:
            options = {name: getattr(layer, name) for name in RouteOptions.model_fields}
            written |= {name: value for name, value in options.items() if value is not None}
        return cls(**written)


class RepositoryRule(RouteOptions):
    """One repository to mirror, the same name at the destination unless renamed."""

    repository: RepositoryName = Field(description="Name without its registry, such as giantswarm/hyperkube")
    rename: RepositoryName | None = Field(None, description="Its name at the destinations")

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

    @property
    def summary(self) -> str:
        """The rule in a few words of Markdown."""
        which = f" matching {_code(self.include)}" if self.include else ""
        return f"all of `{self.namespace}`{which}" + (f" but {_code(self.exclude)}" if self.exclude else "")

    def chooses(self, repository: str) -> bool:
        """Whether the globs choose ``repository``, the whole name of one in the namespace."""
        within = repository.removeprefix(f"{self.namespace}/")
        included = self.include is None or any(fnmatchcase(within, each) for each in self.include)
        return included and not any(fnmatchcase(within, each) for each in self.exclude or ())


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One source repository to one destination repository, and how. One mapped task each.

    ``is_discovered``: it was found through its namespace, and is not written by name.
    """

    mirror: str
    source: Registry
    destination: Registry
    source_repository: Repository
    destination_repository: Repository
    settings: RouteSettings
    is_discovered: bool = False

    @property
    def label(self) -> str:
        """What people see: ``giantswarm/hyperkube → acr``, with the destination's name where it is another."""
        renamed = self.destination_repository.name != self.source_repository.name
        tail = f"/{self.destination_repository.name}" if renamed else ""
        return f"{self.source_repository.name} → {self.destination.name}{tail}"

    def to_json(self) -> dict[str, Any]:
        """The route as JSON-simple values, for XCom. Credentials are no part of it."""
        return {
            "label": self.label,
            "mirror": self.mirror,
            "source": self.source.model_dump(mode="json", exclude_defaults=True),
            "destination": self.destination.model_dump(mode="json", exclude_defaults=True),
            "source_repository": self.source_repository.name,
            "destination_repository": self.destination_repository.name,
            "settings": self.settings.model_dump(mode="json", exclude_defaults=True),
            "is_discovered": self.is_discovered,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        source = Registry.model_validate(document["source"], strict=False)
        destination = Registry.model_validate(document["destination"], strict=False)
        return cls(
            mirror=document["mirror"],
            source=source,
            destination=destination,
            source_repository=Repository(source.host, document["source_repository"]),
            destination_repository=Repository(destination.host, document["destination_repository"]),
            settings=RouteSettings.model_validate(document["settings"], strict=False),
            is_discovered=document["is_discovered"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRoute:
    """A route, and when a tag was last pushed to its source repository (``None``: unknown)."""

    route: Route
    modified_at: datetime | None = None


ListRepositories = Callable[[str, bool], Mapping[str, datetime | None]]
"""From a namespace, and whether private ones are wanted, to the repositories there and when each was last pushed to."""


def expand_routes(
    mirror: Mirror, source: Registry, destination: Registry, list_repositories: ListRepositories
) -> list[FoundRoute]:
    """The routes of a mirror to one destination, in the order of their labels.

    A repository that is written by its name is not found a second time through its namespace.

    :param list_repositories: asks the source.
    :raises ConfigurationError: when a namespace gives no repository, or two routes would write one repository.
    """
    routes = [FoundRoute(route=each) for each in listed_routes(mirror, source, destination)]
    known = {each.route.source_repository.name for each in routes}
    for rule in mirror.rules:
        if isinstance(rule, NamespaceRule):
            found = _discover(rule, source, list_repositories)
            for name in sorted(found.keys() - known):
                route = replace(_route(mirror, source, destination, name, name, rule), is_discovered=True)
                routes.append(FoundRoute(route=route, modified_at=found[name]))
            known |= found.keys()
    check_destinations(each.route for each in routes)
    return sorted(routes, key=lambda each: each.route.label)


def listed_routes(mirror: Mirror, source: Registry, destination: Registry) -> Iterator[Route]:
    """The routes of the repositories that are written by name, in the order of the file."""
    for rule in mirror.rules:
        if isinstance(rule, RepositoryRule):
            here = Repository.at(source.host, rule.repository).name
            yield _route(mirror, source, destination, here, rule.rename or here, rule)


def _route(mirror: Mirror, source: Registry, destination: Registry, here: str, there: str, rule: Rule) -> Route:
    return Route(
        mirror=mirror.name,
        source=source,
        destination=destination,
        source_repository=Repository.at(source.host, here),
        destination_repository=Repository.at(destination.host, there),
        settings=mirror.settings(rule),
    )


def _discover(
    rule: NamespaceRule, source: Registry, list_repositories: ListRepositories
) -> Mapping[str, datetime | None]:
    found = list_repositories(rule.namespace, rule.include_private)
    chosen = {name: modified_at for name, modified_at in found.items() if rule.chooses(name)}
    if not chosen:
        seen = f"{len(found)} repositories, of which include and exclude leave none" if found else "no repository"
        raise ConfigurationError(f"namespace {rule.namespace!r} of {source.host} has {seen}; mend the rule or its name")
    return chosen


def select_routes(routes: Sequence[FoundRoute], globs: Sequence[str]) -> list[FoundRoute]:
    """The routes whose source repository matches one of ``globs``; all when there is none.

    :raises ConfigurationError: when a glob matches no repository, since then less would be done than was asked for.
    """
    names = [each.route.source_repository.name for each in routes]
    if idle := [glob for glob in globs if not any(fnmatchcase(name, glob) for name in names)]:
        raise ConfigurationError(f"no repository of this mirror matches {idle}; it has {sorted(set(names))}")
    named = zip(names, routes, strict=True)
    return [route for name, route in named if not globs or any(fnmatchcase(name, glob) for glob in globs)]


def check_destinations(routes: Iterable[Route]) -> None:
    """:raises ConfigurationError: when two routes write one repository, or one writes its own source."""
    writers: dict[Repository, Route] = {}
    for route in routes:
        if problem := name_problem(route):
            raise ConfigurationError(problem)
        first = writers.setdefault(route.destination_repository, route)
        if first is not route:
            both = f"{first.source_repository} and {route.source_repository}"
            raise ConfigurationError(f"{both} would both be mirrored to {route.destination_repository}; rename one")


def name_problem(route: Route) -> str:
    """Why a route cannot be, judged by its names alone; empty when it can."""
    if route.source_repository == route.destination_repository:
        return f"{route.source_repository} would be mirrored to itself; choose another destination, or rename it"
    if route.destination_repository.host == DOCKER_HUB and route.destination_repository.name.count("/") != 1:
        name, advice = route.destination_repository.name, "exclude it" if route.is_discovered else "rename it"
        return f"Docker Hub has names of two parts, NAMESPACE/NAME, and {name!r} has another number; {advice}"
    return ""
