"""Documents of the OCI image spec: descriptors, image manifests, image indexes.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md,
https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md; Docker's formats:
https://distribution.github.io/distribution/spec/manifest-v2-2/
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry_sync.errors import RefusedError, UnsupportedType
from registry_sync.oci.field_names import check_names, reject_repeated
from registry_sync.oci.reference import Digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})

MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

ACCEPT = f"{OCI_INDEX}, {DOCKER_LIST}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
"""All types that can be mirrored. With a shorter list a registry may return a converted manifest, or 404."""

_MANIFEST_FIELDS = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"}
)

_DESCRIPTOR_FIELDS = frozenset(
    {"mediaType", "artifactType", "digest", "size", "urls", "data", "platform", "annotations"}
)

_PLATFORM_FIELDS = frozenset({"architecture", "os", "os.version", "os.features", "variant", "features"})

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""Maximum size of a manifest: registries should accept up to this size (distribution spec, "Pushing Manifests")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The platform of a child of an index.

    >>> str(Platform(os="linux", architecture="arm", variant="v7"))
    'linux/arm/v7'
    """

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A reference to content by type, digest and size; a child of an index may have a platform.

    :ivar urls: addresses to download a layer from. It may then be absent at a registry.
    """

    media_type: str
    digest: Digest
    size_bytes: int
    platform: Platform | None = None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest or index: its exact bytes, and the descriptors in it.

    An index has ``children`` and no ``blobs``; an image manifest has ``blobs`` (its config first, then its layers).
    """

    content: bytes
    media_type: str
    digest: Digest
    children: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES

    @property
    def format(self) -> str:
        """The value of skopeo's ``--format`` for this media type."""
        return "v2s2" if self.media_type in (DOCKER_LIST, DOCKER_MANIFEST) else "oci"


def parse_manifest(content: bytes, media_type: str) -> Manifest:
    """Parse a manifest or index.

    :param media_type: the Content-Type of the response; its parameters are ignored.
    :raises RefusedError: for a type that cannot be mirrored (Docker schema 1, for example) or a broken document.
    """
    digest = Digest.of(content)
    media_type = parse_media_type(media_type, digest)
    try:
        document = json.loads(content, object_pairs_hook=reject_repeated)
        check_names(document, _MANIFEST_FIELDS)
        _check_unambiguous(document, is_index=media_type in INDEX_TYPES)
        if media_type in INDEX_TYPES:
            children = tuple(map(_parse_descriptor, document.get("manifests") or ()))
            return Manifest(content=content, media_type=media_type, digest=digest, children=children)
        blobs = tuple(map(_parse_descriptor, (document["config"], *(document.get("layers") or ()))))
        return Manifest(content=content, media_type=media_type, digest=digest, blobs=blobs)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RefusedError(f"manifest {digest.short} ({media_type}) is broken: {error!r}") from error


def _check_unambiguous(document: Mapping[str, Any], *, is_index: bool) -> None:
    """:raises ValueError: when an index has fields of an image manifest, or an image manifest those of an index.

    Clients read such a document in different ways:
    https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
    """
    foreign = [name for name in (("config", "layers") if is_index else ("manifests",)) if name in document]
    if foreign:
        raise ValueError(f"it is {'an index' if is_index else 'an image'} with {' and '.join(map(repr, foreign))}")


def is_manifest(media_type: str) -> bool:
    """Return whether a Content-Type is that of a manifest or index that can be mirrored."""
    return _strip_parameters(media_type) in INDEX_TYPES | MANIFEST_TYPES


def _strip_parameters(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def parse_media_type(media_type: str, digest: Digest) -> str:
    """Parse the media type in a Content-Type. :raises UnsupportedType: when it cannot be mirrored."""
    media_type = _strip_parameters(media_type)
    if not is_manifest(media_type):
        raise UnsupportedType(f"manifest {digest.short} is of type {media_type!r}, which cannot be mirrored unchanged")
    return media_type


def merge_indexes(indexes: Iterable[Manifest]) -> Manifest:
    """Merge the entries of all indexes into one OCI index, each digest once, in order of appearance.

    Entries are copied unchanged, because those of a list of referrers have ``artifactType`` and annotations.
    """
    entries: dict[str, dict[str, Any]] = {}
    for index in indexes:
        for child, entry in zip(index.children, json.loads(index.content).get("manifests") or (), strict=True):
            entries.setdefault(str(child.digest), entry)
    return make_index(list(entries.values()))


def select_children(index: Manifest, digests: Collection[Digest]) -> Manifest:
    """An OCI index of the children with these digests, their entries unchanged."""
    entries = json.loads(index.content).get("manifests") or ()
    return make_index([entry for child, entry in zip(index.children, entries, strict=True) if child.digest in digests])


def make_index(entries: Sequence[Mapping[str, Any]], annotations: Mapping[str, str] | None = None) -> Manifest:
    """An OCI index of ``entries``. The same entries always give the same bytes."""
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return parse_manifest(json.dumps(document, separators=(",", ":")).encode("ascii"), OCI_INDEX)


def _parse_descriptor(raw: dict[str, Any]) -> Descriptor:
    check_names(raw, _DESCRIPTOR_FIELDS)
    platform = raw.get("platform")
    return Descriptor(
        media_type=str(raw["mediaType"]),
        digest=Digest.parse(raw["digest"]),
        size_bytes=int(raw["size"]),
        platform=_parse_platform(platform) if platform else None,
        urls=tuple(map(str, raw.get("urls") or ())),
    )


def _parse_platform(raw: dict[str, Any]) -> Platform:
    """Parse a platform leniently: an index with an incomplete platform can still be mirrored."""
    check_names(raw, _PLATFORM_FIELDS)
    os, architecture, variant = (str(raw.get(key) or "") for key in ("os", "architecture", "variant"))
    return Platform(os=os, architecture=architecture, variant=variant or None)
