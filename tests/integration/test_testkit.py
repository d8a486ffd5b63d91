"""The servers and images of testkit, against a real docker-registry and a real skopeo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from urllib3.exceptions import ProtocolError

from registry_sync.oci.reference import Digest
from testkit import images
from testkit.interceptor import ANY, Interceptor
from testkit.loopback import LOOPBACK, Request
from testkit.processes import is_alive
from testkit.registry import Htpasswd, RegistryProcess, RegistryStartError
from testkit.tls import CertificateAuthority
from testkit.token_server import TokenRequest, TokenServer
from testkit.waiting import PATIENCE_SECONDS, wait_until

BOTH = {"linux/amd64", "linux/arm64"}
IMAGE = images.multi_arch("one")


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        yield registry


@pytest.fixture
def interceptor(registry: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(registry.url) as interceptor:
        yield interceptor


def skopeo(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = ["skopeo", "--insecure-policy", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


def copy(source: str, destination: str, *options: str, home: Path) -> subprocess.CompletedProcess[str]:
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    whole = ("copy", "-q", "--all", "--preserve-digests")
    return skopeo(*whole, *plain, *options, f"docker://{source}", f"docker://{destination}", home=home)


class TestImages:
    def test_the_same_arguments_make_the_same_digests(self) -> None:
        assert images.multi_arch("one").digest == IMAGE.digest
        assert images.multi_arch("two").digest != IMAGE.digest
        assert images.big_layer(5000, 1).digest == images.big_layer(5000, 1).digest
        assert images.big_layer(5000, 1).digest != images.big_layer(5000, 2).digest
        assert 3_000_000 <= len(images.big_layer(3_000_000).content) < 3_100_000

    def test_platforms_share_the_base_layer(self) -> None:
        one, two = IMAGE.children
        assert set(one.blobs) & set(two.blobs) == {replace(images.BASE_LAYER, media_type=images.OCI_LAYER)}

    @pytest.mark.parametrize(
        ("image", "platforms"),
        [
            (IMAGE, BOTH),
            (images.multi_arch("docker", format="docker"), BOTH),
            (images.multi_arch("variants", ["linux/arm/v6", "linux/arm/v7"]), {"linux/arm/v6", "linux/arm/v7"}),
            (images.multi_arch("attested", attestations=True), BOTH),
            (images.image([images.layer({"a": b"b"})]), {"linux/amd64"}),
            (images.image([images.layer({})], "windows/amd64", "docker"), {"windows/amd64"}),
            (images.nested_index("nested"), {*BOTH, "linux/s390x"}),
            (images.index_with_descriptor_field("typed", "artifactType"), BOTH),
            (images.index_with_descriptor_field("inlined", "data"), BOTH),
            (images.artifact("chart"), set()),
            (images.artifact("signature", subject=IMAGE), set()),
        ],
        ids=lambda value: value.digest.short if isinstance(value, images.Image) else "",
    )
    def test_what_is_pushed_is_whole(self, registry: RegistryProcess, image: images.Image, platforms: set[str]) -> None:
        assert images.push(registry.url, "team/every-kind", "v1", image) == image.digest
        assert images.resolve(registry.url, "team/every-kind", "v1") == image.digest
        assert images.pull_whole(registry.url, "team/every-kind", "v1") == platforms
        assert images.pull_whole(registry.url, "team/every-kind", image.digest) == platforms

    def test_a_missing_layer_is_found(self, registry: RegistryProcess) -> None:
        image = images.multi_arch("with a layer that goes")
        images.push(registry.url, "team/damaged", "v1", image)
        lost = image.children[1].blobs[2].digest
        registry.forget_blob(lost)
        with pytest.raises(AssertionError, match=rf"/v2/team/damaged/blobs/{lost} answered 404"):
            images.pull_whole(registry.url, "team/damaged", "v1")

    def test_a_missing_platform_is_found(self, registry: RegistryProcess) -> None:
        image = images.multi_arch("with a platform that goes")
        images.push(registry.url, "team/damaged", "v2", image)
        lost = image.children[0].digest
        images.delete_manifest(registry.url, "team/damaged", lost)
        with pytest.raises(AssertionError, match=rf"manifests/{lost} answered 404: .*MANIFEST_UNKNOWN"):
            images.pull_whole(registry.url, "team/damaged", "v2")

    def test_changed_bytes_are_found(self, registry: RegistryProcess, interceptor: Interceptor) -> None:
        images.push(registry.url, "team/changed", "v1", IMAGE)
        blob = IMAGE.children[0].blobs[1]
        interceptor.answer("GET", str(blob.digest), 200, bytes(len(blob.content)))
        with pytest.raises(AssertionError, match=rf"blobs/{blob.digest}: the bytes have sha256:"):
            images.pull_whole(interceptor.url, "team/changed", "v1")

    def test_a_refused_push_shows_status_and_body(self, registry: RegistryProcess) -> None:
        without_blobs = replace(images.image([images.layer({"never": b"pushed"})]), blobs=())
        with pytest.raises(images.PushRefusedError, match=r"PUT http://.*/manifests/v1 answered 400: ") as caught:
            images.push(registry.url, "team/refused", "v1", without_blobs)
        assert caught.value.status == 400
        assert "MANIFEST_BLOB_UNKNOWN" in caught.value.body

    def test_a_missing_tag_resolves_to_none(self, registry: RegistryProcess) -> None:
        assert images.resolve(registry.url, "team/nothing", "v1") is None


class TestSkopeo:
    @pytest.mark.parametrize(
        "image", [images.multi_arch("a", attestations=True), images.multi_arch("b", format="docker")]
    )
    def test_copy_keeps_the_digest(self, registry: RegistryProcess, image: images.Image, tmp_path: Path) -> None:
        images.push(registry.url, "team/source", "v1", image)
        with RegistryProcess() as destination:
            done = copy(f"{registry.host}/team/source:v1", f"{destination.host}/mirror/it:v1", home=tmp_path)
            assert done.returncode == 0, done.stderr
            assert images.resolve(destination.url, "mirror/it", "v1") == image.digest
            assert images.pull_whole(destination.url, "mirror/it", "v1") == BOTH

    @pytest.mark.parametrize("image", [images.multi_arch("a"), images.multi_arch("b", format="docker")])
    def test_layers_are_what_the_config_says(
        self, registry: RegistryProcess, image: images.Image, tmp_path: Path
    ) -> None:
        """Writing to ``oci:`` with new compression makes skopeo unpack each layer and check its diff_id."""
        images.push(registry.url, "team/unpacked", "v1", image)
        source, target = f"docker://{registry.host}/team/unpacked:v1", f"oci:{tmp_path}/layout:v1"
        compression = ("--dest-compress-format=zstd", "--dest-compress")
        done = skopeo("copy", "-q", "--all", "--src-tls-verify=false", *compression, source, target, home=tmp_path)
        assert done.returncode == 0, done.stderr


class TestRegistryProcess:
    def test_requests_are_counted(self, registry: RegistryProcess) -> None:
        registry.clear_requests()
        images.push(registry.url, "team/counted", "v1", images.image([images.layer({"only": b"here"})]))
        seen = registry.requests()
        assert Counter(each.method for each in seen) == {"HEAD": 2, "POST": 2, "PUT": 3}
        assert seen[-1] == Request(method="PUT", path="/v2/team/counted/manifests/v1", status=201)
        assert any("digest=sha256" in each.query for each in seen)
        registry.clear_requests()
        assert registry.requests() == []

    def test_every_finished_request_is_counted(self, registry: RegistryProcess) -> None:
        registry.clear_requests()
        for count in range(1, 30):
            requests.get(f"{registry.url}/v2/", timeout=PATIENCE_SECONDS)
            assert len(registry.requests()) == count

    def test_a_forgotten_tag_is_gone_and_its_manifest_stays(self, registry: RegistryProcess) -> None:
        images.push(registry.url, "team/forgotten", "v1", IMAGE)
        registry.forget_tag("team/forgotten", "v1")
        assert images.resolve(registry.url, "team/forgotten", "v1") is None
        assert images.pull_whole(registry.url, "team/forgotten", IMAGE.digest) == BOTH
        with pytest.raises(FileNotFoundError):
            registry.forget_tag("team/forgotten", "v1")

    @pytest.mark.parametrize("end", [RegistryProcess.stop, RegistryProcess.kill])
    def test_a_restart_keeps_port_images_and_requests(self, end: Callable[[RegistryProcess], None]) -> None:
        with RegistryProcess() as registry:
            images.push(registry.url, "team/kept", "v1", IMAGE)
            host, count = registry.host, len(registry.requests())
            end(registry)
            assert registry.pid is None
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{registry.url}/v2/", timeout=PATIENCE_SECONDS)
            assert len(registry.requests()) == count
            registry.restart()
            assert registry.host == host
            assert images.pull_whole(registry.url, "team/kept", "v1") == BOTH

    def test_read_only_refuses_a_push_and_serves(self, tmp_path: Path) -> None:
        with RegistryProcess(storage=tmp_path) as registry:
            images.push(registry.url, "team/fixed", "v1", IMAGE)
        with RegistryProcess(storage=tmp_path, read_only=True) as registry:
            assert images.pull_whole(registry.url, "team/fixed", "v1") == BOTH
            with pytest.raises(images.PushRefusedError, match="answered 405"):
                images.push(registry.url, "team/fixed", "v2", images.multi_arch("two"))

    def test_deletion_can_be_off(self) -> None:
        with RegistryProcess(delete_enabled=False) as registry:
            images.push(registry.url, "team/kept", "v1", IMAGE)
            with pytest.raises(images.PushRefusedError, match="answered 405"):
                images.delete_manifest(registry.url, "team/kept", IMAGE.digest)

    def test_a_password_is_required(self, tmp_path: Path) -> None:
        with RegistryProcess(auth=Htpasswd(users={"robot": "s3cret"})) as registry:
            with pytest.raises(images.PushRefusedError) as caught:
                images.push(registry.url, "team/private", "v1", IMAGE)
            assert caught.value.status == 401
            session = requests.Session()
            session.auth = ("robot", "s3cret")
            images.push(registry.url, "team/private", "v1", IMAGE, session=session)
            place = f"{registry.host}/team/private"
            wrong = copy(f"{place}:v1", f"{place}:v2", "--src-creds=robot:wrong", home=tmp_path)
            assert "unauthorized" in wrong.stderr
            creds = ("--src-creds=robot:s3cret", "--dest-creds=robot:s3cret")
            right = copy(f"{place}:v1", f"{place}:v2", *creds, home=tmp_path)
            assert right.returncode == 0, right.stderr
            assert images.pull_whole(registry.url, "team/private", "v2", session=session) == BOTH

    def test_a_taken_port_shows_the_log(self, registry: RegistryProcess) -> None:
        port = int(registry.host.rpartition(":")[2])
        other = RegistryProcess(port=port)
        with pytest.raises(
            RegistryStartError, match=r"ended before it answered on port \d+:\n.*address already in use"
        ):
            other.start()
        assert other.pid is None
        other.close()

    def test_a_port_stays_ours_while_nothing_listens_on_it(self) -> None:
        """Otherwise another test's server or connection can have it between a stop and a start."""
        with RegistryProcess() as registry:
            registry.stop()
            address = (LOOPBACK, int(registry.host.rpartition(":")[2]))
            with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
                other.bind(address)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            registry.start()
            images.push(registry.url, "team/app", "v1", IMAGE)

    def test_a_missing_binary_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(RegistryStartError, match=r"docker-registry is not installed; .*apt-get install"):
            RegistryProcess().__enter__()

    def test_no_process_and_no_files_stay(self) -> None:
        with RegistryProcess() as registry:
            pid, directory = registry.pid, registry.storage.parent
            assert pid is not None
            assert directory.exists()
        assert not Path(f"/proc/{pid}").exists()
        assert not directory.exists()

    def test_it_dies_with_a_killed_parent(self, tmp_path: Path) -> None:
        program = (
            "import sys\n"
            "from pathlib import Path\n"
            "from testkit.registry import RegistryProcess\n"
            "registry = RegistryProcess(storage=Path(sys.argv[1]))\n"
            "registry.start()\n"
            "print(registry.pid, registry._directory, flush=True)\n"
            "sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", program, str(tmp_path / "storage")]
        environment = {
            "PYTHONPATH": ":".join(sys.path),
            "PATH": os.environ["PATH"],
            "TMPDIR": str(tmp_path),
        }
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline().split()[0])
            assert Path(f"/proc/{pid}").exists()
            parent.kill()
        wait_until(lambda: not is_alive(pid), "it has ended")


