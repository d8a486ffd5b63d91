"""Transferring one attached artifact, and publishing it under a tag."""

from __future__ import annotations

from registry_sync.errors import ManifestRefused, RefusedError, RegistrySyncError, TemporaryError, UnsupportedArtifact
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import has_subject, is_image
from registry_sync.sync.content.transfer import Transfer, Transferred
from registry_sync.sync.session import Session


class ArtifactCopies:
    """Copies single artifacts of one route.

    :param transfer: enforces no policy, because signatures are not signed themselves. Images are refused in a route
        with a policy.
    """

    def __init__(self, session: Session, transfer: Transfer) -> None:
        self._session = session
        self._transfer = transfer

    def is_held(self, digest: Digest) -> bool:
        """Return whether the destination has the artifact already.

        :raises RefusedError: when it is an image of a route with a policy, to which a list of referrers would lead.
        """
        is_held = self._transfer.manifests.is_held(digest)
        if is_held and self._session.route.settings.policy:
            self._check_policy(self._transfer.manifests.read(digest)[0])
        return is_held

    def transfer(self, digest: Digest, subject: Digest) -> Transferred:
        """Transfer an artifact after its subject, because some registries require that order.

        :raises RefusedError: when a policy is set, and it is an image.
        """
        manifest, is_held = self._transfer.manifests.read(digest)
        self._check_policy(manifest)
        self._transfer.mover.settle(subject)
        return self._transfer.transfer_manifest(manifest, is_held=is_held)

    def transfer_untagged(self, digest: Digest, subject: Digest) -> Transferred:
        """Transfer an artifact that gets no tag, until the destination has its manifest.

        :raises RegistrySyncError: when the destination refuses the manifest.
        """
        transferred = self.transfer(digest, subject)
        self._transfer.mover.settle(digest)
        if transferred.refusal:
            raise _explain_refusal(transferred.manifest, transferred.refusal)
        return transferred

    def publish(self, tag: str, transferred: Transferred) -> None:
        """Put the tag on the artifact.

        :raises TemporaryError: when the tag does not have the digest afterwards.
        """
        client, repository = self._session.destination, self._session.route.destination_repository
        try:
            client.put_manifest(repository, tag, transferred.manifest)
        except RegistrySyncError as error:
            raise _explain_refusal(transferred.manifest, transferred.explain(error)) from error
        if client.head_manifest(repository, tag, is_expected=True) != transferred.manifest.digest:
            expected = transferred.manifest.digest.short
            raise TemporaryError(f"published, but {repository}:{tag} does not have the digest {expected}")

    def _check_policy(self, manifest: Manifest) -> None:
        """:raises RefusedError: when a policy is set and this is an image, which would bypass it."""
        if self._session.route.settings.policy and is_image(manifest):
            raise RefusedError("it is an image, not an artifact; the policy does not check attached artifacts")


def _explain_refusal(artifact: Manifest, error: RegistrySyncError) -> RegistrySyncError:
    """The error for a refused artifact. Registries without OCI 1.1, such as ECR, refuse the field ``subject``."""
    if isinstance(error, ManifestRefused) and has_subject(artifact):
        return UnsupportedArtifact(f"the destination cannot hold referrers ({error})")
    return error
