"""The outcome of attached artifacts: results for the report of a route, and notes about unreadable ones."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from registry_sync.errors import NotFound, RegistrySyncError, UnsupportedArtifact
from registry_sync.oci.artifact_tags import COSIGN_SUFFIXES
from registry_sync.oci.reference import Digest
from registry_sync.sync.content.transfer import Transferred
from registry_sync.sync.report import TagResult

log = logging.getLogger(__name__)

Unread = Literal["referrers", "artifact tags"]


class ArtifactOutcomes:
    """Collects results and notes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: list[TagResult] = []
        self._failed: list[tuple[str, Digest]] = []
        self._unread: dict[Unread, dict[Digest, str]] = {"referrers": {}, "artifact tags": {}}

    @property
    def results(self) -> list[TagResult]:
        """Results of the artifacts that were copied, refused, or failed."""
        with self._lock:
            return list(self._results)

    @property
    def notes(self) -> Sequence[str]:
        """Notes about artifacts that may exist and could not be read."""
        with self._lock:
            return [
                f"the {noun} of {len(errors)} images could not be read: {next(iter(errors.values()))}; signatures and "
                "SBOMs attached to them may be missing at the destination"
                for noun, errors in self._unread.items()
                if errors
            ]

    @property
    def failed(self) -> list[tuple[str, Digest]]:
        """The names of artifacts that failed or are locked, each with the digest that it is attached to."""
        with self._lock:
            return list(self._failed)

    def add(self, result: TagResult, subject: Digest) -> None:
        """Keep the result of an artifact that is attached to ``subject``, and log it."""
        log.info("%s %s: %s", result.tag, result.outcome, result.reason)
        with self._lock:
            self._results.append(result)
            if result.error_class:
                self._failed.append((result.tag, subject))

    def unread(self, name: str, subject: Digest) -> str:
        """The error that kept an artifact of ``subject`` from being read; empty when it was looked for."""
        noun: Unread = "artifact tags" if name.endswith(COSIGN_SUFFIXES) else "referrers"
        with self._lock:
            return self._unread[noun].get(subject, "")

    def note_unread(self, noun: Unread, subject: Digest, error: RegistrySyncError) -> None:
        """Keep that artifacts of ``subject`` may exist, and could not be read."""
        log.warning("the %s of %s cannot be read: %s", noun, subject, error)
        with self._lock:
            self._unread[noun].setdefault(subject, str(error))


def skipped_artifacts_note(results: Iterable[TagResult]) -> Iterator[str]:
    """One note about skipped artifacts; the report shows them nowhere else."""
    skipped = [result for result in results if result.outcome == "skipped"]
    if skipped:
        yield f"{len(skipped)} attached artifacts (signatures, for example) were skipped: {skipped[0].reason}"


def copied(name: str, subject: Digest, transferred: Transferred, started: float, change: str = "") -> TagResult:
    """The result of a copied artifact.

    :param name: its tag, or its digest.
    :param started: ``time.monotonic()`` when the copy began.
    :param change: what was done with another artifact under the tag.
    """
    return TagResult.copied(
        name,
        transferred.manifest.digest,
        f"attached to {subject.short}{change}",
        sent_bytes=transferred.sent_bytes,
        seconds=time.monotonic() - started,
    )


def refused(name: str, subject: Digest, error: RegistrySyncError) -> TagResult:
    """The result of an artifact that cannot be copied. The image itself is mirrored."""
    reason = f"attached to {subject.short}, cannot be copied: {error}"
    if isinstance(error, UnsupportedArtifact | NotFound):
        return TagResult.skipped(name, reason)
    return TagResult.of_error(name, error, reason=reason)
