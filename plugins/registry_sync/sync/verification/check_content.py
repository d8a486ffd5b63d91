"""Check the content of images at a destination: every manifest, the size of every blob, and the bytes of some blobs.

Each manifest is requested once per image that has it, each blob once per call, however many images share it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TypeVar

from registry_sync.errors import DamagedContent, NotAManifest, NotFound, RegistrySyncError, TemporaryError
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.manifest import Descriptor, Manifest
from registry_sync.oci.reference import Digest
from registry_sync.oci.sample import choose_reads
from registry_sync.oci.shapes import blobs_of, is_blob
from registry_sync.sync.obstacle import Obstacle
from registry_sync.sync.session import Session
from registry_sync.sync.threads import PROGRESS_SECONDS, thread_pool

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A part of an image that the destination lacks, or has with other bytes.

    :ivar blob: the descriptor of a blob; ``None`` for a manifest.
    """

    kind: Literal["missing", "damaged"]
    digest: Digest
    noun: Literal["manifest", "config", "layer"]
    blob: Descriptor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCheck:
    """The result of one image.

    :ivar blobs: the digests of all blobs of all its manifests, without those that registries need not have.
    :ivar error: the reason that a part could not be checked, ``None`` if all were. ``faults`` are then incomplete.
    """

    digest: Digest
    blobs: frozenset[Digest] = frozenset()
    faults: tuple[Fault, ...] = ()
    error: RegistrySyncError | None = None

    @property
    def is_whole(self) -> bool:
        return not self.faults and self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCheck:
    """The results of several images.

    :ivar blobs: number of different blobs whose sizes were compared.
    :ivar read_bytes: number of bytes that were read and hashed.
    """

    images: tuple[ImageCheck, ...] = ()
    blobs: int = 0
    read_bytes: int = 0


def check_content(
    session: Session,
    digests: Collection[Digest],
    obstacle: Obstacle,
    *,
    read_bytes: int = 0,
    always_read: Collection[Digest] = (),
) -> ContentCheck:
    """Check images at the destination of a session.

    :param digests: of the manifests or indexes that tags name.
    :param obstacle: the checks end when it has an error, and the images that are left get that error.
    :param read_bytes: limit of the bytes of blobs to read and hash. Other blobs are read each day.
    :param always_read: blobs to read in any case.
    """
    checker = _Checker(session, obstacle)
    images = checker.read_images(digests)
    sizes = checker.check_sizes()
    chosen = choose_reads(sizes, read_bytes, datetime.now(UTC).date())
    total_bytes = checker.read_blobs({*chosen, *(sizes.keys() & set(always_read))})
    checked = tuple(checker.conclude(image) for image in images)
    return ContentCheck(images=checked, blobs=len(checker.blobs), read_bytes=total_bytes)


