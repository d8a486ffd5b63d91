"""Amazon ECR, private registries: its API lists tags with digests and push times; manifests use ``/v2``.

The API takes the identities of AWS only. With a fixed login (user ``AWS`` and a token of twelve hours) it is not
called: tags then have names only, and a digest costs a HEAD.

https://docs.aws.amazon.com/AmazonECR/latest/APIReference/
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from registry_sync.errors import DeniedError, NotFound, TemporaryError
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository, ListedTag
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.tag_pages import parse_digest
from registry_sync.registry.traffic import Traffic
from registry_sync.registry.vendors.ecr.api import REQUESTS_PER_SECOND, EcrApi, Row
from registry_sync.registry.vendors.ecr.errors import AlreadyExists, deletion_error
from registry_sync.registry.vendors.ecr.rows import text_of
from registry_sync.registry.vendors.ecr.templates import is_created_by_push
from registry_sync.registry.wire.rate_limit import RateLimiter

log = logging.getLogger(__name__)


class EcrClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for ``ACCOUNT.dkr.ecr.REGION.amazonaws.com``.

    :param api_url: address of the API, such as of a VPC endpoint; by default that of the region.
    """

    lists_digests: ClassVar[bool] = True
    lists_push_times: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = True

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = 8,
        api_url: str | None = None,
        requests_per_second: float | None = None,
    ) -> None:
        super().__init__(endpoint, max_connections=max_connections, requests_per_second=requests_per_second)
        self._puts = RateLimiter(REQUESTS_PER_SECOND, server=endpoint.host, lane="put")
        self._mutability: dict[Repository, Row] = {}
        self._api: EcrApi | None = None
        if isinstance(endpoint.identity, AwsIdentity):
            self._api = EcrApi(
                self._transport,
                endpoint.identity,
                api_url=api_url,
                max_connections=max_connections,
                requests_per_second=requests_per_second,
            )

    @property
    def traffic(self) -> Traffic:
        return super().traffic + self._api.traffic if self._api else super().traffic

    def close(self) -> None:
        """Close the connections."""
        self._puts.close()
        super().close()
        if self._api:
            self._api.close()

    def abort(self) -> None:
        """Break off every request, and send no more. Safe in a signal handler."""
        self._puts.close()
        super().abort()
        if self._api:
            self._api.abort()

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:
        """The repositories of the registry that are in ``namespace``. A registry is private as a whole.

        :raises DeniedError: when the identity may not list them.
        """
        if self._api is None:
            yield from super()._list_repositories(namespace, include_private=include_private)
            return
        for rows in self._api.rows("DescribeRepositories", "repositories", self._host, **self._api.account):
            for row in rows:
                if (name := text_of(row, "repositoryName")).startswith(f"{namespace}/"):
                    yield ListedRepository(name=name)

    def _list_tags(self, repository: Repository, *, since: datetime | None) -> Iterator[ListedTag]:
        """All tags, each with the push time of its image. Archived images cannot be pulled, and are left out.

        :raises NotFound: when the repository does not exist.
        :raises DeniedError: when the identity may not list images.
        """
        if self._api is None:
            yield from super()._list_tags(repository, since=since)
            return
        seen = set[str]()
        for rows in self._images(self._api, repository):
            for entry in (entry for row in rows for entry in _entries(row)):
                if entry.name not in seen:
                    seen.add(entry.name)
                    yield entry

    def _images(self, api: EcrApi, repository: Repository) -> Iterator[list[Row]]:
        arguments = {**api.account, "repositoryName": repository.name, "filter": {"tagStatus": "TAGGED"}}
        return api.rows("DescribeImages", "imageDetails", str(repository), **arguments)

    def locked_tags(self, repository: Repository, tags: Collection[str]) -> frozenset[str]:
        """The tags among ``tags`` that the repository does not let anybody overwrite: one request for a repository.

        https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html

        :raises DeniedError: when the identity may not read the settings of the repository.
        """
        if self._api is None or not tags:
            return frozenset()
        row = self._read_repository(self._api, repository)
        return frozenset(tag for tag in tags if row and _is_immutable(row, tag))

    def _read_repository(self, api: EcrApi, repository: Repository) -> Row | None:
        """The settings of a repository; ``None`` where it does not exist."""
        if repository not in self._mutability:
            arguments = {**api.account, "repositoryNames": [repository.name]}
            try:
                answer = api.call("DescribeRepositories", str(repository), **arguments)
            except NotFound:
                return None
            found = [row for row in _rows(answer, "repositories") if row.get("repositoryName") == repository.name]
            if not found:
                raise TemporaryError(f"ecr:DescribeRepositories of {repository} answered without the repository")
            self._mutability[repository] = found[0]
        return self._mutability[repository]

    def create_repository(self, repository: Repository) -> None:
        """Create a private repository with the settings of AWS, if it does not exist.

        Where a repository creation template of the registry says that a push creates it, that is left to the push:
        the template says how it is encrypted, tagged and shared.

        :raises DeniedError: also without an identity, where it does not exist.
        """
        if self._api is None:
            self._require_existing(repository)
            return
        if self._read_repository(self._api, repository) or is_created_by_push(self._api, repository):
            return
        arguments = {**self._api.account, "repositoryName": repository.name}
        try:
            answer = self._api.call("CreateRepository", str(repository), **arguments)
        except AlreadyExists as error:
            log.info("%s", error)
            return
        if not isinstance(answer.get("repository"), Mapping):
            raise TemporaryError(f"ecr:CreateRepository of {repository} answered without the repository")

    def create_fault(self) -> str:
        """Only the API creates."""
        return "" if self._api else f"creating repositories at {self._host} {_NEEDS_IDENTITY}"

    def _require_existing(self, repository: Repository) -> None:
        """:raises DeniedError: when the repository does not exist, which a fixed login cannot change."""
        try:
            next(super()._list_tags(repository, since=None), None)
        except NotFound as error:
            raise DeniedError(
                f"{repository} does not exist, and {self.create_fault()}; else create it (aws ecr create-repository), "
                "or remove create_repository where a creation template creates it"
            ) from error

    def put_manifest(self, repository: Repository, target: str | Digest, manifest: Manifest) -> None:
        """Publish the exact bytes of a manifest, as often a second as the quota of ``PutImage`` allows."""
        self._puts.wait()
        super().put_manifest(repository, target, manifest)

    def delete_fault(self) -> str:
        """Only the API deletes."""
        return "" if self._api else f"deleting tags at {self._host} {_NEEDS_IDENTITY}"

    def _delete(self, repository: Repository, target: str | Digest) -> None:
        """Delete a tag, or an image by digest. ECR deletes an image together with its last tag.

        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html

        :raises DeniedError: also without an identity.
        :raises NeededImage: when it is the last tag of an image that an index has.
        """
        if self._api is None:
            raise DeniedError(self.delete_fault())
        image = {"imageDigest": str(target)} if isinstance(target, Digest) else {"imageTag": target}
        subject = f"{repository}@{target}" if isinstance(target, Digest) else f"{repository}:{target}"
        answer = self._api.call(
            "BatchDeleteImage", subject, **self._api.account, repositoryName=repository.name, imageIds=[image]
        )
        for failure in _rows(answer, "failures"):
            raise deletion_error(failure, subject)
        if not any(image.items() <= deleted.items() for deleted in _rows(answer, "imageIds")):
            raise TemporaryError(f"ecr:BatchDeleteImage of {subject} answered without the image that it deleted")


