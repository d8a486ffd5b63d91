"""Hostile registries, networks and names: passwords, logs and memory are protected. See docs/security.md."""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import os
import re
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.cli.main import main
from registry_sync.config.reading.file_text import PATH_VARIABLE
from registry_sync.errors import ConfigurationError, DeniedError, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.reference import Repository
from registry_sync.registry import client as registry_client
from registry_sync.registry.client import MAX_REPOSITORIES, MAX_TAGS
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.vendors.quay import OAUTH_USER
from registry_sync.registry.wire import paging
from registry_sync.registry.wire.transport import Transport
from registry_sync.routes.discovery import expand_routes
from registry_sync.routes.load import load_mirrors
from registry_sync.sync.reading.source import repository_lister
from testkit import images
from testkit.interceptor import Interceptor
from testkit.quay_api import QuayApi
from testkit.registry import Htpasswd, RegistryProcess
from testkit.routes import make_route, run_route
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.task_runner import FakeApi, supervise
from testkit.tls import CertificateAuthority
from testkit.token_server import TokenServer
from tests.integration.test_operators import COPY, PLAN, a_connection, a_mirrors_file, processes_naming

ROBOT = Credentials(username="robot", secret="the-robots-password")
READER = Credentials(username="reader", secret="reads-only-7f3a/+ä")
OAUTH = Credentials(username=OAUTH_USER, secret="an-oauth-token-31c9")
WRITER = Credentials(username="writer", secret="writes-too-9c1e")
SIGNATURE = "51gn4tur3-of-a-presigned-address"
NAME = "team/app"
pytestmark = pytest.mark.usefixtures("minimal_jitter")


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path / "authority")


def client(server: ScriptedServer, authority: CertificateAuthority | None = None) -> DistributionClient:
    ca_file = authority.ca_file if authority else None
    return DistributionClient(Endpoint(host=server.host, tls=authority is not None, ca_file=ca_file, credentials=ROBOT))


def at(server: ScriptedServer) -> Repository:
    return Repository(server.host, NAME)


