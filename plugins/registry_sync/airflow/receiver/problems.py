"""The reasons why events start nothing."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from registry_sync.airflow.ids import pushes_dag_id
from registry_sync.airflow.receiver.database import list_paused, list_subscriptions
from registry_sync.airflow.receiver.secrets import KeptSecrets


def event_problems(session: Session, mirrors: Collection[str], secrets: KeptSecrets) -> list[str]:
    """The problems of some mirrors: an address without a secret, and a DAG for pushes that is paused."""
    known = [each for each in list_subscriptions(session) if each.mirror in mirrors]
    without = {(each.address, each.secret) for each in known if not secrets.get(each.secret)}
    refused = sorted(
        f"Events of {address.scope} {address.name} are refused: the Connection {connection} does not exist, or has no "
        "password."
        for address, connection in without
    )
    paused = list_paused(session, mirrors)
    return [*refused, *(f"{pushes_dag_id(mirror)} is paused, so pushes start nothing." for mirror in paused)]
