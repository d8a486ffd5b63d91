"""Routes between stand-ins of the vendors' registries, and how a task works on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from registry_sync.config.model import Mirror, Registry, RegistryEntry, RepositoryRule
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.open import open_client
from registry_sync.routes.discovery import listed_routes
from registry_sync.routes.route import Route
from registry_sync.skopeo.copier import Skopeo
from registry_sync.skopeo.local import find_skopeo
from registry_sync.sync.route import EVERYTHING, Sides, observe_and_plan, sync_route
from registry_sync.sync.window import Window
from registry_sync.tags.rules import TagRules
from testkit import images
from testkit.registry import RegistryProcess

NAME = "acme/app"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def registry(kind: str, host: str, url: str) -> Registry:
    """A registry of the mirrors file that is a stand-in on loopback, with the API that its kind has."""
    api_url = url if kind in ("quay", "docker_hub") else None
    return RegistryEntry.model_validate({"host": host, "kind": kind, "tls": False, "api_url": api_url}).parse(kind)


def route(source: Registry, destination: Registry, name: str = NAME) -> Route:
    """The route of one repository."""
    rule = RepositoryRule(repository=name)
    mirror = Mirror(name="bench", source=source.name, destinations=(destination.name,), rules=(rule,))
    return next(listed_routes(mirror, source, destination))


@contextmanager
def opened(work: Route) -> Iterator[Sides]:
    """Clients of both sides, as a task has them."""
    source, destination = (_client(each) for each in (work.source, work.destination))
    try:
        yield Sides(source=source, destination=destination)
    finally:
        source.close()
        destination.close()


def _client(entry: Registry) -> RegistryClient:
    endpoint = Endpoint(host=entry.host, tls=False)
    return open_client(entry.kind, endpoint, max_connections=entry.max_connections, api_url=entry.api_url)


def plan(work: Route, window: Window = EVERYTHING) -> int:
    """Read both sides; the number of tags that are to be copied."""
    with opened(work) as sides:
        return len(observe_and_plan(work, sides, TagRules(), window).copies)


def sync(work: Route, window: Window = EVERYTHING) -> int:
    """Bring the route into step; the number of tags copied."""
    here, there = (Endpoint(host=each.host, tls=False) for each in (work.source, work.destination))
    with (
        opened(work) as sides,
        Skopeo(
            find_skopeo(),
            source=here,
            destination=there,
            copy_timeout_seconds=600,
            stall_timeout_seconds=60,
            log=lambda *_: None,
        ) as skopeo,
    ):
        report = sync_route(work, sides, skopeo, window=window)
    if report.is_failed:
        raise RuntimeError(f"the benchmark's own copy failed: {report}")
    return report.counts["copied"]


def fill(server: RegistryProcess, repository: str, count: int) -> dict[str, images.Image]:
    """``count`` tags, of ten images in turn."""
    contents = [images.multi_arch(f"{repository} {each}") for each in range(min(count, 10))]
    tags = {f"v{each:04}": contents[each % len(contents)] for each in range(count)}
    for tag, image in tags.items():
        images.push(server.url, repository, tag, image)
    return tags


def hours_ago(count: int) -> datetime:
    """That long before the window's end."""
    return NOON - timedelta(hours=count)
