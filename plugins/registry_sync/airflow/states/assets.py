"""The Airflow assets: one per mirror and destination, with the state of its routes, and an event for its changes."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias

from registry_sync.config.registry import Registry
from registry_sync.state.names import ASSET_GROUP, asset_name, asset_uri


def destination_asset(mirror: str, destination: Registry) -> Asset:
    """The asset of a mirror and one of its destinations."""
    name = asset_name(mirror, destination.name)
    return Asset(name=name, uri=asset_uri(mirror, destination.name, destination.host), group=ASSET_GROUP)


def destination_alias(mirror: str, destination: str) -> AssetAlias:
    """The alias of the same name through which events are emitted. DAGs are scheduled on it without knowing the URI.

    A DAG that is scheduled on ``Asset.ref(name=…)`` runs, too, but Airflow 3.3 gives it no events.
    """
    return AssetAlias(asset_name(mirror, destination))
