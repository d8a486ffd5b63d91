"""What a registry can do for mirroring, as a protocol; each kind of registry implements it in a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, TypeVar

from registry_sync.errors import RefusedError
from registry_sync.oci.manifest import Descriptor, Manifest
from registry_sync.oci.reference import Digest, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryEntry:
    """A repository in a listing.

    ``modified_at`` (aware UTC) is when a tag was last pushed there; ``None`` is unknown, never "long ago".
    ``is_private`` is ``None`` where a registry does not tell.
    """

    name: str
    modified_at: datetime | None = None
    is_private: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEntry:
    """A tag in a listing. ``digest`` and ``pushed_at`` (aware UTC) are ``None`` where a registry does not list them.

    ``is_locked``: the registry refuses to overwrite it.
    """

    name: str
    digest: Digest | None = None
    pushed_at: datetime | None = None
    is_locked: bool = False


MAX_TAGS = 250_000
"""Of one repository."""

MAX_REPOSITORIES = 100_000
"""Of one namespace; Airflow maps a task over a thousand, unless it is set to more."""

Entry = TypeVar("Entry")


def bounded(entries: Iterable[Entry], most: int, what: str, where: object) -> Iterator[Entry]:
    """:raises RefusedError: when there are more than ``most``."""
    for number, entry in enumerate(entries):
        if number >= most:
            advice = "remove what nobody needs, or mirror the rest from a repository of its own"
            raise RefusedError(f"{where} lists more than {most} {what}, the most that one task reads; {advice}")
        yield entry


def bounded_tags(entries: Iterable[TagEntry], repository: Repository) -> Iterator[TagEntry]:
    """:raises RefusedError: when there are more than :data:`MAX_TAGS`."""
    return bounded(entries, MAX_TAGS, "tags", repository)


class PullClient(Protocol):
    """A registry as a machine that pulls sees it. Methods raise the classes of ``errors.py``."""

    def head_manifest(self, repository: Repository, target: str | Digest) -> Digest | None:
        """The digest that a tag (or digest) names, or ``None`` when it is not there."""

    def get_manifest(self, repository: Repository, target: Digest) -> Manifest:
        """The manifest's own bytes, checked against the digest. :raises NotFound: when it is gone."""

    def head_blob(self, repository: Repository, digest: Digest) -> int | None:
        """The size of a blob in bytes, ``None`` where the registry does not tell. :raises NotFound: when it is gone."""

    def read_blob(self, repository: Repository, digest: Digest) -> int:
        """Read a whole blob, checked against the digest, and return its size in bytes; its content is not kept."""

    def close(self) -> None:
        """Close the connections."""


class RegistryClient(Protocol):
    """One registry. Methods raise the classes of ``errors.py``; an error is never an empty response.

    ``lists_digests`` and ``lists_push_times``: whether :meth:`list_tags` gives them, as far as it can.
    ``deletes_tags_alone``: whether :meth:`delete_tag` leaves all other tags of the same image, whatever the registry.
    """

    lists_digests: ClassVar[bool]
    lists_push_times: ClassVar[bool]
    deletes_tags_alone: ClassVar[bool]

    def ping(self) -> None:
        """Check that the registry answers and accepts our credentials."""

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[RepositoryEntry]:
        """The repositories in ``namespace``, such as ``giantswarm/hyperkube`` in ``giantswarm``.

        :raises ConfigurationError: when the registry does not list them, or has none there for us to see.
        """

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[TagEntry]:
        """All tags, each name once; with ``since`` at least those that were pushed from then on.

        :raises NotFound: when there is no such repository.
        """

    def head_manifest(self, repository: Repository, target: str | Digest) -> Digest | None:
        """The digest that a tag (or digest) names, or ``None`` when it is not there. No pull is counted."""

    def get_manifest(self, repository: Repository, target: Digest) -> Manifest:
        """The manifest's own bytes, checked against the digest. :raises NotFound: when it is gone."""

    def put_manifest(self, repository: Repository, target: str | Digest, manifest: Manifest) -> None:
        """Publish the manifest's very bytes under a tag, or under its digest."""

    def delete_tag(self, repository: Repository, tag: str, digest: Digest) -> None:
        """Delete a tag, and with it perhaps its manifest under all its tags: see ``deletes_tags_alone``.

        :param digest: what the tag was seen to name; no other manifest is deleted.
        :raises NotFound: when it is not there.
        """

    def get_blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        """A small blob, such as an image's config, checked against the digest. :raises NotFound: when it is gone."""

    def list_referrers(self, repository: Repository, subject: Digest) -> Manifest | None:
        """What refers to a digest, as one index; ``None`` when the registry has no such API, and a tag has the list."""

    def create_repository(self, repository: Repository) -> None:
        """Have a repository before the first push to it. Nothing, where a push creates it."""

    def close(self) -> None:
        """Close the connections."""
