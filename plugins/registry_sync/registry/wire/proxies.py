"""The proxy of the environment through which a URL is reached.

``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, in either case, as curl and Go read them:
https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_of(url: str) -> str:
    """The URL of the proxy for ``url``; empty for a direct connection. A proxy without a scheme speaks plain HTTP."""
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or _is_bypassed(parts.hostname or "", parts.port, proxies.get("no", "")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_bypassed(host: str, port: int | None, no_proxy: str) -> bool:
    """Return whether ``no_proxy`` has the host, a domain above it, or a network of its address."""
    if proxy_bypass(f"{host}:{port}" if port else host):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _networks(no_proxy))


def _networks(no_proxy: str) -> Iterator[IPv4Network | IPv6Network]:
    for entry in no_proxy.split(","):
        with suppress(ValueError):
            yield ip_network(entry.strip(), strict=False)
