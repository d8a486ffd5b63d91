"""The event *ECR Image Action* of Amazon EventBridge, from a queue of SQS, or from an API destination with a header.

EventBridge delivers events of ECR by best effort. An index sends one for each of its images, without a tag.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.events.reported import Ignored, Reported, mapping, reported, text


def read(document: Mapping[str, Any], host: str) -> Reported:
    """The push of a message. One of another account or region than that of ``host`` is ignored."""
    detail = mapping(document.get("detail"))
    if document.get("source") != "aws.ecr" or detail.get("action-type") != "PUSH":
        return Ignored(reason="it is not a push to ECR")
    if detail.get("result") != "SUCCESS":
        return Ignored(reason="the push did not succeed")
    account, region = text(document.get("account")), text(document.get("region"))
    if host.partition(".")[0].isdigit() and (host.partition(".")[0] != account or f".{region}." not in host):
        return Ignored(reason="it comes from another account or region than that of this registry")
    return reported([detail.get("repository-name")], [detail.get("image-tag")])
