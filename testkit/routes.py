"""A route between two registries of a test, run as the operator runs it, without Airflow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from registry_sync.config.registry import Registry
from registry_sync.config.settings import SkopeoOptions
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Credentials, Endpoint, Identity
from registry_sync.registry.open import open_client
from registry_sync.routes.route import Route
from registry_sync.skopeo.local import find_known_skopeo, find_skopeo
from registry_sync.skopeo.runner import SkopeoProgram
from registry_sync.sync.artifacts.lacking import NONE_LACKING, LackingArtifacts
from registry_sync.sync.report import RouteReport, TagResult
from registry_sync.sync.route import sync_route
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Session, open_session
from registry_sync.sync.verification.deep_check import DeepCheck
from registry_sync.sync.window import ALL_TAGS, Window
from registry_sync.tags.rules import TagRule

if TYPE_CHECKING:  # bench/ours.py measures this module's imports
    from testkit.interceptor import Interceptor
    from testkit.registry import RegistryProcess


class Server(Protocol):
    """A server with an address: a registry, or a proxy in front of one."""

    @property
    def host(self) -> str: ...


SOURCE, DESTINATION = "origin", "backup"
"""Names of the two registries in the mirrors file."""

FULL_CHECK = Window(reason="full check, @daily", is_full_check=True)


def make_route(
    source: Server,
    destination: Server,
    name: str,
    *,
    source_kind: str | None = None,
    destination_kind: str | None = None,
    mirror: str = "team",
    rename: str | None = None,
    **settings: Any,
) -> Route:
    """A route over plain HTTP, to a repository of the same name or of the name ``rename``."""
    # bench/ours.py measures this module's imports, and needs no entries
    from registry_sync.config.entries.registry import RegistryEntry  # noqa: PLC0415
    from testkit.settings import route_settings  # noqa: PLC0415

    entry = {"host": source.host, "tls": False, "kind": source_kind, "requests_per_second": 1000.0}
    writable = {"host": destination.host, "tls": False, "kind": destination_kind}
    return Route(
        mirror=mirror,
        source=RegistryEntry.model_validate(entry).parse(SOURCE),
        destination=RegistryEntry.model_validate(writable).parse(DESTINATION),
        source_repository=Repository(source.host, name),
        destination_repository=Repository(destination.host, rename or name),
        settings=route_settings(**settings),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopbackConnections:
    """Connections without Airflow: the credentials of each registry by its name, and an API's address.

    ``identity`` is that of both registries.
    """

    credentials: Mapping[str, Credentials | None] = field(default_factory=dict)
    api_url: str | None = None
    identity: Identity | None = None

    def endpoint(self, registry: Registry, /) -> Endpoint:
        credentials = self.credentials.get(registry.name)
        return Endpoint(
            host=registry.host,
            tls=registry.tls,
            ca_file=registry.ca_file,
            credentials=credentials,
            identity=self.identity,
        )

    def client(self, registry: Registry, /) -> AbstractContextManager[RegistryClient]:
        client = open_client(
            registry.kind,
            self.endpoint(registry),
            max_connections=registry.max_connections,
            api_url=registry.api_url or (self.api_url if registry.name == SOURCE else None),
            requests_per_second=registry.requests_per_second,
            keep_pulls=registry.keep_pulls,
        )
        return closing(client)

    def skopeo(self, _: SkopeoOptions, /) -> SkopeoProgram:
        return find_skopeo()

    def known_skopeo(self, _: SkopeoOptions, /) -> SkopeoProgram:
        return find_known_skopeo()


def sync_report(session: Session, scope: RouteScope) -> RouteReport:
    """The report of a synced route."""
    return sync_route(session, scope).report


def run_route(
    route: Route,
    *,
    source_credentials: Credentials | None = None,
    destination_credentials: Credentials | None = None,
    only_tags: TagRule = TagRule(),
    window: Window = ALL_TAGS,
    planned: PlannedDeletions | None = None,
    api_url: str | None = None,
    identity: Identity | None = None,
    dry_run: bool = False,
    deep_check: DeepCheck | None = None,
    compares_names: bool = False,
    lacking: LackingArtifacts = NONE_LACKING,
    stale_tags: Collection[str] = (),
    run: Callable[[Session, RouteScope], RouteReport] = sync_report,
    on_start: Callable[[Session], object] = lambda _: None,
) -> RouteReport:
    """Sync a route.

    :param source_credentials: credentials of the Airflow Connection of the source.
    :param destination_credentials: credentials of the Airflow Connection of the destination.
    :param planned: deletions that an earlier run planned.
    :param api_url: address of the source's own API.
    :param identity: identity at a cloud, of both registries.
    :param compares_names: the run is a scheduled one between two full checks.
    :param lacking: attached artifacts that failed in an earlier run.
    :param stale_tags: tags that a vendor's listing had wrong in an earlier run.
    :param run: what to do with the route; ``verify_route`` copies nothing.
    :param on_start: gets the session before the work begins, for a test that stops it as Airflow's ``on_kill`` does.
    """
    connections = LoopbackConnections(
        credentials={route.source.name: source_credentials, route.destination.name: destination_credentials},
        api_url=api_url,
        identity=identity,
    )
    scope = RouteScope(
        tags=only_tags,
        window=window,
        due_deletions=planned,
        dry_run=dry_run,
        deep_check=deep_check,
        compares_names=compares_names,
        lacking=lacking,
        stale_tags=frozenset(stale_tags),
    )
    with open_session(route, connections) as session:
        on_start(session)
        return run(session, scope)


def asked(server: RegistryProcess | Interceptor, name: str) -> list[str]:
    """The requests for a repository, as ``METHOD rest-of-path status``, sorted."""
    prefix = f"/v2/{name}/"
    return sorted(
        f"{request.method} {request.path.removeprefix(prefix)} {request.status}"
        for request in server.requests()
        if request.path.startswith(prefix)
    )


def counted(report: RouteReport) -> dict[str, int]:
    """The outcomes with at least one tag, and their counts."""
    return {outcome: count for outcome, count in report.counts.items() if count}


def result_of(report: RouteReport, tag: str) -> TagResult:
    """The result of one tag."""
    (found,) = (each for each in report.tags if each.tag == tag)
    return found
