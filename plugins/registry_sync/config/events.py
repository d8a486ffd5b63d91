"""``events:`` of a mirrors file: pushes that start the copy within seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from registry_sync.tags.rules import Duration

DEFAULT_SETTLE = Duration("10s", timedelta(seconds=10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Requests that the registry sends to the receiver in Airflow's API server.

    :ivar secret: id of the Airflow Connection whose password is the secret of the webhook.
    """

    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A message queue that Airflow's triggerer reads.

    :ivar scheme: selects the trigger among those of the installed Airflow providers, such as ``sqs``.
    :ivar arguments: of that trigger, JSON-simple.
    """

    scheme: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRules:
    """The ways in which a registry reports pushes.

    :ivar chain: mirrors that copy to the registry also start those that read from it.
    :ivar settle: time to wait after a push, so that all parts of an image and its signatures have arrived.
    """

    webhook: Webhook | None = None
    queue: Queue | None = None
    chain: bool = True
    settle: Duration = DEFAULT_SETTLE
