"""Copy the OCI 1.1 referrers of an image.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
"""

from __future__ import annotations

import logging
import time

from registry_sync.errors import (
    DeniedError,
    MissingContent,
    NotFound,
    ReferrersUnavailable,
    RefusedError,
    UnsupportedArtifact,
)
from registry_sync.oci.artifact_tags import referrers_tag
from registry_sync.oci.manifest import Manifest, merge_indexes, select_children
from registry_sync.oci.reference import Digest
from registry_sync.sync.artifacts.outcomes import copied, refused
from registry_sync.sync.artifacts.work import ArtifactWork
from registry_sync.sync.content.transfer import Transferred

log = logging.getLogger(__name__)


class Referrers:
    """Copies the referrers of images, and lists them under a tag where the destination has no API for that."""

    def __init__(self, work: ArtifactWork) -> None:
        self._session = work.session
        self._copies = work.copies
        self._tags = work.tags
        self._destination = work.destination
        self._outcomes = work.outcomes

    def copy(self, subject: Digest) -> list[Digest]:
        """Copy the referrers of an image. Returns the digests of those that the destination has now."""
        index = self._list(subject)
        if index is None:
            return []
        present = [child.digest for child in index.children if self._copy_referrer(child.digest, subject)]
        if present:
            self._list_at_destination(subject, select_children(index, present))
        return present

    def _list(self, subject: Digest) -> Manifest | None:
        """List referrers by the source's API and by the tag that replaces it; ``None`` without either list.

        A registry that got the API by an update may list older referrers under the tag alone, although it should not:
        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#enabling-the-referrers-api
        """
        by_api = by_tag = None
        try:
            by_api = self._read_api(subject)
            by_tag = self._read_tag(subject, by_api)
        except (NotFound, RefusedError, DeniedError) as error:
            self._outcomes.add(refused(referrers_tag(subject), subject, error), subject)
        lists = [index for index in (by_api, by_tag) if index is not None]
        return merge_indexes(lists) if lists else None

    def _read_api(self, subject: Digest) -> Manifest | None:
        """The answer of the source's API. A failure becomes a note, and does not stop the image."""
        try:
            return self._session.source.list_referrers(self._session.route.source_repository, subject)
        except ReferrersUnavailable as error:
            self._outcomes.note_unread("referrers", subject, error)
            return None

    def _read_tag(self, subject: Digest, by_api: Manifest | None) -> Manifest | None:
        """The list under the tag, which counts only if it is an index.

        Where the source's tags were not listed, it is read only if the API lists no referrers.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
        """
        tag, is_listed = referrers_tag(subject), self._tags.has_listing
        if not self._tags.may_exist(tag) or (by_api and by_api.children and not is_listed):
            return None
        digest = self._tags.digest(tag, subject)
        manifest = self._session.source.get_manifest(self._session.route.source_repository, digest) if digest else None
        return manifest if manifest and manifest.is_index and manifest.digest != subject else None

    def _copy_referrer(self, digest: Digest, subject: Digest) -> bool:
        """Copy one referrer. Returns whether the destination has it now."""
        started = time.monotonic()
        try:
            if self._copies.is_held(digest):
                return True
            transferred = self._copies.transfer_untagged(digest, subject)
        except (RefusedError, DeniedError, NotFound) as error:
            self._outcomes.add(refused(str(digest), subject, error), subject)
            return False
        self._outcomes.add(copied(str(digest), subject, transferred, started), subject)
        return True

    def _list_at_destination(self, subject: Digest, index: Manifest) -> None:
        """Write the list of referrers under its tag, where the destination has no referrers API.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
        """
        tag = referrers_tag(subject)
        try:
            if self._has_api(subject):
                return
            with self._session.locks.acquire([tag]):  # another task adds to the list that this one has written
                self._add_to_list(tag, subject, index)
        except (RefusedError, DeniedError) as error:
            self._outcomes.add(refused(tag, subject, error), subject)

    def _has_api(self, subject: Digest) -> bool:
        """Return whether the destination lists the referrers itself. In doubt it gets the tag, which does no harm."""
        try:
            repository = self._session.route.destination_repository
            return self._session.destination.list_referrers(repository, subject) is not None
        except ReferrersUnavailable as error:
            log.info("writing a list of the referrers of %s, since the destination shows none: %s", subject, error)
            return False

    def _add_to_list(self, tag: str, subject: Digest, index: Manifest) -> None:
        client, repository = self._session.destination, self._session.route.destination_repository
        before = self._destination.head(tag)
        existing = [client.get_manifest(repository, before)] if before else []
        if before == subject:
            raise UnsupportedArtifact(
                f"{repository}:{tag} is the image itself, so that the destination can hold no list of its referrers "
                "(GitLab reads such a tag as the digest)"
            )
        if not all(manifest.is_index for manifest in existing):
            raise RefusedError(f"{repository}:{tag} is an image, not a list of referrers; give that image another tag")
        merged = merge_indexes([*existing, index])
        if merged.digest != before:
            self._publish_list(tag, merged, index)

    def _publish_list(self, tag: str, merged: Manifest, own: Manifest) -> None:
        """Publish the merged list; only our own entries when entries of the former list are missing."""
        try:
            self._copies.publish(tag, Transferred(manifest=merged, was_held=False))
        except MissingContent:
            self._copies.publish(tag, Transferred(manifest=own, was_held=False))
