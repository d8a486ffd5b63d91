"""The client against Quay's API in front of a real registry, also with its occasional faults."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RateLimited, TemporaryError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials
from registry_sync.registry.vendors.quay import OAUTH_USER, QuayClient
from registry_sync.registry.wire import rate_limit, transport
from registry_sync.sync.window import Window
from testkit import images
from testkit.clients import connect
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, run_route
from testkit.sleeping_clock import SleepingClock
from testkit.token_server import TokenServer

IMAGE = images.multi_arch("one")
OTHER = Digest.of(b"other")
NAME = "acme/app"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKEN = Credentials(username=OAUTH_USER, secret="an-oauth-token")
ROBOT = Credentials(username="acme+puller", secret="the-robots-password")
HTML = b"<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n</html>"
client = partial(connect, QuayClient)


class Clock(SleepingClock):
    """A clock that advances only by sleeping."""

    def monotonic(self) -> float:
        return 1000 + self.slept


@pytest.fixture(autouse=True)
def pace(
    own_temporary_directory: Path,  # noqa: ARG001 - the rate limits are new for each test
    monkeypatch: pytest.MonkeyPatch,
) -> Clock:
    """Clock of transport and rate limiter."""
    clock = Clock()
    monkeypatch.setattr(transport, "time", clock)
    monkeypatch.setattr(rate_limit, "time", clock)
    return clock


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGE)
        yield registry


@pytest.fixture(scope="module")
def own_registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        yield registry


@pytest.fixture
def quay(registry: RegistryProcess) -> Iterator[QuayApi]:
    with QuayApi(registry.url, tokens={TOKEN.secret: {"acme"}}) as api:
        yield api


def app(server: Interceptor) -> Repository:
    return Repository(server.host, NAME)


def fill(api: QuayApi, count: int, name: str = NAME) -> list[str]:
    """Push tags a minute apart. Return their names, newest first."""
    for number in range(count):
        api.push(name, f"v{number}", NOON + timedelta(minutes=number), OTHER)
    return [f"v{number}" for number in reversed(range(count))]


def names(asked: QuayClient, api: QuayApi, since: datetime | None = None) -> list[str]:
    return [tag.name for tag in asked.list_tags(app(api), since=since)]


def pages_of(api: QuayApi) -> int:
    return len([request for request in api.requests() if request.path.endswith("/tag/")])


def test_a_listing_says_what_the_registry_holds(quay: QuayApi) -> None:
    quay.push(NAME, "v1", NOON)
    with client(quay) as asked:
        assert list(asked.list_repositories("acme")) == [
            ListedRepository(name=NAME, modified_at=NOON, is_private=False)
        ]
        assert list(asked.list_tags(app(quay))) == [ListedTag(name="v1", digest=IMAGE.digest, pushed_at=NOON)]
        assert asked.head_manifest(app(quay), "v1") == IMAGE.digest
        assert asked.get_manifest(app(quay), IMAGE.digest).content == IMAGE.content


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (100, 1), (101, 2), (1000, 10)])
def test_one_request_lists_a_hundred_tags(quay: QuayApi, count: int, pages: int) -> None:
    quay.add(NAME)
    expected = fill(quay, count)
    with client(quay) as asked:
        assert names(asked, quay) == expected
    assert len(quay.requests()) == pages


def test_one_request_lists_a_hundred_repositories(quay: QuayApi) -> None:
    for number in range(250):
        quay.add(f"acme/app{number}")
    quay.add("other/app")
    with client(quay) as asked:
        assert [repository.name for repository in asked.list_repositories("acme")] == [
            f"acme/app{each}" for each in range(250)
        ]
    assert len(quay.requests()) == 3


@pytest.mark.parametrize(("minute", "pages"), [(990, 1), (900, 2), (850, 2), (0, 10)])
def test_a_window_is_read_no_further_than_its_start(quay: QuayApi, minute: int, pages: int) -> None:
    expected = fill(quay, 1000)
    with client(quay) as asked:
        read = names(asked, quay, since=NOON + timedelta(minutes=minute))
    assert read[: 1000 - minute] == expected[: 1000 - minute]
    assert read == expected[: pages * 100]
    assert pages_of(quay) == (2 * pages if pages > 1 else 1)  # several are read again, because of deletions meanwhile


def test_out_of_order_everything_is_read(registry: RegistryProcess) -> None:
    with QuayApi(registry.url, is_ordered=False) as api, client(api) as asked:
        expected = fill(api, 350)
        assert sorted(names(asked, api, since=NOON + timedelta(minutes=349))) == sorted(expected)


def test_equal_times_show_no_order(quay: QuayApi) -> None:
    for number in range(250):
        quay.push(NAME, f"v{number:03}", NOON, OTHER)
    with client(quay) as asked:
        assert len(names(asked, quay, since=NOON + timedelta(hours=1))) == 250


def test_a_push_in_between_gives_no_tag_twice(quay: QuayApi) -> None:
    expected = fill(quay, 250)

    def push(_: Request) -> None:
        quay.push(NAME, "new", NOON + timedelta(days=1), OTHER)

    quay.after("GET", "/tag/$", push, times=1)
    with client(quay) as asked:
        assert names(asked, quay) == [*expected, "new"]
    assert pages_of(quay) == 4


def test_a_tag_that_is_moved_in_between_is_not_missed(quay: QuayApi) -> None:
    """It moves from a later page to one that was already read."""
    expected = fill(quay, 250)

    def move(_: Request) -> None:
        quay.push(NAME, "v0", NOON + timedelta(days=1), IMAGE.digest)

    quay.after("GET", "/tag/$", move, times=1)
    with client(quay) as asked:
        entries = list(asked.list_tags(app(quay)))
    assert [entry.name for entry in entries] == expected
    assert entries[-1] == ListedTag(name="v0", digest=IMAGE.digest, pushed_at=NOON + timedelta(days=1))


def test_a_deletion_in_between_leaves_one_tag_to_the_next_listing(quay: QuayApi) -> None:
    expected = fill(quay, 250)

    def delete(_: Request) -> None:
        quay.delete(NAME, "v249", NOON)

    quay.after("GET", "/tag/$", delete, times=1)
    with client(quay) as asked:
        assert set(expected) - set(names(asked, quay)) == {"v149"}
        assert names(asked, quay) == expected[1:]


def test_a_deletion_in_between_hides_nothing_from_a_window(quay: QuayApi) -> None:
    """No later window would hold that tag."""
    expected = fill(quay, 250)
    quay.after("GET", "/tag/$", lambda _: quay.delete(NAME, "v249", NOON), times=1)
    with client(quay) as asked:
        assert set(names(asked, quay, since=NOON)) == set(expected)


def test_a_listing_that_starts_over_ends(quay: QuayApi) -> None:
    for number in range(250):
        quay.add(f"acme/app{number}")
    quay.after("GET", "/repository$", lambda _: quay.forget_pages(), times=1)
    with client(quay) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_repositories("acme"))
    assert str(caught.value) == f"{quay.host} restarted its listing of 'acme' at the first page; try again"
    assert len(quay.requests()) == 2


def test_private_repositories_are_listed_with_include_private(quay: QuayApi) -> None:
    quay.add("acme/open")
    quay.add("acme/closed", is_public=False)
    with client(quay, TOKEN) as asked:
        assert [repository.name for repository in asked.list_repositories("acme")] == ["acme/open"]
        assert [
            (repository.name, repository.is_private)
            for repository in asked.list_repositories("acme", include_private=True)
        ] == [
            ("acme/open", False),
            ("acme/closed", True),
        ]


def test_a_namespace_of_private_repositories_is_refused(quay: QuayApi) -> None:
    quay.add("acme/closed", is_public=False)
    with client(quay, TOKEN) as asked, pytest.raises(ConfigurationError) as caught:
        list(asked.list_repositories("acme"))
    assert str(caught.value) == (
        f"namespace 'acme' of {quay.host} has no public repository, and 1 private ones; write include_private: true to "
        "mirror those"
    )


def test_a_token_that_expires_between_two_pages_is_denied(quay: QuayApi) -> None:
    for number in range(250):
        quay.add(f"acme/app{number}", is_public=number < 150)
    quay.after("GET", "/repository$", lambda _: quay.revoke(TOKEN.secret), times=1)
    with client(quay, TOKEN) as asked, pytest.raises(DeniedError, match="ignores the OAuth token"):
        list(asked.list_repositories("acme", include_private=True))


def test_401_means_missing_or_private(quay: QuayApi) -> None:
    quay.add("acme/closed", is_public=False)
    for name in ("acme/closed", "acme/nosuch"):
        with client(quay) as asked, pytest.raises(DeniedError, match=f"{name} is missing or not permitted"):
            list(asked.list_tags(Repository(quay.host, name)))
    with client(quay, TOKEN) as asked, pytest.raises(NotFound):
        list(asked.list_tags(Repository(quay.host, "acme/nosuch")))
    with client(quay, TOKEN) as asked, pytest.raises(DeniedError):
        list(asked.list_tags(Repository(quay.host, "other/nosuch")))


def test_a_robot_has_the_names_of_a_private_repository() -> None:
    """The client does not request the right to push, which would create a repository at Quay."""
    with (
        TokenServer({ROBOT.username: ROBOT.secret}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        QuayApi(locked.url) as api,
        client(api, ROBOT) as asked,
    ):
        images.push(locked.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        api.add(NAME, is_public=False)
        asked.ping()
        assert list(asked.list_tags(app(api))) == [ListedTag(name="v1")]
        assert asked.head_manifest(app(api), "v1") == IMAGE.digest
        with pytest.raises(NotFound):
            list(asked.list_tags(Repository(api.host, "acme/nosuch")))
        scopes = {scope for request in tokens.requests() for scope in request.scopes}
        assert scopes == {f"repository:{NAME}:pull", "repository:acme/nosuch:pull"}


def test_an_oauth_token_logs_in_at_both() -> None:
    with (
        TokenServer({TOKEN.username: TOKEN.secret}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        QuayApi(locked.url, tokens={TOKEN.secret: {"acme"}}) as api,
    ):
        images.push(locked.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        api.add(NAME, is_public=False)
        api.push(NAME, "v1", NOON, IMAGE.digest)
        with client(api, TOKEN) as asked:
            asked.ping()
            assert names(asked, api) == ["v1"]
            assert asked.head_manifest(app(api), "v1") == IMAGE.digest
        wrong = Credentials(username=OAUTH_USER, secret="another")
        with client(api, wrong) as asked, pytest.raises(DeniedError, match=r"rejects the login of '\$oauthtoken'"):
            asked.ping()


def test_html_pages_of_429_are_waited_for(quay: QuayApi, pace: Clock) -> None:
    fill(quay, 1)
    quay.answer("GET", "/tag/$", 429, HTML, {"Content-Type": "text/html"}, times=2)
    with client(quay) as asked:
        assert names(asked, quay) == ["v0"]
    assert pace.slept == pytest.approx(0.5 + 1.0)


def test_a_html_page_of_429_for_long_is_a_rate_limit(quay: QuayApi) -> None:
    quay.answer("GET", "/tag/$", 429, HTML, {"Content-Type": "text/html"})
    with client(quay) as asked, pytest.raises(RateLimited) as caught:
        names(asked, quay)
    assert str(caught.value) == (
        f"GET {quay.url}/api/v1/repository/acme/app/tag/ answered 429 Too Many Requests, for 300 s although all "
        "requests paused"
    )


def test_the_api_and_the_registry_have_rates_of_their_own(quay: QuayApi, pace: Clock) -> None:
    quay.push(NAME, "v1", NOON)
    fill(quay, 399)
    with client(quay) as asked:
        names(asked, quay)
        assert pace.sleeps == pytest.approx([0.25] * 3)
        for _ in range(21):
            asked.head_manifest(app(quay), "v1")
    assert pace.slept == pytest.approx(0.75 + 20 / 40)


def test_a_written_rate_is_of_the_api_and_the_registry_together(quay: QuayApi, pace: Clock) -> None:
    quay.push(NAME, "v1", NOON)
    with client(quay, requests_per_second=2) as asked:
        for _ in range(5):
            names(asked, quay)
            asked.head_manifest(app(quay), "v1")
    assert pace.slept == pytest.approx(9 * 0.5)


def test_a_pause_holds_back_the_api_of_another_task(quay: QuayApi, pace: Clock) -> None:
    """Such as one that skopeo's 429 begins. It is not an attempt of the other task."""
    quay.push(NAME, "v1", NOON)
    with client(quay) as limited, client(quay) as other:
        limited.pause(pace.monotonic())
        assert names(other, quay) == ["v1"]
    assert pace.slept == pytest.approx(0.5)
    assert [request.status for request in quay.requests()] == [200]


