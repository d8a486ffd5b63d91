"""The values that the copies of all kinds of attached artifacts of a route share."""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.sync.artifacts.copies import ArtifactCopies
from registry_sync.sync.artifacts.outcomes import ArtifactOutcomes
from registry_sync.sync.artifacts.source_tags import SourceArtifactTags
from registry_sync.sync.reading.hidden_tags import HiddenTags
from registry_sync.sync.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactWork:
    """The values that the copies of cosign tags and of referrers of a route share.

    :ivar tags: the artifact tags of the source.
    :ivar destination: artifact tags at the destination, which its listing may hide.
    """

    session: Session
    copies: ArtifactCopies
    tags: SourceArtifactTags
    destination: HiddenTags
    outcomes: ArtifactOutcomes
