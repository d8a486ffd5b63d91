"""Have the destination hold content under its digest, without a tag; skopeo moves it, or it is there already."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from registry_sync.errors import (
    LockedTag,
    MissingContent,
    NotCopyableWhole,
    NotFound,
    NotTrusted,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.platforms import PlatformIndex, filter_index
from registry_sync.oci.reference import Digest, Reference
from registry_sync.oci.reserved_tags import platform_cache_tag
from registry_sync.registry.client import RegistryClient
from registry_sync.routes.route import Route
from registry_sync.skopeo.copier import Skopeo
from registry_sync.sync.backup import pushed_meanwhile
from registry_sync.sync.plan import CopyTag
from registry_sync.worker.write_locks import WriteLocks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """Content that the destination holds under its digest and that only lacks its tags.

    ``refusal`` is set when the registry took the content of a single image, but not its manifest under a digest.
    """

    manifest: Manifest
    was_there: bool
    sent_bytes: int = 0
    refusal: RefusedError | None = None

    def reason(self, error: RegistrySyncError) -> RegistrySyncError:
        """Why a tag could not be published: an earlier refusal says more than what followed from it.

        An outage did not follow from it, and may pass; nor did a lock.
        """
        is_consequence = isinstance(error, MissingContent) or (error.is_permanent and not isinstance(error, LockedTag))
        return self.refusal if self.refusal and is_consequence else error


class Transfer:
    """Brings manifests to one route's destination.

    :param subsets: the indexes that are made here, which the source does not have, by their digest.
    :param claims: of all that write to this destination repository at once.
    :param is_checked: by the trust policy of ``skopeo``, if it has one. Then also what the destination holds already
        goes through skopeo, which sends none of it again: who put it there is not known.
    """

    def __init__(
        self,
        route: Route,
        source: RegistryClient,
        destination: RegistryClient,
        skopeo: Skopeo,
        subsets: Mapping[Digest, PlatformIndex],
        *,
        claims: WriteLocks | None = None,
        is_checked: bool = True,
    ) -> None:
        self._route = route
        self._source = source
        self._destination = destination
        self._skopeo = skopeo
        self._subsets = subsets
        self._is_checked = is_checked
        self.claims = claims or WriteLocks(str(route.destination_repository), skopeo.check_stopping)

    def without_policy(self) -> Transfer:
        """One beside this that asks no policy, for what is not signed since it is a signature."""
        sides = (self._source, self._destination)
        return Transfer(self._route, *sides, self._skopeo, {}, claims=self.claims, is_checked=False)

    def read(self, digest: Digest) -> tuple[Manifest, bool]:
        """The manifest, and whether the destination has it; it is then read there, and no pull counts at the source."""
        try:
            return self._destination.get_manifest(self._route.destination_repository, digest), True
        except NotFound:
            return self._read_source(digest), False

    def _read_source(self, digest: Digest) -> Manifest:
        subset = self._subsets.get(digest)
        if subset is None:
            return self._source.get_manifest(self._route.source_repository, digest)
        if subset.manifest is not None:
            return subset.manifest
        whole = self._source.get_manifest(self._route.source_repository, subset.source)
        made = filter_index(whole, self._route.settings.platforms).manifest
        if made.digest != digest:
            seen = f"{made.digest.short} is made of {subset.source.short}, and {digest.short} is remembered"
            tag = platform_cache_tag(self._route.mirror)
            raise RefusedError(f"{seen} under {tag!r}; delete that tag at the destination, it is then made anew")
        return made

    def claim(self, manifest: Manifest) -> AbstractContextManager[None]:
        """Keep all others from writing a manifest or one of its children."""
        return self.claims.acquire({str(manifest.digest), *(str(child.digest) for child in manifest.children)})

    def holds(self, digest: Digest) -> bool:
        """Whether the destination has it by now: another task may have brought it since its manifest was read."""
        return self._destination.head_manifest(self._route.destination_repository, digest) == digest

    def is_published(self, tag: CopyTag, pin: Digest | None = None) -> bool:
        """Whether another run has published it since the plan was made.

        :param pin: what is mirrored under the tag, whatever the source's tag names.
        :raises TemporaryError: when the tag names something else that must not be overwritten, or has no backup; or
            when the source names something else by now, too: our plan is then older than the other run's, and would set
            the tag back.
        """
        now = self._destination.head_manifest(self._route.destination_repository, tag.tag)
        is_changed = now not in (tag.digest, tag.replaces)
        if now and is_changed and not self._route.settings.overwrites(tag.tag):
            raise pushed_meanwhile(now)
        here = tag.source_digest or tag.digest
        if is_changed and self._source.head_manifest(self._route.source_repository, pin or tag.tag) != here:
            what = f"names {now.short}" if now else "is gone"
            raise TemporaryError(
                f"another run was faster: the destination's tag {what} by now, and the source's has moved on; "
                "the next try compares them again"
            )
        return now == tag.digest

    def stage(self, manifest: Manifest, *, is_there: bool) -> Transferred:
        """Have the destination hold a manifest and all that it names, under digests only.

        :raises NotTrusted: when the policy does not accept it, or one of its children.
        """
        if is_there and not (self._is_checked and self._skopeo.policy_files):
            return Transferred(manifest=manifest, was_there=True)
        return self.send(manifest)

    def send(self, manifest: Manifest) -> Transferred:
        """Send a manifest and all that it names, whether or not it is there."""
        subset = self._subsets.get(manifest.digest)
        if subset is not None and subset.source != manifest.digest:
            return self._send_parts(manifest)
        try:
            sent_bytes = self._copy(manifest)
        except NotCopyableWhole as error:
            log.info("%s: skopeo cannot copy it whole, copying its parts (%s)", manifest.digest.short, error)
            return self._send_parts(manifest)
        except NotTrusted:
            raise
        except RefusedError as error:
            if manifest.is_index:
                raise
            return Transferred(manifest=manifest, was_there=False, refusal=error)
        return Transferred(manifest=manifest, was_there=False, sent_bytes=sent_bytes)

    def _copy(self, manifest: Manifest) -> int:
        sent = self._skopeo.copy(
            Reference(self._route.source_repository, manifest.digest),
            Reference(self._route.destination_repository, manifest.digest),
            is_index=manifest.is_index,
            format=manifest.format,
            is_checked=self._is_checked,
        )
        return sent.sent_bytes

    def _send_parts(self, index: Manifest) -> Transferred:
        """Children one by one, then the index's own bytes. Works for every shape of index (nested, for example)."""
        sent_bytes = 0
        for child in index.children:
            manifest, is_there = self.read(child.digest)
            staged = self.stage(manifest, is_there=is_there)
            if staged.refusal:
                raise staged.refusal
            sent_bytes += staged.sent_bytes
        self._destination.put_manifest(self._route.destination_repository, index.digest, index)
        return Transferred(manifest=index, was_there=False, sent_bytes=sent_bytes)
