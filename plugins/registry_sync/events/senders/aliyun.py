"""The trigger (webhook) of a repository at Alibaba Cloud Container Registry. It proves nothing about its sender.

The body has the region, and not the instance: ``team/app`` may exist in several. So each instance has an address of its
own here.

https://www.alibabacloud.com/help/en/acr/user-guide/manage-webhooks
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, mapping, reported, text


def read(document: Mapping[str, Any], host: str) -> Reported:
    """The push of a body. One from another region than that of ``host`` is ignored."""
    repository, tag = mapping(document.get("repository")), mapping(document.get("push_data")).get("tag")
    name, region = repository.get("repo_full_name"), text(repository.get("region"))
    if not text(name) or not text(tag):
        return Ignored(reason="it is not a trigger of Alibaba Cloud")
    if region and host.endswith(".aliyuncs.com") and f".{region}." not in host:
        return Ignored(reason="it comes from another region than that of this registry")
    return reported([name], [tag])
