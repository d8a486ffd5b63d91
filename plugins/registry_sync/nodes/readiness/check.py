"""Check an image at one registry as a node pulls it: anonymously, every platform and every blob, within time limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TypeVar

from registry_sync.errors import (
    ConnectTimeout,
    DamagedContent,
    HandshakeTimeout,
    NotAManifest,
    RefusedError,
    RegistrySyncError,
    ResponseTimeout,
)
from registry_sync.nodes.readiness.advice import advise
from registry_sync.nodes.readiness.model import EndpointCheck, Expected, Fault, ImageReadiness
from registry_sync.oci.index_walk import MAX_INDEX_DEPTH, MAX_INDEX_MANIFESTS, walk_manifests
from registry_sync.oci.manifest import Descriptor, Manifest
from registry_sync.oci.reference import Digest, Reference, Repository
from registry_sync.oci.sample import choose_reads
from registry_sync.oci.shapes import is_foreign
from registry_sync.registry.client import PullClient
from registry_sync.text_table import human_bytes

REQUEST_SECONDS = 6.0

READ_BYTES = 50_000_000

MIN_BYTES_PER_SECOND = 100_000
"""A registry that sends blobs slower than this is slow: 100 MB would take a quarter of an hour."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``request_seconds``: the time limit for a manifest or a blob's size, log-in and redirects included.

    ``read_bytes``: how much of each image to download and hash at each registry, besides its manifests; 0 is nothing.
    """

    request_seconds: float = REQUEST_SECONDS
    read_bytes: int = READ_BYTES


def check_endpoint(check: EndpointCheck, client: PullClient, limits: Limits, today: date) -> list[ImageReadiness]:
    """Check each tag of a bootstrap image at one registry. A fault of one tag does not hide those of the others.

    :param client: a client of that registry, without credentials.
    :param today: selects the blobs that are downloaded.
    """
    return [_check_image(check, expected, _Pull(client, check.repository, limits), today) for expected in check.tags]


def _check_image(check: EndpointCheck, expected: Expected, pull: _Pull, today: date) -> ImageReadiness:
    if expected.problem:
        return ImageReadiness.unchecked(check, expected, expected.problem, expected.advice)
    fault: Fault | None = None
    problem = advice = ""
    try:
        pull.read_manifests(expected, by_tag=check.resolves and not expected.is_pinned)
        pull.check_blobs(today)
    except _FaultError as error:
        fault, advice = error.fault, advise(error.fault, error.cause, check, expected.tag)
        problem = f"{error}; {advice}"
    return ImageReadiness(
        pool=check.pool,
        image=check.image(expected),
        registry=check.registry.name,
        fault=fault,
        problem=problem,
        advice=advice,
        note="" if expected.digest else f"digest not compared: {expected.not_compared}",
        digest=pull.digest,
        platforms=tuple(sorted(pull.platforms)),
        blobs=len(pull.sizes),
        size_bytes=sum(pull.sizes.values()),
        read_bytes=pull.read_bytes,
        slowest_seconds=round(pull.slowest_seconds, 3),
    )


class _FaultError(Exception):
    """The first fault of an image. ``cause`` is the client's error, if the registry's answer was one."""

    def __init__(self, fault: Fault, text: str, cause: RegistrySyncError | None = None) -> None:
        super().__init__(text)
        self.fault: Fault = fault
        self.cause = cause


_FaultsByError = tuple[tuple[type[RegistrySyncError], Fault], ...]
"""The fault that each class of error means. The first class that matches counts."""

_COMMON_FAULTS: _FaultsByError = (
    (NotAManifest, "unreadable"),
    (ResponseTimeout, "slow"),
    (HandshakeTimeout, "handshake"),
    (ConnectTimeout, "silent"),
    (DamagedContent, "damaged"),
)

_TAG_FAULTS: _FaultsByError = (*_COMMON_FAULTS, (RefusedError, "unreadable"), (RegistrySyncError, "absent"))
"""For the manifest that a tag names."""

_PLATFORM_FAULTS: _FaultsByError = (*_COMMON_FAULTS, (RefusedError, "unreadable"), (RegistrySyncError, "incomplete"))
"""For a manifest below an index."""

_BLOB_FAULTS: _FaultsByError = (*_COMMON_FAULTS, (RegistrySyncError, "incomplete"))


class _Pull:
    """The requests for one image, in a node's order, each with its time limit; and what they returned."""

    def __init__(self, client: PullClient, repository: Repository, limits: Limits) -> None:
        self._client, self._repository, self._limits = client, repository, limits
        self.digest: Digest | None = None
        self.platforms: set[str] = set()
        self.sizes: dict[Digest, int] = {}
        self.read_bytes = 0
        self.slowest_seconds = 0.0

    def read_manifests(self, expected: Expected, *, by_tag: bool) -> None:
        """Resolve the tag, or find the digest that another registry resolved; then read every manifest below it.

        :raises _FaultError: as all methods of this class do.
        """
        target = expected.tag if by_tag or expected.digest is None else expected.digest
        reference = Reference(self._repository, target)
        head = partial(self._client.head_manifest, self._repository, target)
        digest = self._timed(f"resolving {reference}", _TAG_FAULTS, head)
        if digest is None:
            raise _FaultError("absent", f"{reference} not found")
        self.digest = digest
        manifest = self._get(digest, _TAG_FAULTS)
        if expected.digest and digest != expected.digest:
            tag = Reference(self._repository, expected.tag)
            raise _FaultError("wrong", f"{tag} is {digest}, expected {expected.digest} (from {expected.said_by})")
        self._read_children(manifest)

    def _read_children(self, root: Manifest) -> None:
        """Read every manifest below ``root``. Attestations are excluded: nodes do not pull them."""
        self._note(root)
        try:
            for _ in walk_manifests(root, self._read_child, enters=_is_pulled):
                pass
        except RefusedError as error:  # of the walk itself: those of the registry have become a fault
            reference = Reference(self._repository, root.digest)
            limits = f"more than {MAX_INDEX_DEPTH} levels deep, or with more than {MAX_INDEX_MANIFESTS} manifests"
            text = f"{reference} is an index nested {limits}, which is not checked"
            raise _FaultError("unchecked", text, error) from error

    def _read_child(self, digest: Digest) -> Manifest:
        manifest = self._get(digest, _PLATFORM_FAULTS)
        self._note(manifest)
        return manifest

    def _note(self, manifest: Manifest) -> None:
        """Add the manifest's platforms and the sizes of its blobs."""
        self.platforms |= {str(child.platform) for child in manifest.children if child.platform and _is_pulled(child)}
        self.sizes |= {blob.digest: blob.size_bytes for blob in manifest.blobs if not is_foreign(blob)}

    def check_blobs(self, today: date) -> None:
        """Compare the size of every blob, and download some of them."""
        for digest, expected_bytes in self.sizes.items():
            head = partial(self._client.head_blob, self._repository, digest)
            size_bytes = self._timed(f"reading the size of blob {digest}", _BLOB_FAULTS, head)
            self._compare_size(digest, expected_bytes, size_bytes)
        for digest in choose_reads(self.sizes, self._limits.read_bytes, today):
            self.read_bytes += self._read_blob(digest)

    def _compare_size(self, digest: Digest, expected_bytes: int, size_bytes: int | None) -> None:
        if size_bytes not in (None, expected_bytes):
            sizes = f"has {size_bytes} bytes, and {expected_bytes} by its manifest"
            raise _FaultError("damaged", f"blob {digest} of {self._repository} {sizes}")

    def _read_blob(self, digest: Digest) -> int:
        """Download a blob. The time limit grows with its size."""
        started = time.monotonic()
        try:
            size_bytes = self._client.read_blob(self._repository, digest)
        except RegistrySyncError as error:
            raise _FaultError(_fault_of(error, _BLOB_FAULTS), str(error), error) from error
        seconds = time.monotonic() - started
        limit_seconds = self._limits.request_seconds + size_bytes / MIN_BYTES_PER_SECOND
        if seconds > limit_seconds:
            took = f"reading the {human_bytes(size_bytes)} of blob {digest} took {seconds:.1f} s"
            raise _FaultError("slow", f"{took}, more than {limit_seconds:.1f} s")
        return size_bytes

    def _get(self, digest: Digest, faults: _FaultsByError) -> Manifest:
        get = partial(self._client.get_manifest, self._repository, digest)
        return self._timed(f"reading {Reference(self._repository, digest)}", faults, get)

    def _timed(self, action: str, faults: _FaultsByError, call: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            result = call()
        except RegistrySyncError as error:
            fault = _fault_of(error, faults)
            self._check_time(action, started, fault, error)
            text = f"{action}: {error}" if isinstance(error, RefusedError) else str(error)
            raise _FaultError(fault, text, error) from error
        self._check_time(action, started)
        return result

    def _check_time(
        self, action: str, started: float, fault: Fault | None = None, error: RegistrySyncError | None = None
    ) -> None:
        """:raises _FaultError: when the call took too long. A late error counts too: a node waits for it as well."""
        seconds = time.monotonic() - started
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if seconds > self._limits.request_seconds and fault not in ("silent", "handshake", "slow"):
            took = f"{action} took {seconds:.1f} s, more than {self._limits.request_seconds:g} s"
            raise _FaultError("slow", f"{took}, and failed: {error}" if error else took, error) from error


def _fault_of(error: RegistrySyncError, faults: _FaultsByError) -> Fault:
    return next(fault for error_class, fault in faults if isinstance(error, error_class))


def _is_pulled(child: Descriptor) -> bool:
    """False for BuildKit's provenance: https://docs.docker.com/build/metadata/attestations/storage/."""
    return child.platform is None or child.platform.os != "unknown"
