"""Docker Hub's webhook of a repository. It proves nothing about its sender; its ``callback_url`` is never called.

https://docs.docker.com/docker-hub/repos/manage/webhooks/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, mapping, reported, text


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body."""
    name, tag = mapping(document.get("repository")).get("repo_name"), mapping(document.get("push_data")).get("tag")
    if not text(name) or not text(tag):
        return Ignored(reason="it is not a Docker Hub webhook of a push")
    return reported([name], [tag])
