"""Policies that the real skopeo enforces before a tag is published, also for content at the destination."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from registry_sync.errors import ConfigurationError
from registry_sync.oci.artifact_tags import referrers_tag
from registry_sync.oci.reserved_tags import platform_cache_tag
from registry_sync.skopeo.config_files import PolicyFiles
from registry_sync.skopeo.local import find_skopeo
from registry_sync.skopeo.policy import can_verify_sigstore, check_policies
from registry_sync.sync.reading.platform_cache import PlatformCache
from testkit import images
from testkit.gpg import Signer
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route
from testkit.waiting import PATIENCE_SECONDS
from tests.integration.conftest import SkopeoLog


@pytest.fixture(scope="module")
def signer(source: RegistryProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with Signer(tmp_path_factory.mktemp("trust"), source.host) as signer:
        yield signer


def trusting(signer: Signer) -> dict[str, Any]:
    return {"policy": signer.policy, "registries_d": signer.registries_d}


def test_what_is_signed_is_mirrored_and_what_is_not_is_refused(
    source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
) -> None:
    signed, other = images.multi_arch(f"{name} signed"), images.multi_arch(f"{name} other")
    images.push(source.url, name, "v1", signed)
    images.push(source.url, name, "v2", other)
    signer.sign_all(name, signed)
    report = run_route(make_route(source, destination, name, **trusting(signer)))
    assert counted(report) == {"copied": 1, "failed": 1}
    assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64", "linux/arm64"}
    failed = result_of(report, "v2")
    assert failed.error_class == "refused"
    assert failed.reason == (
        f"{source.host}/{name}@{other.digest} is not accepted by the policy {str(signer.policy)!r}; sign it as the "
        "policy requires, or change the policy (skopeo: copying image 1/2 from manifest list: Source image rejected: "
        "A signature was required, but no signature exists)"
    )
    assert images.resolve(destination.url, name, "v2") is None


def test_every_child_of_an_index_has_to_pass(
    source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
) -> None:
    content = images.multi_arch(name)
    images.push(source.url, name, "v1", content)
    signer.sign(name, content.children[0])
    result = result_of(run_route(make_route(source, destination, name, **trusting(signer))), "v1")
    assert (result.outcome, result.error_class) == ("failed", "refused")
    assert "copying image 2/2 from manifest list: Source image rejected" in result.reason
    assert images.resolve(destination.url, name, "v1") is None


def test_a_signature_by_another_key_is_refused(
    source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str, tmp_path: Path
) -> None:
    content = images.image([images.layer({"a": name.encode()})])
    images.push(source.url, name, "v1", content)
    with Signer(tmp_path, source.host) as other:
        other.sign(name, content)
        settings: dict[str, Any] = {"policy": signer.policy, "registries_d": other.registries_d}
        result = result_of(run_route(make_route(source, destination, name, **settings)), "v1")
    assert result.error_class == "refused"
    assert "is not accepted by the policy" in result.reason
    assert images.resolve(destination.url, name, "v1") is None


class TestContentAtTheDestination:
    """It was pushed by others, or mirrored before the policy existed. Tags at the destination are not checked."""

    @pytest.mark.parametrize("kind", ["index", "single", "nested"])
    def test_is_not_published_past_the_policy(
        self, source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str, kind: str
    ) -> None:
        layer = images.layer({"a": name.encode()})
        content = {
            "index": images.multi_arch(name),
            "single": images.image([layer]),
            "nested": images.nested_index(name),
        }[kind]
        images.push(source.url, name, "v1", content)
        images.push(destination.url, name, None, content)
        result = result_of(run_route(make_route(source, destination, name, **trusting(signer))), "v1")
        assert (result.outcome, result.error_class) == ("failed", "refused")
        assert "is not accepted by the policy" in result.reason
        assert images.resolve(destination.url, name, "v1") is None

    def test_is_not_sent_again_when_it_passes(
        self, source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
    ) -> None:
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        images.push(destination.url, name, None, content)
        signer.sign_all(name, content)
        destination.clear_requests()
        assert counted(run_route(make_route(source, destination, name, **trusting(signer)))) == {"copied": 1}
        assert not [request for request in destination.requests() if request.method in ("POST", "PATCH")]

    def test_is_not_published_at_a_registry_without_push_by_digest(
        self, source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
    ) -> None:
        content = images.image([images.layer({"a": name.encode()})])
        images.push(source.url, name, "v1", content)
        images.push(destination.url, name, None, content)
        with Interceptor(destination.url) as wire:
            wire.answer("PUT", "/manifests/sha256:", 400)
            result = result_of(run_route(make_route(source, wire, name, **trusting(signer))), "v1")
        assert "is not accepted by the policy" in result.reason
        assert images.resolve(destination.url, name, "v1") is None


LIES: dict[str, tuple[str, int, bytes]] = {
    "manifest 400": ("/manifests/sha256:", 400, b'{"errors": [{"code": "MANIFEST_INVALID", "message": "no"}]}'),
    "manifest 404": ("/manifests/sha256:", 404, b""),
    "manifest 405": ("/manifests/sha256:", 405, b'{"errors": [{"code": "UNSUPPORTED", "message": "no"}]}'),
    "manifest 415": ("/manifests/sha256:", 415, b""),
    "manifest 200 HTML": ("/manifests/sha256:", 200, b"<html>it works</html>"),
    "ping 400": ("/v2/$", 400, b""),
    "ping 405": ("/v2/$", 405, b""),
    "blob 400": ("/blobs/sha256:", 400, b""),
}
"""Answers of a source to skopeo alone. Our own client reads the true content."""


def content_of(kind: str, text: str) -> images.Image:
    layer = images.layer({"a": text.encode()})
    return {
        "single": images.image([layer]),
        "index": images.multi_arch(text),
        "platform index": images.multi_arch(text, ["linux/amd64", "linux/s390x"]),
        "nested": images.nested_index(text),
    }[kind]


class TestSourceThatKeepsSkopeoFromChecking:
    """skopeo meets the answer before or instead of its check, and exits without the words of a rejection."""

    @pytest.mark.parametrize(
        ("lie", "kind", "is_held"),
        [
            *((lie, "single", is_held) for lie in LIES for is_held in (False, True)),
            *(
                (lie, kind, is_held)
                for lie in ("manifest 400", "manifest 405")
                for kind in ("index", "platform index", "nested")
                for is_held in (False, True)
            ),
        ],
    )
    def test_gets_nothing_published(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        name: str,
        tmp_path: Path,
        *,
        lie: str,
        kind: str,
        is_held: bool,
    ) -> None:
        content = content_of(kind, name)
        images.push(source.url, name, "v1", content)
        if is_held:
            images.push(destination.url, name, None, content)
        settings: dict[str, Any] = {"platforms": ("linux/amd64",)} if kind == "platform index" else {}
        path, status, body = LIES[lie]
        with Interceptor(source.url) as liar, Signer(tmp_path, liar.host) as signer:
            liar.answer("GET", path, status, body, only_skopeo=True)
            report = run_route(make_route(liar, destination, name, **settings, **trusting(signer)))
        assert counted(report) == {"failed": 1}
        assert images.resolve(destination.url, name, "v1") is None


def with_fields(shown: images.Image, hidden: images.Image, *names: str) -> images.Image:
    """``shown`` with fields of ``hidden`` under names in capitals. Go reads these, and most other languages do not."""
    document, other = json.loads(shown.content), json.loads(hidden.content)
    document |= {name.title(): other[name] for name in names}
    content, blobs = json.dumps(document).encode(), (*shown.blobs, *hidden.blobs)
    return replace(shown, content=content, blobs=blobs, children=(*shown.children, *hidden.children))


class TestFieldsThatOnlySomeClientsRead:
    """skopeo, registries and runtimes read the last of ``manifests`` and ``Manifests``; we read the first."""

    def test_lead_to_no_image_past_the_policy(
        self, source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
    ) -> None:
        """A platform index is made here, and keeps all fields of its source."""
        content, evil = images.multi_arch(name, ["linux/amd64", "linux/s390x"]), images.multi_arch(f"{name} evil")
        images.push(source.url, name, "v1", with_fields(content, evil, "manifests"))
        images.push(destination.url, name, None, evil)
        signer.sign_all(name, content)
        settings: dict[str, Any] = {"platforms": ("linux/amd64",), **trusting(signer)}
        result = result_of(run_route(make_route(source, destination, name, **settings)), "v1")
        assert (result.outcome, result.error_class) == ("failed", "refused")
        assert "it has a field 'Manifests', which some clients read as 'manifests' and others ignore" in result.reason
        assert images.resolve(destination.url, name, "v1") is None

    def test_make_no_artifact_of_an_image(
        self, source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
    ) -> None:
        content, evil = images.multi_arch(name), content_of("single", f"{name} evil")
        tag = images.cosign_tag(content)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, tag, with_fields(images.bare_artifact("sbom"), evil, "config", "layers"))
        signer.sign_all(name, content)
        report = run_route(make_route(source, destination, name, **trusting(signer)))
        assert counted(report) == {"copied": 1, "failed": 1}
        assert "it has a field 'Config', which some clients read as 'config'" in result_of(report, tag).reason
        assert images.resolve(destination.url, name, tag) is None


class TestArtifactThatIsAnImage:
    """The tag of a signature, or an entry in a list of referrers, that leads to an image nobody signed."""

    @pytest.mark.parametrize("kind", ["single", "index"])
    def test_is_refused_as_a_cosign_tag(
        self, source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str, kind: str
    ) -> None:
        content, evil = images.multi_arch(name), content_of(kind, f"{name} evil")
        tag = images.cosign_tag(content)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, tag, evil)
        signer.sign_all(name, content)
        report = run_route(make_route(source, destination, name, **trusting(signer)))
        assert counted(report) == {"copied": 1, "failed": 1}
        failed = result_of(report, tag)
        assert failed.error_class == "refused"
        assert failed.reason == (
            f"attached to {content.digest.short}, cannot be copied: it is an image, not an artifact; the policy does "
            "not check attached artifacts"
        )
        self.assert_absent(destination, name, evil)

    def test_is_not_listed_as_a_referrer_although_it_is_there(
        self, source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
    ) -> None:
        content, evil = images.multi_arch(name), content_of("single", f"{name} evil")
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, referrers_tag(content.digest), images.index([evil]))
        images.push(destination.url, name, None, evil)
        signer.sign_all(name, content)
        report = run_route(make_route(source, destination, name, **trusting(signer)))
        assert counted(report) == {"copied": 1, "failed": 1}
        assert images.resolve(destination.url, name, referrers_tag(content.digest)) is None

    @pytest.mark.parametrize("kind", ["single", "index"])
    def test_is_refused_as_a_referrer(
        self, source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str, kind: str
    ) -> None:
        content, evil = images.multi_arch(name), content_of(kind, f"{name} evil")
        sbom = images.bare_artifact("sbom", subject=content)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, None, sbom)
        images.push(source.url, name, referrers_tag(content.digest), images.referrers_list([evil, sbom]))
        signer.sign_all(name, content)
        report = run_route(make_route(source, destination, name, **trusting(signer)))
        assert counted(report) == {"copied": 2, "failed": 1}
        assert "it is an image, not an artifact" in result_of(report, str(evil.digest)).reason
        assert images.resolve(destination.url, name, sbom.digest) == sbom.digest
        self.assert_absent(destination, name, evil)

    def assert_absent(self, destination: RegistryProcess, name: str, evil: images.Image) -> None:
        assert images.resolve(destination.url, name, evil.digest) is None
        for blob in evil.all_blobs():
            if blob.digest != images.BASE_LAYER.digest:
                address = f"{destination.url}/v2/{name}/blobs/{blob.digest}"
                assert requests.head(address, timeout=PATIENCE_SECONDS).status_code == 404

    def test_is_mirrored_without_a_policy(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        content, other = images.multi_arch(name), images.multi_arch(f"{name} other")
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, images.cosign_tag(content), other)
        assert counted(run_route(make_route(source, destination, name))) == {"copied": 2}


def test_a_platform_index_needs_signatures_of_its_images_only(
    source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
) -> None:
    content = images.multi_arch(name, ["linux/amd64", "linux/s390x"])
    images.push(source.url, name, "v1", content)
    settings = {**trusting(signer), "platforms": ("linux/amd64",)}
    route = make_route(source, destination, name, **settings)
    assert "is not accepted by the policy" in result_of(run_route(route), "v1").reason
    signer.sign(name, content.children[0])
    assert counted(run_route(route)) == {"copied": 1}
    assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64"}


def test_signatures_of_a_trusted_image_need_none_themselves(
    source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str, skopeo_log: SkopeoLog
) -> None:
    content = images.multi_arch(name)
    tag = images.cosign_tag(content)
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, tag, images.cosign_signature(content))
    signer.sign_all(name, content)
    assert counted(run_route(make_route(source, destination, name, **trusting(signer)))) == {"copied": 2}
    assert images.resolve(destination.url, name, tag) is not None
    assert [str(signer.policy) in copy for copy in skopeo_log.copies] == [True, False]


def test_artifacts_of_a_refused_image_are_not_copied(
    source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
) -> None:
    content = images.multi_arch(name)
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, images.cosign_tag(content), images.cosign_signature(content))
    assert counted(run_route(make_route(source, destination, name, **trusting(signer)))) == {"failed": 1}
    assert images.resolve(destination.url, name, images.cosign_tag(content)) is None


def test_a_platform_cache_leads_to_no_image_that_was_not_checked(
    source: RegistryProcess, destination: RegistryProcess, signer: Signer, name: str
) -> None:
    """The destination's cache says that the platform index of an image is another, unsigned image there."""
    content, evil = images.multi_arch(name, ["linux/amd64", "linux/s390x"]), content_of("single", f"{name} evil")
    images.push(source.url, name, "v1", content)
    images.push(destination.url, name, None, evil)
    signer.sign_all(name, content)
    cache = PlatformCache(mapped={content.digest: evil.digest}).to_manifest(["linux/amd64"])
    cached = images.Image(content=cache.content, media_type=cache.media_type)
    images.push(destination.url, name, platform_cache_tag("team"), cached)
    settings = {**trusting(signer), "platforms": ("linux/amd64",)}
    result = result_of(run_route(make_route(source, destination, name, **settings)), "v1")
    assert (result.outcome, result.error_class) == ("failed", "refused")
    assert f"but the platform cache has {evil.digest.short}; delete the tag " in result.reason
    assert images.resolve(destination.url, name, "v1") is None


