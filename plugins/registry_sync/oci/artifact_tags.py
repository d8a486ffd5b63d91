"""What belongs to an image: signatures, attestations and SBOMs, by the names that their tags have. Pure.

Cosign tags them after the digest that they are about, ``sha256-<hex>.sig``
(https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md#storage). OCI 1.1 has a list for each digest,
which registries without that API keep as an index under the tag ``sha256-<hex>``
(https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from registry_sync.oci.reference import Digest
from registry_sync.oci.reserved_tags import PLATFORM_CACHE_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactTag:
    """A listed tag that is about a digest; ``pushed_at`` is aware UTC. ``None`` is unknown."""

    name: str
    digest: Digest | None = None
    pushed_at: datetime | None = None


COSIGN_SUFFIXES = (".sig", ".att", ".sbom")

_TAG = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(\.sig|\.att|\.sbom)?")


def subject_of(tag: str) -> Digest | None:
    """The digest that a tag is about by its name; ``None`` when it is an ordinary tag.

    >>> subject_of("sha256-" + 64 * "a" + ".sig").short
    'sha256:aaaaaaaaaaaa'
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    try:
        return Digest.parse(f"{match[1]}:{match[2]}")
    except ValueError:
        return None


def referrers_tag(digest: Digest) -> str:
    """The tag of the list of referrers, where a registry has no API for it.

    The spec cuts both parts, so that every algorithm fits: at 32 and 64 characters.
    """
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"


def reject_artifact_tags(tags: Collection[str], *, signatures: bool) -> dict[str, str]:
    """The tags that are not mirrored since they are about images, or are our own, each with that for a reason."""
    about = {} if signatures else dict.fromkeys(filter(subject_of, tags), _LEFT_BEHIND)
    return {tag: about.get(tag, _OWN_NOTE) for tag in tags if tag in about or tag.startswith(PLATFORM_CACHE_PREFIX)}


_LEFT_BEHIND = "belongs to an image, and signatures is false"

_OWN_NOTE = "a note of registry_sync's own about the repository that it mirrors to"

ABOUT_A_DIGEST = re.compile(r"sha(256|512)-[0-9a-f]{64}.*")


def is_artifact_tag(tag: str) -> bool:
    """Whether a tag is a signature, an attestation, an SBOM or a list of referrers, by its name."""
    return ABOUT_A_DIGEST.match(tag) is not None
