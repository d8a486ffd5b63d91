"""Any registry that speaks the OCI distribution spec and nothing more.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md. Its listing gives names only, so digests cost
one HEAD per tag, and push times are not known.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from registry_sync.errors import (
    ConfigurationError,
    DamagedContent,
    DeniedError,
    LockedTag,
    NotAManifest,
    NotFound,
    RefusedError,
    TemporaryError,
)
from registry_sync.oci.manifest import (
    ACCEPT,
    MAX_MANIFEST_BYTES,
    OCI_INDEX,
    Descriptor,
    Manifest,
    check_type,
    is_manifest,
    merge_indexes,
    parse_manifest,
)
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RepositoryEntry, TagEntry
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.response import Response
from registry_sync.registry.transport import RequestLimits, Transport

log = logging.getLogger(__name__)

PAGE_SIZE = 100

_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"


class DistributionClient:
    """A :class:`~registry_sync.registry.client.RegistryClient` over the OCI distribution API alone.

    Kinds that have an API beside it extend this class; ``api_url`` is where that is, and without meaning here.

    :param requests_per_second: how fast requests may start.
    :param limits: how long to wait for it, and how often to try.
    """

    lists_digests: ClassVar[bool] = False
    lists_push_times: ClassVar[bool] = False
    denies_what_is_missing: ClassVar[bool] = False
    """A repository that does not exist is denied to whoever may pull only; who may push as well is told the truth."""
    deletes_tags_alone: ClassVar[bool] = False

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = 8,
        api_url: str | None = None,  # noqa: ARG002 - the kinds with an API of their own use it
        requests_per_second: float | None = None,
        limits: RequestLimits | None = None,
    ) -> None:
        self._transport = Transport(
            endpoint, max_connections=max_connections, requests_per_second=requests_per_second, limits=limits
        )
        self._host = endpoint.host
        self._has_referrers: bool | None = None

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def ping(self) -> None:
        """Check that the registry answers and accepts our credentials."""
        self._transport.challenge()

    def list_repositories(self, namespace: str, *, include_private: bool = False) -> Iterator[RepositoryEntry]:  # noqa: ARG002 - it does not tell
        """Names from ``_catalog``, which is Docker's own addition to the API and often closed.

        https://distribution.github.io/distribution/spec/api/#listing-repositories

        :raises ConfigurationError: when the registry has no catalog for us.
        """
        try:
            for name in self._names(f"/v2/_catalog?n={PAGE_SIZE}", "registry:catalog:*", "repositories"):
                if name.startswith(f"{namespace}/"):
                    yield RepositoryEntry(name=name)
        except (NotFound, DeniedError, RefusedError) as error:
            advice = f"write the repositories of {namespace!r} one by one"
            raise ConfigurationError(f"{self._host} does not list its repositories, {advice} ({error})") from error

    def list_tags(self, repository: Repository, *, since: datetime | None = None) -> Iterator[TagEntry]:  # noqa: ARG002 - no times
        """All tags, by name only. :raises NotFound: when there is no such repository."""
        path = f"/v2/{repository.name}/tags/list?n={PAGE_SIZE}"
        for name in self._names(path, _pull(repository), "tags"):
            yield TagEntry(name=name)

    def head_manifest(self, repository: Repository, target: str | Digest) -> Digest | None:
        """The digest that a tag (or digest) names, or ``None`` when it is not there.

        A registry may leave the digest out of its response; then the manifest is read and its digest computed.
        """
        try:
            response = self._manifest_call("HEAD", repository, target)
            text = response.headers.get("Docker-Content-Digest")
            return (
                _digest(text, response) if text else Digest.of(self._manifest_call("GET", repository, target).content)
            )
        except NotFound:
            return None

    def get_manifest(self, repository: Repository, target: Digest) -> Manifest:
        """The manifest's own bytes. :raises DamagedContent: when they are not what the digest says.

        :raises NotAManifest: when they do not even pretend to be a manifest.
        :raises RefusedError: for a type that cannot be mirrored. Schema 1 is of it: what its digest is of is only a
            part of its bytes.
        """
        response = self._manifest_call("GET", repository, target)
        media_type = response.headers.get("Content-Type", "")
        if not media_type.startswith(_SCHEMA_1) and Digest.of(response.content, target.algorithm) != target:
            damage = f"{repository}@{target} arrived damaged: its content has another digest"
            if is_manifest(media_type):
                raise DamagedContent(damage)
            raise NotAManifest(f"{damage}, and is of type {media_type!r}")
        check_type(media_type, target)
        return replace(parse_manifest(response.content, media_type), digest=target)

    def put_manifest(self, repository: Repository, target: str | Digest, manifest: Manifest) -> None:
        """Publish the manifest's very bytes under a tag, or under its digest."""
        path = f"/v2/{repository.name}/manifests/{target}"
        scope, headers = _pull_and_push(repository), {"Content-Type": manifest.media_type}
        try:
            self._transport.call("PUT", path, scope=scope, headers=headers, body=manifest.content)
        except NotFound as error:
            raise RefusedError(
                f"{repository} cannot be pushed to; create it at the registry first ({error})"
            ) from error

    def head_blob(self, repository: Repository, digest: Digest) -> int | None:
        """The size of a blob in bytes, ``None`` where the registry does not tell. :raises NotFound: when it is gone."""
        response = self._transport.call("HEAD", _blob(repository, digest), scope=_pull(repository), headers=_AS_IT_IS)
        text = response.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def read_blob(self, repository: Repository, digest: Digest) -> int:
        """Read a whole blob, keep nothing of it, and return its size in bytes.

        :raises DamagedContent: when its bytes are not what the digest says.
        """
        seen, sizes = hashlib.new(digest.algorithm), list[int]()

        def take(chunk: bytes) -> None:
            seen.update(chunk)
            sizes.append(len(chunk))

        self._transport.download(_blob(repository, digest), take, scope=_pull(repository), headers=_AS_IT_IS)
        if seen.hexdigest() != digest.encoded:
            raise DamagedContent(f"blob {digest} of {repository} arrived damaged: its content has another digest")
        return sum(sizes)

    def delete_tag(self, repository: Repository, tag: str, digest: Digest) -> None:
        """Delete a tag; where the registry deletes manifests only, its manifest with all that are its tags.

        distribution 3 deletes a tag alone. docker-registry 2.8 answers 400 to one, and takes digests; a registry that
        may not delete at all answers 405 to both.

        :raises NotFound: when it is not there.
        :raises LockedTag: when the tag is locked. Then its manifest is not deleted either.
        :raises RefusedError: when the registry does not delete.
        :raises TemporaryError: when the tag names something else than ``digest`` by now.
        """
        try:
            self._delete(repository, tag)
        except LockedTag:
            raise
        except RefusedError as error:
            if self.deletes_tags_alone:
                raise
            now = self.head_manifest(repository, tag)
            if now is None:
                raise NotFound(f"{repository}:{tag} is not there") from error
            if now != digest:
                moved = f"{repository}:{tag} has moved to {now.short} since it was looked at"
                raise TemporaryError(f"{moved}; it was not deleted") from error
            self._delete(repository, digest)

    def _delete(self, repository: Repository, target: str | Digest) -> None:
        path = f"/v2/{repository.name}/manifests/{target}"
        self._transport.call("DELETE", path, scope=f"repository:{repository.name}:delete")

    def create_repository(self, repository: Repository) -> None:
        """Nothing: a push creates it."""

    def get_blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        """A small blob, such as an image's config. :raises TemporaryError: when it is not what the digest says."""
        path = f"/v2/{repository.name}/blobs/{descriptor.digest}"
        response = self._transport.call("GET", path, scope=_pull(repository), max_bytes=MAX_MANIFEST_BYTES)
        if Digest.of(response.content, descriptor.digest.algorithm) != descriptor.digest:
            raise TemporaryError(f"{repository}@{descriptor.digest} arrived damaged: its content has another digest")
        return response.content

    def list_referrers(self, repository: Repository, subject: Digest) -> Manifest | None:
        """What refers to a digest, as one index; ``None`` when the registry has no such API.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers. A registry that has
        it answers for every digest, at the least with an empty list; some of the others refuse the call and do not say
        404. Once it is known to be absent it is not asked for again.
        """
        if self._has_referrers is False:
            return None
        path = f"/v2/{repository.name}/referrers/{subject}"
        try:
            pages = [_index(each, subject) for each in self._transport.pages(path, scope=_pull(repository))]
        except (NotFound, RefusedError, DeniedError) as error:
            log.info("%s lists no referrers, its tags are looked at instead (%s)", self._host, error)
            self._has_referrers = False
            return None
        self._has_referrers = True
        return merge_indexes(pages)

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
        """The names under ``key`` of every page. A page must be an object with that key; ``null`` is no name.

        :raises TemporaryError: when an response is something else, or a page brings nothing new.
        """
        seen = set[str]()
        for response in self._transport.pages(path, scope=scope):
            document = response.json()
            names = document.get(key, ...) if isinstance(document, dict) else ...
            if names is ... or not (names is None or _are_strings(names)):
                raise TemporaryError(
                    f"{response.url.partition('?')[0]} answered {response.status} without a list of {key}"
                )
            new = [name for name in names or () if name not in seen]
            if names and not new:
                raise TemporaryError(f"{response.url.partition('?')[0]} answers the same page again")
            seen.update(new)
            yield from new


def _are_strings(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _digest(text: str, response: Response) -> Digest:
    try:
        return Digest.parse(text)
    except ValueError as error:
        raise TemporaryError(f"{response.url.partition('?')[0]} answered with {text!r} for a digest") from error


def _pull_and_push(repository: Repository) -> str:
    return f"repository:{repository.name}:pull,push"


_AS_IT_IS = {"Accept-Encoding": "identity"}
"""Sizes and digests are those of the stored bytes, which a server may otherwise compress on their way."""


def _blob(repository: Repository, digest: Digest) -> str:
    return f"/v2/{repository.name}/blobs/{digest}"


def _index(response: Response, subject: Digest) -> Manifest:
    """:raises TemporaryError: when the response is no index: an error page is never an empty list."""
    response.rows("manifests", "mediaType", "digest")
    try:
        return parse_manifest(response.content, OCI_INDEX)
    except RefusedError as error:
        raise TemporaryError(
            f"{response.url} answered with no list of what refers to {subject.short}: {error}"
        ) from error


def _pull(repository: Repository) -> str:
    return f"repository:{repository.name}:pull"
