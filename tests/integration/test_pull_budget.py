"""``keep_pulls`` with the headers of Docker Hub's pull limit, a real registry and the real skopeo."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.errors import RateLimited, RefusedError
from registry_sync.oci.reference import Repository
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.vendors.docker_hub import DockerHubClient
from registry_sync.state.metrics import run_metrics
from registry_sync.sync.report import RouteReport
from registry_sync.sync.report_text import report_table
from testkit import images
from testkit.docker_hub_api import DockerHubApi
from testkit.rate_limits import forget_rate_limits
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route

NAME = "acme/app"
INDEX, IMAGE = images.multi_arch("index"), images.image([images.layer({"file": b"one"})])
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MEMBER = Credentials(username="acme", secret="dckr_pat_secret")
WINDOW_SECONDS = 21600


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as running:
        images.push(running.url, NAME, "index", INDEX)
        images.push(running.url, NAME, "image", IMAGE)
        yield running


@pytest.fixture
def hub(registry: RegistryProcess) -> Iterator[DockerHubApi]:
    forget_rate_limits()
    with DockerHubApi(registry.url, users={MEMBER.username: MEMBER.secret}) as api:
        api.push(NAME, "index", NOON, INDEX.digest)
        api.push(NAME, "image", NOON, IMAGE.digest)
        yield api


@pytest.fixture
def destination() -> Iterator[RegistryProcess]:
    with RegistryProcess() as running:
        yield running


def mirror(hub: DockerHubApi, destination: RegistryProcess, keep: int | None = 50, **settings: Any) -> RouteReport:
    route = make_route(hub, destination, NAME, source_kind="docker_hub", **settings)
    return run_route(replace(route, source=replace(route.source, keep_pulls=keep)), api_url=hub.url)


class TestEnough:
    @pytest.mark.parametrize("transfer", ["skopeo", "direct"])
    @pytest.mark.parametrize("keep", [None, 50])
    @pytest.mark.parametrize("limit", [100, 10_000])
    def test_all_is_copied_and_the_report_says_what_it_cost(
        self, hub: DockerHubApi, destination: RegistryProcess, transfer: str, keep: int | None, limit: int
    ) -> None:
        """Skopeo's manifests are those that it really reads."""
        hub.limit_pulls(limit)
        report = mirror(hub, destination, keep, transfer=transfer)
        assert counted(report) == {"copied": 2}
        assert report.traffic.pulls == hub.pulls > 0
        assert f"Docker Hub's pull limit counted {hub.pulls} manifests" in report_table([report])
        sent = {value.name: value.value for value in run_metrics("m", "acr", [report])}
        assert sent["pulls"] == hub.pulls

    def test_an_account_without_a_limit_is_said(self, hub: DockerHubApi, destination: RegistryProcess) -> None:
        report = mirror(hub, destination)
        assert counted(report) == {"copied": 2}
        assert report.notes == (f"{hub.host} reports no pull limit for this address, so keep_pulls keeps nothing",)

    def test_a_run_that_copies_nothing_spends_nothing(self, hub: DockerHubApi, destination: RegistryProcess) -> None:
        hub.limit_pulls(100)
        mirror(hub, destination)
        spent = hub.pulls
        report = mirror(hub, destination)
        assert (counted(report), report.traffic.pulls, hub.pulls) == ({"unchanged": 2}, 0, spent)
        assert "pull limit" not in report_table([report])


