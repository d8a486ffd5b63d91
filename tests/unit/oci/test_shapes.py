"""Judging manifests by the media types of their config and layers."""

from __future__ import annotations

import json

import pytest

from registry_sync.oci.manifest import DOCKER_MANIFEST, OCI_MANIFEST, Manifest, parse_manifest
from registry_sync.oci.shapes import is_image
from testkit import images

OCI_CONFIG, DOCKER_CONFIG = images.OCI_CONFIG, images.DOCKER_CONFIG
OCI_LAYER, DOCKER_LAYER = images.OCI_LAYER, images.DOCKER_LAYER
OCI_TAR = "application/vnd.oci.image.layer.v1.tar"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


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
        ("application/vnd.cncf.notary.signature", ("application/jose+json",)),
    ],
)
def test_other_manifests_are_artifacts(config: str, layers: tuple[str, ...]) -> None:
    assert not is_image(manifest(config, *layers))


def test_every_index_is_an_image() -> None:
    content = images.index([])
    assert is_image(parse_manifest(content.content, content.media_type))
