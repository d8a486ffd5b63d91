"""Requests per 100 tags in sync, per pair of kinds, and those of an hourly window; counted at the wire."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from bench.clients import NAME, NOON, fill, hours_ago, plan, registry, route, sync
from bench.scope import Scope
from bench.tables import Findings, Row, Table
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule
from registry_sync.oci.reference import Digest
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.open import open_client
from registry_sync.routes.discovery import expand_routes
from registry_sync.routes.route import route_key
from registry_sync.sync.due_routes import split_unmodified
from registry_sync.sync.reading.source import repository_lister
from registry_sync.sync.run_state import Watermark
from registry_sync.sync.window import RunInterval, Window
from testkit import images
from testkit.acr_api import AcrApi
from testkit.artifactory_api import ArtifactoryApi
from testkit.aws import ENVIRONMENT
from testkit.docker_hub_api import DockerHubApi
from testkit.ecr_api import EcrServer
from testkit.ghcr_api import GhcrApi
from testkit.gitlab_api import GitlabApi
from testkit.interceptor import Interceptor
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess

PAIRS = (
    ("quay", "acr"),
    ("quay", "docker_hub"),
    ("docker_hub", "acr"),
    ("quay", "aliyun"),
    ("quay", "distribution"),
    ("quay", "ecr"),
    ("quay", "ghcr"),
    ("ghcr", "acr"),
    ("ecr", "acr"),
    ("gitlab", "acr"),
    ("artifactory", "acr"),
    ("distribution", "distribution"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Requests of one pass in which every tag is in sync."""

    source: str
    destination: str
    tags: int
    source_requests: int
    destination_requests: int

    @property
    def per_100_tags(self) -> float:
        return 100 * (self.source_requests + self.destination_requests) / self.tags


_PAIRS = ("source", "destination", "tags", "requests source", "destination", "per 100 tags")
_WINDOW = ("repositories", "tags", "modified", "requests to read", "to copy", "copied")


def measure(scope: Scope) -> Findings:
    """Listings of tags in sync, and an hourly window."""
    sizes = scope.sizes
    pairs = [_pair_row(pair) for pair in measure_pairs(sizes.listed_tags)]
    hourly = _window_row(measure_window(sizes.window_repositories, sizes.listed_tags, 5))
    title = "Tags in sync, by the kinds of the registries (stand-ins with their APIs, on loopback):"
    return Findings(
        tables=[
            Table(title=title, headings=_PAIRS, rows=pairs, texts=2),
            Table(title="An hourly window, quay to acr:", headings=_WINDOW, rows=[hourly], texts=0),
        ]
    )


def _pair_row(pair: Pair) -> Row:
    requests = (pair.tags, pair.source_requests, pair.destination_requests)
    return (pair.source, pair.destination, *map(str, requests), f"{pair.per_100_tags:.1f}")


def _window_row(hourly: Hourly) -> Row:
    numbers = (hourly.repositories, hourly.tags, hourly.modified, hourly.read_requests, hourly.copy_requests)
    return (*(f"{number:,}" for number in numbers), f"{hourly.copied:,}")


def measure_pairs(tags: int) -> list[Pair]:
    """One pass over a repository of ``tags`` tags for each of :data:`PAIRS`."""
    with RegistryProcess() as here, RegistryProcess() as there:
        contents = fill(here, NAME, tags)
        fill(there, NAME, tags)
        with patch.dict(os.environ, ENVIRONMENT):
            return [_pair(kinds, here, there, contents) for kinds in PAIRS]


def _pair(kinds: tuple[str, str], here: RegistryProcess, there: RegistryProcess, tags: dict[str, images.Image]) -> Pair:
    with stand_in(kinds[0], here, tags) as source, stand_in(kinds[1], there, tags) as destination:
        work = route(registry(kinds[0], source.host, source.url), registry(kinds[1], destination.host, destination.url))
        copied = sync(work)
        if copied:
            raise RuntimeError(f"{kinds}: {copied} tags were copied although all are in sync")
        return Pair(
            source=kinds[0],
            destination=kinds[1],
            tags=len(tags),
            source_requests=len(source.requests()),
            destination_requests=len(destination.requests()),
        )


