"""Manifests and digests from the responses of a registry, checked.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from registry_sync.errors import (
    DamagedContent,
    DeniedError,
    LoginRejected,
    NotAManifest,
    NotFound,
    RefusedError,
    TemporaryError,
)
from registry_sync.oci.manifest import Manifest, is_manifest, parse_manifest, parse_media_type
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.wire.response import Response

log = logging.getLogger(__name__)

ManifestCall = Callable[[str], Response]
"""Request a manifest by a method, ``HEAD`` or ``GET``."""

_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"


def find_digest(call: ManifestCall, target: str | Digest, *, is_expected: bool = False) -> Digest | None:
    """The digest of a tag (or digest), or ``None`` when it does not exist.

    One GET follows where the HEAD is refused or has no digest. Registries have answered 405, 400, 403 or 501 to a
    HEAD, and 404 for a tag that a GET finds: https://github.com/distribution/distribution/issues/1485,
    https://github.com/nicholas-fedor/watchtower/issues/667. A GET also gives the reason of a refusal.

    :param is_expected: a GET also follows a HEAD that does not find it.
    """
    try:
        if digest := call("HEAD").digest():
            return digest
    except NotFound:
        if not is_expected:
            return None
    except LoginRejected:
        raise
    except (DeniedError, RefusedError) as error:
        log.info("%s; trying a GET", error)
    return _read_digest(call, target)


def _read_digest(call: ManifestCall, target: str | Digest) -> Digest | None:
    """GET a manifest and compute its digest. :raises NotAManifest: when the response is not JSON."""
    try:
        response = call("GET")
    except NotFound:
        return None
    try:
        response.json()
    except TemporaryError as error:
        raise NotAManifest(str(error)) from error
    return Digest.of(response.content, target.algorithm if isinstance(target, Digest) else "sha256")


def check_manifest(response: Response, repository: Repository, target: Digest) -> Manifest:
    """The manifest of a response to GET. :raises DamagedContent: when its bytes do not match the digest.

    :raises NotAManifest: when the media type is not a manifest's either.
    :raises RefusedError: for a type that cannot be mirrored, such as schema 1, whose digest covers only a part of its
        bytes.
    """
    media_type = response.headers.get("Content-Type", "")
    if not media_type.startswith(_SCHEMA_1) and Digest.of(response.content, target.algorithm) != target:
        damage = f"{repository}@{target} arrived damaged: its content has another digest"
        if is_manifest(media_type):
            raise DamagedContent(damage)
        raise NotAManifest(f"{damage}, and is of type {media_type!r}")
    parse_media_type(media_type, target)
    return replace(parse_manifest(response.content, media_type), digest=target)
