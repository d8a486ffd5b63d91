"""Logins: every challenge of a 401 or a 200 is read, the strongest is answered, and credentials come first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, LoginRejected, ReferrersUnavailable, RegistrySyncError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.wire.transport import Transport
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer

ROBOT = Credentials(username="robot", secret="the-robots-password")
WRONG = Credentials(username="robot", secret="guess")
BASIC = f"Basic {ROBOT.basic()}"
BEARER = 'Bearer realm="{url}/token",service="r"'
TAGS = "/v2/team/app/tags/list?n=1000"
pytestmark = pytest.mark.usefixtures("recorded_pauses")


@contextmanager
def client(server: ScriptedServer, credentials: Credentials | None) -> Iterator[DistributionClient]:
    with closing(DistributionClient(Endpoint(host=server.host, tls=False, credentials=credentials))) as opened:
        yield opened


def tags(server: ScriptedServer, credentials: Credentials | None) -> list[str]:
    with client(server, credentials) as asked:
        return [entry.name for entry in asked.list_tags(Repository(server.host, "team/app"))]


def repositories(server: ScriptedServer, credentials: Credentials | None) -> list[str]:
    with client(server, credentials) as asked:
        return [entry.name for entry in asked.list_repositories("team")]


def sent(server: ScriptedServer) -> list[tuple[str, str | None]]:
    return [(request.target.partition("?")[0], request.authorization) for request in server.shown]


@contextmanager
def registry(lines: Sequence[str], accepted: str) -> Iterator[ScriptedServer]:
    """A registry that accepts one authorization and answers 401 with header lines to everything else."""
    with ScriptedServer(lambda _: Reply()) as server:
        challenges = "\r\nWWW-Authenticate: ".join(line.replace("{url}", server.url) for line in lines)

        def answer(request: ScriptedRequest) -> Reply:
            if request.target.startswith("/token"):
                return Reply(body=b'{"token": "T"}')
            if request.authorization != accepted:
                return Reply(status=401, headers={"WWW-Authenticate": challenges} if lines else {})
            return Reply(body=b'{"tags": ["v1"]}')

        server.script = answer
        yield server


class TestChallenges:
    """https://github.com/google/go-containerregistry/issues/1075; Gitea 1.26 sends Bearer and Basic."""

    @pytest.mark.parametrize(
        "lines",
        [
            [BEARER],
            [BEARER, 'Basic realm="Registry"'],
            ['Basic realm="Registry"', BEARER],
            [f'{BEARER}, Basic realm="Registry"'],
            [f'Basic realm="a, b", {BEARER}'],
            ["Negotiate", BEARER],
            [f"Negotiate YIIZgg==, {BEARER}"],
            ["NTLM", "Basic", 'BEARER  SERVICE = "r" , REALM = "{url}/token"'],
            ['Bearer service="r",scope="a,b",realm="{url}/token"'],
            ["Bearer realm={url}/token, service=r"],
            ['Basic realm="unterminated', BEARER],
            ['Bearer realm="no address"', BEARER],
        ],
    )
    @pytest.mark.parametrize("credentials", [ROBOT, None], ids=["with credentials", "anonymous"])
    def test_bearer_is_chosen(self, lines: Sequence[str], credentials: Credentials | None) -> None:
        with registry(lines, "Bearer T") as server:
            assert tags(server, credentials) == ["v1"]
            token = ("/token", BASIC if credentials else None)
            first = "/v2/" if credentials else "/v2/team/app/tags/list"
            assert sent(server) == [(first, None), token, ("/v2/team/app/tags/list", "Bearer T")]

    @pytest.mark.parametrize(
        "lines",
        [
            ['Basic realm="Registry"'],
            ["Basic"],
            ["Negotiate", "Basic realm=Registry Realm"],
            ["Negotiate, Basic, NTLM"],
            ['Bearer realm="ftp://registry.example/token"', "basic"],
            ['Digest nonce="a,b", qop=auth, Basic realm="x"'],
            [],
        ],
    )
    def test_basic_is_chosen_where_bearer_is_not_usable(self, lines: Sequence[str]) -> None:
        with registry(lines, BASIC) as server:
            assert tags(server, ROBOT) == ["v1"]
            assert sent(server) == [("/v2/", None), ("/v2/team/app/tags/list", BASIC)]

    @pytest.mark.parametrize(
        ("lines", "credentials", "expected", "text"),
        [
            (
                ["Negotiate", "NTLM"],
                ROBOT,
                DeniedError,
                "accepts only logins by 'negotiate, ntlm'; Bearer and Basic are supported",
            ),
            (
                ["Negotiate", "Basic"],
                None,
                DeniedError,
                "requires a user name and password; give its registry a connection",
            ),
            (
                ['Bearer realm="token"', "Negotiate"],
                ROBOT,
                ConfigurationError,
                "sends logins to 'token', which is not an https URL; nothing was sent there",
            ),
        ],
    )
    def test_what_cannot_be_answered_is_named(
        self, lines: Sequence[str], credentials: Credentials | None, expected: type[RegistrySyncError], text: str
    ) -> None:
        with registry(lines, "nothing") as server:
            with pytest.raises(expected) as caught:
                tags(server, credentials)
            assert str(caught.value) == f"{server.host} {text}"

    @pytest.mark.parametrize("challenge", ["", BEARER, "Basic"])
    def test_a_401_after_a_login_has_the_words_of_its_body(self, challenge: str) -> None:
        """Harbor answers so for a project that does not exist, with an empty header."""
        body = b'{"errors": [{"code": "UNAUTHORIZED", "message": "project nosuchproject not found"}]}'
        with registry([challenge], "nothing") as server:
            login, challenges = server.script, {"WWW-Authenticate": challenge.replace("{url}", server.url)}
            server.script = lambda request: (
                login(request)
                if request.target.startswith(("/token", "/v2/?")) or request.target == "/v2/"
                else Reply(status=401, headers=challenges, body=body)
            )
            with client(server, ROBOT) as asked, pytest.raises(DeniedError) as caught:
                asked.head_manifest(Repository(server.host, "team/app"), "v1")
            assert str(caught.value) == (
                f"GET {server.url}/v2/team/app/manifests/v1 answered 401 UNAUTHORIZED: project nosuchproject not found "
                "(not permitted with these credentials, or it does not exist)"
            )

    def test_a_path_may_require_basic_where_others_require_bearer(self) -> None:
        """Seen in https://github.com/google/go-containerregistry/issues/1747."""
        with registry([BEARER], "Bearer T") as server:
            bearer = server.script

            def answer(request: ScriptedRequest) -> Reply:
                if not request.target.startswith("/v2/_catalog"):
                    return bearer(request)
                if request.authorization != BASIC:
                    return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="catalog"'})
                return Reply(body=b'{"repositories": ["team/app"]}')

            server.script = answer
            with client(server, ROBOT) as asked:
                for _ in range(2):
                    assert [entry.name for entry in asked.list_tags(Repository(server.host, "team/app"))] == ["v1"]
                    assert [entry.name for entry in asked.list_repositories("team")] == ["team/app"]
            wasted = [request for request in server.shown if request.target.startswith("/v2/_catalog")]
            assert len(wasted) == 3


