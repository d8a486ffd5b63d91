"""Advice about damaged bytes that a registry keeps: the steps that remove them, for each kind of registry.

Registries store a blob under its digest, and most of them drop an upload of a digest that they have already. A damaged
blob then stays, whatever is deleted, until the registry's own garbage collection removes its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from registry_sync.oci.reference import Digest
from registry_sync.registry.kinds import Kind

_DELETE_ALL = "delete every image that uses it, in all repositories, only when machines can pull from elsewhere"

_STEPS: Mapping[Kind, str] = {
    # An upload of a digest that is there is dropped: registry/storage/blobwriter.go, moveBlob.
    "distribution": (
        "remove the folder docker/registry/v2/blobs/{algorithm}/{start}/{encoded} from its storage and restart it "
        "(docker-registry and distribution; other servers: docs/verify.md)"
    ),
    # https://goharbor.io/docs/2.13.0/administration/garbage-collection/
    "harbor": (
        f"{_DELETE_ALL}; then run Administration > Clean Up > Garbage Collection, which leaves what was pushed in the "
        "last two hours"
    ),
    # An upload of a digest that is there is dropped (data/../blobuploader.py, _finalize_blob_storage).
    # https://docs.projectquay.io/manage_quay.html#garbage-collection
    "quay": (
        f"{_DELETE_ALL}, also from the history of their tags (time machine); then wait for Quay's garbage collector; "
        "on quay.io ask Red Hat's support"
    ),
    # https://learn.microsoft.com/azure/container-registry/container-registry-delete
    "acr": (
        f"{_DELETE_ALL} (az acr repository delete --image NAME@DIGEST; with soft delete, purge them too); then wait "
        "until Azure has removed the layers"
    ),
    # https://docs.docker.com/docker-hub/repos/manage/hub-images/manage/
    "docker_hub": f"{_DELETE_ALL}; Docker removes layers at a time of its own, so ask Docker's support",
    # https://www.alibabacloud.com/help/en/acr/user-guide/release-the-storage-space-of-oss
    "aliyun": (
        f"{_DELETE_ALL}; then run Instances > Garbage Collection (Enterprise Edition), or open a ticket (personal "
        "edition)"
    ),
    # https://cloud.google.com/artifact-registry/docs/docker/manage-images
    "google": (
        f"{_DELETE_ALL} (gcloud artifacts docker images delete NAME@DIGEST --delete-tags); Google removes layers at a "
        "time of its own"
    ),
    # https://docs.github.com/en/packages/learn-github-packages/deleting-and-restoring-a-package
    "ghcr": f"{_DELETE_ALL}; GitHub keeps deleted images for 30 days, so ask GitHub's support",
    # https://docs.gitlab.com/administration/packages/container_registry/#container-registry-garbage-collection
    "gitlab": (
        f"{_DELETE_ALL}; then wait a day for GitLab's online garbage collection, or run gitlab-ctl "
        "registry-garbage-collect where the registry has no metadata database"
    ),
    # https://jfrog.com/help/r/jfrog-artifactory-documentation/garbage-collection
    "artifactory": f"{_DELETE_ALL}; then empty the trash can, and run Artifactory's garbage collection (Maintenance)",
    # https://help.sonatype.com/en/cleaning-up-docker-repositories.html
    "nexus": (
        f"{_DELETE_ALL}; then run the tasks 'Docker - Delete unused manifests and images' and 'Admin - Compact blob "
        "store'"
    ),
}


def removal_advice(kind: Kind, digest: Digest) -> str:
    """The steps after which a registry of this kind no longer has the bytes of a damaged blob.

    >>> removal_advice("docker_hub", Digest("sha256", "ab"))[:33]
    'delete every image that uses it, '
    """
    return _STEPS[kind].format(algorithm=digest.algorithm, start=digest.encoded[:2], encoded=digest.encoded)
