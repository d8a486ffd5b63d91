"""Judge a manifest by its shape: the media types of its config and its layers. Pure."""

from __future__ import annotations

from registry_sync.oci.manifest import Manifest
from registry_sync.oci.platforms import IMAGE_CONFIGS

_LAYER_PREFIXES = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
"""Starts of the types of layers with files: any compression, encrypted, nondistributable, foreign.

https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md
"""


def is_image(manifest: Manifest) -> bool:
    """Return whether a machine could run this manifest: an index, or an image's config with a layer of files.

    A classic cosign signature has an image's config, but no layer of files. A layer of files under another config
    belongs to an artifact, such as those of ``oras push``.
    """
    if manifest.is_index:
        return True
    config, *layers = manifest.blobs
    return _base_type(config.media_type) in IMAGE_CONFIGS and any(
        _base_type(layer.media_type).startswith(_LAYER_PREFIXES) for layer in layers
    )


def _base_type(media_type: str) -> str:
    """A media type without parameters. Runtimes compare types without regard to case (RFC 6838, 4.2)."""
    return media_type.partition(";")[0].strip().lower()
