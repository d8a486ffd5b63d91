"""Proxies of registries: which requests go through them, how they fail, and the environment that skopeo gets."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from registry_sync.errors import ConfigurationError, DeniedError, RegistrySyncError, TemporaryError
from registry_sync.oci.manifest import Descriptor
from registry_sync.oci.reference import Digest, Reference, Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsKeys
from registry_sync.registry.wire.exchange import RequestLimits
from registry_sync.registry.wire.transport import Transport
from registry_sync.skopeo.copier import Skopeo
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.local import find_skopeo
from testkit import images
from testkit.proxy import ForwardProxy, refuse
from testkit.registry import RegistryProcess
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.tls import CertificateAuthority
from testkit.waiting import PATIENCE_SECONDS

REGISTRY, TOKENS, STORAGE = "registry.example", "tokens.example", "storage.example"
LOGIN = Credentials(username="me", secret="p@ss:w/ord")
BLOB = b"a blob"
ONCE = RequestLimits(connect_seconds=PATIENCE_SECONDS, read_seconds=PATIENCE_SECONDS, attempts=1)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def dead() -> Iterator[str]:
    """An address that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def world(request: ScriptedRequest) -> Reply:
    """A registry with a token service and a storage on hosts of their own."""
    path = request.target.partition("?")[0]
    if path == "/token":
        return Reply(body=b'{"token": "of-the-service"}')
    if path == "/stored":
        return Reply(body=BLOB)
    if request.authorization != "Bearer of-the-service":
        realm = f'Bearer realm="https://{TOKENS}/token",service="{REGISTRY}"'
        return Reply(status=401, headers={"WWW-Authenticate": realm})
    if "/blobs/" in path:
        return Reply(status=307, headers={"Location": f"https://{STORAGE}/stored?signature=x"})
    return Reply(body=b"{}")


@pytest.fixture
def server(authority: CertificateAuthority) -> Iterator[ScriptedServer]:
    with ScriptedServer(world, tls=authority.issue([REGISTRY, TOKENS, STORAGE])) as running:
        yield running


def hosts(server: ScriptedServer) -> dict[str, str]:
    return {f"{name}:443": server.host for name in (REGISTRY, TOKENS, STORAGE)}


def endpoint(authority: CertificateAuthority, proxy: Proxy | None, host: str = REGISTRY) -> Endpoint:
    return Endpoint(host=host, ca_file=authority.ca_file, proxy=proxy)


@contextmanager
def client(at: Endpoint) -> Iterator[DistributionClient]:
    with closing(DistributionClient(at, limits=ONCE)) as opened:
        yield opened


def error_of(at: Endpoint) -> RegistrySyncError:
    with closing(Transport(at, limits=ONCE)) as transport, pytest.raises(RegistrySyncError) as caught:
        transport.call("GET", "/v2/")
    return caught.value