def test_threads_share_one_request_rate(quay: QuayApi, pace: Clock) -> None:
    fill(quay, 1)
    with client(quay, requests_per_second=2) as asked, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: names(asked, quay), range(16)))
    assert pace.slept >= 15 * 0.5 - 0.01


class TestAsADestination:
    """Answers of Quay's API about a repository that is written to."""

    @pytest.mark.parametrize("state", ["READ_ONLY", "MIRROR"])
    def test_a_repository_in_another_state_takes_no_pushes(self, quay: QuayApi, state: str) -> None:
        quay.add(NAME)
        with client(quay, TOKEN) as asked:
            assert asked.write_fault(app(quay)) == ""
            quay.set_state(NAME, state)
            fault = f"{app(quay)} is in the state {state} (Settings, Repository State), in which Quay takes no pushes"
            assert asked.write_fault(app(quay)) == fault

    @pytest.mark.parametrize("credentials", [TOKEN, ROBOT, None], ids=["token", "robot", "anonymous"])
    def test_an_organisation_that_does_not_exist_is_named(self, quay: QuayApi, credentials: Credentials | None) -> None:
        quay.add(NAME, is_public=False)
        with client(quay, credentials) as asked:
            assert asked.write_fault(Repository(quay.host, "noorg/app")) == (
                f"{quay.host} has no organisation or user 'noorg'; create it, or fix the name"
            )
            assert asked.write_fault(Repository(quay.host, "acme/new")) == ""
            assert asked.write_fault(app(quay)) == ""

    def test_without_an_api_no_organisation_is_said_to_be_missing(self, quay: QuayApi) -> None:
        """A proxy that lets only /v2 through answers 404 for all else."""
        quay.answer("GET", "^/api/", 404, b"<html><title>404 Not Found</title></html>")
        with client(quay, ROBOT) as asked:
            assert asked.write_fault(Repository(quay.host, "noorg/app")) == ""

    def test_only_an_oauth_token_deletes_tags(self, quay: QuayApi) -> None:
        with client(quay, TOKEN) as asked:
            assert asked.delete_fault() == ""
        with client(quay, ROBOT) as asked:
            fault = f"deleting tags at {quay.host} needs '$oauthtoken' and an OAuth token with the scope repo:write"
            assert asked.delete_fault() == fault
        assert quay.requests() == []

    def test_tags_that_will_expire_are_a_note(self, quay: QuayApi) -> None:
        fill(quay, 12)
        with client(quay) as asked:
            names(asked, quay)
            assert asked.notes(app(quay), is_changed=False) == ()
            for number in range(12):
                quay.expire(NAME, f"v{number}", NOON + timedelta(days=14, minutes=number))
            names(asked, quay)
            [note] = asked.notes(app(quay), is_changed=False)
        first = "v0 on 2026-12-07 12:00 UTC, v1 on 2026-12-07 12:01 UTC, "
        assert note.startswith(f"tags expire at {app(quay)} (label quay.expires-after?): {first}")
        assert note.endswith(" and 2 more")


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_copy_that_will_expire_is_a_note_of_the_run_that_makes_it(
    quay: QuayApi, own_registry: RegistryProcess, is_listed: bool
) -> None:
    """The label of the image sets the end of the tag when it is pushed. A robot account may not list a private one."""
    name = f"acme/expiring-{is_listed}".lower()
    images.push(own_registry.url, "team/app", "ci-1", IMAGE)
    end = NOON + timedelta(days=14)

    def expire(_: object) -> None:
        quay.push(name, "ci-1", NOON)
        quay.expire(name, "ci-1", end)

    quay.after("PUT", "/manifests/ci-1$", expire)
    if not is_listed:
        quay.answer("GET", "/tag/$", 401)
    route = make_route(own_registry, quay, "team/app", rename=name, destination_kind="quay")
    report = run_route(route)
    assert counted(report) == {"copied": 1}
    note = f"tags expire at {quay.host}/{name} (label quay.expires-after?): ci-1 on 2026-12-07 12:00 UTC"
    assert [each for each in report.notes if "expire" in each] == ([note] if is_listed else [])