class TestTooFew:
    @pytest.mark.parametrize("transfer", ["skopeo", "direct"])
    def test_nothing_is_pulled_and_the_task_waits(
        self, hub: DockerHubApi, destination: RegistryProcess, transfer: str
    ) -> None:
        hub.limit_pulls(100, used=50)
        report = mirror(hub, destination, transfer=transfer)
        assert (counted(report), hub.pulls, report.traffic.pulls) == ({"failed": 2}, 0, 0)
        assert result_of(report, "image").reason == (
            f"{hub.host} has 50 of 100 pulls in 6 h left for this address, and keep_pulls keeps 50 of them for "
            "machines; this needs 1, and goes on when the limit's window has moved"
        )
        assert {tag.error_class for tag in report.tags} == {"rate_limited"}
        assert report.retry_at is not None
        wait = report.retry_at - datetime.now(UTC)
        assert timedelta(seconds=WINDOW_SECONDS / 12 - 60) < wait <= timedelta(seconds=WINDOW_SECONDS / 12)

    def test_a_copy_that_would_go_below_is_not_begun(self, hub: DockerHubApi, destination: RegistryProcess) -> None:
        """Our own client reads the index, for which there is room. Skopeo's three manifests are too many."""
        hub.limit_pulls(100, used=47)
        report = mirror(hub, destination, tags={"names": ("index",)})
        assert (counted(report), hub.pulls) == ({"failed": 1}, 1)
        assert "has 52 of 100 pulls in 6 h left" in result_of(report, "index").reason
        assert "; this needs 3, " in result_of(report, "index").reason

    def test_what_never_fits_is_refused(self, hub: DockerHubApi, destination: RegistryProcess) -> None:
        hub.limit_pulls(52)
        report = mirror(hub, destination, tags={"names": ("index",)})
        assert counted(report) == {"failed": 1}
        assert result_of(report, "index").error_class == "refused"
        assert result_of(report, "index").reason == (
            f"{hub.host} allows this address 52 pulls in 6 h, and keep_pulls: 50 keeps so many that this, which needs "
            "3, is never possible; lower keep_pulls, or use an account with a higher limit"
        )

    def test_the_next_try_goes_on_when_the_window_has_moved(
        self, hub: DockerHubApi, destination: RegistryProcess
    ) -> None:
        hub.limit_pulls(100, used=50)
        assert counted(mirror(hub, destination)) == {"failed": 2}
        hub.limit_pulls(100, used=10)
        forget_rate_limits()  # a minute later, what is known is asked for again
        assert counted(mirror(hub, destination)) == {"copied": 2}


class TestShared:
    def pull(self, clients: list[DockerHubClient], hub: DockerHubApi, pulls: int) -> list[bool]:
        """Whether each of many pulls at the same time was allowed."""

        def pull(number: int) -> bool:
            client = clients[number % len(clients)]
            try:
                client.get_manifest(Repository(hub.host, NAME), IMAGE.digest)
            except RateLimited:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(pull, range(pulls)))

    def clients(self, hub: DockerHubApi, stack: ExitStack, *users: Credentials | None) -> list[DockerHubClient]:
        opened = [
            DockerHubClient(Endpoint(host=hub.host, tls=False, credentials=user), api_url=hub.url) for user in users
        ]
        for client in opened:
            client.keep_pulls(50)
            stack.enter_context(closing(client))
        return opened

    def test_tasks_of_a_worker_share_what_is_left(self, hub: DockerHubApi) -> None:
        hub.limit_pulls(100, used=38)
        with ExitStack() as stack:
            allowed = self.pull(self.clients(hub, stack, None, None, None), hub, 40)
        assert sum(allowed) == hub.pulls == 12

    def test_each_account_has_its_own(self, hub: DockerHubApi) -> None:
        hub.limit_pulls(100, used=49)
        with ExitStack() as stack:
            one, other = self.clients(hub, stack, None, MEMBER)
            assert sorted(self.pull([one], hub, 2)) == [False, True]
            hub.limit_pulls(100, used=0)
            assert self.pull([other], hub, 2) == [True, True]

    def test_what_was_pulled_is_known_without_a_request(self, hub: DockerHubApi) -> None:
        """One HEAD asks; afterwards every response says it."""
        hub.limit_pulls(100)
        with ExitStack() as stack:
            assert all(self.pull(self.clients(hub, stack, None), hub, 5))
        assert [request.method for request in hub.requests()].count("HEAD") <= 5, "at most one each at the same time"
        hub.clear_requests()
        with ExitStack() as stack:
            assert all(self.pull(self.clients(hub, stack, None), hub, 5))
        assert [request.method for request in hub.requests()].count("HEAD") == 0


@pytest.mark.parametrize("remaining", ["", "many;w=21600", "76", "-1;w=21600", "76;w=x"])
def test_a_header_that_says_nothing_is_no_limit(hub: DockerHubApi, remaining: str) -> None:
    hub.limit_pulls(100)
    hub.header("GET", "/manifests/", "ratelimit-remaining", remaining)
    client = DockerHubClient(Endpoint(host=hub.host, tls=False), api_url=hub.url)
    client.keep_pulls(50)
    with closing(client):
        client.get_manifest(Repository(hub.host, NAME), IMAGE.digest)
    assert client.traffic.pulls == 1


def test_a_killed_copy_gives_its_pulls_back(hub: DockerHubApi) -> None:
    """Of a copy that fails, they are taken as used until the registry says more."""
    hub.limit_pulls(100, used=45)
    client = DockerHubClient(Endpoint(host=hub.host, tls=False), api_url=hub.url)
    client.keep_pulls(50)
    repository = Repository(hub.host, NAME)
    with closing(client):
        with pytest.raises(RefusedError, match="broken"), client.hold_pulls(repository, INDEX.digest, 5):
            raise RefusedError("broken")
        with client.hold_pulls(repository, INDEX.digest, 3):
            pass
    assert client.traffic.pulls == 8
