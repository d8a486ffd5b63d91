"""The receiver's part of Airflow's database: the mirrors that events start, and asset events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetModel
from airflow.models.dag import DagModel
from airflow.serialization.definitions.assets import SerializedAssetUniqueKey
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from registry_sync.airflow.ids import pushes_dag_id
from registry_sync.events.addresses import Address
from registry_sync.events.gathering import Batch
from registry_sync.events.subscription import Subscription, parse_subscription
from registry_sync.state.names import ASSET_GROUP, pushes_asset_name, pushes_asset_uri

log = logging.getLogger(__name__)


def list_subscriptions(session: Session) -> list[Subscription]:
    """The mirrors that webhooks start, by the assets of the DAG files that Airflow read last."""
    query = select(AssetModel.name, AssetModel.extra).where(AssetModel.group == ASSET_GROUP, AssetModel.active.has())
    read = ((name, parse_subscription(extra)) for name, extra in session.execute(query))
    return [known for name, known in read if known and name == pushes_asset_name(known.mirror)]


def read_subscriptions() -> Mapping[Address, tuple[Subscription, ...]]:
    """The mirrors that each address starts."""
    with create_session() as session:
        known = list_subscriptions(session)
    found: dict[Address, tuple[Subscription, ...]] = {}
    for subscription in known:
        found[subscription.address] = (*found.get(subscription.address, ()), subscription)
    return found


def list_paused(session: Session, mirrors: Iterable[str]) -> list[str]:
    """Those of the mirrors whose DAG for pushes is paused. The DAGs of mirrors without events are gone (stale)."""
    dags = {pushes_dag_id(mirror): mirror for mirror in mirrors}
    query = select(DagModel.dag_id).where(DagModel.dag_id.in_(dags), DagModel.is_paused, ~DagModel.is_stale)
    return sorted(dags[dag] for dag in session.scalars(query))


def store(batch: Batch) -> None:
    """Register the asset events of a batch. Airflow starts one run for all that come while a run is active."""
    key = SerializedAssetUniqueKey(name=pushes_asset_name(batch.mirror), uri=pushes_asset_uri(batch.mirror))
    with create_session() as session:
        for extra in batch.extras():
            if asset_manager.register_asset_change(asset=key, extra=extra, session=session) is None:
                log.warning("Airflow no longer has the asset of mirror %s; its pushes are left out", batch.mirror)
                return
