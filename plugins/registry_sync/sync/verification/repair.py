"""Repair an image at a destination from its source: send missing parts, and upload damaged parts again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from registry_sync.oci.reference import Digest
from registry_sync.registry.content.blob_copy import BlobCopy
from registry_sync.registry.content.damaged_blobs import removal_advice
from registry_sync.sync.content.transfer import Transfer
from registry_sync.sync.obstacle import Obstacle
from registry_sync.sync.session import Session
from registry_sync.sync.verification.check_content import Fault, ImageCheck, check_content

log = logging.getLogger(__name__)

MAX_NAMED_FAULTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """An image after its repair.

    :ivar check: its last check. It has faults where the repair did not help.
    """

    check: ImageCheck
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Repairs images of one session.

    :ivar transfer: enforces the route's policy, so that nothing is sent that the policy rejects.
    :ivar hopeless: parts whose repair did not help. Other images that share them are not repaired again.
    """

    session: Session
    transfer: Transfer
    obstacle: Obstacle
    hopeless: set[Digest] = field(default_factory=set)

    def repair(self, image: ImageCheck) -> Repaired:
        """Repair an image, and check it again.

        First an ordinary transfer sends the parts that the destination reports as missing. skopeo and registries
        believe that report, so parts that are still missing, and damaged parts, are then uploaded one by one.

        :raises RegistrySyncError: when the source lacks a part too, has it damaged, or when a registry fails.
        """
        if all(fault.digest in self.hopeless for fault in image.faults):
            return Repaired(check=image)
        manifest = self.transfer.manifests.read_source(image.digest)
        sent_bytes = 0
        with self.transfer.lock(manifest):
            mover = self.transfer.mover
            if mover.enforces_policy or any(fault.kind == "missing" for fault in image.faults):
                sent_bytes += mover.send(manifest).sent_bytes
                mover.settle(manifest.digest)
                image = self._check(image)
            if image.faults:
                sent_bytes += sum(map(self._upload, image.faults))
                image = self._check(image)
        self.hopeless.update(fault.digest for fault in image.faults)
        return Repaired(check=image, sent_bytes=sent_bytes)

    def _check(self, image: ImageCheck) -> ImageCheck:
        """Check an image again. Damaged parts are read whole."""
        suspects = [fault.digest for fault in image.faults]
        return check_content(self.session, [image.digest], self.obstacle, always_read=suspects).images[0]

    def _upload(self, fault: Fault) -> int:
        """Upload one part again, whether or not the destination has it. Returns the bytes sent."""
        repository = self.session.route.destination_repository
        log.info("Deep check: uploading %s %s to %s again", fault.noun, fault.digest, repository)
        if fault.blob is None:
            part = self.transfer.manifests.read_source(fault.digest)
            self.session.destination.put_manifest(repository, fault.digest, part)
            return len(part.content)
        with self.session.locks.acquire({str(fault.digest)}):
            reader = self.session.source.blob_reader(self.session.route.source_repository, fault.blob)
            uploads = self.session.destination.uploads(repository)
            copy = BlobCopy(reader=reader, uploads=uploads, check=self.session.check_stopping)
            return copy.run(uploads.begin(fault.blob))


def faults_text(faults: Iterable[Fault], verb: str = "is") -> str:
    """The first faults of an image, and the number of the others.

    >>> faults_text([Fault(kind="missing", digest=Digest("sha256", "ab"), noun="layer")])
    'layer sha256:ab is missing'
    """
    named = [f"{fault.noun} {fault.digest} {verb} {fault.kind}" for fault in faults]
    more = f" and {len(named) - MAX_NAMED_FAULTS} more parts" if len(named) > MAX_NAMED_FAULTS else ""
    return f"{', '.join(named[:MAX_NAMED_FAULTS])}{more}"


def advice_text(session: Session, faults: Iterable[Fault]) -> str:
    """The steps that help where a new upload did not."""
    route = session.route
    first = next((fault for fault in faults if fault.kind == "damaged"), None)
    if first is None:
        return f"{route.destination.name} takes uploads of it and does not keep them: look at its storage and its log"
    steps = removal_advice(route.destination.api_kind, first.digest)
    return (
        f"a new upload did not replace it, because {route.destination.name} keeps the bytes of a digest that it has: "
        f"{steps}; then run verify again, or the mirror {route.mirror!r} with 'Deep check', which sends it again"
    )
