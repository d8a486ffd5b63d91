"""Checks of the queues that events come from: the trigger that reads each can be made here. No queue is read."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.airflow.pushes.queue_watcher import queue_trigger
from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.errors import RegistrySyncError


def check_event_queues(file: MirrorsFile) -> Iterator[Finding]:
    """Check the trigger of each mirror that reads its events from a queue."""
    for mirror in file.mirrors.values():
        source = file.registries[mirror.source]
        rules = mirror.events_from(source)
        if rules is None or rules.queue is None:
            continue
        subject, check = f"events of {mirror.name}", "queue"
        try:
            queue_trigger(rules.queue)
        except RegistrySyncError as error:
            yield Finding.of_error(subject, check, error)
        else:
            yield Finding(subject=subject, check=check, text=f"{rules.queue.scheme}; no message was read")
