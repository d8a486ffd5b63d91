"""Images that a deep check found damaged and could not repair. State that runs leave for each other and for readiness.

Pure. A later deep check looks at these images again, whatever its share, until they are whole or no tag names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from registry_sync.oci.reference import Digest

MAX_DAMAGED_IMAGES = 100
"""Limit of one route's report, and of one destination's state. XCom should not hold more."""

MAX_PARTS = 20
"""Maximum number of damaged parts of one image that are kept. A later check finds the others again."""

KEPT = timedelta(days=60)
"""Time after which an image that no run checks any more is dropped from the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedImage:
    """An image of a repository at a destination.

    :ivar repository: name with its host.
    :ivar digest: of the manifest or index that ``tags`` name.
    :ivar parts: digests of the missing or damaged parts.
    :ivar problem: what was seen, and what to do.
    :ivar at: time of the last look, aware UTC.
    """

    repository: str
    digest: Digest
    tags: tuple[str, ...]
    parts: tuple[Digest, ...]
    problem: str
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """The image as JSON-simple values, for XCom."""
        return {
            "repository": self.repository,
            "digest": str(self.digest),
            "tags": list(self.tags),
            "parts": list(map(str, self.parts)),
            "problem": self.problem,
            "at": self.at.isoformat(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        return cls(
            repository=document["repository"],
            digest=Digest.parse(document["digest"]),
            tags=tuple(document["tags"]),
            parts=tuple(map(Digest.parse, document["parts"])),
            problem=document["problem"],
            at=datetime.fromisoformat(document["at"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepCheckResult:
    """The result of one route's deep check.

    :ivar damaged: images that are damaged now.
    :ivar cleared: images that an earlier run found damaged, and that are whole now or have no tag any more.
    """

    damaged: tuple[DamagedImage, ...] = ()
    cleared: tuple[Digest, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-simple values, for XCom."""
        return {
            "damaged": [image.to_json() for image in self.damaged[:MAX_DAMAGED_IMAGES]],
            "cleared": list(map(str, self.cleared)),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        return cls(
            damaged=tuple(map(DamagedImage.from_json, document["damaged"])),
            cleared=tuple(map(Digest.parse, document["cleared"])),
        )


def update_damaged(
    known: Iterable[DamagedImage], results: Sequence[tuple[str, DeepCheckResult]], now: datetime
) -> tuple[DamagedImage, ...]:
    """The damaged images of a destination after a run.

    :param known: those before the run.
    :param results: each repository with the result of a route's deep check. Several routes may share a repository: an
        image that one of them found damaged is not cleared by another one, whose tags do not have it.
    """
    cleared = {(repository, digest) for repository, result in results for digest in result.cleared}
    images = {
        (image.repository, image.digest): image
        for image in known
        if (image.repository, image.digest) not in cleared and now - image.at < KEPT
    }
    images |= {(image.repository, image.digest): image for _, result in results for image in result.damaged}
    return tuple(sorted(images.values(), key=lambda image: (image.repository, image.digest))[:MAX_DAMAGED_IMAGES])