@contextmanager
def stand_in(kind: str, server: RegistryProcess, tags: dict[str, images.Image]) -> Iterator[Any]:
    """A server of this kind in front of a real registry that counts requests."""
    makers: dict[str, Callable[[], Any]] = {
        "quay": lambda: QuayApi(server.url),
        "docker_hub": lambda: DockerHubApi(server.url),
        "acr": lambda: AcrApi(server),
        "ecr": lambda: EcrServer(server),
        "ghcr": lambda: GhcrApi(server.url),
        "gitlab": lambda: GitlabApi(server.url),
        "artifactory": lambda: ArtifactoryApi(server.url),
    }
    with makers.get(kind, lambda: Interceptor(server.url))() as api:
        if isinstance(api, QuayApi | DockerHubApi | GhcrApi | GitlabApi | ArtifactoryApi):
            for age, (tag, image) in enumerate(reversed(tags.items())):
                api.push(NAME, tag, hours_ago(age + 1), image.digest)
        if isinstance(api, GhcrApi):
            _push_platforms(api, len(tags))
        if isinstance(api, EcrServer):
            api.create(NAME)
        yield api


def _push_platforms(api: GhcrApi, tags: int) -> None:
    """List as many images as tags with an image of their own have, each for two platforms."""
    for number in range(3 * tags - min(tags, 10)):
        api.push(NAME, None, hours_ago(1), Digest.of(f"platform {number}".encode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hourly:
    """An hourly window over many repositories. ``read_requests`` are those before the first copy."""

    repositories: int
    tags: int
    modified: int
    read_requests: int
    copy_requests: int
    copied: int


def measure_window(repositories: int, tags: int, modified: int) -> Hourly:
    """Quay to ACR: ``modified`` repositories have one new tag each in the window, without other changes."""
    with ExitStack() as stack:
        here, there = stack.enter_context(RegistryProcess()), stack.enter_context(RegistryProcess())
        quay, azure = stack.enter_context(QuayApi(here.url)), stack.enter_context(AcrApi(there))
        _fill_quay(quay, here, repositories, tags, modified)
        source, destination = registry("quay", quay.host, quay.url), registry("acr", azure.host, azure.url)
        window = Window(reason="scheduled", start=NOON - timedelta(hours=1), end=NOON)
        quay.clear_requests()
        azure.clear_requests()
        work = _routes(source, destination, window)
        for each, own in work:
            plan(each, own)
        read = len(quay.requests()) + len(azure.requests())
        copied = sum(sync(each, own) for each, own in work)
        total = len(quay.requests()) + len(azure.requests())
        reading_again = read - _listing_requests(repositories)
        return Hourly(
            repositories=repositories,
            tags=repositories * tags,
            modified=modified,
            read_requests=read,
            copy_requests=total - read - reading_again,
            copied=copied,
        )


def _fill_quay(quay: QuayApi, here: RegistryProcess, repositories: int, tags: int, modified: int) -> None:
    """Push tags. Old ones exist in the listing only, because they are not read; new ones are real."""
    old = Digest.of(b"old")
    for number in range(repositories):
        name = f"acme/app{number:04}"
        for tag in range(tags):
            quay.push(name, f"v{tag}", hours_ago(24 + tag), old)
        if number < modified:
            images.push(here.url, name, "new", images.multi_arch(name))
            quay.push(name, "new", NOON - timedelta(minutes=30))


def _routes(source: Registry, destination: Registry, window: Window) -> Sequence[Any]:
    """As the first task of a run finds them, after an earlier run that left everything in sync."""
    rule = NamespaceRule(namespace="acme")
    mirror = Mirror(name="bench", source="quay", destinations=("acr",), rules=(rule,))
    endpoint = Endpoint(host=source.host, tls=False)
    client = open_client("quay", endpoint, max_connections=8, api_url=source.api_url)
    try:
        found = expand_routes(mirror, source, destination, repository_lister(client)).routes
    finally:
        client.close()
    watermark = Watermark(until=NOON - timedelta(hours=1), routes=frozenset(route_key(each.route) for each in found))
    run = RunInterval(run_type="scheduled", start=window.start, end=window.end)
    return split_unmodified(found, window, run, watermark, mirror.full_check)[0]


def _listing_requests(repositories: int) -> int:
    return -(-repositories // 100)
