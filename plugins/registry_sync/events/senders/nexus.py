"""Nexus' capability *Webhook: Repository* with the events *component* and *asset*.

The name of a repository begins with that of Nexus' own repository where images are addressed by path.

https://help.sonatype.com/en/example-headers-and-payloads.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, mapping, reported, text

_MANIFEST = re.compile(r"/?v2/(.{1,255})/manifests/([^/]{1,128})")
"""The name of an asset that is a manifest."""


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body."""
    if document.get("action") not in ("CREATED", "UPDATED"):
        return Ignored(reason="its action is neither CREATED nor UPDATED")
    component, asset = mapping(document.get("component")), mapping(document.get("asset"))
    if "docker" not in (component.get("format"), asset.get("format")):
        return Ignored(reason="it is not a component or an asset of the format docker")
    repository = text(document.get("repositoryName"))
    if component:
        return _named(repository, text(component.get("name")), component.get("version"))
    manifest = _MANIFEST.fullmatch(text(asset.get("name")))
    return _named(repository, *manifest.groups()) if manifest else Ignored(reason="its asset is not a manifest")


def _named(repository: str, name: str, tag: object) -> Reported:
    return reported([f"{repository}/{name}", name], [tag])