@pytest.mark.parametrize("dry_run", [False, True])
def test_tags_of_the_source_that_will_expire_are_a_note(
    quay: QuayApi, registry: RegistryProcess, destination: RegistryProcess, *, dry_run: bool
) -> None:
    name = f"acme/ending-{dry_run}".lower()
    images.push(registry.url, name, "ci-1", IMAGE)
    quay.push(name, "ci-1", NOON)
    quay.expire(name, "ci-1", NOON + timedelta(days=14))
    report = run_route(make_route(quay, destination, name, source_kind="quay"), dry_run=dry_run)
    note = f"tags expire at {quay.host}/{name} (label quay.expires-after?): ci-1 on 2026-12-07 12:00 UTC"
    assert [each for each in report.notes if "expire" in each] == [note]


def test_repositories_of_other_namespaces_are_left_out(quay: QuayApi) -> None:
    """Such as from a proxy that drops the query. They may be private, or nobody's wish."""
    rows = [{"namespace": namespace, "name": "app", "is_public": True} for namespace in ("acme", "acme2", "other")]
    quay.answer("GET", "^/api/v1/repository$", 200, json.dumps({"repositories": rows}).encode())
    with client(quay) as asked:
        assert [entry.name for entry in asked.list_repositories("acme")] == ["acme/app"]
        with pytest.raises(ConfigurationError) as caught:
            list(asked.list_repositories("third"))
    assert str(caught.value) == (
        f"namespace 'third' of {quay.host} has no repository that we may see; check its name, and that its "
        "repositories are public or the token may read them"
    )


