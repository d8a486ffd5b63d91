"""The Airflow asset of a mirror whose events are pushes to its source, and its alias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from registry_sync.airflow.pushes.queue_watcher import queue_watchers
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.events.subscription import as_extra, subscription
from registry_sync.state.names import ASSET_GROUP, pushes_asset_name, pushes_asset_uri


def pushes_asset(mirror: str, extra: Mapping[str, Any] | None = None, watchers: Sequence[AssetWatcher] = ()) -> Asset:
    """The asset of a mirror whose events name the pushes to its source. It has no state of a destination.

    :param extra: data for the receiver (:mod:`registry_sync.events.subscription`). It must be the same wherever a DAG
        file has the asset, because Airflow stores that of the last place.
    :param watchers: of the mirror's queue. They belong to the schedule of the DAG for pushes alone.
    """
    name, uri = pushes_asset_name(mirror), pushes_asset_uri(mirror)
    return Asset(name=name, uri=uri, group=ASSET_GROUP, extra=dict(extra or {}), watchers=list(watchers))


def subscribed_asset(mirror: Mirror, source: Registry) -> Asset:
    """The same asset with the data for the receiver and the triggerer, for DAG files."""
    watchers = queue_watchers(mirror.name, mirror.events_from(source))
    return pushes_asset(mirror.name, as_extra(subscription(mirror, source)), watchers)


def pushes_alias(mirror: str) -> AssetAlias:
    """The alias of the same name, through which tasks emit events: an outlet emits one by itself, an alias does not."""
    return AssetAlias(pushes_asset_name(mirror))