class TestTls:
    def test_the_authority_is_what_makes_it_trusted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        authority = CertificateAuthority.create(tmp_path / "ca")
        with RegistryProcess(tls=authority.issue()) as registry:
            images.push(registry.url, "team/safe", "v1", IMAGE, ca_file=authority.ca_file)
            with pytest.raises(requests.exceptions.SSLError):
                images.pull_whole(registry.url, "team/safe", "v1")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca_file))
            other = CertificateAuthority.create(tmp_path / "other")
            with pytest.raises(requests.exceptions.SSLError):
                images.pull_whole(registry.url, "team/safe", "v1", ca_file=other.ca_file, session=requests.Session())
            target = f"docker://{registry.host}/team/safe:v1"
            certificates = f"--cert-dir={authority.ca_file.parent}"
            assert skopeo("inspect", target, home=tmp_path).returncode == 1
            assert skopeo("inspect", "--raw", certificates, target, home=tmp_path).stdout == IMAGE.content.decode()

    def test_an_expired_certificate_is_refused(self, tmp_path: Path) -> None:
        authority = CertificateAuthority.create(tmp_path)
        with (
            RegistryProcess(tls=authority.issue(expired=True)) as registry,
            pytest.raises(requests.exceptions.SSLError, match="certificate has expired"),
        ):
            images.resolve(registry.url, "team/safe", "v1", ca_file=authority.ca_file)

    def test_an_interceptor_reaches_a_registry_with_tls(self, tmp_path: Path) -> None:
        authority = CertificateAuthority.create(tmp_path)
        with (
            RegistryProcess(tls=authority.issue()) as registry,
            Interceptor(registry.url, ca_file=authority.ca_file) as interceptor,
        ):
            images.push(interceptor.url, "team/through", "v1", IMAGE)
            assert images.pull_whole(interceptor.url, "team/through", "v1") == BOTH
            assert len(interceptor.requests()) == len(registry.requests())