def test_a_window_without_push_times_is_said(quay: QuayApi, own_registry: RegistryProcess) -> None:
    """Quay's API is closed to a robot account, for which a window is everything."""
    quay.answer("GET", "/tag/$", 401)
    window = Window(reason="asked for", start=NOON, end=NOON + timedelta(days=1))
    route = make_route(quay, own_registry, NAME, source_kind="quay")
    report = run_route(route, window=window, source_credentials=ROBOT)
    assert counted(report) == {"copied": 1}
    note = (
        f"{quay.host} reports no push times of these tags to our credentials, so all are compared, whatever the window"
    )
    assert note in report.notes


def test_an_anonymous_quay_without_its_kind_gets_a_hint(wire: Interceptor) -> None:
    """Quay issues anonymous users no token without a scope."""
    wire.answer("GET", "^/v2/$", 401, headers={"WWW-Authenticate": f'Bearer realm="{wire.url}/v2/auth",service="q"'})
    wire.answer("GET", "^/v2/auth$", 401, b'{"error": "Invalid username or password"}')
    with connect(DistributionClient, wire) as asked, pytest.raises(DeniedError) as caught:
        asked.ping()
    assert str(caught.value) == (
        f"{wire.host} rejects the login of an anonymous user to {wire.host}: 401 Invalid username or password; if this "
        "is a Quay with public repositories, write kind: quay for its registry"
    )


