"""Notifications of CNCF Distribution (docker-registry), of GitLab's container registry, and of others built on it.

A body has several events, also of layers and of pulls. The receiver merges events of one repository.

https://distribution.github.io/distribution/about/notifications
https://docs.gitlab.com/administration/packages/container_registry/#configure-container-registry-notifications
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, ReportedPush, listing, mapping, reported, text


def read(document: Mapping[str, Any]) -> Reported:
    """The pushes of a body."""
    if not isinstance(document.get("events"), list):
        return Ignored(reason="it is not a notification of a registry")
    found: list[ReportedPush] = []
    for event in map(mapping, listing(document["events"])):
        target = mapping(event.get("target"))
        if event.get("action") == "push" and text(target.get("tag")):
            pushes = reported([target.get("repository")], [target["tag"]])
            found += () if isinstance(pushes, Ignored) else pushes
    return tuple(found) or Ignored(reason="none of its events is a push of a tag")
