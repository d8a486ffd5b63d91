"""Copies by the real skopeo between real registries, with network errors, stops and kills."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import pytest
import requests

from registry_sync.airflow.hooks.skopeo import SkopeoHook
from registry_sync.config.settings import SkopeoOptions
from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    ManifestNotStored,
    ManifestRefused,
    MissingContent,
    NotCopyableWhole,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.manifest import parse_manifest
from registry_sync.oci.reference import Reference, Repository
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.skopeo import authorities
from registry_sync.skopeo import local as skopeo_process
from registry_sync.skopeo.copier import CopyResult, Skopeo
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.local import find_skopeo
from registry_sync.skopeo.runner import SkopeoProgram
from registry_sync.skopeo.traffic import Traffic
from testkit import images
from testkit.dockerd import Dockerd, require_dockerd
from testkit.interceptor import Interceptor
from testkit.processes import is_alive
from testkit.proxy import ForwardProxy
from testkit.registry import Htpasswd, RegistryProcess
from testkit.tls import CertificateAuthority
from testkit.token_server import TokenServer
from testkit.waiting import PATIENCE_SECONDS, wait_until

BOTH = {"linux/amd64", "linux/arm64"}
ROBOT = Credentials(username="robot", secret="the-robots-password")
WRONG = Credentials(username="robot", secret="a-guess")
IMAGE = images.multi_arch("one")
FROM, TO = "team/app", "mirror/app"
STOPPED = "the task is being ended, so nothing more is sent"

Server = RegistryProcess | Interceptor
T = TypeVar("T")


@pytest.fixture(scope="module")
def source() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, FROM, "v1", IMAGE)
        yield registry


@pytest.fixture
def destination() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        yield registry


class Local:
    """The skopeo of this machine, in processes of the test."""

    def find(self) -> SkopeoProgram:
        return find_skopeo()

    def running(self) -> list[int]:
        return running_skopeos(os.getpid())

    def left(self) -> list[int]:
        return self.running()


class InContainers:
    """The same skopeo in containers of a Docker daemon, with the network of this machine."""

    def __init__(self, daemon: Dockerd) -> None:
        self._daemon = daemon
        options = SkopeoOptions(runner="docker", image=daemon.load_skopeo(), docker_url=daemon.url, network="host")
        self._program = SkopeoHook(options, task="tests").get_conn()

    def find(self) -> SkopeoProgram:
        return self._program

    def running(self) -> list[int]:
        with closing(self._daemon.client()) as client:
            found = [client.inspect_container(container["Id"])["State"] for container in client.containers()]
        return [each["Pid"] for each in found if each["Pid"]]  # killing 0 would kill the whole process group

    def left(self) -> list[str]:
        """All containers that were not removed, running or not."""
        with closing(self._daemon.client()) as client:
            return [container["Id"] for container in client.containers(all=True)]


RUNNERS: list[Local | InContainers] = [Local()]
"""Tests use the last one."""


@pytest.fixture(scope="module")
def containers() -> Iterator[InContainers]:
    require_dockerd()
    with Dockerd() as daemon:
        yield InContainers(daemon)


@pytest.fixture(params=["local", "docker"])
def runner(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests with this fixture run with both kinds of skopeo."""
    if request.param == "local":
        yield
        return
    RUNNERS.append(request.getfixturevalue("containers"))
    try:
        yield
        assert RUNNERS[-1].left() == []
    finally:
        RUNNERS.pop()


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert RUNNERS[-1].left() == []


def plain(server: Server, **options: Any) -> Endpoint:
    return Endpoint(host=server.host, tls=False, **options)


@contextmanager
def skopeo(
    source: Endpoint,
    destination: Endpoint,
    *,
    copy_timeout_seconds: float = 60,
    stall_timeout_seconds: float = 30,
) -> Iterator[Skopeo]:
    with Skopeo(
        RUNNERS[-1].find,
        source=source,
        destination=destination,
        copy_timeout_seconds=copy_timeout_seconds,
        stall_timeout_seconds=stall_timeout_seconds,
    ) as opened:
        yield opened


def copy(opened: Skopeo, source: str, destination: str, image: images.Image = IMAGE) -> CopyResult:
    manifest = parse_manifest(image.content, image.media_type)
    return opened.copy(
        ImageCopy(
            source=Reference(Repository(source, FROM), image.digest),
            destination=Reference(Repository(destination, TO), image.digest),
            is_index=manifest.is_index,
            format=manifest.format,
        )
    )


def copy_once(source: Endpoint, destination: Endpoint, image: images.Image = IMAGE, **options: Any) -> CopyResult:
    with skopeo(source, destination, **options) as opened:
        return copy(opened, source.host, destination.host, image)


