"""The client against real registries: open, with passwords, with tokens, with TLS; and against a hostile wire."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LoginRejected,
    MissingContent,
    NotFound,
    RateLimited,
    RefusedError,
    TemporaryError,
)
from registry_sync.oci.manifest import parse_manifest
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedRepository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.wire.exchange import ATTEMPTS
from testkit import images
from testkit.interceptor import ANY, Interceptor
from testkit.registry import Htpasswd, RegistryProcess
from testkit.sleeping_clock import SleepingClock
from testkit.times import Due
from testkit.tls import CertificateAuthority
from testkit.token_server import TokenServer

IMAGE = images.multi_arch("one")
ROBOT = Credentials(username="robot", secret="the-robots-password")
NAME = "team/app"
pytestmark = pytest.mark.usefixtures("recorded_pauses")


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGE)
        yield registry


@pytest.fixture
def wire(registry: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(registry.url) as interceptor:
        yield interceptor


@contextmanager
def client(host: str, **options: Any) -> Iterator[DistributionClient]:
    with closing(DistributionClient(Endpoint(host=host, **{"tls": False, **options}))) as opened:
        yield opened


def at(server: RegistryProcess | Interceptor, name: str = NAME) -> Repository:
    return Repository(server.host, name)


def test_reads_and_publishes_the_same_bytes(registry: RegistryProcess) -> None:
    with client(registry.host) as asked:
        digest = asked.head_manifest(at(registry), "v1")
        assert digest == IMAGE.digest
        manifest = asked.get_manifest(at(registry), IMAGE.digest)
        assert manifest.content == IMAGE.content
        asked.put_manifest(at(registry), "v1-again", manifest)
        assert asked.head_manifest(at(registry), "v1-again") == IMAGE.digest
        assert sorted(tag.name for tag in asked.list_tags(at(registry))) == ["v1", "v1-again"]
        assert list(asked.list_repositories("team")) == [ListedRepository(name=NAME)]


def test_many_threads_share_one_session(registry: RegistryProcess) -> None:
    with client(registry.host, credentials=ROBOT) as asked, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: asked.head_manifest(at(registry), "v1"), range(100)))
    assert set(found) == {IMAGE.digest}


def test_a_repository_whose_tags_are_gone_lists_nothing() -> None:
    with RegistryProcess() as emptied, client(emptied.host) as asked:
        images.push(emptied.url, NAME, "v1", IMAGE)
        emptied.forget_tag(NAME, "v1")
        assert list(asked.list_tags(at(emptied))) == []


def test_null_tags_are_an_empty_list(wire: Interceptor) -> None:
    wire.answer("GET", "/tags/list", 200, b'{"name": "team/app", "tags": null}')
    with client(wire.host) as asked:
        assert list(asked.list_tags(at(wire))) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>Sign in</html>", "answered 200 with no type, not JSON"),
        (b"[]", "answered 200 without a list of tags"),
        (b'{"name": "team/app"}', "answered 200 without a list of tags"),
        (b'{"tags": "v1"}', "answered 200 without a list of tags"),
        (b'{"tags": [1]}', "answered 200 without a list of tags"),
        (b"[" * 100_000, "answered 200 with no type, not JSON"),
    ],
)
def test_an_error_page_is_never_an_empty_list(wire: Interceptor, body: bytes, problem: str) -> None:
    wire.answer("GET", "/tags/list", 200, body)
    with client(wire.host) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(at(wire)))
    assert str(caught.value) == f"{wire.url}/v2/team/app/tags/list {problem}"


def test_basic_credentials_are_accepted_or_denied() -> None:
    with RegistryProcess(auth=Htpasswd(users={ROBOT.username: ROBOT.secret})) as locked:
        with client(locked.host, credentials=ROBOT) as asked:
            asked.ping()
            with pytest.raises(NotFound):
                list(asked.list_tags(at(locked)))
        wrong = Credentials(username="robot", secret="guess")
        with client(locked.host, credentials=wrong) as asked, pytest.raises(LoginRejected) as caught:
            asked.ping()
        assert str(caught.value) == (
            f"{locked.host} rejects the login of 'robot': GET {locked.url}/v2/ answered 401 UNAUTHORIZED: "
            "authentication required (not permitted with these credentials, or it does not exist)"
        )
        with client(locked.host) as asked, pytest.raises(DeniedError, match="give its registry a connection"):
            asked.ping()


def test_tokens_are_fetched_once_per_scope() -> None:
    with (
        TokenServer({ROBOT.username: ROBOT.secret}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        client(locked.host, credentials=ROBOT) as asked,
    ):
        images.push(locked.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        asked.ping()
        tokens.clear_requests()
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: asked.head_manifest(at(locked), "v1"), range(20)))
        assert set(found) == {IMAGE.digest}
        assert [request.scopes for request in tokens.requests()] == [(f"repository:{NAME}:pull",)]
        asked.put_manifest(at(locked), "v2", asked.get_manifest(at(locked), IMAGE.digest))
        assert [request.scopes for request in tokens.requests()][1:] == [(f"repository:{NAME}:pull,push",)]


def test_an_expired_token_is_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("registry_sync.registry.wire.auth.time.monotonic", lambda: now)
    with (
        TokenServer({}, anonymous={NAME: ("pull",)}, lifetime_seconds=100) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        client(locked.host) as asked,
    ):
        images.push(locked.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        asked.head_manifest(at(locked), "v1")
        now += 89
        asked.head_manifest(at(locked), "v1")
        assert len(tokens.requests()) == 1
        now += 2
        asked.head_manifest(at(locked), "v1")
        assert len(tokens.requests()) == 2


def test_a_token_that_the_registry_rejects_is_fetched_again_once() -> None:
    with (
        TokenServer({}, anonymous={NAME: ("pull",)}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        Interceptor(locked.url) as wire,
        client(wire.host) as asked,
    ):
        images.push(locked.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        asked.head_manifest(at(wire), "v1")
        challenge = {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="test-registry",error="invalid_token"'}
        wire.answer("HEAD", "/manifests/", 401, headers=challenge, times=1)
        assert asked.head_manifest(at(wire), "v1") == IMAGE.digest
        assert len(tokens.requests()) == 2


def test_a_wrong_password_at_the_token_server_is_denied() -> None:
    wrong = Credentials(username="robot", secret="guess")
    with (
        TokenServer({ROBOT.username: ROBOT.secret}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        client(locked.host, credentials=wrong) as asked,
        pytest.raises(DeniedError) as caught,
    ):
        asked.ping()
    message = str(caught.value)
    issuer = tokens.realm.split("/")[2]
    assert message.startswith(f"{issuer} rejects the login of 'robot' to {locked.host}: 401 UNAUTHORIZED")
    assert "guess" not in message


def test_a_right_that_is_missing_is_denied() -> None:
    with (
        TokenServer({}, anonymous={NAME: ("pull",)}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        client(locked.host) as asked,
    ):
        images.push(locked.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        manifest = asked.get_manifest(at(locked), IMAGE.digest)
        with pytest.raises(DeniedError, match="answered 401 UNAUTHORIZED: authentication required"):
            asked.put_manifest(at(locked), "v2", manifest)


def test_a_private_authority_needs_its_ca_file(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path)
    with RegistryProcess(tls=authority.issue()) as secure:
        with client(secure.host, tls=True, ca_file=authority.ca_file) as asked:
            asked.ping()
        with client(secure.host, tls=True) as asked, pytest.raises(ConfigurationError) as caught:
            asked.ping()
        assert str(caught.value).startswith(f"https://{secure.host} shows a certificate that is not accepted (")
        assert str(caught.value).endswith("give its registry a ca_file, or have the certificate renewed")
        with client(secure.host) as asked, pytest.raises(ConfigurationError, match="does not answer like a registry"):
            asked.ping()


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path)
    with (
        RegistryProcess(tls=authority.issue(expired=True)) as secure,
        client(secure.host, tls=True, ca_file=authority.ca_file) as asked,
        pytest.raises(ConfigurationError, match="certificate has expired"),
    ):
        asked.ping()


def test_a_registry_without_tls_is_reported(registry: RegistryProcess) -> None:
    with client(registry.host, tls=True) as asked, pytest.raises(ConfigurationError) as caught:
        asked.ping()
    assert str(caught.value) == (
        f"https://{registry.host} does not speak TLS; if that is right, write tls: false for its registry"
    )


def test_a_missing_ca_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DistributionClient(Endpoint(host="registry.example", ca_file=tmp_path / "ca.crt"))
    missing = str(tmp_path / "ca.crt")
    assert str(caught.value) == f"registry.example: no CA file {missing!r} on this worker"


def test_a_registry_that_is_down_is_a_temporary_error(recorded_pauses: list[float]) -> None:
    with RegistryProcess() as stopped:
        stopped.stop()
        with client(stopped.host) as asked, pytest.raises(TemporaryError) as caught:
            asked.ping()
    assert str(caught.value) == f"http://{stopped.host} cannot be reached: [Errno 111] Connection refused"
    assert len(recorded_pauses) == ATTEMPTS - 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_blip_is_tried_again(wire: Interceptor, recorded_pauses: list[float], status: int) -> None:
    wire.answer("GET", "/v2/$", status, b"<html>no backend</html>", times=2)
    with client(wire.host) as asked:
        asked.ping()
    assert len(recorded_pauses) == 2


def test_resets_and_cut_answers_are_tried_again(wire: Interceptor, recorded_pauses: list[float]) -> None:
    with client(wire.host) as asked:
        wire.reset("GET", "/tags/list", times=1)
        assert "v1" in [tag.name for tag in asked.list_tags(at(wire))]
        wire.truncate("GET", "/tags/list", 5, times=1)
        assert "v1" in [tag.name for tag in asked.list_tags(at(wire))]
    assert len(recorded_pauses) == 2


def test_a_lasting_outage_is_temporary(wire: Interceptor) -> None:
    wire.answer("GET", "/v2/$", 503, b"<html>  no\n backend</html>")
    with client(wire.host) as asked, pytest.raises(TemporaryError) as caught:
        asked.ping()
    assert str(caught.value) == f"GET {wire.url}/v2/ answered 503 no backend"
    assert len(wire.requests()) == ATTEMPTS


def test_one_warning_of_a_registry_that_is_down(wire: Interceptor, caplog: pytest.LogCaptureFixture) -> None:
    """The command ``plan`` shows warnings, and sends many requests. The next outage is a new warning."""
    caplog.set_level(logging.INFO, logger="registry_sync.registry")
    with client(wire.host) as opened:
        for is_reachable in (True, False):
            if is_reachable:
                wire.answer("GET", "/v2/", 503)
            else:
                wire.reset("GET", "/v2/")
            for _ in range(2):
                with pytest.raises(TemporaryError):
                    opened.ping()
            wire.clear_rules()
            opened.ping()
    assert len(caplog.records) == 2 * 2 * (ATTEMPTS - 1)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.partition(";")[0] for text in warnings] == [
        f"GET {wire.url}/v2/ answered 503",
        f"{wire.url} cannot be reached: [Errno 104] Connection reset by peer",
    ]


def test_a_short_rate_limit_is_slept(wire: Interceptor, sleeping_clock: SleepingClock) -> None:
    wire.answer("GET", "/v2/$", 429, headers={"Retry-After": "7"}, times=1)
    with client(wire.host) as asked:
        asked.ping()
    assert 6.9 < sleeping_clock.slept <= 7.1


@pytest.mark.parametrize("form", ["seconds", "date", "unix"])
def test_a_long_wait_is_named_and_not_slept(wire: Interceptor, recorded_pauses: list[float], form: str) -> None:
    due = Due(timedelta(hours=2))
    headers = {
        "seconds": {"Retry-After": "7200"},
        "date": {"Retry-After": due.earliest.strftime("%a, %d %b %Y %H:%M:%S GMT")},
        "unix": {"X-Retry-After": str(int(due.earliest.timestamp()))},
    }[form]
    wire.answer("GET", "/v2/$", 429, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "pull limit"}]}', headers)
    with client(wire.host) as asked, pytest.raises(RateLimited) as caught:
        asked.ping()
    assert str(caught.value) == f"GET {wire.url}/v2/ answered 429 TOOMANYREQUESTS: pull limit"
    assert due.is_at(caught.value.retry_at)
    assert recorded_pauses == []
    assert len(wire.requests()) == 1


def test_too_many_requests_for_minutes_end_in_a_rate_limit(wire: Interceptor, sleeping_clock: SleepingClock) -> None:
    """The pauses double up to half a minute, for five minutes. Then the task is deferred."""
    due = Due(timedelta(minutes=3))
    wire.answer("GET", "/v2/$", 429, b"slow down")
    with client(wire.host) as asked, pytest.raises(RateLimited) as caught:
        asked.ping()
    reason = "answered 429 slow down, for 300 s although all requests paused"
    assert str(caught.value) == f"GET {wire.url}/v2/ {reason}"
    assert due.is_at(caught.value.retry_at)
    assert 300 < sleeping_clock.slept < 331
    assert len(wire.requests()) == 16


@pytest.mark.parametrize("link", ["/v2/team/app/tags/list?n=1000", "/v2/team/app/tags/list?n=1000&last=v1"])
def test_paging_in_a_circle_ends(wire: Interceptor, link: str) -> None:
    wire.answer("GET", "/tags/list", 200, b'{"tags": ["v1"]}', {"Link": f'<{link}>; rel="next"'})
    with client(wire.host) as asked, pytest.raises(TemporaryError) as caught:
        list(asked.list_tags(at(wire)))
    assert str(caught.value) == f"{wire.url}/v2/team/app/tags/list answers the same page again"


def test_many_pages_are_read(wire: Interceptor) -> None:
    for page in range(30):
        names = json.dumps({"tags": [f"v{page}.{each}" for each in range(100)]}).encode()
        link = {"Link": f'</v2/team/app/tags/list?n=100&last=v{page}.99>; rel="next"'} if page < 29 else {}
        wire.answer("GET", "/tags/list", 200, names, link, times=1)
    with client(wire.host) as asked:
        assert len(list(asked.list_tags(at(wire)))) == 3000


def test_a_redirect_elsewhere_carries_no_password(registry: RegistryProcess, wire: Interceptor) -> None:
    with Interceptor(registry.url) as elsewhere:
        target = f"{elsewhere.url}/v2/team/app/manifests/{IMAGE.digest}"
        wire.answer(ANY, "/manifests/", 307, headers={"Location": target})
        elsewhere.answer(ANY, "/manifests/", 401, headers={"WWW-Authenticate": 'Basic realm="evil"'})
        with client(wire.host, credentials=ROBOT) as asked, pytest.raises(DeniedError):
            asked.head_manifest(at(wire), "v1")
        assert [request.status for request in elsewhere.requests()] == [401, 401]


def test_a_host_that_is_redirected_to_does_not_say_where_to_log_in(
    registry: RegistryProcess, wire: Interceptor
) -> None:
    with Interceptor(registry.url) as elsewhere:
        challenge = {"WWW-Authenticate": f'Bearer realm="{elsewhere.url}/token",service="evil"'}
        elsewhere.answer(ANY, "/manifests/", 401, headers=challenge)
        elsewhere.answer("GET", "/token", 200, b'{"token": "t"}')
        wire.answer(ANY, "/manifests/", 307, headers={"Location": f"{elsewhere.url}/v2/team/app/manifests/v1"})
        with client(wire.host, credentials=ROBOT) as asked, pytest.raises(DeniedError):
            asked.head_manifest(at(wire), "v1")
        assert [request.path for request in elsewhere.requests()] == ["/v2/team/app/manifests/v1"] * 2


def test_endless_redirects_are_a_temporary_error(wire: Interceptor) -> None:
    wire.answer("HEAD", "/manifests/", 302, headers={"Location": "/v2/team/app/manifests/v1"})
    with client(wire.host) as asked, pytest.raises(TemporaryError, match="redirects more than 5 times"):
        asked.head_manifest(at(wire), "v1")


def test_a_manifest_with_other_bytes_is_refused(wire: Interceptor) -> None:
    other = images.multi_arch("other")
    wire.answer("GET", "/manifests/", 200, other.content, {"Content-Type": other.media_type})
    with client(wire.host) as asked, pytest.raises(TemporaryError) as caught:
        asked.get_manifest(at(wire), IMAGE.digest)
    assert str(caught.value) == f"{at(wire)}@{IMAGE.digest} arrived damaged: its content has another digest"


def test_an_endless_manifest_is_bounded(wire: Interceptor) -> None:
    wire.answer("GET", "/manifests/", 200, b"x" * (4 * 1024 * 1024 + 1))
    with client(wire.host) as asked, pytest.raises(RefusedError, match="answered with more than 4194304 bytes"):
        asked.get_manifest(at(wire), IMAGE.digest)


def test_a_long_error_page_is_cut(wire: Interceptor) -> None:
    wire.answer("GET", "/tags/list", 403, b"<p>denied</p> " * 100_000)
    with client(wire.host) as asked, pytest.raises(DeniedError) as caught:
        list(asked.list_tags(at(wire)))
    assert len(str(caught.value)) < 500


def test_a_manifest_without_its_content_is_missing_content() -> None:
    with RegistryProcess() as empty, client(empty.host) as asked:
        with pytest.raises(MissingContent):
            asked.put_manifest(at(empty), "v1", parse_manifest(IMAGE.content, IMAGE.media_type))


def test_a_missing_destination_repository_is_refused(wire: Interceptor) -> None:
    wire.answer("PUT", "/manifests/", 404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "no such repository"}]}')
    with client(wire.host) as asked, pytest.raises(RefusedError) as caught:
        asked.put_manifest(at(wire), "v1", parse_manifest(IMAGE.content, IMAGE.media_type))
    assert str(caught.value) == (
        f"{at(wire)} cannot be pushed to; create it at the registry first (PUT {wire.url}/v2/team/app/manifests/v1 "
        "answered 404 NAME_UNKNOWN: no such repository)"
    )


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"errors": [{"code": "TAG_INVALID", "message": "immutable"}]}', RefusedError),
        (403, b'{"errors": [{"code": "DENIED", "message": "storage quota exceeded"}]}', RefusedError),
        (403, b'{"errors": [{"code": "DENIED", "message": "no"}]}', DeniedError),
        (405, b'{"errors": [{"code": "UNSUPPORTED", "message": "read-only"}]}', RefusedError),
        (409, b"conflict", RefusedError),
        (413, b"too large", RefusedError),
        (415, b"", RefusedError),
    ],
)
def test_refusals_are_not_repeated(wire: Interceptor, status: int, body: bytes, expected: type[Exception]) -> None:
    wire.answer("PUT", "/manifests/", status, body)
    with client(wire.host) as asked, pytest.raises(expected):
        asked.put_manifest(at(wire), "v9", parse_manifest(IMAGE.content, IMAGE.media_type))
    assert [request.method for request in wire.requests()].count("PUT") == 1


def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        TokenServer({ROBOT.username: ROBOT.secret}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
        Interceptor(locked.url) as wire,
        client(wire.host, credentials=ROBOT) as asked,
    ):
        wire.answer("GET", "/tags/list", 503, b"", times=1)
        with pytest.raises(NotFound):
            list(asked.list_tags(at(wire)))
    assert caplog.text
    assert ROBOT.secret not in caplog.text
    assert ROBOT.basic() not in caplog.text
    assert "Bearer" not in caplog.text


def test_no_password_of_the_machine_is_used(wire: Interceptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with client(wire.host) as asked:
        asked.ping()
    assert [request.status for request in wire.requests()] == [200]


@pytest.mark.parametrize(
    ("header", "notices"),
    [
        ('299 - "this registry moves to new.example"', ["this registry moves to new.example"]),
        ('299 - "one", 299 - "two, \\"quoted\\""', ["one", 'two, "quoted"']),
        ("299 - moves to new.example, 299 - soon", ["moves to new.example", "soon"]),
        ('110 - "Response is Stale"', []),
        ('110 - "see 299 - \\"here\\"", 299 - ""', []),
        ("nonsense", []),
    ],
)
def test_a_notice_of_the_registry_is_logged_once(
    wire: Interceptor, caplog: pytest.LogCaptureFixture, header: str, notices: list[str]
) -> None:
    wire.answer("GET", "/v2/$", 200, headers={"Warning": header})
    with client(wire.host) as asked:
        asked.ping()
        asked.ping()
    logged = [record.getMessage() for record in caplog.records if record.name.endswith(".notices")]
    assert logged == [f"{wire.host} sends a notice: {notice}" for notice in notices]
