"""JFrog's webhook for the domain *Docker*, event *Tag was pushed*.

The name of a repository begins with the key of Artifactory's own repository, or its host name has the key:
https://jfrog.com/help/r/jfrog-artifactory-documentation/docker-repository-path-and-domain

https://docs.jfrog.com/administration/docs/event-types
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, mapping, reported, text


def read(document: Mapping[str, Any]) -> Reported:
    """The push of a body."""
    if (document.get("domain"), document.get("event_type")) not in (("docker", "pushed"), ("oci", "pushed")):
        return Ignored(reason="it is not a pushed tag of the domain docker")
    data = mapping(document.get("data"))
    key, name = text(data.get("repo_key")), text(data.get("image_name"))
    return reported([f"{key}/{name}", name], [data.get("tag")])
