"""Judge a manifest by its shape: the media types of its config and its layers. Pure."""

from __future__ import annotations

import json

from registry_sync.oci.manifest import DOCKER_MANIFEST, OCI_INDEX, Descriptor, Manifest

_IMAGE_PREFIXES = ("application/vnd.oci.image.", "application/vnd.docker.")
"""Starts of the types of images' configs and layers: any compression, encrypted, nondistributable, foreign.

https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md
"""

_OLD_IMAGE_TYPES = frozenset({"application/octet-stream", "application/json", "text/html", ""})
"""Types that configs and layers of old images have. dockerd still runs these: ``checkSupportedMediaType`` in
https://github.com/moby/moby/blob/master/distribution/pull_v2.go, https://github.com/moby/moby/issues/22378.
"""


def is_image(manifest: Manifest) -> bool:
    """Return whether a machine could run this manifest: an index, or an image's config with a layer of files.

    A classic cosign signature has an image's config, but no layer of files. A layer of files under another config
    belongs to an artifact, such as those of ``oras push``.
    """
    if manifest.is_index:
        return True
    config, *layers = manifest.blobs
    return _is_of_image(config) and any(map(_is_of_image, layers))


def _is_of_image(blob: Descriptor) -> bool:
    media_type = _base_type(blob.media_type)
    return media_type.startswith(_IMAGE_PREFIXES) or media_type in _OLD_IMAGE_TYPES


def is_referrers_list(manifest: Manifest) -> bool:
    """Return whether an index may be a list of referrers: OCI's type, and no entry has a platform.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
    """
    return manifest.media_type == OCI_INDEX and not any(child.platform for child in manifest.children)


def _base_type(media_type: str) -> str:
    """A media type without parameters. Runtimes compare types without regard to case (RFC 6838, 4.2)."""
    return media_type.partition(";")[0].strip().lower()


def has_subject(manifest: Manifest) -> bool:
    """Return whether a manifest names the manifest that it is attached to, as OCI 1.1 allows."""
    return bool(json.loads(manifest.content).get("subject"))


MAX_SKOPEO_CONFIG_BYTES = 4 * 1024 * 1024
"""Largest config that skopeo reads: https://github.com/containers/image/blob/main/internal/iolimits/iolimits.go."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_DOCKER_LAYERS = frozenset(
    {
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)
"""Types of layers that skopeo copies in a manifest of Docker's schema 2."""


def is_blob(child: Descriptor) -> bool:
    """Return whether an entry of an index is a layer or a config (as in BuildKit's caches) instead of a manifest."""
    media_type = _base_type(child.media_type)
    return not ("manifest" in media_type or "index" in media_type)


def is_foreign(blob: Descriptor) -> bool:
    """Return whether a layer is downloaded from its ``urls`` only, as those of Windows, and not from registries.

    A layer of another type with ``urls`` may be downloaded from there as well:
    https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#properties.
    """
    media_type = _base_type(blob.media_type)
    return bool(blob.urls) and ("foreign" in media_type or "nondistributable" in media_type)


def blobs_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """The blobs that a manifest names itself: config and layers, and those that an index lists."""
    return (*manifest.blobs, *filter(is_blob, manifest.children))


def skopeo_obstacle(manifest: Manifest) -> str:
    """Name the part of a manifest's shape that skopeo cannot copy; empty without one.

    The registries accept all of these shapes.
    """
    if manifest.content.startswith(_BYTE_ORDER_MARK):
        return "its JSON begins with a byte order mark"
    named = (manifest.digest, *(descriptor.digest for descriptor in (*manifest.blobs, *manifest.children)))
    if any(digest.algorithm != "sha256" for digest in named):
        return "it has digests by sha512"
    if layer := next(filter(is_blob, manifest.children), None):
        return f"it is an index of {layer.media_type!r}, as the caches of BuildKit are"
    return _obstacle_of_image(manifest) if manifest.blobs else ""


def _obstacle_of_image(manifest: Manifest) -> str:
    config, *layers = manifest.blobs
    if config.size_bytes > MAX_SKOPEO_CONFIG_BYTES:
        return f"its config has {config.size_bytes} bytes, more than 4 MiB"
    if manifest.media_type != DOCKER_MANIFEST:
        return ""
    odd = next((layer.media_type for layer in layers if layer.media_type not in _DOCKER_LAYERS), "")
    return f"it is of Docker's type with a layer of type {odd!r}" if odd else ""
