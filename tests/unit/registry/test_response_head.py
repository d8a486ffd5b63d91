"""Heads are read as Python reads them, and bodies end where their heads say."""

import http.client
import io
import socket
from collections.abc import Callable
from typing import Any

import pytest

from registry_sync.registry.wire.deadline import DeadlineReader
from registry_sync.registry.wire.framing import ArrivingBody, read_response_head
from registry_sync.registry.wire.response_head import read_head

WELL_FORMED = (
    b"\r\n",
    b"\n",
    b"Content-Length: 12\r\nDocker-Content-Digest: sha256:abc\r\n\r\n",
    b'WWW-Authenticate: Basic\r\nwww-authenticate: Bearer realm="x: y"\r\n\r\n',
    b"Location:/v2/x?_state=a%3D\r\nEmpty:\r\nSpaced: \t a b\r\n\r\n",
    b"Latin: \xe9\xff\r\nBell: \x07\r\n\r\n",
    b"Bare: newline\nX: y\n\n",
)

ODD = (
    (b"Link: <a>;\r\n rel=next\r\nX: y\r\n\r\n", {"link": "<a>; rel=next", "x": "y"}),
    (b"Link: <a>;\n\t \trel=next\n\n", {"link": "<a>; rel=next"}),
    (b" X: no field before\r\nX: y\r\n\r\n", {"x": "y"}),
    (b"Content-Length : 4 \t\r\nX:\ty \r\n\r\n", {"content-length": "4", "x": "y"}),
    (b"no colon\r\nX: y\r\n\r\n", {"x": "y"}),
    (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", {"x": "y"}),
    (b": no name\r\nX: y\r\n\r\n", {"x": "y"}),
    (b"Two words: x\r\nX: y\r\n\r\n", {"x": "y"}),
    (b"N\xc3\xa4me: x\r\nX: y\r\n\r\n", {"x": "y"}),
    (b"Carriage: a\rX: y\r\n\r\n", {"carriage": "a X: y"}),
)


class Dripping(io.RawIOBase):
    """Gives one byte at a time, so that no head arrives as a whole."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        byte = self._content.read(1)
        buffer[: len(byte)] = byte
        return len(byte)


@pytest.fixture(params=[io.BytesIO, Dripping], ids=["at once", "byte by byte"])
def arrive(request: pytest.FixtureRequest) -> Callable[[bytes], io.BufferedReader]:
    """Makes streams of bytes."""
    return lambda content: io.BufferedReader(request.param(content))


Arrive = Callable[[bytes], io.BufferedReader]


@pytest.mark.parametrize("head", WELL_FORMED)
def test_fields_are_those_that_python_reads(head: bytes, arrive: Arrive) -> None:
    ours, python = read_head(arrive(head)), http.client.parse_headers(io.BytesIO(head))
    assert list(ours) == list(dict.fromkeys(name.lower() for name in python))
    for name in python:
        assert ours.get_all(name.upper()) == python.get_all(name)
        assert ours[name] == ours.get(name.lower()) == ", ".join(python.get_all(name, ()))
        assert name.swapcase() in ours
    assert (ours.get("absent"), ours.get("absent", "x"), ours.get_all("absent", ())) == (None, "x", ())
    assert "absent" not in ours
    assert len(ours) == len({name.lower() for name in python})


@pytest.mark.parametrize(("head", "fields"), ODD)
def test_an_odd_line_costs_no_other_field(head: bytes, fields: dict[str, str], arrive: Arrive) -> None:
    """Python drops all fields after one, such as the challenges of a 401, and keeps the break of a folded line.

    https://github.com/python/cpython/issues/69725
    """
    assert dict(read_head(arrive(head))) == fields


@pytest.mark.parametrize("head", [b"", b"Cut: off", b"Range: 0-1", b"Whole: line\r\n", b"Whole: line\r\nCut: off\r"])
def test_a_head_that_is_cut_off_is_no_head(head: bytes, arrive: Arrive) -> None:
    """Python takes it for a whole one: a field may be cut within its value, such as the Range of an upload."""
    with pytest.raises(http.client.IncompleteRead):
        read_head(arrive(head))


@pytest.mark.parametrize("head", [b"X: y\r\n\r\n", b"\r\n", b"\n", b"X: y\n\n", b"X: y\r\n\n", b"X: y\n\r\n"])
def test_the_body_is_left_in_the_stream(head: bytes, arrive: Arrive) -> None:
    stream = arrive(head + b"body: z\r\n\r\n")
    read_head(stream)
    assert stream.read() == b"body: z\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"X: " + b"a" * 65_536 + b"\r\n\r\n", "got more than 65536 bytes when reading header line"),
        (b"X: y\r\n" * 101 + b"\r\n", "got more than 100 headers"),
    ],
)
def test_heads_are_limited(head: bytes, message: str, arrive: Arrive) -> None:
    with pytest.raises(http.client.HTTPException) as ours:
        read_head(arrive(head))
    with pytest.raises(http.client.HTTPException) as python:
        http.client.parse_headers(io.BytesIO(head))
    assert (type(ours.value), str(ours.value)) == (type(python.value), message)
    assert str(python.value) == message


Seen = tuple[object, ...]


def read_by_python(ours: socket.socket, method: str) -> Seen:
    response = http.client.HTTPResponse(ours, method=method)
    response.begin()
    return response.status, response.reason, not response.will_close, response.read()


def read_by_us(ours: socket.socket, method: str) -> Seen:
    reader = DeadlineReader(ours)
    reader.begin()
    stream: io.BufferedReader = io.BufferedReader(reader)
    head = read_response_head(stream)
    body, content = ArrivingBody(stream, method, head), b""
    while not body.is_whole:
        content += body.read()
    return head.status, head.reason, body.may_follow, content


def read_whole(read: Callable[[socket.socket, str], Seen], method: str, answer: bytes) -> Seen:
    """Status, reason, and body of a response, and before that whether the connection is kept; or the error."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        try:
            return read(ours, method)
        except http.client.IncompleteRead:
            return (http.client.IncompleteRead,)
        except http.client.HTTPException as error:
            return type(error), str(error)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodymore",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nbody",
        b"HTTP/1.1 200\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4;x=y\r\nbody\r\n00\r\nX: y\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nbodymore",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 304 Not Modified\r\n\r\nbody",
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbodymore",
        b"HTTP/2 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_a_body_ends_where_python_ends_it(method: str, answer: bytes) -> None:
    assert read_whole(read_by_us, method, answer) == read_whole(read_by_python, method, answer)


@pytest.mark.parametrize(
    ("lengths", "body"), [(("4, 4",), b"body"), (("4", " 4"), b"body"), (("4,9",), None), (("4", "9"), None)]
)
def test_a_length_may_be_repeated_but_not_contradicted(lengths: tuple[str, ...], body: bytes | None) -> None:
    """https://www.rfc-editor.org/rfc/rfc9112#section-6.3: a contradiction is an error that cannot be recovered."""
    fields = "".join(f"Content-Length: {length}\r\n" for length in lengths)
    seen = read_whole(read_by_us, "GET", f"HTTP/1.1 200 OK\r\n{fields}\r\nbodymore".encode())
    if body is None:
        texts = ",".join(lengths).replace(",", ", ")
        assert seen == (http.client.HTTPException, f"got several values of Content-Length: {texts}")
    else:
        assert seen[3] == body


@pytest.mark.parametrize(
    ("fields", "sent", "body"),
    [
        ("Transfer-Encoding: chunked\r\nContent-Length: 99", b"4\r\nbody\r\n0\r\n\r\nmore", b"body"),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked ", b"4\r\nbody\r\n0\r\n\r\n", b"body"),
        ("Transfer-Encoding: gzip, chunked\r\nContent-Length: 2", b"4 \r\nbody\r\n0\r\n\r\n", b"body"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: Chunked\r\nContent-Length: 2", b"4\nbody\r\n0\n\n", b"body"),
        ("Transfer-Encoding: gzip\r\nContent-Length: 2", b"body", b"body"),
        ("Transfer-Encoding: chunked, identity\r\nContent-Length: 2", b"body", b"body"),
        ("Content-Length: +2", b"body", b"body"),
        ("Content-Length: 1_0", b"body", b"body"),
        ("Content-Length: 0x2", b"body", b"body"),
        (f"Content-Length: {'9' * 5000}", b"body", b"body"),
    ],
)
def test_a_connection_whose_framing_is_in_doubt_is_not_used_again(fields: str, sent: bytes, body: bytes) -> None:
    """https://www.rfc-editor.org/rfc/rfc9112#section-6.3: the coding overrides the length."""
    seen = read_whole(read_by_us, "GET", f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + sent)
    assert seen[2:] == (False, body)


@pytest.mark.parametrize("size", [b"-4", b"+4", b"0x4", b"0_4", b"", b"four", b"4" * 16, b"4 4", b"4\r4", b"0"])
def test_a_chunk_without_a_valid_size_is_a_response_that_breaks_off(size: bytes) -> None:
    """``0`` at the very end may be the first digit of ``0A``."""
    end = b"" if size == b"0" else b"\r\nbody\r\n0\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n" + size + end
    assert read_whole(read_by_us, "GET", answer) == (http.client.IncompleteRead,)


@pytest.mark.parametrize("line_break", [b"", b"XX", b"\r", b"\rX", b"\n\n", b"more\r\n"])
def test_a_chunk_without_its_line_break_is_a_response_that_breaks_off(line_break: bytes) -> None:
    """The chunk is longer or shorter than its size, so the sizes of those that follow are not certain either."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody" + line_break + b"2\r\n[]\r\n0\r\n\r\n"
    assert read_whole(read_by_us, "GET", answer) == (http.client.IncompleteRead,)


def test_chunks_may_have_line_breaks_of_one_byte() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\nbody\n2\n[]\n0\n\n"
    assert read_whole(read_by_us, "GET", answer)[3] == b"body[]"
