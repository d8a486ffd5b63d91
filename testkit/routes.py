"""A route between two registries of a test, run as the operator runs it, without Airflow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

from registry_sync.config.model import Registry, RegistryEntry
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.open import open_client
from registry_sync.routes.route import Route
from registry_sync.skopeo.copier import Skopeo
from registry_sync.skopeo.local import find_skopeo
from registry_sync.sync.report import RouteReport, TagResult
from registry_sync.sync.route import EVERYTHING, Sides, sync_route
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.session import policy_files_of
from registry_sync.sync.window import Window
from registry_sync.tags.rules import TagRules
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.settings import route_settings


class Server(Protocol):
    """Whatever has an address: a registry, or what stands before one."""

    @property
    def host(self) -> str: ...


FULL_CHECK = Window(why="full check, @daily", is_full_check=True)


def make_route(
    here: Server,
    there: Server,
    name: str,
    *,
    source_kind: str | None = None,
    mirror: str = "team",
    rename: str | None = None,
    **settings: Any,
) -> Route:
    """A route over plain HTTP, to a repository of the same name unless there is ``rename``."""
    source = {"host": here.host, "tls": False, "kind": source_kind, "requests_per_second": 1000.0}
    return Route(
        mirror=mirror,
        source=RegistryEntry.model_validate(source).parse("origin"),
        destination=Registry(name="backup", host=there.host, tls=False),
        source_repository=Repository(here.host, name),
        destination_repository=Repository(there.host, rename or name),
        settings=route_settings(**settings),
    )


def run_route(
    route: Route,
    *,
    here: Credentials | None = None,
    there: Credentials | None = None,
    only_tags: TagRules = TagRules(),
    window: Window = EVERYTHING,
    planned: PlannedDeletions | None = None,
    api_url: str | None = None,
    dry_run: bool = False,
    on_start: Callable[[Skopeo], object] = lambda _: None,
) -> RouteReport:
    """Bring it into step.

    :param here: what an Airflow Connection for the source would give; ``there``: for the destination.
    :param planned: what an earlier run planned to delete.
    :param api_url: of the source's own API.
    :param on_start: gets the Skopeo before the work begins, for a test that stops it as Airflow's ``on_kill`` does.
    """
    ends = [
        Endpoint(host=registry.host, tls=registry.tls, ca_file=registry.ca_file, credentials=credentials)
        for registry, credentials in ((route.source, here), (route.destination, there))
    ]
    with (
        closing(_client(route.source, ends[0], api_url)) as source,
        closing(_client(route.destination, ends[1], route.destination.api_url)) as destination,
        Skopeo(
            find_skopeo(),
            source=ends[0],
            destination=ends[1],
            copy_timeout_seconds=60,
            stall_timeout_seconds=30,
            log=logging.getLogger("skopeo").info,
            trust=policy_files_of(route.settings),
        ) as skopeo,
    ):
        on_start(skopeo)
        return sync_route(
            *(route, Sides(source=source, destination=destination), skopeo),
            only_tags=only_tags,
            window=window,
            planned=planned,
            dry_run=dry_run,
        )


def _client(registry: Registry, endpoint: Endpoint, api_url: str | None) -> RegistryClient:
    pace = registry.requests_per_second
    return open_client(registry.kind, endpoint, max_connections=8, api_url=api_url, requests_per_second=pace)


def asked(server: RegistryProcess | Interceptor, name: str) -> list[str]:
    """The requests for a repository, as ``METHOD rest-of-path status``, sorted."""
    prefix = f"/v2/{name}/"
    return sorted(
        f"{each.method} {each.path.removeprefix(prefix)} {each.status}"
        for each in server.requests()
        if each.path.startswith(prefix)
    )


def counted(report: RouteReport) -> dict[str, int]:
    """The outcomes that there were."""
    return {outcome: count for outcome, count in report.counts.items() if count}


def result_of(report: RouteReport, tag: str) -> TagResult:
    """What became of one tag."""
    (found,) = (each for each in report.tags if each.tag == tag)
    return found