def visible_to(user: str | None, *, challenge: str = "") -> Callable[[ScriptedRequest], Reply]:
    """A registry that lists more to ``user`` than to everybody, and rejects other credentials."""

    def answer(request: ScriptedRequest) -> Reply:
        if request.authorization not in (None, user):
            return Reply(status=401, body=b'{"errors": [{"code": "UNAUTHORIZED", "message": "bad credentials"}]}')
        names = ["team/public", "team/private"] if request.authorization else ["team/public"]
        headers = {"WWW-Authenticate": challenge} if challenge and not request.authorization else {}
        return Reply(body=json.dumps({"repositories": names}).encode(), headers=headers)

    return answer


class TestTokenServer:
    """Its answers are about the login, never about the repository."""

    @pytest.mark.parametrize("status", [204, 302, 400, 403, 404, 405, 410, 501])
    def test_a_refusal_is_a_rejected_login(self, status: int) -> None:
        with registry([BEARER], "Bearer T") as server:
            answer = server.script
            refusal = Reply(status=status, headers={"Location": "http://127.0.0.1/login?state=1"}, body=b"closed")
            server.script = lambda request: refusal if request.target.startswith("/token") else answer(request)
            with client(server, ROBOT) as asked:
                with pytest.raises(DeniedError) as listing:
                    list(asked.list_tags(Repository(server.host, "team/app")))
                with pytest.raises(ReferrersUnavailable) as referrers:
                    asked.list_referrers(Repository(server.host, "team/app"), Digest.of(b""))
        redirect = ", a redirect to 'http://127.0.0.1/login', which is not followed" if status == 302 else ""
        text = f" {status}{'' if status == 204 else ' closed'}{redirect}"
        message = f"{server.host} rejects the login of 'robot' to {server.host}:{text}"
        assert (str(listing.value), str(referrers.value)) == (message, message)

    def test_a_rejected_login_is_no_registry_without_a_catalog(self) -> None:
        with registry([BEARER], "Bearer T") as server:
            answer = server.script
            server.script = lambda request: (
                Reply(status=401, body=b"wrong") if request.target.startswith("/token") else answer(request)
            )
            with client(server, ROBOT) as asked, pytest.raises(LoginRejected) as caught:
                list(asked.list_repositories("team"))
            assert str(caught.value) == f"{server.host} rejects the login of 'robot' to {server.host}: 401 wrong"

    @pytest.mark.parametrize("realm", ["http://user:word@{host}/token", "http://{host}/token#top"])
    def test_the_users_and_fragments_of_realms_are_dropped(self, realm: str) -> None:
        with registry([], "Bearer T") as server:
            lines = [f'Bearer realm="{realm.replace("{host}", server.host)}"']
            with registry(lines, "Bearer T") as other:
                assert tags(other, ROBOT) == ["v1"]
            assert [request.target for request in server.shown] == ["/token?scope=repository%3Ateam%2Fapp%3Apull"]