def answers(*replies: Reply) -> Callable[[ScriptedRequest], Reply]:
    """Replies in turn; the last one repeats."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def login(realm: str) -> Reply:
    return Reply(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})


def authorizations(server: ScriptedServer) -> list[str | None]:
    return [each.authorization for each in server.shown]


GIVES_A_TOKEN = answers(Reply(body=b'{"token": "a-token", "expires_in": 300}'))
BASIC = f"Basic {ROBOT.basic()}"


class TestWherePasswordsGo:
    """Passwords are sent only to the configured registry, and over TLS to the realm that it names."""

    def test_a_realm_on_another_host_over_tls_gets_the_password(self, authority: CertificateAuthority) -> None:
        """As with docker.io and auth.docker.io. The registry could have asked for the password itself."""
        with (
            ScriptedServer(GIVES_A_TOKEN, tls=authority.issue()) as realm,
            ScriptedServer(answers(login(f"{realm.url}/token"), Reply()), tls=authority.issue()) as registry,
            closing(client(registry, authority)) as asked,
        ):
            asked.ping()
            assert authorizations(realm) == [BASIC]
            assert authorizations(registry) == [None, "Bearer a-token"]

    def test_a_realm_over_plain_http_gets_nothing(self, authority: CertificateAuthority) -> None:
        with (
            ScriptedServer(GIVES_A_TOKEN) as realm,
            ScriptedServer(answers(login(f"{realm.url}/token")), tls=authority.issue()) as registry,
            closing(client(registry, authority)) as asked,
            pytest.raises(ConfigurationError) as caught,
        ):
            asked.ping()
        assert str(caught.value) == (
            f"{registry.host} sends logins to '{realm.url}/token', which is not an https URL; nothing was sent there"
        )
        assert realm.shown == []
        assert authorizations(registry) == [None]

    def test_a_realm_with_a_certificate_that_is_not_accepted_gets_nothing(
        self, authority: CertificateAuthority, tmp_path: Path
    ) -> None:
        other = CertificateAuthority.create(tmp_path / "other")
        with (
            ScriptedServer(GIVES_A_TOKEN, tls=other.issue()) as realm,
            ScriptedServer(answers(login(f"{realm.url}/token")), tls=authority.issue()) as registry,
            closing(client(registry, authority)) as asked,
            pytest.raises(ConfigurationError, match="shows a certificate that is not accepted"),
        ):
            asked.ping()
        assert realm.shown == []

    def test_a_realm_that_redirects_is_not_followed(self, authority: CertificateAuthority) -> None:
        with (
            ScriptedServer(GIVES_A_TOKEN, tls=authority.issue()) as other,
            ScriptedServer(
                answers(Reply(status=307, headers={"Location": f"{other.url}/token"})), tls=authority.issue()
            ) as realm,
            ScriptedServer(answers(login(f"{realm.url}/token")), tls=authority.issue()) as registry,
            closing(client(registry, authority)) as asked,
            pytest.raises(RegistrySyncError),
        ):
            asked.ping()
        assert authorizations(realm) == [BASIC]
        assert other.shown == []

    def test_a_redirect_to_another_host_carries_neither_password_nor_token(
        self, authority: CertificateAuthority
    ) -> None:
        """Also when that host names a realm: only the registry may do that."""
        with (
            ScriptedServer(GIVES_A_TOKEN, tls=authority.issue()) as evil_realm,
            ScriptedServer(answers(login(f"{evil_realm.url}/token")), tls=authority.issue()) as storage,
            ScriptedServer(GIVES_A_TOKEN, tls=authority.issue()) as realm,
            ScriptedServer(
                answers(
                    login(f"{realm.url}/token"),
                    Reply(),
                    Reply(status=307, headers={"Location": f"{storage.url}/blob?X=1"}),
                ),
                tls=authority.issue(),
            ) as registry,
            closing(client(registry, authority)) as asked,
        ):
            asked.ping()
            with pytest.raises(DeniedError):
                asked.head_manifest(at(registry), "v1")
        assert authorizations(storage) == [None, None]
        assert evil_realm.shown == []
        assert authorizations(registry) == [None, *["Bearer a-token"] * 3]

    @pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
    def test_a_redirect_that_leaves_tls_is_refused(self, authority: CertificateAuthority, scheme: str) -> None:
        with (
            ScriptedServer(answers(Reply())) as plain,
            ScriptedServer(
                answers(Reply(status=302, headers={"Location": f"{scheme}://{plain.host}/etc/passwd"})),
                tls=authority.issue(),
            ) as registry,
            closing(client(registry, authority)) as asked,
            pytest.raises(ConfigurationError, match="which is not https; not followed"),
        ):
            asked.ping()
        assert plain.shown == []

    @pytest.mark.parametrize("link", ["{evil}/v2/next", "{evil}{path}?last=v1", "//{evil_host}{path}?last=v1"])
    def test_pages_elsewhere_are_not_read(self, authority: CertificateAuthority, link: str) -> None:
        """Only path and query of a link are used, on the registry's own origin."""
        path = f"/v2/{NAME}/tags/list"
        with (
            ScriptedServer(answers(Reply(body=b'{"tags": []}')), tls=authority.issue()) as evil,
            ScriptedServer(answers(Reply()), tls=authority.issue()) as registry,
            closing(client(registry, authority)) as asked,
        ):
            following = link.format(evil=evil.url, evil_host=evil.host, path=path)
            first = Reply(body=b'{"tags": ["v1"]}', headers={"Link": f'<{following}>; rel="next"'})
            second = Reply(body=b'{"tags": ["v2"]}')
            registry.script = lambda shown: first if shown.target == f"{path}?n=1000" else second
            assert [tag.name for tag in asked.list_tags(at(registry))] == ["v1", "v2"]
        assert evil.shown == []

    def test_a_token_that_no_header_can_hold_is_refused(self) -> None:
        """It would forge a header, or appear in an error message."""
        evil = answers(Reply(body=json.dumps({"token": "a\r\nX-Evil: 1"}).encode()))
        with (
            ScriptedServer(evil) as realm,
            ScriptedServer(answers(login(f"{realm.url}/token"))) as registry,
            closing(client(registry)) as asked,
            pytest.raises(TemporaryError, match="answered without a token"),
        ):
            asked.ping()


@dataclass(frozen=True, kw_only=True)
class Login:
    """Credentials of a source, and further secrets on the wire."""

    credentials: Credentials
    kind: str | None = None


LOGINS = {"basic": Login(credentials=READER), "bearer": Login(credentials=READER), "oauth": Login(credentials=OAUTH)}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A registry with a log-in, the address to use, and a session for the test's pushes."""

    server: Interceptor
    behind: RegistryProcess
    session: requests.Session


