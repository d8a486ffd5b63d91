"""What a mirrors file says, as values: registries, mirrors, their rules, and the routes that follow from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
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
from registry_sync.kinds import CREATES_REPOSITORIES, OWN_API, Kind, api_url_fault, infer_kind, name_fault
from registry_sync.moved import FOLLOW, BackupTag, MovedTagPolicies, policy_of
from registry_sync.naming import Names, Naming, check_name_part, check_rename, destination_name
from registry_sync.node_pools import NodePool
from registry_sync.patterns import first_match, matches
from registry_sync.platforms import parse_platform
from registry_sync.prune import PruneRules
from registry_sync.reference import Repository
from registry_sync.schedule import check_schedule
from registry_sync.tags import Patterns, TagRules


def _parse_moment(written: Any) -> datetime:
    """A date or time in ISO 8601, in UTC unless it has an offset.

    A number is refused. pydantic would take ``2026`` for seconds since 1970.
    """
    try:
        moment = written if isinstance(written, datetime) else datetime.fromisoformat(written)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"expected a date such as 2026-01-31 or 2026-01-31T12:00Z, got {written!r}") from error


def _check_docker_url(url: str) -> str:
    if not re.fullmatch(r"unix:///.+|tcp://[^/]+", url):
        raise ValueError(f"expected unix:///path/of/docker.sock or tcp://host:port, got {url!r}")
    return url


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"expected an absolute path, since a worker runs anywhere, got {str(path)!r}")
    return path


Rename = Annotated[str, raising_value_error(check_rename)]
NamePart = Annotated[str, raising_value_error(check_name_part)]
"""A piece of a repository name; whether the whole is a name shows where it is put together."""
Schedule = Annotated[str, raising_value_error(check_schedule)]
Moment = Annotated[
    datetime,
    BeforeValidator(_parse_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": each} for each in ("date", "date-time")]}),
]
WorkerFile = Annotated[Path, Field(strict=False), AfterValidator(_check_absolute)]
Platforms = Annotated[tuple[Annotated[str, raising_value_error(parse_platform)], ...], Field(min_length=1)]


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
            which = f"a registry of kind {self.api_kind!r} has no call for that"
            raise ValueError(f"create_repository is for {', '.join(CREATES_REPOSITORIES)}, {which}; remove it")
        return self

    @property
    def api_kind(self) -> Kind:
        """Its kind, as written or as its host tells."""
        return self.kind or infer_kind(self.host)


class Registry(RegistryEntry):
    """A registry by its name in the mirrors file."""

    name: Word


Runner = Literal["local", "docker"]


class SkopeoOptions(_Strict):
    """Where skopeo runs: on the worker, or in containers of a Docker daemon."""

    runner: Runner = Field("local", description="local: the worker's own skopeo; docker: a container for each copy")
    image: str | None = Field(
        None, min_length=1, description="Image with skopeo, such as quay.io/skopeo/stable:v1.18.0; for docker"
    )
    docker_url: Annotated[str, AfterValidator(_check_docker_url)] = Field(
        "unix:///var/run/docker.sock", description="The Docker daemon, as seen by the worker; for docker"
    )
    tls_dir: WorkerFile | None = Field(
        None, description="Folder, on the workers, with ca.pem, cert.pem and key.pem for a docker_url of tcp://"
    )
    network: str = Field("bridge", min_length=1, description="Network of the daemon's that containers join; for docker")

    @model_validator(mode="after")
    def _check_runner(self) -> Self:
        if self.runner == "docker" and self.image is None:
            raise ValueError("runner: docker needs an image that has skopeo, such as quay.io/skopeo/stable:v1.18.0")
        if self.runner == "local" and self.model_fields_set - {"runner"}:
            others = ", ".join(sorted(self.model_fields_set - {"runner"}))
            raise ValueError(f"{others}: this is for runner: docker; write that too, or remove it")
        if self.docker_url.startswith("tcp://") and self.tls_dir is None:
            raise ValueError(
                f"docker_url {self.docker_url!r} needs a tls_dir: without TLS, whoever reaches that port is root there"
            )
        return self


class RouteOptions(_Strict):
    """What can be written in ``defaults:``, at a mirror and at a rule; the innermost that is written counts.

    ``null`` is written too: it turns off what an outer level has.
    """

    tags: TagRules | None = Field(None, description="Which tags are mirrored; without it all")
    prefix: NamePart | None = Field(
        None, description="What comes before the names at the destinations, such as mirror/; not where there is rename"
    )
    strip_prefix: NamePart | None = Field(
        None, description="What is taken from the beginning of the names first, such as giantswarm/"
    )
    on_moved_tag: MovedTagPolicies | None = Field(
        None,
        description="A tag that names another digest at the destination is overwritten (follow), kept, or fails; or "
        "patterns of tags with one of these each, of which the first that matches counts",
    )
    backup_tag: BackupTag | None = Field(
        None,
        description="Jinja2 template of the tag that keeps what is about to be overwritten, such as "
        "{{ tag }}-was-{{ digest_short }}; there are tag, digest, digest_short, date and time",
    )
    prune: PruneRules | None = Field(None, description="Which tags of the destination are deleted; without it none")
    platforms: Platforms | None = Field(
        None, description="Of images for several platforms, mirror only these, such as linux/amd64; without it all"
    )
    signatures: bool | None = Field(
        None, description="Signatures, attestations and SBOMs go along with the image that they are about (true)"
    )
    policy: WorkerFile | None = Field(
        None, description="containers-policy.json(5) file, on the workers, that images have to pass to be copied"
    )
    registries_d: WorkerFile | None = Field(
        None, description="containers-registries.d(5) folder, on the workers: where the policy finds signatures"
    )
    skopeo: SkopeoOptions | None = Field(None, description="Where skopeo runs; without it on the worker")
    parallel_copies: Annotated[int, Field(ge=1, le=32)] | None = Field(
        None, description="Images that one task copies at once (4)"
    )
    copy_timeout_minutes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The longest that one image may take (60)"
    )
    stall_timeout_seconds: Annotated[int, Field(ge=1)] | None = Field(
        None, description="A copy that moves no byte for so long is ended (300)"
    )

    @property
    def written_options(self) -> frozenset[str]:
        """The options that stand here, whatever else does; also as ``null``."""
        return frozenset(self.model_fields_set & RouteOptions.model_fields.keys())


class RouteSettings(_Strict):
    """The options in force for a route. Minutes and seconds as the names say."""

    tags: TagRules = TagRules()
    prefix: str = ""
    strip_prefix: str = ""
    on_moved_tag: MovedTagPolicies = FOLLOW
    backup_tag: str | None = None
    prune: PruneRules | None = None
    platforms: tuple[str, ...] = ()
    signatures: bool = True
    policy: Path | None = None
    registries_d: Path | None = None
    skopeo: SkopeoOptions = SkopeoOptions()
    parallel_copies: int = 4
    copy_timeout_minutes: int = 60
    stall_timeout_seconds: int = 300

    def overwrites(self, tag: str) -> bool:
        """Whether a tag is written whatever it names at the destination by then, and nothing of that is kept."""
        return self.backup_tag is None and policy_of(tag, self.on_moved_tag)[0] == "follow"

    @property
    def deletes_tags(self) -> bool:
        return self.prune is not None and self.prune.tags != "none"

    @classmethod
    def resolve(cls, *layers: RouteOptions) -> Self:
        """The settings that ``layers`` give, outermost first; a later one overrides an earlier one key by key."""
        written: dict[str, Any] = {}
        for layer in layers:
            written |= {name: getattr(layer, name) for name in layer.written_options}
        return cls(**{name: value for name, value in written.items() if value is not None})


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
                route = replace(route_of(mirror, rule, source, destination, name), is_discovered=True)
                routes.append(FoundRoute(route=route, modified_at=found[name]))
            known |= found.keys()
    check_destinations(each.route for each in routes)
    return sorted(routes, key=lambda each: each.route.label)


def listed_routes(mirror: Mirror, source: Registry, destination: Registry) -> Iterator[Route]:
    """The routes of the repositories that are written by name, in the order of the file."""
    for rule in mirror.rules:
        if isinstance(rule, RepositoryRule):
            yield route_of(mirror, rule, source, destination, rule.repository)


def route_of(mirror: Mirror, rule: Rule, source: Registry, destination: Registry, repository: str) -> Route:
    """The route of one source repository.

    :raises ConfigurationError: when its name at the destination cannot be made.
    """
    here, settings = Repository.at(source.host, repository), mirror.settings(rule)
    naming = Naming(rename=rule.rename, prefix=settings.prefix, strip_prefix=settings.strip_prefix)
    names = Names(repository=here.name, registry=source.name, destination=destination.name, mirror=mirror.name)
    return Route(
        mirror=mirror.name,
        source=source,
        destination=destination,
        source_repository=here,
        destination_repository=Repository.at(destination.host, destination_name(naming, names)),
        settings=settings,
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
    if idle := [glob for glob in globs if not any(matches(glob, name) for name in names)]:
        raise ConfigurationError(f"no repository of this mirror matches {idle}; it has {sorted(set(names))}")
    named = zip(names, routes, strict=True)
    return [route for name, route in named if not globs or first_match(globs, name)]


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
    fault = name_fault(route.destination.api_kind, route.destination_repository.name)
    return f"{fault}; {'exclude or rename it' if route.is_discovered else 'rename it'}" if fault else ""
