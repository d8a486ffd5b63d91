"""The client against Docker Hub's API in front of a real registry, also with its occasional faults."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RateLimited, RefusedError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.vendors.docker_hub import DockerHubClient
from testkit import images
from testkit.docker_hub_api import DockerHubApi
from testkit.interceptor import ANY, Interceptor
from testkit.loopback import Request
from testkit.registry import RegistryProcess
from testkit.sleeping_clock import SleepingClock
from testkit.times import Due
from testkit.token_server import TokenServer

IMAGE = images.multi_arch("one")
OTHER = Digest.of(b"other")
NAME = "acme/app"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MEMBER = Credentials(username="acme", secret="dckr_pat_secret")
HTML = b"<html><body><h1>429 Too Many Requests</h1>\n</body></html>"
PULL_LIMIT = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}'
pytestmark = pytest.mark.usefixtures("recorded_pauses")


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGE)
        yield registry


@pytest.fixture
def hub(registry: RegistryProcess) -> Iterator[DockerHubApi]:
    with DockerHubApi(registry.url, users={MEMBER.username: MEMBER.secret}) as api:
        yield api


@contextmanager
def client(api: Interceptor, credentials: Credentials | None = None, **options: Any) -> Iterator[DockerHubClient]:
    endpoint = Endpoint(host=api.host, tls=False, credentials=credentials)
    with closing(DockerHubClient(endpoint, **{"api_url": api.url, **options})) as opened:
        yield opened


def app(server: Interceptor) -> Repository:
    return Repository(server.host, NAME)


def fill(api: DockerHubApi, count: int) -> list[str]:
    """Push tags a minute apart. Return their names, newest first."""
    for number in range(count):
        api.push(NAME, f"v{number}", NOON + timedelta(minutes=number), OTHER)
    return [f"v{number}" for number in reversed(range(count))]


def names(asked: DockerHubClient, api: DockerHubApi, since: datetime | None = None) -> list[str]:
    return [tag.name for tag in asked.list_tags(app(api), since=since)]


def test_a_listing_says_what_the_registry_holds(hub: DockerHubApi) -> None:
    hub.push(NAME, "v1", NOON, IMAGE.digest)
    with client(hub) as asked:
        asked.ping()
        assert list(asked.list_repositories("acme")) == [
            ListedRepository(name=NAME, modified_at=NOON, is_private=False)
        ]
        assert list(asked.list_tags(app(hub))) == [ListedTag(name="v1", digest=IMAGE.digest, pushed_at=NOON)]
        assert asked.head_manifest(app(hub), "v1") == IMAGE.digest
        assert asked.get_manifest(app(hub), IMAGE.digest).content == IMAGE.content


def test_a_digest_that_is_not_listed_is_told_by_a_head(hub: DockerHubApi) -> None:
    hub.push(NAME, "v1", None)
    with client(hub) as asked:
        assert list(asked.list_tags(app(hub))) == [ListedTag(name="v1")]
        assert asked.head_manifest(app(hub), "v1") == IMAGE.digest


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (100, 1), (101, 2), (1000, 10)])
def test_one_request_lists_a_hundred_tags(hub: DockerHubApi, count: int, pages: int) -> None:
    hub.add(NAME)
    expected = fill(hub, count)
    with client(hub, MEMBER) as asked:
        assert names(asked, hub) == expected
    assert len(hub.requests()) == pages + 1
    assert len(hub.logins) == 1


def test_one_request_lists_a_hundred_repositories(hub: DockerHubApi) -> None:
    for number in range(250):
        hub.add(f"acme/app{number:03}")
    hub.add("acme/volume", kind="plugin")
    hub.add("acme/old", kind=None)
    with client(hub) as asked:
        found = [repository.name for repository in asked.list_repositories("acme")]
    assert found == [*(f"acme/app{number:03}" for number in range(250)), "acme/old"]
    assert len(hub.requests()) == 3


@pytest.mark.parametrize(("minute", "pages"), [(990, 1), (850, 2), (0, 10)])
def test_a_window_is_read_no_further_than_its_start(hub: DockerHubApi, minute: int, pages: int) -> None:
    expected = fill(hub, 1000)
    with client(hub) as asked:
        assert names(asked, hub, since=NOON + timedelta(minutes=minute)) == expected[: pages * 100]
    assert len(hub.requests()) == (
        2 * pages if pages > 1 else 1
    )  # several are read again, because of deletions meanwhile


def test_out_of_order_everything_is_read(registry: RegistryProcess) -> None:
    with DockerHubApi(registry.url, is_ordered=False) as api, client(api) as asked:
        expected = fill(api, 350)
        assert sorted(names(asked, api, since=NOON + timedelta(minutes=349))) == sorted(expected)


def test_a_time_that_is_unknown_shows_no_order(hub: DockerHubApi) -> None:
    expected = fill(hub, 250)
    hub.answer("GET", "/tags$", 200, _page_with_a_null(hub), times=1)
    with client(hub) as asked:
        assert set(names(asked, hub, since=NOON + timedelta(days=1))) == {"unknown", *expected}


def _page_with_a_null(api: DockerHubApi) -> bytes:
    following = f"{api.url}/v2/namespaces/acme/repositories/app/tags?page_size=100&page=2"
    return (
        b'{"next": "%s", "results": [{"name": "unknown", "tag_last_pushed": null, "last_updated": null}]}'
        % following.encode()
    )


def test_a_push_in_between_gives_no_tag_twice(hub: DockerHubApi) -> None:
    expected = fill(hub, 250)
    hub.after("GET", "/tags$", lambda _: hub.push(NAME, "new", NOON + timedelta(days=1), OTHER), times=1)
    with client(hub) as asked:
        assert names(asked, hub) == [*expected, "new"]
    assert len(hub.requests()) == 4


def test_a_page_beyond_the_end_restarts_the_listing(hub: DockerHubApi) -> None:
    expected = fill(hub, 101)

    def delete(_: Request) -> None:
        for tag in expected[50:]:
            hub.delete(NAME, tag)

    hub.after("GET", "/tags$", delete, times=1)
    with client(hub) as asked:
        assert names(asked, hub) == expected[:100]
    assert [request.status for request in hub.requests()] == [200, 404, 200]


def test_nothing_is_sent_to_another_host_for_the_next_page(registry: RegistryProcess, hub: DockerHubApi) -> None:
    with (
        DockerHubApi(registry.url, users={"acme": MEMBER.secret}, next_origin=hub.url) as api,
        client(api, MEMBER) as asked,
    ):
        expected = fill(api, 150)
        assert names(asked, api) == expected
    assert hub.requests() == []


def test_private_repositories_are_listed_with_include_private(hub: DockerHubApi) -> None:
    hub.add("acme/open")
    hub.add("acme/closed", is_private=True)
    with client(hub, MEMBER) as asked:
        assert [repository.name for repository in asked.list_repositories("acme")] == ["acme/open"]
        assert [
            (repository.name, repository.is_private)
            for repository in asked.list_repositories("acme", include_private=True)
        ] == [
            ("acme/closed", True),
            ("acme/open", False),
        ]
    with client(hub) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_repositories("acme", include_private=True))
    assert str(caught.value) == (
        f"{hub.host} lists private repositories only for their members; give its registry a connection with a Docker "
        "ID and an access token"
    )


def test_a_namespace_of_private_repositories_is_refused(hub: DockerHubApi) -> None:
    hub.add("acme/closed", is_private=True)
    with client(hub, MEMBER) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_repositories("acme"))
    assert str(caught.value) == (
        f"namespace 'acme' of {hub.host} has no public repository, and 1 private ones; write include_private: true to "
        "mirror those"
    )
    with client(hub) as asked, pytest.raises(ConfigurationError, match="no repository that we may see"):
        list(asked.list_repositories("acme"))


def test_a_missing_repository_is_not_found(hub: DockerHubApi) -> None:
    with client(hub, MEMBER) as asked, pytest.raises(NotFound, match=f"{NAME} is missing or not permitted"):
        names(asked, hub)


def test_tags_that_take_a_log_in_are_read_where_they_were_before(registry: RegistryProcess) -> None:
    with DockerHubApi(registry.url, tags_need_login=True) as api, client(api) as asked:
        expected = fill(api, 150)
        assert names(asked, api) == expected
        assert [request.path for request in api.requests()] == [
            "/v2/namespaces/acme/repositories/app/tags",
            "/v2/repositories/acme/app/tags",
            "/v2/repositories/acme/app/tags",
        ]


def test_many_threads_log_in_once(hub: DockerHubApi) -> None:
    fill(hub, 1)
    with client(hub, MEMBER) as asked, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: names(asked, hub), range(40))) == [["v0"]] * 40
    assert len(hub.logins) == 1


def test_a_token_that_expires_is_renewed_once(hub: DockerHubApi) -> None:
    expected = fill(hub, 250)
    hub.after("GET", "/tags$", lambda _: hub.expire_tokens(), times=1)
    with client(hub, MEMBER) as asked:
        assert names(asked, hub) == expected
    assert len(hub.logins) == 2


def test_a_token_that_is_never_good_ends(hub: DockerHubApi) -> None:
    fill(hub, 1)
    hub.answer("GET", "/tags$", 401, b'{"detail": "Token is invalid or expired"}')
    with client(hub, MEMBER) as asked, pytest.raises(DeniedError) as caught:
        names(asked, hub)
    assert str(caught.value) == (
        f"GET {hub.url}/v2/namespaces/acme/repositories/app/tags answered 401 Token is invalid or expired (not "
        "permitted with these credentials, or it does not exist)"
    )
    assert len(hub.logins) == 2


def test_a_wrong_password_fails_at_the_first_check() -> None:
    wrong = Credentials(username="acme", secret="guess")
    with (
        TokenServer({"acme": MEMBER.secret}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        DockerHubApi(locked.url, users={"acme": MEMBER.secret}) as api,
    ):
        with client(api, MEMBER) as asked:
            asked.ping()
        with client(api, wrong) as asked, pytest.raises(DeniedError, match="rejects the login of 'acme'"):
            asked.ping()


def test_credentials_that_the_api_alone_refuses_fail_at_the_first_check(hub: DockerHubApi) -> None:
    wrong = Credentials(username="acme", secret="guess")
    with client(hub, wrong) as asked, pytest.raises(DeniedError) as caught:
        asked.ping()
    assert str(caught.value) == (
        f"{hub.url} rejects the login of 'acme': POST {hub.url}/v2/auth/token answered 401 Incorrect authentication "
        "credentials"
    )


def test_a_log_in_is_not_redirected(hub: DockerHubApi) -> None:
    hub.answer("POST", "/v2/auth/token", 307, headers={"Location": "http://127.0.0.1:1/v2/auth/token"})
    with client(hub, MEMBER) as asked, pytest.raises(ConfigurationError, match="redirects a POST"):
        names(asked, hub)


def test_the_pull_limit_names_no_time(hub: DockerHubApi) -> None:
    headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"}
    hub.answer("GET", "/manifests/", 429, PULL_LIMIT, headers)
    due = Due(timedelta(minutes=30))
    with client(hub) as asked, pytest.raises(RateLimited) as caught:
        asked.get_manifest(app(hub), IMAGE.digest)
    assert str(caught.value) == (
        f"GET {hub.url}/v2/{NAME}/manifests/{IMAGE.digest} answered 429 TOOMANYREQUESTS: You have reached your pull "
        "rate limit."
    )
    assert due.is_at(caught.value.retry_at)
    assert len(hub.requests()) == 1


@pytest.mark.parametrize("seconds", [20, 1200])
def test_the_limit_of_the_api_names_its_end(hub: DockerHubApi, sleeping_clock: SleepingClock, seconds: int) -> None:
    """A short wait is slept; a long one is raised as an error."""
    fill(hub, 1)
    due = Due(timedelta(seconds=seconds))
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(due.earliest.timestamp()) + 1)}
    hub.answer("GET", "/tags$", 429, HTML, headers, times=1)
    with client(hub) as asked:
        if seconds == 20:
            assert names(asked, hub) == ["v0"]
            assert 0 < sleeping_clock.slept <= 21
            return
        with pytest.raises(RateLimited) as caught:
            names(asked, hub)
    assert due.is_at(caught.value.retry_at)


def test_a_html_page_of_429_for_long_is_a_rate_limit(hub: DockerHubApi) -> None:
    hub.answer("GET", "/tags$", 429, HTML)
    with client(hub) as asked, pytest.raises(RateLimited) as caught:
        names(asked, hub)
    assert str(caught.value) == (
        f"GET {hub.url}/v2/namespaces/acme/repositories/app/tags answered 429 Too Many Requests, for 300 s although "
        "all requests paused"
    )


def test_headers_of_a_limit_that_is_not_reached_change_nothing(hub: DockerHubApi, recorded_pauses: list[float]) -> None:
    hub.add(NAME)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4000000000"}
    hub.answer("GET", "/tags$", 503, b"down", headers, times=1)
    with client(hub) as asked:
        assert names(asked, hub) == []
    assert len(recorded_pauses) == 1
    assert recorded_pauses[0] < 1


def test_nothing_secret_is_logged(hub: DockerHubApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fill(hub, 1)
    hub.answer("POST", "/v2/auth/token", 503, times=1)
    with client(hub, MEMBER) as asked:
        names(asked, hub)
    assert caplog.text
    assert MEMBER.secret not in caplog.text
    assert "Bearer" not in caplog.text


def test_a_repository_that_does_not_exist_yet_is_not_denied_for_ever(hub: DockerHubApi) -> None:
    """The Hub answers "denied" to a token for pulling only, and the truth to one for pushing."""
    challenge = {"WWW-Authenticate": 'Basic realm="hub"'}
    hub.answer("HEAD", "/manifests/v1$", 401, headers=challenge, times=1)
    with client(hub, MEMBER) as asked:
        assert asked.head_manifest(Repository(hub.host, "acme/new"), "v1") is None
    hub.answer(ANY, "/manifests/v1$", 401, headers=challenge)
    with client(hub, MEMBER) as asked, pytest.raises(DeniedError):
        asked.head_manifest(Repository(hub.host, "acme/new"), "v1")


def test_a_repository_is_created_once(hub: DockerHubApi) -> None:
    with client(hub, MEMBER) as asked:
        asked.create_repository(app(hub))
        asked.create_repository(app(hub))
        assert [(repository.name, repository.is_private) for repository in asked.list_repositories("acme")] == [
            (NAME, False)
        ]
    assert len(hub.created) == 1


def test_a_repository_created_meanwhile_is_accepted(hub: DockerHubApi) -> None:
    hub.add(NAME)
    hub.answer("GET", "/repositories/app$", 404, b"{}", times=1)
    with client(hub, MEMBER) as asked:
        asked.create_repository(app(hub))


def test_a_repository_that_cannot_be_created_is_refused(hub: DockerHubApi) -> None:
    hub.answer("POST", "/repositories$", 404, b'{"message": "namespace not found"}')
    with client(hub, MEMBER) as asked, pytest.raises(RefusedError) as caught:
        asked.create_repository(app(hub))
    assert str(caught.value) == (
        f"{app(hub)} cannot be created, does its namespace exist? "
        f"(POST {hub.url}/v2/namespaces/acme/repositories answered 404 namespace not found)"
    )
    with client(hub) as asked, pytest.raises(DeniedError) as denied:
        asked.create_repository(app(hub))
    assert str(denied.value) == f"creating repositories at {hub.host} needs a Docker ID and an access token"