class TestCredentialsComeFirst:
    """zot, Nexus and Artifactory list less to anonymous users, without a 401."""

    @pytest.mark.parametrize("challenge", ["", 'basic realm="zot"', 'Negotiate, Basic realm="x"'])
    def test_a_namespace_is_listed_as_the_user(self, challenge: str) -> None:
        with ScriptedServer(visible_to(BASIC, challenge=challenge)) as server:
            assert repositories(server, ROBOT) == ["team/public", "team/private"]
            assert sent(server) == [("/v2/", None), ("/v2/_catalog", BASIC)]
            assert repositories(server, None) == ["team/public"]

    def test_a_bearer_challenge_on_a_200_is_answered(self) -> None:
        with ScriptedServer(lambda _: Reply()) as server:
            names = visible_to("Bearer T", challenge=BEARER.replace("{url}", server.url))
            token = Reply(body=b'{"token": "T"}')
            server.script = lambda request: token if request.target.startswith("/token") else names(request)
            assert repositories(server, ROBOT) == ["team/public", "team/private"]

    @pytest.mark.parametrize("challenge", ["", 'basic realm="zot"'])
    def test_a_wrong_password_is_rejected(self, challenge: str) -> None:
        with ScriptedServer(visible_to(BASIC, challenge=challenge)) as server:
            with client(server, WRONG) as asked:
                with pytest.raises(LoginRejected) as caught:
                    asked.ping()
                with pytest.raises(LoginRejected) as listing:
                    list(asked.list_repositories("team"))
            message = (
                f"{server.host} rejects the login of 'robot': GET {server.url}/v2/ answered 401 UNAUTHORIZED: bad "
                "credentials (not permitted with these credentials, or it does not exist)"
            )
            assert (str(caught.value), str(listing.value)) == (message, message)

    def test_the_login_costs_one_request_per_client(self) -> None:
        with ScriptedServer(visible_to(BASIC)) as server, client(server, ROBOT) as asked:
            for _ in range(3):
                asked.ping()
            assert sent(server) == [("/v2/", None), *[("/v2/", BASIC)] * 3]

    @pytest.mark.parametrize("status", [403, 404, 405])
    def test_a_registry_without_a_ping_works(self, status: int) -> None:
        names = visible_to(BASIC)
        with ScriptedServer(lambda _: Reply()) as server:
            server.script = lambda request: Reply(status=status) if request.target == "/v2/" else names(request)
            assert repositories(server, ROBOT) == ["team/public", "team/private"]

    def test_another_host_is_not_asked_how_to_log_in(self) -> None:
        """Neither its challenge counts, nor does it get the password."""
        with ScriptedServer(lambda _: Reply(status=401, headers={"WWW-Authenticate": "Basic"})) as elsewhere:
            away = Reply(status=307, headers={"Location": f"{elsewhere.url}/v2/"})
            names = visible_to(BASIC)
            with ScriptedServer(lambda asked: away if asked.target == "/v2/" else names(asked)) as server:
                assert repositories(server, ROBOT) == ["team/public", "team/private"]
            assert {request.authorization for request in elsewhere.shown} == {None}

    def test_a_request_to_another_origin_carries_no_authorization(self) -> None:
        """Whatever address a request got, for example by a registry's Location."""
        with ScriptedServer(lambda _: Reply(status=201)) as elsewhere, ScriptedServer(visible_to(BASIC)) as server:
            with closing(Transport(Endpoint(host=server.host, tls=False, credentials=ROBOT))) as asked:
                asked.ping()
                asked.call_once("PUT", f"{elsewhere.url}/upload", headers={}, body=b"", scope="repository:a:push")
                asked.call("GET", f"{elsewhere.url}/next", scope="repository:a:pull")
            assert [request.authorization for request in elsewhere.shown] == [None, None]

    @pytest.mark.parametrize("address", ["{evil}\\@{registry}/v2/", "{evil}\\.{registry}/", "{evil}/\\@{registry}/"])
    def test_an_ambiguous_host_gets_no_authorization(self, address: str) -> None:
        """Parsers of URLs differ about backslashes: a storage could pose as its registry."""
        with (
            ScriptedServer(lambda _: Reply(status=404)) as evil,
            ScriptedServer(lambda _: Reply()) as storage,
            ScriptedServer(visible_to(BASIC)) as server,
        ):
            location = f"http://{address.format(evil=evil.host, registry=server.host)}"
            storage.script = lambda _: Reply(status=307, headers={"Location": location})
            server.script = lambda _: Reply(status=307, headers={"Location": storage.url})
            with client(server, ROBOT) as asked, suppress(RegistrySyncError):
                asked.head_manifest(Repository(server.host, "team/app"), "v1")
            assert {request.authorization for request in [*evil.shown, *storage.shown]} == {None}
