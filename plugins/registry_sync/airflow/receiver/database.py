"""The receiver's part of Airflow's database: the mirrors that events start, and asset events."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetModel
from airflow.serialization.definitions.assets import SerializedAssetUniqueKey
from airflow.utils.session import create_session
from sqlalchemy import select

from registry_sync.events.addresses import Address
from registry_sync.events.gathering import Batch
from registry_sync.events.subscription import Subscription, parse_subscription
from registry_sync.state.names import ASSET_GROUP, pushes_asset_name, pushes_asset_uri

log = logging.getLogger(__name__)


def read_subscriptions() -> Mapping[Address, tuple[Subscription, ...]]:
    """The mirrors that each address starts, by the assets of the DAG files that Airflow read last."""
    query = select(AssetModel.name, AssetModel.extra).where(AssetModel.group == ASSET_GROUP, AssetModel.active.has())
    found: dict[Address, tuple[Subscription, ...]] = {}
    with create_session() as session:
        rows = session.execute(query).all()
    for name, extra in rows:
        known = parse_subscription(extra)
        if known is not None and name == pushes_asset_name(known.mirror):
            found[known.address] = (*found.get(known.address, ()), known)
    return found


def store(batch: Batch) -> None:
    """Register the asset events of a batch. Airflow starts one run for all that come while a run is active."""
    key = SerializedAssetUniqueKey(name=pushes_asset_name(batch.mirror), uri=pushes_asset_uri(batch.mirror))
    with create_session() as session:
        for extra in batch.extras():
            if asset_manager.register_asset_change(asset=key, extra=extra, session=session) is None:
                log.warning("Airflow no longer has the asset of mirror %s; its pushes are left out", batch.mirror)
                return
