"""The protocol of a registry client, and the limits of its listings. Each kind of registry has a module."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, TypeVar

from registry_sync.errors import RefusedError
from registry_sync.oci.manifest import Descriptor, Manifest
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.content.blobs import BlobReader
from registry_sync.registry.content.uploads import Uploads
from registry_sync.registry.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRepository:
    """A repository in a listing.

    ``modified_at`` (aware UTC) is the time of the last push to any tag; ``None`` means unknown, never "long ago".
    ``is_private`` is ``None`` where the registry does not report it.
    """

    name: str
    modified_at: datetime | None = None
    is_private: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTag:
    """A tag in a listing. ``digest`` and ``pushed_at`` (aware UTC) are ``None`` where the registry omits them.

    ``is_image_time``: ``pushed_at`` is the push of the image. A tag that moved to an earlier image was pushed later.
    ``is_locked``: the registry refuses to overwrite the tag.
    ``has_image``: the reader of a tag that is named after a digest found an image there, not a list of referrers.
    """

    name: str
    digest: Digest | None = None
    pushed_at: datetime | None = None
    is_image_time: bool = False
    is_locked: bool = False
    has_image: bool = False


MAX_TAGS = 250_000
"""Maximum number of tags of one repository."""

MAX_REPOSITORIES = 100_000
"""Maximum number of repositories of one namespace. Airflow maps a thousand tasks by default (``max_map_length``)."""

Entry = TypeVar("Entry")


def limit_tags(entries: Iterable[ListedTag], repository: Repository) -> Iterator[ListedTag]:
    """Stop a listing of tags at :data:`MAX_TAGS`.

    :raises RefusedError: when it has more.
    """
    return _limited(entries, MAX_TAGS, "tags", str(repository), split="repository")


def limit_repositories(entries: Iterable[ListedRepository], namespace: str) -> Iterator[ListedRepository]:
    """Each repository of a listing once, up to :data:`MAX_REPOSITORIES`.

    :raises RefusedError: when it has more.
    """
    return _limited(_each_once(entries), MAX_REPOSITORIES, "repositories", namespace, split="namespace")


def _each_once(entries: Iterable[ListedRepository]) -> Iterator[ListedRepository]:
    seen = set[str]()
    for entry in entries:
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


def _limited(entries: Iterable[Entry], limit: int, noun: str, listing: str, *, split: str) -> Iterator[Entry]:
    for number, entry in enumerate(entries):
        if number >= limit:
            advice = f"delete unused {noun}, or split the {split}"
            raise RefusedError(f"{listing} lists more than {limit} {noun}, the most that one task reads; {advice}")
        yield entry


class PullClient(Protocol):
    """The part of a registry that a machine needs to pull images. Methods raise the classes of ``errors.py``."""

    def head_manifest(self, repository: Repository, target: str | Digest) -> Digest | None:
        """The digest of a tag (or digest), or ``None`` when it does not exist."""

    def get_manifest(self, repository: Repository, target: Digest) -> Manifest:
        """The exact bytes of a manifest, verified against the digest. :raises NotFound: when it does not exist."""

    def head_blob(self, repository: Repository, digest: Digest) -> int | None:
        """Size of a blob in bytes, ``None`` where the registry omits it. :raises NotFound: when it does not exist."""

    def read_blob(self, repository: Repository, digest: Digest) -> int:
        """Read a blob, verify and discard it, and return its size in bytes."""

    def close(self) -> None:
        """Close the connections."""


class RegistryClient(Protocol):
    """One registry. Methods raise the classes of ``errors.py``; an error is never an empty result.

    ``lists_digests`` and ``lists_push_times``: :meth:`list_tags` returns them where the registry has them.
    ``may_proxy``: reads may return content of another registry; :meth:`write_fault` then reports it.
    ``deletes_tags_alone``: any registry of this kind deletes a tag and keeps its image. Others may refuse that.
    """

    lists_digests: ClassVar[bool]
    lists_push_times: ClassVar[bool]
    deletes_tags_alone: ClassVar[bool]
    may_proxy: ClassVar[bool]

    @property
    def traffic(self) -> Traffic:
        """The requests so far."""

    @property
    def clock_skew_seconds(self) -> float | None:
        """Seconds by which the registry's clock is ahead of ours, by its last response; ``None`` before the first."""

    @property
    def latency_seconds(self) -> float | None:
        """Time of the quickest request to ``/v2`` so far; ``None`` before the first."""

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts, without ports, that requests to ``/v2`` have met so far, such as a token service."""

    def ping(self) -> None:
        """Check that the registry responds and accepts our credentials."""

    def granted_actions(self, repository: Repository) -> frozenset[str] | None:
        """The actions that the registry grants to these credentials when asked for pull and push.

        ``None`` where it does not report them before a push. Nothing is created.

        :raises DeniedError: when it refuses to grant any.
        """

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[ListedRepository]:
        """The repositories in ``namespace``, such as ``giantswarm/hyperkube`` in ``giantswarm``.

        :raises ConfigurationError: when the registry cannot list them, or none is visible to us.
        :raises RefusedError: when there are more than :data:`MAX_REPOSITORIES`.
        """

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[ListedTag]:
        """All tags, each name once; with ``since`` at least the tags pushed since then.

        :raises NotFound: when the repository does not exist.
        :raises RefusedError: when there are more than :data:`MAX_TAGS`.
        """

    def locked_tags(self, repository: Repository, tags: Collection[str]) -> frozenset[str]:
        """The tags among ``tags`` that settings of the repository lock, where listings do not show locks.

        :raises DeniedError: when these credentials may not read the settings.
        """

    def head_manifest(
        self, repository: Repository, target: str | Digest, *, is_expected: bool = False
    ) -> Digest | None:
        """The digest of a tag (or digest), or ``None`` when it does not exist.

        Sends a HEAD, which does not count as a pull, and one GET where the HEAD is not enough.

        :param is_expected: it was listed, named by a person or just published, so a 404 to the HEAD is not believed.
        """

    def get_manifest(self, repository: Repository, target: Digest) -> Manifest:
        """The exact bytes of a manifest, verified against the digest. :raises NotFound: when it does not exist."""

    def put_manifest(self, repository: Repository, target: str | Digest, manifest: Manifest) -> None:
        """Publish the exact bytes of a manifest under a tag or its digest."""

    def delete_tag(self, repository: Repository, tag: str) -> None:
        """Delete a tag alone. Its image and the image's other tags stay.

        :raises NotFound: when the tag does not exist.
        :raises LockedTag: when the tag is locked.
        :raises RefusedError: when the registry deletes no tags, or only images.
        """

    def delete_image(self, repository: Repository, tag: str, digest: Digest) -> None:
        """Delete the image of a tag with all its tags, where the registry refuses to delete a tag alone.

        :param digest: the observed digest of the tag; no other image is deleted.
        :raises NotFound: when the tag does not exist.
        :raises TemporaryError: when the tag no longer has ``digest``.
        """

    def get_blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        """A small blob, such as an image config, verified by digest. :raises NotFound: when it does not exist."""

    def head_blob(self, repository: Repository, digest: Digest) -> int | None:
        """Size of a blob in bytes, ``None`` where the registry omits it. :raises NotFound: when it does not exist."""

    def read_blob(self, repository: Repository, digest: Digest) -> int:
        """Read a blob, verify and discard it, and return its size in bytes."""

    def blob_reader(
        self,
        repository: Repository,
        blob: Descriptor,
        *,
        read_seconds: float | None = None,
        seconds: float | None = None,
    ) -> BlobReader:
        """A reader of a blob of any size, whose chunks are verified by digest. Nothing is sent before the first chunk.

        :param read_seconds: timeout of one read; by default that of every request.
        :param seconds: time limit of the response.
        """

    def uploads(self, repository: Repository, *, read_seconds: float | None = None) -> Uploads:
        """Uploads of blobs to a repository. :param read_seconds: timeout of one write, and of the response."""

    def list_referrers(self, repository: Repository, subject: Digest) -> Manifest | None:
        """The referrers of a digest as one index; ``None`` without a referrers API (a tag then holds the list).

        :raises ReferrersUnavailable: when the registry denies the call, rate-limits us, or fails.
        """

    def create_repository(self, repository: Repository) -> None:
        """Create a repository before the first push. Does nothing where a push creates it."""

    def create_fault(self) -> str:
        """The reason that these credentials cannot create repositories, as far as that is known; else empty."""

    def notes(self, repository: Repository, *, is_changed: bool) -> tuple[str, ...]:
        """Notes about a repository for its report, from earlier responses.

        :param is_changed: tags were published since then, so that there can be more to note.
        """

    def write_fault(self, repository: Repository) -> str:
        """The reason that a repository takes no pushes at all, as far as the kind's API reports one; else empty."""

    def delete_fault(self) -> str:
        """The reason that these credentials cannot delete tags, as far as that is known without a try; else empty."""

    @property
    def pull_note(self) -> str:
        """A note that no pull limit is known, so that no pulls can be kept for machines; else empty."""

    def hold_pulls(self, repository: Repository, digest: Digest, count: int) -> AbstractContextManager[object]:
        """Reserve pulls of the registry's limit for a block in which skopeo reads ``count`` manifests.

        :raises RateLimited: when fewer pulls would be left than the mirrors file keeps for machines.
        :raises RefusedError: when the limit never allows so many.
        """

    def open_connections(self, count: int) -> None:
        """Open connections in the background until there are ``count``, for requests at the same time."""

    def wait_for_pause(self) -> None:
        """Sleep while the registry's rate limit pauses this worker. For requests that skopeo will send."""

    def pause(self, sent_at: float) -> None:
        """Pause all requests of this worker to the registry, because it rate-limited skopeo.

        :param sent_at: time at which that skopeo was started (``time.monotonic()``).
        """

    def abort(self) -> None:
        """Break off every request, and send no more, because the task ends. Safe in a signal handler."""

    def close(self) -> None:
        """Close the connections."""
