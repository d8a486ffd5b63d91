"""Requests are written as Python writes them."""

import http.client
from typing import Any

import pytest

from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.wire.exchange import Exchange, Request, RequestLimits
from registry_sync.registry.wire.plain_request import host_field, request_head
from testkit.scripted import Reply, ScriptedServer

HEADERS = {"Accept-Encoding": "gzip", "Accept": "*/*"}


class Kept:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.content = b""

    def sendall(self, data: bytes) -> None:
        self.content += data


@pytest.mark.parametrize(
    ("kind", "host", "port"),
    [
        (http.client.HTTPConnection, "quay.example", 80),
        (http.client.HTTPSConnection, "quay.example", 443),
        (http.client.HTTPConnection, "quay.example", 443),
        (http.client.HTTPSConnection, "127.0.0.1", 5000),
        (http.client.HTTPConnection, "::1", 5000),
        (http.client.HTTPConnection, "b\u00fccher.example", 80),
    ],
)
@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("PUT", None), ("POST", b""), ("PUT", b"x"), ("HEAD", None)]
)
def test_a_head_has_the_lines_that_python_sends(
    kind: type[http.client.HTTPConnection], host: str, port: int, method: str, body: bytes | None
) -> None:
    connection, kept = kind(host, port), Kept()
    field = host_field(connection.host, connection.port, connection.default_port)
    ours = request_head(field, method, "/v2/x?a=%3D", HEADERS, body).split(b"\r\n")
    connection.sock = kept
    connection.request(method, "/v2/x?a=%3D", body=body, headers=HEADERS)
    python = kept.content.removesuffix(body or b"").split(b"\r\n")
    assert (ours[:2], sorted(ours)) == (python[:2], sorted(python))


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nY: z"}, {"X": "a\n"}, {"X": "a\rb"}, {"X\r\nY": "z"}, {"Authorization": "Bearer \r\n\r\n"}]
)
def test_a_field_cannot_add_lines(headers: dict[str, str]) -> None:
    """A token server chooses the value of Authorization."""
    with ScriptedServer(lambda _: Reply()) as server:
        exchange: Any = Exchange(Endpoint(host=server.host, tls=False), RequestLimits(), max_connections=1)
        with pytest.raises(ValueError, match=r"^the GET request has a header field with a line break$"):
            exchange.send(Request(method="GET", url=f"http://{server.host}/v2/", headers=headers), None)
        exchange.close()
        assert server.shown == []


def test_bodies_of_any_length_arrive_whole() -> None:
    """Short ones are sent together with the head."""
    with ScriptedServer(lambda request: Reply(body=request.body)) as server:
        exchange = Exchange(Endpoint(host=server.host, tls=False), RequestLimits(), max_connections=1)
        for size in (0, 1, 65_536, 65_537, 300_000):
            body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            response = exchange.send(Request(method="PUT", url=f"http://{server.host}/", body=body), None)
            assert response.content == body
        exchange.close()
        assert server.connections == 1
