"""Any registry that implements only the OCI distribution spec.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md. Its listing has names only: digests cost one
HEAD per tag, and push times are unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from typing import ClassVar
from urllib.parse import urljoin

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LockedTag,
    LoginRejected,
    NotFound,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.manifest import ACCEPT, MAX_MANIFEST_BYTES, Descriptor, Manifest
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag, limit_repositories, limit_tags
from registry_sync.registry.content.blobs import BlobReader, blob_size, read_blob, read_small_blob
from registry_sync.registry.content.uploads import Uploads
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.manifests import check_manifest, find_digest
from registry_sync.registry.name_listing import PAGE_SIZE, list_names
from registry_sync.registry.referrers import read_referrers
from registry_sync.registry.traffic import Traffic
from registry_sync.registry.wire.exchange import RequestLimits
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.transport import Transport


class DistributionClient:
    """A :class:`~registry_sync.registry.client.RegistryClient` that uses the OCI distribution API only.

    Clients of the other kinds extend this class. They override ``_list_tags`` and ``_list_repositories``; the public
    methods limit the length of every listing.

    :param api_url: ignored; used by the kinds with an API of their own.
    :param requests_per_second: maximum rate; by default the kind's usual limit.
    :param limits: timeouts and number of attempts.
    """

    lists_digests: ClassVar[bool] = False
    lists_push_times: ClassVar[bool] = False
    denies_what_is_missing: ClassVar[bool] = False
    """Pull-only credentials get "denied" for a missing repository. Credentials that may push get "not found"."""
    deletes_tags_alone: ClassVar[bool] = False
    may_proxy: ClassVar[bool] = False
    names_per_page: ClassVar[int] = PAGE_SIZE
    """The largest page of names that ``/v2`` returns, as far as that is known."""
    v2_requests_per_second: ClassVar[float | None] = None
    """Usual limit for ``/v2``."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = 8,
        api_url: str | None = None,  # noqa: ARG002 - used by the kinds with an API of their own
        requests_per_second: float | None = None,
        limits: RequestLimits | None = None,
    ) -> None:
        self._transport = Transport(
            endpoint,
            max_connections=max_connections,
            requests_per_second=requests_per_second or self.v2_requests_per_second,
            limits=limits,
        )
        self._host = endpoint.host

    @property
    def traffic(self) -> Traffic:
        """The requests so far, to ``/v2`` and to an API of the kind's own."""
        return self._transport.traffic

    @property
    def latency_seconds(self) -> float | None:
        """Time of the quickest request to ``/v2`` so far; ``None`` before the first."""
        return self._transport.latency_seconds

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts, without ports, that requests to ``/v2`` have led to so far."""
        return self._transport.hosts

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def abort(self) -> None:
        """Break off every request, and send no more. Safe in a signal handler."""
        self._transport.abort()

    @property
    def pull_note(self) -> str:
        """Empty: the registry has no pull limit."""
        return ""

    def hold_pulls(self, repository: Repository, digest: Digest, count: int) -> AbstractContextManager[object]:  # noqa: ARG002 - used by kinds with a pull limit
        """Reserve nothing: the registry has no pull limit."""
        return nullcontext()

    def open_connections(self, count: int) -> None:
        """Open connections in the background until there are ``count``."""
        self._transport.open_connections(count)

    def wait_for_pause(self) -> None:
        """Sleep while the registry's rate limit pauses this worker."""
        self._transport.wait_for_pause()

    def pause(self, sent_at: float) -> None:
        """Pause all requests of this worker to the registry, because it rate-limited skopeo, started at ``sent_at``."""
        self._transport.pause(sent_at)

    def notes(self, repository: Repository, *, is_changed: bool) -> tuple[str, ...]:  # noqa: ARG002 - used by kinds with an API of their own
        """Notes about a repository for its report."""
        return ()

    def write_fault(self, repository: Repository) -> str:  # noqa: ARG002 - used by kinds with an API of their own
        """The reason that a repository takes no pushes at all, as far as the kind's API reports one."""
        return ""

    def delete_fault(self) -> str:
        """The reason that these credentials cannot delete tags, as far as that is known without a try."""
        return ""

    @property
    def clock_skew_seconds(self) -> float | None:
        """Seconds by which the registry's clock is ahead of ours, by its last response."""
        return self._transport.clock_skew_seconds

    def ping(self) -> None:
        """Check that the registry responds and accepts our credentials."""
        self._transport.ping()

    def granted_actions(self, repository: Repository) -> frozenset[str] | None:
        """The actions that the token service grants when asked for pull and push; ``None`` where it does not tell."""
        return self._transport.granted_actions(repository.name) if self._transport.endpoint.credentials else None

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[ListedRepository]:
        """The repositories in ``namespace``.

        :raises ConfigurationError: when the registry cannot list them, or none is visible to us.
        :raises RefusedError: when there are more than ``MAX_REPOSITORIES``.
        """
        return limit_repositories(self._list_repositories(namespace, include_private=include_private), namespace)

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[ListedTag]:
        """All tags, each name once; with ``since`` at least the tags pushed since then.

        :raises NotFound: when the repository does not exist.
        :raises RefusedError: when there are more than ``MAX_TAGS``.
        """
        return limit_tags(self._list_tags(repository, since=since), repository)

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:  # noqa: ARG002 - the catalog does not report it
        """Names from ``_catalog``, Docker's addition to the API, which many registries disable.

        https://distribution.github.io/distribution/spec/api/#listing-repositories

        :raises ConfigurationError: when the registry does not offer us a catalog.
        """
        return self._catalog("/v2/_catalog", namespace, f"write the repositories of {namespace!r} one by one")

    def _catalog(self, path: str, namespace: str, advice: str) -> Iterator[ListedRepository]:
        """The names below ``namespace``. A rejected login, or a later page that is denied, is an error of its own."""
        is_listed = False
        try:
            for name in self._names(path, "registry:catalog:*", "repositories"):
                is_listed = True
                if name.startswith(f"{namespace}/"):
                    yield ListedRepository(name=name)
        except (NotFound, DeniedError, RefusedError) as error:
            if isinstance(error, LoginRejected) or (is_listed and isinstance(error, DeniedError)):
                raise
            if isinstance(error, DeniedError) and self._transport.endpoint.credentials:
                self._transport.ping()  # raises where the login is the reason
            raise ConfigurationError(f"{self._host} does not list its repositories, {advice} ({error})") from error

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:  # noqa: ARG002 - no push times
        """All tags, by name only. :raises NotFound: when the repository does not exist."""
        for name in self._names(f"/v2/{repository.name}/tags/list", _pull(repository), "tags"):
            yield ListedTag(name=name)

    def locked_tags(self, repository: Repository, tags: Collection[str]) -> frozenset[str]:  # noqa: ARG002 - used by kinds with an API of their own
        """The tags among ``tags`` that settings of the repository lock, where listings do not show locks."""
        return frozenset()

    def head_manifest(
        self, repository: Repository, target: str | Digest, *, is_expected: bool = False
    ) -> Digest | None:
        """The digest of a tag (or digest), or ``None`` when it does not exist.

        :param is_expected: a GET also follows a HEAD that does not find it.
        """
        call = partial(self._manifest_call, repository=repository, target=target)
        return find_digest(call, target, is_expected=is_expected)

    def get_manifest(self, repository: Repository, target: Digest) -> Manifest:
        """The exact bytes of a manifest. :raises DamagedContent: when they do not match the digest.

        :raises NotAManifest: when the media type is not a manifest's either.
        :raises RefusedError: for a type that cannot be mirrored, such as schema 1, whose digest covers only a part of
            its bytes.
        """
        return check_manifest(self._manifest_call("GET", repository, target), repository, target)

    def put_manifest(self, repository: Repository, target: str | Digest, manifest: Manifest) -> None:
        """Publish the exact bytes of a manifest under a tag or its digest.

        An immutable tag that has the manifest is published: an earlier attempt was, and its response was lost.
        """
        path = f"/v2/{repository.name}/manifests/{target}"
        scope, headers = _pull_and_push(repository), {"Content-Type": manifest.media_type}
        try:
            self._transport.call("PUT", path, scope=scope, headers=headers, body=manifest.content)
        except LockedTag:
            if not self._has(repository, target, manifest):
                raise
        except NotFound as error:
            raise RefusedError(
                f"{repository} cannot be pushed to; create it at the registry first ({error})"
            ) from error

    def _has(self, repository: Repository, target: str | Digest, manifest: Manifest) -> bool:
        try:
            return self.head_manifest(repository, target) == manifest.digest
        except RegistrySyncError:
            return False

    def head_blob(self, repository: Repository, digest: Digest) -> int | None:
        """Size of a blob in bytes, ``None`` where the registry omits it.

        :raises NotFound: when it does not exist.
        :raises RefusedError: for a status such as 204 or 304, which does not say that it exists.
        """
        return blob_size(self._transport, repository, digest)

    def read_blob(self, repository: Repository, digest: Digest) -> int:
        """Read and discard a whole blob, and return its size in bytes.

        :raises DamagedContent: when its bytes do not match the digest.
        """
        return read_blob(self._transport, repository, digest)

    def blob_reader(
        self,
        repository: Repository,
        blob: Descriptor,
        *,
        read_seconds: float | None = None,
        seconds: float | None = None,
    ) -> BlobReader:
        """A reader of a blob of any size."""
        return BlobReader(self._transport, repository, blob, read_seconds=read_seconds, seconds=seconds)

    def uploads(self, repository: Repository, *, read_seconds: float | None = None) -> Uploads:
        """Uploads of blobs to a repository."""
        return Uploads(self._transport, repository, read_seconds=read_seconds)

    def delete_tag(self, repository: Repository, tag: str) -> None:
        """Delete a tag alone.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#deleting-tags. distribution 3, zot,
        olareg and Gitea do so. docker-registry 2.8 answers 400 for a tag and accepts digests. A registry with deletion
        disabled answers 405 for both.

        :raises NotFound: when the tag does not exist.
        :raises LockedTag: when the tag is locked.
        :raises RefusedError: when the registry deletes no tags, or only images.
        """
        self._delete(repository, tag)

    def delete_image(self, repository: Repository, tag: str, digest: Digest) -> None:
        """Delete the image of a tag with all its tags.

        :raises NotFound: when the tag does not exist.
        :raises RefusedError: when the registry does not support deletion.
        :raises TemporaryError: when the tag no longer has ``digest``.
        """
        current = self.head_manifest(repository, tag)
        if current is None:
            raise NotFound(f"{repository}:{tag} does not exist")
        if current != digest:
            change = f"{repository}:{tag} has changed to {current.short} since it was listed"
            raise TemporaryError(f"{change}; it was not deleted")
        self._delete(repository, digest)

    def _delete(self, repository: Repository, target: str | Digest) -> None:
        path = f"/v2/{repository.name}/manifests/{target}"
        self._transport.call("DELETE", path, scope=f"repository:{repository.name}:delete")

    def create_repository(self, repository: Repository) -> None:
        """Do nothing: a push creates the repository."""

    def create_fault(self) -> str:
        """Return nothing: a push needs no other right."""
        return ""

    def get_blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        """A small blob, such as an image config. :raises TemporaryError: when it does not match the digest."""
        return read_small_blob(self._transport, repository, descriptor)

    def list_referrers(self, repository: Repository, subject: Digest) -> Manifest | None:
        """The referrers of a digest as one index; ``None`` without a referrers API (a tag then holds the list).

        :raises ReferrersUnavailable: when the registry denies the call, rate-limits us, or fails.
        """
        return read_referrers(self._transport, repository, subject)

    def _manifest_call(self, method: str, repository: Repository, target: str | Digest) -> Response:
        path, headers = f"/v2/{repository.name}/manifests/{target}", {"Accept": ACCEPT}
        scope = _pull(repository)
        try:
            return self._transport.call(method, path, scope=scope, headers=headers, max_bytes=MAX_MANIFEST_BYTES)
        except DeniedError:
            if not (self.denies_what_is_missing and self._transport.endpoint.credentials):
                raise
            scope = _pull_and_push(repository)
            return self._transport.call(method, path, scope=scope, headers=headers, max_bytes=MAX_MANIFEST_BYTES)

    def _names(self, path: str, scope: str, key: str) -> Iterator[str]:
        """The names under ``key`` of a listing: see :func:`~registry_sync.registry.name_listing.list_names`."""
        get = partial(self._transport.call, "GET", scope=scope)
        return list_names(get, urljoin(self._transport.base_url, path), key, self.names_per_page)


def _pull(repository: Repository) -> str:
    return f"repository:{repository.name}:pull"


def _pull_and_push(repository: Repository) -> str:
    return f"repository:{repository.name}:pull,push"
