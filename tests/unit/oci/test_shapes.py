"""Judging manifests by the media types of their config and layers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry_sync.oci.manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest, parse_manifest
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import has_subject, is_blob, is_image, skopeo_obstacle
from testkit import images

OCI_CONFIG, DOCKER_CONFIG = images.OCI_CONFIG, images.DOCKER_CONFIG
OCI_LAYER, DOCKER_LAYER = images.OCI_LAYER, images.DOCKER_LAYER
OCI_TAR = "application/vnd.oci.image.layer.v1.tar"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def entry(media_type: str, algorithm: str = "sha256", size_bytes: int = 7) -> dict[str, Any]:
    digest = Digest.of(b"content", algorithm)
    return {"mediaType": media_type, "digest": str(digest), "size": size_bytes}


def of(config: dict[str, Any], *layers: dict[str, Any], media_type: str = OCI_MANIFEST) -> Manifest:
    return parse_manifest(json.dumps({"config": config, "layers": layers}).encode(), media_type)


def index_of(*children: dict[str, Any]) -> Manifest:
    return parse_manifest(json.dumps({"manifests": children}).encode(), OCI_INDEX)


def manifest(config: str, *layers: str, media_type: str = OCI_MANIFEST) -> Manifest:
    entries = [{"mediaType": each, "digest": f"sha256:{64 * 'a'}", "size": 7} for each in (config, *layers)]
    return parse_manifest(json.dumps({"config": entries[0], "layers": entries[1:]}).encode(), media_type)


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        (OCI_CONFIG, (OCI_LAYER,)),
        (OCI_CONFIG, (OCI_TAR,)),
        (OCI_CONFIG, (f"{OCI_TAR}+zstd",)),
        (OCI_CONFIG, (f"{OCI_TAR}+gzip+encrypted",)),
        (OCI_CONFIG, ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",)),
        (OCI_CONFIG, (images.COSIGN_PAYLOAD, OCI_LAYER)),
        (OCI_CONFIG.upper(), (f"{OCI_LAYER}; charset=utf-8",)),
        (DOCKER_CONFIG, (DOCKER_LAYER,)),
        (DOCKER_CONFIG, (FOREIGN,)),
        (DOCKER_CONFIG, (OCI_LAYER,)),
        (DOCKER_CONFIG, ("application/octet-stream",)),
        ("application/octet-stream", (DOCKER_LAYER,)),
        ("application/json", (OCI_LAYER,)),
        ("text/html", ("",)),
        ("", (images.COSIGN_PAYLOAD, DOCKER_LAYER)),
        ("application/vnd.docker.plugin.v1+json", (DOCKER_LAYER,)),
    ],
)
@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_images_config_with_a_layer_of_files_is_an_image(
    config: str, layers: tuple[str, ...], media_type: str
) -> None:
    assert is_image(manifest(config, *layers, media_type=media_type))


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        (OCI_CONFIG, (images.COSIGN_PAYLOAD, images.COSIGN_PAYLOAD)),
        (OCI_CONFIG, ("text/spdx+json",)),
        (OCI_CONFIG, (images.IN_TOTO,)),
        (OCI_CONFIG, ()),
        (images.EMPTY_CONFIG, (images.EMPTY_CONFIG,)),
        (images.EMPTY_CONFIG, (OCI_LAYER,)),
        (images.HELM_CONFIG, (images.HELM_LAYER,)),
        (images.HELM_CONFIG, ("application/octet-stream",)),
        ("application/vnd.cncf.notary.signature", ("application/jose+json",)),
    ],
)
def test_other_manifests_are_artifacts(config: str, layers: tuple[str, ...]) -> None:
    assert not is_image(manifest(config, *layers))


def test_the_case_of_a_childs_type_makes_no_blob_of_it() -> None:
    assert not is_blob(index_of(entry(OCI_MANIFEST.upper())).children[0])
    assert is_blob(index_of(entry(OCI_LAYER.upper())).children[0])


def test_every_index_is_an_image() -> None:
    content = images.index([])
    assert is_image(parse_manifest(content.content, content.media_type))


@pytest.mark.parametrize(
    ("content", "obstacle"),
    [
        (of(entry(OCI_CONFIG, size_bytes=4 * 1024 * 1024 + 1)), "its config has 4194305 bytes, more than 4 MiB"),
        (of(entry(OCI_CONFIG, "sha512")), "it has digests by sha512"),
        (of(entry(OCI_CONFIG), entry(OCI_LAYER, "sha512")), "it has digests by sha512"),
        (index_of(entry(OCI_MANIFEST, "sha512")), "it has digests by sha512"),
        (
            of(entry(DOCKER_CONFIG), entry(DOCKER_LAYER), entry(OCI_LAYER), media_type=DOCKER_MANIFEST),
            f"it is of Docker's type with a layer of type {OCI_LAYER!r}",
        ),
        (
            index_of(entry(OCI_MANIFEST), entry("application/vnd.buildkit.cacheconfig.v0")),
            "it is an index of 'application/vnd.buildkit.cacheconfig.v0', as the caches of BuildKit are",
        ),
        (
            parse_manifest(b"\xef\xbb\xbf" + json.dumps({"config": entry(OCI_CONFIG)}).encode(), OCI_MANIFEST),
            "its JSON begins with a byte order mark",
        ),
    ],
)
def test_an_obstacle_for_skopeo_is_seen_by_the_shape(content: Manifest, obstacle: str) -> None:
    assert skopeo_obstacle(content) == obstacle


@pytest.mark.parametrize(
    "content",
    [
        of(entry(OCI_CONFIG, size_bytes=4 * 1024 * 1024), entry(DOCKER_LAYER)),
        of(entry(images.HELM_CONFIG), entry(images.HELM_LAYER), entry("text/plain")),
        of(entry(DOCKER_CONFIG), entry(DOCKER_LAYER), entry(FOREIGN), media_type=DOCKER_MANIFEST),
        index_of(),
        index_of(entry(OCI_INDEX), entry(OCI_MANIFEST), entry(DOCKER_MANIFEST)),
    ],
)
def test_other_shapes_are_left_to_skopeo(content: Manifest) -> None:
    assert skopeo_obstacle(content) == ""


def test_a_subject_is_seen() -> None:
    content = images.image([])
    attached, plain = images.bare_artifact("x", subject=content), images.bare_artifact("x")
    assert [has_subject(parse_manifest(each.content, each.media_type)) for each in (attached, plain)] == [True, False]
