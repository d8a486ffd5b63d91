"""Blobs that our own client copies between real registries, and between registries that misbehave."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import requests

from registry_sync.errors import DamagedContent, DeniedError, NotFound, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.manifest import Descriptor
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.content.blob_copy import BlobCopy
from registry_sync.registry.content.uploads import Upload
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Credentials
from testkit import images
from testkit.clients import Server, connect
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.registry import Htpasswd, RegistryProcess
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.waiting import PATIENCE_SECONDS

NAME = "team/app"
ROBOT = Credentials(username="robot", secret="the-robots-password")
BLOB = images.big_layer(3_000_000)
pytestmark = pytest.mark.usefixtures("recorded_pauses")


def described(content: bytes, *, algorithm: str = "sha256", size_bytes: int | None = None) -> Descriptor:
    digest = Digest.of(content, algorithm)
    return Descriptor(
        media_type=images.OCI_LAYER, digest=digest, size_bytes=len(content) if size_bytes is None else size_bytes
    )


@pytest.fixture(scope="module")
def held(source: RegistryProcess) -> RegistryProcess:
    """A source that has the blob."""
    images.push(source.url, NAME, None, images.image([BLOB]))
    return source


def copy(
    source: Server,
    destination: Server,
    blob: Descriptor,
    credentials: Credentials | None = None,
    *,
    source_credentials: Credentials | None = None,
    check: Callable[[], object] = lambda: None,
) -> int:
    with ExitStack() as stack:
        reading = stack.enter_context(connect(DistributionClient, source, source_credentials))
        writing = stack.enter_context(connect(DistributionClient, destination, credentials))
        reader = reading.blob_reader(Repository(source.host, NAME), blob)
        uploads = writing.uploads(Repository(destination.host, NAME))
        return BlobCopy(reader=reader, uploads=uploads, check=check).run(uploads.begin(blob))


def read(server: RegistryProcess, digest: Digest) -> bytes | None:
    response = requests.get(f"{server.url}/v2/{NAME}/blobs/{digest}", timeout=PATIENCE_SECONDS)
    return response.content if response.ok else None


def writes(requested: list[Request]) -> list[tuple[str, int]]:
    return [(each.method, each.status) for each in requested if each.method not in ("GET", "HEAD")]


def test_a_blob_is_streamed_by_two_requests(held: RegistryProcess, destination: RegistryProcess) -> None:
    destination.clear_requests()
    tracemalloc.start()
    try:
        assert copy(held, destination, described(BLOB.content)) == len(BLOB.content)
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()
    assert writes(destination.requests()) == [("POST", 202), ("PUT", 201)]
    assert read(destination, BLOB.digest) == BLOB.content


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_small_blobs(source: RegistryProcess, destination: RegistryProcess, content: bytes) -> None:
    images.push(source.url, NAME, None, images.artifact("x", config_type="text/plain"))
    with ScriptedServer(lambda _: Reply(body=content)) as server:
        copy(server, destination, described(content))
    assert read(destination, Digest.of(content)) == content


def test_a_blob_named_by_sha512(destination: RegistryProcess) -> None:
    blob = described(b"named by sha512", algorithm="sha512")
    with ScriptedServer(lambda _: Reply(body=b"named by sha512")) as server:
        copy(server, destination, blob)
    assert read(destination, blob.digest) == b"named by sha512"


def test_a_registry_with_a_password(held: RegistryProcess) -> None:
    with RegistryProcess(auth=Htpasswd(users={ROBOT.username: ROBOT.secret})) as locked:
        copy(held, locked, described(BLOB.content), ROBOT)
        with connect(DistributionClient, locked, ROBOT) as client:
            assert client.read_blob(Repository(locked.host, NAME), BLOB.digest) == len(BLOB.content)


class TestDamagedSource:
    """The destination cancels the upload, and has nothing new."""

    LAYER = images.layer({"a": b"damaged on the way"})

    @pytest.fixture
    def wires(self, source: RegistryProcess, destination: RegistryProcess) -> Iterator[tuple[Interceptor, Interceptor]]:
        images.push(source.url, NAME, None, images.image([self.LAYER]))
        with Interceptor(source.url) as first, Interceptor(destination.url) as second:
            yield first, second

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("corrupt", "its content has another digest"),
            ("short", "it has 20 instead of 115 bytes"),
            ("reset", "cannot be reached: "),
            ("wrong size", "it has more than 7 bytes"),
        ],
    )
    def test_leaves_nothing_at_the_destination(
        self, wires: tuple[Interceptor, Interceptor], destination: RegistryProcess, fault: str, message: str
    ) -> None:
        reader, writer = wires
        match fault:
            case "corrupt":
                reader.corrupt("GET", "/blobs/")
            case "short":
                reader.answer("GET", "/blobs/", 200, self.LAYER.content[:20])
            case "reset":
                reader.truncate("GET", "/blobs/", 20)
        blob = described(self.LAYER.content, size_bytes=7 if fault == "wrong size" else None)
        with pytest.raises(TemporaryError) as caught:
            copy(reader, writer, blob)
        assert message in str(caught.value)
        assert reader.host in str(caught.value)
        cancelled = [status for method, status in writes(writer.requests()) if method == "DELETE"]
        assert cancelled in ([204], [404]), "docker-registry cancels a broken upload when it is asked about it"
        assert read(destination, self.LAYER.digest) is None

    def test_the_upload_of_a_blob_that_is_not_there_is_cancelled(self, wires: tuple[Interceptor, Interceptor]) -> None:
        reader, writer = wires
        with pytest.raises(NotFound):
            copy(reader, writer, described(b"nowhere"))
        assert writes(writer.requests()) == [("POST", 202), ("DELETE", 204)]

    def test_a_copy_can_be_ended_between_chunks(self, wires: tuple[Interceptor, Interceptor]) -> None:
        def stop() -> None:
            raise TemporaryError("the task is being ended")

        reader, writer = wires
        with pytest.raises(TemporaryError, match="the task is being ended"):
            copy(reader, writer, described(self.LAYER.content), check=stop)
        assert ("DELETE", 204) in writes(writer.requests())


class Receiver(ScriptedServer):
    """A registry that takes uploads at ``location``, and answers them with ``put``."""

    def __init__(self, location: str | None, post: int = 202, put: int = 201) -> None:
        super().__init__(self._answer)
        self._location, self._post, self._put = location, post, put

    def _answer(self, request: ScriptedRequest) -> Reply:
        if request.method == "POST":
            headers = {"Location": self._location.format(host=self.host)} if self._location is not None else {}
            return Reply(status=self._post, headers=headers)
        return Reply(status=self._put if request.method == "PUT" else 204)

    @property
    def put_to(self) -> list[str]:
        return [each.target for each in self.shown if each.method == "PUT"]


QUERY = f"digest=sha256%3A{BLOB.digest.encoded}"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/team/app/blobs/uploads/1", f"/v2/team/app/blobs/uploads/1?{QUERY}"),
        ("/v2/team/app/blobs/uploads/1?_state=a%3D", f"/v2/team/app/blobs/uploads/1?_state=a%3D&{QUERY}"),
        ("1?_state=a", f"/v2/team/app/blobs/uploads/1?_state=a&{QUERY}"),
        ("http://{host}/upload/1", f"/upload/1?{QUERY}"),
        ("https://{host}/upload/1", f"/upload/1?{QUERY}"),
        ("http://registry.internal.invalid:5000/upload/1?_state=a", f"/upload/1?_state=a&{QUERY}"),
        ("//registry.internal.invalid/upload/1", f"/upload/1?{QUERY}"),
        ("http://{host}//v2/team/app/blobs/uploads/1", f"/v2/team/app/blobs/uploads/1?{QUERY}"),
        ("/.//registry.internal.invalid/upload/1?_state=a", f"/registry.internal.invalid/upload/1?_state=a&{QUERY}"),
        ("http://registry.internal.invalid//upload/1", f"/upload/1?{QUERY}"),
    ],
)
def test_bytes_go_to_the_registrys_own_origin(held: RegistryProcess, location: str, target: str) -> None:
    """A registry behind a proxy names addresses that only the proxy can reach.

    Python's server, which plays the registry here, shows a path with two slashes at its start with one.
    """
    with Receiver(location) as receiver:
        copy(held, receiver, described(BLOB.content))
        assert receiver.put_to == [target]
        assert next(each.body for each in receiver.shown if each.method == "PUT") == BLOB.content


@pytest.mark.parametrize("location", [None, "", "http://[::1"])
def test_an_upload_without_an_address_is_an_error(held: RegistryProcess, location: str | None) -> None:
    with Receiver(location) as receiver:
        with pytest.raises(TemporaryError):
            copy(held, receiver, described(BLOB.content))
        assert not receiver.put_to


@pytest.mark.parametrize(
    ("post", "put", "tries", "error", "message"),
    [
        (405, 201, 0, RefusedError, "blobs/uploads/ answered 405"),
        (404, 201, 0, RefusedError, "cannot be pushed to; create it at the registry first"),
        (202, 413, 1, RefusedError, "upload/1 answered 413"),
        (202, 401, 3, TemporaryError, "upload/1 no longer accepted the login in the middle of an upload"),
        (202, 404, 3, TemporaryError, "upload/1 answered 404; the registry no longer knows the upload"),
        (202, 503, 3, TemporaryError, "upload/1 answered 503"),
        (202, 200, 3, TemporaryError, "upload/1 answered 200 to an upload, not 201"),
    ],
)
def test_a_refused_upload(
    held: RegistryProcess, post: int, put: int, tries: int, error: type[RegistrySyncError], message: str
) -> None:
    with Receiver("/upload/1?_state=secret", post, put) as receiver:
        with pytest.raises(error) as caught:
            copy(held, receiver, described(BLOB.content))
        assert message in str(caught.value)
        assert "secret" not in str(caught.value)
        assert len(receiver.put_to) == tries
        cancelled = [urlsplit(each.target).path for each in receiver.shown if each.method == "DELETE"]
        assert cancelled == tries * ["/upload/1"]


@pytest.mark.parametrize(
    ("algorithm", "digest", "tries"),
    [("sha256", Digest.of(b"other"), 3), ("sha256", Digest.of(b"small"), 1), ("sha512", Digest.of(b"small"), 1)],
)
def test_a_registry_that_stores_an_upload_under_another_digest(algorithm: str, digest: Digest, tries: int) -> None:
    """docker-registry answers with the SHA-256 of a blob that is named by SHA-512."""
    headers = {"POST": (202, {"Location": "/upload/1"}), "PUT": (201, {"Docker-Content-Digest": str(digest)})}

    def answer(request: ScriptedRequest) -> Reply:
        status, fields = headers.get(request.method, (404, {}))
        return Reply(status=status, headers=fields)

    blob = described(b"small", algorithm=algorithm)
    with ScriptedServer(lambda _: Reply(body=b"small")) as source, ScriptedServer(answer) as receiver:
        if tries == 1:
            copy(source, receiver, blob)
        else:
            with pytest.raises(DamagedContent) as caught:
                copy(source, receiver, blob)
            assert str(caught.value) == f"{receiver.url}/upload/1 stored an upload of {blob.digest} as {digest}"
        assert sum(request.method == "PUT" for request in receiver.shown) == tries


MANY_DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("POST", 202, {"OCI-Chunk-Min-Length": MANY_DIGITS, "Location": "/upload/1"}),
        ("GET", 204, {"Range": f"0-{MANY_DIGITS}", "Location": "/upload/1"}),
        ("GET", 206, {"Content-Range": f"bytes {MANY_DIGITS}-{MANY_DIGITS}/*"}),
    ],
)
def test_a_number_of_thousands_of_digits_is_none(method: str, status: int, headers: dict[str, str]) -> None:
    """Python reads no such numbers, and raises an error that ends the task."""
    blob = described(b"small")
    with (
        ScriptedServer(lambda _: Reply(status=status, headers=headers)) as server,
        connect(DistributionClient, server) as client,
    ):
        repository = Repository(server.host, NAME)
        uploads = client.uploads(repository)
        match method, status:
            case "POST", _:
                assert uploads.begin(blob).chunk_bytes is None
            case "GET", 204:
                assert uploads.find(Upload(location=f"{server.url}/upload/1"), blob) is None
            case _:
                with pytest.raises(TemporaryError, match="answered 206 with the Content-Range 'bytes 999"):
                    list(client.blob_reader(repository, blob).chunks())


@pytest.mark.parametrize(
    ("part_bytes", "requests", "problem"),
    [
        (1, 3, "the registry sent a part of a blob that has only 1 new bytes"),
        (32_767, 3, "the registry sent a part of a blob that has only 32767 new bytes"),
        (32_768, 10, ""),
        (262_144, 2, ""),
    ],
)
def test_a_blob_is_not_read_in_very_many_parts(part_bytes: int, requests: int, problem: str) -> None:
    """The last part may have fewer bytes than those before."""
    content = images.big_layer(300_000).content[:300_000]

    def answer(_: ScriptedRequest) -> Reply:
        first = begins[-1]
        part = content[first : first + part_bytes]
        begins.append(first + len(part))
        headers = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}
        return Reply(status=206, headers=headers, body=part)

    begins = [0]
    with ScriptedServer(answer) as server, connect(DistributionClient, server) as client:
        chunks = client.blob_reader(Repository(server.host, NAME), described(content)).chunks()
        if problem:
            with pytest.raises(TemporaryError) as caught:
                list(chunks)
            assert str(caught.value) == problem
        else:
            assert b"".join(chunks) == content
        assert len(server.shown) == requests


def test_a_blob_at_another_host_is_read_without_the_password(destination: RegistryProcess) -> None:
    with ScriptedServer(lambda _: Reply(body=b"stored elsewhere")) as storage:

        def redirect(request: ScriptedRequest) -> Reply:
            if request.authorization is None:
                return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})
            return Reply(status=307, headers={"Location": f"{storage.url}/signed?key=1"})

        with ScriptedServer(redirect) as server:
            copy(server, destination, described(b"stored elsewhere"), source_credentials=ROBOT)
        assert [each.authorization for each in storage.shown] == [None]
    assert read(destination, Digest.of(b"stored elsewhere")) == b"stored elsewhere"


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "BLOB_UNKNOWN", NotFound),
        (400, "DIGEST_INVALID", RefusedError),
        (416, "RANGE_INVALID", RefusedError),
        (403, "DENIED", DeniedError),
        (503, "", TemporaryError),
    ],
)
def test_what_the_source_answers_in_the_middle_is_not_about_the_upload(
    destination: RegistryProcess, status: int, code: str, error: type[RegistrySyncError]
) -> None:
    content = bytes(200_000)

    def script(_: ScriptedRequest) -> Reply:
        if len(server.shown) == 1:
            return Reply(headers={"Content-Length": str(len(content))}, body=[content[:150_000]])
        return Reply(status=status, body=f'{{"errors": [{{"code": "{code}"}}]}}'.encode())

    with ScriptedServer(script) as server, pytest.raises(error) as caught:
        copy(server, destination, described(content))
    assert type(caught.value) is error
    path = f"{server.url}/v2/{NAME}/blobs/{described(content).digest}"
    assert str(caught.value).startswith(f"GET {path} answered {status}")
    assert not re.search("upload|damaged", str(caught.value))
