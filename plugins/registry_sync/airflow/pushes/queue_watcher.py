"""The queue of a mirror's events: the trigger that reads it, which Airflow's triggerer runs.

https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/event-scheduling.html
"""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING

from airflow.sdk import AssetWatcher, get_parsing_context

from registry_sync.config.events import EventRules, Queue
from registry_sync.errors import ConfigurationError
from registry_sync.state.names import pushes_asset_name

if TYPE_CHECKING:
    from airflow.triggers.base import BaseEventTrigger

log = logging.getLogger(__name__)

_PACKAGE = "apache-airflow-providers-common-messaging"

_SCHEMES = ("sqs", "kafka", "redis+pubsub", "google+pubsub", "azure+servicebus")
"""Schemes of Airflow's own providers."""


def queue_watchers(mirror: str, rules: EventRules | None) -> list[AssetWatcher]:
    """The watcher of a mirror's asset for pushes; none without a queue, and none in tasks, which need not import it.

    One that cannot be made is logged and left out, because an error would take all DAGs of the file away; ``check``
    names it, and scheduled runs copy what no event starts.
    """
    if rules is None or rules.queue is None or get_parsing_context().dag_id:
        return []
    try:
        return [AssetWatcher(name=pushes_asset_name(mirror), trigger=queue_trigger(rules.queue))]
    except ConfigurationError as error:
        log.error("Mirror %r reads no queue: %s", mirror, error)
        return []


def queue_trigger(queue: Queue) -> BaseEventTrigger:
    """The trigger that reads a queue. Nothing is connected yet.

    :raises ConfigurationError: when no installed provider reads such a queue, or does not accept the arguments.
    """
    try:
        from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
    except ImportError as error:
        raise ConfigurationError(
            f"queue {queue.scheme!r}: the package {_PACKAGE} is not installed; install it, and the provider that reads "
            "such queues"
        ) from error
    trigger = MessageQueueTrigger(scheme=queue.scheme, **queue.arguments)
    try:
        trigger.serialize()
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"queue {queue.scheme!r}: no installed provider of Airflow reads such queues ({error}); "
            f"{_advice(queue.scheme)}"
        ) from error
    except TypeError as error:
        raise ConfigurationError(
            f"queue {queue.scheme!r}: its trigger does not accept the arguments in 'with' ({error})"
        ) from error
    return trigger


def _advice(scheme: str) -> str:
    """Advice about a scheme that no provider knows."""
    likely = [known for known in _SCHEMES if known.startswith(scheme) or known.endswith(scheme)]
    found = likely or get_close_matches(scheme, _SCHEMES, n=1)
    if found and scheme not in _SCHEMES:
        return f"did you mean {' or '.join(map(repr, found))}?"
    return (
        "install the one that does, such as apache-airflow-providers-amazon for sqs, on the DAG processor and on "
        "triggerers"
    )