class _Checker:
    """The requests for the images of one call, and what they returned.

    :ivar blobs: the blobs of all images, by digest.
    """

    def __init__(self, session: Session, obstacle: Obstacle) -> None:
        self._session, self._obstacle = session, obstacle
        self._client, self._repository = session.destination, session.route.destination_repository
        self._configs = set[Digest]()
        self._faults: dict[Digest, Fault] = {}
        self._errors: dict[Digest, RegistrySyncError] = {}
        self.blobs: dict[Digest, Descriptor] = {}

    def read_images(self, digests: Collection[Digest]) -> list[ImageCheck]:
        """Read the manifests of all images. A missing or damaged manifest is a fault of its image."""
        results = self._run(f"images of {self._repository} read", list(digests), self._read_image)
        return [
            ImageCheck(digest=digest, error=found) if isinstance(found, RegistrySyncError) else found
            for digest, found in results.items()
        ]

    def check_sizes(self) -> dict[Digest, int]:
        """HEAD every blob. Returns the sizes of the blobs that exist with the right size."""
        self._note(self._run(f"blobs of {self._repository} found", list(self.blobs), self._check_size))
        bad = self._faults.keys() | self._errors.keys()
        return {digest: blob.size_bytes for digest, blob in self.blobs.items() if digest not in bad}

    def read_blobs(self, digests: Iterable[Digest]) -> int:
        """Read blobs whole. Returns the number of bytes."""
        results = self._run(f"blobs of {self._repository} read", list(digests), self._read_blob)
        self._note(results)
        return sum(self.blobs[digest].size_bytes for digest, found in results.items() if found is None)

    def conclude(self, image: ImageCheck) -> ImageCheck:
        """The result of an image with the faults and errors of its blobs."""
        faults = [self._faults[digest] for digest in sorted(image.blobs & self._faults.keys())]
        errors = [self._errors[digest] for digest in sorted(image.blobs & self._errors.keys())]
        error = image.error or next(iter(errors), None)
        return replace(image, faults=(*image.faults, *faults), error=error)

    def _note(self, results: Mapping[Digest, Fault | RegistrySyncError | None]) -> None:
        for digest, found in results.items():
            if isinstance(found, Fault):
                self._faults[digest] = found
            elif found is not None:
                self._errors[digest] = found

    def _run(
        self, what: str, items: Sequence[Item], call: Callable[[Item], Found]
    ) -> dict[Item, Found | RegistrySyncError]:
        """Call a function for each item in threads. An error becomes the result of its item."""
        results: dict[Item, Found | RegistrySyncError] = {}
        next_progress = time.monotonic() + PROGRESS_SECONDS
        with thread_pool(self._session.route.destination.max_connections) as pool:
            pending = {pool.submit(self._try, call, item): item for item in items}
            for future in as_completed(pending):
                results[pending[future]] = future.result()
                if time.monotonic() >= next_progress:
                    log.info("Deep check: %d of %d %s", len(results), len(items), what)
                    next_progress += PROGRESS_SECONDS
        return {item: results[item] for item in items}

    def _try(self, call: Callable[[Item], Found], item: Item) -> Found | RegistrySyncError:
        if self._obstacle.error:
            return self._obstacle.error
        try:
            self._session.check_stopping()
            found = call(item)
        except RegistrySyncError as error:
            self._obstacle.count(error)
            return error
        self._obstacle.reset()
        return found

    def _read_image(self, digest: Digest) -> ImageCheck:
        """Read an image's manifests. An unreadable manifest does not hide the others.

        :raises RefusedError: when an index is nested too deeply.
        """
        manifests: list[Manifest] = []
        faults: list[Fault] = []
        errors: list[RegistrySyncError] = []

        def read(part: Digest) -> Manifest | None:
            match self._try(self._read_manifest, part):
                case Manifest() as manifest:
                    manifests.append(manifest)
                    return manifest
                case Fault() as fault:
                    faults.append(fault)
                case error:
                    errors.append(error)
            return None

        if root := read(digest):
            for _ in walk_manifests(root, read, enters=lambda child: not is_blob(child)):
                pass
        blobs = {blob.digest: blob for part in manifests for blob in blobs_of(part) if not blob.urls}
        self.blobs |= blobs
        self._configs |= {blob.digest for part in manifests for blob in part.blobs[:1]}
        return ImageCheck(digest=digest, blobs=frozenset(blobs), faults=tuple(faults), error=next(iter(errors), None))

    def _read_manifest(self, digest: Digest) -> Manifest | Fault:
        """A manifest or its fault. Bytes may be damaged in transit, so only damage in two responses is a fault.

        :raises NotAManifest: when something else answers, such as a proxy. That proves nothing about the registry.
        """
        try:
            return _twice(lambda: self._client.get_manifest(self._repository, digest), DamagedContent)
        except NotFound:
            return Fault(kind="missing", digest=digest, noun="manifest")
        except NotAManifest:
            raise
        except DamagedContent:
            return Fault(kind="damaged", digest=digest, noun="manifest")

    def _check_size(self, digest: Digest) -> Fault | None:
        blob = self.blobs[digest]
        try:
            size_bytes = self._client.head_blob(self._repository, digest)
        except NotFound:
            return self._fault("missing", blob)
        is_right = not size_bytes or size_bytes == blob.size_bytes  # some registries answer HEAD with the length 0
        return None if is_right else self._fault("damaged", blob)

    def _read_blob(self, digest: Digest) -> Fault | None:
        """Read a blob. Some registries answer HEAD from a cache: only a read proves that the bytes are there."""
        blob = self.blobs[digest]
        try:
            _twice(lambda: self._discard(blob), DamagedContent)
        except NotFound:
            return self._fault("missing", blob)
        except DamagedContent:
            return self._fault("damaged", blob)
        return None

    def _discard(self, blob: Descriptor) -> None:
        """Read to the end, or until the task is being ended."""
        for _ in self._client.blob_reader(self._repository, blob).chunks():
            self._session.check_stopping()

    def _fault(self, kind: Literal["missing", "damaged"], blob: Descriptor) -> Fault:
        noun: Literal["config", "layer"] = "config" if blob.digest in self._configs else "layer"
        return Fault(kind=kind, digest=blob.digest, noun=noun, blob=blob)


def _twice(call: Callable[[], Found], kind: type[TemporaryError]) -> Found:
    """Call again after an error of this kind, which may come from the network alone."""
    try:
        return call()
    except kind:
        return call()
