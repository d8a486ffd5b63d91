"""The kinds of registry: the client of each, the hosts that tell a kind, and how fast it may be asked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from registry_sync.credentials import Endpoint
from registry_sync.errors import ConfigurationError
from registry_sync.registry import quay
from registry_sync.registry.acr import AcrClient
from registry_sync.registry.aliyun import AliyunClient
from registry_sync.registry.client import PullClient, RegistryClient
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.docker_hub import DockerHubClient
from registry_sync.registry.google import GoogleClient
from registry_sync.registry.harbor import HarborClient
from registry_sync.registry.quay import QuayClient
from registry_sync.registry.transport import Patience

CLIENTS: Mapping[str, type[DistributionClient]] = {
    "distribution": DistributionClient,
    "quay": QuayClient,
    "docker_hub": DockerHubClient,
    "acr": AcrClient,
    "aliyun": AliyunClient,
    "harbor": HarborClient,
    "google": GoogleClient,
}

HOSTS = (
    ("quay", r"quay\.io"),
    ("docker_hub", r"docker\.io"),
    ("acr", r"[a-z0-9-]+(\.[a-z0-9-]+)?\.azurecr\.(io|cn|us)"),
    ("aliyun", r"registry(-[a-z]+)?\.[a-z0-9-]+\.aliyuncs\.com"),
    ("aliyun", r"[a-z0-9-]+-registry(-[a-z]+)?\.[a-z0-9-]+\.cr\.aliyuncs\.com"),
    ("aliyun", r"[a-z0-9-]+\.[a-z0-9-]+\.personal\.cr\.aliyuncs\.com"),
    ("google", r"([a-z0-9-]+\.)?gcr\.io"),
    ("google", r"[a-z0-9-]+-docker\.pkg\.dev"),
)
"""Hosts, whole and in lower case, of the kinds that are services. Harbor is at everybody's own host."""

OWN_API = frozenset({"quay", "docker_hub", "harbor"})
"""The kinds whose API may be at another address than the registry."""

REQUESTS_PER_SECOND = {
    "quay": quay.API_REQUESTS_PER_SECOND,
    "aliyun": 15.0,  # what Harbor allows itself: https://github.com/goharbor/harbor/tree/main/src/pkg/reg/adapter/aliacr
}


def infer_kind(host: str) -> str:
    """The kind of registry at ``host``, ``distribution`` when the host is nobody's that we know.

    >>> infer_kind("gsoci.azurecr.io"), infer_kind("harbor.example:8443")
    ('acr', 'distribution')
    """
    name = host.lower().removesuffix(":443")
    return next((kind for kind, pattern in HOSTS if re.fullmatch(pattern, name)), "distribution")


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

    :param answer_seconds: how long a connection and each part of an answer may take.
    """
    patience = Patience(connect_seconds=answer_seconds, read_seconds=answer_seconds, attempts=1)
    return DistributionClient(endpoint, patience=patience)
