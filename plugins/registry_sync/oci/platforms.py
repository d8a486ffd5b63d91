"""Which platforms of an image are mirrored, and the index that is made of them. Pure, and the same to the byte always.

The made index is the source's own document with some entries of ``manifests`` left out: every other field, and every
field of the entries that stay, is as it was and in its place. It is written as JSON without whitespace, in ASCII. So
the source's bytes and the chosen platforms alone decide about its digest.
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

SUBJECT_OF_ATTESTATION = "vnd.docker.reference.digest"
"""The annotation by which BuildKit's attestation in an index names the image that it is about.

https://docs.docker.com/build/metadata/attestations/storage/
"""

IMAGE_CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
"""The types of config that say which platform an image is for. Helm charts and other artifacts have none of them."""

_OTHER_NAMES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i686": "386",
    "armhf": "arm/v7",
    "armv7": "arm/v7",
}
"""What machines call architectures that images call otherwise: https://go.dev/doc/install/source#environment."""

_SAME_AS_NONE = {"arm64": "v8"}
"""The variant that is meant where an architecture has none: https://github.com/containerd/platforms."""


class PlatformNotSelected(RefusedError):
    """The image is for one platform, and that is not a chosen one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredIndex:
    """What is mirrored of an image: ``manifest``, and which of the chosen platforms it lacks."""

    manifest: Manifest
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformIndex:
    """An index that is made of some of the children of ``source``; ``manifest`` where that was read."""

    source: Digest
    manifest: Manifest | None = None


def parse_platform(text: str) -> str:
    """A platform as a mirrors file writes it, ``os/architecture[/variant]``.

    >>> parse_platform("linux/arm/v7")
    'linux/arm/v7'

    :raises ConfigurationError: when it is none.
    """
    parts = text.split("/")
    if not (len(parts) in (2, 3) and all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in parts)):
        raise ConfigurationError(f"expected a platform such as linux/amd64 or linux/arm/v7, got {text!r}")
    if usual := _OTHER_NAMES.get(parts[1]):
        raise ConfigurationError(f"{text!r} is no platform of images; write '{parts[0]}/{usual}'")
    return text


def matches_platform(platform: Platform, chosen: str) -> bool:
    """Whether ``chosen`` stands for a platform. Without a variant it stands for all of them.

    >>> matches_platform(Platform(os="linux", architecture="arm", variant="v7"), "linux/arm")
    True
    """
    os, architecture, *variant = chosen.split("/")
    if (platform.os, platform.architecture) != (os, architecture):
        return False
    usual = _SAME_AS_NONE.get(architecture)
    return not variant or (platform.variant or usual) == variant[0]


def choose(index: Manifest, platforms: Sequence[str]) -> FilteredIndex:
    """The index with the children for ``platforms`` and their attestations. With nothing left out it is itself.

    An index that names no platform at all, of artifacts or of further indexes, is not taken apart.

    :raises RefusedError: when no child is for a chosen platform.
    """
    named = [each.platform for each in index.children if each.platform and is_runnable(each.platform)]
    if not named:
        return FilteredIndex(manifest=index)
    missing = tuple(each for each in platforms if not any(matches_platform(platform, each) for platform in named))
    if len(missing) == len(platforms):
        has = ", ".join(sorted({str(each) for each in named}))
        raise RefusedError(f"none of the platforms {', '.join(platforms)} is in it; it has {has}")
    return FilteredIndex(manifest=_without_others(index, platforms), missing=missing)


def is_runnable(platform: Platform) -> bool:
    """Whether something runs on it. BuildKit gives its attestations the platform ``unknown/unknown``."""
    return bool(platform.os and platform.architecture) and (platform.os, platform.architecture) != (
        "unknown",
        "unknown",
    )


def _without_others(index: Manifest, platforms: Sequence[str]) -> Manifest:
    document: dict[str, Any] = json.loads(index.content)
    entries = list(zip(document["manifests"], index.children, strict=True))
    images = {str(child.digest) for _, child in entries if _is_wanted(child, platforms)}
    kept = [entry for entry, child in entries if _is_wanted(child, platforms) or _subject(entry) in images]
    if len(kept) == len(entries):
        return index
    document["manifests"] = kept
    return parse_manifest(json.dumps(document, separators=(",", ":")).encode("ascii"), index.media_type)


def _is_wanted(child: Descriptor, platforms: Sequence[str]) -> bool:
    return child.platform is not None and any(matches_platform(child.platform, each) for each in platforms)


def _subject(entry: dict[str, Any]) -> str | None:
    annotations = entry.get("annotations")
    found = annotations.get(SUBJECT_OF_ATTESTATION) if isinstance(annotations, dict) else None
    return found if isinstance(found, str) else None


def platform_of_config(content: bytes) -> Platform | None:
    """The platform in an image's config; ``None`` when it names none.

    :raises RefusedError: when it is no config.
    """
    try:
        document = json.loads(content)
        os, architecture, variant = (str(document.get(key) or "") for key in ("os", "architecture", "variant"))
    except (ValueError, AttributeError, RecursionError) as error:
        raise RefusedError(f"its config is broken, so that its platform is not known: {error!r}") from error
    platform = Platform(os=os, architecture=architecture, variant=variant or None)
    return platform if is_runnable(platform) else None