class TestTokenServer:
    @pytest.mark.parametrize("states_expiry", [True, False])
    def test_rights_are_by_user_and_repository(self, tmp_path: Path, *, states_expiry: bool) -> None:
        grants = {"robot": {"team/*": ["pull", "push"]}, "reader": {"team/*": ["pull"]}}
        passwords = {"robot": "s3cret", "reader": "r3ad"}
        anonymous = {"team/public": ["pull"]}
        with (
            TokenServer(passwords, grants=grants, anonymous=anonymous, states_expiry=states_expiry) as tokens,
            RegistryProcess(auth=tokens.token_auth) as registry,
        ):
            for repository in ("team/public", "team/private"):
                session = tokens.session(repository)
                images.push(registry.url, repository, "v1", IMAGE, session=session)
                assert images.pull_whole(registry.url, repository, "v1", session=session) == BOTH
            assert tokens.requests() == []

            def outcome(repository: str, *creds: str) -> str:
                source, target = f"{registry.host}/{repository}:v1", f"{registry.host}/{repository}:v2"
                return copy(source, target, *creds, home=tmp_path).stderr

            robot = ("--src-creds=robot:s3cret", "--dest-creds=robot:s3cret")
            assert outcome("team/private", *robot) == ""
            assert outcome("team/public", "--dest-creds=robot:s3cret") == ""
            assert "requested access to the resource is denied" in outcome("team/private")
            assert "denied" in outcome("team/private", "--src-creds=reader:r3ad", "--dest-creds=reader:r3ad")
            assert "incorrect username or password" in outcome("team/private", "--src-creds=robot:wrong")
            seen = tokens.requests()
            assert TokenRequest(user=None, scopes=("repository:team/private:pull",), status=200) in seen
            assert TokenRequest(user="robot", scopes=("repository:team/private:pull,push",), status=200) in seen
            assert seen[-1] == TokenRequest(user="robot", scopes=("repository:team/private:pull",), status=401)
            tokens.clear_requests()
            assert tokens.requests() == []

    def test_the_answer_has_the_form_of_the_specification(self) -> None:
        with TokenServer({"robot": "s3cret"}, lifetime_seconds=120) as tokens:
            query = {"service": "test-registry", "scope": "repository:a/b:pull registry:catalog:*"}
            document = requests.get(tokens.realm, query, auth=("robot", "s3cret"), timeout=PATIENCE_SECONDS).json()
            refused = requests.get(tokens.realm, query, auth=("robot", "wrong"), timeout=PATIENCE_SECONDS)
            assert document["token"] == document["access_token"]
            assert document["expires_in"] == 120
            assert refused.status_code == 401
            assert refused.json()["errors"][0]["code"] == "UNAUTHORIZED"
            assert tokens.requests()[0].scopes == ("repository:a/b:pull", "registry:catalog:*")

    def test_the_catalog_needs_its_own_grant(self) -> None:
        with (
            TokenServer({}, anonymous={"registry:catalog": ["*"]}) as tokens,
            RegistryProcess(auth=tokens.token_auth) as registry,
        ):
            catalog = f"{registry.url}/v2/_catalog"
            assert requests.get(catalog, timeout=PATIENCE_SECONDS).status_code == 401
            token = requests.get(tokens.realm, {"scope": "registry:catalog:*"}, timeout=PATIENCE_SECONDS).json()[
                "token"
            ]
            headers = {"Authorization": f"Bearer {token}"}
            assert requests.get(catalog, headers=headers, timeout=PATIENCE_SECONDS).json() == {"repositories": []}


