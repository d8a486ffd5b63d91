"""Platform names, and indexes that are reduced to selected platforms. Pure and deterministic.

A platform index is the source's document without some entries of ``manifests``. All other fields and entries keep their
content and order. It is written as ASCII JSON without whitespace, so its digest depends on the source's bytes and the
selected platforms only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry_sync.errors import ConfigurationError, RefusedError
from registry_sync.oci.manifest import Descriptor, Manifest, Platform, parse_manifest
from registry_sync.oci.reference import Digest

_ATTESTATION_SUBJECT = "vnd.docker.reference.digest"
"""Annotation of BuildKit's attestations with the digest of their image in the same index.

https://docs.docker.com/build/metadata/attestations/storage/
"""

IMAGE_CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
"""Types of config that contain a platform. Helm charts and other artifacts have configs of other types."""

_ARCHITECTURE_ALIASES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i686": "386",
    "armhf": "arm/v7",
    "armv7": "arm/v7",
}
"""Names of architectures outside of images → names in images: https://go.dev/doc/install/source#environment."""

_DEFAULT_VARIANTS = {"arm64": "v8"}
"""Variant of an architecture that is written without one: https://github.com/containerd/platforms."""


class PlatformNotSelected(RefusedError):
    """The image has a single platform, which is not selected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredIndex:
    """The index to mirror. ``missing`` lists the selected platforms that the image does not have."""

    manifest: Manifest
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformIndex:
    """An index with some of the children of ``source``. ``manifest`` is ``None`` when only its digest is known."""

    source: Digest
    manifest: Manifest | None = None


def parse_platform(text: str) -> str:
    """Check a platform of a mirrors file, ``os/architecture[/variant]``, and return it.

    >>> parse_platform("linux/arm/v7")
    'linux/arm/v7'

    :raises ConfigurationError: when it is not a platform, or uses an alias such as ``aarch64``.
    """
    parts = text.split("/")
    if not (len(parts) in (2, 3) and all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in parts)):
        raise ConfigurationError(f"expected a platform such as linux/amd64 or linux/arm/v7, got {text!r}")
    if architecture := _ARCHITECTURE_ALIASES.get(parts[1]):
        raise ConfigurationError(f"{text!r} is not a platform name of images; write '{parts[0]}/{architecture}'")
    return text


def matches_platform(platform: Platform, selected: str) -> bool:
    """Return whether ``selected`` includes a platform. Without a variant it includes all variants.

    >>> matches_platform(Platform(os="linux", architecture="arm", variant="v7"), "linux/arm")
    True
    """
    os, architecture, *variant = selected.split("/")
    if (platform.os, platform.architecture) != (os, architecture):
        return False
    default = _DEFAULT_VARIANTS.get(architecture)
    return not variant or (platform.variant or default) == variant[0]


def filter_index(index: Manifest, platforms: Sequence[str]) -> FilteredIndex:
    """Keep the children for ``platforms`` and their attestations. Returns ``index`` itself when all children are kept.

    An index without any platform (of artifacts or further indexes) is returned unchanged.

    :raises RefusedError: when the index has platforms, but none of ``platforms``.
    """
    available = [child.platform for child in index.children if child.platform and is_runnable(child.platform)]
    if not available:
        return FilteredIndex(manifest=index)
    missing = tuple(
        selected for selected in platforms if not any(matches_platform(platform, selected) for platform in available)
    )
    if len(missing) == len(platforms):
        names = ", ".join(sorted({str(platform) for platform in available}))
        raise RefusedError(f"the image has none of the platforms {', '.join(platforms)}; it has {names}")
    return FilteredIndex(manifest=_keep_platforms(index, platforms), missing=missing)


def is_runnable(platform: Platform) -> bool:
    """Return whether images can run on it. BuildKit's attestations have the platform ``unknown/unknown``."""
    return bool(platform.os and platform.architecture) and (platform.os, platform.architecture) != (
        "unknown",
        "unknown",
    )


def _keep_platforms(index: Manifest, platforms: Sequence[str]) -> Manifest:
    document: dict[str, Any] = json.loads(index.content)
    entries = list(zip(document["manifests"], index.children, strict=True))
    images = {str(child.digest) for _, child in entries if _is_selected(child, platforms)}
    kept = [
        entry for entry, child in entries if _is_selected(child, platforms) or _attestation_subject(entry) in images
    ]
    if len(kept) == len(entries):
        return index
    document["manifests"] = kept
    return parse_manifest(json.dumps(document, separators=(",", ":")).encode("ascii"), index.media_type)


def _is_selected(child: Descriptor, platforms: Sequence[str]) -> bool:
    return child.platform is not None and any(matches_platform(child.platform, selected) for selected in platforms)


def _attestation_subject(entry: dict[str, Any]) -> str | None:
    annotations = entry.get("annotations")
    subject = annotations.get(_ATTESTATION_SUBJECT) if isinstance(annotations, dict) else None
    return subject if isinstance(subject, str) else None


def parse_config_platform(content: bytes) -> Platform | None:
    """Parse the platform in an image's config; ``None`` when the config has no platform.

    :raises RefusedError: when the config is not a JSON object.
    """
    try:
        document = json.loads(content)
        os, architecture, variant = (str(document.get(key) or "") for key in ("os", "architecture", "variant"))
    except (ValueError, AttributeError, RecursionError) as error:
        raise RefusedError(f"its config is broken, so its platform is unknown: {error!r}") from error
    platform = Platform(os=os, architecture=architecture, variant=variant or None)
    return platform if is_runnable(platform) else None