def failure(
    source: Endpoint, destination: Endpoint, image: images.Image = IMAGE, **options: float
) -> RegistrySyncError:
    with pytest.raises(RegistrySyncError) as caught:
        copy_once(source, destination, image, **options)
    return caught.value


def running_skopeos(parent: int) -> list[int]:
    """Process ids of the skopeos that ``parent`` has started."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            name, _, rest = (path / "stat").read_text().partition(" (")[2].rpartition(")")
        except (OSError, UnicodeDecodeError):
            continue
        if name == "skopeo" and int(rest.split()[1]) == parent:
            found.append(int(path.name))
    return found


@pytest.mark.usefixtures("runner")
@pytest.mark.parametrize(
    ("image", "platforms"),
    [
        (images.multi_arch("an index"), BOTH),
        (images.multi_arch("a Docker list", format="docker"), BOTH),
        (images.multi_arch("with attestations", attestations=True), BOTH),
        (images.image([images.layer({"a": b"one image"})]), {"linux/amd64"}),
        (images.image([images.layer({"a": b"one image of Docker"})], format="docker"), {"linux/amd64"}),
        (images.artifact("chart"), set()),
        (images.index([]), set()),
    ],
    ids=["index", "docker list", "attestations", "image", "docker image", "artifact", "empty index"],
)
def test_everything_arrives_unchanged(
    source: RegistryProcess, destination: RegistryProcess, image: images.Image, platforms: set[str]
) -> None:
    images.push(source.url, FROM, None, image)
    sent = copy_once(plain(source), plain(destination), image)
    assert images.pull_whole(destination.url, TO, image.digest) == platforms
    assert sent.sent_bytes > 0 or isinstance(RUNNERS[-1], InContainers)  # which does not count the last bytes


@pytest.mark.usefixtures("runner")
def test_many_threads_copy_at_once(source: RegistryProcess, destination: RegistryProcess) -> None:
    many = [images.multi_arch(f"many {each}", base=images.layer({"base": b"%d" % each})) for each in range(6)]
    for each in many:
        images.push(source.url, FROM, None, each)
    with skopeo(plain(source), plain(destination)) as opened, ThreadPoolExecutor(3) as pool:
        sent = list(pool.map(lambda image: copy(opened, source.host, destination.host, image), many))
        assert opened.sent_bytes == sum(each.sent_bytes for each in sent)
    for each in many:
        assert images.pull_whole(destination.url, TO, each.digest) == BOTH


def test_bytes_sent_are_about_those_of_the_content(source: RegistryProcess, destination: RegistryProcess) -> None:
    image = images.image([images.big_layer(5_000_000, seed=1)])
    images.push(source.url, FROM, None, image)
    with skopeo(plain(source), plain(destination)) as opened:
        first = copy(opened, source.host, destination.host, image).sent_bytes
        again = copy(opened, source.host, destination.host, image).sent_bytes
        assert opened.sent_bytes == first + again
    assert image.size_bytes <= first <= image.size_bytes + 300_000
    assert again <= 300_000


def test_a_layer_of_another_repository_is_mounted(source: RegistryProcess, destination: RegistryProcess) -> None:
    """By skopeo's cache of layers. Root has one per machine, which skopeo skips while another process writes it."""
    for number in range(10):
        copy_once(plain(source), plain(destination))
        destination.clear_requests()
        other = f"mirror/other-{number}"
        with skopeo(plain(source), plain(destination)) as opened:
            opened.copy(
                ImageCopy(
                    source=Reference(Repository(source.host, FROM), IMAGE.digest),
                    destination=Reference(Repository(destination.host, other), IMAGE.digest),
                    is_index=True,
                    format="oci",
                )
            )
        if mounts := [request for request in destination.requests() if "mount=" in request.query]:
            break
    assert {mount.status for mount in mounts} == {201}
    assert images.pull_whole(destination.url, other, IMAGE.digest) == BOTH


@pytest.mark.usefixtures("runner")
def test_the_progress_of_skopeo_is_logged_at_level_debug(
    source: RegistryProcess, destination: RegistryProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="registry_sync.skopeo")
    with skopeo(plain(source), plain(destination)) as opened:
        copy(opened, source.host, destination.host)
    one, two = IMAGE.children
    blobs = [f"{IMAGE.digest.short}: Copying blob {blob.digest}" for child in (one, two) for blob in child.blobs[1:]]
    assert caplog.messages[0] == f"{IMAGE.digest.short}: Getting image list signatures"
    assert caplog.messages[1] == f"{IMAGE.digest.short}: Copying 2 of 2 images in list"
    assert set(blobs) < set(caplog.messages)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