class TestInterceptor:
    def test_everything_passes(self, interceptor: Interceptor, registry: RegistryProcess, tmp_path: Path) -> None:
        registry.clear_requests()
        image = images.image([images.big_layer(3_000_000)])
        images.push(interceptor.url, "team/through", "v1", image)
        done = copy(f"{interceptor.host}/team/through:v1", f"{interceptor.host}/other/place:v1", home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert images.pull_whole(interceptor.url, "other/place", "v1") == {"linux/amd64"}
        assert sorted(interceptor.requests(), key=repr) == sorted(registry.requests(), key=repr)
        interceptor.clear_requests()
        assert interceptor.requests() == []

    def test_chunked_uploads_pass(self, interceptor: Interceptor) -> None:
        content = images.big_layer(500_000).content
        started = requests.post(f"{interceptor.url}/v2/team/chunked/blobs/uploads/", timeout=PATIENCE_SECONDS)
        assert started.headers["Location"].startswith(f"{interceptor.url}/v2/team/chunked/")
        pieces = (content[start : start + 7000] for start in range(0, len(content), 7000))
        sent = requests.patch(started.headers["Location"], data=pieces, timeout=PATIENCE_SECONDS)
        query = {"digest": str(Digest.of(content))}
        done = requests.put(sent.headers["Location"], params=query, timeout=PATIENCE_SECONDS)
        assert done.status_code == 201
        assert requests.get(done.headers["Location"], timeout=PATIENCE_SECONDS).content == content

    def test_answer_replaces_the_upstreams_answer(self, interceptor: Interceptor, registry: RegistryProcess) -> None:
        registry.clear_requests()
        interceptor.answer("GET", "^/v2/$", 429, b"slow down", {"Retry-After": "7"}, times=2)
        interceptor.answer("GET", "^/v2/$", 503, times=1)
        with requests.Session() as session:
            answers = [session.get(f"{interceptor.url}/v2/", timeout=PATIENCE_SECONDS) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [429, 429, 503, 200]
        assert (answers[0].content, answers[0].headers["Retry-After"]) == (b"slow down", "7")
        assert [request.status for request in interceptor.requests()] == [429, 429, 503, 200]
        assert len(registry.requests()) == 1

    def test_answer_to_an_upload_reads_its_body(self, interceptor: Interceptor) -> None:
        interceptor.answer("PUT", "/manifests/", 409, times=1)
        with requests.Session() as session:
            with pytest.raises(images.PushRefusedError, match="answered 409"):
                images.push(interceptor.url, "team/again", "v1", IMAGE, session=session)
            images.push(interceptor.url, "team/again", "v1", IMAGE, session=session)

    def test_rules_can_be_cleared(self, interceptor: Interceptor) -> None:
        interceptor.answer(ANY, "", 500)
        assert requests.head(f"{interceptor.url}/v2/", timeout=PATIENCE_SECONDS).status_code == 500
        interceptor.clear_rules()
        assert requests.head(f"{interceptor.url}/v2/", timeout=PATIENCE_SECONDS).status_code == 200

    def test_reset_cuts_the_connection(self, interceptor: Interceptor) -> None:
        interceptor.reset("GET", "^/v2/", times=1)
        with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
            requests.get(f"{interceptor.url}/v2/", timeout=PATIENCE_SECONDS)
        assert requests.get(f"{interceptor.url}/v2/", timeout=PATIENCE_SECONDS).status_code == 200
        assert [request.status for request in interceptor.requests()] == [0, 200]

    def test_truncate_cuts_the_body(self, interceptor: Interceptor) -> None:
        image = images.image([images.big_layer(300_000)])
        images.push(interceptor.url, "team/cut", "v1", image)
        interceptor.truncate("GET", str(image.blobs[1].digest), 100_000, times=1)
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            images.pull_whole(interceptor.url, "team/cut", "v1")
        assert images.pull_whole(interceptor.url, "team/cut", "v1") == {"linux/amd64"}

    def test_truncate_can_look_like_an_end(self, interceptor: Interceptor) -> None:
        image = images.image([images.big_layer(300_000)])
        images.push(interceptor.url, "team/cut", "v2", image)
        path = f"/v2/team/cut/blobs/{image.blobs[1].digest}"
        interceptor.truncate("GET", path, 100_000, times=1, is_reset=False)
        with requests.get(f"{interceptor.url}{path}", stream=True, timeout=PATIENCE_SECONDS) as answer:
            assert len(answer.raw.read(100_000)) == 100_000
            with pytest.raises(ProtocolError, match="IncompleteRead"):
                answer.raw.read(1)

    def test_lose_processes_the_request_and_drops_the_response(
        self, interceptor: Interceptor, registry: RegistryProcess
    ) -> None:
        interceptor.lose("PUT", "/manifests/v1$", times=1)
        with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
            images.push(interceptor.url, "team/lost", "v1", IMAGE)
        assert images.resolve(registry.url, "team/lost", "v1") == IMAGE.digest

    def test_corrupt_damages_what_is_sent_or_what_is_answered(self, interceptor: Interceptor) -> None:
        image = images.image([images.big_layer(200_000)])
        interceptor.corrupt("PUT", "/blobs/uploads/", times=1)
        with pytest.raises(images.PushRefusedError, match="DIGEST_INVALID"):
            images.push(interceptor.url, "team/damaged", "v1", image)
        images.push(interceptor.url, "team/damaged", "v1", image)
        path = f"/v2/team/damaged/blobs/{image.blobs[1].digest}"
        interceptor.corrupt("GET", path, times=1)
        damaged, whole = (requests.get(f"{interceptor.url}{path}", timeout=PATIENCE_SECONDS).content for _ in range(2))
        assert (damaged[:-1], damaged[-1]) == (whole[:-1], whole[-1] ^ 0xFF)

    def test_header_changes_an_answer(self, interceptor: Interceptor) -> None:
        images.push(interceptor.url, "team/header", "v1", IMAGE)
        other = Digest.of(b"other")
        interceptor.header("HEAD", "/manifests/v1$", "Docker-Content-Digest", str(other), times=1)
        seen = [images.resolve(interceptor.url, "team/header", "v1") for _ in range(2)]
        assert seen == [other, IMAGE.digest]

    def test_anonymous_forgets_who_asks(self) -> None:
        with RegistryProcess(auth=Htpasswd(users={"robot": "secret"})) as locked, Interceptor(locked.url) as wire:
            wire.anonymous("GET", "^/v2/$", times=1)
            answers = [
                requests.get(f"{wire.url}/v2/", auth=("robot", "secret"), timeout=PATIENCE_SECONDS) for _ in range(2)
            ]
        assert [answer.status_code for answer in answers] == [401, 200]
        assert answers[0].headers["WWW-Authenticate"] == 'Basic realm="tests"'

    def test_tls_with_a_certificate_that_is_replaced(self, registry: RegistryProcess, tmp_path: Path) -> None:
        authority = CertificateAuthority.create(tmp_path)
        with Interceptor(registry.url, certificate=authority.issue()) as interceptor:
            images.push(interceptor.url, "team/encrypted", "v1", IMAGE, ca_file=authority.ca_file)
            assert images.pull_whole(interceptor.url, "team/encrypted", "v1", ca_file=authority.ca_file) == BOTH
            interceptor.show(authority.issue(expired=True))
            with pytest.raises(requests.exceptions.SSLError, match="certificate has expired"):
                images.resolve(interceptor.url, "team/encrypted", "v1", ca_file=authority.ca_file)

    def test_hang_ends_with_the_client(self, interceptor: Interceptor) -> None:
        interceptor.hang("GET", "^/v2/$", times=1)
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{interceptor.url}/v2/", timeout=(PATIENCE_SECONDS, 0.1))
        wait_until(lambda: [request.status for request in interceptor.requests()] == [0], "the request is recorded")

    def test_stop_releases_what_hangs(self, registry: RegistryProcess) -> None:
        failures: list[Exception] = []

        def ask(url: str) -> None:
            try:
                requests.get(url, timeout=PATIENCE_SECONDS)
            except requests.ConnectionError as error:
                failures.append(error)

        earlier = set(threading.enumerate())

        def new_threads() -> int:
            return len(set(threading.enumerate()) - earlier)

        with Interceptor(registry.url) as interceptor:
            interceptor.hang("GET", "^/v2/$")
            interceptor.delay("GET", "^/v2/_catalog$", 2 * PATIENCE_SECONDS)
            clients = [
                threading.Thread(target=ask, args=(f"{interceptor.url}/v2/{path}",)) for path in ("", "_catalog")
            ]
            for client in clients:
                client.start()
            wait_until(lambda: len(interceptor.requests()) == 1 and new_threads() == 5, "the threads run")
        for client in clients:
            client.join(PATIENCE_SECONDS)
        assert len(failures) == 2
        wait_until(lambda: new_threads() == 0, "the threads have ended")

    def test_after_acts_between_answer_and_client(self, interceptor: Interceptor, registry: RegistryProcess) -> None:
        images.push(registry.url, "team/moving", "v1", IMAGE)
        seen: list[Request] = []

        def forget(request: Request) -> None:
            seen.append(request)
            registry.forget_tag("team/moving", "v1")

        interceptor.after("GET", "/team/moving/tags/list$", forget, times=1)
        listed = requests.get(f"{interceptor.url}/v2/team/moving/tags/list?n=5", timeout=PATIENCE_SECONDS).json()
        assert listed["tags"] == ["v1"]
        assert seen == [Request(method="GET", path="/v2/team/moving/tags/list", query="n=5", status=200)]
        assert images.resolve(interceptor.url, "team/moving", "v1") is None

    def test_slow_and_delay_take_their_time(self, interceptor: Interceptor) -> None:
        image = images.image([images.big_layer(40_000)])
        interceptor.slow("PUT", "/blobs/uploads/", 200_000)
        interceptor.slow("GET", "/blobs/", 200_000)
        interceptor.delay("GET", "/manifests/", 0.1)
        for move in (images.push, images.pull_whole):
            started = time.monotonic()
            if move is images.push:
                images.push(interceptor.url, "team/slow", "v1", image)
            else:
                images.pull_whole(interceptor.url, "team/slow", "v1")
            assert time.monotonic() - started > 0.19

    def test_a_dead_registry_is_a_502(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with Interceptor(f"http://127.0.0.1:{unused.getsockname()[1]}") as interceptor:
                answer = requests.get(f"{interceptor.url}/v2/", timeout=PATIENCE_SECONDS)
        assert answer.status_code == 502
        assert "no answer from the registry: ConnectionRefusedError" in answer.text


class TestWaiting:
    def test_the_first_true_value_is_returned(self) -> None:
        values = iter([0, None, "", 7])
        assert wait_until(lambda: next(values), "a number comes") == 7

    def test_waiting_in_vain_shows_the_last_state(self) -> None:
        with pytest.raises(TimeoutError) as caught:
            wait_until(lambda: False, "it is up", seconds=0.01, seen=lambda: {"db": "down"})
        assert str(caught.value) == "waited 0.01 s in vain until it is up {'db': 'down'}"
