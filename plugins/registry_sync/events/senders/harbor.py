"""Harbor's webhook of a project, in its own form and as CloudEvents.

An index sends an event for each platform first, whose ``tag`` is a digest, and one for its tag.

https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, listing, mapping, reported

_PUSHES = ("PUSH_ARTIFACT", "harbor.artifact.pushed")


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body."""
    if document.get("type") not in _PUSHES:
        return Ignored(reason="its type is not that of a pushed artifact")
    data = mapping(document.get("event_data") or document.get("data"))
    tags = [mapping(resource).get("tag") for resource in listing(data.get("resources"))]
    return reported([mapping(data.get("repository")).get("repo_full_name")], tags)
