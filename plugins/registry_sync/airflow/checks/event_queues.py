"""Checks of the queues of events: their triggers and Connections. No queue is read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from registry_sync.airflow.hooks.find_connection import find_connection
from registry_sync.airflow.pushes.queue_watcher import queue_trigger
from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.errors import RegistrySyncError

if TYPE_CHECKING:
    from airflow.triggers.base import BaseEventTrigger

_OPTIONS = {
    "aws_conn_id": "--conn-type aws",
    "azure_service_bus_conn_id": "--conn-type azure_service_bus --conn-schema CONNECTION_STRING",
    "gcp_conn_id": "--conn-type google_cloud_platform",
    "kafka_config_id": """--conn-type kafka --conn-extra '{"bootstrap.servers": "HOST:9092", "group.id": "GROUP"}'""",
    "redis_conn_id": "--conn-type redis --conn-host HOST",
}
"""Arguments of the triggers of Airflow's providers whose value is the id of a Connection, and how to create it."""


def check_event_queues(file: MirrorsFile) -> Iterator[Finding]:
    """Check the trigger of each mirror that reads its events from a queue."""
    for mirror in file.mirrors.values():
        source = file.registries[mirror.source]
        rules = mirror.events_from(source)
        if rules is None or rules.queue is None:
            continue
        subject, check = f"events of mirror {mirror.name}", "queue"
        try:
            problems = list(_check_connections(queue_trigger(rules.queue), subject))
        except RegistrySyncError as error:
            yield Finding.of_error(subject, check, error)
        else:
            yield from problems or [
                Finding(subject=subject, check=check, text=f"{rules.queue.scheme}; no message was read")
            ]


def _check_connections(trigger: BaseEventTrigger, subject: str) -> Iterator[Finding]:
    """Find the Connections that a trigger uses and Airflow does not have, also those of its defaults.

    :raises RegistrySyncError: when one cannot be looked for.
    """
    for name, connection in trigger.serialize()[1].items():
        is_id = name in _OPTIONS or name.endswith("conn_id")
        if is_id and isinstance(connection, str) and connection and find_connection(connection) is None:
            yield _missing(subject, name, connection)


def _missing(subject: str, argument: str, connection: str) -> Finding:
    """The finding of a Connection that does not exist. Airflow's hook of AWS then takes the identity of boto3."""
    check, text = f"Connection {connection}", f"does not exist; the queue's trigger needs it as {argument}"
    if argument == "aws_conn_id":
        text = "does not exist, so the identity of the triggerer's machine reads the queue; write aws_conn_id: null"
        return Finding(subject=subject, check=check, verdict="warning", text=text)
    options = _OPTIONS.get(argument, "--conn-type TYPE")
    remedy = f"airflow connections add {shlex.quote(connection)} {options}"
    return Finding(subject=subject, check=check, verdict="missing", text=text, remedy=remedy)
