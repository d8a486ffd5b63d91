"""Connections of the transport: kept, given up, through a proxy, and with certificates."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError, NotFound, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.wire import connections, pools
from registry_sync.registry.wire.exchange import MAX_ERROR_BYTES, RequestLimits
from registry_sync.registry.wire.transport import Transport
from testkit.proxy import ForwardProxy
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.tls import CertificateAuthority
from testkit.waiting import PATIENCE_SECONDS, wait_until

UNSUPPORTED = "Proxy URL had unsupported scheme socks5, should use http:// or https://"
"""urllib3's words."""

ONCE = RequestLimits(connect_seconds=PATIENCE_SECONDS, read_seconds=PATIENCE_SECONDS, attempts=1)


@contextmanager
def transport(host: str, *, tls: bool = False, ca_file: Path | None = None) -> Iterator[Transport]:
    with closing(Transport(Endpoint(host=host, tls=tls, ca_file=ca_file), limits=ONCE)) as opened:
        yield opened


def error_of(asked: Transport, path: str = "/v2/", **options: Any) -> RegistrySyncError:
    with pytest.raises(RegistrySyncError) as caught:
        asked.call("GET", path, **options)
    return caught.value


def join_openers() -> None:
    """Wait for the threads that open connections ahead."""
    for thread in [thread for thread in threading.enumerate() if thread.name == "registry_sync"]:
        thread.join(PATIENCE_SECONDS)


def sized(request: ScriptedRequest) -> Reply:
    """A body of the size in the path, with the status before it."""
    _, status, size = request.target.rsplit("/", 2)
    return Reply(status=int(status), body=b"x" * int(size))


class TestKeptConnections:
    def test_responses_that_are_read_whole_keep_it(self) -> None:
        with ScriptedServer(sized) as server, transport(server.host) as asked:
            for path in ("/200/0", "/200/100000", "/201/7", "/204/0"):
                asked.call("GET", path)
            for path in ("/404/30", "/404/0", "/403/500", "/400/60000"):
                error_of(asked, path)
            for method in ("HEAD", "PUT", "POST", "DELETE"):
                asked.call(method, "/200/0", body=b"{}" if method in ("PUT", "POST") else None)
            assert len(server.shown) == 12
            assert server.connections == 1

    def test_a_body_that_is_too_long_gives_it_up(self) -> None:
        """Its rest would have to be read before the next response."""
        with ScriptedServer(sized) as server, transport(server.host) as asked:
            assert type(error_of(asked, "/200/5000000", max_bytes=1000)) is RefusedError
            assert type(error_of(asked, f"/404/{50 * MAX_ERROR_BYTES}")) is NotFound
            asked.call("GET", "/200/0")
            assert server.connections == 3

    def test_one_that_the_server_closed_is_replaced(self) -> None:
        """Without an error and without another attempt: it is seen before the request is sent."""
        closed = threading.Event()

        class Closing(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.request.recv(65536)
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

            def finish(self) -> None:
                super().finish()
                self.request.shutdown(socket.SHUT_RDWR)
                closed.set()

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Closing) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            with transport(f"127.0.0.1:{server.server_address[1]}") as asked:
                for _ in range(3):
                    closed.clear()
                    assert asked.call("GET", "/v2/").status == 200
                    assert closed.wait(PATIENCE_SECONDS)
            server.shutdown()

    def test_no_cookie_is_sent_back(self) -> None:
        seen = list[str]()

        class Cookies(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                seen.append(self.request.recv(65536).decode())
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\nSet-Cookie: id=1; Path=/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Cookies) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            with transport(f"127.0.0.1:{server.server_address[1]}") as asked:
                asked.call("GET", "/v2/")
                asked.call("GET", "/v2/")
            server.shutdown()
        assert len(seen) == 2
        assert not any("cookie" in head.lower() for head in seen)