def a_source(stack: ExitStack, login: str) -> Source:
    user = LOGINS[login].credentials
    if login == "basic":
        behind = stack.enter_context(RegistryProcess(auth=Htpasswd(users={user.username: user.secret})))
        session = stack.enter_context(requests.Session())
        session.trust_env = False
        session.headers["Authorization"] = f"Basic {user.basic()}"
        server: Interceptor = stack.enter_context(Interceptor(behind.url))
        return Source(server=server, behind=behind, session=session)
    tokens = stack.enter_context(TokenServer({user.username: user.secret}))
    behind = stack.enter_context(RegistryProcess(auth=tokens.token_auth))
    session = stack.enter_context(tokens.session(NAME))
    if login == "oauth":
        quay = stack.enter_context(QuayApi(behind.url, tokens={user.secret: ["team"]}))
        return Source(server=quay, behind=behind, session=session)
    return Source(server=stack.enter_context(Interceptor(behind.url)), behind=behind, session=session)


@pytest.mark.parametrize("login", LOGINS)
def test_secrets_are_told_nowhere(login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task on a worker, at log level DEBUG: two copies, one refused in words that repeat the password.

    Searched for the passwords in every form, tokens, and signatures of addresses: the task's log, XCom, rendered
    fields, states, command lines and environments of all that it starts, and what stays in the temporary directory.
    The source sends its content from a storage of its own, which must not learn who is asking.
    """
    reader, seen = LOGINS[login].credentials, dict[str, bytes]()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "mirrors.yaml"))
    monkeypatch.setenv("AIRFLOW_CONN_AT_BACKUP", json.dumps({"conn_type": "docker", **a_connection(WRITER)}))
    with ExitStack() as stack:
        origin = a_source(stack, login)
        backup = stack.enter_context(RegistryProcess(auth=Htpasswd(users={WRITER.username: WRITER.secret})))
        there = stack.enter_context(Interceptor(backup.url))
        storage = stack.enter_context(ScriptedServer(lambda _: Reply(status=404)))
        contents: dict[str, Reply] = {}
        for tag in ("v1", "v2"):
            content = images.multi_arch(f"{login} {tag}", base=images.layer({"base": f"{login} {tag}".encode()}))
            images.push(origin.behind.url, NAME, tag, content, session=origin.session)
            if isinstance(origin.server, QuayApi):
                origin.server.push(NAME, tag, datetime.now(UTC), content.digest)
            contents |= stored(content)
        storage.script = lambda shown: contents[shown.target.partition("?")[0].rpartition("/")[2]]
        for digest in contents:
            target = f"{storage.url}/storage/{digest}?X-Amz-Signature={SIGNATURE}"
            kind = "blobs" if "json" not in contents[digest].headers.get("Content-Type", "") else "manifests"
            origin.server.after("GET", f"/{digest}$", lambda _: seen.update(processes_naming(there.host)))
            origin.server.answer("GET", f"/{kind}/{digest}$", 307, headers={"Location": target})
        echo = f"{WRITER.username}:{WRITER.secret} {WRITER.basic()}".encode()
        there.answer("PUT", "/manifests/v2$", 409, echo)
        there.after("HEAD", "/blobs/", lambda _: seen.update(processes_naming(there.host)))
        file = a_mirrors_file(
            origin.server, there, [NAME], {"connection": "at_origin"}, {"connection": "at_backup"}, {}
        )
        if login == "oauth":
            file["registries"]["origin"]["kind"] = "quay"
        (tmp_path / "mirrors.yaml").write_text(json.dumps(file))
        mirrors = load_mirrors(tmp_path / "mirrors.yaml")
        dag = build_dag(mirrors.mirrors["team"], mirrors)
        api = FakeApi(dag_id=dag.dag_id, connections={"at_origin": a_connection(reader)})
        log = supervise(PLAN, api, tmp_path / "plan.log") + supervise(COPY, api, tmp_path / "copy.log", map_index=0)
        assert {each.authorization for each in storage.shown} == {None}
        assert any(SIGNATURE in each.target for each in storage.shown)
    report = api.xcoms[COPY, 0, "report"]
    assert report["counts"].get("copied") == report["counts"].get("failed") == 1, json.dumps(report, indent=1)
    assert re.search(r'"(HEAD|GET) /v2/team/app/manifests/', log), "urllib3 has logged nothing: is this level DEBUG?"
    assert "/storage/sha256" in log
    assert any("skopeo" in each for each in seen), seen
    told = {"log": log, "xcom": json.dumps(list(api.xcoms.values())), "messages": str([api.messages, api.rendered])}
    told |= {command: environment.decode(errors="replace") + command for command, environment in seen.items()}
    told |= {str(path): path.read_text(errors="replace") for path in temporary.rglob("*") if path.is_file()}
    assert [path.name for path in temporary.rglob("*.json")] == []
    needles = {form for user in (reader, WRITER) for form in forms(user)} | {SIGNATURE, "eyJ"}
    assert [(where, needle) for where, text in told.items() for needle in needles if needle in text] == []


def stored(content: images.Image) -> dict[str, Reply]:
    """Content of an image by digest, as from a storage."""
    manifest = {"Content-Type": content.media_type, "Docker-Content-Digest": str(content.digest)}
    found = {str(content.digest): Reply(headers=manifest, body=content.content)}
    found |= {str(blob.digest): Reply(body=blob.content) for blob in content.blobs}
    for child in content.children:
        found |= stored(child)
    return found


def forms(credentials: Credentials) -> set[str]:
    """A password in plain text, and encoded for a header, an address and JSON."""
    secret = credentials.secret
    return {secret, credentials.basic(), quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]}


@pytest.fixture(scope="module")
def source() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "good", images.image([]))
        yield registry


HOSTILE_TAGS = (
    "v1\n2026-01-01 00:00:00 INFO - everything is in sync",
    "\x1b[2J\x1b]0;owned\x07",
    "<script>alert(1)</script>",
    "a|b|c",
    "../../../etc/cron.d/evil",
    "--authfile=/etc/shadow",
    "$(reboot)",
    "gpj\u202egnp",
    "v" * 10_000_000,
    "{{ conn.registry.password }}",
)


class TestNamesFromRegistries:
    """Tags, repositories and error bodies are untrusted text."""

    @pytest.fixture
    def here(self, source: RegistryProcess) -> Iterator[Interceptor]:
        with Interceptor(source.url) as wire:
            yield wire

    @pytest.fixture
    def there(self) -> Iterator[Interceptor]:
        with RegistryProcess() as registry, Interceptor(registry.url) as wire:
            yield wire

    def test_hostile_tags_are_skipped_and_harmless_to_read(
        self,
        here: Interceptor,
        there: Interceptor,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        caplog.set_level(logging.DEBUG)
        here.answer("GET", "/tags/list$", 200, json.dumps({"tags": ["good", *HOSTILE_TAGS]}).encode())
        report = run_route(make_route(here, there, NAME))
        assert {name: number for name, number in report.counts.items() if number} == {
            "copied": 1,
            "skipped": len(HOSTILE_TAGS),
        }
        told = [line for message in caplog.messages for line in message.split("\n")]
        assert all(line.isprintable() and len(line) < 1000 for line in told)
        assert not any(line.startswith("2026-01-01 00:00:00 INFO") for line in told)
        assert any("\\x1b[2J\\x1b]0;owned\\x07: not a valid OCI tag" in line for line in told)
        asked = {each.path for each in (*here.requests(), *there.requests())}
        assert all(re.fullmatch(r"/v2/(team/app/[a-zA-Z0-9/:._=-]+)?", each) for each in asked), asked
        own = {
            f"registry_sync-{os.getuid()}",
            "skopeo-version",
            "write_locks",
            *(f"rate-{each.host.replace(':', '_')}" for each in (here, there)),
        }
        assert {path.name for path in tmp_path.rglob("*")} <= own | caches(tmp_path)

    def test_hostile_tags_are_harmless_on_the_command_line(
        self,
        here: Interceptor,
        there: Interceptor,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        here.answer("GET", "/tags/list$", 200, json.dumps({"tags": ["good", *HOSTILE_TAGS]}).encode())
        path = tmp_path / "mirrors.yaml"
        path.write_text(json.dumps(a_mirrors_file(here, there, [NAME], None, None, {})))
        main(["plan", "--mirror", "team", str(path)])
        lines = capsys.readouterr().out.split("\n")
        assert all(line.isprintable() and len(line) < 1000 for line in lines)
        assert not any(line.startswith("2026-01-01") for line in lines)

    @pytest.mark.parametrize(
        "repository", ["team/a\n\x1b[2Jb", "team/../../etc", "team/<script>", "team/" + "x" * 10**7]
    )
    def test_hostile_repositories_are_an_error_that_can_be_read(
        self, here: Interceptor, there: Interceptor, tmp_path: Path, repository: str
    ) -> None:
        here.answer("GET", "/_catalog$", 200, json.dumps({"repositories": [repository]}).encode())
        path = tmp_path / "mirrors.yaml"
        path.write_text(json.dumps(a_mirrors_file(here, there, [{"namespace": "team"}], None, None, {})))
        mirrors = load_mirrors(path)
        with closing(DistributionClient(Endpoint(host=here.host, tls=False))) as asked:
            found = expand_routes(
                mirrors.mirrors["team"],
                mirrors.registries["origin"],
                mirrors.registries["backup"],
                repository_lister(asked),
            )
        (failure,) = found.failures
        assert "is not a repository name: " in str(failure.error)
        assert failure.source.isprintable()
        assert str(failure.error).isprintable()
        assert len(str(failure.error)) < 20_000

    def test_hostile_error_bodies_are_one_line(self, here: Interceptor, there: Interceptor) -> None:
        evil = "denied\x1b[31m\n2026-01-01 INFO - all is well\u202e" + "x" * 10_000
        body = json.dumps({"errors": [{"code": "DENIED\x07", "message": evil}]}).encode()
        there.answer("PUT", "/manifests/good$", 403, body)
        (failed,) = run_route(make_route(here, there, NAME)).failed_tags
        assert failed.reason.isprintable()
        assert len(failed.reason) < 600
        assert "answered 403 DENIED\\x07: denied\\x1b[31m 2026-01-01 INFO - all is well\\u202exxx" in failed.reason

    def test_hostile_words_of_skopeo_are_one_line(self, here: Interceptor, there: Interceptor) -> None:
        """A registry's messages to skopeo appear in skopeo's output."""
        body = json.dumps({"errors": [{"code": "DENIED", "message": "no\x1b[31m\nINFO all is well"}]}).encode()
        there.answer("POST", "/blobs/uploads/", 403, body)
        (failed,) = run_route(make_route(here, there, NAME)).failed_tags
        assert failed.error_class == "denied"
        assert failed.reason.isprintable()

    def test_nothing_of_a_registry_is_in_the_docs_of_a_dag(self, here: Interceptor, tmp_path: Path) -> None:
        """The docs are Markdown, made without requests when the DAG file is read."""
        path = tmp_path / "mirrors.yaml"
        path.write_text(
            json.dumps(a_mirrors_file(here, here, [{"namespace": "team"}], None, {"host": "b.example"}, {}))
        )
        mirrors = load_mirrors(path)
        build_dag(mirrors.mirrors["team"], mirrors)
        assert here.requests() == []


def caches(folder: Path) -> set[str]:
    """Cache of layers that skopeo keeps in our directory for other users than root."""
    return {path.name for path in folder.rglob("*") if "containers" in path.parts}


class TestEndlessAnswers:
    """Endless answers are bounded in memory and time, with a clear error."""

    def test_a_million_tags_are_refused(self) -> None:
        """More tags than one task reads, at the speed of the wire."""

        def page(shown: ScriptedRequest) -> Reply:
            number = int(shown.target.rpartition("last=")[2] or 0) if "last=" in shown.target else 0
            names = [f"v{number}.{each}" for each in range(10_000)]
            link = {"Link": f'</v2/{NAME}/tags/list?last={number + 1}>; rel="next"'} if number < 99 else {}
            return Reply(body=json.dumps({"tags": names}).encode(), headers=link)

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with ScriptedServer(page) as registry, pytest.raises(RefusedError) as caught:
            run_route(make_route(registry, registry, NAME))
        assert str(caught.value) == (
            f"{registry.host}/{NAME} lists more than {MAX_TAGS} tags, the most that one task reads; delete unused "
            "tags, or split the repository"
        )
        assert len(registry.shown) == MAX_TAGS // 10_000 + 1
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"

    def test_a_million_tags_where_others_are_deleted(
        self, source: RegistryProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A destination's listing is untrusted too."""
        monkeypatch.setattr(registry_client, "MAX_TAGS", 50)
        body = json.dumps({"tags": [f"v{number}" for number in range(51)]}).encode()
        with Interceptor(source.url) as there:
            there.answer("GET", "/tags/list$", 200, body)
            rules = {"tags": "gone_at_source", "dry_run": False}
            report = run_route(make_route(source, there, NAME, prune=rules))
        (note,) = report.notes
        assert note == (
            f"nothing was pruned: {there.host}/{NAME} lists more than 50 tags, the most that one task reads; "
            "delete unused tags, or split the repository"
        )

    def test_a_catalog_without_end(self) -> None:
        numbers = itertools.count()

        def page(_: ScriptedRequest) -> Reply:
            number = next(numbers)
            names = [f"team/{number}-{each}" for each in range(10_000)]
            link = {"Link": f'</v2/_catalog?last={number}>; rel="next"'}
            return Reply(body=json.dumps({"repositories": names}).encode(), headers=link)

        with (
            ScriptedServer(page) as registry,
            closing(client(registry)) as asked,
            pytest.raises(RefusedError) as caught,
        ):
            repository_lister(asked)("team", False)
        assert str(caught.value) == (
            f"team lists more than {MAX_REPOSITORIES} repositories, the most that one task reads; delete unused "
            "repositories, or split the namespace"
        )
        assert len(registry.shown) == 1 + MAX_REPOSITORIES // 10_000 + 1

    def test_pages_that_never_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each page links to another one, and is empty."""
        monkeypatch.setattr(paging, "MAX_PAGES", 50)
        numbers = itertools.count()

        def page(_: ScriptedRequest) -> Reply:
            link = f'</v2/{NAME}/tags/list?last={next(numbers)}>; rel="next"'
            return Reply(body=b'{"tags": []}', headers={"Link": link})

        with (
            ScriptedServer(page) as registry,
            closing(client(registry)) as asked,
            pytest.raises(RefusedError) as caught,
        ):
            list(asked.list_tags(at(registry)))
        where = f"{registry.url}/v2/{NAME}/tags/list"
        assert str(caught.value) == f"{where}: the listing has more than 50 pages, or does not end"
        assert len(registry.shown) == 1 + 50

    @pytest.mark.parametrize("status", [200, 307, 403])
    def test_a_body_without_end(self, status: int) -> None:
        """The body of an answer, an error, and a redirect, whose body is not read."""
        sent = itertools.count()
        endless = (b"x" * 65536 for _ in iter(lambda: next(sent), -1))
        reply = Reply(status=status, body=endless, headers={"Location": "/elsewhere"})
        with ScriptedServer(answers(reply)) as registry, closing(client(registry)) as asked:
            with pytest.raises(RegistrySyncError) as caught:
                list(asked.list_tags(at(registry)))
        assert next(sent) < 3000, "chunks of 64 kB; buffers of connections hold many of them"
        assert len(str(caught.value)) < 1000

    def test_a_body_that_unpacks_to_gigabytes_is_refused(self) -> None:
        bomb = gzip.compress(gzip.compress(b"\0" * 10**6) + b"\0" * 5 * 10**8, compresslevel=1)
        assert len(bomb) < 3_000_000
        reply = Reply(body=bomb, headers={"Content-Encoding": "gzip"})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with ScriptedServer(answers(reply)) as registry, closing(client(registry)) as asked:
            with pytest.raises(RefusedError, match="answered with more than 16777216 bytes"):
                list(asked.list_tags(at(registry)))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"

    def test_an_error_of_many_lines_is_not_the_log_of_one(self) -> None:
        """A thousand tags that fail are a thousand lines, and no more than fit."""
        error = RefusedError("\n".join(f"v{number}: {'x' * 1000}" for number in range(10_000)))
        assert len(str(error)) < 210_000
        assert re.search(r"… and \d+ characters more$", str(error))


def test_an_address_with_a_signature_is_in_no_exception(caplog: pytest.LogCaptureFixture) -> None:
    """Airflow prints an exception with its causes."""
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(answers(Reply())) as gone:
        host = gone.host
    reply = Reply(status=307, headers={"Location": f"http://{host}/blob?X-Amz-Signature={SIGNATURE}"})
    with ScriptedServer(answers(reply)) as registry, closing(client(registry)) as asked:
        with pytest.raises(TemporaryError, match="cannot be reached") as caught:
            asked.head_manifest(at(registry), "v1")
    error: BaseException | None = caught.value
    while error is not None:
        assert SIGNATURE not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert SIGNATURE not in caplog.text


def test_malformed_headers_are_no_way_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """urllib3 would warn of them, with the address they came from, and with a traceback that repeats them."""
    caplog.set_level(logging.DEBUG)
    evil = "no colon\x1b[31m " + "x" * 5000
    reply = Reply(headers={f"X: y\r\n{evil}\r\nZ": ""}, body=[b"{}"])
    with ScriptedServer(answers(reply)) as registry:
        asked = Transport(Endpoint(host=registry.host, tls=False))
        asked.call("GET", f"/v2/?X-Amz-Signature={SIGNATURE}")
        asked.close()
        host = registry.host.partition(":")[0]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert "no colon" not in caplog.text
    assert SIGNATURE not in caplog.text
    assert f'{host} "GET /v2/?…" 200' in caplog.text
