"""Routes between stand-ins of the vendors' registries, and how a task works on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from registry_sync.config.entries.registry import RegistryEntry
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import RepositoryRule
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.kinds import OWN_API
from registry_sync.routes.discovery import listed_routes
from registry_sync.routes.route import Route
from registry_sync.sync.plan_route import plan_route
from registry_sync.sync.reading.observe import observe
from registry_sync.sync.route import sync_route
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import open_session
from registry_sync.sync.window import ALL_TAGS, Window
from testkit import images
from testkit.aws import shared_keys
from testkit.registry import RegistryProcess
from testkit.routes import LoopbackConnections

NAME = "acme/app"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

LOGINS = dict.fromkeys(("ghcr", "artifactory"), Credentials(username="bench", secret="ghp_token"))
"""Logins of the kinds whose APIs list nothing to anonymous users."""


def registry(kind: str, host: str, url: str) -> Registry:
    """A registry of the mirrors file that is a stand-in on loopback, with the API that its kind has."""
    api_url = url if kind in OWN_API else None
    return RegistryEntry.model_validate({"host": host, "kind": kind, "tls": False, "api_url": api_url}).parse(kind)


def route(source: Registry, destination: Registry, name: str = NAME) -> Route:
    """The route of one repository."""
    rule = RepositoryRule(repository=name)
    mirror = Mirror(name="bench", source=source.name, destinations=(destination.name,), rules=(rule,))
    return next(listed_routes(mirror, source, destination))


def plan(work: Route, window: Window = ALL_TAGS) -> int:
    """Observe both sides and plan; the number of tags that are to be copied."""
    with open_session(work, _connections(work)) as session:
        return len(plan_route(observe(session, RouteScope(window=window)), work.settings).copies)


def sync(work: Route, window: Window = ALL_TAGS) -> int:
    """Sync the route; the number of tags copied."""
    with open_session(work, _connections(work)) as session:
        report = sync_route(session, RouteScope(window=window)).report
    if report.is_failed:
        raise RuntimeError(f"the benchmark's own copy failed: {report}")
    return report.counts["copied"]


def _connections(work: Route) -> LoopbackConnections:
    registries = (work.source, work.destination)
    logins = {registry.name: LOGINS.get(registry.api_kind) for registry in registries}
    has_ecr = any(registry.api_kind == "ecr" for registry in registries)
    return LoopbackConnections(credentials=logins, identity=shared_keys() if has_ecr else None)


def fill(server: RegistryProcess, repository: str, count: int) -> dict[str, images.Image]:
    """``count`` tags, of ten images in turn."""
    contents = [images.multi_arch(f"{repository} {each}") for each in range(min(count, 10))]
    tags = {f"v{each:04}": contents[each % len(contents)] for each in range(count)}
    for tag, image in tags.items():
        images.push(server.url, repository, tag, image)
    return tags


def hours_ago(count: int) -> datetime:
    """Return the time ``count`` hours before the window's end."""
    return NOON - timedelta(hours=count)
