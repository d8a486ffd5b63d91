"""Events of an Azure Container Registry by Azure Event Grid, from a queue of Service Bus.

Both schemas, that of Event Grid and CloudEvents, hold the form of the registry's webhook in ``data``.

https://learn.microsoft.com/azure/event-grid/event-schema-container-registry
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, mapping, reported, text

_PUSHED = "Microsoft.ContainerRegistry.ImagePushed"


def read(document: Mapping[str, Any], host: str) -> Reported:
    """The push of a message. One of another registry is ignored."""
    if _PUSHED not in (document.get("eventType"), document.get("type")):
        return Ignored(reason="it is not a pushed image")
    data = mapping(document.get("data"))
    sender = text(mapping(data.get("request")).get("host"))
    if sender and sender != host:
        return Ignored(reason="it comes from another registry")
    target = mapping(data.get("target"))
    return reported([target.get("repository")], [target.get("tag")])
