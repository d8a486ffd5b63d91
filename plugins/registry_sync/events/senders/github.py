"""GitHub's webhook for packages, of a repository or of an organisation: the events *Packages* and *Registry packages*.

https://docs.github.com/webhooks/webhook-events-and-payloads#package
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, mapping, reported, text


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body. GitHub writes owners with capitals, and the registry does not."""
    package = mapping(document.get("package") or document.get("registry_package"))
    if not package or document.get("action") not in ("published", "updated"):
        return Ignored(reason="it is not a published package")
    if text(package.get("package_type")).lower() not in ("container", "docker"):
        return Ignored(reason="its package is not a container image")
    owner, name = text(mapping(package.get("owner")).get("login")), text(package.get("name"))
    version = mapping(package.get("package_version"))
    tag = mapping(mapping(version.get("container_metadata")).get("tag")).get("name")
    return reported([f"{owner}/{name}".lower()], [tag])
