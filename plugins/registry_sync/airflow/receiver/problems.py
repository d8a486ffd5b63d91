"""The reasons why events start nothing."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from registry_sync.airflow.ids import pushes_dag_id
from registry_sync.airflow.receiver.database import list_paused, list_subscriptions
from registry_sync.airflow.receiver.secrets import KeptSecrets, SecretUnknown
from registry_sync.events.addresses import Address


def event_problems(session: Session, mirrors: Collection[str], secrets: KeptSecrets) -> list[str]:
    """The problems of some mirrors: an address without a secret, and a DAG for pushes that is paused."""
    known = [found for found in list_subscriptions(session) if found.mirror in mirrors]
    secret_of = {found.address: found.secret for found in known}
    refused = (_refusal(address, connection, secrets) for address, connection in secret_of.items())
    paused = list_paused(session, mirrors)
    return [
        *sorted(filter(None, refused)),
        *(f"{pushes_dag_id(mirror)} is paused, so pushes start nothing." for mirror in paused),
    ]


def _refusal(address: Address, connection: str, secrets: KeptSecrets) -> str:
    """The reason why all events of an address are refused; empty when they are not."""
    try:
        if secrets.get(connection):
            return ""
        reason = "does not exist, or has no password"
    except SecretUnknown:
        reason = "cannot be read; the log of the API server has the reason"
    return f"Events of {address.scope} {address.name} are refused: the Connection {connection} {reason}."