@pytest.fixture
def dead() -> Iterator[str]:
    """An address that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


class TestManyHosts:
    """A registry may redirect each blob to a host of its own."""

    def follow(self, hosts: int, blobs: Sequence[int]) -> list[int]:
        """Read blobs by redirects to hosts of these numbers. Returns the connections to the registry and each host."""
        with ExitStack() as stack:
            servers = [stack.enter_context(ScriptedServer(lambda _: Reply(body=b"blob"))) for _ in range(hosts)]

            def redirect(request: ScriptedRequest) -> Reply:
                target = servers[int(request.target.rpartition("/")[2])]
                return Reply(status=307, headers={"Location": f"http://{target.host}/blob"})

            registry = stack.enter_context(ScriptedServer(redirect))
            asked = stack.enter_context(transport(registry.host))
            assert [asked.call("GET", f"/v2/a/blobs/{number}").content for number in blobs] == len(blobs) * [b"blob"]
            return [server.connections for server in (registry, *servers)]

    def test_connections_to_a_dozen_are_kept(self) -> None:
        assert self.follow(12, [*range(12), *range(12)]) == 13 * [1]

    def test_those_that_were_not_used_for_the_longest_time_are_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "MOST_HOSTS", 3)
        assert self.follow(3, [0, 1, 0, 2, 0, 1]) == [1, 1, 2, 1]


class TestProxies:
    """Proxies of the environment."""

    def test_plain_http_is_sent_to_the_proxy_with_its_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedServer(lambda _: Reply()) as proxy:
            monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{proxy.host}")
            with transport("registry.example") as asked:
                asked.call("GET", "/v2/team/app/tags/list?n=5")
                asked.call("HEAD", "/v2/")
            assert [each.target for each in proxy.shown] == [
                "http://registry.example/v2/team/app/tags/list?n=5",
                "http://registry.example/v2/",
            ]
            assert {each.authorization for each in proxy.shown} == {None}
            assert proxy.connections == 1

    def test_https_is_tunnelled_and_its_certificate_checked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority = CertificateAuthority.create(tmp_path)
        with (
            ScriptedServer(lambda _: Reply(), tls=authority.issue(["registry.example"])) as registry,
            ForwardProxy({"registry.example:443": registry.host}, login="me:p@ss") as proxy,
        ):
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@{proxy.host}")
            with transport("registry.example", tls=True, ca_file=authority.ca_file) as asked:
                asked.call("GET", "/v2/")
                asked.call("GET", "/v2/")
            with transport("registry.example", tls=True) as asked:
                error = error_of(asked)
            assert [each.target for each in registry.shown] == ["/v2/", "/v2/"]
        assert len(proxy.heads) == 2, "one tunnel for each client"
        assert proxy.targets == {"registry.example:443"}
        assert type(error) is ConfigurationError
        assert str(error) == (
            f"https://registry.example (through the proxy http://…@{proxy.host}) shows a certificate that is not "
            "accepted (unable to get local issuer certificate); give its registry a ca_file, or have the certificate "
            "renewed"
        )

    @pytest.mark.parametrize("tls", [False, True])
    def test_one_that_cannot_be_reached_is_named_without_its_password(
        self, dead: str, tls: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALL_PROXY", f"http://me:secret@{dead}")
        with transport("registry.example", tls=tls) as asked:
            error = error_of(asked)
        assert type(error) is TemporaryError
        assert str(error) == (
            f"the proxy http://…@{dead}, which leads to {'https' if tls else 'http'}://registry.example, cannot be "
            "reached: [Errno 111] Connection refused"
        )

    def test_a_host_in_no_proxy_is_reached_directly(self, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", f"http://{dead}")
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        with ScriptedServer(lambda _: Reply()) as registry, transport(registry.host) as asked:
            assert asked.call("GET", "/v2/").status == 200

    @pytest.mark.parametrize(
        ("proxy", "problem"),
        [
            (
                "socks5://me:secret@127.0.0.1:1080",
                "the environment names the proxy 'socks5://…@127.0.0.1:1080', which cannot be used: " + UNSUPPORTED,
            ),
            (
                "http://",
                "http://registry.example (through the proxy http://) is not a usable address: No host specified.",
            ),
        ],
    )
    def test_one_that_cannot_be_used_is_a_mistake(
        self, proxy: str, problem: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", proxy)
        with transport("registry.example") as asked:
            error = error_of(asked)
        assert type(error) is ConfigurationError
        assert str(error) == problem


class TestCertificates:
    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_a_bundle_of_the_environment_holds_without_a_ca_file(
        self, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority = CertificateAuthority.create(tmp_path)
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        with ScriptedServer(lambda _: Reply(), tls=authority.issue(["127.0.0.1"])) as registry:
            monkeypatch.setenv(variable, str(authority.ca_file))
            with transport(registry.host, tls=True) as asked:
                assert asked.call("GET", "/v2/").status == 200

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("no certificate", "cannot be used: [X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found"),
            ("", "cannot be used: "),
            (None, "cannot be read: No such file or directory"),
        ],
    )
    def test_a_bundle_that_cannot_be_used_is_a_mistake(
        self, content: str | None, problem: str, dead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bundle = tmp_path / "bundle.pem"
        if content is not None:
            bundle.write_text(content)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        with transport(dead, tls=True) as asked:
            error = error_of(asked)
        assert type(error) is ConfigurationError
        assert str(error).startswith(f"the CA file {str(bundle)!r} {problem}")


@pytest.mark.parametrize("location", ["http://a..b/x", "http://127.0.0.1:99999/x", "http://[::1/x", "http://a b/x"])
def test_a_redirect_to_no_address_is_the_failure_of_that_request(location: str) -> None:
    with ScriptedServer(lambda _: Reply(status=302, headers={"Location": location})) as registry:
        with transport(registry.host) as asked:
            error = error_of(asked)
    assert type(error) is TemporaryError
    assert str(error).startswith(f"{registry.url}/v2/ leads to {location!r}, which is not a valid URL (")


@pytest.mark.parametrize(("idle_seconds", "connections"), [(pools.IDLE_SECONDS, 1), (0.0, 3)])
def test_an_idle_connection_is_given_up(monkeypatch: pytest.MonkeyPatch, idle_seconds: float, connections: int) -> None:
    """A gateway may have forgotten it: the request would be lost, and time out."""
    monkeypatch.setattr(pools, "IDLE_SECONDS", idle_seconds)
    with ScriptedServer(sized) as server, transport(server.host) as asked:
        for _ in range(3):
            asked.call("GET", "/200/10")
        assert server.connections == connections


class TestOpenedAhead:
    @pytest.mark.parametrize("has_tls", [False, True])
    def test_they_are_used_by_the_requests_to_come(self, tmp_path: Path, *, has_tls: bool) -> None:
        """Session tickets of TLS 1.3, which arrive before any request, do not end a connection."""
        authority = CertificateAuthority.create(tmp_path)
        certificate = authority.issue() if has_tls else None
        arrived = threading.Barrier(3, timeout=PATIENCE_SECONDS)

        def meet(_: ScriptedRequest) -> Reply:
            arrived.wait()
            return Reply()

        with (
            ScriptedServer(meet, tls=certificate) as server,
            transport(server.host, tls=has_tls, ca_file=authority.ca_file) as asked,
        ):
            asked.open_connections(3)
            wait_until(lambda: server.connections == 3, "three connections are open")
            join_openers()
            with ThreadPoolExecutor(3) as pool:
                answers = list(pool.map(lambda _: asked.call("GET", "/v2/"), range(3)))
            assert [answer.status for answer in answers] == [200] * 3
            assert server.connections == 3

    def test_no_more_than_the_registry_allows(self) -> None:
        with ScriptedServer(sized) as server, ExitStack() as stack:
            endpoint = Endpoint(host=server.host, tls=False)
            asked = stack.enter_context(closing(Transport(endpoint, max_connections=2)))
            asked.open_connections(50)
            for _ in range(20):
                asked.call("GET", "/200/10")
            assert server.connections <= 2

    def test_a_failure_is_left_to_the_request_that_meets_it(self, recwarn: pytest.WarningsRecorder) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            host = f"127.0.0.1:{closed.getsockname()[1]}"
        with transport(host) as asked:
            asked.open_connections(3)
            assert str(error_of(asked)) == f"http://{host} cannot be reached: [Errno 111] Connection refused"
        assert not recwarn.list

    def test_none_after_the_end(self) -> None:
        with ScriptedServer(sized) as server:
            with transport(server.host) as asked:
                pass
            asked.open_connections(3)
            join_openers()
            assert server.connections == 0


def test_none_is_kept_after_the_client_was_closed() -> None:
    """A thread may send its last request while another closes the client."""
    timeouts = pools.Timeouts(connect_seconds=PATIENCE_SECONDS, read_seconds=PATIENCE_SECONDS)
    with ScriptedServer(lambda _: Reply()) as server:
        closed = connections.Connections(Endpoint(host=server.host, tls=False), max_connections=2)
        closed.close()
        for _ in range(2):
            response = closed.send("GET", f"{server.url}/v2/", headers={}, body=None, timeouts=timeouts)
            assert (response.status, list(response.chunks())) == (200, [])
            response.give_back()
        assert server.connections == 2


def test_one_that_is_given_back_while_the_client_is_closed_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(listener: socket.socket) -> socket.socket:
        accepted, _ = listener.accept()
        accepted.settimeout(PATIENCE_SECONDS)
        while not accepted.recv(65536).endswith(b"\r\n\r\n"):
            pass
        accepted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        return accepted

    def close_and_tell() -> float:
        """The time, asked for just before a connection is put back."""
        client.close()
        return time.monotonic()

    timeouts = pools.Timeouts(connect_seconds=PATIENCE_SECONDS, read_seconds=PATIENCE_SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(answer, listener)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        client = connections.Connections(Endpoint(host=host, tls=False), max_connections=2)
        response = client.send("GET", f"http://{host}/v2/", headers={}, body=None, timeouts=timeouts)
        monkeypatch.setattr(pools, "time", SimpleNamespace(monotonic=close_and_tell))
        response.give_back()
        with accepted.result() as theirs:
            assert theirs.recv(1) == b""