@pytest.mark.usefixtures("runner")
def test_passwords_are_used_on_both_sides() -> None:
    users = Htpasswd(users={ROBOT.username: ROBOT.secret})
    with RegistryProcess(auth=users) as source, RegistryProcess(auth=users) as destination:
        session = robot_session()
        images.push(source.url, FROM, "v1", IMAGE, session=session)
        copy_once(plain(source, credentials=ROBOT), plain(destination, credentials=ROBOT))
        assert images.pull_whole(destination.url, TO, IMAGE.digest, session=session) == BOTH
        error = failure(plain(source, credentials=WRONG), plain(destination, credentials=ROBOT))
        assert type(error) is DeniedError
        assert str(error) == (
            f"source {source.host}/{FROM} does not permit it with our credentials, or does not have it; check its "
            f"Connection (skopeo: initializing source docker://{source.host}/{FROM}@{IMAGE.digest.short}: reading "
            f"manifest {IMAGE.digest.short} in {source.host}/{FROM}: unauthorized: authentication required)"
        )


def robot_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.auth = (ROBOT.username, ROBOT.secret)
    return session


@pytest.mark.usefixtures("runner")
@pytest.mark.parametrize("credentials", [WRONG, None])
def test_a_wrong_password_is_denied(source: RegistryProcess, credentials: Credentials | None) -> None:
    with RegistryProcess(auth=Htpasswd(users={ROBOT.username: ROBOT.secret})) as locked:
        error = failure(plain(source), plain(locked, credentials=credentials))
    assert type(error) is DeniedError
    assert str(error).startswith(f"destination {locked.host}/{TO} does not permit it with our credentials, or does ")


@pytest.mark.usefixtures("runner")
def test_tokens_are_requested_with_the_password(source: RegistryProcess) -> None:
    with TokenServer({ROBOT.username: ROBOT.secret}) as tokens, RegistryProcess(auth=tokens.token_auth) as locked:
        copy_once(plain(source), plain(locked, credentials=ROBOT))
        assert images.pull_whole(locked.url, TO, IMAGE.digest, session=tokens.session(TO)) == BOTH
        error = failure(plain(source), plain(locked, credentials=WRONG))
        assert type(error) is DeniedError
        assert str(error).endswith(
            "unable to retrieve auth token: invalid username/password: unauthorized: incorrect username or password)"
        )


@pytest.mark.usefixtures("runner")
def test_a_missing_permission_is_denied(source: RegistryProcess) -> None:
    with (
        TokenServer({ROBOT.username: ROBOT.secret}, grants={ROBOT.username: {TO: ("pull",)}}) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
    ):
        assert type(failure(plain(source), plain(locked, credentials=ROBOT))) is DeniedError


@pytest.mark.usefixtures("runner")
def test_tls_uses_the_ca_file_of_the_registry(source: RegistryProcess, tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path)
    with RegistryProcess(tls=authority.issue()) as secure:
        trusted = Endpoint(host=secure.host, ca_file=authority.ca_file)
        copy_once(plain(source), trusted)
        assert images.pull_whole(secure.url, TO, IMAGE.digest, ca_file=authority.ca_file) == BOTH
        error = failure(plain(source), Endpoint(host=secure.host))
        assert type(error) is ConfigurationError
        assert str(error).startswith(
            f"destination {secure.host}/{TO} shows a certificate that is not accepted; give its registry a ca_file, or "
            "have the certificate renewed (skopeo: "
        )


