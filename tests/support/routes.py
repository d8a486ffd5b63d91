"""A route between two registries of a test, run as the operator runs it, without Airflow."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

from registry_sync.credentials import Endpoint
from registry_sync.mirrors import Registry, Route, RouteSettings
from registry_sync.prune import Planned
from registry_sync.reference import Repository
from registry_sync.registry.kinds import open_client
from registry_sync.report import RouteReport, TagResult
from registry_sync.skopeo import Skopeo
from registry_sync.skopeo_program import find_skopeo
from registry_sync.sync import EVERYTHING, Sides, sync_route
from registry_sync.trust import trust_of
from registry_sync.window import Window
from tests.support.interceptor import Interceptor
from tests.support.registry import RegistryProcess

Server = RegistryProcess | Interceptor
FULL_CHECK = Window(why="full check, @daily", is_full_check=True)


def make_route(here: Server, there: Server, name: str, *, source_kind: str | None = None, **settings: Any) -> Route:
    """A route over plain HTTP, to a repository of the same name."""
    source = Registry.model_validate({"name": "origin", "host": here.host, "tls": False, "kind": source_kind})
    destination = Registry(name="backup", host=there.host, tls=False)
    return Route(
        mirror="team",
        source=source,
        destination=destination,
        source_repository=Repository(here.host, name),
        destination_repository=Repository(there.host, name),
        settings=RouteSettings(**settings),
    )


def run_route(
    route: Route,
    *,
    window: Window = EVERYTHING,
    planned: Planned | None = None,
    api_url: str | None = None,
    dry_run: bool = False,
) -> RouteReport:
    """Bring it into step.

    :param planned: what an earlier run planned to delete.
    :param api_url: of the source's own API.
    """
    ends = [Endpoint(host=each.host, tls=each.tls) for each in (route.source, route.destination)]
    with (
        closing(open_client(route.source.kind, ends[0], max_connections=8, api_url=api_url)) as source,
        closing(open_client(route.destination.kind, ends[1], max_connections=8)) as destination,
        Skopeo(
            find_skopeo(),
            source=ends[0],
            destination=ends[1],
            copy_timeout_seconds=60,
            stall_timeout_seconds=30,
            log=logging.getLogger("skopeo").info,
            trust=trust_of(route.settings),
        ) as skopeo,
    ):
        sides = Sides(source=source, destination=destination)
        return sync_route(route, sides, skopeo, window=window, planned=planned, dry_run=dry_run)


def asked(server: Server, name: str) -> list[str]:
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
