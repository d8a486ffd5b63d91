"""Tags of the artifacts attached to an image: signatures, attestations, SBOMs, lists of referrers. Pure.

Cosign names a tag after the digest of the image, ``sha256-<hex>.sig``
(https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md#storage). OCI 1.1 has a list of referrers for each
digest. Registries without that API store it as an index under the tag ``sha256-<hex>``
(https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from registry_sync.oci.reference import Digest
from registry_sync.oci.reserved_tags import RESERVED_TAG_REASON, is_reserved_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactTag:
    """A listed tag of an artifact. ``None`` means unknown; ``pushed_at`` is aware UTC."""

    name: str
    digest: Digest | None = None
    pushed_at: datetime | None = None


COSIGN_SUFFIXES = (".sig", ".att", ".sbom")

_DIGEST_TAG = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(\.sig|\.att|\.sbom)?")
"""Tags that this package copies with their image. They contain the whole digest of the image."""

_DIGEST_PREFIX = re.compile(r"sha(256|512)-[0-9a-f]{64}")
"""Start of any tag that a tool may have named after a digest, with unknown suffixes and shortened sha512 digests."""


def subject_of(tag: str) -> Digest | None:
    """The digest of the image that a tag's artifact is attached to; ``None`` for ordinary tags.

    >>> subject_of("sha256-" + 64 * "a" + ".sig").short
    'sha256:aaaaaaaaaaaa'
    """
    match = _DIGEST_TAG.fullmatch(tag)
    if match is None:
        return None
    try:
        return Digest.parse(f"{match[1]}:{match[2]}")
    except ValueError:
        return None


def is_bare_digest(tag: str) -> bool:
    """Return whether a tag is a digest without an ending: an image, or a list of referrers, as its own digest shows.

    >>> is_bare_digest("sha256-" + 64 * "a"), is_bare_digest("sha256-" + 64 * "a" + ".sig")
    (True, False)
    """
    return subject_of(tag) is not None and not tag.endswith(COSIGN_SUFFIXES)


def is_own_digest(tag: str, digest: Digest | None) -> bool:
    """Return whether a tag is named after the image that it has, as oc-mirror v2 does. It is an image's tag.

    https://github.com/openshift/oc-mirror/issues/981. The manifest of an artifact has another digest than its subject.
    """
    return digest is not None and subject_of(tag) == digest


def referrers_tag(digest: Digest) -> str:
    """The tag of the list of referrers at a registry without the referrers API.

    The spec shortens the algorithm to 32 and the digest to 64 characters, which keeps every tag short enough.
    """
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"


def reject_artifact_tags(tags: Collection[str], *, signatures: bool) -> dict[str, str]:
    """Tags that are never mirrored as images (artifacts, our own platform caches), with the reason for each.

    :param signatures: artifacts are copied with their images, so their tags are not rejected.
    """
    artifacts = {} if signatures else dict.fromkeys(filter(subject_of, tags), _ARTIFACT_REASON)
    return {tag: artifacts.get(tag, RESERVED_TAG_REASON) for tag in tags if tag in artifacts or is_reserved_tag(tag)}


_ARTIFACT_REASON = "attached to an image, and signatures is false"


def is_artifact_name(name: str) -> bool:
    """Return whether a report calls an attached artifact by this name: its tag, or its digest if it has none.

    >>> is_artifact_name("sha256:" + 64 * "a"), is_artifact_name("sha256-" + 64 * "a" + ".sig"), is_artifact_name("v1")
    (True, True, False)
    """
    return ":" in name or is_artifact_tag(name)


def is_artifact_tag(tag: str) -> bool:
    """Return whether a tag's name starts with a digest, as those of all attached artifacts do.

    Pruning keeps such tags. Their subject may be unknown, so this matches more than :func:`subject_of`.
    """
    return _DIGEST_PREFIX.match(tag) is not None
