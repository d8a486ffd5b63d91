"""The mover of a route, by its option ``transfer``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Executor

from registry_sync.errors import ConfigurationError
from registry_sync.oci.platforms import PlatformIndex
from registry_sync.oci.reference import Digest
from registry_sync.sync.content.blob_copies import BlobCopies
from registry_sync.sync.content.direct_mover import DirectMover
from registry_sync.sync.content.held_content import HeldContent
from registry_sync.sync.content.manifests import RouteManifests
from registry_sync.sync.content.skopeo_mover import SkopeoMover
from registry_sync.sync.content.transfer import Transfer
from registry_sync.sync.session import Session


def make_transfer(
    session: Session,
    pool: Executor,
    indexes: Mapping[Digest, PlatformIndex],
    *,
    expected: Collection[Digest] | None = None,
) -> Transfer:
    """The transfer of a session.

    :param pool: sends requests for blobs beside the threads of the images.
    :param indexes: platform indexes by their digests.
    :param expected: digests that tags of the destination have. Direct transfer reads all others at the source at once.
    :raises ConfigurationError: when direct transfer would bypass a policy. A mirrors file is refused before that.
    """
    is_direct = session.route.settings.transfer == "direct"
    enforces_policy = session.route.settings.policy is not None
    if is_direct and enforces_policy:
        raise ConfigurationError(
            "policy cannot be used with transfer: direct, because only skopeo checks policies; nothing was copied"
        )
    manifests = RouteManifests(
        session=session,
        held=HeldContent(session.destination, session.route.destination_repository, pool),
        indexes=indexes,
        expected=expected if is_direct else None,
    )
    blobs = BlobCopies(session, pool)
    if is_direct:
        return Transfer(manifests=manifests, mover=DirectMover(manifests=manifests, blobs=blobs))
    mover = SkopeoMover(manifests=manifests, blobs=blobs, enforces_policy=enforces_policy)
    return Transfer(manifests=manifests, mover=mover)
