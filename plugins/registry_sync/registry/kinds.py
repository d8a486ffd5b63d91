"""The kinds of registry, and the client of each."""

from __future__ import annotations

from registry_sync.credentials import Endpoint
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.distribution import DistributionClient

CLIENTS = {
    "distribution": DistributionClient,
}


def open_client(kind: str, endpoint: Endpoint, *, max_connections: int) -> RegistryClient:
    """The client for a registry of ``kind``, which is a key of :data:`CLIENTS`; nothing is sent yet."""
    return CLIENTS[kind](endpoint, max_connections=max_connections)
