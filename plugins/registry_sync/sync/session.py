"""A session: the clients, the skopeo and the write locks for the work on one route."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from registry_sync.config.registry import Registry
from registry_sync.config.settings import RouteSettings, SkopeoOptions
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.same_registry import repository_key
from registry_sync.registry.traffic import Traffic
from registry_sync.routes.route import Route
from registry_sync.skopeo.config_files import PolicyFiles
from registry_sync.skopeo.copier import Skopeo
from registry_sync.skopeo.runner import SkopeoProgram
from registry_sync.worker.blob_places import BlobPlaces
from registry_sync.worker.write_locks import WriteLocks

PING_AFTER_FAILURES = 5
"""Temporary failures in a row after which both registries are pinged. If one is down, the rest is left for the retry;
otherwise the work goes on, because the good tags may come after the bad ones."""


FAR_SECONDS = 0.01
"""Longest time of the quickest request to a near registry. To a farther one, several requests are sent at a time: each
thread opens a connection, which pays for itself where requests mostly wait."""


class Connections(Protocol):
    """Access to registries and skopeo. Tasks and the command line get it from Airflow's hooks."""

    def endpoint(self, registry: Registry, /) -> Endpoint:
        """Address and credentials of a registry."""

    def client(self, registry: Registry, /) -> AbstractContextManager[RegistryClient]:
        """A client of a registry for a block. It sends nothing before its first call."""

    def skopeo(self, options: SkopeoOptions, /) -> SkopeoProgram:
        """A skopeo that works. :raises ConfigurationError: when there is none, or it is too old."""

    def known_skopeo(self, options: SkopeoOptions, /) -> SkopeoProgram:
        """The same, without running a skopeo whose version is known. :raises ConfigurationError: as ``skopeo``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A route with all that is needed to work on it.

    :ivar skopeo: found at the first copy; a dry run, or a route in sync, needs none.
    :ivar locks: on digests and tags of the destination repository.
    :ivar blob_places: repositories of the destination's registry that have a blob.
    """

    route: Route
    source: RegistryClient
    destination: RegistryClient
    skopeo: Skopeo
    locks: WriteLocks
    blob_places: BlobPlaces

    @property
    def are_far(self) -> bool:
        """True if even the quickest request to one of the registries so far took long."""
        return max(self.source.latency_seconds or 0.0, self.destination.latency_seconds or 0.0) > FAR_SECONDS

    def threads(self, requests: int) -> int:
        """The threads for requests that the work waits for, at most as many as both registries allow connections."""
        most = min(self.route.source.max_connections, self.route.destination.max_connections)
        return min(most, max(requests, 1)) if self.are_far else 1

    def open_connections(self, count: int) -> None:
        """Open connections to each registry in the background until there are ``count``, or as many as both allow."""
        count = min(count, self.route.source.max_connections, self.route.destination.max_connections)
        self.source.open_connections(count)
        self.destination.open_connections(count)

    def stop(self) -> None:
        """End every copy and every request, and refuse new ones. Returns at once. Safe in a signal handler."""
        self.skopeo.stop()
        self.source.abort()
        self.destination.abort()

    def check_stopping(self) -> None:
        """:raises TemporaryError: after :meth:`stop`."""
        self.skopeo.check_stopping()

    @property
    def traffic(self) -> Traffic:
        """Our requests to both registries so far."""
        return self.source.traffic + self.destination.traffic


@contextmanager
def open_session(route: Route, connections: Connections) -> Iterator[Session]:
    """Open the clients of a route until the end of the block. Nothing is sent, and skopeo is not looked for yet."""
    settings = route.settings
    with ExitStack() as stack:
        source = stack.enter_context(connections.client(route.source))
        destination = stack.enter_context(connections.client(route.destination))
        skopeo = Skopeo(
            lambda: connections.known_skopeo(settings.skopeo),
            source=connections.endpoint(route.source),
            destination=connections.endpoint(route.destination),
            copy_timeout_seconds=settings.copy_timeout_minutes * 60,
            stall_timeout_seconds=settings.stall_timeout_seconds,
            destination_hosts=lambda: destination.hosts,
            policy_files=policy_files_of(settings),
        )
        locks = WriteLocks(str(repository_key(route.destination_repository)), skopeo.check_stopping)
        credentials = connections.endpoint(route.destination).credentials
        yield Session(
            route=route,
            source=source,
            destination=destination,
            skopeo=skopeo,
            locks=locks,
            blob_places=BlobPlaces(f"{route.destination.host} {credentials.user if credentials else ''}"),
        )


def policy_files_of(settings: RouteSettings) -> PolicyFiles | None:
    """The policy that images of a route have to pass; ``None`` accepts any image."""
    return PolicyFiles(policy=settings.policy, registries_d=settings.registries_d) if settings.policy else None
