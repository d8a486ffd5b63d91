"""A route brought into step as the operator does it, without Airflow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

from registry_sync.credentials import Credentials, Endpoint
from registry_sync.mirrors import Registry, Route, RouteSettings
from registry_sync.reference import Repository
from registry_sync.registry.kinds import open_client
from registry_sync.report import RouteReport
from registry_sync.skopeo import Skopeo
from registry_sync.skopeo_program import find_skopeo
from registry_sync.sync import EVERYTHING, Sides, sync_route
from registry_sync.window import Window


class Server(Protocol):
    """Whatever has an address: a registry, or what stands before one."""

    @property
    def host(self) -> str: ...


def a_route(
    here: Server, there: Server, name: str, *, kind: Any = None, mirror: str = "team", **settings: Any
) -> Route:
    """From ``here`` to ``there``, both over plain HTTP; ``kind`` is the source's."""
    source = Registry(name="origin", host=here.host, tls=False, kind=kind, requests_per_second=1000)
    destination = Registry(name="backup", host=there.host, tls=False)
    return Route(
        mirror=mirror,
        source=source,
        destination=destination,
        source_repository=Repository(here.host, name),
        destination_repository=Repository(there.host, name),
        settings=RouteSettings(**settings),
    )


def sync(
    route: Route,
    *,
    here: Credentials | None = None,
    there: Credentials | None = None,
    window: Window = EVERYTHING,
    on_start: Callable[[Skopeo], object] = lambda _: None,
) -> RouteReport:
    """Bring the route into step.

    :param on_start: gets the Skopeo before the work begins, for a test that stops it as Airflow's ``on_kill`` does.
    """
    ends = [
        Endpoint(host=registry.host, tls=registry.tls, ca_file=registry.ca_file, credentials=credentials)
        for registry, credentials in ((route.source, here), (route.destination, there))
    ]
    with (
        closing(_client(route.source, ends[0])) as source,
        closing(_client(route.destination, ends[1])) as destination,
        Skopeo(
            find_skopeo(),
            source=ends[0],
            destination=ends[1],
            copy_timeout_seconds=60,
            stall_timeout_seconds=30,
            log=logging.getLogger("skopeo").info,
        ) as skopeo,
    ):
        on_start(skopeo)
        return sync_route(route, Sides(source=source, destination=destination), skopeo, window=window)


def _client(registry: Registry, endpoint: Endpoint) -> Any:
    return open_client(registry.kind, endpoint, max_connections=8, requests_per_second=registry.requests_per_second)
