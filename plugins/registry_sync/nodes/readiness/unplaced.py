"""Notes about bootstrap images of a list that are not checked."""

from __future__ import annotations

from collections.abc import Sequence

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool

MAX_UNPLACED = 10
"""Images that a note names; ``nodes audit`` names all."""


_NO_TAG = "they have a digest and no tag (name them as NAME:TAG@sha256:…, with any TAG of your own)"


def unplaced_notes(file: MirrorsFile, pool: NodePool) -> list[str]:
    """A note for each reason: no route brings the images to the pool's registry, or they have no tag."""
    host = file.registries[pool.registry].host
    reasons = {True: f"nothing brings them to {host}", False: _NO_TAG}
    return [
        f"{pool.name}: not checked, because {reason}: {_some([str(image) for image in images])}"
        for has_tag, reason in reasons.items()
        if (images := [image for image in pool.unplaced if bool(image.tag) is has_tag])
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_UNPLACED} more" if len(names) > MAX_UNPLACED else ""
    return f"{', '.join(names[:MAX_UNPLACED])}{more}"
