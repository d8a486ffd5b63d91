"""The sender of each kind of registry: how to read its body, and whether it can prove that a request is genuine.

In a queue, a registry may send other forms than in requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry_sync.events.reported import Ignored, Reported
from registry_sync.events.senders import (
    acr,
    aliyun,
    artifactory,
    distribution,
    docker_hub,
    ecr,
    event_grid,
    generic,
    github,
    google,
    harbor,
    nexus,
    quay,
)

Reader = Callable[[Mapping[str, Any], str], Reported]
"""A reader of a body, given the host of the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A sender of events.

    :ivar read: reads a body, given the host of the registry.
    :ivar proves: it sends the secret or a signature, so a request without a valid one is refused. For other senders the
        address alone is the proof.
    """

    read: Reader
    proves: bool = True


def _of(read: Callable[[Mapping[str, Any]], Reported], *, proves: bool = True) -> Sender:
    return Sender(read=lambda document, _: read(document), proves=proves)


GENERIC = _of(generic.read)

SENDERS: Mapping[str, Sender] = {
    "quay": _of(quay.read, proves=False),
    "docker_hub": _of(docker_hub.read, proves=False),
    "aliyun": Sender(read=aliyun.read, proves=False),
    "acr": _of(acr.read),
    "ecr": Sender(read=ecr.read),
    "harbor": _of(harbor.read),
    "ghcr": _of(github.read),
    "gitlab": _of(distribution.read),
    "artifactory": _of(artifactory.read),
    "nexus": _of(nexus.read),
    "distribution": _of(distribution.read),
}
"""The senders by kind of registry. Any other kind has the generic sender only."""


def sender_of(kind: str) -> Sender:
    """The sender of a kind of registry.

    >>> sender_of("quay").proves, sender_of("google") is GENERIC
    (False, True)
    """
    return SENDERS.get(kind, GENERIC)


_IN_QUEUES: Mapping[str, Reader] = {"acr": event_grid.read, "google": google.read}
"""Forms that clouds send to their queues. Azure's form contains its webhook's form, which is then not read again."""

PUSH_SERVICES: Mapping[str, str] = {
    "acr": "Azure Event Grid",
    "ecr": "Amazon SNS",
    "google": "Google Pub/Sub",
}
"""Services of clouds that send the events of a kind of registry to an address, without a proof that we can check.

Their messages come from a queue: :func:`readers_of_messages`.
https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html
https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
"""


def readers_of_messages(kind: str) -> Iterator[Reader]:
    """Readers of a message in a queue, for the forms that a registry of ``kind`` may send there."""
    yield _IN_QUEUES.get(kind, sender_of(kind).read)
    yield lambda document, _: generic.read(document) if generic.is_generic(document) else NOT_GENERIC


NOT_GENERIC = Ignored(reason="it is not an event of one's own CI")
