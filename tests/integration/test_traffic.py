"""Requests and waits that clients and reports count, against what servers received."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from registry_sync.errors import RateLimited
from registry_sync.oci.reference import Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.traffic import Traffic
from registry_sync.registry.vendors.quay import QuayClient
from registry_sync.sync.report import RouteReport
from testkit import images
from testkit.clients import connect
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import make_route, run_route
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.sleeping_clock import SleepingClock

NAME = "team/app"


@pytest.mark.usefixtures("sleeping_clock")
def test_every_request_is_counted_once() -> None:
    """A challenge, a token, a retry after 503 and a redirect are requests, too."""
    replies = iter([503, 307])

    def script(request: ScriptedRequest) -> Reply:
        if request.target.startswith("/token"):
            return Reply(body=b'{"token": "a"}')
        if not request.authorization:
            challenge = f'Bearer realm="{server.url}/token",service="a"'
            return Reply(status=401, headers={"WWW-Authenticate": challenge})
        return Reply(status=next(replies, 404), headers={"Location": f"{server.url}/elsewhere"})

    with ScriptedServer(script) as server, connect(DistributionClient, server) as client:
        assert client.head_manifest(Repository(server.host, NAME), "v1") is None
        assert client.traffic == Traffic(requests=len(server.shown))
        assert len(server.shown) == 5


def test_requests_of_threads_are_all_counted() -> None:
    with ScriptedServer(lambda _: Reply(status=404)) as server, connect(DistributionClient, server) as client:
        repository = Repository(server.host, NAME)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: client.head_manifest(repository, f"v{number}"), range(200)))
        assert client.traffic.requests == len(server.shown) == 200


def test_an_api_of_its_own_is_counted_with_the_registry() -> None:
    api = b'{"tags": [], "has_additional": false}'
    with ScriptedServer(lambda request: Reply(body=api if request.target.startswith("/api/") else b"{}")) as server:
        with connect(QuayClient, server, api_url=server.url) as client:
            client.ping()
            list(client.list_tags(Repository(server.host, NAME)))
            assert client.traffic.requests == len(server.shown) == 2


@pytest.mark.parametrize(
    ("headers", "waits", "seconds"), [({"Retry-After": "7"}, 1, 7.0), ({}, 1, 0.5), ({"Retry-After": "1"}, 1, 1.0)]
)
def test_a_pause_is_a_wait(
    wire: Interceptor, sleeping_clock: SleepingClock, headers: dict[str, str], waits: int, seconds: float
) -> None:
    wire.answer("GET", "/v2/$", 429, headers=headers, times=1)
    with connect(DistributionClient, wire) as client:
        client.ping()
        assert (client.traffic.requests, client.traffic.waits) == (2, waits)
        assert client.traffic.wait_seconds == pytest.approx(seconds, abs=0.2)
    assert sleeping_clock.slept == pytest.approx(seconds, abs=0.2)


def test_a_wait_that_ends_with_an_error_is_counted(wire: Interceptor, sleeping_clock: SleepingClock) -> None:
    wire.answer("GET", "/v2/$", 429)
    with connect(DistributionClient, wire) as client:
        with pytest.raises(RateLimited):
            client.ping()
        assert client.traffic.wait_seconds == pytest.approx(sleeping_clock.slept, abs=1)
        assert client.traffic.requests == len(wire.requests())


def test_a_report_has_the_requests_to_both_registries(source: RegistryProcess, wire: Interceptor) -> None:
    """The numbers survive XCom. Requests of skopeo are in the registries' logs, but not among ours."""
    images.push(source.url, NAME, "v1", images.multi_arch("traffic"))
    with Interceptor(source.url) as front:
        route = make_route(front, wire, NAME)
        first, second = run_route(route), run_route(route)
        assert first.traffic.requests > 0
        counts = second.traffic.requests
        front.clear_requests()
        wire.clear_requests()
        third = run_route(route)
        assert third.traffic.requests == counts == len(front.requests()) + len(wire.requests())
    assert RouteReport.from_json(third.to_json()) == third