class TestOurRequests:
    @pytest.mark.parametrize("tls", [False, True])
    @pytest.mark.parametrize("login", [None, LOGIN])
    def test_everything_that_the_registry_leads_to_goes_through_its_proxy(
        self,
        server: ScriptedServer,
        authority: CertificateAuthority,
        dead: str,
        tls: bool,
        login: Credentials | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The environment counts for nothing then, ``no_proxy`` included."""
        monkeypatch.setenv("https_proxy", f"http://{dead}")
        monkeypatch.setenv("no_proxy", f"{TOKENS},{STORAGE}")
        required = f"{login.username}:{login.secret}" if login else ""
        certificate = authority.issue() if tls else None
        blob = Descriptor(media_type="application/octet-stream", digest=Digest.of(BLOB), size_bytes=len(BLOB))
        with ForwardProxy(hosts(server), login=required, tls=certificate) as proxy:
            with client(endpoint(authority, Proxy(url=proxy.url, credentials=login))) as opened:
                assert opened.get_blob(Repository(REGISTRY, "team/app"), blob) == BLOB
                assert opened.hosts == {REGISTRY, TOKENS, STORAGE}
            assert proxy.targets == set(hosts(server))
        assert len(proxy.heads) == 3, "one tunnel for each host"

    def test_none_is_direct_whatever_the_environment_has(self, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("all_proxy", f"http://{dead}")
        with ScriptedServer(lambda _: Reply()) as registry:
            at = Endpoint(host=registry.host, tls=False, proxy=Proxy(url=""))
            with closing(Transport(at, limits=ONCE)) as transport:
                assert transport.call("GET", "/v2/").status == 200


class TestFailures:
    """Each names the proxy without its login, and is not an error of the registry."""

    @pytest.mark.parametrize("tls", [False, True])
    def test_one_that_refuses_connections(self, dead: str, tls: bool) -> None:
        url = f"{'https' if tls else 'http'}://{dead}"
        error = error_of(Endpoint(host=REGISTRY, proxy=Proxy(url=url, credentials=LOGIN)))
        shown = f"{'https' if tls else 'http'}://…@{dead}"
        assert (type(error), str(error)) == (
            TemporaryError,
            f"the proxy {shown}, which leads to https://{REGISTRY}, cannot be reached: [Errno 111] Connection refused",
        )

    @pytest.mark.parametrize(
        ("status", "kind", "message"),
        [
            (
                "407 Who are you",
                ConfigurationError,
                (
                    "the proxy {proxy} requires a login (407 Who are you), so {registry} was not reached; correct "
                    "proxy_connection of the registry, or the proxy variables of this worker"
                ),
            ),
            (
                "403 Forbidden",
                ConfigurationError,
                (
                    "the proxy {proxy} does not permit connections to {registry} (403 Forbidden); let it permit this "
                    "host, or write another proxy: for the registry"
                ),
            ),
            (
                "451 Unavailable",
                ConfigurationError,
                (
                    "the proxy {proxy} does not permit connections to {registry} (451 Unavailable); let it permit this "
                    "host, or write another proxy: for the registry"
                ),
            ),
            (
                "405 Method Not Allowed",
                ConfigurationError,
                "the proxy {proxy} answers 405 Method Not Allowed to a connection to {registry}; is it a proxy?",
            ),
            ("502 Bad Gateway", TemporaryError, "the proxy {proxy} cannot connect to {registry}: 502 Bad Gateway"),
            ("504 Timeout", TemporaryError, "the proxy {proxy} cannot connect to {registry}: 504 Timeout"),
            ("429 Slow down", TemporaryError, "the proxy {proxy} cannot connect to {registry}: 429 Slow down"),
        ],
    )
    @pytest.mark.parametrize("is_plain", [False, True])
    def test_one_that_answers_in_place_of_the_registry(
        self, status: str, kind: type[RegistrySyncError], message: str, is_plain: bool
    ) -> None:
        """Squid and the standard ``Proxy-Status`` mark the responses to requests for plain HTTP."""
        mark = "Proxy-Status: squid; error=x\r\n" if is_plain and status < "405" else ""
        mark = mark or (f"X-Squid-Error: {status.partition(' ')[2]} 0\r\n" if is_plain else "")
        with ForwardProxy({}, refusal=lambda _: refuse(status, headers=mark)) as proxy:
            error = error_of(Endpoint(host=REGISTRY, tls=not is_plain, proxy=Proxy(url=proxy.url)))
        expected = message.format(proxy=proxy.url, registry=f"{'http' if is_plain else 'https'}://{REGISTRY}")
        squid = mark.startswith("X-Squid")
        assert type(error) is kind
        assert str(error).replace(" 0", "") == expected if squid else str(error) == expected

    def test_a_wrong_login(self, server: ScriptedServer) -> None:
        with ForwardProxy(hosts(server), login="other:word") as proxy:
            error = error_of(Endpoint(host=REGISTRY, proxy=Proxy(url=proxy.url, credentials=LOGIN)))
        assert (type(error), str(error)) == (
            ConfigurationError,
            (
                f"the proxy http://…@{proxy.host} rejects its login (407 Proxy Authentication Required), so "
                f"https://{REGISTRY} was not reached; correct proxy_connection of the registry, or the proxy variables "
                "of this worker"
            ),
        )

    @pytest.mark.parametrize("is_plain", [False, True])
    @pytest.mark.parametrize("is_own", [False, True])
    @pytest.mark.parametrize("form", ["me:p@ss:w/ord", "bWU6cEBzczp3L29yZA==", "p%40ss%3aw%2ford", "robot-w@rd"])
    def test_one_that_quotes_a_login(
        self, monkeypatch: pytest.MonkeyPatch, form: str, *, is_own: bool, is_plain: bool
    ) -> None:
        """The login is that of ``proxy_connection``, of the environment, or the registry's own."""
        with ForwardProxy({}, refusal=lambda _: refuse(f"407 Not <{form}>")) as proxy:
            monkeypatch.setenv("all_proxy", f"http://me:p%40ss%3Aw%2ford@{proxy.host}")
            error = error_of(
                Endpoint(
                    host=REGISTRY,
                    tls=not is_plain,
                    credentials=Credentials(username="robot", secret="robot-w@rd"),
                    proxy=Proxy(url=proxy.url, credentials=LOGIN) if is_own else None,
                )
            )
        masked = "me:***" if form.startswith("me:") else "***"
        assert str(error).startswith(f"the proxy http://…@{proxy.host} rejects its login (407 Not <{masked}>), so http")

    def test_a_certificate_that_is_not_accepted(self, authority: CertificateAuthority, tmp_path: Path) -> None:
        with ForwardProxy({}, tls=CertificateAuthority.create(tmp_path).issue()) as proxy:
            error = error_of(endpoint(authority, Proxy(url=proxy.url)))
        assert (type(error), str(error)) == (
            ConfigurationError,
            (
                f"the proxy {proxy.url} shows a certificate that is not accepted (unable to get local issuer "
                "certificate); its authority must be in the ca_file of the registry, else in the certificates of this "
                "worker"
            ),
        )

    def test_one_without_tls(self, authority: CertificateAuthority) -> None:
        with ForwardProxy({}) as proxy:
            error = error_of(endpoint(authority, Proxy(url=f"https://{proxy.host}")))
        assert (type(error), str(error)) == (
            ConfigurationError,
            f"the proxy https://{proxy.host} does not speak TLS; if that is right, write its address with http://",
        )

    def test_an_error_of_the_registry_stays_its_own(self) -> None:
        """A 403 without a mark of the proxy, and one that came through TLS."""
        with ScriptedServer(lambda _: Reply(status=403, body=b"no")) as registry:
            with ForwardProxy({f"{REGISTRY}:80": registry.host}) as proxy:
                error = error_of(Endpoint(host=REGISTRY, tls=False, proxy=Proxy(url=proxy.url)))
        assert (type(error), str(error)) == (
            DeniedError,
            f"GET http://{REGISTRY}/v2/ answered 403 no (not permitted with these credentials, or it does not exist)",
        )


IMAGE = images.multi_arch("through a proxy")
NAME = "team/app"


@pytest.fixture(scope="module")
def registries(authority: CertificateAuthority) -> Iterator[Mapping[str, RegistryProcess]]:
    with (
        RegistryProcess(tls=authority.issue(["from.example", "127.0.0.1"])) as source,
        RegistryProcess(tls=authority.issue(["to.example", "127.0.0.1"])) as destination,
    ):
        images.push(source.url, NAME, "v1", IMAGE, ca_file=authority.ca_file)
        yield {"from.example:443": source, "to.example:443": destination}


class TestSkopeo:
    """The real skopeo between two registries with names, which only proxies can reach."""

    def copy(self, source: Endpoint, destination: Endpoint, *led_to: str) -> None:
        sides = {"source": source, "destination": destination}
        limits = {"copy_timeout_seconds": 60.0, "stall_timeout_seconds": 60.0}
        with Skopeo(find_skopeo, **sides, **limits, destination_hosts=lambda: led_to) as skopeo:  # type: ignore[arg-type]
            skopeo.copy(
                ImageCopy(
                    source=Reference(Repository(source.host, NAME), IMAGE.digest),
                    destination=Reference(Repository(destination.host, NAME), IMAGE.digest),
                    is_index=True,
                    format="oci",
                )
            )

    @pytest.mark.parametrize("login", [None, LOGIN])
    def test_one_proxy_for_both(
        self,
        registries: Mapping[str, RegistryProcess],
        authority: CertificateAuthority,
        login: Credentials | None,
        dead: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("https_proxy", f"http://{dead}")
        monkeypatch.setenv("no_proxy", "from.example")
        required = f"{login.username}:{login.secret}" if login else ""
        with ForwardProxy({name: registry.host for name, registry in registries.items()}, login=required) as proxy:
            own = Proxy(url=proxy.url, credentials=login)
            self.copy(endpoint(authority, own, "from.example"), endpoint(authority, own, "to.example"))
            assert proxy.targets == set(registries)

    def test_a_source_through_a_proxy_and_a_direct_destination(
        self, registries: Mapping[str, RegistryProcess], authority: CertificateAuthority
    ) -> None:
        """Go reaches ``localhost`` without a proxy in any case: test_proxies.py of the units has ``NO_PROXY``."""
        with (
            RegistryProcess(tls=authority.issue(["localhost", "127.0.0.1"])) as destination,
            ForwardProxy({"from.example:443": registries["from.example:443"].host}) as proxy,
        ):
            to = f"localhost:{destination.host.rpartition(':')[2]}"
            source = endpoint(authority, Proxy(url=proxy.url), "from.example")
            self.copy(source, endpoint(authority, Proxy(url=""), to))
            assert proxy.targets == {"from.example:443"}

    @pytest.mark.parametrize(
        ("status", "kind", "meaning"),
        [
            (
                "403 Forbidden",
                ConfigurationError,
                "does not permit this connection; let it permit the host, or write another proxy: for the registry",
            ),
            ("502 Bad Gateway", TemporaryError, "cannot connect to it"),
            ("404 Not Found", ConfigurationError, "does not answer like a proxy; is it one?"),
            (
                "407 Proxy Authentication Required",
                ConfigurationError,
                "requires a login; correct proxy_connection of the registry, or the proxy variables of this worker",
            ),
        ],
    )
    def test_a_proxy_that_refuses_is_named(
        self, authority: CertificateAuthority, status: str, kind: type[RegistrySyncError], meaning: str
    ) -> None:
        with ForwardProxy({}, refusal=lambda _: refuse(status)) as proxy:
            own = Proxy(url=proxy.url, credentials=LOGIN)
            with pytest.raises(RegistrySyncError) as caught:
                self.copy(endpoint(authority, own, "from.example"), endpoint(authority, own, "to.example"))
        assert type(caught.value) is kind
        assert str(caught.value) == (
            f"source from.example/{NAME} is behind the proxy http://…@{proxy.host}, which {meaning} (skopeo: "
            f"initializing source docker://from.example/{NAME}@{IMAGE.digest.short}: pinging container registry "
            f'from.example: Get "https://from.example/v2/": {status.partition(" ")[2]})'
        )

    def test_a_proxy_that_cannot_be_reached_is_named(self, authority: CertificateAuthority, dead: str) -> None:
        own = Proxy(url=f"http://{dead}")
        with pytest.raises(TemporaryError) as caught:
            self.copy(endpoint(authority, own, "from.example"), endpoint(authority, own, "to.example"))
        assert str(caught.value).startswith(
            f"source from.example/{NAME} is behind the proxy http://{dead}, which cannot be reached (skopeo: "
        )

    def test_two_proxies_are_refused_before_anything_is_sent(self, authority: CertificateAuthority) -> None:
        with ForwardProxy({}) as one, ForwardProxy({}) as other:
            source = endpoint(authority, Proxy(url=one.url, credentials=LOGIN), "from.example")
            destination = endpoint(authority, Proxy(url=other.url), "to.example")
            for sides, ways in (
                ((source, destination), (f"through the proxy http://…@{one.host}", f"through the proxy {other.url}")),
                ((replace(source, proxy=None), destination), ("directly", f"through the proxy {other.url}")),
            ):
                with pytest.raises(ConfigurationError) as caught:
                    self.copy(*sides)
                assert str(caught.value) == (
                    f"source from.example is reached {ways[0]} and destination to.example {ways[1]}, but one skopeo "
                    "cannot do both; write transfer: direct, or the same proxy: for both registries"
                )
            assert one.heads == other.heads == []


CALLER = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/mirror</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"""


class TestAws:
    """Calls of an identity at AWS, through the proxy of its registry."""

    def caller(self, url: str, proxy: Proxy | None) -> str:
        keys = AwsKeys(access_key_id="AKIAEXAMPLE", secret_access_key="only-for-tests")
        identity = AwsIdentity(origin="a test", keys=keys, endpoint_urls={"sts": url}, proxy=proxy)
        return str(identity.client("sts", "eu-central-1").get_caller_identity()["Arn"])

    @pytest.mark.parametrize("login", [None, LOGIN])
    def test_its_calls_go_through_the_proxy(
        self, login: Credentials | None, dead: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", f"http://{dead}")
        required = f"{login.username}:{login.secret}" if login else ""
        with (
            ScriptedServer(lambda _: Reply(body=CALLER, headers={"Content-Type": "text/xml"})) as sts,
            ForwardProxy({"sts.example:80": sts.host}, login=required) as proxy,
        ):
            own = Proxy(url=proxy.url, credentials=login)
            assert self.caller("http://sts.example", own) == "arn:aws:iam::123456789012:user/mirror"
            assert proxy.targets == {"sts.example:80"}

    def test_none_is_direct(self, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", f"http://{dead}")
        with ScriptedServer(lambda _: Reply(body=CALLER, headers={"Content-Type": "text/xml"})) as sts:
            assert self.caller(sts.url, Proxy(url="")) == "arn:aws:iam::123456789012:user/mirror"
