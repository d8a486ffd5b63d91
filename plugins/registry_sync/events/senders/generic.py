"""Events of one's own CI: ``{"repository": "team/app", "tags": ["v1"]}``. Without ``tags``, all tags are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, reported, text


def is_generic(document: Mapping[str, Any]) -> bool:
    """Return whether a body has this form and no other key."""
    return isinstance(document.get("repository"), str) and document.keys() <= {"repository", "tags", "tag"}


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body."""
    if not text(document.get("repository")):
        return Ignored(reason="it has no repository")
    tags = document.get("tags", [document["tag"]] if "tag" in document else None)
    return reported([document["repository"]], tags)
