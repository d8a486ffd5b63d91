"""Opening the client for a registry by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from registry_sync.registry.client import PullClient, RegistryClient
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.kinds import infer_kind
from registry_sync.registry.vendors.acr import AcrClient
from registry_sync.registry.vendors.aliyun import AliyunClient
from registry_sync.registry.vendors.artifactory import ArtifactoryClient
from registry_sync.registry.vendors.docker_hub import DockerHubClient
from registry_sync.registry.vendors.ecr.client import EcrClient
from registry_sync.registry.vendors.ghcr import GhcrClient
from registry_sync.registry.vendors.gitlab import GitlabClient
from registry_sync.registry.vendors.google import GoogleClient
from registry_sync.registry.vendors.harbor import HarborClient
from registry_sync.registry.vendors.nexus import NexusClient
from registry_sync.registry.vendors.quay import QuayClient
from registry_sync.registry.wire.exchange import RequestLimits

CLIENTS: Mapping[str, type[DistributionClient]] = {
    "distribution": DistributionClient,
    "quay": QuayClient,
    "docker_hub": DockerHubClient,
    "acr": AcrClient,
    "aliyun": AliyunClient,
    "harbor": HarborClient,
    "google": GoogleClient,
    "ghcr": GhcrClient,
    "ecr": EcrClient,
    "gitlab": GitlabClient,
    "artifactory": ArtifactoryClient,
    "nexus": NexusClient,
}


def open_client(
    kind: str | None,
    endpoint: Endpoint,
    *,
    max_connections: int,
    api_url: str | None = None,
    requests_per_second: float | None = None,
    keep_pulls: int | None = None,
) -> RegistryClient:
    """The client for a registry of ``kind``, a key of :data:`CLIENTS`. Nothing is sent yet.

    :param kind: ``None`` is inferred from the host.
    :param api_url: address of the kind's own API; by default its usual one. Kinds without an API ignore it.
    :param requests_per_second: overrides the kind's usual limit.
    :param keep_pulls: pulls of each window of a pull limit that are left to machines. Kinds without one ignore it.
    """
    kind_of_client = CLIENTS[kind or infer_kind(endpoint.host)]
    client = kind_of_client(
        endpoint, max_connections=max_connections, api_url=api_url, requests_per_second=requests_per_second
    )
    if keep_pulls is not None and isinstance(client, DockerHubClient):
        client.keep_pulls(keep_pulls)
    return client


def open_as_node(endpoint: Endpoint, *, answer_seconds: float) -> PullClient:
    """The client for a registry as a pulling machine uses it: the distribution API only, without retries.

    :param answer_seconds: timeout of connecting and of each read.
    """
    limits = RequestLimits(connect_seconds=answer_seconds, read_seconds=answer_seconds, attempts=1, patience_seconds=0)
    return DistributionClient(endpoint, limits=limits)


LOGIN_SECONDS = 10.0
"""Timeout of connecting and of each read while somebody waits for :func:`check_login`."""


def check_login(endpoint: Endpoint) -> None:
    """Log in to a registry of any kind, without retries.

    :raises RegistrySyncError: when it does not respond, is not a registry, or rejects the login.
    """
    limits = RequestLimits(connect_seconds=LOGIN_SECONDS, read_seconds=LOGIN_SECONDS, attempts=1, patience_seconds=0)
    with closing(DistributionClient(endpoint, limits=limits)) as client:
        client.ping()
