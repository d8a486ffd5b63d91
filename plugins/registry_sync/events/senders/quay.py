"""Quay's notification *Push to Repository*, method *Webhook POST*.

A body names all tags in ``updated_tags``, and no digest. Quay sends none for a push by digest, nor for a tag that is
moved or restored in its web UI. Your own template may carry the secret as ``token``: ``{"token": "…", "repository":
"${repository}", "updated_tags": "${updated_tags}"}``.

https://docs.projectquay.io/use_quay.html#repository-notifications
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, reported, text


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body. Quay's notifications about builds and scans have no ``updated_tags``."""
    if not text(document.get("repository")) or not isinstance(document.get("updated_tags"), list):
        return Ignored(reason="it is not a Quay notification of a push")
    return reported([document["repository"]], document["updated_tags"])