def test_a_missing_policy_fails_the_copy(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    """The check at the start of a run may run on another worker."""
    images.push(source.url, name, "v1", images.image([]))
    route = make_route(source, destination, name, policy=Path("/nowhere/policy.json"))
    result = result_of(run_route(route), "v1")
    assert (result.outcome, result.error_class) == ("failed", "configuration")
    assert "open /nowhere/policy.json: no such file or directory" in result.reason
    assert images.resolve(destination.url, name, "v1") is None


class TestSigstore:
    @pytest.fixture
    def policy(self, tmp_path: Path) -> Path:
        path = tmp_path / "policy.json"
        keys = {"type": "sigstoreSigned", "keyPath": str(tmp_path / "key.pub")}
        identity = {"signedIdentity": {"type": "matchRepository"}}
        path.write_text(json.dumps({"default": [{**keys, **identity}]}))
        return path

    def test_a_skopeo_without_sigstore_is_reported_at_the_start(self, policy: Path) -> None:
        skopeo = find_skopeo()
        if can_verify_sigstore(skopeo):
            check_policies([PolicyFiles(policy=policy)], skopeo)
            return
        with pytest.raises(ConfigurationError) as caught:
            check_policies([PolicyFiles(policy=policy)], skopeo)
        assert str(caught.value) == (
            f"the policy {str(policy)!r} requires sigstore signatures (sigstoreSigned), which {skopeo.path} "
            f"{skopeo.version} cannot verify: Debian 12 builds it without; install skopeo 1.18 or later, as Debian 13 "
            "and https://github.com/containers/skopeo/blob/main/install.md have it, or require signedBy (GPG)"
        )

    def test_what_is_signed_is_mirrored_and_what_is_not_is_refused(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, policy: Path
    ) -> None:
        if not can_verify_sigstore(find_skopeo()):
            pytest.skip("this skopeo was built without sigstore, as Debian 12's is")
        content = images.image([images.layer({"a": name.encode()})])
        images.push(source.url, name, "v2", images.image([images.layer({"b": name.encode()})]))
        images.push(source.url, name, "plain", content)
        registries_d = sign_by_sigstore(policy.parent, f"{source.host}/{name}")
        settings: dict[str, Any] = {"policy": policy, "registries_d": registries_d}
        report = run_route(make_route(source, destination, name, **settings))
        assert {tag.tag: tag.outcome for tag in report.tags} == {
            "plain": "copied",
            "v1": "copied",
            "v2": "failed",
            images.cosign_tag(content): "copied",
        }
        assert "is not accepted by the policy" in result_of(report, "v2").reason


def sign_by_sigstore(directory: Path, repository: str) -> Path:
    """Push ``plain`` as ``v1`` with a signature under cosign's tag; returns the registries.d for it."""
    registries_d, passphrase = directory / "registries.d", directory / "passphrase"
    registries_d.mkdir()
    (registries_d / "tests.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")
    passphrase.write_text("secret\n")
    key = str(directory / "key")
    for command in (
        ["generate-sigstore-key", "--output-prefix", key, "--passphrase-file", str(passphrase)],
        [
            *("--registries.d", str(registries_d), "--insecure-policy", "copy", "--preserve-digests"),
            *("--src-tls-verify=false", "--dest-tls-verify=false", "--sign-by-sigstore-private-key", f"{key}.private"),
            *("--sign-passphrase-file", str(passphrase), f"docker://{repository}:plain", f"docker://{repository}:v1"),
        ],
    ):
        subprocess.run(["skopeo", *command], check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    return registries_d
