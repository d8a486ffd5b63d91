"""The Airflow asset of a mirror whose events are pushes to its source."""

from __future__ import annotations

from airflow.sdk import Asset

from registry_sync.state.names import ASSET_GROUP, pushes_asset_name, pushes_asset_uri


def pushes_asset(mirror: str) -> Asset:
    """The asset of a mirror whose events name what was pushed to its source. It has no state of a destination."""
    return Asset(name=pushes_asset_name(mirror), uri=pushes_asset_uri(mirror), group=ASSET_GROUP)
