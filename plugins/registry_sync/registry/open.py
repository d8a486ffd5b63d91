"""The kinds of registry: the client of each, and how fast it may be asked."""

from __future__ import annotations

from collections.abc import Mapping

from registry_sync.errors import ConfigurationError
from registry_sync.registry import quay
from registry_sync.registry.acr import AcrClient
from registry_sync.registry.aliyun import AliyunClient
from registry_sync.registry.client import PullClient, RegistryClient
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.docker_hub import DockerHubClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.google import GoogleClient
from registry_sync.registry.harbor import HarborClient
from registry_sync.registry.kinds import OWN_API, infer_kind
from registry_sync.registry.quay import QuayClient
from registry_sync.registry.transport import RequestLimits

CLIENTS: Mapping[str, type[DistributionClient]] = {
    "distribution": DistributionClient,
    "quay": QuayClient,
    "docker_hub": DockerHubClient,
    "acr": AcrClient,
    "aliyun": AliyunClient,
    "harbor": HarborClient,
    "google": GoogleClient,
}

REQUESTS_PER_SECOND = {
    "quay": quay.API_REQUESTS_PER_SECOND,
    "aliyun": 15.0,  # what Harbor allows itself: https://github.com/goharbor/harbor/tree/main/src/pkg/reg/adapter/aliacr
}


def open_client(
    kind: str | None,
    endpoint: Endpoint,
    *,
    max_connections: int,
    api_url: str | None = None,
    requests_per_second: float | None = None,
) -> RegistryClient:
    """The client for a registry of ``kind``, which is a key of :data:`CLIENTS`; nothing is sent yet.

    :param kind: ``None`` is told by the host.
    :param api_url: where the kind's own API is, when it is not where it usually is.
    :param requests_per_second: instead of the kind's usual rate.
    :raises ConfigurationError: when the kind has no API to be elsewhere.
    """
    kind = kind or infer_kind(endpoint.host)
    if api_url and kind not in OWN_API:
        raise ConfigurationError(f"{endpoint.host}: a registry of kind {kind!r} has no api_url; remove it")
    rate = requests_per_second or REQUESTS_PER_SECOND.get(kind)
    return CLIENTS[kind](endpoint, max_connections=max_connections, api_url=api_url, requests_per_second=rate)


def open_as_node(endpoint: Endpoint, *, answer_seconds: float) -> PullClient:
    """The client for a registry as a machine sees it that pulls: nothing but the distribution API, and one try.

    :param answer_seconds: how long a connection and each part of an response may take.
    """
    limits = RequestLimits(connect_seconds=answer_seconds, read_seconds=answer_seconds, attempts=1)
    return DistributionClient(endpoint, limits=limits)