def test_api_url_moves_the_api(quay: QuayApi, registry: RegistryProcess) -> None:
    """The token is sent to the host of the API and to the registry."""
    with QuayApi(registry.url, tokens={TOKEN.secret: {"acme"}}) as elsewhere:
        elsewhere.push(NAME, "v1", NOON)
        with client(quay, TOKEN, api_url=f"{elsewhere.url}/") as asked:
            assert names(asked, quay) == ["v1"]
            assert asked.head_manifest(app(quay), "v1") == IMAGE.digest
        assert {request.path.split("/")[1] for request in elsewhere.requests()} == {"api"}
        assert {request.path.split("/")[1] for request in quay.requests()} == {"v2"}


def test_a_redirect_of_the_api_takes_no_token_along(quay: QuayApi, registry: RegistryProcess) -> None:
    with QuayApi(registry.url, tokens={TOKEN.secret: {"acme"}}) as elsewhere:
        elsewhere.add(NAME, is_public=False)
        target = f"{elsewhere.url}/api/v1/repository/{NAME}/tag/"
        quay.answer("GET", "/tag/$", 302, headers={"Location": target})
        with client(quay, TOKEN) as asked, pytest.raises(DeniedError):
            names(asked, quay)
        assert [request.status for request in elsewhere.requests()] == [401]


def test_nothing_secret_is_logged(quay: QuayApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    quay.add(NAME, is_public=False)
    quay.answer("GET", "/tag/$", 503, times=1)
    with client(quay, TOKEN) as asked:
        names(asked, quay)
        list(asked.list_repositories("acme", include_private=True))
    assert caplog.text
    assert TOKEN.secret not in caplog.text