def test_tls_uses_the_authorities_of_the_worker(
    source: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both those of the bundle and those that only a directory has, like ours of another registry."""
    for name in ("bundle", "directory", "other"):
        (tmp_path / name).mkdir()
    bundled, found, other = (CertificateAuthority.create(tmp_path / name) for name in ("bundle", "directory", "other"))
    monkeypatch.setattr(authorities, "BUNDLES", [str(bundled.ca_file)])
    monkeypatch.setattr(authorities, "DIRECTORIES", [str(found.ca_file.parent)])
    for authority in (bundled, found):
        with RegistryProcess(tls=authority.issue()) as secure:
            copy_once(plain(source), Endpoint(host=secure.host))
            copy_once(plain(source), Endpoint(host=secure.host, ca_file=other.ca_file))
    with RegistryProcess(tls=other.issue()) as secure:
        assert type(failure(plain(source), Endpoint(host=secure.host))) is ConfigurationError


@pytest.mark.usefixtures("runner")
def test_a_registry_without_tls_is_reported(source: RegistryProcess, destination: RegistryProcess) -> None:
    error = failure(Endpoint(host=source.host), plain(destination))
    assert type(error) is ConfigurationError
    assert str(error) == (
        f"source {source.host}/{FROM} does not speak TLS; if that is right, write tls: false for its registry (skopeo: "
        f"initializing source docker://{source.host}/{FROM}@{IMAGE.digest.short}: pinging container registry "
        f'{source.host}: Get "https://{source.host}/v2/": http: server gave HTTP response to HTTPS client)'
    )


@pytest.mark.usefixtures("runner")
def test_docker_hub_is_reached_through_a_proxy(
    source: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy variables are used, and the credentials for docker.io are sent to Docker Hub."""
    authority = CertificateAuthority.create(tmp_path)
    hub_certificate = authority.issue(["registry-1.docker.io", "127.0.0.1"])
    users = Htpasswd(users={ROBOT.username: ROBOT.secret})
    with (
        RegistryProcess(tls=hub_certificate, auth=users) as hub,
        ForwardProxy({"registry-1.docker.io:443": hub.host}) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        copy_once(plain(source), Endpoint(host="docker.io", ca_file=authority.ca_file, credentials=ROBOT))
        session = robot_session()
        assert images.pull_whole(hub.url, TO, IMAGE.digest, session=session, ca_file=authority.ca_file) == BOTH
    assert proxy.targets == {"registry-1.docker.io:443"}


@pytest.mark.usefixtures("runner")
def test_an_image_missing_at_the_source_is_not_found(source: RegistryProcess, destination: RegistryProcess) -> None:
    image = images.multi_arch("never pushed")
    error = failure(plain(source), plain(destination), image)
    assert type(error) is NotFound
    assert str(error) == (
        f"source {source.host}/{FROM} does not have it (skopeo: initializing source docker://{source.host}/{FROM}"
        f"@{image.digest.short}: reading manifest {image.digest.short} in {source.host}/{FROM}: manifest unknown: "
        "manifest unknown)"
    )


@pytest.mark.usefixtures("runner")
def test_a_child_missing_at_the_source_is_not_found(source: RegistryProcess, destination: RegistryProcess) -> None:
    image = images.multi_arch("to lose a child")
    images.push(source.url, FROM, None, image)
    images.delete_manifest(source.url, FROM, image.children[1].digest)
    assert type(failure(plain(source), plain(destination), image)) is NotFound
    assert images.resolve(destination.url, TO, image.digest) is None


@pytest.mark.usefixtures("runner")
def test_a_read_only_destination_refuses(source: RegistryProcess) -> None:
    with RegistryProcess(read_only=True) as closed:
        error = failure(plain(source), plain(closed))
    assert type(error) is RefusedError
    assert str(error) == (
        f"destination {closed.host}/{TO} takes no pushes: it is read-only, or a cache; choose another registry as the "
        "destination (skopeo: copying image 1/2 from manifest list: writing blob: initiating layer upload to "
        f"/v2/{TO}/blobs/uploads/ in {closed.host}: StatusCode: 405, Method not allowed)"
    )


@pytest.mark.usefixtures("runner")
def test_a_registry_that_is_down_is_a_temporary_error(source: RegistryProcess) -> None:
    with RegistryProcess() as stopped:
        stopped.stop()
        error = failure(plain(source), plain(stopped))
        assert type(error) is TemporaryError
        assert str(error).startswith(f"destination {stopped.host}/{TO} cannot be reached, or broke off (skopeo: ")
        assert str(error).endswith(f"dial tcp {stopped.host}: connect: connection refused)")
        error = failure(plain(stopped), plain(source))
        assert type(error) is TemporaryError
        assert str(error).startswith(f"source {stopped.host}/{FROM} cannot be reached, or broke off (skopeo: ")


@pytest.mark.usefixtures("runner")
@pytest.mark.parametrize(
    "image",
    [
        images.nested_index("nested"),
        images.index_with_descriptor_field("typed", "artifactType"),
        images.index_with_descriptor_field("inlined", "data"),
    ],
    ids=["nested", "artifactType", "data"],
)
def test_an_index_is_copied_whole_or_refused_as_not_copyable(
    source: RegistryProcess, destination: RegistryProcess, image: images.Image
) -> None:
    """An older skopeo reports it, and a newer one copies the index unchanged."""
    images.push(source.url, FROM, None, image)
    try:
        copy_once(plain(source), plain(destination), image)
    except NotCopyableWhole as error:
        name = f"{source.host}/{FROM}@{image.digest}"
        assert str(error).startswith(f"{name} cannot be copied in one piece (skopeo: ")  # noqa: PT017 - one of two
    else:
        assert images.pull_whole(destination.url, TO, image.digest) == BOTH


NO_MANIFEST = b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}]}'
OVER_QUOTA = b'{"errors": [{"code": "DENIED", "message": "adding 1 MiB will exceed the configured upper limit"}]}'
NO_REPOSITORY = b'{"errors": [{"code": "NAME_UNKNOWN", "message": "no such repository"}]}'
UNAUTHORIZED = b'{"errors": [{"code": "UNAUTHORIZED", "message": "not you"}]}'


