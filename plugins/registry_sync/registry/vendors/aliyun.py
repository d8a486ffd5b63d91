"""Aliyun (Alibaba Cloud) Container Registry: only ``/v2``, so a digest costs a HEAD.

Its own listings belong to another API, which needs AccessKeys and is not used:
https://www.alibabacloud.com/help/en/acr/developer-reference/api-cr-2018-12-01-overview.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from registry_sync.errors import ConfigurationError, DeniedError, RefusedError, UnsupportedArtifact
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import ListedRepository
from registry_sync.registry.distribution import DistributionClient


class AliyunClient(DistributionClient):
    """A :class:`~registry_sync.registry.client.RegistryClient` for personal and enterprise instances."""

    lists_digests: ClassVar[bool] = False
    lists_push_times: ClassVar[bool] = False
    denies_what_is_missing: ClassVar[bool] = True
    deletes_tags_alone: ClassVar[bool] = False
    v2_requests_per_second: ClassVar[float | None] = 15.0
    """Harbor's own limit for Aliyun: https://github.com/goharbor/harbor/tree/main/src/pkg/reg/adapter/aliacr."""

    def _list_repositories(self, namespace: str, *, include_private: bool) -> Iterator[ListedRepository]:  # noqa: ARG002 - no listing
        """Aliyun has no ``_catalog``.

        https://github.com/goharbor/harbor/blob/main/src/pkg/reg/adapter/aliacr/adapter.go

        :raises ConfigurationError: always.
        """
        raise ConfigurationError(
            f"Aliyun ({self._host}) does not list repositories; write the repositories of {namespace!r} one by one"
        )

    def put_manifest(self, repository: Repository, target: str | Digest, manifest: Manifest) -> None:
        """Publish the exact bytes of a manifest under a tag or its digest.

        :raises UnsupportedArtifact: for signatures and attestations, whose config types Aliyun does not know:
            https://github.com/cnrancher/hangar/issues/238.
        :raises DeniedError: also when the namespace does not exist; Aliyun then reports missing access only.
        """
        try:
            super().put_manifest(repository, target, manifest)
        except (DeniedError, RefusedError) as error:
            text = str(error).lower()
            if "unknown manifest class" in text:
                raise UnsupportedArtifact(f"Aliyun takes no artifact of this type as {repository} ({error})") from error
            if "requested access to the resource is denied" in text:
                raise DeniedError(f"{error}; {_advice(repository)}") from error
            raise


def _advice(repository: Repository) -> str:
    namespace = repository.name.partition("/")[0]
    return (
        f"the namespace {namespace!r} must exist at {repository.host}, create repositories automatically, and allow "
        "this user to push"
    )
