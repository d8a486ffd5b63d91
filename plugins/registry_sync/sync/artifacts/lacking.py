"""Attached artifacts that failed, and that the next run tries again: a bounded list for each route. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from registry_sync.oci.reference import Digest

MAX_LACKING = 10
"""Maximum number of failed artifacts of a route that are stored. A destination may refuse those of all images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LackingArtifact:
    """An attached artifact that the destination lacks.

    :ivar name: its tag or digest, as in the report.
    :ivar subject: the digest that it is attached to.
    :ivar image: the digest of the mirrored image that leads to the subject; often the subject itself. ``None`` where
        the run compared no tag that leads to it.
    """

    name: str
    subject: Digest
    image: Digest | None = None

    def to_json(self) -> list[str | None]:
        """The artifact as JSON-simple values."""
        return [self.name, str(self.subject), str(self.image) if self.image else None]

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Read the result of :meth:`to_json`."""
        name, subject, image = document
        return cls(name=name, subject=Digest.parse(subject), image=Digest.parse(image) if image else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LackingArtifacts:
    """The failed artifacts of one route.

    :ivar is_partial: more failed than are stored. Only a full check tries the others.
    """

    artifacts: tuple[LackingArtifact, ...] = ()
    is_partial: bool = False

    @classmethod
    def first_of(cls, artifacts: Iterable[LackingArtifact], *, is_partial: bool = False) -> Self:
        """The first artifacts, as many as are stored.

        :param is_partial: other artifacts failed earlier and were not tried again.
        """
        ordered = sorted(set(artifacts), key=lambda artifact: (artifact.name, str(artifact.subject)))
        return cls(artifacts=tuple(ordered[:MAX_LACKING]), is_partial=is_partial or len(ordered) > MAX_LACKING)

    def __bool__(self) -> bool:
        return bool(self.artifacts) or self.is_partial

    @property
    def needs_full_check(self) -> bool:
        """True when artifacts failed, and none of them is stored."""
        return self.is_partial and not self.artifacts

    def merge(self, other: LackingArtifacts) -> LackingArtifacts:
        """The artifacts of both."""
        is_partial = self.is_partial or other.is_partial
        return LackingArtifacts.first_of((*self.artifacts, *other.artifacts), is_partial=is_partial)

    def to_json(self) -> dict[str, Any]:
        """The artifacts as JSON-simple values."""
        return {"artifacts": [artifact.to_json() for artifact in self.artifacts], "is_partial": self.is_partial}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        artifacts = tuple(map(LackingArtifact.from_json, document["artifacts"]))
        return cls(artifacts=artifacts, is_partial=document["is_partial"])


NONE_LACKING = LackingArtifacts()