_NEEDS_IDENTITY = "needs an identity of AWS: a connection of type aws, or identity: ambient"


def _rows(answer: Row, key: str) -> list[Row]:
    """The objects under a key; none where it is absent."""
    return [row for row in answer.get(key) or () if isinstance(row, Mapping)]


def _entries(row: Row) -> Iterator[ListedTag]:
    """The tags of an image. ``imageDigest`` is the index's for multi-platform images.

    :raises TemporaryError: when it has none, because only images with tags are asked for.
    """
    digest, pushed_at = parse_digest(row.get("imageDigest")), _time(row.get("imagePushedAt"))
    names = row.get("imageTags")
    if not names or not all(isinstance(name, str) for name in names):
        raise TemporaryError(f"ECR returned an image without a valid list of tags: {digest}")
    for name in names:
        yield ListedTag(name=name, digest=digest, pushed_at=pushed_at, is_image_time=True)


def _time(raw: Any) -> datetime | None:
    """A time that the SDK has read, in UTC; ``None`` for zero values, which mean "none"."""
    return raw.astimezone(UTC) if isinstance(raw, datetime) and raw.year > 1970 else None


def _is_immutable(repository: Row, tag: str) -> bool:
    """Return whether the settings of a repository make a tag immutable. ``*`` in a filter is any text."""
    setting = str(repository.get("imageTagMutability", ""))
    filters = (str(entry.get("filter", "")) for entry in _rows(repository, "imageTagMutabilityExclusionFilters"))
    patterns = (".*".join(map(re.escape, text.split("*"))) for text in filters)
    is_excluded = setting.endswith("_WITH_EXCLUSION") and any(re.fullmatch(pattern, tag) for pattern in patterns)
    return setting.startswith("IMMUTABLE") is not is_excluded if setting else False
