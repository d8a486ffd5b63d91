"""Docker's store of images: its own store, or containerd's, which also decides how it pulls.

https://docs.docker.com/engine/storage/containerd/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.config.node_pools import ImageStore, NodePool
from registry_sync.config.runtime_versions import Versions

CONTAINERD_BY_DEFAULT = Versions.parse(">=29")
"""Fresh installations of these versions have containerd's store; upgraded ones keep the one that they have."""

FEATURE = "containerd-snapshotter"


def possible_store(pool: NodePool, versions: Versions) -> ImageStore:
    """The store of a pool's machines. Where only the versions are known, the store that falls back less often."""
    return pool.image_store or ("containerd" if versions.meet(CONTAINERD_BY_DEFAULT) else "classic")


def written_store(document: Mapping[str, Any], versions: Versions) -> ImageStore | None:
    """The store that a ``daemon.json`` chooses; ``None`` when that depends on how the machine was installed."""
    match feature_of(document):
        case True:
            return "containerd"
        case False:
            return "classic"
    return None if versions.meet(CONTAINERD_BY_DEFAULT) else "classic"


def feature_of(document: Mapping[str, Any]) -> Any:
    """The value of the feature flag in a ``daemon.json``; ``None`` where it is absent."""
    features = document.get("features")
    return features.get(FEATURE) if isinstance(features, Mapping) else None
