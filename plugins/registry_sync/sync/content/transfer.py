"""Transfer content to a destination by digest, without a tag, unless the destination has it already.

There are two movers: :mod:`~registry_sync.sync.content.skopeo_mover` and
:mod:`~registry_sync.sync.content.direct_mover`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from registry_sync.errors import LockedTag, MissingContent, RefusedError, RegistrySyncError
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.sync.content.manifests import RouteManifests


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """Content that the destination has by digest, and that has no tag yet.

    :ivar was_held: the destination reported it as present, perhaps wrongly.
    :ivar has_waited: another thread or task worked on the same content at the same time.
    :ivar refusal: error of a registry that accepted the content of a single image, but not its manifest by digest.
        Never set with a policy.
    """

    manifest: Manifest
    was_held: bool
    sent_bytes: int = 0
    has_waited: bool = False
    refusal: RefusedError | None = None

    def explain(self, error: RegistrySyncError) -> RegistrySyncError:
        """The error to report when a tag could not be published: an earlier refusal explains its consequences.

        An outage or a lock is not a consequence of a refusal.
        """
        is_consequence = isinstance(error, MissingContent) or (error.is_permanent and not isinstance(error, LockedTag))
        return self.refusal if self.refusal and is_consequence else error


class Mover(Protocol):
    """Moves content by digest from the source to the destination of a route. Safe to use from several threads."""

    @property
    def enforces_policy(self) -> bool:
        """Content passes the route's policy. Content of unknown origin at the destination is then moved, too."""

    @property
    def shares_blobs(self) -> bool:
        """Images that are moved at the same time send a blob of several of them once."""

    def threads(self, images: int) -> int:
        """The number of images to move at the same time, of ``images``."""

    @property
    def sent_bytes(self) -> int:
        """Bytes sent so far."""

    def without_policy(self) -> Mover:
        """The same mover for signatures, which are not signed themselves."""

    def send(self, manifest: Manifest) -> Transferred:
        """Send a manifest with its content, whether or not the destination has it.

        :raises NotTrusted: when the policy does not accept it, or one of its children.
        :raises DamagedContent: when the destination holds other bytes under one of its digests.
        """

    def settle(self, digest: Digest) -> None:
        """Publish by its digest what was sent, and is not there by its digest yet. Nothing for other digests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Transfers manifests with all their content to the destination of a session."""

    manifests: RouteManifests
    mover: Mover

    def without_policy(self) -> Transfer:
        """A transfer for signatures, which are not signed themselves."""
        return replace(self, manifests=self.manifests.without_indexes(), mover=self.mover.without_policy())

    def transfer(self, digest: Digest) -> Transferred:
        """Transfer a digest with its content, unless the destination holds it whole.

        :raises NotTrusted: when the policy does not accept it, or one of its children.
        :raises DamagedContent: when the destination holds other bytes under one of its digests.
        """
        manifest, is_held = self.manifests.read(digest)
        return self.transfer_manifest(manifest, is_held=is_held)

    def transfer_manifest(self, manifest: Manifest, *, is_held: bool) -> Transferred:
        """Transfer a manifest that was read, and its content.

        :param is_held: the destination has the manifest. Another task may have sent it while this one waited for it.
        """
        with self.lock(manifest) as has_waited:
            is_held = is_held or (has_waited and self.manifests.is_held(manifest.digest))
            if is_held and not self.mover.enforces_policy and self.manifests.is_whole(manifest):
                return Transferred(manifest=manifest, was_held=True, has_waited=has_waited)
            return replace(self.mover.send(manifest), has_waited=has_waited)

    @contextmanager
    def lock(self, manifest: Manifest) -> Iterator[bool]:
        """Acquire the write locks of a manifest and its children. Yields whether that took a wait."""
        names = {str(manifest.digest), *(str(child.digest) for child in manifest.children)}
        with self.manifests.session.locks.acquire(names) as has_waited:
            yield has_waited
