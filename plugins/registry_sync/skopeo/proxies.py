"""The proxy variables for skopeo, which has one environment for both registries.

Go reads them: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config. Go never uses a proxy for this machine.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from registry_sync.errors import ConfigurationError
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.proxies import proxy_of_registry, shown_proxy

_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def proxy_variables(source: Endpoint, destination: Endpoint, destination_hosts: Collection[str]) -> Mapping[str, str]:
    """The proxy variables with which skopeo reaches both registries by their own settings.

    A source through a proxy with a direct destination is possible, because a push needs only the hosts that our own
    client has met. A direct source is not: the hosts to which its blobs are redirected are not known in advance.

    :param destination_hosts: hosts that our own client has met at the destination, such as its token service.
    :raises ConfigurationError: when one environment cannot express it.
    """
    if source.proxy is None and destination.proxy is None:
        return _environment()
    read, written = proxy_of_registry(source), proxy_of_registry(destination)
    if read == written:
        return _through(read)
    direct = sorted({destination.host, *destination_hosts})
    if written or any(_covers(host, source.host) for host in direct):
        raise _conflict(source, destination)
    return {**_through(read), "NO_PROXY": ",".join(direct)}


def _through(proxy: str) -> Mapping[str, str]:
    return {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy} if proxy else {}


def _environment() -> Mapping[str, str]:
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def _covers(entry: str, host: str) -> bool:
    """Return whether an entry of ``NO_PROXY`` also excepts ``host``: Go takes it for a domain."""
    return host == entry or host.endswith(f".{entry}")


def _conflict(source: Endpoint, destination: Endpoint) -> ConfigurationError:
    ways = (_way(endpoint) for endpoint in (source, destination))
    return ConfigurationError(
        f"source {source.host} is reached {next(ways)} and destination {destination.host} {next(ways)}, but one skopeo "
        "cannot do both; write transfer: direct, or the same proxy: for both registries"
    )


def _way(endpoint: Endpoint) -> str:
    proxy = proxy_of_registry(endpoint)
    return f"through the proxy {shown_proxy(proxy)}" if proxy else "directly"
