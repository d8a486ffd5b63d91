"""The parts that all kinds of attached artifacts of a route are worked on with."""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.sync.artifacts.copies import ArtifactCopies
from registry_sync.sync.artifacts.outcomes import ArtifactOutcomes
from registry_sync.sync.artifacts.source_tags import SourceArtifactTags
from registry_sync.sync.reading.hidden_tags import HiddenTags
from registry_sync.sync.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactWork:
    """One value for the route, and for what is shared by its cosign tags and its referrers.

    :ivar tags: the artifact tags of the source.
    :ivar destination: artifact tags at the destination, which its listing may hide.
    """

    session: Session
    copies: ArtifactCopies
    tags: SourceArtifactTags
    destination: HiddenTags
    outcomes: ArtifactOutcomes
