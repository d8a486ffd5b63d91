"""Messages of Google Artifact Registry in the Pub/Sub topic ``gcr``.

A message names its image as ``HOST/REPOSITORY:TAG``. A push by digest has no ``tag``.

https://cloud.google.com/artifact-registry/docs/configure-notifications
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, reported, text


def read(document: Mapping[str, Any], host: str) -> Reported:
    """The push of a message. One of another host is ignored."""
    if document.get("action") != "INSERT":
        return Ignored(reason="its action is not INSERT")
    registry, _, rest = text(document.get("tag")).partition("/")
    if registry != host:
        return Ignored(reason="it names no tag of this registry")
    repository, _, tag = rest.rpartition(":")
    return reported([repository], [tag])