@pytest.mark.usefixtures("runner")
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, UNAUTHORIZED, DeniedError),
        (403, b"<html>no</html>", DeniedError),
        (403, OVER_QUOTA, RefusedError),
        (404, NO_REPOSITORY, RefusedError),
        (400, NO_MANIFEST, MissingContent),
        (409, b"conflict", RefusedError),
        (413, b"", RefusedError),
        (429, b"", RateLimited),
        (415, b"", ManifestRefused),
        (500, b"", ManifestNotStored),
        (503, b"<html>no backend</html>", ManifestNotStored),
    ],
)
def test_a_refused_index_is_reported_with_its_real_cause(
    source: RegistryProcess, wire: Interceptor, status: int, body: bytes, expected: type[RegistrySyncError]
) -> None:
    wire.answer("PUT", f"/manifests/{IMAGE.digest}", status, body)
    error = failure(plain(source), plain(wire))
    assert type(error) is expected
    assert str(error).startswith(f"destination {wire.host}/{TO} ")


@pytest.mark.usefixtures("runner")
def test_a_reset_upload_is_a_temporary_error(
    source: RegistryProcess, wire: Interceptor, caplog: pytest.LogCaptureFixture
) -> None:
    """The query of an upload's URL is a secret: it gives access to the upload until its end."""
    caplog.set_level(logging.INFO, logger="registry_sync.skopeo")
    wire.reset("PATCH", "/blobs/")
    with (
        skopeo(plain(source), plain(wire)) as opened,
        pytest.raises(TemporaryError) as caught,
    ):
        copy(opened, source.host, wire.host)
    assert str(caught.value).startswith(f"destination {wire.host}/{TO} cannot be reached, or broke off (skopeo: ")
    assert "level=fatal" in caplog.messages[-1]
    for text in (str(caught.value), caplog.messages[-1]):
        assert f"http://{wire.host}/v2/{TO}/blobs/uploads/" in text
        assert "?…" in text
        assert "_state" not in text


@pytest.mark.usefixtures("runner")
def test_a_reset_download_is_a_temporary_error(source_wire: Interceptor, destination: RegistryProcess) -> None:
    source_wire.truncate("GET", "/blobs/", 20)
    error = failure(plain(source_wire), plain(destination))
    assert type(error) is TemporaryError
    assert str(error).startswith(f"source {source_wire.host}/{FROM} cannot be reached, or broke off (skopeo: ")


@pytest.mark.usefixtures("runner")
def test_damaged_content_is_a_temporary_error(source_wire: Interceptor, destination: RegistryProcess) -> None:
    source_wire.answer("GET", "/blobs/", 200, b"other bytes")
    error = failure(plain(source_wire), plain(destination))
    assert type(error) is TemporaryError
    assert str(error).startswith(f"source {source_wire.host}/{FROM} sent or got damaged content (skopeo: ")
    assert images.resolve(destination.url, TO, IMAGE.digest) is None


@pytest.mark.usefixtures("runner")
def test_a_log_in_that_expires_during_a_copy_is_a_temporary_error(
    source_wire: Interceptor, destination: RegistryProcess
) -> None:
    source_wire.answer("GET", "/blobs/", 401, UNAUTHORIZED)
    error = failure(plain(source_wire), plain(destination))
    assert type(error) is TemporaryError
    assert "no longer accepted the log-in in the middle of the copy" in str(error)


@pytest.mark.usefixtures("runner")
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_silent_destination_is_a_stall(source: RegistryProcess, wire: Interceptor, method: str) -> None:
    wire.hang(method, "/(blobs|manifests)/")
    started = time.monotonic()
    error = failure(plain(source), plain(wire), stall_timeout_seconds=1)
    assert time.monotonic() - started > 1
    assert type(error) is TemporaryError
    assert str(error) == (
        f"the copy of {source.host}/{FROM}@{IMAGE.digest} to {wire.host}/{TO} was ended: no bytes moved for 1 s"
    )


@pytest.mark.usefixtures("runner")
def test_a_slow_copy_is_not_a_stall(
    source_wire: Interceptor, source: RegistryProcess, destination: RegistryProcess
) -> None:
    image = images.image([images.big_layer(300_000, seed=2)])
    images.push(source.url, FROM, None, image)
    source_wire.slow("GET", "/blobs/", 60_000)
    started = time.monotonic()
    copy_once(plain(source_wire), plain(destination), image, stall_timeout_seconds=4)
    assert time.monotonic() - started > 4.5
    assert images.pull_whole(destination.url, TO, image.digest) == {"linux/amd64"}


