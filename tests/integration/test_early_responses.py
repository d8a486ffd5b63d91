"""Responses before the expected ones: interim responses, and refusals while a body is still being sent."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from registry_sync.errors import RefusedError, TemporaryError
from registry_sync.oci.manifest import Descriptor
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.content.blob_copy import BlobCopy
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.wire.exchange import Body
from registry_sync.registry.wire.transport import Transport
from testkit import images
from testkit.clients import connect
from testkit.loopback import LoopbackServer
from testkit.proxy import ForwardProxy
from testkit.scripted import Reply, ScriptedServer
from testkit.tls import CertificateAuthority
from testkit.waiting import PATIENCE_SECONDS

NAME = "team/app"
LIMIT_BYTES = 17_000_000


class RawHandler(socketserver.StreamRequestHandler):
    """Reads the heads of requests, and leaves their bodies to the subclass."""

    def requests(self) -> Iterator[tuple[str, str, int]]:
        """Method, path and Content-Length of each request of a connection."""
        while line := self.rfile.readline():
            method, path, _ = line.decode().split()
            headers = [header.decode().lower().split(":", 1) for header in iter(self.rfile.readline, b"\r\n")]
            yield method, path, int(dict(headers).get("content-length", 0))


@pytest.mark.parametrize("status", [100, 101, 102, 103, 199])
def test_interim_responses_are_skipped(status: int) -> None:
    """The tag in the path decides the digest, so a response to another request would show."""

    class Handler(RawHandler):
        def handle(self) -> None:
            for _, path, _ in self.requests():
                self.wfile.write(f"HTTP/1.1 {status} Interim\r\nLink: </x>; rel=preload\r\n\r\n".encode())
                digest = Digest.of(path.encode())
                head = f"HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\nContent-Length: 2\r\n\r\n"
                self.wfile.write(head.encode())

    server = LoopbackServer(Handler)
    server.start()
    try:
        with connect(DistributionClient, server) as client:
            for tag in ("v1", "v2", "v3"):
                expected = Digest.of(f"/v2/{NAME}/manifests/{tag}".encode())
                assert client.head_manifest(Repository(server.host, NAME), tag) == expected
        assert server.accepted == 1
    finally:
        server.stop()


@pytest.mark.parametrize("size_bytes", [2, 12_000])
@pytest.mark.parametrize("has_tls", [False, True])
def test_bytes_behind_a_response_are_not_the_next_one(
    tmp_path: Path, recorded_pauses: list[float], size_bytes: int, *, has_tls: bool
) -> None:
    """A broken server answers HEAD with a body. What of it is late arrives when the next request was sent."""

    class Handler(RawHandler):
        def handle(self) -> None:
            late = b""
            for _, path, _ in self.requests():
                head = f"HTTP/1.1 200 OK\r\nDocker-Content-Digest: {Digest.of(path.encode())}\r\n\r\n"
                self.wfile.write(late + head.encode() + b"{" * size_bytes)
                late = b"}"

    authority = CertificateAuthority.create(tmp_path)
    server = LoopbackServer(Handler)
    server.tls = authority.issue().server_context() if has_tls else None
    server.start()
    endpoint = Endpoint(host=server.host, tls=has_tls, ca_file=authority.ca_file)
    try:
        with closing(DistributionClient(endpoint)) as client:
            for tag in ("v1", "v2", "v3"):
                expected = Digest.of(f"/v2/{NAME}/manifests/{tag}".encode())
                assert client.head_manifest(Repository(server.host, NAME), tag) == expected
        assert (server.accepted, recorded_pauses) == (3, [])
    finally:
        server.stop()


@pytest.mark.parametrize("has_tls", [False, True])
def test_a_connection_through_a_proxy_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_tls: bool
) -> None:
    authority = CertificateAuthority.create(tmp_path)
    server = ScriptedServer(lambda _: Reply(), tls=authority.issue(["registry.example"]))
    hosts = {"registry.example:443": server.host}
    endpoint = Endpoint(host="registry.example", tls=True, ca_file=authority.ca_file)
    with server, ForwardProxy(hosts, tls=authority.issue() if has_tls else None) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with closing(Transport(endpoint)) as transport:
            for _ in range(3):
                transport.call("GET", "/v2/")
        assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "HTTP/2.0"),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", ""),
        (b"\x15\x03\x03\x00\x02\x02\x46\r\n", r"\\x15\\x03\\x03\\x00\\x02\\x02F"),
    ],
)
@pytest.mark.usefixtures("recorded_pauses")
def test_another_protocol_is_named(answer: bytes, shown: str) -> None:
    class Handler(RawHandler):
        def handle(self) -> None:
            for _ in self.requests():
                self.wfile.write(answer)

    server = LoopbackServer(Handler)
    server.start()
    try:
        with connect(DistributionClient, server) as client, pytest.raises(TemporaryError) as caught:
            client.ping()
    finally:
        server.stop()
    assert str(caught.value) == f"http://{server.host} does not answer in HTTP/1.1: '{shown}'"


def test_a_response_that_breaks_off_in_its_head_is_repeated(recorded_pauses: list[float]) -> None:
    digests = [Digest.of(b"cut"), Digest.of(b"whole")]

    class Handler(RawHandler):
        def handle(self) -> None:
            for _ in self.requests():
                digest = digests[len(recorded_pauses)]
                self.wfile.write(f"HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\nWarning:".encode())
                if digest == digests[0]:
                    return
                self.wfile.write(b"\r\nContent-Length: 2\r\n\r\n")

    server = LoopbackServer(Handler)
    server.start()
    try:
        with connect(DistributionClient, server) as client:
            assert client.head_manifest(Repository(server.host, NAME), "v1") == digests[1]
    finally:
        server.stop()


class SmallBodies(RawHandler):
    """A registry behind a proxy that answers 413 to a large body without reading it, and closes, as nginx does."""

    stored: bytearray

    def handle(self) -> None:
        for method, _, size_bytes in self.requests():
            if size_bytes > LIMIT_BYTES:
                self.wfile.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            self.stored += self.rfile.read(size_bytes)
            status = {"POST": 202, "PATCH": 202, "PUT": 201}.get(method, 404)
            self.wfile.write(f"HTTP/1.1 {status} Status\r\nLocation: /upload/1\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize("has_tls", [False, True])
def test_a_refusal_is_read_although_the_server_has_closed(
    tmp_path: Path, recorded_pauses: list[float], *, has_tls: bool
) -> None:
    content = bytes(20_000_000)
    authority = CertificateAuthority.create(tmp_path / "authority")
    stored = bytearray()
    server = LoopbackServer(type("Handler", (SmallBodies,), {"stored": stored}))
    server.tls = authority.issue().server_context() if has_tls else None
    server.start()
    endpoint = Endpoint(host=server.host, tls=has_tls, ca_file=authority.ca_file)
    blob = Descriptor(media_type=images.OCI_LAYER, digest=Digest.of(content), size_bytes=len(content))
    try:
        with (
            ScriptedServer(lambda _: Reply(body=content)) as source,
            connect(DistributionClient, source) as reading,
            closing(DistributionClient(endpoint)) as writing,
        ):
            uploads = writing.uploads(Repository(server.host, NAME))
            reader = reading.blob_reader(Repository(source.host, NAME), blob)
            BlobCopy(reader=reader, uploads=uploads, check=lambda: None).run(uploads.begin(blob))
    finally:
        server.stop()
    assert stored == content, "in parts that the proxy takes"
    assert len(recorded_pauses) == 1


@pytest.mark.parametrize("has_tls", [False, True])
def test_a_refusal_is_read_although_the_server_reads_no_more(tmp_path: Path, *, has_tls: bool) -> None:
    """The rest of the body would be the next request, so the connection is given up."""
    over = threading.Event()

    class Handler(RawHandler):
        def handle(self) -> None:
            for _, _, size_bytes in self.requests():
                self.wfile.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
                if size_bytes:
                    over.wait(PATIENCE_SECONDS)

    authority = CertificateAuthority.create(tmp_path)
    server = LoopbackServer(Handler)
    server.tls = authority.issue().server_context() if has_tls else None
    server.start()
    try:
        endpoint = Endpoint(host=server.host, tls=has_tls, ca_file=authority.ca_file)
        with closing(Transport(endpoint)) as asked:
            body = Body([bytes(1_000_000)] * 50, 50_000_000)
            with pytest.raises(RefusedError, match="/upload/1 answered 413"):
                asked.call_once("PUT", "/upload/1", headers={}, body=body, read_seconds=0.5)
            with pytest.raises(RefusedError, match="/v2/ answered 413"):
                asked.call("GET", "/v2/")
        assert server.accepted == 2
    finally:
        over.set()
        server.stop()
