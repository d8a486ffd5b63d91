"""The webhook of an Azure Container Registry. A custom header carries the secret.

Events of pushes by digest have no tag, and each platform of an index sends one.

https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, mapping, reported, text


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body."""
    action, target = text(document.get("action")), mapping(document.get("target"))
    if action != "push":
        return Ignored(reason=f"its action is {action!r}, not 'push'" if action.isidentifier() else "it has no action")
    return reported([target.get("repository")], [target.get("tag")])