@pytest.mark.usefixtures("runner")
def test_a_copy_is_ended_after_its_timeout(source: RegistryProcess, wire: Interceptor) -> None:
    wire.hang("PATCH", "/blobs/")
    error = failure(plain(source), plain(wire), copy_timeout_seconds=1)
    assert type(error) is TemporaryError
    assert str(error) == (
        f"the copy of {source.host}/{FROM}@{IMAGE.digest} to {wire.host}/{TO} was ended: it took more than 1 s"
    )


@pytest.mark.usefixtures("runner")
def test_stop_ends_every_copy(source: RegistryProcess, wire: Interceptor) -> None:
    wire.hang("PATCH", "/blobs/")
    with skopeo(plain(source), plain(wire)) as opened, ThreadPoolExecutor(3) as pool:
        copies = [pool.submit(copy, opened, source.host, wire.host) for _ in range(3)]
        wait_until(lambda: len(RUNNERS[-1].running()) == 3, "three copies run")
        wait_until(
            lambda: len([request for request in wire.requests() if request.method == "PATCH"]) >= 3,
            "three uploads began",
        )
        opened.stop()
        for each in copies:
            assert str(each.exception(timeout=PATIENCE_SECONDS)) == STOPPED
        assert RUNNERS[-1].running() == []
        wire.clear_requests()
        with pytest.raises(TemporaryError, match=STOPPED):
            copy(opened, source.host, wire.host)
        assert wire.requests() == []


@pytest.mark.usefixtures("runner")
def test_leaving_the_block_ends_running_copies(source: RegistryProcess, wire: Interceptor) -> None:
    wire.hang("PATCH", "/blobs/")
    with ThreadPoolExecutor(1) as pool:
        with skopeo(plain(source), plain(wire)) as opened:
            pending = pool.submit(copy, opened, source.host, wire.host)
            wait_until(RUNNERS[-1].running, "skopeo runs")
        assert RUNNERS[-1].running() == []
        assert str(pending.exception(timeout=PATIENCE_SECONDS)) == STOPPED


@pytest.mark.usefixtures("runner")
def test_stop_in_a_signal_handler(source: RegistryProcess, wire: Interceptor) -> None:
    """Airflow's ``on_kill`` runs in the thread that waits for the copy, which must not deadlock."""
    wire.hang("PATCH", "/blobs/")
    with skopeo(plain(source), plain(wire)) as opened:
        with alarm(lambda: is_copying(wire), lambda *_: opened.stop()), pytest.raises(TemporaryError, match=STOPPED):
            copy(opened, source.host, wire.host)
        assert RUNNERS[-1].running() == []


@pytest.mark.usefixtures("runner")
def test_a_timeout_of_the_task_leaves_no_process(source: RegistryProcess, wire: Interceptor) -> None:
    """AirflowTaskTimeout is a BaseException that a signal handler raises at any point."""

    class TaskTimeout(BaseException):
        pass

    def expire(*_: object) -> None:
        raise TaskTimeout

    wire.hang("PATCH", "/blobs/")
    with skopeo(plain(source), plain(wire)) as opened:
        with alarm(lambda: is_copying(wire), expire), pytest.raises(TaskTimeout):
            copy(opened, source.host, wire.host)
        assert RUNNERS[-1].running() == []


def is_copying(wire: Interceptor) -> bool:
    return any(request.method == "PATCH" for request in wire.requests())


@contextmanager
def alarm(is_due: Callable[[], bool], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call ``handler`` in a signal handler of the main thread once ``is_due`` returns true."""

    def ring(number: int, frame: FrameType | None) -> None:
        if is_due():
            signal.setitimer(signal.ITIMER_REAL, 0)
            handler(number, frame)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("runner")
def test_a_killed_skopeo_is_a_temporary_error(source: RegistryProcess, wire: Interceptor) -> None:
    wire.hang("PATCH", "/blobs/")
    with skopeo(plain(source), plain(wire)) as opened, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(copy, opened, source.host, wire.host)
        wait_until(lambda: is_copying(wire), "the copy began")
        (pid,) = RUNNERS[-1].running()
        assert pid > 0, "a container that has not started has pid 0, which means our whole process group"
        os.kill(pid, signal.SIGKILL)
        error = pending.exception(timeout=PATIENCE_SECONDS)
    assert type(error) is TemporaryError
    assert str(error) == (
        f"skopeo was killed by signal 9 (Killed) while copying {source.host}/{FROM}@{IMAGE.digest} to "
        f"{wire.host}/{TO}@{IMAGE.digest}"
    )


WORKER = """
import sys, threading
from registry_sync.oci.reference import Reference
from registry_sync.registry.endpoint import Endpoint
from registry_sync.skopeo.copier import Skopeo
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.skopeo.local import find_skopeo
source, destination = (Reference.parse(each) for each in sys.argv[1:])
sides = {"source": Endpoint(host=source.repository.host, tls=False)}
sides["destination"] = Endpoint(host=destination.repository.host, tls=False)
with Skopeo(find_skopeo, **sides, copy_timeout_seconds=60, stall_timeout_seconds=60) as opened:
    image = ImageCopy(source=source, destination=destination, is_index=True, format="oci")
    thread = threading.Thread(target=opened.copy, args=(image,))
    thread.start()
    thread.join()
"""


def test_skopeo_dies_with_its_worker(source: RegistryProcess, wire: Interceptor, tmp_path: Path) -> None:
    """It shares the worker's process group, which Airflow kills, and also dies when only the worker is killed."""
    wire.hang("PATCH", "/blobs/")
    names = f"{source.host}/{FROM}@{IMAGE.digest}", f"{wire.host}/{TO}@{IMAGE.digest}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, *names], env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until(lambda: [request for request in wire.requests() if request.method == "PATCH"], "the upload began")
        (pid,) = running_skopeos(worker.pid)
        assert os.getpgid(pid) == worker.pid
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    wait_until(lambda: not is_alive(pid), "skopeo is gone")


@contextmanager
def stand_in(directory: Path, program: str, *, stall_timeout_seconds: float = PATIENCE_SECONDS) -> Iterator[Skopeo]:
    """Another program in place of skopeo, for behaviour that a real skopeo does not show on demand."""
    path = directory / "stand-in"
    path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{program}")
    path.chmod(0o755)
    endpoint = Endpoint(host="registry.example")
    with Skopeo(
        lambda: replace(find_skopeo(), path=path),
        source=endpoint,
        destination=endpoint,
        copy_timeout_seconds=PATIENCE_SECONDS,
        stall_timeout_seconds=stall_timeout_seconds,
    ) as opened:
        yield opened


@pytest.mark.parametrize(("level", "is_quiet"), [(logging.INFO, True), (logging.DEBUG, False)])
def test_skopeo_prints_its_progress_only_where_it_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, level: int, is_quiet: bool
) -> None:
    caplog.set_level(level, logger="registry_sync.skopeo")
    with stand_in(tmp_path, "print('arguments', *sys.argv)") as opened:
        copy(opened, "registry.example", "registry.example")
    assert [" --quiet " in message for message in caplog.messages] == [is_quiet]


def test_waking_threads_are_not_progress(tmp_path: Path) -> None:
    """Seen with a silent registry: the threads of a Go program wake each other by a byte through a pipe."""
    program = "out, in_ = os.pipe()\nwhile True: os.write(in_, b'x'); os.read(out, 1); time.sleep(0.02)"
    opening = stand_in(tmp_path, program, stall_timeout_seconds=1)
    with opening as opened, pytest.raises(TemporaryError, match="no bytes moved for 1 s"):
        copy(opened, "registry.example", "registry.example")


def test_short_lines_are_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is read at once, so that fewer bytes than one request has are moved between two readings.

    Each look at the clock takes 10 ms, so that time passes by the number of readings alone.
    """
    ticks = count()
    monkeypatch.setattr(skopeo_process, "Traffic", partial(Traffic, clock=lambda: next(ticks) / 100))
    program = "for number in range(250): print('x' * 100, flush=True); time.sleep(0.01)\nsys.exit(3)"
    opening = stand_in(tmp_path, program, stall_timeout_seconds=1)
    with opening as opened, pytest.raises(TemporaryError, match="for an unknown reason"):
        copy(opened, "registry.example", "registry.example")


def test_a_skopeo_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="registry_sync.skopeo")
    monkeypatch.setattr(skopeo_process, "END_SECONDS", 0.3)
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)"
    with ThreadPoolExecutor(1) as pool, stand_in(tmp_path, program) as opened:
        pending = pool.submit(copy, opened, "registry.example", "registry.example")
        wait_until(lambda: caplog.messages[-1:] == [f"{IMAGE.digest.short}: deaf"], "skopeo ignores signals")
        started = time.monotonic()
        opened.stop()
        assert str(pending.exception(timeout=PATIENCE_SECONDS)) == STOPPED
        assert time.monotonic() - started >= 0.3


def test_full_pipes_do_not_block(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="registry_sync.skopeo")
    program = (
        "for number in range(20_000):\n"
        "    print('out', 'x' * 100, number)\n"
        "    print('error', 'x' * 100, number, file=sys.stderr)\n"
        "sys.stdout.flush()\n"
        "sys.stderr.write('no line end')\n"
        "sys.exit(3)"
    )
    with (
        stand_in(tmp_path, program) as opened,
        pytest.raises(TemporaryError) as caught,
    ):
        copy(opened, "registry.example", "registry.example")
    assert len(caplog.messages) == 40_001
    assert str(caught.value).endswith("and is retried (skopeo: no line end)")


def test_a_deleted_program_is_a_temporary_error(tmp_path: Path) -> None:
    with stand_in(tmp_path, "") as opened:
        (tmp_path / "stand-in").unlink()
        with pytest.raises(TemporaryError) as caught:
            copy(opened, "registry.example", "registry.example")
    assert "No such file or directory" in str(caught.value)


@pytest.mark.usefixtures("runner")
def test_the_configuration_of_the_host_is_ignored(
    source: RegistryProcess, destination: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's registries.conf blocks the source. The control shows that skopeo obeys it by default."""
    conf = tmp_path / ".config" / "containers" / "registries.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(f'[[registry]]\nlocation = "{source.host}"\nblocked = true\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    control = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{source.host}/{FROM}:v1"]
    blocked = subprocess.run(control, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert "is blocked in" in blocked.stderr
    copy_once(plain(source), plain(destination))
    assert images.pull_whole(destination.url, TO, IMAGE.digest) == BOTH


@pytest.mark.usefixtures("runner")
def test_log_ins_of_the_host_are_ignored(
    source: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password in REGISTRY_AUTH_FILE is correct. The control shows that skopeo uses it by default."""
    with RegistryProcess(auth=Htpasswd(users={ROBOT.username: ROBOT.secret})) as locked:
        images.push(locked.url, TO, "v1", IMAGE, session=robot_session())
        auth_file = tmp_path / "auth.json"
        auth_file.write_text(json.dumps({"auths": {locked.host: {"auth": ROBOT.basic()}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(auth_file))
        control = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{locked.host}/{TO}:v1"]
        assert subprocess.run(control, capture_output=True, timeout=PATIENCE_SECONDS, check=False).returncode == 0
        assert type(failure(plain(source), plain(locked))) is DeniedError


@pytest.mark.usefixtures("runner")
def test_secrets_are_in_private_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", f"docker://robot:{ROBOT.secret}@registry.example")
    users = Htpasswd(users={ROBOT.username: ROBOT.secret})
    secrets = (ROBOT.secret, ROBOT.basic())
    with (
        RegistryProcess(auth=users) as source,
        RegistryProcess(auth=users) as destination,
        Interceptor(destination.url) as wire,
        ThreadPoolExecutor(1) as pool,
    ):
        images.push(source.url, FROM, "v1", IMAGE, session=robot_session())
        wire.hang("PATCH", "/blobs/")
        sides = plain(source, credentials=ROBOT), plain(wire, credentials=ROBOT)
        with skopeo(*sides) as opened:
            pending = pool.submit(copy, opened, source.host, wire.host)
            wait_until(
                lambda: [request for request in wire.requests() if request.method == "PATCH"], "the upload began"
            )
            (pid,) = RUNNERS[-1].running()
            seen = [(Path("/proc") / str(pid) / name).read_text() for name in ("cmdline", "environ")]
            private = [path for path in tmp_path.iterdir() if (path / "policy.json").exists()]
            files = list(private[0].rglob("auth.json"))
            assert [each.stat().st_mode & 0o777 for each in (*private, *files)] == [0o700, 0o600, 0o600]
            assert all(ROBOT.basic() in file.read_text() for file in files)
        seen += [str(pending.exception()), *caplog.messages]
    assert len(seen) > 4
    assert not [text for text in seen for secret in secrets if secret in text]
    assert not private[0].exists()


@pytest.mark.usefixtures("runner")
def test_the_private_directory_is_removed_after_a_failure(
    source: RegistryProcess, destination: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failure(plain(source), plain(destination), images.multi_arch("not there"))
    with pytest.raises(ConfigurationError, match="no CA file"):
        copy_once(plain(source), Endpoint(host=destination.host, ca_file=tmp_path / "ca.crt"))
    assert [path.name for path in tmp_path.iterdir() if path.name != f"registry_sync-{os.getuid()}"] == []


@pytest.mark.usefixtures("runner")
def test_bytes_are_counted_while_a_copy_runs(source: RegistryProcess, destination: RegistryProcess) -> None:
    image = images.image([images.big_layer(2_000_000, seed=3)])
    images.push(source.url, FROM, None, image)
    with Interceptor(source.url) as slow, ThreadPoolExecutor(1) as pool:
        slow.slow("GET", "/blobs/", 1_000_000)
        with skopeo(plain(slow), plain(destination)) as opened:
            pending = pool.submit(copy, opened, slow.host, destination.host, image)
            seen = wait_until(
                lambda: opened.sent_bytes if opened.sent_bytes > 500_000 else 0, "half a megabyte is sent"
            )
            assert not pending.done()
            assert seen < image.size_bytes
            assert opened.sent_bytes <= pending.result().sent_bytes == opened.sent_bytes
